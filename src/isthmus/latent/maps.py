"""Maps: codes drawn in two dimensions, on which new codes can be placed."""

import csv
import io
import json
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.items import HasItems, Items
from isthmus.data.samples import Origin, Samples
from isthmus.errors import ModelError, OptionError, SourceError
from isthmus.files import atomic_write, reporting_damage, to_json
from isthmus.inference import CODE, TrainedModel
from isthmus.latent.codes import Codes
from isthmus.latent.neighbors import (
    LARGEST,
    continuity,
    knn_accuracy,
    sample_indices,
    trustworthiness,
)
from isthmus.latent.projections import METHODS, Params, Projection
from isthmus.latent.vectors import to_vectors

FORMAT = 2  # of the file; raise it when an older program could misread it
PARAM = "param "  # before the name of a parameter in the file
NUMBERS = 2**26  # numbers that a map is fitted on, or pixels that it is compared with, at most
BLOCK = 2**15  # codes that are placed at once


@dataclass(frozen=True, eq=False, repr=False)
class Map(HasItems):
    """N codes as points in two dimensions, and what it takes to place more.

    Parameters
    ----------
    method : str
        A name of `METHODS`.
    xy : (N, 2) float32
    items : Items
        Names, labels and class names of the samples, and their fingerprint.
    fitted : (N,) bool
        Which samples the map was fitted on; the others were placed. All, where nothing is learnt.
    layer : str
        The layer that the codes left.
    model_fingerprint : str
    origin : Origin
        Where the samples came from.
    seed : int
    params : dict of arrays
        What the method has learnt; see `Projection`.
    """

    method: str
    xy: NDArray[np.float32]
    items: Items
    fitted: NDArray[np.bool_]
    layer: str = CODE
    model_fingerprint: str = ""
    origin: Origin = field(default_factory=Origin)
    seed: int = 0
    params: Params = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Map({self.method} of {len(self):,}, layer {self.layer})"

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def explained(self) -> tuple[float, float] | None:
        """The share of the codes' variance that each axis shows, for PCA."""
        shares = self.params.get("explained")
        return None if shares is None else (float(shares[0]), float(shares[1]))

    def transform(self, codes: Codes) -> NDArray[np.float32]:
        """Find the positions of more codes on this map, each for itself.

        Returns
        -------
        xy : (M, 2) float32
            A code that the map was fitted on is placed where it is.

        Raises
        ------
        ModelError
            If the codes are of another model or layer than the map's, or hold NaN.
        """
        if (codes.model_fingerprint, codes.layer) != (self.model_fingerprint, self.layer):
            raise ModelError(
                "these codes are of another model or layer than this map; draw theirs with "
                "isthmus map."
            )
        return _placed(METHODS[self.method], self.params, _checked(codes))

    def with_codes(self, codes: Codes) -> "Map":
        """Return this map with these codes placed on it, in place of its own; see `place`."""
        return replace(
            self,
            xy=self.transform(codes),
            items=codes.items,
            fitted=np.zeros(len(codes), np.bool_),
            origin=codes.origin,
        )

    def check(self, model: TrainedModel) -> None:
        """Refuse a map of another model's codes.

        Raises
        ------
        ModelError
        """
        model.check_fingerprint(
            self.model_fingerprint, "this map was drawn for", "draw it again with isthmus map"
        )

    def to_csv(self) -> str:
        """Return a table: name, label, x, y, and whether the map was fitted on the sample."""
        file = io.StringIO()
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["name", "label", "x", "y", "fitted"])
        labels = self.items.label_names()
        for i, name in enumerate(self.names):
            rows.writerow([name, labels[i] or "", *self.xy[i].tolist(), int(self.fitted[i])])
        return file.getvalue()

    def save(self, path: str | Path) -> None:
        """Write an .npz file, whole or not at all."""
        about = {
            "format": FORMAT,
            "method": self.method,
            "layer": self.layer,
            "model_fingerprint": self.model_fingerprint,
            "origin": to_json(self.origin),
            "seed": self.seed,
        }
        arrays = {
            "xy": self.xy,
            "fitted": self.fitted,
            "about": np.array(json.dumps(about)),
            **self.items.to_arrays(),
            **{f"{PARAM}{name}": array for name, array in self.params.items()},
        }
        with atomic_write(Path(path)) as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: str | Path, model: TrainedModel | None = None) -> "Map":
        """Open a file that `save` wrote.

        Parameters
        ----------
        path : path
        model : TrainedModel, optional
            The model whose codes it must show.

        Raises
        ------
        SourceError
            If there is none, or it cannot be read.
        ModelError
            If it shows another model's codes.
        """
        path = Path(path)
        if not path.exists():
            raise SourceError(f"there is no map at {path}; isthmus map draws one.")
        with reporting_damage(path, SourceError), path.open("rb") as file, np.load(file) as arrays:
            loaded = cls._of(arrays)
        if model is not None:
            loaded.check(model)
        return loaded

    @classmethod
    def _of(cls, arrays: Any) -> "Map":
        """Make a map of an opened file."""
        about = json.loads(str(arrays["about"]))
        if about["format"] != FORMAT or about["method"] not in METHODS:
            raise SourceError("another version of isthmus wrote it")
        return cls(
            about["method"],
            arrays["xy"],
            Items.from_arrays(arrays),
            arrays["fitted"],
            about["layer"],
            about["model_fingerprint"],
            Origin.build(about["origin"]),
            about["seed"],
            {n.removeprefix(PARAM): arrays[n] for n in arrays if n.startswith(PARAM)},
        )


def fit_map(
    codes: Codes,
    method: str = "tsne",
    *,
    seed: int = 0,
    max_samples: int = 20_000,
    track: Track = untracked,
) -> Map:
    """Draw codes in two dimensions.

    The map depends on the codes and the seed, not on their order or the number of threads, and
    equal codes share a point.

    Parameters
    ----------
    codes : Codes
    method : str
        A name of `METHODS`.
    seed : int
    max_samples : int
        Different codes to fit the map on; of more, or of very long ones, as many as that are
        drawn by the seed, and the others are placed.
    track : callable
        Shows progress.

    Raises
    ------
    SettingsError
        If there is no such method, it is not installed, or the codes are not for it.
    ModelError
        If a code holds NaN.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    >>> fit_map(Codes(z, [str(i) for i in range(50)]), "pca").xy.shape
    (50, 2)
    """
    require_method(method)
    if max_samples < 1 or not 0 <= seed < 2**32:
        raise OptionError(
            f"a map is fitted on at least 1 code, with a seed from 0 to 4294967295, not on "
            f"{max_samples} with {seed}."
        )
    z = _checked(codes)
    chosen = _chosen(z, seed, min(max_samples, max(1, NUMBERS // z.shape[1])))
    params = METHODS[method].fit(np.ascontiguousarray(z[chosen]), seed, track)
    fitted = np.full(len(z), not params)
    fitted[chosen] = True
    return Map(
        method,
        _placed(METHODS[method], params, z, track),
        codes.items,
        fitted,
        codes.layer,
        codes.model_fingerprint,
        codes.origin,
        seed,
        params,
    )


def require_method(method: str) -> None:
    """Refuse a method that is none of `METHODS`."""
    if method not in METHODS:
        raise OptionError(f"there is no map {method!r}; there are {', '.join(METHODS)}.")


def map_quality(
    fitted_map: Map, codes: Codes, samples: Samples | None = None, *, k: int = 10, seed: int = 0
) -> dict[str, Any]:
    """Measure what a map keeps of its codes, beside a map of the raw pixels by PCA.

    Parameters
    ----------
    fitted_map : Map
    codes : Codes
        That it was drawn from.
    samples : Samples, optional
        That the codes were made of.
    k : int
        Neighbors for trustworthiness and continuity; of few samples, fewer.
    seed : int
        Draws what is measured on, if there are more than 10,000 samples, or large ones.

    Returns
    -------
    dict
        `n` samples, of which the map was fitted on `fitted`, and the figures were `measured` on so
        many; `neighbors`; `trustworthiness` and `continuity` against the codes; `knn_1` and
        `knn_10`, how often a sample's nearest others on the map have its label, or None; for PCA
        `explained_variance`, the share of each axis; with samples the same as `raw_pca` for two
        principal components of their pixels, against the pixels.

    Raises
    ------
    ModelError
        If map, codes and samples do not belong together.
    """
    identities = [
        (len(of), of.model_fingerprint, of.layer, of.items.fingerprint)
        for of in (codes, fitted_map)
    ]
    if identities[0] != identities[1]:
        raise ModelError("this map was drawn from other codes; draw it again with isthmus map.")
    if samples is not None and samples.fingerprint != codes.items.fingerprint:
        raise ModelError("these codes were made of other samples; make them again.")
    size = 1 if samples is None else int(np.prod(samples.shape))
    chosen = sample_indices(len(codes), seed, min(LARGEST, max(1, NUMBERS // size)))
    k = min(k, (len(chosen) - 1) // 2)
    labels = None if codes.labels is None else codes.labels[chosen]
    figures: dict[str, Any] = {
        "method": fitted_map.method,
        "n": len(fitted_map),
        "fitted": int(fitted_map.fitted.sum()),
        "measured": len(chosen),
        "neighbors": k,
        **_figures(codes.z[chosen], fitted_map.xy[chosen], labels, k),
    }
    if fitted_map.explained is not None:
        figures["explained_variance"] = list(fitted_map.explained)
    if samples is not None:
        # As they are: no figure changes when all pixels are scaled alike, as a model's input is.
        pixels = samples.values[chosen].reshape(len(chosen), -1).astype(np.float32)
        params = METHODS["pca"].fit(pixels, seed, untracked)
        xy = _placed(METHODS["pca"], params, pixels)
        explained = {"explained_variance": params["explained"].tolist()}
        figures["raw_pca"] = _figures(pixels, xy, labels, k) | explained
    return figures


def _figures(
    high: NDArray[np.float32], low: NDArray[np.float32], labels: NDArray[np.int64] | None, k: int
) -> dict[str, float | None]:
    """Return the figures of one map; None where there are no labels or too few samples."""
    return {
        "trustworthiness": trustworthiness(high, low, k) if k else None,
        "continuity": continuity(high, low, k) if k else None,
        **{
            f"knn_{votes}": None
            if labels is None or votes >= len(low)
            else knn_accuracy(low, labels, votes)
            for votes in (1, 10)
        },
    }


def _checked(codes: Codes) -> NDArray[np.float32]:
    """Return codes that are numbers, at least one."""
    if codes.z.size == 0:
        raise OptionError("there are no codes to draw.")
    return to_vectors(codes.z, "euclidean", lambda row: f"the code of {codes.names[row]}")


def _chosen(z: NDArray[np.float32], seed: int, max_samples: int) -> NDArray[np.int64]:
    """Return the rows of at most `largest` different codes, in an order of the codes' own.

    The order is that of a hash of each code, so that neither what is drawn nor how it is sorted
    depends on the order of the samples; equal codes stand next to each other.
    """
    key = str(seed).encode()
    hashes = (blake2b(code + np.float32(0), digest_size=8, key=key).digest() for code in z)  # no -0
    digests = np.frombuffer(b"".join(hashes), np.uint64)
    order = digests.argsort(kind="stable")
    different = np.diff(digests[order], prepend=0) != 0
    chosen: NDArray[np.int64] = order[different.cumsum() <= max_samples]
    return chosen


def _placed(
    projection: Projection, params: Params, z: NDArray[np.float32], track: Track = untracked
) -> NDArray[np.float32]:
    starts = range(0, len(z), BLOCK)
    blocks = track(starts, len(starts), "Placing") if len(starts) > 1 else starts
    return np.concatenate(
        [
            projection.transform(params, z[start : start + BLOCK]).astype(np.float32)
            for start in blocks
        ]
    )

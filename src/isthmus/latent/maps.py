"""`Map`: codes as points in two dimensions, and new codes among them."""

import csv
import io
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import read_npz, require_array
from isthmus.damage import reporting_damage
from isthmus.data.cache import Track, untracked
from isthmus.data.items import NO_CLASS, HasItems, Items
from isthmus.data.samples import Origin, Samples
from isthmus.display import Displayed
from isthmus.errors import ModelError, OptionError, SourceError, require_known
from isthmus.files import suggest_path, to_json
from isthmus.inference.model import CODE, Model
from isthmus.latent.array_files import read_facts, require_sealed, write_sealed
from isthmus.latent.codes import Codes
from isthmus.latent.neighbors import (
    MAX_MEASURED,
    continuity,
    knn_accuracy,
    sample_indices,
    trustworthiness,
)
from isthmus.latent.projections import METHODS, Params, Projection
from isthmus.latent.vectors import to_vectors
from isthmus.places import TABLE_COLUMNS
from isthmus.text import as_cell

FORMAT = 2  # of the file; raise it when an older program could misread it
METADATA: dict[str, Any] = {
    "format": int,
    "method": str,
    "layer": str,
    "model_fingerprint": str,
    "seed": int,
}
PARAM = "param "  # before the name of a parameter in the file
# Numbers that a map is fitted on, or of the pixels that it is compared with: 256 MB in float32.
MAX_NUMBERS = 2**26
BLOCK_ROWS = 2**15  # codes that are transformed at once


@dataclass(frozen=True, eq=False, repr=False)
class Map(HasItems, Displayed):
    """N codes as points in two dimensions, and the parameters to transform more codes.

    Parameters
    ----------
    method : str
        A key of `METHODS`.
    xy : (N, 2) float32
        In the units of the method.
    items : Items
        Names, labels and class names of the samples, and their fingerprint.
    fitted : (N,) bool
        Which samples the map was fitted on; the others were transformed by it. All samples, for
        a method without parameters.
    layer : str
        The layer whose output the codes are.
    model_fingerprint : str
    origin : Origin
        Where the samples came from.
    seed : int
    params : dict of arrays
        What the method has learned; see `Projection`.
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
        """The share of the codes' variance along each axis, in [0, 1], for PCA; else None."""
        shares = self.params.get("explained")
        return None if shares is None else (float(shares[0]), float(shares[1]))

    def transform(self, codes: Codes) -> NDArray[np.float32]:
        """Return the positions of more codes on this map.

        The position of a code does not depend on the codes that come with it, and a code that the
        map was fitted on gets its own point.

        Returns
        -------
        xy : (M, 2) float32

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
        return _transform(METHODS[self.method], self.params, _require_numbers(codes))

    def with_codes(self, codes: Codes) -> "Map":
        """Return this map with other codes in place of its own; see `transform`."""
        return replace(
            self,
            xy=self.transform(codes),
            items=codes.items,
            fitted=np.zeros(len(codes), np.bool_),
            origin=codes.origin,
        )

    def check(self, model: Model) -> None:
        """Reject a map of the codes of another model.

        Raises
        ------
        ModelError
        """
        model.check_fingerprint(
            self.model_fingerprint, "this map was drawn for", "draw it again with isthmus map"
        )

    def to_csv(self) -> str:
        """Return a table: name, label, x, y, and whether the map was fitted on the sample.

        What spreadsheets would take for a formula has an apostrophe in front.
        """
        return ",".join(TABLE_COLUMNS) + "\n" + csv_lines(self.items, self.xy, self.fitted)

    def save(self, path: str | Path) -> None:
        """Write an .npz file, whole or not at all.

        Raises
        ------
        OptionError
            If there is a file that holds no map, which is left alone.
        """
        metadata = {
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
            **self.items.to_arrays(),
            **{f"{PARAM}{name}": array for name, array in self.params.items()},
        }
        write_sealed(Path(path), metadata, arrays, "map")

    @classmethod
    def load(cls, path: str | Path, model: Model | None = None) -> "Map":
        """Open a file that `save` wrote.

        Parameters
        ----------
        path : path
        model : Model, optional
            The model whose codes it must show.

        Raises
        ------
        SourceError
            If there is no such file, or it cannot be read.
        ModelError
            If it shows the codes of another model.
        """
        path = Path(path)
        if not path.exists():
            near = suggest_path(path)
            raise SourceError(f"there is no map at {path}{near}; isthmus map draws one.")
        with reporting_damage(path, SourceError, "draw it again with isthmus map"):
            loaded = cls._from_arrays(read_npz(path))
        if model is not None:
            loaded.check(model)
        return loaded

    @classmethod
    def _from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "Map":
        """Return a map from the arrays of its file."""
        metadata = read_facts(arrays, METADATA)
        if metadata["format"] != FORMAT or metadata["method"] not in METHODS:
            raise SourceError("another version of isthmus wrote it")
        params = {n.removeprefix(PARAM): arrays[n] for n in arrays if n.startswith(PARAM)}
        METHODS[metadata["method"]].check(params)
        xy, fitted = require_array(arrays, "xy", "f", 2), require_array(arrays, "fitted", "b", 1)
        items = Items.from_arrays(arrays)
        if not (xy.shape == (len(items), 2) and fitted.shape == (len(items),)):
            raise SourceError(f"its {len(xy):,} points are not those of {len(items):,} names")
        if not np.isfinite(xy).all():
            raise SourceError("a point of it is at NaN or infinity")
        require_sealed(metadata, arrays)
        return cls(
            metadata["method"],
            xy,
            items,
            fitted,
            metadata["layer"],
            metadata["model_fingerprint"],
            Origin.build(metadata["origin"]),
            metadata["seed"],
            params,
        )


def csv_lines(items: Items, xy: NDArray[np.float32], fitted: NDArray[np.bool_]) -> str:
    """Return the lines of n points in the table of a map; see `Map.to_csv`."""
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    for name, label, point, is_fitted in zip(
        items.names, items.label_names(), xy.tolist(), fitted.tolist(), strict=True
    ):
        lines.writerow([as_cell(name), as_cell(label or ""), *point, int(is_fitted)])
    return file.getvalue()


def fit_map(
    codes: Codes,
    method: str = "tsne",
    *,
    seed: int = 0,
    max_samples: int = 20_000,
    track: Track = untracked,
) -> Map:
    """Fit a map to codes.

    The map depends on the codes and the seed, not on the order of the codes or the number of
    threads, and equal codes share a point. So neighbors are exact, and the codes are brought into
    an order of their own before anything is fitted.

    Parameters
    ----------
    codes : Codes
    method : str
        A key of `METHODS`.
    seed : int
        From 0 to 2³² - 1.
    max_samples : int
        Fit the map on at most this many different codes, chosen by the seed, or on fewer if codes
        are very long. The other codes are transformed.
    track : callable
        Shows progress.

    Raises
    ------
    OptionError
        If there is no such method, it is not installed, or it cannot be used for these codes.
    ModelError
        If a code holds NaN.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    >>> fit_map(Codes(z, Items([str(i) for i in range(50)])), "pca").xy.shape
    (50, 2)
    """
    require_method(method)
    if max_samples < 1 or not 0 <= seed < 2**32:
        raise OptionError(
            f"a map is fitted on at least 1 code, with a seed from 0 to 4294967295, not on "
            f"{max_samples} with {seed}."
        )
    z = _require_numbers(codes)
    chosen = _choose(z, seed, min(max_samples, max(1, MAX_NUMBERS // z.shape[1])))
    params = METHODS[method].fit(np.ascontiguousarray(z[chosen]), seed, track)
    # A method without parameters treats all codes alike; the others have learned from the chosen.
    fitted = np.full(len(z), not params)
    fitted[chosen] = True
    return Map(
        method,
        _transform(METHODS[method], params, z, track),
        codes.items,
        fitted,
        codes.layer,
        codes.model_fingerprint,
        codes.origin,
        seed,
        params,
    )


def require_method(method: str) -> None:
    """Reject a method that `METHODS` does not have.

    Raises
    ------
    OptionError
    """
    require_known("map", method, METHODS)


def map_quality(
    fitted_map: Map, codes: Codes, samples: Samples | None = None, *, k: int = 10, seed: int = 0
) -> dict[str, Any]:
    """Measure how well a map keeps the neighbors of its codes, compared with PCA of raw pixels.

    Parameters
    ----------
    fitted_map : Map
    codes : Codes
        The codes on the map.
    samples : Samples, optional
        The samples that the codes were made of, for the comparison.
    k : int
        Neighbors for trustworthiness and continuity, at most half of the samples.
    seed : int
        Chooses the samples to measure on, if there are more than 10,000, or large ones.

    Returns
    -------
    dict
        `method`; `n` samples, of which the map was fitted on `fitted`; `measured`, the number of
        samples that the metrics are computed on; `neighbors` (k); `trustworthiness` and
        `continuity` against the codes, in [0, 1]; `knn_1` and `knn_10`, how often the nearest
        others on the map have a sample's label, in [0, 1]; for PCA `explained_variance`, the share
        of each axis. With samples, `raw_pca` has the same metrics for the first two principal
        components of their pixels, against the pixels. Without labels or with too few samples, a
        metric is None.

    Raises
    ------
    ModelError
        If map, codes and samples do not belong together.
    """
    _require_related(fitted_map, codes, samples)
    size = 1 if samples is None else int(np.prod(samples.shape))
    chosen = sample_indices(len(codes), seed, min(MAX_MEASURED, max(1, MAX_NUMBERS // size)))
    k = min(k, (len(chosen) - 1) // 2)
    labels = None if codes.labels is None else codes.labels[chosen]
    quality: dict[str, Any] = {
        "method": fitted_map.method,
        "n": len(fitted_map),
        "fitted": int(fitted_map.fitted.sum()),
        "measured": len(chosen),
        "neighbors": k,
        **_measure(codes.z[chosen], fitted_map.xy[chosen], labels, k),
    }
    if fitted_map.explained is not None:
        quality["explained_variance"] = list(fitted_map.explained)
    if samples is not None:
        pixels = samples.values[chosen].reshape(len(chosen), -1).astype(np.float32)
        quality["raw_pca"] = _measure_pca(pixels, labels, k)
    return quality


def _require_related(fitted_map: Map, codes: Codes, samples: Samples | None) -> None:
    """Reject a map of other codes, or codes of other samples."""
    of_codes, of_map = (
        (len(one), one.model_fingerprint, one.layer, one.items.fingerprint)
        for one in (codes, fitted_map)
    )
    if of_codes != of_map:
        raise ModelError("this map was drawn from other codes; draw it again with isthmus map.")
    if samples is not None and samples.fingerprint != codes.items.fingerprint:
        raise ModelError("these codes were made of other samples; make them again.")


def _measure_pca(
    pixels: NDArray[np.float32], labels: NDArray[np.int64] | None, k: int
) -> dict[str, Any]:
    """Return the metrics of PCA of raw pixels, whose scale does not matter: (n, D) in [0, 255]."""
    params = METHODS["pca"].fit(pixels, 0, untracked)
    xy = _transform(METHODS["pca"], params, pixels)
    return {
        **_measure(pixels, xy, labels, k),
        "explained_variance": params["explained"].tolist(),
    }


def _measure(
    high: NDArray[np.float32], low: NDArray[np.float32], labels: NDArray[np.int64] | None, k: int
) -> dict[str, float | None]:
    """Return the metrics of one map; None where there are no labels or too few samples."""
    return {
        "trustworthiness": trustworthiness(high, low, k) if k else None,
        "continuity": continuity(high, low, k) if k else None,
        **{f"knn_{votes}": _measure_votes(low, labels, votes) for votes in (1, 10)},
    }


def _measure_votes(
    low: NDArray[np.float32], labels: NDArray[np.int64] | None, votes: int
) -> float | None:
    """Return how often the nearest others have a sample's label, among those with one."""
    if labels is None:
        return None
    has_class = labels != NO_CLASS
    if votes >= has_class.sum():
        return None
    return knn_accuracy(low[has_class], labels[has_class], votes)


def _require_numbers(codes: Codes) -> NDArray[np.float32]:
    """Return z, if there are codes and all of them hold numbers."""
    if codes.z.size == 0:
        raise OptionError("there are no codes to draw.")
    return to_vectors(codes.z, "euclidean", lambda row: f"the code of {codes.names[row]}")


def _choose(z: NDArray[np.float32], seed: int, max_samples: int) -> NDArray[np.int64]:
    """Return the rows of at most `max_samples` different codes, ordered by a hash of each code.

    By the hash, neither the choice nor its order depends on the order of the samples. Equal codes
    are next to each other, and all of them are chosen.
    """
    # Not Python's own hash, which differs from process to process. 8 bytes are enough: among a
    # million codes, two different ones share a hash with a probability of 3e-8.
    key = str(seed).encode()
    hashes = (blake2b(code + np.float32(0), digest_size=8, key=key).digest() for code in z)  # no -0
    digests = np.frombuffer(b"".join(hashes), np.uint64)
    order = digests.argsort(kind="stable")
    different = np.diff(digests[order], prepend=0) != 0
    chosen: NDArray[np.int64] = order[different.cumsum() <= max_samples]
    return chosen


def _transform(
    projection: Projection, params: Params, z: NDArray[np.float32], track: Track = untracked
) -> NDArray[np.float32]:
    starts = range(0, len(z), BLOCK_ROWS)
    blocks = track(starts, len(starts), "Placing") if len(starts) > 1 else starts
    return np.concatenate(
        [
            projection.transform(params, z[start : start + BLOCK_ROWS]).astype(np.float32)
            for start in blocks
        ]
    )

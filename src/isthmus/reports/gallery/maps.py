"""Maps of samples, drawn and kept."""

import csv
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.cache import Track, untracked
from isthmus.data.samples import Samples
from isthmus.errors import OptionError, SourceError
from isthmus.files import fingerprint, write_bytes
from isthmus.inference import CODE, TrainedModel
from isthmus.latent.codes import Codes, encode
from isthmus.latent.maps import Map, fit_map, map_quality, require_method
from isthmus.viz import maps as map_figures
from isthmus.viz.canvas import require_png, write_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOLD = {
    "trustworthiness": "trustworthiness",
    "continuity": "continuity",
    "knn_1": "nearest neighbor on the map of the same class",
    "knn_10": "the ten nearest on the map vote for the right class",
}


def map_of(
    model: TrainedModel, samples: Samples, method: str = "tsne"
) -> tuple["Figure", dict[str, Any]]:
    """Draw a map of the codes of samples; return it with its figures (see `map_quality`)."""
    codes = encode(model, samples)
    fitted_map = fit_map(codes, method)
    return map_figures.scatter(fitted_map), map_quality(fitted_map, codes, samples)


def write_map(
    model: TrainedModel,
    samples: Samples,
    out: Path,
    *,
    folder: Path,
    method: str = "tsne",
    draw: str = "points",
    onto: Path | None = None,
    max_samples: int = 20_000,
    layer: str = CODE,
    seed: int = 0,
    track: Track = untracked,
) -> dict[str, Any]:
    """Write a map of samples: the picture, a table of coordinates, and the map itself.

    Parameters
    ----------
    model : TrainedModel
    samples : Samples
    out : Path
        The picture; the table stands beside it as .csv.
    folder : Path
        Where maps are kept, to place more samples on them, or to draw the same again at once.
    method : str
        A key of `METHODS`.
    draw : str
        A key of `DRAWN`.
    onto : Path, optional
        A map drawn before, to place the samples on instead of drawing a new one.
    largest, layer, seed
        See `fit_map`.
    track : callable
        Shows progress.

    Returns
    -------
    dict
        The figures of the map (see `map_quality`) and the paths `picture`, `coordinates` and `map`.

    Raises
    ------
    IsthmusError
        If the samples do not fit the model, or a map is another model's or damaged.
    """
    base = None if onto is None else Map.load(onto, model)
    _require_drawable(draw, base.method if base else method, samples)
    require_png(out)
    codes = encode(model, samples, layer, track=track)
    if base is not None:
        kept, fitted_map = onto, base.with_codes(codes)
    else:
        kept = folder / f"{method}-{_key(codes, max_samples, seed)}.npz"
        fitted_map = _kept_map(kept, codes, method, seed, max_samples, track)
    figure = DRAWN[draw](model, samples, fitted_map)
    write_png(out, figure)
    table = out.with_suffix(".csv")
    write_bytes(table, _table(fitted_map).encode())
    paths = {"picture": str(out), "coordinates": str(table), "map": str(kept)}
    return {**map_quality(fitted_map, codes, samples), **paths}


def describe_quality(figures: dict[str, Any]) -> str:
    """Say in one sentence what a map is worth, from its `map_quality`."""
    text = f"{figures['n']:,} samples"
    if figures["fitted"] < figures["n"]:
        text += f", of which {figures['fitted']:,} shaped the map and the others were placed on it"
    beside = figures.get("raw_pca", {})
    if beside:
        text += " (in brackets, two principal components of the raw values)"
    named = []
    for name, title in TOLD.items():
        if figures[name] is not None:
            other = f" ({beside[name]:.3f})" if beside.get(name) is not None else ""
            named.append(f"{title} {figures[name]:.3f}{other}")
    return f"{text}: {', '.join(named)}." if named else f"{text}."


def _require_drawable(draw: str, method: str, samples: Samples) -> None:
    """Refuse what could only be refused after long work."""
    require_method(method)
    if draw not in DRAWN:
        raise OptionError(f"there is no way {draw!r} to draw a map; there are {', '.join(DRAWN)}.")
    if draw == "decoded" and method != "code":
        raise OptionError("only a code of 2, drawn as it is, is decoded over a grid; take code.")
    if draw != "points" and samples.is_signal:
        raise OptionError(f"signals are no pictures to draw as {draw}; take points.")


DRAWN: dict[str, Callable[[TrainedModel, Samples, Map], "Figure"]] = {
    "points": lambda model, samples, fitted_map: map_figures.scatter(fitted_map),
    "thumbnails": lambda model, samples, fitted_map: map_figures.thumbnails(
        fitted_map, samples.values
    ),
    "decoded": lambda model, samples, fitted_map: map_figures.decoded_grid(
        model.decode, fitted_map.xy
    ),
}


def _kept_map(
    file: Path, codes: Codes, method: str, seed: int, max_samples: int, track: Track
) -> Map:
    """Open the map of these codes if it was drawn before, else draw and keep it."""
    if file.exists():
        with suppress(SourceError):  # a damaged one is drawn again
            return Map.load(file)
    fitted_map = fit_map(codes, method, seed=seed, max_samples=max_samples, track=track)
    fitted_map.save(file)
    return fitted_map


def _key(codes: Codes, max_samples: int, seed: int) -> str:
    return fingerprint(
        codes.model_fingerprint, codes.items.fingerprint, codes.layer, max_samples, seed
    )


def _table(fitted_map: Map) -> str:
    """Write the coordinates as CSV: name, label, x, y, and whether the map was fitted on it."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["name", "label", "x", "y", "fitted"])
    labels = fitted_map.items.label_names()
    for i, name in enumerate(fitted_map.names):
        rows.writerow(
            [name, labels[i] or "", *fitted_map.xy[i].tolist(), int(fitted_map.fitted[i])]
        )
    return file.getvalue()

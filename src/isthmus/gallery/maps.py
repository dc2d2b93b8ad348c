"""Maps of samples, drawn and kept."""

import csv
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.cache import Track, untracked
from isthmus.data.samples import Samples
from isthmus.errors import SettingsError, SourceError
from isthmus.figures import maps as map_figures
from isthmus.figures.drawing import require_png, write_png
from isthmus.files import fingerprint, write_bytes
from isthmus.latent.codes import Codes, encode
from isthmus.latent.maps import Map, draw_map, quality, require_method
from isthmus.trained import CODE, Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOLD = {
    "trustworthiness": "trustworthiness",
    "continuity": "continuity",
    "knn_1": "nearest neighbour on the map of the same class",
    "knn_10": "the ten nearest on the map vote for the right class",
}


def map_of(
    trained: Trained, samples: Samples, method: str = "tsne"
) -> tuple["Figure", dict[str, Any]]:
    """Draw a map of the codes of samples; return it with its figures (see `quality`)."""
    codes = encode(trained, samples)
    drawing = draw_map(codes, method)
    return map_figures.scatter(drawing), quality(drawing, codes, samples)


def write_map(
    trained: Trained,
    samples: Samples,
    out: Path,
    *,
    folder: Path,
    method: str = "tsne",
    draw: str = "points",
    onto: Path | None = None,
    largest: int = 20_000,
    layer: str = CODE,
    seed: int = 0,
    track: Track = untracked,
) -> dict[str, Any]:
    """Write a map of samples: the picture, a table of coordinates, and the map itself.

    Parameters
    ----------
    trained : Trained
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
        See `draw_map`.
    track : callable
        Shows progress.

    Returns
    -------
    dict
        The figures of the map (see `quality`) and the paths `picture`, `coordinates` and `map`.

    Raises
    ------
    IsthmusError
        If the samples do not fit the model, or a map is another model's or damaged.
    """
    base = None if onto is None else Map.load(onto, trained)
    _require_drawable(draw, base.method if base else method, samples)
    require_png(out)
    codes = encode(trained, samples, layer, track=track)
    if base is not None:
        kept, drawing = onto, base.placing(codes)
    else:
        kept = folder / f"{method}-{_key(codes, largest, seed)}.npz"
        drawing = _kept_map(kept, codes, method, seed, largest, track)
    figure = DRAWN[draw](trained, samples, drawing)
    write_png(out, figure)
    table = out.with_suffix(".csv")
    write_bytes(table, _table(drawing).encode())
    paths = {"picture": str(out), "coordinates": str(table), "map": str(kept)}
    return {**quality(drawing, codes, samples), **paths}


def told(figures: dict[str, Any]) -> str:
    """Say in one sentence what a map is worth, from its `quality`."""
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
        raise SettingsError(
            f"there is no way {draw!r} to draw a map; there are {', '.join(DRAWN)}."
        )
    if draw == "decoded" and method != "code":
        raise SettingsError("only a code of 2, drawn as it is, is decoded over a grid; take code.")
    if draw != "points" and samples.is_signal:
        raise SettingsError(f"signals are no pictures to draw as {draw}; take points.")


DRAWN: dict[str, Callable[[Trained, Samples, Map], "Figure"]] = {
    "points": lambda trained, samples, drawing: map_figures.scatter(drawing),
    "thumbnails": lambda trained, samples, drawing: map_figures.thumbnails(drawing, samples.values),
    "decoded": lambda trained, samples, drawing: map_figures.decoded_grid(
        trained.decode, drawing.xy
    ),
}


def _kept_map(file: Path, codes: Codes, method: str, seed: int, largest: int, track: Track) -> Map:
    """Open the map of these codes if it was drawn before, else draw and keep it."""
    if file.exists():
        with suppress(SourceError):  # a damaged one is drawn again
            return Map.load(file)
    drawing = draw_map(codes, method, seed=seed, largest=largest, track=track)
    drawing.save(file)
    return drawing


def _key(codes: Codes, largest: int, seed: int) -> str:
    return fingerprint(codes.model, codes.data, codes.layer, largest, seed)


def _table(drawing: Map) -> str:
    """Write the coordinates as CSV: name, label, x, y, and whether the map was fitted on it."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["name", "label", "x", "y", "fitted"])
    for i, name in enumerate(drawing.names):
        label = "" if drawing.labels is None else drawing.class_names[drawing.labels[i]]
        rows.writerow([name, label, *drawing.xy[i].tolist(), int(drawing.fitted[i])])
    return file.getvalue()

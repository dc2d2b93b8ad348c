"""Pictures of what a trained model does with samples."""

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.corruption import Corruption, Frozen
from isthmus.data.loading import load_as
from isthmus.data.samples import Samples
from isthmus.errors import SettingsError, SourceError
from isthmus.figures import layers as layer_figures
from isthmus.figures import maps as map_figures
from isthmus.figures import morphs as morph_figures
from isthmus.figures import samples as sample_figures
from isthmus.figures.drawing import require_png, short, write_png
from isthmus.files import fingerprint, write_bytes
from isthmus.latent.codes import Codes, encode
from isthmus.latent.hits import Hits
from isthmus.latent.index import Index
from isthmus.latent.maps import Map, draw_map, quality, require_method
from isthmus.latent.morph import along, between, corners, direction
from isthmus.trained import CODE, Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reconstructions(
    trained: Trained,
    samples: Samples,
    corruption: Corruption | None = None,
    seed: int = 0,
) -> "Figure":
    """Draw original, code and reconstruction of samples; with a corruption, from noisy inputs."""
    noisy = None if corruption is None else corrupted(trained, samples, corruption, seed)
    seen = samples.values if noisy is None else noisy
    return sample_figures.reconstruction_grid(
        samples.values, trained.encode(seen), trained.reconstruct(seen), samples.names, noisy
    )


def corrupted(
    trained: Trained, samples: Samples, corruption: Corruption, seed: int = 0
) -> NDArray[Any]:
    """Return samples under the frozen noise of their positions, as samples of the same kind."""
    parts, start = [], 0
    for x in trained.inputs(samples):
        noisy = corruption.apply(x, Frozen(seed, np.arange(start, start + len(x))))
        parts.append(trained.preprocessing.from_output(noisy).cpu().numpy())
        start += len(x)
    return np.concatenate(parts)


def similar(
    queries: NDArray[Any], hits: Hits, found: Sequence[NDArray[Any]], names: Sequence[str]
) -> "Figure":
    """Draw queries and what was found for each, nearest first, a row for each query.

    Parameters
    ----------
    queries : (N, H, W, C) uint8 or (N, L, C) float32
    hits : Hits
        Of N queries.
    found : N arrays (k, H, W, C) or (k, L, C)
        The samples that were hit.
    names : N str
        Of the queries.
    """
    rows, captions = [], []
    for number, (query, name, values) in enumerate(zip(queries, names, found, strict=True)):
        hit = hits.rows(number)
        rows.append((name, np.concatenate([query[None], values])))
        captions.append(["query", *map(_caption, hit)])
    return sample_figures.rows_of_samples(rows, captions)


def nearest(trained: Trained, queries: Samples, pool: Samples, k: int = 8) -> "Figure":
    """Draw, for each query, the samples of a pool with the nearest codes."""
    index = Index.build(encode(trained, pool))
    hits = index.search(trained.encode(queries), min(k, len(pool)))
    place = {name: i for i, name in enumerate(pool.names)}
    found = [pool.values[[place[name] for name in names]] for names in hits.names]
    return similar(queries.values, hits, found, _classes(queries))


def morphs(trained: Trained, samples: Samples, count: int, steps: int = 9) -> "Figure":
    """Draw `count` morphs between pairs of samples that are spread over all.

    With labels, the ends of each are of different classes where they can be.
    """
    ends = _pairs(samples, count)
    rows = []
    for start, end in ends:
        pair = samples.take(np.array([start, end]))
        first, last = trained.encode(pair)
        frames = trained.decode(between(first, last, steps))
        rows.append(("", np.concatenate([pair.values[:1], frames, pair.values[1:]])))
    return sample_figures.rows_of_samples(rows)


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
    if draw not in DRAWN:
        raise SettingsError(
            f"there is no way {draw!r} to draw a map; there are {', '.join(DRAWN)}."
        )
    require_png(out)
    if onto is None:
        require_method(method)
    codes = encode(trained, samples, layer, track=track)
    if onto is not None:
        kept, drawing = onto, Map.load(onto, trained).placing(codes)
    else:
        kept = folder / f"{method}-{_key(codes, largest, seed)}.npz"
        drawing = _kept_map(kept, codes, method, seed, largest, track)
    figure = DRAWN[draw](trained, samples, drawing)
    write_png(out, figure)
    table = out.with_suffix(".csv")
    write_bytes(table, _table(drawing).encode())
    paths = {"picture": str(out), "coordinates": str(table), "map": str(kept)}
    return {**quality(drawing, codes, samples), **paths}


def _kept_map(file: Path, codes: Codes, method: str, seed: int, largest: int, track: Track) -> Map:
    """Open the map of these codes if it was drawn before, else draw and keep it."""
    if file.exists():
        with suppress(SourceError):  # a damaged one is drawn again
            return Map.load(file)
    drawing = draw_map(codes, method, seed=seed, largest=largest, track=track)
    file.parent.mkdir(parents=True, exist_ok=True)
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


def _decoded(trained: Trained, samples: Samples, drawing: Map) -> "Figure":
    if drawing.method != "code":
        raise SettingsError("only a code of 2, drawn as it is, is decoded over a grid; take code.")
    return map_figures.decoded_grid(trained.decode, drawing.xy)


DRAWN: dict[str, Callable[[Trained, Samples, Map], "Figure"]] = {
    "points": lambda trained, samples, drawing: map_figures.scatter(drawing),
    "thumbnails": lambda trained, samples, drawing: map_figures.thumbnails(drawing, samples.values),
    "decoded": _decoded,
}


def told(figures: dict[str, Any]) -> str:
    """Say in a few sentences what a map is worth, from its `quality`."""
    text = f"{figures['n']:,} samples"
    if figures["fitted"] < figures["n"]:
        text += f", of which {figures['fitted']:,} shaped the map and the others were placed on it"
    sentences = [text]
    beside = figures.get("raw_pca", {})
    for name, title in TOLD.items():
        if figures[name] is not None:
            sentence = f"{title} {figures[name]:.3f}"
            if beside.get(name) is not None:
                sentence += f" (two principal components of the pixels: {beside[name]:.3f})"
            sentences.append(sentence)
    return "; ".join(sentences) + "."


TOLD = {
    "trustworthiness": "trustworthiness",
    "continuity": "continuity",
    "knn_1": "nearest neighbour on the map of the same class",
    "knn_10": "the ten nearest on the map vote for the right class",
}


def write_morph(
    trained: Trained,
    ends: Sequence[Samples],
    out: Path,
    *,
    steps: int = 7,
    path: str = "linear",
    classes: tuple[Samples, str, str] | None = None,
) -> None:
    """Write a morph: a strip or a film between two samples, or a sheet between four.

    Parameters
    ----------
    trained : Trained
    ends : sequence of Samples
        Of one sample each: two or four of them; one, if there are `classes`.
    out : Path
        A picture (.png), or a film between two samples (.gif).
    steps : int
        From one end to the other.
    path : str
        A key of `PATHS`.
    classes : (Samples, str, str), optional
        Labelled samples and two of their classes: go from the one sample in the direction between
        the means of their codes.

    Raises
    ------
    SettingsError
        If there are not as many samples, there is no such path or class, a class is too small, or
        the name ends otherwise.
    """
    needed = (1,) if classes else (2, 4)
    if len(ends) not in needed:
        wanted = " or ".join(map(str, needed))
        raise SettingsError(f"a morph needs {wanted} images here, not {len(ends)}.")
    z = [trained.encode(end)[0] for end in ends]
    last = None if classes else ends[-1].values[0]
    if classes is not None:
        codes = along(z[0], direction(encode(trained, classes[0]), *classes[1:]), steps)
    elif len(z) == 2:
        codes = between(z[0], z[1], steps, path)
    else:
        codes = corners(z[0], z[1], z[2], z[3], steps, steps, path).reshape(steps * steps, -1)
    frames = trained.decode(codes)
    if len(ends) == 4:
        write_png(out, morph_figures.sheet(frames, steps, steps))
    elif out.suffix.lower() == ".gif":
        write_bytes(out, morph_figures.gif(frames))
    else:
        write_png(out, morph_figures.strip(ends[0].values[0], last, frames))


def _pairs(samples: Samples, count: int) -> list[tuple[int, int]]:
    """Return pairs of indices, the same every time."""
    order = np.random.default_rng(0).permutation(len(samples))
    pairs: list[tuple[int, int]] = []
    for start, end in zip(order[::2], order[1::2], strict=False):
        same = samples.labels is not None and samples.labels[start] == samples.labels[end]
        if not same or len(samples.class_names) < 2:
            pairs.append((int(start), int(end)))
    return pairs[:count] or [(0, len(samples) - 1)]


def _classes(samples: Samples) -> list[str]:
    """Return the class of each sample, or nothing."""
    if samples.labels is None:
        return [""] * len(samples)
    return [samples.class_names[label] for label in samples.labels]


def write_similar(
    trained: Trained, index: Index, query: str, asked: Samples | None, hits: Hits, out: Path
) -> None:
    """Write a picture of a query and what an index found for it.

    Parameters
    ----------
    trained : Trained
    index : Index
    query : str
        Its name; if it is none of the index, `asked` is the sample.
    asked : Samples, optional
    hits : Hits
        Of the one query.
    out : Path

    Raises
    ------
    IsthmusError
        If a source of the index is gone, or was an array.
    """
    wanted = list(hits.names[0]) + ([query] if asked is None else [])
    stored = _stored(index, wanted)
    first = stored[query] if asked is None else asked.values[0]
    found = np.stack([stored[name] for name in hits.names[0]])
    write_png(out, similar(first[None], hits, [found], [query]))


def _stored(index: Index, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Load samples of an index again, by name."""
    stored: dict[str, NDArray[Any]] = {}
    for source in index.sources:
        if not source.origin.source:
            raise SettingsError("the index was made of an array; search without a picture.")
        samples = load_as(
            source.origin.source, source.origin.preprocessing, limit=source.origin.limit
        )
        for i, name in enumerate(samples.names):
            if name in names:
                stored.setdefault(name, samples.values[i])
    return stored


def _caption(hit: dict[str, Any]) -> str:
    return f"{short(hit['label'] or hit['name'])}\n{hit['distance']:.3g}"


def activations(trained: Trained, sample: NDArray[Any], name: str) -> "Figure":
    """Draw what every layer makes of a sample (H, W, C) or (L, C)."""
    maps = []
    for layer in trained.layers:
        shape = " × ".join(map(str, layer.shape))
        (features,) = trained.features(sample[None], layer.name)
        maps.append((f"{layer.name} · {layer.kind} · {shape}", features[0].float().numpy()))
    return layer_figures.layers(name, sample, maps, trained.reconstruct(sample[None])[0])

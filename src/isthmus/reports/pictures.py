"""Pictures of the results of a model: a session computes, `isthmus.viz` draws.

Every function returns a Matplotlib figure; the caller writes or embeds it.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import Items
from isthmus.data.samples import Samples
from isthmus.errors import OptionError, require_known
from isthmus.evaluation.predictions import (
    ClassPredictions,
    targets_in_model_classes,
)
from isthmus.inference.model import Model
from isthmus.latent.index import Index
from isthmus.latent.maps import Map, require_method
from isthmus.latent.search_result import SearchResult
from isthmus.session import Session
from isthmus.viz import activations as activation_figures
from isthmus.viz import maps as map_figures
from isthmus.viz.canvas import short_name, shorten
from isthmus.viz.classes import labeled_samples
from isthmus.viz.grids import reconstruction_grid, rows_of_samples
from isthmus.viz.masks import segmentations
from isthmus.viz.strips import sheet, strip

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MAX_PREDICTIONS, MAX_OVERLAYS = 24, 8  # samples with their class, and images with their masks

QUALITY_TITLES = {
    "trustworthiness": "trustworthiness",
    "continuity": "continuity",
    "knn_1": "accuracy of the nearest neighbor on the map",
    "knn_10": "of the ten nearest",
}


def reconstructions(
    session: Session, samples: Samples, indices: NDArray[np.int64] | None = None
) -> "Figure":
    """Draw samples, their codes and their reconstructions, row by row.

    Parameters
    ----------
    session : Session
    samples : Samples
    indices : (n,) int64, optional
        Of the samples in the run's data: those of a denoiser are then drawn with their noise.
    """
    noisy = None
    if indices is not None and session.run.record.training_config.corruption is not None:
        noisy = session.add_noise(samples, indices)
    inputs = samples.values if noisy is None else noisy
    return reconstruction_grid(
        samples.values,
        session.model.encode(inputs),
        session.reconstruct(inputs),
        samples.names,
        noisy,
    )


def activations(session: Session, sample: NDArray[Any], name: str) -> "Figure":
    """Draw the output of every layer for a sample (H, W, C) or (L, C)."""
    outputs = session.activations(sample)  # first: it says what only a run can do
    is_autoencoder = session.model.task == "reconstruct"
    back = session.reconstruct(sample[None])[0] if is_autoencoder else None
    return activation_figures.layers(name, sample, outputs, back)


# -- maps ---------------------------------------------------------------------------------------


def map_picture(fitted_map: Map, style: str, samples: Samples, model: Model) -> "Figure":
    """Draw a map in one of `MAP_STYLES`."""
    return MAP_STYLES[style](fitted_map, samples, model)


MAP_STYLES: dict[str, Callable[[Map, Samples, Model], "Figure"]] = {
    "points": lambda fitted_map, samples, model: map_figures.scatter(fitted_map),
    "thumbnails": lambda fitted_map, samples, model: map_figures.thumbnails(
        fitted_map, samples.values
    ),
    "decoded": lambda fitted_map, samples, model: map_figures.decoded_grid(
        model.decode, fitted_map.xy
    ),
}


def require_map_style(style: str, method: str, samples: Samples) -> None:
    """Reject a style that does not fit, before long work.

    Raises
    ------
    OptionError
        If there is no such style or method, or the style does not fit the method or the samples.
    """
    require_method(method)
    require_known("map style", style, MAP_STYLES)
    if style == "decoded" and method != "code":
        raise OptionError(
            "only a code of 2, drawn as it is, can be decoded over a grid; give the method code."
        )
    if style != "points" and samples.is_signal:
        raise OptionError(f"signals cannot be drawn as {style}; draw them as points.")


def describe_quality(quality: dict[str, Any]) -> str:
    """Describe in one sentence how far a map can be trusted, from its `map_quality`."""
    text = f"{quality['n']:,} samples"
    if quality["fitted"] < quality["n"]:
        text += f"; the map was fitted on {quality['fitted']:,}, the others were placed on it"
    pca = quality.get("raw_pca", {})
    if pca:
        text += " (in brackets, two principal components of the raw values)"
    named = []
    for name, title in QUALITY_TITLES.items():
        if quality[name] is not None:
            other = f" ({pca[name]:.3f})" if pca.get(name) is not None else ""
            named.append(f"{title} {quality[name]:.3f}{other}")
    return f"{text}: {', '.join(named)}." if named else f"{text}."


# -- search -------------------------------------------------------------------------------------


def search_picture(query: str, sample: NDArray[Any] | None, result: SearchResult) -> "Figure":
    """Draw a query and the samples that an index found for it.

    Parameters
    ----------
    query : str
        Its name.
    sample : (H, W, C) or (L, C), optional
        The query; by default the sample of that name in the index.
    result : SearchResult
        Of the one query, by a session.
    """
    found = result.values()
    first = result.query_values() if sample is None else sample
    assert first is not None
    return neighbors(first[None], result, [found], [short_name(query, 20)])


def nearest_training_samples(
    session: Session, queries: NDArray[np.int64], pool: NDArray[np.int64], k: int = 8
) -> "Figure":
    """Draw samples of the run and those of a pool with the nearest codes.

    Parameters
    ----------
    session : Session
    queries, pool : (n,) and (m,) int64
        Indices of the run's samples.
    k : int
    """
    samples = session.samples
    result = Index.build(session.codes(pool)).search(session.codes(queries).z, min(k, len(pool)))
    found = [samples.values[pool[rows]] for rows in result.rows]
    titles = [name or "" for name in samples.items.take(queries).label_names()]
    return neighbors(samples.values[queries], result, found, titles)


def neighbors(
    queries: NDArray[Any], result: SearchResult, found: Sequence[NDArray[Any]], names: Sequence[str]
) -> "Figure":
    """Draw queries and the samples that were found, nearest first, a row for each query.

    Parameters
    ----------
    queries : (n, H, W, C) uint8 or (n, L, C) float32
    result : SearchResult
        Of the n queries.
    found : n arrays (k, H, W, C) or (k, L, C)
        The samples that were found.
    names : n str
        Of the queries.
    """
    rows, captions = [], []
    for number, (query, name, values) in enumerate(zip(queries, names, found, strict=True)):
        rows.append((name, np.concatenate([query[None], values])))
        captions.append(["query", *map(_caption, result.matches(number))])
    return rows_of_samples(rows, captions)


def _caption(row: dict[str, Any]) -> str:
    return f"{short_name(row['label'] or row['name'])}\n{row['distance']:.3g}"


# -- morphs -------------------------------------------------------------------------------------


def morph_picture(
    frames: NDArray[Any], first: NDArray[Any], last: NDArray[Any] | None, ends: int
) -> "Figure":
    """Draw a morph: a strip between samples, or a square sheet between four.

    Parameters
    ----------
    frames : (n, H, W, C) uint8 or (n, L, C) float32
        As `Session.interpolate` or `Session.traverse` returns them.
    first, last : (H, W, C) or (L, C)
        The samples at the ends of a strip; None where there is none.
    ends : int
        How many samples the morph was made of.
    """
    if ends == 4:
        side = round(len(frames) ** 0.5)
        return sheet(frames, side, side)
    return strip(first, last, frames)


def morphs(session: Session, indices: NDArray[np.int64], count: int, steps: int = 9) -> "Figure":
    """Draw `count` morphs between pairs of the run's samples that are spread over the indices.

    With labels, the ends of a morph are of different classes where possible.
    """
    samples, rows = session.samples.take(indices), []
    codes = session.codes(indices).z
    for start, end in _pairs(samples, count):
        frames = session.interpolate([codes[start], codes[end]], steps)
        first, last = samples.values[[start]], samples.values[[end]]
        rows.append(("", np.concatenate([first, frames, last])))
    return rows_of_samples(rows)


def _pairs(samples: Samples, count: int) -> list[tuple[int, int]]:
    """Return pairs of rows, always the same ones."""
    # Random pairs: neighbors in a source often show the same.
    order = np.random.default_rng(0).permutation(len(samples))
    pairs: list[tuple[int, int]] = []
    for start, end in zip(order[::2], order[1::2], strict=False):
        same = samples.labels is not None and samples.labels[start] == samples.labels[end]
        if not same or len(samples.class_names) < 2:
            pairs.append((int(start), int(end)))
    return pairs[:count] or [(0, len(samples) - 1)]


# -- predictions --------------------------------------------------------------------------------


def predictions(model: Model, sources: Sequence[Samples]) -> "Figure":
    """Draw samples with the class that each gets, or images with the classes over them.

    The first 24 samples of all sources; of images with masks the first 8 of the first source.
    Where the predicted class is not the label, and the model knows the label, both are written.
    """
    if model.task == "segment" and sources[0].masks is not None:
        return overlays(model, sources[0].take(np.arange(min(MAX_OVERLAYS, len(sources[0])))))
    values = np.concatenate([samples.values[:MAX_PREDICTIONS] for samples in sources])
    values = values[:MAX_PREDICTIONS]  # the first of each source, then of all: no more is copied
    if model.task == "segment":
        names = [name for samples in sources for name in samples.names[:MAX_OVERLAYS]]
        return overlays(model, Samples(values[:MAX_OVERLAYS], Items(names[:MAX_OVERLAYS])))
    known = model.class_names
    labels = [label for samples in sources for label in _known_labels(samples, known)]
    titles = [
        _title(row, known, label)
        for row, label in zip(model.probabilities(values), labels, strict=False)
    ]
    return labeled_samples(list(values), titles)


def mistakes(samples: Samples, predictions: ClassPredictions, limit: int) -> "Figure":
    """Draw the samples that got a wrong class, the most confident predictions first.

    Parameters
    ----------
    samples : Samples
    predictions : ClassPredictions
        For these samples, with targets.
    limit : int
        Maximum number of samples.
    """
    assert predictions.targets is not None
    known, chosen = predictions.class_names, predictions.mistakes(limit)
    titles = [
        _title(predictions.probabilities[i], known, known[predictions.targets[i]]) for i in chosen
    ]
    nothing = f"No mistakes among {len(samples):,} samples."
    return labeled_samples([samples.values[i] for i in chosen], titles, empty=nothing)


def _title(
    probabilities: NDArray[np.float32], class_names: Sequence[str], label: str | None
) -> str:
    """Name the most probable class of a sample and, if it is another one, the true class."""
    predicted = class_names[int(probabilities.argmax())]
    text = f"{shorten(predicted, 14)} {probabilities.max():.0%}"
    return text if label in (None, predicted) else f"{text}\nis {shorten(str(label), 14)}"


def overlays(model: Model, samples: Samples) -> "Figure":
    """Draw images with their predicted masks, and the true ones where they are known."""
    known = set(model.class_names)
    has_targets = samples.masks is not None and known.issuperset(samples.class_names)
    predicted = np.asarray(model.predict(samples), np.uint8)
    masks = targets_in_model_classes(model, samples) if has_targets else None
    return segmentations(samples.values, predicted, model.class_names, masks)


def _known_labels(samples: Samples, known: Sequence[str]) -> list[str | None]:
    """Return the labels of the first samples, None where the model knows no such class."""
    count = min(MAX_PREDICTIONS, len(samples))
    names = samples.items.take(np.arange(count)).label_names()
    return [name if name in known else None for name in names]

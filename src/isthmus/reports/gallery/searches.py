"""What is similar to samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.load import load_with
from isthmus.data.samples import Samples
from isthmus.errors import OptionError
from isthmus.inference import TrainedModel
from isthmus.latent.codes import encode
from isthmus.latent.index import Index, SearchResult
from isthmus.viz.canvas import short_name, write_png
from isthmus.viz.grids import rows_of_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def nearest(model: TrainedModel, queries: Samples, pool: Samples, k: int = 8) -> "Figure":
    """Draw, for each query, the samples of a pool with the nearest codes."""
    index = Index.build(encode(model, pool))
    hits = index.search(model.encode(queries), min(k, len(pool)))
    found = [pool.values[rows] for rows in hits.rows]
    return similar(
        queries.values, hits, found, [label or "" for label in queries.items.label_names()]
    )


def write_similar(
    model: TrainedModel,
    index: Index,
    query: str,
    asked: Samples | None,
    hits: SearchResult,
    out: Path,
) -> None:
    """Write a picture of a query and what an index found for it.

    Parameters
    ----------
    model : TrainedModel
    index : Index
    query : str
        Its name; if it is none of the index, `asked` is the sample.
    asked : Samples, optional
    hits : SearchResult
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


def similar(
    queries: NDArray[Any], hits: SearchResult, found: Sequence[NDArray[Any]], names: Sequence[str]
) -> "Figure":
    """Draw queries and what was found for each, nearest first, a row for each query.

    Parameters
    ----------
    queries : (N, H, W, C) uint8 or (N, L, C) float32
    hits : SearchResult
        Of N queries.
    found : N arrays (k, H, W, C) or (k, L, C)
        The samples that were hit.
    names : N str
        Of the queries.
    """
    rows, captions = [], []
    for number, (query, name, values) in enumerate(zip(queries, names, found, strict=True)):
        hit = hits.matches(number)
        rows.append((name, np.concatenate([query[None], values])))
        captions.append(["query", *map(_caption, hit)])
    return rows_of_samples(rows, captions)


def _stored(index: Index, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Load samples of an index again, by name."""
    stored: dict[str, NDArray[Any]] = {}
    for source in index.sources:
        if not source.origin.source:
            raise OptionError("the index was made of an array; search without a picture.")
        samples = load_with(
            source.origin.source, source.origin.preprocessing, limit=source.origin.limit
        )
        for i, name in enumerate(samples.names):
            if name in names:
                stored.setdefault(name, samples.values[i])
    return stored


def _caption(hit: dict[str, Any]) -> str:
    return f"{short_name(hit['label'] or hit['name'])}\n{hit['distance']:.3g}"

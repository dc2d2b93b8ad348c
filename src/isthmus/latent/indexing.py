"""Make an index again when its model or its sources are no longer what they were."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from isthmus.data.cache import Track, untracked
from isthmus.data.items import Items, Names
from isthmus.data.load import load_with
from isthmus.data.samples import Origin, Samples
from isthmus.errors import ModelError, RunError, SourceError, first_sentence
from isthmus.inference import CODE, TrainedModel
from isthmus.latent.codes import encode
from isthmus.latent.index import Index, IndexSource, recorded_sources
from isthmus.latent.index_files import describe, read_items, undamaged


def open_index(
    folder: str | Path, model: TrainedModel, say: Callable[[str], None], track: Track = untracked
) -> Index:
    """Open an index; make it again first if it is damaged, or of another model or other data.

    Parameters
    ----------
    folder : path
    model : TrainedModel
    say : callable
        Told in one sentence if the index was made again, and why.
    track : callable
        Shows progress.

    Raises
    ------
    IsthmusError
        If there is no index, or it has to be made again and cannot be.
    """
    folder = Path(folder)
    try:
        index = Index.open(folder, model)
        why = _changed(folder, index.sources, track)
    except ModelError:
        why = "was made by another model, or before this one was trained further"
    except RunError:
        describe(folder)  # without index.json, nothing can be done
        why = "was damaged"
    if not why:
        return index
    index = rebuild_index(folder, model, track)
    say(f"the index at {folder} {why}; it was made again, of {len(index):,} samples.")
    return index


def build_index(
    folder: str | Path,
    model: TrainedModel,
    samples: Samples,
    *,
    metric: str = "euclidean",
    layer: str = CODE,
    track: Track = untracked,
) -> Index:
    """Make an index of samples and save it, in place of an older one.

    Raises
    ------
    IsthmusError
        If the samples do not fit the model, or there is no such metric or layer.
    """
    index = Index.build(encode(model, samples, layer, track=track), metric)
    index.save(folder)
    return index


def update_index(
    folder: str | Path,
    model: TrainedModel,
    say: Callable[[str], None],
    *,
    add: Samples | None = None,
    remove: Sequence[str] = (),
    track: Track = untracked,
) -> Index:
    """Open an index (see `open_index`), remove samples by name, add others, and save it.

    Raises
    ------
    IsthmusError
        If there is no index, no such name, or one is there already.
    """
    index = open_index(folder, model, say, track)
    if remove:
        index.remove(remove)
    if add is not None:
        index.add(encode(model, add, index.layer, track=track))
    index.save(folder)
    return index


def rebuild_index(folder: str | Path, model: TrainedModel, track: Track = untracked) -> Index:
    """Make an index again from what it was made of, and save it.

    What was removed from it stays out. Where a source is what it was, what the index left out of
    it stays out too.

    Raises
    ------
    IsthmusError
        If there is no index, or some of its codes came from an array or a source that is gone.
    """
    folder = Path(folder)
    about = describe(folder)
    with undamaged(folder):
        sources = recorded_sources(about)
        metric, layer, removed = str(about["metric"]), str(about["layer"]), set(about["removed"])
    if not all(source.origin.source for source in sources):
        raise RunError(
            f"the index at {folder} cannot be made again, because some of its codes came from an "
            "array; build it anew from that."
        )
    left_out = Names.of(removed)
    held = _items(folder)
    parts = []
    for origin in dict.fromkeys(source.origin for source in sources):
        samples = _loaded(folder, origin, track)
        rows = left_out.rows(samples.names) < 0
        if held and {samples.fingerprint} == {s.fingerprint for s in sources if s.origin == origin}:
            rows = held.rows(samples.names) >= 0
        parts.append(encode(model, samples, layer, track=track).take(np.flatnonzero(rows)))
    first, *others = [part for part in parts if len(part)] or parts
    index = Index.build(first, metric)
    for part in others:
        index.add(part)
    index.removed = removed
    index.save(folder)
    return index


def _changed(folder: Path, sources: list[IndexSource], track: Track) -> str:
    """Say which source is not what it was when the index was made, if one is."""
    for source in sources:
        if source.origin.source:  # an array cannot be looked at again
            samples = _loaded(folder, source.origin, track)
            if samples.fingerprint != source.fingerprint:
                return f"was made before {source.origin.source} changed"
    return ""


def _loaded(folder: Path, origin: Origin, track: Track) -> Samples:
    try:
        return load_with(origin.source, origin.preprocessing, limit=origin.limit, track=track)
    except SourceError as error:
        why = first_sentence(error).split(";")[0]
        raise SourceError(
            f"the index at {folder} was made of {origin.source}, which cannot be read any more "
            f"({why}); put it back, or make another index with isthmus index."
        ) from error


def _items(folder: Path) -> Items | None:
    """Return the items that the index holds, if they can still be read."""
    try:
        return read_items(folder, describe(folder))
    except RunError:
        return None

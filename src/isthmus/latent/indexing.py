"""Make, open, change and check the index of a model."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.items import Items, Names
from isthmus.data.load import load_origin
from isthmus.data.samples import Origin, Samples
from isthmus.errors import ModelError, RunError, SourceError, first_sentence
from isthmus.inference.model import CODE, Model
from isthmus.latent.codes import encode
from isthmus.latent.index import Index
from isthmus.latent.index_files import lock, read_items, read_record
from isthmus.latent.index_record import IndexRecord

Load = Callable[[Origin, Track], Samples]


def open_index(
    folder: str | Path,
    model: Model,
    say: Callable[[str], None],
    track: Track = untracked,
    load: Load = load_origin,
) -> Index:
    """Open an index; build it again first if it is damaged or of another model.

    Its sources are not looked at, unless it has to be built again: a search must not cost a walk
    over a folder of a million files. `check_index` and `update_index` notice that one changed.

    Parameters
    ----------
    folder : path
    model : Model
    say : callable
        Gets one sentence if the index was built again: that it was, and why.
    track : callable
        Shows progress.
    load : callable
        Loads what an origin describes, such as from where it is now.

    Raises
    ------
    IsthmusError
        If there is no index, or it has to be built again and cannot be.
    """
    index, _ = _open(Path(folder), model)
    return index or _renew(Path(folder), model, lambda index: None, say, track, load)


def check_index(
    folder: str | Path, model: Model, track: Track = untracked, load: Load = load_origin
) -> str | None:
    """Return why an index, its model and its sources no longer belong together, or None.

    Parameters
    ----------
    folder : path
    model : Model
    track : callable
        Shows progress: a source whose files changed is decoded to compare its content.

    Returns
    -------
    str or None
        What to say of the index, such as "was damaged"; None if nothing changed. Arrays that were
        indexed cannot be looked at again and count as unchanged.

    Raises
    ------
    RunError
        If there is no index, or its index.json is damaged.
    """
    index, why = _open(Path(folder), model)
    return why if index is None else _find_change(index, track, load)


def build_index(
    folder: str | Path,
    model: Model,
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
    model: Model,
    say: Callable[[str], None],
    *,
    add: Samples | None = None,
    remove: Sequence[str] = (),
    load: Load = load_origin,
    track: Track = untracked,
) -> Index:
    """Open an index, remove samples by name, add others, and save it.

    The index is built again first if it is damaged, of another model, or made before one of its
    sources changed. What takes long, to encode the samples, is done before others have to wait.

    Raises
    ------
    IsthmusError
        If there is no index, no such name, or one is there already.
    """
    folder = Path(folder)
    index = open_index(folder, model, say, track, load)
    if _find_change(index, track, load):
        index = _renew(
            folder, model, lambda index: _find_change(index, track, load), say, track, load
        )
    index.rows(remove)  # a name that is not there is said now
    codes = None if add is None else encode(model, add, index.layer, track=track)
    with Index.edit(folder, model) as index:
        if remove:
            index.remove(remove)
        if codes is not None:
            index.add(codes)
    return index


def _renew(
    folder: Path,
    model: Model,
    find_change: Callable[[Index], str | None],
    say: Callable[[str], None],
    track: Track,
    load: Load,
) -> Index:
    """Build an index again, unless another process has done so meanwhile."""
    with lock(folder):
        index, why = _open(folder, model)
        if index is not None:
            change = find_change(index)
            if change is None:
                return index
            why = change
        index = _rebuild(folder, model, track, load)
    say(f"the index at {folder} {why}; it was made again, of {len(index):,} samples.")
    return index


def _rebuild(folder: Path, model: Model, track: Track, load: Load) -> Index:
    """Build an index again from its sources and write it; only under its lock.

    Samples that were removed from it stay out. Of a source that has not changed, samples that
    were never in the index stay out too.
    """
    record = read_record(folder)
    parts = [
        encode(model, samples, record.layer, track=track).take(rows)
        for samples, rows in _load_again(folder, record, track, load)
    ]
    # Sources without a sample left are passed over; if all are, `build` says what is wrong.
    first, *others = [part for part in parts if len(part)] or parts
    index = Index.build(first, record.metric)
    for part in others:
        index.add(part)
    index.removed = set(record.removed)
    index.write(folder)
    return index


def _load_again(
    folder: Path, record: IndexRecord, track: Track, load: Load
) -> Iterator[tuple[Samples, NDArray[np.int64]]]:
    """Load the sources of an index; yield their samples with the indices of those to index."""
    if not all(source.origin.source for source in record.sources):
        raise RunError(
            f"the index at {folder} cannot be made again, because some of its codes came from an "
            "array; build it from that."
        )
    removed, items = Names.of(record.removed), _read_items(folder, record)
    # A source that was indexed several times, at different states, is loaded once.
    for origin in dict.fromkeys(source.origin for source in record.sources):
        samples = _load_source(folder, origin, track, load)
        chosen = removed.rows(samples.names) < 0
        before = {source.fingerprint for source in record.sources if source.origin == origin}
        # What is missing of an unchanged source was left out on purpose; of a changed one it may be
        # new, and belongs into the index.
        if items is not None and before == {samples.fingerprint}:
            chosen = items.rows(samples.names) >= 0
        yield samples, np.flatnonzero(chosen)


def _open(folder: Path, model: Model) -> tuple[Index | None, str]:
    """Open an index; else return None and what is wrong with it."""
    try:
        return Index.open(folder, model), ""
    except ModelError:
        return None, "was made by another model, or before this one was trained further"
    except RunError:
        read_record(folder)  # raises if index.json is missing or damaged: nothing helps then
        return None, "was damaged"


def _find_change(index: Index, track: Track, load: Load) -> str | None:
    """Return a phrase about the first source that changed since the index was made, if any."""
    for origin, before in ((source.origin, source.fingerprint) for source in index.sources):
        if not origin.source:  # an array cannot be looked at again
            continue
        try:
            samples = load(origin, track)
        except SourceError as error:
            return _unreadable(origin, error)
        if samples.fingerprint != before:
            return f"was made before {origin.source} changed"
    return None


def _load_source(folder: Path, origin: Origin, track: Track, load: Load) -> Samples:
    try:
        return load(origin, track)
    except SourceError as error:
        raise SourceError(
            f"the index at {folder} {_unreadable(origin, error)}; put it back, or make another "
            "index with isthmus index."
        ) from error


def _unreadable(origin: Origin, error: SourceError) -> str:
    why = first_sentence(error).split(";")[0]
    return f"was made of {origin.source}, which cannot be read any more ({why})"


def _read_items(folder: Path, record: IndexRecord) -> Items | None:
    """Return the items that the index holds, if they can still be read."""
    try:
        return read_items(folder, record)
    except RunError:
        return None

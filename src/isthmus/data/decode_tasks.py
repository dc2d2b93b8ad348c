"""What there is to decode, in portions for threads."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import repeat
from typing import NamedTuple

from isthmus.data.manifest import Content, Manifest

MAX_CHUNK = 32  # pictures in one task: enough to make the cost of a task (50 µs) invisible
MAX_CHUNK_BYTES = 2**22  # read for a task, and decoded by it
MAX_PORTIONS = 64  # of the pages of a file that has many


class DecodeTask(NamedTuple):
    """A picture to decode, and the mask or the clean picture of it; or its pages, from 0."""

    picture: Content
    name: str = ""
    mask: Content | None = None
    mask_name: str = ""
    clean: Content | None = None
    clean_name: str = ""
    pages: Sequence[int] | None = None


def list_tasks(manifest: Manifest) -> Generator[DecodeTask, None, None]:
    """Yield the pictures of a source, or portions of the pages of its files, in their order.

    Whoever stops early closes the generator, and with it the archives that are read.
    """
    with ExitStack() as stack:
        files, clean, masks = (
            None if one is None else stack.enter_context(_closing(one))
            for one in (manifest.files, manifest.clean, manifest.masks)
        )
        assert files is not None
        if manifest.pages is not None:
            yield from _page_tasks(files, manifest.pages)
        elif clean is not None:
            none, pairs = repeat(None), (clean, manifest.clean_names)
            yield from map(DecodeTask, files, manifest.names, none, repeat(""), *pairs)
        elif masks is not None:
            yield from map(DecodeTask, files, manifest.names, masks, manifest.mask_names)
        else:
            yield from map(DecodeTask, files)


@contextmanager
def _closing(files: Iterable[Content]) -> Iterator[Iterator[Content]]:
    """Iterate files, and close what reads them at the end, if it can be closed."""
    iterator = iter(files)
    try:
        yield iterator
    finally:
        if isinstance(iterator, Generator):
            iterator.close()


def _page_tasks(files: Iterable[Content], pages: Iterable[Sequence[int]]) -> Iterator[DecodeTask]:
    """Yield tasks of a few pages: threads share the pages of a large file."""
    for file, chosen in zip(files, pages, strict=True):
        # For each portion, a file is opened and all pages before it are passed over.
        count = max(MAX_CHUNK, len(chosen) // MAX_PORTIONS)
        for start in range(0, len(chosen), count):
            yield DecodeTask(file, pages=chosen[start : start + count])


def chunk_tasks(
    tasks: Iterable[DecodeTask], count: int, sizes_may_differ: bool
) -> Iterator[list[DecodeTask]]:
    """Collect at most `count` tasks, and a few megabytes of an archive's contents.

    Where pictures keep their sizes, also of files: a large one is a portion by itself.
    """
    chunk: list[DecodeTask] = []
    size = rows = 0
    for task in tasks:
        chunk.append(task)
        rows += 1 if task.pages is None else len(task.pages)
        size += _size_of(task.picture, sizes_may_differ)
        size += _size_of(task.clean, sizes_may_differ)
        if rows >= count or size >= MAX_CHUNK_BYTES:
            yield chunk
            chunk, size, rows = [], 0, 0
    if chunk:
        yield chunk


def _size_of(picture: Content | None, is_asked: bool) -> int:
    """Return the bytes of a file that are in memory already, or that will be if it is asked."""
    if isinstance(picture, bytes):
        return len(picture)
    with suppress(OSError):
        return os.stat(picture).st_size if is_asked and isinstance(picture, str) else 0  # noqa: PTH116
    return 0

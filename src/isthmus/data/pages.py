"""Pages of TIFFs and frames of animations as samples of their own."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Content, Manifest, evenly_spaced
from isthmus.data.pictures.frames import count_pages
from isthmus.errors import OptionError, SourceError


def expand_pages(read: Callable[[], Manifest], limit: int | None) -> Manifest:
    """Make every page of every file a sample.

    Files are opened twice: how many samples there are must be known before the first is decoded.

    Parameters
    ----------
    read : callable
        Reads what the source holds.
    limit : int, optional
        At most as many pages, spread evenly.

    Returns
    -------
    Manifest
        Pages of a file of several are called `scan.tif#1`, `scan.tif#2`, … and have its label and
        split.

    Raises
    ------
    OptionError
        If files of several pages have masks or clean images.
    """
    manifest = read()
    if manifest.values is not None:
        return manifest
    counts = [
        _count(file, name) for file, name in zip(manifest.files, manifest.names, strict=False)
    ]
    if not isinstance(manifest.files, Sequence):
        manifest = read()  # an archive is read once, from its beginning to its end
    if max(counts, default=1) == 1:
        return manifest
    if manifest.masks is not None or manifest.clean is not None:
        whose = "masks" if manifest.clean is None else "clean images"
        raise OptionError(
            f"pages cannot be all, as {manifest.names[int(np.argmax(counts))]} has several and "
            f"{whose} are for one picture."
        )
    return _repeat(manifest, np.array(counts, np.int64), limit)


def _count(file: Content, name: str) -> int:
    try:
        return 1 if isinstance(file, SourceError) else count_pages(file)
    except SourceError as error:
        raise SourceError(f"{name}: {error}.") from error


def _repeat(manifest: Manifest, counts: NDArray[np.int64], limit: int | None) -> Manifest:
    total = int(counts.sum())
    chosen = evenly_spaced(total, limit)
    files = np.repeat(np.arange(len(counts)), counts)[chosen]
    pages = (np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts))[chosen]
    ends = np.searchsorted(files, np.arange(len(counts)), side="right")
    starts = np.searchsorted(files, np.arange(len(counts)), side="left")
    names = [
        f"{manifest.names[file]}#{page + 1}" if counts[file] > 1 else manifest.names[file]
        for file, page in zip(files.tolist(), pages.tolist(), strict=True)
    ]
    return replace(
        manifest,
        names=names,
        labels=None if manifest.labels is None else manifest.labels[files],
        splits=None if manifest.splits is None else manifest.splits[files],
        pages=[pages[start:end].tolist() for start, end in zip(starts, ends, strict=True)],
    )

"""The work on pictures: decoded, changed in batches of pages, encoded and written."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track
from isthmus.data.decode import reject_too_many
from isthmus.data.manifest import Content, Manifest
from isthmus.data.preprocess import Preprocessing
from isthmus.denoising.ledger import DENOISED, Entry, Ledger, identify
from isthmus.denoising.originals import Original, Page, read_original
from isthmus.denoising.values import denoise_batch, is_resized
from isthmus.denoising.writing import encode_picture
from isthmus.errors import IsthmusError, SourceError, first_sentence
from isthmus.files import write_bytes
from isthmus.inference.batches import collect_batches
from isthmus.inference.model import Model
from isthmus.places import require_inner_name

MAX_BATCH = 64  # pages: what Ctrl-C loses; the model gains little from more at a time
WRITER_THREADS = 8  # most of the time of a small file is the wait until the disk has it


@dataclass(frozen=True)
class Change:
    """What is done with pictures.

    Parameters
    ----------
    title : str
        What it is called while it is shown, such as "Denoising".
    ledger : str
        The name of the hidden file that lists what is done.
    made_by : mapping
        What the result depends on besides the source: names and fingerprints.
    preprocessing : Preprocessing
        How files are decoded.
    batch_size : int
        Pages at once.
    compute : callable
        From pages (H, W, C) uint8 to others of the same sides.
    is_resized : callable
        Whether a page is resized meanwhile.
    """

    title: str
    ledger: str
    made_by: Mapping[str, str]
    preprocessing: Preprocessing
    batch_size: int
    compute: Callable[[Sequence[NDArray[np.uint8]]], Sequence[NDArray[np.uint8]]]
    is_resized: Callable[[NDArray[np.uint8]], bool]


def denoising(model: Model) -> Change:
    """Return what `denoise` does with pictures."""
    return Change(
        "Denoising",
        DENOISED,
        {"model": model.fingerprint},
        model.preprocessing,
        model.batch_size,
        partial(denoise_batch, model),
        partial(is_resized, model),
    )


@dataclass(eq=False)
class Job:
    """A picture on its way from its file to another.

    Parameters
    ----------
    name : str
    source : tuple of int
        See `identify`.
    original : Original
    remaining : int
        Pages that have not been changed yet.
    done : list of (Page, (H, W, C) uint8)
        The others, and what became of them.
    """

    name: str
    source: tuple[int, ...]
    original: Original
    remaining: int
    done: list[tuple[Page, NDArray[np.uint8]]] = field(default_factory=list)


@dataclass
class PictureWork:
    """What is done with all pictures of a source.

    Parameters
    ----------
    change : Change
    out : Path
        The folder to write to, or the file if `is_file`.
    is_file : bool
    ledger : Ledger
        Lists what is done already.
    """

    change: Change
    out: Path
    is_file: bool
    ledger: Ledger
    broken: dict[int, str] = field(default_factory=dict)

    def do(self, manifest: Manifest, name: str, track: Track) -> dict[int, str]:
        """Write all pictures that are not done; return the reasons of broken ones, by position.

        Raises
        ------
        SourceError
            If more than a tenth of the pictures are broken.
        IsthmusError
            If a file cannot be written.
        """
        for inner in () if self.is_file else manifest.names:
            require_inner_name(inner)
        waiting: dict[Job, None] = {}  # in their order
        with ThreadPoolExecutor(WRITER_THREADS) as writers:
            # Whole batches are written before the next is computed, which bounds the memory.
            size = min(MAX_BATCH, self.change.batch_size)
            pages = self._open_all(manifest, name, track)
            for batch in collect_batches(pages, size, lambda one: one[1].pixels.nbytes):
                clean = self.change.compute([page.pixels for _, page in batch])
                for (job, page), pixels in zip(batch, clean, strict=True):
                    job.done.append((page, pixels))
                    job.remaining -= 1
                    waiting[job] = None
                ready = [job for job in waiting if not job.remaining]
                self._write(ready, writers)
                for job in ready:
                    del waiting[job]
            self._write(list(waiting), writers)  # their last pages are broken
        return self.broken

    def _open_all(self, manifest: Manifest, name: str, track: Track) -> Iterator[tuple[Job, Page]]:
        """Yield the pages of all files that are not done; note broken files with their reasons."""
        for i, file in enumerate(track(manifest.files, len(manifest.names), self.change.title)):
            source = identify(file)
            if self.ledger.is_done(manifest.names[i], source):
                continue
            try:
                original = self._read(file)
            except IsthmusError as error:
                self.broken[i] = first_sentence(error)
                reject_too_many(self.broken, manifest, name, done=i + 1)
                continue
            job = Job(manifest.names[i], source, original, original.first.pages)
            for page in original.pages():
                if page is None:
                    job.remaining -= 1
                else:
                    yield job, page

    def _read(self, file: Content) -> Original:
        if isinstance(file, SourceError):
            raise file
        return read_original(file, self.change.preprocessing)

    def _write(self, jobs: list[Job], writers: ThreadPoolExecutor) -> None:
        """Write pictures to files, which the ledger lists before."""
        paths = [self.out if self.is_file else self.out / job.name for job in jobs]
        originals, pages = [job.original for job in jobs], [job.done for job in jobs]
        encoded = list(writers.map(encode_picture, paths, originals, pages))
        self.ledger.note(
            Entry(
                job.name,
                job.source,
                len(content),
                self.change.is_resized(job.original.first.pixels),
                tuple(sorted(lost)),
            )
            for job, (content, lost) in zip(jobs, encoded, strict=True)
        )
        # The deque of length 0 walks through the results, which raises a writer's error.
        deque(writers.map(write_bytes, paths, [content for content, _ in encoded]), 0)

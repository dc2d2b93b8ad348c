"""The work on pictures: decoded, changed in batches of pages, encoded and written."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.manifest import Content, Manifest
from isthmus.data.preprocess import Preprocessing
from isthmus.denoising.images import denoise_channels, describe_channels, takes_channels
from isthmus.denoising.ledger import DENOISED, Entry, Ledger, identify
from isthmus.denoising.originals import BROKEN_PAGES, Original, Page, read_original
from isthmus.denoising.values import denoise_batch, is_resized
from isthmus.denoising.whole import encode_whole
from isthmus.denoising.writing import encode_picture
from isthmus.errors import IsthmusError, SourceError, first_sentence
from isthmus.files import write_bytes
from isthmus.inference.batches import collect_batches
from isthmus.inference.model import Model
from isthmus.places import require_inner_name

MAX_BATCH = 64  # pages: what Ctrl-C loses; the model gains little from more at a time
# Of a denoiser, which takes seconds for a photograph: Ctrl-C loses one, or some small pictures.
WHOLE_BATCH, WHOLE_BATCH_BYTES = 16, 2**20
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
        From pages to pixels of the same sides.
    is_resized : callable
        Whether a page (H, W, C) is resized meanwhile.
    is_whole : bool
        Whether pages have all bits of their files, and their alpha apart.
    batch_bytes : int, optional
        Of the pages that are changed before they are written; see `collect_batches`.
    refuse : callable
        Why pages of so many channels are not taken, or nothing.
    """

    title: str
    ledger: str
    made_by: Mapping[str, str]
    preprocessing: Preprocessing
    batch_size: int
    compute: Callable[[Sequence[Page]], Sequence[NDArray[Any]]]
    is_resized: Callable[[NDArray[Any]], bool]
    is_whole: bool = False
    batch_bytes: int | None = None
    refuse: Callable[[int], str] = lambda channels: ""


def denoising(model: Model, track: Track = untracked) -> Change:
    """Return what `denoise` does with pictures.

    Parameters
    ----------
    model : Model
        A denoiser or an autoencoder.
    track : callable
        Shows progress within a large picture; a denoiser takes long for it.
    """
    if model.task == "denoise":
        return Change(
            "Denoising",
            DENOISED,
            {"model": model.fingerprint},
            model.preprocessing,
            WHOLE_BATCH,
            partial(_denoise_pages, model, track),
            lambda pixels: False,
            is_whole=True,
            batch_bytes=WHOLE_BATCH_BYTES,
            refuse=partial(_refuse_channels, model),
        )
    return Change(
        "Denoising",
        DENOISED,
        {"model": model.fingerprint},
        model.preprocessing,
        model.batch_size,
        lambda pages: denoise_batch(model, [page.pixels for page in pages]),
        partial(is_resized, model),
    )


def _refuse_channels(model: Model, count: int) -> str:
    return "" if takes_channels(model, count) else f"it {describe_channels(model, count)}"


def _denoise_pages(model: Model, track: Track, pages: Sequence[Page]) -> list[NDArray[Any]]:
    return [denoise_channels(model, page.pixels, page.black_white, track=track) for page in pages]


@dataclass(eq=False)
class Job:
    """A picture on its way from its file to another.

    Parameters
    ----------
    row : int
        Its place in the source.
    name : str
    source : tuple of int
        See `identify`.
    original : Original
    remaining : int
        Pages that have not been changed yet.
    done : list of (Page, (H, W, C) array)
        The others, and what became of them.
    """

    row: int
    name: str
    source: tuple[int, ...]
    original: Original
    remaining: int
    done: list[tuple[Page, NDArray[Any]]] = field(default_factory=list)


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

    def do(
        self, manifest: Manifest, track: Track, reject: Callable[[dict[int, str], int], None]
    ) -> dict[int, str]:
        """Write all pictures that are not done; return the reasons of broken ones, by position.

        Parameters
        ----------
        manifest : Manifest
        track : callable
            Shows progress.
        reject : callable
            Gets what is broken, and how many pictures were tried; raises if it is too much.

        Raises
        ------
        IsthmusError
            If a file cannot be written, and what `reject` raises.
        """
        for inner in () if self.is_file else manifest.names:
            require_inner_name(inner)
        waiting: dict[Job, None] = {}  # in their order
        with ThreadPoolExecutor(WRITER_THREADS) as writers:
            # Whole batches are written before the next is computed, which bounds the memory.
            size = min(MAX_BATCH, self.change.batch_size)
            pages = self._open_all(manifest, track, reject)
            for batch in self._collect(pages, size):
                clean = self.change.compute([page for _, page in batch])
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

    def _collect(
        self, pages: Iterable[tuple[Job, Page]], size: int
    ) -> Iterator[list[tuple[Job, Page]]]:
        return collect_batches(
            pages,
            size,
            lambda one: one[1].pixels.nbytes,
            self.change.batch_bytes,
            row=lambda one: one[0].row,
        )

    def _open_all(
        self, manifest: Manifest, track: Track, reject: Callable[[dict[int, str], int], None]
    ) -> Iterator[tuple[Job, Page]]:
        """Yield the pages of all files that are not done; note broken files with their reasons."""
        for i, file in enumerate(track(manifest.files, len(manifest.names), self.change.title)):
            source = identify(file)
            if self.ledger.is_done(manifest.names[i], source):
                continue
            try:
                original = self._read(file)
            except IsthmusError as error:
                self.broken[i] = _explain(error)
                reject(self.broken, i + 1)
                continue
            job = Job(i, manifest.names[i], source, original, original.first.pages)
            for page in original.pages():
                if page is None or self.change.refuse(page.pixels.shape[2]):
                    original.lost.add(BROKEN_PAGES)
                    job.remaining -= 1
                else:
                    yield job, page

    def _read(self, file: Content) -> Original:
        if isinstance(file, SourceError):
            raise file
        original = read_original(file, self.change.preprocessing, is_whole=self.change.is_whole)
        if reason := self.change.refuse(original.first.pixels.shape[2]):
            raise SourceError(reason)
        return original

    def _write(self, jobs: list[Job], writers: ThreadPoolExecutor) -> None:
        """Write pictures to files, which the ledger lists before."""
        paths = [self.out if self.is_file else self.out / job.name for job in jobs]
        originals, pages = [job.original for job in jobs], [job.done for job in jobs]
        encode = encode_whole if self.change.is_whole else encode_picture
        encoded = list(writers.map(encode, paths, originals, pages))
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


def _explain(error: IsthmusError) -> str:
    """Return why a file is not read, without options that only training has."""
    reason = first_sentence(error)
    for option in ("--channels", "--stretch"):
        if option in reason and "train" not in reason:
            what = reason.partition(";")[0].partition(", or say")[0]
            return f"{what}; convert it, or take a model that was trained with {option}"
    return reason

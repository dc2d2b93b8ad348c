"""Pictures and masks decoded in their order, by all cores where they are many."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Content, Manifest
from isthmus.data.preprocess import MaskError, Preprocessing
from isthmus.data.samples import VOID
from isthmus.errors import SourceError, first_sentence

CHUNK = 128  # pictures decoded by one task at most
CHUNK_BYTES = 2**22  # that come out of a task at most
UNSIZED = 16  # pictures decoded by one task where nobody knows how large they are
ALONE = 256  # below as many pictures, starting other processes costs more than it brings
AHEAD = 2  # tasks given to each process: one is worked on, one waits
HELD = 32  # tasks whose results may wait for an earlier one
IDLE = 60  # seconds after which processes without work end
POOLS: dict[int, Any] = {}  # executors by their number of processes, kept for the next time


class DecodeTask(NamedTuple):
    """A picture to decode, and the mask that belongs to it."""

    picture: Content
    mask: Content | None
    name: str
    mask_name: str


class Decoded(NamedTuple):
    """Pixels (H, W, C), a mask (H, W), and whether a value (256,) is in the whole mask."""

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None = None
    seen: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Block:
    """Consecutive pictures of one shape.

    Parameters
    ----------
    pixels : (n, H, W, C) uint8
        Of those that could be decoded.
    broken : dict
        Why the others could not, by their positions in the block.
    masks : (n, H, W) uint8, optional
    seen : (256,) bool, optional
        Whether a value is in the whole masks.
    """

    pixels: NDArray[np.uint8]
    broken: dict[int, str] = field(default_factory=dict)
    masks: NDArray[np.uint8] | None = None
    seen: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.pixels) + len(self.broken)


@dataclass(frozen=True)
class Decoder:
    """What to do with pictures and masks.

    Parameters
    ----------
    preprocessing : Preprocessing
    legend : 256 bytes, optional
        See `Manifest`.
    classes : int
        How many classes of pixels there are; 0 if the masks tell.
    """

    preprocessing: Preprocessing
    legend: bytes | None = None
    classes: int = 0

    def blocks(self, sheets: Sequence[DecodeTask]) -> list[Block]:
        """Decode some pictures, in their order.

        Raises
        ------
        SourceError
            If a mask does not fit its picture or the classes.
        """
        runs: list[list[Decoded | str]] = []
        shape: tuple[int, ...] = ()
        for decoded in map(self._outcome, sheets):
            if not runs or (not isinstance(decoded, str) and decoded.pixels.shape != shape):
                runs.append([])
            if not isinstance(decoded, str):
                shape = decoded.pixels.shape
            runs[-1].append(decoded)
        return [_block(run) for run in runs]

    def _outcome(self, sheet: DecodeTask) -> Decoded | str:
        """Decode a picture and its mask, or tell why they cannot be."""
        try:
            pixels, sides = self.preprocessing.image_and_size(_present(sheet.picture))
        except SourceError as error:
            return first_sentence(error)
        if sheet.mask is None:
            return Decoded(pixels)
        try:
            mask = self.preprocessing.decode_mask(_present(sheet.mask))
        except MaskError as error:
            raise SourceError(f"the mask {sheet.mask_name} {error}.") from error
        except SourceError as error:
            return f"its mask {sheet.mask_name}: {first_sentence(error)}"
        return self._with_mask(pixels, mask, sides, sheet)

    def _with_mask(
        self,
        pixels: NDArray[np.uint8],
        mask: NDArray[np.uint8],
        sides: tuple[int, int],
        sheet: DecodeTask,
    ) -> Decoded:
        if mask.shape != sides:
            raise SourceError(
                f"the mask {sheet.mask_name} is {format_size(mask.shape)} but its picture {sheet.name} "
                f"is {format_size(sides)}; give both the same size."
            )
        if self.legend is not None:
            mask = np.frombuffer(self.legend, np.uint8)[mask]
        seen = np.bincount(mask.ravel(), minlength=256) > 0
        if self.classes and seen[self.classes : VOID].any():
            value = self.classes + int(seen[self.classes :].argmax())
            raise SourceError(
                f"the mask {sheet.mask_name} holds the value {value}, but there are only "
                f"{self.classes} classes, 0 to {self.classes - 1}; repair it, or set what belongs "
                f"to no class to {VOID}."
            )
        return Decoded(pixels, self.preprocessing.fit_mask(mask), seen)


def decode_blocks(found: Manifest, wanted: Preprocessing) -> Generator[Block, None, None]:
    """Decode all pictures and masks of a source, in their order.

    Raises
    ------
    SourceError
        If a mask does not fit its picture or the classes.
    """
    job = Decoder(wanted, found.legend, len(found.class_names))
    chunks = _chunks(found, wanted)
    count = _others() if len(found.names) >= ALONE else 0
    if not count:
        for chunk in chunks:
            yield from job.blocks(chunk)
        return
    try:
        yield from _shared(chunks, job, _processes(count), count)
    except BrokenExecutor:
        POOLS.clear()  # the next time starts others
        raise


def warm_up(count: int) -> None:
    """Start the processes that `decode_blocks` will use for so many pictures, as they take a while."""
    if count >= ALONE and (others := _others()):
        _processes(others).submit(int)


def format_size(shape: Sequence[int]) -> str:
    """Return height and width for people."""
    return f"{shape[0]} × {shape[1]}"


def _chunks(found: Manifest, wanted: Preprocessing) -> Iterator[list[DecodeTask]]:
    count = UNSIZED
    if wanted.size is not None:
        count = max(1, min(CHUNK, CHUNK_BYTES // (3 * wanted.size[0] * wanted.size[1])))
    if found.masks is None:
        sheets = map(DecodeTask, found.files, repeat(None), repeat(""), repeat(""))
    else:
        sheets = map(DecodeTask, found.files, found.masks, found.names, found.mask_names)
    return iter(lambda: list(islice(sheets, count)), [])


def _shared(
    chunks: Iterable[list[DecodeTask]], job: Decoder, pool: Executor, count: int
) -> Iterator[Block]:
    """Decode in this process and in others, which take what they can get through.

    This one does not wait for the others to start, and not for work that they have begun unless
    too many results wait for it.
    """
    started = pool.submit(int)
    waiting: deque[Future[list[Block]]] = deque()
    try:
        for chunk in chunks:
            if started.done() and sum(not task.done() for task in waiting) < AHEAD * count:
                waiting.append(pool.submit(job.blocks, chunk))
            else:
                waiting.append(Future())
                waiting[-1].set_result(job.blocks(chunk))
            while waiting and (waiting[0].done() or len(waiting) >= HELD + AHEAD * count):
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:  # an error, an interrupt, or nobody wants more: take back what is not begun
        for task in waiting:
            task.cancel()


def _others() -> int:
    """Return how many processes can work beside this one."""
    import joblib

    if multiprocessing.current_process().daemon:  # which may start none
        return 0
    return int(joblib.cpu_count()) - 1


def _processes(count: int) -> Any:
    """Start an executor of processes, or take that of the last time.

    loky starts them without running the caller's script again, as spawning would. Its reusable
    executor is left to joblib, which expects one of its own there.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    if count not in POOLS:
        environment = {"OPENBLAS_NUM_THREADS": "1"}
        POOLS[count] = ProcessPoolExecutor(
            count, timeout=IDLE, initializer=_ignore_interrupts, env=environment
        )
    return POOLS[count]


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that the user started, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _present(content: Content) -> str | bytes:
    if isinstance(content, SourceError):
        raise content
    return content


def _block(run: Sequence[Decoded | str]) -> Block:
    good = [decoded for decoded in run if not isinstance(decoded, str)]
    broken = {i: decoded for i, decoded in enumerate(run) if isinstance(decoded, str)}
    if not good:
        return Block(np.empty((0, 0, 0, 0), np.uint8), broken)
    masks = [decoded.mask for decoded in good if decoded.mask is not None]
    seen = [decoded.seen for decoded in good if decoded.seen is not None]
    return Block(
        np.stack([decoded.pixels for decoded in good]),
        broken,
        np.stack(masks) if masks else None,
        np.any(seen, axis=0) if seen else None,
    )

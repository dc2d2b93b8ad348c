"""Pictures and masks decoded in their order, by a thread for each core.

libjpeg-turbo, zlib and Pillow's resampling release the interpreter's lock, so threads share the
work. Of the 157 µs that a 250 × 250 JPEG of LFW takes, decoding (74) and resizing (40) run
without the lock; the larger a picture, the larger that share. Measured on two cores, in seconds
(on the busy machine, with seven processes to share the cores, medians of three to five runs):

=====================================  ==========  =========  =============
pictures                               one thread  threads    two processes
=====================================  ==========  =========  =============
3,000 of cats-dogs to 64 × 64          0.86        0.58       0.67
13,233 of LFW to 32 × 32               2.54–2.58   2.21–2.46  1.60–1.63
13,233 of LFW, busy machine            6.2         5.5        8.5
701 of CamVid and masks, busy machine  1.0         1.5        3.2
=====================================  ==========  =========  =============

The processes (loky) had been started before, which takes another 0.3 s of CPU time each. They win
for many thousands of small pictures on an idle machine only, and by half a second. Threads need
no pickling, work in daemon processes and for several loads at a time, and leave Ctrl-C to the
main thread.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from isthmus.data.blocks import Block, Decoded, build_blocks
from isthmus.data.decode_tasks import (
    MAX_CHUNK,
    MAX_CHUNK_BYTES,
    DecodeTask,
    chunk_tasks,
    list_tasks,
)
from isthmus.data.manifest import Content, Manifest
from isthmus.data.masks.mask import Mask, MaskError, turn_like
from isthmus.data.pictures.mixed_scales import reject_mixed_scales
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import PictureFacts
from isthmus.errors import IsthmusError, SourceError, first_sentence
from isthmus.limits import names_limit
from isthmus.runtime import core_count, map_in_threads

MAX_HELD = 2**26  # bytes that are decoded for a task before those that have waited are taken
MAX_BROKEN_SHARE = 0.10  # of all pictures; with more, something else is wrong with the source
MAX_THREADS = 16  # of small pictures, more would only wait for the interpreter's lock


@dataclass(frozen=True)
class Decoder:
    """Decodes pictures and masks; holds no state, so threads share one.

    Parameters
    ----------
    preprocessing : Preprocessing
    legend : 256 bytes, optional
        See `Manifest`.
    """

    preprocessing: Preprocessing
    legend: bytes | None = None

    def decode(self, tasks: Sequence[DecodeTask]) -> list[Block]:
        """Decode pictures, in their order; a new block starts where the shape changes.

        Raises
        ------
        SourceError
            If a mask does not fit its picture, or cannot be one.
        """
        return build_blocks(chain.from_iterable(map(self._decode_each, tasks)))

    def decode_some(self, tasks: Sequence[DecodeTask]) -> tuple[list[Block], list[DecodeTask]]:
        """Do as `decode` until enough is in memory; return the tasks that are left.

        Pictures that are not resized may be of any size, whatever that of the first one was.
        """
        decoded: list[Decoded | str] = []
        held = 0
        for i, task in enumerate(tasks):
            for page, one in enumerate(self._decode_each(task), 1):
                decoded.append(one)
                held += 0 if isinstance(one, str) else one.nbytes
                if held > MAX_HELD:
                    rest = task.pages[page:] if task.pages is not None else ()
                    same = [task._replace(pages=rest)] if rest else []
                    return build_blocks(decoded), [*same, *tasks[i + 1 :]]
        return build_blocks(decoded), []

    def decode_singly(self, tasks: Iterable[DecodeTask]) -> Iterator[Block]:
        """Do as `decode`, with one picture at a time in memory."""
        for one in chain.from_iterable(map(self._decode_each, tasks)):
            yield from _drain(build_blocks([one]))

    def _decode_each(self, task: DecodeTask) -> Iterator[Decoded | str]:
        if task.pages is None:
            yield self._decode_or_explain(task)
        else:
            yield from self._decode_pages(task.picture, task.pages)

    def _decode_pages(self, picture: Content, pages: Sequence[int]) -> Iterator[Decoded | str]:
        if isinstance(picture, SourceError):
            yield from [first_sentence(picture)] * len(pages)
            return
        for page in self.preprocessing.decode_pages(picture, pages):
            if isinstance(page, IsthmusError):
                yield first_sentence(page)
            else:
                yield Decoded(page[0], facts=page[1])

    def _decode_or_explain(self, task: DecodeTask) -> Decoded | str:
        """Decode a picture and what belongs to it, or return the reason why they cannot be."""
        try:
            pixels, facts = self.preprocessing.decode_and_measure(_require_content(task.picture))
        except SourceError as error:
            return first_sentence(error)
        if task.clean is not None:
            return self._add_clean(pixels, facts, task.clean, task)
        if task.mask is None:
            return Decoded(pixels, facts=facts)
        try:
            mask = self._decode_mask(_require_content(task.mask))
        except MaskError as error:
            # Not skipped as a broken file is: one mask of the wrong kind is seldom alone.
            raise SourceError(f"the mask {task.mask_name} {error}.") from error
        except SourceError as error:
            return f"its mask {task.mask_name}: {first_sentence(error)}"
        return self._add_mask(pixels, mask, facts, task)

    def _add_clean(
        self, pixels: NDArray[np.uint8], facts: PictureFacts, file: Content, task: DecodeTask
    ) -> Decoded | str:
        """Decode the clean picture of a noisy one."""
        try:
            clean = self.preprocessing.decode_and_fit(_require_content(file))
        except SourceError as error:
            return f"its clean image {task.clean_name}: {first_sentence(error)}"
        if clean.shape[:2] != pixels.shape[:2]:
            raise SourceError(
                f"the noisy image {task.name} is {format_size(pixels.shape)} but its clean one "
                f"{task.clean_name} is {format_size(clean.shape)}; give both the same size."
            )
        return Decoded(pixels, facts=facts, clean=clean)

    def _decode_mask(self, file: bytes | str) -> Mask:
        mask = self.preprocessing.decode_mask(file)
        return mask if self.legend is None else mask.translate(self.legend)

    def _add_mask(
        self, pixels: NDArray[np.uint8], mask: Mask, facts: PictureFacts, task: DecodeTask
    ) -> Decoded:
        sides = (facts.height, facts.width)
        if facts.is_turned and mask.pixels.shape != sides:
            mask = turn_like(mask, _require_content(task.picture))
        if mask.pixels.shape != sides:
            raise SourceError(
                f"the mask {task.mask_name} is {format_size(mask.pixels.shape)} but its picture "
                f"{task.name} is {format_size(sides)}; give both the same size."
            )
        # Its values stay those of the whole: how many classes there are must not depend on the
        # crop.
        fitted = mask._replace(pixels=self.preprocessing.fit_mask(mask.pixels))
        return Decoded(pixels, fitted, facts)


def decode_blocks(manifest: Manifest, preprocessing: Preprocessing) -> Generator[Block, None, None]:
    """Decode all pictures and masks of a source, in their order.

    The calling thread reads the files of an archive, one after the other, while the others
    decode. Whoever stops early (an error, Ctrl-C) closes the generator, which waits for the few
    tasks that have begun.

    Raises
    ------
    SourceError
        If a mask or a clean picture does not fit its picture, or cannot be one.
    """
    blocks = _decode_blocks(manifest, preprocessing)
    return reject_mixed_scales(blocks, manifest.names) if preprocessing.stretch is None else blocks


def _decode_blocks(
    manifest: Manifest, preprocessing: Preprocessing
) -> Generator[Block, None, None]:
    decoder = Decoder(preprocessing, manifest.legend)
    with closing(list_tasks(manifest)) as tasks:
        yield from _decode_tasks(decoder, tasks)


def _decode_tasks(decoder: Decoder, tasks: Iterator[DecodeTask]) -> Iterator[Block]:
    picture_bytes = 0
    while (task := next(tasks, None)) is not None:  # until one tells how large a picture is
        blocks, left = decoder.decode_some([task])
        picture_bytes = blocks[0].pixels.nbytes
        if left:
            tasks = chain(left, tasks)
        yield from _drain(blocks)
        if picture_bytes:
            break
    count = max(1, min(MAX_CHUNK, MAX_CHUNK_BYTES // max(1, picture_bytes)))
    sizes_may_differ = decoder.preprocessing.size is None
    if picture_bytes > MAX_HELD:  # threads would hold several
        yield from decoder.decode_singly(tasks)
    else:
        yield from _decode_in_threads(decoder, chunk_tasks(tasks, count, sizes_may_differ))


def _drain(blocks: list[Block]) -> Iterator[Block]:
    """Yield blocks and keep none of them, as the next may be as large."""
    blocks.reverse()
    while blocks:
        yield blocks.pop()


def reject_too_many(broken: dict[int, str], manifest: Manifest, source: str, done: int) -> None:
    """Stop once more than a tenth of all pictures are known to be broken.

    Parameters
    ----------
    broken : dict
        From the position of a picture to the reason.
    manifest : Manifest
    source : str
        Name of the source.
    done : int
        Number of pictures tried so far.

    Raises
    ------
    SourceError
    """
    if len(broken) <= MAX_BROKEN_SHARE * len(manifest.names):
        return
    i, reason = next(iter(broken.items()))
    if " --" in reason or names_limit(reason):  # a reason that names a way out is no damage
        raise SourceError(f"{source} cannot be read, as of {manifest.names[i]}: {reason}.")
    if done == 1:
        count = len(manifest.names)
        which = "the only picture" if count == 1 else f"the first of the {count:,} pictures"
        raise SourceError(
            f"{manifest.names[i]}, {which} of {source}, cannot be decoded ({reason}); repair or "
            "remove it."
        )
    raise SourceError(
        f"{len(broken):,} of the first {done:,} pictures of {source} cannot be decoded, such as "
        f"{manifest.names[i]} ({reason}); repair or remove them."
    )


def format_size(shape: Sequence[int]) -> str:
    """Return height and width for people."""
    return f"{shape[0]} × {shape[1]}"


def _decode_in_threads(decoder: Decoder, chunks: Iterable[list[DecodeTask]]) -> Iterator[Block]:
    threads = min(core_count(), MAX_THREADS)
    # Not as many as torch computes with: decoding with OMP_NUM_THREADS=1 uses all cores.
    with closing(map_in_threads(decoder.decode_some, chunks, threads, "decode")) as decoded:
        for blocks, left in decoded:
            yield from _drain(blocks)
            yield from decoder.decode_singly(left)


def _require_content(content: Content) -> str | bytes:
    if isinstance(content, SourceError):
        raise content
    return content

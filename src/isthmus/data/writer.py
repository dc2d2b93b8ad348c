"""Writers: decoded pictures, streamed into the files of a cache entry."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from isthmus.data.blocks import Block
from isthmus.data.decode import format_size, reject_too_many
from isthmus.data.manifest import Manifest
from isthmus.data.masks.table import MaskTable
from isthmus.errors import SizesDifferError

BLOCK_BYTES = 1 << 20  # of a file, changed at a time


class BlockWriter(ABC):
    """Writes blocks of pictures to files.

    A set may be larger than memory and nobody knows its shape before the first picture is
    decoded, so nothing is collected: what is decoded is written at once. Pictures are written
    gray as long as all of them are; the first one in color turns those before it into color.

    Parameters
    ----------
    manifest : Manifest
    source : str
        Name of the source, for messages.
    files : sequence of binary files
        Those that receive raw pixels, without a header.

    Attributes
    ----------
    channels : int
        1 or 3, of the pictures so far; 0 before the first.
    broken : dict
        Reasons by the position of a picture.
    """

    def __init__(self, manifest: Manifest, source: str, files: Sequence[BinaryIO]) -> None:
        self.manifest, self.source, self.files = manifest, source, files
        self.channels = 0
        self.broken: dict[int, str] = {}
        self._done = 0

    def write(self, blocks: Iterable[Block]) -> Iterator[int]:
        """Write blocks and yield the position of each picture.

        Raises
        ------
        SourceError
            If too many pictures are broken, or they cannot be written together.
        """
        for block in blocks:
            self._note_broken(block)
            if len(block.pixels):
                self._write_block(block)
            yield from range(self._done, self._done + len(block))
            self._done += len(block)
            del block  # the next may be as large

    @abstractmethod
    def _write_block(self, block: Block) -> None:
        raise NotImplementedError

    def _note_broken(self, block: Block) -> None:
        for position, reason in block.broken.items():
            self.broken[self._done + position] = reason
            reject_too_many(self.broken, self.manifest, self.source, self._done + position + 1)

    def _make_room_for(self, channels: int) -> None:
        """Turn all that was written into color, if a picture in color comes."""
        if 0 < self.channels < channels:
            # At most once, as pictures are gray or RGB: all that was written is gray.
            for file in self.files:
                _turn_to_color(file)
        self.channels = max(self.channels, channels)

    def _write_pixels(self, file: BinaryIO, pixels: NDArray[np.uint8]) -> None:
        """Write pixels (…, c), of one channel or of as many as all have."""
        pixels = np.broadcast_to(pixels, (*pixels.shape[:-1], self.channels))  # gray among color
        file.write(np.ascontiguousarray(pixels).data)


class SampleWriter(BlockWriter):
    """Writes pictures of one shape to one file and their masks to another.

    Parameters
    ----------
    manifest : Manifest
    source : str
    values : binary file
        Receives the raw pixels (N, H, W, C).
    masks : binary file, optional
        Receives the masks (N, H, W) as .npy.
    """

    def __init__(
        self, manifest: Manifest, source: str, values: BinaryIO, masks: BinaryIO | None = None
    ) -> None:
        super().__init__(manifest, source, [values])
        self.masks = masks
        self._sides: tuple[int, ...] = ()
        self._first_name = ""
        self._table = MaskTable(manifest, source)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (H, W, C) of the pictures so far."""
        return (*self._sides, self.channels) if self._sides else ()

    def finish_masks(self, file: BinaryIO) -> Manifest:
        """Complete the file of masks, and return the manifest with their classes.

        Raises
        ------
        SourceError
            If the values of the masks cannot be those of classes.
        """
        lookup, manifest = self._table.complete()
        if lookup is not None:
            _translate(file, lookup)
        file.seek(0)
        self._write_header(file, self._done - len(self.broken))  # the count is known only now
        return manifest

    def _write_block(self, block: Block) -> None:
        sides: tuple[int, ...] = block.pixels.shape[1:3]
        if not self._sides:
            self._sides, self._first_name = sides, self._name(block)
            if self.masks is not None:
                self._write_header(self.masks, 0)  # the count is known at the end only
        if sides != self._sides:
            raise SizesDifferError(
                f"the pictures of {self.source} differ in size: {self._first_name} is "
                f"{format_size(self._sides)} but {self._name(block)} is {format_size(sides)}; "
                "give a size to resize all of them to."
            )
        self._make_room_for(block.pixels.shape[3])
        self._write_pixels(self.files[0], block.pixels)
        if self.masks is not None:
            self._write_masks(self.masks, block)

    def _write_masks(self, file: BinaryIO, block: Block) -> None:
        for mask, position in zip(block.masks, block.good, strict=True):
            lookup = self._table.add(mask, self.manifest.mask_names[self._done + position])
            pixels = mask.pixels if lookup is None else lookup[mask.pixels]
            file.write(np.ascontiguousarray(pixels).data)

    def _write_header(self, file: BinaryIO, count: int) -> None:
        """Write the header of an .npy file; NumPy pads it so that any count has room."""
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *self._sides)}
        np.lib.format.write_array_header_1_0(file, header)

    def _name(self, block: Block) -> str:
        """Return the name of the first picture in a block that could be decoded."""
        return self.manifest.names[self._done + block.good[0]]


class ImageWriter(BlockWriter):
    """Writes pictures of any sizes to one file and, of pairs, the clean ones to another.

    Parameters
    ----------
    manifest : Manifest
    source : str
    values : binary file
        Receives the raw pixels, one picture (H, W, C) after the other.
    clean : binary file, optional
        Receives those of the clean pictures.

    Attributes
    ----------
    sides : list of (int, int)
        Height and width of each picture so far.
    """

    def __init__(
        self, manifest: Manifest, source: str, values: BinaryIO, clean: BinaryIO | None = None
    ) -> None:
        super().__init__(manifest, source, [values] if clean is None else [values, clean])
        self.sides: list[tuple[int, int]] = []

    def _write_block(self, block: Block) -> None:
        count, height, width, channels = block.pixels.shape
        self.sides += [(height, width)] * count
        self._make_room_for(max([channels, *(image.shape[2] for image in block.clean)]))
        self._write_pixels(self.files[0], block.pixels)
        for image in block.clean:
            self._write_pixels(self.files[1], image)


def _turn_to_color(file: BinaryIO) -> None:
    """Repeat each gray value of the file three times.

    It works from the end to the start, so that no value is overwritten before it is read.
    """
    for start in reversed(range(0, file.tell(), BLOCK_BYTES)):
        file.seek(start)
        gray = np.frombuffer(file.read(BLOCK_BYTES), np.uint8)
        file.seek(3 * start)
        file.write(gray.repeat(3).tobytes())
    file.seek(0, os.SEEK_END)


def _translate(file: BinaryIO, lookup: NDArray[np.uint8]) -> None:
    """Replace the numbers in a file of masks by their classes (256,); the header comes later."""
    length = file.tell()
    file.seek(0)
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    for start in range(file.tell(), length, BLOCK_BYTES):
        file.seek(start)
        block = np.frombuffer(file.read(BLOCK_BYTES), np.uint8)
        file.seek(start)
        file.write(lookup[block].tobytes())

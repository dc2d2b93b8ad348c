"""TIFFs that Pillow has no mode for: of many bands, or of unusual numbers."""

import io
import lzma
import math
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.pictures.bounds import Slot
from isthmus.errors import SourceError, first_sentence
from isthmus.limits import MAX_DEFLATE_RATIO, limit_of, reject_beyond

# Tags of TIFF, and the values of some of them.
BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION, SAMPLES_PER_PIXEL = 258, 262, 274, 277
PLANAR_CONFIGURATION, TILE_WIDTH, TILE_LENGTH, SAMPLE_FORMAT = 284, 322, 323, 339
WHITE_IS_ZERO, RGB = 0, 2  # photometric
SEPARATE_PLANES = 2  # planar configuration: bands one after the other
UNSIGNED, SIGNED = 1, 2  # sample formats
ALPHA = (1, 2)  # of extra samples: with colors multiplied by it, or not
SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BYTES_PER_PIXEL = 4  # that a page may have, of the most pixels; they are copied meanwhile
MAX_QUICK_TILE = 2**24  # pixels of a tile, however small its page is
DEFLATE, LZMA = (8, 32946), (34925,)  # compressions
MAX_SURPLUS = 2**26  # bytes that a part may unpack to beyond what its page needs
UNPACKED_STEP = 2**20
NUMBERS = {"i": "integer", "u": "", "f": "float"}
COLORS = {1: "gray", 3: "RGB"}


class Bands(NamedTuple):
    """One page of a TIFF: (H, W, C) numbers as they are stored, and what its tags say."""

    values: NDArray[Any]
    kind: str
    pages: int
    orientation: int
    is_inverted: bool
    has_alpha: bool = False  # in the last band
    is_color: bool = False  # the first three bands


def is_tiff(content: bytes) -> bool:
    """Return whether a file is a TIFF, by its first bytes."""
    return content.startswith(SIGNATURES)


def count_samples(tags: Any) -> int:
    """Return how many numbers each pixel has, from the tags that Pillow has read."""
    return int(tags.get(SAMPLES_PER_PIXEL, 1))


def read_bands(content: bytes, page: int, slot: Slot) -> Bands:
    """Read all bands of a page.

    Raises
    ------
    SourceError
        If tifffile is missing or cannot read it either.
    """
    try:
        import tifffile
    except ModuleNotFoundError:
        raise SourceError(
            "a TIFF that Pillow cannot read; install tifffile with pip install tifffile"
        ) from None
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            opened: Any = file.pages[page]
            _reject_large(opened)
            _reject_bomb(opened)
            slot.take(opened.nbytes // BYTES_PER_PIXEL)
            values = np.asarray(opened.asarray(maxworkers=1))
            # Not before the page is read: in a damaged file the list of pages may be none.
            pages = count_tiff_pages(content, limit_of("ISTHMUS_MAX_PAGES") + 1)
            tag = opened.tags.get(ORIENTATION)
    except SourceError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        raise SourceError(_explain(error)) from error
    values = _channels_last(values, opened)
    return Bands(
        values,
        _describe(values, int(opened.bitspersample)),
        pages,
        1 if tag is None else int(tag.value),
        int(opened.photometric) == WHITE_IS_ZERO and values.dtype.kind == "u",
        any(int(extra) in ALPHA for extra in opened.extrasamples[-1:]),
        int(opened.photometric) == RGB,
    )


def count_tiff_pages(content: bytes, most: int) -> int:
    """Return how many pages are listed in a TIFF, or `most` if there are more, or no end.

    Raises
    ------
    struct.error
        If the list is cut short.
    """
    order = "<" if content.startswith(b"II") else ">"
    is_big = content[2:4] in (b"+\0", b"\0+")
    number, entries, entry_bytes = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    (page,) = struct.unpack_from(order + number, content, 8 if is_big else 4)
    seen: set[int] = set()
    while page and page not in seen and len(seen) < most:
        seen.add(page)
        (count,) = struct.unpack_from(order + entries, content, page)
        end = page + struct.calcsize(order + entries) + entry_bytes * count
        (page,) = struct.unpack_from(order + number, content, end)
    return len(seen)


def reject_large_tiles(tags: Any, pixels: int) -> None:
    """Refuse a page whose tiles are far larger than itself, as each is decoded whole.

    Raises
    ------
    SourceError
    """
    width, height = (int(tags.get(tag, 0)) for tag in (TILE_WIDTH, TILE_LENGTH))
    if width * height > max(MAX_QUICK_TILE, 4 * pixels):
        raise SourceError(f"its tiles of {width:,} × {height:,} pixels are larger than itself")


def _reject_large(page: Any) -> None:
    """Refuse a page of too many pixels, or of too many numbers in all of its bands."""
    width, height = int(page.imagewidth), int(page.imagelength)
    side = f"it is {width:,} pixels wide and {height:,} high"
    reject_beyond("ISTHMUS_MAX_SIDE", max(width, height), side)
    said = f"it has {width:,} × {height:,} pixels of {int(page.samplesperpixel):,} bands"
    said += f" in {page.nbytes:,} bytes, of which {BYTES_PER_PIXEL} count as a pixel"
    reject_beyond("ISTHMUS_MAX_PIXELS", page.nbytes // BYTES_PER_PIXEL, said)


def _reject_bomb(page: Any) -> None:
    """Refuse a page of which a part unpacks to more than it can hold.

    tifffile, unless imagecodecs is there, unpacks a part whatever becomes of it.
    """
    if page.compression not in DEFLATE and page.compression not in LZMA:
        return
    expected = page.nbytes + MAX_SURPLUS
    if page.is_tiled:
        reject_large_tiles({TILE_WIDTH: page.tilewidth, TILE_LENGTH: page.tilelength}, page.size)
        expected += math.prod(page.tile) * page.samplesperpixel * page.dtype.itemsize
    most = MAX_DEFLATE_RATIO if page.compression in DEFLATE else 0  # LZMA has none
    file = page.parent.filehandle
    for start, length in zip(page.dataoffsets, page.databytecounts, strict=False):
        if not most or length * most > expected:
            file.seek(start)
            _unpack(file.read(length), page.compression in DEFLATE, expected)


def _unpack(packed: bytes, is_deflate: bool, most: int) -> None:
    """Unpack some bytes and forget them, to see that there are not more."""
    unpacker: Any = zlib.decompressobj() if is_deflate else lzma.LZMADecompressor()
    count, rest = 0, packed
    while not unpacker.eof:
        done = len(unpacker.decompress(rest, UNPACKED_STEP))
        rest = unpacker.unconsumed_tail if is_deflate else b""  # LZMA keeps it
        count += done
        if count > most:
            raise SourceError(f"a part of it holds more than the {most:,} bytes that it can")
        if not done:  # cut short
            return


def _channels_last(values: NDArray[Any], page: Any) -> NDArray[Any]:
    if values.ndim == 2:
        return values[..., None]
    if values.ndim != 3:
        raise SourceError(f"a TIFF of shape {values.shape}, which is no picture")
    return np.moveaxis(values, 0, -1) if page.axes.startswith("S") else values


def _describe(values: NDArray[Any], bits: int) -> str:
    count = values.shape[-1]
    number = NUMBERS.get(values.dtype.kind, values.dtype.name)
    number = "integer" if bits > 16 and not number else number
    return " ".join(filter(None, (f"{bits}-bit", number, COLORS.get(count, f"of {count} bands"))))


def _explain(error: Exception) -> str:
    if "imagecodecs" in str(error):  # tifffile's own extra, 40 MB of decoders
        return "a TIFF whose compression needs imagecodecs; install it with pip install imagecodecs"
    return f"a TIFF that cannot be read ({first_sentence(error)})"

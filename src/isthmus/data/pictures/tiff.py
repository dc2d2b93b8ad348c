"""TIFFs that Pillow has no mode for: of many bands, or of unusual numbers."""

import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import SourceError, first_sentence

# Tags of TIFF, and the values of some of them.
BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION, SAMPLES_PER_PIXEL = 258, 262, 274, 277
PLANAR_CONFIGURATION, SAMPLE_FORMAT = 284, 339
WHITE_IS_ZERO = 0  # photometric
SEPARATE_PLANES = 2  # planar configuration: bands one after the other
UNSIGNED, SIGNED = 1, 2  # sample formats
SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_BYTES = 2**29  # of the numbers of a page, which are copied while they become pixels
NUMBERS = {"i": "integer", "u": "", "f": "float"}
COLORS = {1: "gray", 3: "RGB"}


class Bands(NamedTuple):
    """One page of a TIFF: (H, W, C) numbers as they are stored, and what its tags say."""

    values: NDArray[Any]
    kind: str
    pages: int
    orientation: int
    is_inverted: bool


def is_tiff(content: bytes) -> bool:
    """Return whether a file is a TIFF, by its first bytes."""
    return content.startswith(SIGNATURES)


def count_samples(tags: Any) -> int:
    """Return how many numbers each pixel has, from the tags that Pillow has read."""
    return int(tags.get(SAMPLES_PER_PIXEL, 1))


def read_bands(content: bytes, page: int, max_side: int) -> Bands:
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
            if max(opened.imagewidth, opened.imagelength) > max_side or opened.nbytes > MAX_BYTES:
                raise SourceError("it has too many pixels")
            values = np.asarray(opened.asarray(maxworkers=1))
            # Not before the page is read: in a damaged file the list of pages may have no end.
            pages, tag = len(file.pages), opened.tags.get(ORIENTATION)
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
    )


def count_tiff_pages(content: bytes) -> int:
    """Return how many pages tifffile finds."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(content)) as file:
        return len(file.pages)


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

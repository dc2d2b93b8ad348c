"""Pictures: what comes out of their files, whoever decodes them.

simplejpeg decodes plain JPEGs in half the time that Pillow needs with the same libjpeg-turbo;
tifffile reads the TIFFs that have more bands than Pillow has names for; Pillow reads all others.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.pictures.bounds import Slot
from isthmus.data.pictures.exif import (
    FIRST_TURNED,
    UPRIGHT,
    jpeg_orientation,
    keep_orientation_only,
    picture_orientation,
    turn,
)
from isthmus.data.pictures.frames import PHOTO_FORMATS, count_frames
from isthmus.data.pictures.jpeg import reject_large_jpeg
from isthmus.data.pictures.opening import (
    JPEG_START,
    explain,
    open_if_known,
    read_content,
    require_decodable,
)
from isthmus.data.pictures.pixels import Stretch
from isthmus.data.pictures.scales import (
    Scale,
    apply_choices,
    describe_scale,
    fit_values,
    load_wide_values,
    to_eight_bits,
)
from isthmus.data.pictures.tiff import (
    BITS_PER_SAMPLE,
    PLANAR_CONFIGURATION,
    SEPARATE_PLANES,
    count_samples,
    read_bands,
)
from isthmus.data.pictures.whole import (
    BYTES,
    Whole,
    find_black_white,
    keep_eight_bits,
    keep_numbers,
)
from isthmus.errors import IsthmusError, SourceError

if TYPE_CHECKING:
    from isthmus.data.preprocess import Preprocessing

JPEG_COLORS = {"Gray": "GRAY", "YCbCr": "RGB"}  # of simplejpeg's header: of what it can return
JPEG_KINDS = {"GRAY": "8-bit gray", "RGB": "8-bit RGB"}
# Words in the warnings of libjpeg that mean wrong pixels; others, such as "extraneous bytes before
# marker", mean nothing to the picture.
JPEG_DAMAGE = ("Huffman", "premature end of data", "instead of RST", "Corrupt JPEG data: bad")


class Picture(NamedTuple):
    """A decoded picture.

    Parameters
    ----------
    pixels : (h, w, C) uint8
        Upright; C is 1 for gray and 3 for any other. Of a whole picture, numbers of any type, and
        of a TIFF of many bands all of them.
    height, width : int
        Of the whole picture, upright.
    scale : int
        By which its sides were divided when it was decoded.
    kind : str
        Bits and channels of its file, for people.
    values : (low, high), optional
        The smallest and largest value of a file whose scale is finer than eight bits, or is
        stretched.
    pages : int
        Pages or frames in the file.
    is_turned : bool
        Whether EXIF turned it.
    alpha : (h, w) array, optional
        Of a whole picture that has some.
    black_white : (float, float)
        Of a whole picture, the numbers that are black and white.
    """

    pixels: NDArray[Any]
    height: int
    width: int
    scale: int
    kind: str
    values: Stretch | None = None
    pages: int = 1
    is_turned: bool = False
    alpha: NDArray[Any] | None = None
    black_white: Stretch = BYTES


def decode_picture(
    file: bytes | str,
    preprocessing: "Preprocessing",
    may_reduce: bool = False,
    slot: Slot | None = None,
    *,
    is_whole: bool = False,
) -> Picture:
    """Decode a picture, given as the content or the path of its file.

    Parameters
    ----------
    file : bytes or str
    preprocessing : Preprocessing
        Says the background, what is stretched, which bands are used, and how far a JPEG can be
        reduced.
    may_reduce : bool
        Whether a JPEG may be decoded at a reduced scale.
    slot : Slot, optional
        Takes the room for the picture, which the caller leaves when it is done with it.
    is_whole : bool
        Whether the numbers stay as the file has them; see `pictures.whole`. Of the preprocessing,
        the stretch alone counts then.

    Raises
    ------
    SourceError
        With the reason, if the file is broken or no picture.
    """
    if slot is None:
        with Slot() as slot:
            return decode_picture(file, preprocessing, may_reduce, slot, is_whole=is_whole)
    try:
        content = read_content(file)
        if content.startswith(JPEG_START):
            picture = _decode_plain_jpeg(content, preprocessing, may_reduce, slot, is_whole)
            if picture is not None:
                return picture
        with open_if_known(content) as opened:
            if opened is None:
                return _decode_bands(content, preprocessing, slot, is_whole)
            return _decode_opened(opened, content, preprocessing, may_reduce, slot, is_whole)
    except Exception as error:  # decoders of damaged files raise anything, down to a KeyError
        raise explain(error) from error


def decode_pages(
    file: bytes | str,
    preprocessing: "Preprocessing",
    pages: Sequence[int],
    *,
    is_whole: bool = False,
) -> Iterator[Picture | IsthmusError]:
    """Decode pages or frames of one file, which is opened once.

    A page that cannot be decoded gives the error; see `decode_picture`.
    """
    done = 0
    try:
        content = read_content(file)
        with open_if_known(content) as picture:
            for page in pages:
                yield _decode_page(content, picture, page, preprocessing, is_whole)
                done += 1
    except Exception as error:  # of opening: it holds for all pages
        yield from [explain(error)] * (len(pages) - done)


def _decode_page(
    content: bytes,
    picture: Image.Image | None,
    page: int,
    preprocessing: "Preprocessing",
    is_whole: bool,
) -> Picture | IsthmusError:
    try:
        with Slot() as slot:
            if picture is None:
                return _decode_bands(content, preprocessing, slot, is_whole, page)
            picture.seek(page)
            require_decodable(picture)  # each page has a size of its own
            return _decode_opened(picture, content, preprocessing, False, slot, is_whole)
    except Exception as error:  # see `decode_picture`
        return explain(error)


def _decode_plain_jpeg(
    content: bytes, preprocessing: "Preprocessing", may_reduce: bool, slot: Slot, is_whole: bool
) -> Picture | None:
    """Decode a JPEG that is gray or in the usual color space; None for any other.

    CMYK and YCCK are left to Pillow, which knows that Adobe's programs store them inverted.
    """
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None  # Pillow reports what is wrong
    colors = JPEG_COLORS.get(space)
    if colors is None:
        return None
    scale = preprocessing.reduction(width, height) if may_reduce else 1
    slot.take(reject_large_jpeg(content, width, height, scale))
    # simplejpeg takes the smallest scale that keeps these sides; libjpeg rounds up.
    sides = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
    try:
        pixels = simplejpeg.decode_jpeg(content, colors, **sides if scale > 1 else {})
    except ValueError as error:
        if any(word in str(error) for word in JPEG_DAMAGE):
            raise
        return None  # also of pictures with bytes too many, which Pillow reads as everybody does
    orientation = jpeg_orientation(content)
    if orientation != UPRIGHT:
        pixels = turn(pixels, orientation)
        if orientation >= FIRST_TURNED:
            height, width = width, height
    is_turned = orientation != UPRIGHT
    if is_whole:
        black_white = find_black_white(pixels, preprocessing.stretch)
        kind = JPEG_KINDS[colors]
        return Picture(pixels, height, width, 1, kind, is_turned=is_turned, black_white=black_white)
    pixels, values = apply_choices(pixels, preprocessing)
    return Picture(pixels, height, width, scale, JPEG_KINDS[colors], values, is_turned=is_turned)


def _decode_opened(
    picture: Image.Image,
    content: bytes,
    preprocessing: "Preprocessing",
    may_reduce: bool,
    slot: Slot,
    is_whole: bool,
) -> Picture:
    """Decode the present page of a picture that Pillow has opened."""
    if picture.format == "TIFF" and _needs_all_bands(picture, preprocessing, is_whole):
        pages = count_frames(picture, content)
        return _decode_bands(content, preprocessing, slot, is_whole, picture.tell(), pages)
    width, height = picture.size
    if picture.format in PHOTO_FORMATS:
        slot.take(reject_large_jpeg(content, width, height, 1))
    else:
        slot.take(width * height)
    if may_reduce and picture.format in PHOTO_FORMATS:
        scale = preprocessing.reduction(width, height)
        # Pillow may choose another scale, so that it is read from the result.
        picture.draft(None, (-(-width // scale), -(-height // scale)))
    scale = round(width / picture.width)  # rounded: the last pixel may stand for fewer
    scale_of_file = describe_scale(picture)  # before its EXIF, for which a PNG is loaded
    orientation = picture_orientation(picture)
    if picture.format == "TIFF":
        keep_orientation_only(picture)
    values = load_wide_values(picture, scale_of_file, content)
    pages = count_frames(picture, content)
    is_turned = orientation != UPRIGHT
    if is_whole:
        whole = _keep(picture, values, scale_of_file, preprocessing)
        # Of a TIFF that Pillow has turned when it loaded it, it has dropped the orientation.
        turned = picture_orientation(picture)
        return _finish(whole, turned, scale_of_file.kind, pages, is_turned)
    if values is None:
        pixels = to_eight_bits(picture, preprocessing.background)
        limits = None
        if picture.mode != "1":  # which is black and white already
            pixels, limits = apply_choices(pixels, preprocessing)
    else:
        pixels, limits = fit_values(values, scale_of_file, preprocessing)
    # Of a TIFF that Pillow has turned when it loaded it, it has dropped the orientation.
    pixels = turn(pixels, picture_orientation(picture))
    if scale == 1:
        height, width = pixels.shape[:2]
    elif orientation >= FIRST_TURNED:
        height, width = width, height
    return Picture(pixels, height, width, scale, scale_of_file.kind, limits, pages, is_turned)


def _keep(
    picture: Image.Image,
    values: NDArray[Any] | None,
    scale: Scale,
    preprocessing: "Preprocessing",
) -> Whole:
    """Return the numbers of a page as they are."""
    if values is None:
        return keep_eight_bits(picture, preprocessing.stretch)
    has_alpha = "alpha" in scale.kind
    if has_alpha and scale.is_gray and values.shape[-1] == 4:  # that Pillow opens as colors
        values = values[..., [0, 3]]
    return keep_numbers(values, scale, has_alpha, preprocessing.stretch)


def _finish(whole: Whole, orientation: int, kind: str, pages: int, is_turned: bool) -> Picture:
    """Return a whole picture upright."""
    values = turn(whole.values, orientation)
    alpha = None if whole.alpha is None else turn(whole.alpha, orientation)
    height, width = values.shape[:2]
    return Picture(
        values,
        height,
        width,
        1,
        kind,
        pages=pages,
        is_turned=is_turned,
        alpha=alpha,
        black_white=whole.black_white,
    )


def _needs_all_bands(picture: Any, preprocessing: "Preprocessing", is_whole: bool) -> bool:
    """Return whether a TIFF has bands that Pillow would drop or misread."""
    tags = picture.tag_v2
    count = count_samples(tags)
    is_planar = tags.get(PLANAR_CONFIGURATION) == SEPARATE_PLANES
    if count > 1 and is_planar and max(tags.get(BITS_PER_SAMPLE, (8,))) > 8:
        return True  # Pillow reads their bytes as if they were 8-bit numbers
    if is_whole:
        return count > len(picture.getbands()) or picture.mode == "RGBX"
    if preprocessing.bands is not None:
        return count > len(picture.getbands())
    return count > 4


def _decode_bands(
    content: bytes,
    preprocessing: "Preprocessing",
    slot: Slot,
    is_whole: bool,
    page: int = 0,
    pages: int | None = None,
) -> Picture:
    """Decode a TIFF that Pillow has no mode for."""
    bands = read_bands(content, page, slot)
    values, count = bands.values, bands.values.shape[-1]
    white = {"u1": 255, "u2": 65535}.get(values.dtype.str[1:])
    scale = Scale(bands.kind, white, bands.is_inverted)
    is_turned = bands.orientation != UPRIGHT
    if is_whole:
        whole = keep_numbers(values, scale, bands.has_alpha, preprocessing.stretch)
        kind = bands.kind
        if bands.is_color and count > 3 and whole.alpha is None:
            kind = f"{kind.split()[0]} RGB and {count - 3} more"
        return _finish(whole, bands.orientation, kind, pages or bands.pages, is_turned)
    if preprocessing.bands is None and count not in (1, 3):
        raise SourceError(
            f"it has {count} bands; choose one or three of them by --channels, such as "
            + ("3,2,1" if count > 3 else "1")
        )
    pixels, limits = fit_values(values, scale, preprocessing)
    pixels = turn(pixels, bands.orientation)
    height, width = pixels.shape[:2]
    return Picture(pixels, height, width, 1, bands.kind, limits, pages or bands.pages, is_turned)

"""What the file of a picture holds besides the pixels that a model gets."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.pictures.decoding import Picture, decode_pages, decode_picture
from isthmus.data.pictures.exif import keep_orientation_only, picture_orientation, turn
from isthmus.data.pictures.opening import open_picture, read_content
from isthmus.data.pictures.pixels import ALPHA_MODES, Stretch
from isthmus.data.pictures.whole import BYTES
from isthmus.data.preprocess import Preprocessing
from isthmus.limits import reject_beyond
from isthmus.runtime import reject_beyond_memory

EXIF_FOLDERS = (0x8769, 0x8825)  # the parts of EXIF about the exposure and about the place
EXIF_OF_FILE = (0xA002, 0xA003, 0xA005)  # width and height before it was turned, an offset
# The tags of EXIF that describe what is seen. The others describe how pixels lie in the file, which
# is not true of another file.
EXIF_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, *range(0x9C9B, 0x9CA0))
TEXTS = ("comment", "xmp", "XML:com.adobe.xmp", "photoshop")  # of `Image.info`, in several formats
BROKEN_PAGES = "pages that are broken"
COLOR_SPACES = ("CMYK", "LAB", "YCbCr")  # that become RGB


class Page(NamedTuple):
    """A page or frame: pixels (H, W, C) uint8, alpha (H, W) uint8, bits and channels, ms.

    Of a whole picture, pixels and alpha are of any type; see `Picture`.
    """

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None
    kind: str
    duration: int | None
    black_white: Stretch = BYTES


@dataclass
class Original:
    """The file of a picture.

    Parameters
    ----------
    content : bytes
    preprocessing : Preprocessing
    first : Picture
        Its first page.
    profile : bytes, optional
        The ICC profile of its colors.
    exif : Exif, optional
        What its EXIF says of the scene, without the orientation.
    resolution : (float, float), optional
        Dots an inch.
    loop : int, optional
        How often an animation is repeated; 0 for ever.
    lost : set of str
        What none of the formats keeps, and pages that are broken.
    is_whole : bool
        Whether its numbers are as in the file, and its alpha apart from them.
    """

    content: bytes
    preprocessing: Preprocessing
    first: Picture
    profile: bytes | None = None
    exif: Image.Exif | None = None
    resolution: tuple[float, float] | None = None
    loop: int | None = None
    lost: set[str] = field(default_factory=set)
    is_whole: bool = False

    @property
    def is_gray(self) -> bool:
        """Whether it has one channel."""
        return bool(self.first.pixels.shape[2] == 1)

    def pages(self) -> Iterator[Page | None]:
        """Yield pages in their order; None for one that is broken.

        Only one at a time is in memory: a stack of a microscope has thousands.
        """
        count = self.first.pages
        numbers = range(1, count)
        others = decode_pages(self.content, self.preprocessing, numbers, is_whole=self.is_whole)
        # A whole picture has its alpha, and a single page no duration.
        has_extras = count > 1 or not self.is_whole
        extras = _read_extras(self.content, count) if has_extras else iter(())
        for picture in chain([self.first], others if count > 1 else ()):
            alpha, duration = next(extras, (None, None))
            if isinstance(picture, Picture):
                alpha = _whole_alpha(picture, count) if self.is_whole else alpha
                yield Page(picture.pixels, alpha, picture.kind, duration, picture.black_white)
            else:
                self.lost.add(BROKEN_PAGES)
                yield None


def _whole_alpha(picture: Picture, count: int) -> NDArray[Any] | None:
    """Return the alpha of a page; frames have some wherever their format can store it."""
    alpha = picture.alpha
    is_opaque = alpha is not None and count > 1 and alpha.min() == picture.black_white[1]
    return None if is_opaque else alpha


def read_original(
    file: bytes | str, preprocessing: Preprocessing, *, is_whole: bool = False
) -> Original:
    """Decode the first page of a file, and read what describes it.

    Raises
    ------
    SourceError
        With the reason, if the file is broken or no picture.
    """
    try:
        content = read_content(file)
    except OSError:
        content = b""  # the next line says why
    first = decode_picture(content or file, preprocessing, is_whole=is_whole)
    original = Original(content, preprocessing, first, is_whole=is_whole)
    _reject_many_pages(original.first)
    # What describes a picture never prevents that it is read, whatever a parser of it raises.
    with suppress(Exception), open_picture(content) as picture:
        _describe(original, picture)
    return original


def _reject_many_pages(first: Picture) -> None:
    """Refuse a file whose pages do not fit into memory, as they are written together."""
    reject_beyond("ISTHMUS_MAX_PAGES", first.pages, f"it has {first.pages:,} pages or more")
    reject_beyond_memory(2 * first.pages * first.pixels.nbytes, "it")  # also as they become


def _describe(original: Original, picture: Image.Image) -> None:
    """Take over what Pillow knows of a file."""
    info = picture.info
    original.profile = info.get("icc_profile") or None
    original.loop = info.get("loop")
    original.resolution = _read_resolution(info.get("dpi"))
    if picture.mode in COLOR_SPACES:
        original.lost.add(f"{picture.mode}, written as RGB")
        original.profile = None  # it describes other channels
    if picture.format == "MPO":
        original.lost.add("further pictures in a JPEG")
    has_text = any(info.get(name) for name in TEXTS) or getattr(picture, "text", None)
    if has_text and picture.format != "JPEG2000":  # there it names the program
        original.lost.add("comments and texts")
    original.exif = _read_exif(picture, original.lost)


def _read_resolution(dpi: Any) -> tuple[float, float] | None:
    with suppress(TypeError, ValueError, ZeroDivisionError):
        across, down = float(dpi[0]), float(dpi[1])
        if 1 < across <= 65535 and 1 < down <= 65535:  # Pillow's 1 says that a TIFF has none
            return across, down
    return None


def _read_exif(picture: Image.Image, lost: set[str]) -> Image.Exif | None:
    """Return the EXIF of a picture without its orientation: what is written is upright."""
    try:
        found = picture.getexif()
        kept = Image.Exif()
        for tag in EXIF_TAGS:
            if tag in found:
                kept[tag] = found[tag]
        for tag in EXIF_FOLDERS:
            if tag in found:
                values = found.get_ifd(tag).items()
                kept[tag] = {key: value for key, value in values if key not in EXIF_OF_FILE}
        kept.tobytes()  # some values can be read and not written, such as fractions of 0
    except Exception:
        lost.add("EXIF that is damaged")
        return None
    return kept if len(kept) else None


def _read_extras(
    content: bytes, count: int
) -> Iterator[tuple[NDArray[np.uint8] | None, int | None]]:
    """Yield the alpha (H, W) and the duration of each page, as far as Pillow can read them."""
    with suppress(Exception), open_picture(content) as picture:
        for number in range(count):
            alpha, duration = None, None
            with suppress(Exception):  # of a page that is broken; others may be whole
                if count > 1:
                    picture.seek(number)
                    _load(picture)  # a WebP knows its duration only then
                duration = _read_duration(picture)
                alpha = _read_alpha(picture)
            # Frames of an animation have alpha wherever its format can store it.
            is_opaque = alpha is not None and count > 1 and alpha.min() == 255
            yield None if is_opaque else alpha, duration


def _load(picture: Image.Image) -> None:
    if picture.format == "TIFF":
        keep_orientation_only(picture)  # others may prevent that Pillow loads it
    picture.load()


def _read_alpha(picture: Image.Image) -> NDArray[np.uint8] | None:
    # Before it is loaded: most have no alpha, and their pixels are decoded elsewhere.
    if picture.mode not in ALPHA_MODES and "transparency" not in picture.info:
        return None
    _load(picture)
    alpha: NDArray[np.uint8] = np.asarray(picture.convert("RGBA"))[..., 3]
    if picture.mode not in ALPHA_MODES and alpha.min() == 255:
        return None  # a color that no pixel has
    return turn(alpha, picture_orientation(picture))


def _read_duration(picture: Image.Image) -> int | None:
    with suppress(TypeError, ValueError):
        return round(picture.info["duration"]) if "duration" in picture.info else None
    return None

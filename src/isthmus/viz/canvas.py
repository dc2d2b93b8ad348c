"""The style of all pictures (colors, sizes, fonts), blank figures, and PNG files."""

import io
import math
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.files import write_bytes
from isthmus.places import mark_png, require_own_place
from isthmus.text import printable
from isthmus.viz.fonts import drawable, font_families

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150  # pixels per inch of every PNG file

INK = "#1c2733"  # text and curves
QUIET = "#5b6673"  # secondary text
BORDER = "#c8ced6"  # frames and grid lines
# Color-blind readers tell these apart: Petroff, Accessible Color Sequences for Data
# Visualization, arXiv:2107.02270, 2021.
DISTINCT = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
# Blue and vermilion of Okabe and Ito, Color Universal Design, 2008: for two curves in one picture.
TRAINING, VALIDATION = "#0072b2", "#d55e00"

# Points. TINY is for the indices of channels; names and captions have at least SMALL.
TINY, SMALL, TEXT, LABEL, HEADING = 5.0, 7.0, 8.0, 9.0, 11.0

# A grid of faces takes 144 ms and 590 KiB at level 6, the default, and 57 ms and 610 KiB at level
# 4. Below 4, the cheaper filter of zlib doubles pictures of digits (68 KiB instead of 29).
PNG_COMPRESSION = 4


def blank_figure(width: float, height: float) -> "Figure":
    """Return an empty white figure of the given size in inches."""
    # Without pyplot there is no global state: figures can be drawn in many threads, and are freed
    # with their last reference. The canvas gives text its extent without a trial run of savefig.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Matplotlib cuts the size off to whole pixels, and 55 / 150 inches would become 54 pixels.
    size = [(round(side * DPI) + 1e-3) / DPI for side in (width, height)]
    figure = Figure((size[0], size[1]), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def text_style(size: float, color: str = INK) -> dict[str, Any]:
    """Return the keyword arguments that all text in pictures shares.

    Names of classes and files are data: a `$` in them starts no formula.
    """
    return {
        "fontsize": size,
        "color": color,
        "fontfamily": font_families(),
        "parse_math": False,
    }


def add_legend(
    owner: "Axes | Figure", handles: Sequence["Artist"], names: Sequence[str], **layout: Any
) -> None:
    """Add a legend without a frame; names may have any characters."""
    # The names are set afterwards, as a legend leaves out labels that start with "_" and reads
    # those with "$" as formulas.
    legend = owner.legend(handles, list(map(str, range(len(handles)))), frameon=False, **layout)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=drawable(name), **text_style(layout.get("fontsize", TEXT)))


def to_pixels(figure: "Figure", dpi: int = DPI) -> NDArray[np.uint8]:
    """Return a figure as an array (H, W, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(pixels[..., :3])


def to_png(figure: "Figure", dpi: int = DPI) -> bytes:
    """Return a figure as the content of a PNG file."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(to_pixels(figure, dpi)).save(
        content, format="PNG", compress_level=PNG_COMPRESSION, dpi=(dpi, dpi)
    )
    return mark_png(content.getvalue())


def write_png(path: Path, figure: "Figure") -> None:
    """Write a figure as a PNG file, whole or not at all; see `require_png`."""
    require_png(path)
    write_bytes(path, to_png(figure))


def require_png(path: Path) -> None:
    """Require a name that ends in .png, and no file there but an earlier picture of Isthmus.

    Raises
    ------
    OptionError, IsthmusError
        See `require_own_place`.
    """
    require_own_place(path, (".png",))


def short_name(name: str, length: int = 16) -> str:
    """Return the last part of a path, cut to `length` letters; see `shorten`."""
    return shorten(name.rsplit("/", 1)[-1], length)


def shorten(text: str, length: int = 16) -> str:
    """Return a text, such as the name of a class, cut to `length` letters.

    Chinese, Japanese and Korean letters count twice, as they are twice as wide.

    Examples
    --------
    >>> shorten("Adrien_Brody_0001", 12)
    'Adrien_Brod…'
    """
    text = printable(text)
    widths = [2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text]
    if sum(widths) <= length:
        return text
    fitting = sum(total < length for total in accumulate(widths))
    return f"{text[:fitting]}…"


def text_width(lines: Iterable[str], size: float) -> int:
    """Return the width of the widest of some texts, in pixels of the PNG file."""
    text = blank_figure(1, 1).text(0, 0, drawable("\n".join(lines)), **text_style(size))
    return math.ceil(text.get_window_extent().width)

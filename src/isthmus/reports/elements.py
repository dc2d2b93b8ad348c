"""The elements of what notebooks show: pictures of samples, figures, tables and lines, as HTML.

Pictures are data URLs and styles stand in the elements: a cell needs no other file, and changes
nothing in the rest of its notebook. Text takes the notebook's color, so it is readable in the dark.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import DISTINCT, to_pixels
from isthmus.viz.masks import VOID, colors
from isthmus.viz.mosaic import Pixels, resize, size_within, to_rgb, value_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 72  # pixels of a picture of a sample
MAX_STEPS, MAX_CHANNELS = 120, 4  # points and curves of a drawn signal
MAX_CLASSES = 12  # in a legend
WIDTH, FIGURE_DPI = 620, 110  # pixels of a figure; a map of 5,000 points takes 74 kB then
HAIRLINE = "rgba(128,128,128,.45)"  # lines that are seen on white and on black


def draw_sample(value: NDArray[Any], caption: str, alt: str) -> str:
    """Return the picture of a sample (H, W, C) or (L, C) with a caption below."""
    width, height = size_within(value, SIDE)
    url = _signal_url(value, width, height) if value.ndim == 2 else image_url(value, width, height)
    return (
        f'<div style="width:{max(width, SIDE)}px;text-align:center" title="{_text(alt)}">'
        f'<img src="{url}" alt="{_text(alt)}" width="{width}" height="{height}" '
        f'style="width:{width}px;height:{height}px;max-width:none;margin:0 auto;display:block;'
        'image-rendering:pixelated">'
        '<div style="font-size:.8em;line-height:1.3;white-space:nowrap;overflow:hidden;'
        f'text-overflow:ellipsis">{_text(caption)}</div></div>'
    )


def image_url(image: Pixels, width: int, height: int) -> str:
    """Return an image (H, W, C) as a data URL: as it is if it is shown enlarged, else reduced."""
    from PIL import Image

    pixels = to_rgb(image)
    if len(pixels) > height:
        pixels = resize(pixels, width, height)
    picture, content = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    # JPEG saves most of large pictures and blurs small ones, which are shown enlarged.
    if picture.width * picture.height > SIDE * SIDE // 4:
        picture.save(content, "JPEG")
        return _url(content.getvalue(), "image/jpeg")
    picture.save(content, "PNG", optimize=True)
    return _url(content.getvalue(), "image/png")


def _signal_url(signal: NDArray[Any], width: int, height: int) -> str:
    """Return a signal as a data URL of an SVG, one curve for each channel."""
    low, high = value_range([signal])
    if len(signal) > MAX_STEPS:  # of each part the extremes: every tenth step would hide peaks
        parts = np.array_split(signal, MAX_STEPS // 2)
        signal = np.concatenate([[part.min(0), part.max(0)] for part in parts])
    x = np.linspace(1, width - 1, len(signal))
    y = height * (high - signal.astype(np.float64)) / (high - low)
    lines = "".join(
        f'<polyline fill="none" stroke="{DISTINCT[channel]}" stroke-width="1.3" '
        f'points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y[:, channel], strict=True))}"/>'
        for channel in range(min(signal.shape[1], MAX_CHANNELS))
    )
    frame = f'<rect width="100%" height="100%" fill="none" stroke="{HAIRLINE}"/>'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f"{frame}{lines}</svg>"
    )
    return _url(svg.encode(), "image/svg+xml")


def draw_legend(masks: Sequence[Pixels], class_names: Sequence[str]) -> str:
    """Name the colors of the classes that occur in masks."""
    present = np.unique(np.concatenate([np.unique(mask) for mask in masks])).tolist()
    present = [label for label in present if label != VOID]
    palette = colors(len(class_names))
    entries = [
        f'<span style="white-space:nowrap"><span style="color:rgb{tuple(palette[label].tolist())}">'
        f"&#9632;</span> {_text(class_names[label])}</span>"
        for label in present[:MAX_CLASSES]
    ]
    if len(present) > MAX_CLASSES:
        entries.append(f"and {len(present) - MAX_CLASSES} more classes")
    return f'<div style="margin-top:.4em">{" &nbsp; ".join(entries)}</div>'


def make_cell(head: str, body: str) -> str:
    """Return what one object shows: a line in bold, and HTML below it."""
    return f'<div style="max-width:64em"><div><b>{_text(head)}</b></div>{body}</div>'


def make_line(facts: Sequence[str]) -> str:
    """Return facts in one line."""
    return f'<div style="opacity:.8">{_text(" · ".join(facts))}</div>'


def make_row(pictures: Sequence[str]) -> str:
    """Return pictures next to each other, in as many lines as they need."""
    style = "display:flex;flex-wrap:wrap;gap:8px;margin-top:.5em"
    return f'<div style="{style}">{"".join(pictures)}</div>'


def draw_figure(figure: "Figure", alt: str) -> str:
    """Return a figure; it is white in the dark too, with round corners."""
    from PIL import Image

    content = io.BytesIO()
    # 256 colors are enough for drawings, and take a third of the bytes.
    Image.fromarray(to_pixels(figure, FIGURE_DPI)).quantize().save(content, "PNG", optimize=True)
    url = _url(content.getvalue(), "image/png")
    style = f"width:{WIDTH}px;max-width:100%;border-radius:4px;margin-top:.5em"
    return f'<img src="{url}" alt="{_text(alt)}" style="{style}">'


def make_table(header: Sequence[str], rows: Sequence[Sequence[str]], numeric: int) -> str:
    """Return a table; its last `numeric` columns are numbers and stand at the right."""
    words = len(header) - numeric
    line = f"border:0;border-bottom:1px solid {HAIRLINE};padding:.15em .7em;min-width:0"

    def cells(tag: str, row: Sequence[str]) -> str:
        sides = ["left"] * words + ["right"] * numeric
        return "".join(
            f'<{tag} style="{line};text-align:{side}">{_text(text)}</{tag}>'
            for side, text in zip(sides, row, strict=True)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;border:0;'
        'margin-top:.5em;font-variant-numeric:tabular-nums">'
        f"<thead><tr>{cells('th', header)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _text(text: str) -> str:
    """Return text as HTML: names of files and classes are data, and may look like HTML."""
    # Bytes of a file name that are no text would end the message of the notebook's kernel.
    return escape(text.encode("utf-8", "replace").decode())


def _url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

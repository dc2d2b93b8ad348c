"""Pictures of ways through the space of codes: strips, sheets and films."""

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import INK, blank_figure, draw_sample, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

CELL = 1.05  # inches of a sample in width
GAP = 0.14  # inches between what is real and what is made up
FILM = 288  # pixels of a film in height or width, at least
FRAME, HOLD = 90, 700  # milliseconds that a frame of a film is shown, and either end


def strip(a: NDArray[Any], b: NDArray[Any] | None, frames: NDArray[Any]) -> "Figure":
    """Draw a morph as a row: the one original, the frames from it to the other, the other.

    Parameters
    ----------
    a, b : (H, W, C) uint8 or (L, C) float32
        The originals; None for b where the way leads to no sample.
    frames : (N, H, W, C) uint8 or (N, L, C) float32
        What the codes from that of a to the last become.
    """
    samples = [a, *frames] if b is None else [a, *frames, b]
    shares = np.linspace(0, 100, len(frames))
    titles = ["original", *(f"{share:.0f}%" for share in shares), "original"][: len(samples)]
    top, cell = 0.24, CELL * _aspect(a)
    width, height = CELL * len(samples) + (1 + (b is not None)) * GAP + 0.04, top + cell + 0.04
    figure = blank_figure(width, height)
    limits = _limits(samples)
    for i, (sample, title) in enumerate(zip(samples, titles, strict=True)):
        left = 0.04 + i * CELL + GAP * ((i > 0) + (i > len(frames)))
        place = (left / width, 0.04 / height, (CELL - 0.04) / width, cell / height)
        axes = figure.add_axes(place)
        _draw(axes, sample, limits)
        axes.set_title(title, fontsize=7, color=INK, pad=3)
    return figure


def sheet(frames: NDArray[Any], rows: int, columns: int) -> "Figure":
    """Draw frames as a grid without titles.

    Parameters
    ----------
    frames : (rows · columns, H, W, C) uint8 or (rows · columns, L, C) float32
        Row by row.
    rows, columns : int
    """
    cell = CELL * _aspect(frames[0])
    figure = blank_figure(CELL * columns, cell * rows)
    limits = _limits(frames)
    for i, frame in enumerate(frames):
        row, column = divmod(i, columns)
        place = (column / columns, 1 - (row + 1) / rows, 0.97 / columns, 0.97 / rows)
        _draw(figure.add_axes(place), frame, limits)
    return figure


def gif(frames: NDArray[Any]) -> bytes:
    """Return a film that goes there and back without end, as the content of a GIF file.

    Images are enlarged by a whole number, pixel by pixel, until small ones can be seen; signals are
    drawn as curves.

    Parameters
    ----------
    frames : (N, H, W, C) uint8 or (N, L, C) float32
    """
    shown = [_curve(frame, _limits(frames)) for frame in frames] if frames.ndim == 3 else frames
    pictures = [_enlarged(frame) for frame in shown]
    film = [*pictures, *pictures[-2:0:-1]]
    times = [HOLD if i in (0, len(pictures) - 1) else FRAME for i in range(len(film))]
    content = io.BytesIO()
    film[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=film[1:],
        duration=times,
        loop=0,
        disposal=1,
    )
    return content.getvalue()


def _aspect(sample: NDArray[Any]) -> float:
    """Return height by width of a sample as it is drawn."""
    return 0.75 if sample.ndim == 2 else sample.shape[0] / sample.shape[1]


def _limits(samples: "list[NDArray[Any]] | NDArray[Any]") -> tuple[float, float]:
    """Return the range that all signals are drawn in, with a margin."""
    low = min(float(sample.min()) for sample in samples)
    high = max(float(sample.max()) for sample in samples)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def _draw(axes: "Axes", sample: NDArray[Any], limits: tuple[float, float]) -> None:
    draw_sample(axes, sample)
    if sample.ndim == 2:
        axes.set_ylim(limits)


def _curve(signal: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Draw a signal (L, C) as a picture (H, W, 3)."""
    from PIL import Image

    figure = blank_figure(4.8, 4.8 * _aspect(signal))
    _draw(figure.add_axes((0.02, 0.02, 0.96, 0.96)), signal, limits)
    with Image.open(io.BytesIO(to_png(figure, 100))) as picture:
        return np.asarray(picture.convert("RGB"))


def _enlarged(frame: NDArray[np.uint8]) -> "Image.Image":
    """Return a picture of a frame (H, W, C), of which 1 or 3 channels are shown."""
    from PIL import Image

    shown = frame[..., 0] if frame.shape[2] in (1, 2) else frame[..., :3]
    factor = math.ceil(FILM / max(shown.shape[:2]))
    return Image.fromarray(np.ascontiguousarray(shown.repeat(factor, 0).repeat(factor, 1)))

"""Pictures of paths between codes: strips, sheets and animations."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import SMALL, to_pixels
from isthmus.viz.mosaic import Box, Mosaic, size_within, to_rgb, value_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

# Pixels, of which a figure has 150 to an inch.
SIDE = 160  # of a sample, or of the nearest whole multiple of its own size
GAP = 6  # between frames
WIDE_GAP = 21  # between an original and the decoded frames
TITLE_HEIGHT = 36
MIN_PITCH = 80  # so that titles do not overlap above narrow samples
MIN_GIF_SIDE = 288  # of the longer side of an animation: browsers do not enlarge small ones
CURVES_WIDTH = 480  # of an animation of signals

# Milliseconds for which an animation shows a frame, its two ends, and the samples of a walk.
FRAME_TIME, END_TIME, REST_TIME = 90, 700, 400


def strip(a: NDArray[Any], b: NDArray[Any] | None, frames: NDArray[Any]) -> "Figure":
    """Draw a morph as a row: the one original, the frames from it to the other, the other.

    Parameters
    ----------
    a, b : (H, W, C) uint8 or (L, C) float32
        The originals; None for b where the path leads to no sample.
    frames : (N, H, W, C) uint8 or (N, L, C) float32
        The images decoded along the path, from the code of a to the last.
    """
    samples = [a, *frames] if b is None else [a, *frames, b]
    shares = np.linspace(0, 100, len(frames))
    titles = ["original", *(f"{share:.0f}%" for share in shares), "original"][: len(samples)]
    width, height = size_within(a, SIDE)
    pitch = max(width + GAP, MIN_PITCH)
    extra = WIDE_GAP * (1 + (b is not None))
    mosaic = Mosaic(GAP + pitch * len(samples) + extra, TITLE_HEIGHT + height + GAP)
    limits = value_range(samples)
    for i, (sample, title) in enumerate(zip(samples, titles, strict=True)):
        left = GAP + i * pitch + WIDE_GAP * ((i > 0) + (i > len(frames)))
        left += (pitch - GAP - width) // 2
        mosaic.place(sample, Box(left, TITLE_HEIGHT, width, height), limits)
        mosaic.write(left + width / 2, TITLE_HEIGHT - 8, title, SMALL)
    return mosaic.to_figure()


def sheet(frames: NDArray[Any], rows: int, columns: int) -> "Figure":
    """Draw frames as a grid without titles.

    Parameters
    ----------
    frames : (rows · columns, H, W, C) uint8 or (rows · columns, L, C) float32
        Row by row.
    rows, columns : int
    """
    width, height = size_within(frames[0], SIDE)
    mosaic = Mosaic(columns * (width + GAP), rows * (height + GAP))
    limits = value_range(frames)
    for i, frame in enumerate(frames):
        row, column = divmod(i, columns)
        left, top = column * (width + GAP) + GAP // 2, row * (height + GAP) + GAP // 2
        mosaic.place(frame, Box(left, top, width, height), limits)
    return mosaic.to_figure()


def gif(frames: NDArray[Any]) -> bytes:
    """Return an endless animation to the last frame and back, as a GIF file.

    Images are enlarged by a whole factor until small ones can be seen; signals are drawn as
    curves.

    Parameters
    ----------
    frames : (N, H, W, C) uint8 or (N, L, C) float32
    """
    pictures = _draw_frames(frames)
    loop = [*pictures, *pictures[-2:0:-1]]  # back without the ends, which would be shown twice
    ends = (0, len(pictures) - 1)
    return _animate(loop, [END_TIME if i in ends else FRAME_TIME for i in range(len(loop))])


def walk_gif(frames: NDArray[Any], steps: int) -> bytes:
    """Return an endless animation of a closed walk, which rests at every `steps`-th frame.

    Parameters
    ----------
    frames : (N, H, W, C) uint8 or (N, L, C) float32
        Decoded from what `isthmus.latent.walks.walk` returns.
    steps : int
        From a sample to the next.
    """
    times = [REST_TIME if i % steps == 0 else FRAME_TIME for i in range(len(frames))]
    return _animate(_draw_frames(frames), times)


def _draw_frames(frames: NDArray[Any]) -> list["Image.Image"]:
    limits = value_range(frames)
    images = [_draw_curves(frame, limits) for frame in frames] if frames.ndim == 3 else frames
    return [_enlarge(image) for image in images]


def _animate(pictures: "Sequence[Image.Image]", times: Sequence[int]) -> bytes:
    """Return a GIF file that shows each picture for so many milliseconds, again and again."""
    content = io.BytesIO()
    pictures[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=times,
        loop=0,
        disposal=1,
    )
    return content.getvalue()


def _draw_curves(signal: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Draw a signal (L, C) as a picture (H, W, 3)."""
    width, height = size_within(signal, CURVES_WIDTH)
    mosaic = Mosaic(width + 2 * GAP, height + 2 * GAP)
    mosaic.place(signal, Box(GAP, GAP, width, height), limits)
    return to_pixels(mosaic.to_figure())


def _enlarge(image: NDArray[np.uint8]) -> "Image.Image":
    """Return a picture of an image (H, W, C); a gray one stays gray, for all 256 levels."""
    from PIL import Image

    pixels = image[..., 0] if image.shape[2] in (1, 2) else to_rgb(image)
    factor = math.ceil(MIN_GIF_SIDE / max(pixels.shape[:2]))
    return Image.fromarray(np.ascontiguousarray(pixels.repeat(factor, 0).repeat(factor, 1)))

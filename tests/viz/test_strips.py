"""Pictures of morphs: every frame in its place, and films that go there and back."""

import io

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from isthmus import load
from isthmus.viz.canvas import to_png
from isthmus.viz.strips import FILM, FRAME, HOLD, gif, sheet, strip

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def frames() -> Pixels:
    """Give six digits (6, 8, 8, 1)."""
    return load("digits", limit=6).values


@pytest.fixture(scope="module")
def waves() -> NDArray[np.float32]:
    """Give four signals (4, 50, 2)."""
    t, pitch = np.linspace(0, 6, 50)[:, None], np.array([1, 1.5, 2, 3])[:, None, None]
    return np.concatenate([np.sin(pitch * t), 3 * np.cos(pitch * t)], -1).astype(np.float32)


def shown(axes: Axes) -> Pixels:
    return np.asarray(axes.images[0].get_array())


def film(content: bytes) -> tuple[list[Pixels], list[int]]:
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.info["loop"] == 0
        pages = [
            (np.asarray(p.convert("RGB")), p.info["duration"])
            for p in ImageSequence.Iterator(picture)
        ]
    return [pixels for pixels, _ in pages], [duration for _, duration in pages]


def size(figure: Figure) -> tuple[int, int]:
    with Image.open(io.BytesIO(to_png(figure, 50))) as picture:
        return picture.size


def test_a_strip_leads_from_one_original_to_the_other(frames: Pixels) -> None:
    figure = strip(frames[0], frames[5], frames[1:5])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["original", "0%", "33%", "67%", "100%", "original"]
    for axes, frame in zip(figure.axes, frames, strict=True):
        np.testing.assert_array_equal(shown(axes), frame[..., 0])
    lefts = [axes.get_position().x0 for axes in figure.axes]
    gaps = np.diff(lefts)
    assert (gaps > 0).all()
    assert gaps[1:4] == pytest.approx(gaps[1])
    assert min(gaps[[0, 4]]) > gaps[1]  # the originals stand apart
    width, height = size(figure)
    assert width > 5 * height


def test_a_strip_into_a_direction_has_one_original(frames: Pixels) -> None:
    titles = [axes.get_title() for axes in strip(frames[0], None, frames[1:4]).axes]
    assert titles == ["original", "0%", "50%", "100%"]


def test_all_signals_of_a_strip_have_one_scale(waves: NDArray[np.float32]) -> None:
    figure = strip(waves[0], waves[3], waves)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    low, high = figure.axes[0].get_ylim()
    assert low < waves.min()
    assert high > waves.max()
    for axes, signal in zip(figure.axes[1:-1], waves, strict=True):
        drawn = np.stack([np.asarray(line.get_ydata()) for line in axes.lines], 1)
        np.testing.assert_array_equal(drawn, signal)


def test_a_sheet_is_filled_row_by_row(frames: Pixels) -> None:
    figure = sheet(frames, 2, 3)
    assert len(figure.axes) == 6
    for axes, frame in zip(figure.axes, frames, strict=True):
        np.testing.assert_array_equal(shown(axes), frame[..., 0])
    places = [axes.get_position() for axes in figure.axes]
    assert [place.x0 for place in places] == pytest.approx([0, 1 / 3, 2 / 3] * 2)
    assert places[0].y0 == places[2].y0 > places[3].y0 == places[5].y0
    assert size(figure) == (157, 105)


def test_a_sheet_of_signals_has_one_scale(waves: NDArray[np.float32]) -> None:
    figure = sheet(waves, 2, 2)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_a_film_goes_there_and_back_for_ever(frames: Pixels) -> None:
    pages, times = film(gif(frames))
    assert len(pages) == 10
    order = [0, 1, 2, 3, 4, 5, 4, 3, 2, 1]
    for page, number in zip(pages, order, strict=True):
        side = page.shape[0]
        assert page.shape == (side, side, 3)
        assert side >= FILM
        large = frames[number].repeat(side // 8, 0).repeat(side // 8, 1)
        np.testing.assert_array_equal(page, np.broadcast_to(large, page.shape))
    assert times == [HOLD, *[FRAME] * 4, HOLD, *[FRAME] * 4]


@pytest.mark.parametrize("shape", [(32, 20, 3), (12, 300, 3), (9, 9, 4), (9, 9, 2)])
def test_a_film_of_any_shape_keeps_it(shape: tuple[int, int, int]) -> None:
    slope = np.linspace(0, 255, shape[0] * shape[1] * shape[2]).astype(np.uint8).reshape(shape)
    pages, _ = film(gif(np.stack([slope, 255 - slope, slope // 2])))
    assert len(pages) == 4
    for page in pages:
        assert page.shape[0] * shape[1] == page.shape[1] * shape[0]
        assert FILM <= max(page.shape[:2]) < FILM + 32
    factor = pages[0].shape[0] // shape[0]
    expected = slope[..., :1] if shape[2] == 2 else slope[..., :3]
    difference = np.abs(pages[0][::factor, ::factor].astype(int) - expected)
    assert difference.mean() < 12  # of the 256 colors that a frame may have


def test_a_film_of_two_frames_and_of_one(frames: Pixels) -> None:
    assert len(film(gif(frames[:2]))[0]) == 2
    assert gif(frames[:1])[:3] == b"GIF"


def test_a_film_of_signals_draws_curves_on_one_scale(waves: NDArray[np.float32]) -> None:
    pages, _ = film(gif(np.stack([waves[0], waves[0] / 3])))
    assert pages[0].shape == pages[1].shape
    assert max(pages[0].shape) >= FILM
    heights = []
    for page in pages:
        inside = page[12:-12, 12:-12]
        colored = np.flatnonzero((np.ptp(inside.astype(int), -1) > 60).any(1))
        heights.append(colored[-1] - colored[0])
    assert heights[1] == pytest.approx(heights[0] / 3, rel=0.1)

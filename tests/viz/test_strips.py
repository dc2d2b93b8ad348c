"""Pictures of morphs: every frame in its place, and films that go there and back."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from isthmus import load
from isthmus.viz.canvas import DISTINCT, to_pixels
from isthmus.viz.strips import END_TIME, FRAME_TIME, MIN_GIF_SIDE, gif, sheet, strip
from looking import curve, find, frames, noise, rgb, texts, words

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def digits() -> Pixels:
    """Give six digits (6, 8, 8, 1)."""
    return load("digits", limit=6).values


@pytest.fixture(scope="module")
def waves() -> NDArray[np.float32]:
    """Give four signals (4, 50, 2)."""
    t, pitch = np.linspace(0, 6, 50)[:, None], np.array([1, 1.5, 2, 3])[:, None, None]
    return np.concatenate([np.sin(pitch * t), 3 * np.cos(pitch * t)], -1).astype(np.float32)


def film(content: bytes) -> tuple[list[Pixels], list[int]]:
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.info["loop"] == 0
        pages = [
            (np.asarray(p.convert("RGB")), p.info["duration"])
            for p in ImageSequence.Iterator(picture)
        ]
    return [pixels for pixels, _ in pages], [duration for _, duration in pages]


@pytest.mark.parametrize("shape", [(8, 8, 1), (64, 40, 3), (100, 100, 3)])
def test_a_strip_leads_from_one_original_to_the_other(shape: tuple[int, int, int]) -> None:
    samples = noise(6, *shape)
    figure = strip(samples[0], samples[5], samples[1:5])
    assert words(figure) == ["original", "0%", "33%", "67%", "100%", "original"]
    picture = to_pixels(figure)
    boxes = [find(picture, sample) for sample in samples]
    gaps = np.diff([box.left for box in boxes])
    assert (gaps > boxes[0].width).all()
    assert gaps[1:4] == pytest.approx(gaps[1])
    assert min(gaps[[0, 4]]) > gaps[1]  # the originals are apart
    for box, (_, place) in zip(boxes, texts(figure), strict=True):
        assert place.middle[0] == pytest.approx(box.middle[0], abs=1.5)
        assert place.bottom < box.top
    assert picture.shape[1] > 3 * picture.shape[0]


def test_a_strip_into_a_direction_has_one_original(digits: Pixels) -> None:
    figure = strip(digits[0], None, digits[1:4])
    assert words(figure) == ["original", "0%", "50%", "100%"]
    picture = to_pixels(figure)
    lefts = [find(picture, digit).left for digit in digits[:4]]
    assert lefts == sorted(lefts)


def heights(picture: Pixels, channel: int) -> NDArray[np.float64]:
    """Return the range of the curves of a channel, frame by frame."""
    drawn = [curve(picture, box, DISTINCT[channel]) for box in frames(picture)]
    return np.array([np.nanmax(one) - np.nanmin(one) for one in drawn])


def test_all_signals_of_a_strip_have_one_scale(waves: NDArray[np.float32]) -> None:
    signals = waves * np.array([1, 0.75, 0.5, 0.25], np.float32)[:, None, None]
    picture = to_pixels(strip(signals[0], signals[3], signals))
    boxes = frames(picture)
    assert len(boxes) == 6
    order = [0, 0, 1, 2, 3, 3]
    expected = np.ptp(signals[order, :, 1], axis=1)
    shown = heights(picture, 1)
    assert shown / shown[0] == pytest.approx(expected / expected[0], abs=0.05)
    low, high = rgb(DISTINCT[1]), boxes[0]
    edges = [picture[int(high.top) : int(high.top) + 2], picture[int(high.bottom) - 2 :]]
    assert not any((edge[:, :150] == low).all(-1).any() for edge in edges)  # with a margin
    for box, index in zip(boxes, order, strict=True):
        drawn = curve(picture, box, DISTINCT[1])
        there = np.isfinite(drawn)
        values = np.interp(np.linspace(0, 49, len(drawn)), np.arange(50), signals[index, :, 1])
        assert np.corrcoef(drawn[there], values[there])[0, 1] > 0.98


@pytest.mark.parametrize("shape", [(8, 8, 1), (30, 20, 3)])
def test_a_sheet_is_filled_row_by_row(shape: tuple[int, int, int]) -> None:
    samples = noise(6, *shape)
    picture = to_pixels(sheet(samples, 2, 3))
    boxes = [find(picture, sample) for sample in samples]
    assert [box.left for box in boxes[:3]] == [box.left for box in boxes[3:]]
    assert boxes[0].right < boxes[1].left < boxes[1].right < boxes[2].left
    assert boxes[0].top == boxes[2].top < boxes[0].bottom < boxes[3].top == boxes[5].top
    assert picture.shape[0] / picture.shape[1] == pytest.approx(2 / 3 * shape[0] / shape[1], 0.05)


def test_a_sheet_of_signals_has_one_scale(waves: NDArray[np.float32]) -> None:
    signals = waves * np.array([1, 0.75, 0.5, 0.25], np.float32)[:, None, None]
    shown = heights(to_pixels(sheet(signals, 2, 2)), 1)
    assert shown / shown[0] == pytest.approx([1, 0.75, 0.5, 0.25], abs=0.05)


def test_a_film_goes_there_and_back_for_ever(digits: Pixels) -> None:
    pages, times = film(gif(digits))
    assert len(pages) == 10
    order = [0, 1, 2, 3, 4, 5, 4, 3, 2, 1]
    for page, number in zip(pages, order, strict=True):
        side = page.shape[0]
        assert page.shape == (side, side, 3)
        assert side >= MIN_GIF_SIDE
        large = digits[number].repeat(side // 8, 0).repeat(side // 8, 1)
        np.testing.assert_array_equal(page, np.broadcast_to(large, page.shape))
    assert times == [END_TIME, *[FRAME_TIME] * 4, END_TIME, *[FRAME_TIME] * 4]


@pytest.mark.parametrize("shape", [(32, 20, 3), (12, 300, 3), (9, 9, 4), (9, 9, 2)])
def test_a_film_of_any_shape_keeps_it(shape: tuple[int, int, int]) -> None:
    slope = np.linspace(0, 255, shape[0] * shape[1] * shape[2]).astype(np.uint8).reshape(shape)
    pages, _ = film(gif(np.stack([slope, 255 - slope, slope // 2])))
    assert len(pages) == 4
    for page in pages:
        assert page.shape[0] * shape[1] == page.shape[1] * shape[0]
        assert MIN_GIF_SIDE <= max(page.shape[:2]) < MIN_GIF_SIDE + 32
    factor = pages[0].shape[0] // shape[0]
    expected = slope[..., :1] if shape[2] == 2 else slope[..., :3]
    difference = np.abs(pages[0][::factor, ::factor].astype(int) - expected)
    assert difference.mean() < 12  # of the 256 colors that a frame may have


def test_a_film_of_two_frames_and_of_one(digits: Pixels) -> None:
    assert len(film(gif(digits[:2]))[0]) == 2
    assert gif(digits[:1])[:3] == b"GIF"


def test_a_film_of_signals_draws_curves_on_one_scale(waves: NDArray[np.float32]) -> None:
    pages, _ = film(gif(np.stack([waves[0], waves[0] / 3])))
    assert pages[0].shape == pages[1].shape
    assert max(pages[0].shape) >= MIN_GIF_SIDE
    heights = []
    for page in pages:
        inside = page[12:-12, 12:-12]
        colored = np.flatnonzero((np.ptp(inside.astype(int), -1) > 60).any(1))
        heights.append(colored[-1] - colored[0])
    assert heights[1] == pytest.approx(heights[0] / 3, rel=0.1)

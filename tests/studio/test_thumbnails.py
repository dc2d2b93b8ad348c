"""Thumbnails: each cell shows its own sample, small files, masks that keep their classes."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from isthmus import load
from isthmus.studio.thumbnails import COLUMNS, PER_SHEET, Layout, draw_line, png, sheet_count


def pixels_of(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as picture:
        return np.array(picture)


def cell(sheet: NDArray[Any], number: int, layout: Layout) -> NDArray[Any]:
    row, column = divmod(number, COLUMNS)
    top, left = row * layout.height, column * layout.width
    return sheet[top : top + layout.height, left : left + layout.width]


def test_every_cell_of_a_small_sheet_is_its_sample_to_the_bit() -> None:
    samples = load("digits", limit=70)
    layout = Layout.of(samples.shape)
    assert layout.exact
    assert layout.lossless
    sheet = pixels_of(layout.sheet(samples.values))
    assert sheet.shape[:2] == (3 * 8, 32 * 8)
    for number, image in enumerate(samples.values):
        shown = cell(sheet, number, layout)
        gray = shown if shown.ndim == 2 else shown[..., 0]
        np.testing.assert_array_equal(gray, image[..., 0])


def test_small_images_in_color_are_exact() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 20, 32, 3), np.uint8)
    layout = Layout.of(images.shape[1:])
    sheet = pixels_of(layout.sheet(images))
    for number, image in enumerate(images):
        np.testing.assert_array_equal(cell(sheet, number, layout), image)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((64, 64, 3), (64, 64)),
        ((360, 480, 3), (64, 48)),
        ((400, 40, 1), (6, 64)),
        ((9, 900, 3), (64, 1)),
    ],
)
def test_larger_images_keep_their_proportions(
    shape: tuple[int, ...], size: tuple[int, int]
) -> None:
    layout = Layout.of(shape)
    assert (layout.width, layout.height) == size
    assert not layout.lossless
    images = np.zeros((2, *shape), np.uint8)
    images[1] = 200
    sheet = pixels_of(layout.sheet(images))
    assert sheet.shape[:2] == (layout.height, 32 * layout.width)
    assert abs(float(cell(sheet, 1, layout)[:, 1:-1].mean()) - 200) < 40
    assert cell(sheet, 0, layout)[:, :-1].mean() < 30


def test_the_digits_of_mnist_fit_a_page(require: Callable[[str], Path]) -> None:
    require("mnist")
    samples = load("mnist", limit=PER_SHEET)
    content = Layout.of(samples.shape).sheet(samples.values)
    # 10,000 of them in one page of at most 10 MB, together with codes and networks.
    assert len(content) < 250_000


def test_masks_keep_their_classes_and_void_is_transparent() -> None:
    masks = np.random.default_rng(1).integers(0, 3, (40, 30, 24), np.uint8)
    masks[:, :5] = 255
    layout = Layout.of((30, 24, 3))
    content = layout.mask_sheet(masks, 3)
    sheet = pixels_of(content)
    for number, mask in enumerate(masks):
        np.testing.assert_array_equal(cell(sheet, number, layout), mask)
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.mode == "P"
        clear = np.array(picture.convert("RGBA"))[..., 3]
    np.testing.assert_array_equal(clear == 0, sheet == 255)


def test_a_signal_is_a_line_that_shows_every_peak() -> None:
    signal = np.full((1000, 1), 0.5, np.float32)
    signal[437] = 1
    picture = draw_line(signal, 64, 32)
    assert picture.shape == (32, 64)
    dark = picture < 128
    assert dark.any(0).all()  # the line has no gap
    assert dark[0].sum() in (1, 2)  # the one peak reaches the top
    assert not dark[20:].any()


def test_signals_are_drawn_between_their_own_limits() -> None:
    signals = np.linspace(-4, 4, 50, dtype=np.float32).reshape(1, 50, 1).repeat(3, 0)
    layout = Layout.of((50, 1))
    sheet = pixels_of(layout.signal_sheet(signals, -4, 4))
    shown = cell(sheet if sheet.ndim == 2 else sheet[..., 0], 0, layout)
    assert shown[-1, 0] < 128
    assert shown[0, -1] < 128
    assert shown[0, 0] > 128


def test_one_sample_and_the_number_of_sheets() -> None:
    image = np.random.default_rng(2).integers(0, 256, (7, 9, 1), np.uint8)
    np.testing.assert_array_equal(pixels_of(png(image)), image[..., 0])
    assert [sheet_count(count) for count in (1, 1024, 1025)] == [1, 1, 2]

"""Pictures of samples in rows: every sample in its place, pixel by pixel, below its name."""

import itertools

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure

from isthmus.viz.canvas import DISTINCT, to_pixels
from isthmus.viz.grids import reconstruction_grid, rows_of_samples
from looking import Box, assert_nothing_is_cut_off, cells, curve, find, frames, noise, texts, words

SHAPES = [(8, 8, 1), (28, 28, 1), (20, 40, 3), (30, 10, 4), (9, 9, 2), (150, 100, 3)]


def assert_is_grid(boxes: list[list[Box]]) -> None:
    """Check that rows are below each other, and columns next to each other."""
    for row in boxes:
        assert len({(box.top, box.bottom) for box in row}) == 1
    for column in zip(*boxes, strict=True):
        assert len({(box.left, box.right) for box in column}) == 1
    assert all(a.right < b.left for row in boxes for a, b in itertools.pairwise(row))
    firsts = [row[0] for row in boxes]
    assert all(a.bottom < b.top for a, b in itertools.pairwise(firsts))


@pytest.mark.parametrize("shape", SHAPES)
def test_samples_are_shown_pixel_by_pixel_in_their_rows_and_columns(
    shape: tuple[int, int, int],
) -> None:
    original, noisy, back = noise(3, 4, *shape)
    codes = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    names = ["cat", "folder/dog", "a name that is far too long", ""]
    figure = reconstruction_grid(original, codes, back, names, noisy)
    picture = to_pixels(figure)
    boxes = [[find(picture, image) for image in row] for row in (original, noisy, back)]
    assert_is_grid(boxes)
    assert words(figure)[:3] == ["cat", "dog", "a name that is …"]
    for (_, place), box in zip(texts(figure), boxes[0][:3], strict=False):
        assert place.bottom < box.top
        assert place.middle[0] == pytest.approx(box.middle[0], abs=1.5)
    assert words(figure)[3:] == ["original", "noisy", "code of 8", "reconstruction"]
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize(("size", "shape"), [(2, (1, 2)), (8, (2, 4)), (32, (4, 8)), (7, (1, 7))])
def test_codes_are_cells_on_one_scale_between_the_originals_and_what_comes_back(
    size: int, shape: tuple[int, int]
) -> None:
    images = noise(6, 8, 8, 1)
    codes = np.random.default_rng(0).normal(size=(3, size)).astype(np.float32)
    picture = to_pixels(reconstruction_grid(images[:3], codes, images[3:]))
    boxes = frames(picture)
    assert len(boxes) == 3
    scale = np.abs(codes).max()
    for code, box, above, below in zip(codes, boxes, images[:3], images[3:], strict=True):
        colors = colormaps["RdBu_r"]((code.reshape(shape) / scale + 1) / 2, bytes=True)[..., :3]
        corner = Box(box.left, box.top, box.right - box.width / 2, box.bottom - box.height / 2)
        shown = cells(picture, box if size > 3 else corner, *shape)
        if size > 3:  # fewer have their numbers in the middles of the cells
            assert np.abs(shown - colors).max() <= 6
        assert find(picture, above).bottom < box.top
        assert box.bottom < find(picture, below).top
        assert box.middle[0] == pytest.approx(find(picture, above).middle[0], abs=1)


def test_the_numbers_of_small_codes_are_written_into_their_cells() -> None:
    images = noise(2, 8, 8, 1)
    figure = reconstruction_grid(images[:1], np.array([[1.25, -0.5]], np.float32), images[1:])
    (box,) = frames(to_pixels(figure))
    written = dict(texts(figure))
    for text, share in (("1.2", 0.25), ("-0.5", 0.75)):
        x, y = written[text].middle
        assert x == pytest.approx(box.left + share * box.width, abs=2)
        assert box.top < y < box.bottom


def test_signals_are_curves_of_their_values() -> None:
    t = np.linspace(0, 6, 50, dtype=np.float32)
    waves = np.stack([np.stack([np.sin(k * t), np.cos(k * t)], 1) for k in (1, 2, 3, 4)])
    picture = to_pixels(rows_of_samples([("one", waves[:2]), ("two", waves[2:])]))
    boxes = frames(picture)
    assert len(boxes) == 4
    for wave, box in zip(waves, boxes, strict=True):
        for channel in (0, 1):
            heights = curve(picture, box, DISTINCT[channel])
            expected = np.interp(np.linspace(0, 49, len(heights)), np.arange(50), wave[:, channel])
            seen = np.isfinite(heights)
            assert seen.mean() > 0.8
            assert np.corrcoef(heights[seen], expected[seen])[0, 1] > 0.98


def rows_of(names: list[str], captions: list[list[str]]) -> Figure:
    return rows_of_samples([(name, noise(3, 8, 8, 1)) for name in names], captions)


def test_captions_are_below_their_samples() -> None:
    images = noise(2, 3, 28, 28, 1)
    captions = [["query", "cat\n0.1", "dog\n0.2"], ["other", "cow\n0.3", "pig\n0.4"]]
    figure = rows_of_samples([("cat", images[0]), ("", images[1][:2])], captions)
    picture = to_pixels(figure)
    places = dict(texts(figure))
    for row, count in ((0, 3), (1, 2)):
        for image, caption in zip(images[row][:count], captions[row], strict=False):
            box, place = find(picture, image), places[caption]
            assert 0 < place.top - box.bottom < 12
            assert place.middle[0] == pytest.approx(box.middle[0], abs=1.5)
    assert places["cat"].right < find(picture, images[0][0]).left
    assert_nothing_is_cut_off(figure)


def test_titles_of_rows_are_not_cut_off() -> None:
    title = "gaussian:0..55/255,\n" + "W" * 21
    figure = rows_of([title, "original"], [])
    assert words(figure) == ["gaussian:0..55/255,\n" + "W" * 19 + "…", "original"]
    assert_nothing_is_cut_off(figure)


def test_rows_without_titles_begin_at_the_left() -> None:
    image = noise(8, 8, 1)
    assert find(to_pixels(rows_of_samples([("", image[None])])), image).left < 12


def test_large_pictures_are_averaged_not_thinned_out() -> None:
    stripes = np.zeros((1, 600, 600, 1), np.uint8)
    stripes[:, ::2] = 200
    picture = to_pixels(rows_of_samples([("", stripes)]))
    inside = picture[20:-20, 20:-20, 0]
    assert 60 < inside.min() <= inside.max() < 140

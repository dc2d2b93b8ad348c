"""Pictures of masks: colors that are told apart, errors where they are, void left alone."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from isthmus import load
from isthmus.viz.canvas import DISTINCT, to_pixels
from isthmus.viz.masks import ERROR_COLOR, VOID_COLOR, colors, errors, overlay, segmentations
from looking import assert_nothing_is_cut_off, find, find_all, rgb, texts, words

Pixels = NDArray[np.uint8]
STREET = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car"]
STREET += ["pedestrian", "cyclist"]
PICTURE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
TRUTH = np.array([[0, 1, 1, 255], [0, 0, 1, 255]], np.uint8)
TAKEN = np.array([[0, 1, 0, 1], [0, 1, 1, 0]], np.uint8)


def legend(figure: Figure) -> dict[str, tuple[int, ...]]:
    """Return names and colors: what is at the left of each name below the pictures."""
    picture = to_pixels(figure)
    titles = ("image", "ground truth", "prediction", "errors")
    return {
        name: tuple(picture[int(place.middle[1]), int(place.left) - 15].tolist())
        for name, place in texts(figure)
        if not name.startswith(titles)
    }


def titles(figure: Figure) -> list[str]:
    """Return what is written above the pictures."""
    known = ("image", "ground truth", "prediction", "errors")
    return [text for text in words(figure) if text.startswith(known)]


def test_few_classes_have_the_colors_of_all_pictures() -> None:
    assert colors(10).dtype == np.uint8
    assert [to_hex(row / 255) for row in colors(10)] == list(DISTINCT)


@pytest.mark.parametrize(("classes", "apart"), [(21, 17.0), (255, 4.0)])
def test_colors_of_many_classes_are_told_apart(classes: int, apart: float) -> None:
    palette = colors(classes)
    assert palette.shape == (classes, 3)
    np.testing.assert_array_equal(palette[:7], colors(7))  # a class keeps its color
    np.testing.assert_array_equal(palette[:15], colors(15))
    lab = rgb2lab(palette)
    difference = deltaE_ciede2000(lab[:, None], lab[None])  # type: ignore[no-untyped-call]
    assert difference[~np.eye(classes, dtype=bool)].min() > apart


def test_each_further_color_is_farthest_from_all_before_it() -> None:
    levels = np.linspace(0, 255, 9).round()
    every = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3).astype(np.uint8)
    lab = rgb2lab(every)
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    vivid = (lightness >= 25) & (lightness <= 92) & (chroma >= 25)
    every, lab, palette = every[vivid], lab[vivid], rgb2lab(colors(255))
    nearest = deltaE_ciede2000(lab[:, None], palette[None, :10]).min(1)  # type: ignore[no-untyped-call]
    for place in range(10, 255):
        farthest = int(nearest.argmax())
        assert colors(255)[place].tolist() == every[farthest].tolist()
        difference = deltaE_ciede2000(lab, palette[None, place])  # type: ignore[no-untyped-call]
        nearest = np.minimum(nearest, difference)


def test_changing_colors_does_not_change_those_of_others() -> None:
    for classes in (5, 30):
        before = colors(classes).copy()
        colors(classes)[:] = 0
        np.testing.assert_array_equal(colors(classes), before)


def test_an_overlay_blends_colors_and_leaves_void() -> None:
    blended = overlay(PICTURE, TRUTH, 0.5)
    assert blended.shape == (2, 4, 3)
    assert blended.dtype == np.uint8
    for place in ((0, 0), (1, 2)):
        expected = (PICTURE[place] + np.array(rgb(DISTINCT[TRUTH[place]]))) / 2
        np.testing.assert_allclose(blended[place], expected, atol=0.51)
    np.testing.assert_array_equal(blended[:, 3], PICTURE[:, 3])
    np.testing.assert_array_equal(overlay(PICTURE, TRUTH, 0), PICTURE)
    assert overlay(PICTURE, TRUTH, 1)[0, 1].tolist() == list(rgb(DISTINCT[1]))
    assert PICTURE[0, 0].tolist() == [0, 10, 20]  # untouched


def test_a_mask_of_nothing_but_void_changes_nothing() -> None:
    np.testing.assert_array_equal(overlay(PICTURE, np.full((2, 4), 255, np.uint8)), PICTURE)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_gray_picture_is_colored_too(channels: int) -> None:
    gray = PICTURE[..., :channels]
    blended = overlay(gray, TRUTH, 0.0)
    np.testing.assert_array_equal(blended, np.repeat(gray[..., :1], 3, axis=2))
    assert errors(gray, TAKEN, TRUTH).shape == (2, 4, 3)


def test_errors_are_red_void_is_gray_and_the_rest_is_pale() -> None:
    painted = errors(PICTURE, TAKEN, TRUTH)
    red = (painted == rgb(ERROR_COLOR)).all(-1)
    np.testing.assert_array_equal(red, [[0, 0, 1, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal((painted == rgb(VOID_COLOR)).all(-1), TRUTH == 255)
    right = painted[(TAKEN == TRUTH)]
    assert (np.ptp(right, axis=1) == 0).all()
    assert right.min() > 120
    assert len(np.unique(right)) > 1  # the picture is still seen


def test_rows_have_image_ground_truth_prediction_and_errors() -> None:
    pictures, targets = np.stack([PICTURE, PICTURE + 5]), np.stack([TRUTH, TAKEN])
    figure = segmentations(pictures, np.stack([TAKEN, TAKEN]), ("ground", "bird"), targets)
    assert titles(figure) == [
        "image",
        "ground truth",
        "prediction",
        "errors: 33.3%",
        "errors: 0.0%",
    ]
    shown = to_pixels(figure)
    boxes = []
    for picture, truth in zip(pictures, targets, strict=True):
        panels = [
            picture,
            overlay(picture, truth),
            overlay(picture, TAKEN),
            errors(picture, TAKEN, truth),
        ]
        boxes.append([find_all(shown, panel) for panel in panels])
    assert [len(found) for row in boxes for found in row] == [1, 1, 1, 1, 1, 2, 2, 1]
    for row in boxes:
        places = [found[0] for found in row]
        assert len({(place.top, place.bottom) for place in places}) == 1
        assert places[0].left < places[1].left <= places[2].left < places[3].left
    assert boxes[0][0][0].bottom < boxes[1][0][0].top
    assert legend(figure) == {
        "ground": rgb(DISTINCT[0]),
        "bird": rgb(DISTINCT[1]),
        "wrong": rgb(ERROR_COLOR),
        "void": rgb(VOID_COLOR),
    }


def test_without_targets_there_is_the_prediction_alone() -> None:
    figure = segmentations(PICTURE[None], TAKEN[None], ("ground", "bird"))
    assert titles(figure) == ["image", "prediction"]
    assert list(legend(figure)) == ["ground", "bird"]


def test_the_legend_names_what_is_seen_and_fits() -> None:
    digits = load("digits", limit=2).values
    predictions = (digits[..., 0] // 16 * 2).astype(np.uint8)  # every second of 33 classes
    names = [f"kind number {i} of many" for i in range(33)]
    figure = segmentations(digits, predictions, names)
    seen = np.unique(predictions)
    assert list(legend(figure).values()) == [tuple(colors(33)[i].tolist()) for i in seen]
    assert_nothing_is_cut_off(figure)
    lowest = max(find(to_pixels(figure), digit).bottom for digit in digits)
    assert min(place.top for text, place in texts(figure) if "kind" in text) > lowest


def test_streets_keep_their_shape_and_colors(require: Callable[[str], Path]) -> None:
    with tarfile.open(require("camvid") / "camvid.tar") as archive:
        names = [name for name in archive.getnames() if "/test/" in name][:1]
        names.append(names[0].replace("/test/", "/testannot/").replace(".jpg", ".png"))
        files = [archive.extractfile(name) for name in names]
        contents = [np.array(Image.open(io.BytesIO(file.read()))) for file in files if file]
    picture, mask = contents
    truth = np.where(mask == 11, 255, mask).astype(np.uint8)
    predicted = np.roll(np.minimum(mask, 10), 3, axis=1)
    figure = segmentations(picture[None], predicted[None], STREET, truth[None])
    seen = [name for label, name in enumerate(STREET) if (predicted == label).any()]
    assert sorted(legend(figure)) == sorted([*seen, "wrong", "void"])
    share = float(titles(figure)[-1].split()[1].rstrip("%")) / 100
    counted = truth != 255
    assert share == pytest.approx((predicted != truth)[counted].mean(), abs=5e-4)
    shown = to_pixels(figure)
    assert find(shown, picture).right < find(shown, overlay(picture, truth)).left
    assert find(shown, errors(picture, predicted, truth)).height >= 180

"""Pictures of maps: every point where it is, of a color and a name of its own."""

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from isthmus import load
from isthmus.data.items import Items
from isthmus.errors import OptionError
from isthmus.latent.maps import Map
from isthmus.viz.canvas import DISTINCT, to_png
from isthmus.viz.maps import MARKERS, OTHERS, decoded_grid, scatter, thumbnails

DRAW = np.random.default_rng(0)


def mapped(
    count: int, classes: int = 0, method: str = "tsne", fitted: int | None = None, **others: Any
) -> Map:
    """Make a map of clusters, one for each class."""
    labels = np.arange(count) % max(1, classes)
    middles = DRAW.normal(0, 20, (max(1, classes), 2))
    xy = (middles[labels] + DRAW.normal(size=(count, 2))).astype(np.float32)
    return Map(
        method,
        xy,
        Items(
            [f"{i}.png" for i in range(count)],
            labels if classes else None,
            tuple(f"class {i}" for i in range(classes)),
        ),
        np.arange(count) < (count if fitted is None else fitted),
        **others,
    )


def points(figure: Figure) -> dict[tuple[float, float], tuple[str, bytes]]:
    """Return the color and the shape that stands at each place."""
    found = {}
    for dots in figure.axes[0].collections:
        assert isinstance(dots, PathCollection)
        shape = np.asarray(dots.get_paths()[0].vertices).round(3).tobytes()
        places = np.asarray(dots.get_offsets())
        for place, color in zip(places, np.asarray(dots.get_facecolor()), strict=True):
            found[float(place[0]), float(place[1])] = (to_hex(color), shape)
    return found


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def caption(figure: Figure) -> str:
    return figure.texts[0].get_text()


def written(axes: Axes) -> list[Text]:
    return list(axes.texts)


def test_every_sample_is_a_point_of_its_class() -> None:
    fitted_map = mapped(300, 10)
    figure = scatter(fitted_map, "Digits")
    found = points(figure)
    assert len(found) == 300
    assert fitted_map.labels is not None
    for (x, y), label in zip(fitted_map.xy.tolist(), fitted_map.labels, strict=True):
        assert found[x, y][0] == DISTINCT[label]
    assert legend(figure.axes[0]) == [f"class {i}" for i in range(10)]
    assert figure.axes[0].get_title() == "Digits"


def test_class_names_stand_at_their_medians() -> None:
    fitted_map = mapped(400, 4)
    (axes,) = scatter(fitted_map).axes
    assert fitted_map.labels is not None
    reach = float(np.ptp(fitted_map.xy))
    for text in written(axes):
        label = int(text.get_text().split()[1])
        middle = np.median(fitted_map.xy[fitted_map.labels == label], axis=0)
        assert np.linalg.norm(np.array(text.get_position()) - middle) < 0.1 * reach
    assert len(written(axes)) == 4


def test_class_names_do_not_overlap() -> None:
    fitted_map = mapped(400, 8)
    fitted_map.xy[:] = 0.01 * fitted_map.xy + np.array([0, 0.001], np.float32)
    fitted_map.xy[0] = 50  # all others are crowded
    figure = scatter(fitted_map)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in written(figure.axes[0])]
    assert len(boxes) > 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_class_that_is_everywhere_is_named_in_the_legend_only() -> None:
    fitted_map = mapped(400, 4)
    fitted_map.xy[:] = DRAW.normal(size=(400, 2))
    fitted_map.xy[::4] *= 0.01
    (axes,) = scatter(fitted_map).axes
    assert [text.get_text() for text in written(axes)] == ["class 0"]
    assert len(legend(axes)) == 4


def test_up_to_forty_classes_differ_by_color_and_shape() -> None:
    fitted_map = mapped(400, 40)
    found = points(scatter(fitted_map))
    assert fitted_map.labels is not None
    looks = [
        {found[x, y] for x, y in fitted_map.xy[fitted_map.labels == i].tolist()} for i in range(40)
    ]
    assert {len(look) for look in looks} == {1}
    assert len(set.union(*looks)) == 40 == len(DISTINCT) * len(MARKERS)


def test_of_more_classes_the_largest_are_colored_and_the_others_gray_and_said() -> None:
    fitted_map = mapped(600, 60)
    assert fitted_map.labels is not None
    fitted_map.labels[fitted_map.labels == 7] = 41  # the largest
    figure = scatter(fitted_map)
    names = legend(figure.axes[0])
    assert names[0] == "class 41"
    assert (len(names), names[-1]) == (11, "49 other classes")
    found = points(figure)
    gray = np.array([found[x, y][0] == OTHERS for x, y in fitted_map.xy.tolist()])
    shown = [int(name.split()[1]) for name in names[:-1]]
    np.testing.assert_array_equal(gray, ~np.isin(fitted_map.labels, shown))


def test_samples_without_classes_have_one_color_and_no_legend() -> None:
    figure = scatter(mapped(50))
    assert {color for color, _ in points(figure).values()} == {DISTINCT[0]}
    assert legend(figure.axes[0]) == []
    assert written(figure.axes[0]) == []


def test_a_class_without_samples_is_not_shown() -> None:
    fitted_map = mapped(50, 5)
    assert fitted_map.labels is not None
    fitted_map.labels[fitted_map.labels == 3] = 2
    assert legend(scatter(fitted_map).axes[0]) == ["class 0", "class 1", "class 2", "class 4"]


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("tsne", ("t-SNE, first axis", "t-SNE, second axis")),
        ("umap", ("UMAP, first axis", "UMAP, second axis")),
        ("code", ("first number of the code", "second number of the code")),
    ],
)
def test_axes_are_named(method: str, names: tuple[str, str]) -> None:
    (axes,) = scatter(mapped(50, method=method)).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == names
    meaning = method == "code"
    assert bool(len(axes.get_xticks())) == bool(len(axes.get_yticks())) == meaning


def test_principal_components_say_what_they_explain() -> None:
    fitted_map = mapped(50, method="pca", params={"explained": np.array([0.345, 0.1])})
    (axes,) = scatter(fitted_map).axes
    assert axes.get_xlabel() == "first principal component (34.5% of the variance)"
    assert axes.get_ylabel() == "second principal component (10.0% of the variance)"


def test_the_caption_says_what_was_fitted_and_what_was_placed() -> None:
    assert caption(scatter(mapped(1200))) == "1,200 samples, drawn by t-SNE."
    told = "1,200 samples, drawn by UMAP, which was fitted on 500; the other 700 were placed."
    assert caption(scatter(mapped(1200, method="umap", fitted=500))) == told
    assert caption(scatter(mapped(5, fitted=0))) == "5 samples, placed on a map by t-SNE."
    told = "5 samples, each at the two numbers of its code."
    assert caption(scatter(mapped(5, method="code"))) == told


@pytest.mark.parametrize("count", [1, 2, 5000])
def test_any_number_of_samples_becomes_a_picture(count: int) -> None:
    fitted_map = mapped(count, 3)
    images = np.zeros((count, 4, 6, 3), np.uint8)
    for figure in (scatter(fitted_map), thumbnails(fitted_map, images)):
        with Image.open(io.BytesIO(to_png(figure, 50))) as picture:
            assert min(picture.size) > 200


def test_nothing_is_cut_off() -> None:
    fitted_map = mapped(400, 30)
    figure = scatter(fitted_map)
    figure.draw_without_rendering()
    width, height = figure.bbox.width, figure.bbox.height
    found = figure.axes[0].get_legend()
    assert found is not None
    parts = [
        *written(figure.axes[0]),
        *figure.texts,
        *found.get_texts(),
        figure.axes[0].yaxis.label,
    ]
    for part in parts:
        box = part.get_window_extent()
        assert box.x0 >= 0, part
        assert box.y0 >= 0, part
        assert box.x1 <= width, part
        assert box.y1 <= height, part


def test_small_pictures_stand_at_their_points_and_apart() -> None:
    digits = load("digits", limit=300)
    fitted_map = mapped(300, 3)
    fitted_map.xy[:] = DRAW.normal(size=(300, 2))
    figure = thumbnails(fitted_map, digits.values)
    (axes,) = figure.axes
    shown = axes.images
    assert 20 < len(shown) < 300
    assert caption(figure).endswith(f"Pictures of {len(shown)}.")
    boxes = np.array([image.get_extent() for image in shown])
    middles = np.stack([boxes[:, :2].mean(1), boxes[:, 2:].mean(1)], axis=1)
    for image, middle in zip(shown, middles, strict=True):
        index = int(np.linalg.norm(fitted_map.xy - middle, axis=1).argmin())
        np.testing.assert_allclose(fitted_map.xy[index], middle, atol=1e-3)
        np.testing.assert_array_equal(np.asarray(image.get_array()), digits.values[index, ..., 0])
    side = boxes[0, 1] - boxes[0, 0]
    apart = np.abs(middles[:, None] - middles).max(2) + 10 * side * np.eye(len(middles))
    assert apart.min() >= side
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    assert left < boxes[:, 0].min()
    assert right > boxes[:, 1].max()
    assert bottom < boxes[:, 2].min()
    assert top > boxes[:, 3].max()


def test_small_pictures_are_framed_by_class() -> None:
    fitted_map = mapped(40, 2)
    (axes,) = thumbnails(fitted_map, np.zeros((40, 5, 5, 1), np.uint8)).axes
    assert {to_hex(patch.get_edgecolor()) for patch in axes.patches} == set(DISTINCT[:2])
    assert len(axes.patches) == len(axes.images)
    (axes,) = thumbnails(mapped(40), np.zeros((40, 5, 5, 1), np.uint8)).axes
    assert len(axes.patches) == 0


def painted(z: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decode a code to a picture 2 × 3 of a color that says which code it was."""
    colors = np.stack([100 + 10 * z[:, 0], 100 + 10 * z[:, 1], 0 * z[:, 0]], axis=1)
    return np.broadcast_to(colors[:, None, None].round(), (len(z), 2, 3, 3)).astype(np.uint8)


def test_a_grid_shows_at_each_code_what_it_decodes_to() -> None:
    z = np.stack([np.linspace(-4, 4, 99), np.linspace(0, 10, 99)], axis=1).astype(np.float32)
    z = np.concatenate([z, z, [[900, -900]]]).astype(np.float32)  # one code is far out
    (axes,) = decoded_grid(painted, z, side=5).axes
    (image,) = axes.images
    canvas = np.asarray(image.get_array())
    assert canvas.shape == (10, 15, 3)
    left, right, bottom, top = image.get_extent()
    for across, up in ((0.1, 0.1), (0.9, 0.1), (0.5, 0.5), (0.3, 0.9)):  # middles of pictures
        code = np.array(
            [[left + across * (right - left), bottom + up * (top - bottom)]], np.float32
        )
        shown = canvas[int((1 - up) * 10), int(across * 15)]
        np.testing.assert_allclose(shown, painted(code)[0, 0, 0], atol=1)
    assert -6 < left < -4 < 4 < right < 6
    assert -2 < bottom < 0 < 10 < top < 12
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "first number of the code",
        "second number of the code",
    )
    assert len(axes.get_xticks()) > 2


def test_a_grid_over_equal_codes_is_drawn_around_them() -> None:
    (axes,) = decoded_grid(painted, np.full((3, 2), 2, np.float32), side=3).axes
    assert np.asarray(axes.images[0].get_array())[3, 4].tolist() == [120, 120, 0]


def test_what_is_no_picture_is_refused() -> None:
    signals = np.zeros((50, 9, 2), np.float32)
    with pytest.raises(OptionError, match="not signals"):
        thumbnails(mapped(50), signals)
    with pytest.raises(OptionError, match="not signals"):
        decoded_grid(lambda z: np.zeros((len(z), 9, 2), np.float32), np.zeros((4, 2), np.float32))
    with pytest.raises(OptionError, match="codes of 2 numbers"):
        decoded_grid(painted, np.zeros((4, 3), np.float32))

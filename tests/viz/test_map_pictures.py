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

from isthmus.data.items import Items
from isthmus.errors import OptionError
from isthmus.latent.maps import Map
from isthmus.viz.canvas import DISTINCT, to_pixels, to_png
from isthmus.viz.maps import MARKERS, OTHERS_COLOR, decoded_grid, scatter, thumbnails
from looking import find_all, noise, rgb

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
    gray = np.array([found[x, y][0] == OTHERS_COLOR for x, y in fitted_map.xy.tolist()])
    shown = [int(name.split()[1]) for name in names[:-1]]
    np.testing.assert_array_equal(gray, ~np.isin(fitted_map.labels, shown))


def test_samples_without_a_class_among_others_are_gray() -> None:
    fitted_map = mapped(60, 3)
    assert fitted_map.labels is not None
    fitted_map.labels[:9] = -1
    figure = scatter(fitted_map)
    assert legend(figure.axes[0]) == ["class 0", "class 1", "class 2", "without a class"]
    found = points(figure)
    gray = [found[x, y][0] == OTHERS_COLOR for x, y in fitted_map.xy.tolist()]
    assert gray == [True] * 9 + [False] * 51


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


def at_points(figure: Figure, xy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return where points of a map are in the picture, in pixels from the top left."""
    figure.draw_without_rendering()
    places = figure.axes[0].transData.transform(xy)
    return np.stack([places[:, 0], figure.bbox.height - places[:, 1]], axis=1)


@pytest.mark.parametrize("shape", [(8, 8, 1), (20, 30, 3)])
def test_small_pictures_are_at_their_points_and_apart(shape: tuple[int, int, int]) -> None:
    images = noise(150, *shape)
    fitted_map = mapped(150, 3)
    fitted_map.xy[:] = DRAW.normal(size=(150, 2))
    figure = thumbnails(fitted_map, images)
    picture = to_pixels(figure)
    places = at_points(figure, fitted_map.xy)
    found = [(i, find_all(picture, image)) for i, image in enumerate(images)]
    boxes = {i: places[0] for i, places in found if places}
    assert 20 < len(boxes) < 150
    assert caption(figure).endswith(f"Pictures of {len(boxes)}.")
    for index, box in boxes.items():
        assert np.abs(places[index] - box.middle).max() <= 1.5  # pixels
    shown = list(boxes.values())
    assert not any(a.overlaps(b) for i, a in enumerate(shown) for b in shown[:i])
    area = figure.axes[0].get_window_extent()
    assert area.x0 < min(box.left for box in shown)
    assert area.x1 > max(box.right for box in shown)
    assert figure.bbox.height - area.y1 < min(box.top for box in shown)
    assert figure.bbox.height - area.y0 > max(box.bottom for box in shown)


def test_small_pictures_are_framed_by_class() -> None:
    images = noise(40, 5, 5, 1)
    fitted_map = mapped(40, 2)
    assert fitted_map.labels is not None
    picture = to_pixels(thumbnails(fitted_map, images))
    colors = set()
    for image, label in zip(images, fitted_map.labels, strict=True):
        for box in find_all(picture, image):
            left, top, right, bottom = map(int, box)
            around = picture[[top - 2, bottom + 1]][:, left - 2 : right + 2]
            assert (around == rgb(DISTINCT[label])).all()
            colors.add(int(label))
    assert colors == {0, 1}
    plain = to_pixels(thumbnails(mapped(40), images))
    left, top, *_ = map(int, next(box for image in images for box in find_all(plain, image)))
    assert (plain[top - 2, left] == 255).all()


def painted(z: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decode a code to a picture 2 × 3 of a color that says which code it was."""
    colors = np.stack([100 + 10 * z[:, 0], 100 + 10 * z[:, 1], 0 * z[:, 0]], axis=1)
    return np.broadcast_to(colors[:, None, None].round(), (len(z), 2, 3, 3)).astype(np.uint8)


def test_a_grid_shows_at_each_code_what_it_decodes_to() -> None:
    z = np.stack([np.linspace(-4, 4, 99), np.linspace(0, 10, 99)], axis=1).astype(np.float32)
    z = np.concatenate([z, z, [[900, -900]]]).astype(np.float32)  # one code is far out
    figure = decoded_grid(painted, z, side=5)
    (axes,) = figure.axes
    picture = to_pixels(figure)
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    for across, up in ((0.1, 0.1), (0.9, 0.1), (0.5, 0.5), (0.3, 0.9)):  # middles of pictures
        code = np.array(
            [[left + across * (right - left), bottom + up * (top - bottom)]], np.float32
        )
        x, y = at_points(figure, code)[0].astype(int)
        np.testing.assert_allclose(picture[y, x], painted(code)[0, 0, 0], atol=1)
    area = axes.get_window_extent()
    assert area.width % (5 * 3) == pytest.approx(0, abs=0.01)  # 5 pictures of 2 × 3
    assert area.height % (5 * 2) == pytest.approx(0, abs=0.01)
    assert -6 < left < -4 < 4 < right < 6
    assert -2 < bottom < 0 < 10 < top < 12
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "first number of the code",
        "second number of the code",
    )
    assert len(axes.get_xticks()) > 2


def test_a_grid_over_equal_codes_is_drawn_around_them() -> None:
    figure = decoded_grid(painted, np.full((3, 2), 2, np.float32), side=3)
    x, y = at_points(figure, np.array([[2, 2]], np.float32))[0].astype(int)
    assert to_pixels(figure)[y, x].tolist() == [120, 120, 0]


def test_what_is_no_picture_is_refused() -> None:
    signals = np.zeros((50, 9, 2), np.float32)
    with pytest.raises(OptionError, match="not signals"):
        thumbnails(mapped(50), signals)
    with pytest.raises(OptionError, match="not signals"):
        decoded_grid(lambda z: np.zeros((len(z), 9, 2), np.float32), np.zeros((4, 2), np.float32))
    with pytest.raises(OptionError, match="codes of 2 numbers"):
        decoded_grid(painted, np.zeros((4, 3), np.float32))

"""What layers see: every layer a row, its liveliest channels, each on its own scale."""

import io

import numpy as np
import pytest
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from isthmus import Samples, TrainedModel, TrainingConfig, load, train
from isthmus.viz.activations import layers
from isthmus.viz.canvas import to_png

Values = NDArray[np.float32]


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=60)


@pytest.fixture(scope="module")
def model(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    out = tmp_path_factory.mktemp("runs") / "digits"
    list(
        train(digits, "conv", out=out, code_size=3, config=TrainingConfig(epochs=1, batch_size=16))
    )
    return TrainedModel.load(out)


def shown(axes: Axes) -> NDArray[np.float64]:
    return np.ma.filled(np.ma.asarray(axes.images[0].get_array(), np.float64), np.nan)


def scale(axes: Axes) -> tuple[float, float, str]:
    low, high = axes.images[0].get_clim()
    assert low is not None
    assert high is not None
    return low, high, axes.images[0].get_cmap().name


def drawn(maps: list[tuple[str, Values]]) -> list[Axes]:
    """Return the axes of the layers, without those of the sample and the reconstruction."""
    digit = np.zeros((8, 8, 1), np.uint8)
    return layers("digit", digit, maps, digit).axes[1:-1]


def test_a_model_is_drawn_layer_by_layer(model: TrainedModel, digits: Samples) -> None:
    one, back = digits.values[:1], model.reconstruct(digits.values[:1])
    maps = [
        (layer.name, next(model.features(one, layer.name))[0].numpy()) for layer in model.layers
    ]
    figure = layers("digits/one.png", one[0], maps, back[0])
    titles = [axes.get_title("left") for axes in figure.axes]
    heads = [title.split(" · ")[0] for title in titles if title]
    assert heads == ["one.png", *(layer.name for layer in model.layers), "reconstruction"]
    np.testing.assert_array_equal(shown(figure.axes[0]), one[0, ..., 0])
    np.testing.assert_array_equal(shown(figure.axes[-1]), back[0, ..., 0])
    tops = [axes.get_position().y1 for axes in figure.axes]
    assert tops == sorted(tops, reverse=True)
    corners = [axes.get_position() for axes in figure.axes]
    assert all(0 <= place.x0 < place.x1 <= 1 and 0 <= place.y0 < place.y1 <= 1 for place in corners)


def test_the_sixteen_channels_that_vary_most_are_drawn_in_their_order() -> None:
    rng = np.random.default_rng(0)
    liveliness = rng.permutation(40).astype(np.float32)
    values = liveliness[:, None, None] * rng.choice([-1, 1], (40, 6, 6)).astype(np.float32)
    axes = drawn([("conv", values)])
    chosen = np.flatnonzero(liveliness >= 24)
    assert [int(one.get_xlabel()) for one in axes] == chosen.tolist()
    for one, channel in zip(axes, chosen, strict=True):
        np.testing.assert_array_equal(shown(one), values[channel])
    assert axes[0].get_title("left") == "conv · the 16 that vary most"
    assert "vary" not in drawn([("conv", values[:16])])[0].get_title("left")


def test_every_channel_has_its_own_scale_of_gray_or_around_zero() -> None:
    slope = np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6)
    channels = np.stack([slope + 2, 9 * slope - 3, slope - 0.1, -slope, 0 * slope])
    axes = drawn([("conv", channels)])
    found = [scale(one) for one in axes]
    expected = [
        (2, 3, "gray"),
        (-6, 6, "RdBu_r"),
        (-0.1, 0.9, "gray"),  # a little below zero, as after GELU
        (-1, 1, "RdBu_r"),
        (0, 0, "gray"),
    ]
    for (low, high, name), (low_expected, high_expected, name_expected) in zip(
        found, expected, strict=True
    ):
        assert name == name_expected
        assert low == pytest.approx(low_expected)
        assert high == pytest.approx(high_expected)


@pytest.mark.parametrize(
    ("size", "shape"),
    [(2, (1, 2)), (50, (1, 50)), (128, (2, 64)), (500, (4, 128)), (9999, (8, 1250))],
)
def test_a_dense_layer_is_a_compact_strip_around_zero(size: int, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=size).astype(np.float32)
    (axes,) = drawn([("dense", values)])
    cells = shown(axes)
    assert cells.shape == shape
    np.testing.assert_array_equal(cells.ravel()[:size], values)
    assert np.isnan(cells.ravel()[size:]).all()
    low, high, name = scale(axes)
    assert (-low, high, name) == (high, np.abs(values).max(), "RdBu_r")
    assert axes.get_position().height < 0.5


def test_channels_of_signals_are_curves() -> None:
    values = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    signal = np.zeros((30, 2), np.float32)
    axes = layers("wave", signal, [("conv", values)], signal).axes
    assert [len(one.lines) for one in axes] == [2, *[1] * 16, 2]
    chosen = [int(one.get_xlabel()) for one in axes[1:-1]]
    for one, channel in zip(axes[1:-1], chosen, strict=True):
        np.testing.assert_array_equal(np.asarray(one.lines[0].get_ydata()), values[channel])


@pytest.mark.parametrize("shape", [(1, 1, 300), (3, 200, 2), (1, 1, 1), (1,), (2, 1)])
def test_odd_shapes_can_be_drawn(shape: tuple[int, ...]) -> None:
    wide = np.zeros((4, 90, 3), np.uint8)
    content = to_png(layers("odd", wide, [("layer", np.zeros(shape, np.float32))], wide))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.width > 1000

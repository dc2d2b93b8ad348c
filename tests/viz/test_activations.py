"""What layers compute: every layer a row, the channels that vary most, each on its own scale."""

import io

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from isthmus import Samples, TrainedModel, TrainingConfig, load, train
from isthmus.viz.activations import layers
from isthmus.viz.canvas import INK, to_pixels, to_png
from looking import (
    Box,
    Pixels,
    assert_nothing_is_cut_off,
    cells,
    curve,
    frames,
    in_color,
    texts,
    words,
)

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


def rows(picture: Pixels) -> list[list[Box]]:
    """Return the frames of a picture, row by row."""
    found: dict[float, list[Box]] = {}
    for box in frames(picture):
        found.setdefault(box.top, []).append(box)
    return [found[top] for top in sorted(found)]


def drawn(maps: list[tuple[str, Values]]) -> tuple[Figure, Pixels, list[list[Box]]]:
    """Draw layers; return the frames of each, without the sample and the reconstruction."""
    digit = np.zeros((8, 8, 1), np.uint8)
    figure = layers("digit", digit, maps, digit)
    picture = to_pixels(figure)
    return figure, picture, rows(picture)[1:-1]


def colored(values: Values, low: float, high: float, colormap: str) -> NDArray[np.int64]:
    """Return what Matplotlib makes of values."""
    shares = (values.astype(np.float64) - low) / ((high - low) or 1)
    return np.asarray(colormaps[colormap](shares, bytes=True), np.int64)[..., :3]


def test_a_model_is_drawn_layer_by_layer(model: TrainedModel, digits: Samples) -> None:
    one, back = digits.values[:1], model.reconstruct(digits.values[:1])
    maps = [(layer.name, next(model.features(one, layer.name))[0]) for layer in model.layers]
    figure = layers("digits/one.png", one[0], maps, back[0])
    heads = [text.split(" · ")[0] for text in words(figure) if not text.isdigit()]
    assert heads == ["one.png", *(layer.name for layer in model.layers), "reconstruction"]
    picture = to_pixels(figure)
    boxes = rows(picture)
    assert len(boxes) == len(maps) + 2
    for box, image in ((boxes[0][0], one[0]), (boxes[-1][0], back[0])):
        np.testing.assert_array_equal(cells(picture, box, 8, 8), in_color(image))
    for (_, values), row in zip(maps, boxes[1:-1], strict=True):
        assert len(row) == (1 if values.ndim == 1 else min(16, len(values)))
    assert_nothing_is_cut_off(figure)


def test_the_sixteen_channels_that_vary_most_are_drawn_in_their_order() -> None:
    rng = np.random.default_rng(0)
    variation = rng.permutation(40).astype(np.float32)
    values = variation[:, None, None] * rng.choice([-1, 1], (40, 6, 6)).astype(np.float32)
    figure, picture, (boxes,) = drawn([("conv", values)])
    chosen = np.flatnonzero(variation >= 24)
    indices = [(text, place) for text, place in texts(figure) if text.isdigit()]
    assert [int(text) for text, _ in indices] == chosen.tolist()
    for box, channel, (_, place) in zip(boxes, chosen, indices, strict=True):
        expected = colored(values[channel], -variation[channel], variation[channel], "RdBu_r")
        np.testing.assert_array_equal(cells(picture, box, 6, 6), expected)
        assert place.top > box.bottom
        assert place.middle[0] == pytest.approx(box.middle[0], abs=1.5)
    assert "conv · the 16 that vary most" in words(figure)
    assert "conv" in words(drawn([("conv", values[:16])])[0])


def test_every_channel_has_its_own_scale_of_gray_or_around_zero() -> None:
    slope = np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6)
    channels = np.stack([slope + 2, 9 * slope - 3, slope - 0.1, -slope, 0 * slope])
    _, picture, (boxes,) = drawn([("conv", channels)])
    scales = [
        (2, 3, "gray"),
        (-6, 6, "RdBu_r"),
        (-0.1, 0.9, "gray"),  # a little below zero, as after GELU
        (-1, 1, "RdBu_r"),
        (0, 0, "gray"),
    ]
    for box, channel, (low, high, name) in zip(boxes, channels, scales, strict=True):
        expected = colored(channel, low, high, name)
        assert np.abs(cells(picture, box, 5, 6) - expected).max() <= 6  # a step of the colormap


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (2, (1, 2)),
        (50, (1, 50)),
        (128, (2, 64)),
        (500, (4, 128)),
        (9999, (8, 1250)),
        (40_000, (26, 1584)),
    ],
)
def test_a_dense_layer_is_a_compact_strip_around_zero(size: int, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=size).astype(np.float32)
    _, picture, ((box,),) = drawn([("dense", values)])
    shown = cells(picture, box, *shape).reshape(-1, 3)
    scale = float(np.abs(values).max())
    assert np.abs(shown[:size] - colored(values, -scale, scale, "RdBu_r")).max() <= 6
    assert (shown[size:] == 255).all()
    assert box.height < 0.25 * picture.shape[0]


def test_channels_of_signals_are_curves() -> None:
    values = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32).cumsum(1)
    signal = np.zeros((30, 2), np.float32)
    figure = layers("wave", signal, [("conv", values)], signal)
    picture = to_pixels(figure)
    first, boxes, last = rows(picture)
    assert (len(first), len(boxes), len(last)) == (1, 16, 1)
    chosen = [int(text) for text in words(figure) if text.isdigit()]
    for box, channel in zip(boxes, chosen, strict=True):
        heights = curve(picture, box, INK)
        expected = np.interp(np.linspace(0, 29, len(heights)), np.arange(30), values[channel])
        seen = np.isfinite(heights)
        assert np.corrcoef(heights[seen], expected[seen])[0, 1] > 0.97


@pytest.mark.parametrize("shape", [(1, 1, 300), (3, 200, 2), (1, 1, 1), (1,), (2, 1), (90_000,)])
def test_odd_shapes_can_be_drawn(shape: tuple[int, ...]) -> None:
    wide = np.zeros((4, 90, 3), np.uint8)
    content = to_png(layers("odd", wide, [("layer", np.zeros(shape, np.float32))], wide))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.width > 1000

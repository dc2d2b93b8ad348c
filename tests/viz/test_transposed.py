"""A transposed convolution worked out: the numbers are those of the layer, and all are drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from looking import assert_nothing_is_cut_off, rgb, texts
from numpy.typing import NDArray
from PIL import Image

from isthmus.models.transposed import contributions
from isthmus.viz.canvas import DISTINCT, to_pixels
from isthmus.viz.transposed import transposed
from test_cli import done, isthmus

Matrix = NDArray[np.float64]


@pytest.mark.parametrize(
    ("sides", "kernel"), [((2, 2), (2, 2)), ((2, 3), (3, 3)), ((1, 4), (2, 3))]
)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_sum_is_what_the_layer_computes(
    sides: tuple[int, int], kernel: tuple[int, int], stride: int
) -> None:
    draw = np.random.default_rng(0)
    x, weights = draw.normal(size=sides), draw.normal(size=kernel)
    expected = torch.conv_transpose2d(
        torch.from_numpy(x)[None, None], torch.from_numpy(weights)[None, None], stride=stride
    )
    np.testing.assert_allclose(
        np.sum(contributions(x, weights, stride), axis=0), expected[0, 0].numpy()
    )


def test_each_number_adds_the_kernel_times_itself() -> None:
    first, second = contributions(np.array([[1.0, 2.0]]), np.ones((1, 2)), 2)
    assert first.tolist() == [[1, 1, 0, 0]]
    assert second.tolist() == [[0, 0, 2, 2]]


@pytest.mark.parametrize("stride", [1, 2])
def test_the_picture_shows_every_number_and_cuts_none_off(stride: int) -> None:
    x, kernel = np.array([[1.0, 2.0], [3.0, 4.0]]), np.full((2, 2), 7.0)
    added = contributions(x, kernel, stride)
    figure = transposed(x, kernel, added)
    written = texts(figure)
    numbers = [text for text, _ in written if text.lstrip("-").isdigit()]
    expected = [*x.flat, *kernel.flat, *added.sum(0).flat, *added[added != 0].flat]
    assert sorted(numbers) == sorted(f"{value:g}" for value in expected)
    titles = [text for text, _ in written if not text.isdigit()]
    assert [t for t in titles if len(t) > 1][3:] == [f"{value:g} × kernel" for value in x.flat]
    assert [t for t in titles if len(t) == 1] == ["∗", "=", "+", "+", "+"]
    assert_nothing_is_cut_off(figure)
    picture = to_pixels(figure)
    for text, color in (("7", 0), ("14", 1), ("21", 2), ("28", 3)):
        boxes = [place for one, place in written if one == text][-4:]
        for box in boxes:  # each number adds in its own color
            blended = 255 - (255 - np.array(rgb(DISTINCT[color]))) / 3
            corner = picture[int(box.top) - 8, int(box.left) - 8]
            assert np.abs(corner - blended).max() < 2


def test_the_command_prints_the_result_and_draws_it(tmp_path: Path) -> None:
    out = tmp_path / "worked.png"
    command = ("transposed", "1 2; 3 4", "1 1; 1 1", "--stride", 2, "--out", out)
    result = json.loads(done(*command, "--json").out)
    assert result["result"] == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    with Image.open(out) as picture:
        assert picture.format == "PNG"
    assert done(*command).out.split()[:4] == ["1", "1", "2", "2"]


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("1 2; 3", "1"), "'1 2; 3'"),
        (("1 2", "one"), "'one'"),
        (("", "1"), "''"),
        ((" ".join("1" * 17), "1"), "16 numbers"),
        (("1", "1", "--stride", 0), "stride"),
        (("1", "1", "--out", "picture.jpg"), "picture.jpg"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: tuple[object, ...], culprit: str) -> None:
    outcome = isthmus("transposed", *arguments)
    assert outcome.code == 2
    assert culprit in outcome.err

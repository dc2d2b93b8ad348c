"""A transposed convolution worked out: the numbers are those of the layer, and all are drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from isthmus.viz.transposed import stamps, transposed
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
    np.testing.assert_allclose(np.sum(stamps(x, weights, stride), axis=0), expected[0, 0].numpy())


def test_each_number_adds_the_kernel_times_itself() -> None:
    first, second = stamps(np.array([[1.0, 2.0]]), np.ones((1, 2)), 2)
    assert first.tolist() == [[1, 1, 0, 0]]
    assert second.tolist() == [[0, 0, 2, 2]]


def test_the_picture_shows_every_number_and_cuts_none_off() -> None:
    x, kernel = np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((3, 3))
    figure = transposed(x, kernel, 2)
    assert len(figure.axes) == 3 + x.size  # input, kernel, result, and what each number adds
    drawn = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert drawn[0] == ["1", "2", "3", "4"]
    assert drawn[2] == [f"{value:g}" for value in np.sum(stamps(x, kernel, 2), axis=0).flat]
    assert [len(numbers) for numbers in drawn[3:]] == [kernel.size] * x.size
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box is not None
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height


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

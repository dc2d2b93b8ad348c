"""A worked transposed convolution: all its numbers are drawn, and the command prints the result."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.models.transposed import contributions
from isthmus.viz.canvas import DISTINCT, to_pixels
from isthmus.viz.transposed import transposed
from looking import assert_nothing_is_cut_off, rgb, texts
from test_cli import done, isthmus


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
        (("", "1"), "is empty"),
        ((" ".join("1" * 17), "1"), "16 numbers"),
        (("1", "1", "--stride", 0), "stride"),
        (("1", "1", "--out", "picture.jpg"), "picture.jpg"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: tuple[object, ...], culprit: str) -> None:
    outcome = isthmus("transposed", *arguments)
    assert outcome.code == 2
    assert culprit in outcome.err

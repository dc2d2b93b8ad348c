"""What all pictures share: text of any script, PNG files, and drawing in many threads."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from isthmus import load
from isthmus.errors import OptionError
from isthmus.viz import activations, classes, curves, grids, maps, masks, strips, transposed
from isthmus.viz.canvas import (
    DPI,
    blank_figure,
    shorten,
    to_pixels,
    to_png,
    write_png,
)
from isthmus.viz.fonts import REPLACEMENT, drawable, explain_numbers, forget_numbers
from looking import assert_nothing_is_cut_off, noise, words

NAMES = (
    "$x$",
    "$\\frac{1}$",  # no valid formula
    "100% $5 & $6",
    "\N{CJK UNIFIED IDEOGRAPH-732B}\N{CJK UNIFIED IDEOGRAPH-54AA}",
    "\N{ARABIC LETTER QAF}\N{ARABIC LETTER TAH}\N{ARABIC LETTER TEH MARBUTA}",
    "_hidden",
    "tab\tand \x07",
    "\N{CAT FACE}",
    "Adrien_Brody_and_others_in_a_long_name.jpg",
    "\N{CJK UNIFIED IDEOGRAPH-732B}" * 30,
)


def pictures(names: tuple[str, ...]) -> dict[str, Callable[[], Figure]]:
    """Give every kind of picture, with names wherever it has some."""
    count = len(names)
    images, labels = noise(count, 8, 8, 1), np.arange(count)
    mask = np.resize(labels, (1, 8, 8)).astype(np.uint8)
    codes = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    history: list[dict[str, Any]] = [
        {"epoch": epoch, "loss": 1 / epoch**2, "validation_loss": 1 / epoch} for epoch in (1, 2, 3)
    ]
    points: Any = SimpleNamespace(
        method="pca",
        xy=codes[:, :2],
        labels=labels,
        class_names=names,
        fitted=np.ones(count, np.bool_),
        explained=(0.5, 0.25),
    )
    values = np.array([[1.0, 2.0]])
    features = noise(3, 6, 6, seed=1).astype(np.float32)
    shares = np.linspace(0.1, 0.9, 9)
    bins: Any = SimpleNamespace(confidence=shares, accuracy=shares, count=labels + 1, error=0.125)
    return {
        "reconstructions": lambda: grids.reconstruction_grid(images, codes, images, names),
        "rows": lambda: grids.rows_of_samples(
            [(name, images[:1]) for name in names], [[shorten(name)] for name in names]
        ),
        "samples": lambda: classes.labeled_samples(list(images), [shorten(n) for n in names]),
        "confusion": lambda: classes.confusion(np.eye(count, dtype=int), names, names[0]),
        "reliability": lambda: classes.reliability(bins, names[0]),
        "scatter": lambda: maps.scatter(points, names[0]),
        "thumbnails": lambda: maps.thumbnails(points, images, names[0]),
        "decoded": lambda: maps.decoded_grid(
            lambda z: np.resize(images, (len(z), 8, 8, 1)), codes[:, :2], 4, names[0]
        ),
        "masks": lambda: masks.segmentations(images[:1], mask, names, mask[:, ::-1]),
        "layers": lambda: activations.layers(
            names[0], images[0], [(name, features) for name in names], None
        ),
        "strip": lambda: strips.strip(images[0], images[1], images[2:]),
        "sheet": lambda: strips.sheet(images, 1, count),
        "curves": lambda: curves.curves(history, names[0]),
        "compared": lambda: curves.validation_curves(dict.fromkeys(names, history)),
        "transposed": lambda: transposed.transposed(values, values, values[None].repeat(2, 0)),
    }


KINDS = list(pictures(NAMES))


@pytest.mark.parametrize("first", [1, 3, 6])  # of the names; it is a title too
@pytest.mark.parametrize("kind", KINDS)
def test_any_name_can_be_drawn_without_a_warning(kind: str, first: int) -> None:
    to_png(pictures(NAMES[first:] + NAMES[:first])[kind](), 50)  # a warning is an error here


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "strip"])
def test_nothing_is_cut_off_and_no_formula_is_read(kind: str) -> None:
    figure = pictures(NAMES)[kind]()
    assert_nothing_is_cut_off(figure)
    if kind in ("reconstructions", "rows", "samples", "confusion", "scatter", "masks", "compared"):
        assert {"$x$", "100% $5 & $6", "_hidden"} <= set(words(figure))


def test_a_formula_is_drawn_as_its_letters() -> None:
    plain, formula = (
        to_pixels(grids.rows_of_samples([(name, noise(1, 8, 8, 1))])) for name in ("|x|", "$x$")
    )
    assert formula.shape[1] > plain.shape[1]  # "$" is wider than "|"


def test_wide_letters_count_twice() -> None:
    cat = "\N{CJK UNIFIED IDEOGRAPH-732B}"
    assert (shorten(cat * 8), shorten(cat * 9)) == (cat * 8, cat * 7 + "…")
    assert (shorten("a" * 16), shorten("a" * 17)) == ("a" * 16, "a" * 15 + "…")


def test_characters_that_no_font_has_become_squares() -> None:
    assert drawable("café\n2") == "café\n2"
    assert drawable("a\ue000\x07\tb") == f"a{REPLACEMENT * 3}b"


def test_letters_that_no_font_has_become_numbers_with_a_key() -> None:
    forget_numbers()
    strange, other = "\U00018cff\U00018cfe", "\U0001b2f0"  # Khitan and Nushu, which few fonts have
    texts = [f"{strange} 90%\nis {other}", f"{other}.png", "plain"]
    if any(letter in drawable(text) for text in texts for letter in strange + other):
        pytest.skip("a font of this machine has them")
    assert [drawable(text) for text in texts] == ["[1] 90%\nis [2]", "[2].png", "plain"]
    assert f"[1] {strange}, [2] {other}." in (explain_numbers() or "")
    forget_numbers()
    assert explain_numbers() is None


def test_many_threads_draw_the_same_as_one() -> None:
    jobs = list(pictures(NAMES).values())
    alone = [to_png(job()) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: to_png(job()), jobs * 2))
    assert together == alone * 2


@pytest.mark.parametrize("width", range(1080, 1120))
def test_a_figure_has_the_pixels_that_it_is_made_for(width: int) -> None:
    assert to_pixels(blank_figure(width / DPI, 0.7)).shape == (105, width, 3)


def test_a_picture_is_written_as_png_and_nothing_else(tmp_path: Path) -> None:
    write_png(tmp_path / "made" / "one.PNG", blank_figure(1, 1))
    with Image.open(tmp_path / "made" / "one.PNG") as picture:
        assert (picture.format, picture.size) == ("PNG", (DPI, DPI))
        assert picture.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
    with pytest.raises(OptionError, match=r"one\.jpg"):
        write_png(tmp_path / "one.jpg", blank_figure(1, 1))


def test_a_png_file_holds_the_pixels_of_the_figure() -> None:
    figure = grids.rows_of_samples([("digits", load("digits", limit=3).values)])
    with Image.open(io.BytesIO(to_png(figure))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), to_pixels(figure))

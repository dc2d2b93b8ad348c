"""Tables of text in all dialects: which column is the label, and what is said about it."""

import bz2
import lzma
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import isthmus
from isthmus.data.reading import Reading
from isthmus.errors import OptionError, SourceError

Refused = Callable[..., AbstractContextManager[None]]

DRAW = np.random.default_rng(3)
COUNT, SIDE = 24, 4
IMAGES = DRAW.integers(0, 256, (COUNT, SIDE, SIDE)).astype(np.uint8)
PIXELS = IMAGES.reshape(COUNT, -1)
LABELS = np.arange(COUNT) % 3
WORDS = np.array(["ant", "bee", "cat"])[LABELS]
NAMES = [f"pixel{i}" for i in range(SIDE**2)]


def table(*columns: Any, header: Sequence[str] = (), sep: str = ",", end: str = "\n") -> str:
    """Return rows of columns (N,) or (N, F), below a header."""
    cells = np.concatenate([np.reshape(column, (COUNT, -1)).astype(str) for column in columns], 1)
    return "".join(sep.join(row) + end for row in ([header] if header else []) + cells.tolist())


def load(
    tmp_path: Path, content: str | bytes, name: str = "a.csv", reading: Reading | None = None
) -> isthmus.Samples:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return isthmus.load(path, reading=reading)


def codes(samples: isthmus.Samples) -> set[str]:
    assert samples.report is not None
    return {note.code for note in samples.report.guesses}


def assert_labeled(samples: isthmus.Samples, classes: Sequence[str] = ("0", "1", "2")) -> None:
    assert np.array_equal(samples.values[..., 0], IMAGES)
    assert samples.class_names == tuple(classes)
    assert samples.labels is not None
    assert np.array_equal(samples.labels, LABELS)


NAMED = table(LABELS, PIXELS, header=["label", *NAMES])


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (NAMED.replace("\n", "\r").encode(), "a.csv"),
        ((b"\xef\xbb\xbf" + NAMED.encode()), "a.csv"),
        (NAMED.encode("utf-16"), "a.csv"),
        (bz2.compress(NAMED.encode()), "a.csv.bz2"),
        (lzma.compress(NAMED.encode()), "a.csv.xz"),
        (NAMED.replace(",", ";").encode(), "a.csv"),
        (NAMED.replace(",", "\t").encode(), "a.tsv"),
        (NAMED.replace(",", "|").encode(), "a.txt"),
        (NAMED.replace(",", "   ").encode(), "a.txt"),
        (NAMED.replace(",", " , ").encode(), "a.csv"),
        (("# " + NAMED).encode(), "a.csv"),
        (("sep=;\n" + NAMED.replace(",", ";")).encode(), "a.csv"),
        (NAMED.replace("\n", ",\n").encode(), "a.csv"),
        (("\n\n" + NAMED.replace("\n", "\n\n")).encode(), "a.csv"),
        (NAMED.replace("label", " Label ", 1).encode(), "a.csv"),
    ],
)
def test_tables_of_many_dialects_are_the_same(content: bytes, name: str, tmp_path: Path) -> None:
    assert_labeled(load(tmp_path, content, name))


def test_what_is_not_separated_by_commas_is_said(tmp_path: Path) -> None:
    samples = load(tmp_path, NAMED.replace(",", ";"))
    assert codes(samples) == {"dialect"}
    assert "semicolons" in str(samples.report)
    assert codes(load(tmp_path, NAMED)) == set()


def test_numbers_and_words_may_be_in_quotes(tmp_path: Path) -> None:
    quoted = [[f'"{cell}"' for cell in row] for row in PIXELS]
    words = [f'"a {word}, ""so"""' for word in WORDS]
    samples = load(tmp_path, table(words, quoted, header=['"label"', *NAMES]))
    assert_labeled(samples, ['a ant, "so"', 'a bee, "so"', 'a cat, "so"'])


@pytest.mark.parametrize("place", ["first", "last"])
def test_the_numbers_tell_which_end_is_the_label(place: str, tmp_path: Path) -> None:
    columns = (LABELS, PIXELS) if place == "first" else (PIXELS, LABELS)
    samples = load(tmp_path, table(*columns))
    assert_labeled(samples)
    assert f"the {place} column is taken for the label" in str(samples.report)


def test_a_label_that_may_be_at_both_ends_is_asked_for(tmp_path: Path, refused: Refused) -> None:
    text = table(LABELS, PIXELS[:, 1:], LABELS[::-1])
    with refused(
        SourceError, "no column called label", "--label-column first", "--label-column last"
    ):
        load(tmp_path, text)
    assert_first = load(tmp_path, text, reading=Reading(label_column="first"))
    assert assert_first.labels is not None
    assert np.array_equal(assert_first.labels, LABELS)
    last = load(tmp_path, text, reading=Reading(label_column="last"))
    assert last.labels is not None
    assert np.array_equal(last.labels, LABELS[::-1])


@pytest.mark.parametrize("title", ["Y", "Targets", "class-label", "Emotion", "digit"])
def test_labels_have_many_names(title: str, tmp_path: Path) -> None:
    assert_labeled(load(tmp_path, table(PIXELS, LABELS, header=[*NAMES, title])))


@pytest.mark.parametrize("given", ["result", "17", "last"])
def test_a_label_column_can_be_given(given: str, tmp_path: Path) -> None:
    text = table(PIXELS, LABELS, header=[*NAMES, "result"])
    samples = load(tmp_path, text, reading=Reading(label_column=given))
    assert_labeled(samples)
    assert codes(samples) == set()
    assert "label-column" in codes(load(tmp_path, text))


def test_a_label_column_can_be_refused(tmp_path: Path, refused: Refused) -> None:
    samples = load(tmp_path, NAMED, reading=Reading(label_column="none"))
    assert samples.labels is None
    assert "label" in str(samples.report)
    with refused(OptionError, "no column 'other'", "pixel3"):
        load(tmp_path, NAMED, reading=Reading(label_column="other"))


@pytest.mark.parametrize("header", [False, True])
def test_labels_may_be_words(header: bool, tmp_path: Path) -> None:
    text = table(PIXELS, WORDS, header=[*NAMES, "label"] if header else [])
    assert_labeled(load(tmp_path, text), ["ant", "bee", "cat"])


def test_words_of_windows_are_read_and_said(tmp_path: Path) -> None:
    text = NAMED.replace("\n1,", "\nKäfer,").encode("cp1252")
    samples = load(tmp_path, text)
    assert "Käfer" in samples.class_names
    assert codes(samples) == {"encoding"}


def test_columns_that_number_or_name_the_rows_are_left_out(tmp_path: Path) -> None:
    files = [f"{i}.png" for i in range(COUNT)]
    header = ["", "filename", "label", *NAMES]
    samples = load(tmp_path, table(np.arange(COUNT), files, LABELS, PIXELS, header=header))
    assert_labeled(samples)
    assert samples.report is not None
    assert [(left.count, left.examples) for left in samples.report.left_out] == [
        (2, ("column 1", "filename"))
    ]


def test_a_header_may_count_the_pixels_and_name_the_label(tmp_path: Path) -> None:
    numbers = [str(i) for i in range(SIDE**2)]
    assert_labeled(
        load(tmp_path, table(PIXELS, WORDS, header=[*numbers, "class"])), ("ant", "bee", "cat")
    )
    assert_labeled(
        load(tmp_path, table(WORDS, PIXELS, header=["result", *numbers])), ("ant", "bee", "cat")
    )


def test_a_header_of_numbers_is_one(tmp_path: Path) -> None:
    samples = load(tmp_path, table(PIXELS, header=[str(i) for i in range(SIDE**2)]))
    assert np.array_equal(samples.values[..., 0], IMAGES)
    assert "header" in codes(samples)


def test_all_pixels_may_be_in_one_column(tmp_path: Path) -> None:
    cells = [" ".join(map(str, row)) for row in PIXELS]
    usage = np.array(["Training", "PublicTest", "PrivateTest"])[np.arange(COUNT) // 8]
    samples = load(tmp_path, table(LABELS, cells, usage, header=["emotion", " pixels", " Usage"]))
    assert_labeled(samples)
    assert samples.splits is not None
    assert samples.splits.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    lists = [f'"[{", ".join(map(str, row))}]"' for row in PIXELS]
    assert_labeled(load(tmp_path, table(lists, LABELS, header=["image", "class"])))


def test_a_part_of_an_unknown_name_is_refused(tmp_path: Path, refused: Refused) -> None:
    parts = ["train"] * (COUNT - 1) + ["rest"]
    with refused(SourceError, "line 25 has the part 'rest'"):
        load(tmp_path, table(LABELS, PIXELS, parts, header=["label", *NAMES, "split"]))


def test_numbers_among_words_are_said(tmp_path: Path) -> None:
    samples = load(tmp_path, NAMED.replace("\n1,", "\none,", 1))
    assert samples.report is not None
    assert [note.code for note in samples.report.warnings][:1] == ["mixed-labels"]


def test_classes_below_zero_are_no_pixels(tmp_path: Path) -> None:
    samples = load(tmp_path, table(np.where(LABELS, 1, -1), PIXELS))
    assert samples.class_names == ("-1", "1")


def test_a_cell_with_fewer_pixels_is_named(tmp_path: Path, refused: Refused) -> None:
    cells = [" ".join(map(str, row[: 15 if i == 20 else 16])) for i, row in enumerate(PIXELS)]
    with refused(SourceError, "line 22", "15 values where 16 are expected"):
        load(tmp_path, table(LABELS, cells, header=["emotion", "pixels"]))


@pytest.mark.parametrize("order", ["planes", "pixels"])
def test_colors_are_found_in_both_orders(order: str, tmp_path: Path) -> None:
    ramp = np.linspace(0, 120, 6)
    images = ramp[:, None, None] + ramp[None, :, None] / 2 + np.array([0, 60, 10])
    images = (images[None] + np.arange(COUNT)[:, None, None, None]).astype(np.uint8)
    stored = images.transpose(0, 3, 1, 2) if order == "planes" else images
    text = table(LABELS, stored.reshape(COUNT, -1), header=["label", *map(str, range(108))])
    samples = load(tmp_path, text)
    assert np.array_equal(samples.values, images)
    assert codes(samples) == {"colors"}
    place = "first" if order == "planes" else "last"
    asked = load(tmp_path, text, reading=Reading(channels=place))
    assert np.array_equal(asked.values, images)
    assert codes(asked) == set()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.where(PIXELS > 250, 255.0001, PIXELS), "clipped"),
        (np.where(PIXELS == 0, -1e-7, PIXELS), "clipped"),
        (PIXELS / 255 * 1.0000001, "fractions"),
        (np.clip(PIXELS + 0.2, 0, 255), "float-pixels"),
    ],
)
def test_numbers_near_the_scale_are_pixels(values: NDArray[Any], code: str, tmp_path: Path) -> None:
    samples = load(tmp_path, table(LABELS, values, header=["label", *NAMES]))
    expected = PIXELS if code != "clipped" else np.clip(np.rint(values), 0, 255)
    assert np.array_equal(samples.values.reshape(COUNT, -1), expected)
    assert code in codes(samples)


def test_decimal_commas_are_read(tmp_path: Path) -> None:
    cells = np.char.replace((PIXELS / 255).astype(str), ".", ",")
    assert_labeled(load(tmp_path, table(LABELS, cells, header=["label", *NAMES], sep=";")))


def test_other_ranges_are_stretched_if_asked(tmp_path: Path, refused: Refused) -> None:
    text = table(LABELS, PIXELS.astype(int) * 16, header=["label", *NAMES])
    with refused(SourceError, "row 1 of the data", "--stretch 0:4095"):
        load(tmp_path, text)
    samples = load(tmp_path, text, reading=Reading(stretch="0:4080"))
    assert_labeled(samples)
    assert samples.origin.preprocessing.stretch == (0, 4080)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (table(PIXELS[:, :14]), ["14 pixels a row", "3×3", "4×4"]),
        (NAMED.replace("\n1,", "\n,", 1), ["line 3 has no label"]),
        (NAMED + "1,2\n", ["line 26 has 2 values where 17 are expected"]),
        (NAMED.replace("\n1,", "\n\x121,", 1), ["line 3", "'\\x121'"]),
        (NAMED.encode() + b"\0" * 9, ["line 26"]),
        (bytes(range(256)), ["no text"]),
        ("1" * (2**24 + 1), ["over 4,194,304 characters"]),
        ("this is\nno table at all\n", ["no picture"]),
        (table(LABELS * np.nan, PIXELS, header=["label", *NAMES]), ["not whole numbers"]),
    ],
)
def test_tables_that_cannot_be_understood_are_refused(
    content: str | bytes, said: list[str], tmp_path: Path, refused: Refused
) -> None:
    with refused(SourceError, tmp_path / "a.csv", *said):
        load(tmp_path, content)

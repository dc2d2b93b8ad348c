"""The reading report: what was found, left out and understood, and what looks wrong."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus import IsthmusError, Items, Reading, ReadingReport, Samples, check_data, load
from isthmus.data.reading import LeftOut
from isthmus.data.report import MAX_LINES
from isthmus.data.survey import find_duplicates, quick_checksums, report_of

SIZE = (20, 24)


def draw(path: Path, seed: int = 0, size: tuple[int, int] = SIZE, high: int = 256) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, high, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def draw_all(folder: Path, names: Sequence[str], count: int = 4, high: int = 256) -> Path:
    """Draw different pictures into the folders of these names."""
    for i, name in enumerate(names):
        for j in range(count):
            draw(folder / name / f"{j}.png", 100 * i + j, high=high)
    return folder


def labeled(names: Sequence[str], count: int = 4) -> Samples:
    """Return an array of noise with so many samples of each class."""
    values = np.random.default_rng(0).integers(0, 256, (count * len(names), 5, 5, 1), np.uint8)
    labels = np.arange(len(values)) % len(names)
    return Samples(values, Items([str(i) for i in range(len(values))], labels, tuple(names)))


def codes(report: ReadingReport) -> list[str]:
    return [note.code for note in report.notes]


def text_of(report: ReadingReport, code: str) -> str:
    """Return the one note of a code, with its way out."""
    (note,) = [note for note in report.notes if note.code == code]
    return f"{note.text} ({note.way_out})"


# -- what was read ----------------------------------------------------------------------------


def test_the_report_counts_what_was_found(tmp_path: Path) -> None:
    folder = draw_all(tmp_path, ["train/cat", "train/dog", "test/cat", "test/dog"], 6)
    Image.new("RGB", SIZE[::-1], "red").save(folder / "train/dog/9.jpg")
    (folder / "test/dog/5.png").write_bytes(b"no picture")
    report = load(folder).report
    assert report is not None
    assert (report.count, report.description) == (24, "24 images of 20 × 24, RGB, 2 classes")
    assert report.suffixes == {".png": 23, ".jpg": 1}
    assert report.folders == {"train/": 13, "test/": 11}
    assert report.classes == {"cat": 12, "dog": 12}
    assert report.splits == {"train": 13, "test": 11}
    assert (report.low, report.high) == (0, 255)
    (broken,) = report.left_out
    assert broken.reason.startswith("broken (")
    assert (broken.count, broken.examples) == (1, ("test/dog/5.png",))
    assert "1 skipped as broken, such as test/dog/5.png (" in report.summary()[0]


def test_a_second_opening_says_the_same(tmp_path: Path, cache: Path) -> None:
    folder = draw_all(tmp_path, ["a", "b"])
    first, second = load(folder).report, load(folder).report
    assert first is not None
    assert second is not None
    assert first is not second
    assert first.to_json() == second.to_json()
    # With the size that came out, the entry is shared.
    assert load(folder, size=SIZE).report is not None


def test_a_report_survives_json(tmp_path: Path) -> None:
    report = check_data(draw_all(tmp_path, ["a", "b"], high=9))
    assert "low-range" in codes(report)
    again = ReadingReport.from_json(json.loads(json.dumps(report.to_json())))
    assert again.to_json() == report.to_json()
    assert f"{again}" == f"{report}"
    # Of another version, with fields more and fields less.
    other = {**report.to_json(), "moon": "full"}
    del other["turned"]
    assert ReadingReport.from_json(other).to_json() == report.to_json()
    with pytest.raises(IsthmusError, match="reading report"):
        ReadingReport.from_json({"source": "x"})


def test_the_fingerprint_does_not_depend_on_the_report(tmp_path: Path) -> None:
    samples = load(draw_all(tmp_path, ["a", "b"]))
    assert Samples(samples.values, samples.items).fingerprint == samples.fingerprint
    assert samples.take(np.arange(2)).report is samples.report


def test_masks_tell_their_values(tmp_path: Path) -> None:
    for i in range(3):
        draw(tmp_path / "images" / f"{i}.png", i)
        mask = np.full(SIZE, 255, np.uint8)
        mask[:4], mask[4:8] = 0, 2
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
    (tmp_path / "classes.txt").write_text("road\ncar\ntree\n")
    report = check_data(tmp_path)
    assert report.masks == (0, 2, 255)
    assert report.mask_classes == ("road", "car", "tree")
    assert "values 0, 2, 255; classes road, car, tree" in f"{report}"


def test_arrays_and_signals_are_checked_without_files() -> None:
    waves = np.random.default_rng(0).normal(size=(9, 30, 1)).astype(np.float32)
    waves[4] = 0.25
    report = check_data(waves)
    assert report.count == 9
    assert report.sizes == report.suffixes == {}
    assert "4 (all 0.25)" in text_of(report, "blank")
    # Of an array that can be read in one way only, nothing is computed before it is asked for.
    assert load(np.zeros((2, 9, 9, 3), np.uint8)).report is None


def test_a_single_picture_is_checked_with_its_file(tmp_path: Path) -> None:
    draw(tmp_path / "one.png")
    report = check_data(tmp_path / "one.png")
    assert (report.suffixes, report.sizes) == ({".png": 1}, {"20 × 24": 1})
    pages = [Image.new("L", (9, 8), color) for color in (0, 90, 255)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    stack = load(tmp_path / "stack.tif").report
    assert stack is not None
    assert "which has 3" in text_of(stack, "pages")
    assert check_data(tmp_path / "stack.tif").to_json() == stack.to_json()
    report = check_data(tmp_path / "stack.tif", reading=Reading(pages="all"))
    assert (report.count, report.suffixes) == (3, {".tif": 1})


def test_names_stay_in_their_lines(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a\nb", "\x1b[31m"])
    text = f"{check_data(tmp_path)}"
    assert "a\\nb: 4" in text
    assert "\x1b" not in text


def test_pictures_of_many_sizes_are_listed_not_refused(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a", "b"])
    draw(tmp_path / "b/large.png", 9, (40, 50))
    (tmp_path / "b/broken.png").write_bytes(b"no picture")
    with pytest.raises(IsthmusError, match="differ in size"):
        load(tmp_path, limit=None)
    for i in range(10):  # so that not too many are broken
        draw(tmp_path / "a" / f"more{i}.png", 50 + i)
    draw(tmp_path / "a/same.png", 50)
    report = check_data(tmp_path)
    assert report.description == "20 images of 2 sizes, RGB, 2 classes"
    assert report.classes == {"a": 15, "b": 5}
    text = text_of(report, "odd-sizes")
    assert "b/large.png (40 × 50)" in text
    assert "--size" in text
    assert report.sizes == {"20 × 24": 19, "40 × 50": 1}
    assert "a/more0.png and a/same.png" in text_of(report, "duplicates")
    assert "1 broken" in f"{report}"
    assert check_data(tmp_path, size=32).description == "20 images of 32 × 32, RGB, 2 classes"


def test_half_of_another_size_is_not_odd(tmp_path: Path) -> None:
    for i in range(8):
        draw(tmp_path / f"{i}.png", i, (20, 24) if i % 2 else (24, 20 + i))
    report = check_data(tmp_path)
    assert codes(report) == ["sizes"]
    assert report.size_range == ("24 × 20", "24 × 26")
    assert "5 sizes" in text_of(report, "sizes")


# -- what looks wrong -------------------------------------------------------------------------


def test_a_plain_source_has_no_notes(tmp_path: Path) -> None:
    report = check_data(draw_all(tmp_path, ["train/a", "train/b", "test/a", "test/b"]))
    assert report.notes == ()
    assert report.summary() == [report.description]


@pytest.mark.parametrize(
    "names",
    [
        ("training_set", "test_set"),
        ("train", "test1"),
        ("good", "ground_truth"),
        ("imgs", "masks"),
        ("Test Set", "Train Set"),
        ("val2017", "cat"),
    ],
    ids="-".join,
)
def test_parts_that_became_classes_are_named(names: tuple[str, str]) -> None:
    text = text_of(report_of(labeled(names)), "parts-as-classes")
    assert names[1] in text or names[0] in text
    assert "--classes-from" in text


@pytest.mark.parametrize(
    "names", [("trainer", "tester"), ("labelled", "imagery"), ("maskray", "x")]
)
def test_other_names_are_classes(names: tuple[str, str]) -> None:
    assert "parts-as-classes" not in codes(report_of(labeled(names)))


def test_one_class_and_imbalance_are_told(tmp_path: Path) -> None:
    assert "cat" in text_of(check_data(draw_all(tmp_path / "one", ["cat"])), "one-class")
    draw_all(tmp_path / "two", ["cat"], 20)
    draw_all(tmp_path / "two", ["dog"], 1)
    text = text_of(check_data(tmp_path / "two"), "imbalance")
    assert "cat has 20 samples and dog 1" in text


def test_a_class_without_training_samples_is_told(tmp_path: Path) -> None:
    report = check_data(draw_all(tmp_path, ["train/a", "train/b", "test/a", "test/c"]))
    assert "c;" in text_of(report, "unseen-class")


def test_the_same_picture_in_two_splits_is_found(tmp_path: Path) -> None:
    draw_all(tmp_path, ["train/a", "train/b", "test/a", "test/b"])
    for name in ("train/a/same.png", "test/a/same.png", "train/b/1copy.png", "train/b/2copy.png"):
        draw(tmp_path / name, 7 if "same" in name else 8)
    report = check_data(tmp_path)
    text = text_of(report, "shared-by-splits")
    assert "1 sample is" in text
    assert "train/a/same.png (train)" in text
    assert "test/a/same.png (test)" in text
    text = text_of(report, "duplicates")
    assert "train/b/1copy.png and train/b/2copy.png" in text


def test_blank_pictures_are_no_duplicates(tmp_path: Path) -> None:
    draw_all(tmp_path, [""], 9)
    for name in ("x", "y"):
        Image.new("RGB", SIZE[::-1], (7, 7, 7)).save(tmp_path / f"{name}.png")
    report = check_data(tmp_path)
    assert codes(report) == ["blank"]
    assert "2 samples are blank, such as x.png (all 7)" in text_of(report, "blank")


def test_values_that_fill_little_of_the_scale_are_told(tmp_path: Path) -> None:
    report = check_data(draw_all(tmp_path, ["a", "b"], high=16))
    assert text_of(report, "low-range") == "the brightest pixel is 15 of 255 (--stretch auto)"
    assert "low-range" in report.summary()[1] or "15 of 255" in report.summary()[1]


def test_labels_that_look_like_pixels_are_told() -> None:
    text = text_of(report_of(labeled([str(i) for i in range(0, 250, 2)])), "labels-like-pixels")
    assert "125 numbers" in text
    assert "--label-column none" in text
    assert "labels-like-pixels" not in codes(report_of(labeled([str(i) for i in range(10)])))


def test_folders_called_by_numbers_are_classes(tmp_path: Path) -> None:
    assert check_data(draw_all(tmp_path, [str(i) for i in range(40)], 1)).notes == ()


def test_upright_pictures_are_counted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    for i in range(6):
        draw(tmp_path / f"{i}.png", i)
        picture = Image.open(tmp_path / f"{i}.png")
        picture.save(tmp_path / f"{i}.jpg", exif=exif)
        (tmp_path / f"{i}.png").unlink()
    report = check_data(tmp_path)
    assert report.turned == 6
    assert report.sizes == {"24 × 20": 6}
    assert report.kinds == {"8-bit RGB": 6}
    assert "6 upright" in f"{report}"
    assert "turned-masks" not in {note.code for note in report.notes}
    for i in range(6):
        Image.new("L", (20, 24)).save(tmp_path / f"{i}_mask.png")
    assert "turned-masks" in {note.code for note in check_data(tmp_path).notes}


@pytest.mark.parametrize(
    ("dtype", "high", "said"),
    [
        (np.uint16, 4096, "of 65,535 (--stretch auto)"),
        (np.float32, 0.2, "of 1 (--stretch auto)"),
        (np.uint8, 2, "brightest pixel is 1 of 255"),
        (np.uint16, 65536, None),
        (np.float32, 1, None),
    ],
)
def test_the_range_of_an_array_is_told(
    dtype: type, high: float, said: str | None, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).random((50, 12, 12)) * high
    np.save(tmp_path / "x.npy", values.astype(dtype))
    report = check_data(tmp_path / "x.npy")
    assert report.values is not None
    assert report.values.dtype == np.dtype(dtype).name
    assert ("low-range" in codes(report)) == (said is not None)
    assert said is None or said in text_of(report, "low-range")


# -- in five lines ----------------------------------------------------------------------------


def test_the_summary_has_five_lines_and_says_how_many_more(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a"], 20, high=9)
    draw_all(tmp_path, ["b"], 1, high=9)
    for name in ("x", "y"):
        draw(tmp_path / "a" / f"{name}.png", 999, high=9)
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "a/blank.png")
    (tmp_path / "a/broken.png").write_bytes(b"no picture")
    report = replace(check_data(tmp_path), left_out=(LeftOut(".txt", 2, ("1.txt", "2.txt")),))
    assert len(report.notes) == 4
    summary = report.summary()
    assert len(summary) == MAX_LINES
    assert summary[1] == "left out: 2 .txt, such as 1.txt"
    assert summary[-1] == f"2 more; isthmus data check {tmp_path} shows all"


# -- duplicates -------------------------------------------------------------------------------


def test_candidates_are_compared_by_their_values() -> None:
    values = np.zeros((4, 40, 40), np.uint8)
    values[0, 0, 1] = values[2, 0, 1] = 1  # not among the bytes of the quick checksum
    values[1, 0, 2] = 2
    sums = quick_checksums(values.reshape(4, -1))
    assert len({*sums.tolist()}) == 1
    assert find_duplicates(sums, np.zeros(4, np.bool_), values) == [[0, 2]]


@pytest.mark.parametrize("length", [1, 7, 64, 255, 256, 784, 4096, 12288])
def test_a_checksum_of_any_length_tells_most_rows_apart(length: int) -> None:
    rows = np.random.default_rng(0).integers(0, 2, (50, length), np.uint8) * np.uint8(255)
    sums = quick_checksums(rows)
    assert len({*sums.tolist()}) == len({row.tobytes() for row in rows})

"""CSV, IDX and NumPy files and arrays: what becomes of them, and what is refused."""

import gzip
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import isthmus
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]
Pixels = NDArray[np.uint8]

DRAW = np.random.default_rng(1)
IMAGES: Pixels = DRAW.integers(0, 256, (12, 5, 5), np.uint8)
COLORED: Pixels = DRAW.integers(0, 256, (6, 5, 4, 3), np.uint8)
LABELS = np.array([7, 0, 3, 7, 0, 3, 7, 0, 3, 7, 0, 3], np.uint8)
SIGNALS = DRAW.normal(size=(6, 20, 2)).astype(np.float32)


def write(path: Path, content: bytes | str) -> Path:
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def rows(*columns: NDArray[Any], header: str = "") -> str:
    table = np.concatenate([c.reshape(len(c), -1) for c in columns], axis=1)
    lines = [",".join(map(str, row)) for row in table.tolist()]
    return "\n".join([header, *lines] if header else lines) + "\n"


def header(*names: str) -> str:
    pixels = iter(range(25))
    return ",".join(name or f"pixel{next(pixels)}" for name in names)


def saved(path: Path, *array: NDArray[Any], **arrays: Any) -> Path:
    if array:
        np.save(path, array[0])
    else:
        np.savez(path, **arrays)
    return path


def idx(values: NDArray[Any], code: int = 8) -> bytes:
    sides = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, code, values.ndim]) + sides + values.tobytes()


def digits_of(samples: isthmus.Samples) -> list[int]:
    assert samples.labels is not None
    return [int(samples.class_names[label]) for label in samples.labels]


def assert_gray(samples: isthmus.Samples, images: Pixels = IMAGES) -> None:
    assert samples.values.dtype == np.uint8
    assert np.array_equal(samples.values, images[..., None])


# CSV


@pytest.mark.parametrize("name", ["digits.csv", "digits.csv.gz", "DIGITS.CSV"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_with_a_header_and_labels_first(name: str, newline: str, tmp_path: Path) -> None:
    text = rows(LABELS, IMAGES, header=header("label", *[""] * 25)).replace("\n", newline)
    samples = isthmus.load(write(tmp_path / name, text))
    assert_gray(samples)
    assert samples.class_names == ("0", "3", "7")
    assert digits_of(samples) == LABELS.tolist()
    assert list(samples.names) == [str(i) for i in range(1, 13)]


@pytest.mark.parametrize("title", ["label", "Label", "class", "target"])
def test_csv_labels_may_be_in_any_column_that_says_so(title: str, tmp_path: Path) -> None:
    left, right = IMAGES.reshape(12, 25)[:, :9], IMAGES.reshape(12, 25)[:, 9:]
    text = rows(left, LABELS, right, header=header(*[""] * 9, title, *[""] * 16))
    samples = isthmus.load(write(tmp_path / "digits.csv", text))
    assert_gray(samples)
    assert digits_of(samples) == LABELS.tolist()


def test_csv_without_a_header_has_labels_first(tmp_path: Path) -> None:
    samples = isthmus.load(write(tmp_path / "digits.csv", rows(LABELS, IMAGES)))
    assert_gray(samples)
    assert digits_of(samples) == LABELS.tolist()


@pytest.mark.parametrize("first", ["", header(*[""] * 25)])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_of_square_rows_has_no_labels(first: str, mark: str, tmp_path: Path) -> None:
    samples = isthmus.load(write(tmp_path / "digits.csv", mark + rows(IMAGES, header=first)))
    assert_gray(samples)
    assert samples.labels is None
    assert samples.class_names == ()


def test_csv_limit_spreads_over_the_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "digits.csv", rows(LABELS, IMAGES))
    samples = isthmus.load(path, limit=4)
    assert_gray(samples, IMAGES[[0, 4, 7, 11]])
    assert list(samples.names) == ["1", "5", "8", "12"]
    assert digits_of(samples) == LABELS[[0, 4, 7, 11]].tolist()


def test_csv_is_resized_as_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "digits.csv", rows(IMAGES))
    assert isthmus.load(path, size=(3, 7), channels=3).values.shape == (12, 3, 7, 3)


def test_the_digit_recognizer_loads(require: Callable[[str], Path]) -> None:
    folder = require("digit-recognizer")
    train = isthmus.load(folder / "train.csv.gz")
    assert train.describe() == "4,000 images of 28 × 28, gray, 10 classes"
    test = isthmus.load(folder / "test.csv.gz")
    assert test.describe() == "1,000 images of 28 × 28, gray"
    with gzip.open(folder / "test.csv.gz", "rt") as file:
        last = [line for line in file if line.strip()][-1]
    assert test.values[-1].ravel().tolist() == [int(cell) for cell in last.split(",")]


def test_the_digit_recognizer_is_the_start_of_mnists_test_part(
    require: Callable[[str], Path],
) -> None:
    digits = isthmus.load(require("digit-recognizer") / "train.csv.gz")
    mnist = isthmus.load(require("mnist") / "t10k-images-idx3-ubyte.gz")
    assert np.array_equal(digits.values, mnist.values[:4000])
    assert digits_of(digits) == digits_of(mnist)[:4000]


LABELED = header("label", *[""] * 25)


@pytest.mark.parametrize(
    ("text", "culprits"),
    [
        ("", ["is empty"]),
        (LABELED + "\n", ["has a header and no rows"]),
        ("label\n1\n2\n", ["0 pixels a row"]),
        (rows(LABELS, IMAGES).replace("\n", ",4\n", 1), ["line 2", "26 values", "27"]),
        (
            rows(LABELS, IMAGES, header=LABELED) + "1,2,3\n",
            ["line 14 has 3 values where 26 are expected"],
        ),
        ("1,2,3,4\n5,six,7,8\n", ["line 2, column 2, holds 'six', which is not a number"]),
        ("a,b,c,label\n1,2,3,4\n", ["3 pixels a row", "no square"]),
        ("label,a,b,c,d\n1,2,3,,5\n", ["line 2, column 4, is empty"]),
        ("1,2,3,4\n5,6,256,8\n", ["row 2 of the data", "the pixel 256"]),
        ("1,2,3,4\n5,6,-1,8\n", ["row 2 of the data", "the pixel -1"]),
        ("1,2,3,4\n5,6,0.5,8\n", ["row 2 of the data", "the pixel 0.5"]),
        ("1,2,3,4\n5,nan,7,8\n", ["row 2 of the data", "the pixel nan"]),
        ("label,a,b,c,d\n0.5,1,2,3,4\n", ["labels that are not whole numbers"]),
        (",".join(["label", *["p"] * 783]) + "\n" + ",".join("1" * 784) + "\n", ["783", "27×27"]),
    ],
)
@pytest.mark.parametrize("name", ["digits.csv", "digits.csv.gz"])
def test_csv_that_makes_no_images_is_refused(
    text: str, culprits: list[str], name: str, tmp_path: Path, cache: Path, refused: Refused
) -> None:
    path = write(tmp_path / name, text)
    with refused(SourceError, path, *culprits):
        isthmus.load(path)
    assert not any(file.is_file() for file in cache.rglob("*"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"\xff\xfe\0\xd8" * 9),
        ("a.csv.gz", b"1,2,3,4\n"),
        ("b.csv.gz", gzip.compress(rows(IMAGES).encode())[:150]),
    ],
)
def test_csv_of_other_bytes_is_refused(
    name: str, content: bytes, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / name).write_bytes(content)
    with refused(SourceError, tmp_path / name, "not a readable CSV"):
        isthmus.load(tmp_path / name)


# IDX


def idx_folder(folder: Path, suffix: str = "", labels: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    for part, chosen in (("train", slice(0, 8)), ("t10k", slice(8, 12))):
        write(folder / f"{part}-images-idx3-ubyte{suffix}", idx(IMAGES[chosen]))
        if labels:
            write(folder / f"{part}-labels-idx1-ubyte{suffix}", idx(LABELS[chosen]))
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_folder_has_a_training_and_a_test_part(suffix: str, tmp_path: Path) -> None:
    samples = isthmus.load(idx_folder(tmp_path / "digits", suffix))
    assert_gray(samples)
    assert digits_of(samples) == LABELS.tolist()
    assert samples.splits is not None
    assert samples.splits.tolist() == [0] * 8 + [2] * 4
    assert list(samples.names)[6:10] == ["train/6", "train/7", "test/0", "test/1"]


def test_a_class_that_one_part_lacks_keeps_the_labels_of_both_right(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "digits")
    write(folder / "t10k-labels-idx1-ubyte", idx(np.array([7, 3, 3, 12], np.uint8)))
    samples = isthmus.load(folder)
    assert samples.class_names == ("0", "3", "7", "12")
    assert digits_of(samples) == [*LABELS[:8].tolist(), 7, 3, 3, 12]


def test_idx_packed_beside_unpacked_counts_once(tmp_path: Path) -> None:
    folder = idx_folder(idx_folder(tmp_path / "digits", ".gz"))
    assert_gray(isthmus.load(folder))


def test_hidden_idx_files_are_passed_over(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "digits")
    write(folder / "._train-images-idx3-ubyte", "of a Mac")
    assert_gray(isthmus.load(folder))


def test_an_idx_folder_without_all_labels_has_none(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "digits")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    samples = isthmus.load(folder)
    assert samples.labels is None
    assert samples.class_names == ()


def test_idx_limit_spreads_over_the_parts(tmp_path: Path) -> None:
    samples = isthmus.load(idx_folder(tmp_path / "digits"), limit=4)
    assert_gray(samples, IMAGES[[0, 4, 7, 11]])
    assert digits_of(samples) == LABELS[[0, 4, 7, 11]].tolist()
    assert samples.splits is not None
    assert samples.splits.tolist() == [0, 0, 0, 2]


@pytest.mark.parametrize("labels", ["some-labels-idx1-ubyte", "some-labels-idx1-ubyte.gz"])
@pytest.mark.parametrize("images", ["some-images-idx3-ubyte", "some-images-idx3-ubyte.gz"])
def test_an_idx_file_finds_its_labels(images: str, labels: str, tmp_path: Path) -> None:
    write(tmp_path / images, idx(IMAGES))
    write(tmp_path / labels, idx(LABELS))
    samples = isthmus.load(tmp_path / images)
    assert_gray(samples)
    assert digits_of(samples) == LABELS.tolist()


def test_an_idx_file_is_limited_with_its_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "some-images-idx3-ubyte", idx(IMAGES))
    write(tmp_path / "some-labels-idx1-ubyte", idx(LABELS))
    samples = isthmus.load(path, limit=4)
    assert_gray(samples, IMAGES[[0, 4, 7, 11]])
    assert digits_of(samples) == LABELS[[0, 4, 7, 11]].tolist()


@pytest.mark.parametrize("name", ["some-images.idx3-ubyte", "some.idx", "some.idx3.gz"])
def test_an_idx_file_may_be_alone(name: str, tmp_path: Path) -> None:
    samples = isthmus.load(write(tmp_path / name, idx(IMAGES)))
    assert_gray(samples)
    assert samples.labels is None


def test_new_labels_beside_an_idx_file_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "some-images-idx3-ubyte", idx(IMAGES))
    assert isthmus.load(path).labels is None
    write(tmp_path / "some-labels-idx1-ubyte", idx(LABELS))
    assert digits_of(isthmus.load(path)) == LABELS.tolist()


@pytest.mark.parametrize(
    ("values", "code"), [(IMAGES.astype(">i4"), 12), ((IMAGES / 255).astype(">f4"), 13)]
)
def test_idx_of_other_numbers_is_read(values: NDArray[Any], code: int, tmp_path: Path) -> None:
    assert_gray(isthmus.load(write(tmp_path / "some.idx3", idx(values, code))))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an IDX file"),
        (b"\1\2\3\4" + bytes(40), "not an IDX file"),
        (b"\0\0\x07\3" + bytes(40), "not an IDX file"),
        (idx(IMAGES)[:-1], "315 bytes where 316 are expected"),
        (idx(IMAGES) + b"\0", "317 bytes where 316 are expected"),
        (idx(IMAGES)[:9], "cut short or damaged"),
        (idx(LABELS), "1-dimensional"),
        (idx(IMAGES[:0]), "holds no samples"),
        (idx(IMAGES.astype(">i2") * 2, 11), "not pixels"),
    ],
)
@pytest.mark.parametrize("name", ["some-images-idx3-ubyte", "some-images-idx3-ubyte.gz"])
def test_idx_of_something_else_is_refused(
    content: bytes, said: str, name: str, tmp_path: Path, refused: Refused
) -> None:
    path = write(tmp_path / name, content)
    with refused(SourceError, path, said):
        isthmus.load(path)


def test_idx_packed_and_cut_short_is_refused(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "some-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(IMAGES))[:-20])
    with refused(SourceError, path, "cut short or damaged"):
        isthmus.load(path)


def test_idx_with_another_number_of_labels_is_refused(tmp_path: Path, refused: Refused) -> None:
    folder = idx_folder(tmp_path / "digits")
    write(folder / "t10k-labels-idx1-ubyte", idx(LABELS))
    with refused(SourceError, folder / "t10k-images-idx3-ubyte", "4 images", "12 labels"):
        isthmus.load(folder)


def test_an_idx_folder_of_labels_only_is_refused(tmp_path: Path, refused: Refused) -> None:
    write(tmp_path / "train-labels-idx1-ubyte", idx(LABELS))
    with refused(SourceError, tmp_path, "none with image in its name"):
        isthmus.load(tmp_path)


def test_idx_parts_of_different_sizes_are_refused(tmp_path: Path, refused: Refused) -> None:
    folder = idx_folder(tmp_path / "digits")
    write(folder / "t10k-images-idx3-ubyte", idx(IMAGES[8:, :4]))
    with refused(SourceError, folder, "different sizes"):
        isthmus.load(folder)


# NumPy files and arrays


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (IMAGES, IMAGES[..., None]),
        (COLORED, COLORED),
        (IMAGES > 127, (IMAGES > 127)[..., None] * 255),
        (IMAGES.astype(np.int64), IMAGES[..., None]),
        (IMAGES.astype(np.uint16) * 257, IMAGES[..., None]),
        (IMAGES.astype(">u2") * 257, IMAGES[..., None]),
        (COLORED / 255, COLORED),
        (DRAW.random((3, 5, 9)) > 2, np.zeros((3, 5, 9, 1))),
        (np.ones((3, 5, 9)), np.full((3, 5, 9, 1), 255)),
    ],
)
def test_arrays_of_images(array: NDArray[Any], expected: NDArray[Any], tmp_path: Path) -> None:
    for source in (array, saved(tmp_path / "a.npy", array), saved(tmp_path / "b.npz", x=array)):
        samples = isthmus.load(source)
        assert samples.values.dtype == np.uint8
        assert np.array_equal(samples.values, expected)
        assert list(samples.names) == [str(i) for i in range(len(array))]


@pytest.mark.parametrize(
    ("array", "shape"), [(SIGNALS, (20, 2)), (SIGNALS[..., 0], (20, 1)), (SIGNALS * 1.0, (20, 2))]
)
def test_arrays_of_signals(array: NDArray[Any], shape: tuple[int, int], tmp_path: Path) -> None:
    for source in (array, saved(tmp_path / "a.npy", array), saved(tmp_path / "b.npz", x=array)):
        samples = isthmus.load(source)
        assert samples.is_signal
        assert samples.values.dtype == np.float32
        assert samples.shape == shape
        assert np.array_equal(samples.values, array.reshape(6, *shape).astype(np.float32))


def test_names_decide_between_images_and_signals(tmp_path: Path) -> None:
    fractions = np.random.default_rng(2).random((4, 6, 5))
    images = isthmus.load(saved(tmp_path / "a.npz", images=fractions))
    assert np.array_equal(images.values[..., 0], np.round(fractions * 255))
    signals = isthmus.load(saved(tmp_path / "b.npz", signals=fractions))
    assert np.array_equal(signals.values, fractions.astype(np.float32))
    whole = isthmus.load(saved(tmp_path / "c.npz", signals=IMAGES))
    assert whole.is_signal


@pytest.mark.parametrize("key", ["images", "x", "X", "data", "anything"])
@pytest.mark.parametrize("label", ["labels", "y", "target"])
def test_npz_with_labels(key: str, label: str, tmp_path: Path) -> None:
    samples = isthmus.load(saved(tmp_path / "a.npz", **{key: IMAGES, label: LABELS}))
    assert_gray(samples)
    assert samples.class_names == ("0", "3", "7")
    assert digits_of(samples) == LABELS.tolist()


def test_npz_labels_may_be_words(tmp_path: Path) -> None:
    words = np.array(["dog", "cat", "ant"] * 4)
    samples = isthmus.load(saved(tmp_path / "a.npz", images=IMAGES, labels=words))
    assert samples.class_names == ("ant", "cat", "dog")
    assert samples.labels is not None
    assert samples.labels.tolist() == [2, 1, 0] * 4


def test_npz_with_class_names(tmp_path: Path) -> None:
    names = ["ant", "bee", "cat", "dog"]
    path = saved(tmp_path / "a.npz", images=IMAGES, labels=np.arange(12) % 3, class_names=names)
    samples = isthmus.load(path, limit=3)
    assert samples.class_names == tuple(names)
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 0, 2]


@pytest.mark.parametrize("column", [False, True])
def test_npz_as_keras_saves_it(column: bool, tmp_path: Path) -> None:
    labels = LABELS[:, None] if column else LABELS
    path = saved(
        tmp_path / "a.npz",
        x_train=IMAGES[:8],
        y_train=labels[:8],
        x_test=IMAGES[8:],
        y_test=labels[8:],
    )
    samples = isthmus.load(path)
    assert_gray(samples)
    assert digits_of(samples) == LABELS.tolist()
    assert samples.splits is not None
    assert samples.splits.tolist() == [0] * 8 + [2] * 4
    assert list(samples.names)[7:9] == ["train/7", "test/0"]


def test_npz_as_keras_saves_it_without_labels(tmp_path: Path) -> None:
    samples = isthmus.load(saved(tmp_path / "a.npz", x_train=SIGNALS, x_test=SIGNALS[:2]))
    assert samples.values.shape == (8, 20, 2)
    assert samples.labels is None


@pytest.mark.parametrize("name", ["A.NPY", "a.npz"])
def test_the_content_decides_what_kind_of_numpy_file_it_is(name: str, tmp_path: Path) -> None:
    saved(tmp_path / "first.npy", IMAGES).rename(tmp_path / name)
    assert_gray(isthmus.load(tmp_path / name))


def test_arrays_are_resized_recolored_and_limited(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", COLORED)
    for source in (COLORED, path):
        samples = isthmus.load(source, crop=4, size=(3, 2), channels=1, limit=3)
        assert samples.values.shape == (3, 3, 2, 1)
        assert list(samples.names) == (["0", "1", "2"] if source is COLORED else ["0", "2", "5"])


def test_arrays_with_transparency_are_laid_over_the_background() -> None:
    clear = np.zeros((2, 3, 3, 4), np.uint8)
    assert isthmus.load(clear).shape == (3, 3, 4)
    values = isthmus.load(clear, channels=3, background="lime").values
    assert np.array_equal(values, np.broadcast_to((0, 255, 0), (2, 3, 3, 3)))


def test_an_array_has_no_source_and_is_not_kept(cache: Path) -> None:
    samples = isthmus.load(IMAGES)
    assert samples.origin.source == ""
    assert list(cache.iterdir()) == []


BROKEN_SIGNALS = SIGNALS.copy()
BROKEN_SIGNALS[4, 3, 1] = np.nan


@pytest.mark.parametrize(
    ("arrays", "culprits"),
    [
        ({"a": np.arange(3), "b": np.zeros(2)}, ["a (3,), b (2,)"]),
        ({"a": IMAGES, "b": IMAGES}, ["a (12, 5, 5), b (12, 5, 5)"]),
        ({}, ["it holds nothing"]),
        ({"x": BROKEN_SIGNALS}, ["signal 4", "NaN"]),
        ({"x": np.where(np.isnan(BROKEN_SIGNALS), np.inf, 0)}, ["signal 4", "infinity"]),
        ({"images": IMAGES / 100}, ["images", "from 0 to 2.55"]),
        ({"images": IMAGES / 255 - 0.5}, ["images", "not pixels"]),
        ({"images": IMAGES * np.nan}, ["images", "NaN"]),
        ({"images": IMAGES.astype(int) * 2}, ["images", "to 510"]),
        ({"images": IMAGES[0]}, ["images is uint8 (5, 5)"]),
        ({"images": IMAGES + 0j}, ["images is complex128"]),
        ({"images": IMAGES.astype(str)}, ["images is <U"]),
        ({"images": IMAGES.astype(object)}, ["images holds Python objects"]),
        ({"images": IMAGES[:0]}, ["holds no samples"]),
        ({"images": IMAGES[:, :0]}, ["holds no samples"]),
        ({"images": IMAGES, "labels": LABELS[:5]}, ["12 samples", "labels of shape (5,)"]),
        ({"images": IMAGES, "labels": np.ones((12, 3))}, ["labels of shape (12, 3)"]),
        ({"images": IMAGES, "labels": LABELS / 2}, ["labels that are not whole numbers"]),
        ({"images": IMAGES, "labels": LABELS, "class_names": ["a", "b"]}, ["its 2 class_names"]),
        ({"images": IMAGES, "labels": ["b"] * 12, "class_names": ["a"]}, ["its 1 class_names"]),
        ({"x_train": IMAGES, "x_test": IMAGES[:, :4]}, ["x_train of (12, 5, 5", "(12, 4, 5"]),
        (
            {"x_train": IMAGES, "x_test": IMAGES, "y_train": np.ones((12, 2)), "y_test": LABELS},
            ["12 samples in x_train", "labels of shape (12, 2) in y_train"],
        ),
        (
            {"x_train": IMAGES, "x_test": IMAGES, "y_train": LABELS, "y_test": LABELS[:3]},
            ["12 samples in x_test", "labels of shape (3,) in y_test"],
        ),
    ],
)
def test_npz_that_makes_no_samples_is_refused(
    arrays: dict[str, Any], culprits: list[str], tmp_path: Path, cache: Path, refused: Refused
) -> None:
    path = saved(tmp_path / "a.npz", **arrays)
    with refused(SourceError, path, *culprits):
        isthmus.load(path)
    assert not any(file.is_file() for file in cache.rglob("*"))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array(3), "x is int64 ()"),
        (np.zeros(5), "x is float64 (5,)"),
        (np.zeros((2, 3, 4, 5, 6)), "(2, 3, 4, 5, 6)"),
        (IMAGES[:0], "holds no samples"),
        (BROKEN_SIGNALS, "signal 4"),
        (COLORED / 100, "not pixels"),
    ],
)
def test_arrays_that_make_no_samples_are_refused(
    array: NDArray[Any], said: str, tmp_path: Path, refused: Refused
) -> None:
    with refused(SourceError, "the array", said):
        isthmus.load(array)
    path = saved(tmp_path / "a.npy", array)
    with refused(SourceError, path, said):
        isthmus.load(path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("content", [b"", b"no NumPy file", b"\x93NUMPY\1\0"])
def test_numpy_files_of_other_bytes_are_refused(
    name: str, content: bytes, tmp_path: Path, refused: Refused
) -> None:
    path = write(tmp_path / name, content)
    with refused(SourceError, path, "not a readable NumPy file"):
        isthmus.load(path)


def test_numpy_files_cut_short_are_refused(tmp_path: Path, refused: Refused) -> None:
    for path in (saved(tmp_path / "a.npy", IMAGES), saved(tmp_path / "a.npz", x=IMAGES)):
        path.write_bytes(path.read_bytes()[:-40])
        with refused(SourceError, path, "not a readable NumPy file"):
            isthmus.load(path)


def test_pickled_objects_are_never_opened(tmp_path: Path, refused: Refused) -> None:
    path = saved(tmp_path / "a.npy", np.array([IMAGES, None], object))
    with refused(SourceError, path, "holds Python objects"):
        isthmus.load(path)


def test_labels_are_not_mistaken_for_others_by_their_size(tmp_path: Path, refused: Refused) -> None:
    rows = "".join(f"{10**30 + i},1,2,4,5\n" for i in range(3))
    path = write(tmp_path / "ids.csv", f"label,a,b,c,d\n{rows}".encode())
    with refused(SourceError, path, "too many digits to tell them apart"):
        isthmus.load(path)

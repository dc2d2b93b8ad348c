"""Arrays of NumPy and folders of IDX files: what is taken for what, said, and refused."""

import io
import struct
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import isthmus
from isthmus.data.reading import Reading
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]

DRAW = np.random.default_rng(4)
COUNT = 20
IMAGES = DRAW.integers(0, 256, (COUNT, 6, 5), np.uint8)
COLORED = DRAW.integers(0, 256, (COUNT, 6, 5, 3), np.uint8)
SQUARES = DRAW.integers(0, 256, (COUNT, 6, 6), np.uint8)
LABELS = np.arange(COUNT) % 4
WAVES = DRAW.integers(-900, 900, (COUNT, 80)).astype(np.int16)
LEADS = DRAW.normal(size=(COUNT, 12, 60)).astype(np.float32)  # of an electrocardiogram


def saved(path: Path, array: NDArray[Any] | None = None, **arrays: Any) -> Path:
    if array is None:
        np.savez(path, **arrays)
    else:
        np.save(path, array)
    return path


def codes(samples: isthmus.Samples) -> set[str]:
    assert samples.report is not None
    return {note.code for note in samples.report.notes if note.code in KNOWN}


KNOWN = {
    "channels-first",
    "channels-last",
    "rows-as-images",
    "rows-as-signals",
    "signals",
    "bands",
    "one-hot",
    "several-arrays",
    "labels-missing",
    "class-names",
    "float-pixels",
    "clipped",
    "emnist-transposed",
}


# Which axes are which


@pytest.mark.parametrize(
    ("array", "expected", "code"),
    [
        (COLORED.transpose(0, 3, 1, 2), COLORED, "channels-first"),
        (IMAGES[:, None], IMAGES[..., None], "channels-first"),
        (COLORED[:, :3, :, :], COLORED[:, :3, :, :], "channels-last"),
        (SQUARES.reshape(COUNT, -1), SQUARES[..., None], "rows-as-images"),
        (SQUARES.reshape(COUNT, -1).astype(int), None, "rows-as-signals"),
        (WAVES, WAVES[..., None], "rows-as-signals"),
        (WAVES.reshape(COUNT, 40, 2), WAVES.reshape(COUNT, 40, 2), "signals"),
        (WAVES.reshape(COUNT, 2, 40) / 2.0, None, "channels-first"),
        (LEADS, LEADS.transpose(0, 2, 1), "channels-first"),
        (np.repeat(IMAGES[..., None], 6, axis=3), None, "bands"),
        (COLORED.astype(np.float32), COLORED, "float-pixels"),
        (COLORED / 255 * 1.0000001, COLORED, "clipped"),
    ],
)
def test_arrays_are_taken_for_samples_and_it_is_said(
    array: NDArray[Any], expected: NDArray[Any] | None, code: str, tmp_path: Path
) -> None:
    samples = isthmus.load(saved(tmp_path / "a.npy", array))
    assert codes(samples) == {code}
    if expected is not None:
        assert np.array_equal(samples.values, expected)
        assert np.array_equal(isthmus.load(array).values, expected)
    assert samples.is_signal == (array.dtype.kind == "i" or samples.values.ndim == 3)


def test_what_an_array_in_memory_is_taken_for_is_said() -> None:
    assert codes(isthmus.load(COLORED.transpose(0, 3, 1, 2))) == {"channels-first"}
    assert isthmus.load(COLORED).report is None


def test_channels_are_where_the_user_says(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", COLORED[:, :3])
    first = isthmus.load(path, reading=Reading(channels="first"))
    assert np.array_equal(first.values, COLORED[:, :3].transpose(0, 2, 3, 1))
    path = saved(tmp_path / "b.npy", COLORED.transpose(0, 3, 1, 2))
    last = isthmus.load(path, reading=Reading(channels="last"))
    assert last.shape == (3, 6, 5)
    assert codes(first) == codes(last) == set()


def test_bands_are_chosen(tmp_path: Path, refused: Refused) -> None:
    bands = DRAW.integers(0, 256, (COUNT, 5, 32, 32), np.uint8)
    path = saved(tmp_path / "a.npy", bands)
    samples = isthmus.load(path, reading=Reading(channels="4,3,2"))
    assert np.array_equal(samples.values, bands[:, [3, 2, 1]].transpose(0, 2, 3, 1))
    with refused(SourceError, path, "5 bands", "number 9"):
        isthmus.load(path, reading=Reading(channels="9"))


@pytest.mark.parametrize("ends", ["-1:1", "auto"])
def test_a_range_is_stretched_if_asked(ends: str, tmp_path: Path, refused: Refused) -> None:
    array = COLORED / 127.5 - 1
    path = saved(tmp_path / "a.npy", array)
    with refused(SourceError, path, "from -1 to 1", "--stretch", "-1:1"):
        isthmus.load(path)
    for source in (path, array):
        samples = isthmus.load(source, reading=Reading(stretch=ends))
        assert np.array_equal(samples.values, COLORED)
        assert samples.origin.preprocessing.stretch == (-1, 1)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((16, 12, 3), np.uint8), ["one picture (H, W, C)"]),
        (np.array([WAVES[0], WAVES[1, :5]], object), ["arrays of different lengths"]),
        (COLORED.astype(np.int16) * 16, ["0 to 4080", "--stretch", "0:4095"]),
        (np.zeros(3, "i4,f4"), ["named fields"]),
        (np.zeros((3, 4), "M8[s]"), ["dates"]),
        (np.zeros((3, 4), complex), ["complex"]),
        (np.full((3, 4), "a"), ["text"]),
        (np.full((3, 40), 1e300), ["signal 0", "NaN or infinity"]),
    ],
)
def test_arrays_that_are_no_samples_are_refused(
    array: NDArray[Any], said: list[str], tmp_path: Path, refused: Refused
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    with refused(SourceError, path, *said):
        isthmus.load(path)


# Which array is what


@pytest.mark.parametrize(
    "keys", [("X", "Y"), ("imgs", "Targets"), ("arr_0", "arr_1"), ("data", "category")]
)
@pytest.mark.parametrize("shape", [(COUNT,), (COUNT, 1)])
def test_labels_have_many_names_and_shapes(
    keys: tuple[str, str], shape: tuple[int, ...], tmp_path: Path
) -> None:
    arrays = {keys[0]: IMAGES, keys[1]: LABELS.reshape(shape)}
    samples = isthmus.load(saved(tmp_path / "a.npz", **arrays))
    assert samples.class_names == ("0", "1", "2", "3")
    assert samples.labels is not None
    assert np.array_equal(samples.labels, LABELS)
    assert codes(samples) == set()


def test_one_hot_labels_are_classes(tmp_path: Path, refused: Refused) -> None:
    samples = isthmus.load(saved(tmp_path / "a.npz", x=IMAGES, y=np.eye(4)[LABELS]))
    assert samples.labels is not None
    assert np.array_equal(samples.labels, LABELS)
    assert codes(samples) == {"one-hot"}
    path = saved(tmp_path / "b.npz", x=IMAGES, y=np.ones((COUNT, 4)))
    with refused(SourceError, path, "labels of shape (20, 4)", "--label-column none"):
        isthmus.load(path)
    assert isthmus.load(path, reading=Reading(label_column="none")).labels is None


def test_labels_of_a_given_name_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", x=IMAGES, y=LABELS, sex=LABELS % 2)
    samples = isthmus.load(path, reading=Reading(label_column="sex"))
    assert samples.class_names == ("0", "1")


def test_objects_that_nobody_needs_do_no_harm(tmp_path: Path, refused: Refused) -> None:
    names = np.array(["a.png"] * COUNT, object)
    path = saved(tmp_path / "a.npz", images=IMAGES, labels=LABELS, filenames=names)
    samples = isthmus.load(path)
    assert np.array_equal(samples.values[..., 0], IMAGES)
    assert "filenames" in str(samples.report)
    classes = np.array(list("abcd"), object)
    path = saved(tmp_path / "b.npz", images=IMAGES, labels=LABELS, class_names=classes)
    assert codes(isthmus.load(path)) == {"class-names"}
    path = saved(tmp_path / "c.npz", images=IMAGES, labels=names)
    with refused(SourceError, path, "labels holds Python objects"):
        isthmus.load(path)


@pytest.mark.parametrize(
    "keys", ["{part}_images {part}_labels", "X_{part} Y_{part}", "{part}X {part}Y"]
)
def test_parts_have_many_names(keys: str, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {}
    for part, rows in (("train", slice(0, 10)), ("val", slice(10, 14)), ("test", slice(14, 20))):
        images, labels = keys.format(part=part).split()
        arrays |= {images: IMAGES[rows], labels: LABELS[rows, None]}
    samples = isthmus.load(saved(tmp_path / "a.npz", **arrays))
    assert np.array_equal(samples.values[..., 0], IMAGES)
    assert samples.splits is not None
    assert samples.splits.tolist() == [0] * 10 + [1] * 4 + [2] * 6
    assert samples.labels is not None
    assert np.array_equal(samples.labels, LABELS)
    assert list(samples.names)[9:11] == ["train/9", "validation/0"]


def test_names_of_parts_say_what_they_hold(tmp_path: Path) -> None:
    fractions = SQUARES[:, :, :5] / 255
    images = isthmus.load(saved(tmp_path / "a.npz", train_images=fractions, test_images=fractions))
    assert not images.is_signal
    signals = isthmus.load(saved(tmp_path / "b.npz", signals_train=SQUARES, signals_test=SQUARES))
    assert signals.is_signal
    assert codes(images) == codes(signals) == set()


def test_what_is_not_used_is_said(tmp_path: Path) -> None:
    flat = IMAGES.reshape(COUNT, -1)
    names = list("abcd")
    path = saved(tmp_path / "a.npz", data=flat, images=IMAGES, target=LABELS, target_names=names)
    samples = isthmus.load(path)
    assert samples.describe() == "20 images of 6 × 5, gray, 4 classes"
    assert samples.class_names == tuple("abcd")
    assert codes(samples) == {"several-arrays"}
    path = saved(tmp_path / "b.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:4])
    assert codes(isthmus.load(path)) == {"labels-missing"}


# Damaged files


def header(text: str) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()


CLAIM = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 28, 28), }"


@pytest.mark.parametrize(
    "content",
    [
        header(CLAIM) + bytes(100),
        header(CLAIM.replace("1000000000000", "-1")) + bytes(100),
        header(CLAIM.replace("'descr': ", "'descr': " + "(" * 2000)),
        header(CLAIM.replace(", }", ", #")),
        header(CLAIM.replace("|u1", "|\\d1")),
    ],
)
@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_headers_that_claim_too_much_are_refused(
    content: bytes, name: str, tmp_path: Path, refused: Refused
) -> None:
    path = tmp_path / name
    if name == "a.npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", content)
    else:
        path.write_bytes(content)
    with refused(SourceError, path, "not a readable NumPy file"):
        isthmus.load(path)


def test_a_member_that_is_damaged_is_named(tmp_path: Path, refused: Refused) -> None:
    file = io.BytesIO()
    np.savez(file, x=IMAGES, y=LABELS)
    path = tmp_path / "a.npz"
    path.write_bytes(file.getvalue().replace(b"\x93NUMPY", b"\x93NUMPX").replace(b"{", b"[", 1))
    with refused(SourceError, path, "not a readable NumPy file", "x.npy"):
        isthmus.load(path)


def test_what_follows_an_array_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", IMAGES)
    with path.open("ab") as file:
        np.save(file, IMAGES)
    assert "bytes behind the array" in str(isthmus.load(path).report)


# IDX


def idx(values: NDArray[Any]) -> bytes:
    sides = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, 8, values.ndim]) + sides + values.astype(np.uint8).tobytes()


def write_idx(folder: Path, prefix: str, rows: slice, name: str = "{}") -> None:
    for kind, values in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
        path = folder / name.format(f"{prefix}-{kind}-ubyte")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(idx(values[rows]))


@pytest.mark.parametrize("name", ["{}", "{0}/{0}"])
@pytest.mark.parametrize("prefixes", [("train", "t10k"), ("kmnist-train", "kmnist-test")])
def test_idx_folders_have_parts_by_their_names(
    prefixes: tuple[str, str], name: str, tmp_path: Path
) -> None:
    for prefix, rows in zip(prefixes, (slice(0, 14), slice(14, 20)), strict=True):
        write_idx(tmp_path / "a", prefix, rows, name)
    samples = isthmus.load(tmp_path / "a")
    assert np.array_equal(samples.values[..., 0], IMAGES)
    assert samples.splits is not None
    assert samples.splits.tolist() == [0] * 14 + [2] * 6
    assert samples.labels is not None
    assert np.array_equal(samples.labels, LABELS)
    assert len(set(samples.names)) == COUNT


def test_idx_sets_are_not_mixed(tmp_path: Path, refused: Refused) -> None:
    write_idx(tmp_path / "a", "emnist-letters-train", slice(0, 14))
    samples = isthmus.load(tmp_path / "a")
    assert codes(samples) == {"emnist-transposed"}
    write_idx(tmp_path / "a", "emnist-digits-train", slice(0, 14))
    with refused(SourceError, tmp_path / "a", "emnist-digits", "emnist-letters"):
        isthmus.load(tmp_path / "a")


def test_copies_and_other_files_next_to_idx_are_left_out(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", "train", slice(0, 14))
    write_idx(tmp_path / "a", "train", slice(0, 14), "{0}.gz/{0}.gz")
    (tmp_path / "a" / "mapping.txt").write_text("0 48")
    samples = isthmus.load(tmp_path / "a")
    assert len(samples) == 14
    assert "2 copies of IDX files" in str(samples.report)
    assert "mapping.txt" in str(samples.report)


def test_a_folder_with_another_idx_is_a_folder_of_pictures(photos: Path) -> None:
    (photos / "data.idx").write_bytes(b"\xfftOc")
    assert isthmus.load(photos).describe() == "6 images of 12 × 10, RGB, 2 classes"


def test_idx_that_claims_too_much_is_refused(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"123")
    with refused(SourceError, path, "19 bytes where"):
        isthmus.load(path)

"""Reader of IDX files, and of folders of them: the format in which MNIST is published."""

import gzip
import math
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Manifest, encode_labels, evenly_spaced
from isthmus.data.readers.arrays import as_samples
from isthmus.data.readers.ranges import join_facts
from isthmus.data.reading import Findings, LeftOut, Note, Reading
from isthmus.data.samples import SPLITS
from isthmus.errors import SourceError, first_sentence, list_names

IDX_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
MAX_RATIO = 1032  # of deflate: a compressed file cannot hold more than so many times its size
BROKEN_FILES = (OSError, EOFError, MemoryError, zlib.error)
IDX_NAME = re.compile(r"[-.]idx\d-ubyte(\.gz)?$|\.idx\d?(\.gz)?$")
PART = re.compile(r"(?:^|(?<=[-_.]))(train|training|t10k|test|val|valid|validation)(?=[-_.]|$)")
PARTS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "t10k": 2}


@dataclass(frozen=True)
class IdxFile:
    """An IDX file by what its name says.

    Parameters
    ----------
    path : Path
    stem : str
        The name without images or labels, number of dimensions and compression: the same for
        images and their labels.
    """

    path: Path
    stem: str

    @property
    def has_images(self) -> bool:
        """Whether the name is that of images."""
        name = self.path.name.lower()
        return "image" in name or re.search(r"idx[34]", name) is not None

    @property
    def part(self) -> int | None:
        """Index in `SPLITS` of the part of a data set that the name tells."""
        match = PART.search(self.stem)
        return PARTS[match[1]] if match else None

    @property
    def set_name(self) -> str:
        """The name of the data set: the stem without its part; "" for MNIST itself."""
        return re.sub(r"[-_.]+", "-", PART.sub("", self.stem)).strip("-")

    @property
    def prefix(self) -> str:
        """What the names of the file's images begin with."""
        return "" if self.part is None else f"{SPLITS[self.part]}/"


def is_idx(path: Path) -> bool:
    """Return whether a file is of LeCun's IDX format, by its name."""
    name = path.name.lower()
    return IDX_NAME.search(name) is not None and not name.startswith(".")


def is_idx_folder(folder: Path) -> bool:
    """Return whether a folder holds IDX files; the suffix .idx alone is also that of others."""
    for path in filter(is_idx, folder.iterdir()):
        with suppress(OSError):
            if "ubyte" in path.name.lower() or path.suffix.lower() == ".gz":
                return True
            with path.open("rb") as file:
                if file.read(2) == b"\0\0":
                    return True
    return False


def read_idx_folder(
    path: Path, limit: int | None = None, reading: Reading | None = None
) -> Manifest:
    """Read a folder of IDX files: train-… for training, t10k-… or test-… for testing.

    Of a file that is there compressed and uncompressed, the uncompressed one is read.

    Raises
    ------
    SourceError
        If it holds several data sets, or a file is damaged.
    """
    files, left_out = find_idx_files(path)
    images = _order_parts(path, [file for file in files if file.has_images])
    labels = {file.stem: file.path for file in files if not file.has_images}
    parts = [_read_pair(file.path, labels.get(file.stem), reading) for file in images]
    arrays = [part.values for part in parts if part.values is not None]
    if len({array.shape[1:] for array in arrays}) > 1:
        raise SourceError(
            f"{path} holds IDX files of images of different sizes; move one of them away."
        )
    splits = np.repeat(
        np.array([file.part or 0 for file in images], np.uint8), [len(array) for array in arrays]
    )
    names = [
        file.prefix + name for file, part in zip(images, parts, strict=True) for name in part.names
    ]
    values = np.concatenate(arrays)
    classes, encoded, notes = _join_labels(path, images, parts)
    rows = evenly_spaced(len(values), limit)
    findings = _join_findings(parts).add([*notes, *_emnist_notes(images)], left_out, "IDX files")
    return Manifest(
        [names[row] for row in rows],
        values[rows] if len(rows) < len(values) else values,
        labels=None if encoded is None else encoded[rows],
        class_names=classes,
        splits=splits[rows] if len(images) > 1 else None,
        findings=findings,
    )


def read_idx(path: Path, limit: int | None = None, reading: Reading | None = None) -> Manifest:
    """Read an IDX file of images, and its labels from the file of the same name, if there is one.

    The format is LeCun's: two zero bytes, the type, the number of dimensions, the dimensions as
    big-endian 32-bit numbers, then the values.

    Raises
    ------
    SourceError
        If it is damaged, or its labels are.
    """
    files, _ = find_idx_files(path.parent)
    stem = _stem(path.name)
    labels = [file.path for file in files if file.stem == stem and not file.has_images]
    companion = next((file for file in labels if file != path), None)
    manifest = _read_pair(path, companion, reading)
    rows = evenly_spaced(len(manifest.names), limit)
    classes, indices = manifest.class_names, manifest.labels
    if indices is not None:
        classes, indices = encode_labels(np.array(classes, np.int64)[indices[rows]], path)
    assert manifest.values is not None
    return Manifest(
        [str(row) for row in rows],
        manifest.values[rows],
        labels=indices,
        class_names=classes,
        findings=manifest.findings.add(_emnist_notes([IdxFile(path, stem)])),
    )


def find_idx_files(folder: Path) -> tuple[list[IdxFile], list[LeftOut]]:
    """List the IDX files of a folder, each once, by name.

    Of the same file, a plain one comes before a compressed one, and both before one in a folder of
    its own, as Kaggle's archive of MNIST has them.
    """
    found: dict[tuple[str, bool], IdxFile] = {}
    copies, others = [], []
    for path in sorted(folder.iterdir(), key=_copy_order):
        inner = path / path.name
        file = path if path.is_file() else inner if inner.is_file() else None
        if file is None or not is_idx(path):
            others += [] if path.name.startswith(".") else [path.name]
            continue
        one = IdxFile(file, _stem(path.name))
        if (one.stem, one.has_images) in found:
            copies.append(str(file.relative_to(folder)))
        found.setdefault((one.stem, one.has_images), one)
    reasons = {"another copy of an IDX file": copies, "no IDX file": others}
    left_out = [LeftOut.of(reason, names) for reason, names in reasons.items() if names]
    return sorted(found.values(), key=lambda one: one.path.name), left_out


def _copy_order(path: Path) -> tuple[bool, bool, str]:
    return path.is_dir(), path.name.lower().endswith(".gz"), path.name


def _stem(name: str) -> str:
    stem = IDX_NAME.sub("", name.lower())
    return re.sub(r"[-_.]*(images?|labels?)$", "", stem)


def _order_parts(path: Path, images: Sequence[IdxFile]) -> list[IdxFile]:
    """Return the files of one data set, training first.

    Raises
    ------
    SourceError
        If there are several sets, or none.
    """
    if not images:
        raise SourceError(f"{path} holds IDX files, but none with image in its name.")
    sets = {file.set_name: file.path.name for file in reversed(images)}
    if len(sets) > 1:
        names = [name or file for name, file in sorted(sets.items())]
        raise SourceError(
            f"{path} holds IDX files of {len(sets)} data sets ({list_names(names)}), which are not "
            "mixed; give a folder with one of them, or one file of images."
        )
    parts = [file.part for file in images]
    for part in set(parts):
        if parts.count(part) > 1:
            names = [file.path.name for file in images if file.part == part]
            raise SourceError(
                f"{path} holds {list_names(names)}, which are the same part of a data set; move "
                "one of them away."
            )
    return sorted(images, key=lambda file: 2 if file.part is None else file.part)


def _join_findings(parts: Sequence[Manifest]) -> Findings:
    """Return what is found in all parts; what is said of one is said once."""
    notes = {note.code: note for part in reversed(parts) for note in part.findings.notes}
    facts = [part.findings.values for part in parts if part.findings.values]
    return Findings(notes=tuple(notes.values()), values=join_facts(facts))


def _join_labels(
    path: Path, images: Sequence[IdxFile], parts: Sequence[Manifest]
) -> tuple[tuple[str, ...], NDArray[np.int64] | None, list[Note]]:
    """Return the classes and labels of all parts, if all have labels."""
    # Each file numbers the classes that occur in it; only their names mean the same in all.
    labels = [
        np.array(part.class_names, np.int64)[part.labels]
        for part in parts
        if part.labels is not None
    ]
    if len(labels) == len(parts):
        return *encode_labels(np.concatenate(labels), path), []
    missing = [
        file.path.name for file, part in zip(images, parts, strict=True) if part.labels is None
    ]
    text = f"no labels are next to {list_names(missing)}"
    if labels:
        text += ", so that no image gets one"
    return (), None, [Note("warning", "labels-missing", text, "add the file of labels")]


def _emnist_notes(images: Sequence[IdxFile]) -> list[Note]:
    """Say that EMNIST is turned; its authors wrote the images column by column."""
    if not any(file.stem.startswith("emnist") for file in images):
        return []
    text = "EMNIST stores its images transposed, so that letters lie on their side"
    way_out = "images.swapaxes(1, 2), saved as .npz, stands upright"
    return [Note("warning", "emnist-transposed", text, way_out)]


def _read_pair(path: Path, companion: Path | None, reading: Reading | None) -> Manifest:
    """Read a file of images and perhaps one of labels."""
    array = _read_array(path)
    if array.ndim not in (3, 4):
        raise SourceError(f"{path} holds {array.ndim}-dimensional values, not images (N, H, W).")
    pixels, findings = as_samples(array, "images", path, reading)
    labels = None if companion is None else _read_array(companion)
    if companion is not None and labels is not None and labels.shape != (len(array),):
        raise SourceError(
            f"{path} holds {len(array):,} images but {companion.name} {len(labels):,} labels."
            if labels.ndim == 1
            else f"{companion} holds {labels.ndim}-dimensional values, not labels (N,)."
        )
    classes, indices = encode_labels(labels, path)
    names = [str(i) for i in range(len(array))]
    findings = findings.add(layout="IDX file")
    return Manifest(names, pixels, (), indices, classes, findings=findings)


def _read_array(path: Path) -> NDArray[Any]:
    try:
        with _open(path) as file:
            kind, shape = _read_header(path, file)
            count = kind.itemsize * math.prod(shape)
            _require_possible(path, 4 + 4 * len(shape) + count)
            content = file.read(count + 1)
            surplus = len(file.read()) if len(content) > count else 0
    except BROKEN_FILES as error:
        raise SourceError(f"{path} is cut short or damaged: {first_sentence(error)}.") from error
    if len(content) != count:
        raise _wrong_size(
            path, len(content) + surplus + 4 + 4 * len(shape), 4 + 4 * len(shape) + count
        )
    return np.frombuffer(content, kind).reshape(shape)


def _read_header(path: Path, file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in IDX_DTYPES:
        raise SourceError(f"{path} is not an IDX file.")
    sides = file.read(4 * start[3])
    if len(sides) < 4 * start[3]:
        raise SourceError(f"{path} is cut short or damaged: its header ends early.")
    shape = tuple(int.from_bytes(sides[i : i + 4], "big") for i in range(0, len(sides), 4))
    return np.dtype(IDX_DTYPES[start[2]]), shape


def _require_possible(path: Path, expected: int) -> None:
    """Reject a header that claims more than the file can hold, before memory is asked for."""
    size = path.stat().st_size
    most = size * MAX_RATIO if path.suffix.lower() == ".gz" else size
    if expected > most:
        raise _wrong_size(path, size, expected)


def _wrong_size(path: Path, size: int, expected: int) -> SourceError:
    return SourceError(
        f"{path} is cut short or damaged: {size:,} bytes where {expected:,} are expected; fetch or "
        "copy it again."
    )


def _open(path: Path) -> Any:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")

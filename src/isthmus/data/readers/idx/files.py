"""IDX files: their format, and what their names say."""

import math
import re
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.readers.packed import open_packed
from isthmus.data.reading import LeftOut
from isthmus.data.samples import SPLITS
from isthmus.errors import SourceError, first_sentence
from isthmus.limits import MAX_DEFLATE_RATIO, reject_disproportion
from isthmus.runtime import reject_beyond_memory

IDX_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
STEP_BYTES = 2**20  # of what is only counted
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


def is_idx_folder(folder: Path, names: Iterable[str]) -> bool:
    """Return whether a folder holds IDX files; the suffix .idx alone is also that of others.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        All its files, with /.
    """
    return any(_looks_like_idx(folder / name) for name in names if _is_idx_name(name))


def _is_idx_name(name: str) -> bool:
    """Return whether a file is at the top, or in a folder of its own name, and called IDX."""
    top, _, rest = name.partition("/")
    return rest in ("", top) and is_idx(Path(top))


def _looks_like_idx(path: Path) -> bool:
    if "ubyte" in path.name.lower() or path.suffix.lower() == ".gz":
        return True
    with suppress(OSError), path.open("rb") as file:
        return file.read(2) == b"\0\0"
    return False


def find_idx_files(folder: Path) -> tuple[list[IdxFile], list[LeftOut]]:
    """List the IDX files of a folder, each once, by name.

    Of the same file, a plain one comes before a compressed one, and both before one in a folder of
    its own, as Kaggle's archive of MNIST has them.
    """
    found: dict[tuple[str, bool], IdxFile] = {}
    copies, others = [], []
    try:
        paths = sorted(folder.iterdir(), key=_copy_order)
    except OSError:  # a file can be read also in a folder that cannot be listed
        paths = []
    for path in paths:
        inner = path / path.name
        file = path if path.is_file() else inner if inner.is_file() else None
        if file is None or not is_idx(path):
            others += [] if path.name.startswith(".") else [path.name]
            continue
        one = IdxFile(file, stem_of(path.name))
        if (one.stem, one.has_images) in found:
            copies.append(str(file.relative_to(folder)))
        found.setdefault((one.stem, one.has_images), one)
    left_out = [
        LeftOut.of(one, names, many)
        for names, one, many in (
            (copies, "copy of an IDX file", "copies of IDX files"),
            (others, "file of another kind", "files of another kind"),
        )
        if names
    ]
    return sorted(found.values(), key=lambda one: one.path.name), left_out


def _copy_order(path: Path) -> tuple[bool, bool, str]:
    return path.is_dir(), path.name.lower().endswith(".gz"), path.name


def stem_of(name: str) -> str:
    """Return the stem of a file's name; see `IdxFile`."""
    stem = IDX_NAME.sub("", name.lower())
    return re.sub(r"[-_.]*(images?|labels?)$", "", stem)


def read_array(path: Path) -> NDArray[Any]:
    """Read the numbers of an IDX file.

    Raises
    ------
    SourceError
        If it is damaged, or none.
    """
    try:
        with open_packed(path) as file:
            kind, shape = _read_header(path, file)
            count = kind.itemsize * math.prod(shape)
            _require_possible(path, 4 + 4 * len(shape) + count)
            content = file.read(count)
            surplus = _count_rest(file)
    except BROKEN_FILES as error:
        raise SourceError(f"{path} is cut short or damaged: {first_sentence(error)}.") from error
    if surplus or len(content) != count:
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
    is_packed = path.suffix.lower() == ".gz"
    if expected > (size * MAX_DEFLATE_RATIO if is_packed else size):
        raise _wrong_size(path, size, expected)
    if is_packed:
        reject_disproportion(expected, size, path)
    reject_beyond_memory(expected, path)


def _count_rest(file: IO[bytes]) -> int:
    """Count the bytes that follow, which nobody needs."""
    return sum(map(len, iter(lambda: file.read(STEP_BYTES), b"")))


def _wrong_size(path: Path, size: int, expected: int) -> SourceError:
    return SourceError(
        f"{path} is cut short or damaged: {size:,} bytes where {expected:,} are expected; fetch or "
        "copy it again."
    )

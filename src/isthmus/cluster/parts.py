"""`Parts`: the results of a job while it runs, those of each block in a file next to the output."""

import json
import os
import platform
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import read_npz, require_array
from isthmus.damage import DAMAGE
from isthmus.data.pictures.mixed_scales import Largest
from isthmus.errors import IsthmusError, OptionError, RunError, first_sentence
from isthmus.fields import convert_some, parse_json
from isthmus.files import flush_folder, flush_tree, write_json
from isthmus.latent.array_files import read_facts, require_sealed, seal_of
from isthmus.places import FACTS, write_arrays
from isthmus.temporaries import remove, sweep_for, temporary_path

SUFFIX = ".parts"  # behind the name of the output
ABOUT, FILES = "job.json", "files"
KIND = "isthmus parts"
OWN_ARRAYS = ("broken", "reasons", "largest", FACTS)  # in the file of a part
Range = tuple[int, int]


@dataclass(frozen=True)
class About:
    """What a job computes, for people and for the same command when it is run again.

    Parameters
    ----------
    job : str
        16 hexadecimal digits that change when anything does that the results depend on.
    what : str
        Such as "Encoding".
    source : str
    count : int
        Samples of the source.
    made_by : mapping
        See `Task`.
    """

    job: str
    what: str
    source: str
    count: int
    made_by: Mapping[str, str]


class Part(NamedTuple):
    """The results of a range of rows.

    Parameters
    ----------
    range : (int, int)
    results : mapping
        Arrays by name, none of which is called as in `OWN_ARRAYS`.
    broken : dict
        From a row of the source to the reason.
    is_whole : bool
        Whether there are results for each row that is not broken. If not, more rows are broken than
        were known, and the range is planned again.
    largest : sequence of Largest
        See `Decoded`.
    """

    range: Range
    results: Mapping[str, NDArray[Any]]
    broken: Mapping[int, str]
    is_whole: bool = True
    largest: Sequence[Largest] = ()

    def array(self, name: str, kinds: str, ndim: int) -> NDArray[Any]:
        """Return a result, checked as `isthmus.arrays.require_array` does."""
        return require_array(self.results, name, kinds, ndim)


@dataclass(frozen=True)
class Parts:
    """The folder of a job's parts, on a file system that all machines share.

    Parameters
    ----------
    folder : Path
    about : About
    """

    folder: Path
    about: About

    def begin(self) -> None:
        """Make the folder, or go on with that of the same job.

        Raises
        ------
        RunError
            If it holds the parts of another job, or other files.
        """
        sweep_for(self.folder)
        if not self.folder.exists():
            write_json(self.folder / ABOUT, {"kind": KIND, **asdict(self.about)})
        found = _read_about(self.folder)
        if found is None:
            raise OptionError(
                f"{self.folder} exists and holds no parts of Isthmus; choose another name for the "
                "output, or move it away."
            )
        if found != self.about.job:
            raise RunError(
                f"{self.folder} holds parts of another job, or the model, the source or the "
                "number of threads has changed; remove the folder to start over, or choose "
                "another name for the output."
            )

    def require(self) -> None:
        """Reject a machine that does not see the folder.

        Raises
        ------
        IsthmusError
        """
        if not self.are_wanted():
            raise IsthmusError(
                f"{platform.node()}, a machine of the cluster, does not see {self.folder}; give an "
                "--out on a file system that all of them share."
            )

    def are_wanted(self) -> bool:
        """Return whether the job has not been given up, which removes its folder."""
        return _read_about(self.folder) == self.about.job

    def write(self, part: Part) -> None:
        """Write a part, whole or not at all; the same one may be written twice.

        Nothing is written if the job was given up while the worker was busy. The files that the
        worker has written since, which made the folder again, are removed.
        """
        if not self.are_wanted():
            if not (self.folder / ABOUT).exists():
                self.remove()
            return
        facts = {"job": self.about.job, "is_whole": part.is_whole}
        arrays: dict[str, NDArray[Any]] = {
            **part.results,
            "broken": np.array(list(part.broken), np.int64),
            "reasons": np.array(json.dumps(list(part.broken.values()))),
            "largest": np.array(json.dumps(part.largest)),
        }
        sealed = {**facts, "seal": seal_of(facts, arrays)}
        path = self._path(part.range)
        write_arrays(path, {FACTS: np.array(json.dumps(sealed)), **arrays})

    def read(self, place: Range) -> Part:
        """Read a part.

        Raises
        ------
        IsthmusError
            If it is damaged.
        """
        path = self._path(place)
        try:
            return self._parse(place, read_npz(path))
        except DAMAGE as error:
            path.unlink(missing_ok=True)
            raise IsthmusError(
                f"{path} was damaged and is removed; the same command computes it again."
            ) from error

    def list_ranges(self) -> list[Range]:
        """Return the ranges of all parts that are there, in their order."""
        names = (name for name in os.listdir(self.folder) if name.endswith(".npz"))  # noqa: PTH208
        ranges = [tuple(name.removesuffix(".npz").split("-")) for name in names]
        return sorted(
            (int(one[0]), int(one[1]))
            for one in ranges
            if len(one) == 2 and all(map(str.isdigit, one))
        )

    @property
    def files(self) -> Path:
        """The folder of the files that workers write, where an output is a folder of files."""
        return self.folder / FILES

    def publish(self, out: Path, names: Collection[str]) -> None:
        """Let the folder of files become the output, which is free or an empty folder.

        Parameters
        ----------
        out : Path
        names : collection of str
            Paths of the files below the folder. Others are what a lost machine left half written.

        Raises
        ------
        IsthmusError
            If it cannot be written, or a file is missing.
        """
        try:
            self.files.mkdir(exist_ok=True)
            self._keep_only(names)
            flush_tree(self.files)
            if out.exists():
                out.rmdir()
            self.files.rename(out)
            flush_folder(out.parent)
        except OSError as error:
            raise IsthmusError(f"{out} cannot be written: {first_sentence(error)}.") from error

    def remove(self) -> None:
        """Remove the folder, when the output is there or the job is given up.

        It gets a temporary name first: a process that is killed meanwhile leaves no folder that
        looks like one of parts, and what it leaves is swept.
        """
        gone = temporary_path(self.folder)
        with suppress(OSError):  # it is gone already, or a file in it is open on Windows
            self.folder.rename(gone)
        remove(gone)
        remove(self.folder)

    def _keep_only(self, names: Collection[str]) -> None:
        """Remove all other files.

        File systems may list a name in another form of Unicode, so files are not told by names.

        Raises
        ------
        IsthmusError
            If a file is missing, or two names lead to one.
        """
        kept: dict[tuple[int, int], str] = {}
        for name in names:
            path = self.files / name
            if not path.is_file():
                raise IsthmusError(f"{path} has disappeared; the same command computes it again.")
            if (other := kept.setdefault(_identity(path), name)) != name:
                raise IsthmusError(
                    f"{other} and {name} are one file in {self.files}; rename one in the source."
                )
        for path in sorted(self.files.rglob("*"), reverse=True):  # what is in a folder first
            if path.is_dir():
                with suppress(OSError):  # it holds files of the output
                    path.rmdir()
            elif _identity(path) not in kept:
                path.unlink()

    def _path(self, place: Range) -> Path:
        return self.folder / f"{place[0]:012d}-{place[1]:012d}.npz"

    def _parse(self, place: Range, arrays: Mapping[str, NDArray[Any]]) -> Part:
        facts = read_facts(arrays, {"job": str, "is_whole": bool})
        broken = require_array(arrays, "broken", "i", 1)
        reasons = parse_json(str(require_array(arrays, "reasons", "U", 0)))
        require_sealed(facts, arrays)
        known = dict(zip(broken.tolist(), reasons, strict=True))
        if facts["job"] != self.about.job:
            raise IsthmusError("it is of another job")
        results = {name: array for name, array in arrays.items() if name not in OWN_ARRAYS}
        largest = [
            Largest(*one) for one in parse_json(str(require_array(arrays, "largest", "U", 0)))
        ]
        return Part(place, results, known, facts["is_whole"], largest)


def _identity(path: Path) -> tuple[int, int]:
    """Return what a file is known by on this machine, whatever its name."""
    status = path.lstat()
    return status.st_dev, status.st_ino


def _read_about(folder: Path) -> str | None:
    """Return the job whose parts a folder holds, None if it holds none of ours."""
    try:
        content = parse_json((folder / ABOUT).read_bytes())
        about = convert_some(content, {"kind": str, "job": str}, ABOUT, required=True)
    except (OSError, IsthmusError):
        return None
    return about["job"] if about["kind"] == KIND else None

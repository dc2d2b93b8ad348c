"""`Parts`: the codes of a job while it runs, each block in a file of its own next to the output."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import read_npz, require_array
from isthmus.damage import DAMAGE
from isthmus.errors import IsthmusError, OptionError, RunError
from isthmus.fields import convert_some, parse_json
from isthmus.files import write_json
from isthmus.latent.array_files import read_facts, require_sealed, seal_of
from isthmus.places import FACTS, write_arrays
from isthmus.temporaries import remove

SUFFIX = ".parts"  # behind the name of the output
ABOUT = "job.json"
KIND = "isthmus parts"
Range = tuple[int, int]


@dataclass(frozen=True)
class About:
    """What a job computes, for people and for the same command when it is run again.

    Parameters
    ----------
    job : str
        16 hexadecimal digits that change when anything does that the codes depend on.
    source, model, layer : str
    count : int
        Samples of the source.
    """

    job: str
    source: str
    model: str
    layer: str
    count: int


class Part(NamedTuple):
    """The codes (n, D) of a range of rows.

    Without codes, more rows are broken than were known: the range is planned again.

    Parameters
    ----------
    range : (int, int)
    z : (n, D) float32
    broken : dict
        From a row of the source to the reason.
    is_whole : bool
        Whether there is a code for each row that is not broken.
    """

    range: Range
    z: NDArray[np.float32]
    broken: Mapping[int, str]
    is_whole: bool


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
        if _read_about(self.folder) != self.about.job:
            raise IsthmusError(
                f"{platform.node()}, a machine of the cluster, does not see {self.folder}; give an "
                "--out on a file system that all of them share."
            )

    def write(self, part: Part) -> None:
        """Write a part, whole or not at all; the same one may be written twice."""
        facts = {"job": self.about.job, "is_whole": part.is_whole}
        arrays: dict[str, NDArray[Any]] = {
            "z": part.z,
            "broken": np.array(list(part.broken), np.int64),
            "reasons": np.array(json.dumps(list(part.broken.values()))),
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

    def remove(self) -> None:
        """Remove the folder, when the output is there."""
        remove(self.folder)

    def _path(self, place: Range) -> Path:
        return self.folder / f"{place[0]:012d}-{place[1]:012d}.npz"

    def _parse(self, place: Range, arrays: Mapping[str, NDArray[Any]]) -> Part:
        facts = read_facts(arrays, {"job": str, "is_whole": bool})
        z, broken = require_array(arrays, "z", "f", 2), require_array(arrays, "broken", "i", 1)
        reasons = parse_json(str(require_array(arrays, "reasons", "U", 0)))
        require_sealed(facts, arrays)
        known = dict(zip(broken.tolist(), reasons, strict=True))
        if facts["job"] != self.about.job:
            raise IsthmusError("it is of another job")
        return Part(place, z, known, facts["is_whole"])


def _read_about(folder: Path) -> str | None:
    """Return the job whose parts a folder holds, None if it holds none of ours."""
    try:
        content = parse_json((folder / ABOUT).read_bytes())
        about = convert_some(content, {"kind": str, "job": str}, ABOUT, required=True)
    except (OSError, IsthmusError):
        return None
    return about["job"] if about["kind"] == KIND else None

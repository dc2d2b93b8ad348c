"""What readers of all archives share: names of members, and those that are left out."""

import tarfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from isthmus.data.readers.archives.names import LONG_NAME, MAX_NAME, ONE_LONG_NAME, clean_path
from isthmus.data.readers.files.trees import LISTS, warn_of_unfinished
from isthmus.data.reading import LeftOut, Note
from isthmus.errors import SourceError, first_sentence
from isthmus.limits import limit_of
from isthmus.places import UNFINISHED
from isthmus.text import format_bytes

REPEATED = "earlier members of the same name; the last one counts"
BROKEN_LINK = "links to folders, or to what is not in the archive"
SPECIAL = "devices, pipes and other members that are no files"
MAX_REASON = 120  # letters
ONE = {  # the same of one
    REPEATED: "earlier member of the same name; the last one counts",
    BROKEN_LINK: "link to a folder, or to what is not in the archive",
    SPECIAL: "device, pipe or other member that is no file",
    LONG_NAME: ONE_LONG_NAME,
}

T = TypeVar("T")


class Members(Generic[T]):
    """Members of an archive by name, and the names of those that are left out by reason.

    Parameters
    ----------
    path : Path
        Of the archive.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.packed = path, path.stat().st_size
        self.found: dict[str, T] = {}
        self.notes: list[Note] = []
        self._left_out: defaultdict[str, list[str]] = defaultdict(list)

    def clean(self, name: str) -> str | None:
        """Return the path of a member, None if it is hidden; see `clean_path`."""
        folder, _, last = name.rpartition("/")
        if last in UNFINISHED:
            self.notes.append(warn_of_unfinished(self.path, folder, UNFINISHED[last]))
        return clean_path(name)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What is not read, counted by reason."""
        return tuple(
            LeftOut.of(ONE.get(why, why), sorted(names), why)
            for why, names in self._left_out.items()
        )

    def add(self, name: str, member: T, why_not: str | None = None) -> None:
        """Add a member, unless there is a reason to leave it out."""
        if len(name) > MAX_NAME:
            why_not = LONG_NAME
        if name in self.found:
            self.leave_out(name, REPEATED)
        if why_not is None:
            self.found[name] = member
        else:
            self.found.pop(name, None)
            self.leave_out(name, why_not)

    def leave_out(self, name: str, why: str) -> None:
        """Count a member that is not read."""
        self._left_out[why].append(name[:MAX_NAME])


def why_too_large(size: int, name: str) -> str | None:
    """Return why a member of so many bytes is not read into memory; None if it is."""
    limit = "ISTHMUS_MAX_LIST" if name.endswith(LISTS) else "ISTHMUS_MAX_FILE"
    most = limit_of(limit)
    if size <= most:
        return None
    return f"larger than {format_bytes(most)}, unpacked; set {limit} to read it"


@contextmanager
def reporting_broken_archive(path: Path) -> Iterator[None]:
    """Turn any error of a library into one sentence about the archive."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # of damaged archives, the libraries raise almost anything
        raise SourceError(f"{path} is not a readable archive: {explain(error)}.") from error


def explain(error: Exception) -> str:
    """Return what an error of a library means, for a person."""
    if isinstance(error, UnicodeError):
        return "the names of its members are damaged"
    if isinstance(error, tarfile.ReadError) and "could not be opened" in str(error):
        return "it is neither a tar nor a zip"
    text = first_sentence(error)
    # `zipfile` quotes a wrong header, which may be the whole file.
    return text if len(text) <= MAX_REASON else "it is damaged"

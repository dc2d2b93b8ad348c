"""What of a folder is done already, in a hidden file of it until all is.

So a folder that was left by Ctrl-C, a crash or a full disk is completed by the same command, and
the result is that of a command which was not stopped. A line is on the disk before the file that
it describes, which is whole or absent. So each file in the folder is known, whenever the work
stops; and as long as the hidden file is there, who reads the folder is told that it is a part.
"""

import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isthmus.data.manifest import Content
from isthmus.errors import IsthmusError, OptionError, first_sentence
from isthmus.fields import from_json
from isthmus.files import is_within, write_bytes
from isthmus.places import UNFINISHED
from isthmus.temporaries import is_temporary

DENOISED, STYLIZED = UNFINISHED  # the names of ledgers, by what is done


@dataclass(frozen=True)
class Entry:
    """A file that is written, or will be next.

    Parameters
    ----------
    name : str
        Below the folder.
    source : tuple of two int
        What identifies the content that it was made from; see `identify`.
    size : int
        In bytes.
    resized : bool
        Whether the model has another size.
    lost : tuple of str
        What the file does not keep.
    """

    name: str
    source: tuple[int, ...]
    size: int
    resized: bool = False
    lost: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Its path below the folder."""
        return self.name


class Ledger:
    """The entries of a folder by name; without a folder, of a single file.

    Parameters
    ----------
    folder : Path, optional
    made_by : mapping
        What the files are made from, by what it is called: `model`, its fingerprint, and `source`.
    name : str
        Of the hidden file.

    Raises
    ------
    OptionError
        If the folder holds anything but what the same command has written.
    """

    def __init__(
        self, folder: Path | None, made_by: Mapping[str, str], name: str = DENOISED
    ) -> None:
        self.folder, self.name = folder, name
        self.header = dict(made_by)
        self.entries: dict[str, Entry] = {}
        if folder is not None and (folder / name).is_file():
            self._read(folder)

    def is_done(self, name: str, source: tuple[int, ...]) -> bool:
        """Return whether the file made from this very content is there."""
        entry = self.entries.get(name)
        return entry is not None and entry.source == source and self._is_there(entry)

    def note(self, entries: Iterable[Entry]) -> None:
        """Write down files that will be written next; those that they replace are removed."""
        lines = b""
        for entry in entries:
            self._remove(entry.name)
            self.entries[entry.name] = entry
            lines += _to_line(asdict(entry))
        if self.folder is None:
            return
        try:
            self._begin()
            with (self.folder / self.name).open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())  # else a file may reach the disk that nobody knows
        except OSError as error:
            raise IsthmusError(
                f"{self.folder} cannot be written: {first_sentence(error)}."
            ) from error

    def _begin(self) -> None:
        if self.folder is not None and not (self.folder / self.name).exists():
            write_bytes(self.folder / self.name, _to_line(self.header))

    def keep_only(self, names: Iterable[str]) -> None:
        """Remove the files whose source is gone or broken."""
        for name in self.entries.keys() - set(names):
            self._remove(name)
            del self.entries[name]

    def close(self) -> None:
        """Remove the hidden file, as all is done."""
        if self.folder is not None:
            (self.folder / self.name).unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove all files that were written, and the folders that were made for them."""
        if self.folder is None:
            return
        self.keep_only(())
        self.close()
        with suppress(OSError):  # it was not made, or another program has put a file there
            self.folder.rmdir()

    def _is_there(self, entry: Entry) -> bool:
        path = self._path(entry.name)
        return path is not None and path.is_file() and path.stat().st_size == entry.size

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / name

    def _remove(self, name: str) -> None:
        """Remove a file, and the folders above it that are then empty."""
        path = self._path(name)
        if path is None or self.folder is None or name not in self.entries:
            return
        with suppress(OSError):  # it was not written yet
            path.unlink()
        for folder in path.parents:
            if folder == self.folder:
                break
            with suppress(OSError):  # there is another file in it
                folder.rmdir()

    def _read(self, folder: Path) -> None:
        """Take over what an earlier command has noted, and reject what it has not."""
        header, *lines = _parse(_text_of(folder / self.name))
        for key, value in self.header.items():
            if header.get(key) != value:
                raise OptionError(
                    f"{folder} was started with another {key}; choose another place, or remove it."
                )
        for line in lines:
            entry = from_json(Entry, line)
            # Files are removed by these names; a list from elsewhere must not reach beyond.
            if is_within(folder / entry.name, folder):
                self.entries[entry.name] = entry
        self._reject_others(folder)
        kept = [self.header, *map(asdict, self.entries.values())]  # without a line cut short
        write_bytes(folder / self.name, b"".join(map(_to_line, kept)))

    def _reject_others(self, folder: Path) -> None:
        """Reject a file that is not ours; remove what was half written."""
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            entry = self.entries.get(name)
            is_ours = path.is_dir() or name == self.name or (entry and self._is_there(entry))
            if is_ours and not path.is_symlink():  # which could lead to files of the user
                continue
            if path.is_symlink() or not is_temporary(path.name):
                raise OptionError(
                    f"{folder} holds {name}, which {UNFINISHED[self.name]} did not write; choose "
                    "another place, or move it away."
                )
            path.unlink()


def identify(content: Content) -> tuple[int, ...]:
    """Return what changes with the content of a file: its size and time, or size and checksum."""
    if isinstance(content, bytes):
        return len(content), zlib.crc32(content)
    with suppress(OSError):  # decoding it will say why
        status = Path(str(content)).stat()
        return status.st_size, status.st_mtime_ns
    return ()


def is_begun(folder: Path, name: str = DENOISED) -> bool:
    """Return whether a folder was begun and not completed; it then has a ledger of that name."""
    return (folder / name).is_file()


def count_done(folder: Path, name: str = DENOISED) -> int:
    """Return how many files of a folder are done that was begun and not completed."""
    if not is_begun(folder, name):
        return 0
    lines = _parse(_text_of(folder / name))
    names = {str(line["name"]) for line in lines if "name" in line}
    return sum((folder / name).is_file() for name in names)


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _to_line(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _parse(text: str) -> Sequence[dict[str, object]]:
    """Return the lines, the first of which is the header; the last may be cut short."""
    parsed: list[dict[str, object]] = []
    for line in text.split("\n"):
        with suppress(ValueError):
            content = json.loads(line)
            parsed += [content] if isinstance(content, dict) else []
    return parsed or [{}]

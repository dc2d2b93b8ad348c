"""`Storage`: the files that the studio has computed, in a folder or in memory."""

import io
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import DAMAGE
from isthmus.errors import IsthmusError
from isthmus.files import atomic_write, fingerprint, write_bytes
from isthmus.studio import columns
from isthmus.temporaries import sweep, sweep_for
from isthmus.text import is_plain_name

FORMAT = 3  # raise it when stored files or what is said of them change: then they are made again
LIST = "stored.json"  # written last: it makes the other files count
CHECKED_BYTES = 2**22  # at the start of each file, by which damage is noticed
_CHECK = struct.Struct("<I")  # the CRC-32 at the end of a file that stands alone


class Storage:
    """Named files, each whole or absent.

    Parameters
    ----------
    folder : Path, optional
        Where they are; without one they are kept in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._files: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if there is none."""
        if self.folder is None:
            return self._files.get(name)
        try:
            return _within(self.folder, name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a file."""
        if self.folder is None:
            self._files[name] = content
        else:
            write_bytes(_within(self.folder, name), content)

    def write_column(
        self, name: str, blocks: Iterable[NDArray[np.float32]], shape: tuple[int, ...]
    ) -> None:
        """Write a column of float32 block by block; see `columns.write_blocks`."""
        if self.folder is None:
            content = io.BytesIO()
            columns.write_blocks(content, blocks, shape)
            self._files[name] = content.getvalue()
        else:
            with atomic_write(_within(self.folder, name)) as file:
                columns.write_blocks(file, blocks, shape)

    def column(self, name: str) -> NDArray[Any]:
        """Return the array of a column, by memory map where it is a file.

        Raises
        ------
        IsthmusError
            If it is missing or damaged.
        """
        if self.folder is None:
            return columns.unpack(self._files[name])
        try:
            return columns.open_column(_within(self.folder, name))
        except OSError as error:
            raise IsthmusError(f"{name} of the studio is missing.") from error

    def remove(self) -> None:
        """Remove all files."""
        self._files.clear()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- what belongs together ----------------------------------------------------------------

    def seal(self, content: dict[str, Any], names: Iterable[str]) -> None:
        """Write a description of files that are complete, with what tells whether one is damaged.

        Parameters
        ----------
        content : dict
            Comes back from `unseal`.
        names : iterable of str
            The files that must be there.
        """
        checks = {name: self._check(name) for name in sorted(set(names))}
        sealed = {"format": FORMAT, "content": content, "files": checks}
        sealed["check"] = fingerprint(sealed)
        if self.folder is not None:
            sweep(self.folder)  # what killed processes left half-written
        self.write(LIST, json.dumps(sealed).encode())

    def unseal(self) -> dict[str, Any] | None:
        """Return what was sealed; None if it is missing, damaged or of another format."""
        with suppress(*DAMAGE):
            stored = json.loads(self.read(LIST) or b"")
            content: dict[str, Any] = stored["content"]
            is_whole = stored.pop("check") == fingerprint(stored) and all(
                self._check(name) == check for name, check in stored["files"].items()
            )
            return content if is_whole and stored["format"] == FORMAT else None
        return None

    # -- what stands alone --------------------------------------------------------------------

    def write_alone(self, name: str, content: bytes) -> None:
        """Write a file that is not sealed, with what tells whether it is damaged."""
        if self.folder is not None:
            sweep_for(_within(self.folder, name))
        self.write(name, content + _check_of(content))

    def read_alone(self, name: str) -> bytes | None:
        """Return what `write_alone` wrote; None if it is missing, damaged or of another format."""
        stored = self.read(name) or b""
        content, check = stored[: -_CHECK.size], stored[-_CHECK.size :]
        return content if check == _check_of(content) else None

    def _check(self, name: str) -> list[int]:
        """Return the size of a file and the CRC-32 of its first 4 MB."""
        if self.folder is None:
            content = self._files[name]
            return [len(content), zlib.crc32(content[:CHECKED_BYTES])]
        with _within(self.folder, name).open("rb") as file:
            return [os.fstat(file.fileno()).st_size, zlib.crc32(file.read(CHECKED_BYTES))]


def _within(folder: Path, name: str) -> Path:
    """Return the path of a file; its name may come from a list that somebody else has written."""
    if not is_plain_name(name):
        raise IsthmusError(f"{name!r} is no name of a file of the studio.")
    return folder / name


def _check_of(content: bytes) -> bytes:
    return _CHECK.pack(zlib.crc32(content, FORMAT))

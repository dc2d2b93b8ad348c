"""`Waiting`: contents that wait for their turn, in memory or, if they are many, in a file."""

import tempfile
from typing import IO

MAX_BYTES = 2**27  # in memory


class Waiting:
    """Contents by name; those beyond `MAX_BYTES` wait in a temporary file.

    A packed tar is read from start to end. If its members are in another order than they are
    wanted in, all of them may have to wait.
    """

    def __init__(self) -> None:
        self._contents: dict[str, bytes | tuple[int, int]] = {}
        self._bytes = 0
        self._file: IO[bytes] | None = None

    def __contains__(self, name: str) -> bool:
        return name in self._contents

    def __enter__(self) -> "Waiting":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, name: str, content: bytes) -> None:
        """Keep a content."""
        if self._bytes + len(content) <= MAX_BYTES:
            self._contents[name] = content
            self._bytes += len(content)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        start = self._file.seek(0, 2)
        self._file.write(content)
        self._contents[name] = start, len(content)

    def pop(self, name: str) -> bytes:
        """Return a content, and keep it no longer."""
        content = self._contents.pop(name)
        if isinstance(content, bytes):
            self._bytes -= len(content)
            return content
        assert self._file is not None
        self._file.seek(content[0])
        return self._file.read(content[1])

"""Where a run keeps its files: in a folder, or in memory."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from isthmus.errors import IsthmusError, RunError, first_sentence
from isthmus.files import atomic_folder, put, write_bytes
from isthmus.locks import LOCK, SECONDS_FOR_LOCK, hold, is_held
from isthmus.temporaries import is_temporary, sweep

RECORD = "run.json"  # the file by which a run folder is known; the others are described in `run`
SPLIT, HISTORY, FAILURE = "split.npz", "history.jsonl", "failure.json"
LAST_MODEL, CHECKPOINT = "last.safetensors", "checkpoint/state.pt"


def is_run(path: str | Path) -> bool:
    """Return whether there is a run folder at a path."""
    return (Path(path) / RECORD).is_file()


def is_in_training(path: str | Path) -> bool:
    """Return whether a process trains the run in a folder now."""
    return is_held(Path(path) / LOCK)


class Store(Protocol):
    """A few named files, each whole or absent."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def read(self, file: str) -> bytes | None:
        """Return the content of a file, or None if there is none."""
        ...

    def write(self, file: str, content: bytes) -> None:
        """Write or replace a file, whole or not at all."""
        ...

    def remove(self, file: str) -> None:
        """Remove a file, if it is there."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, in order; none if there is no such folder."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Keep everybody else from training this run; raises a RunError if somebody does."""
        ...


class MemoryStore:
    """Files as bytes in memory.

    Bytes, not the objects that they are read as: a model that is read never shares its weights
    with the one in training, and resuming reads the same checkpoint as from a folder.
    """

    name = "the run in memory"

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)
        self._lock = threading.Lock()

    def read(self, file: str) -> bytes | None:
        """See `Store`."""
        return self._files.get(file)

    def write(self, file: str, content: bytes) -> None:
        """See `Store`."""
        self._files[file] = content

    def remove(self, file: str) -> None:
        """See `Store`."""
        self._files.pop(file, None)

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        files = list(self._files)  # at once, as another thread may train the run
        return sorted(
            file.removeprefix(f"{folder}/") for file in files if file.startswith(f"{folder}/")
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See `Store`."""
        if not self._lock.acquire(blocking=False):
            raise RunError(f"{self.name} is in training already; wait for its end.")
        try:
            yield
        finally:
            self._lock.release()


class FolderStore:
    """Files of a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, files: Mapping[str, bytes]) -> "FolderStore":
        """Make a folder with its first files, whole or not at all.

        The files are written to a folder of a temporary name, which is renamed at the end: so
        whatever has the name of a run can be opened.

        Raises
        ------
        RunError
            If there is something at `path` already, or the folder cannot be made.
        """
        require_free(path)
        try:
            with atomic_folder(path) as folder:
                for name, content in files.items():
                    put(folder / name, content)
        except IsthmusError as error:
            # The system's own words, without the name of a temporary file around them.
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise RunError(f"{path} cannot be made: {first_sentence(cause)}.") from error
        return cls(path)

    @property
    def name(self) -> str:
        """See `Store`."""
        return str(self.path)

    def read(self, file: str) -> bytes | None:
        """See `Store`."""
        path = self.path / file
        return path.read_bytes() if path.exists() else None

    def write(self, file: str, content: bytes) -> None:
        """See `Store`."""
        write_bytes(self.path / file, content)

    def remove(self, file: str) -> None:
        """See `Store`."""
        (self.path / file).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        path = self.path / folder
        names = [file.name for file in path.iterdir()] if path.is_dir() else []
        return sorted(name for name in names if not is_temporary(name))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See `Store`; what killed processes left half-written is removed."""
        busy = (
            f"{self.path} is in use by another process that trains it; wait for its end, or "
            "train into another folder."
        )
        with hold(self.path / LOCK, busy=busy, timeout=SECONDS_FOR_LOCK, kind=RunError):
            sweep(self.path, deep=True)
            yield


def require_free(path: Path) -> None:
    """Reject a path for a new run unless it is free or an empty folder.

    Raises
    ------
    RunError
    """
    if (path / RECORD).exists():
        raise RunError(
            f"{path} is a run already; choose another folder, or continue it with isthmus resume "
            f"{path}."
        )
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise RunError(f"{path} exists already and is not empty; choose another folder.")
    # An empty folder is replaced by the new one, which would leave this process in the old one.
    if path.resolve() == Path.cwd():
        raise RunError(f"{path} is the current folder; choose a new one, such as {path / 'new'}.")

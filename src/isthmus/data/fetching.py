"""`fetch`: the files of a named data set, downloaded and verified before they get their names."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from isthmus.data.dataset import Dataset
from isthmus.data.published import Remote, find_fault, remember
from isthmus.data.transfer import receive
from isthmus.errors import IsthmusError, SourceError, first_sentence
from isthmus.files import atomic_write
from isthmus.locks import hold, is_held
from isthmus.state import lock_path
from isthmus.temporaries import sweep


class Progress(Protocol):
    """Shows how far a download is."""

    def start(self, name: str, total: int | None) -> None:
        """Begin a file of so many bytes, if that is known."""
        ...

    def update(self, count: int) -> None:
        """Count bytes that have arrived."""
        ...


class NoProgress:
    """Shows nothing."""

    def start(self, name: str, total: int | None) -> None:
        """See `Progress`."""

    def update(self, count: int) -> None:
        """See `Progress`."""


NO_PROGRESS = NoProgress()


def fetch(
    dataset: Dataset,
    progress: Progress = NO_PROGRESS,
    say: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Download the files of a data set that are not there yet, and verify all of them.

    A download has a temporary name until its content is found to be what was published. So a file
    under its own name is never a part, whenever this process ends.

    Parameters
    ----------
    dataset : Dataset
    progress : Progress
    say : callable
        Receives one sentence if another process fetches the same set.

    Returns
    -------
    list of Path
        The files that were downloaded by this call.

    Raises
    ------
    SourceError
        If a file cannot be downloaded, or is not what was published.
    IsthmusError
        If it cannot be written.
    """
    if not dataset.files and not dataset.is_present:
        dataset.locate()  # raises the error that says how to get it
    fetched = []
    with ExitStack() as stack:
        if not dataset.is_present:
            with suppress(IsthmusError):  # without a lock two do the same work, and nothing worse
                stack.enter_context(_lock(dataset, say))
            sweep(dataset.folder)
        # Looked for again: another process may have fetched it while this one waited.
        for remote in () if dataset.is_present else dataset.files:
            file = dataset.folder / remote.name
            if not file.exists():
                _download(remote, file, progress)
                fetched.append(file)
    dataset.verify()
    return fetched


def _lock(dataset: Dataset, say: Callable[[str], None]) -> ExitStack:
    """Return what keeps other processes of this user from fetching the same set."""
    lock = lock_path(dataset.folder)
    if is_held(lock):
        say(f"Another process fetches {dataset.name}; this one waits for its end.")
    stack = ExitStack()
    stack.enter_context(hold(lock))
    return stack


def _download(remote: Remote, file: Path, progress: Progress) -> None:
    """Download one file, and give it its name if it holds what was published."""
    with atomic_write(file) as out:
        _receive(remote, out, file, progress)
        out.flush()
        if fault := find_fault(Path(out.name), remote):
            raise SourceError(
                f"{remote.url} delivered something other than {remote.name} ({fault}); nothing was "
                f"kept; try again later, or put the file into {file.parent} yourself."
            )
    remember(file, remote)


def _receive(remote: Remote, out: BinaryIO, file: Path, progress: Progress) -> None:
    for block in _reporting(remote, file.parent, progress):
        out.write(block)
        progress.update(len(block))


def _reporting(remote: Remote, folder: Path, progress: Progress) -> Iterator[bytes]:
    """Yield what a server sends; its errors are not those of the file that is written."""
    try:
        yield from receive(remote.url, remote.most_bytes, partial(progress.start, remote.name))
    except OSError as error:
        raise SourceError(
            f"{remote.name} cannot be fetched from {remote.url}: {first_sentence(error)}; try "
            f"again, or put the file into {folder} yourself."
        ) from error

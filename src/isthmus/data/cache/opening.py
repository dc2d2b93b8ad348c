"""`open_or_decode`: the samples or images of a source, from the cache if they are there."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic

from isthmus.data.cache.entry import (
    C,
    DamagedEntryError,
    Entry,
    complete_entry,
    find,
    trust,
    write_alias,
)
from isthmus.data.cache.folder import LOCK, samples_folder
from isthmus.data.cache.forms import IMAGES, SAMPLES, Form
from isthmus.data.cache.keys import make_key, resolve_key
from isthmus.data.cache.removal import remove_entry
from isthmus.data.cache.room import make_room, read_limit
from isthmus.data.cache.tracking import Track, untracked
from isthmus.data.cache.verification import (
    check_quickly,
    check_whole,
    is_checked,
    is_whole,
    note_use,
)
from isthmus.data.images import Images
from isthmus.data.manifest import Manifest
from isthmus.data.reading import Note
from isthmus.data.samples import Origin, Samples
from isthmus.errors import IsthmusError, SourceError, first_sentence
from isthmus.files import flush_folder
from isthmus.locks import hold
from isthmus.progress import AGAIN
from isthmus.temporaries import temporary_path

ATTEMPTS = 4  # to open what other processes delete
SECONDS_BETWEEN = 0.05


def open_or_decode(
    origin: Origin,
    files: Sequence[Any],
    read: Callable[[], Manifest],
    *,
    allows_flip: bool = False,
    track: Track = untracked,
) -> Samples:
    """Open the cached samples of an origin and its files; read and decode them first if needed.

    Of several processes or threads that ask for the same at the same time, one decodes; the
    others wait and open what it has made. So a run on several processes decodes once.

    Cached samples that are damaged are decoded again, and a note of the report says so.

    Parameters
    ----------
    origin : Origin
    files : list of JSON values
        Identify the content of the source's files, such as by name, size and time.
    read : callable
        Reads what the source holds.
    allows_flip : bool
        See `Samples`.
    track : Track
        Shows the progress of decoding.

    Raises
    ------
    SourceError
        If the source cannot be decoded, or the cache cannot be written.
    """
    samples = _open_or_decode(_Request(SAMPLES, origin, files, read, track))
    # Not by `replace`, which would check all samples.
    return trust(Samples, **{**vars(samples), "allows_flip": allows_flip})


def open_or_decode_images(
    origin: Origin,
    files: Sequence[Any],
    read: Callable[[], Manifest],
    *,
    track: Track = untracked,
) -> Images:
    """Do as `open_or_decode` for images at their own sizes."""
    return _open_or_decode(_Request(IMAGES, origin, files, read, track))


class _Request(Generic[C]):
    """A request for samples or images; see `open_or_decode`."""

    def __init__(
        self,
        form: Form[C],
        origin: Origin,
        files: Sequence[Any],
        read: Callable[[], Manifest],
        track: Track,
    ) -> None:
        self._form: Form[C] = form
        self._origin, self._files = origin, files
        self._read, self._track = read, track
        self._key = make_key(origin, files)
        self._damage = ""  # what is wrong with the entry that was found

    @property
    def source(self) -> str:
        """What is asked for, for messages."""
        return self._origin.source

    def open(self) -> C | None:
        """Open the entry if it is there and does not have to be checked whole."""
        return self._open(check_quickly)

    def open_or_decode(self) -> C | None:
        """Check the whole entry and open it, or decode the source into one.

        One process or thread at a time does that, so that others find it done. None if the entry
        is deleted before it is opened.
        """
        with self._lock():
            samples = self._open(self._check_whole)
            return samples if samples is not None else self._decode()

    def _open(self, check: Callable[[Entry], bool]) -> C | None:
        """Open the entry, if it is there, passes a check and is not deleted meanwhile."""
        try:
            entry = find(self._key)
            if entry is None or not check(entry):
                return None
            samples = self._form.open(entry, self._origin)
        except FileNotFoundError:
            return None
        except DamagedEntryError as error:
            self._damage = str(error)
            return None
        note_use(entry)
        return samples

    def _check_whole(self, entry: Entry) -> bool:
        if self._damage or not is_checked(entry):
            check_whole(entry, self._track)
        return True

    def _decode(self) -> C | None:
        """Decode the source into a new entry, whole or not at all, and open it."""
        read_limit()  # first, as a wrong one is said before the work
        # Read only now: to list an archive or parse a CSV may take seconds.
        manifest = self._read()
        self._say_damage()
        # A name of its own: two requests with one outcome have two locks and may decode together.
        partial = temporary_path(samples_folder() / self._key)
        try:
            partial.mkdir(parents=True)
            entry = self._write(manifest, partial)
            self._publish(partial, entry.folder)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            # After an error or Ctrl-C; otherwise the entry has left this place already.
            shutil.rmtree(partial, ignore_errors=True)
        return self._open_made(entry)

    def _open_made(self, entry: Entry) -> C | None:
        """Open an entry that has just been made, and make room for it."""
        try:
            # First: what is open may be deleted.
            samples = self._form.open(entry, self._origin)
        except FileNotFoundError:
            return None
        with suppress(IsthmusError, OSError):  # without an alias, it is decoded again
            flush_folder(entry.folder.parent)
            if entry.key != self._key:
                write_alias(self._key, entry.key)
        notes = [self._note_damage()] if self._damage else []
        notes += make_room(entry.folder)
        return _add_notes(samples, notes) if notes else samples

    def _write(self, manifest: Manifest, partial: Path) -> Entry:
        """Write all files of an entry to a folder, and return it at its place."""
        stored = self._form.store(manifest, self._origin, partial, self._track)
        key = resolve_key(self._origin, self._files, self._form.shape(stored))
        entry = complete_entry(partial, stored, key, self._form.describe)
        return replace(entry, folder=samples_folder() / key)

    def _publish(self, partial: Path, place: Path) -> None:
        """Move a complete entry to its place, unless it is there already.

        It is when another request with the same outcome was decoded before, or at the same time: a
        lock is held for a request.
        """
        if self._damage or not is_whole(place):
            remove_entry(place)
        try:
            partial.rename(place)
        except OSError:
            if not is_whole(place):
                raise

    def _say_damage(self) -> None:
        """Say that an entry is damaged, by a piece of work without any."""
        if self._damage:
            title = f"The cached samples of {self._origin.source} were damaged ({self._damage})"
            for _ in self._track([None], 1, f"{title} {AGAIN}"):
                pass

    def _note_damage(self) -> Note:
        text = f"the cached samples were damaged ({self._damage}) {AGAIN}"
        return Note("warning", "damaged-cache", text)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Wait until no other process or thread decodes the entry of this key.

        The file is deleted in the end. A process that still waits for the deleted one may run at
        the same time as one that holds a new one; they find the entry complete, or after an error
        both decode and one of two equal entries stays.
        """
        file = samples_folder() / f".{self._key}{LOCK}"
        with ExitStack() as stack:
            try:
                stack.enter_context(hold(file))
            except IsthmusError as error:
                raise self._unwritable(error) from error
            try:
                yield
            finally:
                # Deleted before the release: after it, the file may be the lock of another one.
                with suppress(OSError):  # Windows deletes no open file
                    file.unlink()

    def _unwritable(self, error: Exception) -> SourceError:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        what = "are damaged and cannot be decoded again" if self._damage else "cannot be cached"
        return SourceError(
            f"the samples of {self._origin.source} {what} in {samples_folder()}: "
            f"{first_sentence(cause)}; free some space, such as by isthmus data clean, or set "
            "ISTHMUS_CACHE to another folder."
        )


def _open_or_decode(request: _Request[C]) -> C:
    for _ in range(ATTEMPTS):
        samples = request.open() or request.open_or_decode()
        if samples is not None:
            return samples
        time.sleep(SECONDS_BETWEEN)
    raise SourceError(
        f"the samples of {request.source} are deleted from {samples_folder()} by another process "
        "again and again; try again when it is done."
    )


def _add_notes(samples: C, notes: Sequence[Note]) -> C:
    """Return samples whose report has more notes; they are not checked a second time."""
    report = samples.report
    if report is not None:
        report = replace(report, notes=(*report.notes, *notes))
    return trust(type(samples), **{**vars(samples), "report": report})

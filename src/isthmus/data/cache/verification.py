"""What is checked of an entry when it is opened, and how often.

An entry is flushed to the disk before it gets its name, so a power cut leaves it whole, unless the
disk lies. After that, disks and other programs may damage it. The size of each file is compared at
each opening. All checksums are compared at the first opening, at the first one after the machine
was started, and whenever a file has another time or the last check is a week old. Otherwise some
blocks are compared, drawn at random: damage that grows is found in time, and what is damaged by
writing to the file has another time anyway.

Where nothing can be written, it cannot be remembered what was checked. Small entries are then
checked whole each time, and more blocks of large ones.
"""

import os
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isthmus.damage import DAMAGE
from isthmus.data.cache.checksums import Sums, chunks, count_blocks, sum_chunk, sum_chunks
from isthmus.data.cache.entry import METADATA_FILE, DamagedEntryError, Entry, read_entry
from isthmus.data.cache.sealed import read_sealed, seal
from isthmus.data.cache.tracking import Track, untracked
from isthmus.errors import first_sentence

RECORD_FILE = "checked.json"  # its time is that of the last opening
SPOT_BLOCKS = 2  # of each file, compared at each opening: half a millisecond
READ_ONLY_BLOCKS = 64  # the same where nothing can be remembered: 20 ms
MAX_READ_ONLY_BYTES = 2**28  # there, of an entry that is checked whole: 0.1 s
SECONDS_UNTIL_UNSURE = 7 * 24 * 3600
MIN_TRACKED_BYTES = 2**30  # to check less takes less than a second

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def is_checked(entry: Entry) -> bool:
    """Return whether all of an entry was compared, and nothing has happened since."""
    try:
        record = read_sealed(entry.folder / RECORD_FILE)
        age = time.time() - record["time"]
        is_recent = record["boot"] == _boot() and 0 <= age < SECONDS_UNTIL_UNSURE
        return is_recent and bool(record["files"] == _states(entry))
    except DAMAGE:
        return False


def check_quickly(entry: Entry) -> bool:
    """Compare what takes little time, and return whether that is enough.

    Raises
    ------
    DamagedEntryError
    """
    if is_checked(entry):
        check_some(entry)
        return True
    if os.access(entry.folder, os.W_OK):
        return False
    if sum(sums.size for sums in entry.sums.values()) > MAX_READ_ONLY_BYTES:
        check_some(entry, READ_ONLY_BLOCKS)
    else:
        check_whole(entry)
    return True


def check_whole(entry: Entry, track: Track = untracked) -> None:
    """Compare all checksums of an entry, and remember that.

    Raises
    ------
    DamagedEntryError
    """
    states = _states(entry)  # before: what is changed while it is read counts as not checked
    for name, sums in entry.sums.items():
        _compare_all(entry, name, sums, track)
    record = {"boot": _boot(), "time": time.time(), "files": states}
    with suppress(OSError):  # it can be read only
        (entry.folder / RECORD_FILE).write_bytes(seal(record))  # a part of it is not sealed


def check_some(entry: Entry, count: int = SPOT_BLOCKS) -> None:
    """Compare some blocks of each file of an entry.

    Raises
    ------
    DamagedEntryError
    """
    draw = random.SystemRandom()  # no seed of the user's
    for name, sums in entry.sums.items():
        blocks = range(count_blocks(sums.size))
        for block in sorted(draw.sample(blocks, min(count, len(blocks)))):
            _compare(entry, name, sums, range(block, block + 1))


def is_whole(folder: Path) -> bool:
    """Return whether there is an entry in a folder that is as it was written."""
    try:
        entry = read_entry(folder)
        if entry is not None:
            check_whole(entry)
    except (FileNotFoundError, DamagedEntryError):
        return False
    return entry is not None


def note_use(entry: Entry) -> None:
    """Remember when an entry was last opened."""
    with suppress(OSError):  # it can be read only, or has never been checked
        os.utime(entry.folder / RECORD_FILE)


def last_use(folder: Path) -> float:
    """Return when an entry was last opened, or made, in seconds since 1970."""
    times = [0.0]
    for name in (RECORD_FILE, METADATA_FILE):
        with suppress(OSError):
            times.append((folder / name).stat().st_mtime)
    return max(times)


def _compare_all(entry: Entry, name: str, sums: Sums, track: Track) -> None:
    wanted = chunks(sums.size)
    found: Iterable[list[int]] = sum_chunks(entry.folder / name, wanted)
    if sums.size >= MIN_TRACKED_BYTES:
        source = entry.metadata["source"]
        found = track(found, len(wanted), f"Checking the cached samples of {source}")
    with _reporting_reading(name):
        for chunk, blocks in zip(wanted, found, strict=True):
            _require_equal(name, sums, chunk, blocks)


def _compare(entry: Entry, name: str, sums: Sums, chunk: range) -> None:
    with _reporting_reading(name):
        _require_equal(name, sums, chunk, sum_chunk(entry.folder / name, chunk))


def _require_equal(name: str, sums: Sums, chunk: range, found: list[int]) -> None:
    for block, actual in zip(chunk, found, strict=True):
        if actual != sums.blocks[block]:
            raise DamagedEntryError(f"block {block:,} of {name} has another checksum")


@contextmanager
def _reporting_reading(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:  # deleted, not damaged
        raise
    except OSError as error:
        raise DamagedEntryError(f"{name}: {first_sentence(error)}") from error


def _states(entry: Entry) -> dict[str, list[int]]:
    """Return what changes with the content of each file: its size and its times."""
    statuses = {name: (entry.folder / name).stat() for name in (METADATA_FILE, *entry.sums)}
    return {
        name: [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        for name, status in statuses.items()
    }


def _boot() -> str:
    """Return what is another after each start of the machine; elsewhere than on Linux, the day."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return f"day {int(time.time() // 86400)}"

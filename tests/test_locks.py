"""Locks keep others out, free themselves, and say what is wrong with their file."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from isthmus import locks
from isthmus.errors import IsthmusError, RunError
from isthmus.locks import LockWarning, hold, is_held

Refused = Callable[..., AbstractContextManager[None]]
BUSY = "somebody writes here; wait for the end."

HOLDER = """
import fcntl, os, sys
from pathlib import Path

def missing(file, operation):
    raise OSError(int(sys.argv[2]), "no locks here")

if int(sys.argv[2]):
    fcntl.flock = missing
import warnings
from isthmus.locks import hold

warnings.simplefilter("ignore")
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(params=[0, errno.ENOLCK, errno.ENOSYS])
def lacking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let flock answer as on a file system without locks, or as it does."""

    def flock(file: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    if request.param:
        monkeypatch.setattr(fcntl, "flock", flock)
    return int(request.param)


@pytest.fixture
def unsaid() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LockWarning)
        yield


def start(lock: Path, lacking: int) -> "subprocess.Popen[str]":
    """Start a process that holds a lock until it gets a line, or is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock), str(lacking)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.usefixtures("unsaid")
def test_a_lock_keeps_out_another_process_until_that_ends_or_is_killed(
    lacking: int, tmp_path: Path, refused: Refused
) -> None:
    lock = tmp_path / "folder" / ".lock"
    assert not is_held(lock)
    assert not lock.parent.exists()  # nothing is made by looking
    for is_killed in (False, True):
        with start(lock, lacking) as process:
            assert is_held(lock)
            culprits = ["somebody writes here"] + [f"{lock}.held"] * bool(lacking)
            with refused(RunError, *culprits), hold(lock, busy=BUSY, timeout=0.05, kind=RunError):
                pass
            if is_killed:
                process.kill()
            else:
                process.communicate("\n")
        assert not is_held(lock)
        with hold(lock, busy=BUSY, timeout=1):
            pass


@pytest.mark.usefixtures("unsaid")
def test_threads_hold_a_lock_one_after_the_other(lacking: int, tmp_path: Path) -> None:
    count, seen = 0, []

    def add() -> None:
        nonlocal count
        for _ in range(3):
            with hold(tmp_path / ".lock"):
                before = count
                seen.append(is_held(tmp_path / ".lock"))
                count = before + 1

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (count, seen) == (9, [True] * 9)


def test_who_looks_whether_a_lock_is_held_does_not_see_others_who_look(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with hold(lock):
        pass
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda _: is_held(lock), range(4000)))
    assert not any(seen)


def test_a_file_system_without_locks_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(locks, "_warned", set())
    with warnings.catch_warnings(record=True, action="always") as caught:
        for folder in (tmp_path, tmp_path / "other", tmp_path):
            with hold(folder / ".lock"):
                assert (folder / ".lock.held").exists()
    (warning,) = caught
    assert warning.category is LockWarning
    assert str(tmp_path) in str(warning.message)
    assert not (tmp_path / ".lock.held").exists()


def test_what_an_older_version_left_locks_nobody_out(lacking: int, tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    with warnings.catch_warnings(action="ignore"), hold(tmp_path / ".lock", timeout=0):
        pass


def test_an_error_of_what_is_locked_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path / ".lock"):
        raise ZeroDivisionError
    assert not is_held(tmp_path / ".lock")


def test_a_file_that_cannot_be_locked_is_named(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "folder.lock").mkdir()
    (tmp_path / "link.lock").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").touch()
    for name in ("folder.lock", "link.lock"):
        with refused(IsthmusError, tmp_path / name, "cannot be locked", "remove it"):
            hold(tmp_path / name).__enter__()
    with refused(RunError, tmp_path / "file", "cannot be written"):
        hold(tmp_path / "file" / ".lock", kind=RunError).__enter__()
    with hold(tmp_path / "file" / ".lock", optional=True):
        pass
    assert not (tmp_path / "elsewhere").exists()  # a link is not followed
    assert not is_held(tmp_path / "folder.lock")

"""Names of what is not complete, and what is swept: only what nobody owns."""

import os
import time
from pathlib import Path

import pytest

from isthmus.files import atomic_folder, atomic_write
from isthmus.temporaries import is_abandoned, is_temporary, sweep, temporary_path

DAY = 24 * 3600


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_running_process_writes_stays(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as file, atomic_folder(tmp_path / "b") as folder:
        file.write(b"half")
        (folder / "c").touch()
        assert sweep(tmp_path, deep=True) == 0
        assert folder.is_dir()
    assert _names(tmp_path) == ["a", "b"]


def test_what_an_ended_process_left_goes_with_all_that_is_in_it(
    tmp_path: Path, killed: str
) -> None:
    (tmp_path / f".a{killed}").write_bytes(b"12345")
    (tmp_path / f".b{killed}" / "deep").mkdir(parents=True)
    (tmp_path / f".b{killed}" / "deep" / "c").write_bytes(b"123")
    (tmp_path / "kept").touch()
    freed = sweep(tmp_path)
    assert freed >= 8
    assert _names(tmp_path) == ["kept"]


def test_folders_are_searched_if_asked_for(tmp_path: Path, killed: str) -> None:
    left = tmp_path / "maps" / f".map{killed}"
    left.parent.mkdir()
    left.touch()
    sweep(tmp_path)
    assert left.exists()
    sweep(tmp_path, deep=True)
    assert not left.exists()


def test_a_number_of_a_process_that_is_used_again_is_not_taken_for_its_owner(
    tmp_path: Path,
) -> None:
    machine, process, started, token = temporary_path(tmp_path / "a").name.split(".")[2].split("-")
    if started == "0":
        pytest.skip("this system does not tell when a process started")
    before = f".a.{machine}-{process}-{int(started) - 1}-{token}.tmp"
    assert is_abandoned(tmp_path / before)


@pytest.mark.parametrize("name", [".a.0123abcd.tmp", ".a.ffffff-1-1-0123abcd.tmp", ".89abcdef.tmp"])
def test_of_an_unknown_owner_only_what_is_old_goes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    sweep(tmp_path)
    assert (tmp_path / name).exists()
    now = time.time()
    os.utime(tmp_path / name, (now - 2 * DAY, now - 2 * DAY))
    sweep(tmp_path)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["a.tmp", ".a.tmp", ".a.0123abc.tmp", ".tmp", ".a.0123abcd.tmp.b"])
def test_files_of_others_are_not_temporary(tmp_path: Path, name: str) -> None:
    assert not is_temporary(name)
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (0, 0))
    sweep(tmp_path)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["a", "ä" * 80, "x" * 250, "line\nbreak", "a.b-1-2.tmp"])
def test_a_temporary_name_of_any_file_is_known_and_fits(tmp_path: Path, name: str) -> None:
    path = temporary_path(tmp_path / name)
    assert is_temporary(path.name)
    assert not is_abandoned(path)
    path.touch()


def test_a_new_attempt_removes_what_is_left_of_the_last_one(tmp_path: Path, killed: str) -> None:
    (tmp_path / f".b{killed}").mkdir()
    (tmp_path / f".c{killed}").mkdir()
    with atomic_folder(tmp_path / "b"):
        pass
    assert _names(tmp_path) == [f".c{killed}", "b"]

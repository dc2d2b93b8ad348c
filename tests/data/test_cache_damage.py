"""Decoded samples after power cuts, failing disks, other programs and kills: decoded again."""

import io
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from planting import plant, spread

import isthmus
from isthmus.cli import main
from isthmus.data.cache import clear, verification
from isthmus.data.cache.checksums import sum_chunk
from isthmus.data.cache.sealed import read_sealed, seal
from isthmus.errors import OptionError, SourceError

Damage = Callable[[Path], object]
MIB = 2**20


def entry_of(cache: Path) -> Path:
    """Return the folder of the only entry."""
    (entry,) = (path for path in (cache / "samples").iterdir() if path.is_dir())
    return entry


def damage_notes(samples: isthmus.Samples | isthmus.Images) -> list[str]:
    report = samples.report
    assert report is not None
    return [note.text for note in report.notes if note.code == "damaged-cache"]


def contents(samples: isthmus.Samples) -> tuple[Any, Any]:
    """Return copies of the values and the masks: the files beneath them will be damaged."""
    return np.array(samples.values), np.array(samples.masks)


def pictures_with_masks(folder: Path) -> Path:
    plant(folder, spread(["images"], 6))
    (folder / "masks").mkdir()
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 3, (6, 5), np.uint8)
        Image.fromarray(pixels).save(folder / f"masks/{i}.png")
    return folder


def signals(path: Path, count: int = 3 * MIB // 1024) -> Path:
    """Write signals of 4 kB each, by default in 12 blocks of checksums."""
    values = np.random.default_rng(0).normal(size=(count, 1024)).astype(np.float32)
    np.save(path, values)
    return path


def flip(path: Path, offset: int = -1) -> None:
    """Change one bit; like a disk, without another size."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 4
    path.write_bytes(content)


def rot(path: Path, offset: int) -> None:
    """Change one bit so that no time or size says so: what was checked counts as checked."""
    flip(path, offset)
    record = path.parent / verification.RECORD_FILE
    content = read_sealed(record)
    status = path.stat()
    content["files"][path.name] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    record.write_bytes(seal(content))


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def extend(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def turn_into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("name", ["values.bin", "masks.npy", "samples.json"])
def test_a_damaged_file_is_decoded_again_and_that_is_said(
    name: str, tmp_path: Path, cache: Path
) -> None:
    source = pictures_with_masks(tmp_path / "source")
    values, masks = contents(isthmus.load(source))
    for damage in (flip, zero, cut, extend, empty, Path.unlink, turn_into_folder):
        damage(entry_of(cache) / name)
        again = isthmus.load(source)
        assert np.array_equal(again.values, values), damage
        assert np.array_equal(contents(again)[1], masks), damage
        (note,) = damage_notes(again)
        assert name in note
        assert damage_notes(isthmus.load(source)) == []
    assert not list(cache.rglob("*.tmp"))


@pytest.mark.skipif(sys.platform != "linux", reason="paths of open files are read from /proc")
def test_all_is_flushed_before_it_gets_its_name(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures_with_masks(tmp_path / "source")
    events: list[tuple[str, str]] = []
    flush, rename = os.fsync, os.rename

    def note_flush(descriptor: int) -> None:
        events.append(("flushed", str(Path(f"/proc/self/fd/{descriptor}").readlink().name)))
        flush(descriptor)

    def note_rename(old: Any, new: Any, **options: Any) -> None:
        events.append(("renamed", Path(new).name))
        rename(old, new, **options)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(os, "rename", note_rename)
    isthmus.load(source)
    moment = events.index(("renamed", entry_of(cache).name))
    names = [name for kind, name in events[:moment] if kind == "flushed"]
    assert {"values.bin", "masks.npy", "samples.json"} < {*names}
    assert names[-1].endswith(".tmp")  # their folder, whose names are on the disk then
    assert ("flushed", "samples") in events[moment:]


NONSENSE: list[Any] = [
    None,
    [],
    "text",
    {"shape": [10**12, 10**9, 3]},
    {"shape": [-1, 6, 5, 3]},
    {"shape": [6, 6.5, 5, 3]},
    {"shape": "6653"},
    {"shape": [6] * 10},
    {"dtype": "object"},
    {"dtype": "float32"},
    {"files": {}},
    {"files": {"values.bin": [540, []], "masks.npy": [308, [1]]}},
    {"files": {"values.bin": "x"}},
    {"files": {"../values.bin": [540, [1]]}},
    {"names": {"text": "a", "ends": [1, 2, 3, 4, 5, 10**9]}},
    {"names": {"text": "a", "ends": [[]] * 6}},
    {"names": ["a"] * 6},
    {"labels": [0, 1, 2, 3, 4, 9]},
    {"labels": {}},
    {"splits": [999] * 6},
    {"splits": [9] * 6},
    {"splits": [0]},
    {"class_names": [1, 2, 3]},
    {"skipped": [1]},
    {"skipped": 5},
    {"class_names": 3},
    {"masks": 7},
    {"report": []},
    {"report": {"notes": [{"kind": 3}]}},
    {"fingerprint": 3},
    {"key": "../other"},
]


def test_nonsense_with_a_right_checksum_is_decoded_again(tmp_path: Path, cache: Path) -> None:
    source = pictures_with_masks(tmp_path / "source")
    values, masks = contents(isthmus.load(source))
    file = entry_of(cache) / "samples.json"
    content = read_sealed(file)
    for nonsense in NONSENSE:
        file.write_bytes(seal({**content, **nonsense} if isinstance(nonsense, dict) else nonsense))
        again = isthmus.load(source)
        assert np.array_equal(again.values, values), nonsense
        assert np.array_equal(contents(again)[1], masks), nonsense
        assert len(damage_notes(again)) == 1, nonsense
        assert damage_notes(isthmus.load(source)) == [], nonsense


def test_json_of_any_kind_is_decoded_again(tmp_path: Path, cache: Path) -> None:
    source = plant(tmp_path / "source", spread(["a"]))
    isthmus.load(source)
    file = entry_of(cache) / "samples.json"
    for content in (b"[" * 100_000, b"\0" * 5000, b"\xff{}", b"{}", b"1" * 9000):
        file.write_bytes(content)
        assert len(damage_notes(isthmus.load(source))) == 1, content[:9]
    with file.open("wb") as huge:
        huge.truncate(2**40)  # of no bytes on the disk
    assert len(damage_notes(isthmus.load(source))) == 1


@pytest.mark.parametrize("suffix", ["alias", "stretch"])
def test_a_damaged_alias_or_range_is_made_again(suffix: str, tmp_path: Path, cache: Path) -> None:
    source = plant(tmp_path / "source", spread(["a"]))
    reading = isthmus.Reading(stretch="auto") if suffix == "stretch" else None
    values = np.array(isthmus.load(source, reading=reading).values)
    (file,) = (cache / "samples").glob(f"*.{suffix}")
    whole = file.read_bytes()
    for damage in (flip, zero, cut, extend, empty):
        damage(file)
        assert np.array_equal(isthmus.load(source, reading=reading).values, values), damage
        assert file.read_bytes() == whole, damage
    assert entry_of(cache)


def test_an_alias_under_the_name_of_another_is_not_followed(tmp_path: Path, cache: Path) -> None:
    one, other = (plant(tmp_path / name, spread([name])) for name in "ab")
    isthmus.load(one)
    (first,) = (cache / "samples").glob("*.alias")
    names = list(isthmus.load(other).names)
    (second,) = (path for path in (cache / "samples").glob("*.alias") if path != first)
    shutil.copy(first, second)
    assert list(isthmus.load(other).names) == names


def test_an_entry_under_the_name_of_another_is_decoded_again(tmp_path: Path, cache: Path) -> None:
    one, other = (plant(tmp_path / name, spread([name])) for name in "ab")
    isthmus.load(one)
    first = entry_of(cache)
    first.rename(tmp_path / "kept")
    names = list(isthmus.load(other).names)
    second = entry_of(cache)
    shutil.rmtree(second)
    (tmp_path / "kept").rename(second)
    assert list(isthmus.load(other).names) == names


@pytest.mark.parametrize("block", [0, 5, 11])
def test_a_file_that_was_written_to_is_checked_whole(
    block: int, tmp_path: Path, cache: Path
) -> None:
    source = signals(tmp_path / "x.npy")
    fingerprint = isthmus.load(source).fingerprint
    isthmus.load(source)
    flip(entry_of(cache) / "values.bin", block * MIB)
    again = isthmus.load(source)
    assert f"block {block} of values.bin" in damage_notes(again)[0]
    assert again.fingerprint == fingerprint


def test_bits_that_rot_are_found_by_chance_and_after_the_next_start_for_sure(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = signals(tmp_path / "x.npy")
    boot = tmp_path / "boot"
    boot.write_text("first")
    monkeypatch.setattr(verification, "BOOT_ID", boot)
    isthmus.load(source)
    isthmus.load(source)
    rot(entry_of(cache) / "values.bin", 5 * MIB)
    # Two of twelve blocks each time: of 300 openings, none would find it once in 10^23.
    notes = (damage_notes(isthmus.load(source)) for _ in range(300))
    assert any(notes)
    isthmus.load(source)
    rot(entry_of(cache) / "values.bin", 7 * MIB)
    boot.write_text("second")
    assert "block 7 of values.bin" in damage_notes(isthmus.load(source))[0]


def test_what_was_checked_whole_is_not_read_whole_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = signals(tmp_path / "x.npy")
    isthmus.load(source)
    checked: list[int] = []

    def count(path: Path, blocks: range) -> list[int]:
        checked.extend(blocks)
        return sum_chunk(path, blocks)

    monkeypatch.setattr(verification, "sum_chunk", count)
    for _ in range(3):
        isthmus.load(source)
    assert len(checked) == 2 * verification.SPOT_BLOCKS
    opened = (entry_of(cache) / verification.RECORD_FILE).stat().st_mtime
    assert time.time() - opened < 60


@pytest.mark.parametrize(("make", "out"), [(signals, "out.npz"), (pictures_with_masks, "out")])
def test_commands_say_that_samples_were_damaged(
    make: Callable[[Path], Path], out: str, tmp_path: Path, cache: Path
) -> None:
    source = make(tmp_path / "source.npy")
    isthmus.load(source)
    zero(entry_of(cache) / "values.bin")
    arguments = ["isthmus", "data", "export", source, "--out", tmp_path / out, "--count", 2]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said), redirect_stdout(said):
        patch.setattr(sys, "argv", [*map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
    assert not exited.value.code, said.getvalue()
    (line,) = (line for line in said.getvalue().splitlines() if "damaged" in line)
    assert f"The cached samples of {source} were damaged (block 0 of values.bin" in line
    assert line.endswith("and are decoded again.")


@pytest.fixture
def own_disk(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Mount a file system at tmp_path/disk; give a function that changes its options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["mount", *arguments, str(folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    if shutil.which("mount") is None or mount("-t", "tmpfs", "-o", "size=9m", "tmpfs").returncode:
        pytest.skip("a file system cannot be mounted")

    def change(options: str) -> None:
        assert mount("-o", f"remount,{options}").returncode == 0

    yield change
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_cache_that_can_only_be_read_is_opened_and_checked(
    own_disk: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., AbstractContextManager[None]],
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "disk"))
    monkeypatch.setenv("ISTHMUS_CACHE_LIMIT", "none")
    source = plant(tmp_path / "source", spread(["a"]))
    fingerprint = isthmus.load(source).fingerprint
    own_disk("ro")
    assert isthmus.load(source).fingerprint == fingerprint
    own_disk("rw")
    flip(entry_of(tmp_path / "disk") / "values.bin")
    own_disk("ro")
    with refused(SourceError, source, "damaged", "ISTHMUS_CACHE"):
        isthmus.load(source)


def test_a_cache_below_a_file_is_not_called_damaged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., AbstractContextManager[None]],
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "file" / "cache"))
    with refused(SourceError, "digits cannot be cached", tmp_path / "file"):
        isthmus.load("digits")
    assert clear() == 0


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    own_disk: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., AbstractContextManager[None]],
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "disk"))
    with refused(SourceError, "x.npy", "No space left", "isthmus data clean"):
        isthmus.load(signals(tmp_path / "x.npy"))
    assert list((tmp_path / "disk" / "samples").iterdir()) == []


def test_samples_load_while_others_clean_the_cache(tmp_path: Path, cache: Path) -> None:
    source = plant(tmp_path / "source", spread(["a"]))
    fingerprint = isthmus.load(source).fingerprint
    is_over = threading.Event()

    def clean_always() -> None:
        while not is_over.wait(0.002):
            clear()

    cleaner = threading.Thread(target=clean_always)
    cleaner.start()
    try:
        for _ in range(8):
            samples = isthmus.load(source)
            assert samples.fingerprint == fingerprint
            assert np.array(samples.values).any()
    finally:
        is_over.set()
        cleaner.join()


def test_samples_in_use_stay_readable_when_they_are_deleted(tmp_path: Path, cache: Path) -> None:
    samples = isthmus.load(plant(tmp_path / "source", spread(["a"])))
    values = np.array(samples.values)
    assert clear() > values.nbytes
    assert np.array_equal(samples.values, values)


def test_a_wrong_limit_is_refused_before_the_work(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., AbstractContextManager[None]],
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE_LIMIT", "much")
    with refused(OptionError, "ISTHMUS_CACHE_LIMIT", "much", "20GB"):
        isthmus.load(plant(tmp_path / "source", spread(["a"])))
    assert list((cache / "samples").iterdir()) == []

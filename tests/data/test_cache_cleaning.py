"""What is removed from the cache of decoded samples: by command, by age, and to keep its limit."""

import io
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planting import plant, spread

import isthmus
from isthmus.cli import main
from isthmus.data.cache import clean, clear
from isthmus.temporaries import temporary_path

DAY = 24 * 3600


def command(*arguments: object) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        patch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as exited:
            main()
    return int(exited.value.code or 0), out.getvalue(), err.getvalue()


def array(folder: Path, name: str, rows: int = 250) -> Path:
    """Write signals of so many kB; their entry takes 5 kB more."""
    values = np.random.default_rng(rows).normal(size=(rows, 250)).astype(np.float32)
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{name}.npy", values)
    return folder / f"{name}.npy"


def sources_in(cache: Path) -> set[str]:
    """Return the names of the sources whose entries are in the cache."""
    rows = json.loads(command("data", "clean", "--max-size", "1TB", "--json")[1])["kept"]
    folders = (path.name for path in (cache / "samples").iterdir() if path.is_dir())
    assert len(rows) == sum(not name.startswith(".") for name in folders)
    return {Path(row["source"]).stem for row in rows}


def age(cache: Path, days: float) -> None:
    """Let everything in the cache be older by so many days."""
    for path in cache.rglob("*"):
        moment = path.stat().st_mtime - days * DAY
        os.utime(path, (moment, moment))


@pytest.fixture
def three(tmp_path: Path, cache: Path) -> list[Path]:
    """Decode three sources of 250 kB, used three, two and one days ago."""
    sources = []
    for name in "abc":
        sources.append(array(tmp_path / "sources", name))
        isthmus.load(sources[-1])
        age(cache, 1)
    return sources


@pytest.mark.usefixtures("three")
def test_the_least_recently_used_go_first(cache: Path) -> None:
    clean(max_size=600_000)
    assert sources_in(cache) == {"b", "c"}
    clean(max_size=0)
    assert sources_in(cache) == set()


def test_opening_counts_as_use(cache: Path, three: list[Path]) -> None:
    isthmus.load(three[0])  # checks all of it
    clean(max_size=600_000)
    assert sources_in(cache) == {"a", "c"}
    for source in (three[0], three[2]):
        isthmus.load(source)
        for record in cache.rglob("checked.json"):
            moment = record.stat().st_mtime - 3600
            os.utime(record, (moment, moment))
    isthmus.load(three[0])  # checks a part of it, and writes nothing
    clean(max_size=300_000)
    assert sources_in(cache) == {"a"}


@pytest.mark.usefixtures("three")
def test_only_what_is_older_goes(cache: Path) -> None:
    code, out, _ = command("data", "clean", "--older-than", "36h", "--dry-run")
    assert code == 0
    assert "506 kB would be freed" in out
    assert sources_in(cache) == {"a", "b", "c"}
    code, out, _ = command("data", "clean", "--older-than", "1.5d")
    assert "506 kB freed" in out
    assert "250 signals of 250 × 1" in out
    assert sources_in(cache) == {"c"}


@pytest.mark.usefixtures("three")
def test_a_dry_run_tells_what_a_run_does(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE_LIMIT", "20GB")  # by default, it follows what is free
    before = sorted(path for path in cache.rglob("*"))
    answers = []
    for options in (("--dry-run",), ()):
        code, out, _ = command("data", "clean", "--json", *options)
        assert code == 0
        answers.append(json.loads(out))
        if options:
            assert sorted(path for path in cache.rglob("*")) == before
    assert answers[0].pop("dry_run") is True
    assert answers[1].pop("dry_run") is False
    assert answers[0] == answers[1]
    assert [Path(row["source"]).stem for row in answers[0]["removed"]] == ["a", "b", "c"]
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        (("--older-than", "30"), "30"),
        (("--older-than", "-1d"), "-1d"),
        (("--older-than", "soon"), "soon"),
        (("--max-size", "20 apples"), "20 apples"),
        (("--max-size", "nan"), "nan"),
        (("--max-size", "1e400GB"), "1e400GB"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_ages_and_sizes_that_make_no_sense_are_refused(
    options: tuple[str, ...], culprit: str
) -> None:
    code, out, err = command("data", "clean", *options)
    assert (code, out) == (2, "")
    assert culprit in err


def test_what_is_in_use_is_spared_while_it_is(cache: Path, three: list[Path]) -> None:
    samples = isthmus.load(three[0])
    view = samples.values[3:]
    del samples
    assert {Path(one.source).stem: one.state for one in clean(max_size=0).kept} == {"a": "in use"}
    del view
    assert sources_in(cache) == {"a"}
    clean(max_size=0)
    assert sources_in(cache) == set()


def hold(source: Path, cache: Path, is_open: Any, may_end: Any) -> None:
    """Hold samples open in a process of its own."""
    os.environ["ISTHMUS_CACHE"] = str(cache)
    samples = isthmus.load(source)
    is_open.set()
    may_end.wait(60)
    assert samples.values.any()


def test_another_process_that_is_killed_uses_nothing(cache: Path, three: list[Path]) -> None:
    context = multiprocessing.get_context("spawn")
    is_open, may_end = context.Event(), context.Event()
    process = context.Process(target=hold, args=(three[0], cache, is_open, may_end))
    process.start()
    try:
        assert is_open.wait(60)
        clean(max_size=0)
        assert sources_in(cache) == {"a"}
    finally:
        process.kill()
        process.join()
    clean(max_size=0)
    assert sources_in(cache) == set()


def test_the_limit_applies_by_itself_and_says_what_it_removed(
    tmp_path: Path, cache: Path, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE_LIMIT", "700 kB")
    used = isthmus.load(three[0])  # the least recently used, but in use
    samples = isthmus.load(array(tmp_path / "sources", "d"))
    assert sources_in(cache) == {"a", "d"}
    assert samples.report is not None
    notes = [note for note in samples.report.notes if note.code == "cache-limit"]
    assert [Path(note.text.split(" (")[0]).stem for note in notes] == ["b", "c"]
    assert "700 kB" in notes[0].text
    again = isthmus.load(tmp_path / "sources" / "d.npy")
    assert again.report is not None
    assert "cache-limit" not in {note.code for note in again.report.notes}
    del used


def test_what_was_just_made_stays_also_above_the_limit(
    tmp_path: Path, cache: Path, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE_LIMIT", "1")
    isthmus.load(array(tmp_path / "sources", "d"))
    assert sources_in(cache) == {"d"}
    monkeypatch.setenv("ISTHMUS_CACHE_LIMIT", "none")
    isthmus.load(three[0])
    assert sources_in(cache) == {"a", "d"}


def plant_leftovers(cache: Path) -> tuple[list[Path], list[Path]]:
    """Leave what killed processes leave, and what is still being made; return both."""
    samples = cache / "samples"
    dead = samples / ".0123456789abcdef.1234abcd.tmp"  # as older versions named it
    alias, lock = samples / "0123456789abcdef.alias", samples / ".0123456789abcdef.lock"
    alive, strange = temporary_path(samples / "0123456789abcdef"), samples / "holiday.png"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "values.bin").write_bytes(bytes(100_000))
    alias.write_text("fedcba9876543210")
    for path in (lock, strange):
        path.write_text("")
    age(cache, 2)
    return [dead, alias, lock], [alive, strange]


@pytest.mark.usefixtures("three")
def test_leftovers_are_swept_and_work_in_progress_is_not(cache: Path) -> None:
    swept, stays = plant_leftovers(cache)
    answer = json.loads(command("data", "clean", "--max-size", "1TB", "--json")[1])
    assert set(answer["leftovers"]) == set(map(str, swept))
    assert answer["freed"] >= 100_000
    assert [path for path in swept if path.exists()] == []
    clear()
    assert [path for path in stays if not path.exists()] == []
    assert sources_in(cache) == set()


def test_making_an_entry_sweeps_leftovers(
    tmp_path: Path, cache: Path, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    swept, stays = plant_leftovers(cache)
    monkeypatch.setenv("ISTHMUS_CACHE_LIMIT", "1TB")  # else this process has looked a moment ago
    isthmus.load(array(tmp_path / "sources", "d"))
    assert [path for path in swept if path.exists()] == []
    assert [path for path in stays if not path.exists()] == []
    assert sources_in(cache) == {"a", "b", "c", "d"}


def test_entries_of_older_versions_and_damaged_ones_go_first(
    cache: Path, three: list[Path]
) -> None:
    entries = [path for path in (cache / "samples").iterdir() if path.is_dir()]
    old, damaged, _ = sorted(entries, key=lambda path: -path.stat().st_mtime)
    (old / "samples.json").write_text('{"dtype": "float32", "shape": [250, 250, 1]}')
    (damaged / "samples.json").write_text("[")
    shown = json.loads(command("data", "clean", "--older-than", "9w", "--dry-run", "--json")[1])
    assert {one["state"] for one in shown["removed"]} == {"of another version", "damaged"}
    assert [one["state"] for one in shown["kept"]] == [""]
    clean(older_than=60 * DAY)
    assert len(sources_in(cache)) == 1


@pytest.mark.skipif(os.name != "posix", reason="pipes have names on POSIX only")
def test_strange_files_neither_stop_nor_block_cleaning(cache: Path, three: list[Path]) -> None:
    one, other, last = (path for path in (cache / "samples").iterdir() if path.is_dir())
    (one / "samples.json").unlink()
    os.mkfifo(one / "samples.json")
    os.mkfifo(cache / "samples" / "0123456789abcdef.alias")
    (other / "samples.json").unlink()
    (other / "samples.json").mkdir()
    os.utime(last / "samples.json", (2**33, 2**33))
    shown = json.loads(command("data", "clean", "--dry-run", "--json")[1])["removed"]
    assert sorted(row["state"] for row in shown) == ["", "damaged", "damaged"]
    for source in three:
        assert isthmus.load(source).values.any()
    clear()
    assert list((cache / "samples").iterdir()) == []


def test_what_else_is_there_is_shown_and_stays(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "data"))
    (cache / "baselines").mkdir()
    (cache / "baselines" / "0.json").write_text("{}")
    plant(tmp_path / "data" / "mnist", spread(["a"]))
    cut = tmp_path / "data" / "mnist" / "tmpab12_xyz"
    cut.write_bytes(b"half of it")
    fresh = cut.with_name("tmpab12_abc")
    fresh.write_bytes(b"half of it")
    os.utime(cut, (time.time() - 2 * DAY,) * 2)
    answer = json.loads(command("data", "clean", "--json")[1])
    assert answer["others"] == {str(cache / "baselines"): 2}
    assert list(answer["downloads"]) == [str(tmp_path / "data" / "mnist")]
    assert list(answer["leftovers"]) == [str(cut)]
    assert not cut.exists()
    assert fresh.exists()
    shown = command("data", "clean")[1]
    assert f"kept: {cache / 'baselines'}" in shown
    assert f"kept: fetched data in {tmp_path / 'data' / 'mnist'}" in shown


def test_two_that_make_room_at_once_remove_no_more_than_one(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [array(tmp_path / "sources", name) for name in "abcdef"]
    for source in sources[:4]:
        isthmus.load(source)
        age(cache, 1)
    monkeypatch.setenv("ISTHMUS_CACHE_LIMIT", "1100kB")  # of four
    with ThreadPoolExecutor(2) as pool:
        for samples in pool.map(isthmus.load, sources[4:]):
            assert samples.values.any()
    assert sources_in(cache) == {"c", "d", "e", "f"}

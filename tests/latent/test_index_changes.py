"""Many may change one index at once: nothing is lost, and nobody waits for an encoder."""

import errno
import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isthmus import TrainedModel, locks
from isthmus.data.items import Items
from isthmus.data.preprocess import Preprocessing
from isthmus.errors import RunError
from isthmus.latent import index_files
from isthmus.latent.codes import Codes
from isthmus.latent.index import Index
from isthmus.latent.indexing import build_index, open_index, update_index
from isthmus.locks import is_held
from isthmus.models.config import ModelConfig
from test_cli import isthmus

Refused = Callable[..., AbstractContextManager[None]]
ROUNDS = 6

ADDER = """
import sys
import numpy as np
from isthmus.data.items import Items
from isthmus.latent.codes import Codes
from isthmus.latent.index import Index

folder, who = sys.argv[1:]
print("ready", flush=True)
for number in map(str.strip, sys.stdin):
    codes = Codes(np.ones((1, 4), np.float32), Items([f"{who}-{number}"]))
    with Index.edit(folder) as index:
        index.add(codes)
    print("added", flush=True)
"""


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    config = ModelConfig("linear", (1, 8, 8), 4, "sigmoid")
    return TrainedModel(config, Preprocessing(size=(8, 8), channels=1), config.build().eval())


def codes(*names: str) -> Codes:
    return Codes(np.ones((len(names), 4), np.float32), Items(names))


def pictures(folder: Path, count: int) -> Path:
    """Draw pictures that are called by their count and number."""
    folder.mkdir()
    for number in range(count):
        Image.new("L", (8, 8), 20 * number + count).save(folder / f"{count}-{number}.png")
    return folder


def say(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def adders(tmp_path: Path) -> Iterator[list["subprocess.Popen[str]"]]:
    Index.build(codes("first")).save(tmp_path)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ADDER, str(tmp_path), who],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in ("a", "b")
    ]
    assert [heard(process) for process in processes] == ["ready"] * 2
    yield processes
    for process in processes:
        process.communicate()


def test_two_processes_that_add_at_once_lose_nothing(
    adders: list["subprocess.Popen[str]"], tmp_path: Path
) -> None:
    for number in range(ROUNDS):
        for process in adders:
            say(process, str(number))
        assert [heard(process) for process in adders] == ["added"] * 2
    expected = {"first", *(f"{who}-{number}" for who in "ab" for number in range(ROUNDS))}
    assert set(Index.open(tmp_path).names) == expected


@pytest.fixture
def folder(tmp_path: Path, model: TrainedModel, cache: Path) -> Path:
    """Make the folder of an index of two pictures."""
    build_index(tmp_path / "index", model, model.read(pictures(tmp_path / "two", 2)))
    return tmp_path / "index"


def test_threads_that_add_and_remove_lose_nothing(
    folder: Path, model: TrainedModel, tmp_path: Path
) -> None:
    added = [model.read(pictures(tmp_path / str(count), count)) for count in (3, 4, 5)]
    changes: list[dict[str, Any]] = [*({"add": samples} for samples in added)]
    changes.append({"remove": ["2-0.png"]})
    with ThreadPoolExecutor(4) as threads:
        for job in [
            threads.submit(update_index, folder, model, print, **change) for change in changes
        ]:
            job.result()
    names = {f"{count}-{number}.png" for count in (2, 3, 4, 5) for number in range(count)}
    assert set(Index.open(folder).names) == names - {"2-0.png"}


def test_nobody_waits_while_samples_are_encoded(
    folder: Path, model: TrainedModel, tmp_path: Path
) -> None:
    held = []

    def track(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
        held.append((title, is_held(folder / ".lock")))
        yield from items

    samples = model.read(pictures(tmp_path / "three", 3))
    update_index(folder, model, print, add=samples, track=track)
    assert held == [("Encoding", False)]


def test_an_index_that_two_find_damaged_is_made_again_once(
    folder: Path, model: TrainedModel
) -> None:
    next(folder.glob("*.vectors.safetensors")).write_bytes(b"damaged")
    said: list[str] = []
    with ThreadPoolExecutor(3) as threads:
        jobs = [threads.submit(open_index, folder, model, said.append) for _ in range(3)]
        assert [len(job.result()) for job in jobs] == [2, 2, 2]
    assert len(said) == 1


def test_what_another_has_changed_is_not_saved_over(tmp_path: Path, refused: Refused) -> None:
    Index.build(codes("first")).save(tmp_path)
    mine, theirs = Index.open(tmp_path), Index.open(tmp_path)
    theirs.add(codes("theirs"))
    theirs.save(tmp_path)
    theirs.add(codes("more of theirs"))
    theirs.save(tmp_path)  # over its own
    mine.add(codes("mine"))
    with refused(RunError, tmp_path, "was changed by another process", "Index.edit"):
        mine.save(tmp_path)
    assert list(Index.open(tmp_path).names) == ["first", "theirs", "more of theirs"]
    mine.save(tmp_path / "another place")
    Index.build(codes("new")).save(tmp_path)  # which replaces what is there
    assert list(Index.open(tmp_path).names) == ["new"]


def test_after_an_error_an_edited_index_is_as_it_was(tmp_path: Path, refused: Refused) -> None:
    Index.build(codes("first")).save(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ZeroDivisionError), Index.edit(tmp_path) as index:
        index.add(codes("second"))
        raise ZeroDivisionError
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    with Index.edit(tmp_path) as index:
        index.add(codes("second"))
        index.save(tmp_path)  # in between
        index.add(codes("third"))
    assert list(Index.open(tmp_path).names) == ["first", "second", "third"]
    with refused(RunError, "there is no index"), Index.edit(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()


def test_who_waits_too_long_is_told(
    folder: Path, model: TrainedModel, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr(index_files, "LOCK_TIMEOUT", 0.01)
    with index_files.lock(folder):
        assert len(open_index(folder, model, print)) == 2  # to read needs no lock
        with refused(RunError, folder, "is being written by another process"):
            update_index(folder, model, print, remove=["2-0.png"])


def test_the_command_says_in_a_line_where_there_are_no_locks(
    model: TrainedModel, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    model.save(tmp_path / "mine.safetensors")
    source = pictures(tmp_path / "three", 3)
    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(locks, "_warned", set())
    outcome = isthmus("index", tmp_path / "mine.safetensors", source)
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.err.splitlines() if "has no locks" in line]
    assert line.startswith("the file system of ")
    assert len(Index.open(tmp_path / "mine.isthmus" / "index", model)) == 3

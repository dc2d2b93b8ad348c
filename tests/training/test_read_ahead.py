"""Samples that memory cannot hold: the system is asked for those of the next batches, in order."""

import ctypes
import mmap
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from isthmus import Preprocessing, load
from isthmus.data.corruption import Corruption
from isthmus.training import read_ahead
from isthmus.training.batches import Batches, SampleTensors
from isthmus.training.read_ahead import BATCHES_AHEAD, ReadAhead

ROW = 3 * mmap.PAGESIZE // 2  # so that rows begin within pages
SECONDS = 10  # until a disk must have answered


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "total_memory", lambda: 1000)


@pytest.fixture
def rows(tmp_path: Path) -> NDArray[np.uint8]:
    """Rows of a file of which nothing has been read."""
    file = tmp_path / "rows"
    values = np.random.default_rng(0).integers(0, 256, (400, ROW), np.uint8)
    with file.open("wb") as opened:
        opened.write(values.tobytes())
        opened.flush()
        os.fsync(opened.fileno())
        if sys.platform == "linux":
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return np.memmap(file, np.uint8, "c", shape=values.shape)


def in_memory(rows: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which rows the system holds in memory, wholly or in part."""
    pages = -(-rows.nbytes // mmap.PAGESIZE)
    found = (ctypes.c_ubyte * pages)()
    address, size = ctypes.c_void_p(rows.ctypes.data), ctypes.c_size_t(rows.nbytes)
    assert ctypes.CDLL(None).mincore(address, size, found) == 0
    held = np.frombuffer(bytes(found), np.uint8) & 1
    starts = np.arange(len(rows)) * ROW
    return np.array([held[at // mmap.PAGESIZE : -(-(at + ROW) // mmap.PAGESIZE)].any()
                     for at in starts.tolist()])  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked what it holds")
@pytest.mark.usefixtures("little_memory")
def test_the_next_batches_are_read_while_one_is_computed(rows: NDArray[np.uint8]) -> None:
    if in_memory(rows).any():
        pytest.skip("the file system of the tests is in memory")
    portions = [np.arange(20 * i, 20 * i + 10) for i in range(10)]
    walk = iter(ReadAhead(rows).walk(portions))
    assert next(walk).tolist() == portions[0].tolist()
    asked = np.concatenate(portions[: BATCHES_AHEAD + 1])
    end = time.monotonic() + SECONDS
    while not in_memory(rows)[asked].all():
        assert time.monotonic() < end, "the rows were not read"
        time.sleep(0.01)
    others = np.setdiff1d(np.arange(len(rows)), np.concatenate([asked - 1, asked, asked + 1]))
    assert not in_memory(rows)[others].any()
    assert [portion.tolist() for portion in walk] == [p.tolist() for p in portions[1:]]


def test_what_fits_into_memory_is_left_to_the_system(rows: NDArray[np.uint8]) -> None:
    portions = [np.arange(3)]
    for array in (rows, np.array(rows)):
        assert ReadAhead(array).walk(portions) is portions


@pytest.mark.usefixtures("little_memory")
def test_batches_are_the_same_as_from_memory(tmp_path: Path) -> None:
    values, labels = load("digits", limit=200).values, np.arange(200)
    values.tofile(tmp_path / "values")
    mapped = np.memmap(tmp_path / "values", np.uint8, "c", shape=values.shape)
    noise = Corruption.parse("gaussian:0.3")

    def batches(pixels: NDArray[np.uint8], share: tuple[int, int]) -> list[torch.Tensor]:
        tensors = SampleTensors(pixels, Preprocessing(), torch.device("cpu"), labels)
        made = Batches(tensors, np.arange(10, 199), 20, 7, share, flip=True, corruption=noise)
        epochs = [*made.epoch(0), *made.epoch(1, start=5), *made.epoch(2, start=9)]
        return [tensor for pair in (*epochs, *made.in_order()) for tensor in pair]

    for share in ((0, 1), (1, 2)):
        expected, found = batches(np.array(values), share), batches(mapped, share)
        assert len(found) == 2 * (9 + 4 + 0 + 10)
        assert all(map(torch.equal, expected, found))

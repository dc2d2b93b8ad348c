"""What is imported, and what this process and its machine are asked for."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch

from isthmus import runtime
from isthmus.errors import OptionError
from isthmus.files import put

LISTING = "import sys, isthmus.{}; print(*sys.modules)"


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("runtime", ("torch", "lightning_fabric", "numpy")), ("inference", ("lightning_fabric",))],
)
def test_light_callers_import_nothing_heavy(module: str, heavy: tuple[str, ...]) -> None:
    listed = subprocess.run(
        [sys.executable, "-c", LISTING.format(module)], check=True, capture_output=True, text=True
    ).stdout.split()
    assert [name for name in heavy if name in listed] == []


def test_training_imports_no_metrics_of_others() -> None:
    program = "import sys, isthmus.runtime; isthmus.runtime.launch('cpu'); print(*sys.modules)"
    listed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "lightning_fabric" in listed
    assert "torchmetrics" not in listed


@pytest.fixture
def enter_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the system say that this process is in control groups, whose files are given."""

    def enter(own: str, files: dict[str, str]) -> None:
        (tmp_path / "own").write_text(own)
        for name, content in files.items():
            put(tmp_path / "groups" / name, content.encode())
        monkeypatch.setattr(runtime, "OWN_GROUPS", tmp_path / "own")
        monkeypatch.setattr(runtime, "CONTROL_GROUPS", tmp_path / "groups")

    return enter


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/\n", {"memory.max": "1048576\n"}, 2**20),
        # A service in a slice; its own limit is above that of the slice.
        ("0::/a/b\n", {"a/memory.max": "2097152\n", "a/b/memory.max": "4194304\n"}, 2**21),
        # A container that is told the path on its machine, and sees its own group as the top.
        ("4:memory:/docker/1\n", {"memory/memory.limit_in_bytes": "1048576\n"}, 2**20),
        ("5:cpu:/a\n4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "2097152\n"}, 2**21),
        ("5:cpu:/a\n", {"memory/a/memory.limit_in_bytes": "2097152\n"}, None),
    ],
)
def test_memory_is_that_of_the_control_group(
    own: str, files: dict[str, str], expected: int | None, enter_group: Callable[..., None]
) -> None:
    enter_group("", {})
    whole = runtime.total_memory()
    assert whole > 2**28
    enter_group(own, files)
    assert runtime.total_memory() == (expected or whole)


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "100000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "1000 100000\n"}, 1),  # a hundredth of a core
        ("0::/\n", {"cpu.max": "120000 100000\n"}, 2),  # more than one
        # A service in a slice; its own limit is above that of the slice.
        ("0::/a/b\n", {"a/cpu.max": "100000 100000\n", "a/b/cpu.max": "150000 100000\n"}, 1),
        (
            "4:cpu,cpuacct:/docker/1\n",
            {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            1,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("5:memory:/a\n", {"cpu/cpu.max": "100000 100000\n"}, None),
    ],
)
def test_cores_are_those_of_the_control_group(
    own: str, files: dict[str, str], expected: int | None, enter_group: Callable[..., None]
) -> None:
    enter_group("", {})
    whole = runtime.core_count()
    assert 1 <= whole <= (os.cpu_count() or 1)
    enter_group(own, files)
    assert runtime.core_count() == min(expected or whole, whole)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds processes to cores")
def test_cores_are_those_that_the_process_is_bound_to() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    code += "from isthmus.runtime import core_count; print(core_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_threads_may_configure_the_process_at_once() -> None:
    runtime.configure_process.cache_clear()
    before = torch.get_num_threads()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: runtime.configure_process(), range(32)))
    assert torch.get_num_threads() <= before


def test_threads_of_one_caller_are_not_those_of_another() -> None:
    """Two compute at once with their own numbers, and both have the old one afterwards."""
    before = torch.get_num_threads()
    meeting = Barrier(2, timeout=30)

    def compute(count: int) -> tuple[int, int, int]:
        first = torch.get_num_threads()
        with runtime.computing_threads(count):
            meeting.wait()
            within = torch.get_num_threads()
            meeting.wait()
        return first, within, torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(compute, (1, before + 1)))
    if sys.platform == "linux" and platform.machine() == "x86_64":
        assert found == [(before, 1, before), (before, before + 1, before)]
    assert torch.get_num_threads() == before


def test_a_device_that_is_not_there_is_refused(
    refused: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with refused(OptionError, "cuda", "auto"):
        runtime.launch("cuda")

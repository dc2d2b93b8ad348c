"""A little of `make soak`: some kills at file operations, and one of each other attack."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks, which POSIX has")


def attack(*arguments: object, seconds: float = 120) -> dict[str, dict[str, object]]:
    """Attack in a process of its own, in which nothing has been computed before it forks."""
    command = [sys.executable, "-m", "soak", "--json", "--few-imports", *map(str, arguments)]
    path = os.pathsep.join([str(TESTS), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.stdout, done.stderr
    attacks: dict[str, dict[str, object]] = json.loads(done.stdout)["attacks"]
    assert [found["faults"] for found in attacks.values() if found["faults"]] == []
    assert done.returncode == 0
    return attacks


def test_a_training_killed_at_file_operations_is_completed_to_equal_weights() -> None:
    found = attack("--only", "points", "--commands", "train", "resume", "--count", 6)["points"]
    assert found["tried"] == found["survived"] == 6
    assert found["weights_equal"] == found["weights_compared"] == 6


def test_every_other_attack_finds_nothing_at_once() -> None:
    attacks = attack("--commands", "encode", "--count", 1)
    assert {name for name, found in attacks.items() if found["tried"] != 1} <= {"power", "full"}

"""A little of `make soak`: a training is killed at some of its file operations, and otherwise."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
ATTACKS = ("points", "pairs", "damaged", "crafted", "mutated")
COUNT = 3  # of attempts each


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it looks at processes of Linux")
def test_a_training_survives_some_of_each_attack() -> None:
    attacks = attack("--only", *ATTACKS, "--commands", "train", "--count", COUNT)
    survived = {name: found["survived"] for name, found in attacks.items()}
    assert survived == dict.fromkeys(ATTACKS, COUNT)
    assert attacks["points"]["weights_equal"] == COUNT


def attack(*arguments: object) -> dict[str, Any]:
    """Attack in a process of its own, in which nothing was computed before it forks."""
    command = [sys.executable, "-m", "soak", "--json", "--few-imports", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    attacks: dict[str, Any] = json.loads(done.stdout)["attacks"]
    return attacks

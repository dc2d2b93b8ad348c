"""Training by several processes, and in micro-batches: the weights and metrics of one process."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus import Run
from isthmus.training.weights import initialize
from ranks import Ended, Ranks, free_port, serving

# Of weights up to 1. Sums of float32 in another order differ by some 1e-8 of them, and in these
# few steps of SGD nothing makes them grow; Adam divides by numbers near 0, and would.
TOLERANCE = 1e-6
MOVED = 1e-3  # what training changes at least

SHORT = "--precision 32 --optimizer sgd --epochs 2".split()
COMMANDS = {
    "denoising": "digits --limit 150 --model conv-pool --batch-size 31 --lr 0.3 --flip --corrupt "
    "gaussian:0.3,poisson:0.1",
    "drawn codes": "digits --limit 150 --model dense-vae --batch-size 31 --lr 0.003 --binarize",
    "dropout": "mnist --limit 100 --task classify --model alexnet --width 0.05 --code-size 16 "
    "--batch-size 21 --lr 0.1 --class-weights --label-smoothing 0.1",
    "void": "camvid --limit 20 --size 32x48 --task segment --model fcn16s --width 0.0625 "
    "--no-batch-norm --class-weights --batch-size 5 --lr 0.1",
    "patches": "digits --limit 100 --task denoise --model denoiser --width 4 --patch 8 "
    "--batch-size 31 --lr 0.3 --corrupt gaussian:0.1 --no-clean --epochs 1",
}
DIVIDED = {"2 processes": (2, []), "micro-batches": (1, ["--accumulate", "3"])}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    with serving(tmp_path_factory.mktemp("cache")) as started:
        yield started


def weights(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = Run.open(run).checkpoint()
    assert checkpoint is not None
    return {name: weight.double() for name, weight in checkpoint["module"].items()}


def difference(one: Path, other: Path) -> float:
    """Return the largest difference between two runs' last weights."""
    pairs = zip(weights(one).values(), weights(other).values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def movement(run: Path) -> float:
    """Return the largest difference between a run's last weights and its first ones."""
    record = Run.open(run).record
    first = initialize(record.model_config, record.training_config.seed).state_dict()
    return max(float((first[name] - last).abs().max()) for name, last in weights(run).items())


def metrics(run: Path) -> list[dict[str, float]]:
    left_out = ("seconds", "images_per_second", "is_best")
    lines = Run.open(run).history()
    return [{name: one[name] for name in one if name not in left_out} for one in lines]


def succeed(ended: list[Ended]) -> None:
    assert [one.code for one in ended] == [0] * len(ended), ended


@pytest.mark.parametrize("kind", COMMANDS)
def test_the_weights_and_metrics_are_those_of_one_process(
    kind: str, ranks: Ranks, require: Callable[[str], Path], tmp_path: Path
) -> None:
    command = COMMANDS[kind].split()
    if command[0] != "digits":
        require(command[0])
    command = ["train", command[0], *SHORT, *command[1:]]
    succeed(ranks.run(*command, "--out", tmp_path / "one", count=1))
    assert movement(tmp_path / "one") > MOVED
    for name, (count, options) in DIVIDED.items():
        out = tmp_path / name
        succeed(ranks.run(*command, "--out", out, *options, count=count))
        assert difference(tmp_path / "one", out) < TOLERANCE, name
        for line, expected in zip(metrics(out), metrics(tmp_path / "one"), strict=True):
            assert line == pytest.approx(expected, rel=1e-5), name

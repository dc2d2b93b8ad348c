"""Training by several processes, and in micro-batches: the weights and metrics of one process."""

import re
import shutil
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from shlex import split

import pytest
import torch

from isthmus import Run, TrainingConfig, load, resume, train
from isthmus.errors import OptionError
from isthmus.training.weights import initialize
from ranks import Ended, Ranks, serving

# Of weights up to 1. Sums of float32 in another order differ by some 1e-8 of them, and in these
# few steps of SGD nothing makes them grow; Adam divides by numbers near 0, and would.
TOLERANCE = 1e-6
MOVED = 1e-3  # what training changes at least

SHORT = ["--precision", "32", "--optimizer", "sgd", "--epochs", "2"]
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


Refused = Callable[..., AbstractContextManager[None]]


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


# -- stopping and resuming ----------------------------------------------------------------------


def test_processes_resume_to_the_bits_of_one_go_also_within_an_epoch(
    ranks: Ranks, tmp_path: Path
) -> None:
    command = split("train digits --limit 150 --model conv-pool --batch-size 31 --accumulate 2")
    command += [*SHORT, "--out"]
    succeed(ranks.run(*command, tmp_path / "once"))
    succeed(ranks.run(*command, tmp_path / "parts", "--max-minutes", 1e-9))  # a single step
    assert Run.open(tmp_path / "parts").history()[-1]["step"] == 1
    succeed(ranks.run("resume", tmp_path / "parts"))
    runs = tmp_path / "once", tmp_path / "parts"
    assert difference(*runs) == 0
    assert metrics(runs[0]) == [line for line in metrics(runs[1]) if line["step"] > 1]
    assert Run.open(runs[1]).record.training_config.accumulate == 2


def test_another_number_of_processes_is_refused(
    ranks: Ranks, tmp_path: Path, refused: Refused
) -> None:
    command = split("train digits --limit 150 --model linear --precision 32 --max-minutes 1e-9")
    succeed(ranks.run(*command, "--out", tmp_path / "two"))
    before = contents(tmp_path / "two")
    with refused(OptionError, "started by 2 processes", "resumed by 1", "--nproc-per-node 2"):
        resume(tmp_path / "two")
    ended = ranks.run("resume", tmp_path / "two", count=3)
    assert said(ended, 0) == (
        f"isthmus: {tmp_path / 'two'} was started by 2 processes and cannot be resumed by 3; "
        "start as many by torchrun, such as torchrun --nproc-per-node 2 -m isthmus."
    )
    assert contents(tmp_path / "two") == before


def test_micro_batches_resume_within_an_epoch_too(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=2, batch_size=31, accumulate=4, corrupt="gaussian:0.2")
    digits = load("digits", limit=150)
    deque(train(digits, "dense", out=tmp_path / "once", config=config), 0)
    deque(train(digits, "dense", out=tmp_path / "parts", config=config, max_minutes=1e-9), 0)
    deque(resume(tmp_path / "parts"), 0)
    assert difference(tmp_path / "once", tmp_path / "parts") == 0
    steps = [line["step"] for line in metrics(tmp_path / "once")]
    assert steps == [3, 6]  # of 120 samples, whatever their micro-batches


@pytest.mark.parametrize(
    ("model", "size", "culprits"),
    [
        ("dense", 3, ("a batch of 3 is too small for 4 micro-batches; take", "at least 4")),
        ("conv-bn-2d", 7, ("conv-bn-2d normalizes over the batch; take", "at least 8")),
    ],
)
def test_micro_batches_without_samples_are_refused(
    model: str, size: int, culprits: tuple[str, ...], refused: Refused, tmp_path: Path
) -> None:
    config = TrainingConfig(batch_size=size, accumulate=4)
    with refused(OptionError, *culprits):
        train(load("digits", limit=150), model, out=tmp_path / "run", config=config)
    assert list(tmp_path.iterdir()) == []


# -- several machines ---------------------------------------------------------------------------


def test_machines_may_each_have_a_cache_of_their_own(
    ranks: Ranks, photos: Path, tmp_path: Path
) -> None:
    command = ["train", photos, "--model", "linear", *SHORT, "--batch-size", 2, "--out"]
    caches = [{"ISTHMUS_CACHE": str(tmp_path / name)} for name in "abc"]
    succeed(ranks.run(*command, tmp_path / "own", differing=caches[:2]))
    succeed(ranks.run(*command, tmp_path / "shared", differing=[caches[2]] * 2))
    assert [len(entries(tmp_path / name)) for name in "abc"] == [1, 1, 1]
    assert difference(tmp_path / "own", tmp_path / "shared") == 0


def test_machines_with_other_files_are_refused(ranks: Ranks, photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other/photos"
    shutil.copytree(photos, other)
    (other / "dog/0.png").unlink()
    folders = [{"PWD": str(photos.parent)}, {"PWD": str(other.parent)}]
    command = ["train", "photos", "--model", "linear", "--out", tmp_path / "run"]
    ended = ranks.run(*command, differing=folders)
    samples = r"has samples of the fingerprint \w{16}"
    assert re.fullmatch(
        rf"isthmus: rank 1 on \S+ {samples}, and rank 0 on \S+ {samples}; give every machine the "
        r"same files\.",
        said(ended, 0),
    )
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_a_machine_does_not_see_is_refused(ranks: Ranks, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    folders = [{"PWD": str(tmp_path / name), "LOCAL_RANK": "0"} for name in "ab"]
    ended = ranks.run(*split("train digits --limit 60 --model linear --out run"), differing=folders)
    assert "rank 1" in said(ended, 1)
    assert "does not see run, which rank 0 has made" in said(ended, 1)


# -- what goes wrong ----------------------------------------------------------------------------


def test_a_process_that_is_lost_is_said(ranks: Ranks, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = split("train digits --limit 150 --model linear --epochs 100000 --out")
    ended = ranks.run(*command, run, kill=(1, run / "history.jsonl"))
    assert ended[0].code == 2
    assert said(ended, 0).startswith("isthmus: another process of this training was lost; start")
    assert Run.open(run).checkpoint() is not None


def test_a_port_that_is_in_use_is_said(ranks: Ranks, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = ["train", "digits", "--limit", 60, "--model", "linear", "--out", tmp_path / "run"]
        ended = ranks.run(*command, port=port)
    assert f"another program uses 127.0.0.1:{port}" in said(ended, 0)
    assert not (tmp_path / "run").exists()


def test_what_all_processes_find_is_said_once(ranks: Ranks, tmp_path: Path) -> None:
    command = split("train digits --limit 150 --model linear --optimizer sgd --lr 1e18")
    ended = ranks.run(*command, "--out", tmp_path / "run")
    assert "the loss became" in said(ended, 0)
    assert ended[1].err == ""
    assert Run.open(tmp_path / "run").failure() is not None


def said(ended: list[Ended], rank: int) -> str:
    """Return the last line that a process has printed, which ended in a refusal."""
    assert ended[rank].code == 2, ended
    assert "Traceback" not in "".join(one.err for one in ended)
    return ended[rank].err.strip().splitlines()[-1]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def entries(cache: Path) -> list[Path]:
    return list(cache.rglob("values.bin"))

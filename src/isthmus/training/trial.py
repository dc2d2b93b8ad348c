"""`fastest_way`: in which precision, and by how many threads, a model's steps are fastest here.

Neither follows from the processor alone. On two cores with AVX-512 BF16, bfloat16 makes a step of
`conv` 1.4 times as fast, and one of `dense-selu` at a batch of 32 takes 1.5 times as long in it: so
small a step is mostly conversions. A second thread makes that step slower too, as both wait for
each other after each of its operations.

So a few steps of each precision are timed on a copy of the model. No timing is twice the same, and
two runs with one seed are to have the same weights: so each measurement is made once for a model, a
batch and a machine, and remembered for this user. What is timed is the CPU time of one thread,
which other work on the machine changes little.
"""

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from isthmus.errors import IsthmusError
from isthmus.files import fingerprint, to_json, write_json
from isthmus.locks import hold
from isthmus.models.config import ModelConfig
from isthmus.runtime import (
    choose_precision,
    computing_threads,
    configure_process,
    processor_name,
    thread_count,
)
from isthmus.state import lock_path, state_folder
from isthmus.training.config import TrainingConfig
from isthmus.training.optim import make_optimizer
from isthmus.training.weights import initialize

MIN_STEPS = 1000  # a shorter training would not save what measuring takes
MAX_FIRST_SECONDS = 0.25  # a longer step is nearly all arithmetic, for which bfloat16 is made
MIN_ROUNDS, MAX_ROUNDS = 5, 50
SECONDS_IN_ROUNDS = 0.1  # of each precision, unless that takes fewer or more rounds
MARGIN = 1.1  # how many times as fast the other precision must be, not to be chosen by chance
# Of one thread, above which several are faster. Two of them were slower below 6 ms on two cores
# that share their units, and should not be below 3 ms anywhere.
MIN_SECONDS_TO_DIVIDE = 3e-3
FINE_CLOCK = 1e-5  # seconds; of Windows, CPU time comes in steps of 16 ms

Seconds = dict[str, float]  # of a step, by precision


@dataclass(frozen=True)
class Way:
    """How a training computes.

    Parameters
    ----------
    precision : str
        "32" or "bf16".
    threads : int or None
        None is as many as there are.
    """

    precision: str
    threads: int | None = None


def fastest_way(model_config: ModelConfig, config: TrainingConfig, steps: int) -> Way:
    """Return how to train a model on the CPU.

    The state folder keeps what was measured. Where it cannot be written, and of short trainings,
    nothing is measured.

    Parameters
    ----------
    model_config : ModelConfig
    config : TrainingConfig
        With every default chosen.
    steps : int
        Of the whole training.
    """
    configure_process()
    usual = choose_precision("cpu")
    seconds: Seconds = {}
    if steps >= MIN_STEPS and time.get_clock_info("thread_time").resolution <= FINE_CLOCK:
        precisions = ("32", "bf16") if usual == "bf16" else ("32",)
        seconds = _recall(model_config, config, precisions)
    way = choose_way(seconds, usual if config.precision == "auto" else config.precision)
    if config.precision != "auto":
        way = replace(way, precision=config.precision)
    # Who asks for a number of threads gets it.
    return replace(way, threads=None) if "OMP_NUM_THREADS" in os.environ else way


def choose_way(seconds: Seconds, usual: str) -> Way:
    """Choose precision and threads by the seconds that one thread takes for a step.

    Parameters
    ----------
    seconds : dict
        By precision; empty where nothing was measured.
    usual : str
        The precision to take unless another one is faster by a clear margin.

    Examples
    --------
    >>> choose_way({"32": 0.001, "bf16": 0.0015}, "bf16")
    Way(precision='32', threads=1)
    >>> choose_way({"32": 0.041, "bf16": 0.040}, "bf16")
    Way(precision='bf16', threads=None)
    """
    if usual not in seconds:
        return Way(usual)
    best = min(seconds, key=lambda precision: seconds[precision])
    chosen = best if MARGIN * seconds[best] < seconds[usual] else usual
    return Way(chosen, 1 if seconds[chosen] < MIN_SECONDS_TO_DIVIDE else None)


def _recall(
    model_config: ModelConfig, config: TrainingConfig, precisions: tuple[str, ...]
) -> Seconds:
    """Return what was measured once; measure it, if it is not known and can be remembered."""
    asked = _identify(model_config, config, precisions)
    path = state_folder() / "speeds" / f"{fingerprint(asked)}.json"
    # Whoever starts the same at the same time waits, so that both compute in the same way.
    with suppress(IsthmusError), hold(lock_path(path), optional=True):
        known = _read(path, asked)
        if known is None:
            known = _measure(model_config, config, precisions)
            write_json(path, {"asked": asked, "seconds": known})
        return known
    return {}


def _identify(
    model_config: ModelConfig, config: TrainingConfig, precisions: tuple[str, ...]
) -> dict[str, Any]:
    """Return all that the time of a step depends on, as JSON."""
    model = to_json(model_config)
    for names in ("class_names", "style_names"):  # how many there are, not what they are called
        model[names] = len(model.get(names, ()))
    return {
        "model": model,
        "batch": _batch_size(config),
        "optimizer": config.optimizer,
        "precisions": list(precisions),
        "processor": processor_name(),
        "system": platform.platform(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": thread_count(),
    }


def _batch_size(config: TrainingConfig) -> int:
    """Return how many samples pass the model at once."""
    return max(1, (config.batch_size or 1) // (config.accumulate or 1))


def _read(path: Path, asked: dict[str, Any]) -> Seconds | None:
    """Return what a file says was measured; None if there is none, or it is damaged."""
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads(path.read_bytes())
        if isinstance(content, dict) and content.get("asked") == asked:
            seconds = content.get("seconds")
            return seconds if _is_measured(seconds, asked["precisions"]) else None
    return None


def _is_measured(seconds: Any, precisions: list[str]) -> bool:
    return isinstance(seconds, dict) and all(
        name in precisions and isinstance(value, float) and 0 < value < math.inf
        for name, value in seconds.items()
    )


def _measure(
    model_config: ModelConfig, config: TrainingConfig, precisions: tuple[str, ...]
) -> Seconds:
    """Return the median CPU seconds of a step in each precision; nothing of large models.

    Torch's random numbers stay as they were.
    """
    with computing_threads(1), torch.random.fork_rng(devices=[]):
        steps = {name: _make_step(model_config, config, name) for name in precisions}
        for step in steps.values():  # which also chooses kernels and takes memory
            if _time(step) > MAX_FIRST_SECONDS:
                return {}
        times: dict[str, list[float]] = {name: [] for name in precisions}
        # In turns, as a busy moment lasts longer than a step.
        while not _is_enough(times[precisions[-1]]):
            for name, step in steps.items():
                times[name].append(_time(step))
    return {name: statistics.median(taken) for name, taken in times.items()}


def _is_enough(taken: list[float]) -> bool:
    count = len(taken)
    return count >= MAX_ROUNDS or (count >= MIN_ROUNDS and sum(taken) >= SECONDS_IN_ROUNDS)


def _time(step: Callable[[], None]) -> float:
    began = time.thread_time()
    step()
    return time.thread_time() - began


def _make_step(
    model_config: ModelConfig, config: TrainingConfig, precision: str
) -> Callable[[], None]:
    """Return a step of a copy of the model, on any images and with the simplest loss."""
    module = initialize(model_config, config.seed).train()
    optimizer = make_optimizer(
        config.optimizer,
        module.parameters(),
        lr=config.lr or 0.0,
        weight_decay=config.weight_decay or 0.0,
        momentum=config.momentum,
    )
    x = torch.rand(_batch_size(config), *model_config.shape)
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            output = module(x)
        output.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step

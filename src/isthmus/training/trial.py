"""`fastest_way`: in which precision, and by how many threads, a model's steps are fastest here.

Neither follows from the processor alone. On two cores with AVX-512 BF16, bfloat16 makes a step of
`conv` 1.4 times as fast, and one of `dense-selu` at a batch of 32 takes 1.5 times as long in it: so
small a step is mostly conversions. A second thread makes that step slower too, as both wait for
each other after each of its operations.

The number of threads follows from the multiplications of a step. Which precision is faster has to
be measured: a few steps of each are timed on a copy of the model. Timings vary, but two runs with
one seed must have the same weights. So each measurement is made once for a model, a batch and a
machine, and remembered for this user. What is timed is the CPU time of one thread, which other work
on the machine changes little.
"""

import json
import math
import os
import platform
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from isthmus.errors import IsthmusError
from isthmus.files import fingerprint, require_writable_place, to_json, write_json
from isthmus.locks import hold
from isthmus.models.config import ModelConfig
from isthmus.models.layers import Network
from isthmus.models.summary import summarize_network
from isthmus.runtime import choose_precision, computing_threads, configure_process, processor_name
from isthmus.state import lock_path, state_folder
from isthmus.training.config import TrainingConfig
from isthmus.training.optim import make_optimizer
from isthmus.training.weights import initialize

MIN_STEPS = 1000  # a shorter training would not save what measuring takes
# Multiplications by which a batch passes the model. With 10 million, a step took one thread 3 ms
# (`dense-selu`) to 8 ms (`conv`) of CPU time on a busy machine. On two cores that share their
# units, a second thread made steps below 6 ms slower.
MIN_TO_DIVIDE = 10_000_000
# A larger step is nearly all arithmetic, for which bfloat16 is made, and takes long to measure.
MAX_TO_MEASURE = 1_000_000_000
PRECISIONS = ("32", "bf16")
MIN_ROUNDS, MAX_ROUNDS = 5, 50
SECONDS_IN_ROUNDS = 0.1  # of each precision, unless that takes fewer or more rounds
MARGIN = 1.1  # how many times as fast float32 must be, not to be chosen by chance
FINE_CLOCK = 1e-5  # seconds; on Windows, CPU time comes in steps of 16 ms
SECONDS_FOR_OTHERS = 30  # far longer than measuring takes

Seconds = dict[str, float]  # of a step, by precision


@dataclass(frozen=True)
class Way:
    """How a training computes.

    Parameters
    ----------
    precision : str
        "32" or "bf16".
    threads : int or None
        By default one for each core.
    """

    precision: str
    threads: int | None = None


def fastest_way(model_config: ModelConfig, config: TrainingConfig, steps: int) -> Way:
    """Return how to train a model on the CPU.

    The state folder keeps what was measured. Where it cannot be written, nothing is measured. Nor
    is anything chosen for short trainings, and for those that compute much else than the steps of
    this model: with a style bank or a frozen encoder.

    Parameters
    ----------
    model_config : ModelConfig
    config : TrainingConfig
        With every default chosen. A precision other than "auto" is kept, as is a number of threads
        in `OMP_NUM_THREADS`.
    steps : int
        Of the whole training.

    Returns
    -------
    Way
        Where nothing is chosen, bfloat16 if the processor computes in it, and all threads.
    """
    configure_process()
    usual: str = choose_precision("cpu")
    precision = usual if config.precision == "auto" else config.precision
    if steps < MIN_STEPS or model_config.task == "stylize" or config.freeze:
        return Way(precision)
    network = initialize(model_config, config.seed).eval()
    layers = summarize_network(network, model_config.shape)
    multiplications = _batch_size(config) * sum(layer.macs for layer in layers)
    if (config.precision, usual) == ("auto", "bf16") and multiplications <= MAX_TO_MEASURE:
        precision = faster_precision(_recall(network, model_config, config))
    is_small = multiplications < MIN_TO_DIVIDE and "OMP_NUM_THREADS" not in os.environ
    return Way(precision, 1 if is_small else None)


def faster_precision(seconds: Seconds) -> str:
    """Return float32 if it is clearly faster, and bfloat16 also where nothing was measured.

    Examples
    --------
    >>> faster_precision({"32": 0.001, "bf16": 0.0015})
    '32'
    >>> faster_precision({"32": 0.041, "bf16": 0.042})
    'bf16'
    """
    return "32" if seconds and MARGIN * seconds["32"] < seconds["bf16"] else "bf16"


def _recall(network: Network, model_config: ModelConfig, config: TrainingConfig) -> Seconds:
    """Return what was measured once; measure it, if it is not known and can be remembered."""
    if time.get_clock_info("thread_time").resolution > FINE_CLOCK:
        return {}
    asked = _identify(model_config, config)
    path = state_folder() / "speeds" / f"{fingerprint(asked)}.json"
    # Whoever starts the same at the same time waits, so that both compute in the same way.
    lock = hold(lock_path(path), timeout=SECONDS_FOR_OTHERS, optional=True)
    with suppress(IsthmusError, RuntimeError), lock:  # of torch: there is too little memory
        known = _read(path, asked)
        if known is None:
            require_writable_place(path)
            known = _measure(network, model_config, config)
            write_json(path, {"asked": asked, "seconds": known})
        return known
    return {}


def _identify(model_config: ModelConfig, config: TrainingConfig) -> dict[str, Any]:
    """Return all that the time of a step depends on, as JSON."""
    model = to_json(model_config)
    for names in ("class_names", "style_names"):  # how many there are, not what they are called
        model[names] = len(model.get(names, ()))
    return {
        "model": model,
        "batch": _batch_size(config),
        "optimizer": config.optimizer,
        "processor": processor_name(),
        # Not the version, which changes with each update.
        "system": f"{platform.system()} {platform.machine()}",
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
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
            return seconds if _is_measured(seconds) else None
    return None


def _is_measured(seconds: Any) -> bool:
    return (
        isinstance(seconds, dict)
        and set(seconds) == set(PRECISIONS)
        and all(isinstance(value, float) and 0 < value < math.inf for value in seconds.values())
    )


def _measure(network: Network, model_config: ModelConfig, config: TrainingConfig) -> Seconds:
    """Return the median CPU seconds of a step in each precision; the network changes.

    Torch's random numbers stay as they were.
    """
    times: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    with computing_threads(1), torch.random.fork_rng(devices=[]):
        step = _Step(network, model_config, config)
        for precision in PRECISIONS:  # which also chooses kernels and takes memory
            step(precision)
        # In turns, as a busy moment lasts longer than a step.
        while not _is_enough(times["bf16"]):
            for precision, taken in times.items():
                began = time.thread_time()
                step(precision)
                taken.append(time.thread_time() - began)
    return {precision: statistics.median(taken) for precision, taken in times.items()}


def _is_enough(taken: list[float]) -> bool:
    count = len(taken)
    return count >= MAX_ROUNDS or (count >= MIN_ROUNDS and sum(taken) >= SECONDS_IN_ROUNDS)


class _Step:
    """A step of a network, on any images and with the simplest loss."""

    def __init__(self, network: Network, model_config: ModelConfig, config: TrainingConfig) -> None:
        self._network = network.train()
        self._optimizer = make_optimizer(
            config.optimizer,
            network.parameters(),
            lr=config.lr or 0.0,
            weight_decay=config.weight_decay or 0.0,
            momentum=config.momentum,
        )
        x = torch.rand(_batch_size(config), *model_config.shape)
        self._x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

    def __call__(self, precision: str) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            output = self._network(self._x)
        output.float().square().mean().backward()
        self._optimizer.step()
        self._optimizer.zero_grad()

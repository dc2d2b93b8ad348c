"""What `resume` looks at before it continues a run: what is left to do, and what differs here."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from isthmus.data.reading import Note
from isthmus.errors import IsthmusError, OptionError
from isthmus.inference.contract import MODEL_FILE
from isthmus.inference.trained import TrainedModel
from isthmus.runtime import PRECISIONS, choose_device, choose_precision, thread_count
from isthmus.text import count_of
from isthmus.training.machine import Machine
from isthmus.training.run import Run, pack_history
from isthmus.training.saving import lines_of
from isthmus.training.state import Plan, State
from isthmus.training.store import HISTORY, LAST_MODEL

NAMES = {recorded: name for name, recorded in PRECISIONS.items()}
# What run.json says of the machine and the last digits depend on, and how a sentence says it.
SAID: dict[str, Callable[[Any], str]] = {
    "torch": "torch {}".format,
    "device": "the device {}".format,
    "precision": lambda recorded: f"the precision {NAMES.get(recorded, recorded)}",
}
SAID_ON_CPU: dict[str, Callable[[Any], str]] = {  # too
    "system": str,
    "instructions": str,
    "threads": lambda count: count_of(count, "thread"),
}


def is_finished(run: Run) -> bool:
    """Return whether a run has all its epochs, or has ended by patience, and all its files.

    The checkpoint decides. A process that was killed at its last epoch may have left other files
    out, which `resume` writes.
    """
    checkpoint = run.checkpoint()
    if checkpoint is None:
        return False
    state = State(**checkpoint["counters"])
    return plan_of(run).is_done(state) and _is_whole(run, checkpoint, state)


def reject_finished(run: Run) -> None:
    """Raise an OptionError if there is nothing to train and no file to complete."""
    checkpoint = run.checkpoint()
    if checkpoint is None:
        return
    state, plan = State(**checkpoint["counters"]), plan_of(run)
    done = f"{state.step / plan.per_epoch:g} of {plan.epochs} epochs"
    is_over = state.step > plan.steps or _is_whole(run, checkpoint, state)
    if is_over and state.step >= plan.steps:
        raise OptionError(
            f"{run.name} has trained {done}; give a larger number of epochs to continue."
        )
    if is_over and plan.is_patience_over(state):
        raise OptionError(
            f"{run.name} ended after {done}, as {count_of(plan.patience or 0, 'epoch')} brought no "
            "better one; give a larger patience to continue."
        )


def plan_of(run: Run) -> Plan:
    """Return how long a run is to be trained."""
    return Plan.of(run.record.training_config, run.record.per_epoch)


def has_lost_patience(run: Run) -> bool:
    """Return whether a run has ended early, by its history, as no better epoch came."""
    history, plan = run.history(), plan_of(run)
    if not history:
        return False
    best = [line["step"] for line in history if line["is_best"]]
    state = State(history[-1]["step"], best_step=best[-1] if best else 0)
    return state.step < plan.steps and plan.is_patience_over(state)


def _is_whole(run: Run, checkpoint: dict[str, Any], state: State) -> bool:
    """Return whether all files are there that follow from a checkpoint after which nothing came."""
    weights = checkpoint["module"]
    epoch = plan_of(run).whole_epoch(state)
    return (
        run.store.read(HISTORY) == pack_history(lines_of(checkpoint, run))
        and _has_weights(run, LAST_MODEL, weights)
        and (not state.is_best or _has_weights(run, MODEL_FILE, weights))
        # Older versions kept no epochs.
        and (epoch is None or not run.epochs.files() or run.epochs.has(epoch))
    )


def _has_weights(run: Run, file: str, weights: dict[str, torch.Tensor]) -> bool:
    content = run.store.read(file)
    if content is None:
        return False
    with suppress(IsthmusError):  # damaged: it is written again
        found = TrainedModel.from_bytes(content).module.state_dict()
        return found.keys() == weights.keys() and all(
            torch.equal(found[name], weights[name]) for name in weights
        )
    return False


def resuming_notes(run: Run, machine: Machine) -> tuple[Note, ...]:
    """Return what differs from how a run was started, and what is kept that one may not expect."""
    notes = [*_differences(run, machine), *_slow_precision(run, machine)]
    return (*notes, *_kept_device(run, machine), *_kept_threads(run, machine))


def _differences(run: Run, machine: Machine) -> list[Note]:
    begun, now = run.record.environment, machine.describe()
    said = SAID | SAID_ON_CPU if now["device"] == "cpu" else SAID
    # Older versions recorded less, and a precision "auto" is chosen later.
    known = begun.keys() - ({"precision"} if machine.precision == "auto" else set())
    names = [name for name in said if name in known and begun[name] != now[name]]
    if not names:
        return []
    was, is_now = (", ".join(said[name](facts[name]) for name in names) for facts in (begun, now))
    text = (
        f"{run.name} was started with {was} and continues with {is_now}, so its weights will "
        "differ a little from those of a training without a stop"
    )
    return [Note("warning", "other-machine", text)]


def _slow_precision(run: Run, machine: Machine) -> list[Note]:
    fast = choose_precision(choose_device(machine.device))
    if (machine.precision, fast) != ("bf16", "32"):
        return []
    text = f"{run.name} continues in bfloat16, in which this machine computes slowly"
    return [Note("warning", "slow-precision", text, "--precision 32 is faster")]


def _kept_device(run: Run, machine: Machine) -> list[Note]:
    is_chosen = run.record.training_config.device != "auto"
    if is_chosen or machine.device != "cpu" or choose_device("auto") == "cpu":
        return []
    text = f"{run.name} continues on the CPU, where it was started"
    return [Note("guess", "kept-device", text, "--device cuda is faster")]


def _kept_threads(run: Run, machine: Machine) -> list[Note]:
    """Say so where the number of threads is not the one of the environment."""
    is_free = machine.is_deterministic or machine.threads is None or machine.device != "cpu"
    if is_free or "OMP_NUM_THREADS" not in os.environ or machine.threads == thread_count():
        return []
    text = (
        f"{run.name} continues with {count_of(machine.threads or 1, 'thread')}, as it was started, "
        f"and not with {thread_count()} as OMP_NUM_THREADS asks for"
    )
    return [Note("guess", "kept-threads", text)]

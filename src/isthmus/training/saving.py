"""What an epoch leaves in the run, in an order that no kill can spoil.

The checkpoint is written first, and holds all that the other files say: weights, counters and the
history. They follow from it, so they are never newer than the checkpoint, and at most one epoch
older:

1. the checkpoint: from here on, the epoch counts
2. the best weights, if the epoch has them
3. what the model makes of the samples of epochs/
4. event files for TensorBoard
5. the history, by which others notice that there is a new epoch
6. the last weights, once training has ended

A run that is killed before 1 trains the epoch again, and has no trace of the first time. One
that is killed later leaves files out, which `Saver.complete` writes from the checkpoint: the same
bytes, as if nothing had happened. Were the best weights written before the checkpoint, those of an
epoch that does not count could stay: the second time, it may be cut short by `--max-minutes`, or
follow another schedule.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from isthmus.errors import RunError
from isthmus.inference.contract import MODEL_FILE
from isthmus.inference.trained import TrainedModel
from isthmus.models.layers import Network
from isthmus.training.run import RESTORE, Run, pack_history
from isthmus.training.state import Plan, State
from isthmus.training.store import HISTORY, LAST_MODEL

Line = dict[str, Any]  # of the history


class Saver:
    """Writes the files of a run in training.

    Parameters
    ----------
    run : Run
    module : Network
    optimizer : torch.optim.Optimizer
    state : State
        The counters, which training changes.
    plan : Plan
    history : sequence of dict
        The lines so far.
    """

    def __init__(
        self,
        run: Run,
        module: Network,
        optimizer: torch.optim.Optimizer,
        state: State,
        plan: Plan,
        history: Sequence[Line],
    ) -> None:
        self.run, self.history = run, list(history)
        self._module, self._optimizer = module, optimizer
        self.state, self._plan = state, plan

    def save(self, keep_answers: Callable[[], None], write_events: Callable[[Line], None]) -> None:
        """Write what an epoch leaves, whose line is the last of the history."""
        self.write_checkpoint()
        if self.state.is_best:
            self.run.store.write(MODEL_FILE, self._pack_model())
        if self.whole_epoch is not None:
            keep_answers()
        write_events(self.history[-1])
        self.run.write_history(self.history)

    def complete(self, keep_answers: Callable[[], None]) -> None:
        """Write what a process left out that was killed after its checkpoint.

        Event files get the last line of the history again whenever they are opened.

        Raises
        ------
        RunError
            If weights are gone that nothing else has.
        """
        if self.state.is_best:
            self._replace(MODEL_FILE, self._pack_model())
        elif self.state.best_step and self.run.store.read(MODEL_FILE) is None:
            # No kill leaves it out, and the checkpoint has later weights.
            file = Path(self.run.name, MODEL_FILE)
            raise RunError(f"{file} is missing, which has the best weights so far; {RESTORE}.")
        epochs = self.run.epochs
        epochs.prune(self.state.step // self._plan.per_epoch)
        if self.whole_epoch is not None and not epochs.has(self.whole_epoch):
            keep_answers()
        if self.history:
            self._replace(HISTORY, pack_history(self.history))
        else:
            self.run.store.remove(HISTORY)

    def finish(self) -> None:
        """Write the last weights."""
        self._replace(LAST_MODEL, self._pack_model())

    def write_checkpoint(self) -> None:
        """Write the checkpoint."""
        self.run.write_checkpoint(
            {
                "counters": asdict(self.state),
                "module": self._module.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "history": self.history,
            }
        )

    @property
    def whole_epoch(self) -> int | None:
        """See `Plan.whole_epoch`."""
        return self._plan.whole_epoch(self.state)

    def _pack_model(self) -> bytes:
        record = self.run.record
        return TrainedModel(record.model_config, record.preprocessing, self._module).to_bytes()

    def _replace(self, file: str, content: bytes) -> None:
        """Write a file, unless it has this content already."""
        if self.run.store.read(file) != content:
            self.run.store.write(file, content)


def lines_of(checkpoint: dict[str, Any], run: Run) -> list[Line]:
    """Return the history at a checkpoint.

    Older versions have written it first and not into the checkpoint: then lines may be newer.

    Raises
    ------
    RunError
        If history.jsonl is damaged: it is not replaced in silence. A missing one is.
    """
    found = run.history()
    lines: list[Line] | None = checkpoint.get("history")
    if lines is not None:
        return lines
    return [line for line in found if line["step"] <= checkpoint["counters"]["step"]]

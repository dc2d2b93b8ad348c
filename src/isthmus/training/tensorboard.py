"""Event files for TensorBoard, an optional dependency."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.errors import missing_package

SCALARS = {  # title in TensorBoard: key of a line of the history
    "loss/train": "loss",
    "loss/validation": "validation_loss",
    "lr": "lr",
    "images_per_second": "images_per_second",
}


def require_tensorboard() -> None:
    """Raise an OptionError where TensorBoard is missing, before any time is spent on training."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise missing_package("--tensorboard", "TensorBoard", "tensorboard") from None


@contextmanager
def event_writer(folder: Path, step: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Give a function that writes a line of the history.

    Events after `step` are hidden: a killed process may have written some that are not in the
    checkpoint, and training writes them again.
    """
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder, purge_step=step + 1) as writer:

        def write(line: dict[str, Any]) -> None:
            for title, key in SCALARS.items():
                writer.add_scalar(title, line[key], line["step"])
            writer.flush()  # otherwise an epoch would show up to two minutes after its end

        yield write


@contextmanager
def no_event_writer() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Give a function that does nothing."""
    yield lambda line: None

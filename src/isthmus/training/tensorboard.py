"""Event files for TensorBoard, an optional dependency."""

from collections.abc import Callable, Iterator, Sequence
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
def event_writer(
    folder: Path, history: Sequence[dict[str, Any]]
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Give a function that writes a line of the history.

    Of a history so far, the last line is written again: a process that was killed may have left it
    out, or have written it halfway. Events of its step and later ones are hidden before.
    """
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder, purge_step=history[-1]["step"] if history else 1) as writer:

        def write(line: dict[str, Any]) -> None:
            for title, key in SCALARS.items():
                writer.add_scalar(title, line[key], line["step"])
            writer.flush()  # otherwise an epoch would show up to two minutes after its end

        for line in history[-1:]:
            write(line)
        yield write


@contextmanager
def no_event_writer() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Give a function that does nothing."""
    yield lambda line: None

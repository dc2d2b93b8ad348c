"""The options of another encoder than the run's own, and the session that a command asks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.cli.app import parse_sides
from isthmus.cli.terminal import say, track
from isthmus.errors import OptionError, RunError

if TYPE_CHECKING:
    from isthmus.inference.model import Model
    from isthmus.session import Session

PANEL = "Another encoder"  # of the help


@dataclass(frozen=True)
class EncoderOptions:
    """Whose features are used, if not the run's own.

    Parameters
    ----------
    encoder : Path, optional
        An ONNX file of any origin: its features take the place of the run's codes, and the run
        may be left out; evaluate and report compare both.
    mean : str, optional
        What the encoder subtracts from pixels in [0, 1], one number or one for each channel; by
        default what the file's metadata say.
    std : str, optional
        What it divides them by then; by default what the file's metadata say.
    size : str, optional
        The size of its images, such as 224; by default what the file says.
    """

    encoder: Path | None = field(default=None, metadata={"panel": PANEL, "metavar": "FILE.onnx"})
    mean: str | None = field(
        default=None, metadata={"panel": PANEL, "metavar": "0.485,0.456,0.406"}
    )
    std: str | None = field(default=None, metadata={"panel": PANEL, "metavar": "0.229,0.224,0.225"})
    size: str | None = field(default=None, metadata={"panel": PANEL, "metavar": "PIXELS"})

    def load(self) -> "Model | None":
        """Return the encoder, if one is asked for; of a file that Isthmus exported, its model."""
        options = {"size": self.size, "mean": self.mean, "std": self.std}
        given = [name for name, value in options.items() if value is not None]
        if self.encoder is None:
            if given:
                raise OptionError("size, mean and std are those of an encoder; give --encoder too.")
            return None
        from isthmus.inference.encoders import OnnxEncoder
        from isthmus.inference.onnx import OnnxModel, is_export

        if is_export(self.encoder):
            if given:
                raise OptionError(
                    f"{self.encoder} was exported by Isthmus and knows its size and how it scales "
                    f"pixels; leave {' and '.join(given)} out."
                )
            return OnnxModel.load(self.encoder)
        return OnnxEncoder(
            self.encoder,
            size=parse_sides(self.size),
            mean=_numbers("mean", self.mean),
            std=_numbers("std", self.std),
        )


def open_session(
    run: Path, argument: str | None, options: EncoderOptions, data: str | None = None
) -> "tuple[Session, str | None]":
    """Return the session that a command asks, and its second argument.

    With an encoder the run may be left out: what is given as the run is then the argument.
    """
    from isthmus.session import Session
    from isthmus.training.store import is_run

    encoder = options.load()
    if encoder is not None and argument is None and not is_run(run):
        return Session(encoder, data=data, track=track, say=say), str(run)
    if encoder is not None and not is_run(run):
        raise RunError(
            f"{run} is no run folder; with an encoder give a run folder and a source, or a source "
            "alone."
        )
    return Session(run, data=data, encoder=encoder, track=track, say=say), argument


def _numbers(name: str, text: str | None) -> list[float] | None:
    """Parse 0.5 or 0.485,0.456,0.406."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise OptionError(
            f"{name} is a number, or one for each channel with commas between, not {text!r}."
        ) from None

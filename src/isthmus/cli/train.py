"""`isthmus train` and `isthmus resume`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.app import (
    CodeSize,
    Json,
    Limit,
    MaxMinutes,
    RunFolder,
    Size,
    Source,
    app,
    make_preprocessing,
    model_options,
    parse_task,
)
from isthmus.cli.options import expand_options
from isthmus.cli.terminal import follow, is_quiet, say, track
from isthmus.training.config import DATA, MODEL, OUTPUT, TrainingConfig

if TYPE_CHECKING:
    from isthmus.data.preprocess import Preprocessing

Gray = Annotated[bool | None, typer.Option("--gray/--rgb", help="Turn images gray, or into color.")]


@dataclass(frozen=True)
class DataOptions:
    """What to read of the source, and how.

    Parameters
    ----------
    crop : int, optional
        Cut out the central square of so many pixels first.
    background : str
        Color behind transparent pixels.
    """

    size: Size = field(default=None, metadata=DATA)
    crop: int | None = field(default=None, metadata=DATA)
    gray: Gray = field(default=None, metadata=DATA)
    background: str = field(default="white", metadata=DATA)
    limit: Limit = field(default=None, metadata=DATA)

    @property
    def preprocessing(self) -> "Preprocessing":
        """What images are to go through."""
        return make_preprocessing(self.size, self.crop, self.gray, self.background)


@dataclass(frozen=True)
class ModelOptions:
    """What to train.

    Parameters
    ----------
    task : str, optional
        reconstruct, classify or segment; by default the model's.
    model : str, optional
        conv, dense, cnn, alexnet, fcn8s, … (isthmus summary lists them); by default chosen by the
        task.
    width : str, optional
        Channels of the first layer of cnn; of alexnet and fcn… a factor on all channels.
    lrn : bool, optional
        Local response normalization of alexnet.
    batch_norm : bool, optional
        Batch normalization of fcn….
    dropout : float, optional
        Share that dropout leaves out, of classifiers and segmenters.
    """

    task: str | None = field(default=None, metadata=MODEL)
    model: str | None = field(default=None, metadata=MODEL)
    code_size: CodeSize = field(default=None, metadata=MODEL)
    width: str | None = field(default=None, metadata=MODEL)
    lrn: bool | None = field(default=None, metadata=MODEL)
    batch_norm: bool | None = field(default=None, metadata=MODEL)
    dropout: float | None = field(default=None, metadata=MODEL)

    @property
    def options(self) -> dict[str, Any]:
        """The options of the model's row that were given."""
        return model_options(
            width=self.width, lrn=self.lrn, batch_norm=self.batch_norm, dropout=self.dropout
        )


@dataclass(frozen=True)
class OutputOptions:
    """Where to write, and for how long.

    Parameters
    ----------
    out : path, optional
        The run folder to make; by default runs/SOURCE.
    """

    out: Path | None = field(default=None, metadata=OUTPUT)
    max_minutes: MaxMinutes = field(default=None, metadata=OUTPUT)
    as_json: Json = field(default=False, metadata=OUTPUT)


@app.command()
@expand_options
def train(
    source: Source,
    data: DataOptions,
    model: ModelOptions,
    config: TrainingConfig,
    output: OutputOptions,
) -> None:
    """Train an autoencoder on any source; or a classifier, or a segmenter.

    Example: isthmus train fashion-mnist --code-size 2 --out runs/fashion2

    Example: isthmus train cats-dogs --task classify --size 64 --out runs/pets
    """
    from isthmus.data.load import load_with
    from isthmus.reports.outputs import describe_samples
    from isthmus.training.store import require_free
    from isthmus.training.train import train as begin

    preprocessing, task, options = data.preprocessing, parse_task(model.task), model.options
    out = output.out or Path("runs") / Path(source.rstrip("/")).name.split(".")[0]
    if not is_quiet:
        require_free(out)  # before anything is read, which may take long
    samples = load_with(source, preprocessing, limit=data.limit, track=track)
    say(describe_samples(samples))
    training = begin(
        samples,
        model.model,
        out=out,
        task=task,
        code_size=model.code_size,
        options=options,
        config=config,
        max_minutes=output.max_minutes,
    )
    follow(training, out, output.as_json)


@app.command()
def resume(
    run: RunFolder,
    epochs: Annotated[int | None, typer.Option(help="Epochs in all.")] = None,
    max_minutes: MaxMinutes = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that was stopped, exactly where it was; or make it longer.

    Example: isthmus resume runs/mine --epochs 40
    """
    from isthmus.training.train import resume as go_on

    training = go_on(run, epochs=epochs, max_minutes=max_minutes, track=track)
    follow(training, run, as_json)

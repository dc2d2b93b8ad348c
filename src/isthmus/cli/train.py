"""`isthmus train` and `isthmus resume`."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.app import (
    CodeSize,
    Json,
    MaxMinutes,
    OwnData,
    RunFolder,
    Source,
    app,
    model_options,
    parse_task,
)
from isthmus.cli.options import expand_options
from isthmus.cli.sources import DataOptions, say_reading
from isthmus.cli.terminal import follow, is_quiet, say, track
from isthmus.data.reading import Reading
from isthmus.errors import OptionError
from isthmus.text import count_of
from isthmus.training.config import MODEL, OUTPUT, TrainingConfig

if TYPE_CHECKING:
    from isthmus.data.images import Images
    from isthmus.data.preprocess import Preprocessing
    from isthmus.data.samples import Samples
    from isthmus.models.tasks import Task
    from isthmus.training.train import Training


DETECT = "detect"  # a task of the command, not of models: an autoencoder on normal samples


@dataclass(frozen=True)
class ModelOptions:
    """Options of `isthmus train` on the model.

    Parameters
    ----------
    task : str, optional
        reconstruct, classify, segment, stylize, denoise, or detect, which learns normal samples
        only; by default that of the model.
    model : str, optional
        conv, dense, cnn, alexnet, fcn8s, … (isthmus summary lists all); by default chosen by the
        task.
    width : str, optional
        Channels of the first layer of cnn, such as 32; for alexnet and fcn… a factor on all
        channels, such as 0.25. By default the model's own.
    lrn : bool, optional
        Use local response normalization in alexnet; by default it is used.
    batch_norm : bool, optional
        Use batch normalization in fcn…; by default it is used.
    dropout : float, optional
        Share of the features that dropout sets to zero in classifiers and segmenters; by default
        the model's own.
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
        """The options of the model that were given."""
        return model_options(
            width=self.width, lrn=self.lrn, batch_norm=self.batch_norm, dropout=self.dropout
        )


@dataclass(frozen=True)
class OutputOptions:
    """Options of `isthmus train` on the output.

    Parameters
    ----------
    out : path, optional
        The run folder to create; by default runs/SOURCE.
    """

    out: Path | None = field(default=None, metadata=OUTPUT)
    max_minutes: MaxMinutes = field(default=None, metadata=OUTPUT)
    as_json: Json = field(default=False, metadata=OUTPUT)


@app.command()
@expand_options
def train(
    source: Source,
    data: DataOptions,
    reading: Reading,
    model: ModelOptions,
    config: TrainingConfig,
    output: OutputOptions,
) -> None:
    """Train an autoencoder, a classifier, a segmenter or a denoiser.

    Example: isthmus train fashion-mnist --code-size 2 --out runs/fashion2

    Example: isthmus train parts/ --task detect --normal good --out runs/parts

    Example: isthmus train cats-dogs --task classify --size 64 --out runs/pets

    Example: isthmus train photos/ --task denoise --corrupt gaussian:25/255 --out runs/clean
    """
    from isthmus.data.normal import choose_normal
    from isthmus.data.samples import Samples
    from isthmus.training.store import require_free
    from isthmus.training.train import train as start_training

    preprocessing, options = data.preprocessing, model.options
    is_detector = model.task == DETECT
    task = "reconstruct" if is_detector else parse_task(model.task, (DETECT,))
    out = output.out or _default_out(source)
    if not is_quiet:
        require_free(out)  # before anything is read, which may take long
    # Every process of torchrun reads the samples, memory-mapped from the same cache entry.
    load = _load_images if _is_denoiser(model.model, task) else _load_samples
    samples = load(source, preprocessing, data.limit, reading)
    if is_detector and isinstance(samples, Samples):
        config = replace(config, normal=choose_normal(samples, config.normal))
    training = start_training(
        samples,
        model.model,
        out=out,
        task=task,
        code_size=model.code_size,
        options=options,
        config=config,
        max_minutes=output.max_minutes,
    )
    _say_notes(training)
    follow(training, out, output.as_json)


def _is_denoiser(model: str | None, task: "Task | None") -> bool:
    from isthmus.models.registry import model_row

    return task == "denoise" or (model is not None and model_row(model).task == "denoise")


def _load_samples(
    source: str, preprocessing: "Preprocessing", limit: int | None, reading: Reading
) -> "Samples":
    from isthmus.data.load import load_with

    samples = load_with(source, preprocessing, limit=limit, reading=reading, track=track)
    say_reading(samples)
    return samples


def _load_images(
    source: str, preprocessing: "Preprocessing", limit: int | None, reading: Reading
) -> "Images":
    from isthmus.data.areas import AREA, cut_into_areas
    from isthmus.data.load_images import load_images_with
    from isthmus.data.split import MIN_SAMPLES

    if preprocessing.size or preprocessing.crop:
        raise OptionError(
            "a denoiser takes images at their own sizes; leave --size and --crop out."
        )
    images = load_images_with(source, preprocessing, limit=limit, reading=reading, track=track)
    say_reading(images)
    if len(images) < MIN_SAMPLES and reading.areas is None and images.splits is None:
        images = cut_into_areas(images, AREA)
        say(
            f"cut into {count_of(len(images), 'area')}, to train and test on different ones "
            f"(--areas {AREA} asks for the same)."
        )
    return images


def _say_notes(training: "Training") -> None:
    for note in training.notes:
        say(f"{note.text}; {note.way_out}." if note.way_out else f"{note.text}.")


def _default_out(source: str) -> Path:
    """Return runs/SOURCE, by the name of the folder or the file without its suffixes."""
    # Absolute, as "." and ".." have no name; a hidden folder keeps what follows its dot.
    name = Path(os.path.abspath(os.path.expanduser(source))).name.lstrip(".")  # noqa: PTH100, PTH111
    return Path("runs") / (name.split(".")[0] or "data")


@app.command()
def resume(
    run: RunFolder,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Total number of epochs; by default as many as the run was started with."
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after so many epochs without a better one; by default as before."),
    ] = None,
    max_minutes: MaxMinutes = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="auto, cpu, cuda or mps; by default the one that the run was started on."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="auto, 32 or bf16; by default the one that the run was started with."),
    ] = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Continue a run that was stopped, exactly where it stopped, or train it longer.

    Device, precision and threads stay those that the run was started with; a line says what differs
    here. With --data, the run records the new place of its data.

    Example: isthmus resume runs/mine --epochs 40
    """
    from isthmus.training.run import Run
    from isthmus.training.train import resume as continue_training

    opened = Run.open(run, data=data)
    training = continue_training(
        opened,
        epochs=epochs,
        patience=patience,
        max_minutes=max_minutes,
        device=device,
        precision=precision,
        track=track,
    )
    _say_notes(training)
    follow(training, run, as_json)

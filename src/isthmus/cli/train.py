"""`isthmus train` and `isthmus resume`."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.app import (
    Background,
    CodeSize,
    Crop,
    Gray,
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
from isthmus.cli.terminal import follow, is_quiet, say, track


@app.command()
def train(
    source: Source,
    out: Annotated[Path | None, typer.Option(help="Run folder; else runs/SOURCE.")] = None,
    task: Annotated[
        str | None, typer.Option(help="reconstruct, classify or segment; else the model's.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="conv, dense, cnn, alexnet, fcn8s, … (isthmus summary).")
    ] = None,
    width: Annotated[
        str | None,
        typer.Option(help="Of cnn the first channels, of alexnet and fcn… a factor on all."),
    ] = None,
    lrn: Annotated[
        bool | None, typer.Option("--lrn/--no-lrn", help="Of alexnet: response normalization.")
    ] = None,
    batch_norm: Annotated[
        bool | None,
        typer.Option("--batch-norm/--no-batch-norm", help="Of fcn…: batch normalization."),
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Of classifiers and segmenters: share left out.")
    ] = None,
    code_size: CodeSize = None,
    size: Size = None,
    crop: Crop = None,
    gray: Gray = None,
    background: Background = "white",
    limit: Limit = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Else as many as see 1.6 million samples, 10 to 30 (100 with labels)."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Else by the number of samples.")] = None,
    optimizer: Annotated[str, typer.Option(help="adamw, adam, adamax, sgd or adadelta.")] = "adamw",
    lr: Annotated[float | None, typer.Option(help="Learning rate; else the optimizer's.")] = None,
    momentum: Annotated[float, typer.Option(help="Of sgd.")] = 0.0,
    weight_decay: Annotated[float | None, typer.Option(help="Else the optimizer's.")] = None,
    schedule: Annotated[
        str, typer.Option(help="one-cycle, constant, cosine or step.")
    ] = "one-cycle",
    loss: Annotated[
        str | None, typer.Option(help="bce, mse or cross-entropy; else by the model.")
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(help="Mirror half of the images, others each epoch; else by the data set."),
    ] = None,
    corrupt: Annotated[
        str | None,
        typer.Option(
            help="Train a denoiser: kind:strength, of gaussian, gaussian-unclipped, masked, "
            "occluded and salt-pepper; several with commas between."
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="Change images each epoch: shift:0.1, zoom:0.3, rotate:10, color:0.2, with commas "
            "between, or none; else by the task."
        ),
    ] = None,
    label_smoothing: Annotated[
        float, typer.Option(help="Share of each label that all classes divide.")
    ] = 0.0,
    class_weights: Annotated[
        bool, typer.Option("--class-weights", help="Weigh rare classes more.")
    ] = False,
    encoder_from: Annotated[
        str | None,
        typer.Option(
            help="Start with the encoder of this run, or with a file of VGG-16's weights."
        ),
    ] = None,
    freeze: Annotated[bool, typer.Option("--freeze", help="Leave that encoder as it is.")] = False,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better one.")
    ] = None,
    max_minutes: MaxMinutes = None,
    validation: Annotated[
        float, typer.Option(help="Share to choose by, where the source has none.")
    ] = 0.1,
    test: Annotated[
        float, typer.Option(help="Share to report on, where the source has none.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Decides all that is random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, 32 or bf16.")] = "auto",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write event files for TensorBoard.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train an autoencoder on any source; or a classifier, or a segmenter.

    Example: isthmus train fashion-mnist --code-size 2 --out runs/fashion2

    Example: isthmus train cats-dogs --task classify --size 64 --out runs/pets
    """
    from isthmus.data.load import load_with
    from isthmus.reports.outputs import describe_samples
    from isthmus.training import run
    from isthmus.training.config import TrainingConfig
    from isthmus.training.train import train as begin

    wanted, asked = make_preprocessing(size, crop, gray, background), parse_task(task)
    given = model_options(width=width, lrn=lrn, batch_norm=batch_norm, dropout=dropout)
    config = TrainingConfig(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=schedule,
        loss=loss,
        flip=flip,
        corrupt=corrupt,
        augment=augment,
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        encoder_from=encoder_from,
        freeze=freeze,
        patience=patience,
        validation=validation,
        test=test,
        seed=seed,
        device=device,
        precision=precision,
        tensorboard=tensorboard,
    )
    out = out or Path("runs") / Path(source.rstrip("/")).name.split(".")[0]
    if not is_quiet:
        run.require_free(out)  # before anything is read, which may take long
    samples = load_with(source, wanted, limit=limit, track=track)
    say(describe_samples(samples))
    steps = begin(
        samples,
        model,
        out=out,
        task=asked,
        code_size=code_size,
        options=given,
        config=config,
        max_minutes=max_minutes,
    )
    follow(steps, out, as_json)


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

    steps = go_on(run, epochs=epochs, max_minutes=max_minutes, track=track)
    follow(steps, run, as_json)

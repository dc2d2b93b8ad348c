"""The config of the model that `train` is asked for, checked against the samples."""

from pathlib import Path
from typing import Any

from isthmus.data.samples import Samples
from isthmus.errors import ModelError, OptionError
from isthmus.inference.trained import TrainedModel
from isthmus.models.config import ModelConfig, configure
from isthmus.models.registry import model_row
from isthmus.models.tasks import Task
from isthmus.training.config import TrainingConfig
from isthmus.training.targets import reject_single_class, required_targets
from isthmus.training.weights import config_on_encoder


def configure_new(
    samples: Samples,
    model: str | None,
    task: Task | None,
    code_size: int | None,
    options: dict[str, Any] | None,
    config: TrainingConfig,
    style_names: tuple[str, ...] = (),
) -> ModelConfig:
    """Configure the model; without a name, a classifier on the encoder to start from if given."""
    shape, class_names = samples.input_shape, samples.class_names
    row_task = task or (model_row(model).task if model else "reconstruct")
    # Before the config is made: "has no labels" helps more than "needs the names of classes".
    targets = required_targets(samples, row_task)
    if row_task == "classify" and targets is not None:
        reject_single_class(samples, targets)
    if model is None and row_task == "classify" and config.encoder_from:
        return config_on_encoder(Path(config.encoder_from), shape, class_names)
    return configure(
        model,
        shape,
        code_size,
        task=task,
        class_names=() if targets is None else class_names,
        style_names=style_names,
        options=options,
    )


def configure_as(
    start: TrainedModel,
    samples: Samples,
    model: str | None,
    task: Task | None,
    code_size: int | None,
    options: dict[str, Any] | None,
    config: TrainingConfig,
) -> ModelConfig:
    """Return the config of a model that is trained further, if it fits all that is asked for."""
    if (model, code_size, options, config.encoder_from) != (None, None, None, None):
        raise OptionError(
            "the model to start from has a size, options and an encoder already; leave model, "
            "code size, options and encoder from out."
        )
    model_config = start.config
    start.require_task(task or model_config.task)
    targets = required_targets(samples, model_config.task)
    class_names = () if targets is None else samples.class_names
    if (samples.input_shape, class_names) != (model_config.shape, model_config.class_names):
        raise ModelError(
            f"the model to start from takes samples x of {model_config.shape} and knows "
            f"{len(model_config.class_names)} classes, and {samples.describe()} are given; give "
            "samples of the same shape and the same classes."
        )
    return model_config

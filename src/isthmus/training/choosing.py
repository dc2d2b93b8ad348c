"""The config of the model that `train` is asked for, checked against the samples."""

from pathlib import Path
from typing import Any

from isthmus.data.images import Images
from isthmus.data.load_images import as_images
from isthmus.data.samples import Samples
from isthmus.errors import ModelError, OptionError
from isthmus.inference.trained import TrainedModel
from isthmus.models.config import ModelConfig, configure
from isthmus.models.registry import model_row
from isthmus.models.tasks import Task
from isthmus.training.config import PATCH, TrainingConfig
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


def as_needed(
    samples: Samples | Images, model: str | None, task: Task | None, start: TrainedModel | None
) -> Samples | Images:
    """Return samples of one shape as images where a denoiser is to be trained on them.

    Raises
    ------
    OptionError
        If images of their own sizes are given for another task.
    """
    if start is not None:
        task = task or start.task
    elif model is not None:
        task = task or model_row(model).task
    if isinstance(samples, Samples):
        return as_images(samples) if task == "denoise" else samples
    if task not in (None, "denoise"):
        raise OptionError(
            f"to {task} needs samples of one shape; isthmus.load resizes images to a size."
        )
    return samples


def configure_denoiser(
    images: Images,
    model: str | None,
    code_size: int | None,
    options: dict[str, Any] | None,
    config: TrainingConfig,
) -> ModelConfig:
    """Configure a denoiser for the patches that it is trained on.

    Raises
    ------
    OptionError
        If there is nothing to learn from, or something that contradicts what is there.
    """
    _require_noise(images, config)
    side = config.patch or min(PATCH, max(2, int(images.values.sides.max())))
    shape = (images.channels, side, side)
    return configure(model, shape, code_size, task="denoise", options=options)


def _require_noise(images: Images, config: TrainingConfig) -> None:
    name = images.origin.source or "the images"
    if images.has_pairs and (config.corrupt or config.no_clean):
        raise OptionError(
            f"{name} has noisy and clean images already; leave --corrupt and --no-clean out."
        )
    if not (images.has_pairs or config.corrupt or config.no_clean):
        raise OptionError(
            f"a denoiser needs noise to learn from, and {name} has no pairs; give --corrupt, such "
            "as gaussian:25/255, if the images are clean, --no-clean if all are noisy, or a folder "
            "with the folders noisy and clean."
        )


def configure_as(
    start: TrainedModel,
    samples: Samples | Images,
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
    if isinstance(samples, Images):
        return _configure_denoiser_as(start, samples, config)
    targets = required_targets(samples, model_config.task)
    class_names = () if targets is None else samples.class_names
    if (samples.input_shape, class_names) != (model_config.shape, model_config.class_names):
        raise ModelError(
            f"the model to start from takes samples x of {model_config.shape} and knows "
            f"{len(model_config.class_names)} classes, and {samples.describe()} are given; give "
            "samples of the same shape and the same classes."
        )
    return model_config


def _configure_denoiser_as(
    start: TrainedModel, images: Images, config: TrainingConfig
) -> ModelConfig:
    start.require_task("denoise")
    _require_noise(images, config)
    channels, side, _ = start.config.shape
    if (images.channels, config.patch or side) != (channels, side):
        raise ModelError(
            f"the model to start from takes images of {channels} channels and patches of {side} "
            f"pixels; {images.describe()} are given. Give the same, and leave patch out."
        )
    return start.config

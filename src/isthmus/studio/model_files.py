"""The files of a page that depend on the weights: codes, and what the model says of each sample."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track
from isthmus.data.samples import Samples
from isthmus.errors import IsthmusError
from isthmus.inference.model import Model
from isthmus.session import Session
from isthmus.studio import columns
from isthmus.studio.choice import Choice, Shown
from isthmus.studio.epochs import find_rows
from isthmus.studio.sample_files import (
    PREDICTED,
    category,
    describe_masks,
    write_category,
    write_number,
)
from isthmus.studio.scores import Answers, Noise, answer, task_of
from isthmus.studio.statistics import describe_codes, mean_codes
from isthmus.studio.storage import Storage
from isthmus.studio.thumbnails import Layout, sheet_count

TITLES = {
    "loss": "Reconstruction error (MSE)",
    "predicted": "Predicted class",
    "confidence": "Confidence",
    "correct": "Prediction",
    "accuracy": "Pixel accuracy",
    "iou": "Mean IoU",
}


def write_model_files(
    storage: Storage, session: Session, shown: Shown, choice: Choice, track: Track
) -> dict[str, Any]:
    """Encode the samples, write what the model says of each, and describe it.

    Returns
    -------
    dict
        The parts of a manifest that depend on the model and are there from the beginning.
    """
    model, samples = session.model, shown.samples
    noise = _noise_of(session, shown)
    pass_over = _Pass(storage, model, samples, noise, track)
    storage.write_column("codes.bin", pass_over.codes(), (len(samples), model.code_size))
    z = storage.column("codes.bin").reshape(-1, model.code_size)
    return {
        "model": Path(model.name).name,  # of a file, without its folder
        "task": task_of(model),
        "code_size": model.code_size,
        "preprocessing": _describe_preprocessing(session, model),
        "columns": pass_over.write_columns(noise is not None),
        "masks": pass_over.describe_masks(),
        "code_statistics": describe_codes(z),
        "class_codes": _write_class_codes(storage, z, samples),
        "mixture": None,
        "epoch_rows": find_rows(session, None if choice.source else shown.indices),
    }


class _Pass:
    """One pass over the samples: codes go to a file, the rest is collected."""

    def __init__(
        self, storage: Storage, model: Model, samples: Samples, noise: Noise | None, track: Track
    ) -> None:
        self.storage, self.model, self.samples = storage, model, samples
        self.noise, self.track = noise, track
        self.numbers: dict[str, list[NDArray[Any]]] = {}

    def codes(self) -> Iterator[NDArray[np.float32]]:
        """Yield the codes block by block."""
        answers = answer(self.model, self.samples, self.noise)
        blocks = self.track(answers, sheet_count(len(self.samples)), "Encoding")
        for number, block in enumerate(blocks):
            for name, values in block.numbers.items():
                self.numbers.setdefault(name, []).append(values)
            self._write_masks(number, block)
            yield block.z

    def write_columns(self, is_noisy: bool) -> list[dict[str, Any]]:
        """Write the numbers of all samples, and describe them."""
        titles = dict(TITLES)
        if is_noisy:
            titles["loss"] = "Denoising error (MSE, from the noisy input)"
        return [
            self._write_column(name, titles[name], np.concatenate(blocks))
            for name, blocks in self.numbers.items()
        ]

    def describe_masks(self) -> dict[str, Any] | None:
        """Describe the sheets of predicted masks."""
        if task_of(self.model) != "segment":
            return None
        return describe_masks(self.model.class_names, predicted=PREDICTED)

    def _write_column(self, name: str, title: str, values: NDArray[Any]) -> dict[str, Any]:
        names = {"predicted": self.model.class_names, "correct": ("wrong", "correct")}.get(name)
        if names is not None:
            return write_category(self.storage, name, title, category(values, len(names)), names)
        return write_number(self.storage, name, title, values)

    def _write_masks(self, number: int, block: Answers) -> None:
        if block.masks is not None:
            layout, classes = Layout.of(self.samples.shape), len(self.model.class_names)
            content = layout.mask_sheet(block.masks, classes)
            self.storage.write(PREDICTED.format(n=number), content)


def _noise_of(session: Session, shown: Shown) -> Noise | None:
    """Return the noise of a denoiser, by which `isthmus.evaluate` measures it."""
    if session.encoder is not None or session.model.task != "reconstruct":
        return None
    try:
        config = session.run.record.training_config
    except IsthmusError:  # a model without a run
        return None
    if config.corruption is None:
        return None
    return Noise(config.corruption, config.seed, shown.indices)


def _write_class_codes(
    storage: Storage, z: NDArray[np.float32], samples: Samples
) -> dict[str, str] | None:
    if samples.labels is None:
        return None
    means = mean_codes(z, samples.labels, len(samples.class_names))
    storage.write("class_codes.bin", columns.pack(means))
    return {"file": "class_codes.bin"}


def _describe_preprocessing(session: Session, model: Model) -> dict[str, Any]:
    """Return how a page prepares a picture that is dropped on it."""
    wanted = session.preprocessing
    return {
        "crop": wanted.crop,
        "size": list(model.shape[1:]),
        "channels": model.shape[0],
        "background": wanted.background,
    }

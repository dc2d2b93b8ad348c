"""`Record`: what run.json says, with every field checked when it is read."""

import json
from dataclasses import dataclass, field
from typing import Any

from isthmus.data.preprocess import Preprocessing
from isthmus.data.report import ReadingReport
from isthmus.data.samples import Origin
from isthmus.errors import RunError
from isthmus.fields import SEAL, convert_some, from_json, require_fingerprint
from isthmus.files import fingerprint, to_json
from isthmus.inference.weights import require_fitting
from isthmus.models.config import ModelConfig
from isthmus.text import to_utf8
from isthmus.training.config import TrainingConfig
from isthmus.training.styles import StyleSettings

FORMAT = 2  # of run.json and split.npz; raise it when an older program could misread them
CHOSEN = ("epochs", "batch_size", "lr", "loss")  # defaults that are written out
DATA: dict[str, Any] = {  # what is known of `Record.data`; others are kept as they are
    "fingerprint": str,
    "description": str,
    "train": int,
    "validation": int,
    "test": int,
    "unused": int,
    "patches": int,
    "skipped": tuple[tuple[str, str], ...],
    "noise": dict[str, str],
    "start": str,
    "moved_from": tuple[str, ...],
}
ENVIRONMENT: dict[str, Any] = {  # the same of `Record.environment`
    "at": str,
    "isthmus": str,
    "torch": str,
    "python": str,
    "system": str,
    "device": str,
    "precision": str,
    "threads": int,
    "processes": int,
}


@dataclass(frozen=True)
class Record:
    """What run.json says.

    Parameters
    ----------
    model_config : ModelConfig
    preprocessing : Preprocessing
        From the bytes of a file to the model's input, with every default chosen.
    training_config : TrainingConfig
        With every default chosen.
    origin : Origin
        What the data was loaded from, and how.
    data : dict
        The data's fingerprint, description and number of samples in each split, what was read
        (see `ReadingReport`), the fingerprint of a denoiser's noise, that of the model that was
        trained further, and the places where the data was before.
    environment : dict
        When, with which versions and on which machine.
    styles : StyleSettings, optional
        How the styles of a style bank are learned.
    """

    model_config: ModelConfig
    preprocessing: Preprocessing
    training_config: TrainingConfig
    origin: Origin
    data: dict[str, Any]
    environment: dict[str, Any]
    styles: StyleSettings | None = field(default=None, metadata={"omit_empty": True})

    @property
    def reading(self) -> ReadingReport | None:
        """What was read; None for a run of an older version."""
        content = self.data.get("reading")
        return None if content is None else ReadingReport.from_json(content)

    @property
    def counts(self) -> tuple[int, int, int]:
        """The number of samples to train on, to validate by and to test on."""
        return self.data["train"], self.data["validation"], self.data["test"]

    @property
    def total(self) -> int:
        """The number of samples of the data, also of those in no part; see `keep_normal`."""
        return sum(self.counts) + int(self.data.get("unused", 0))

    @property
    def per_epoch(self) -> int:
        """How many samples an epoch trains on, of a denoiser how many patches."""
        return int(self.data.get("patches", self.counts[0]))

    def to_bytes(self) -> bytes:
        """Return the content of run.json."""
        content = to_json(self)
        content = {"format": FORMAT, **content, SEAL: _seal(content)}
        return to_utf8(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Record":
        """Return the record of what run.json says.

        Raises
        ------
        IsthmusError
            If a field is missing, unknown or invalid, or one was changed since it was written.
        """
        said = {name: content[name] for name in content if name not in ("format", SEAL)}
        record = from_json(cls, said)
        record._check()
        # Last, as what is wrong says more than that something is. Older versions wrote no seal.
        if SEAL in content and content[SEAL] != _seal(said):
            raise RunError(
                f"something in it was changed since it was written; if you did so on purpose, "
                f"remove its field {SEAL!r}"
            )
        return record

    def _check(self) -> None:
        """Reject data and an environment that no training writes, and configs that do not fit."""
        data = convert_some(self.data, DATA, "data")
        convert_some(self.environment, ENVIRONMENT, "environment")
        for name in ("fingerprint", "description", "train", "validation", "test"):
            if name not in data:
                raise RunError(f"its data has no {name}")
        require_fingerprint(data["fingerprint"], "data.fingerprint")
        for name, count in zip(("train", "validation", "test"), self.counts, strict=True):
            if count < 1:
                raise RunError(f"data.{name} is {count} and should be at least 1")
        if data.get("unused", 0) < 0:
            raise RunError(f"data.unused is {data['unused']} and should be at least 0")
        if self.per_epoch < 1 or ("patches" in data) != (self.model_config.task == "denoise"):
            raise RunError("data.patches is the number of patches of an epoch of a denoiser")
        _ = self.reading
        require_fitting(self.model_config, self.preprocessing)
        for name in CHOSEN:
            if getattr(self.training_config, name) is None:
                raise RunError(f"training_config.{name} is null and should be a value")
        count = len(self.model_config.style_names)
        if (count > 0) != (self.styles is not None):
            raise RunError(f"it has {count} styles and {'no' if count else 'has'} settings of them")
        if self.styles is not None and self.styles.kept >= count:
            raise RunError(f"styles.kept is {self.styles.kept} of {count} styles")
        self.training_config.resolve(self.model_config, self.per_epoch)  # rejects what does not fit


def _seal(content: dict[str, Any]) -> str:
    """Return the fingerprint of all but the place of the data, which people correct by hand."""
    return fingerprint({**content, "origin": {**content["origin"], "source": ""}})

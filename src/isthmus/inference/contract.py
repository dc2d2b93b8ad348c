"""What an exported file promises: its parts, the names of its tensors, and its metadata.

Both who writes such a file and who reads it keep to this; nothing here needs torch or onnx.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import safetensors

from isthmus.damage import reporting_damage
from isthmus.data.preprocess import Preprocessing
from isthmus.errors import ModelError
from isthmus.fields import convert_some, from_json, parse_json, require_fingerprint
from isthmus.files import to_json
from isthmus.inference.model import CODE
from isthmus.models.tasks import CLASS_TASKS, KINDS, Task
from isthmus.text import to_utf8

MODEL_FILE = "model.safetensors"  # of a run: its best weights
FORMAT = 1  # of the metadata; raise it when an older program could misread them
AGAIN = "restore it from a copy, or export the model again"
MAX_BATCH_SIZE = 2**16  # far beyond what is written
MAX_MARGIN = 2**12  # pixels around a tile
KEY = "isthmus"  # of the metadata, which mark a file as one of ours
Part = Literal["whole", "encoder", "decoder"]
PARTS: tuple[Part, ...] = get_args(Part)
SAMPLES = "samples"  # the input; of a decoder it is the code
BATCH = "N"  # the first axis of all tensors
SIDES = ("H", "W")  # the next two of a denoiser, which takes images of any sides
RECONSTRUCTION, PROBABILITIES, PREDICTION = "reconstruction", "probabilities", "prediction"
CLEAN = "clean"  # an image without its noise
PAINTINGS = "paintings"  # of each sample in all styles
OUTPUTS = {  # of the whole model, by its task
    "reconstruct": (CODE, RECONSTRUCTION),
    "classify": (CODE, PROBABILITIES, PREDICTION),
    "segment": (CODE, PROBABILITIES, PREDICTION),
    "stylize": (CODE, PAINTINGS),
    "denoise": (CLEAN,),
}


@dataclass(frozen=True)
class ExportRecord:
    """What an exported file says about itself.

    Parameters
    ----------
    format : int
    version : str
        Of Isthmus.
    model : str
        A key of `MODELS`.
    task : str
    shape : tuple of int
        Of one sample x: (C, H, W) or (C, L).
    code_size : int
    class_names : tuple of str
    preprocessing : Preprocessing
    part : str
        "whole", "encoder" or "decoder".
    layer : str, optional
        The layer whose output is the code, if it is not the bottleneck.
    precision : str
        "32", "16" or "int8".
    fingerprint : str
        The trained model's, as its codes are the same; of another layer or precision one of
        their own.
    batch_size : int
    max_difference : float, optional
        The largest difference to torch that was measured when the file was written.
    loss : dict, optional
        What a lower precision costs, as it was measured then.
    style_names : tuple of str
        Of a style bank, in the order of its paintings.
    margin, step : int
        Of a denoiser; see `Model`.
    """

    format: int
    version: str
    model: str
    task: Task
    shape: tuple[int, ...]
    code_size: int
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    part: Part
    layer: str | None
    precision: str
    fingerprint: str
    batch_size: int
    max_difference: float | None = None
    loss: dict[str, Any] | None = None
    style_names: tuple[str, ...] = field(default=(), metadata={"omit_empty": True})
    margin: int = field(default=0, metadata={"omit_empty": True})
    step: int = field(default=0, metadata={"omit_empty": True})

    def __post_init__(self) -> None:
        require_fingerprint(self.fingerprint, "fingerprint")
        is_denoiser = self.task == "denoise"
        code_size = 1 if is_denoiser and not self.code_size else self.code_size
        if len(self.shape) not in KINDS or min(*self.shape, code_size, self.batch_size) < 1:
            raise ModelError(
                f"a sample of {self.shape}, a code of {self.code_size} or a batch of "
                f"{self.batch_size} cannot be"
            )
        if self.batch_size > MAX_BATCH_SIZE:
            raise ModelError(f"batch_size is {self.batch_size:,}, more than {MAX_BATCH_SIZE:,}")
        if is_denoiser != bool(self.step) or not 0 <= self.margin <= MAX_MARGIN:
            raise ModelError(f"it has a step of {self.step}, a margin of {self.margin} pixels")
        if (self.task in CLASS_TASKS) != bool(self.class_names):
            raise ModelError(f"it has {len(self.class_names)} classes and the task {self.task}")
        if (self.task == "stylize") != bool(self.style_names):
            raise ModelError(f"it has {len(self.style_names)} styles and the task {self.task}")

    def to_text(self) -> str:
        """Return the record as the JSON that a file holds."""
        # Names of files need not be UTF-8, which ONNX demands.
        return to_utf8(json.dumps(to_json(self), ensure_ascii=False)).decode()

    @classmethod
    def from_text(cls, text: str, place: str) -> "ExportRecord":
        """Return the record of a file's metadata.

        Raises
        ------
        ModelError
            If it is damaged, or written by another version of Isthmus.
        """
        with reporting_damage(place, ModelError, AGAIN):
            content = convert_some(parse_json(text), {"format": int}, "its metadata")
            written = content["format"]
        if written != FORMAT:
            raise ModelError(
                f"{place} is of format {written} and this Isthmus reads format {FORMAT}; use the "
                "version that wrote it, or export the model again."
            )
        with reporting_damage(place, ModelError, AGAIN):
            return from_json(cls, content)


def outputs_of(task: str, part: Part) -> tuple[str, ...]:
    """Return the names of the outputs of a part, in order.

    Examples
    --------
    >>> outputs_of("classify", "encoder")
    ('code',)
    """
    names = OUTPUTS[task]
    return {"whole": names, "encoder": names[:1], "decoder": names[1:]}[part]


def is_weights_file(path: Path) -> bool:
    """Return whether a file holds weights that Isthmus wrote as .safetensors."""
    try:
        with safetensors.safe_open(path, "np") as content:
            return KEY in (content.metadata() or {})
    except safetensors.SafetensorError:
        return False

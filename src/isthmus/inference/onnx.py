"""`OnnxModel`: a model that `isthmus export` wrote, computed by ONNX Runtime without torch.

The file takes samples as they are, uint8 pixels or float32 signals, and returns the answer: scaling
and activation are inside. What else it promises is in `inference.contract`.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ModelError, first_sentence, missing_package
from isthmus.files import reporting_damage, suggest_path
from isthmus.inference.contract import (
    KEY,
    PREDICTION,
    PROBABILITIES,
    RECONSTRUCTION,
    SAMPLES,
    ExportRecord,
)
from isthmus.inference.model import CODE, Model, Values
from isthmus.models.tasks import Task
from isthmus.runtime import thread_count

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SUFFIX = ".onnx"


class OnnxModel(Model):
    """A model in an ONNX file that `isthmus.export` wrote; it answers as the trained one did.

    Parameters
    ----------
    content : bytes
        Of the file.
    path : Path, optional
        Of the file, for messages.

    Raises
    ------
    ModelError
        If the content is damaged, or was not written by Isthmus.
    OptionError
        If ONNX Runtime is not installed.

    Examples
    --------
    >>> model = OnnxModel.load("mine.onnx")  # doctest: +SKIP
    >>> z = model.encode(model.read("photos/"))  # doctest: +SKIP
    """

    def __init__(self, content: bytes, path: Path | None = None) -> None:
        self.path = path
        self._content = content
        place = "the content of the model" if path is None else path
        self._session = open_onnx(content, str(place))
        entries = self._session.get_modelmeta().custom_metadata_map
        if KEY not in entries:
            raise ModelError(
                f"{place} was not exported by Isthmus; use it as an encoder, with --encoder or "
                "isthmus.OnnxEncoder."
            )
        with reporting_damage(place, ModelError):
            self.record = ExportRecord.from_text(entries[KEY])
        self.preprocessing = self.record.preprocessing

    @classmethod
    def load(cls, path: str | Path) -> "OnnxModel":
        """Load a file; see the class for errors."""
        return cls(read_model_file(Path(path)), Path(path))

    # -- what it is ---------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The file's name, or that of its row in `MODELS`."""
        return self.record.model if self.path is None else self.path.name

    @property
    def task(self) -> Task:
        """What the model does: "reconstruct", "classify" or "segment"."""
        return self.record.task

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample x: (C, H, W), or (C, L) for signals."""
        return self.record.shape

    @property
    def code_size(self) -> int:
        """D, how many numbers a code has."""
        return self.record.code_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of a classifier or segmenter; otherwise empty."""
        return self.record.class_names

    @property
    def fingerprint(self) -> str:
        """That of the trained model, unless the codes are those of another layer or precision."""
        return self.record.fingerprint

    @property
    def batch_size(self) -> int:
        """How many samples pass the model at once."""
        return self.record.batch_size

    # -- what it computes ---------------------------------------------------------------------

    def features(self, values: Values, layer: str = CODE) -> Iterator[NDArray[np.float32]]:
        """Yield batches of codes (n, D); a file has no other layers.

        Raises
        ------
        OptionError
            If another layer is asked for.
        ModelError
            If the file holds a decoder.
        """
        self.feature_shape(layer)
        self._require_part("encoder")
        return (self._run(CODE, {SAMPLES: block}) for block in self.blocks(values))

    def _decode(self, z: NDArray[np.float32]) -> NDArray[Any]:
        self._require_part("decoder")
        return run_onnx(self._decoder, RECONSTRUCTION, {CODE: z}, self.name)

    def _reconstruct(self, block: NDArray[Any]) -> NDArray[Any]:
        self._require_part("whole")
        return self._run(RECONSTRUCTION, {SAMPLES: block})

    def _predict(self, block: NDArray[Any]) -> NDArray[np.int64] | NDArray[np.uint8]:
        self._require_part("whole")
        return self._run(PREDICTION, {SAMPLES: block})

    def _probabilities(self, block: NDArray[Any]) -> NDArray[np.float32]:
        self._require_part("whole")
        return self._run(PROBABILITIES, {SAMPLES: block})

    def _run(self, output: str, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
        # Only what this output needs is computed: a code without the decoder behind it.
        return run_onnx(self._session, output, inputs, self.name)

    @cached_property
    def _decoder(self) -> "InferenceSession":
        """The part from the code to the reconstruction; a whole model has it inside."""
        if self.record.part == "decoder":
            return self._session
        import onnx
        from onnx.utils import Extractor

        whole = onnx.load_from_string(self._content)
        decoder = Extractor(whole).extract_model([CODE], [RECONSTRUCTION])
        return open_onnx(decoder.SerializeToString(), self.name)

    def _require_part(self, part: str) -> None:
        if self.record.part not in ("whole", part):
            raise ModelError(
                f"{self.name} holds only the {self.record.part} of a model; export the {part} "
                f"with isthmus export RUN --part {part}."
            )


def open_onnx(content: bytes, name: str) -> "InferenceSession":
    """Open the content of an ONNX file on the CPU.

    Raises
    ------
    ModelError
        If it cannot be read.
    OptionError
        If ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise missing_package(name, "ONNX Runtime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count()
    options.log_severity_level = 3  # errors; its warnings are about graphs, not for users
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common but this one
        raise ModelError(f"{name} is no ONNX model: {first_sentence(error)}.") from error


def run_onnx(
    session: "InferenceSession", output: str, inputs: dict[str, NDArray[Any]], name: str
) -> NDArray[Any]:
    """Compute one output.

    Raises
    ------
    ModelError
        If the model cannot compute these inputs.
    """
    try:
        return session.run([output], inputs)[0]  # type: ignore[no-any-return]
    except Exception as error:  # its errors have no class in common but this one
        raise ModelError(f"{name} cannot be computed: {first_sentence(error)}.") from error


def read_model_file(path: Path) -> bytes:
    """Return the content of a file.

    Raises
    ------
    ModelError
        If it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        near = "" if path.exists() else suggest_path(path)
        raise ModelError(f"{path} cannot be read: {first_sentence(error)}{near}.") from error

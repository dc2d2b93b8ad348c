"""`OnnxModel`: a model that `isthmus export` wrote, computed by ONNX Runtime without torch.

The file takes samples as they are, uint8 pixels or float32 signals, and returns the answer: scaling
and activation are inside. What else it promises is in `inference.contract`.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ModelError, first_sentence, missing_package
from isthmus.files import suggest_path
from isthmus.inference.contract import (
    AGAIN,
    CLEAN,
    KEY,
    PREDICTION,
    PROBABILITIES,
    RECONSTRUCTION,
    SAMPLES,
    SIDES,
    ExportRecord,
    Part,
    outputs_of,
)
from isthmus.inference.model import CODE, Model, Values
from isthmus.models.tasks import WITH_PRIOR, Task
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
        place = "the content of the model" if path is None else path
        self._graph = _Graph(content, str(place))
        entries = self._graph.alone.get_modelmeta().custom_metadata_map
        if KEY not in entries:
            raise ModelError(
                f"{place} was not exported by Isthmus; use it as an encoder, with --encoder or "
                "isthmus.OnnxEncoder."
            )
        self.record = ExportRecord.from_text(entries[KEY], str(place))
        _require_graph(self._graph.alone, self.record, str(place))
        self.preprocessing = self.record.preprocessing

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxModel, (self.content, self.path)

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
        """What the model does, a key of `TASKS`."""
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
    def has_prior(self) -> bool:
        """See `Model`."""
        return self.record.model in WITH_PRIOR

    @property
    def batch_size(self) -> int:
        """How many samples pass the model at once."""
        return self.record.batch_size

    @property
    def margin(self) -> int:
        """See `Model`."""
        return self.record.margin

    @property
    def step(self) -> int:
        """See `Model`."""
        return self.record.step or 1

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
        if self.task == "denoise":
            raise ModelError("a denoiser has no encoder and no codes; take an autoencoder.")
        self._require_part("encoder")
        return self._map(self._encode, self.blocks(values))

    def _encode(self, block: NDArray[Any]) -> NDArray[np.float32]:
        return self._encoder.run(CODE, {SAMPLES: block})

    def _decode(self, z: NDArray[np.float32]) -> NDArray[Any]:
        self._require_part("decoder")
        return self._decoder.run(RECONSTRUCTION, {CODE: z})

    def _reconstruct(self, block: NDArray[Any]) -> NDArray[Any]:
        self._require_part("whole")
        return self._graph.run(RECONSTRUCTION, {SAMPLES: block})

    def _denoise(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        image = np.ascontiguousarray(np.moveaxis(x, 0, -1)[None])
        clean = self._graph.run(CLEAN, {SAMPLES: image}, together=True)[0]
        return np.moveaxis(clean, -1, 0)

    def _predict(self, block: NDArray[Any]) -> NDArray[np.int64] | NDArray[np.uint8]:
        self._require_part("whole")
        return self._graph.run(PREDICTION, {SAMPLES: block})

    def _probabilities(self, block: NDArray[Any]) -> NDArray[np.float32]:
        self._require_part("whole")
        return self._graph.run(PROBABILITIES, {SAMPLES: block})

    @property
    def content(self) -> bytes:
        """Of the file."""
        return self._graph.content

    def cut(self, part: Part) -> bytes:
        """Return the content of a file with only the encoder or the decoder.

        Raises
        ------
        ModelError
            If this file does not hold that part.
        OptionError
            If onnx is not installed.
        """
        self._require_part(part)
        graph = self._decoder if part == "decoder" else self._encoder
        return graph.content

    @cached_property
    def _encoder(self) -> "_Graph":
        """The part from samples to the code."""
        # ONNX Runtime computes all of a graph, whatever is asked for. Of `conv`, a code from the
        # whole graph takes 3.4 times as long as from this part.
        return self._graph.cut(SAMPLES, CODE) if self.record.part == "whole" else self._graph

    @cached_property
    def _decoder(self) -> "_Graph":
        """The part from the code to the reconstruction."""
        return self._graph.cut(CODE, RECONSTRUCTION) if self.record.part == "whole" else self._graph

    def _require_part(self, part: str) -> None:
        if self.record.part not in ("whole", part):
            raise ModelError(
                f"{self.name} holds only the {self.record.part} of a model; export the {part} "
                f"with isthmus export RUN --part {part}."
            )


class _Graph:
    """A graph, which any number of threads may run."""

    def __init__(self, content: bytes, name: str) -> None:
        self.content, self._name = content, name

    @cached_property
    def alone(self) -> "InferenceSession":
        """A session in which the calling thread computes a block alone; see `Model._map`."""
        return open_onnx(self.content, self._name, 1)

    @cached_property
    def _together(self) -> "InferenceSession":
        """A session in which all threads compute a large image together."""
        return open_onnx(self.content, self._name, thread_count())

    def run(
        self, output: str, inputs: dict[str, NDArray[Any]], *, together: bool = False
    ) -> NDArray[Any]:
        """Compute an output for a block; see `run_onnx`."""
        return run_onnx(self._together if together else self.alone, output, inputs, self._name)

    def cut(self, start: str, end: str) -> "_Graph":
        """Return the part between two values."""
        try:
            import onnx
            from onnx.utils import Extractor
        except ImportError:
            raise missing_package(self._name, "onnx", "onnx") from None
        part = Extractor(onnx.load_from_string(self.content)).extract_model([start], [end])
        return _Graph(part.SerializeToString(), self._name)


def open_onnx(source: bytes | Path, name: str, threads: int | None = None) -> "InferenceSession":
    """Open an ONNX file, or the content of one, on the CPU, by default for all threads.

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
    options.intra_op_num_threads = threads or thread_count()
    options.log_severity_level = 4  # what is fatal; errors are raised as well, and said once
    try:
        # By its path, a file finds weights that lie next to it.
        content = str(source) if isinstance(source, Path) else source
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common but this one
        raise ModelError(f"{name} cannot be read as an ONNX model: {_reason(error)}.") from error


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
        raise ModelError(f"{name} cannot be computed: {_reason(error)}.") from error


def _require_graph(session: "InferenceSession", record: ExportRecord, name: str) -> None:
    """Raise a ModelError if a graph has other inputs or outputs than its metadata promise."""
    channels, *sides = record.shape
    source: str = SAMPLES
    wanted: tuple[Any, ...] = (*(SIDES if record.task == "denoise" else sides), channels)
    if record.part == "decoder":
        source, wanted = CODE, (record.code_size,)
    inputs = [(one.name, tuple(one.shape[1:])) for one in session.get_inputs()]
    outputs = tuple(one.name for one in session.get_outputs())
    if inputs != [(source, wanted)] or outputs != outputs_of(record.task, record.part):
        raise ModelError(
            f"{name} is damaged and cannot be read: its graph turns {inputs} into {outputs}, "
            f"unlike what its metadata say; {AGAIN}."
        )


def is_export(path: Path) -> bool:
    """Return whether an ONNX file was exported by Isthmus; see `open_onnx` for errors."""
    require_model_file(path)
    return KEY in open_onnx(path, str(path)).get_modelmeta().custom_metadata_map


def require_model_file(path: Path) -> None:
    """Raise a ModelError if there is no such file."""
    if not path.is_file():
        raise ModelError(f"{path} cannot be read: there is no such file{suggest_path(path)}.")


def read_model_file(path: Path) -> bytes:
    """Return the content of a file.

    Raises
    ------
    ModelError
        If it is missing or cannot be read.
    """
    require_model_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {first_sentence(error)}.") from error


def _reason(error: Exception) -> str:
    """Return what went wrong, without the number and the name of an error of ONNX Runtime."""
    return first_sentence(
        ValueError(re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error)))
    )

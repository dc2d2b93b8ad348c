"""What an exported program answers: the numbers of a batch by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import Interpreter

from isthmus.inference.onnx import open_onnx

if TYPE_CHECKING:
    import onnx

Answers = dict[str, NDArray[Any]]
Program = Callable[[NDArray[Any]], Answers]
# Where a program rounds, what it rounds: whole pixels would hide small differences.
UNROUNDED = "unrounded"


class OnnxProgram:
    """An ONNX model, computed by onnxruntime on the CPU.

    Parameters
    ----------
    proto : ModelProto
        Left as it is.
    """

    def __init__(self, proto: "onnx.ModelProto") -> None:
        import onnx

        copy = onnx.ModelProto()
        copy.CopyFrom(proto)
        self._names = [output.name for output in copy.graph.output]
        for node in copy.graph.node:
            if node.op_type == "Round":
                kind = onnx.TensorProto.FLOAT
                copy.graph.output.append(
                    onnx.helper.make_tensor_value_info(node.input[0], kind, None)
                )
                self._names.append(UNROUNDED)
        self._session = open_onnx(copy.SerializeToString(), "the exported file")
        self._input = copy.graph.input[0].name

    def __call__(self, batch: NDArray[Any]) -> Answers:
        """Return the answers for one batch."""
        answers = self._session.run(None, {self._input: np.ascontiguousarray(batch)})
        return dict(zip(self._names, answers, strict=True))


class TorchProgram:
    """A program of `torch.export`, computed operator by operator."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self._module = program.module()

    def __call__(self, batch: NDArray[Any]) -> Answers:
        """Return the answers for one batch."""
        recorder = _RoundRecorder(self._module)
        with torch.inference_mode():
            answers = recorder.run(torch.from_numpy(np.require(batch, requirements=["C", "W"])))
        named = {name: answer.numpy() for name, answer in answers.items()}
        return named if recorder.rounded is None else named | {UNROUNDED: recorder.rounded.numpy()}


class _RoundRecorder(Interpreter):
    """Runs a program and keeps what it rounds."""

    rounded: torch.Tensor | None = None

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target is torch.ops.aten.round.default:
            self.rounded = args[0]
        return super().call_function(target, args, kwargs)

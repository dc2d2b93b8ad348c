"""ONNX models in half precision and in eight-bit integers."""

import logging
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.runtime import Shared, ignored_warnings

if TYPE_CHECKING:
    import onnx

PRECISIONS = ("32", "16", "int8")
MAX_HALF = 65_504.0  # the largest number of float16
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # where nearly all weights and arithmetic are
MAX_LAST_SHARE = 0.1  # of all weights, up to which the last layer stays in float32
CALIBRATION_BATCH = 32


def to_half(proto: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return a copy that stores its weights in float16 and computes in float32.

    The file is half as large. A runtime converts the weights back when it loads them, so that the
    rest is computed as before, at the same speed on every processor. Arithmetic in float16 has the
    same size and is not faster on CPUs, few of which have it. (Measured: reconstructions of
    conv-pool, conv, dense-selu and conv-transpose change by at most 0.0003 dB in both ways.)
    """
    import onnx
    from onnx import numpy_helper

    half = onnx.ModelProto()
    half.CopyFrom(proto)
    casts = []
    for tensor in half.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or math.prod(tensor.dims) < 2:
            continue  # a single number gains nothing
        values, name = numpy_helper.to_array(tensor), tensor.name
        if np.abs(values).max() > MAX_HALF:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *half.graph.node]
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    return half


def to_int8(proto: "onnx.ModelProto", inputs: NDArray[Any]) -> "onnx.ModelProto":
    """Return a copy whose layers compute with eight-bit integers.

    Weights have a scale for each channel; the ranges of what flows between layers are those that
    occur with the inputs. Of the settings that were tried (all operators or only the `LAYERS`,
    signed or unsigned, ranges by extremes, percentiles or entropy), these lose least, within
    0.01 dB. The last layer, whose output is rounded again, stays in float32 where it is small.

    Parameters
    ----------
    proto : ModelProto
        In float32; left as it is.
    inputs : array
        What the model takes; a few hundred that it was trained on.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)  # the quantizer changes what it gets
    with tempfile.TemporaryDirectory() as folder, _quiet, ignored_warnings:
        file = Path(folder) / "int8.onnx"
        quantize_static(
            copy,
            file,
            _Reader(proto.graph.input[0].name, inputs),
            per_channel=True,
            op_types_to_quantize=list(LAYERS),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_small_last_layer(proto),
        )
        return onnx.load(file)


def _small_last_layer(proto: "onnx.ModelProto") -> list[str]:
    """Return the name of the last layer if few of the weights are in it."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in proto.graph.initializer}
    layers = {
        node.name: sum(sizes.get(name, 0) for name in node.input)
        for node in proto.graph.node
        if node.op_type in LAYERS
    }
    last = list(layers)[-1:]
    return [name for name in last if layers[name] <= MAX_LAST_SHARE * sum(layers.values())]


class _Reader:
    """Batches of inputs as the quantizer of onnxruntime takes them."""

    def __init__(self, name: str, inputs: NDArray[Any]) -> None:
        starts = range(0, len(inputs), CALIBRATION_BATCH)
        parts = (np.ascontiguousarray(inputs[i : i + CALIBRATION_BATCH]) for i in starts)
        self._batches = ({name: part} for part in parts)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Return the next batch, or None after the last."""
        return next(self._batches, None)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the quantizer's advice, which it gives by the root logger, from the user."""
    # Without any handler, `logging.warning` would give the program one for good.
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    logging.getLogger().addFilter(_is_error)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(_is_error)
        logging.getLogger().removeHandler(handler)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


_quiet = Shared(_silence)

"""Compare what an exported program answers with what its model answers, in float32."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.exporting.answers import UNROUNDED, Answers, Program
from isthmus.inference.contract import (
    PAINTINGS,
    PREDICTION,
    PROBABILITIES,
    RECONSTRUCTION,
    Part,
)
from isthmus.inference.model import CODE
from isthmus.inference.trained import TrainedModel
from isthmus.models.stylebank import one_style

TOLERANCE = 1e-4
BATCHES = (1, 7, 256)
# Numbers of the widest layer in a batch (512 MB): the largest batch is smaller for large images.
MAX_NUMBERS = 2**27


def compare(
    model: TrainedModel,
    program: Program,
    part: Part,
    layer: str | None,
    inputs: NDArray[Any],
) -> dict[str, Any]:
    """Compare a program with the model that it was made from, in the batches of `batch_sizes`.

    Parameters
    ----------
    model : TrainedModel
        In float32.
    program : callable
        Of the model's part, perhaps in another precision.
    part : str
    layer : str, optional
    inputs : (N, H, W, C) uint8 or (N, L, C) float32
        Also for a decoder, which gets the codes that the model has for them.

    Returns
    -------
    dict
        The number of `samples`, the sizes of the `batches`, and for each output its `max` and
        `mean` difference: of probabilities, of reconstructions before rounding on the [0, 1] scale,
        and of codes divided by `scale`, the largest magnitude of a code, or 1 if that is less.
        Of pixels and predictions, `different` counts those that are rounded or decided differently
        among all `values`. `max_difference` is the largest `max`.
    """
    batches = batch_sizes(model)
    differences: dict[str, _Difference] = {}
    for batch in _batches(inputs, batches):
        wanted = reference(model, part, layer, batch)
        got = program(model.encode(batch) if part == "decoder" else batch)
        for name, value in _comparable(model, got).items():
            differences.setdefault(name, _Difference()).add(value, wanted[name])
        for name in (RECONSTRUCTION, PAINTINGS, PREDICTION):
            if name in got and got[name].dtype != np.float32:  # signals are not rounded
                differences.setdefault(name, _Difference()).count(got[name], wanted[f"_{name}"])
    outputs = {name: differences[name].result(name) for name in differences}
    return {
        "samples": min(len(inputs), sum(batches)),
        "batches": list(batches),
        "max_difference": max(one["max"] for one in outputs.values() if "max" in one),
        "outputs": outputs,
    }


def batch_sizes(model: TrainedModel) -> tuple[int, ...]:
    """Return the sizes of the batches that are compared, the last one as the memory allows."""
    widest = max(math.prod(layer.shape) for layer in model.layers)
    *small, large = BATCHES
    while large > small[-1] and large * widest > MAX_NUMBERS:
        large //= 2
    return (*small, large)


def reference(model: TrainedModel, part: Part, layer: str | None, batch: NDArray[Any]) -> Answers:
    """Return what the model itself answers, before and after rounding or deciding."""
    if layer is not None:
        return {CODE: model.activations(batch, [layer])[layer].reshape(len(batch), -1)}
    wanted = {CODE: model.encode(batch)}
    if part == "encoder":
        return wanted
    if model.config.task == "stylize":
        return wanted | _paint_all(model, batch)
    outputs = [model.activate(output) for _, output in model.outputs(batch)]
    values = np.concatenate([output.movedim(1, -1).cpu().numpy() for output in outputs])
    if model.config.task == "reconstruct":
        rounded = [model.preprocessing.from_output(output).cpu().numpy() for output in outputs]
        return wanted | {RECONSTRUCTION: values, f"_{RECONSTRUCTION}": np.concatenate(rounded)}
    return wanted | {PROBABILITIES: values, f"_{PREDICTION}": values.argmax(-1)}


def _paint_all(model: TrainedModel, batch: NDArray[Any]) -> Answers:
    """Return samples in all styles (N, K, H, W, C), before and after rounding."""
    count, values, rounded = len(model.config.style_names), [], []
    for style in range(count):
        outputs = [_paint(model, x, style, count) for x in model.inputs(batch)]
        values.append(np.concatenate([y.movedim(1, -1).cpu().numpy() for y in outputs]))
        rounded.append(
            np.concatenate([model.preprocessing.from_output(y).cpu().numpy() for y in outputs])
        )
    return {PAINTINGS: np.stack(values, 1), f"_{PAINTINGS}": np.stack(rounded, 1)}


def _paint(model: TrainedModel, x: Tensor, style: int, count: int) -> Tensor:
    shares = one_style(torch.full((len(x),), style), count).to(x.device)
    with model.computing():
        return model.activate(model.module(x, shares).float())


class _Difference:
    """Differences of one output, over several batches."""

    def __init__(self) -> None:
        self.largest = self.total = 0.0
        self.numbers = 0
        self.scale = 1.0
        self.different = self.values = 0

    def add(self, got: NDArray[Any], wanted: NDArray[Any]) -> None:
        difference = np.abs(np.subtract(got, wanted, dtype=np.float32))
        difference = np.nan_to_num(difference, copy=False, nan=np.inf)  # NaN would win no `max`
        self.largest = max(self.largest, float(difference.max()))
        self.total += float(difference.sum(dtype=np.float64))
        self.numbers += difference.size
        self.scale = max(self.scale, float(np.abs(wanted).max()))

    def count(self, got: NDArray[Any], wanted: NDArray[Any]) -> None:
        self.different += int(np.count_nonzero(got != wanted))
        self.values += got.size

    def result(self, name: str) -> dict[str, Any]:
        """Return the differences; the scale counts only for codes, the others have one."""
        scale = self.scale if name == CODE else 1.0
        result: dict[str, Any] = {}
        if self.numbers:
            result = {"max": self.largest / scale, "mean": self.total / self.numbers / scale}
        if name == CODE:
            result["scale"] = scale
        if self.values:
            result |= {"different": self.different, "values": self.values}
        return result


def _comparable(model: TrainedModel, got: Answers) -> Answers:
    """Return the answers that are numbers, on the scale of `reference`."""
    preprocessing = model.preprocessing
    numbers = {name: got[name] for name in (CODE, PROBABILITIES) if name in got}
    if RECONSTRUCTION in got:
        values = got.get(UNROUNDED, got[RECONSTRUCTION])
        spread = preprocessing.high - preprocessing.low
        numbers[RECONSTRUCTION] = (values - preprocessing.low) / spread
    if PAINTINGS in got:
        values = got[PAINTINGS]
        if UNROUNDED in got:  # with styles first; see `Program`
            shape = (values.shape[1], values.shape[0], *got[UNROUNDED].shape[1:])
            values = got[UNROUNDED].reshape(shape).swapaxes(0, 1)
        numbers[PAINTINGS] = values / preprocessing.high
    return numbers


def _batches(inputs: NDArray[Any], sizes: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """Yield a batch of each size, of other inputs as long as there are any."""
    start = 0
    for size in sizes:
        yield inputs[np.arange(start, start + size) % len(inputs)]
        start += size

"""How good a model is in one precision and in another, on samples that it was not trained on."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.data.samples import VOID
from isthmus.exporting.answers import Answers, Program
from isthmus.exporting.checks import CheckSamples
from isthmus.inference.contract import PREDICTION, RECONSTRUCTION, Part
from isthmus.inference.model import CODE
from isthmus.inference.trained import TrainedModel
from isthmus.metrics import accuracy, confusion, mean_iou, psnr
from isthmus.models.layers import Classifier


def measure_quality(
    model: TrainedModel,
    exact: Program,
    reduced: Program,
    part: Part,
    layer: str | None,
    checks: CheckSamples,
) -> dict[str, Any]:
    """Measure the quality of a model whose part is computed by one program or another.

    What a part leaves out, the model adds: codes of an encoder are decoded, or classified, in
    float32.

    Parameters
    ----------
    model : TrainedModel
    exact, reduced : callable
        In float32 and in the other precision.
    part : str
    layer : str, optional
    checks : CheckSamples

    Returns
    -------
    dict
        The `metric` ("psnr" in decibels, "accuracy" or "iou"), the number of `samples`, and the
        values `float32` and `reduced`. It is empty where a part has no such quality: a layer, the
        features of a segmenter, paintings, or samples without labels.
    """
    task = model.config.task
    if layer is not None or task == "stylize" or (task == "segment" and part == "encoder"):
        return {}
    if task == "reconstruct":
        metric = "psnr"
    elif checks.targets is None:
        return {}
    else:
        metric = "accuracy" if task == "classify" else "iou"
    before, after = (_measure(model, program, part, metric, checks) for program in (exact, reduced))
    return {
        "metric": metric,
        "samples": len(checks.inputs),
        "float32": before,
        "reduced": after,
    }


def _measure(
    model: TrainedModel, program: Program, part: Part, metric: str, checks: CheckSamples
) -> float:
    answers = []
    for start in range(0, len(checks.inputs), model.batch_size):
        batch = checks.inputs[start : start + model.batch_size]
        got = program(model.encode(batch) if part == "decoder" else batch)
        answers.append(_finish(model, got))
    answer = torch.from_numpy(np.concatenate(answers))
    if metric == "psnr":
        low, high = model.preprocessing.low, model.preprocessing.high
        y, x = ((values.float() - low) / (high - low) for values in (answer, _tensor(checks)))
        return psnr(y, x).mean().item()
    assert checks.targets is not None
    targets = torch.from_numpy(np.ascontiguousarray(checks.targets))
    void = VOID if metric == "iou" else None
    matrix = confusion(answer, targets, len(model.config.class_names), void)
    return accuracy(matrix) if metric == "accuracy" else mean_iou(matrix)


def _tensor(checks: CheckSamples) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(checks.clean))


def _finish(model: TrainedModel, got: Answers) -> NDArray[Any]:
    """Return reconstructions or predictions; from codes alone, by the rest of the model."""
    for name in (RECONSTRUCTION, PREDICTION):
        if name in got:
            return got[name]
    if not isinstance(model.module, Classifier):
        return model.decode(got[CODE])
    with torch.inference_mode():
        logits: torch.Tensor = model.module.head(torch.from_numpy(got[CODE]))
    return logits.argmax(1).numpy()

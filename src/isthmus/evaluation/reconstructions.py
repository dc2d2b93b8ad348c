"""Metrics of reconstructions: one pass over the test samples for any number of methods."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from isthmus import metrics
from isthmus.inference.trained import TrainedModel

Batches = Iterable[tuple[Tensor, Tensor]]  # inputs, with noise if there is any, and clean targets
Scores = dict[str, float | None]

Method = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""From inputs (n, C, H, W) or (n, C, L) to outputs and, where they end in a sigmoid, its logits."""


def score_reconstructions(
    batches: Batches, methods: Mapping[str, Method]
) -> dict[str, dict[str, float | None]]:
    """Measure how well methods reconstruct clean samples.

    All methods see a batch before the next one is drawn: drawing frozen noise is slow, and the
    noise of a whole data set may not fit memory.

    Parameters
    ----------
    batches : iterable of (Tensor, Tensor)
        Inputs and targets (n, C, H, W) or (n, C, L), targets in the [0, 1] range of pixels.
    methods : mapping of str to callable

    Returns
    -------
    dict
        By method the means over samples and pixels of `bce` (nats), `mse`, `psnr` (dB) and `ssim`,
        which is None for signals and for images of less than 6 × 6 pixels.
    """
    from threadpoolctl import ThreadpoolController

    threads = ThreadpoolController()
    values: dict[str, dict[str, list[Tensor]]] = {name: {} for name in methods}
    for inputs, x in batches:
        for name, method in methods.items():
            y, logits = method(inputs)
            # A batch is a few milliseconds of work in dozens of small steps. After each one a
            # second thread would wait at full load: 7.1 instead of 0.7 CPU seconds on a busy
            # machine. This limit of OpenMP holds for the calling thread alone.
            with threads.limit(limits=1, user_api="openmp"):
                scores = _per_sample(y, x, logits)
            for metric, batch in scores.items():
                values[name].setdefault(metric, []).append(batch)
    return {name: {"ssim": None, **_means(parts)} for name, parts in values.items()}


def model_method(model: TrainedModel) -> Method:
    """Return a trained model as a method; it takes at most `model.batch_size` inputs at once.

    Outputs without a sigmoid are measured as they are, not clipped to [0, 1]: clipping would hide
    errors. Only the cross-entropy keeps them 1e-7 away from 0 and 1.
    """

    def reconstruct(inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        with torch.inference_mode():
            output = torch.cat(
                [model.module(part) for part in torch.split(inputs, model.batch_size)]
            )
        has_logits = model.config.activation == "sigmoid"
        return model.activate(output), output if has_logits else None

    return reconstruct


def _per_sample(y: Tensor, x: Tensor, logits: Tensor | None) -> dict[str, Tensor]:
    values = {
        "bce": metrics.bce(y, x) if logits is None else metrics.bce_of_logits(logits, x),
        "mse": metrics.mse(y, x),
        "psnr": metrics.psnr(y, x),
    }
    if metrics.has_ssim(tuple(x.shape[1:])):
        values["ssim"] = metrics.ssim(y, x)
    return values


def _means(parts: Mapping[str, list[Tensor]]) -> dict[str, float]:
    return {metric: float(torch.cat(values).double().mean()) for metric, values in parts.items()}

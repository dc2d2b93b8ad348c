"""How many samples or pixels of the validation part get their class."""

import math

import torch
from torch import Tensor

from isthmus.data.samples import VOID
from isthmus.models.spec import Spec
from isthmus.scores import accuracy, confusion, mean_iou


class Tally:
    """What comes out over batches; nothing for autoencoders, which have their loss."""

    def __init__(self, spec: Spec) -> None:
        self.task = spec.task
        self.classes = len(spec.class_names)
        self.void = VOID if spec.task == "segment" else None
        self.confusion = torch.zeros(self.classes, self.classes, dtype=torch.int64)

    def add(self, output: Tensor, truth: Tensor) -> None:
        """Count a batch of logits (N, K) or (N, K, H, W) beside labels or masks."""
        if self.task != "reconstruct":
            predicted = output.argmax(1)
            self.confusion += confusion(predicted, truth, self.classes, self.void).cpu()

    def values(self) -> dict[str, float]:
        """Return the `accuracy` over samples or pixels, and for masks the mean `iou`."""
        if self.task == "reconstruct":
            return {}
        values = {"accuracy": accuracy(self.confusion)}
        if self.task == "segment":
            iou = mean_iou(self.confusion)
            values["iou"] = 0.0 if math.isnan(iou) else iou  # all is void
        return values

    def error(self, loss: float) -> float:
        """Return what to choose a model by, the lower the better."""
        values = self.values()
        return 1 - list(values.values())[-1] if values else loss

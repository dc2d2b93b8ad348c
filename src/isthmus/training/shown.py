"""What the model in training makes of a few test samples, which the run keeps of each epoch."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.images import Images
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.data.split import spread_over_classes
from isthmus.models.config import ModelConfig
from isthmus.models.layers import Network
from isthmus.models.registry import ACTIVATIONS
from isthmus.models.tasks import CLASS_TASKS
from isthmus.training.batches import SampleTensors
from isthmus.training.kept import shown_count
from isthmus.training.patches import Cutter
from isthmus.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Shown:
    """The test samples that are shown to the model after each epoch.

    Parameters
    ----------
    run : Run
    samples : Samples or Images
    tensors : SampleTensors or Cutter
        The same samples on the device; of images their middle.
    fabric : Fabric
        Of the training, for its precision.
    """

    def __init__(
        self,
        run: Run,
        samples: Samples | Images,
        tensors: SampleTensors | Cutter,
        fabric: "Fabric",
    ) -> None:
        self._record, self._tensors, self._fabric = run.record, tensors, fabric
        count = shown_count(tensors.sample_bytes)
        self.rows = spread_over_classes(samples, run.split().test, count)

    def inputs(self) -> NDArray[Any]:
        """Return the samples as the model takes them, of a denoiser with their noise."""
        return np.asarray(self._record.preprocessing.from_output(self._x()).cpu().numpy())

    def answers(self, module: Network) -> NDArray[Any]:
        """Return what a module makes of them; it is left in evaluation mode.

        Nothing is drawn from a random generator.
        """
        record = self._record
        module.eval()
        with torch.inference_mode(), self._fabric.autocast():
            output = module(self._x()).float()
            answers = to_answers(output, record.model_config, record.preprocessing)
        return np.asarray(answers.cpu().numpy())

    def _x(self) -> Tensor:
        config = self._record.training_config
        x = self._tensors.gather(self.rows)
        if config.corruption is None:
            return x
        return config.corruption.apply_fixed(x, config.seed, self.rows)


def to_answers(output: Tensor, config: ModelConfig, preprocessing: Preprocessing) -> Tensor:
    """Turn the output of a model into reconstructions (n, *shape), probabilities or masks."""
    activated = ACTIVATIONS[config.activation](output)
    if config.task not in CLASS_TASKS:
        return preprocessing.from_output(activated)
    return activated if config.task == "classify" else activated.argmax(1).to(torch.uint8)

"""Compare training from a memory-mapped file with training on the same batches from memory.

Both take the batches of `isthmus train` and its default model, in turns: a turn trains on some
batches from the disk, which nothing has read before, and then on the same batches from memory.

    python benchmarks/disk_and_memory.py FOLDER --seconds 120
"""

import argparse
import json
import time
from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isthmus import load
from isthmus.data.preprocess import Preprocessing
from isthmus.data.random import ORDER
from isthmus.data.samples import Samples
from isthmus.models.config import ModelConfig
from isthmus.models.layers import require_encoder
from isthmus.runtime import launch
from isthmus.training.batches import Batches, SampleTensors
from isthmus.training.optim import make_optimizer

SIZE = 128  # of a batch
TURN = 10  # batches
MODEL = "conv"


class Trainer:
    """Trains a model on batches, as `isthmus train` does."""

    def __init__(self, samples: Samples) -> None:
        config = ModelConfig(MODEL, samples.input_shape, 32, "sigmoid")
        self.fabric = launch()
        self.module = config.build()
        weights = list(self.module.parameters())
        self.optimizer = make_optimizer("adamw", weights, lr=1e-3, weight_decay=0.01)

    def train(self, batches: Iterable[tuple[Tensor, Tensor]]) -> "Cost":
        """Train on all batches and return what this takes, with reading them."""
        cost = Cost()
        for x, targets in batches:
            with self.fabric.autocast():
                output = self.module(x)
            loss = nn.functional.binary_cross_entropy_with_logits(output.float(), targets)
            self.fabric.backward(loss)
            self.optimizer.step()
            self.optimizer.zero_grad()
            cost.images += len(x)
        return cost.end()

    def encode(self, batches: Iterable[tuple[Tensor, Tensor]]) -> "Cost":
        """Encode all batches and return what this takes, with reading them."""
        cost, encode = Cost(), require_encoder(self.module.eval()).encode
        with torch.inference_mode(), self.fabric.autocast():
            for x, _ in batches:
                encode(x)
                cost.images += len(x)
        self.module.train()
        return cost.end()


class Cost:
    """Images, and the seconds that they took by the clock and of the processor's cores."""

    def __init__(self) -> None:
        self.images = 0
        self.seconds, self.cpu = -time.perf_counter(), -time.process_time()

    def end(self) -> "Cost":
        """Stop the clocks."""
        self.seconds += time.perf_counter()
        self.cpu += time.process_time()
        return self


def copy_batches(samples: Samples, order: NDArray[np.int64]) -> Batches:
    """Return batches of the same samples in the same order, at random places of memory."""
    places = np.random.default_rng(0).permutation(len(order))
    values = np.empty((len(order), *samples.shape), np.uint8)
    values[places] = samples.values[order]
    tensors = SampleTensors(values, Preprocessing(), torch.device("cpu"))
    return Batches(tensors, places, SIZE)


def rate(costs: list[Cost]) -> float:
    """Return the images a second of all turns, by the clock."""
    return sum(cost.images for cost in costs) / sum(cost.seconds for cost in costs)


def rate_of_core(costs: list[Cost]) -> float:
    """Return the images in a second of CPU time of all turns."""
    return sum(cost.images for cost in costs) / sum(cost.cpu for cost in costs)


def main() -> None:
    """Train in turns and print the images a second of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    samples = load(options.source)
    trainer = Trainer(samples)
    tensors = SampleTensors(samples.values, Preprocessing(), torch.device("cpu"))
    batches = Batches(tensors, np.arange(len(samples)), SIZE)
    order = np.random.default_rng([batches.seed, ORDER, 0]).permutation(batches.indices)
    trainer.train(islice(batches.epoch(1), 5))  # the first steps are slow
    disk: list[Cost] = []
    memory: list[Cost] = []
    end = time.monotonic() + options.seconds
    for turn in range(len(batches) // TURN):
        disk.append(trainer.train(islice(batches.epoch(0, turn * TURN), TURN)))
        rows = order[turn * TURN * SIZE : (turn + 1) * TURN * SIZE]
        memory.append(trainer.train(copy_batches(samples, rows).in_order()))
        if time.monotonic() > end:
            break
    encoded = trainer.encode(islice(batches.epoch(1), TURN))
    ratios = [one.seconds / other.seconds for one, other in zip(memory, disk, strict=True)]
    result = {
        "turns": len(ratios),
        "images_per_second": {"disk": rate(disk), "memory": rate(memory)},
        "ratio": rate(disk) / rate(memory),
        "ratio_quartiles": np.quantile(ratios, [0.25, 0.5, 0.75]).tolist(),
        "images_per_core_second": {
            "train from disk": rate_of_core(disk),
            "train from memory": rate_of_core(memory),
            "encode": rate_of_core([encoded]),
        },
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""Compare training from a memory-mapped file with training on the same batches from memory.

Both take the batches of `isthmus train` and its default model, in turns: a turn trains on some
batches from the disk, that nothing has read before, or on those of the turn before from memory.

    python benchmarks/disk_and_memory.py FOLDER --seconds 120
"""

import argparse
import json
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from isthmus import load
from isthmus.data.preprocess import Preprocessing
from isthmus.data.random import ORDER
from isthmus.data.samples import Samples
from isthmus.models.config import ModelConfig
from isthmus.runtime import launch
from isthmus.training.batches import Batches, SampleTensors
from isthmus.training.optim import make_optimizer

SIZE = 128  # of a batch
TURN = 40  # batches
MODEL = "conv"


class Trainer:
    """Trains a model on batches, as `isthmus train` does."""

    def __init__(self, samples: Samples) -> None:
        config = ModelConfig(MODEL, samples.input_shape, 32, "sigmoid")
        self.fabric = launch()
        self.module = config.build()
        weights = list(self.module.parameters())
        self.optimizer = make_optimizer("adamw", weights, lr=1e-3, weight_decay=0.01)

    def train(self, batches: Iterator[tuple[Tensor, Tensor]]) -> float:
        """Train on all batches and return the seconds that this takes, with reading them."""
        start = time.perf_counter()
        for x, targets in batches:
            with self.fabric.autocast():
                output = self.module(x)
            loss = nn.functional.binary_cross_entropy_with_logits(output.float(), targets)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        return time.perf_counter() - start


def copy_batches(samples: Samples, order: np.ndarray) -> Batches:
    """Return batches of the same samples in the same order, which lie in memory at random places."""
    places = np.random.default_rng(0).permutation(len(order))
    values = np.empty((len(order), *samples.shape), np.uint8)
    values[places] = samples.values[order]
    tensors = SampleTensors(values, Preprocessing(), torch.device("cpu"))
    return Batches(tensors, places, SIZE)


def main() -> None:
    """Train in turns and print the images a second of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    samples = load(options.source)
    trainer = Trainer(samples)
    tensors = SampleTensors(samples.values, Preprocessing(), torch.device("cpu"))
    disk = Batches(tensors, np.arange(len(samples)), SIZE)
    order = np.random.default_rng([disk.seed, ORDER, 0]).permutation(disk.indices)
    rates: dict[str, list[float]] = {"disk": [], "memory": []}
    end = time.monotonic() + options.seconds
    trainer.train(islice(disk.epoch(1), 5))  # the first steps are slow
    for turn in range(len(disk) // TURN):
        seconds = trainer.train(islice(disk.epoch(0, turn * TURN), TURN))
        rates["disk"].append(TURN * SIZE / seconds)
        rows = order[turn * TURN * SIZE : (turn + 1) * TURN * SIZE]
        memory = copy_batches(samples, rows)
        seconds = trainer.train(memory.in_order())
        rates["memory"].append(TURN * SIZE / seconds)
        if time.monotonic() > end:
            break
    disk_rates, memory_rates = (np.array(rates[name]) for name in ("disk", "memory"))
    ratios = disk_rates / memory_rates
    result = {
        "turns": len(ratios),
        "disk": float(np.median(disk_rates)),
        "memory": float(np.median(memory_rates)),
        "ratio": float(1 / (1 / disk_rates).mean() * (1 / memory_rates).mean()),
        "ratio_quartiles": np.quantile(ratios, [0.25, 0.5, 0.75]).tolist(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

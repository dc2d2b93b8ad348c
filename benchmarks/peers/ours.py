"""Isthmus on the same job as its peers.

    python ours.py MODEL BATCH IMAGES.npy PRECISION

Prints a line of JSON.
"""

import json
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import isthmus

OPTIMIZERS = {"conv-transpose": ("adamax", None), "dense-selu": ("sgd", 1.5)}


def main() -> None:
    """Train two epochs and infer twice; report the second of each."""
    name, batch, file, precision = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    values = np.load(file)
    # A sample each for validation and test, beyond those that the peers train on.
    samples = isthmus.load(np.concatenate([values, values[:2]]))
    splits = np.zeros(len(samples), np.uint8)
    splits[-2:] = 1, 2
    samples = isthmus.Samples(samples.values, isthmus.Items(samples.names), splits=splits)
    optimizer, lr = OPTIMIZERS.get(name, ("adam", None))
    config = isthmus.TrainingConfig(
        epochs=2,
        batch_size=batch,
        optimizer=optimizer,
        lr=lr,
        schedule="constant",
        precision=precision,
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        for _ in isthmus.train(samples, name, out=out, config=config):
            pass
        first, second = isthmus.Run.open(out).history()
        model = isthmus.TrainedModel.load(out, precision=precision)
        for _ in range(2):
            began = time.perf_counter()
            model.reconstruct(values)
            inferred = time.perf_counter() - began
    print(
        json.dumps(
            {
                "parameters": sum(layer.trainable + layer.frozen for layer in model.layers),
                "train": second["step"] / 2 * batch / (second["seconds"] - first["seconds"]),
                "infer": len(values) / inferred,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
            }
        )
    )


if __name__ == "__main__":
    main()

"""Isthmus on the same job as its peers.

    python ours.py MODEL BATCH IMAGES.npy auto|bf16|32|onnx

Prints a line of JSON. What was trained with "auto" infers in float32, the default. With "onnx",
ONNX Runtime infers, in float32; nothing is trained, as that is not what it is for.
"""

import json
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import isthmus
from isthmus.inference.conversion import to_onnx

OPTIMIZERS = {"conv-transpose": ("adamax", None), "dense-selu": ("sgd", 1.5)}


def main() -> None:
    """Train two epochs and infer twice; report the second of each."""
    name, batch, file, engine = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    values = np.load(file)
    result: dict[str, Any] = {}
    if engine == "onnx":
        model = onnx_model(name, values)
    else:
        model, result["train"] = train(name, values, batch, engine)
    for _ in range(2):
        began = time.perf_counter()
        model.reconstruct(values)
        result["infer"] = len(values) / (time.perf_counter() - began)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps(result))


def train(
    name: str, values: NDArray[np.uint8], batch: int, precision: Any
) -> tuple[isthmus.Model, float]:
    """Train two epochs; return the model and the images per second of the second epoch."""
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
        model = isthmus.TrainedModel.load(out, precision="bf16" if precision == "bf16" else "32")
    return model, second["step"] / 2 * batch / (second["seconds"] - first["seconds"])


def onnx_model(name: str, values: NDArray[np.uint8]) -> isthmus.Model:
    """Return a model with its first weights, which are as fast as trained ones."""
    height, width, channels = values.shape[1:]
    config = isthmus.configure(name, (channels, height, width))
    preprocessing = isthmus.Preprocessing(size=(height, width), channels=channels)
    trained = isthmus.TrainedModel(config, preprocessing, config.build().eval())
    return isthmus.OnnxModel(to_onnx(trained))


if __name__ == "__main__":
    main()

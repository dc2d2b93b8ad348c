"""What models do, and on which kind of samples: words that need no torch."""

from typing import Literal

Activation = Literal["sigmoid", "identity", "softmax"]
Kind = Literal["images", "signals"]
Task = Literal["reconstruct", "classify", "segment"]
KINDS: dict[int, Kind] = {3: "images", 2: "signals"}  # by the axes of one sample x
# Rows of `MODELS` whose codes are trained to follow the standard normal distribution.
WITH_PRIOR = ("vae", "dense-vae", "wae")
TASKS: dict[Task, str] = {  # task: what its models are called
    "reconstruct": "autoencoder",
    "classify": "classifier",
    "segment": "segmenter",
}

"""What models do, and on which kind of samples: words that need no torch."""

from typing import Literal

Activation = Literal["sigmoid", "identity", "softmax"]
Kind = Literal["images", "signals"]
Task = Literal["reconstruct", "classify", "segment", "stylize", "denoise"]
KINDS: dict[int, Kind] = {3: "images", 2: "signals"}  # by the axes of one sample x
# Rows of `MODELS` whose codes are trained to follow the standard normal distribution.
WITH_PRIOR = ("vae", "dense-vae")
TASKS: dict[Task, str] = {  # task: what its models are called
    "reconstruct": "autoencoder",
    "classify": "classifier",
    "segment": "segmenter",
    "stylize": "style bank",
    "denoise": "denoiser",
}
CLASS_TASKS: tuple[Task, ...] = ("classify", "segment")  # whose models know classes


def with_article(noun: str) -> str:
    """Return a noun with the article a or an.

    Examples
    --------
    >>> with_article("autoencoder")
    'an autoencoder'
    """
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"

"""`draw_codes`: codes of new samples, from a mixture or from the prior of a variational model."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import NO_CLASS, Items
from isthmus.data.random import GENERATION
from isthmus.errors import ModelError, OptionError, require_known
from isthmus.inference.model import Model
from isthmus.latent.codes import Codes
from isthmus.latent.mixture import Mixture
from isthmus.runtime import reject_beyond_memory

SAMPLERS = ("mixture", "prior")
MAX_DRAWN = 1_000_000  # codes at once
MAX_TEMPERATURE = 100
MAX_SEED = 2**32 - 1
CODE_BYTES = 8  # of memory for each number of a code: of the code, and of its noise
SIGNAL_BYTES = 4  # for each number of a signal; an image takes one


@dataclass(frozen=True)
class Draw:
    """What is to be drawn.

    Parameters
    ----------
    n : int
        How many codes, from 1 to 1,000,000.
    label : str, optional
        The name of a class, of a mixture with classes; by default all, as often as each occurs.
    temperature : float
        Factor on the standard deviations, from 0: below 1, codes are more typical and less varied.
    sampler : str
        "mixture", for any autoencoder, or "prior": the standard normal distribution, which the
        codes of a variational autoencoder are trained to follow.
    seed : int
        From 0 to 2³² - 1. The i-th code depends on the seed and on i, and not on n.

    Raises
    ------
    OptionError
        If a value is outside its range.
    """

    n: int = 64
    label: str | None = None
    temperature: float = 1.0
    sampler: str = "mixture"
    seed: int = 0

    def __post_init__(self) -> None:
        require_known("sampler", self.sampler, SAMPLERS)
        if not 1 <= self.n <= MAX_DRAWN:
            raise OptionError(f"n must be from 1 to {MAX_DRAWN:,}, not {self.n:,}.")
        if not 0 <= self.temperature <= MAX_TEMPERATURE:  # NaN is neither
            raise OptionError(
                f"the temperature must be from 0 to {MAX_TEMPERATURE}, not {self.temperature:g}."
            )
        if not 0 <= self.seed <= MAX_SEED:
            raise OptionError(f"the seed must be from 0 to {MAX_SEED}, not {self.seed}.")

    def noise(self, size: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return what chance adds: for each code a number in [0, 1), and normal ones (n, size)."""
        picks, noise = np.empty(self.n), np.empty((self.n, size), np.float32)
        for number in range(self.n):  # a generator each: the first ten of a hundred are the same
            rng = np.random.default_rng([self.seed, GENERATION, number])
            picks[number] = rng.random()
            noise[number] = rng.standard_normal(size, np.float32)
        return picks, noise * np.float32(self.temperature)


def draw_codes(draw: Draw, model: Model, mixture: Callable[[], Mixture]) -> Codes:
    """Draw codes of a model, called generated-0000 and so on.

    Parameters
    ----------
    draw : Draw
    model : Model
        An autoencoder.
    mixture : callable
        Returns the mixture of the model's codes, if it is needed.

    Returns
    -------
    Codes
        With the classes of the components that they were drawn from, where all have one.

    Raises
    ------
    OptionError
        If there is no such class.
    ModelError
        If the model is no autoencoder, or has no prior.
    SourceError
        If the samples would not fit in memory.
    """
    model.require_task("reconstruct")
    numbers = math.prod(model.shape) * (SIGNAL_BYTES if len(model.shape) == 2 else 1)
    reject_beyond_memory(
        draw.n * (numbers + CODE_BYTES * model.code_size), f"drawing {draw.n:,} samples at once"
    )
    if draw.sampler == "prior":
        _require_prior(model, draw)
        z, items = draw.noise(model.code_size)[1], Items(_names(draw.n))
    else:
        components = mixture()
        z, labels = components.sample(*draw.noise(model.code_size), draw.label)
        has_classes = labels.min() != NO_CLASS  # samples have classes all, or none
        classes = components.class_names if has_classes else ()
        items = Items(_names(draw.n), labels if has_classes else None, classes)
    return Codes(z, items, shape=z.shape[1:], model_fingerprint=model.fingerprint)


def _require_prior(model: Model, draw: Draw) -> None:
    if not model.has_prior:
        raise ModelError(
            f"{model.name} is no variational autoencoder, and nothing is known of its codes before "
            "they are looked at; leave the sampler out to draw from a mixture of them."
        )
    if draw.label is not None:
        raise OptionError(
            f"the prior has no classes; leave the class {draw.label!r} out, or the sampler."
        )


def _names(n: int) -> list[str]:
    width = max(4, len(str(n - 1)))
    return [f"generated-{number:0{width}}" for number in range(n)]

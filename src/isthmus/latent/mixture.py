"""`Mixture`: a mixture of normal distributions over codes, from which new codes are drawn.

An autoencoder says which code an image has, and not which codes are likely. A mixture that is
fitted to the codes of the training samples says so, for any autoencoder: P. Ghosh, M. S. M.
Sajjadi, A. Vergari, M. Black, B. Schölkopf: From Variational to Deterministic Autoencoders, ICLR
2020, section 4 ("ex-post density estimation").
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import read_npz, require_array
from isthmus.damage import reporting_damage
from isthmus.data.items import NO_CLASS
from isthmus.data.random import GENERATION
from isthmus.errors import MAX_NAMES, OptionError, SourceError, describe_unknown
from isthmus.files import suggest_path, to_json
from isthmus.inference.model import Model
from isthmus.latent.array_files import read_facts, require_sealed, write_sealed

FILE = "mixture.npz"  # in the run folder
FORMAT = 1  # of the file; raise it when an older program could misread it
AGAIN = "delete it, and isthmus generate fits it again"
MAX_SEED = 2**32 - 1
MAX_DRAWN = 1_000_000  # codes at once

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]


class Trial(NamedTuple):
    """A number of components that was tried.

    Parameters
    ----------
    label : int
        Of the class, or -1.
    covariance : str
        "full" or "diag".
    components : int
    likelihood : float
        Mean logarithm of the density of the class' validation codes, in nats; the codes are
        standardized.
    """

    label: int
    covariance: str
    components: int
    likelihood: float


FACTS: dict[str, Any] = {
    "format": int,
    "model_fingerprint": str,
    "data_fingerprint": str,
    "seed": int,
    "trials": tuple[Trial, ...],
}


@dataclass(frozen=True, eq=False)
class Mixture:
    """K normal distributions over codes of D numbers, each of a class where there are labels.

    Parameters
    ----------
    weights : (K,) float64
        The share of each component; together 1.
    means : (K, D) float32
    factors : (K, D, D) or (K, D) float32
        Lower triangular: the covariance of a component is factor · factorᵀ. Where all covariances
        are diagonal, the standard deviations.
    classes : (K,) int64
        The index of each component's class in `class_names`, or -1 for none.
    class_names : tuple of str
    trials : tuple of Trial
        Between which the validation codes chose.
    model_fingerprint : str
        Of the model whose codes they are.
    data_fingerprint : str
        Of the samples and the split that they were fitted to.
    seed : int
        Of the fit.
    """

    weights: NDArray[np.float64]
    means: Vectors
    factors: Vectors
    classes: Labels
    class_names: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    model_fingerprint: str = ""
    data_fingerprint: str = ""
    seed: int = 0

    def __len__(self) -> int:
        return len(self.weights)

    def __repr__(self) -> str:
        return f"Mixture({len(self)} components of {self.code_size:,} numbers)"

    @property
    def code_size(self) -> int:
        """D, how many numbers a code has."""
        return self.means.shape[1]

    @property
    def counts(self) -> dict[str | None, int]:
        """How many components each class has, by its name; those without a class by None."""
        names = [*self.class_names, None]  # NO_CLASS, -1, finds the last
        labels, counts = np.unique(self.classes, return_counts=True)
        return {names[label]: int(count) for label, count in zip(labels, counts, strict=True)}

    def sample(
        self, n: int, *, label: str | None = None, temperature: float = 1.0, seed: int = 0
    ) -> tuple[Vectors, Labels]:
        """Draw codes; the i-th one depends on the seed and on i alone, not on n.

        Parameters
        ----------
        n : int
            From 1 to 1,000,000.
        label : str, optional
            The name of a class; by default of all, as often as each occurs.
        temperature : float
            Factor on the standard deviation of each component: below 1, codes are more typical and
            less varied; at 0 they are the means.
        seed : int
            From 0 to 2³² - 1.

        Returns
        -------
        z : (n, D) float32
        labels : (n,) int64
            The class of each, or -1.

        Raises
        ------
        OptionError
            If a value is outside its range, or no component is of the class.
        """
        picks, noise = draw_noise(n, self.code_size, temperature, seed)
        members = self._members(label)
        shares = self.weights[members].cumsum()
        rows = np.searchsorted(shares / shares[-1], picks, side="right")
        chosen = members[np.minimum(rows, len(members) - 1)]
        z = self.means[chosen]
        for component in np.unique(chosen):  # not all at once, which would take n · D² numbers
            of = chosen == component
            factor = self.factors[component]
            z[of] += noise[of] * factor if factor.ndim == 1 else noise[of] @ factor.T
        return z, self.classes[chosen]

    def _members(self, label: str | None) -> Labels:
        """Return the components of a class, by default all."""
        if label is None:
            return np.arange(len(self))
        if not self.class_names:
            raise OptionError(
                f"there is no class {label!r}: the codes were fitted without labels; leave it out."
            )
        if label not in self.class_names:
            raise OptionError(f"{describe_unknown('class', label, self.class_names, MAX_NAMES)}.")
        members = np.flatnonzero(self.classes == self.class_names.index(label))
        if not len(members):
            raise OptionError(
                f"the class {label!r} has too few training samples for a mixture of its own; leave "
                "it out."
            )
        return members

    def check(self, model: Model) -> None:
        """Reject a mixture of the codes of another model.

        Raises
        ------
        ModelError
        """
        what = "this mixture was fitted to the codes of"
        model.check_fingerprint(self.model_fingerprint, what, "fit it again with isthmus generate")

    def save(self, path: str | Path) -> None:
        """Write an .npz file, whole or not at all.

        Raises
        ------
        OptionError
            If there is a file that holds no mixture, which is left alone.
        """
        facts = {
            "format": FORMAT,
            "model_fingerprint": self.model_fingerprint,
            "data_fingerprint": self.data_fingerprint,
            "seed": self.seed,
            "trials": [to_json(trial._asdict()) for trial in self.trials],
        }
        arrays = {
            "factors": self.factors,
            "means": self.means,
            "weights": self.weights,
            "classes": self.classes,
            "class_names": np.array(self.class_names, np.str_),
        }
        write_sealed(Path(path), facts, arrays, "mixture")

    @classmethod
    def load(cls, path: str | Path, model: Model | None = None) -> "Mixture":
        """Open a file that `save` wrote.

        Parameters
        ----------
        path : path
        model : Model, optional
            The model whose codes it must be of.

        Raises
        ------
        SourceError
            If there is no such file, or it cannot be read.
        ModelError
            If it was fitted to the codes of another model.
        """
        path = Path(path)
        if not path.exists():
            near = suggest_path(path)
            raise SourceError(f"there is no mixture at {path}{near}; isthmus generate fits one.")
        with reporting_damage(path, SourceError, AGAIN):
            mixture = cls._from_arrays(read_npz(path))
        if model is not None:
            mixture.check(model)
        return mixture

    @classmethod
    def _from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "Mixture":
        """Return a mixture from the arrays of its file."""
        facts = read_facts(arrays, FACTS)
        if facts["format"] != FORMAT:
            raise SourceError("another version of isthmus wrote it")
        mixture = cls(
            require_array(arrays, "weights", "f", 1),
            require_array(arrays, "means", "f", 2),
            require_array(arrays, "factors", "f", arrays["factors"].ndim),
            require_array(arrays, "classes", "i", 1),
            tuple(require_array(arrays, "class_names", "U", 1).tolist()),
            facts["trials"],
            facts["model_fingerprint"],
            facts["data_fingerprint"],
            facts["seed"],
        )
        mixture._require_sound()
        require_sealed(facts, arrays)
        return mixture

    def _require_sound(self) -> None:
        """Reject arrays that are not those of one mixture."""
        count, size = self.means.shape
        is_full = self.factors.shape in ((count, size), (count, size, size))
        if not count or not is_full or {self.weights.shape, self.classes.shape} != {(count,)}:
            raise SourceError(f"its arrays are not those of {count:,} components of {size:,}")
        numbers = (self.weights, self.means, self.factors)
        if not all(np.isfinite(array).all() for array in numbers) or self.weights.min() <= 0:
            raise SourceError("a number of it is at NaN or infinity, or a weight is not above 0")
        if self.classes.min() < NO_CLASS or self.classes.max() >= len(self.class_names):
            raise SourceError("a component of it has a class without a name")


def draw_prior(code_size: int, n: int, *, temperature: float = 1.0, seed: int = 0) -> Vectors:
    """Draw codes (n, D) from the standard normal distribution, the prior of a variational model.

    Parameters
    ----------
    code_size, n : int
    temperature : float
        Its standard deviation.
    seed : int
        The i-th code depends on the seed and on i alone.

    Raises
    ------
    OptionError
        If a value is outside its range.
    """
    return draw_noise(n, code_size, temperature, seed)[1]


def draw_noise(
    n: int, size: int, temperature: float, seed: int
) -> tuple[NDArray[np.float64], Vectors]:
    """Return a uniform number in [0, 1) and normal ones (n, size), scaled, for each of n codes."""
    require_draw(n, temperature, seed)
    picks, noise = np.empty(n), np.empty((n, size), np.float32)
    for number in range(n):  # a generator for each, so that the first ten of a hundred are the same
        rng = np.random.default_rng([seed, GENERATION, number])
        picks[number] = rng.random()
        noise[number] = rng.standard_normal(size, np.float32)
    return picks, noise * np.float32(temperature)


def require_draw(n: int, temperature: float, seed: int) -> None:
    """Reject numbers that nothing can be drawn by.

    Raises
    ------
    OptionError
    """
    if not 1 <= n <= MAX_DRAWN:
        raise OptionError(f"n must be from 1 to {MAX_DRAWN:,}, not {n:,}.")
    if not 0 <= temperature <= 100:  # NaN is neither
        raise OptionError(f"the temperature must be from 0 to 100, not {temperature:g}.")
    if not 0 <= seed <= MAX_SEED:
        raise OptionError(f"the seed must be from 0 to {MAX_SEED}, not {seed}.")

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
from isthmus.errors import MAX_NAMES, OptionError, SourceError, describe_unknown
from isthmus.fields import convert
from isthmus.files import suggest_path
from isthmus.inference.model import Model
from isthmus.latent.array_files import read_facts, require_sealed, write_sealed

FILE = "mixture.npz"  # in the run folder
FORMAT = 1  # of the file; raise it when an older program could misread it
AGAIN = "delete it, and isthmus generate fits it again"

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
    "trials": tuple[dict[str, Any], ...],
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
        return int(self.means.shape[1])

    @property
    def counts(self) -> dict[str | None, int]:
        """How many components each class has, by its name; those without a class by None."""
        names = [*self.class_names, None]  # NO_CLASS, -1, finds the last
        labels, counts = np.unique(self.classes, return_counts=True)
        return {names[label]: int(count) for label, count in zip(labels, counts, strict=True)}

    def sample(
        self, picks: NDArray[np.float64], noise: Vectors, label: str | None = None
    ) -> tuple[Vectors, Labels]:
        """Turn random numbers into codes.

        Parameters
        ----------
        picks : (n,) float64
            In [0, 1): which component each code is of.
        noise : (n, D) float32
            Of the standard normal distribution, or less of it.
        label : str, optional
            The name of a class; by default all, as often as each occurs.

        Returns
        -------
        z : (n, D) float32
        labels : (n,) int64
            The class of each, or -1.

        Raises
        ------
        OptionError
            If no component is of the class.
        """
        members = self._members(label)
        shares = self.weights[members].cumsum()
        rows = np.searchsorted(shares / shares[-1], picks, side="right")
        chosen = members[np.minimum(rows, len(members) - 1)]
        z = self.means[chosen]
        for component in np.unique(chosen):  # not all at once, which would take n · D² numbers
            of, factor = chosen == component, self.factors[component]
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

    def is_of(self, model_fingerprint: str, data_fingerprint: str) -> bool:
        """Return whether it was fitted to the codes of this model and these samples."""
        own = (self.model_fingerprint, self.data_fingerprint)
        return own == (model_fingerprint, data_fingerprint)

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
            "trials": [trial._asdict() for trial in self.trials],
        }
        arrays: dict[str, NDArray[Any]] = {
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
            convert(facts["trials"], tuple[Trial, ...], "metadata.trials"),
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

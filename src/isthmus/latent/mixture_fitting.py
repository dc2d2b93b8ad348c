"""`fit_mixture`: how many components a mixture has is chosen by the likelihood of other codes."""

import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.items import NO_CLASS
from isthmus.data.manifest import evenly_spaced
from isthmus.errors import IsthmusError, OptionError, SourceError, first_sentence
from isthmus.latent.codes import Codes
from isthmus.latent.mixture import Mixture, Trial
from isthmus.latent.vectors import to_vectors
from isthmus.places import is_own_file

COMPONENTS = (1, 2, 4, 8, 16, 32, 64)
MIN_CLASS = 50  # training codes of a class, from which on it has components of its own
MIN_COMPONENT = 20  # training codes for each component
MIN_CHOOSING = 5  # validation codes that choose; with fewer there is one diagonal component
MIN_FULL = 20  # training codes for each number of a code, from which on only full ones are tried
# Codes that are fitted, evenly spread, and numbers of them. With 50,000 codes of MNIST instead of
# 20,000, samples of `vae` have a Fréchet distance of 1.99 instead of 2.00 from validation samples.
MAX_FITTED, MAX_NUMBERS = 20_000, 2**22
MIN_FITTED = 1_000  # of each class, of many
MAX_FACTORS = 2**24  # numbers of all factors: 64 MiB
MAX_ITERATIONS = 100
# Added to the variance of each standardized number, so that no component becomes a point.
MIN_VARIANCE = 1e-4

Exact = NDArray[np.float64]
Labels = NDArray[np.int64]

# What scikit-learn calls a covariance, and how it becomes factors (K, D, D), or (K, D) of diagonal
# ones. Few codes do not determine the D² numbers of a full one.
COVARIANCES: dict[str, Callable[[Any], Exact]] = {
    "full": lambda fitted: np.asarray(np.linalg.cholesky(fitted.covariances_)),
    "diag": lambda fitted: np.asarray(np.sqrt(fitted.covariances_)),
}


class Group(NamedTuple):
    """Which codes share components: those of a class, or of all without one."""

    label: int
    train: Labels  # rows
    validation: Labels


class Task(NamedTuple):
    """Standardized codes of a group, and how many numbers its factors may have."""

    label: int
    train: Exact
    validation: Exact
    max_factors: int


class Part(NamedTuple):
    """The components of a group, and the trials among which they were chosen."""

    weights: Exact
    means: Exact
    factors: Exact
    trials: tuple[Trial, ...]


def fit_mixture(
    train: Codes, validation: Codes, *, seed: int = 0, track: Track = untracked
) -> Mixture:
    """Fit a mixture of normal distributions to codes, by expectation maximization.

    Each class of at least 50 training codes has components of its own, weighted by its share of
    the codes; all others share components without a class. How many they are (1, 2, 4, …), and
    whether their covariances are full or diagonal, is chosen for each class by the likelihood of
    its validation codes. More are tried as long as it helps.

    Parameters
    ----------
    train, validation : Codes
        Of different samples of the same classes.
    seed : int
        Of the first centers; from 0 to 2³² - 1.
    track : callable
        Shows progress, in classes.

    Raises
    ------
    OptionError
        If there are fewer than 2 training codes.
    ModelError
        If a code holds NaN.
    """
    if len(train) < 2:
        raise OptionError(f"a mixture needs at least 2 training codes, not {len(train)}.")
    z, held = _numbers(train), _numbers(validation)
    center, scale = z.mean(0, dtype=np.float64), z.std(0, dtype=np.float64)
    scale[scale == 0] = 1  # a number that is always the same
    groups = list(_divide(_labels(train), _labels(validation)))
    parts = []
    for group in track(groups, len(groups), "Fitting the mixture"):
        rows = group.train[evenly_spaced(len(group.train), _limit(len(groups), z.shape[1]))]
        codes = ((z[rows] - center) / scale, (held[group.validation] - center) / scale)
        parts.append(_choose(Task(group.label, *codes, MAX_FACTORS // len(groups)), seed))
    classes = np.repeat([group.label for group in groups], [len(part.weights) for part in parts])
    shares = [len(group.train) / len(z) for group in groups]
    return Mixture(
        np.concatenate([share * part.weights for share, part in zip(shares, parts, strict=True)]),
        (center + scale * np.concatenate([part.means for part in parts])).astype(np.float32),
        _join([part.factors for part in parts], scale),
        classes.astype(np.int64),
        train.class_names if train.labels is not None else (),
        tuple(trial for part in parts for trial in part.trials),
        train.model_fingerprint,
        train.items.fingerprint,
        seed,
    )


def open_mixture(
    file: Path | None,
    model_fingerprint: str,
    data_fingerprint: str,
    fit: Callable[[], Mixture],
    say: Callable[[str], None],
) -> Mixture:
    """Load a mixture, or fit and store it where there is none of these codes.

    Parameters
    ----------
    file : Path, optional
        By default nothing is stored.
    model_fingerprint, data_fingerprint : str
        Of the model and the samples whose codes it must be of.
    fit : callable
    say : callable
        Receives a sentence where a mixture is fitted again, or cannot be stored.

    Raises
    ------
    OptionError
        If the file holds something else.
    """
    is_damaged = False
    if file is not None and os.path.lexists(file):
        try:
            stored = Mixture.load(file)
        except SourceError:
            _require_own(file)
            say(f"the mixture {file} was damaged; it is fitted again.")
            is_damaged = True
        else:
            if stored.is_of(model_fingerprint, data_fingerprint):
                return stored
            say(f"the mixture {file} was fitted to other codes; it is fitted again.")
    fitted = replace(fit(), data_fingerprint=data_fingerprint)
    if file is not None:
        _store(fitted, file, say, is_damaged)
    return fitted


def _require_own(file: Path) -> None:
    """Reject what holds no mixture and never did."""
    is_other = file.exists() and not file.is_file()
    if is_other or (zipfile.is_zipfile(file) and not is_own_file(file)):
        raise OptionError(f"{file} is no file of Isthmus; move it away.")


def _store(mixture: Mixture, file: Path, say: Callable[[str], None], is_damaged: bool) -> None:
    """Store a mixture, where that is allowed: it can be fitted again."""
    try:
        if is_damaged:
            file.unlink(missing_ok=True)
        mixture.save(file)
    except OptionError:
        raise
    except OSError as error:
        say(f"the mixture is not kept, because {file} cannot be replaced: {first_sentence(error)}.")
    except IsthmusError as error:
        say(f"the mixture is not kept, because {str(error).rstrip('.')}.")


def _numbers(codes: Codes) -> NDArray[np.float32]:
    """Return codes, if all of them hold numbers."""
    if not len(codes):
        return codes.z
    return to_vectors(codes.z, "euclidean", lambda row: f"the code of {codes.names[row]}")


def _limit(groups: int, size: int) -> int:
    """Return how many codes of each group are fitted."""
    return max(MIN_FITTED, min(MAX_FITTED, MAX_NUMBERS // size) // groups)


def _labels(codes: Codes) -> Labels:
    return np.full(len(codes), NO_CLASS) if codes.labels is None else codes.labels


def _divide(labels: Labels, held_labels: Labels) -> Iterator[Group]:
    """Yield the rows of each class that is large enough, and those of all others together."""
    present, counts = np.unique(labels[labels != NO_CLASS], return_counts=True)
    own = present[counts >= MIN_CLASS]
    for label in own.tolist():
        yield Group(label, np.flatnonzero(labels == label), np.flatnonzero(held_labels == label))
    others, held_others = (np.flatnonzero(~np.isin(each, own)) for each in (labels, held_labels))
    if len(others):
        yield Group(NO_CLASS, others, held_others)


def _choose(group: Task, seed: int) -> Part:
    """Return the components of a group under which its validation codes are most likely."""
    if len(group.validation) < MIN_CHOOSING:
        return _to_part("diag", _fit(group, "diag", 1, seed), [])
    trials: list[Trial] = []
    best: tuple[str, Any] = ("", None)
    for covariance in _kinds(group):
        before = -np.inf
        for components in _counts(group, covariance):
            fitted = _fit(group, covariance, components, seed)
            likelihood = float(fitted.score(group.validation))
            if likelihood > max((trial.likelihood for trial in trials), default=-np.inf):
                best = (covariance, fitted)
            trials.append(Trial(group.label, covariance, components, likelihood))
            if likelihood <= before:
                break
            before = likelihood
    return _to_part(*best, trials)


def _kinds(group: Task) -> list[str]:
    """Return the covariances to try: with many codes, full ones are far more likely."""
    count, size = group.train.shape
    is_plenty = count >= MIN_FULL * size and size * size <= group.max_factors
    return ["full"] if is_plenty else [*COVARIANCES]


def _counts(group: Task, covariance: str) -> list[int]:
    """Return the numbers of components to try."""
    count, size = group.train.shape
    numbers = size * size if covariance == "full" else size
    most = min(max(1, count // MIN_COMPONENT), group.max_factors // numbers)
    fitting = [one for one in COMPONENTS if one <= most]
    return fitting or ([1] if covariance == "diag" else [])


def _fit(group: Task, covariance: str, components: int, seed: int) -> Any:
    """Fit scikit-learn's mixture."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    model: Any = GaussianMixture(
        components,
        covariance_type=covariance,
        reg_covar=MIN_VARIANCE,
        max_iter=MAX_ITERATIONS,
        random_state=seed,
    )
    # One thread: the result would depend on their number, by rounding.
    with threadpool_limits(1), warnings.catch_warnings():
        # That it still improves, or that codes are equal: the likelihood says whether it is good.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # A single code twice, as scikit-learn takes no fewer than two.
        return model.fit(np.repeat(group.train, 2, 0) if len(group.train) == 1 else group.train)


def _to_part(covariance: str, fitted: Any, trials: Sequence[Trial]) -> Part:
    factors = COVARIANCES[covariance](fitted)
    return Part(fitted.weights_, fitted.means_, factors, tuple(trials))


def _join(factors: Sequence[Exact], scale: Exact) -> NDArray[np.float32]:
    """Return the factors of all parts, scaled: (K, D), or (K, D, D) if any is full."""
    if all(one.ndim == 2 for one in factors):
        return (scale * np.concatenate(factors)).astype(np.float32)
    full = [one if one.ndim == 3 else np.stack([np.diag(row) for row in one]) for one in factors]
    joined: NDArray[np.float32] = (scale[:, None] * np.concatenate(full)).astype(np.float32)
    return joined

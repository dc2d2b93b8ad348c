"""Ways through the space of codes: from one to another, between four, along a difference."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import OptionError, list_names
from isthmus.latent.codes import Codes

Vector = NDArray[np.float32]
Exact = NDArray[np.float64]
PathFunction = Callable[
    [Exact, Exact, Exact], Exact
]  # from a (D,), b (D,) and shares (n, 1) to (n, D)

PARALLEL = 1e-6  # sine of an angle below which a turn has no plane to turn in


def _linear(a: Exact, b: Exact, t: Exact) -> Exact:
    return (1 - t) * a + t * b


def _spherical(a: Exact, b: Exact, t: Exact) -> Exact:
    """Turn evenly from a to b (K. Shoemake, SIGGRAPH 1985), the length changing evenly too."""
    lengths = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if min(lengths) == 0:
        return _linear(a, b, t)
    start, end = a / lengths[0], b / lengths[1]
    angle = np.arccos(np.clip(start @ end, -1, 1))
    if np.sin(angle) < PARALLEL:
        return _linear(a, b, t)
    turned: Exact = np.sin((1 - t) * angle) * start + np.sin(t * angle) * end
    return ((1 - t) * lengths[0] + t * lengths[1]) / np.sin(angle) * turned


PATHS: dict[str, PathFunction] = {"linear": _linear, "spherical": _spherical}


def interpolate(a: Vector, b: Vector, steps: int, path: str = "linear") -> Vector:
    """Go from one code to another.

    Parameters
    ----------
    a, b : (D,) float32
    steps : int
        At least 2: the first is a, the last b.
    path : str
        A key of `PATHS`: "linear", straight and even; or "spherical", along the great circle, which
        keeps the length of codes where a straight way cuts through the middle. Where there is no
        such circle, as of codes in one direction, it is straight.

    Returns
    -------
    (steps, D) float32

    Raises
    ------
    SettingsError
        If there is no such path, or there are less than 2 steps.

    Examples
    --------
    >>> interpolate(np.array([0, 4]), np.array([2, 0]), 3).tolist()
    [[0.0, 4.0], [1.0, 2.0], [2.0, 0.0]]
    """
    if path not in PATHS:
        raise OptionError(f"there is no path {path!r}; there are {', '.join(PATHS)}.")
    if steps < 2:
        raise OptionError(f"steps must be at least 2, not {steps}.")
    t = np.linspace(0, 1, steps)[:, None]
    codes = PATHS[path](a.astype(np.float64), b.astype(np.float64), t).astype(np.float32)
    codes[0], codes[-1] = a, b
    return codes


def interpolate_grid(
    a: Vector, b: Vector, c: Vector, d: Vector, rows: int, columns: int, path: str = "linear"
) -> Vector:
    """Fill a grid between four codes: a top left, b top right, c bottom left, d bottom right.

    Parameters
    ----------
    a, b, c, d : (D,) float32
    rows, columns : int
        At least 2 of each.
    path : str
        See `between`.

    Returns
    -------
    (rows, columns, D) float32

    Raises
    ------
    SettingsError
        See `between`.
    """
    left, right = interpolate(a, c, rows, path), interpolate(b, d, rows, path)
    return np.stack([interpolate(*ends, columns, path) for ends in zip(left, right, strict=True)])


def class_direction(codes: Codes, start: str, end: str) -> Vector:
    """Return the difference (D,) from the mean code of one class to that of another.

    Raises
    ------
    SettingsError
        If the codes have no labels, there is no such class, or a class has less than 2 samples.
    """
    if start == end:
        raise OptionError(f"from {start!r} to itself there is no direction; give two classes.")
    difference: Vector = _mean(codes, end) - _mean(codes, start)
    return difference


def traverse(z: Vector, direction: Vector, steps: int, reach: float = 1.0) -> Vector:
    """Go from a code into a direction.

    Parameters
    ----------
    z : (D,) float32
    direction : (D,) float32
        As `class_direction` gives it.
    steps : int
        At least 2: the first is z, the last the farthest.
    reach : float
        How often to go the direction's length; below 0 the other way.

    Returns
    -------
    (steps, D) float32

    Raises
    ------
    SettingsError
        If there are less than 2 steps.
    """
    return interpolate(z, z + np.float32(reach) * direction, steps)


def _mean(codes: Codes, name: str) -> Vector:
    if codes.labels is None:
        raise OptionError("these codes have no classes to go between; give a labelled source.")
    if name not in codes.class_names:
        raise OptionError(f"there is no class {name!r}; there are {list_names(codes.class_names)}.")
    members = codes.z[codes.labels == codes.class_names.index(name)]
    if len(members) < 2:
        count = "one sample" if len(members) else "no sample"
        raise OptionError(f"the class {name!r} has {count}; a mean needs at least 2.")
    mean: Vector = members.mean(0, dtype=np.float64).astype(np.float32)
    return mean

"""Interpolation between codes, and directions between classes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import MAX_NAMES, OptionError, describe_unknown, require_known
from isthmus.latent.codes import Codes

Vector = NDArray[np.float32]
Exact = NDArray[np.float64]  # between the ends, so that even steps stay even
PathFunction = Callable[[Exact, Exact, Exact], Exact]  # a (D,), b (D,), shares (n, 1) to (n, D)

MIN_SINE = 1e-6  # of an angle; below, two codes are parallel and define no plane to rotate in


def _linear(a: Exact, b: Exact, t: Exact) -> Exact:
    return (1 - t) * a + t * b


def _spherical(a: Exact, b: Exact, t: Exact) -> Exact:
    """Rotate from a to b in even steps, and change the length in even steps.

    K. Shoemake: Animating rotation with quaternion curves, SIGGRAPH 1985.
    """
    lengths = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if min(lengths) == 0:
        return _linear(a, b, t)
    start, end = a / lengths[0], b / lengths[1]
    angle = np.arccos(np.clip(start @ end, -1, 1))  # rounding may leave [-1, 1]
    if np.sin(angle) < MIN_SINE:
        return _linear(a, b, t)
    rotated: Exact = np.sin((1 - t) * angle) * start + np.sin(t * angle) * end
    return ((1 - t) * lengths[0] + t * lengths[1]) / np.sin(angle) * rotated


PATHS: dict[str, PathFunction] = {"linear": _linear, "spherical": _spherical}


def interpolate(a: Vector, b: Vector, steps: int, path: str = "linear") -> Vector:
    """Interpolate between two codes.

    Parameters
    ----------
    a, b : (D,) float32
    steps : int
        At least 2, with both ends.
    path : str
        A key of `PATHS`: "linear"; or "spherical", along a great circle, which keeps the length of
        codes where a straight line comes closer to zero. Parallel codes, which define no circle,
        are interpolated linearly.

    Returns
    -------
    (steps, D) float32
        In even steps; the first is exactly a, the last b.

    Raises
    ------
    OptionError
        If there is no such path, or there are fewer than 2 steps.

    Examples
    --------
    >>> interpolate(np.array([0, 4]), np.array([2, 0]), 3).tolist()
    [[0.0, 4.0], [1.0, 2.0], [2.0, 0.0]]
    """
    require_known("path", path, PATHS)
    if steps < 2:
        raise OptionError(f"steps must be at least 2, not {steps}.")
    t = np.linspace(0, 1, steps)[:, None]
    codes = PATHS[path](a.astype(np.float64), b.astype(np.float64), t).astype(np.float32)
    codes[0], codes[-1] = a, b  # exactly: on the way through float64, `_spherical` rounds
    return codes


def interpolate_grid(
    a: Vector, b: Vector, c: Vector, d: Vector, rows: int, columns: int, path: str = "linear"
) -> Vector:
    """Interpolate between four codes at the corners of a grid.

    Parameters
    ----------
    a, b, c, d : (D,) float32
        Top left, top right, bottom left, bottom right.
    rows, columns : int
        At least 2 of each.
    path : str
        See `interpolate`.

    Returns
    -------
    (rows, columns, D) float32

    Raises
    ------
    OptionError
        See `interpolate`.
    """
    left, right = interpolate(a, c, rows, path), interpolate(b, d, rows, path)
    return np.stack([interpolate(*ends, columns, path) for ends in zip(left, right, strict=True)])


def class_direction(codes: Codes, start: str, end: str) -> Vector:
    """Return the difference (D,) from the mean code of one class to that of another.

    Raises
    ------
    OptionError
        If the codes have no labels, there is no such class, or a class has fewer than 2 samples.
    """
    if start == end:
        raise OptionError(f"from {start!r} to itself there is no direction; give two classes.")
    difference: Vector = _mean(codes, end) - _mean(codes, start)
    return difference


def traverse(z: Vector, direction: Vector, steps: int, reach: float = 1.0) -> Vector:
    """Move a code along a direction.

    Parameters
    ----------
    z : (D,) float32
    direction : (D,) float32
        Such as `class_direction` returns.
    steps : int
        At least 2: the first is z, the last is z + reach · direction.
    reach : float
        In lengths of the direction; negative values move the opposite way.

    Returns
    -------
    (steps, D) float32

    Raises
    ------
    OptionError
        If there are fewer than 2 steps.
    """
    return interpolate(z, z + np.float32(reach) * direction, steps)


def _mean(codes: Codes, name: str) -> Vector:
    if codes.labels is None:
        raise OptionError(
            "these codes have no classes to find a direction between; give a labeled source."
        )
    if name not in codes.class_names:
        raise OptionError(f"{describe_unknown('class', name, codes.class_names, MAX_NAMES)}.")
    members = codes.z[codes.labels == codes.class_names.index(name)]
    if len(members) < 2:
        count = "one sample" if len(members) else "no sample"
        raise OptionError(f"the class {name!r} has {count}; a mean needs at least 2.")
    mean: Vector = members.mean(0, dtype=np.float64).astype(np.float32)
    return mean

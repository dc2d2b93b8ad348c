"""`walk`: a closed way through codes, such as those that a mixture draws."""

import numpy as np

from isthmus.errors import OptionError
from isthmus.latent.interpolation import Vector, interpolate


def walk(codes: Vector, steps: int = 12, path: str = "linear") -> Vector:
    """Go from each code to the next in even steps, and from the last back to the first.

    Parameters
    ----------
    codes : (n, D) float32
        At least 2.
    steps : int
        From a code to the next, at least 1.
    path : str
        A key of `interpolation.PATHS`.

    Returns
    -------
    (n · steps, D) float32
        Row i · steps is exactly the i-th code.

    Raises
    ------
    OptionError
        If there are fewer than 2 codes or no step, or there is no such path.

    Examples
    --------
    >>> walk(np.array([[0.0], [4.0]], np.float32), 2).ravel().tolist()
    [0.0, 2.0, 4.0, 2.0]
    """
    if len(codes) < 2:
        raise OptionError(f"a walk needs at least 2 samples, not {len(codes)}.")
    if steps < 1:
        raise OptionError(f"a walk needs at least 1 step from sample to sample, not {steps}.")
    ends = zip(codes, np.roll(codes, -1, axis=0), strict=True)
    return np.concatenate([interpolate(*pair, steps + 1, path)[:-1] for pair in ends])

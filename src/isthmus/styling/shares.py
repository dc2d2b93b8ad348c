"""Which styles a picture gets, and how much of each."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import OptionError, list_names, require_known


def choose_shares(
    names: Sequence[str],
    style: str | None = None,
    *,
    mix: Mapping[str, float] | None = None,
    strength: float = 1.0,
) -> NDArray[np.float32]:
    """Return how much of each style a picture gets.

    Parameters
    ----------
    names : sequence of str
        Of all styles.
    style : str, optional
        One of them; may be left out where there is only one.
    mix : mapping, optional
        Several of them instead, each with its share; shares are scaled to add up to 1.
    strength : float
        From 0, the photograph as it is, to 1.

    Returns
    -------
    (K,) float32
        They add up to the strength.

    Raises
    ------
    OptionError
        If a style is unknown, a share or the strength is out of range, or nothing is chosen.

    Examples
    --------
    >>> choose_shares(["ink", "oil"], "oil", strength=0.5).tolist()
    [0.0, 0.5]
    >>> choose_shares(["ink", "oil"], mix={"ink": 1, "oil": 3}).tolist()
    [0.25, 0.75]
    """
    if not 0 <= strength <= 1:
        raise OptionError(f"strength must be from 0 to 1, not {strength}.")
    if style is not None and mix:
        raise OptionError("give either a style or a mix of styles, not both.")
    if style is None and not mix:
        if len(names) > 1:
            raise OptionError(f"choose a style of {list_names(names)}, or a mix of them.")
        style = names[0]
    wanted = dict(mix or {str(style): 1.0})
    for name, share in wanted.items():
        require_known("style", name, names)
        if not 0 <= share < float("inf"):
            raise OptionError(f"the share of {name} must be at least 0, not {share}.")
    largest = max(wanted.values())
    if not largest:
        raise OptionError("all shares of the mix are 0; give one of them more.")
    # By the largest first: a sum of the largest numbers there are would be infinite.
    shares = np.array([wanted.get(name, 0) / largest for name in names])
    return np.asarray(strength * shares / shares.sum(), np.float32)


def parse_mix(text: str) -> dict[str, float]:
    """Parse A:0.5,B:0.5 as shares by the names of styles.

    Raises
    ------
    OptionError

    Examples
    --------
    >>> parse_mix("ink:0.3,oil:0.7")
    {'ink': 0.3, 'oil': 0.7}
    """
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, colon, share = part.rpartition(":")
        try:
            value = float(share)
        except ValueError:
            value = float("nan")
        if not colon or not name.strip() or not value >= 0:
            raise OptionError(
                f"{part.strip()!r} is not a style with its share; give them as in ink:0.3,oil:0.7."
            )
        if name.strip() in mix:
            raise OptionError(f"the mix names {name.strip()} twice; give it one share.")
        mix[name.strip()] = value
    return mix


def name_shares(names: Sequence[str], shares: NDArray[np.float32]) -> dict[str, float]:
    """Return the shares by the names of their styles, without those that are 0.

    Examples
    --------
    >>> name_shares(["ink", "oil"], np.array([0, 0.7], np.float32))
    {'oil': 0.7}
    """
    # In six digits, which is all that a float32 holds: 0.7, not 0.699999988079071.
    return {name: float(f"{share:.6g}") for name, share in zip(names, shares, strict=True) if share}


def describe_shares(shares: Mapping[str, float]) -> str:
    """Return the styles with their shares, for people and as what a picture was made with.

    Examples
    --------
    >>> describe_shares({"oil": 0.7})
    'oil 0.7'
    """
    return ", ".join(f"{name} {share:.4g}" for name, share in shares.items()) or "no style"

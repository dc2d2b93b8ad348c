"""Sizes and times as people write them."""

import math
import re

from isthmus.errors import OptionError
from isthmus.text import count_of

NUMBER = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]*)\s*", re.IGNORECASE)
BYTES = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", 1)},
    **{letter: 1000**power for power, letter in enumerate("kmgtp", 1)},
}
SECONDS = {"h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
WORDS = (("week", 7 * 24 * 3600), ("day", 24 * 3600), ("hour", 3600), ("minute", 60))


def parse_bytes(text: str, name: str) -> int:
    """Return a number of bytes such as 20GB; kB is 1,000 bytes and KiB 1,024.

    Parameters
    ----------
    text : str
    name : str
        Of the option, for the message.

    Raises
    ------
    OptionError

    Examples
    --------
    >>> parse_bytes("20GB", "--max-size"), parse_bytes("1.5 KiB", "--max-size")
    (20000000000, 1536)
    """
    return int(_parse(text, BYTES, f"{name} must be a size such as 500MB or 20GB, not {text!r}."))


def parse_age(text: str, name: str) -> float:
    """Return seconds of a time such as 12h, 30d or 2w: hours, days or weeks.

    Raises
    ------
    OptionError

    Examples
    --------
    >>> parse_age("30d", "--older-than") / 3600
    720.0
    """
    return _parse(text, SECONDS, f"{name} must be a time such as 12h, 30d or 2w, not {text!r}.")


def format_age(seconds: float) -> str:
    """Return how long ago something was, for people.

    Examples
    --------
    >>> format_age(8000), format_age(3), format_age(24 * 3600)
    ('2 hours ago', 'just now', '1 day ago')
    """
    for word, length in WORDS:
        if seconds >= length:
            return f"{count_of(int(seconds // length), word)} ago"
    return "just now"


def _parse(text: str, units: dict[str, int], message: str) -> float:
    found = NUMBER.fullmatch(text)
    if found is None or found[2].lower() not in units or not math.isfinite(float(found[1])):
        raise OptionError(message)
    return float(found[1]) * units[found[2].lower()]

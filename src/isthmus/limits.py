"""Bounds on what the files of others may ask for, in one table.

A small file can claim a huge picture or unpack to more than any memory holds. So whatever is read
is first compared with these bounds, by its header or as it is unpacked. Each bound can be set by an
environment variable, which the refusal names. They concern what is held in memory at once, and
what is out of proportion to its file: an honest archive may be of any size.
"""

import os
from typing import Any, NamedTuple

from isthmus.errors import OptionError, SourceError
from isthmus.text import format_bytes


class Limit(NamedTuple):
    """A bound: its default, and what it counts, for people."""

    default: int
    what: str


LIMITS = {  # by the name of the environment variable
    # 11,585 × 11,585: in color, 1 GB while it is decoded
    "ISTHMUS_MAX_PIXELS": Limit(
        2**27, "pixels of an image, and of all large ones that are decoded at the same time"
    ),
    "ISTHMUS_MAX_SIDE": Limit(2**16, "pixels of a side of an image"),
    # Programs write 6 to 12; each makes a decoder walk over all pixels again.
    "ISTHMUS_MAX_SCANS": Limit(100, "scans of a progressive JPEG"),
    "ISTHMUS_MAX_PAGES": Limit(50_000, "pages or frames of a file"),
    "ISTHMUS_MAX_FILE": Limit(
        500_000_000,
        "bytes of a file that is unpacked in memory: a member of an archive, a sparse file",
    ),
    "ISTHMUS_MAX_LIST": Limit(
        64_000_000, "bytes of a list of classes or of names, such as classes.txt"
    ),
    "ISTHMUS_MAX_LINE": Limit(2**22, "characters of a line of a table"),
    "ISTHMUS_MAX_MEMBERS": Limit(2_000_000, "members of an archive, or rows of a table of images"),
    "ISTHMUS_MAX_UNPACKED": Limit(500_000_000, "bytes that a small packed file may hold unpacked"),
    # Flat masks and tables of zeros reach 1,000; of files that are large, only bombs do.
    "ISTHMUS_MAX_RATIO": Limit(
        200, "times its packed size that a file may hold, beyond ISTHMUS_MAX_UNPACKED"
    ),
    # 8 GB to use and 32 GB to train; VGG-16 has 138 million
    "ISTHMUS_MAX_WEIGHTS": Limit(2**31, "weights of a model"),
    # 2 GB a sample; of VGG-16, 3 million for 224 × 224
    "ISTHMUS_MAX_LAYER": Limit(2**29, "numbers of a sample, and of what a layer makes of it"),
    "ISTHMUS_MAX_UPLOAD": Limit(20_000_000, "bytes of an image that is sent to the studio"),
    "ISTHMUS_MAX_UPLOAD_PIXELS": Limit(50_000_000, "pixels of an image that is sent to the studio"),
}

MAX_DEFLATE_RATIO = 1032  # of the format itself, which gzip, zip and TIFF use


def limit_of(name: str) -> int:
    """Return a bound, as the environment sets it now.

    Parameters
    ----------
    name : str
        A key of `LIMITS`.

    Raises
    ------
    OptionError
        If the environment holds no whole number above 0.

    Examples
    --------
    >>> limit_of("ISTHMUS_MAX_SCANS")
    100
    """
    text = os.environ.get(name)
    if text is None:
        return LIMITS[name].default
    try:
        number = int(text.replace(",", ""))
    except ValueError:
        number = 0
    if number < 1:
        raise OptionError(
            f"{name} is {text[:40]!r}, which is not a whole number above 0; set it to one, such as "
            f"{LIMITS[name].default}, or unset it."
        )
    return number


def describe_limits() -> dict[str, dict[str, Any]]:
    """Return all bounds: by name the "value", its "default", and "what" it counts.

    Of a variable that holds no whole number above 0, the value is None.
    """
    return {
        name: {"value": _value_or_none(name), "default": limit.default, "what": limit.what}
        for name, limit in LIMITS.items()
    }


def _value_or_none(name: str) -> int | None:
    try:
        return limit_of(name)
    except OptionError:
        return None


def reject_beyond(name: str, count: int, said: str) -> None:
    """Refuse what exceeds a bound.

    Parameters
    ----------
    name : str
        A key of `LIMITS`.
    count : int
    said : str
        What has so much, to begin the sentence, such as "it has 90,000 pages".

    Raises
    ------
    SourceError
        Without a full stop, as the reason why a file is left out.
    """
    most = limit_of(name)
    if count > most:
        raise SourceError(f"{said}, more than {most:,}; set {name} to read it")


def reject_disproportion(count: int, packed: int, what: object, share: int = 1) -> None:
    """Refuse what holds far more unpacked than its size explains.

    Parameters
    ----------
    count : int
        Bytes unpacked, or as many as are known yet.
    packed : int
        Bytes of the file.
    what : object
        Its path, to begin the sentence.
    share : int
        By which `ISTHMUS_MAX_UNPACKED` is divided, of what becomes larger in memory.

    Raises
    ------
    SourceError
    """
    ratio = limit_of("ISTHMUS_MAX_RATIO")
    if count <= max(limit_of("ISTHMUS_MAX_UNPACKED") // share, ratio * packed):
        return
    raise SourceError(
        f"{what} claims to hold {format_bytes(count)} or more in a file of {format_bytes(packed)}, "
        f"which is over {ratio:,} times as much; if you trust it, unpack it and give what it "
        "holds, or set ISTHMUS_MAX_RATIO or ISTHMUS_MAX_UNPACKED to read it."
    )


def names_limit(reason: str) -> bool:
    """Return whether a reason names the bound that is to be set, and needs no other way out."""
    return "; set ISTHMUS_MAX_" in reason

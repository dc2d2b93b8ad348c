"""Names of files as others give them, in archives and elsewhere, and what may be done with them."""

import re

from isthmus.data.readers.files.kinds import is_ignored

MAX_NAME = 4096  # letters, as systems have
LONG_NAME = f"names of over {MAX_NAME:,} letters"
ONE_LONG_NAME = f"a name of over {MAX_NAME:,} letters"


def clean_path(name: str) -> str | None:
    """Return the path of a member below the folder that it is unpacked in; None if hidden.

    Examples
    --------
    >>> clean_path("../photos/./a.png"), clean_path("C:/photos/a.png"), clean_path("photos/.a.png")
    ('photos/a.png', 'photos/a.png', None)
    """
    parts = name.split("/")
    if name.startswith(("/", ".")) or "//" in name or "/." in name:
        parts = [part for part in parts if part not in ("", ".", "..")]
    if parts and re.fullmatch("[A-Za-z]:", parts[0]):  # a drive of Windows
        parts = parts[1:]
    return None if any(map(is_ignored, parts)) else "/".join(parts)


def follow_link(name: str, target: str) -> str:
    """Return the name that a link in an archive leads to, from the link's own name."""
    parts = name.split("/")[:-1]
    if target.startswith("/"):
        parts = []
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)

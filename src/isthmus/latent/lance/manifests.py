"""Whether the lists of files of a dataset are whole, before Lance reads them.

Each version of a dataset has a manifest: a message that is as long as the four bytes before it say,
and at the end of the file where it begins, the version of the format and a mark. Lance believes
these numbers: if they are wrong, it panics with a text on the standard error, or never returns.
"""

import struct
from pathlib import Path

from isthmus.errors import SourceError

FOLDER, SUFFIX, MARK = "_versions", ".manifest", b"LANC"
FOOTER = struct.Struct("<QHH4s")  # where the message begins, the format, the mark
LENGTH = struct.Struct("<I")


def require_manifests(path: Path) -> None:
    """Reject a dataset if one of its manifests is cut off, or says that it lies elsewhere.

    Raises
    ------
    SourceError
        Without the path.
    """
    manifests = sorted((path / FOLDER).glob(f"*{SUFFIX}"))
    if not manifests:
        raise SourceError("it lists no files")
    for file in manifests:
        if not _is_whole(file.read_bytes()):
            raise SourceError(f"{file.name} is not as it was written")


def _is_whole(content: bytes) -> bool:
    end = len(content) - FOOTER.size
    if end < LENGTH.size:
        return False
    start, *_, mark = FOOTER.unpack_from(content, end)
    if mark != MARK or start + LENGTH.size > end:
        return False
    (length,) = LENGTH.unpack_from(content, start)
    return bool(start + LENGTH.size + length == end)

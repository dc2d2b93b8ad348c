"""JSON files with a checksum, so that one which was changed is not read.

A sealed file is JSON itself, an object of "format", "sha256" and "content". The checksum is of the
very bytes of the content: it is compared before any of them is parsed.
"""

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

from isthmus.data.cache.folder import FORMAT

START = b'{"format": %d, "sha256": "' % FORMAT
MIDDLE, END = b'", "content": ', b"}"
DIGITS = 64  # of a SHA-256
MAX_BYTES = 2**31  # of a file; ten million names take half of it


def seal(content: Any) -> bytes:
    """Return JSON values as the content of a sealed file."""
    encoded = json.dumps(content).encode()
    return START + hashlib.sha256(encoded).hexdigest().encode() + MIDDLE + encoded + END


def unseal(sealed: bytes) -> Any:
    """Return the JSON values of a sealed file.

    Raises
    ------
    ValueError
        If it is not as `seal` returned it.

    Examples
    --------
    >>> unseal(seal({"shape": [3, 4]}))
    {'shape': [3, 4]}
    >>> unseal(seal({"shape": [3, 4]}).replace(b"3", b"5", 1))
    Traceback (most recent call last):
    ValueError: its checksum is another
    """
    head = len(START) + DIGITS
    body = head + len(MIDDLE)
    content = memoryview(sealed)[body : -len(END)]
    frame = sealed[: len(START)], sealed[head:body], sealed[-len(END) :]
    if frame != (START, MIDDLE, END):
        raise ValueError("it is no file of this version")
    if hashlib.sha256(content).hexdigest().encode() != sealed[len(START) : head]:
        raise ValueError("its checksum is another")
    return json.loads(bytes(content))


def read_sealed(path: Path) -> Any:
    """Return the JSON values of a sealed file; see `unseal`.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is damaged, or no regular file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    if status.st_size > MAX_BYTES:
        raise ValueError(f"it has {status.st_size:,} bytes")
    return unseal(path.read_bytes())

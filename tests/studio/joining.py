"""Joining the parts of a network, as `files.js` does; see `isthmus.studio.parts`."""

import base64
from collections.abc import Mapping

import numpy as np

from isthmus.studio.parts import Part


def join_network(parts: list[Part], others: Mapping[str, bytes] | None = None) -> bytes:
    """Return the file of a network's parts, as `files.js` does."""
    return b"".join(_join(part, others or {}) for part in parts)


def _join(part: Part, others: Mapping[str, bytes]) -> bytes:
    kind, value, *place = part
    if kind == "copy":
        return others[value][place[0] : place[0] + place[1]]
    content = base64.b64decode(value)
    return content if kind == "raw" else np.frombuffer(content, "<f2").astype("<f4").tobytes()

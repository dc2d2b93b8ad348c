"""Networks in parts, so that a page in one file holds each of their weights once.

The network with all layers has the weights of the encoder and the decoder again, byte by byte, and
base64 makes every byte a third larger. So a network is a list of parts, which `files.js` joins:

=============================  =====================================================================
part                           content
=============================  =====================================================================
["raw", base64]                bytes as they are
["half", base64]               numbers of float16, which become float32
["copy", name, start, length]  bytes of another file, as it was joined
=============================  =====================================================================
"""

import base64
import importlib.util
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

MIN_BYTES = 4096  # of weights that become a part of their own
# Networks of more bytes are sent in half precision: what they draw changes by less than the
# rounding of pixels. Small ones stay exact, as they take little room anyway.
MAX_EXACT = 2**21
MAX_HALF = 65_504.0  # the largest number of float16

Part = list[Any]


def split_network(
    content: bytes, others: Mapping[str, bytes] | None = None, *, half: bool = False
) -> list[Part]:
    """Return the parts of a network's file.

    Parameters
    ----------
    content : bytes
        Of an ONNX file.
    others : mapping of str to bytes, optional
        Files by name that weights may be copied from.
    half : bool
        Send weights in float16.
    """
    parts: list[Part] = []
    end = 0
    for start, length in _weights(content):
        parts += _raw(content[end:start])
        parts.append(_part(content[start : start + length], others or {}, half))
        end = start + length
    return [*parts, *_raw(content[end:])]


def _part(weights: bytes, others: Mapping[str, bytes], half: bool) -> Part:
    for name, other in others.items():
        start = other.find(weights)
        if start >= 0:
            return ["copy", name, start, len(weights)]
    values = np.frombuffer(weights, "<f4")
    if half and np.abs(values).max() <= MAX_HALF:
        return ["half", base64.b64encode(values.astype("<f2").tobytes()).decode()]
    return ["raw", base64.b64encode(weights).decode()]


def _raw(content: bytes) -> list[Part]:
    return [["raw", base64.b64encode(content).decode()]] if content else []


def _weights(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and length of the weights of float32 in an ONNX file, in order."""
    if importlib.util.find_spec("onnx") is None:
        return  # one part: larger, and as good
    import onnx

    end = 0
    for tensor in onnx.load_from_string(content).graph.initializer:
        raw = tensor.raw_data
        if tensor.data_type != onnx.TensorProto.FLOAT or len(raw) < MIN_BYTES:
            continue
        # The field of the message, with its length: equal weights may stand elsewhere, too.
        field = b"\x4a" + _varint(len(raw)) + raw
        start = content.find(field, end)
        if start >= 0:
            end = start + len(field)
            yield end - len(raw), len(raw)


def _varint(number: int) -> bytes:
    """Return a whole number as Protocol Buffers write it."""
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return struct.pack(f"{len(digits) + 1}B", *digits, number)

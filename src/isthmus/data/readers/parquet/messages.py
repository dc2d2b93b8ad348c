"""The messages of an Arrow stream: how many rows each has, and how much it unpacks to.

pyarrow unpacks what a message holds to as many bytes as it says, so that this is looked at first.
Messages are tables of FlatBuffers: https://arrow.apache.org/docs/format/Columnar.html
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

HEADER = 2  # numbers of the fields of a message, …
DATA = 1  # … of a dictionary, which has its values in a batch, …
LENGTH, BUFFERS, COMPRESSION = 0, 2, 3  # … and of a batch
BATCH, DICTIONARY = "record batch", "dictionary"


class Message(NamedTuple):
    """The rows of a batch, none of a dictionary; and the bytes that packed ones become."""

    rows: int
    unpacked: int


def list_messages(source: Any) -> Iterator[Message]:
    """Yield the messages of a stream.

    Raises
    ------
    struct.error
        If one is damaged.
    """
    import pyarrow

    reader = pyarrow.ipc.MessageReader.open_stream(source)
    for message in reader:
        if message.type in (BATCH, DICTIONARY):
            yield _measure(message)


def _measure(message: Any) -> Message:
    """Look at the header of a message."""
    content, body = memoryview(message.metadata), memoryview(message.body)
    header = _follow(content, _find(content, _follow(content, 0), HEADER))
    batch = header
    if message.type == DICTIONARY:
        batch = _follow(content, _find(content, header, DATA))
    place = _find(content, batch, LENGTH)
    rows = struct.unpack_from("<q", content, place)[0] if place else 0
    unpacked = _sum_unpacked(content, batch, body) if _find(content, batch, COMPRESSION) else 0
    return Message(rows if message.type == BATCH else 0, unpacked)


def _sum_unpacked(content: memoryview, batch: int, body: memoryview) -> int:
    """Return what the buffers of a batch say, each in its first eight bytes."""
    vector = _follow(content, _find(content, batch, BUFFERS))
    count = struct.unpack_from("<I", content, vector)[0]
    total = 0
    for start, length in struct.iter_unpack("<qq", content[vector + 4 : vector + 4 + 16 * count]):
        if length:
            total += max(0, struct.unpack_from("<q", body, start)[0])  # -1: not packed
    return total


def _find(content: memoryview, table: int, field: int) -> int:
    """Return where a field of a table is, 0 if it has none."""
    fields = table - struct.unpack_from("<i", content, table)[0]
    if 4 + 2 * field >= struct.unpack_from("<H", content, fields)[0]:
        return 0
    offset: int = struct.unpack_from("<H", content, fields + 4 + 2 * field)[0]
    return table + offset if offset else 0


def _follow(content: memoryview, place: int) -> int:
    """Return where the offset at a place leads to."""
    offset: int = struct.unpack_from("<I", content, place)[0]
    return place + offset

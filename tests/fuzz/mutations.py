"""What damages a file: as a bad disk, a broken transfer, an editor or somebody nasty would.

Each mutation is a function of a generator of chance, the content, and the content of another valid
file. Chance comes from the name of the reader, a seed and a number, so that a case can be repeated.
"""

import random
import struct
import zlib
from collections.abc import Callable

Mutation = Callable[[random.Random, bytes, bytes], bytes]

BYTES = (0, 1, 2, 9, 10, 13, 32, 34, 44, 45, 46, 48, 57, 59, 92, 127, 128, 192, 254, 255)
NUMBERS = (0, 1, 2, 7, 255, 256, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
LARGE = (2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    *(b"nan", b"inf", b"-1", b"1e999", b"0x10", b"1_000", b"256", b"0.5", b"1e300", b"9" * 400),
    *(b'"', b"'", b",", b",,", b";", b"\t", b"\r", b"\n", b"\r\n", b"\n\n", b" ", b"#", b"\0"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xe4", b"\xc3\xa4", b"\xe2\x80\x8b", b"\x1b[2J", b"=1+1"),
    *(b"../", b"/", b"\\", b"(", b"{", b"}", b"True", b"None", b"|O", b">f8", b"<U9", b"|V0"),
)
CHANGES = (1, 1, 1, 1, 2, 4)  # mutations of one file: most readers refuse what has several
HEADER = 96  # bytes: where most of what a decoder believes stands


def mutate(chance: random.Random, content: bytes, other: bytes) -> bytes:
    """Return `content` after one to a few mutations."""
    for _ in range(chance.choice(CHANGES)):
        content = chance.choice(MUTATIONS)(chance, content, other)
    return content


def fix_png(content: bytes) -> bytes:
    """Correct the checksums of a PNG's chunks, which would hide all that is behind them."""
    fixed, place = bytearray(content), 8
    while place + 12 <= len(fixed):
        (length,) = struct.unpack_from(">I", fixed, place)
        end = place + 8 + length
        if end + 4 > len(fixed):
            break
        struct.pack_into(">I", fixed, end, zlib.crc32(fixed[place + 4 : end]))
        place = end + 4
    return bytes(fixed)


def _place(chance: random.Random, content: bytes | bytearray) -> int:
    """Return a place in the content; every other one is in its header or at its end."""
    size = max(1, len(content))
    where = chance.random()
    if where < 0.4:
        return chance.randrange(min(HEADER, size))
    return size - 1 - chance.randrange(min(HEADER, size)) if where < 0.5 else chance.randrange(size)


def _span(chance: random.Random, content: bytes) -> tuple[int, int]:
    """Return the start and the end of a piece, most often of a few bytes."""
    start = _place(chance, content)
    return start, min(len(content), start + chance.choice((1, 2, 4, 8, 12, 32, len(content) // 3)))


def _flip_bits(chance: random.Random, content: bytes, other: bytes) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[_place(chance, changed)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _set_bytes(chance: random.Random, content: bytes, other: bytes) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(chance.choice((1, 1, 2, 4))):
        changed[_place(chance, changed)] = chance.choice(BYTES)
    return bytes(changed)


def _set_number(chance: random.Random, content: bytes, other: bytes) -> bytes:
    """Overwrite what may be a length, a size or an offset, of either byte order."""
    letter = chance.choice("HIIQ")
    size = struct.calcsize(letter)
    start = _place(chance, content)
    near = len(content) + chance.randint(-2, 2)
    number = chance.choice((*NUMBERS, near, *(LARGE if letter == "Q" else ())))
    packed = struct.pack(chance.choice("<>") + letter, max(0, number) % 256**size)
    return content[:start] + packed + content[start + size :]


def _shift_number(chance: random.Random, content: bytes, other: bytes) -> bytes:
    """Change what may be a length by a little."""
    order, start = chance.choice("<>"), _place(chance, content)
    if start + 4 > len(content):
        return content
    (number,) = struct.unpack_from(f"{order}I", content, start)
    packed = struct.pack(f"{order}I", (number + chance.choice((-8, -1, 1, 8, 256))) % 2**32)
    return content[:start] + packed + content[start + 4 :]


def _truncate(chance: random.Random, content: bytes, other: bytes) -> bytes:
    return content[: _place(chance, content)]


def _delete(chance: random.Random, content: bytes, other: bytes) -> bytes:
    start, end = _span(chance, content)
    return content[:start] + content[end:]


def _duplicate(chance: random.Random, content: bytes, other: bytes) -> bytes:
    start, end = _span(chance, content)
    return content[:end] + content[start:end] * chance.choice((1, 1, 3)) + content[end:]


def _insert(chance: random.Random, content: bytes, other: bytes) -> bytes:
    start = _place(chance, content)
    return content[:start] + chance.randbytes(chance.choice((1, 2, 4, 16))) + content[start:]


def _insert_word(chance: random.Random, content: bytes, other: bytes) -> bytes:
    start = _place(chance, content)
    word = chance.choice(WORDS)
    return content[:start] + word + content[start + chance.choice((0, 1, len(word))) :]


def _swap(chance: random.Random, content: bytes, other: bytes) -> bytes:
    (a, b), (c, d) = sorted((_span(chance, content), _span(chance, content)))
    b = min(b, c)
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _splice(chance: random.Random, content: bytes, other: bytes) -> bytes:
    """Continue one valid file by the rest of another."""
    return content[: _place(chance, content)] + other[_place(chance, other) :]


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _set_bytes,
    _set_number,
    _shift_number,
    _truncate,
    _delete,
    _duplicate,
    _insert,
    _insert_word,
    _swap,
    _splice,
)

"""Small files that ask for much: pictures, archives, arrays and tables, each made when it is tried.

`python tests/bombs.py` writes all of them one after the other into a temporary folder, gives each
to `isthmus data check` in a process of its own, and prints the answer, the seconds and the peak of
the memory. Names after it choose some. `tests/data/test_bombs.py` tries the quick ones.
"""

import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

MB = 2**20
HUGE = 20_000  # a side: 400 million pixels
LARGE = 11_500  # a side: 132 million pixels, just below the bound

Write = Callable[[Path], None]


class Bomb(NamedTuple):
    """A file or folder: its name, what writes it, and options of `isthmus data check`."""

    name: str
    write: Write
    options: str = ""
    is_quick: bool = True  # it is written in a moment
    is_refused: bool = True  # else it is read, in little memory


# --- PNG ---


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(count: int) -> bytes:
    """Return so many zeros, packed by zlib, without holding them."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(min(MB, count - done))) for done in range(0, count, MB)]
    return b"".join([*parts, packer.flush()])


def png(
    width: int, height: int, color: int = 0, bits: int = 8, before: bytes = b"", whole: bool = True
) -> bytes:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = 1 + (width * channels * bits + 7) // 8
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    palette = chunk(b"PLTE", bytes(3)) if color == 3 else b""
    content = zeros(row * height if whole else row * 10)
    return (b"\x89PNG\r\n\x1a\n" + header + palette + before + chunk(b"IDAT", content)) + chunk(
        b"IEND", b""
    )


def text_bomb(kind: bytes, megabytes: int) -> bytes:
    packed = zeros(megabytes * MB)
    head = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind]
    return png(8, 8, before=chunk(kind, head + packed))


def apng(frames: int) -> bytes:
    control = chunk(b"acTL", struct.pack(">II", frames, 0))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 1, 0, 0))
    return png(8, 8, before=control + frame)


# --- JPEG ---


def jpeg_segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def jpeg(
    width: int,
    height: int,
    *,
    progressive: bool = False,
    channels: int = 3,
    scans: int = 1,
    sampling: int = 0x11,
    padding: int = 0,
) -> bytes:
    """Return a JPEG that ends soon after its header, with zeros behind for a likely size."""
    table = jpeg_segment(0xDB, b"\0" + b"\1" * 64)
    parts = b"".join(bytes((i + 1, sampling if i == 0 else 0x11, 0)) for i in range(channels))
    frame = jpeg_segment(
        0xC2 if progressive else 0xC0, struct.pack(">BHHB", 8, height, width, channels) + parts
    )
    # Codes of one bit: 0 is "no difference", or the longest run of empty blocks.
    direct = jpeg_segment(0xC4, b"\0" + b"\1" + bytes(15) + b"\0")
    other = jpeg_segment(0xC4, b"\x10" + b"\1" + bytes(15) + (b"\xe0" if progressive else b"\0"))
    chosen = b"".join(bytes((i + 1, 0)) for i in range(channels))
    end = b"\0\0\0" if progressive else b"\0\x3f\0"
    first = jpeg_segment(0xDA, bytes((channels,)) + chosen + end) + bytes(16)
    if progressive:
        blocks = -(-width // 8) * -(-height // 8)
        run = -(-blocks // 2**14)
        data = bytes(2 * run + 2)
        first += (jpeg_segment(0xDA, b"\1\1\0\1\x3f\0") + data) * (scans - 1)
    content = b"\xff\xd8" + table + frame + direct + other + first + b"\xff\xd9"
    return content + bytes(padding)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def plain(mode: str, width: int, height: int, kind: str, **options: object) -> bytes:
    return saved(Image.new(mode, (width, height)), kind, **options)


def junk_before_exif() -> bytes:
    file = saved(Image.new("RGB", (8, 8)), "JPEG")
    return file[:2] + bytes(60 * MB) + b"Exif\0\0" + file[2:]


# --- GIF, TIFF, others ---


def gif(width: int, height: int, frames: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\2\2\x44\1\0"
    return head + frame * frames + b"\x3b"


def tiff(tags: dict[int, tuple[int, int, int]], data: bytes = b"", start: int = 8) -> bytes:
    """Return a TIFF of one page; tags are (type, count, value)."""
    entries = b"".join(struct.pack("<HHII", tag, *values) for tag, values in sorted(tags.items()))
    page = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, start + len(data)) + data + page


def gray_tiff(
    width: int,
    height: int,
    data: bytes,
    compression: int = 8,
    samples: int = 1,
    more: dict[int, tuple[int, int, int]] | None = None,
) -> bytes:
    tags = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, 8),
        259: (3, 1, compression),
        262: (3, 1, 1),
        273: (4, 1, 8),
        277: (3, 1, samples),
        278: (4, 1, height),
        279: (4, 1, len(data)),
    }
    return tiff({**tags, **(more or {})}, data)


def pages_tiff(pages: int, loop: bool = False) -> bytes:
    """Return a TIFF of many pages that share their pixels."""
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    size = 2 + len(entries) + 4
    start = 8 + 64
    content = [struct.pack("<2sHI", b"II", 42, start), bytes(64)]
    for page in range(pages):
        following = start + (page + 1) * size
        if page == pages - 1:
            following = start if loop else 0
        content.append(struct.pack("<H", len(tags)) + entries + struct.pack("<I", following))
    return b"".join(content)


def growing_tiff() -> bytes:
    """Return a TIFF whose second page is huge."""
    small = gray_tiff(8, 8, zlib.compress(bytes(64)))
    page = gray_tiff(HUGE, HUGE, b"")[8:]
    end = len(small) - 4
    return small[:end] + struct.pack("<I", len(small)) + page


def webp(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    data = b"\x2f" + struct.pack("<I", bits) + bytes(20)
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_canvas(width: int, height: int) -> bytes:
    inner = saved(Image.new("RGBA", (8, 8)), "WEBP", lossless=True)[12:]
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    extra = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + sides
    control = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    frame = bytes(6) + struct.pack("<I", 7)[:3] * 2 + bytes(4) + inner
    frames = (b"ANMF" + struct.pack("<I", len(frame)) + frame) * 3
    body = b"WEBP" + extra + control + frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


def ico(width: int, height: int) -> bytes:
    inside = png(width, height)
    entry = struct.pack("<BBBBHHII", 8, 8, 0, 0, 1, 32, len(inside), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + inside


def ppm_with_comment() -> bytes:
    """Return a picture that Pillow would read letter by letter."""
    return b"P6\n#" + bytes(1) * MB + b"\n8 8\n255\n" + bytes(3 * 8 * 8)


def bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    start = 14 + len(header) + 1024
    return struct.pack("<2sIHHI", b"BM", start + 2, 0, 0, start) + header + bytes(1024) + b"\0\1"


def tga(width: int, height: int) -> bytes:
    return struct.pack("<BBBHHBHHHHBB", 0, 0, 11, 0, 0, 0, 0, 0, width, height, 8, 0) + b"\xff\0"


def pcx(width: int, height: int) -> bytes:
    sides = struct.pack("<HHHH", 0, 0, width - 1, height - 1)
    head = struct.pack("<BBBB", 10, 5, 1, 8) + sides + bytes(53)
    return (head + struct.pack("<BHH", 1, width, 1)).ljust(128, b"\0") + b"\xff\0"


def jpeg2000(width: int, height: int) -> bytes:
    file = bytearray(plain("L", 64, 64, "JPEG2000", no_jp2=True))
    place = file.index(b"\xff\x51") + 6
    for offset, value in ((0, width), (4, height), (16, width), (20, height)):
        file[place + offset : place + offset + 4] = struct.pack(">I", value)
    return bytes(file)


def resized(file: bytes, width: int, height: int) -> bytes:
    """Return an AVIF or HEIF that claims other sides."""
    start = file.index(b"ispe") + 8
    return file[:start] + struct.pack(">II", width, height) + file[start + 8 :]


def avif(width: int, height: int) -> bytes:
    return resized(plain("RGB", 64, 64, "AVIF"), width, height)


def heif(width: int, height: int) -> bytes:
    import pillow_heif

    pillow_heif.register_heif_opener()
    return resized(plain("RGB", 64, 64, "HEIF"), width, height)


# --- archives ---


def small_png(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)
    return saved(Image.fromarray(pixels), "PNG")


def zip_of(members: dict[str, bytes], path: Path, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def zip_of_zeros(path: Path, count: int, megabytes: int, suffix: str = ".bmp") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(count):
            with archive.open(f"{i}{suffix}", "w") as file:
                for _ in range(megabytes):
                    file.write(bytes(MB))


def overlapping_zip(path: Path, count: int, megabytes: int) -> None:
    """Write a zip whose members are one and the same."""
    zip_of_zeros(path, 1, megabytes)
    content = path.read_bytes()
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    entry = content[start:end] * count
    tail = struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, count, count, len(entry), start, 0)
    path.write_bytes(content[:start] + entry + tail)


def many_members_zip(path: Path, count: int) -> None:
    head = struct.pack("<4sHHHHHLLLHH", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 5, 0) + b"a.png"
    entry = struct.pack(
        "<4sHHHHHHLLLHHHHHLL", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0
    )
    with path.open("wb") as file:
        file.write(head)
        file.writelines(entry + b"a.png" for _ in range(count))
        length = count * (len(entry) + 5)
        place = len(head) + length
        end = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, length, len(head))
        file.write(b"PK\6\6" + end + struct.pack("<4sLQL", b"PK\6\7", 0, place, 1))
        most = 0xFFFF
        file.write(struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, most, most, 2**32 - 1, 2**32 - 1, 0))


def lying_zip(path: Path) -> None:
    """Write a zip whose members claim to be far larger than they are."""
    zip_of({f"{i}.png": small_png(i) for i in range(20)}, path)
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\1\2")
    while place >= 0:
        content[place + 24 : place + 28] = struct.pack("<L", 500 * MB)
        place = content.find(b"PK\1\2", place + 4)
    path.write_bytes(content)


def tar_header(name: str, size: int, kind: bytes = b"0") -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


Packer = Callable[[Path], io.IOBase]


def packed(path: Path) -> io.BufferedIOBase:
    openers: dict[str, Callable[..., Any]] = {
        ".gz": gzip.open,
        ".tgz": gzip.open,
        ".bz2": bz2.open,
        ".xz": lzma.open,
    }
    opener = openers.get(path.suffix)
    return path.open("wb") if opener is None else opener(path, "wb")


def write_zeros(file: io.BufferedIOBase, megabytes: int) -> None:
    for _ in range(megabytes):
        file.write(bytes(MB))


def tar_of_zeros(path: Path, megabytes: int) -> None:
    with packed(path) as file:
        for i in range(max(1, megabytes // 100)):
            file.write(tar_header(f"{i}.bmp", 100 * MB))
            write_zeros(file, 100)
        file.write(bytes(1024))


def tar_large_header(path: Path, kind: bytes, megabytes: int) -> None:
    """Write a tar with a long name, or attributes, of many megabytes."""
    with packed(path) as file:
        file.write(tar_header("a", megabytes * MB, kind))
        write_zeros(file, megabytes)
        file.write(tar_header("a.png", 0) + bytes(1024))


def tar_many_headers(path: Path, count: int) -> None:
    """Write a tar of members with attributes of nearly a megabyte each."""
    text = b"comment=" + b"a" * (MB - 64)
    record = f"{len(text) + 9} ".encode() + text + b"\n"
    with packed(path) as file:
        for i in range(count):
            file.write(tar_header("a", len(record), b"x") + record.ljust(MB, b"\0"))
            file.write(tar_header(f"{i}.png", 0))
        file.write(bytes(1024))


def tar_many_members(path: Path, count: int) -> None:
    with packed(path) as file:
        for i in range(count):
            file.write(tar_header(f"{i}.png", 0))
        file.write(bytes(1024))


def tar_sparse(path: Path, count: int) -> None:
    """Write a tar of members that are holes, of 500 MB each."""
    with path.open("wb") as file:
        for i in range(count):
            member = bytearray(tar_header(f"{i}.png", 0, b"S"))
            member[386:410] = b"%011o\0%011o\0" % (500 * MB, 0)
            member[483:495] = b"%011o\0" % (500 * MB)
            member[148:156] = b" " * 8
            member[148:156] = b"%06o\0 " % sum(member)
            file.write(member)
        file.write(bytes(1024))


def tar_links(path: Path, count: int) -> None:
    """Write a tar of one large picture and many links to it."""
    picture = png(10_000, 10_000)
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("0.png")
        member.size = len(picture)
        archive.addfile(member, io.BytesIO(picture))
        for i in range(1, count):
            link = tarfile.TarInfo(f"{i}.png")
            link.type, link.linkname = tarfile.LNKTYPE, "0.png"
            archive.addfile(link)


def tar_twice(path: Path) -> None:
    inside = io.BytesIO()
    with gzip.open(inside, "wb") as file:
        file.write(tar_header("a.bmp", 400 * MB))
        write_zeros(file, 400)
    path.write_bytes(gzip.compress(inside.getvalue()))


def tar_list(path: Path, megabytes: int) -> None:
    """Write a packed tar with a list of classes of many megabytes."""
    with packed(path) as file:
        file.write(tar_header("classes.txt", megabytes * MB))
        for _ in range(megabytes):
            file.write(b"a\n" * (MB // 2))
        file.write(tar_header("a.png", len(small_png())) + small_png().ljust(512, b"\0"))
        file.write(bytes(1024))


def nested_zip(path: Path) -> None:
    inside = path.with_name("inside.zip")
    zip_of_zeros(inside, 10, 50)
    zip_of({"a.png": small_png(), **{f"{i}.zip": inside.read_bytes() for i in range(20)}}, path)
    inside.unlink()


# --- arrays and tables ---


def npy_header(shape: str, kind: str = "|u1") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text) + 1) + text + b"\n"


def npz_of_zeros(path: Path, megabytes: int) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        file.write(npy_header(f"({megabytes}, 1024, 1024)"))
        for _ in range(megabytes):
            file.write(bytes(MB))


def npz_without_bytes(path: Path) -> None:
    labels = npy_header("(20000000000,)", "|S0")
    images = npy_header("(4, 8, 8)") + bytes(256)
    zip_of({"x.npy": images, "y.npy": labels}, path)


def idx_header(*shape: int) -> bytes:
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


def idx_of_zeros(path: Path, megabytes: int, count: int) -> None:
    with gzip.open(path, "wb") as file:
        file.write(idx_header(count, 1024, 1024))
        write_zeros(file, megabytes)


def table(path: Path, line: bytes, count: int) -> None:
    """Write a packed table of equal lines."""
    block = line * max(1, MB // len(line))
    with packed(path) as file:
        for _ in range(max(1, count * len(line) // len(block))):
            file.write(block)


def long_label(path: Path) -> None:
    lines = ["label,a,b,c,d", *[f"cat{i % 5},1,2,3,4" for i in range(1_000)]]
    lines[500] = "a" * 4_000_000 + ",1,2,3,4"
    path.write_text("\n".join(lines))


def csv_field(path: Path) -> None:
    put(path, b'label,a\n"' + b"a" * 100 * MB)


def csv_columns(path: Path) -> None:
    put(path, (b"0," * 2_000_000 + b"0\n") * 20)


def sparse(path: Path, start: bytes, gigabytes: int) -> None:
    with path.open("wb") as file:
        file.write(start)
        file.truncate(gigabytes * 2**30)


def folder_of(count: int, make: Callable[[], bytes], first: Callable[[], bytes]) -> Write:
    def write(path: Path) -> None:
        path.mkdir()
        (path / "000.png").write_bytes(first())
        same = make()
        for i in range(1, count):
            (path / f"{i:03}.png").write_bytes(same)

    return write


def masks(mask: Callable[[], bytes]) -> Write:
    def write(path: Path) -> None:
        for name, file in (("images", png(8, 8)), ("masks", mask())):
            (path / name).mkdir(parents=True)
            (path / name / "a.png").write_bytes(file)

    return write


def npy(shape: str, kind: str = "|u1") -> Write:
    return lambda path: put(path, npy_header(shape, kind))


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def large() -> bytes:
    return png(LARGE, LARGE)


def large_rgb() -> bytes:
    return png(LARGE, LARGE, 2)


def content(make: Callable[..., bytes], *arguments: object, **options: object) -> Write:
    return lambda path: put(path, make(*arguments, **options))


BOMBS = (
    Bomb("png-gray.png", content(png, HUGE, HUGE, whole=False)),
    Bomb("png-bits.png", content(png, 60_000, 60_000, bits=1, whole=False)),
    Bomb("png-large-rgba.png", content(png, LARGE, LARGE, 6), "--size 32", False, False),
    Bomb("png-large-16.png", content(png, 8_000, 8_000, 2, 16), "--size 32", False, False),
    Bomb("png-large-16-beyond.png", content(png, LARGE, LARGE, 2, 16, whole=False)),
    Bomb("png-side.png", content(png, 1_000_000, 8, whole=False)),
    Bomb("png-ztxt.png", content(text_bomb, b"zTXt", 200), is_refused=False),
    Bomb("png-itxt.png", content(text_bomb, b"iTXt", 200), is_refused=False),
    Bomb("png-iccp.png", content(text_bomb, b"iCCP", 200), is_refused=False),
    Bomb("apng.png", content(apng, 2_000_000_000), "--pages all"),
    Bomb("jpeg.jpg", content(jpeg, 65_000, 65_000)),
    Bomb("jpeg-reduced.jpg", content(jpeg, 22_000, 22_000, padding=MB), "--size 32"),
    Bomb("jpeg-progressive.jpg", content(jpeg, LARGE, LARGE, progressive=True, padding=MB)),
    Bomb("jpeg-cmyk.jpg", content(jpeg, LARGE, LARGE, channels=4, padding=MB), "", True, False),
    Bomb(
        "jpeg-cmyk-progressive.jpg",
        content(jpeg, LARGE, LARGE, channels=4, progressive=True, padding=MB),
    ),
    Bomb("jpeg-two.jpg", content(jpeg, LARGE, LARGE, channels=2, padding=MB)),
    Bomb("jpeg-sampling.jpg", content(jpeg, LARGE, LARGE, sampling=0x44, padding=MB)),
    Bomb("jpeg-scans.jpg", content(jpeg, 4_000, 4_000, progressive=True, scans=5_000)),
    Bomb("jpeg-scans-small.jpg", content(jpeg, 1_000, 1_000, progressive=True, scans=90_000)),
    Bomb("jpeg-junk.jpg", content(junk_before_exif), "", False),
    Bomb("gif.gif", content(gif, 65_000, 65_000, 1)),
    Bomb("gif-frames.gif", content(gif, 8, 8, 1_000_000), "--pages all"),
    Bomb("gif-frames-first.gif", content(gif, 8, 8, 1_000_000), "", True, False),
    Bomb("gif-large-frames.gif", content(gif, 10_000, 10_000, 5_000), "--pages all --size 32"),
    Bomb("tiff.tif", content(gray_tiff, HUGE, HUGE, zlib.compress(bytes(MB)))),
    Bomb("tiff-pages.tif", content(pages_tiff, 300_000), "--pages all"),
    Bomb("tiff-loop.tif", content(pages_tiff, 10, True), "--pages all", True, False),
    Bomb("tiff-growing.tif", content(growing_tiff), "--pages all"),
    Bomb(
        "tiff-tiles.tif",
        content(
            gray_tiff,
            8,
            8,
            zlib.compress(bytes(MB)),
            more={322: (4, 1, 60_000), 323: (4, 1, 60_000), 324: (4, 1, 8), 325: (4, 1, 1_000)},
        ),
    ),
    Bomb(
        "tiff-bands.tif",
        lambda path: put(path, gray_tiff(8, 8, zeros(3_000 * MB), samples=6)),
        "--channels 3,2,1",
        False,
    ),
    Bomb("tiff-many-bands.tif", content(gray_tiff, 8_000, 8_000, b"\0" * 64, 1, 60_000)),
    Bomb("webp.webp", content(webp, 16_000, 16_000)),
    Bomb("webp-canvas.webp", content(webp_canvas, 16_000, 16_000)),
    Bomb("webp-large.webp", content(webp, 8_000, 8_000)),
    Bomb("avif.avif", content(avif, 16_000, 16_000)),
    Bomb("heif.heic", content(heif, 16_000, 16_000)),
    Bomb("jpeg2000.jp2", content(jpeg2000, 30_000, 30_000)),
    Bomb("jpeg2000-large.jp2", content(jpeg2000, 8_000, 8_000), "", True, False),
    Bomb("ico.png", content(ico, LARGE + 1_000, LARGE + 1_000), "", False),
    Bomb("bmp.bmp", content(bmp, HUGE, HUGE)),
    Bomb("bmp-large.bmp", content(bmp, LARGE, LARGE), "--size 32", True, False),
    Bomb("tga.tga", content(tga, 60_000, 60_000)),
    Bomb("pcx.pcx", content(pcx, 60_000, 60_000)),
    Bomb("ppm.ppm", lambda path: put(path, b"P6 60000 60000 255\n")),
    Bomb("ppm-comment.ppm", content(ppm_with_comment)),
    Bomb("sparse.png", lambda path: sparse(path, png(8, 8), 100)),
    Bomb("masks", masks(lambda: png(LARGE, LARGE, 2)), "--size 8", False),
    Bomb("masks-16", masks(lambda: png(LARGE, LARGE, 0, 16, whole=False)), "--size 8"),
    Bomb("many-large", folder_of(12, large, large), "--size 32", False, False),
    Bomb("one-small-many-large", folder_of(12, large, small_png), "", False),
    Bomb("crop-large", folder_of(4, large_rgb, large_rgb), "--crop 8", False, False),
    Bomb("zip-zeros.zip", lambda path: zip_of_zeros(path, 10, 300), "", False),
    Bomb("zip-overlapping.zip", lambda path: overlapping_zip(path, 60_000, 1)),
    Bomb("zip-members.zip", lambda path: many_members_zip(path, 3_000_000), "", False),
    Bomb("zip-lying.zip", lying_zip),
    Bomb("zip-nested.zip", nested_zip, "", False, False),
    Bomb("tar-zeros.tar.gz", lambda path: tar_of_zeros(path, 3_000), "", False),
    Bomb("tar-zeros.tar.bz2", lambda path: tar_of_zeros(path, 700), "", False),
    Bomb("tar-zeros.tar.xz", lambda path: tar_of_zeros(path, 700), "", False),
    Bomb("tar-pax.tar.gz", lambda path: tar_large_header(path, b"x", 1_000), "", False),
    Bomb("tar-name.tar.gz", lambda path: tar_large_header(path, b"L", 1_000), "", False),
    Bomb("tar-headers.tar.gz", lambda path: tar_many_headers(path, 2_000), "", False),
    Bomb("tar-members.tar.gz", lambda path: tar_many_members(path, 1_500_000), "", False),
    Bomb("tar-sparse.tar", lambda path: tar_sparse(path, 1_000)),
    Bomb("tar-links.tar", lambda path: tar_links(path, 40_000), "", False),
    Bomb("tar-twice.tar.gz", tar_twice, "", False),
    Bomb("tar-list.tar.gz", lambda path: tar_list(path, 400), "", False, False),
    Bomb("npy-claim.npy", npy("(10**12, 8, 8)")),
    Bomb("npy-shape.npy", npy("(1000000000000, 8, 8)")),
    Bomb("npy-object.npy", npy("(1000000000,)", "|O")),
    Bomb("npy-nothing.npy", npy("(900000000000, 2, 2)", "|V0")),
    Bomb("npy-deep.npy", npy("(" * 30_000)),
    Bomb("npz-zeros.npz", lambda path: npz_of_zeros(path, 4_000), "", False),
    Bomb("npz-nothing.npz", npz_without_bytes),
    Bomb("idx-claim-idx3-ubyte", content(idx_header, 4_000_000_000, 1_000, 1_000)),
    Bomb("idx-behind-idx3-ubyte.gz", lambda path: idx_of_zeros(path, 3_000, 1), "", False),
    Bomb("idx-zeros-idx3-ubyte.gz", lambda path: idx_of_zeros(path, 3_000, 3_000), "", False),
    Bomb("csv-zeros.csv.gz", lambda path: table(path, b"0," * 784 + b"0\n", 400_000), "", False),
    Bomb("csv-zeros.csv.bz2", lambda path: table(path, b"0," * 784 + b"0\n", 360_000), "", False),
    Bomb("csv-line.csv.gz", lambda path: table(path, b"0,", 20_000_000), "", False),
    Bomb("csv-blank.csv.gz", lambda path: table(path, b"\n", 600_000_000), "", False),
    Bomb("csv-field.csv", csv_field, "", False),
    Bomb("csv-columns.csv", csv_columns, "", False),
    Bomb("csv-label.csv", long_label, "--label-column label"),
)  # fmt: skip


class Result(NamedTuple):
    """What a command made of a bomb."""

    code: int
    seconds: float
    megabytes: float
    said: str


def attack(path: Path, options: str = "") -> Result:
    """Give a file to `isthmus data check` in a process of its own."""
    command = [sys.executable, "-m", "isthmus", "data", "check", str(path), *options.split()]
    environment = {**os.environ, "ISTHMUS_CACHE": str(path.parent / "cache")}
    start = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Result(process.returncode, time.monotonic() - start, usage.ru_maxrss / 1024, said)


def attack_all(names: list[str]) -> Iterator[tuple[Bomb, Result]]:
    for bomb in BOMBS:
        if not names or bomb.name in names:
            with TemporaryDirectory() as folder:
                path = Path(folder, bomb.name)
                # By another process: what starts a command passes its own peak on to it.
                subprocess.run([sys.executable, __file__, "--write", bomb.name, path], check=True)
                yield bomb, attack(path, bomb.options)


def main() -> None:
    if "--write" in sys.argv:
        name, place = sys.argv[2:]
        next(bomb for bomb in BOMBS if bomb.name == name).write(Path(place))
        return
    baseline = attack(Path(__file__).parent / "none").megabytes
    print(f"without anything to read: {baseline:.0f} MB")
    for bomb, result in attack_all(sys.argv[1:]):
        print(
            f"{bomb.name:28} {result.code:3} {result.seconds:6.1f} s "
            f"{result.megabytes - baseline:6.0f} MB  {result.said.strip()[-300:]!r}",
            flush=True,
        )


if __name__ == "__main__":
    main()

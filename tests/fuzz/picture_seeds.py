"""Small valid pictures of each format, in the variants that decoders treat differently."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]
Named = tuple[str, bytes]  # the name of a variant, and its file

HEIGHT, WIDTH = 12, 10
TIFF_TYPES = {"H": 3, "L": 4}  # of a field, by the letter of `struct`


def draw(channels: int = 3, seed: int = 0) -> Image.Image:
    """Draw a picture of smooth noise."""
    rough = np.random.default_rng(seed).integers(0, 256, (4, 4, channels), np.uint8)
    rough = rough[..., 0] if channels == 1 else rough
    return Image.fromarray(rough).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def save(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the file of a picture."""
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def exif() -> Image.Exif:
    """Return EXIF that turns a picture by a quarter, and holds a text and a fraction."""
    tags = Image.Exif()
    tags[0x0112] = 6
    tags[0x010E] = "a description"
    tags[0x011A] = 72.0
    return tags


def profile() -> bytes:
    """Return an ICC profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pngs() -> Iterator[Named]:
    """Yield PNG files."""
    gray, rgb, rgba = draw(1), draw(3), draw(4)
    yield "gray", save(gray, "PNG")
    yield "rgb", save(rgb, "PNG")
    yield "rgba", save(rgba, "PNG")
    yield "gray-alpha", save(rgba.convert("LA"), "PNG")
    yield "bits", save(gray.convert("1"), "PNG")
    yield "palette", save(rgb.quantize(16), "PNG")
    yield "palette-alpha", save(rgb.quantize(16), "PNG", transparency=bytes(range(0, 160, 10)))
    yield "one-transparent", save(rgb, "PNG", transparency=(1, 2, 3))
    yield "sixteen", save(Image.fromarray(np.asarray(gray, np.uint16) * 257), "PNG")
    yield "exif-icc", save(rgb, "PNG", exif=exif(), icc_profile=profile(), dpi=(72, 72))
    yield "animated", save(rgb, "PNG", save_all=True, append_images=[draw(3, 1)], duration=50)
    yield "interlaced", interlaced_png(np.asarray(rgb))


def jpegs() -> Iterator[Named]:
    """Yield JPEG files."""
    gray, rgb = draw(1), draw(3)
    yield "gray", save(gray, "JPEG")
    yield "rgb", save(rgb, "JPEG")
    yield "full-color", save(rgb, "JPEG", subsampling=0, quality=95)
    yield "progressive", save(rgb, "JPEG", progressive=True)
    yield "restarts", save(rgb.resize((40, 40)), "JPEG", restart_marker_blocks=2)
    yield "cmyk", save(rgb.convert("CMYK"), "JPEG")
    yield "exif", save(rgb, "JPEG", exif=exif())
    yield "icc-comment", save(rgb, "JPEG", icc_profile=profile(), comment=b"text", dpi=(72, 72))
    yield "stray-end", save(rgb, "JPEG") + b"\0\0stray"


def gifs() -> Iterator[Named]:
    """Yield GIF files."""
    gray, rgb = draw(1), draw(3)
    more = [draw(3, 1), draw(3, 2)]
    yield "gray", save(gray, "GIF")
    yield "palette", save(rgb.quantize(8), "GIF")
    yield "plain", save(rgb.quantize(4), "GIF", interlace=0)
    yield "transparent", save(rgb.quantize(8), "GIF", transparency=3)
    yield "animated", save(rgb, "GIF", save_all=True, append_images=more, duration=40, loop=0)
    yield "disposal", save(rgb, "GIF", save_all=True, append_images=more, disposal=2)
    yield "comment", save(gray, "GIF", comment=b"a comment")


def bmps() -> Iterator[Named]:
    """Yield BMP files."""
    gray, rgb, rgba = draw(1), draw(3), draw(4)
    yield "gray", save(gray, "BMP")
    yield "rgb", save(rgb, "BMP", dpi=(72, 72))
    yield "rgba", save(rgba, "BMP")
    yield "palette", save(rgb.quantize(16), "BMP")
    yield "bits", save(gray.convert("1"), "BMP")
    yield "runs", run_length_bmp(np.asarray(rgb.quantize(4)))


def tiffs() -> Iterator[Named]:
    """Yield TIFF files."""
    gray, rgb = draw(1), draw(3)
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        yield compression.replace("_", "-"), save(rgb, "TIFF", compression=compression)
    yield "fax", save(gray.convert("1"), "TIFF", compression="group4")
    yield "palette", save(rgb.quantize(16), "TIFF")
    yield "rgba", save(draw(4), "TIFF")
    yield "cmyk", save(rgb.convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "float", save(Image.fromarray(np.asarray(gray, np.float32) / 255), "TIFF")
    yield "int32", save(Image.fromarray(np.asarray(gray, np.int32) * 100), "TIFF")
    yield "pages", save(gray, "TIFF", save_all=True, append_images=[draw(1, 1), draw(1, 2)])
    yield "exif-icc", save(rgb, "TIFF", exif=exif(), icc_profile=profile())
    yield "bigtiff", save(gray, "TIFF", big_tiff=True)
    deep = np.asarray(gray, ">u2")[..., None] * 257
    yield "sixteen-big-endian", plain_tiff(deep, order=">")
    yield "sixteen-min-is-white", plain_tiff(deep, order="<", photometric=0)
    yield "bands", plain_tiff(np.repeat(np.asarray(gray)[..., None], 5, axis=2), photometric=1)
    yield "planes", plain_tiff(np.asarray(rgb), order=">", is_planar=True)
    yield "tiles", plain_tiff(np.asarray(rgb), tile=16)
    yield "tiles-deflate", plain_tiff(np.asarray(rgb), tile=16, pack=zlib.compress)


def webps() -> Iterator[Named]:
    """Yield WebP files."""
    gray, rgb, rgba = draw(1), draw(3), draw(4)
    yield "lossy", save(rgb, "WEBP")
    yield "lossless", save(rgb, "WEBP", lossless=True)
    yield "gray", save(gray, "WEBP", lossless=True)
    yield "alpha", save(rgba, "WEBP")
    yield "alpha-lossless", save(rgba, "WEBP", lossless=True)
    yield "exif-icc", save(rgb, "WEBP", exif=exif(), icc_profile=profile())
    yield "animated", save(rgb, "WEBP", save_all=True, append_images=[draw(3, 1)], duration=50)


def ppms() -> Iterator[Named]:
    """Yield files of the PNM family."""
    gray, rgb = draw(1), draw(3)
    yield "binary-rgb", save(rgb, "PPM")
    yield "binary-gray", save(gray, "PPM")
    yield "binary-bits", save(gray.convert("1"), "PPM")
    sides = b"%d %d" % (WIDTH, HEIGHT)
    values = b" ".join(b"%d" % value for value in np.asarray(gray).ravel())
    yield "text-gray", b"P2\n# a comment\n" + sides + b"\n255\n" + values
    values = b" ".join(b"%d" % value for value in np.asarray(rgb).ravel())
    yield "text-rgb", b"P3 " + sides + b" 255\n" + values
    values = b"".join(b"%d" % value for value in np.asarray(gray.convert("1")).ravel())
    yield "text-bits", b"P1\n" + sides + b"\n" + values
    yield "sixteen", b"P5 " + sides + b" 65535\n" + (np.asarray(gray, ">u2") * 257).tobytes()
    yield "twelve", b"P5 " + sides + b" 4095\n" + (np.asarray(gray, ">u2") * 16).tobytes()
    yield "float", b"Pf\n" + sides + b"\n-1.0\n" + (np.asarray(gray, "<f4") / 255).tobytes()


def interlaced_png(pixels: Pixels) -> bytes:
    """Return a PNG of (H, W, 3) in seven passes, which Pillow reads but cannot write."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = [
        b"\0" + row.tobytes()
        for top, left, down, right in [*passes, (1, 0, 2, 1)]
        for row in pixels[top::down, left::right]
        if row.size
    ]
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG, with its length and its checksum."""
    return struct.pack(">I", len(content)) + kind + content + crc(kind + content)


def crc(content: bytes) -> bytes:
    """Return a checksum as PNG has it."""
    return struct.pack(">I", zlib.crc32(content))


def run_length_bmp(indices: Pixels) -> bytes:
    """Return a BMP of palette indices (H, W), each row in runs."""
    rows = [b"".join(bytes((1, value)) for value in row) + b"\0\0" for row in indices[::-1]]
    body = b"".join(rows) + b"\0\1"
    palette = bytes(range(256)) * 4
    start = 14 + 40 + len(palette)
    height, width = indices.shape
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start) + info + palette + body


def plain_tiff(
    values: NDArray[Any],
    order: Literal["<", ">"] = "<",
    photometric: int | None = None,
    is_planar: bool = False,
    tile: int = 0,
    pack: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """Return a TIFF of (H, W, C) of a layout that Pillow does not write."""
    height, width, channels = values.shape
    typed = values.astype(values.dtype.newbyteorder(order))
    planes = [typed[..., i : i + 1] for i in range(channels)] if is_planar else [typed]
    if tile:
        sides = ((0, -height % tile), (0, -width % tile), (0, 0))
        planes = [np.pad(plane, sides) for plane in planes]
    parts = [(pack or bytes)(plane.tobytes()) for plane in planes]
    rgb = 2 if channels == 3 else 1
    fields: list[tuple[int, str, Sequence[int]]] = [
        (256, "L", [width]),
        (257, "L", [height]),
        (258, "H", [values.dtype.itemsize * 8] * channels),
        (259, "H", [8 if pack else 1]),
        (262, "H", [rgb if photometric is None else photometric]),
        (277, "H", [channels]),
        (284, "H", [2 if is_planar else 1]),
    ]
    sizes = [len(part) for part in parts]
    starts = [8 + sum(sizes[:i]) for i in range(len(sizes))]
    if tile:
        fields += [(322, "L", [tile]), (323, "L", [tile]), (324, "L", starts), (325, "L", sizes)]
    else:
        fields += [(273, "L", starts), (278, "L", [height]), (279, "L", sizes)]
    if channels > 3:
        fields.append((338, "H", [0] * (channels - 1)))
    return _join_tiff(order, b"".join(parts), sorted(fields))


def _join_tiff(order: str, body: bytes, fields: Sequence[tuple[int, str, Sequence[int]]]) -> bytes:
    """Return header, body, the directory of the fields, and the values that do not fit in it."""
    start = 8 + len(body)
    end = start + 2 + 12 * len(fields) + 4
    directory, extra = struct.pack(f"{order}H", len(fields)), b""
    for tag, letter, numbers in fields:
        packed = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        value = packed.ljust(4, b"\0")
        if len(packed) > 4:
            value, extra = struct.pack(f"{order}L", end + len(extra)), extra + packed
        entry = struct.pack(f"{order}HHL", tag, TIFF_TYPES[letter], len(numbers))
        directory += entry + value
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}L", start) + body + directory + bytes(4) + extra

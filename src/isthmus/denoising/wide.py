"""Files of more than eight bits that Pillow cannot write: PNG and PPM in colors, and most TIFFs."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.denoising.originals import EXIF_FOLDERS, Original

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_COLORS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels, the last of 2 and 4 is alpha: kind of colors
INCH = 0.0254  # meters
STRIP_ROWS = 256  # of a PNG that are packed at once
ASCII_TAGS = (0x010F, 0x0110, 0x013B, 0x8298)  # of a TIFF: maker, model, artist, copyright
DESCRIPTION, SOFTWARE, TIME = 0x010E, 0x0131, 0x0132
EXIF_START = b"Exif\0\0"


class Sheet(NamedTuple):
    """What is written of a page: values (H, W, C) and perhaps alpha (H, W) of the same type."""

    values: NDArray[Any]
    alpha: NDArray[Any] | None
    kind: str

    @property
    def joined(self) -> NDArray[Any]:
        """Values and alpha in one array (H, W, C)."""
        if self.alpha is None:
            return self.values
        return np.concatenate([self.values, self.alpha[..., None]], axis=2)


def write_png(sheets: Sequence[Sheet], original: Original, lost: set[str]) -> bytes:
    """Return a PNG of 16 bits, of one page."""
    values = sheets[0].joined
    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_COLORS[channels], 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if original.profile:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(original.profile)))
    if original.resolution:
        across, down = (round(dots / INCH) for dots in original.resolution)
        chunks.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    if original.exif is not None:
        chunks.append((b"eXIf", original.exif.tobytes().removeprefix(EXIF_START)))
    chunks += [(b"IDAT", _pack_rows(values)), (b"IEND", b"")]
    return PNG_START + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(name))
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def _pack_rows(values: NDArray[Any]) -> bytes:
    """Return rows as a PNG holds them: each as differences to the one above, packed."""
    packer = zlib.compressobj()
    packed = []
    above = np.zeros((1, values.shape[1] * values.shape[2] * 2), np.uint8)
    for start in range(0, len(values), STRIP_ROWS):
        strip = np.ascontiguousarray(values[start : start + STRIP_ROWS], ">u2")
        rows = strip.view(np.uint8).reshape(len(strip), -1)
        filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
        filtered[:, 0] = 2  # the name of this filter
        filtered[:, 1:] = rows - np.concatenate([above, rows[:-1]])
        packed.append(packer.compress(filtered.tobytes()))
        above = rows[-1:]
    return b"".join([*packed, packer.flush()])


def write_ppm(sheets: Sequence[Sheet], original: Original, lost: set[str]) -> bytes:
    """Return a PPM of 16 bits in colors, of one page, which describes nothing."""
    height, width, _ = sheets[0].values.shape
    for name, is_there in (
        ("the color profile", original.profile),
        ("EXIF", original.exif is not None),
    ):
        if is_there:
            lost.add(name)
    return f"P6\n{width} {height}\n65535\n".encode() + sheets[0].values.astype(">u2").tobytes()


def write_tiff(sheets: Sequence[Sheet], original: Original, lost: set[str]) -> bytes:
    """Return a TIFF of any numbers, bands and pages."""
    import tifffile

    content = io.BytesIO()
    described = _describe(original, lost)
    with tifffile.TiffWriter(content) as file:
        for number, sheet in enumerate(sheets):
            if number:
                described["description"] = None  # it may be that of the stack
            joined = sheet.joined
            is_single = joined.shape[2] == 1  # whose axis of one tifffile takes for a width
            is_color = sheet.values.shape[2] == 3 or "RGB" in sheet.kind
            file.write(
                joined[..., 0] if is_single else joined,
                photometric="rgb" if is_color else "minisblack",
                planarconfig=None if is_single else "contig",
                extrasamples=_name_extras(sheet, 3 if is_color else 1),
                compression="zlib",
                predictor=sheet.values.dtype.kind in "iu",
                metadata=None,  # else it would describe arrays of NumPy
                **described,
            )
    return content.getvalue()


def _name_extras(sheet: Sheet, expected: int) -> list[str] | None:
    """Say what the channels are beyond those that everybody expects."""
    extras = ["unspecified"] * (sheet.values.shape[2] - expected)
    return [*extras, *([] if sheet.alpha is None else ["unassalpha"])] or None


def _describe(original: Original, lost: set[str]) -> dict[str, Any]:
    """Return the options of tifffile for what describes a picture."""
    options: dict[str, Any] = {"software": False, "iccprofile": original.profile}
    if original.resolution:
        options |= {"resolution": original.resolution, "resolutionunit": "INCH"}
    exif = original.exif
    if exif is None:
        return options
    if any(tag in exif for tag in EXIF_FOLDERS):
        lost.add("EXIF of exposure and place, which a compressed TIFF cannot hold")
    texts = {tag: str(exif[tag]) for tag in exif if tag not in EXIF_FOLDERS}
    options["description"] = texts.get(DESCRIPTION)
    options["software"] = texts.get(SOFTWARE, False)
    options["datetime"] = texts.get(TIME)
    options["extratags"] = [
        (tag, 2, len(texts[tag].encode()) + 1, texts[tag], True)
        for tag in ASCII_TAGS
        if tag in texts
    ]
    return options


WRITERS = {"PNG": write_png, "PPM": write_ppm, "TIFF": write_tiff}

"""`Thumbnails`: what is kept of each picture to compare it with all others."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64  # of a gray thumbnail; 100,000 of them take 400 MB
COLOR_SIDE = 8  # of a thumbnail of colors
DIGEST_BYTES = 16

Gray = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """Small pictures of N pictures, and digests of their pixels.

    Parameters
    ----------
    gray : (N, 64, 64) uint8
        Brightness. Each picture fills the square, whatever its shape.
    color : (N, 2, 8, 8) uint8
        Blue and red difference (Cb, Cr), 128 for gray.
    digests : (N, 2) uint64
        Equal if and only if shape and all pixels are.
    sizes : (N, 2) int64
        Height and width of the pictures.
    """

    gray: Gray
    color: NDArray[np.uint8]
    digests: NDArray[np.uint64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.gray)

    @classmethod
    def join(cls, parts: Iterable["Thumbnails"]) -> "Thumbnails":
        """Return the thumbnails of several parts, one after the other."""
        columns = zip(*((p.gray, p.color, p.digests, p.sizes) for p in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    @cached_property
    def originals(self) -> NDArray[np.int64]:
        """The first picture that is equal to each: (N,) int64, its own row if there is none."""
        _, first, which = np.unique(self.digests, axis=0, return_index=True, return_inverse=True)
        originals: NDArray[np.int64] = first[which.ravel()]
        return originals


def make_thumbnails(pixels: NDArray[np.uint8]) -> Thumbnails:
    """Return the thumbnails of pictures of one size.

    Parameters
    ----------
    pixels : (n, H, W, C) uint8
        Of 1 or 2 channels the first is shown, of more the first three.
    """
    gray = np.empty((len(pixels), SIDE, SIDE), np.uint8)
    color = np.full((len(pixels), 2, COLOR_SIDE, COLOR_SIDE), 128, np.uint8)
    digests = np.empty((len(pixels), 2), np.uint64)
    for row, picture in enumerate(pixels):
        digests[row] = np.frombuffer(_digest(picture), np.uint64)
        if picture.shape[2] < 3:
            gray[row] = np.asarray(_resize(picture[..., 0], SIDE))
        else:
            gray[row], color[row] = _shrink(picture[..., :3])
    return Thumbnails(gray, color, digests, np.tile(np.array(pixels.shape[1:3]), (len(pixels), 1)))


def _digest(picture: NDArray[np.uint8]) -> bytes:
    """Return 128 bits of the shape and the pixels; those of two pictures differ for certain."""
    hashed = hashlib.blake2b(str(picture.shape).encode(), digest_size=DIGEST_BYTES)
    hashed.update(np.ascontiguousarray(picture).data)
    return hashed.digest()


def _shrink(picture: NDArray[np.uint8]) -> tuple[Gray, NDArray[np.uint8]]:
    """Return brightness (64, 64) and colors (2, 8, 8) of a picture (H, W, 3)."""
    parts = np.asarray(_resize(picture, SIDE).convert("YCbCr"))
    colors = np.asarray(_resize(parts, COLOR_SIDE))[..., 1:]
    return parts[..., 0], np.moveaxis(colors, -1, 0)


def _resize(pixels: NDArray[np.uint8], side: int) -> Image.Image:
    # Pillow's filter averages over all pixels of a larger picture, so that nothing is aliased.
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return picture.resize((side, side), Image.Resampling.BILINEAR)

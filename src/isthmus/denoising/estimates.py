"""`estimate_source`: how strong the noise of each picture of a source is."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from isthmus.data.cache import Track, untracked
from isthmus.data.decode import reject_too_many
from isthmus.data.manifest import Content, Manifest
from isthmus.data.pictures.decoding import Picture, decode_pages, decode_picture
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import LeftOut
from isthmus.data.sources import locate_source
from isthmus.denoising.estimate import estimate_noise
from isthmus.denoising.sources import EVERY_PICTURE, all_bits
from isthmus.errors import IsthmusError, SourceError, first_sentence
from isthmus.inference.numbers import RANGES
from isthmus.limits import reject_beyond


@dataclass(frozen=True)
class Estimates:
    """What `estimate_source` has found.

    Parameters
    ----------
    names : tuple of str
        Of the pictures; the pages of a file of several are called `scan.tif#1`, `scan.tif#2`, ….
    sigmas : tuple of float
        Standard deviations of their noise, white being 1; NaN where it cannot be estimated.
    skipped : tuple of (name, reason)
        Pictures and pages that could not be decoded.
    left_out : tuple of LeftOut
        Files of the source that are no pictures, or of a kind that is not read.
    """

    names: tuple[str, ...]
    sigmas: tuple[float, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def median(self) -> float:
        """The median of all that could be estimated; NaN if none could."""
        known = [sigma for sigma in self.sigmas if not math.isnan(sigma)]
        return float(np.median(known)) if known else math.nan


def estimate_source(source: str | Path, *, track: Track = untracked) -> Estimates:
    """Estimate the noise of each picture of a source, in its own size and with all of its bits.

    Parameters
    ----------
    source : path or str
        As for `denoise`. Of a file of several pages or frames, each has its estimate.
    track : callable
        Shows progress.

    Raises
    ------
    SourceError
        If the source cannot be read, holds signals, or more than a tenth of its pictures are
        broken.
    """
    name, location, read = locate_source(source)
    manifest = read(location, None, EVERY_PICTURE)
    if manifest.values is not None:
        return _estimate_array(manifest, name, location, track)
    found: dict[str, float] = {}
    skipped: list[tuple[str, str]] = []
    broken = {}
    for i, file in enumerate(track(manifest.files, len(manifest.names), "Estimating")):
        try:
            for page, picture in _decode_all(file, manifest.names[i]):
                if isinstance(picture, Picture):
                    found[page] = _estimate_picture(picture)
                else:
                    skipped.append((page, first_sentence(picture)))
        except IsthmusError as error:
            broken[i] = _explain(error)
            skipped.append((manifest.names[i], broken[i]))
            reject_too_many(broken, manifest, name, done=i + 1)
    left_out = manifest.findings.left_out
    return Estimates(tuple(found), tuple(found.values()), tuple(skipped), left_out)


def _estimate_array(manifest: Manifest, name: str, location: Path, track: Track) -> Estimates:
    values = all_bits(np.asarray(manifest.values), location)
    if values.ndim != 4:
        raise SourceError(f"{name} holds signals, whose noise is not estimated; give images.")
    sigmas = [estimate_noise(one) for one in track(values, len(values), "Estimating")]
    return Estimates(tuple(manifest.names), tuple(sigmas))


def _decode_all(file: Content, name: str) -> Iterator[tuple[str, Picture | IsthmusError]]:
    """Yield the pages of a file with their names; raise what is wrong with the first."""
    if isinstance(file, SourceError):
        raise file
    first = decode_picture(file, Preprocessing(), is_whole=True)
    if first.pages == 1:
        yield name, first
        return
    reject_beyond("ISTHMUS_MAX_PAGES", first.pages, f"it has {first.pages:,} pages or more")
    others = decode_pages(file, Preprocessing(), range(1, first.pages), is_whole=True)
    for number, picture in enumerate(chain([first], others), 1):
        yield f"{name}#{number}", picture


def _estimate_picture(picture: Picture) -> float:
    pixels, (low, high) = picture.pixels, picture.black_white
    if RANGES.get(pixels.dtype) == (low, high):
        return estimate_noise(pixels)
    return estimate_noise((pixels - np.float32(low)) / np.float32(high - low))


def _explain(error: IsthmusError) -> str:
    """Return why a file is not read, without options that only training has."""
    reason = first_sentence(error)
    return reason.partition(";")[0] if "--stretch" in reason else reason

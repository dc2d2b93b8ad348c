"""Which values of a source become black and white, where the user says so."""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import DAMAGE
from isthmus.data.cache.folder import STRETCH, samples_folder
from isthmus.data.cache.sealed import read_sealed, seal
from isthmus.data.decode import decode_blocks
from isthmus.data.manifest import Manifest
from isthmus.data.pictures.pixels import Stretch, format_stretch, value_range
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Note
from isthmus.data.samples import Origin
from isthmus.errors import IsthmusError, OptionError, SourceError
from isthmus.files import fingerprint, write_bytes

FORMAT = 1  # of the files that remember a range; raise it when it would be another
ANY = (0.0, 1.0)  # a range that every number can be stretched to, so that no file is refused


def parse_stretch(text: str) -> Stretch | None:
    """Return the two numbers of LOW:HIGH, or None for auto.

    Raises
    ------
    OptionError

    Examples
    --------
    >>> parse_stretch("0:4095")
    (0.0, 4095.0)
    """
    if text == "auto":
        return None
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        low = high = 0.0
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise OptionError(
            f"stretch must be LOW:HIGH, two numbers such as 0:4095, or auto, not {text!r}."
        )
    return low, high


def resolve_stretch(origin: Origin, files: Sequence[Any], read: Callable[[], Manifest]) -> Origin:
    """Return the origin with the values that its `Reading.stretch` asks for.

    Values that it has already are kept: they are those that a model was trained with.

    Parameters
    ----------
    origin : Origin
    files : sequence
        Identify the content of the source: what auto finds is remembered for it.
    read : callable
        Reads what the source holds, for auto.
    """
    reading, preprocessing = origin.reading, origin.preprocessing
    if reading is None or reading.stretch is None or preprocessing.stretch is not None:
        return origin
    stretch = parse_stretch(reading.stretch)
    if stretch is None:
        key = fingerprint(FORMAT, origin, json.dumps(files).encode())
        stretch = _recall(key) or _find_and_remember(key, read, preprocessing)
    return replace(origin, preprocessing=replace(preprocessing, stretch=stretch))


def stretch_of_array(values: NDArray[Any], text: str) -> Stretch:
    """Return the values that `Reading.stretch` asks for, of an array in memory."""
    return parse_stretch(text) or _widen(*value_range(values, "the array"))


def note_stretch(stretch: Stretch) -> Note:
    """Return the sentence on what auto has chosen."""
    low, high = stretch
    text = f"{low:,g} becomes black and {high:,g} white, the smallest and the largest value"
    return Note("guess", "stretch", text, f"--stretch {format_stretch(stretch)}")


def _widen(low: float, high: float) -> Stretch:
    """Return a range that is not empty: values that are all the same become black."""
    return (low, high) if low < high else (low, low + 1)


def _recall(key: str) -> Stretch | None:
    """Return the range that is remembered under a key; a damaged one is found again."""
    with suppress(*DAMAGE):
        content = read_sealed(_file(key))
        low, high = map(float, content["stretch"])
        if content["of"] == key and math.isfinite(low) and math.isfinite(high) and low < high:
            return low, high
    return None


def _find_and_remember(
    key: str, read: Callable[[], Manifest], preprocessing: Preprocessing
) -> Stretch:
    stretch = _widen(*_find(read(), preprocessing))
    with suppress(IsthmusError):  # a cache that cannot be written is reported where it is needed
        write_bytes(_file(key), seal({"of": key, "stretch": stretch}))
    return stretch


def _file(key: str) -> Path:
    return samples_folder() / f"{key}{STRETCH}"


def _find(manifest: Manifest, preprocessing: Preprocessing) -> Stretch:
    """Return the smallest and the largest value of a source."""
    if manifest.values is not None:
        values = manifest.findings.values
        if values is None:
            raise OptionError("stretch auto needs an array of pixels; give LOW:HIGH instead.")
        return values.low, values.high
    with closing(decode_blocks(manifest, replace(preprocessing, stretch=ANY))) as blocks:
        limits = np.concatenate([np.empty((0, 2)), *(block.limits for block in blocks)])
    if not len(limits):
        raise SourceError("no picture can be decoded, so that stretch auto finds no values.")
    return float(limits[:, 0].min()), float(limits[:, 1].max())

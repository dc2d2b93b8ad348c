"""Which bands of a picture become its channels, where the user says so."""

from dataclasses import replace

from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import CHANNEL_PLACES, Reading
from isthmus.errors import OptionError


def parse_bands(text: str) -> tuple[int, ...] | None:
    """Return the bands, from 0, that a text such as 4,3,2 names from 1; None for first and last.

    Raises
    ------
    OptionError
        If it names none of them, or neither one band nor three.

    Examples
    --------
    >>> parse_bands("4,3,2")
    (3, 2, 1)
    """
    if text in CHANNEL_PLACES:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, 3) or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise OptionError(
            "channels must be first, last, or the numbers of one or of three bands, from 1, such "
            f"as 4,3,2, not {text!r}."
        )
    return tuple(int(part) - 1 for part in parts)


def format_bands(bands: tuple[int, ...]) -> str:
    """Undo `parse_bands`."""
    return ",".join(str(band + 1) for band in bands)


def resolve_bands(preprocessing: Preprocessing, reading: Reading | None) -> Preprocessing:
    """Return the preprocessing with the bands that `Reading.channels` asks for.

    Bands that it has already are kept: they are those that a model was trained with.
    """
    if reading is None or reading.channels is None or preprocessing.bands is not None:
        return preprocessing
    return replace(preprocessing, bands=parse_bands(reading.channels))

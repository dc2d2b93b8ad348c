"""Codes of a dataset on a map, some at a time, as a table."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.manifest import evenly_spaced
from isthmus.files import atomic_write
from isthmus.latent.lance.dataset import LanceCodes
from isthmus.latent.maps import Map, csv_lines
from isthmus.places import TABLE_COLUMNS
from isthmus.text import to_utf8

# Codes that are placed on a map at once, and the numbers of them in memory.
BLOCK_ROWS, BLOCK_NUMBERS = 2**15, 2**24


def place_codes(
    drawn: Map,
    codes: LanceCodes,
    out: Path,
    *,
    limit: int | None = None,
    fitted: NDArray[np.bool_] | None = None,
    track: Track = untracked,
) -> None:
    """Write where codes are on a map, as a CSV file; see `isthmus.place_on_cluster`.

    Parameters
    ----------
    drawn : Map
        Fitted on codes of the same model and layer.
    codes : LanceCodes
    out : Path
        It is replaced.
    limit : int, optional
        At most as many codes, spread evenly.
    fitted : bool array, optional
        Which of the codes that are placed the map was fitted on; by default none.
    track : callable
        Shows progress, in blocks of codes.

    Raises
    ------
    IsthmusError
        If the file cannot be written.
    SourceError
        If the dataset is damaged.
    """
    places, rows = evenly_spaced(len(codes), limit), choose_rows(codes)
    starts = range(0, len(places), rows)
    blocks = (
        drawn.transform(codes.take(places[start : start + rows]))
        for start in track(starts, len(starts), "Placing")
    )
    write_points(out, blocks, codes, places, fitted)


def choose_rows(codes: LanceCodes) -> int:
    """Return how many codes are placed at once."""
    return max(1, min(BLOCK_ROWS, BLOCK_NUMBERS // codes.facts.size))


def write_points(
    out: Path,
    blocks: Iterable[NDArray[np.float32]],
    codes: LanceCodes,
    places: NDArray[np.int64],
    fitted: NDArray[np.bool_] | None = None,
) -> None:
    """Write the points of codes with their names, some at a time.

    Parameters
    ----------
    out : Path
    blocks : iterable of (n, 2) float32
    codes : LanceCodes
    places : (N,) int64
        Of the codes, as `LanceCodes.take` knows them.
    fitted : (N,) bool, optional
        Which of them the map was fitted on; by default none.
    """
    is_fitted, done = np.zeros(len(places), np.bool_) if fitted is None else fitted, 0
    with atomic_write(out) as file:
        file.write(to_utf8(",".join(TABLE_COLUMNS) + "\n"))
        for xy in blocks:
            end = done + len(xy)
            items = codes.take_items(places[done:end])
            file.write(to_utf8(csv_lines(items, xy, is_fitted[done:end])))
            done = end

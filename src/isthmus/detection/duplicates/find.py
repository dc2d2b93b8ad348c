"""`find_duplicates`: equal and nearly equal pictures of a source or a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.load import choose_preprocessing, load_with, plan_loading
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Reading
from isthmus.data.samples import Samples
from isthmus.detection.duplicates.agreement import find_plain
from isthmus.detection.duplicates.candidates import View, list_views, propose_pairs
from isthmus.detection.duplicates.groups import group_pairs
from isthmus.detection.duplicates.pairs import Pair, measure_pairs
from isthmus.detection.duplicates.pictures import Pictures, of_plan, of_run, of_samples
from isthmus.detection.duplicates.result import Duplicates
from isthmus.detection.duplicates.thumbnails import Thumbnails
from isthmus.errors import OptionError
from isthmus.training.store import is_run

if TYPE_CHECKING:  # it imports torch, which is of no use here
    from isthmus.training.run import Run

# Chosen on pairs planted in training photographs: see benchmarks/README.md.
NEAR = 0.98


def find_duplicates(
    source: "str | Path | NDArray[Any] | Samples | Run",
    *,
    near: float = NEAR,
    mirrored: bool = True,
    turned: bool = False,
    size: int | tuple[int, int] | None = None,
    crop: int | None = None,
    channels: int | None = None,
    background: str = "white",
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> Duplicates:
    """Find pictures that are equal, and those that show the same after a change.

    Equal are pictures of one size whose decoded pixels all are. Nearly equal are pictures of which
    one is a crop of the other (of 85% of its sides or more), mirrored, compressed again, brighter
    or darker, or of another size. Crops of pictures below 40 pixels are not looked for.

    Parameters
    ----------
    source : str, Path, array, Samples or Run
        What `isthmus.load` reads, samples, or a run or its folder. Pictures may differ in size. Of
        a run, its samples are compared as the model sees them, with the splits of the run.
    near : float
        The agreement from which two pictures are nearly equal, above 0.5 and up to 1. It is 1 for
        equal details, 0.5 for unrelated ones, and seldom above 0.9 for other photographs of the
        same thing: see `isthmus.detection.duplicates.agreement`.
    mirrored : bool
        Also find mirror images; for digits, letters and signs they are something else.
    turned : bool
        Also find pictures that are turned by 90° or 180°, or upside down.
    size, crop, channels, background, limit, reading
        As for `isthmus.load`, of a source.
    track : callable
        Shows progress.

    Returns
    -------
    Duplicates

    Raises
    ------
    SourceError
        If the source cannot be read, or is a single picture.
    OptionError
        If `near` is out of range, or the source holds signals.

    Examples
    --------
    >>> found = find_duplicates("digits", near=0.99)
    >>> len(found.groups), found.removable
    (0, [])
    """
    require_near(near)
    given = (size, crop, channels, limit, reading)
    if not isinstance(source, str | Path | np.ndarray) or is_run_folder(source):
        if any(one is not None for one in given):
            raise OptionError(
                "size, crop, channels, limit and reading are those of a source; samples and runs "
                "have theirs already."
            )
        return find_among(
            open_pictures(source, track), near=near, mirrored=mirrored, turned=turned, track=track
        )
    preprocessing = choose_preprocessing(size, crop, channels, background)
    pictures = read_pictures(source, preprocessing, limit=limit, reading=reading, track=track)
    return find_among(pictures, near=near, mirrored=mirrored, turned=turned, track=track)


def require_near(near: float) -> None:
    """Reject a threshold without a meaning, before long work.

    Raises
    ------
    OptionError
    """
    if not 0.5 < near <= 1:
        raise OptionError(f"near must be above 0.5 and at most 1, not {near:g}.")


def is_run_folder(source: object) -> bool:
    """Return whether a source is the folder of a run."""
    return isinstance(source, str | Path) and bool(str(source)) and is_run(source)


def open_pictures(source: Any, track: Track = untracked) -> Pictures:
    """Return the pictures of samples, of a run or of its folder, with their splits."""
    if isinstance(source, Samples):
        return of_samples(source, source.splits, track)
    from isthmus.training.run import Run

    run = Run.open(source) if isinstance(source, str | Path) else source
    samples = run.samples(track)
    return of_run(samples, run.split(), track)


def read_pictures(
    source: str | Path | NDArray[Any],
    preprocessing: Preprocessing,
    *,
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> Pictures:
    """Read the pictures of a source; see `find_duplicates`."""
    if isinstance(source, np.ndarray):
        samples = load_with(source, preprocessing, limit=limit, reading=reading)
        return of_samples(samples, samples.splits, track)
    return of_plan(plan_loading(source, preprocessing, limit=limit, reading=reading), track)


def find_among(
    pictures: Pictures,
    *,
    near: float = NEAR,
    mirrored: bool = True,
    turned: bool = False,
    track: Track = untracked,
) -> Duplicates:
    """Find duplicates among pictures that have been read; see `find_duplicates`."""
    thumbnails, views = pictures.thumbnails, list_views(mirrored, turned)
    is_plain = find_plain(thumbnails.gray)
    pairs = _equal_pairs(thumbnails)
    # One of each set of equal pictures is enough.
    rows = np.setdiff1d(np.flatnonzero(~is_plain), [pair.second for pair in pairs])
    if len(rows) > 1:
        pairs += _near_pairs(thumbnails, rows, near, views, track)
    groups = group_pairs(pairs, len(pictures))
    return Duplicates(pictures, near, int(is_plain.sum()), tuple(groups))


def _equal_pairs(thumbnails: Thumbnails) -> list[Pair]:
    originals = thumbnails.originals
    copies = np.flatnonzero(originals != np.arange(len(originals)))
    return [Pair(int(originals[row]), int(row)) for row in copies.tolist()]


def _near_pairs(
    thumbnails: Thumbnails,
    rows: NDArray[np.int64],
    near: float,
    views: Sequence[View],
    track: Track,
) -> list[Pair]:
    """Compare the pictures at some rows."""
    gray = thumbnails.gray if len(rows) == len(thumbnails) else thumbnails.gray[rows]
    candidates = propose_pairs(gray, views, track)
    first, second = rows[candidates.first], rows[candidates.second]
    return measure_pairs(thumbnails, candidates._replace(first=first, second=second), near, track)

"""`stylize`: a source of photographs becomes a folder or a file of paintings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import LeftOut
from isthmus.data.sources import locate_source
from isthmus.denoising.ledger import STYLIZED
from isthmus.denoising.originals import Page
from isthmus.denoising.pictures import Change
from isthmus.denoising.sources import (
    EVERY_PICTURE,
    Loss,
    change_pictures,
    losses,
    reject_existing,
)
from isthmus.errors import SourceError
from isthmus.inference.model import Model
from isthmus.inference.trained import TrainedModel
from isthmus.places import require_outside
from isthmus.styling.shares import choose_shares, describe_shares, name_shares
from isthmus.styling.values import paint, require_painter, require_side

BATCH_SIZE = 8  # pages that are painted before they are written


@dataclass(frozen=True)
class Stylized:
    """What `stylize` has written.

    Parameters
    ----------
    count : int
        Pictures.
    shares : dict of float by str
        How much of each style they have; those of which they have nothing are left out.
    skipped : tuple of (name, reason)
        Pictures that could not be decoded.
    lost : tuple of Loss
        What files do not keep; most frequent first.
    left_out : tuple of LeftOut
        Files of the source that are no pictures, or of a kind that is not read.
    """

    count: int
    shares: dict[str, float]
    skipped: tuple[tuple[str, str], ...] = ()
    lost: tuple[Loss, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def stylize(
    model: Model,
    source: str | Path,
    out: str | Path,
    style: str | None = None,
    *,
    mix: Mapping[str, float] | None = None,
    strength: float = 1.0,
    side: int | None = None,
    track: Track = untracked,
) -> Stylized:
    """Paint the pictures of a source in styles, into files of the same names, sizes and formats.

    Transparency, all pages or frames, color profile, EXIF and resolution are those of the original;
    what a format cannot keep is told. A folder that was left by Ctrl-C, a crash or a full disk is
    completed by the same call.

    Parameters
    ----------
    model : Model
        A style bank; see `isthmus style train`.
    source : path or str
        A picture, or a folder or archive of pictures.
    out : path
        A new folder; of a single picture, a new file too.
    style, mix, strength, side
        See `stylize_values`.
    track : callable
        Shows progress.

    Raises
    ------
    OptionError
        If a style is unknown, a number is out of range, or `out` exists and is not an empty folder.
    SourceError
        If the source cannot be read, holds no pictures, or more than a tenth of them are broken.
    ModelError
        If the model is no style bank.
    IsthmusError
        If a file cannot be written.
    """
    painter, out = require_painter(model), Path(out)
    names = painter.config.style_names
    shares = choose_shares(names, style, mix=mix, strength=strength)
    require_side(side)
    name, location, read = locate_source(source)
    require_outside(out, location)
    reject_existing(out, STYLIZED)
    manifest = read(location, None, EVERY_PICTURE)
    if manifest.values is not None:
        raise SourceError(f"{name} holds an array; give pictures, or use stylize_values in Python.")
    change = painting(painter, shares, side)
    entries, skipped = change_pictures(change, manifest, name, location, out, track)
    left_out = manifest.findings.left_out
    return Stylized(len(entries), name_shares(names, shares), skipped, losses(entries), left_out)


def painting(model: TrainedModel, shares: NDArray[np.float32], side: int | None) -> Change:
    """Return what `stylize` does with pictures."""
    style = describe_shares(name_shares(model.config.style_names, shares))
    if side is not None:
        style += f" at {side}"
    return Change(
        "Painting",
        STYLIZED,
        {"model": model.fingerprint, "style": style},
        Preprocessing(background=model.preprocessing.background),
        BATCH_SIZE,
        partial(_paint_all, model, shares, side),
        lambda pixels: side is not None and max(pixels.shape[:2]) > side,
    )


def _paint_all(
    model: TrainedModel,
    shares: NDArray[np.float32],
    side: int | None,
    pages: Sequence[Page],
) -> list[NDArray[np.uint8]]:
    return [paint(model, page.pixels, shares, side) for page in pages]

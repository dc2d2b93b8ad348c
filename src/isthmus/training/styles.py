"""`Styles`: the pictures that a style bank learns to paint like, and how much each loss weighs.

A run keeps all of it: styles.npz has the pictures, features.safetensors the weights of the network
that compares images, and run.json the rest. So it needs no other file to be resumed exactly.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import read_npz, require_array
from isthmus.data.cache import Track, untracked
from isthmus.data.manifest import Manifest
from isthmus.data.pictures.pixels import recolor, resize
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Reading
from isthmus.data.sources import locate_source
from isthmus.errors import OptionError, RunError, SourceError, first_sentence
from isthmus.fields import require_fingerprint
from isthmus.files import fingerprint

Picture = NDArray[np.uint8]  # (H, W, 3)
STYLES, FEATURES = "styles.npz", "features.safetensors"  # of a run
SIDE = 192  # pixels of the shorter side of a style's picture, by default
MIN_SIDE, MAX_SIDE = 32, 2048
MAX_WEIGHT = 1_000_000  # of a loss; far larger ones exceed what 32 bits hold
EVERY_PICTURE = Reading(classes_from="none", parts="none")
SEPARATORS = ":,"  # between names and shares where several styles are given


@dataclass(frozen=True)
class StyleSettings:
    """What run.json says of the styles of a run.

    Parameters
    ----------
    features : str
        The network whose features say what an image shows and how it is painted: random, vgg16 or
        classifier.
    content, style, smoothness, rebuild : float
        Weights of the losses: of what a photograph shows, of how a style is painted, of
        differences between neighboring pixels, and of the autoencoder alone.
    period : int
        T: after so many steps that train styles, one trains the autoencoder alone.
    kept : int
        So many styles, the first ones, and the autoencoder stay as they are.
    fingerprint : str
        Of the pictures of the styles and of the features.
    """

    features: str = "random"
    content: float = 1.0
    style: float = 5.0
    smoothness: float = 0.5
    rebuild: float = 25.0
    period: int = 4
    kept: int = 0
    fingerprint: str = "0" * 16

    def __post_init__(self) -> None:
        for name in ("content", "style", "smoothness", "rebuild"):
            if not 0 <= getattr(self, name) <= MAX_WEIGHT:
                raise OptionError(
                    f"the weight of {name} must be from 0 to {MAX_WEIGHT:,}, not "
                    f"{getattr(self, name)}."
                )
        if not self.style:
            raise OptionError("the weight of style must be above 0.")
        for name, low in (("period", 1), ("kept", 0)):
            if getattr(self, name) < low:
                raise OptionError(f"{name} must be at least {low}, not {getattr(self, name)}.")
        require_fingerprint(self.fingerprint, "styles.fingerprint")


@dataclass(frozen=True)
class Styles:
    """Pictures of styles by name, and how they are learned.

    Parameters
    ----------
    pictures : mapping
        Name: (H, W, 3) uint8.
    features : str or path, optional
        What compares images: random filters (random), the run of a classifier, or a file with the
        weights of VGG-16. By default that of the run to start from, or else random.
    settings : StyleSettings
    skipped : tuple of (name, reason)
        Pictures that could not be decoded.
    """

    pictures: Mapping[str, Picture]
    features: str | Path | None = None
    settings: StyleSettings = field(default_factory=StyleSettings)
    skipped: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.pictures:
            raise OptionError("there is no style; give at least one picture.")
        for name, picture in self.pictures.items():
            _check_name(name)
            _check_picture(name, picture)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the styles, in order."""
        return tuple(self.pictures)


def load_styles(
    source: str | Path,
    *,
    side: int = SIDE,
    features: str | Path | None = None,
    settings: StyleSettings | None = None,
    track: Track = untracked,
) -> Styles:
    """Read pictures of styles, each named by its file.

    Parameters
    ----------
    source : path
        A picture, or a folder or archive of pictures.
    side : int
        Pixels of the shorter side to which larger pictures are reduced. Photographs are painted
        with strokes as large as they are then.
    features, settings
        See `Styles`.
    track : callable
        Shows progress.

    Raises
    ------
    SourceError
        If there is no picture, or none can be decoded.
    OptionError
        If two pictures have one name, or a setting is out of its range.
    """
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise OptionError(
            f"the side of styles must be from {MIN_SIDE} to {MAX_SIDE} pixels, not {side}."
        )
    name, location, read = locate_source(source)
    manifest = read(location, None, EVERY_PICTURE)
    pictures, skipped = _decode(manifest, side, track)
    if not pictures:
        first = f": {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise SourceError(f"{name} has no picture of a style that can be read{first}.")
    return Styles(pictures, features, settings or StyleSettings(), tuple(skipped))


def _decode(
    manifest: Manifest, side: int, track: Track
) -> tuple[dict[str, Picture], list[tuple[str, str]]]:
    pictures: dict[str, Picture] = {}
    skipped: list[tuple[str, str]] = []
    owners: dict[str, str] = {}
    files = manifest.files if manifest.values is None else manifest.values
    for file, whole in zip(
        manifest.names, track(files, len(manifest.names), "Reading styles"), strict=True
    ):
        try:
            pixels = recolor(_decode_one(whole), 3, "white")
        except SourceError as error:
            skipped.append((file, first_sentence(error)))
            continue
        name = Path(file).stem
        if name in owners:
            raise OptionError(
                f"{owners[name]} and {file} would both be the style {name}; rename one."
            )
        owners[name], pictures[name] = file, _reduce(pixels, side)
    return pictures, skipped


def _decode_one(content: Any) -> Picture:
    """Return the pixels of a file, or those that an array of pictures holds."""
    if isinstance(content, SourceError):
        raise content
    if not isinstance(content, np.ndarray):
        return Preprocessing().decode(content)
    if content.dtype != np.uint8 or content.ndim != 3:
        raise SourceError("it is a signal and no picture.")
    return content


def _reduce(pixels: Picture, side: int) -> Picture:
    """Reduce a picture until its shorter side has so many pixels."""
    scale = side / min(pixels.shape[:2])
    if scale >= 1:
        return pixels
    height, width = (max(1, round(scale * one)) for one in pixels.shape[:2])
    return resize(pixels, (height, width))


def _check_name(name: str) -> None:
    if not name.strip() or any(letter in name for letter in SEPARATORS):
        raise OptionError(
            f"a style cannot be called {name!r}, as a list of styles has {' and '.join(SEPARATORS)}"
            " between them; rename its file."
        )


def _check_picture(name: str, picture: Picture) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise OptionError(
            f"the style {name} is {picture.dtype} {picture.shape} and should be a picture "
            "(H, W, 3) of uint8."
        )
    if min(picture.shape[:2]) < MIN_SIDE:
        height, width = picture.shape[:2]
        raise OptionError(
            f"the style {name} has {width} × {height} pixels, and sides of at least {MIN_SIDE} are "
            "needed; give a larger picture."
        )


# -- files of a run -------------------------------------------------------------------------


def pack_pictures(pictures: Mapping[str, Picture]) -> bytes:
    """Return the content of styles.npz: pictures by their place in the order of names."""
    content = io.BytesIO()
    # Not compressed: one of a single color would look like an attack when it is read.
    arrays: dict[str, Any] = {str(number): one for number, one in enumerate(pictures.values())}
    np.savez(content, **arrays)
    return content.getvalue()


def parse_pictures(content: bytes, names: tuple[str, ...]) -> dict[str, Picture]:
    """Return the pictures in the content of styles.npz by name.

    Raises
    ------
    IsthmusError
        If they are damaged, or not as many as there are names.
    """
    arrays = read_npz(content)
    if len(arrays) != len(names):
        raise RunError(f"it has {len(arrays)} pictures, and the run {len(names)} styles")
    pictures = {}
    for number, name in enumerate(names):
        pictures[name] = require_array(arrays, str(number), "u", 3)
        _check_picture(name, pictures[name])
    return pictures


def fingerprint_styles(pictures: Mapping[str, Picture], features: str) -> str:
    """Return 16 hexadecimal digits of the pictures of styles and of their features."""
    arrays = [np.ascontiguousarray(picture).data for picture in pictures.values()]
    return fingerprint(list(pictures), features, *arrays)

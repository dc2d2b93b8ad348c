"""`predict_masks`: pictures in, masks of their own sizes out, as files that can be masks again."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.cache import Track, untracked
from isthmus.data.decode import reject_too_many
from isthmus.data.manifest import Manifest
from isthmus.data.readers.masks.class_lists import CLASSES_FILE
from isthmus.data.reading import LeftOut
from isthmus.data.samples import VOID
from isthmus.data.sources import locate_source
from isthmus.errors import OptionError, SourceError, first_sentence
from isthmus.evaluation.predictions import shares_by_class
from isthmus.files import atomic_folder, put
from isthmus.inference.batches import FILES_TOGETHER, collect_batches
from isthmus.inference.model import Model
from isthmus.places import require_free, require_inner_name, require_outside
from isthmus.text import to_utf8
from isthmus.viz.masks import VOID_COLOR, colors
from isthmus.viz.mosaic import bytes_of

Whole = NDArray[np.uint8]  # all pixels of a picture (H, W, C)
Reject = Callable[[dict[int, str], int], None]


@dataclass(frozen=True)
class PredictedMasks:
    """What `predict_masks` has written.

    Parameters
    ----------
    folder : Path
    rows : list of dict
        For each picture its `name`, the path of its `mask`, and the `shares` of the pixels that
        the model saw, of the classes that are present, the largest first.
    skipped : tuple of (name, reason)
        Pictures that could not be decoded.
    left_out : tuple of LeftOut
        What was not read of the sources.
    """

    folder: Path
    rows: list[dict[str, Any]]
    skipped: tuple[tuple[str, str], ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class MaskRow:
    """A mask that is written.

    Parameters
    ----------
    name : str
        Of its picture.
    file : str
        Its path in the folder.
    size : int
        Of the file, in bytes.
    shares : dict
        See `PredictedMasks`.
    """

    name: str
    file: str
    size: int
    shares: dict[str, float]

    def describe(self, folder: Path) -> dict[str, Any]:
        """Return the row of `PredictedMasks`."""
        return {"name": self.name, "mask": str(folder / self.file), "shares": self.shares}


def predict_masks(
    model: Model,
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    limit: int | None = None,
    track: Track = untracked,
) -> PredictedMasks:
    """Predict the class of each pixel, and write a mask for each picture.

    The masks have the names of the pictures, with .png, and their heights and widths. A pixel
    holds the index of its class, or 255 (void) where the model crops the picture and sees nothing;
    a palette shows them in the colors of our figures. `classes.txt` names the classes. So the
    folder can be the `masks` of a data set.

    Parameters
    ----------
    model : Model
        A segmenter.
    sources : path, str, or sequence of them
        As for `load`.
    out : path
        A new or empty folder.
    limit : int, optional
        At most as many pictures of each source.
    track : callable
        Shows progress.

    Raises
    ------
    OptionError
        If `out` exists and is not an empty folder, or lies in a source; or two masks would get
        the same name.
    SourceError
        If a source cannot be read, or more than a tenth of its pictures are broken.
    ModelError
        If the model is not a segmenter, or the samples do not fit it.
    IsthmusError
        If a file cannot be written. After any error, nothing is left in `out`.
    """
    model.require_task("segment")
    located = [locate_source(source) for source in _as_list(sources)]
    out = Path(out)
    for _, location, _ in located:
        require_outside(out, location)
    require_free(out)
    manifests = [(name, read(location, limit, None)) for name, location, read in located]
    require_mask_names(name for _, manifest in manifests for name in manifest.names)
    rows: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    with atomic_folder(out) as folder:
        for source, manifest in manifests:
            reject = partial(_reject_too_many, manifest, source)
            found, broken = write_masks(model, manifest, folder, track=track, reject=reject)
            rows += [row.describe(out) for row in found]
            skipped += [(manifest.names[i], reason) for i, reason in broken.items()]
        put(folder / CLASSES_FILE, list_classes(model))
    left_out = tuple(one for _, manifest in manifests for one in manifest.findings.left_out)
    return PredictedMasks(out, rows, tuple(skipped), left_out)


def _as_list(sources: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    return [sources] if isinstance(sources, str | Path) else sources


def require_mask_names(names: Iterable[str]) -> None:
    """Reject pictures whose masks would lie elsewhere, or get the same name.

    Raises
    ------
    OptionError
    """
    owners: dict[str, str] = {}
    for name in names:
        require_inner_name(name)
        mask = mask_path(name)
        if mask.lower() in owners:
            raise OptionError(
                f"{owners[mask.lower()]} and {name} would get the same mask {mask}; rename one, or "
                "give one source at a time."
            )
        owners[mask.lower()] = name


def mask_path(name: str) -> str:
    """Return the path of a picture's mask in its folder."""
    path = PurePosixPath(name)
    # Not `with_suffix`: names of the samples of an array have none.
    return str(path.with_suffix(".png")) if path.suffix else f"{path}.png"


def list_classes(model: Model) -> bytes:
    """Return the content of the file that names the classes of masks."""
    return to_utf8("".join(f"{name}\n" for name in model.class_names))


def write_masks(
    model: Model,
    manifest: Manifest,
    folder: Path,
    *,
    write: Callable[[Path, bytes], None] = put,
    track: Track = untracked,
    reject: Reject = lambda broken, tried: None,
) -> tuple[list[MaskRow], dict[int, str]]:
    """Write the masks of pictures into a folder.

    Parameters
    ----------
    model : Model
        A segmenter.
    manifest : Manifest
    folder : Path
    write : callable
        Writes a file; by default into a folder of `atomic_folder`.
    track : callable
        Shows progress.
    reject : callable
        Gets what is broken, and how many pictures were tried; raises if it is too much.

    Returns
    -------
    rows : list of MaskRow
    broken : dict
        From the place of a picture to the reason.
    """
    broken: dict[int, str] = {}
    classes, rows = len(model.class_names), []
    for name, mask, shares in _predict(model, manifest, broken, track, reject):
        content = _encode_mask(mask, classes)
        write(folder / mask_path(name), content)
        rows.append(MaskRow(name, mask_path(name), len(content), shares))
    return rows, broken


def _predict(
    model: Model, manifest: Manifest, broken: dict[int, str], track: Track, reject: Reject
) -> Iterator[tuple[str, NDArray[np.uint8], dict[str, float]]]:
    """Yield the name of each picture, its mask (H, W) and the shares of its classes."""
    preprocessing, classes = model.preprocessing, model.class_names
    size = min(model.batch_size, FILES_TOGETHER)
    decoded = _decode(model, manifest, broken, track, reject)
    for batch in collect_batches(decoded, size, lambda one: one[1].nbytes, row=lambda one: one[0]):
        fitted = np.stack([preprocessing.fit(whole) for _, whole in batch])
        for (row, whole), mask in zip(batch, model.predict(fitted), strict=True):
            shares = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
            present = {
                key: share for key, share in shares_by_class(classes, shares).items() if share
            }
            whole_mask = preprocessing.undo_fit_mask(mask.astype(np.uint8), whole.shape[:2])
            yield manifest.names[row], whole_mask, present


def _decode(
    model: Model, manifest: Manifest, broken: dict[int, str], track: Track, reject: Reject
) -> Iterator[tuple[int, Whole]]:
    """Yield places and whole pictures; note broken ones with their reasons."""
    contents: Iterable[Any] = manifest.files if manifest.values is None else manifest.values
    for i, content in enumerate(track(contents, len(manifest.names), "Predicting")):
        try:
            if isinstance(content, SourceError):
                raise content
            is_array = isinstance(content, np.ndarray)
            whole = content if is_array else model.preprocessing.decode(content)
        except SourceError as error:
            broken[i] = first_sentence(error)
            reject(broken, i + 1)
            continue
        yield i, whole


def _reject_too_many(manifest: Manifest, source: str, broken: dict[int, str], tried: int) -> None:
    reject_too_many(broken, manifest, source, tried)


def _encode_mask(mask: NDArray[np.uint8], classes: int) -> bytes:
    palette = np.zeros((256, 3), np.uint8)
    palette[:classes], palette[VOID] = colors(classes), bytes_of(VOID_COLOR)
    picture = Image.fromarray(mask)
    picture.putpalette(palette.tobytes())
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()

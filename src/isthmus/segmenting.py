"""`predict_masks`: pictures in, masks of their own sizes out, as files that can be masks again."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
from isthmus.inference.batches import collect_batches
from isthmus.inference.model import Model
from isthmus.places import is_free, require_inner_name, require_outside
from isthmus.viz.masks import VOID_COLOR, colors
from isthmus.viz.mosaic import bytes_of

Whole = NDArray[np.uint8]  # all pixels of a picture (H, W, C)


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
    _require_empty(out)
    manifests = [(name, read(location, limit, None)) for name, location, read in located]
    paths = _name_masks([name for _, manifest in manifests for name in manifest.names])
    rows: list[dict[str, Any]] = []
    broken: list[tuple[str, str]] = []
    with atomic_folder(out) as folder:
        for source, manifest in manifests:
            for name, mask, shares in _predict(model, source, manifest, broken, track):
                _write_mask(folder / paths[name], mask, len(model.class_names))
                rows.append({"name": name, "mask": str(out / paths[name]), "shares": shares})
        names = "".join(f"{name}\n" for name in model.class_names)
        put(folder / CLASSES_FILE, names.encode())
    left_out = tuple(one for _, manifest in manifests for one in manifest.findings.left_out)
    return PredictedMasks(out, rows, tuple(broken), left_out)


def _as_list(sources: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    return [sources] if isinstance(sources, str | Path) else sources


def _require_empty(out: Path) -> None:
    if not is_free(out):
        raise OptionError(f"{out} exists already; choose another place, or an empty folder.")


def _name_masks(names: Sequence[str]) -> dict[str, str]:
    """Return the paths of masks in their folder, by the names of their pictures."""
    paths: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in names:
        path = PurePosixPath(name)
        require_inner_name(name)
        # Not `with_suffix`: names of the samples of an array have none.
        mask = str(path.with_suffix(".png")) if path.suffix else f"{path}.png"
        if mask.lower() in owners:
            raise OptionError(
                f"{owners[mask.lower()]} and {name} would get the same mask {mask}; rename one, or "
                "give one source at a time."
            )
        owners[mask.lower()], paths[name] = name, mask
    return paths


def _predict(
    model: Model, source: str, manifest: Manifest, skipped: list[tuple[str, str]], track: Track
) -> Iterator[tuple[str, NDArray[np.uint8], dict[str, float]]]:
    """Yield the name of each picture, its mask (H, W) and the shares of its classes."""
    preprocessing, classes = model.preprocessing, model.class_names
    decoded = _decode(model, source, manifest, skipped, track)
    for batch in collect_batches(decoded, model.batch_size, lambda one: one[1].nbytes):
        fitted = np.stack([preprocessing.fit(whole) for _, whole in batch])
        for (name, whole), mask in zip(batch, model.predict(fitted), strict=True):
            shares = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
            present = {
                key: share for key, share in shares_by_class(classes, shares).items() if share
            }
            yield name, preprocessing.undo_fit_mask(mask.astype(np.uint8), whole.shape[:2]), present


def _decode(
    model: Model, source: str, manifest: Manifest, skipped: list[tuple[str, str]], track: Track
) -> Iterator[tuple[str, Whole]]:
    """Yield names and whole pictures; note broken ones with their reasons."""
    contents: Iterable[Any] = manifest.files if manifest.values is None else manifest.values
    broken: dict[int, str] = {}
    for i, content in enumerate(track(contents, len(manifest.names), "Predicting")):
        try:
            if isinstance(content, SourceError):
                raise content
            is_array = isinstance(content, np.ndarray)
            whole = content if is_array else model.preprocessing.decode(content)
        except SourceError as error:
            broken[i] = first_sentence(error)
            reject_too_many(broken, manifest, source, done=i + 1)
            continue
        yield manifest.names[i], whole
    skipped += [(manifest.names[i], reason) for i, reason in broken.items()]


def _write_mask(path: Path, mask: NDArray[np.uint8], classes: int) -> None:
    palette = np.zeros((256, 3), np.uint8)
    palette[:classes], palette[VOID] = colors(classes), bytes_of(VOID_COLOR)
    picture = Image.fromarray(mask)
    picture.putpalette(palette.tobytes())
    content = io.BytesIO()
    picture.save(content, "PNG")
    put(path, content.getvalue())

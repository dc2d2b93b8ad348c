"""`denoise`: noisy files in, clean files out."""

import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.cache import Track, untracked
from isthmus.data.decode import reject_too_many
from isthmus.data.load import locate_source
from isthmus.data.manifest import Manifest
from isthmus.data.readers.trees import PICTURE_SUFFIXES
from isthmus.data.samples import Origin, Samples
from isthmus.errors import IsthmusError, ModelError, OptionError, SourceError, first_sentence
from isthmus.files import atomic_write, write_bytes
from isthmus.inference import TrainedModel

Picture = tuple[str, NDArray[np.uint8]]  # its name and all its pixels (H, W, C)

HELD = 2**26  # bytes of whole pictures that are held at once
WRITERS = 8  # threads: most of a small file's time is the wait until the disk has it
WRITTEN: dict[str, dict[str, Any]] = {
    ".bmp": {"format": "BMP"},
    ".gif": {"format": "GIF"},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".png": {"format": "PNG"},
    ".tif": {"format": "TIFF", "compression": "tiff_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_deflate"},
    ".webp": {"format": "WEBP", "lossless": True},
}


@dataclass(frozen=True)
class Denoised:
    """What `denoise` has done.

    Parameters
    ----------
    count : int
        Samples written.
    resized : int
        Those of another size than the model's, which lost detail on the way there and back.
    skipped : tuple of (name, reason)
        Pictures that could not be decoded.
    """

    count: int
    resized: int = 0
    skipped: tuple[tuple[str, str], ...] = ()


def denoise(
    model: TrainedModel, source: str | Path, out: str | Path, *, track: Track = untracked
) -> Denoised:
    """Send a source through a model and write what comes out, in the source's own sizes.

    Pictures become pictures of the same names, sizes and formats, upright, with the model's
    channels of 8 bits; of an animation, the first picture. Where the model crops, what is around
    the central square stays as it is. Arrays become one .npy file, images (N, H, W, C) uint8 or
    signals (N, L, C) float32.

    Parameters
    ----------
    model : TrainedModel
        Any autoencoder, as a rule one that was trained on noisy inputs.
    source : path or str
        As `load` takes it.
    out : path
        The folder to make for pictures (of a single one, perhaps the file), the .npy file for
        arrays. Nothing is overwritten.
    track : callable
        Shows progress.

    Raises
    ------
    SettingsError
        If `out` exists and is no empty folder, lies in the source, or has no fitting name.
    SourceError
        If the source cannot be read, or more than a tenth of its pictures are broken.
    ModelError
        If the samples do not fit the model.
    IsthmusError
        If a file cannot be written. After any error what was written before is removed.
    """
    out = Path(out)
    name, location, read = locate_source(source)
    _reject_taken(out, location)
    found = read(location, None)
    if found.values is not None:
        return _array(model, found, name, out, track)
    is_single = location.is_file() and location.suffix.lower() in PICTURE_SUFFIXES
    is_file = is_single and out.suffix.lower() in PICTURE_SUFFIXES and not out.exists()
    return _pictures(model, found, name, out, is_file, track)


def _reject_taken(out: Path, source: Path) -> None:
    try:
        if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
            raise OptionError(f"{out} lies in {source}, its source; choose another place.")
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise OptionError(f"{out} exists already; choose another place, or an empty folder.")
    except OSError as error:
        raise OptionError(f"{out} cannot be written: {first_sentence(error)}.") from error


def _array(model: TrainedModel, found: Manifest, name: str, out: Path, track: Track) -> Denoised:
    """Send an array through the model, into one .npy file, batch by batch."""
    if out.suffix.lower() != ".npy":
        raise OptionError(f"{name} holds an array; give a file to write that ends in .npy.")
    samples = Samples(np.asarray(found.values), found.names, origin=Origin(name))
    starts = range(0, len(samples), model.batch)
    shape = (len(samples), *samples.shape[:-1], model.config.shape[0])
    kind = np.lib.format.dtype_to_descr(samples.values.dtype)
    with atomic_write(out) as file:
        header = {"descr": kind, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in track(starts, len(starts), "Denoising"):
            block = samples.values[start : start + model.batch]
            file.write(np.ascontiguousarray(_through(model, block)).data)
    resized = not samples.is_signal and _is_resized(model, samples.values[0])
    return Denoised(len(samples), len(samples) if resized else 0)


def _through(model: TrainedModel, wholes: Sequence[NDArray[Any]] | NDArray[Any]) -> Any:
    """Send whole samples through the model and back to their sizes and places."""
    if wholes[0].ndim == 2:
        return model.reconstruct(np.array(wholes))  # torch wants to be able to write
    wanted = model.preprocessing
    fitted = model.reconstruct(np.stack([wanted.fit(whole) for whole in wholes]))
    return [wanted.undo_fit(one, whole) for one, whole in zip(fitted, wholes, strict=True)]


def _is_resized(model: TrainedModel, whole: NDArray[np.uint8]) -> bool:
    wanted = model.preprocessing
    return wanted.apply_crop(whole).shape[:2] != wanted.size


def _pictures(
    model: TrainedModel, found: Manifest, name: str, out: Path, is_file: bool, track: Track
) -> Denoised:
    """Send pictures through the model, into a file each: of the folder `out`, or `out` itself."""
    if model.config.shape[0] not in (1, 3) or len(model.config.shape) == 2:
        shape = ", ".join(map(str, (*model.config.shape[1:], model.config.shape[0])))
        raise ModelError(f"this model takes samples (N, {shape}), and {name} holds pictures.")
    broken: dict[int, str] = {}
    written: list[Path] = []
    resized = 0
    decoded = _decoded(model, found, name, broken, track)
    try:
        with ThreadPoolExecutor(WRITERS) as writers:
            for batch in _batches(decoded, model.batch):
                wholes = [whole for _, whole in batch]
                places = [out if is_file else out / picture for picture, _ in batch]
                written += places
                deque(writers.map(_write, places, _through(model, wholes)), 0)
                resized += sum(_is_resized(model, whole) for whole in wholes)
    except IsthmusError:
        _remove(written, out)
        raise
    skipped = tuple((found.names[i], why) for i, why in broken.items())
    return Denoised(len(written), resized, skipped)


def _decoded(
    model: TrainedModel, found: Manifest, name: str, broken: dict[int, str], track: Track
) -> Iterator[Picture]:
    """Yield names and whole pictures, and note broken ones with reasons."""
    for i, file in enumerate(track(found.files, len(found.names), "Denoising")):
        try:
            if isinstance(file, SourceError):
                raise file
            whole = model.preprocessing.decode(file)
        except SourceError as error:
            broken[i] = first_sentence(error)
            reject_too_many(broken, found, name, done=i + 1)
            continue
        yield found.names[i], whole


def _batches(decoded: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    """Collect at most `size` pictures, and no more than memory should hold."""
    batch: list[Picture] = []
    held = 0
    for picture, whole in decoded:
        batch.append((picture, whole))
        held += whole.nbytes
        if len(batch) == size or held > HELD:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture (H, W, 1) or (H, W, 3) in the format of its name."""
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    content = io.BytesIO()
    try:
        picture.save(content, **WRITTEN[path.suffix.lower()])
    except (OSError, ValueError) as error:
        raise IsthmusError(f"{path} cannot be written: {first_sentence(error)}.") from error
    write_bytes(path, content.getvalue())


def _remove(written: list[Path], out: Path) -> None:
    """Remove files again, and the folders that were made for them."""
    folders = {folder for file in written for folder in file.parents if folder.is_relative_to(out)}
    for file in written:
        with suppress(OSError):  # its folder could not be made
            file.unlink()
    for folder in sorted(folders, reverse=True):
        with suppress(OSError):  # the same, or another has put something there
            folder.rmdir()

"""`denoise_values`: noisy arrays in, clean arrays out; `denoise`: the same for files."""

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
from isthmus.data.items import Items
from isthmus.data.load import locate_source
from isthmus.data.manifest import Manifest
from isthmus.data.readers.kinds import PICTURE_SUFFIXES
from isthmus.data.reading import Reading
from isthmus.data.samples import Origin, Samples
from isthmus.errors import IsthmusError, ModelError, OptionError, SourceError, first_sentence
from isthmus.files import atomic_write, write_bytes
from isthmus.inference.model import Model

Values = NDArray[Any] | Sequence[NDArray[np.uint8]]
Picture = tuple[str, NDArray[np.uint8]]  # its name and all its pixels (H, W, C)

MAX_BATCH_BYTES = 2**26  # of whole pictures in memory; photographs are far larger than the input
WRITER_THREADS = 8  # most of the time of a small file is the wait until the disk has it
SAVE_OPTIONS: dict[str, dict[str, Any]] = {  # of Pillow, by suffix: as little loss as possible
    ".apng": {"format": "PNG"},
    ".avif": {"format": "AVIF", "quality": 100, "subsampling": "4:4:4"},
    ".bmp": {"format": "BMP"},
    ".dib": {"format": "DIB"},
    ".gif": {"format": "GIF"},
    ".heic": {"format": "HEIF", "quality": -1, "chroma": 444},
    ".heif": {"format": "HEIF", "quality": -1, "chroma": 444},
    ".hif": {"format": "HEIF", "quality": -1, "chroma": 444},
    ".j2k": {"format": "JPEG2000"},
    ".jfif": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jp2": {"format": "JPEG2000"},
    ".jpe": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpx": {"format": "JPEG2000"},
    ".pbm": {"format": "PPM"},
    ".pcx": {"format": "PCX"},
    ".pgm": {"format": "PPM"},
    ".png": {"format": "PNG"},
    ".pnm": {"format": "PPM"},
    ".ppm": {"format": "PPM"},
    ".tga": {"format": "TGA"},
    ".tif": {"format": "TIFF", "compression": "tiff_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_deflate"},
    ".webp": {"format": "WEBP", "lossless": True},
}
# No picture is left out for lying next to folders of classes or splits.
EVERY_PICTURE = Reading(classes_from="none", parts="none")


@dataclass(frozen=True)
class Denoised:
    """What `denoise` has written.

    Parameters
    ----------
    count : int
        Samples written.
    resized : int
        Those of another size than the model's, which lost detail by being resized twice.
    skipped : tuple of (name, reason)
        Pictures that could not be decoded.
    """

    count: int
    resized: int = 0
    skipped: tuple[tuple[str, str], ...] = ()


def denoise_values(model: Model, values: Values, *, track: Track = untracked) -> Any:
    """Send samples of any size through a model; they come back in their own sizes.

    Parameters
    ----------
    model : Model
        An autoencoder, usually one that was trained on noisy inputs.
    values : array or sequence of arrays
        Images (N, H, W, C) uint8, or a sequence of (H, W, C) uint8 of different sizes; signals
        (N, L, C) float32 of the model's length.
    track : callable
        Shows progress.

    Returns
    -------
    array or list of arrays
        As `values`, with the model's channels. If the model crops, pixels around the central square
        keep their values.

    Raises
    ------
    ModelError
        If the model is not an autoencoder, or signals are not of its shape.
    """
    starts = range(0, len(values), model.batch_size)
    batches = [
        _denoise_batch(model, values[start : start + model.batch_size])
        for start in track(starts, len(starts), "Denoising")
    ]
    if isinstance(values, np.ndarray):
        return np.concatenate(batches)
    return [picture for batch in batches for picture in batch]


def denoise(
    model: Model, source: str | Path, out: str | Path, *, track: Track = untracked
) -> Denoised:
    """Send a source through a model and write the result in the sizes of the source.

    Pictures become pictures of the same names, sizes and formats, upright, with the model's
    channels of 8 bits; of an animation only the first picture is written. Arrays become one .npy
    file, images (N, H, W, C) uint8 or signals (N, L, C) float32. See `denoise_values`.

    Parameters
    ----------
    model : Model
        An autoencoder, usually one that was trained on noisy inputs.
    source : path or str
        As for `load`.
    out : path
        For pictures a new folder (for a single one also a file), for arrays a .npy file. Nothing is
        overwritten.
    track : callable
        Shows progress.

    Raises
    ------
    OptionError
        If `out` exists and is not an empty folder, lies in the source, or has an unsuitable
        name.
    SourceError
        If the source cannot be read, or more than a tenth of its pictures are broken.
    ModelError
        If the samples do not fit the model.
    IsthmusError
        If a file cannot be written. After any error, files that were already written are removed.
    """
    out = Path(out)
    name, location, read = locate_source(source)
    _reject_existing(out, location)
    manifest = read(location, None, EVERY_PICTURE)
    if manifest.values is not None:
        return _denoise_array(model, manifest, name, out, track)
    is_single = location.is_file() and location.suffix.lower() in PICTURE_SUFFIXES
    is_file = is_single and out.suffix.lower() in PICTURE_SUFFIXES and not out.exists()
    return _denoise_pictures(model, manifest, name, out, is_file, track)


def _denoise_batch(model: Model, values: Values) -> Any:
    """Send one batch through the model and back to the sizes and positions of its samples."""
    if values[0].dtype != np.uint8:
        return model.reconstruct(np.array(values))  # a copy, because torch wants writable memory
    wholes = [whole[..., None] if whole.ndim == 2 else whole for whole in values]
    fitted = model.reconstruct(np.stack([model.preprocessing.fit(whole) for whole in wholes]))
    pictures = [
        model.preprocessing.undo_fit(one, whole) for one, whole in zip(fitted, wholes, strict=True)
    ]
    return np.stack(pictures) if isinstance(values, np.ndarray) else pictures


def _denoise_array(
    model: Model, manifest: Manifest, name: str, out: Path, track: Track
) -> Denoised:
    """Write an array to one .npy file, batch by batch: it may be larger than memory."""
    if out.suffix.lower() != ".npy":
        raise OptionError(f"{name} holds an array; give a file to write that ends in .npy.")
    samples = Samples(np.asarray(manifest.values), Items(manifest.names), origin=Origin(name))
    starts = range(0, len(samples), model.batch_size)
    header = {
        "descr": np.lib.format.dtype_to_descr(samples.values.dtype),
        "fortran_order": False,
        "shape": (len(samples), *samples.shape[:-1], model.shape[0]),
    }
    with atomic_write(out) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in track(starts, len(starts), "Denoising"):
            batch = _denoise_batch(model, samples.values[start : start + model.batch_size])
            file.write(np.ascontiguousarray(batch).data)
    resized = not samples.is_signal and _is_resized(model, samples.values[0])
    return Denoised(len(samples), len(samples) if resized else 0)


def _denoise_pictures(
    model: Model, manifest: Manifest, name: str, out: Path, is_file: bool, track: Track
) -> Denoised:
    """Write each picture to a file of the folder `out`, or to `out` itself."""
    if model.shape[0] not in (1, 3) or len(model.shape) == 2:
        shape = ", ".join(map(str, (*model.shape[1:], model.shape[0])))
        raise ModelError(f"this model takes samples (N, {shape}), and {name} holds pictures.")
    broken: dict[int, str] = {}
    written: list[Path] = []
    resized = 0
    decoded = _decode(model, manifest, name, broken, track)
    try:
        # Whole batches are written before the next is computed, which bounds the memory.
        with ThreadPoolExecutor(WRITER_THREADS) as writers:
            for batch in _group(decoded, model.batch_size):
                wholes = [whole for _, whole in batch]
                paths = [out if is_file else out / picture for picture, _ in batch]
                written += paths  # before they are: what is half done must be removed, too
                # The deque of length 0 walks through the results, which raises a writer's error.
                deque(writers.map(_write_picture, paths, _denoise_batch(model, wholes)), 0)
                resized += sum(_is_resized(model, whole) for whole in wholes)
    except BaseException:  # also if `track` or Ctrl-C stops the work
        _remove(written, out)
        raise
    skipped = tuple((manifest.names[i], why) for i, why in broken.items())
    return Denoised(len(written), resized, skipped)


def _decode(
    model: Model, manifest: Manifest, name: str, broken: dict[int, str], track: Track
) -> Iterator[Picture]:
    """Yield names and whole pictures; note broken ones with their reasons."""
    for i, file in enumerate(track(manifest.files, len(manifest.names), "Denoising")):
        try:
            if isinstance(file, SourceError):
                raise file
            whole = model.preprocessing.decode(file)
        except SourceError as error:
            broken[i] = first_sentence(error)
            reject_too_many(broken, manifest, name, done=i + 1)
            continue
        yield manifest.names[i], whole


def _group(decoded: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    """Collect at most `size` pictures, and at most `MAX_BATCH_BYTES` of them plus one."""
    batch: list[Picture] = []
    collected = 0
    for picture, whole in decoded:
        batch.append((picture, whole))
        collected += whole.nbytes
        if len(batch) == size or collected > MAX_BATCH_BYTES:
            yield batch
            batch, collected = [], 0
    if batch:
        yield batch


def _is_resized(model: Model, whole: NDArray[np.uint8]) -> bool:
    return model.preprocessing.apply_crop(whole).shape[:2] != model.preprocessing.size


def _write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture (H, W, 1) or (H, W, 3) in the format of its suffix."""
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    content = io.BytesIO()
    try:
        picture.save(content, **SAVE_OPTIONS[path.suffix.lower()])
    except (OSError, ValueError) as error:
        raise IsthmusError(f"{path} cannot be written: {first_sentence(error)}.") from error
    write_bytes(path, content.getvalue())


def _reject_existing(out: Path, source: Path) -> None:
    """Reject an output that would overwrite something or lie in the source."""
    try:
        if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
            raise OptionError(f"{out} lies in {source}, its source; choose another place.")
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise OptionError(f"{out} exists already; choose another place, or an empty folder.")
    except OSError as error:
        raise OptionError(f"{out} cannot be written: {first_sentence(error)}.") from error


def _remove(written: list[Path], out: Path) -> None:
    """Remove files, and the folders that were made for them."""
    folders = {folder for file in written for folder in file.parents if folder.is_relative_to(out)}
    for file in written:
        with suppress(OSError):  # it was not written yet
            file.unlink()
    for folder in sorted(folders, reverse=True):  # the inner ones first
        with suppress(OSError):  # it was not made, or another program has put a file there
            folder.rmdir()

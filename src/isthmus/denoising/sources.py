"""`denoise`: a source of pictures or of an array becomes a folder or a file of clean ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.decode import reject_too_many
from isthmus.data.items import Items
from isthmus.data.manifest import Manifest
from isthmus.data.readers.files.kinds import PICTURE_SUFFIXES
from isthmus.data.reading import LeftOut, Reading
from isthmus.data.samples import Origin, Samples
from isthmus.data.sources import locate_source
from isthmus.denoising.formats import require_writable
from isthmus.denoising.images import (
    TITLE,
    denoise_channels,
    describe_channels,
    reject_signals,
    takes_channels,
)
from isthmus.denoising.ledger import DENOISED, Entry, Ledger, is_begun
from isthmus.denoising.pictures import Change, PictureWork, denoising
from isthmus.denoising.values import denoise_batch, is_resized
from isthmus.errors import ModelError, OptionError, SourceError, first_sentence
from isthmus.files import atomic_write
from isthmus.inference.model import Model
from isthmus.inference.numbers import find_range
from isthmus.locks import working_alone
from isthmus.places import require_free, require_outside
from isthmus.temporaries import sweep, sweep_for

# No picture is left out for lying next to folders of classes or splits.
EVERY_PICTURE = Reading(classes_from="none", parts="none")


@dataclass(frozen=True)
class Loss:
    """What some of the written files do not keep of the originals.

    Parameters
    ----------
    what : str
        Such as "transparency: JPEG has none".
    count : int
        Files.
    example : str
        The name of the first one.
    """

    what: str
    count: int
    example: str


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
    lost : tuple of Loss
        What files do not keep; most frequent first.
    left_out : tuple of LeftOut
        Files of the source that are no pictures, or of a kind that is not read.
    """

    count: int
    resized: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    lost: tuple[Loss, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def denoise(
    model: Model, source: str | Path, out: str | Path, *, track: Track = untracked
) -> Denoised:
    """Send a source through a model and write the result in the sizes of the source.

    Pictures become pictures of the same names, sizes and formats, upright. Transparency, all pages
    or frames, color profile, EXIF and resolution are those of the original, and gray ones of more
    than 8 bits keep the range of their numbers; what the model or the format cannot keep is told.
    Arrays become one .npy file, images (N, H, W, C) uint8 or signals (N, L, C) float32; a denoiser
    keeps uint16 and fractions of a .npy file. See `denoise_values`.

    A folder that was left by Ctrl-C, a crash or a full disk is completed by the same call: files
    that are done stay, and those whose originals have changed are written again.

    Parameters
    ----------
    model : Model
        A denoiser, which takes images at their own sizes and with all of their bits, or an
        autoencoder, usually one that was trained on noisy inputs.
    source : path or str
        As for `load`.
    out : path
        For pictures a new folder (for a single one also a file), or one that the same call has
        begun; for arrays a .npy file. Nothing else is overwritten.
    track : callable
        Shows progress.

    Raises
    ------
    OptionError
        If `out` exists and is not an empty folder or one that the same call has begun, lies in
        the source, or has an unsuitable name; or if a format cannot be written.
    SourceError
        If the source cannot be read, or more than a tenth of its pictures are broken. Files that
        were already written are removed.
    ModelError
        If the samples do not fit the model.
    IsthmusError
        If a file cannot be written. The same call continues once it can.
    """
    out = Path(out)
    name, location, read = locate_source(source)
    require_outside(out, location)
    reject_existing(out, DENOISED)
    manifest = read(location, None, EVERY_PICTURE)
    if manifest.values is not None:
        if model.task == "denoise":
            return _denoise_images(model, manifest, location, out, track)
        return _denoise_array(model, manifest, name, out, track)
    require_picture_model(model, name)
    # Of a single picture, its tiles show how far it is.
    is_one = model.task == "denoise" and len(manifest.names) == 1
    tracks = (untracked, track) if is_one else (track, untracked)
    change = denoising(model, tracks[1])
    entries, skipped = change_pictures(change, manifest, name, location, out, tracks[0])
    return describe_denoised(entries, skipped, manifest)


def require_picture_model(model: Model, name: str) -> None:
    """Reject a model that does not take the pictures of a source.

    Raises
    ------
    ModelError
    """
    if model.task != "denoise" and (model.shape[0] not in (1, 3) or len(model.shape) == 2):
        shape = ", ".join(map(str, (*model.shape[1:], model.shape[0])))
        raise ModelError(f"this model takes samples (N, {shape}), and {name} holds pictures.")


def describe_denoised(
    entries: Sequence[Entry], skipped: Sequence[tuple[str, str]], manifest: Manifest
) -> Denoised:
    """Return what was written of the pictures of a source."""
    resized = sum(entry.resized for entry in entries)
    left_out = manifest.findings.left_out
    return Denoised(len(entries), resized, tuple(skipped), losses(entries), left_out)


def denoise_part(
    model: Model, manifest: Manifest, folder: Path
) -> tuple[list[Entry], dict[int, str]]:
    """Write a part of the pictures of a source into a folder, which keeps no list of them.

    Returns
    -------
    entries : list of Entry
    broken : dict
        From the place of a picture in the part to the reason.
    """
    change = denoising(model)
    ledger = Ledger(None, change.made_by)
    work = PictureWork(change, folder, is_file=False, ledger=ledger)
    broken = work.do(manifest, untracked, lambda broken, tried: None)
    return list(ledger.entries.values()), broken


def _denoise_array(
    model: Model, manifest: Manifest, name: str, out: Path, track: Track
) -> Denoised:
    """Write an array to one .npy file, batch by batch: it may be larger than memory."""
    _require_npy(out, name)
    samples = Samples(np.asarray(manifest.values), Items(manifest.names), origin=Origin(name))
    starts = range(0, len(samples), model.batch_size)
    shape = (len(samples), *samples.shape[:-1], model.shape[0])
    with atomic_write(out) as file:
        _write_header(file, samples.values.dtype, shape)
        for start in track(starts, len(starts), "Denoising"):
            batch = denoise_batch(model, samples.values[start : start + model.batch_size])
            file.write(np.ascontiguousarray(batch).data)
    resized = not samples.is_signal and is_resized(model, samples.values[0])
    return Denoised(len(samples), len(samples) if resized else 0)


def _denoise_images(
    model: Model, manifest: Manifest, location: Path, out: Path, track: Track
) -> Denoised:
    """Write an array of images to one .npy file, image by image."""
    _require_npy(out, location.name)
    values = all_bits(np.asarray(manifest.values), location)
    reject_signals(values.ndim == 3)
    count = values.shape[-1]
    if not takes_channels(model, count):
        raise ModelError(f"{location.name} {describe_channels(model, count)}.")
    scale = find_range(values)
    with atomic_write(out) as file:
        _write_header(file, values.dtype, values.shape)
        for image in track(values, len(values), TITLE):
            clean = denoise_channels(model, np.asarray(image), scale)
            file.write(np.ascontiguousarray(clean).data)
    return Denoised(len(values))


def all_bits(values: NDArray[Any], location: Path) -> NDArray[Any]:
    """Return images as their file has them, if that is finer than eight bits and its scale known.

    Parameters
    ----------
    values : (N, H, W, C) uint8
        As they are read for all other purposes.
    location : Path
        Of the file, which others than .npy leave at eight bits.
    """
    if values.ndim != 4 or location.suffix.lower() != ".npy":
        return values
    raw: NDArray[Any] = np.load(location, mmap_mode="r", allow_pickle=False)
    is_known = raw.dtype.newbyteorder("=") == np.uint16 or (
        raw.dtype.kind == "f" and raw.max() <= 1
    )
    for arranged in (raw, raw[..., None], np.moveaxis(raw, 1, -1)):
        if is_known and arranged.shape == values.shape:
            return arranged
    return values


def _require_npy(out: Path, name: str) -> None:
    if out.suffix.lower() != ".npy":
        raise OptionError(f"{name} holds an array; give a file to write that ends in .npy.")


def _write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, header)


def change_pictures(
    change: Change, manifest: Manifest, name: str, location: Path, out: Path, track: Track
) -> tuple[list[Entry], tuple[tuple[str, str], ...]]:
    """Write each picture of a source, changed, to a file of the folder `out`, or to `out` itself.

    Parameters
    ----------
    change : Change
    manifest : Manifest
        Of the source.
    name : str
        Of the source.
    location : Path
        Of the source; that of a single picture may become a single file.
    out : Path
        Checked by `reject_existing`.
    track : callable
        Shows progress.

    Returns
    -------
    entries : list of Entry
        The files that are written.
    skipped : tuple of (name, reason)
        Pictures that could not be decoded.

    Raises
    ------
    IsthmusError
        As `denoise`.
    """
    is_single = location.is_file() and location.suffix.lower() in PICTURE_SUFFIXES
    is_file = is_single and out.suffix.lower() in PICTURE_SUFFIXES and not out.exists()
    require_writable([out.name] if is_file else manifest.names)
    with working_alone(out):
        made_by = {**change.made_by, "source": name}
        ledger = Ledger(None if is_file else out, made_by, change.ledger)
        broken = _do(PictureWork(change, out, is_file, ledger), manifest, name, track)
        ledger.keep_only(name for i, name in enumerate(manifest.names) if i not in broken)
        ledger.close()
    entries = [ledger.entries[name] for name in manifest.names if name in ledger.entries]
    return entries, tuple((manifest.names[i], why) for i, why in broken.items())


def _do(work: PictureWork, manifest: Manifest, name: str, track: Track) -> dict[int, str]:
    """Change all pictures; of a new folder that cannot be completed nothing is left."""
    is_new = work.is_file or not is_begun(work.out, work.change.ledger)
    try:
        return work.do(
            manifest, track, lambda broken, tried: reject_too_many(broken, manifest, name, tried)
        )
    except (ModelError, SourceError):
        if is_new:  # else the time that an earlier command took would be lost, too
            work.ledger.discard()
        raise


def losses(entries: Sequence[Entry]) -> tuple[Loss, ...]:
    """Return what files do not keep of the originals, most frequent first."""
    counts = Counter(what for entry in entries for what in entry.lost)
    examples = {what: entry.name for entry in reversed(entries) for what in entry.lost}
    return tuple(Loss(what, count, examples[what]) for what, count in counts.most_common())


def reject_existing(out: Path, ledger: str) -> None:
    """Reject an output that would overwrite something; a folder with its ledger is continued."""
    try:
        sweep_for(out)
        sweep(out)  # all that a process has left that was killed at its very beginning
        if not is_begun(out, ledger):
            require_free(out)
    except OSError as error:
        raise OptionError(f"{out} cannot be written: {first_sentence(error)}.") from error

"""Samples written to files that any program reads, and that Isthmus takes as sources."""

import io
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.data.readers.layouts import CLASSES, PARTS
from isthmus.data.samples import Samples
from isthmus.errors import OptionError
from isthmus.files import atomic_write, write_bytes

FOLDERS = ("train", "validation", "test")
NOWHERE = {"/", ".."}  # parts of names that lead out of the folder


def select(samples: Samples, only: Sequence[str] = (), count: int | None = None) -> Samples:
    """Return the samples of these names, by default all, and at most `count`, spread evenly.

    Raises
    ------
    OptionError
        If there is no sample of a name, or the count is below 1.
    """
    if count is not None and count < 1:
        raise OptionError(f"the count must be at least 1, not {count}.")
    row_of = {name: row for row, name in enumerate(samples.names)} if only else {}
    for name in only:
        if name not in row_of:
            raise OptionError(
                f"there is no sample {name!r}; names are such as {samples.names[0]!r}."
            )
    rows = np.array([row_of[name] for name in only] or range(len(samples)), np.int64)
    return samples.take(rows[evenly_spaced(len(rows), count)])


def export(samples: Samples, out: Path) -> None:
    """Write samples to an .npz file, or images as a folder of pictures.

    Parameters
    ----------
    samples : Samples
    out : Path
        A name that ends in .npz: `images` (N, H, W, C) uint8 or `signals` (N, L, C) float32,
        `labels` and `class_names`. Any other name: a folder to make, of PNG pictures under the
        names of the samples, within folders for the parts of a divided set and for classes;
        with masks, in the first layout of `isthmus.data.layouts`.

    Raises
    ------
    SettingsError
        If the folder holds something already, signals are to be pictures, masks are to go into an
        .npz file, or two pictures would have one name.
    """
    if out.suffix.lower() == ".npz":
        _write_arrays(samples, out)
    else:
        _write_pictures(samples, out)


def _write_arrays(samples: Samples, out: Path) -> None:
    if samples.masks is not None:
        raise OptionError(f"masks go into a folder; give a name that does not end so, not {out}.")
    arrays: dict[str, Any] = {"signals" if samples.is_signal else "images": samples.values}
    if samples.labels is not None:
        arrays["labels"] = samples.labels
        arrays["class_names"] = np.array(samples.class_names, np.str_)
    with atomic_write(out) as file:
        np.savez(file, allow_pickle=False, **arrays)


def _write_pictures(samples: Samples, out: Path) -> None:
    out = out.resolve()
    if samples.is_signal:
        raise OptionError(f"signals are no pictures; give a name that ends in .npz, not {out}.")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OptionError(f"{out} exists already and is not empty; choose another folder.")
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        for file, pixels in _pictures(samples):
            if (partial / file).exists():
                raise OptionError(f"two samples would be called {file}; give them other names.")
            write_bytes(partial / file, _png(pixels))
        if samples.masks is not None:
            write_bytes(partial / CLASSES, "\n".join(samples.class_names).encode())
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _pictures(samples: Samples) -> Iterator[tuple[PurePosixPath, NDArray[Any]]]:
    """Yield pictures and masks, each with its place in the folder: part, class, name."""
    for i, (name, pixels) in enumerate(zip(samples.names, samples.values, strict=True)):
        words = PurePosixPath(name).with_suffix(".png").parts
        above = []
        if samples.splits is not None:
            above = [FOLDERS[samples.splits[i]]]
            words = words[words[0] in PARTS :]
        if samples.masks is not None:
            place = "-".join(word for word in words if word not in NOWHERE | {"images"})
            yield PurePosixPath(*above, "images", place), pixels
            yield PurePosixPath(*above, "masks", place), samples.masks[i, ..., None]
            continue
        if samples.labels is not None:
            above.append(samples.class_names[samples.labels[i]].replace("/", "-").lstrip("."))
        yield PurePosixPath(*above, *(w for w in words if w not in NOWHERE | {*above})), pixels


def _png(pixels: NDArray[Any]) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(content, "PNG")
    return content.getvalue()

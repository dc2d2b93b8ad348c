"""`export`: writes samples to files that any program reads, and that `load` reads again."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.data.readers.files.folder_names import split_of
from isthmus.data.readers.masks.class_lists import CLASSES_FILE
from isthmus.data.samples import SPLITS, Samples
from isthmus.errors import OptionError, suggest
from isthmus.files import atomic_folder, put
from isthmus.places import (
    require_free,
    require_inner_name,
    require_outside,
    require_own_place,
    write_arrays,
)
from isthmus.text import to_utf8

UNSAFE_PARTS = {"/", ".."}  # parts of names that would lead out of the folder


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
                f"there is no sample {name!r}{suggest(name, row_of)}; names are such as "
                f"{samples.names[0]!r}."
            )
    rows = np.array([row_of[name] for name in only] or range(len(samples)), np.int64)
    return samples.take(rows[evenly_spaced(len(rows), count)])


def export(samples: Samples, out: Path) -> None:
    """Write samples to an .npz file, or images as a folder of pictures.

    Parameters
    ----------
    samples : Samples
    out : Path
        A name that ends in .npz receives `images` (N, H, W, C) uint8 or `signals` (N, L, C)
        float32, `labels` and `class_names`. Any other name is a folder to create. It receives a
        PNG for each sample, under the sample's name, in folders for splits and classes; with
        masks, in folders `images` and `masks` (see `isthmus.data.readers.masks.layouts`).

    Raises
    ------
    OptionError
        If the folder is not empty or lies in the source, signals would become pictures or masks an
        .npz file, or two pictures would have the same name.
    """
    if out.suffix.lower() == ".npz":
        _write_arrays(samples, out)
    else:
        _write_pictures(samples, out)


def _write_arrays(samples: Samples, out: Path) -> None:
    require_own_place(out, (".npz",))
    if samples.masks is not None:
        raise OptionError(f"masks need a folder; give a name that does not end in .npz, not {out}.")
    arrays: dict[str, Any] = {"signals" if samples.is_signal else "images": samples.values}
    if samples.labels is not None:
        arrays["labels"] = samples.labels
        arrays["class_names"] = np.array(samples.class_names, np.str_)
    write_arrays(out, arrays)


def _write_pictures(samples: Samples, out: Path) -> None:
    if samples.is_signal:
        raise OptionError(f"signals are not pictures; give a name that ends in .npz, not {out}.")
    require_free(out)
    if samples.origin.source:  # else an array, of no place
        require_outside(out, Path(samples.origin.source))
    with atomic_folder(out) as folder:
        for file, pixels in _name_pictures(samples):
            require_inner_name(str(file))
            if (folder / file).exists():
                raise OptionError(f"two samples would be called {file}; give them other names.")
            put(folder / file, encode_png(pixels))
        if samples.masks is not None:
            put(folder / CLASSES_FILE, to_utf8("\n".join(samples.class_names)))


def _name_pictures(samples: Samples) -> Iterator[tuple[PurePosixPath, NDArray[Any]]]:
    """Yield pictures and masks with their paths in the folder: split, class, name."""
    for i, (name, pixels) in enumerate(zip(samples.names, samples.values, strict=True)):
        words = PurePosixPath(name).with_suffix(".png").parts
        folders = []
        if samples.splits is not None:
            folders = [SPLITS[samples.splits[i]]]
            # A name that begins with its split, such as val/cat/1.jpg, would get it twice.
            words = words[split_of(words[0]) is not None :]
        if samples.masks is not None:
            file = "-".join(word for word in words if word not in UNSAFE_PARTS | {"images"})
            yield PurePosixPath(*folders, "images", file), pixels
            yield PurePosixPath(*folders, "masks", file), samples.masks[i, ..., None]
            continue
        if samples.labels is not None:
            # Without / it stays one folder, and without a dot in front `load` does not skip it.
            folders.append(samples.class_names[samples.labels[i]].replace("/", "-").lstrip("."))
        words = tuple(word for word in words if word not in UNSAFE_PARTS | {*folders})
        yield PurePosixPath(*folders, *words), pixels


def encode_png(pixels: NDArray[Any]) -> bytes:
    """Return an image (H, W, 1) or (H, W, 3) uint8 as the content of a PNG file."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(content, "PNG")
    return content.getvalue()

"""Samples written to files that any program reads, and that Isthmus takes as sources."""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from isthmus.data.samples import Samples
from isthmus.errors import SettingsError
from isthmus.files import replacing, write_bytes


def export(samples: Samples, out: Path) -> None:
    """Write samples to an .npz file, or images as a folder of pictures.

    Parameters
    ----------
    samples : Samples
        Masks are left out.
    out : Path
        A name that ends in .npz: `images` (N, H, W, C) uint8 or `signals` (N, L, C) float32,
        `labels` and `class_names`. Any other name: a folder to make, of PNG pictures under the
        names of the samples.

    Raises
    ------
    SettingsError
        If the folder holds something already, or signals are to be pictures.
    """
    if out.suffix.lower() == ".npz":
        _write_arrays(samples, out)
    else:
        _write_pictures(samples, out)


def _write_arrays(samples: Samples, out: Path) -> None:
    arrays: dict[str, Any] = {"signals" if samples.is_signal else "images": samples.values}
    if samples.labels is not None:
        arrays["labels"] = samples.labels
        arrays["class_names"] = np.array(samples.class_names, np.str_)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as file:
        np.savez(file, allow_pickle=False, **arrays)


def _write_pictures(samples: Samples, out: Path) -> None:
    if samples.is_signal:
        raise SettingsError(f"signals are no pictures; give a name that ends in .npz, not {out}.")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise SettingsError(f"{out} exists already and is not empty; choose another folder.")
    for name, pixels in zip(samples.names, samples.values, strict=True):
        file = out / _place(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, _png(pixels))


def _place(name: str) -> PurePosixPath:
    """Return where in the folder a sample goes, wherever it came from."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    return PurePosixPath(*parts).with_suffix(".png")


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(content, "PNG")
    return content.getvalue()

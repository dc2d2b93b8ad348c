"""Folders and archives of small pictures, and what the report on reading them says."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

import isthmus


def png(seed: int) -> bytes:
    """Return the content of a small picture, another one for each seed."""
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def plant(folder: Path, names: Iterable[str]) -> Path:
    """Write pictures of these names into a folder; those of a known other suffix are rubbish."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(seed))
    return folder


def spread(folders: Iterable[str], count: int = 3) -> list[str]:
    """Return names of as many pictures in each folder."""
    return [f"{folder}/{i}.png" for folder in folders for i in range(count)]


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(
    path: Path,
    names: Iterable[str],
    more: Iterable[tuple[str, bytes, str]] = (),
    mode: str = "w",
) -> Path:
    """Write pictures into a tar, and more members of (name, type, what they link to)."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for seed, name in enumerate(names):
            add_file(archive, name, png(seed))
        for name, kind, target in more:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return path


def add_file(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def left_out(samples: isthmus.Samples | isthmus.Images) -> dict[str, int]:
    """Return how many files are left out for each reason, without what is in brackets."""
    assert samples.report is not None
    return {one.reason.partition(" (")[0]: one.count for one in samples.report.left_out}


def notes(samples: isthmus.Samples | isthmus.Images) -> dict[str, str]:
    """Return the notes by their codes, each with its way out."""
    assert samples.report is not None
    return {note.code: f"{note.text}; {note.way_out}" for note in samples.report.notes}


def counts(samples: isthmus.Samples) -> dict[str, int]:
    """Return the number of samples of each class."""
    assert samples.labels is not None
    return {name: int((samples.labels == i).sum()) for i, name in enumerate(samples.class_names)}


def changed(path: Path, change: Callable[[bytearray], None]) -> Path:
    """Change the bytes of a file."""
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    return path

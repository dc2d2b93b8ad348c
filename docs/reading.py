"""Write what `isthmus data check` really prints into the guide "What was read".

The sources are drawn here, as small as shows what is meant; the real data sets are those of
ISTHMUS_DATA. `python docs/reading.py` writes the guide again; a test compares it.
"""

import gzip
import io
import os
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GUIDE = Path(__file__).parent / "reading.md"
COMMAND = "isthmus data check "
# A command, and what it prints.
BLOCK = re.compile(r"(```bash\n(isthmus data check [^\n]*)\n```\n\n```text\n)(.*?)```\n", re.DOTALL)
TABLES = "digit-recognizer"  # a folder of a real data set, not known by its name
REAL = {TABLES, "cats-dogs", "camvid"}
DATA = os.environ.get("ISTHMUS_DATA", "")

Pixels = NDArray[np.uint8]


def main() -> None:
    """Run each command of the guide, and write what it prints below it."""
    with tempfile.TemporaryDirectory() as folder:
        write_sources(Path(folder))
        text = BLOCK.sub(
            lambda block: f"{block[1]}{run(block[2], Path(folder)) or block[3]}```\n",
            GUIDE.read_text(encoding="utf-8"),
        )
    GUIDE.write_text(text, encoding="utf-8")


def run(command: str, folder: Path) -> str | None:
    """Return what a command prints in a folder of the sources; None if its data is missing."""
    if is_missing(command):
        return None
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=folder, capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "ISTHMUS_CACHE": str(folder / "cache"), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    # What cannot be read is refused, by a sentence that may name it with the folder.
    return (done.stdout or done.stderr).replace(f"{folder}/", "")


def is_missing(command: str) -> bool:
    """Return whether a command needs a real data set that is not on this machine."""
    name = command.removeprefix(COMMAND).split()[0].split("/")[0]
    return name in REAL and not Path(DATA, name).is_dir()


def write_sources(folder: Path) -> None:
    """Draw all sources of the guide into a folder."""
    for write_source in SOURCES:
        write_source(folder)
    if DATA:
        (folder / TABLES).symlink_to(Path(DATA, TABLES).absolute())


# -- sources ----------------------------------------------------------------------------------


def write_voc(folder: Path) -> None:
    """Write the layout of Pascal VOC: pictures, palette masks, boxes and lists."""
    root = folder / "VOC2012"
    names = [f"2007_{number:06}" for number in range(1, 21)]
    for seed, name in enumerate(names):
        sides = (60, 80) if seed % 4 else (80, 60)
        save(root / "JPEGImages" / f"{name}.jpg", draw_blobs(seed, sides))
        mask = np.zeros(sides, np.uint8)
        mask[10:40, 12:50] = 1 + seed % 20
        mask[9, 12:50] = mask[40, 12:50] = 255
        picture = Image.fromarray(mask, "P")
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
        save(root / "SegmentationClass" / f"{name}.png", picture)
        write(root / "Annotations" / f"{name}.xml", b"<annotation/>")
    lists = root / "ImageSets/Segmentation"
    write(lists / "train.txt", "\n".join(names[:14]).encode())
    write(lists / "val.txt", "\n".join(names[14:]).encode())


def write_mvtec(folder: Path) -> None:
    """Write one category of MVTec AD: good samples to train on, defects and their masks."""
    root = folder / "bottle"
    for part, count in (("train/good", 20), ("test/good", 5), ("test/broken_large", 6)):
        for i in range(count):
            save(root / part / f"{i:03}.png", draw_blobs(100 * count + i, (64, 64)))
    for i in range(6):
        mask = np.zeros((64, 64), np.uint8)
        mask[20:30, 5 * i : 5 * i + 20] = 255
        save(root / "ground_truth/broken_large" / f"{i:03}_mask.png", mask)
    write(root / "license.txt", b"CC BY-NC-SA 4.0\n")
    write(root / "readme.txt", b"bottle\n")


def write_medmnist(folder: Path) -> None:
    """Write an .npz file as MedMNIST is published: images and (N, 1) labels of three splits."""
    draw = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 90), ("val", 10), ("test", 20)):
        arrays[f"{part}_images"] = np.stack([draw_blobs(count + i, (28, 28)) for i in range(count)])
        arrays[f"{part}_labels"] = draw.integers(0, 9, (count, 1)).astype(np.uint8)
    np.savez(folder / "pathmnist.npz", **arrays)


def write_emnist(folder: Path) -> None:
    """Write a folder of IDX files that holds two of the sets of EMNIST."""
    root = folder / "emnist"
    for name, classes in (("letters", 26), ("digits", 10)):
        for part, count in (("train", 60), ("test", 20)):
            start = 500 if part == "test" else 0
            images = np.stack([draw_blobs(start + i, (28, 28))[..., 0] for i in range(count)])
            labels = (np.arange(count) % classes).astype(np.uint8)
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
                content = gzip.compress(header + array.tobytes(), mtime=0)
                write(root / f"emnist-{name}-{part}-{kind}-ubyte.gz", content)


def write_webcam(folder: Path) -> None:
    """Write what a webcam leaves: frozen, dark and unfinished frames, and a log."""
    root = folder / "webcam"
    for i in range(36):
        picture = draw_blobs(min(i, 30), (48, 64))  # frozen from frame 30 on
        save(root / f"frame-{i:04}.jpg", picture // 100 if i == 12 else picture)
    save(root / "frame-0036.jpg", draw_blobs(99, (72, 128)))
    write(root / "frame-0037.jpg", (root / "frame-0001.jpg").read_bytes()[:400])
    write(root / "capture.log", b"ok\n")
    write(root / "Thumbs.db", b"\xd0\xcf")


def write_microscope(folder: Path) -> None:
    """Write stacks of a microscope with 12 bits: TIFFs of several pages."""
    for i in range(4):
        pages = [
            Image.fromarray(draw_blobs(10 * i + page, (64, 64))[..., 0].astype(np.uint16) * 16)
            for page in range(8)
        ]
        path = folder / "stacks" / f"cells-{i}.tif"
        path.parent.mkdir(exist_ok=True)
        pages[0].save(path, save_all=True, append_images=pages[1:])


def write_windows_zip(folder: Path) -> None:
    r"""Write an archive as some programs on Windows do, with \ in the names of its files."""
    with zipfile.ZipFile(folder / "animals.zip", "w") as archive:
        for seed in range(24):
            content = io.BytesIO()
            Image.fromarray(draw_blobs(seed, (32, 32))).save(content, "PNG")
            name = ("cats", "dogs")[seed % 2]
            archive.writestr(zipfile.ZipInfo(f"animals\\{name}\\{seed}.png"), content.getvalue())


SOURCES: tuple[Callable[[Path], None], ...] = (
    write_voc,
    write_mvtec,
    write_medmnist,
    write_emnist,
    write_webcam,
    write_microscope,
    write_windows_zip,
)


def draw_blobs(seed: int, sides: tuple[int, int]) -> Pixels:
    """Draw a few colored spots on black, from 0 to 255: (H, W, 3)."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[: sides[0], : sides[1]]
    pixels = np.zeros((*sides, 3))
    for _ in range(6):
        center, radius = draw.uniform(0, sides), draw.uniform(0.05, 0.2) * min(sides)
        distance = (y - center[0]) ** 2 + (x - center[1]) ** 2
        pixels += np.exp(-distance / radius**2)[..., None] * draw.uniform(0.2, 1, 3)
    low, high = pixels.min(), pixels.max()
    return np.asarray(255 * (pixels - low) / (high - low), np.uint8)


def save(path: Path, picture: Pixels | Image.Image) -> None:
    """Write a picture, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(picture)
    picture.save(path)


def write(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    main()

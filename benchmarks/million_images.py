"""Make a million small photographs, as JPEG files in folders of classes.

They are cut out of real ones, mirrored, blended and changed in color, all by a seed, so that no two
are alike and they compress as photographs do. A block of 1,000 is a folder, written whole or not at
all; blocks that are there are left as they are, so that the making can be stopped and continued.
"""

import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from isthmus.data.dataset import data_folder

SIDE = 64  # of an image, in pixels
POOL_SIDE = 96  # of the photographs that images are cut from
POOL_SIZE = 3000  # photographs of each class
BLOCK = 1000  # images in a folder
QUALITY = 85
CLASSES = {"cat": "cats-dogs", "dog": "cats-dogs", "face": "lfw"}  # and the archive of each


def make_images(folder: Path, count: int, processes: int, seed: int = 0) -> Iterator[int]:
    """Write images to `folder`/class/block/number.jpg and yield how many there are so far."""
    blocks = [i for i in range(count // BLOCK) if not block_folder(folder, i).exists()]
    done = count - BLOCK * len(blocks)
    yield done
    if not blocks:
        return
    pools = {name: _read_pool(name) for name in CLASSES}
    with ProcessPoolExecutor(processes, initializer=_keep, initargs=(folder, pools, seed)) as pool:
        for _ in pool.map(_make_block, blocks):
            done += BLOCK
            yield done


def block_folder(folder: Path, block: int) -> Path:
    """Return the folder of a block; classes take turns."""
    return folder / list(CLASSES)[block % len(CLASSES)] / f"{block:04}"


def _read_pool(name: str) -> NDArray[np.uint8]:
    """Return photographs of a class (n, POOL_SIDE, POOL_SIDE, 3)."""
    archive = CLASSES[name]
    images: list[NDArray[np.uint8]] = []
    with tarfile.open(data_folder() / archive / f"{archive}.tar") as tar:
        for member in tar:
            is_wanted = archive == "lfw" or f"/{name}/" in member.name
            file = tar.extractfile(member) if is_wanted else None
            if file is None or not member.name.endswith(".jpg"):
                continue
            images.append(_fit(Image.open(file)))
            if len(images) == POOL_SIZE:
                break
    return np.stack(images)


def _fit(image: Image.Image) -> NDArray[np.uint8]:
    """Cut out the central square and resize it."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(square.resize((POOL_SIDE, POOL_SIDE), Image.Resampling.BOX))


class _Kept:
    """What a process that makes images keeps."""

    folder: Path
    pools: dict[str, NDArray[np.uint8]]
    seed: int


def _keep(folder: Path, pools: dict[str, NDArray[np.uint8]], seed: int) -> None:
    _Kept.folder, _Kept.pools, _Kept.seed = folder, pools, seed


def _make_block(block: int) -> None:
    """Write the images of a block to a folder, which gets its name when it is complete."""
    place = block_folder(_Kept.folder, block)
    rng = np.random.default_rng([_Kept.seed, block])
    images = _draw(_Kept.pools[place.parent.name], rng)
    partial = place.with_name(f".{place.name}")
    partial.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        content = simplejpeg.encode_jpeg(image, quality=QUALITY, colorsubsampling="420")
        (partial / f"{block * BLOCK + i:07}.jpg").write_bytes(content)
    partial.rename(place)


def _draw(pool: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return BLOCK images (BLOCK, SIDE, SIDE, 3): crops, some blended with a second one."""
    first, second = (_crop(pool, rng) for _ in range(2))
    share = np.where(rng.random(BLOCK) < 0.3, rng.uniform(0.1, 0.5, BLOCK), 0)
    gain = rng.uniform(0.7, 1.3, (BLOCK, 1, 1, 3)).astype(np.float32)
    shift = rng.uniform(-25, 25, (BLOCK, 1, 1, 3)).astype(np.float32)
    share = share.astype(np.float32)[:, None, None, None]
    mixed = ((1 - share) * first + share * second) * gain + shift
    drawn: NDArray[np.uint8] = np.clip(mixed, 0, 255).astype(np.uint8)
    return drawn


def _crop(pool: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    rows = rng.integers(len(pool), size=BLOCK)
    tops, lefts = rng.integers(POOL_SIDE - SIDE + 1, size=(2, BLOCK))
    windows = np.lib.stride_tricks.sliding_window_view(pool, (SIDE, SIDE), axis=(1, 2))
    crops = np.moveaxis(windows[rows, tops, lefts], 1, -1)  # (BLOCK, SIDE, SIDE, 3)
    is_flipped = rng.random(BLOCK) < 0.5
    turned = np.where(is_flipped[:, None, None, None], crops[:, :, ::-1], crops)
    drawn: NDArray[np.float32] = turned.astype(np.float32)
    return drawn

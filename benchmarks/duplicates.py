"""Measure which changed copies `isthmus.find_duplicates` finds among photographs.

    python benchmarks/duplicates.py FOLDER [--seeds 0 1 2] [--near 0.98] [--sweep]
    python benchmarks/duplicates.py FOLDER --sizes 12500 25000 50000

Among 2,000 photographs of a folder, 200 changed copies are planted, 40 of each kind: crops to 90%
of the sides at any place, JPEG of quality 40, 10% brighter, 10% darker, and mirrored. Copies are
files of their own (JPEG of quality 95, but for that of 40). A pair that was not planted counts as a
mistake, but for those in `KNOWN`: copies that cats-dogs and LFW hold themselves, each of which was
looked at.

With `--sizes`, the time for so many pictures is measured instead: photographs, crops of which fill
the number up.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import isthmus
from isthmus.detection.duplicates.find import find_among
from isthmus.detection.duplicates.pictures import Pictures
from isthmus.detection.duplicates.result import Duplicates
from isthmus.detection.duplicates.thumbnails import Thumbnails, make_thumbnails

COUNT, PLANTED = 2_000, 200
KINDS = ("crop", "jpeg", "brighter", "darker", "mirror")
KNOWN = (
    ("cat.4126", "cat.4575"),
    ("dog.180", "dog.74"),
    ("Andrew_Caldecott_0001", "Andrew_Gilligan_0001"),
    ("Ari_Fleischer_0006", "Ari_Fleischer_0011"),
    ("Bart_Hendricks_0001", "Ricky_Ray_0001"),
    ("Britney_Spears_0001", "Britney_Spears_0002"),
    ("Carlos_Beltran_0001", "Raul_Ibanez_0001"),
    ("Emmy_Rossum_0001", "Eva_Amurri_0001"),
    ("Gabrielle_Rose_0001", "Martha_Bowen_0002"),
    ("George_W_Bush_0016", "George_W_Bush_0039"),
    ("George_W_Bush_0109", "George_W_Bush_0461"),
    ("George_W_Bush_0130", "George_W_Bush_0206"),
    ("George_W_Bush_0147", "George_W_Bush_0165"),
    ("George_W_Bush_0168", "George_W_Bush_0171"),
    ("George_W_Bush_0177", "George_W_Bush_0194"),
    ("George_W_Bush_0235", "George_W_Bush_0261"),
    ("George_W_Bush_0407", "George_W_Bush_0409"),
    ("Julianne_Moore_0001", "Julianne_Moore_0008"),
    ("Julie_Gerberding_0004", "Julie_Gerberding_0006"),
    ("Leslie_Ann_Woodward_0001", "Leslie_Ann_Woodward_0002"),
    ("Prince_Willem-Alexander_0002", "Prince_Willem-Alexander_0003"),
    ("Renee_Zellweger_0010", "Renee_Zellweger_0013"),
    ("Serena_Williams_0002", "Serena_Williams_0016"),
    ("Serena_Williams_0029", "Serena_Williams_0031"),
)
SHOWN = (0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99)  # thresholds, with --sweep


def main() -> None:
    """Plant copies and look for them, or measure time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of JPEG files, in any subfolders")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--near", type=float, default=0.98)
    parser.add_argument("--sweep", action="store_true", help="also print other thresholds")
    parser.add_argument("--sizes", type=int, nargs="+", help="measure time instead")
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.jpg"))
    if options.sizes:
        for size in options.sizes:
            measure_time(files, size)
        return
    known = {frozenset(f"{name}.jpg" for name in pair) for pair in KNOWN}
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            planted = plant(files, Path(folder), np.random.default_rng(seed))
            found = isthmus.find_duplicates(
                folder, near=min(SHOWN) if options.sweep else options.near
            )
        for near in SHOWN if options.sweep else (options.near,):
            report(seed, near, found, planted, known)


def plant(files: list[Path], folder: Path, rng: np.random.Generator) -> dict[frozenset[str], str]:
    """Copy 2,000 photographs and changed copies of 200; return the kind of each pair."""
    chosen = [files[row] for row in np.sort(rng.choice(len(files), min(COUNT, len(files)), False))]
    for file in chosen:
        (folder / file.name).write_bytes(file.read_bytes())
    planted = {}
    for number, row in enumerate(rng.choice(len(chosen), PLANTED, False).tolist()):
        kind, file = KINDS[number % len(KINDS)], chosen[row]
        with Image.open(file) as picture:
            copy = change(picture.convert("RGB"), kind, rng)
        name = f"copy{number:03}.jpg"
        copy.save(folder / name, quality=40 if kind == "jpeg" else 95)
        planted[frozenset((file.name, name))] = kind
    return planted


def change(picture: Image.Image, kind: str, rng: np.random.Generator) -> Image.Image:
    """Return a changed copy."""
    if kind == "crop":
        width, height = (round(0.9 * side) for side in picture.size)
        left = int(rng.integers(picture.width - width + 1))
        top = int(rng.integers(picture.height - height + 1))
        return picture.crop((left, top, left + width, top + height))
    if kind == "mirror":
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    factor = {"brighter": 1.1, "darker": 0.9}.get(kind, 1.0)
    pixels = np.asarray(picture, np.float64) * factor
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


def report(
    seed: int,
    near: float,
    found: Duplicates,
    planted: dict[frozenset[str], str],
    known: set[frozenset[str]],
) -> None:
    """Print precision, recall, recall by kind, and the mistakes."""
    names = found.pictures.names
    pairs = {
        frozenset((names[pair.first], names[pair.second])): pair.agreement
        for pair in found.pairs
        if pair.agreement >= near
    }
    hits = [pair for pair in planted if pair in pairs]
    originals = {
        name: next(iter(pair - {name})) for pair in planted for name in pair if "copy" in name
    }
    wrong = [
        (sorted(pair), round(value, 3))
        for pair, value in pairs.items()
        # Also a copy and the twin of its original.
        if pair not in planted and frozenset(originals.get(one, one) for one in pair) not in known
    ]
    recalls = {
        kind: np.mean([pair in pairs for pair in planted if planted[pair] == kind])
        for kind in KINDS
    }
    text = " ".join(f"{kind} {recall:.3f}" for kind, recall in recalls.items())
    precision = len(hits) / max(1, len(hits) + len(wrong))
    print(
        f"seed {seed}, near {near}: precision {precision:.3f}, recall "
        f"{len(hits) / len(planted):.3f} ({text}), others {wrong[:8]}",
        flush=True,
    )


def measure_time(files: list[Path], count: int) -> None:
    """Print the seconds that reading and comparing take."""
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    pictures = [decode(file) for file in files[:count]]
    parts = [make_thumbnails(picture[None]) for picture in pictures]
    seconds = time.perf_counter() - start
    while len(parts) < count:  # half of the sides: they show something else than their original
        picture = pictures[int(rng.integers(len(pictures)))]
        height, width = (side // 2 for side in picture.shape[:2])
        top, left = (int(rng.integers(side + 1)) for side in (height, width))
        parts.append(make_thumbnails(picture[None, top : top + height, left : left + width]))
    items = isthmus.Items([str(row) for row in range(count)])
    start = time.perf_counter()
    found = find_among(Pictures(Thumbnails.join(parts), items, None, "", lambda rows: []))
    print(
        f"{count:,} pictures: read {seconds:.0f} s for {len(pictures):,}, compared "
        f"{time.perf_counter() - start:.0f} s ({time.process_time():.0f} s of CPU in all), "
        f"{len(found.groups):,} groups",
        flush=True,
    )


def decode(file: Path) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) of a file."""
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


if __name__ == "__main__":
    main()

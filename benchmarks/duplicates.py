"""Measure which changed copies `isthmus.find_duplicates` finds among photographs.

    python benchmarks/duplicates.py [--source cats-dogs] [--split test] [--seeds 0 1 2] [--near 0.98]
    python benchmarks/duplicates.py --sizes 12500 25000 50000

Among 2,000 photographs of a split, 200 changed copies are planted, 40 of each kind: crops to 90% of
the sides at any place, JPEG of quality 40, 10% brighter, 10% darker, and mirrored. Copies are files
of their own (JPEG of quality 95, but for that of 40). A pair that was not planted counts as a
mistake, unless it is in `--known`: the pairs of the source itself, which a person has looked at.

With `--sizes`, the time for so many pictures is measured instead: photographs, crops of which fill
the number up.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

import isthmus
from isthmus.detection.duplicates.find import find_among
from isthmus.detection.duplicates.pictures import Pictures
from isthmus.detection.duplicates.result import Duplicates
from isthmus.detection.duplicates.thumbnails import Thumbnails, make_thumbnails

COUNT, PLANTED = 2_000, 200
KINDS = ("crop", "jpeg", "brighter", "darker", "mirror")
SHOWN = (0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99)  # thresholds, with --sweep


def main() -> None:
    """Plant copies and look for them, or measure time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="cats-dogs")
    parser.add_argument("--folder", help="of the photographs as files, instead of the data set")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--near", type=float, default=0.98)
    parser.add_argument("--sweep", action="store_true", help="also print other thresholds")
    parser.add_argument("--known", type=Path, help="JSON: pairs of names that show the same")
    parser.add_argument("--sizes", type=int, nargs="+", help="measure time instead")
    options = parser.parse_args()
    files = sorted(Path(options.folder or options.source).rglob("*.jpg"))
    if options.sizes:
        for size in options.sizes:
            measure_time(files, size)
        return
    known = json.loads(options.known.read_text()) if options.known else []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            planted = plant(files, Path(folder), np.random.default_rng(seed))
            found = isthmus.find_duplicates(
                folder, near=min(SHOWN) if options.sweep else options.near
            )
        for near in SHOWN if options.sweep else (options.near,):
            report(seed, near, found, planted, {frozenset(pair) for pair in known})


def plant(files: list[Path], folder: Path, rng: np.random.Generator) -> dict[frozenset[str], str]:
    """Copy 2,000 photographs and changed copies of 200 to a folder; return the kind of each pair."""
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
    # A copy of one of two that were equal already is found twice.
    twins = {name for pair in known for name in pair}
    wrong = [
        (sorted(pair), round(value, 3))
        for pair, value in pairs.items()
        if pair not in planted and pair not in known and not _explained(pair, planted, twins)
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


def _explained(pair: frozenset[str], planted: Iterable[frozenset[str]], twins: set[str]) -> bool:
    """Return whether a pair is of a copy and the known twin of its original."""
    originals = {name for one in planted if one & pair for name in one}
    return (
        any(name.startswith("copy") for name in pair)
        and bool(originals & twins)
        and bool(pair & twins)
    )


def measure_time(files: list[Path], count: int) -> None:
    """Print the seconds that reading and comparing take."""
    rng = np.random.default_rng(0)
    parts, seconds, pixels = [], 0.0, []
    for file in files[:count]:
        content = file.read_bytes()
        start = time.perf_counter()
        with Image.open(io.BytesIO(content)) as picture:
            pixels.append(np.asarray(picture.convert("RGB")))
        parts.append(make_thumbnails(pixels[-1][None]))
        seconds += time.perf_counter() - start
    while len(parts) < count:  # half of the sides: they show something else than their original
        picture = pixels[int(rng.integers(len(pixels)))]
        height, width = (side // 2 for side in picture.shape[:2])
        top, left = (int(rng.integers(side + 1)) for side in (height, width))
        parts.append(make_thumbnails(picture[None, top : top + height, left : left + width]))
    thumbnails = Thumbnails.join(parts)
    items = isthmus.Items([str(row) for row in range(count)])
    pictures = Pictures(thumbnails, items, None, "photographs", lambda rows: [])
    start = time.perf_counter()
    found = find_among(pictures)
    print(
        f"{count:,} pictures: read {seconds / min(count, len(files)) * count:.0f} s, compared "
        f"{time.perf_counter() - start:.0f} s, {len(found.groups):,} groups",
        flush=True,
    )


if __name__ == "__main__":
    main()

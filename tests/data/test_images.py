"""Images at their own sizes: what is read, as what, and what the cache keeps of it."""

import tarfile
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from planting import left_out, notes, write_zip
from test_cache import entries
from test_cache_damage import cut, damage_notes, flip, zero

import isthmus
from isthmus import Images, Reading, load_images
from isthmus.data.cache import clean, clear
from isthmus.data.cache.sealed import read_sealed, seal
from isthmus.data.load_images import load_images_of
from isthmus.data.split import split_samples
from isthmus.errors import OptionError, SourceError

Refused = Callable[..., AbstractContextManager[None]]
Require = Callable[[str], Path]
T = TypeVar("T")

SHAPES = [(5, 6), (9, 4, 3), (1, 1), (7, 8), (12, 3, 3)]


def draw(path: Path, seed: int, shape: tuple[int, ...] = (6, 5), dtype: str = "uint8") -> Path:
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Give a folder of pictures of all sizes, gray and in color."""
    folder = tmp_path / "photographs"
    for i, shape in enumerate(SHAPES):
        draw(folder / f"{i}.png", i, shape)
    return folder


def make_pairs(folder: Path, noisy: str = "noisy", clean: str = "clean", count: int = 4) -> Path:
    """Draw pairs of images; clean ones are gray TIFFs, and noisy ones PNGs in color."""
    for i in range(count):
        draw(folder / noisy / f"{i}.png", i, (5 + i, 6, 3))
        draw(folder / clean / f"{i}.tif", 100 + i, (5 + i, 6))
    return folder


def pack(folder: Path) -> Path:
    """Return a zip archive of a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    members = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return write_zip(folder.with_suffix(".zip"), members)


def pixels_of(images: Images) -> list[NDArray[np.uint8]]:
    """Return copies of all images, which outlive damage to their files."""
    return [np.array(images.values[row]) for row in range(len(images))]


def are_equal(images: Images, wanted: list[NDArray[np.uint8]]) -> bool:
    return len(images) == len(wanted) and all(map(np.array_equal, pixels_of(images), wanted))


def refuse_to_decode(items: Iterable[T], total: int, title: str) -> Iterable[T]:
    raise AssertionError(f"{title}: {total} of {items}")


# What is read


@pytest.mark.parametrize("make", [lambda folder: folder, pack])
def test_images_keep_their_sizes_and_all_become_rgb_if_one_is(
    make: Callable[[Path], Path], photographs: Path, cache: Path
) -> None:
    images = load_images(make(photographs))
    assert images.describe() == "5 images of 1 × 1 to 7 × 8, RGB"
    files = sorted(photographs.iterdir())
    colored = isthmus.Preprocessing(channels=3)
    assert are_equal(images, [colored.decode_and_fit(str(file)) for file in files])
    assert images.values.sides.tolist() == [list(shape[:2]) for shape in SHAPES]
    assert list(images.names) == [file.name for file in files]
    assert images.report is not None
    assert images.report.size_range == ("1 × 1", "7 × 8")
    assert "odd-sizes" not in notes(images)


def test_images_are_opened_from_the_cache_the_second_time(photographs: Path, cache: Path) -> None:
    images = load_images(photographs)
    again = load_images(photographs, track=refuse_to_decode)
    assert again.fingerprint == images.fingerprint == load_images_of(again.origin).fingerprint
    assert isinstance(again.values.pixels, np.memmap)
    # A run names the channels that came out.
    assert load_images(photographs, channels=3, track=refuse_to_decode).describe() == (
        images.describe()
    )
    assert load_images(photographs, channels=1).channels == 1
    assert len(entries(cache)) == 2
    assert isthmus.load(photographs, size=4).shape == (4, 4, 3)  # another entry
    assert len(entries(cache)) == 3


def test_images_are_written_as_they_come_and_opened_without_reading_them(
    tmp_path: Path, cache: Path
) -> None:
    for i in range(12):
        Image.new("L", (700 + i, 700), 20 * i).save(tmp_path / f"{i:02}.bmp")
    written: list[int] = []

    def watch(items: Iterable[T], total: int, title: str) -> Iterable[T]:
        for item in items:
            written.append(sum(path.stat().st_size for path in cache.rglob("values.bin")))
            yield item

    images = load_images(tmp_path, track=watch)
    assert written[6] > images.values.nbytes / 3
    tracemalloc.start()
    try:
        assert load_images(tmp_path).fingerprint == images.fingerprint
        assert tracemalloc.get_traced_memory()[1] < images.values.nbytes / 2
    finally:
        tracemalloc.stop()


def test_a_few_broken_files_are_skipped_and_many_refused(
    tmp_path: Path, cache: Path, refused: Refused
) -> None:
    for i in range(20):
        draw(tmp_path / f"{i:02}.png", i, (5 + i, 6))
    (tmp_path / "03.png").write_bytes(b"no picture")
    images = load_images(tmp_path)
    assert [name for name, _ in images.skipped] == ["03.png"]
    assert len(images) == len(images.values.sides) == 19
    assert images.values.sides[3].tolist() == [9, 6]
    assert left_out(images) == {"broken": 1}
    for i in range(3):
        (tmp_path / f"{i:02}.png").write_bytes(b"no picture")
    with refused(SourceError, tmp_path, "00.png", "repair or remove"):
        load_images(tmp_path)


def test_folders_are_splits_but_no_classes_unless_they_are_asked_for(
    tmp_path: Path, cache: Path
) -> None:
    for i, name in enumerate(["train/a/1.png", "train/b/2.png", "train/3.png", "test/a/4.png"]):
        draw(tmp_path / name, i)
    images = load_images(tmp_path)
    assert (len(images), images.labels) == (4, None)
    assert images.splits is not None
    assert images.splits.tolist() == [2, 0, 0, 0]
    assert notes(images) == {}
    named = load_images(tmp_path, reading=Reading(classes_from="folder"))
    assert named.class_names == ("a", "b")


def test_masks_are_left_out(tmp_path: Path, cache: Path) -> None:
    for i in range(3):
        draw(tmp_path / f"images/{i}.png", i, (5 + i, 6, 3))
        draw(tmp_path / f"masks/{i}.png", i, (5 + i, 6))
    images = load_images(tmp_path)
    assert len(images) == 3
    assert left_out(images) == {"masks, not used at these sizes": 3}
    assert images.class_names == ()


def test_files_of_16_bits_are_kept_with_8_and_that_is_said(tmp_path: Path, cache: Path) -> None:
    draw(tmp_path / "a.png", 0, (6, 5), "uint16")
    draw(tmp_path / "b.png", 1, (6, 7))
    assert "1 file has more than 8 bits (16-bit gray)" in notes(load_images(tmp_path))["depth"]
    np.save(tmp_path / "deep.npy", np.arange(3 * 5 * 4, dtype=np.uint16).reshape(3, 5, 4) * 999)
    assert "the numbers are uint16" in notes(load_images(tmp_path / "deep.npy"))["depth"]
    np.save(tmp_path / "bytes.npy", np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4))
    assert "depth" not in notes(load_images(tmp_path / "bytes.npy"))
    stretched = load_images(tmp_path, reading=Reading(stretch="0:255"))
    assert stretched.values[0].mean() > load_images(tmp_path).values[0].mean()


def test_arrays_and_single_pictures_are_images(tmp_path: Path, cache: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)
    np.save(tmp_path / "x.npy", array)
    for source in (tmp_path / "x.npy", array):
        assert are_equal(load_images(source), list(array[..., None]))
    assert load_images(array, channels=3).channels == 3
    held = len(entries(cache))
    picture = draw(tmp_path / "one.png", 0, (5, 9, 3))
    one = load_images(picture)
    assert one.describe() == "1 image of 5 × 9, RGB"
    assert one.origin.source == str(picture)
    assert len(entries(cache)) == held


def test_areas_cover_an_image_once_and_are_cut_again(
    tmp_path: Path, cache: Path, refused: Refused
) -> None:
    pairs = make_pairs(tmp_path, count=1)
    scan = draw(tmp_path / "noisy" / "0.png", 0, (35, 20))
    clean = draw(tmp_path / "clean" / "0.tif", 1, (35, 20))
    areas = load_images(pairs, reading=Reading(areas=10))
    assert areas.describe() == "6 images of 11 × 10 to 12 × 10, gray, noisy and clean"
    assert list(areas.names)[:3] == [f"noisy/0.png[{place}]" for place in ("0,0", "0,10", "11,0")]
    for part, file in ((areas.values, scan), (areas.clean, clean)):
        assert part is not None
        rows = [np.concatenate([part[i], part[i + 1]], axis=1) for i in range(0, 6, 2)]
        assert np.array_equal(np.concatenate(rows)[..., 0], np.asarray(Image.open(file)))
    assert load_images_of(areas.origin).fingerprint == areas.fingerprint
    assert len(load_images(scan, reading=Reading(areas=36))) == 1
    with refused(OptionError, "8 pixels or more along a side, not 7"):
        load_images(scan, reading=Reading(areas=7))
    with refused(OptionError, "only the images of a denoiser are cut into areas"):
        isthmus.load(scan, reading=Reading(areas=10))


def test_pages_are_images_of_their_own(tmp_path: Path, cache: Path) -> None:
    pages = [Image.new("L", (4, 4 + i), 20 * i) for i in range(3)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    draw(tmp_path / "other.png", 1)
    images = load_images(tmp_path, reading=Reading(pages="all"))
    assert images.values.sides.tolist() == [[6, 5], [4, 4], [5, 4], [6, 4]]


def test_lists_of_arrays_are_images(refused: Refused) -> None:
    gray, color = np.zeros((3, 4), np.uint8), np.zeros((2, 2, 3), np.uint8)
    images = Images.of([gray, gray[:1]], clean=[gray, gray[:1]])
    assert images.describe() == "2 images of 1 × 4 to 3 × 4, gray, noisy and clean"
    assert images.take(np.array([1])).values[0].shape == (1, 4, 1)
    assert Images.of(np.stack([color, color]), names=["a", "b"]).describe().endswith("RGB")
    with refused(SourceError, "image 1", "(2, 2, 3)"):
        Images.of([gray, color])
    with refused(SourceError, "float64"):
        Images.of([gray.astype(float)])
    with refused(SourceError, "no images"):
        Images.of([])
    with refused(SourceError, "same size"):
        Images.of([gray], clean=[gray.T])


def test_signals_are_no_images(tmp_path: Path, cache: Path, refused: Refused) -> None:
    signals = np.random.default_rng(0).normal(size=(3, 40, 1)).astype(np.float32)
    np.save(tmp_path / "x.npy", signals)
    for source in (tmp_path / "x.npy", signals):
        with refused(SourceError, "signals", "--task denoise"):
            load_images(source)


def test_limits_and_colors_are_checked(photographs: Path, cache: Path, refused: Refused) -> None:
    assert list(load_images(photographs, limit=3).names) == ["0.png", "2.png", "4.png"]
    with refused(OptionError, "limit"):
        load_images(photographs, limit=0)
    with refused(OptionError, "channels"):
        load_images(photographs, channels=2)


# Pairs


def pack_tar(folder: Path) -> Path:
    """Return a packed tar archive of a folder, which is read from its start to its end."""
    path = folder.with_suffix(".tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, "pairs")
    return path


@pytest.mark.parametrize("make", [lambda folder: folder, pack])
@pytest.mark.parametrize(
    ("noisy", "clean"),
    [("noisy", "clean"), ("Noisy", "ground_truth"), ("a/noisy/b", "a/gt/b")],
)
def test_noisy_and_clean_images_of_the_same_names_are_pairs(
    noisy: str, clean: str, make: Callable[[Path], Path], tmp_path: Path, cache: Path
) -> None:
    folder = make_pairs(tmp_path / "pairs", noisy, clean)
    for images in (load_images(make(folder)), load_images(make(folder))):
        assert images.describe() == "4 images of 5 × 6 to 8 × 6, RGB, noisy and clean"
        colored = isthmus.Preprocessing(channels=3)
        for row in range(4):
            for values, file in (
                (images.values, folder / noisy / f"{row}.png"),
                (images.clean, folder / clean / f"{row}.tif"),
            ):
                assert values is not None
                assert np.array_equal(values[row], colored.decode_and_fit(str(file)))
        assert images.report is not None
        assert images.report.layout == "pairs of noisy and clean images"
        assert images.report.notes == ()


@pytest.mark.parametrize("place", ["{split}/{kind}", "{kind}/{split}"])
def test_pairs_keep_the_splits_of_their_source(place: str, tmp_path: Path, cache: Path) -> None:
    for split in ("train", "test"):
        noisy, clean_ones = (place.format(split=split, kind=kind) for kind in ("noisy", "clean"))
        make_pairs(tmp_path, noisy, clean_ones)
    images = load_images(tmp_path)
    assert images.splits is not None
    assert np.bincount(images.splits).tolist() == [4, 0, 4]
    assert load_images(tmp_path, limit=3).has_pairs


@pytest.mark.parametrize("make", [lambda folder: folder, pack_tar])
def test_noise_of_several_strengths_is_versions_of_the_clean_images(
    make: Callable[[Path], Path], tmp_path: Path, cache: Path
) -> None:
    folder = make_pairs(tmp_path / "pairs", "noisy15", count=6)
    for number in (5, 1, 3):
        draw(folder / f"noisy_50/{number}.png", 50 + number, (5 + number, 6, 3))
    images = load_images(make(folder))
    assert len(images) == 9
    assert images.clean is not None
    for row, name in enumerate(images.names):
        expected = load_images(folder / "clean" / f"{name[-5]}.tif", channels=3).values[0]
        assert np.array_equal(images.clean[row], expected)
    assert "noisy15/, noisy_50/" in notes(images)["noisy-versions"]
    for seed in range(5):  # what is tested on is not trained on with other noise
        split = split_samples(images, seed, 0.3, 0.3)
        parts = [{images.names[i][-5] for i in part} for part in vars(split).values()]
        assert sum(map(len, parts)) == 6
        assert all(parts)


def test_what_has_no_counterpart_is_left_out_and_that_is_said(tmp_path: Path, cache: Path) -> None:
    make_pairs(tmp_path)
    draw(tmp_path / "noisy/more.png", 1)
    draw(tmp_path / "clean/other.png", 1)
    draw(tmp_path / "elsewhere.png", 1)
    images = load_images(tmp_path)
    assert len(images) == 4
    assert sorted(left_out(images).values()) == [1, 1, 1]
    assert "2 of 10 images" in notes(images)["unpaired"]


def test_a_pair_is_skipped_if_one_of_it_is_broken(tmp_path: Path, cache: Path) -> None:
    make_pairs(tmp_path, count=20)
    (tmp_path / "clean/2.tif").write_bytes(b"no picture")
    (tmp_path / "noisy/5.png").write_bytes(b"no picture")
    images = load_images(tmp_path)
    assert images.clean is not None
    assert len(images) == len(images.clean) == 18
    assert {name for name, _ in images.skipped} == {"noisy/2.png", "noisy/5.png"}
    assert "clean/2.tif" in dict(images.skipped)["noisy/2.png"]


def test_pairs_that_do_not_fit_are_refused(tmp_path: Path, cache: Path, refused: Refused) -> None:
    make_pairs(tmp_path)
    draw(tmp_path / "clean/2.tif", 1, (6, 7))
    with refused(SourceError, "noisy/2.png is 7 × 6", "clean/2.tif is 6 × 7"):
        load_images(tmp_path)
    draw(tmp_path / "clean/2.png", 1, (6, 7))
    with refused(SourceError, "clean/2.png", "clean/2.tif", "same name"):
        load_images(tmp_path)
    (tmp_path / "clean/2.png").unlink()
    for file in list((tmp_path / "clean").iterdir()):
        file.rename(file.with_stem(f"x{file.stem}"))
    with refused(SourceError, tmp_path, "noisy/0.png", "clean/x0.tif", "same name"):
        load_images(tmp_path)


def test_samples_of_pairs_have_two_classes_as_before(
    tmp_path: Path, cache: Path, refused: Refused
) -> None:
    samples = isthmus.load(make_pairs(tmp_path), size=5)
    assert samples.class_names == ("clean", "noisy")
    assert "--task denoise" in notes(samples)["pairs-apart"]
    with refused(SourceError, "noisy and clean", "--task denoise"):
        isthmus.load(tmp_path, size=5, reading=Reading(layout="noisy and clean"))
    apart = load_images(tmp_path, reading=Reading(layout="folders"))
    assert (len(apart), apart.clean) == (8, None)
    draw(tmp_path / "noisy/0.gif", 1)
    assert len(isthmus.load(tmp_path, size=5)) == 9
    with refused(SourceError, "0.gif", "0.png"):
        load_images(tmp_path)


def test_a_folder_called_clean_alone_is_no_pair(tmp_path: Path, cache: Path) -> None:
    for i, name in enumerate(["clean/0.png", "clean/0.gif", "dirty/0.png"]):
        draw(tmp_path / name, i)
    images = load_images(tmp_path)
    assert (len(images), images.has_pairs) == (3, False)
    assert "pairs-apart" not in notes(isthmus.load(tmp_path))


# The cache


@pytest.mark.parametrize("name", ["values.bin", "clean.bin", "samples.json"])
def test_a_damaged_file_is_decoded_again_and_that_is_said(
    name: str, tmp_path: Path, cache: Path
) -> None:
    source = make_pairs(tmp_path / "source")
    wanted = pixels_of(load_images(source))
    for damage in (flip, zero, cut, Path.unlink):
        (entry,) = entries(cache)
        damage(entry / name)
        again = load_images(source)
        assert are_equal(again, wanted), damage
        (note,) = damage_notes(again)
        assert name in note
        assert damage_notes(load_images(source)) == []


NONSENSE: list[dict[str, Any]] = [
    {"sides": []},
    {"sides": [5, 6, 7]},
    {"sides": [2**40] * 8},
    {"sides": [-5, -6, 6, 6, 7, 6, 8, 6]},
    {"sides": "5667"},
    {"channels": 0},
    {"channels": "RGB"},
    {"clean": False},
    {"clean": 3},
    {"fingerprint": 3},
    {"splits": [9] * 4},
]


def test_nonsense_with_a_right_checksum_is_decoded_again(tmp_path: Path, cache: Path) -> None:
    source = make_pairs(tmp_path / "source")
    wanted = pixels_of(load_images(source))
    file = entries(cache)[0] / "samples.json"
    content = read_sealed(file)
    for nonsense in NONSENSE:
        file.write_bytes(seal({**content, **nonsense}))
        again = load_images(source)
        assert are_equal(again, wanted), nonsense
        assert len(damage_notes(again)) == 1, nonsense


def test_the_cache_lists_and_removes_images(photographs: Path, cache: Path) -> None:
    images = load_images(photographs)
    (kept,) = clean(older_than=3600).kept
    assert (kept.source, kept.description) == (str(photographs), images.describe())
    assert kept.state == "in use"
    wanted = pixels_of(images)
    assert clear() > images.values.nbytes
    assert are_equal(images, wanted)  # what is mapped stays
    assert entries(cache) == []


# The real photographs


def test_bsd_is_whole_and_each_photograph_keeps_its_size(require: Require) -> None:
    require("bsd")
    images = load_images("bsd")
    assert images.describe() == "468 images of 180 × 180 to 481 × 321, gray"
    assert images.splits is not None
    assert np.bincount(images.splits).tolist() == [400, 0, 68]
    assert {*map(tuple, images.values.sides[images.splits == 2])} == {(321, 481), (481, 321)}
    assert left_out(images) == {"in set12/, next to splits": 12}
    assert isthmus.load("bsd", size=24, limit=20).shape == (24, 24, 1)
    other = load_images("bsd", reading=Reading(parts="test=set12"))
    assert len(other) == 12


def test_bsd_that_is_not_there_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    with refused(SourceError, "https://github.com/", "Train400", "Set68", tmp_path / "bsd"):
        load_images("bsd")

"""Masks beside pictures: which belong together, what they hold, what is refused."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import isthmus
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]
Require = Callable[[str], Path]
Pixels = NDArray[np.uint8]
T = TypeVar("T")

SIDES = (8, 10)
SUFFIXES = ["", ".tar", ".tar.gz", ".zip"]


def draw(path: Path, seed: int, sides: tuple[int, int] = SIDES) -> Pixels:
    """Save a picture of three colors of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*sides, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def annotate(path: Path, mask: Pixels, mode: str = "L") -> Pixels:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(mask)
    if mode == "P":
        picture.putpalette([channel for i in range(256) for channel in (255 - i, i // 2, 7)])
    picture.save(path)
    return mask


def mask_of(seed: int, classes: int = 3, sides: tuple[int, int] = SIDES) -> Pixels:
    mask = np.random.default_rng(seed).integers(0, classes, sides, np.uint8)
    mask[0, 0] = classes - 1
    mask[0, 1] = 255
    return mask


def pairs(folder: Path, names: Iterable[tuple[str, str]]) -> dict[str, tuple[Pixels, Pixels]]:
    """Draw pictures and masks with the given names; return them by the names of the pictures."""
    return {
        picture: (draw(folder / picture, seed), annotate(folder / mask, mask_of(seed)))
        for seed, (picture, mask) in enumerate(names)
    }


def packed(folder: Path, suffix: str) -> Path:
    """Pack what is in a folder, or leave it as it is."""
    if not suffix:
        return folder
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    path = folder.parent / f"packed{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(folder).as_posix())
        return path
    with tarfile.open(path, "w:gz" if suffix.endswith("gz") else "w") as tar:
        for file in files:
            tar.add(file, file.relative_to(folder).as_posix())
    return path


def parts_of(samples: isthmus.Samples) -> dict[str, int]:
    assert samples.splits is not None
    return dict(zip(samples.names, samples.splits.tolist(), strict=True))


def masks_of(samples: isthmus.Samples) -> Pixels:
    assert samples.masks is not None
    return samples.masks


def assert_holds(
    samples: isthmus.Samples, drawn: dict[str, tuple[Pixels, Pixels]], within: str = ""
) -> None:
    """Compare pictures and masks; names in archives are told from the common folder on."""
    names = [name.removeprefix(within) for name in sorted(drawn)]
    assert list(samples.names) == names
    for name, pixels, mask in zip(names, samples.values, masks_of(samples), strict=True):
        assert np.array_equal(pixels, drawn[within + name][0])
        assert np.array_equal(mask, drawn[within + name][1])


SIDE_BY_SIDE = {
    "camvid": [
        (f"{p}/{i}.png", f"{p}annot/{i}.png") for p in ("train", "val", "test") for i in "ab"
    ],
    "parted": [
        (f"{p}/images/{i}.png", f"{p}/masks/{i}.png")
        for p in ("train", "val", "test")
        for i in "ab"
    ],
    "plain": [(f"images/{i}.png", f"masks/{i}.png") for i in "abc"],
    "capitals": [(f"Images/{i}.PNG", f"Masks/{i}.png") for i in "abc"],
    "deep": [(f"images/{c}/{i}.bmp", f"masks/{c}/{i}.png") for c in "xy" for i in "ab"],
}


# Layouts


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("layout", SIDE_BY_SIDE)
def test_pictures_and_masks_side_by_side(layout: str, suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    drawn = pairs(folder, SIDE_BY_SIDE[layout])
    samples = isthmus.load(packed(folder, suffix))
    assert_holds(samples, drawn)
    assert samples.labels is None
    assert samples.class_names == ("0", "1", "2")
    if layout in ("camvid", "parted"):
        wanted = {name: ("train", "val", "test").index(name.split("/")[0]) for name in drawn}
        assert parts_of(samples) == wanted
    else:
        assert samples.splits is None


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("layout", SIDE_BY_SIDE)
def test_a_list_beside_them_names_the_classes(layout: str, suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    drawn = pairs(folder, SIDE_BY_SIDE[layout])
    (folder / "classes.txt").write_text("sky\nroad sign\ntree\n\n")
    samples = isthmus.load(packed(folder, suffix))
    assert_holds(samples, drawn)
    assert samples.class_names == ("sky", "road sign", "tree")


def test_a_list_of_classes_may_leave_one_out(tmp_path: Path) -> None:
    pairs(tmp_path, SIDE_BY_SIDE["plain"])
    (tmp_path / "classes.txt").write_text("\ufeffsky\n\ntree\n\n", encoding="utf-8")
    assert isthmus.load(tmp_path).class_names == ("sky", "1", "tree")


def test_a_list_of_too_few_classes_is_refused(tmp_path: Path, refused: Refused) -> None:
    pairs(tmp_path, SIDE_BY_SIDE["plain"])
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    with refused(SourceError, "masks/a.png", "only 2 classes"):
        isthmus.load(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folders_above_the_layout_do_not_matter(suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    within = "some/where/"
    names = [(within + a, within + b) for a, b in SIDE_BY_SIDE["camvid"]]
    drawn = pairs(folder, names)
    assert_holds(isthmus.load(packed(folder, suffix)), drawn, within if suffix else "")


def test_folders_beside_pictures_and_masks_are_passed_over(tmp_path: Path) -> None:
    drawn = pairs(tmp_path, SIDE_BY_SIDE["plain"])
    draw(tmp_path / "examples/x.png", 9)
    assert_holds(isthmus.load(tmp_path), drawn)


@pytest.mark.parametrize("names", [["images/a.png", "photos/b.png"], ["annot/a.png", "cat/b.png"]])
def test_without_masks_folders_are_classes_as_ever(names: list[str], tmp_path: Path) -> None:
    for seed, name in enumerate(names):
        draw(tmp_path / name, seed)
    samples = isthmus.load(tmp_path)
    assert samples.masks is None
    assert samples.class_names == tuple(name.split("/")[0] for name in names)


VOC = "VOCdevkit/VOC2012/"


def voc(folder: Path) -> dict[str, tuple[Pixels, Pixels]]:
    """Make a set in the layout of VOC: 3 to train on, 2 to validate on, 1 picture without mask."""
    listed = {"train": ["2007_a", "2007_c", "2008.d"], "val": ["2007_b", "2009_e"]}
    drawn = {}
    for seed, stem in enumerate(stem for part in listed.values() for stem in part):
        name = f"{VOC}JPEGImages/{stem}.jpg"
        draw(folder / name, seed)
        mask = annotate(folder / f"{VOC}SegmentationClass/{stem}.png", mask_of(seed), "P")
        annotate(folder / f"{VOC}SegmentationObject/{stem}.png", mask_of(seed + 50), "P")
        drawn[name] = (isthmus.Preprocessing().decode_and_fit(str(folder / name)), mask)
    draw(folder / f"{VOC}JPEGImages/2007_x.jpg", 99)
    lists = folder / f"{VOC}ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for part, stems in listed.items():
        (lists / f"{part}.txt").write_text("".join(f"{stem}\n" for stem in stems))
    (lists / "test.txt").write_text("2010_t\n")
    return drawn


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_voc_gives_what_is_listed_and_validates_on_our_test_part(
    suffix: str, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    drawn = voc(folder)
    samples = isthmus.load(packed(folder, suffix))
    assert_holds(samples, drawn, VOC if suffix else "")
    parts = {name[-len("2007_a.jpg") :]: part for name, part in parts_of(samples).items()}
    assert parts == {
        "2007_a.jpg": 0,
        "2007_b.jpg": 2,
        "2007_c.jpg": 0,
        "2008.d.jpg": 0,
        "2009_e.jpg": 2,
    }


def cub(folder: Path, masks: str = "") -> dict[str, tuple[Pixels, Pixels]]:
    """Make a set in the layout of CUB; with masks below the folder that is named."""
    drawn = {}
    lines = {"images.txt": "", "train_test_split.txt": ""}
    for number, stem in enumerate(("001.Gull/g_1", "001.Gull/g_2", "002.Wren/w_1", "002.Wren/w_2")):
        name = f"CUB_200_2011/images/{stem}.jpg"
        draw(folder / name, number)
        votes = np.random.default_rng(number).choice(
            np.array([0, 51, 102, 127, 128, 153, 204, 255], np.uint8), SIDES
        )
        if masks:
            annotate(folder / f"{masks}segmentations/{stem}.png", votes)
        pixels = isthmus.Preprocessing().decode_and_fit(str(folder / name))
        drawn[name] = (pixels, (votes > 127).astype(np.uint8))
        lines["images.txt"] += f"{number + 1} {stem}.jpg\n"
        lines["train_test_split.txt"] += f"{number + 1} {(number + 1) % 2}\n"
    for name, text in lines.items():
        (folder / "CUB_200_2011" / name).write_text(text)
    return drawn


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("masks", ["./", "CUB_200_2011/"])
def test_cub_with_segmentations_tells_birds_from_background(
    masks: str, suffix: str, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    drawn = cub(folder, masks)
    samples = isthmus.load(packed(folder, suffix))
    assert_holds(samples, drawn, "CUB_200_2011/" if suffix and masks != "./" else "")
    assert samples.class_names == ("background", "bird")
    assert [part for _, part in sorted(parts_of(samples).items())] == [0, 2, 0, 2]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_cub_without_segmentations_has_species_and_its_own_parts(
    suffix: str, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    cub(folder)
    samples = isthmus.load(packed(folder, suffix))
    assert samples.masks is None
    assert samples.class_names == ("001.Gull", "002.Wren")
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 0, 1, 1]
    assert list(parts_of(samples).values()) == [0, 2, 0, 2]


def test_a_folder_of_archives_is_read_as_if_they_were_unpacked(tmp_path: Path) -> None:
    drawn = cub(tmp_path / "set", "./")
    folder = tmp_path / "archives"
    folder.mkdir()
    for name in ("CUB_200_2011", "segmentations"):
        with tarfile.open(folder / f"{name}.tgz", "w:gz") as tar:
            tar.add(tmp_path / "set" / name, name)
    assert_holds(isthmus.load(folder), drawn)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("limit", [1, 3])
def test_a_limit_keeps_pictures_and_masks_together(limit: int, suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    drawn = pairs(folder, SIDE_BY_SIDE["camvid"])
    samples = isthmus.load(packed(folder, suffix), limit=limit)
    assert len(samples) == limit
    assert_holds(samples, {name: drawn[name] for name in samples.names})


# The real CamVid


@pytest.fixture(scope="module")
def camvid(require: Require, tmp_path_factory: pytest.TempPathFactory) -> isthmus.Samples:
    require("camvid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(tmp_path_factory.mktemp("camvid")))
        return isthmus.load("camvid", size=(45, 60))


def test_camvid_is_whole_and_names_its_classes(camvid: isthmus.Samples) -> None:
    assert camvid.describe() == "701 images of 45 × 60, RGB, masks of 11 classes"
    assert camvid.splits is not None
    assert np.bincount(camvid.splits).tolist() == [367, 101, 233]
    assert camvid.class_names[3] == "road"
    assert camvid.allows_flip
    assert camvid.labels is None
    assert camvid.skipped == ()


def test_camvid_shows_the_sky_above_the_road_and_leaves_out_what_is_void(
    camvid: isthmus.Samples,
) -> None:
    masks = masks_of(camvid)
    assert sorted(np.unique(masks)) == [*range(11), 255]
    height = np.arange(45)[None, :, None]
    sky, road = (np.broadcast_to(height, masks.shape)[masks == c].mean() for c in (0, 3))
    assert sky < 15 < 25 < road
    brightness = camvid.values.mean(axis=-1)
    assert brightness[masks == 0].mean() > 1.5 * brightness[masks == 3].mean()


def test_camvid_is_the_same_as_its_files(camvid: isthmus.Samples, require: Require) -> None:
    whole = isthmus.load("camvid", limit=5)
    assert whole.shape == (180, 240, 3)
    with tarfile.open(require("camvid") / "camvid.tar") as tar:
        for name, pixels, mask in zip(whole.names, whole.values, masks_of(whole), strict=True):
            part, file = name.split("/")
            content = tar.extractfile(f"camvid/{part}annot/{Path(file).stem}.png")
            assert content is not None
            with Image.open(io.BytesIO(content.read())) as picture:
                original = np.array(picture)
            assert np.array_equal(mask, np.where(original == 11, 255, original))
            content = tar.extractfile(f"camvid/{name}")
            assert content is not None
            assert np.array_equal(pixels, isthmus.Preprocessing().decode_and_fit(content.read()))


def test_camvid_with_other_values_than_its_classes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    folder = tmp_path / "camvid/CamVid"
    pairs(folder, SIDE_BY_SIDE["camvid"])
    annotate(folder / "valannot/b.png", np.full(SIDES, 11, np.uint8))
    assert len(isthmus.load("camvid")) == 6
    annotate(folder / "valannot/b.png", np.full(SIDES, 13, np.uint8))
    with refused(SourceError, "valannot/b.png", "the value 13", "11 classes"):
        isthmus.load("camvid")


def test_camvid_without_its_masks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    draw(tmp_path / "camvid/CamVid/train/a.png", 0)
    with refused(SourceError, tmp_path / "camvid", "no masks", "camvid"):
        isthmus.load("camvid")


# Geometry


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_mask_is_cropped_and_keeps_its_values(mode: str, tmp_path: Path) -> None:
    mask = annotate(tmp_path / "mask.png", mask_of(1, classes=255, sides=(9, 14)), mode)
    preprocessing = isthmus.Preprocessing(crop=5)
    for file in (str(tmp_path / "mask.png"), (tmp_path / "mask.png").read_bytes()):
        assert np.array_equal(
            preprocessing.fit_mask(preprocessing.decode_mask(file).pixels), mask[2:7, 4:9]
        )
        assert np.array_equal(isthmus.Preprocessing().decode_mask(file).pixels, mask)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("crop", [None, 96])
@pytest.mark.parametrize("size", [None, (24, 24), (12, 24), (31, 17), (130, 140)])
def test_a_shape_stays_where_it_is_in_picture_and_mask(
    size: tuple[int, int] | None, crop: int | None, suffix: str, tmp_path: Path
) -> None:
    mask = np.zeros((120, 150), np.uint8)
    mask[70:100, 80:110] = 1
    annotate(tmp_path / "masks/a.png", mask)
    (tmp_path / "images").mkdir()
    picture = Image.fromarray((mask * 255)[..., None].repeat(3, axis=2))
    picture.save(tmp_path / f"images/a.{suffix}", quality=95)
    samples = isthmus.load(tmp_path, size=size, crop=crop)
    found = masks_of(samples)[0]
    white = samples.values[0].mean(axis=-1) > 127
    assert found.shape == (size or (crop and (96, 96)) or (120, 150))
    assert set(np.unique(found)) == {0, 1}
    wrong = np.argwhere(white != (found == 1))
    outline = found.astype(int)
    near = sum(np.abs(np.gradient(outline.astype(float), axis=axis)) for axis in (0, 1)) > 0
    assert all(near[y, x] for y, x in wrong)
    assert len(wrong) <= 0.05 * found.size
    center = [np.argwhere(where).mean(axis=0) for where in (white, found == 1)]
    assert np.abs(center[0] - center[1]).max() < 0.51


def test_a_resized_mask_holds_no_class_in_between(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 8
    draw(tmp_path / "images/a.png", 0, (40, 40))
    annotate(tmp_path / "masks/a.png", mask)
    samples = isthmus.load(tmp_path, size=15)
    assert set(np.unique(masks_of(samples))) == {0, 8}
    assert len(samples.class_names) == 9


def test_classes_outside_the_crop_count_too(tmp_path: Path) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[0, 0] = 6
    draw(tmp_path / "images/a.png", 0, (20, 20))
    annotate(tmp_path / "masks/a.png", mask)
    samples = isthmus.load(tmp_path, crop=10)
    assert masks_of(samples).max() == 0
    assert len(samples.class_names) == 7


# The cache, parts, fingerprints


def test_masks_survive_the_cache(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "set"
    pairs(folder, SIDE_BY_SIDE["parted"])
    first = isthmus.load(folder)
    kept = np.array(masks_of(first))

    def refuse(items: Iterable[T], total: int, title: str) -> Iterable[T]:
        raise AssertionError(f"{title}: {total} of {items}")

    again = isthmus.load(folder, track=refuse)
    assert np.array_equal(masks_of(again), kept)
    assert (again.class_names, again.fingerprint) == (first.class_names, first.fingerprint)
    masks_of(again)[:] = 1
    assert np.array_equal(masks_of(isthmus.load(folder)), kept)
    (file,) = cache.rglob("masks.npy")
    assert np.array_equal(np.load(file), kept)
    file.unlink()
    assert np.array_equal(masks_of(isthmus.load(folder)), kept)


def test_a_changed_mask_is_read_again(tmp_path: Path) -> None:
    pairs(tmp_path, SIDE_BY_SIDE["plain"])
    before = isthmus.load(tmp_path).fingerprint
    mask = annotate(tmp_path / "masks/b.png", mask_of(77, classes=5))
    changed = isthmus.load(tmp_path)
    assert np.array_equal(masks_of(changed)[1], mask)
    assert len(changed.class_names) == 5
    assert changed.fingerprint != before


@pytest.mark.parametrize("suffix", ["", ".tar", ".zip"])
def test_many_pictures_and_masks_stay_in_order(suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    drawn = pairs(folder, [(f"images/{i:03}.png", f"masks/{i:03}.png") for i in range(400)])
    mask = annotate(folder / "masks/000.png", mask_of(0, classes=5))
    drawn["images/000.png"] = (drawn["images/000.png"][0], mask)
    samples = isthmus.load(packed(folder, suffix))
    assert_holds(samples, drawn)
    assert len(samples.class_names) == 5


def test_a_broken_picture_or_mask_is_skipped_with_its_counterpart(tmp_path: Path) -> None:
    names = [(f"images/{i:02}.png", f"masks/{i:02}.png") for i in range(30)]
    drawn = pairs(tmp_path, names)
    (tmp_path / "images/04.png").write_bytes(b"")
    (tmp_path / "masks/07.png").write_bytes(b"no picture")
    samples = isthmus.load(tmp_path)
    skipped = dict(samples.skipped)
    assert list(skipped) == ["images/04.png", "images/07.png"]
    assert "masks/07.png" in skipped["images/07.png"]
    assert_holds(samples, {name: pair for name, pair in drawn.items() if name not in skipped})


def test_gray_pictures_before_the_first_in_color_keep_their_masks(tmp_path: Path) -> None:
    drawn = pairs(tmp_path, SIDE_BY_SIDE["plain"])
    gray = np.random.default_rng(5).integers(0, 256, SIDES, np.uint8)
    Image.fromarray(gray).save(tmp_path / "images/a.png")
    drawn["images/a.png"] = (gray[..., None].repeat(3, axis=2), drawn["images/a.png"][1])
    assert_holds(isthmus.load(tmp_path), drawn)


# What is refused


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Make a folder of three pictures and their masks."""
    folder = tmp_path / "set"
    pairs(folder, SIDE_BY_SIDE["plain"])
    return folder


@pytest.fixture
def fails(tmp_path: Path, cache: Path, refused: Refused) -> Callable[..., None]:
    """Give a function that expects an error about the folder, as it is and packed."""

    def check(*culprits: object) -> None:
        for suffix in SUFFIXES:
            with refused(SourceError, *culprits):
                isthmus.load(packed(tmp_path / "set", suffix))
        assert [path for path in cache.rglob("*") if path.is_file()] == []

    return check


def test_pictures_without_masks(plain: Path, fails: Callable[..., None]) -> None:
    draw(plain / "images/d.png", 4)
    draw(plain / "images/e.png", 5)
    fails("2 pictures of", "no mask", "images/d.png")


def test_masks_without_pictures(plain: Path, fails: Callable[..., None]) -> None:
    annotate(plain / "masks/x.png", mask_of(4))
    fails("1 masks of", "no picture", "masks/x.png")


def test_a_part_without_masks(tmp_path: Path, fails: Callable[..., None]) -> None:
    pairs(tmp_path / "set", [("train/a.png", "trainannot/a.png")])
    draw(tmp_path / "set/test/b.png", 4)
    fails("1 pictures of", "no mask", "test/b.png")


def test_two_pictures_for_one_mask(plain: Path, fails: Callable[..., None]) -> None:
    draw(plain / "images/a.bmp", 4)
    fails("images/a.bmp and images/a.png", "same name")


def test_a_mask_of_another_size_than_its_picture(plain: Path, fails: Callable[..., None]) -> None:
    annotate(plain / "masks/b.png", mask_of(4, sides=(10, 8)))
    fails("masks/b.png is 10 × 8", "images/b.png is 8 × 10")


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_a_mask_of_more_than_a_color_a_pixel(
    mode: str, plain: Path, fails: Callable[..., None]
) -> None:
    Image.new(mode, (10, 8)).save(plain / "masks/b.tif")
    (plain / "masks/b.png").unlink()
    fails("the mask masks/b.tif", f"of mode {mode}", "PNG")


def test_a_mask_in_a_format_that_changes_values(plain: Path, fails: Callable[..., None]) -> None:
    Image.new("L", (10, 8)).save(plain / "masks/b.jpg")
    (plain / "masks/b.png").unlink()
    fails("the mask masks/b.jpg", "JPEG")


def test_masks_that_are_all_white(plain: Path, fails: Callable[..., None]) -> None:
    for name in "abc":
        annotate(plain / f"masks/{name}.png", np.full(SIDES, 255, np.uint8))
    fails("hold only 255", "write 0 and 1")


def test_lists_of_what_is_missing(tmp_path: Path, fails: Callable[..., None]) -> None:
    voc(tmp_path / "set")
    (tmp_path / "set" / VOC / "JPEGImages/2007_c.jpg").unlink()
    fails("1 pictures that the lists of", "JPEGImages/2007_c")


def test_listed_pictures_without_masks(tmp_path: Path, fails: Callable[..., None]) -> None:
    voc(tmp_path / "set")
    (tmp_path / "set" / VOC / "SegmentationClass/2007_c.png").unlink()
    fails("1 pictures of", "JPEGImages/2007_c.jpg")


def test_two_sets_in_the_layout_of_voc(tmp_path: Path, fails: Callable[..., None]) -> None:
    voc(tmp_path / "set")
    voc(tmp_path / "set/more")
    fails("several data sets", VOC, f"more/{VOC}")


def test_birds_without_their_masks(tmp_path: Path, fails: Callable[..., None]) -> None:
    cub(tmp_path / "set", "./")
    (tmp_path / "set/segmentations/002.Wren/w_1.png").unlink()
    fails("1 pictures of", "no mask", "images/002.Wren/w_1.jpg")


def test_lists_of_birds_that_do_not_fit(tmp_path: Path, fails: Callable[..., None]) -> None:
    cub(tmp_path / "set")
    file = tmp_path / "set/CUB_200_2011/train_test_split.txt"
    text = file.read_text()
    file.write_text(text.replace("4 0\n", ""))
    fails("images.txt and train_test_split.txt", "differ")
    file.write_text(text.replace("4 0\n", "4 0 1\n"))
    fails("line 4 of", "train_test_split.txt", "'4 0 1'")
    file.write_text(text)
    (tmp_path / "set/CUB_200_2011/images/002.Wren/w_2.jpg").unlink()
    fails("1 pictures that the lists", "002.Wren/w_2.jpg")


def test_samples_refuse_masks_that_do_not_fit(refused: Refused) -> None:
    values = np.zeros((3, 4, 5, 1), np.uint8)
    masks = np.array([[[0, 1, 255, 0, 1]] * 4] * 3, np.uint8)

    def make(masks: NDArray[np.generic], **parts: object) -> isthmus.Samples:
        items = isthmus.Items(list("abc"), class_names=("sky", "road"))
        named = {"items": items, "masks": masks} | parts
        return isthmus.Samples(values, **named)  # type: ignore[arg-type]

    assert make(masks).describe() == "3 images of 4 × 5, gray, masks of 2 classes"
    for wrong in (masks[:2], masks[:, :3], masks.astype(np.int64), masks[..., None]):
        with refused(SourceError, str(wrong.dtype), str(wrong.shape), "(3, 4, 5)"):
            make(wrong)
    with refused(SourceError, "labels and masks"):
        items = isthmus.Items(list("abc"), np.zeros(3, np.int64), ("sky", "road"))
        make(masks, items=items)
    beyond = masks.copy()
    beyond[1, 2, 3] = 2
    with refused(SourceError, "mask of b", "class 2", "2 classes"):
        make(beyond)


def test_taken_masks_and_fingerprints(plain: Path) -> None:
    samples = isthmus.load(plain)
    taken = samples.take(np.array([2, 0]))
    assert np.array_equal(masks_of(taken), masks_of(samples)[[2, 0]])
    assert samples.take(np.arange(3)).fingerprint == samples.fingerprint
    taken_masks = masks_of(taken)
    taken_masks[0, 5, 5] = 255 if taken_masks[0, 5, 5] != 255 else 0
    assert taken.fingerprint != samples.take(np.array([2, 0])).fingerprint
    bare = isthmus.Samples(samples.values, samples.items)
    assert bare.fingerprint != samples.fingerprint

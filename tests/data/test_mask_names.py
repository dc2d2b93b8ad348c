"""Which files are masks, and of which picture, by their names and folders."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]

SIDES = (6, 8)


def make(folder: Path, names: Iterable[tuple[str, str]]) -> None:
    """Save pairs of a picture and its mask that share a shade of their own."""
    for i, (picture, mask) in enumerate(names):
        for name, color in ((picture, (10 * i, 90, 10 * i)), (mask, i % 3)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L" if name == mask else "RGB", SIDES[::-1], color).save(
                folder / name, lossless=True
            )


def assert_paired(folder: Path, pairs: list[tuple[str, str]]) -> isthmus.Samples:
    """Check that every picture has its own mask."""
    samples = isthmus.load(folder)
    assert samples.masks is not None
    assert samples.labels is None
    assert sorted(samples.names) == sorted(picture for picture, _ in pairs)
    order = {picture: i for i, (picture, _) in enumerate(pairs)}
    for name, pixels, mask in zip(samples.names, samples.values, samples.masks, strict=True):
        assert abs(int(pixels[0, 0, 0]) - 10 * order[name]) < 5
        assert (mask == order[name] % 3).all()
    return samples


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("{}.png", "{}_mask.png"),
        ("{}.jpg", "{}-mask.png"),
        ("{}.jpg", "{} mask.png"),
        ("{}.jpg", "{}.mask.png"),
        ("{}.jpg", "{}_Mask.png"),
        ("{}.jpg", "mask_{}.png"),
        ("{}.jpg", "{}_gt.png"),
        ("{}.jpg", "{}_label.png"),
        ("{}.jpg", "{}_seg.png"),
        ("{}.png", "{}_L.png"),
        ("{}.jpg", "{}_segmentation.png"),
        ("image_{}.jpg", "mask_{}.png"),
        ("{}_sat.jpg", "{}_mask.png"),
        ("cats/{}.jpg", "cats/{}_mask.png"),
        ("Data/{}.jpg", "Part1_GroundTruth/{}_segmentation.png"),
        ("stills/{}.png", "labeled/{}_L.png"),
        ("images/{}.jpg", "masks/{}_mask.png"),
        ("images/{}_image.jpg", "masks/{}_mask.png"),
        ("train/{}.jpg", "train_masks/{}_mask.gif"),
        ("images/{}.jpg", "annotations/trimaps/{}.png"),
        ("img/{}.jpg", "gt/{}.png"),
        ("images/{}.jpg", "masks/images/{}.png"),
        ("all/images/{}.jpg", "masks/all/images/{}.png"),
        ("x/images/{}.jpg", "x/labels/{}.png"),
    ],
)
def test_masks_are_found_by_words_around_the_names(picture: str, mask: str, tmp_path: Path) -> None:
    pairs = [(picture.format(stem), mask.format(stem)) for stem in ("a", "b_1", "b_2")]
    make(tmp_path, pairs)
    assert_paired(tmp_path, pairs)


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("images/{}/a.jpg", "annotations/{}/a.png"),
        ("{}/images/a.jpg", "{}/labels/a.png"),
        ("{}/a.jpg", "{}_labels/a_L.png"),
        ("leftImg8bit/{}/ulm/a{}_leftImg8bit.png", "gtFine/{}/ulm/a{}_gtFine_labelIds.png"),
    ],
)
def test_splits_are_folders_above_or_below(picture: str, mask: str, tmp_path: Path) -> None:
    splits = ("train", "val", "test")
    pairs = [(picture.format(*[part] * 2), mask.format(*[part] * 2)) for part in splits]
    make(tmp_path, pairs)
    samples = assert_paired(tmp_path, pairs)
    assert samples.splits is not None
    wanted = {name: i for i, (name, _) in enumerate(pairs)}
    assert dict(zip(samples.names, samples.splits.tolist(), strict=True)) == wanted


def test_of_several_masks_the_first_kind_counts(tmp_path: Path) -> None:
    pairs = [(f"{i}_leftImg8bit.png", f"{i}_gtFine_labelIds.png") for i in range(3)]
    make(tmp_path, pairs)
    for i in range(3):
        for kind in ("color", "instanceIds"):
            Image.new("L", SIDES[::-1], 9).save(tmp_path / f"{i}_gtFine_{kind}.png")
    assert_paired(tmp_path, pairs)


def test_few_without_a_counterpart_are_left_out(tmp_path: Path, refused: Refused) -> None:
    pairs = [(f"images/{i:02}.png", f"masks/{i:02}_mask.png") for i in range(20)]
    make(tmp_path, pairs)
    (tmp_path / pairs[3][1]).unlink()
    (tmp_path / pairs[7][0]).unlink()
    samples = isthmus.load(tmp_path)
    assert len(samples) == 18
    assert samples.report is not None
    left_out = {example: one.reason for one in samples.report.left_out for example in one.examples}
    assert "without a mask" in left_out[pairs[3][0]]
    assert "without a picture" in left_out[pairs[7][1]]
    for i in (1, 4):
        (tmp_path / pairs[i][1]).unlink()
    with refused(SourceError, "3 pictures", "no mask", "images/01.png", "--layout folders"):
        isthmus.load(tmp_path)


def test_a_few_names_with_a_word_are_no_masks(tmp_path: Path) -> None:
    for i in range(6):
        for name in ("cat", "dog"):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", SIDES, (i, 0, 0)).save(tmp_path / name / f"{i}.png")
    Image.new("RGB", SIDES).save(tmp_path / "dog" / "gas_mask.png")
    Image.new("RGB", SIDES).save(tmp_path / "dog" / "1_mask.png")
    samples = isthmus.load(tmp_path)
    assert samples.masks is None
    assert samples.class_names == ("cat", "dog")
    assert len(samples) == 14
    assert samples.report is not None
    (note,) = [note for note in samples.report.notes if note.code == "masks-as-pictures"]
    assert "dog/1_mask.png is named as a mask" in note.text
    assert "gas_mask" not in note.text
    assert "--layout folders" in note.way_out


def test_a_further_folder_is_left_out_of_pairs(tmp_path: Path) -> None:
    pairs = [(f"images/{i}.png", f"masks/{i}.png") for i in range(3)]
    make(tmp_path, pairs)
    (tmp_path / "examples").mkdir()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "examples" / "x.png")
    assert_paired(tmp_path, pairs)

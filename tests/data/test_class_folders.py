"""Splits and classes by the names of folders and files, and what is said of each decision."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from planting import counts, left_out, notes, plant, spread

from isthmus import load
from isthmus.data.reading import Reading
from isthmus.errors import OptionError, SourceError

Refused = Callable[..., AbstractContextManager[None]]

FEW = 3  # pictures in a folder


@pytest.mark.parametrize(
    "names",
    [
        ("train", "test"),
        ("training_set", "test_set"),
        ("Training", "Testing"),
        ("TrainSet", "TestSet"),
        ("train1", "test1"),
        ("train2017", "test2017"),
        ("train images", "eval-images"),
        ("seg_train", "seg_test"),
        ("training_set/training_set", "test_set/test_set"),
        ("data/data/train", "data/data/evaluation"),
    ],
)
def test_folders_called_as_splits_are_splits(names: Sequence[str], tmp_path: Path) -> None:
    samples = load(plant(tmp_path, spread(f"{name}/{c}" for name in names for c in ("a", "b"))))
    assert counts(samples) == {"a": 2 * FEW, "b": 2 * FEW}
    assert samples.splits is not None
    assert [samples.splits[i] for i, name in enumerate(samples.names) if "rain" in name] == [0] * 6
    assert np.bincount(samples.splits).tolist() == [6, 0, 6]
    assert samples.report is not None
    assert names[0].split("/")[-1] in samples.report.layout


def test_a_dev_folder_is_for_validation(tmp_path: Path) -> None:
    samples = load(plant(tmp_path, spread(["train", "dev", "valid", "test"])))
    assert samples.splits is not None
    assert np.bincount(samples.splits).tolist() == [3, 6, 3]
    assert samples.labels is None


def test_vehicles_are_classes_though_one_is_a_train(tmp_path: Path) -> None:
    samples = load(plant(tmp_path, spread(["train", "bus", "car"])))
    assert samples.class_names == ("bus", "car", "train")
    assert samples.splits is None


@pytest.mark.parametrize("names", [["val/a", "val/b", "test/a", "test/b"], ["test/a", "test/b"]])
def test_splits_without_one_to_train_on_are_no_classes(names: list[str], tmp_path: Path) -> None:
    samples = load(plant(tmp_path, spread(names)))
    assert samples.class_names == ("a", "b")
    assert samples.splits is None
    if len(names) == 4:
        assert "test/, val/ called as splits" in notes(samples)["no-training-split"]


def test_the_layout_of_mvtec_has_splits_and_its_masks_are_kept_to_measure_by(
    tmp_path: Path,
) -> None:
    names = ["train/good", "test/good", "test/broken"]
    masks = [f"ground_truth/broken/{i}_mask.png" for i in range(FEW)]
    samples = load(plant(tmp_path, spread(names) + masks))
    assert counts(samples) == {"broken": 3, "good": 6}
    assert left_out(samples) == {"masks of defects, which isthmus outliers measures by": 3}
    assert "masks-left-out" not in notes(samples)
    by_folder = load(tmp_path, reading=Reading(layout="folders", parts="none"))
    assert counts(by_folder) == {"ground_truth": 3, "test": 6, "train": 3}


def test_several_objects_of_mvtec_have_one_split_below_each(tmp_path: Path) -> None:
    below = ["train/good", "test/good", "test/broken", "ground_truth/broken"]
    names = spread(f"{thing}/{name}" for thing in ("bottle", "cable") for name in below)
    samples = load(plant(tmp_path, names))
    assert counts(samples) == {"bottle": 9, "cable": 9}
    assert samples.splits is not None
    assert np.bincount(samples.splits).tolist() == [6, 0, 12]
    by_parent = load(tmp_path, reading=Reading(classes_from="parent"))
    assert counts(by_parent) == {"broken": 6, "good": 12}


def test_a_split_without_classes_is_left_out_next_to_one_with_classes(tmp_path: Path) -> None:
    samples = load(plant(tmp_path, spread(["train/a", "train/b", "test1"])))
    assert counts(samples) == {"a": 3, "b": 3}
    assert left_out(samples) == {"in test1/, without classes": 3}
    assert "--classes-from none" in notes(samples)["no-classes-in-split"]
    assert len(load(tmp_path, reading=Reading(classes_from="none"))) == 9


def test_what_lies_next_to_splits_is_left_out_if_it_is_less(
    tmp_path: Path, refused: Refused
) -> None:
    plant(tmp_path, [*spread(["train/a", "train/b", "test/a", "extra/a"]), "x.png"])
    samples = load(tmp_path)
    assert len(samples) == 9
    assert left_out(samples) == {"in extra/, next to splits": 3, "in no folder, next to splits": 1}
    assert "4 pictures at the top, in extra/" in notes(samples)["next-to-splits"]
    plant(tmp_path, spread(["unlabeled"], 20))
    with refused(SourceError, "24 of its 33", "unlabeled/", "--parts", "train=train", "none"):
        load(tmp_path)
    assert len(load(tmp_path, reading=Reading(parts="train=train,test=test"))) == 9
    assert len(load(tmp_path, reading=Reading(parts="none"))) == 32  # without the stray


def test_parts_may_be_any_folders(tmp_path: Path, refused: Refused) -> None:
    plant(tmp_path, spread(f"{s}/{c}" for s in ("red/one", "blue", "gray") for c in "ab"))
    samples = load(tmp_path, reading=Reading(parts="train=red/one,test=blue"))
    assert samples.splits is not None
    assert np.bincount(samples.splits).tolist() == [6, 0, 6]
    assert samples.class_names == ("a", "b")
    assert left_out(samples) == {"in no folder that --parts names": 6}
    with refused(SourceError, "no folder green", "blue, gray, red"):
        load(tmp_path, reading=Reading(parts="train=green"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parts": "trian=a"}, "the nearest is train"),
        ({"parts": "train"}, "train=FOLDER"),
        ({"parts": "train="}, "train=FOLDER"),
        ({"classes_from": "folders"}, "the nearest is folder"),
        ({"layout": "pascal"}, "Pascal VOC"),
    ],
)
def test_wrong_values_are_refused(
    options: dict[str, Any], said: str, photos: Path, refused: Refused
) -> None:
    with refused(OptionError, said):
        load(photos, reading=Reading(**options))


def test_a_layout_that_is_not_there_is_refused(photos: Path, refused: Refused) -> None:
    with refused(SourceError, photos, "does not have the layout Pascal VOC"):
        load(photos, reading=Reading(layout="Pascal VOC"))


def test_an_option_without_effect_is_told(photos: Path) -> None:
    samples = load(photos, reading=Reading(label_column="3"))
    assert "--label-column has no effect" in notes(samples)["unused-option"]


@pytest.mark.parametrize("depth", ["", "all/", "a/b/c/"])
def test_folders_around_all_others_are_seen_through(depth: str, tmp_path: Path) -> None:
    samples = load(plant(tmp_path, spread([f"{depth}cat", f"{depth}dog"])))
    assert counts(samples) == {"cat": 3, "dog": 3}
    assert samples.report is not None
    assert depth in samples.report.layout.replace("in ", "") + "/"


def test_a_few_strays_are_left_out_and_many_take_the_classes_away(tmp_path: Path) -> None:
    samples = load(plant(tmp_path, [*spread(["cat", "dog"]), "stray.png"]))
    assert counts(samples) == {"cat": 3, "dog": 3}
    assert left_out(samples) == {"next to class folders": 1}
    assert "1 picture left out" in notes(samples)["next-to-classes"]
    samples = load(plant(tmp_path, [f"{i}.png" for i in range(6)]))
    assert samples.labels is None
    assert len(samples) == 13
    assert "--classes-from folder" in notes(samples)["no-classes"]
    samples = load(tmp_path, reading=Reading(classes_from="folder"))
    assert counts(samples) == {"cat": 3, "dog": 3}
    assert left_out(samples) == {"next to class folders": 7}


def test_the_level_of_classes_is_told_where_folders_lie_deeper(tmp_path: Path) -> None:
    plant(tmp_path, spread(["cat/young", "cat/old", "dog"]))
    samples = load(tmp_path)
    assert counts(samples) == {"cat": 6, "dog": 3}
    assert "cat/old, whose class is cat and not old" in notes(samples)["classes-from-folder"]
    samples = load(tmp_path, reading=Reading(classes_from="parent"))
    assert counts(samples) == {"dog": 3, "old": 3, "young": 3}
    assert "classes-from-folder" not in notes(samples)


def test_classes_in_names_are_told_and_used_on_request(tmp_path: Path) -> None:
    kinds = [f"train/{kind}.{i}.png" for kind in ("cat", "dog") for i in range(FEW)]
    plant(tmp_path, kinds + spread(["test1"]))
    samples = load(tmp_path)
    assert samples.labels is None
    assert "cat, dog" in notes(samples)["classes-in-names"]
    samples = load(tmp_path, reading=Reading(classes_from="name"))
    assert counts(samples) == {"cat": 3, "dog": 3}
    assert sum(left_out(samples).values()) == 3


def test_numbered_pictures_suggest_no_classes(tmp_path: Path, refused: Refused) -> None:
    plant(tmp_path, ["IMG_1.png", "IMG_2.png", "7.png"])
    assert "classes-in-names" not in notes(load(tmp_path))
    plant(tmp_path / "numbers", ["1.png", "2.png"])
    with refused(SourceError, "numbers", "1.png"):
        load(tmp_path / "numbers", reading=Reading(classes_from="name"))


def test_people_with_and_without_a_mask_are_classes(tmp_path: Path) -> None:
    samples = load(plant(tmp_path, spread(["mask", "no_mask"])))
    assert samples.class_names == ("mask", "no_mask")


def test_images_next_to_labels_of_text_have_splits_and_no_classes(tmp_path: Path) -> None:
    plant(tmp_path, spread(["train/images", "valid/images"]))
    (tmp_path / "train" / "labels").mkdir()
    (tmp_path / "train" / "labels" / "0.txt").write_text("0 0.5 0.5 1 1")
    samples = load(tmp_path)
    assert samples.labels is None
    assert samples.splits is not None
    assert left_out(samples) == {".txt": 1}


def test_a_class_folder_without_a_picture_is_told(tmp_path: Path) -> None:
    plant(tmp_path, spread(["train/a", "train/b", "test/a", "test/b"]))
    (tmp_path / "train" / "star").mkdir()
    (tmp_path / "train" / "star" / "clip.mp4").write_bytes(b"")
    assert "train/star/" in notes(load(tmp_path))["class-without-pictures"]


def test_without_classes_to_train_on_there_are_none(tmp_path: Path) -> None:
    samples = load(plant(tmp_path, spread(["train", "test/a", "test/b"])))
    assert samples.labels is None
    assert samples.splits is not None
    assert np.bincount(samples.splits).tolist() == [3, 0, 6]
    assert "those to train on are in no class folder" in notes(samples)["no-classes"]


def test_a_stray_next_to_splits_below_classes_leaves_them_splits(tmp_path: Path) -> None:
    names = spread(f"{thing}/{part}" for thing in ("cat", "dog") for part in ("train", "test"))
    samples = load(plant(tmp_path, [*names, "cat/cover.png"]))
    assert counts(samples) == {"cat": 6, "dog": 6}
    assert samples.splits is not None
    assert left_out(samples) == {"next to splits": 1}


def test_names_that_begin_with_splits_are_no_classes(tmp_path: Path) -> None:
    plant(tmp_path, [f"{part}_{i}.png" for part in ("train", "test") for i in range(FEW)])
    assert {*notes(load(tmp_path))} & {"splits-in-names", "classes-in-names"} == {"splits-in-names"}


def test_pictures_that_no_list_of_voc_names_are_counted_by_folder(tmp_path: Path) -> None:
    folders = [f"VOC2012/{name}" for name in ("JPEGImages", "SegmentationObject")]
    plant(tmp_path, spread(folders, 5))
    masks = tmp_path / "VOC2012" / "SegmentationClass"
    lists = tmp_path / "VOC2012" / "ImageSets" / "Segmentation"
    for folder in (masks, lists):
        folder.mkdir(parents=True)
    for i in range(2):
        Image.new("L", (5, 6), i).save(masks / f"{i}.png")
    (lists / "train.txt").write_text("0\n1\n")
    assert left_out(load(tmp_path)) == {
        "in VOC2012/JPEGImages, not named by the lists": 3,
        "in VOC2012/SegmentationObject, not named by the lists": 5,
    }


@pytest.mark.parametrize("wrapper", ["photos", "train"])
def test_a_stray_next_to_the_only_folder_leaves_splits_and_classes(
    wrapper: str, tmp_path: Path
) -> None:
    inside = ["train/a", "train/b", "test/a"] if wrapper == "photos" else ["a", "b", "c"]
    plant(tmp_path, [*spread(f"{wrapper}/{folder}" for folder in inside), "stray.png"])
    samples = load(tmp_path)
    assert samples.class_names == (("a", "b") if wrapper == "photos" else ("a", "b", "c"))
    assert (samples.splits is not None) == (wrapper == "photos")
    assert "1 picture left out" in notes(samples)["next-to-classes"]


def test_given_parts_may_lie_in_a_folder_around_them(tmp_path: Path) -> None:
    plant(tmp_path, [*spread(["set/one/a", "set/one/b", "set/two/a"]), "stray.png"])
    samples = load(tmp_path, reading=Reading(parts="train=one,test=two"))
    assert samples.splits is not None
    assert np.bincount(samples.splits).tolist() == [6, 0, 3]
    assert counts(samples) == {"a": 6, "b": 3}


def test_only_options_that_change_something_are_named(tmp_path: Path) -> None:
    ways = {
        ("control", "test"): "--classes-from none",
        ("My Images", "My Masks"): "--classes-from none",
        ("test/a", "val/b"): "--classes-from parent or none",
        ("seg_train/a", "seg_test/b"): "--parts test=seg_test,train=seg_train, or --classes-from p",
    }
    for number, (folders, way) in enumerate(ways.items()):
        plant(tmp_path / str(number), spread(folders))
        report = load(tmp_path / str(number), reading=Reading(parts="none")).report
        assert report is not None
        way_out = next(note.way_out for note in report.notes if note.code == "parts-as-classes")
        assert way_out.startswith(way)


def test_masks_by_name_leave_the_folders_of_classes_on_request(tmp_path: Path) -> None:
    names = spread(["benign", "normal"])
    plant(tmp_path, names + [name.replace(".png", "_mask.png") for name in names])
    reading = Reading(classes_from="folder")
    samples = load(tmp_path, reading=reading)
    assert counts(samples) == {"benign": 3, "normal": 3}
    assert any("named as a mask" in reason for reason in left_out(samples))


def test_names_that_differ_in_the_suffix_only_are_told(tmp_path: Path) -> None:
    samples = load(plant(tmp_path, [f"{i}.{end}" for i in range(4) for end in ("jpg", "png")]))
    assert "such as 0.jpg and 0.png" in notes(samples)["same-names"]


def test_classes_that_differ_in_capitals_only_are_told(tmp_path: Path) -> None:
    report = load(plant(tmp_path, spread(["Dog", "cat", "dog "]))).report
    assert report is not None
    assert "'Dog' and 'dog '" in next(n.text for n in report.notes if n.code == "same-words")

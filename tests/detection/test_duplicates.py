"""Duplicates: changed copies that are planted among photographs are found, and nothing else."""

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

from isthmus import Duplicates, Session, TrainingConfig, find_duplicates, load, train
from isthmus.detection.duplicates.candidates import list_views
from isthmus.detection.duplicates.groups import choose_removable, group_pairs
from isthmus.detection.duplicates.pairs import Pair
from isthmus.detection.duplicates.turning import Turn
from isthmus.errors import OptionError, SourceError
from test_cli import done, isthmus

Refused = Callable[..., AbstractContextManager[None]]
Change = Callable[[Image.Image], Image.Image]
SIDE = 80


def save_as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality)
    return Image.open(content).convert("RGB")


def mirror(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


CHANGES: dict[str, Change] = {
    "corner": lambda one: one.crop((8, 8, SIDE, SIDE)),
    "side": lambda one: one.crop((0, 5, SIDE - 8, SIDE - 3)),
    "jpeg": lambda one: save_as_jpeg(one, 40),
    "brighter": lambda one: ImageEnhance.Brightness(one).enhance(1.1),
    "darker": lambda one: ImageEnhance.Brightness(one).enhance(0.9),
    "mirrored": mirror,
    "smaller": lambda one: one.resize((60, 60), Image.Resampling.BICUBIC),
    "all": lambda one: save_as_jpeg(
        ImageEnhance.Brightness(mirror(one).crop((0, 8, SIDE - 8, SIDE))).enhance(0.9), 60
    ),
}


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    """40 places in two photographs, those with most details."""
    places = [(y, x) for y in range(0, 340, 40) for x in range(0, 560, 40)]
    parts = [
        one[y : y + SIDE, x : x + SIDE] for one in load_sample_images().images for y, x in places
    ]
    return [Image.fromarray(part) for part in sorted(parts, key=lambda part: -part.std())[:40]]


@pytest.fixture(scope="module")
def planted(photographs: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the photographs, with a copy after each change, an equal file, and blanks."""
    folder = tmp_path_factory.mktemp("planted")
    for number, picture in enumerate(photographs):
        picture.save(folder / f"{number:02}.png")
    for number, (name, change) in enumerate(CHANGES.items()):
        change(photographs[number]).save(folder / f"{number:02}-{name}.png")
    (folder / "20-equal.png").write_bytes((folder / "20.png").read_bytes())
    photographs[21].save(folder / "21-equal.bmp")
    for shade in (200, 201, 202):
        Image.new("RGB", (SIDE, SIDE), (shade,) * 3).save(folder / f"blank-{shade}.png")
    return folder


@pytest.fixture(scope="module")
def found(planted: Path) -> Duplicates:
    return find_duplicates(planted)


@pytest.fixture(scope="module", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def names_of(found: Duplicates) -> list[list[str]]:
    return [[found.pictures.names[row] for row in group.rows] for group in found.groups]


def pair_of(found: Duplicates, name: str) -> Pair:
    row = list(found.pictures.names).index(name)
    return next(pair for pair in found.pairs if row in pair.rows)


# -- what is found ------------------------------------------------------------------------------


def test_each_changed_copy_forms_a_group_with_its_original_and_nothing_else_does(
    found: Duplicates,
) -> None:
    copies = [f"{number:02}-{name}.png" for number, name in enumerate(CHANGES)]
    copies += ["20-equal.png", "21-equal.bmp"]
    assert sorted(map(sorted, names_of(found))) == [sorted([n, f"{n[:2]}.png"]) for n in copies]


def test_equal_pixels_are_told_from_equal_files(found: Duplicates) -> None:
    for name, text in (("20-equal.png", "equal files"), ("21-equal.bmp", "equal pixels")):
        pair = pair_of(found, name)
        assert (pair.is_exact, pair.agreement, found.differences(pair)) == (True, 1, [text])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("02-jpeg", r"slightly other pixels"),
        ("03-brighter", r"(9|1[0-2])% (brighter|darker)"),
        ("04-darker", r"(9|1[0-2])% (brighter|darker)"),
        ("05-mirrored", r"mirrored"),
        ("06-smaller", r"(60 × 60 instead of 80 × 80|80 × 80 instead of 60 × 60)"),
        ("07-all", r"mirrored, a crop of 8[0-2]%, (9|10|11)% darker"),
    ],
)
def test_what_differs_is_said(found: Duplicates, name: str, words: str) -> None:
    pair = pair_of(found, f"{name}.png")
    assert re.fullmatch(words, ", ".join(found.differences(pair)))
    assert not pair.is_exact


def test_the_crop_is_located_in_the_larger_picture(found: Duplicates) -> None:
    for name, box in (
        ("00-corner.png", (0.1, 0.1, 1, 1)),
        ("01-side.png", (0, 1 / 16, 0.9, 0.9625)),
    ):
        pair = pair_of(found, name)
        assert found.pictures.names[pair.second] == name  # "00.png" comes before it
        assert np.abs(np.subtract(pair.first_box, box)).max() < 0.01
        assert pair.second_box == (0, 0, 1, 1)


def test_blank_pictures_are_no_duplicates_unless_they_are_equal(found: Duplicates) -> None:
    assert found.plain == 3
    assert found.describe()[-1].startswith("3 pictures without details")
    values = np.full((3, 50, 50, 1), 90, np.uint8)
    values[2] += 1
    assert names_of(find_duplicates(values)) == [["0", "1"]]


def test_colors_and_halves_that_differ_make_no_duplicate(photographs: list[Image.Image]) -> None:
    picture = np.asarray(photographs[3])
    swapped = picture[..., [2, 0, 1]]
    half = picture.copy()
    half[:40, :40] = np.asarray(photographs[30])[:40, :40]
    assert not find_duplicates(np.stack([picture, swapped, half])).groups


def test_mirror_images_can_be_left_out(planted: Path) -> None:
    names = {name for group in names_of(find_duplicates(planted, mirrored=False)) for name in group}
    assert "00-corner.png" in names
    assert {"05-mirrored.png", "07-all.png"}.isdisjoint(names)


@pytest.mark.parametrize("turn", [view.turn for view in list_views(True, True)[10:]], ids=str)
def test_turned_pictures_are_found_if_asked_for(photographs: list[Image.Image], turn: Turn) -> None:
    values = np.stack([np.asarray(one) for one in photographs[:6]])
    turned = np.moveaxis(turn.apply(np.moveaxis(values[2], -1, 0)), 0, -1)
    values = np.concatenate([values, turned[None]])
    assert not find_duplicates(values).groups
    (pair,) = find_duplicates(values, turned=True).pairs
    assert pair.rows in ((2, 6), (6, 2))
    assert pair.turn.is_mirrored == turn.is_mirrored
    assert pair.turn.quarters in (turn.quarters, -turn.quarters % 4)


def test_a_higher_threshold_finds_fewer(planted: Path) -> None:
    found = find_duplicates(planted, near=0.9995)
    assert all(pair.agreement >= 0.9995 for pair in found.pairs)
    assert ["02-jpeg.png", "02.png"] not in map(sorted, names_of(found))


def test_pictures_of_archives_are_read_like_those_of_folders(
    planted: Path, found: Duplicates, tmp_path: Path
) -> None:
    import shutil

    archive = shutil.make_archive(str(tmp_path / "planted"), "zip", planted)
    other = find_duplicates(archive)
    assert names_of(other) == names_of(found)
    assert other.differences(pair_of(other, "20-equal.png")) == ["equal files"]
    rows = np.array(other.groups[0].rows)
    for one, same in zip(other.pictures.load(rows), found.pictures.load(rows), strict=True):
        np.testing.assert_array_equal(one, same)


def test_broken_files_and_others_are_named_and_left_out(planted: Path, tmp_path: Path) -> None:
    for path in planted.glob("[012]*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "05.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("mine")
    found = find_duplicates(tmp_path)
    text = f"{found}"
    assert "1 file cannot be decoded, such as 05.png" in text
    assert "left out: 1 .txt, such as notes.txt" in text
    assert ["06-smaller.png", "06.png"] in map(sorted, names_of(found))
    rows = np.array([row for group in found.groups for row in group.rows])
    for picture, row in zip(found.pictures.load(rows), rows, strict=True):
        with Image.open(tmp_path / found.pictures.names[row]) as one:
            np.testing.assert_array_equal(picture, np.asarray(one))


def test_digits_of_mnist_are_no_duplicates_of_each_other(require: Callable[[str], Path]) -> None:
    found = find_duplicates(require("mnist"), limit=400)
    assert sum(len(group.rows) for group in found.groups) <= 20


# -- splits, groups, and what can go ------------------------------------------------------------


def test_a_run_tells_what_its_test_data_shares_with_its_training_data(
    photographs: list[Image.Image],
) -> None:
    values = np.stack([np.asarray(one.resize((16, 16))) for one in photographs])
    values = np.concatenate([values, values[:12]])  # each in a split of its own choice
    training = train(load(values), "linear", config=TrainingConfig(epochs=1))
    list(training)
    session = Session(training.run)
    found = session.duplicates()
    split = session.split
    where = {row: part for part, rows in vars(split).items() for row in rows.tolist()}
    crossing = [row for row in range(12) if where[row] != where[row + 40]]
    assert {group.rows for group in found.leaks} >= {(row, row + 40) for row in crossing}
    assert sum(found.leak_counts().values()) == len(found.leaks) >= len(crossing) > 0


def test_samples_of_a_run_that_are_in_no_split_are_not_compared(
    photographs: list[Image.Image], tmp_path: Path
) -> None:
    # Of the class "other", the ones to train on are in no split of a run on normal samples.
    for part, kind, numbers in (
        ("train", "good", range(12)),
        ("train", "other", (20, 21)),
        ("test", "other", (20, 21, 22, 0)),
    ):
        folder = tmp_path / "pieces" / part / kind
        folder.mkdir(parents=True)
        for number in numbers:
            photographs[number].resize((16, 16)).save(folder / f"{number}.png")
    config = TrainingConfig(epochs=1, normal="good")
    training = train(load(tmp_path / "pieces"), "linear", config=config, out=tmp_path / "run")
    list(training)
    for found in (Session(tmp_path / "run").duplicates(), find_duplicates(tmp_path / "run")):
        assert len(found.pictures) == 16
        assert [found.pictures.names[row] for group in found.leaks for row in group.rows] == [
            "test/other/0.png",
            "train/good/0.png",
        ]


def test_the_test_picture_stays_and_then_the_larger_one() -> None:
    sizes = np.array([[10, 10], [20, 20], [10, 10]])
    pairs = [Pair(0, 1, 0.99, False), Pair(1, 2, 0.99, False), Pair(0, 2, 0.99, False)]
    (group,) = group_pairs(pairs, 3)
    assert choose_removable(group, None, sizes) == [0, 2]
    assert choose_removable(group, np.array([0, 0, 2], np.uint8), sizes) == [0, 1]
    assert choose_removable(group, np.array([0, 1, 0], np.uint8), sizes) == [0, 2]


def test_a_picture_goes_only_if_it_is_like_one_that_stays() -> None:
    sizes = np.array([[9, 9], [8, 8], [7, 7], [8, 8]])
    chain = [Pair(0, 1, 0.99, False), Pair(1, 2, 0.99, False), Pair(1, 3)]
    (group,) = group_pairs(chain, 4)
    assert group.rows == (0, 1, 2, 3)
    assert choose_removable(group, None, sizes) == [1, 3]  # 2 is like 1 alone, which goes


def test_labels_that_differ_within_a_group_are_counted(
    photographs: list[Image.Image], tmp_path: Path
) -> None:
    for name, number in (("cat/a", 0), ("cat/b", 1), ("dog/a", 0), ("dog/c", 2), ("dog/d", 2)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        photographs[number].save(tmp_path / f"{name}.png")
    found = find_duplicates(tmp_path)
    assert len(found.groups) == 2
    assert [group.rows for group in found.contradictions] == [(0, 2)]
    assert "1 group has several labels" in found.describe()


# -- the command --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def divided(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with originals for training and copies for testing."""
    folder = tmp_path_factory.mktemp("divided")
    for path in planted.glob("[0-9]*"):
        place = folder / ("test" if "-" in path.name else "train") / path.name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(path.read_bytes())
    return folder


def test_the_command_writes_a_page_and_a_list_and_prints_leaks(
    divided: Path, tmp_path: Path
) -> None:
    page, names = tmp_path / "page.html", tmp_path / "copies.txt"
    outcome = done("duplicates", divided, "--out", page, "--list", names)
    assert "10 groups shared by train and test" in outcome.out
    assert "(equal files)" in outcome.out
    content = page.read_text()
    assert content.count("<img") == 20
    assert content.count('class="box"') == 3  # of the crops
    assert names.read_text().splitlines() == sorted(
        path.relative_to(divided).as_posix()
        for path in divided.glob("train/*")
        if list(divided.glob(f"test/{path.stem}-*"))
    )
    done("duplicates", divided, "--out", page)  # an earlier page may be replaced


def test_the_json_has_pairs_with_all_that_differs(divided: Path) -> None:
    content = json.loads(done("duplicates", divided, "--json").out)
    assert content["leaks"] == {"train and test": 10}
    assert (content["n"], content["page"], content["list"]) == (50, None, None)
    groups = {group["pictures"][0]["name"]: group for group in content["groups"]}
    pair = groups["test/07-all.png"]["pairs"][0]
    assert (pair["mirrored"], pair["exact"], pair["first"]) == (True, False, "train/07.png")
    kinds = sorted(group["kind"] for group in content["groups"])
    assert kinds == ["exact"] * 2 + ["near"] * 8
    assert groups["test/20-equal.png"]["pairs"][0]["same_file"] is True
    assert len(content["removable"]) == 10


@pytest.mark.parametrize(
    ("arguments", "culprits"),
    [
        (("photos", "--near", 0.4), "near must be above 0.5 and at most 1, not 0.4"),
        (("photos", "--near", "nan"), "near must be above 0.5"),
        (("photos/0.png",), "is a single picture"),
        (("photos", "--out", "page.png"), "page.png does not end in .html"),
        (("photos", "--out", "other.html"), "other.html exists and was not written by Isthmus"),
        (("photos", "--list", "list.txt"), "list.txt exists"),
        (("photos", "--data", "elsewhere"), "is no run"),
        (("waves.npy",), "holds signals"),
    ],
)
def test_bad_requests_are_refused_and_write_nothing(
    arguments: tuple[object, ...],
    culprits: str,
    photographs: list[Image.Image],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(2):
        photographs[number].save(f"photos/{number}.png")
    Path("list.txt").write_text("mine")
    Path("other.html").write_text("mine")
    np.save("waves.npy", np.random.default_rng(0).normal(size=(5, 30, 1)).astype(np.float32))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    outcome = isthmus("duplicates", *arguments)
    assert outcome.code == 2
    assert culprits in outcome.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_options_on_reading_are_those_of_sources(refused: Refused) -> None:
    samples = load(np.zeros((3, 9, 9, 1), np.uint8))
    with refused(OptionError, "samples and runs"):
        find_duplicates(samples, size=8)
    with refused(SourceError, "nowhere"):
        find_duplicates("nowhere")

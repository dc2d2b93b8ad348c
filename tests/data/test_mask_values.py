"""What the values and colors of masks stand for, and which cannot be those of classes."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import isthmus
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]
Pixels = NDArray[np.uint8]

SIDES = (8, 10)
RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def save(folder: Path, masks: Sequence[Image.Image], suffix: str = "png") -> None:
    """Save masks next to pictures of their sizes."""
    for part in ("images", "masks"):
        (folder / part).mkdir(exist_ok=True)
    for i, mask in enumerate(masks):
        Image.new("RGB", mask.size, (i, 90, 200)).save(folder / f"images/{i}.png")
        mask.save(folder / f"masks/{i}.{suffix}")


def draw(values: Sequence[int], seed: int = 0) -> Pixels:
    """Draw a mask (H, W) that holds exactly these values."""
    chosen = np.array(values, np.uint8)
    mask = np.random.default_rng(seed).choice(chosen, SIDES)
    mask.flat[: len(chosen)] = chosen
    return mask


def grays(*values: Sequence[int]) -> list[Image.Image]:
    return [Image.fromarray(draw(some, seed)) for seed, some in enumerate(values)]


def paint(colors: Sequence[tuple[int, int, int]], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.array(colors, np.uint8)[draw(range(len(colors)), seed)])


def with_palette(mask: Pixels, colors: Sequence[tuple[int, int, int]]) -> Image.Image:
    picture = Image.fromarray(mask)
    picture.putpalette([channel for color in colors for channel in color])
    return picture


def load(folder: Path) -> tuple[Pixels, tuple[str, ...]]:
    samples = isthmus.load(folder)
    assert samples.masks is not None
    return samples.masks, samples.class_names


def notes_of(folder: Path) -> dict[str, str]:
    """Return the texts of the notes about masks, by their codes."""
    report = isthmus.load(folder).report
    assert report is not None
    return {note.code: note.text for note in report.notes if note.code.startswith("mask")}


def smooth_disc(level: int = 255, mode: str = "L", color: object = None) -> Image.Image:
    """Draw a disc with smooth edges."""
    picture = Image.new(mode, (400, 400))
    ImageDraw.Draw(picture).ellipse((60, 80, 330, 300), fill=color or level)  # type: ignore[arg-type]
    return picture.resize((80, 80), Image.Resampling.LANCZOS)


# Gray values


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([0, 255], ["0", "255"]),
        ([0, 128], ["0", "128"]),
        ([0, 127, 255], ["0", "127", "255"]),
        ([0, 50, 100], ["0", "50", "100"]),
        ([60, 120, 180], ["60", "120", "180"]),
    ],
)
def test_gray_levels_are_classes_in_their_order(
    values: list[int], classes: list[str], tmp_path: Path
) -> None:
    save(tmp_path, grays(values, values[:1], values))
    masks, names = load(tmp_path)
    assert names == tuple(classes)
    assert np.array_equal(np.array(values)[masks[0]], draw(values))
    assert (masks[1] == 0).all()
    assert "become" in notes_of(tmp_path)["mask-values"]


@pytest.mark.parametrize(
    ("values", "count"), [([0, 1, 255], 2), ([0, 15, 255], 16), ([1, 2, 3], 4), ([0, 20], 21)]
)
def test_class_numbers_stay_and_255_is_void_among_them(
    values: list[int], count: int, tmp_path: Path
) -> None:
    save(tmp_path, grays(values[:2], values))
    masks, names = load(tmp_path)
    assert len(names) == count
    assert np.array_equal(masks[1], draw(values, 1))
    assert notes_of(tmp_path).keys() == ({"mask-values"} if count > 2 * len(values) else set())


def test_as_many_names_as_values_are_theirs_in_order(tmp_path: Path) -> None:
    save(tmp_path, grays([0, 10, 20], [0, 20]))
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar\n")
    masks, names = load(tmp_path)
    assert names == ("sky", "road", "car")
    assert np.array_equal(masks[0] * 10, draw([0, 10, 20]))
    assert set(np.unique(masks[1])) == {0, 2}
    assert "0 → sky, 10 → road, 20 → car" in notes_of(tmp_path)["mask-values"]


@pytest.mark.parametrize(
    ("values", "names", "wanted"),
    [
        ([0, 7, 11, 255], "abc", [0, 1, 2, 255]),
        ([0, 7, 11, 255], "abcd", [0, 1, 2, 3]),
        ([0, 255], "ab", [0, 1]),
        ([0, 255], "abc", [0, 255]),
        ([0, 1, 255], "ab", [0, 1, 255]),
    ],
)
def test_the_number_of_names_tells_whether_255_is_void(
    values: list[int], names: str, wanted: list[int], tmp_path: Path
) -> None:
    save(tmp_path, grays(values))
    (tmp_path / "classes.txt").write_text("\n".join(names))
    masks, found = load(tmp_path)
    assert found == tuple(names)
    assert np.array_equal(masks[0], np.array(wanted)[np.searchsorted(values, draw(values))])


def test_one_name_for_black_and_white_is_refused(tmp_path: Path, refused: Refused) -> None:
    save(tmp_path, grays([0, 255]))
    (tmp_path / "classes.txt").write_text("house\n")
    with refused(SourceError, "0 and 255", "house", "name both"):
        isthmus.load(tmp_path)


@pytest.mark.parametrize("level", [255, 128])
def test_smooth_edges_are_refused(level: int, tmp_path: Path, refused: Refused) -> None:
    save(tmp_path, [Image.new("L", (80, 80)), smooth_disc(level)])
    with refused(SourceError, tmp_path, "gray values", "masks/1.png", "smoothing"):
        isthmus.load(tmp_path)


def test_a_long_list_of_classes_with_a_rare_void_is_none_of_smoothing(tmp_path: Path) -> None:
    mask = np.zeros((80, 80), np.uint8)
    mask[:10] = 255
    mask[40, :60] = np.arange(60)
    save(tmp_path, [Image.fromarray(mask)])
    masks, names = load(tmp_path)
    assert len(names) == 60
    assert np.array_equal(masks[0], mask)


# How a mask is stored


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_gray_stored_as_color_is_gray(mode: str, tmp_path: Path) -> None:
    save(tmp_path, [picture.convert(mode) for picture in grays([0, 1, 2, 255], [0, 1])])
    masks, names = load(tmp_path)
    assert names == ("0", "1", "2")
    assert np.array_equal(masks[0], draw([0, 1, 2, 255]))
    assert "read as gray" in notes_of(tmp_path)["mask-gray"]


def test_masks_of_one_bit_are_those_of_black_and_white(tmp_path: Path) -> None:
    bits = [Image.fromarray(draw([0, 255], seed)).convert("1") for seed in range(2)]
    save(tmp_path, bits)
    assert load(tmp_path)[1] == ("0", "1")
    save(tmp_path, [*bits, *grays([0, 255])])
    masks, names = load(tmp_path)
    assert names == ("0", "255")
    assert np.array_equal(masks * 255, [draw([0, 255]), draw([0, 255], 1), draw([0, 255])])


@pytest.mark.parametrize(("dtype", "suffix"), [("<u2", "png"), ("<i4", "tif"), ("<f4", "tif")])
def test_wide_numbers_are_read_up_to_255(
    dtype: str, suffix: str, tmp_path: Path, refused: Refused
) -> None:
    mask = draw([0, 1, 2, 255]).astype(dtype)
    save(tmp_path, [Image.fromarray(mask)], suffix)
    masks, names = load(tmp_path)
    assert names == ("0", "1", "2")
    assert np.array_equal(masks[0], mask)
    mask[3, 3] = 24005
    save(tmp_path, [Image.fromarray(mask)], suffix)
    with refused(SourceError, f"masks/0.{suffix}", "24005", "at most 255"):
        isthmus.load(tmp_path)


def test_white_of_sixteen_bits_is_white(tmp_path: Path) -> None:
    save(tmp_path, [Image.fromarray(draw([0, 1]).astype(np.uint16) * 65535)])
    masks, names = load(tmp_path)
    assert names == ("0", "255")
    assert np.array_equal(masks[0], draw([0, 1]))


def test_transparent_masks_are_refused(tmp_path: Path, refused: Refused) -> None:
    picture = paint([BLACK, RED]).convert("RGBA")
    picture.putpixel((3, 3), (0, 0, 0, 0))
    save(tmp_path, [picture])
    with refused(SourceError, "masks/0.png", "transparent"):
        isthmus.load(tmp_path)


def test_palettes_that_differ_are_refused_until_classes_are_named(
    tmp_path: Path, refused: Refused
) -> None:
    mask = draw([0, 1, 2])
    save(tmp_path, [with_palette(mask, [BLACK, RED, BLUE]), with_palette(mask, [BLACK, BLUE, RED])])
    with refused(SourceError, "#ff0000 in masks/0.png", "#0000ff in masks/1.png", "classes.txt"):
        isthmus.load(tmp_path)
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar\n")
    masks, names = load(tmp_path)
    assert names == ("sky", "road", "car")
    assert np.array_equal(masks, [mask, mask])
    (tmp_path / "classes.txt").write_text("sky 0 0 0\nroad 255 0 0\ncar 0 0 255\n")
    masks, names = load(tmp_path)
    assert np.array_equal(masks, [mask, np.array([0, 2, 1])[mask]])


def test_a_mask_that_exif_turns_is_turned(tmp_path: Path) -> None:
    mask = draw([0, 1, 2])
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter to the right
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.new("RGB", (10, 8)).save(tmp_path / "images/a.jpg", exif=exif)
    Image.fromarray(mask).save(tmp_path / "masks/a.png", exif=exif)
    assert np.array_equal(load(tmp_path)[0][0], np.rot90(mask, -1))


# Colors


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_of_the_stored_picture_is_turned_with_it(orientation: int, tmp_path: Path) -> None:
    drawn = np.repeat(draw([0, 1]), 8, 0).repeat(8, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    picture = Image.fromarray(drawn * 255)
    picture.save(tmp_path / "images/a.jpg", exif=exif, quality=95)
    picture.convert("RGB").save(tmp_path / "images/b.png", exif=exif)
    for name in "ab":
        Image.fromarray(drawn).save(tmp_path / f"masks/{name}.png")
    samples = isthmus.load(tmp_path)
    assert samples.masks is not None
    assert samples.shape[:2] == drawn.shape[::-1]
    assert np.array_equal(samples.values[..., 0] > 127, samples.masks == 1)


def test_colors_become_classes_in_their_order(tmp_path: Path) -> None:
    colors = [WHITE, GREEN, RED, BLACK]
    save(tmp_path, [paint([BLACK]), paint(colors, 1), paint([RED, WHITE], 2)])
    masks, names = load(tmp_path)
    assert names == ("#000000", "#008000", "#ff0000", "#ffffff")
    assert (masks[0] == 0).all()
    assert np.array_equal(masks[1], np.array([3, 1, 2, 0])[draw(range(4), 1)])
    assert np.array_equal(masks[2], draw([2, 3], 2))
    assert "#000000 → 0, #008000 → 1" in notes_of(tmp_path)["mask-colors"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "sky 0 0 0\nroad sign 255 0 0\nVoid 255 255 255\ncar 0 0 255\n"),
        ("label_colors.txt", "0 0 0\tsky\n255 0 0\troad sign\n255 255 255\tVoid\n0 0 255\tcar\n"),
        (
            "class_dict.csv",
            "name,r,g,b\nsky,0,0,0\nroad sign,255,0,0\nVoid,255,255,255\ncar,0,0,255\n",
        ),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nsky:0,0,0::\nroad sign:255,0,0::\n"
            "Void:255,255,255::\ncar:0,0,255::\n",
        ),
    ],
)
@pytest.mark.parametrize("below", ["", "masks/"])
def test_a_list_names_the_colors(below: str, name: str, text: str, tmp_path: Path) -> None:
    save(tmp_path, [paint([BLACK, RED, WHITE]), paint([BLUE, WHITE], 1)])
    (tmp_path / below / name).write_text(text)
    masks, names = load(tmp_path)
    assert names == ("sky", "road sign", "car")
    assert np.array_equal(masks[0], np.array([0, 1, 255])[draw(range(3))])
    assert np.array_equal(masks[1], np.array([2, 255])[draw(range(2), 1)])
    assert "Void" in notes_of(tmp_path)["mask-void"]


def test_a_color_that_is_not_in_the_list_is_refused(tmp_path: Path, refused: Refused) -> None:
    save(tmp_path, [paint([BLACK, RED]), paint([BLACK, GREEN])])
    (tmp_path / "classes.txt").write_text("sky 0 0 0\nroad 255 0 0\n")
    with refused(SourceError, "masks/1.png", "#008000", "2 classes"):
        isthmus.load(tmp_path)


def test_names_without_colors_do_not_name_colors(tmp_path: Path, refused: Refused) -> None:
    save(tmp_path, [paint([BLACK, RED])])
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    with refused(SourceError, "masks/0.png", "#000000", "red, green and blue"):
        isthmus.load(tmp_path)


def test_colors_of_voc_have_the_numbers_of_voc(tmp_path: Path) -> None:
    colors = [BLACK, (192, 128, 128), (224, 224, 192)]
    save(tmp_path, [paint(colors)])
    masks, names = load(tmp_path)
    assert len(names) == 21
    assert np.array_equal(masks[0], np.array([0, 15, 255])[draw(range(3))])


@pytest.mark.parametrize("color", [RED, (90, 200, 40)])
def test_smooth_edges_of_colors_are_refused(
    color: tuple[int, int, int], tmp_path: Path, refused: Refused
) -> None:
    save(tmp_path, [Image.new("RGB", (80, 80)), smooth_disc(mode="RGB", color=color)])
    with refused(SourceError, "masks/1.png", "colors", "antialiasing"):
        isthmus.load(tmp_path)


def test_a_photograph_is_no_mask(tmp_path: Path, refused: Refused) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    save(tmp_path, [Image.fromarray(noise)])
    with refused(SourceError, "masks/0.png", "256 colors", "--layout folders"):
        isthmus.load(tmp_path)

"""Pictures of all kinds: how deep, how many bands and pages, how turned, and how damaged."""

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms
from typer.testing import CliRunner

import isthmus
from isthmus.cli import app
from isthmus.data.fitting import describe_fitting
from isthmus.data.load import load_with
from isthmus.data.reading import Reading
from isthmus.errors import IsthmusError, OptionError, SourceError

Refused = Callable[..., AbstractContextManager[None]]
Pixels = NDArray[np.uint8]

PLAIN = isthmus.Preprocessing()
RAMP: Pixels = np.tile(np.arange(0, 240, 10).astype(np.uint8), (16, 1))
DEEP: NDArray[np.uint16] = np.tile(
    np.linspace(0, 4095, 24).astype(np.uint16), (16, 1)
)  # 12 bits in 16
DEEP_RGB = np.stack([DEEP, DEEP * 2, DEEP * 4], -1)
NOISE: Pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
FIVE = np.stack([RAMP // n for n in (1, 2, 3, 4, 5)], -1)


def saved(picture: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def tiff(values: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **{"photometric": "minisblack", **options})
    return file.getvalue()


def png_of_16_bits(values: NDArray[np.uint16], kind: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    )


def packed_tiff(values: NDArray[np.uint16]) -> bytes:
    """Return a TIFF of 12 bits a pixel without gaps, as cameras write them."""
    bits = "".join(f"{value:012b}" for value in values.ravel().tolist())
    content = int(bits, 2).to_bytes(len(bits) // 8)
    height, width = values.shape
    numbers = (width, height, 12, 1, 1, 8, 1, height, len(content))
    tags = zip((256, 257, 258, 259, 262, 273, 277, 278, 279), numbers, strict=True)
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in tags)
    start = struct.pack("<2sHI", b"II", 42, 8 + len(content))
    return start + content + struct.pack("<H", 9) + directory + bytes(4)


def decoded(file: bytes, **choices: Any) -> Pixels:
    return isthmus.Preprocessing(**choices).decode_and_fit(file)


def folder_of(path: Path, files: Iterable[bytes], suffix: str) -> Path:
    path.mkdir(parents=True)
    for i, file in enumerate(files):
        (path / f"{i:02d}{suffix}").write_bytes(file)
    return path


# -- numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int16, np.int64, np.int8])
def test_integers_of_a_wide_type_keep_the_values_of_eight_bits(dtype: type) -> None:
    values: NDArray[Any] = (RAMP // 2).astype(dtype)
    assert np.array_equal(decoded(tiff(values))[..., 0], RAMP // 2)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int16])
def test_integers_beyond_eight_bits_are_of_sixteen(dtype: type) -> None:
    assert np.array_equal(decoded(tiff(DEEP.astype(dtype)))[..., 0], np.round(DEEP / 257))


@pytest.mark.parametrize(
    ("values", "limits", "proposal"),
    [
        (DEEP.astype(np.int16) - 1000, "-1000 to 3095", "--stretch, such as -1000:3095"),
        (DEEP.astype(np.int32) * 1000, "0 to 4095000", "--stretch, such as 0:4095000"),
        (DEEP.astype(np.uint32) * 1_000_000, "0 to 4095000000", "--stretch"),
        (RAMP.astype(np.float32), "0 to 230", "--stretch, such as 0:255"),
        ((RAMP / 230).astype(np.float32) - 0.5, "-0.5 to 0.5", "--stretch, such as -0.5:0.5"),
    ],
)
def test_numbers_of_no_known_scale_are_refused_with_their_range(
    values: NDArray[Any], limits: str, proposal: str
) -> None:
    with pytest.raises(SourceError, match=f"{limits}.*{proposal}"):
        decoded(tiff(values))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_counted(wrong: float, refused: Refused) -> None:
    values = (RAMP / 255).astype(np.float32)
    values[3, 4] = wrong
    with refused(SourceError, "NaN or infinity in 1 of 384 values"):
        decoded(tiff(values))


def test_dark_integers_among_bright_ones_are_not_read_as_of_another_scale(
    tmp_path: Path, refused: Refused
) -> None:
    files = [tiff(DEEP.astype(np.int32)), tiff((DEEP // 20).astype(np.int32))]
    source = folder_of(tmp_path / "scans", files, ".tif")
    with refused(SourceError, "01.tif", "up to 204", "00.tif", "up to 4095", "--stretch"):
        isthmus.load(source)
    samples = isthmus.load(source, reading=Reading(stretch="0:4095"))
    assert samples.values.max(axis=(1, 2, 3)).tolist() == [255, 13]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_white_may_be_zero(compression: str | None, byteorder: str) -> None:
    for values, step in ((RAMP, 1), (DEEP, 257)):
        file = tiff(values, photometric="miniswhite", compression=compression, byteorder=byteorder)
        expected = 255 - np.round(values / step)
        assert np.array_equal(decoded(file)[..., 0], expected), values.dtype


def test_twelve_bits_that_are_packed_are_scaled_to_their_own_white() -> None:
    pixels, facts = PLAIN.decode_and_measure(packed_tiff(DEEP))
    assert np.array_equal(pixels[..., 0], np.round(DEEP / (4095 / 255)))
    assert (facts.kind, facts.low, facts.high) == ("12-bit gray", 0, 4095)


@pytest.mark.parametrize(
    "file",
    [
        tiff(DEEP_RGB, photometric="rgb"),
        tiff(DEEP_RGB, photometric="rgb", byteorder=">"),
        tiff(DEEP_RGB, photometric="rgb", compression="zlib", predictor=True),
        tiff(np.moveaxis(DEEP_RGB, -1, 0), photometric="rgb", planarconfig="separate"),
        png_of_16_bits(DEEP_RGB, 2),
        png_of_16_bits(np.concatenate([DEEP_RGB, np.full_like(DEEP_RGB[..., :1], 65535)], -1), 6),
    ],
    ids=["TIFF", "big-endian", "deflate", "planar", "PNG", "PNG with alpha"],
)
def test_sixteen_bits_of_color_are_all_used(file: bytes) -> None:
    pixels, facts = PLAIN.decode_and_measure(file)
    assert np.array_equal(pixels, np.round(DEEP_RGB / 257))
    assert (facts.kind[:10], facts.low, facts.high) == ("16-bit RGB", 0, 16380)
    stretched = np.round(np.minimum(DEEP_RGB / 4095, 1) * 255)
    assert np.array_equal(decoded(file, stretch=(0, 4095)), stretched)


def test_gray_of_sixteen_bits_with_alpha_stays_gray() -> None:
    file = png_of_16_bits(np.stack([DEEP * 16, np.full_like(DEEP, 65535)], -1), 4)
    pixels = decoded(file)
    assert pixels.shape == (16, 24, 1)
    assert np.abs(pixels[..., 0] - DEEP / 4095 * 255).max() < 1.5


def test_fractions_of_any_width_are_read() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        assert np.array_equal(decoded(tiff((RAMP / 255).astype(dtype)))[..., 0], RAMP), dtype


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "RGBA", "P"])
def test_colors_of_other_spaces_come_close(mode: str) -> None:
    picture = Image.fromarray(np.stack([RAMP, RAMP[:, ::-1], RAMP // 2 + 60], -1))
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        other = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
        assert other is not None
    else:
        other = picture.convert(mode)
    difference = decoded(saved(other, "TIFF")).astype(int) - np.asarray(picture)
    assert np.abs(difference).mean() < (30 if mode == "P" else 3)


# -- facts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (saved(NOISE, "JPEG"), "8-bit RGB"),
        (saved(NOISE[..., 0], "JPEG"), "8-bit gray"),
        (saved(NOISE, "PNG"), "8-bit RGB"),
        (saved(RAMP > 99, "PNG"), "1-bit"),
        (saved(Image.fromarray(NOISE).quantize(4), "PNG"), "palette"),
        (saved(Image.fromarray(NOISE).convert("RGBA"), "PNG"), "8-bit RGB with alpha"),
        (saved(Image.fromarray(NOISE).convert("CMYK"), "JPEG"), "8-bit CMYK"),
        (saved(DEEP, "PNG"), "16-bit gray"),
        (tiff(DEEP.astype(np.int32)), "32-bit integer gray"),
        (tiff((RAMP / 255).astype(np.float32)), "32-bit float gray"),
        (tiff(FIVE[..., :4], photometric="rgb", extrasamples=[0]), "8-bit RGB and 1 more"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_facts_name_bits_and_channels(file: bytes, kind: str) -> None:
    assert PLAIN.decode_and_measure(file)[1].kind == kind


def test_the_report_says_what_fills_little_of_its_scale(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "12bit", [tiff(DEEP), tiff(DEEP[:, ::-1])], ".tif")
    report = isthmus.load(source).report
    assert report is not None
    (note,) = [note for note in report.notes if note.code == "low-range"]
    assert "4,095 of 65,535" in note.text
    assert note.way_out == "--stretch auto"


# -- stretch --------------------------------------------------------------------------------


@pytest.fixture
def twelve_bits(tmp_path: Path) -> Path:
    """Return a folder of TIFFs whose values lie from 90 to 4,000."""
    values = np.clip(DEEP, 90, 4000)
    return folder_of(tmp_path / "scans", [tiff(values), tiff(np.flip(values, 1))], ".tif")


@pytest.mark.parametrize(
    ("stretch", "expected"), [("auto", (90.0, 4000.0)), ("0:4095", (0.0, 4095.0))]
)
def test_values_become_black_and_white_as_asked(
    stretch: str, expected: tuple[float, float], twelve_bits: Path
) -> None:
    samples = isthmus.load(twelve_bits, reading=Reading(stretch=stretch))
    assert samples.origin.preprocessing.stretch == expected
    low, high = expected
    wanted = np.round((np.clip(DEEP, 90, 4000) - low) / (high - low) * 255)
    assert np.array_equal(samples.values[0, ..., 0], wanted)


def test_what_auto_has_found_is_said_and_kept_for_a_second_load(twelve_bits: Path) -> None:
    for _ in range(2):
        samples = isthmus.load(twelve_bits, reading=Reading(stretch="auto"))
        assert samples.report is not None
        texts = [note.text for note in samples.report.notes if note.code == "stretch"]
        assert texts == ["90 becomes black and 4,000 white, the smallest and the largest value"]
    # A brighter picture changes it.
    (twelve_bits / "02.tif").write_bytes(tiff(DEEP * 2))
    again = isthmus.load(twelve_bits, reading=Reading(stretch="auto"))
    assert again.origin.preprocessing.stretch == (0, 8190)


def test_new_pictures_are_stretched_as_those_of_the_training(
    twelve_bits: Path, tmp_path: Path
) -> None:
    for i in range(2, 20):
        (twelve_bits / f"{i:02d}.tif").write_bytes(tiff(np.roll(np.clip(DEEP, 90, 4000), i)))
    samples = isthmus.load(twelve_bits, reading=Reading(stretch="auto"))
    config = isthmus.TrainingConfig(epochs=1)
    for _ in isthmus.train(samples, "linear", code_size=2, config=config, out=tmp_path / "run"):
        pass
    model = isthmus.TrainedModel.load(tmp_path / "run")
    assert model.preprocessing.stretch == (90.0, 4000.0)
    other = tmp_path / "new.tif"
    other.write_bytes(tiff(np.full_like(DEEP, 2045)))
    assert (model.preprocessing.decode_and_fit(str(other)) == 128).all()


def test_eight_bits_are_stretched_too_and_values_beyond_are_clipped() -> None:
    expected = np.clip(np.round((RAMP.astype(float) - 50) / 100 * 255), 0, 255)
    for file in (saved(RAMP, "PNG"), tiff(RAMP), saved(np.stack([RAMP] * 3, -1), "PNG")):
        pixels = decoded(file, stretch=(50, 150))
        assert np.array_equal(pixels, np.broadcast_to(expected[..., None], pixels.shape))


@pytest.mark.parametrize("stretch", [(-1, 1), (0, 1), (0, 4095)])
def test_a_stretch_for_other_numbers_leaves_pictures_of_eight_bits_alone(
    stretch: tuple[float, float], tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "new", [saved(RAMP, "PNG"), tiff(RAMP)], ".img.tif")
    np.save(tmp_path / "new.npy", np.stack([RAMP] * 2))
    for one in (source, tmp_path / "new.npy", np.stack([RAMP] * 2)):
        samples = load_with(one, isthmus.Preprocessing(stretch=stretch))
        assert (samples.values[..., 0] == RAMP).all()
        assert samples.report is not None
        (note,) = [note for note in samples.report.notes if note.code == "unstretched"]
        assert note.text in describe_fitting(samples) or isinstance(one, np.ndarray)
        assert note.text.startswith("2 pictures keep their own scale")


def test_pictures_of_0_and_1_are_stretched_by_those() -> None:
    flags = (RAMP > 100).astype(np.uint8)
    assert np.array_equal(decoded(saved(flags, "PNG"), stretch=(0, 1))[..., 0], flags * 255)


def test_a_stretch_that_leaves_all_dark_is_said(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "new", [tiff((RAMP / 255).astype(np.float32))] * 2, ".tif")
    samples = load_with(source, isthmus.Preprocessing(stretch=(0.0, 4095.0)))
    assert samples.report is not None
    (note,) = [note for note in samples.report.notes if note.code == "low-range"]
    assert note.text == "the brightest pixel is 0.902, and the stretch is 0:4095"


def test_floats_a_hair_beyond_their_scale_are_clipped() -> None:
    floats = (RAMP / 255).astype(np.float32)
    floats[0, 0], floats[0, 1] = -0.0005, 1.0005
    pixels = decoded(tiff(floats))[..., 0]
    assert pixels[0, :2].tolist() == [0, 255]
    assert np.array_equal(pixels[1:], RAMP[1:])


def test_an_array_in_memory_is_stretched() -> None:
    values = np.stack([DEEP, DEEP // 2])
    samples = isthmus.load(values, reading=Reading(stretch="auto"))
    assert samples.origin.preprocessing.stretch == (0.0, 4095.0)
    assert samples.values.max(axis=(1, 2, 3)).tolist() == [255, 127]


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.float32])
def test_a_file_of_an_array_is_stretched_and_the_numbers_are_said(
    dtype: type, tmp_path: Path
) -> None:
    values = np.stack([DEEP, DEEP // 2]).astype(dtype) + dtype(7)
    np.save(tmp_path / "deep.npy", values)
    samples = isthmus.load(tmp_path / "deep.npy", reading=Reading(stretch="auto"))
    assert samples.origin.preprocessing.stretch == (7.0, 4102.0)
    assert samples.values.max(axis=(1, 2, 3)).tolist() == [255, 127]
    # As by a model that was trained with it, of which nobody asks anything.
    kept = load_with(tmp_path / "deep.npy", isthmus.Preprocessing(stretch=(7, 4102)))
    assert np.array_equal(kept.values, samples.values)


@pytest.mark.parametrize("text", ["", "5", "5:5", "9:1", "a:b", "0:nan", "0:inf", "0:1:2", "-"])
def test_a_stretch_without_sense_is_refused(text: str, twelve_bits: Path, refused: Refused) -> None:
    with refused(OptionError, "LOW:HIGH", repr(text)):
        isthmus.load(twelve_bits, reading=Reading(stretch=text))


# -- bands ----------------------------------------------------------------------------------


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_of_five_bands_the_user_chooses(
    photometric: str, planar: bool, tmp_path: Path, refused: Refused
) -> None:
    values, how = (np.moveaxis(FIVE, -1, 0), "separate") if planar else (FIVE, "contig")
    file = tiff(values, photometric=photometric, planarconfig=how)
    source = folder_of(tmp_path / "bands", [file] * 2, ".tif")
    with refused(SourceError, "5 bands", "--channels"):
        isthmus.load(source)
    samples = isthmus.load(source, reading=Reading(channels="4,3,2"))
    assert np.array_equal(samples.values[0], FIVE[..., [3, 2, 1]])
    assert samples.origin.preprocessing.bands == (3, 2, 1)
    gray = isthmus.load(source, reading=Reading(channels="5"))
    assert np.array_equal(gray.values[0], FIVE[..., 4:])


def test_only_the_chosen_bands_are_looked_at_for_auto(tmp_path: Path) -> None:
    """The others may be heights in meters, or counts."""
    values = FIVE.astype(np.uint16)
    values[..., 4] = 60_000
    source = folder_of(tmp_path / "bands", [tiff(values, planarconfig="contig")] * 2, ".tif")
    reading = Reading(channels="1,2,3", stretch="auto")
    assert isthmus.load(source, reading=reading).origin.preprocessing.stretch == (0, 230)


def test_a_band_that_is_not_used_is_said(tmp_path: Path) -> None:
    file = tiff(FIVE[..., :4], photometric="rgb", planarconfig="contig", extrasamples=[0])
    source = folder_of(tmp_path / "near", [file] * 2, ".tif")
    samples = isthmus.load(source)
    assert np.array_equal(samples.values[0], FIVE[..., :3])
    assert samples.report is not None
    (note,) = [note for note in samples.report.notes if note.code == "bands"]
    assert note.text == "1 band is not used of 2 files (8-bit RGB and 1 more)"
    assert note.way_out == "--channels 4,3,2"


def test_bands_of_usual_pictures_are_chosen_too() -> None:
    assert np.array_equal(decoded(saved(NOISE, "PNG"), bands=(2, 1, 0)), NOISE[..., ::-1])
    with pytest.raises(SourceError, match=r"it has 3 bands.*number 5"):
        decoded(saved(NOISE, "PNG"), bands=(4,))


@pytest.mark.parametrize("text", ["", "0,1,2", "1,2", "a", "1,2,3,4", "-1", "middle"])
def test_bands_without_sense_are_refused(text: str, tmp_path: Path, refused: Refused) -> None:
    source = folder_of(tmp_path / "photos", [saved(NOISE, "PNG")] * 2, ".png")
    with refused(OptionError, "first, last", repr(text)):
        isthmus.load(source, reading=Reading(channels=text))


@pytest.mark.parametrize(
    "choices", [{"stretch": (5, 5)}, {"stretch": (0, np.nan)}, {"bands": (1, 2)}, {"bands": (-1,)}]
)
def test_a_preprocessing_without_sense_is_refused(choices: Any, refused: Refused) -> None:
    with refused(OptionError, *choices):
        isthmus.Preprocessing(**choices)


# -- pages ----------------------------------------------------------------------------------


def pages_of(kind: str, count: int = 5) -> bytes:
    frames = [Image.new("RGB", (6, 4), (40 * i, 255 - 40 * i, 9)) for i in range(count)]
    options = {"lossless": True} if kind == "WEBP" else {}
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("is_packed", [False, True], ids=["folder", "zip"])
def test_every_page_is_a_sample_if_asked_for(kind: str, is_packed: bool, tmp_path: Path) -> None:
    suffix = {"TIFF": ".tif"}.get(kind, f".{kind.lower()}")
    source = tmp_path / "scans"
    folder_of(source / "a", [pages_of(kind)], suffix)
    folder_of(source / "b", [saved(Image.new("RGB", (6, 4), "red"), "PNG")], ".png")
    if is_packed:
        import shutil

        source = Path(shutil.make_archive(str(source), "zip", source))
    first = isthmus.load(source)
    assert len(first) == 2
    assert first.report is not None
    (note,) = [note for note in first.report.notes if note.code == "pages"]
    assert (note.way_out, "5" in note.text) == ("--pages all", True)
    samples = isthmus.load(source, reading=Reading(pages="all"))
    names = [f"a/00{suffix}#{page}" for page in range(1, 6)]
    assert list(samples.items.names) == [*names, "b/00.png"]
    assert samples.items.labels is not None
    assert samples.items.labels.tolist() == [0] * 5 + [1]
    reds = samples.values[:5, 0, 0, 0].astype(int)
    assert np.abs(reds - [0, 40, 80, 120, 160]).max() < 4
    few = isthmus.load(source, reading=Reading(pages="all"), limit=3)
    assert list(few.items.names) == [names[0], names[2], "b/00.png"]


def test_pages_of_one_file_are_kept_in_one_split_by_the_option_that_is_named(
    tmp_path: Path,
) -> None:
    stacks = np.random.default_rng(0).integers(0, 255, (20, 3, 8, 8), np.uint8)
    source = folder_of(tmp_path / "films", [tiff(stack) for stack in stacks], ".tif")
    command = ["train", str(source), "--pages", "all", "--model", "linear", "--epochs", "1"]
    said = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "one")])
    assert "--group-by '^[^#]*'" in said.output
    options = ["--group-by", "^[^#]*", "--out", str(tmp_path / "other")]
    said = CliRunner().invoke(app, [*command, *options])
    assert (said.exit_code, "group-by" in said.output) == (0, False)
    names = isthmus.load(source, reading=Reading(pages="all")).names
    with np.load(tmp_path / "other/split.npz") as split:
        parts = [{names[i].partition("#")[0] for i in split[key]} for key in split]
    assert sum(map(len, parts)) == 20


def test_a_single_file_of_pages_says_so(tmp_path: Path) -> None:
    (tmp_path / "scan.tif").write_bytes(pages_of("TIFF"))
    report = isthmus.load(tmp_path / "scan.tif").report
    assert report is not None
    assert [note.way_out for note in report.notes if note.code == "pages"] == ["--pages all"]


def test_pages_of_pictures_with_masks_are_refused(tmp_path: Path, refused: Refused) -> None:
    folder_of(tmp_path / "images", [pages_of("TIFF")] * 2, ".tif")
    folder_of(tmp_path / "masks", [saved(np.eye(4, 6, dtype=np.uint8), "PNG")] * 2, ".png")
    with refused(OptionError, "pages", "00.tif", "masks"):
        isthmus.load(tmp_path, reading=Reading(pages="all"))


def test_more_pages_than_a_task_holds_stay_in_order(tmp_path: Path) -> None:
    stack = np.arange(100, dtype=np.uint8)[:, None, None] + np.zeros((1, 4, 6), np.uint8)
    (tmp_path / "film.tif").write_bytes(tiff(stack))
    samples = isthmus.load(tmp_path / "film.tif", reading=Reading(pages="all"))
    assert samples.values[:, 0, 0, 0].tolist() == list(range(100))


def test_a_damaged_page_is_skipped_alone(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    file = bytearray(tiff(stack, compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(bytes(file))) as opened:
        start = opened.pages[3].dataoffsets[0]
    file[start : start + 20] = bytes(20)
    (tmp_path / "film.tif").write_bytes(bytes(file))
    samples = isthmus.load(tmp_path / "film.tif", reading=Reading(pages="all"))
    assert [name for name, _ in samples.skipped] == ["film.tif#4"]
    assert np.array_equal(samples.values[3, ..., 0], stack[4])


# -- orientation ----------------------------------------------------------------------------


def exif_of(orientation: int, value: bytes = b"") -> bytes:
    """Return EXIF with an orientation and, if given, 8 bytes as a signed fraction."""
    tags = [struct.pack("<HHII", 0x0112, 3, 1, orientation)]
    if value:
        tags.append(struct.pack("<HHII", 0x9204, 10, 1, 8 + 2 + 24 + 4))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(tags) + bytes(4) + value


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    parts = [
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in segments
    ]
    return jpeg[:2] + b"".join(parts) + jpeg[2:]


BRIGHT_TOP = np.zeros((8, 16, 3), np.uint8)
BRIGHT_TOP[:3] = 255
LARGE = (0xE2, b"ICC_PROFILE\0\1\1" + bytes(65_000))
PHOTOSHOP = (0xED, b"Photoshop 3.0\0" + bytes(60_000))


@pytest.mark.parametrize("before", [(), (LARGE,), (LARGE, LARGE, PHOTOSHOP)])
@pytest.mark.parametrize("size", [None, (4, 2)])
def test_orientation_counts_wherever_it_stands(
    before: tuple[tuple[int, bytes], ...], size: tuple[int, int] | None
) -> None:
    exif = (0xE1, b"Exif\0\0" + exif_of(6))
    file = with_segments(saved(BRIGHT_TOP, "JPEG", quality=95), *before, exif)
    pixels, facts = isthmus.Preprocessing(size=size).decode_and_measure(file)
    assert pixels.shape[:2] == (size or (16, 8))
    assert (facts.height, facts.width, facts.is_turned) == (16, 8, True)
    assert pixels[:, -1].mean() > 2 * pixels[:, 0].mean()


def test_exif_of_a_thumbnail_or_in_a_comment_turns_nothing() -> None:
    fake = b"Exif\0\0" + exif_of(6)
    for segment in ((0xFE, fake), (0xED, fake), (0xE1, b"http://ns\0" + fake)):
        file = with_segments(saved(BRIGHT_TOP, "JPEG"), segment)
        assert decoded(file).shape[:2] == (8, 16)


@pytest.mark.parametrize("fraction", [(-1, 0), (-(2**31), -1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_that_cannot_be_written_again_turns_all_the_same(
    kind: str, fraction: tuple[int, int]
) -> None:
    exif = exif_of(6, struct.pack("<ii", *fraction))
    if kind == "TIFF":
        tag = (0x9204, 10, 1, struct.pack("<ii", *fraction), True)
        picture = BRIGHT_TOP.astype(np.uint16) * 257 if fraction[1] else BRIGHT_TOP
        file = tiff(picture, photometric="rgb", extratags=[(274, 3, 1, 6, True), tag])
    else:
        file = saved(BRIGHT_TOP, kind, exif=b"Exif\0\0" + exif)
    pixels, facts = PLAIN.decode_and_measure(file)
    assert (pixels.shape[:2], facts.is_turned) == ((16, 8), True)
    assert pixels[:, -1].mean() > 2 * pixels[:, 0].mean()


@pytest.mark.parametrize(
    "exif", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", exif_of(0), exif_of(77), b"XX" + bytes(30)]
)
def test_broken_exif_never_prevents_reading(exif: bytes) -> None:
    file = with_segments(saved(BRIGHT_TOP, "JPEG"), (0xE1, b"Exif\0\0" + exif))
    assert decoded(file).shape == (8, 16, 3)


# -- damage ---------------------------------------------------------------------------------


def test_bytes_too_many_do_not_matter() -> None:
    jpeg = saved(np.kron(NOISE, np.ones((8, 8, 1), np.uint8)), "JPEG")
    expected = decoded(jpeg)
    scan = jpeg.index(b"\xff\xda")
    for file in (
        jpeg[:-2] + bytes(50) + jpeg[-2:],
        jpeg[:-2] + b"\x12\x34" + jpeg[-2:],
        jpeg + b"something else",
        jpeg[:scan] + b"ab" + jpeg[scan:],
        jpeg[:scan] + b"\xff\xff" + jpeg[scan:],
    ):
        assert np.array_equal(decoded(file), expected)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_anywhere_is_skipped_with_a_reason(progressive: bool) -> None:
    jpeg = saved(np.kron(NOISE, np.ones((8, 8, 1), np.uint8)), "JPEG", progressive=progressive)
    for end in (len(jpeg) // 3, len(jpeg) // 2, len(jpeg) - 20, 40, 3):
        with pytest.raises(SourceError, match=r"\w{3}"):
            decoded(jpeg[:end])


def test_cmyk_of_adobe_is_inverted_back() -> None:
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(decoded(saved(picture, "JPEG", quality=95)) - [255.0, 0, 0]).max() < 6


def test_a_jpeg_of_twelve_bits_says_so() -> None:
    jpeg = bytearray(saved(NOISE, "JPEG"))
    jpeg[jpeg.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(SourceError, match=r"12 bits.*convert it"):
        decoded(bytes(jpeg))


@pytest.mark.parametrize(
    "file",
    [
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", 60_000, 60_000) + bytes(5),
        saved(NOISE, "JPEG").replace(struct.pack(">HH", 9, 14), struct.pack(">HH", 65500, 65500)),
        b"P6 100000 100000 255\n",
    ],
    ids=["PNG", "JPEG", "PPM"],
)
def test_a_picture_that_would_fill_the_memory_is_refused(file: bytes) -> None:
    with pytest.raises(SourceError, match=r"\w{3}"):
        decoded(file, size=(8, 8))


def test_libraries_keep_quiet_about_damaged_files(capfd: pytest.CaptureFixture[str]) -> None:
    """What libtiff and the loggers of Pillow and tifffile print would reach the user."""
    generator = np.random.default_rng(0)
    files = [
        saved(NOISE, "TIFF", compression="tiff_adobe_deflate"),
        saved(NOISE[..., 0], "TIFF", compression="tiff_lzw"),
        saved(NOISE, "TIFF", compression="jpeg"),
        saved(NOISE[..., 0] > 99, "TIFF", compression="group4"),
        tiff(FIVE),
        tiff(DEEP),
    ]
    for file in files:
        for _ in range(60):
            damaged = bytearray(file)
            for position in generator.integers(0, len(file), 3):
                damaged[position] = generator.integers(256)
            try:
                decoded(bytes(damaged))
            except IsthmusError:
                continue
    assert capfd.readouterr() == ("", "")


def test_damaged_content_is_called_so() -> None:
    file = bytearray(
        saved(np.kron(NOISE, np.ones((8, 8, 1), np.uint8)), "TIFF", compression="jpeg")
    )
    file[len(file) // 2 - 200 : len(file) // 2] = bytes(200)
    file[8:300] = bytes(292)
    with pytest.raises(SourceError, match="damaged"):
        decoded(bytes(file))


def test_programs_are_not_started_for_a_drawing() -> None:
    with pytest.raises(SourceError, match="not an image"):
        decoded(saved(NOISE, "EPS"))


def test_heic_is_read_or_its_package_is_named() -> None:
    with pytest.raises(SourceError, match=r"\w{3}"):
        decoded(b"\0\0\0\x18ftypheic" + bytes(40))
    heif = pytest.importorskip("pillow_heif")
    picture = np.stack([RAMP] * 3, -1).repeat(4, 0).repeat(4, 1)
    file = io.BytesIO()
    heif.from_pillow(Image.fromarray(picture)).save(file, quality=95)
    assert np.abs(decoded(file.getvalue()).astype(int) - picture).mean() < 3


def test_a_model_saved_before_stretch_and_bands_loads_as_it_was() -> None:
    from isthmus.files import to_json

    content = json.loads(json.dumps(to_json(PLAIN)))
    assert not {"stretch", "bands"} & content.keys()

"""The pixels that come out of picture files, and what models are given of them."""

import io
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import isthmus
from isthmus.errors import OptionError, SourceError

Refused = Callable[..., AbstractContextManager[None]]
Pixels = NDArray[np.uint8]

NOISE: Pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
PLAIN = isthmus.Preprocessing()


def encoded(picture: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def one_pixel(mode: str, color: Any) -> Image.Image:
    return Image.new(mode, (1, 1), color)


def big_endian_tiff(values: NDArray[np.uint16]) -> bytes:
    content = values.astype(">u2").tobytes()
    height, width = values.shape
    tags = (
        (256, width),
        (257, height),
        (258, 16),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(content)),
    )
    directory = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
    start = struct.pack(">2sHI", b"MM", 42, 8 + len(content))
    return start + content + struct.pack(">H", len(tags)) + directory + bytes(4)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]
)
def test_lossless_formats_give_the_exact_colors(kind: str, options: dict[str, Any]) -> None:
    assert np.array_equal(PLAIN.decode_and_fit(encoded(NOISE, kind, **options)), NOISE)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_gray_pictures_give_one_channel(kind: str) -> None:
    assert np.array_equal(PLAIN.decode_and_fit(encoded(NOISE[..., 0], kind)), NOISE[..., :1])


@pytest.mark.parametrize("shape", [(16, 24, 3), (16, 24)])
def test_jpeg_gives_nearly_the_colors(shape: tuple[int, ...]) -> None:
    ramp = np.broadcast_to(np.linspace(20, 230, 24).reshape(24, *[1] * (len(shape) - 2)), shape)
    pixels = PLAIN.decode_and_fit(encoded(ramp.astype(np.uint8), "JPEG", quality=95))
    assert pixels.shape == (16, 24, 3 if len(shape) == 3 else 1)
    assert np.abs(pixels.reshape(shape) - ramp).max() < 6


def test_of_several_frames_the_first_counts() -> None:
    frames = [Image.new("RGB", (3, 2), color) for color in ("red", "blue", "lime")]
    for kind in ("GIF", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        file = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert (PLAIN.decode_and_fit(file) == (255, 0, 0)).all(), kind


def test_one_bit_pictures_become_black_and_white() -> None:
    bits = NOISE[..., 0] > 127
    assert np.array_equal(PLAIN.decode_and_fit(encoded(bits, "PNG"))[..., 0], bits * 255)


def test_cmyk_becomes_rgb() -> None:
    inks = np.array([[[0, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 255]]], np.uint8)
    pixels = PLAIN.decode_and_fit(encoded(Image.fromarray(inks, "CMYK"), "TIFF"))
    assert pixels.tolist() == [[[255, 255, 255], [255, 0, 0], [0, 0, 0]]]


def test_palette_becomes_rgb() -> None:
    picture = Image.fromarray(NOISE).quantize(16)
    for kind in ("PNG", "GIF", "BMP"):
        assert np.array_equal(
            PLAIN.decode_and_fit(encoded(picture, kind)), np.asarray(picture.convert("RGB"))
        ), kind


@pytest.mark.parametrize(
    ("background", "expected"), [("white", (255, 255, 255)), ("#102030", (16, 32, 48))]
)
def test_transparent_pixels_show_the_background(
    background: str, expected: tuple[int, int, int]
) -> None:
    picture = Image.new("RGBA", (2, 1), (200, 100, 50, 255))
    picture.putpixel((1, 0), (200, 100, 50, 0))
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 100, 50, 9, 9, 9])
    palette.putpixel((1, 0), 1)
    wanted = isthmus.Preprocessing(background=background)
    for file in (
        encoded(picture, "PNG"),
        encoded(picture, "WEBP", lossless=True),
        encoded(palette, "PNG", transparency=1),
        encoded(palette, "PNG", transparency=b"\xff\x00"),
        encoded(palette, "GIF", transparency=1),
    ):
        assert wanted.decode_and_fit(file).tolist() == [[[200, 100, 50], list(expected)]]


def test_half_transparent_pixels_mix_with_the_background() -> None:
    file = encoded(one_pixel("RGBA", (0, 0, 0, 128)), "PNG")
    assert PLAIN.decode_and_fit(file).tolist() == [[[127, 127, 127]]]
    black = isthmus.Preprocessing(background="black")
    assert black.decode_and_fit(file).tolist() == [[[0, 0, 0]]]


def test_transparent_gray_stays_gray_over_gray_only() -> None:
    file = encoded(one_pixel("LA", (90, 0)), "PNG")
    assert PLAIN.decode_and_fit(file).tolist() == [[[255]]]
    red = isthmus.Preprocessing(background="red")
    assert red.decode_and_fit(file).tolist() == [[[255, 0, 0]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "big-endian TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    values = np.linspace(0, 65535, 60).astype(np.uint16).reshape(6, 10)
    big = kind == "big-endian TIFF"
    pixels = PLAIN.decode_and_fit(big_endian_tiff(values) if big else encoded(values, kind))
    assert np.array_equal(pixels[..., 0], np.round(values / 257))


def test_dark_sixteen_bits_are_scaled_too() -> None:
    for file in (
        encoded(np.full((2, 2), 200, np.uint16), "PNG"),
        big_endian_tiff(np.full((2, 2), 200, np.uint16)),
    ):
        assert (PLAIN.decode_and_fit(file) == 1).all()


def test_floating_point_tiff_is_taken_from_0_to_1() -> None:
    values = np.array([[0, 0.5, 1]], np.float32)
    assert PLAIN.decode_and_fit(encoded(values, "TIFF")).ravel().tolist() == [0, 128, 255]
    with pytest.raises(SourceError, match=r"0 to 2.*--stretch"):  # a part of a message
        PLAIN.decode_and_fit(encoded(values * 2, "TIFF"))


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, NOISE),
        (2, NOISE[:, ::-1]),
        (3, NOISE[::-1, ::-1]),
        (4, NOISE[::-1]),
        (5, NOISE.transpose(1, 0, 2)),
        (6, np.rot90(NOISE, -1)),
        (7, NOISE[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90(NOISE)),
    ],
)
def test_exif_orientation_is_applied(orientation: int, turned: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(PLAIN.decode_and_fit(encoded(NOISE, "PNG", exif=exif)), turned)
    assert PLAIN.decode_and_fit(encoded(NOISE, "JPEG", exif=exif)).shape == turned.shape


def test_a_path_gives_the_same_as_its_content(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(NOISE, "PNG"))
    assert np.array_equal(PLAIN.decode_and_fit(str(path)), NOISE)


def test_crop_is_the_central_square() -> None:
    cropped = isthmus.Preprocessing(crop=5).decode_and_fit(encoded(NOISE, "PNG"))
    assert np.array_equal(cropped, NOISE[2:7, 4:9])


def test_crop_of_a_smaller_picture_is_its_largest_square() -> None:
    cropped = isthmus.Preprocessing(crop=12).decode_and_fit(encoded(NOISE, "PNG"))
    assert np.array_equal(cropped, NOISE[:, 2:11])


def test_crop_comes_before_resizing() -> None:
    bordered = np.full_like(NOISE, 255)
    bordered[2:7, 4:9] = NOISE[2:7, 4:9]
    wanted = isthmus.Preprocessing(crop=5, size=(3, 3))
    outcome = wanted.decode_and_fit(encoded(NOISE, "PNG"))
    assert outcome.shape == (3, 3, 3)
    assert np.array_equal(outcome, wanted.decode_and_fit(encoded(bordered, "PNG")))


@pytest.mark.parametrize(("crop", "box"), [(None, (0, 9, 0, 14)), (5, (2, 7, 4, 9))])
def test_a_fitted_picture_is_put_back_where_it_was(
    crop: int | None, box: tuple[int, int, int, int]
) -> None:
    top, bottom, left, right = box
    wanted = isthmus.Preprocessing(crop=crop)
    assert np.array_equal(wanted.apply_crop(NOISE), NOISE[top:bottom, left:right])
    back = wanted.undo_fit(255 - wanted.fit(NOISE), NOISE)
    expected = NOISE.copy()
    expected[top:bottom, left:right] = 255 - NOISE[top:bottom, left:right]
    assert np.array_equal(back, expected)


def test_a_picture_put_back_has_its_size_and_the_channels_of_what_was_fitted() -> None:
    wanted = isthmus.Preprocessing(crop=5, size=(3, 4), channels=1)
    before = NOISE.copy()
    back = wanted.undo_fit(np.full((3, 4, 1), 77, np.uint8), NOISE)
    assert back.shape == (9, 14, 1)
    assert (back[2:7, 4:9] == 77).all()
    gray = isthmus.Preprocessing(channels=1).fit(NOISE)
    back[2:7, 4:9] = gray[2:7, 4:9]
    assert np.array_equal(back, gray)
    assert np.array_equal(NOISE, before)


@pytest.mark.parametrize(("size", "shape"), [(6, (6, 6)), ((4, 7), (4, 7)), ((20, 5), (20, 5))])
@pytest.mark.parametrize("channels", [1, 3])
def test_size_is_a_side_or_height_and_width(
    size: int | tuple[int, int], shape: tuple[int, int], channels: int, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(NOISE, "PNG"))
    assert isthmus.load(path, size=size, channels=channels).shape == (*shape, channels)


def test_resizing_stretches_the_whole_picture() -> None:
    halves = np.zeros((20, 40), np.uint8)
    halves[:, 20:] = 255
    outcome = isthmus.Preprocessing(size=(8, 4)).decode_and_fit(encoded(halves, "PNG"))
    assert outcome.shape == (8, 4, 1)
    assert outcome[:, 0].max() == 0
    assert outcome[:, -1].min() == 255


@pytest.mark.parametrize("channels", [1, 3])
def test_shrinking_averages_rather_than_picks(channels: int) -> None:
    board = np.indices((32, 32)).sum(0) % 2 * np.uint8(255)
    wanted = isthmus.Preprocessing(size=(4, 4), channels=channels)
    outcome = wanted.decode_and_fit(encoded(board.astype(np.uint8), "PNG"))
    assert 120 < outcome.min() <= outcome.max() < 136


@pytest.mark.parametrize(
    ("color", "gray"), [("red", 76), ("lime", 150), ("blue", 29), ("white", 255)]
)
def test_gray_follows_the_luma_weights(color: str, gray: int) -> None:
    wanted = isthmus.Preprocessing(channels=1)
    assert wanted.decode_and_fit(encoded(one_pixel("RGB", color), "PNG")).tolist() == [[[gray]]]


def test_gray_made_rgb_repeats_each_value() -> None:
    pixels = isthmus.Preprocessing(channels=3).decode_and_fit(encoded(NOISE[..., 0], "PNG"))
    assert np.array_equal(pixels, NOISE[..., :1].repeat(3, axis=2))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"])
def test_a_picture_cut_short_is_refused(kind: str) -> None:
    file = encoded(NOISE, kind)
    with pytest.raises(SourceError, match=r"\w{3}"):
        PLAIN.decode_and_fit(file[: len(file) // 2])


@pytest.mark.parametrize("file", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(file: bytes) -> None:
    with pytest.raises(SourceError, match="not an image"):
        PLAIN.decode_and_fit(file)


@given(position=st.integers(0, 300), byte=st.integers(0, 255), kind=st.sampled_from(["PNG", "GIF"]))
def test_a_damaged_picture_gives_pixels_or_the_one_error(
    position: int, byte: int, kind: str
) -> None:
    file = bytearray(encoded(NOISE, kind))
    file[position % len(file)] = byte
    with suppress(SourceError):
        pixels = PLAIN.decode_and_fit(bytes(file))
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] in (1, 3)


@pytest.mark.parametrize(
    ("config", "culprit"),
    [
        ({"size": (0, 8)}, "size must be from 1 to 8192 pixels, not 0x8"),
        ({"size": (8, 9000)}, "8x9000"),
        ({"crop": 0}, "crop must be from 1 to 8192 pixels, not 0"),
        ({"crop": -4}, "-4"),
        ({"background": "whitish"}, "'whitish' is not a color"),
        ({"low": 2.0, "high": 2.0}, "low must be below high, not 2.0 and 2.0"),
    ],
)
def test_settings_without_sense_are_refused(
    config: dict[str, Any], culprit: str, refused: Refused
) -> None:
    with refused(OptionError, culprit):
        isthmus.Preprocessing(**config)


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"size": 0}, "size"),
        ({"crop": 0}, "crop"),
        ({"channels": 2}, "channels"),
        ({"background": "?"}, "'?'"),
        ({"limit": 0}, "limit must be at least 1, not 0"),
    ],
)
def test_load_refuses_settings_without_sense(
    options: dict[str, Any], culprit: str, refused: Refused
) -> None:
    with refused(OptionError, culprit):
        isthmus.load("digits", **options)


def test_images_enter_a_model_from_0_to_1_and_channels_first() -> None:
    values = torch.from_numpy(NOISE)[None]
    x = PLAIN.to_input(values)
    assert x.shape == (1, 3, 9, 14)
    assert x.dtype == torch.float32
    assert torch.equal(x[0, 2], values[0, ..., 2] / 255)
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_images_come_back_exactly() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(2, 8, 16, 1)
    assert torch.equal(PLAIN.from_output(PLAIN.to_input(values)), values)


def test_outputs_beyond_white_and_black_are_clamped() -> None:
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0]).reshape(1, 1, 1, 5)
    assert PLAIN.from_output(x).ravel().tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(("low", "high"), [(-3.0, 5.0), (0.0, 4.0), (2.0, 2.5)])
def test_signals_are_scaled_both_ways_and_left_as_they_are(low: float, high: float) -> None:
    values = torch.linspace(low, high, 12).reshape(2, 3, 2)
    before = values.clone()
    wanted = isthmus.Preprocessing().with_range(low, high)
    x = wanted.to_input(values)
    assert x.shape == (2, 2, 3)
    assert x[0, 0, 0] == 0
    assert x[1, 1, 2] == 1
    assert torch.equal(values, before)
    assert torch.allclose(wanted.from_output(x), before)


@pytest.mark.parametrize("crop", [None, 90, 201])
@pytest.mark.parametrize("size", [(24, 24), (20, 31)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_decoded_smaller_comes_out_as_from_its_whole(
    crop: int | None, size: tuple[int, int], orientation: int, tmp_path: Path
) -> None:
    up, across = np.mgrid[0:300, 0:420]
    waves = [across * 0.6, up * 0.8, 128 + 100 * np.sin(across / 40) * np.cos(up / 30)]
    picture = Image.fromarray(np.stack(waves, axis=-1).clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "wave.jpg", quality=95, exif=exif)
    wanted = isthmus.Preprocessing(crop=crop, size=size)
    smaller = wanted.decode_and_fit(str(tmp_path / "wave.jpg")).astype(int)
    whole = wanted.fit(wanted.decode(str(tmp_path / "wave.jpg"))).astype(int)
    assert smaller.shape == (*size, 3)
    assert np.abs(smaller - whole).mean() < 1.5
    assert np.abs(smaller - whole).max() < 16

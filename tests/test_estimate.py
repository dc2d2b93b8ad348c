"""`estimate_noise` and `denoise --estimate`: how strong noise is, of photographs that have some."""

import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image

from isthmus import estimate_noise
from isthmus.errors import InputError
from test_cli import done, isthmus

Refused = Callable[..., AbstractContextManager[None]]
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module", params=["china.jpg", "flower.jpg"])
def photo(request: pytest.FixtureRequest) -> Pixels:
    """Give a photograph (213, 320, 3) of a temple or a flower, halved: its own noise is gone."""
    return halve(load_sample_image(request.param))


def halve(photo: Pixels) -> Pixels:
    return to_bytes(photo[:426].astype(float).reshape(213, 2, 320, 2, 3).mean((1, 3)))


def add(image: NDArray[Any], sigma: float) -> NDArray[np.float64]:
    """Add normal noise to an image; both are in steps of 255."""
    noise: NDArray[np.float64] = np.random.default_rng(1).standard_normal(image.shape)
    return image + sigma * noise


def to_bytes(image: NDArray[Any]) -> Pixels:
    pixels: Pixels = image.round().clip(0, 255).astype(np.uint8)
    return pixels


@pytest.mark.parametrize("sigma", [2, 5, 15, 25, 50])
def test_the_noise_of_photographs_is_found(sigma: float, photo: Pixels) -> None:
    gray = add(photo.mean(2), sigma)
    assert 255 * estimate_noise(to_bytes(gray)) == pytest.approx(sigma, rel=0.06, abs=0.6)
    assert 255 * estimate_noise(gray / 255) == pytest.approx(sigma, rel=0.06, abs=0.6)


def test_every_form_of_an_image_has_the_same_noise(photo: Pixels) -> None:
    noisy = add(photo[..., :1].clip(50, 200), 10) / 255
    expected = estimate_noise(noisy[..., 0])
    assert estimate_noise(noisy) == expected
    assert estimate_noise(noisy.repeat(3, 2)) == pytest.approx(expected)
    assert estimate_noise(noisy.astype(np.float32)) == pytest.approx(expected, rel=1e-3)
    assert estimate_noise(np.asfortranarray(noisy)) == expected
    assert estimate_noise((noisy * 65535).round().astype(np.uint16)) == pytest.approx(
        expected, rel=1e-3
    )


def test_the_channels_are_averaged_as_squares() -> None:
    gray = np.full((100, 100, 2), 128.0)
    gray[..., 0] = add(gray[..., 0], 10)
    assert 255 * estimate_noise(gray / 255) == pytest.approx(10 / 2**0.5, rel=0.05)


@pytest.mark.parametrize("sigma", [0, 1, 8])
def test_a_flat_image_has_exactly_its_noise(sigma: float) -> None:
    flat = add(np.full((120, 90), 100.0), sigma)
    assert 255 * estimate_noise(flat / 255) == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("level", [0, 255])
def test_what_is_clipped_counts_nothing(level: float, photo: Pixels) -> None:
    image = add(photo[..., 1].clip(60, 200), 12)
    image[:, :230] = add(np.full((213, 230), level, float), 12)  # a night or an overexposed sky
    assert 255 * estimate_noise(to_bytes(image)) == pytest.approx(12, rel=0.08)
    image[:, :230] = level
    assert 255 * estimate_noise(to_bytes(image)) == pytest.approx(12, rel=0.08)


def test_a_large_image_is_as_good_as_a_part_of_it(photo: Pixels) -> None:
    large = add(np.tile(photo[..., 0].clip(50, 200), (5, 5)), 10) / 255
    assert estimate_noise(large) == pytest.approx(10 / 255, rel=0.06)


def test_pixels_that_are_no_numbers_count_nothing() -> None:
    image = add(np.full((80, 80), 128.0), 10) / 255
    image[10:14, 20:60] = np.nan
    assert 255 * estimate_noise(image) == pytest.approx(10, rel=0.06)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 2), (8, 8), (13, 13, 3)])
def test_a_small_image_has_no_estimate(shape: tuple[int, ...]) -> None:
    assert math.isnan(estimate_noise(np.random.default_rng(0).random(shape)))


@pytest.mark.parametrize("level", [0, 255])
def test_neither_has_one_that_is_black_or_white(level: int) -> None:
    assert math.isnan(estimate_noise(np.full((64, 64), level, np.uint8)))
    assert math.isnan(estimate_noise(np.full((64, 64), np.nan)))


@pytest.mark.parametrize(
    ("image", "culprit"),
    [
        (np.zeros(5), "(5,)"),
        (np.zeros((2, 3, 4, 5)), "(2, 3, 4, 5)"),
        (np.zeros((0, 5)), "(0, 5)"),
        (np.zeros((32, 32), np.int64), "int64"),
        (np.zeros((32, 32), bool), "bool"),
        (np.zeros((32, 32), complex), "complex128"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, culprit: str, refused: Refused) -> None:
    with refused(InputError, culprit):
        estimate_noise(image)


# -- the command ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of three pictures of two sizes, and a tiny one, with noise of 5, 10 and 20."""
    folder = tmp_path / "noisy"
    folder.mkdir()
    photo = halve(load_sample_image("flower.jpg"))
    for sigma in (5, 10, 20):
        noisy = to_bytes(add(photo[: 200 - sigma].clip(50, 200), sigma))
        Image.fromarray(noisy).save(folder / f"{sigma:02}.png")
    Image.new("RGB", (4, 4)).save(folder / "tiny.png")
    return folder


def test_the_command_says_the_noise_of_each_picture(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = json.loads(done("denoise", folder, "--estimate", "--json").out)
    sigmas = {one["name"]: one["sigma"] for one in result["pictures"]}
    assert list(sigmas) == ["05.png", "10.png", "20.png", "tiny.png"]
    assert sigmas["tiny.png"] is None
    for sigma in (5, 10, 20):
        assert 255 * sigmas[f"{sigma:02}.png"] == pytest.approx(sigma, rel=0.08)
    assert result["median"] == sigmas["10.png"]
    assert result["skipped"] == []
    outcome = done("denoise", "--estimate", folder)
    lines = outcome.out.splitlines()
    assert [line.split()[1] for line in lines] == [*sigmas, "median"]
    assert lines[1].split()[0] == lines[-1].split()[0] == f"{255 * sigmas['10.png']:.1f}/255"
    assert lines[3].split()[0] == "–"
    assert "1 picture" in outcome.err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_files_are_estimated_with_all_of_their_bits_and_pages(tmp_path: Path) -> None:
    sigmas = (20, 60)  # of 65,535: a quarter of a step of eight bits, and less
    weak = [add(np.full((90, 100), 30_000.0), one).round().astype(np.uint16) for one in sigmas]
    Image.fromarray(weak[0]).save(tmp_path / "a.png")
    pages = [Image.fromarray(one) for one in weak]
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=pages[1:])
    result = json.loads(done("denoise", tmp_path, "--estimate", "--json").out)
    found = {one["name"]: 65_535 * one["sigma"] for one in result["pictures"]}
    assert found == pytest.approx({"a.png": 20, "b.tif#1": 20, "b.tif#2": 60}, rel=0.05)
    np.save(tmp_path / "c.npy", weak)
    result = json.loads(done("denoise", tmp_path / "c.npy", "--estimate", "--json").out)
    assert [65_535 * one["sigma"] for one in result["pictures"]] == pytest.approx(sigmas, rel=0.05)


def test_an_array_is_a_source_too(tmp_path: Path) -> None:
    images = to_bytes(add(np.full((3, 40, 40, 1), 120.0), 6))
    np.save(tmp_path / "images.npy", images)
    result = json.loads(done("denoise", tmp_path / "images.npy", "--estimate", "--json").out)
    assert [255 * one["sigma"] for one in result["pictures"]] == pytest.approx([6] * 3, rel=0.1)


def test_a_broken_picture_is_skipped_and_said(folder: Path) -> None:
    for number in range(12):
        (folder / f"copy{number}.png").write_bytes((folder / "tiny.png").read_bytes())
    (folder / "broken.png").write_bytes(b"nothing")
    (folder / "photo.raw").write_bytes(b"of a camera")
    outcome = done("denoise", folder, "--estimate")
    assert "skipped broken.png" in outcome.err
    assert "left out: 1 .raw, such as photo.raw" in outcome.err
    assert "median of 16 pictures" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("FOLDER", "FOLDER", "--estimate"), "a source alone"),
        (("FOLDER", "--estimate", "--out", "new"), "a source alone"),
        (("FOLDER",), "give a source after the run"),
        (("FOLDER", "FOLDER"), "--out"),
        (("nowhere", "--estimate"), "nowhere"),
        (("waveforms", "--estimate"), "signals"),
    ],
)
def test_what_cannot_be_estimated_is_refused(
    arguments: tuple[str, ...], culprit: str, tmp_path: Path
) -> None:
    outcome = isthmus("denoise", *(one.replace("FOLDER", str(tmp_path)) for one in arguments))
    assert outcome.code == 2
    assert culprit in outcome.err

"""Denoisers on images of any size, channels and type: `Model.denoise` and `denoise_values`."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from denoisers import untrained
from isthmus import MODELS, Samples, configure, denoise_values
from isthmus.data.items import Items
from isthmus.data.preprocess import Preprocessing
from isthmus.errors import ModelError, SourceError
from isthmus.inference.trained import TrainedModel

Refused = Callable[..., AbstractContextManager[None]]


def picture(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def in_tiles(monkeypatch: pytest.MonkeyPatch, pixels: int) -> None:
    """Let models compute about so many pixels at once."""
    monkeypatch.setattr(TrainedModel, "tile_pixels", pixels)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("sides", [(250, 231), (3, 9000), (9000, 3), (1, 900), (197, 64)])
def test_tiles_give_the_numbers_of_one_piece(
    joined: bool, sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = untrained(joined=joined), picture(*sides, 1) / np.float32(255)
    whole = model.denoise(image)
    assert np.abs(whole - image).max() > 5 / 255
    in_tiles(monkeypatch, 10_000)
    tiles: list[Any] = []

    def watch(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
        for item in items:
            tiles.append(item)
            yield item

    np.testing.assert_allclose(model.denoise(image, track=watch), whole, atol=1e-6)
    assert len(tiles) > 1 or image.size <= 10_000


@pytest.mark.parametrize("joined", [False, True])
def test_the_margin_of_a_denoiser_is_not_less_than_it_needs(
    joined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = untrained(joined=joined), picture(200, 200, 1) / np.float32(255)
    whole = model.denoise(image)
    in_tiles(monkeypatch, 10_000)
    vars(model)["margin"] = model.margin - model.step  # and there are seams
    assert (model.denoise(image) != whole).any()


@pytest.mark.parametrize("name", [name for name, row in MODELS.items() if row.task == "denoise"])
def test_no_denoiser_looks_farther_than_its_margin(name: str) -> None:
    config = configure(name, (1, 64, 64))
    model = TrainedModel(config, Preprocessing(channels=1), config.build().eval())
    step = model.step
    side = (2 * model.margin // step + 4) * step
    x = np.zeros((1, side, side), np.float32)
    first = side // 2 // step * step
    x[:, first : first + step, first : first + step] = np.nan  # not a number times 0 is none
    changed = np.isnan(model._denoise(x)[0]).any(0).nonzero()[0]
    assert first - model.margin <= changed.min()
    assert changed.max() < first + step + model.margin


def test_each_tile_is_computed_between_two_looks_at_the_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, image = untrained(), picture(150, 150, 1)
    in_tiles(monkeypatch, 10_000)

    def stop(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.denoise(image, track=stop)


@pytest.mark.parametrize("sides", [(1, 1), (1, 7), (5, 1), (2, 3), (33, 17)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_images_keep_sides_type_and_if_there_is_no_noise_each_number(
    sides: tuple[int, int], dtype: Any
) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (*sides, 3))
    image = (values / 65535).astype(dtype) if dtype is np.float32 else values.astype(dtype)
    for model in (untrained(joined=True, silent=True), untrained(3, silent=True)):
        clean = denoise_values(model, image)
        assert clean.dtype == dtype
        np.testing.assert_array_equal(clean, image)


def test_sixteen_bits_are_finer_than_eight() -> None:
    model, coarse = untrained(), picture(20, 20)
    fine = denoise_values(model, coarse.astype(np.uint16) * 257)
    np.testing.assert_array_equal(np.round(fine / 257), denoise_values(model, coarse))
    assert len(np.unique(fine % 257)) > 100
    fractions = denoise_values(model, coarse / np.float32(255))
    np.testing.assert_allclose(fine / 65535, fractions, atol=1e-5)
    twelve = model.denoise((coarse.astype(np.uint16) * 16)[..., None], value_range=(0, 4080))
    np.testing.assert_allclose(twelve[..., 0] / 4080, fractions, atol=2e-4)
    double = denoise_values(model, coarse / 255)
    assert double.dtype == np.float64


def test_a_gray_model_takes_each_channel_by_itself() -> None:
    model, image = untrained(), picture(12, 9, 5)
    clean = denoise_values(model, [image])[0]
    for i in range(5):
        np.testing.assert_array_equal(clean[..., i], denoise_values(model, image[..., i]))


def test_a_model_of_colors_takes_gray_as_a_color() -> None:
    model, image = untrained(3), picture(12, 9)
    colored = model.denoise(np.repeat(image[..., None], 3, 2))
    expected = np.round(colored.mean(2))
    np.testing.assert_array_equal(denoise_values(model, image), expected)
    np.testing.assert_array_equal(denoise_values(model, image[..., None])[..., 0], expected)


def test_all_forms_of_many_images_are_taken() -> None:
    model, images = untrained(), picture(6, 20, 24)
    expected = np.stack([denoise_values(model, image) for image in images])
    np.testing.assert_array_equal(denoise_values(model, images), expected)
    np.testing.assert_array_equal(denoise_values(model, images[..., None])[..., 0], expected)
    clean = denoise_values(model, [images[0], images[1, :3], images[2, ..., None]])
    assert [one.shape for one in clean] == [(20, 24), (3, 24), (20, 24, 1)]
    np.testing.assert_array_equal(clean[0], expected[0])


def test_what_cannot_be_denoised_is_refused_in_a_sentence(refused: Refused) -> None:
    gray, color = untrained(), untrained(3)
    with refused(ModelError, "5 channels, and this model takes 1 or 3"):
        denoise_values(color, [picture(9, 9, 5)])
    holed = np.zeros((8, 8), np.float32)
    holed[3, 3] = np.nan
    with refused(SourceError, "NaN or infinity in 1 of 64 values"):
        denoise_values(gray, holed)
    with refused(SourceError, "float32 values from 0 to 200; give uint8", "(0, 255)"):
        denoise_values(gray, np.linspace(0, 200, 64, dtype=np.float32).reshape(8, 8))
    with refused(SourceError, "int64 values"):
        denoise_values(gray, np.ones((8, 8), np.int64) * 9)
    with refused(SourceError, "shape (0, 8) is no image"):
        denoise_values(gray, np.zeros((0, 8), np.uint8))
    with refused(SourceError, "holds no images"):
        denoise_values(gray, np.zeros((2, 2, 8, 8, 1), np.uint8))
    with refused(ModelError, "takes images, and these are signals"):
        denoise_values(gray, Samples(np.zeros((4, 50, 2), np.float32), Items(list("abcd"))))
    with refused(ModelError, "takes images (H, W, 3), not (9, 9, 1)"):
        color.denoise(picture(9, 9, 1))
    with refused(ModelError, "this needs a denoiser"):
        _autoencoder().denoise(picture(8, 8, 1))


def _autoencoder() -> TrainedModel:
    config = configure("dense", (1, 8, 8))
    return TrainedModel(config, Preprocessing(size=(8, 8), channels=1), config.build().eval())

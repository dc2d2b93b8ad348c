"""Denoisers in training: patches by counter, three ways to learn, and what is refused."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from isthmus.data.corruption import Corruption
from isthmus.data.images import Images, Ragged
from isthmus.data.items import Items
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.errors import IsthmusError, OptionError, RunError
from isthmus.training.config import TrainingConfig
from isthmus.training.denoising import draw_neighbors, take
from isthmus.training.patches import Cutter, PatchBatches, TiledPatches
from isthmus.training.run import Run
from isthmus.training.train import Training, resume, train

TINY = {"depth": 3, "width": 4}
SIDES = [(40, 30), (17, 64), (5, 5), (33, 33), (48, 20), (1, 1), (30, 30), (26, 41)]


def draw_images(sides: list[tuple[int, int]] = SIDES, channels: int = 1) -> list[NDArray[np.uint8]]:
    """Return smooth images of these sides, as noise is told from what is smooth."""
    rng = np.random.default_rng(0)
    images = []
    for height, width in sides:
        down, right = np.mgrid[:height, :width] / 9
        waves = np.sin(down[..., None] + rng.uniform(0, 6, channels)) + np.cos(right)[..., None]
        images.append(np.round(127 + 60 * waves).astype(np.uint8))
    return images


def as_images(
    images: list[NDArray[np.uint8]], clean: list[NDArray[np.uint8]] | None = None
) -> Images:
    names = Items([f"{row}.png" for row in range(len(images))])
    return Images(Ragged.of(images), names, clean=None if clean is None else Ragged.of(clean))


def start(images: Images | Samples, **settings: Any) -> Training:
    config = TrainingConfig(**{"epochs": 1, "patch": 16, "batch_size": 256, **settings})
    return train(images, "dncnn", options=TINY, config=config)


def finish(training: Training) -> Run:
    for _ in training:
        pass
    return training.run


def make_batches(images: list[NDArray[np.uint8]], side: int = 8, **options: Any) -> PatchBatches:
    values = Ragged.of(images)
    cutter = Cutter(values, values, side, Preprocessing(channels=1), torch.device("cpu"))
    return PatchBatches(cutter, np.arange(len(images)), 64, 32, **options)


WAYS: dict[str, dict[str, Any]] = {
    "clean": {"corrupt": "gaussian:0..50/255"},
    "noisy": {"no_clean": True},
    "pairs": {},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_is_stopped_within_an_epoch_continues_to_the_same_weights(way: str) -> None:
    images = as_images(draw_images(), draw_images() if way == "pairs" else None)
    whole = finish(start(images, **WAYS[way]))
    stopped = start(images, **WAYS[way])
    for _ in islice(stopped, 2):
        pass
    stopped.close()
    assert finish(resume(stopped.run)).model().fingerprint == whole.model().fingerprint


def test_images_of_any_size_are_trained_on_and_denoised_at_their_own(tmp_path: Path) -> None:
    images = as_images(draw_images())
    training = train(
        images,
        "denoiser",
        out=tmp_path / "run",
        options={"width": 8, "blocks": 1},
        config=TrainingConfig(
            epochs=2, patch=16, batch_size=32, lr=0.005, corrupt="gaussian-unclipped:0.1"
        ),
    )
    run = finish(training)
    assert run.images() is images
    history = Run.open(tmp_path / "run").history()
    assert history[-1]["validation_psnr"] > 25  # the noise alone leaves 20 dB
    model = run.model()
    for image in draw_images():
        assert model.denoise(image).shape == image.shape


def test_pairs_teach_what_lies_between_them() -> None:
    clean = draw_images()
    brighter = [np.minimum(image.astype(int) + 20, 255).astype(np.uint8) for image in clean]
    run = finish(start(as_images(brighter, clean), epochs=6, batch_size=32, lr=0.01))
    darker = run.model().denoise(brighter[0]).astype(int)
    assert abs((brighter[0].astype(int) - darker).mean() - 20) < 5


def test_samples_of_one_shape_are_images_too() -> None:
    samples = Samples(np.stack(draw_images([(20, 20)] * 6)), Items([str(i) for i in range(6)]))
    run = finish(
        train(
            samples,
            task="denoise",
            model="dncnn",
            options=TINY,
            config=TrainingConfig(epochs=1, corrupt="gaussian:0.1", batch_size=512),
        )
    )
    assert run.record.model_config.shape == (1, 20, 20)  # patches are not larger than images
    assert run.record.data["patches"] == run.record.per_epoch


# -- patches ----------------------------------------------------------------------------------


def test_patches_are_others_in_each_epoch_and_the_same_again() -> None:
    batches = make_batches(draw_images())
    first, again, other = (torch.cat([x for x, _ in batches.epoch(epoch)]) for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(next(batches.epoch(0, 1))[0], first[32:])


def test_processes_see_together_what_one_sees() -> None:
    noise = Corruption.parse("gaussian:0..0.2,poisson:0.1")
    whole = next(make_batches(draw_images(), corruption=noise).epoch(3))
    parts = [
        next(make_batches(draw_images(), corruption=noise, shares=[(rank, 2)]).epoch(3))
        for rank in (0, 1)
    ]
    for both, one, other in zip(whole, *parts, strict=True):
        assert torch.equal(both[::2], one)
        assert torch.equal(both[1::2], other)


def test_patches_are_taken_from_everywhere_and_turned() -> None:
    image = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    patches = torch.cat([x for epoch in range(8) for x, _ in make_batches([image]).epoch(epoch)])
    patches = (patches * 255).round().long()
    assert np.unique(patches.numpy()).tolist() == list(range(100))
    corners = {tuple((patch[0, 0, 1] - patch[0, 0, 0]).reshape(-1).tolist()) for patch in patches}
    assert corners == {(1,), (-1,), (10,), (-10,)}
    plain = torch.cat([x for x, _ in make_batches([image], flip=False).epoch(0)])
    assert ((plain[:, 0, 0, 1] - plain[:, 0, 0, 0]) > 0).all()


def test_blank_patches_are_drawn_less_often_than_they_occur() -> None:
    page = np.full((64, 64, 1), 250, np.uint8)
    page[:16] = np.random.default_rng(0).integers(0, 255, (16, 64, 1))
    patches = torch.cat([x for epoch in range(4) for x, _ in make_batches([page]).epoch(epoch)])
    blank = (patches.amax((1, 2, 3)) == patches.amin((1, 2, 3))).float().mean()
    assert 0.05 < blank < 0.5  # 72% of all places are blank


def test_validation_patches_cover_an_image_and_never_change() -> None:
    values = Ragged.of(draw_images([(20, 33), (3, 3)]))
    cutter = Cutter(values, values, 8, Preprocessing(channels=1), torch.device("cpu"))
    tiled = TiledPatches(cutter, np.array([0, 1]), 4, 0, Corruption.parse("gaussian:0.1"))
    assert len(tiled.indices) == len(set(tiled.indices)) == 2 * 4 + 1
    once, again = (torch.cat([x for x, _ in tiled.in_order()]) for _ in range(2))
    assert torch.equal(once, again)
    whole = TiledPatches(cutter, np.array([1, 0]), 4, 0, Corruption.parse("gaussian:0.1"))
    assert torch.equal(torch.cat([x for x, _ in whole.in_order()])[1:], once[:-1])


def test_pixels_are_compared_with_one_that_they_touch() -> None:
    rows, columns = (
        one.float() for one in torch.meshgrid(torch.arange(7), torch.arange(9), indexing="ij")
    )
    x = torch.stack([rows, columns]).expand(3, 2, 7, 9)  # each pixel says where it is
    pairs = set()
    for seed in range(9):
        chance = torch.rand(3, 3, 4, 2, generator=torch.Generator().manual_seed(seed))
        first, second = (take(x, place) for place in draw_neighbors(chance))
        assert ((first - second).abs().sum(1) == 1).all()
        cell = torch.stack([rows, columns])[:, ::2, ::2][:, :3, :4] // 2
        assert torch.equal(first // 2, cell.expand(3, 2, 3, 4))
        pairs |= {
            tuple(pair)
            for pair in torch.cat([first % 2, second % 2], 1).movedim(1, -1).reshape(-1, 4).tolist()
        }
    assert len(pairs) == 8  # each of the four with both that it touches


def test_noisy_images_alone_teach_what_is_below_their_noise() -> None:
    clean = np.stack(draw_images([(48, 48)] * 8))
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    config = TrainingConfig(no_clean=True, epochs=2, patch=16, batch_size=32, lr=0.005)
    options = {"width": 8, "blocks": 1}
    run = finish(train(as_images(list(noisy)), "denoiser", options=options, config=config))
    denoised = np.stack([run.model().denoise(image) for image in noisy])
    before, after = (np.square(image.astype(float) - clean).mean() for image in (noisy, denoised))
    assert after < before / 3


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "a denoiser needs noise to learn from.* give --corrupt, .* --no-clean if all"),
        ({"corrupt": "gaussian:25"}, "not 25; of 255 gray levels, write gaussian:25/255"),
        ({"corrupt": "gaussian:0..55"}, "levels, write gaussian:0..55/255"),
        ({"corrupt": "jpeg:96"}, "a whole number from 1 to 95, not 96\\.$"),
        ({"corrupt": "gaussian:0.1", "augment": "zoom:0.1"}, "leave augment out"),
        ({"corrupt": "gaussian:0.1", "patch": 4}, "patch must be from 8 to 1024"),
        ({"corrupt": "gaussian:0.1", "label_smoothing": 0.1}, "has no classes"),
        ({"corrupt": "gaussian:0.1", "binarize": True}, "no variational autoencoder"),
        ({"corrupt": "gaussian:0.1", "normal": "all"}, "finds no outliers"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        start(as_images(draw_images()), **settings)


def test_pairs_need_no_noise() -> None:
    with pytest.raises(OptionError, match="noisy and clean images already"):
        start(as_images(draw_images(), draw_images()), corrupt="gaussian:0.1")


def test_other_models_take_samples_of_one_shape() -> None:
    with pytest.raises(OptionError, match=r"isthmus\.load resizes"):
        train(as_images(draw_images()), "conv", config=TrainingConfig(corrupt="gaussian:0.1"))
    samples = Samples(np.stack(draw_images([(8, 8)] * 6)), Items([str(i) for i in range(6)]))
    with pytest.raises(OptionError, match="conv is no denoiser; leave no clean out"):
        train(samples, "conv", config=TrainingConfig(no_clean=True))


def test_a_denoiser_has_neither_code_nor_samples() -> None:
    images = as_images(draw_images())
    with pytest.raises(OptionError, match="dncnn has no code"):
        train(images, "dncnn", code_size=8, config=TrainingConfig(corrupt="gaussian:0.1"))
    run = finish(start(images, corrupt="gaussian:0.1"))
    with pytest.raises(RunError, match="is a denoiser"):
        run.samples()
    with pytest.raises(IsthmusError, match="no encoder and no codes"):
        run.model().encode(np.zeros((1, 16, 16, 1), np.uint8))

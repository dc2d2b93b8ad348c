"""Noise: of the strength asked for, on the inputs alone, and the same wherever it is drawn."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from isthmus import TrainingConfig, load, train
from isthmus.data.augmentation import Augmentation
from isthmus.data.corruption import CORRUPTIONS, Corruption
from isthmus.data.random import Rng, SampleRng, StepRng
from isthmus.errors import OptionError

Refused = Callable[..., AbstractContextManager[None]]
KINDS = tuple(CORRUPTIONS)
SHARES = ("masked", "occluded", "salt-pepper")
# Of jpeg, only the quality can be drawn.
NOISE = {kind: "jpeg:5..60" if kind == "jpeg" else f"{kind}:0.3" for kind in KINDS}
OF_SIGNALS = tuple(kind for kind in KINDS if kind != "jpeg")


@pytest.fixture(scope="module")
def x() -> Tensor:
    """Give 1,797 digits, of 17 gray values."""
    return torch.from_numpy(load("digits").values).permute(0, 3, 1, 2) / 255


@pytest.fixture(scope="module")
def rgb(x: Tensor) -> Tensor:
    """Give pictures of 16 × 16 in color: four digits each, others in every channel."""
    tiled = x[:1796].view(449, 2, 2, 8, 8).permute(0, 1, 3, 2, 4).reshape(449, 1, 16, 16)
    return torch.cat([tiled, tiled.roll(1, 0), tiled.roll(2, 0)], 1)


@pytest.fixture(scope="module")
def signals(x: Tensor) -> Tensor:
    """Give signals (N, 2, 32): the upper and the lower half of digits."""
    return x.reshape(-1, 2, 32)


def fresh(x: Tensor, seed: int = 0, epoch: int = 0, batch: int = 0) -> StepRng:
    return StepRng(seed, epoch, batch, len(x))


def noisy(text: str, x: Tensor, rng: Rng | None = None) -> Tensor:
    return Corruption.parse(text).apply(x, rng or fresh(x))


@pytest.mark.parametrize("strength", [0.1, 0.5, 2.0])
def test_normal_noise_has_its_deviation_and_nothing_else(strength: float, rgb: Tensor) -> None:
    noise = noisy(f"gaussian-unclipped:{strength}", rgb) - rgb
    error = 5 / noise.numel() ** 0.5
    assert abs(noise.mean()) < error * strength
    assert noise.std() == pytest.approx(strength, rel=error)
    table = torch.stack([*noise.movedim(1, 0).flatten(1), rgb[:, 0].flatten()])
    assert (torch.corrcoef(table) - torch.eye(4)).abs().max() < 3 * error


def test_clipped_noise_is_the_same_noise_clipped(rgb: Tensor) -> None:
    expected = noisy("gaussian-unclipped:0.5", rgb).clamp(0, 1)
    assert torch.equal(noisy("gaussian:0.5", rgb), expected)
    assert not torch.equal(noisy("gaussian-unclipped:0.5", rgb), expected)


@pytest.mark.parametrize("strength", [0.05, 0.25, 0.9])
def test_masking_blackens_its_share_of_places_in_all_channels(strength: float, rgb: Tensor) -> None:
    bright = rgb + 0.1  # so that black pixels are those that were made so
    y = noisy(f"masked:{strength}", bright)
    black = (y == 0).all(1)
    assert torch.equal(black, (y == 0).any(1))
    assert torch.equal(y, bright * ~black[:, None])
    assert black.float().mean() == pytest.approx(strength, abs=5 * 0.5 / black.numel() ** 0.5)


@pytest.mark.parametrize("strength", [0.1, 0.6])
def test_salt_and_pepper_come_in_equal_parts_in_all_channels(strength: float, rgb: Tensor) -> None:
    middle = 0.1 + 0.8 * rgb  # so that neither black nor white was there before
    y = noisy(f"salt-pepper:{strength}", middle)
    for value in (0, 1):
        hit = (y == value).all(1)
        assert torch.equal(hit, (y == value).any(1))
        assert hit.float().mean() == pytest.approx(strength / 2, abs=5 * 0.5 / hit.numel() ** 0.5)
    kept = ((y > 0) & (y < 1)).all(1, keepdim=True)
    assert torch.equal(y, torch.where(kept, middle, y.round()))


@pytest.mark.parametrize("strength", [0.04, 0.25, 0.6])
def test_an_occluder_is_a_gray_rectangle_of_its_area_anywhere(strength: float, rgb: Tensor) -> None:
    y = noisy(f"occluded:{strength}", 0.4 * rgb)  # nothing is as gray as it
    hit = (y == 0.5).all(1)
    assert torch.equal(hit, (y == 0.5).any(1))
    assert torch.equal(y, torch.where(hit[:, None], 0.5, 0.4 * rgb))
    tall, wide = hit.any(2).sum(1), hit.any(1).sum(1)
    assert torch.equal(hit.sum((1, 2)), tall * wide)  # full to its corners
    for along in (hit.any(2), hit.any(1)):  # and in one piece
        assert (along.int().diff(dim=1).abs().sum(1) <= 2).all()
    assert hit.float().mean() == pytest.approx(strength, rel=0.1)
    assert len(set(tall.tolist())) > 2
    assert hit.any(0).all()


@pytest.mark.parametrize(
    ("text", "value"), [("masked:1", {0.0}), ("occluded:1", {0.5}), ("salt-pepper:1", {0.0, 1.0})]
)
def test_the_greatest_strength_leaves_nothing(text: str, value: set[float], rgb: Tensor) -> None:
    assert set(noisy(text, rgb).flatten().tolist()) == value


@pytest.mark.parametrize("kind", OF_SIGNALS)
def test_signals_are_corrupted_too(kind: str, signals: Tensor) -> None:
    y = noisy(f"{kind}:0.25", 0.1 + 0.3 * signals)
    assert y.shape == signals.shape
    changed = (y != 0.1 + 0.3 * signals).all(1).float()
    share = 0.25 if kind in SHARES else 1.0
    assert changed.mean() == pytest.approx(share, abs=0.02)
    if kind == "occluded":
        assert (changed.sum(1) == 8).all()
        assert (changed.diff(dim=1).abs().sum(1) <= 2).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_corrupted_stays_as_it_is(kind: str, rgb: Tensor) -> None:
    rgb = rgb[:100]
    before = rgb.clone()
    for rng in (fresh(rgb), SampleRng(0, np.arange(len(rgb)))):
        assert not torch.equal(noisy(NOISE[kind], rgb, rng), rgb)
    assert torch.equal(rgb, before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_memory_does_not_matter(kind: str, rgb: Tensor) -> None:
    rgb = rgb[:100]
    mapped = rgb.contiguous(memory_format=torch.channels_last)
    y = noisy(NOISE[kind], mapped)
    assert torch.equal(y, noisy(NOISE[kind], rgb.contiguous()))
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_of_numbers_stays(kind: str, dtype: torch.dtype, rgb: Tensor) -> None:
    rgb = rgb[:100]
    y = noisy(NOISE[kind], rgb.to(dtype))
    assert y.dtype == dtype
    expected = float((noisy(NOISE[kind], rgb) - rgb).std())
    assert float((y.float() - rgb).std()) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_noise_belongs_to_the_sample(kind: str, rgb: Tensor, signals: Tensor) -> None:
    for samples in (rgb, signals) if kind in OF_SIGNALS else (rgb,):
        text, indices = f"{NOISE[kind]},gaussian:0..0.2,{NOISE[kind]}", np.arange(100, 120)
        whole = noisy(text, samples[indices], SampleRng(3, indices))
        alone = [noisy(text, samples[i : i + 1], SampleRng(3, np.array([i]))) for i in indices]
        assert torch.equal(torch.cat(alone), whole)
        backwards = indices[::-1].copy()
        turned = noisy(text, samples[backwards], SampleRng(3, backwards))
        assert torch.equal(turned.flip(0), whole)
        assert not torch.equal(noisy(text, samples[indices], SampleRng(4, indices)), whole)


def test_frozen_noise_is_another_for_every_sample(x: Tensor) -> None:
    one = x[:1].expand(200, -1, -1, -1)
    noise = noisy("gaussian:0.5", one, SampleRng(0, np.arange(200)))
    assert len(torch.unique(noise.flatten(1), dim=0)) == 200


@pytest.mark.parametrize("kind", KINDS)
def test_fresh_noise_follows_from_seed_epoch_and_batch(kind: str, x: Tensor) -> None:
    x = x[:50]
    rng = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    seen = [noisy(NOISE[kind], x, fresh(x, *numbers)) for numbers in rng]
    assert torch.equal(seen[0], noisy(NOISE[kind], x, fresh(x)))
    assert all(not torch.equal(seen[i], seen[j]) for i in range(4) for j in range(i))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [60, 61])
def test_processes_together_draw_what_one_would(kind: str, size: int, rgb: Tensor) -> None:
    text, x = f"{NOISE[kind]},gaussian:0..0.2,{NOISE[kind]}", rgb[:size]
    whole = noisy(text, x, StepRng(2, 5, 7, size))
    for rank in range(3):
        mine = noisy(text, x[rank::3], StepRng(2, 5, 7, size, (rank, 3)))
        assert torch.equal(mine, whole[rank::3])


def test_several_kinds_follow_each_other_in_their_order(x: Tensor) -> None:
    y = noisy("gaussian:0.2,salt-pepper:0.3,masked:0.5", x)
    rng = fresh(x)
    step = noisy("gaussian:0.2", x, rng)
    step = noisy("salt-pepper:0.3", step, rng)
    assert torch.equal(noisy("masked:0.5", step, rng), y)
    # White grains lie on the noise; the mask covers them: white is 0.15 of the half that is left.
    assert (y == 1).float().mean() > 0.07
    swapped = noisy("masked:1,gaussian-unclipped:0.2", x)
    assert swapped.std() == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize(
    "text",
    [
        "gaussian:0.5",
        "masked:0.25,occluded:0.1",
        "gaussian:0.123456789",
        "gaussian:10",
        "gaussian:25/255",
        "gaussian:0.5/255",
        "gaussian:0..55/255",
        "gaussian:0.1..0.2,poisson:0..0.1,jpeg:5..95",
        "gaussian:0.098039215686274",  # near 25/255, and not it
        "gaussian:0.1428571428571428",
        "gaussian:1e-300",
    ],
)
def test_what_is_written_can_be_read_again(text: str) -> None:
    assert str(Corruption.parse(text)) == text
    assert Corruption.parse(f" {text.replace(',', ' , ')} ") == Corruption.parse(text)


@pytest.mark.parametrize(
    ("text", "shortest"),
    [
        ("gaussian:51/255", "gaussian:0.2"),
        ("gaussian:25.5/255", "gaussian:0.1"),
        ("gaussian:50/510", "gaussian:25/255"),
        ("gaussian:-0..51/255", "gaussian:0..0.2"),
        ("gaussian:.1...2", "gaussian:0.1..0.2"),
        ("gaussian:1/7", "gaussian:0.14285714285714285"),
        ("jpeg:30/2", "jpeg:15"),
    ],
)
def test_a_strength_is_written_in_its_shortest_form(text: str, shortest: str) -> None:
    assert str(Corruption.parse(text)) == shortest
    assert len({Corruption.parse(shortest), Corruption.parse(text)}) == 1


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("gaussian:..", "gaussian:.."),
        ("gaussian:0.1..", "gaussian:0.1.."),
        ("gaussian:5..1", "5..1"),
        ("gaussian:0.2..0.2", "0.2..0.2"),
        ("gaussian:0..0", "0..0"),
        ("gaussian:-0.1..0.2", "-0.1..0.2"),
        ("gaussian:0.1..nan", "0.1..nan"),
        ("gaussian:0.1..inf", "0.1..inf"),
        ("gaussian:0.1..10.5", "0.1..10.5"),
        ("gaussian:0.1..0.2..0.3", "0.1..0.2..0.3"),
        ("gaussian:1/0", "gaussian:1/0"),
        ("gaussian:1/-255", "gaussian:1/-255"),
        ("gaussian:1/nan", "gaussian:1/nan"),
        ("gaussian:0/255..55/255", "gaussian:0/255..55/255"),
        ("gaussian:1/2/3", "gaussian:1/2/3"),
        ("gaussian:1e400/255", "inf"),
        ("poisson:1.01", "at most 1"),
        ("jpeg:96", "from 1 to 95"),
        ("jpeg:50.5", "50.5"),
        ("jpeg:0..90", "0..90"),
        ("jpeg:10..20.5", "10..20.5"),
        ("blur:0.5", "blur"),
        ("gaussian", "gaussian"),
        ("gaussian:", "gaussian:"),
        ("gaussian:much", "gaussian:much"),
        ("gaussian:0.5:0.5", "gaussian:0.5:0.5"),
        ("gaussian:0.5,", "''"),
        ("0.5", "0.5"),
        ("", "''"),
        ("gaussian:0.5;masked:0.2", "gaussian:0.5;masked:0.2"),
    ],
)
def test_what_is_no_corruption_is_said(text: str, culprit: str, refused: Refused) -> None:
    with refused(OptionError, culprit):
        Corruption.parse(text)


def test_an_unknown_kind_is_told_all_that_there_are(refused: Refused) -> None:
    with refused(OptionError, *KINDS):
        Corruption.parse("fog:0.5")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", ["0", "-0.1", "nan", "inf", "10.1"])
def test_a_strength_out_of_its_range_is_refused(kind: str, strength: str, refused: Refused) -> None:
    with refused(OptionError, kind, strength):
        Corruption.parse(f"{kind}:{strength}")
    max_strength = CORRUPTIONS[kind].max_strength
    assert Corruption(((kind, max_strength),)).steps[0][1] == max_strength


def test_a_share_is_at_most_all(refused: Refused) -> None:
    for kind in SHARES:
        with refused(OptionError, kind, "at most 1", "1.01"):
            Corruption.parse(f"{kind}:1.01")


# -- ranges ---------------------------------------------------------------------------------


def test_each_sample_gets_a_strength_of_the_range_all_equally_likely(x: Tensor) -> None:
    large = x[:300].repeat(1, 1, 8, 8)
    y = noisy("gaussian-unclipped:51..102/255", large)
    strengths = (y - large).flatten(1).std(1).sort().values
    assert 0.19 < strengths[0] < 0.21
    assert 0.39 < strengths[-1] < 0.41
    assert (strengths - torch.linspace(0.2, 0.4, 300)).abs().max() < 0.03


@pytest.mark.parametrize("kind", [*SHARES, "poisson", "speckle", "stripes"])
def test_every_kind_draws_from_its_range(kind: str, rgb: Tensor) -> None:
    middle = torch.full_like(rgb[:, :1], 0.25)
    middle[:, :, ::2] = 0.3  # so that no kind can give back the same value
    weak, strong, any_of_them = (
        (noisy(f"{kind}:{strength}", middle) - middle).abs().flatten(1).mean(1)
        for strength in ("0.05", "0.5", "0.05..0.5")
    )
    assert weak.mean() < any_of_them.mean() < strong.mean()
    assert any_of_them.sort().values[:20].mean() < 2 * weak.mean()
    assert any_of_them.sort().values[-20:].mean() > 0.9 * strong.mean()


def test_a_range_may_begin_with_no_noise(x: Tensor) -> None:
    for kind in OF_SIGNALS:
        change = (noisy(f"{kind}:0..0.001", x) - x).abs()
        assert change.isfinite().all()
        if kind not in SHARES:
            assert change.max() < 0.01


def test_augmentation_has_no_ranges(refused: Refused) -> None:
    assert str(Augmentation.parse("rotate:10,shift:25/255")) == "rotate:10,shift:25/255"
    with refused(OptionError, "rotate", "0..10"):
        Augmentation.parse("rotate:0..10")


def test_noise_of_a_fixed_strength_is_that_of_earlier_versions(rgb: Tensor) -> None:
    rng = np.random.default_rng([7, 3, 2, 5])  # seed, the stream of noise, epoch, batch
    drawn = torch.from_numpy(rng.standard_normal((len(rgb), 16, 16, 3), np.float32)).movedim(-1, 1)
    y = noisy("gaussian-unclipped:0.1", rgb, StepRng(7, 2, 5, len(rgb)))
    assert torch.equal(y, rgb + 0.1 * drawn)
    rng = np.random.default_rng([7, 3, 2, 5])
    chance = torch.from_numpy(rng.random((len(rgb), 16, 16, 1), np.float32)).movedim(-1, 1)
    y = noisy("masked:0.37", rgb, StepRng(7, 2, 5, len(rgb)))
    assert torch.equal(y, rgb * (chance >= 0.37))


# -- shot noise, speckle, stripes and JPEG --------------------------------------------------


@pytest.mark.parametrize("strength", [0.05, 0.2])
def test_shot_noise_counts_photons(strength: float) -> None:
    for gray in (0.0, 0.1, 0.5):
        x = torch.full((20, 3, 32, 32), gray)
        y = noisy(f"poisson:{strength}", x)
        counts = y / strength**2
        assert torch.allclose(counts, counts.round(), atol=1e-3)
        assert y.mean() == pytest.approx(gray, abs=0.003)
        assert y.std() == pytest.approx(strength * gray**0.5, rel=0.02)
        between = torch.corrcoef(y.movedim(1, 0).flatten(1))
        assert not gray or (between - torch.eye(3)).abs().max() < 0.05


def test_shot_noise_of_values_beyond_the_range_stays_within_it() -> None:
    x = torch.tensor([[[-3.0, 0.0, 1e30, float("inf")]]])
    assert noisy("poisson:0.1", x).tolist() == [[[0, 0, 1, 1]]]
    assert torch.allclose(noisy("poisson:1e-9", torch.full((1, 1, 9), 0.3)), torch.tensor(0.3))


def test_speckle_grows_with_brightness() -> None:
    for gray in (0.0, 0.1, 0.4):
        y = noisy("speckle:0.2", torch.full((20, 3, 32, 32), gray))
        assert y.mean() == pytest.approx(gray, abs=0.003)
        assert y.std() == pytest.approx(0.2 * gray, rel=0.02)


def test_stripes_shift_whole_rows_in_all_channels(rgb: Tensor) -> None:
    middle = 0.45 + 0.1 * rgb
    change = noisy("stripes:0.05", middle) - middle
    assert torch.allclose(change, change[:, :1, :, :1].expand_as(change), atol=1e-6)
    assert change.std() == pytest.approx(0.05, rel=0.05)
    assert torch.corrcoef(change[:, 0, :, 0].T).fill_diagonal_(0).abs().max() < 0.25
    assert noisy("stripes:5", rgb).amin() == 0
    assert noisy("stripes:5", rgb).amax() == 1


@pytest.mark.parametrize("channels", [1, 3, 2])
def test_jpeg_is_what_a_file_of_this_quality_holds(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 24, 40, channels), np.uint8)
    y = noisy("jpeg:15", torch.from_numpy(pixels).movedim(-1, 1) / 255)
    for one, read in zip(pixels, (y * 255).round().byte().movedim(1, -1).numpy(), strict=True):
        parts = [one] if channels == 3 else np.moveaxis(one, -1, 0)
        expected = [through_file(part) for part in parts]
        assert np.array_equal(read, expected[0] if channels == 3 else np.stack(expected, -1))


def through_file(pixels: np.ndarray) -> np.ndarray:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=15)
    return np.array(Image.open(content))


def test_jpeg_loses_more_at_a_lower_quality(rgb: Tensor) -> None:
    few = rgb[:60]
    losses = [(noisy(f"jpeg:{q}", few) - few).square().mean() for q in (5, 20, 50, 95)]
    assert losses == sorted(losses, reverse=True)


def test_signals_are_no_jpeg(signals: Tensor, refused: Refused) -> None:
    with refused(OptionError, "jpeg", "signals"):
        noisy("jpeg:10", signals)
    with refused(OptionError, "jpeg", "signals"):
        train(
            load("waveforms", limit=200),
            config=TrainingConfig(epochs=1, corrupt="gaussian:0.1,jpeg:10"),
        )


def test_an_image_too_long_for_jpeg_is_refused(refused: Refused) -> None:
    with refused(OptionError, "66,000", "jpeg"):
        noisy("jpeg:10", torch.zeros(1, 1, 2, 66_000))

"""Noise: of the strength asked for, on the inputs alone, and the same wherever it is drawn."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus import load
from isthmus.data.corruption import CORRUPTIONS, Corruption
from isthmus.data.random import Rng, SampleRng, StepRng
from isthmus.errors import OptionError

Refused = Callable[..., AbstractContextManager[None]]
KINDS = tuple(CORRUPTIONS)


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


@pytest.mark.parametrize("kind", KINDS)
def test_signals_are_corrupted_too(kind: str, signals: Tensor) -> None:
    y = noisy(f"{kind}:0.25", 0.1 + 0.3 * signals)
    assert y.shape == signals.shape
    changed = (y != 0.1 + 0.3 * signals).all(1).float()
    share = 1.0 if kind.startswith("gaussian") else 0.25
    assert changed.mean() == pytest.approx(share, abs=0.02)
    if kind == "occluded":
        assert (changed.sum(1) == 8).all()
        assert (changed.diff(dim=1).abs().sum(1) <= 2).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_corrupted_stays_as_it_is(kind: str, rgb: Tensor) -> None:
    before = rgb.clone()
    for rng in (fresh(rgb), SampleRng(0, np.arange(len(rgb)))):
        assert not torch.equal(noisy(f"{kind}:0.3", rgb, rng), rgb)
    assert torch.equal(rgb, before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_memory_does_not_matter(kind: str, rgb: Tensor) -> None:
    mapped = rgb.contiguous(memory_format=torch.channels_last)
    assert torch.equal(noisy(f"{kind}:0.3", mapped), noisy(f"{kind}:0.3", rgb.contiguous()))


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_noise_belongs_to_the_sample(kind: str, rgb: Tensor, signals: Tensor) -> None:
    for samples in (rgb, signals):
        text, indices = f"{kind}:0.3,{kind}:0.2", np.arange(100, 120)
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
    seen = [noisy(f"{kind}:0.3", x, fresh(x, *numbers)) for numbers in rng]
    assert torch.equal(seen[0], noisy(f"{kind}:0.3", x, fresh(x)))
    assert all(not torch.equal(seen[i], seen[j]) for i in range(4) for j in range(i))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [60, 61])
def test_processes_together_draw_what_one_would(kind: str, size: int, rgb: Tensor) -> None:
    text, x = f"{kind}:0.3,gaussian:0.1", rgb[:size]
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
    "text", ["gaussian:0.5", "masked:0.25,occluded:0.1", "gaussian:0.123456789", "gaussian:10"]
)
def test_what_is_written_can_be_read_again(text: str) -> None:
    assert str(Corruption.parse(text)) == text
    assert Corruption.parse(f" {text.replace(',', ' , ')} ") == Corruption.parse(text)


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
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
    for kind in ("masked", "occluded", "salt-pepper"):
        with refused(OptionError, kind, "at most 1", "1.01"):
            Corruption.parse(f"{kind}:1.01")

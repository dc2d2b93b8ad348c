"""Batches: every sample once, in an order of its own each epoch, mirrored or noisy if asked."""

import numpy as np
import pytest
import torch

from isthmus import Preprocessing, Samples, TrainingConfig, load
from isthmus.data.corruption import Corruption
from isthmus.data.random import SampleRng
from isthmus.training.batches import Batches, SampleTensors, noise_fingerprint

NOISE = Corruption.parse("gaussian:0.3,masked:0.2")


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=200)


@pytest.fixture(scope="module")
def tensors(digits: Samples) -> SampleTensors:
    return SampleTensors(digits.values, Preprocessing(), torch.device("cpu"))


def test_an_epoch_has_every_sample_once_but_for_the_few_left_over(tensors: SampleTensors) -> None:
    indices = np.arange(10, 111)
    batches = Batches(tensors, indices, 20)
    seen = torch.cat([x for x, _ in batches.epoch(0)])
    expected = tensors.gather(indices)
    found = (seen.flatten(1)[:, None] == expected.flatten(1)[None]).all(2)
    assert len(batches) == 5
    assert (found.sum(1) == 1).all()
    assert found.sum() == 100


def test_the_order_follows_from_seed_and_epoch(tensors: SampleTensors) -> None:
    indices = np.arange(100)

    def first(seed: int, epoch: int) -> torch.Tensor:
        return next(iter(Batches(tensors, indices, 50, seed).epoch(epoch)))[0]

    assert torch.equal(first(0, 0), first(0, 0))
    assert not torch.equal(first(0, 0), first(0, 1))
    assert not torch.equal(first(0, 0), first(1, 0))


def test_an_epoch_can_be_entered_in_the_middle(tensors: SampleTensors) -> None:
    batches = Batches(tensors, np.arange(100), 10, flip=True, corruption=NOISE)
    whole = list(batches.epoch(3))
    rest = list(batches.epoch(3, start=6))
    assert len(rest) == 4
    for (x, target), (again, target_again) in zip(whole[6:], rest, strict=True):
        assert torch.equal(x, again)
        assert torch.equal(target, target_again)


def test_processes_share_a_batch_and_its_noise(tensors: SampleTensors) -> None:
    def first(share: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        return next(
            iter(
                Batches(tensors, np.arange(100), 50, 0, [share], flip=True, corruption=NOISE).epoch(
                    0
                )
            )
        )

    for whole, even, odd in zip(first((0, 1)), first((0, 2)), first((1, 2)), strict=True):
        assert torch.equal(whole[0::2], even)
        assert torch.equal(whole[1::2], odd)


def test_about_half_is_mirrored_and_other_samples_each_epoch(tensors: SampleTensors) -> None:
    indices = np.arange(200)
    plain, flipping = Batches(tensors, indices, 200), Batches(tensors, indices, 200, flip=True)
    turned = []
    for epoch in (0, 1):
        (x, _), (y, _) = next(iter(plain.epoch(epoch))), next(iter(flipping.epoch(epoch)))
        same, flipped = (x == y).flatten(1).all(1), (x.flip(-1) == y).flatten(1).all(1)
        assert (same | flipped).all()
        assert 60 < flipped.sum() < 140
        turned.append(flipped)
    assert not torch.equal(turned[0], turned[1])
    assert torch.equal(torch.cat([x for x, _ in flipping.in_order()]), tensors.gather(indices))


def test_without_noise_the_target_is_the_input(tensors: SampleTensors) -> None:
    batches = Batches(tensors, np.arange(60), 20, flip=True)
    assert all(torch.equal(x, target) for x, target in (*batches.epoch(0), *batches.in_order()))


def test_noise_is_on_the_inputs_and_never_on_the_targets(tensors: SampleTensors) -> None:
    indices = np.arange(200)
    clean = Batches(tensors, indices, 50, flip=True)
    noisy = Batches(tensors, indices, 50, flip=True, corruption=NOISE)
    for expected, (x, target) in zip(clean.epoch(2), noisy.epoch(2), strict=True):
        assert torch.equal(target, expected[0])
        assert 0.1 < (x - target).square().mean().sqrt() < 0.5
    for expected, (x, target) in zip(clean.in_order(), noisy.in_order(), strict=True):
        assert torch.equal(target, expected[0])
        assert not torch.equal(x, target)


def test_noise_is_fresh_in_every_step_of_every_epoch(tensors: SampleTensors) -> None:
    one = np.zeros(40, np.int64)  # the same sample again and again
    batches = Batches(tensors, one, 20, corruption=NOISE)
    seen = torch.cat([x for epoch in (0, 1) for x, _ in batches.epoch(epoch)]).flatten(1)
    assert len(torch.unique(seen, dim=0)) == 80


def test_noise_in_order_is_frozen_whatever_the_batch(tensors: SampleTensors) -> None:
    indices = np.arange(30, 130)
    batches = Batches(tensors, indices, 40, seed=5, corruption=NOISE)
    once, twice = (torch.cat([x for x, _ in batches.in_order()]) for _ in range(2))
    assert torch.equal(once, twice)
    single = Batches(tensors, indices[7:8], 1, seed=5, corruption=NOISE)
    assert torch.equal(next(iter(single.in_order()))[0][0], once[7])
    assert torch.equal(once, NOISE.apply(tensors.gather(indices), SampleRng(5, indices)))


def test_the_fingerprint_of_noise_changes_with_all_that_makes_it(digits: Samples) -> None:
    indices = np.arange(40)

    def fingerprint(indices: np.ndarray, corrupt: str, seed: int, batch_size: int = 8) -> str:
        config = TrainingConfig(corrupt=corrupt, seed=seed, batch_size=batch_size)
        return noise_fingerprint(digits, indices, Preprocessing(), config)

    one = fingerprint(indices, "gaussian:0.5", 0)
    assert fingerprint(indices, "gaussian:0.5", 0, batch_size=13) == one
    others = {
        fingerprint(indices, "gaussian:0.4", 0),
        fingerprint(indices, "masked:0.5", 0),
        fingerprint(indices, "gaussian:0.5", 1),
        fingerprint(indices + 1, "gaussian:0.5", 0),
    }
    assert len(others | {one}) == 5

"""Batches: every sample once, in an order of its own each epoch, half of them mirrored if asked."""

import numpy as np
import pytest
import torch

from isthmus import Preprocessing, Samples, load
from isthmus.training.batches import Batches, Source


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=200)


@pytest.fixture(scope="module")
def source(digits: Samples) -> Source:
    return Source(digits.values, Preprocessing(), torch.device("cpu"))


def test_an_epoch_has_every_sample_once_but_for_the_few_left_over(source: Source) -> None:
    indices = np.arange(10, 111)
    batches = Batches(source, indices, 20)
    seen = torch.cat(list(batches.epoch(0)))
    expected = source.gather(indices)
    found = (seen.flatten(1)[:, None] == expected.flatten(1)[None]).all(2)
    assert len(batches) == 5
    assert (found.sum(1) == 1).all()
    assert found.sum() == 100


def test_the_order_follows_from_seed_and_epoch(source: Source) -> None:
    indices = np.arange(100)

    def first(seed: int, epoch: int) -> torch.Tensor:
        return next(iter(Batches(source, indices, 50, seed).epoch(epoch)))

    assert torch.equal(first(0, 0), first(0, 0))
    assert not torch.equal(first(0, 0), first(0, 1))
    assert not torch.equal(first(0, 0), first(1, 0))


def test_an_epoch_can_be_entered_in_the_middle(source: Source) -> None:
    batches = Batches(source, np.arange(100), 10, mirror=True)
    whole = list(batches.epoch(3))
    rest = list(batches.epoch(3, start=6))
    assert len(rest) == 4
    assert all(torch.equal(a, b) for a, b in zip(whole[6:], rest, strict=True))


def test_processes_share_a_batch(source: Source) -> None:
    indices = np.arange(100)
    whole = next(iter(Batches(source, indices, 50).epoch(0)))
    shares = [next(iter(Batches(source, indices, 50, 0, (rank, 2)).epoch(0))) for rank in (0, 1)]
    assert torch.equal(whole[0::2], shares[0])
    assert torch.equal(whole[1::2], shares[1])


def test_about_half_is_mirrored_and_other_samples_each_epoch(source: Source) -> None:
    indices = np.arange(200)
    plain, mirrored = Batches(source, indices, 200), Batches(source, indices, 200, mirror=True)
    turned = []
    for epoch in (0, 1):
        x, y = next(iter(plain.epoch(epoch))), next(iter(mirrored.epoch(epoch)))
        same, flipped = (x == y).flatten(1).all(1), (x.flip(-1) == y).flatten(1).all(1)
        assert (same | flipped).all()
        assert 60 < flipped.sum() < 140
        turned.append(flipped)
    assert not torch.equal(turned[0], turned[1])
    assert torch.equal(torch.cat(list(mirrored.in_order())), source.gather(indices))

"""Images are changed as asked, masks with them, and the same by counter."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus import load
from isthmus.data.augmentation import AUGMENTATIONS, Augmentation
from isthmus.data.random import AUGMENT, StepRng
from isthmus.errors import OptionError

Refused = Callable[..., AbstractContextManager[None]]


def rng(batch: int = 0, size: int = 32) -> StepRng:
    return StepRng(0, 0, batch, size, stream=AUGMENT)


@pytest.fixture(scope="module")
def digits() -> Tensor:
    values = torch.from_numpy(load("digits", size=16, limit=32).values)
    return values.movedim(-1, 1).float() / 255


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_each_kind_changes_images_and_others_each_time(kind: str, digits: Tensor) -> None:
    change = Augmentation(((kind, AUGMENTATIONS[kind].max_strength / 2),))
    first, again, other = (change.apply(digits, rng(n))[0] for n in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == digits.shape
    moved = (first - digits).abs().flatten(1).amax(1)
    assert (moved > 0.01).float().mean() > 0.9
    assert first.min() >= 0
    assert first.max() <= 1


def test_a_mask_moves_with_its_image(digits: Tensor) -> None:
    change = Augmentation.parse("shift:0.2,zoom:0.4,rotate:20")
    masks = (digits[:, 0] > 0.5).long()
    x, moved = change.apply(masks[:, None].float(), rng(), masks)
    assert moved is not None
    assert not torch.equal(moved, masks)
    sure = (x[:, 0] - 0.5).abs() > 0.49  # pixels that interpolation did not mix
    assert sure.float().mean() > 0.5
    assert torch.equal(moved[sure], (x[:, 0] > 0.5).long()[sure])


def test_a_shift_moves_by_whole_images_of_their_own(digits: Tensor) -> None:
    x, _ = Augmentation.parse("shift:0.25").apply(digits, rng())
    chance = rng().uniform((32, 7))[:, :2]
    middle = slice(5, 11)
    for image, moved, (right, down) in zip(digits, x, 2 * chance - 1, strict=True):
        columns, rows = round(float(right) * 4), round(float(down) * 4)
        if abs(right * 4 - columns) < 0.05 and abs(down * 4 - rows) < 0.05:
            expected = image[0, 5 + rows : 11 + rows, 5 + columns : 11 + columns]
            assert torch.allclose(moved[0, middle, middle], expected, atol=0.1)


def test_turning_keeps_the_shapes_of_images_that_are_not_square() -> None:
    image = torch.zeros(1, 1, 21, 41)
    image[:, :, 8:13, 18:23] = 1  # a square in the middle
    for batch in range(20):
        x, _ = Augmentation.parse("rotate:180").apply(image, rng(batch, 1))
        assert x[..., 5:16, 13:28].sum() == pytest.approx(25, rel=0.12)


def test_colors_change_without_moving_anything(digits: Tensor) -> None:
    rgb = digits.expand(-1, 3, -1, -1) * torch.tensor([1.0, 0.5, 0.25])[:, None, None]
    x, _ = Augmentation.parse("color:0.3").apply(rgb, rng())
    for before, after in zip(rgb, x, strict=True):
        inside = (after > 0) & (after < 1)
        for channel in range(3):
            pairs = torch.stack([part[channel][inside[channel]] for part in (before, after)])
            assert torch.corrcoef(pairs)[0, 1] > 0.999
    assert (x - rgb).abs().mean() > 0.01


def test_processes_together_see_what_one_does(digits: Tensor) -> None:
    change = Augmentation.parse("shift:0.1,color:0.2")
    whole, _ = change.apply(digits, rng())
    for part in (0, 1):
        mine = StepRng(0, 0, 0, 32, (part, 2), AUGMENT)
        assert torch.equal(change.apply(digits[part::2], mine)[0], whole[part::2])


@pytest.mark.parametrize(
    ("text", "culprits"),
    [
        ("spin:0.1", ("spin", "shift", "color")),
        ("shift", ("shift", "kind:strength")),
        ("shift:0.9", ("shift", "0.5", "0.9")),
    ],
)
def test_what_makes_no_sense_is_said(
    text: str, culprits: tuple[str, ...], refused: Refused
) -> None:
    with refused(OptionError, *culprits):
        Augmentation.parse(text)


def test_it_is_written_as_it_is_read() -> None:
    text = "shift:0.1,zoom:0.25,color:0.2"
    assert str(Augmentation.parse(text)) == text
    assert np.allclose(
        [strength for _, strength in Augmentation.parse(text).steps], [0.1, 0.25, 0.2]
    )

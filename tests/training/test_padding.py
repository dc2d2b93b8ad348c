"""Weights that meet nothing but padding get no gradient, whatever torch returns for them."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from isthmus import Items, Samples, TrainingConfig, load, train
from isthmus.models.layers import Autoencoder
from isthmus.runtime import choose_precision
from isthmus.training.padding import zero_unread_gradients

LAYERS: dict[str, tuple[Any, int]] = {
    "convolution": (nn.Conv2d, 2),
    "transposed": (nn.ConvTranspose2d, 2),
    "signals": (nn.Conv1d, 1),
    "transposed signals": (nn.ConvTranspose1d, 1),
}


@pytest.mark.parametrize("kind", LAYERS)
@settings(max_examples=30, deadline=None)
@given(
    kernel=st.integers(1, 7),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    side=st.integers(1, 5),
)
def test_exactly_these_weights_get_none(
    kind: str, kernel: int, stride: int, padding: int, side: int
) -> None:
    build, axes = LAYERS[kind]
    padding = min(padding, kernel // 2)  # the output has at least one pixel
    if not kind.startswith("transposed") and side + 2 * padding < kernel:
        return
    if kind.startswith("transposed") and (side - 1) * stride + kernel <= 2 * padding:
        return
    layer = build(1, 2, kernel, stride=stride, padding=padding)
    # In float32 the gradient of an output's sum, for positive inputs, is 0 exactly there.
    layer(torch.ones(1, 1, *[side] * axes)).sum().backward()
    is_read = layer.weight.grad != 0
    layer.weight.grad = None
    zero_unread_gradients(Autoencoder(layer, nn.Identity()), (1, *[side] * axes))
    layer.weight.backward(torch.ones_like(layer.weight))
    assert torch.equal(layer.weight.grad != 0, is_read)


@pytest.mark.skipif(
    choose_precision("cpu") != "bf16",
    reason="torch returns uninitialized gradients only where the CPU computes in bfloat16",
)
def test_a_segmenter_of_small_images_gets_the_same_finite_weights_each_time() -> None:
    digits = load("digits", limit=60)
    masks = (digits.values[..., 0] > 100).astype(np.uint8)
    items = Items(list(digits.names), class_names=("paper", "ink"))
    samples = Samples(digits.values, items, masks=masks)
    fingerprints = set()
    for _ in range(3):
        # Memory that is freed now is what torch returned as gradients.
        junk = [torch.full((500, 500), float("nan")) for _ in range(20)]
        del junk
        training = train(samples, "fcn8s", config=TrainingConfig(epochs=1, precision="bf16"))
        list(training)
        model = training.run.model()
        assert all(weight.isfinite().all() for weight in model.module.parameters())
        fingerprints.add(model.fingerprint)
    assert len(fingerprints) == 1

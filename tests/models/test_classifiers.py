"""Classifiers: they are the nets of the papers, and they learn."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from isthmus import build_model, configure, summarize
from isthmus.models.classifiers import ResponseNorm
from isthmus.models.layers import Classifier

DIGITS = tuple("0123456789")


def parameters(name: str, shape: tuple[int, ...], classes: int, **options: Any) -> int:
    names = [str(number) for number in range(classes)]
    layers = summarize(configure(name, shape, class_names=names, options=options))
    return sum(layer.trainable for layer in layers)


def test_alexnet_counts_as_in_the_literature() -> None:
    assert parameters("alexnet", (3, 227, 227), 1000) == 62_378_344
    assert parameters("alexnet", (3, 224, 224), 1000) == 62_378_344
    assert parameters("alexnet", (3, 227, 227), 1000, lrn=False) == 62_378_344


def test_the_maps_of_alexnet_have_the_sides_of_the_paper() -> None:
    for side in (224, 227):
        layers = summarize(configure("alexnet", (3, side, side), class_names=DIGITS))
        shapes = {layer.shape for layer in layers}
        assert {(96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13)} < shapes
        assert {(256, 6, 6), (9216,), (4096,), (10,)} < shapes


@pytest.mark.parametrize("side", [16, 17, 28, 32, 63, 64, 65, 127, 128, 129, 180, 226, 300])
def test_alexnet_keeps_some_places_of_any_image(side: int) -> None:
    layers = summarize(configure("alexnet", (1, side, 2 * side), class_names=DIGITS))
    last = next(layer for layer in reversed(layers) if len(layer.shape) == 3)
    assert min(last.shape[1:]) >= 1
    assert max(last.shape[1:]) <= 18


def test_alexnet_gets_thinner_and_smaller() -> None:
    options = {"width": 0.25}
    layers = summarize(configure("alexnet", (3, 64, 64), 256, class_names=DIGITS, options=options))
    channels = [layer.shape[0] for layer in layers if layer.kind.startswith("Conv2d")]
    assert channels == [24, 64, 96, 96, 64]
    assert layers[-1].shape == (10,)


def test_local_responses_are_normalized_as_in_the_paper() -> None:
    module = build_model("alexnet", (3, 64, 64), class_names=DIGITS, options={"width": 0.1})
    (first, _) = (part for part in module.modules() if isinstance(part, ResponseNorm))
    a = 30 * torch.rand(2, 9, 3, 4, dtype=torch.double)
    wanted = torch.empty_like(a)
    for i in range(9):  # section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75
        squares = sum(a[:, j] ** 2 for j in range(max(0, i - 2), min(8, i + 2) + 1))
        wanted[:, i] = a[:, i] / (2 + 1e-4 * squares) ** 0.75
    assert torch.allclose(first(a), wanted, rtol=1e-12)
    theirs = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)  # takes the mean of the squares
    assert torch.allclose(theirs(a), wanted, rtol=1e-12)


def test_alexnet_drops_half_of_both_dense_layers() -> None:
    module = build_model("alexnet", (1, 32, 32), 2000, class_names=DIGITS)
    shares = []
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.register_forward_hook(
                lambda part, x, y: shares.append(float((y[x[0] > 0] == 0).float().mean()))
            )
    module(torch.rand(4, 1, 32, 32))
    assert shares == pytest.approx([0.5, 0.5], abs=0.05)


def test_cnn_tiny_has_fewer_than_100_000_parameters() -> None:
    assert parameters("cnn-tiny", (1, 28, 28), 10) < 100_000
    assert parameters("cnn-tiny", (1, 28, 28), 10) == parameters("cnn", (1, 28, 28), 10, width=16)


def test_cnn_small_counts_as_by_hand() -> None:
    dense = 32 * 7 * 7 * 128 + 128 + 128 * 10 + 10
    assert parameters("cnn-small", (1, 28, 28), 10) == 640 + 64 * 32 * 9 + 32 + dense


@pytest.mark.parametrize(
    ("shape", "coarsest"),
    [((1, 5, 5), (5, 5)), ((1, 8, 8), (4, 4)), ((3, 64, 64), (4, 4)), ((3, 224, 112), (7, 7)),
     ((3, 9, 300), (4, 4))],
)  # fmt: skip
def test_cnn_halves_each_side_until_it_is_small(
    shape: tuple[int, ...], coarsest: tuple[int, int]
) -> None:
    layers = summarize(configure("cnn", shape, class_names=DIGITS))
    maps = [layer.shape[1:] for layer in layers if layer.kind.startswith("Conv2d")]
    assert maps[0] == shape[1:]
    assert maps[-1] == coarsest


@pytest.mark.parametrize(
    ("name", "options"), [("cnn", {"width": 16}), ("cnn-small", {}), ("encoder", {"base": "dense"})]
)
def test_classifiers_learn_digits(name: str, options: dict[str, Any]) -> None:
    digits = load_digits()
    x = torch.from_numpy(digits.images[:, None].astype(np.float32) / 16)
    labels = torch.from_numpy(digits.target)
    torch.manual_seed(0)
    module = build_model(name, (1, 8, 8), class_names=DIGITS, options=options)
    assert isinstance(module, Classifier)
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)
    for step in range(120):
        batch = torch.arange(64 * step, 64 * step + 64) % 1437
        loss: Any = nn.functional.cross_entropy(module(x[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.eval()
    with torch.inference_mode():
        found = module(x[1437:]).argmax(1)
    assert float((found == labels[1437:]).float().mean()) > 0.8

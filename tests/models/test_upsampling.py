"""The step that folds upsampling into a convolution does what the two layers do."""

import pytest
import torch
from torch import nn

from isthmus import MODELS, build
from isthmus.models.blocks import channels_last
from isthmus.models.upsampling import Layers, upsampled_convolution


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_it_equals_the_two_layers(scale: int, padding: int, kernel: int) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, kernel, padding=padding).double()
    x = torch.randn(2, 3, 4, 7, dtype=torch.double)
    expected = convolution(nn.Upsample(scale_factor=scale)(x))
    assert torch.allclose(upsampled_convolution(x, convolution, scale), expected, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_the_fast_path_answers_and_learns_as_the_plain_one(name: str) -> None:
    shape = MODELS[name].shape
    torch.manual_seed(0)
    plain = build(name, shape).double()
    fast = channels_last(build(name, shape).double())
    fast.load_state_dict(plain.state_dict())
    plain.decoder = nn.Sequential(*plain.decoder.children())  # each layer for itself
    x = torch.rand(4, *shape, dtype=torch.double)
    outputs = [module(x) for module in (plain, fast)]
    for output in outputs:
        output.square().mean().backward()
    assert torch.allclose(outputs[0], outputs[1], atol=1e-10)
    gradients = zip(plain.named_parameters(), fast.named_parameters(), strict=True)
    for (one, a), (other, b) in gradients:
        assert one == other
        assert a.grad is not None
        assert b.grad is not None
        assert torch.allclose(a.grad, b.grad, atol=1e-10), one


def test_whoever_listens_to_the_upsampling_hears_it() -> None:
    module = build("conv-pool", (1, 28, 28)).double()
    x = torch.rand(2, 1, 28, 28, dtype=torch.double)
    folded = module(x)
    shapes = []
    for part in module.modules():
        if isinstance(part, nn.Upsample):
            part.register_forward_hook(lambda part, x, output: shapes.append(output.shape[2:]))
    assert torch.allclose(module(x), folded, atol=1e-10)
    assert [tuple(shape) for shape in shapes] == [(8, 8), (16, 16), (28, 28)]


def test_what_cannot_be_folded_is_computed_in_turn() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 5, dtype=torch.double)
    for convolution in (
        nn.Conv2d(4, 4, 3, stride=2),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, (3, 1)),
        nn.Conv2d(4, 4, 3, padding=(1, 0)),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    ):
        layers = [nn.Upsample(scale_factor=2), convolution.double()]
        assert torch.equal(Layers(*layers)(x), nn.Sequential(*layers)(x))
    bilinear = nn.Upsample(scale_factor=2, mode="bilinear")
    follower = nn.Conv2d(4, 4, 3).double()
    assert torch.equal(Layers(bilinear, follower)(x), nn.Sequential(bilinear, follower)(x))

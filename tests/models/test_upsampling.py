"""The step that folds upsampling into a convolution does what the two layers do."""

import pytest
import torch
from torch import nn

from isthmus import build
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


@pytest.mark.parametrize("model", ["conv-pool", "conv-bn-2d"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 17, 40)])
def test_models_answer_and_learn_as_with_separate_layers(
    model: str, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    module = build(model, shape).double()
    x = torch.rand(4, *shape, dtype=torch.double)
    seen: list[torch.Tensor] = []
    outputs, gradients = [], []
    for listened in (False, True):  # whoever listens to a layer gets the separate layers
        hooks = [
            part.register_forward_hook(lambda part, x, output: seen.append(output))
            for part in module.modules()
            if listened and isinstance(part, nn.Upsample)
        ]
        module.zero_grad()
        output = module(x)
        output.square().mean().backward()
        outputs.append(output.detach())
        gradients.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
        for hook in hooks:
            hook.remove()
    assert len(seen) == len([part for part in module.modules() if isinstance(part, nn.Upsample)])
    assert torch.allclose(outputs[0], outputs[1], atol=1e-10)
    assert len(gradients[0]) == len(list(module.parameters()))
    for folded, separate in zip(*gradients, strict=True):
        assert torch.allclose(folded, separate, atol=1e-10)


def test_what_cannot_be_folded_is_computed_in_turn() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 5, dtype=torch.double)
    for convolution in (
        nn.Conv2d(4, 4, 3, stride=2),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, (3, 1)),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    ):
        layers = [nn.Upsample(scale_factor=2), convolution.double()]
        assert torch.equal(Layers(*layers)(x), nn.Sequential(*layers)(x))
    bilinear = nn.Upsample(scale_factor=2, mode="bilinear")
    follower = nn.Conv2d(4, 4, 3).double()
    assert torch.equal(Layers(bilinear, follower)(x), nn.Sequential(bilinear, follower)(x))

"""Plain copies of networks compute what the networks compute."""

import itertools

import pytest
import torch
from torch import nn

from isthmus import MODELS, build_model
from isthmus.models.layers import FusedSequential
from isthmus.models.plain import SubpixelConv2d, plain_copy
from isthmus.models.upsampling import can_fold


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_a_sub_pixel_layer_is_upsampling_and_a_convolution(scale: int, kernel: int) -> None:
    torch.manual_seed(0)
    upsampling = nn.Upsample(scale_factor=scale)
    for padding, has_bias in itertools.product(range(kernel), (True, False)):
        convolution = nn.Conv2d(3, 5, kernel, padding=padding, bias=has_bias)
        assert can_fold(upsampling, convolution)
        layer = SubpixelConv2d(convolution, scale)
        for sides in ((3, 4), (5, 3), (4, 7)):
            x = torch.randn(2, 3, *sides)
            wanted = convolution(upsampling(x))
            assert layer(x).shape == wanted.shape
            torch.testing.assert_close(layer(x), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["conv-pool", "conv-bn-2d", "conv-transpose", "cnn-tiny"])
def test_a_copy_answers_as_its_network_and_has_plain_layers(name: str) -> None:
    torch.manual_seed(0)
    row = MODELS[name]
    network = build_model(name, row.shape, class_names=row.class_names).eval()
    before = [type(part) for part in network.modules()]
    x = torch.rand(3, *row.shape)
    for fuse in (True, False):
        copy = plain_copy(network, fuse=fuse)
        assert not any(isinstance(part, FusedSequential) for part in copy.modules())
        torch.testing.assert_close(copy(x), network(x), rtol=0, atol=1e-5)
        has_upsampling = any(isinstance(part, nn.Upsample) for part in network.modules())
        assert any(isinstance(part, nn.Upsample) for part in copy.modules()) == (
            has_upsampling and not fuse
        )
    assert list(copy.state_dict()) == list(network.state_dict())  # where nothing is fused
    assert [type(part) for part in network.modules()] == before

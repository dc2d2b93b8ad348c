"""Two layers computed in one step do what they do one after the other."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from isthmus import MODELS, build_model
from isthmus.models import upsampling
from isthmus.models.layers import FusedSequential, channels_last
from isthmus.models.upsampling import convolve_upsampled


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_the_folded_convolution_equals_the_two_layers(
    scale: int, padding: int, kernel: int
) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, kernel, padding=padding).double()
    x = torch.randn(2, 3, 4, 7, dtype=torch.double)
    expected = convolution(nn.Upsample(scale_factor=scale)(x))
    assert torch.allclose(convolve_upsampled(x, convolution, scale), expected, atol=1e-12)


@pytest.mark.parametrize(
    "name", [name for name, row in MODELS.items() if row.task == "reconstruct"]
)
def test_the_fast_path_answers_and_learns_as_the_plain_one(name: str) -> None:
    shape = MODELS[name].shape
    torch.manual_seed(0)
    plain = build_model(name, shape).double()
    fast = channels_last(build_model(name, shape).double())
    fast.load_state_dict(plain.state_dict())
    for part in plain.modules():
        part.register_forward_hook(lambda part, x, output: None)  # then each layer by itself
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


def test_small_images_are_computed_by_the_two_layers_themselves() -> None:
    torch.manual_seed(0)
    layers = [nn.Upsample(scale_factor=2), nn.Conv2d(8, 8, 3, padding=1)]
    separate, together = nn.Sequential(*layers), FusedSequential(*layers)
    small, large = torch.randn(5, 8, 4, 4), torch.randn(5, 8, 14, 14)
    assert torch.equal(together(small), separate(small))
    assert not torch.equal(together(large), separate(large))  # by sums in another order
    assert torch.allclose(together(large), separate(large), atol=1e-5)


def test_a_hook_on_the_upsampling_gets_its_output() -> None:
    module = build_model("conv-pool", (1, 28, 28)).double()
    x = torch.rand(2, 1, 28, 28, dtype=torch.double)
    folded = module(x)
    shapes = []
    for part in module.modules():
        if isinstance(part, nn.Upsample):
            part.register_forward_hook(lambda part, x, output: shapes.append(output.shape[2:]))
    assert torch.allclose(module(x), folded, atol=1e-10)
    assert [tuple(shape) for shape in shapes] == [(8, 8), (16, 16), (28, 28)]


def test_layers_that_cannot_be_folded_are_computed_in_turn() -> None:
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
        assert torch.equal(FusedSequential(*layers)(x), nn.Sequential(*layers)(x))
    bilinear = nn.Upsample(scale_factor=2, mode="bilinear")
    follower = nn.Conv2d(4, 4, 3).double()
    assert torch.equal(FusedSequential(bilinear, follower)(x), nn.Sequential(bilinear, follower)(x))


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ELU(), nn.SELU()])
@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2, padding=1)])
def test_pooling_before_an_activation_answers_and_learns_the_same(
    activation: nn.Module, pool: nn.MaxPool2d
) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 9, 10, dtype=torch.double)
    answers = []
    for kind in (nn.Sequential, FusedSequential):
        leaf = x.clone().requires_grad_()
        y = kind(activation, pool)(leaf)
        y.pow(3).sum().backward()
        answers.append((y.detach(), leaf.grad))
    for plain, fast in zip(*answers, strict=True):
        torch.testing.assert_close(fast, plain, rtol=0, atol=1e-14)


def test_a_pass_on_the_meta_device_changes_no_later_one() -> None:
    upsampled, convolution = nn.Upsample(scale_factor=5), nn.Conv2d(2, 2, 3)
    with torch.device("meta"):
        shape = FusedSequential(nn.Upsample(scale_factor=5), nn.Conv2d(2, 2, 3))(
            torch.empty(1, 2, 4, 4)
        ).shape
    x = torch.rand(1, 2, 4, 4)
    assert FusedSequential(upsampled, convolution)(x).shape == shape


# -- whatever mode the first call runs in, later calls are right ------------------------------

UPSAMPLED = ("conv-pool", "conv-bn-2d", "conv-transpose")


def export(module: nn.Module, x: Tensor) -> nn.Module:
    return torch.export.export(module.eval(), (x,)).module()


def compute_on_meta(module: nn.Module, x: Tensor) -> nn.Module:
    with torch.device("meta"):
        copy.deepcopy(module).to("meta")(torch.empty(x.shape))
    return module


def compute_in_inference_mode(module: nn.Module, x: Tensor) -> nn.Module:
    with torch.inference_mode():
        module.eval()(x)
    return module


@pytest.fixture
def empty_caches() -> None:
    """Let the next call be the first one of the process."""
    upsampling._taps.cache_clear()
    upsampling._phase_groups.cache_clear()


@pytest.mark.usefixtures("empty_caches")
@pytest.mark.parametrize("name", UPSAMPLED)
@pytest.mark.parametrize("first", [export, compute_on_meta, compute_in_inference_mode])
def test_the_mode_of_the_first_call_does_not_leak(
    name: str, first: Callable[[nn.Module, Tensor], nn.Module]
) -> None:
    shape = MODELS[name].shape
    torch.manual_seed(0)
    module = build_model(name, shape)
    plain = copy.deepcopy(module).eval()
    for part in plain.modules():
        part.register_forward_hook(lambda part, x, output: None)  # then nothing is folded
    x = torch.rand(2, *shape)
    result = first(module, x)  # of the export, a program that answers the same
    expected = plain(x)
    module.eval()
    with ThreadPoolExecutor(1) as other_thread:
        answers = [module(x), result(x), other_thread.submit(module, x).result()]
    for y in answers:
        assert type(y) is Tensor
        torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)
    module.train()(x).square().mean().backward()
    for key, weight in module.named_parameters():
        assert weight.grad is not None, key
        assert type(weight.grad) is Tensor, key
        assert weight.grad.isfinite().all(), key


def test_an_activation_that_falls_is_not_pooled_first() -> None:
    x = torch.linspace(-3, 0, 16, dtype=torch.double).reshape(1, 1, 4, 4)
    layers = [nn.GELU(), nn.MaxPool2d(2)]
    assert torch.equal(FusedSequential(*layers)(x), nn.Sequential(*layers)(x))


def test_a_hook_on_an_activation_gets_all_of_its_output() -> None:
    layers = FusedSequential(nn.ReLU(), nn.MaxPool2d(2))
    shapes = []
    layers[0].register_forward_hook(lambda part, x, output: shapes.append(output.shape))
    layers(torch.randn(1, 1, 4, 4))
    assert shapes == [(1, 1, 4, 4)]

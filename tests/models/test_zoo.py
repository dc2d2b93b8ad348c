"""Every row of the table of models: shapes, code sizes, parameters, gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus import MODELS, IsthmusError, build, specify, summarise
from isthmus.errors import ModelError, SettingsError

COUNTED = {  # parameters, of which not trainable, as the reports count them
    "dense-selu": (163_814, 0),
    "conv-pool": (4_385, 0),
    "conv-bn-2d": (306_699, 3_076),
    "conv-transpose": (843_171, 0),
}
IMAGES = sorted(name for name, row in MODELS.items() if "images" in row.takes)
SIGNALS = sorted(name for name, row in MODELS.items() if "signals" in row.takes)

sides = st.one_of(st.integers(1, 40), st.integers(1, 512), st.sampled_from([1, 27, 28, 29, 512]))


@given(
    name=st.sampled_from(IMAGES),
    shape=st.tuples(st.integers(1, 5), sides, sides),
    code_size=st.integers(1, 600),
)
@settings(max_examples=150, deadline=None)
def test_images_of_any_shape_pass_any_code_and_keep_their_shape(
    name: str, shape: tuple[int, int, int], code_size: int
) -> None:
    with torch.device("meta"):  # shapes alone: no memory, no arithmetic
        module = build(name, shape, code_size).eval()
        z = module.encode(torch.empty(2, *shape))
        assert z.shape == (2, code_size)
        assert module.decode(z).shape == (2, *shape)


@given(
    name=st.sampled_from(SIGNALS),
    shape=st.tuples(st.integers(1, 8), st.integers(1, 512)),
    code_size=st.integers(1, 100),
)
@settings(max_examples=60, deadline=None)
def test_signals_of_any_length_pass_any_code_and_keep_their_shape(
    name: str, shape: tuple[int, int], code_size: int
) -> None:
    with torch.device("meta"):
        module = build(name, shape, code_size).eval()
        z = module.encode(torch.empty(2, *shape))
        assert z.shape == (2, code_size)
        assert module.decode(z).shape == (2, *shape)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("odd", [False, True])
def test_every_weight_learns_at_its_own_shape_and_at_an_odd_one(name: str, odd: bool) -> None:
    row = MODELS[name]
    shape = (2, *(11 + 3 * axis for axis in range(len(row.shape) - 1))) if odd else row.shape
    torch.manual_seed(0)
    module = build(name, shape, 5)
    x = torch.rand(8, *shape)
    (module(x) - x).square().mean().backward()
    for key, weight in module.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.isfinite().all(), key


@pytest.mark.parametrize("name", COUNTED)
def test_presets_count_as_in_the_reports(name: str) -> None:
    layers = summarise(specify(name, MODELS[name].shape))
    trainable, frozen = (
        sum(getattr(layer, key) for layer in layers) for key in ("trainable", "frozen")
    )
    assert (trainable + frozen, frozen) == COUNTED[name]
    module = build(name, MODELS[name].shape)
    assert trainable == sum(p.numel() for p in module.parameters())


def test_the_selu_encoder_counts_as_in_the_report() -> None:
    encoder = build("dense-selu", (1, 28, 28)).encoder
    assert sum(p.numel() for p in encoder.parameters()) == 81_530


def test_the_summary_of_conv_bn_2d_agrees_with_the_report_layer_by_layer() -> None:
    layers = summarise(specify("conv-bn-2d", (1, 28, 28)))
    assert [layer.trainable + layer.frozen for layer in layers] == [
        1_120, 448, 0, 113_008, 448, 0, 0, 5_602, 8,
        3_072, 4_096, 0, 256, 0, 64_624, 448, 0, 113_008, 448, 113,
    ]  # fmt: skip
    assert [layer.shape for layer in layers][3:9] == [
        (112, 11, 11), (112, 11, 11), (112, 5, 5), (2800,), (2,), (2,),
    ]  # fmt: skip


def test_multiplications_are_weights_times_places() -> None:
    layers = {layer.name: layer.macs for layer in summarise(specify("conv-transpose", (3, 32, 32)))}
    assert layers["encoder.0"] == 32 * 3 * 9 * 32 * 32
    assert layers["decoder.3"] == 256 * 128 * 9 * 2 * 2  # transposed: counted where it starts
    assert sum(layers.values()) > 0


@pytest.mark.parametrize("name", MODELS)
def test_the_summary_counts_what_the_built_module_holds(name: str) -> None:
    spec = specify(name, MODELS[name].shape)
    held = sum(p.numel() for p in spec.build().parameters())
    assert sum(layer.trainable for layer in summarise(spec)) == held


def test_the_code_of_conv_pool_is_what_its_convolutions_leave() -> None:
    assert specify("conv-pool", (1, 28, 28)).code_size == 128
    assert specify("conv-pool", (3, 60, 29)).code_size == 8 * 8 * 5
    assert build("conv-pool", (1, 28, 28), 20).encode(torch.zeros(1, 1, 28, 28)).shape == (1, 20)


def test_conv_does_not_grow_without_bound() -> None:
    with torch.device("meta"):
        largest = sum(p.numel() for p in build("conv", (3, 512, 512), 32).parameters())
        photo = sum(p.numel() for p in build("conv", (3, 64, 64), 32).parameters())
    assert largest < 8 * photo < 8 * math.prod((3, 64, 64)) * 3000


@pytest.mark.parametrize(
    ("model", "shape", "code_size", "error", "fragment"),
    [
        ("convolution", (1, 28, 28), 2, SettingsError, "conv-transpose"),
        ("conv", (1, 28, 28), 0, SettingsError, "at least 1"),
        ("conv", (1, 0, 28), 2, SettingsError, "(1, 0, 28)"),
        ("conv1d", (1, 28, 28), 2, ModelError, "for images there are conv"),
        ("conv-pool", (1, 128), 2, ModelError, "for signals there are conv1d"),
    ],
)
def test_what_cannot_be_built_is_said(
    model: str, shape: tuple[int, ...], code_size: int, error: type[IsthmusError], fragment: str
) -> None:
    with pytest.raises(error) as raised:
        specify(model, shape, code_size)
    assert fragment in str(raised.value)

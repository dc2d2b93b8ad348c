"""Every row of the table of models: shapes, code sizes, parameters, gradients, configs."""

import dataclasses
import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from isthmus import MODELS, IsthmusError, build_model, fields, files
from isthmus.errors import ModelError, OptionError
from isthmus.models.config import ModelConfig, configure
from isthmus.models.layers import Autoencoder, Network, require_encoder
from isthmus.models.registry import ACTIVATIONS
from isthmus.models.summary import summarize
from isthmus.models.tasks import CLASS_TASKS, Task

PARAMETERS = {  # parameters, of which not trainable, as the reports count them
    "dense-selu": (163_814, 0),
    "conv-pool": (4_385, 0),
    "conv-bn-2d": (306_699, 3_076),
    "conv-transpose": (843_171, 0),
}
AUTOENCODERS = {name: row for name, row in MODELS.items() if row.task == "reconstruct"}
LABELED = {name: row for name, row in MODELS.items() if row.task in CLASS_TASKS}
IMAGES = sorted(name for name, row in AUTOENCODERS.items() if "images" in row.kinds)
SIGNALS = sorted(name for name, row in AUTOENCODERS.items() if "signals" in row.kinds)
CLASSES = ("sky", "road", "tree")

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
        module = autoencoder(name, shape, code_size).eval()
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
        module = autoencoder(name, shape, code_size).eval()
        z = module.encode(torch.empty(2, *shape))
        assert z.shape == (2, code_size)
        assert module.decode(z).shape == (2, *shape)


@pytest.mark.parametrize("name", AUTOENCODERS)
@pytest.mark.parametrize("odd", [False, True])
def test_every_weight_learns_at_its_own_shape_and_at_an_odd_one(name: str, odd: bool) -> None:
    row = MODELS[name]
    shape = (2, *(11 + 3 * axis for axis in range(len(row.shape) - 1))) if odd else row.shape
    torch.manual_seed(0)
    module = build_model(name, shape, 5)
    x = torch.rand(8, *shape)
    (module(x) - x).square().mean().backward()
    for key, weight in module.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.isfinite().all(), key


@pytest.mark.parametrize("name", LABELED)
@pytest.mark.parametrize("shape", [None, (2, 17, 20)], ids=["own", "odd"])
def test_every_weight_of_a_labeled_model_learns_from_its_labels(
    name: str, shape: tuple[int, ...] | None
) -> None:
    torch.manual_seed(0)
    if shape is None or "images" not in MODELS[name].kinds:
        shape = MODELS[name].shape
    module = slim(name, shape)
    x = torch.rand(2, *shape)
    wanted = torch.randint(3, tuple(module(x).shape[:1] + module(x).shape[2:]))
    optimizer = torch.optim.SGD(module.parameters(), 0.01)
    for _ in range(4):  # the scores of a segmenter start at zero, and with them what lies below
        optimizer.zero_grad()
        loss: Any = nn.functional.cross_entropy(module(x), wanted)
        loss.backward()
        optimizer.step()
    for key, weight in module.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, key
            assert weight.grad.isfinite().all(), key
            assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", PARAMETERS)
def test_presets_count_as_in_the_reports(name: str) -> None:
    layers = summarize(configure(name, MODELS[name].shape))
    trainable, frozen = (
        sum(getattr(layer, key) for layer in layers) for key in ("trainable", "frozen")
    )
    assert (trainable + frozen, frozen) == PARAMETERS[name]
    module = build_model(name, MODELS[name].shape)
    assert trainable == sum(p.numel() for p in module.parameters())


def test_the_selu_encoder_counts_as_in_the_report() -> None:
    encoder = autoencoder("dense-selu", (1, 28, 28)).encoder
    assert sum(p.numel() for p in encoder.parameters()) == 81_530


def test_the_summary_of_conv_bn_2d_agrees_with_the_report_layer_by_layer() -> None:
    layers = summarize(configure("conv-bn-2d", (1, 28, 28)))
    assert [layer.trainable + layer.frozen for layer in layers] == [
        1_120, 448, 0, 113_008, 448, 0, 0, 5_602, 8,
        3_072, 4_096, 0, 256, 0, 64_624, 448, 0, 113_008, 448, 113,
    ]  # fmt: skip
    assert [layer.shape for layer in layers][3:9] == [
        (112, 11, 11), (112, 11, 11), (112, 5, 5), (2800,), (2,), (2,),
    ]  # fmt: skip


def test_multiplications_are_weights_times_places() -> None:
    layers = {
        layer.name: layer.macs for layer in summarize(configure("conv-transpose", (3, 32, 32)))
    }
    assert layers["encoder.0"] == 32 * 3 * 9 * 32 * 32
    assert layers["decoder.3"] == 256 * 128 * 9 * 2 * 2  # transposed: counted where it starts
    assert sum(layers.values()) > 0


@pytest.mark.parametrize("name", MODELS)
def test_the_summary_counts_what_the_built_module_holds(name: str) -> None:
    row = MODELS[name]
    model_config = configure(
        name, row.shape, class_names=row.class_names, style_names=row.style_names
    )
    layers = summarize(model_config)
    with torch.device("meta"):
        module = model_config.build()
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    fixed = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    running = sum(b.numel() for b in module.buffers() if b.is_floating_point())
    assert sum(layer.trainable for layer in layers) == trainable
    assert sum(layer.frozen for layer in layers) == fixed + running


def test_the_code_of_conv_pool_is_what_its_convolutions_leave() -> None:
    assert configure("conv-pool", (1, 28, 28)).code_size == 128
    assert configure("conv-pool", (3, 60, 29)).code_size == 8 * 8 * 5
    module = require_encoder(build_model("conv-pool", (1, 28, 28), 20))
    assert module.encode(torch.zeros(1, 1, 28, 28)).shape == (1, 20)


@pytest.mark.parametrize("name", LABELED)
def test_a_labeled_model_gives_logits_features_and_probabilities(name: str) -> None:
    shape = (3, 37, 50) if "images" in MODELS[name].kinds else (1, 64)
    model_config = configure(name, shape, class_names=CLASSES)
    with torch.device("meta"):
        module = require_encoder(model_config.build().eval())
        logits = module(torch.empty(2, *shape))
        assert module.encode(torch.empty(2, *shape)).shape == (2, model_config.code_size)
    assert logits.shape == ((2, 3) if model_config.task == "classify" else (2, 3, 37, 50))
    probabilities = ACTIVATIONS[model_config.activation](torch.randn(logits.shape))
    assert torch.allclose(probabilities.sum(1), torch.ones(()))


def test_an_encoder_for_probing_holds_the_weights_of_its_autoencoder() -> None:
    for base, shape in (("conv", (1, 28, 28)), ("conv1d", (1, 64)), ("conv-pool", (3, 20, 30))):
        learned = autoencoder(base, shape)
        model_config = configure("encoder", shape, class_names=CLASSES, options={"base": base})
        probe = require_encoder(model_config.build())
        probe.encoder.load_state_dict(learned.encoder.state_dict())
        x = torch.rand(2, *shape)
        assert model_config.code_size == configure(base, shape).code_size
        assert torch.equal(probe.encode(x), learned.encode(x))
        assert sum(p.numel() for p in parts(probe, "head")) == 3 * (model_config.code_size + 1)


def test_the_encoder_of_cnn_autoencoder_fits_cnn() -> None:
    options = {"width": 16}
    learned = require_encoder(build_model("cnn-autoencoder", (3, 32, 32), options=options))
    classifier = require_encoder(
        build_model("cnn", (3, 32, 32), class_names=CLASSES, options=options)
    )
    classifier.encoder.load_state_dict(learned.encoder.state_dict())
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(classifier.eval().encode(x), learned.eval().encode(x))


# -- model configs --------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_model_config_comes_back_from_json(name: str) -> None:
    row = MODELS[name]
    model_config = configure(
        name, row.shape, class_names=row.class_names, style_names=row.style_names
    )
    assert (
        fields.from_json(ModelConfig, json.loads(json.dumps(files.to_json(model_config))))
        == model_config
    )
    assert model_config.options == row.options


def test_configs_from_before_there_were_classes_are_read_and_written_unchanged() -> None:
    before = {"model": "conv", "shape": [1, 28, 28], "code_size": 32, "activation": "sigmoid"}
    model_config = fields.from_json(ModelConfig, before)
    assert model_config == configure("conv", (1, 28, 28))
    assert files.to_json(model_config) == before
    assert files.fingerprint(model_config) == "7ee92f34fb5b81a1"


def test_models_are_chosen_by_their_task() -> None:
    def choose(task: Task | None, shape: tuple[int, ...]) -> tuple[str, str]:
        labeled = task in ("classify", "segment")
        model_config = configure(None, shape, task=task, class_names=CLASSES if labeled else ())
        return model_config.model, model_config.task

    assert choose(None, (1, 28, 28)) == ("conv", "reconstruct")
    assert choose("reconstruct", (1, 64)) == ("conv1d", "reconstruct")
    assert choose("classify", (3, 64, 64)) == ("cnn", "classify")
    assert choose("classify", (1, 64)) == ("encoder1d", "classify")
    assert choose("segment", (3, 64, 64)) == ("fcn8s", "segment")


def test_options_change_the_model_and_stay_in_the_spec() -> None:
    model_config = configure("cnn", (1, 28, 28), class_names=CLASSES, options={"width": 16})
    assert model_config.options == {"width": 16, "dropout": 0.2}
    assert model_config.code_size == 64
    assert [next(iter(model_config.build().parameters())).shape[0]] == [16]
    assert hash(model_config) == hash(dataclasses.replace(model_config))


@pytest.mark.parametrize(
    ("model", "config", "error", "fragments"),
    [
        ("cnn", {}, OptionError, ["cnn", "two or more classes, not 0"]),
        ("fcn8s", {"class_names": ["sky"]}, OptionError, ["segmenter", "not 1"]),
        ("conv", {"class_names": CLASSES}, OptionError, ["conv", "cnn", "fcn8s"]),
        (
            "conv",
            {"task": "classify", "class_names": CLASSES},
            OptionError,
            ["cnn-small", "encoder"],
        ),
        ("cnn", {"task": "segment", "class_names": CLASSES}, OptionError, ["fcn32s", "fcn8s"]),
        ("cnn", {"task": "sort"}, OptionError, ["'sort'", "reconstruct, classify, segment"]),
        (None, {"task": "sort"}, OptionError, ["'sort'", "reconstruct, classify, segment"]),
        ("cnn", {"task": "reconstruct"}, OptionError, ["autoencoder", "conv-pool"]),
        ("alexnet", {"options": {"depth": 3}}, OptionError, ["'depth'", "width, lrn, dropout"]),
        ("conv", {"options": {"width": 3}}, OptionError, ["conv", "it has none"]),
        ("cnn", {"options": {"width": 0}}, OptionError, ["width of cnn", "whole number", "0"]),
        ("cnn", {"options": {"width": 1.5}}, OptionError, ["whole number", "1.5"]),
        ("cnn", {"options": {"dropout": 1}}, OptionError, ["from 0 to below 1", "1"]),
        ("alexnet", {"options": {"lrn": "no"}}, OptionError, ["true or false", "'no'"]),
        ("fcn8s", {"options": {"width": -1}}, OptionError, ["above 0", "-1"]),
        ("encoder", {"options": {"base": "cnn"}}, OptionError, ["an autoencoder", "'cnn'"]),
    ],
)
def test_choices_that_do_not_fit_together_are_refused(
    refused: Any, model: str | None, config: dict[str, Any], error: type[IsthmusError],
    fragments: list[str],
) -> None:  # fmt: skip
    with refused(error, *fragments):
        configure(model, (3, 64, 64), **config)


def test_samples_that_a_labeled_model_cannot_take_are_refused(refused: Any) -> None:
    with refused(ModelError, "alexnet", "at least 16", "15 × 20"):
        configure("alexnet", (3, 15, 20), class_names=CLASSES)
    with refused(ModelError, "cnn takes images", "for signals there are encoder"):
        configure("cnn", (1, 64), class_names=CLASSES)
    with refused(ModelError, "fcn8s takes images", "for signals there is none"):
        configure("fcn8s", (1, 64), class_names=CLASSES)
    with refused(ModelError, "segment signals"):
        configure(None, (1, 64), task="segment", class_names=CLASSES)
    with refused(ModelError, "conv takes images", "conv1d"):
        configure("encoder", (1, 64), class_names=CLASSES).build()
    with refused(OptionError, "softmax", "sigmoid"):
        ModelConfig("conv", (1, 28, 28), 2, "softmax")


def test_conv_does_not_grow_without_bound() -> None:
    with torch.device("meta"):
        large = sum(p.numel() for p in build_model("conv", (3, 512, 512), 32).parameters())
        photo = sum(p.numel() for p in build_model("conv", (3, 64, 64), 32).parameters())
    assert large < 8 * photo < 8 * math.prod((3, 64, 64)) * 3000


@pytest.mark.parametrize(
    ("model", "shape", "code_size", "error", "fragment"),
    [
        ("convolution", (1, 28, 28), 2, OptionError, "conv-transpose"),
        ("conv", (1, 28, 28), 0, OptionError, "at least 1"),
        ("conv", (1, 0, 28), 2, OptionError, "(1, 0, 28)"),
        ("cnn-autoencoder", (3,), None, OptionError, "(3,)"),
        ("conv1d", (1, 28, 28), 2, ModelError, "for images there are conv"),
        ("conv-pool", (1, 128), 2, ModelError, "for signals there are conv1d"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(
    model: str,
    shape: tuple[int, ...],
    code_size: int | None,
    error: type[IsthmusError],
    fragment: str,
) -> None:
    with pytest.raises(error) as raised:
        configure(model, shape, code_size)
    assert fragment in str(raised.value)


def autoencoder(name: str, shape: tuple[int, ...], code_size: int | None = None) -> Autoencoder:
    module = build_model(name, shape, code_size)
    assert isinstance(module, Autoencoder)
    return module


def slim(name: str, shape: tuple[int, ...]) -> Network:
    """Build a labeled model with few channels."""
    widths = {int: 4, float: 0.1}
    usual = MODELS[name].options
    options = {"width": widths[type(usual["width"])]} if "width" in usual else {}
    return build_model(name, shape, 32, class_names=CLASSES, options=options)


def parts(module: nn.Module, name: str) -> list[Tensor]:
    return list(module.get_submodule(name).parameters())

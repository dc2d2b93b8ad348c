"""Perceptual losses: by random filters, by a classifier and by the weights of a VGG-16."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn

from isthmus.data.preprocess import Preprocessing
from isthmus.errors import ModelError
from isthmus.inference.trained import TrainedModel
from isthmus.models.config import configure
from isthmus.models.perceptual import Features, classifier_features, random_features
from isthmus.models.registry import MODELS
from isthmus.models.segmenters import vgg16
from isthmus.training.perceptual import (
    content_loss,
    gram,
    grams,
    load_features,
    style_loss,
    total_variation,
)

SIDE = 64


def picture(name: str, side: int = SIDE) -> Tensor:
    """Return a photograph or a texture of scikit-image as x (1, 3, side, side) in [0, 1]."""
    image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    small = np.asarray(image.crop((0, 0, 400, 400)).resize((side, side)), np.float32) / 255
    return torch.from_numpy(small).movedim(-1, 0)[None]


def save(model: str, file: Path, shape: tuple[int, ...] = (3, 32, 32)) -> TrainedModel:
    torch.manual_seed(0)
    names = tuple(map(str, range(3))) if MODELS[model].classes else ()
    config = configure(model, shape, class_names=names)
    trained = TrainedModel(config, Preprocessing(), config.build().eval())
    trained.save(file)
    return trained


@pytest.fixture(scope="module")
def vgg_weights() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {f"features.{name}": value for name, value in vgg16(3).state_dict().items()}


@pytest.fixture(scope="module", params=["random", "classifier", "vgg16"])
def features(
    request: pytest.FixtureRequest,
    vgg_weights: dict[str, Tensor],
    tmp_path_factory: pytest.TempPathFactory,
) -> Features:
    """Give each network that a perceptual loss may have."""
    folder = tmp_path_factory.mktemp("features")
    if request.param == "random":
        return load_features("random")
    file = folder / "model.safetensors"
    if request.param == "classifier":
        save("cnn", file)
        return load_features(folder)
    safetensors.torch.save_file(vgg_weights, file)
    return load_features(file)


# -- what all networks do -------------------------------------------------------------------


def test_every_network_gives_named_maps_of_images_of_any_sides(features: Features) -> None:
    maps = features(torch.rand(2, 3, 51, 38))
    assert tuple(maps) == features.names
    assert {*features.content, *features.style} <= {*features.names}
    sides = [one.shape[2] * one.shape[3] for name, one in maps.items() if name in features.style]
    assert sides[0] == 51 * 38
    assert min(sides) == sides[3] < 51 * 38 / 50
    smallest = features(torch.rand(1, 3, features.min_side, features.min_side))
    assert all(one.numel() for one in smallest.values())


def test_networks_are_frozen_but_pass_gradients_to_the_image(features: Features) -> None:
    x = torch.rand(1, 3, 32, 32, requires_grad=True)
    holder = nn.ModuleList([features]).train()
    before = {name: value.clone() for name, value in features.state_dict().items()}
    loss: Any = sum(one.mean() for one in holder[0](x).values())
    loss.backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert not any(part.training for part in features.modules())
    assert not any(weight.requires_grad for weight in features.parameters())
    for name, value in features.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_losses_are_zero_for_the_target_and_at_most_one_for_the_photograph(
    features: Features,
) -> None:
    photograph, texture = picture("astronaut"), picture("gravel")
    original, style = grams(features, photograph), grams(features, texture)
    assert style_loss(features(texture), style, original) < 0.0011
    assert 0 < style_loss(features(photograph), style, original) <= 1
    maps = features(photograph)
    assert content_loss(maps, maps, features.content) == 0
    mean = {name: one.mean((0, 2, 3), keepdim=True) for name, one in maps.items()}
    assert content_loss(mean, maps, features.content).item() == pytest.approx(1)
    # A flat image and style leave nothing to divide by.
    flat = torch.full((1, 3, 32, 32), 0.5)
    nothing = grams(features, flat)
    assert torch.isfinite(style_loss(features(flat), nothing, nothing))
    assert torch.isfinite(content_loss(features(flat), features(flat), features.content))


# -- random filters -------------------------------------------------------------------------


def test_random_filters_follow_from_their_seed() -> None:
    x = torch.rand(1, 3, 40, 40)
    state = torch.get_rng_state()
    one, same, other = random_features(), load_features("random", 0), load_features("random", 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one(x)[name], same(x)[name]) for name in one.names)
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_random_filters_know_textures_wherever_they_are() -> None:
    features = random_features()
    textures = [picture(name, 256) for name in ("brick", "grass", "gravel")]
    corners = [grams(features, one[..., :128, :128]) for one in textures]
    rest = [features(one[..., 128:, 128:]) for one in textures]
    losses = [[style_loss(maps, style, style).item() for style in corners] for maps in rest]
    assert np.argmin(losses, 1).tolist() == [0, 1, 2]


def test_an_image_takes_on_a_texture_and_keeps_what_it_shows() -> None:
    features = random_features()
    photograph, texture = picture("astronaut"), picture("brick")
    original, style = grams(features, photograph), grams(features, texture)
    maps = features(photograph)
    x = photograph.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], 0.05)
    for _ in range(12):
        answer = features(x)
        loss: Any = 2 * style_loss(answer, style, original)
        loss = loss + content_loss(answer, maps, features.content) + total_variation(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    answer = features(x)
    before, after = (style_loss(one, style, original).item() for one in (maps, answer))
    assert after < before / 2
    assert content_loss(answer, maps, features.content) < 0.5


def test_the_gram_matrix_is_a_mean_over_pixels() -> None:
    maps = torch.rand(2, 3, 4, 5)
    wanted = np.einsum("nchw,ndhw->ncd", *[maps.numpy()] * 2) / 20
    np.testing.assert_allclose(gram(maps).numpy(), wanted, rtol=1e-5)
    assert torch.allclose(gram(maps), gram(maps.flip(3)))  # it does not know where


def test_total_variation_counts_steps_between_neighbors() -> None:
    x = torch.zeros(1, 1, 2, 3)
    x[..., 1] = 0.5
    assert total_variation(x).item() == pytest.approx(0.25)
    assert total_variation(torch.full((2, 3, 8, 8), 0.7)) == 0


# -- classifiers ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["cnn", "cnn-tiny", "cnn-small", "fcn8s"])
def test_the_maps_are_those_of_the_classifier(tmp_path: Path, model: str) -> None:
    trained = save(model, tmp_path / "model.safetensors", (3, 64, 64))
    features = load_features(tmp_path / "model.safetensors")
    assert 2 <= len(features.names) <= 4
    x = torch.rand(1, 3, 64, 64)
    first = next(name for name, part in trained.module.named_modules() if type(part) is nn.ReLU)
    seen: list[Tensor] = []
    trained.module.get_submodule(first).register_forward_hook(lambda *all: seen.append(all[2]))
    with torch.inference_mode():
        trained.module(x)
        maps = features(x)
    assert maps["stage1"].shape[1] > 3
    if model != "fcn8s":  # whose first stage has two convolutions
        assert torch.allclose(maps["stage1"], seen[0], atol=1e-5)


def test_a_classifier_of_gray_images_sees_color_as_gray(tmp_path: Path) -> None:
    save("cnn-tiny", tmp_path / "model.safetensors", (1, 28, 28))
    features = load_features(tmp_path)
    red = torch.zeros(1, 3, 28, 28)
    red[:, 0] = 1
    gray = torch.full((1, 3, 28, 28), 0.299)
    assert torch.allclose(features(red)["stage2"], features(gray)["stage2"], atol=1e-5)


def test_the_classifier_itself_is_left_as_it_is() -> None:
    config = configure("cnn-tiny", (3, 28, 28), class_names=("a", "b"))
    network = config.build().train()
    classifier_features(network)
    assert all(part.training for part in network.modules())
    assert all(weight.requires_grad for weight in network.parameters())


def test_what_has_no_such_maps_is_refused(
    tmp_path: Path, refused: Callable[..., Any], vgg_weights: dict[str, Tensor]
) -> None:
    save("dense", tmp_path / "dense" / "model.safetensors", (1, 28, 28))
    with refused(ModelError, "dense", "max pooling", "cnn"):
        load_features(tmp_path / "dense")
    with refused(ModelError, "'radnom'", "random", "VGG-16"):
        load_features("radnom")
    with refused(ModelError, "empty", "no trained model"):
        (tmp_path / "empty").mkdir()
        load_features(tmp_path / "empty")
    (tmp_path / "picture.png").write_bytes(b"no weights")
    with refused(ModelError, "picture.png"):
        load_features(tmp_path / "picture.png")
    del vgg_weights["features.28.weight"]
    torch.save(vgg_weights, tmp_path / "vgg.pth")
    with refused(ModelError, "vgg.pth", "features.28.weight"):
        load_features(tmp_path / "vgg.pth")


def test_a_vgg16_with_batch_normalization_is_recognized(tmp_path: Path) -> None:
    network = vgg16(3, batch_norm=True)
    state = {f"features.{name}": value for name, value in network.state_dict().items()}
    torch.save(state, tmp_path / "vgg16_bn.pth")
    features = load_features(tmp_path / "vgg16_bn.pth")
    x = torch.rand(1, 3, 32, 32)
    standardized = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    with torch.inference_mode():
        wanted = network.eval()[:6](standardized)  # two times convolution, normalization, ReLU
        assert torch.allclose(features(x)["relu1_2"], wanted, atol=1e-5)

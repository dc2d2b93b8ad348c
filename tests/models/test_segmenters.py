"""Fully convolutional networks: VGG-16, skips, upsampling, weights of others, and they learn."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from isthmus import build_model, configure, summarize
from isthmus.errors import ModelError
from isthmus.models.layers import Segmenter
from isthmus.models.segmenters import bilinear, load_vgg16, vgg16

FCNS = ("fcn32s", "fcn16s", "fcn8s")
CAMVID = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian",
    "cyclist",
)  # fmt: skip


def fcn(name: str = "fcn8s", code_size: int = 24, classes: int = 3, **options: Any) -> Segmenter:
    names = [str(number) for number in range(classes)]
    options = {"width": 0.1, "batch_norm": False, **options}
    module = build_model(name, (3, 40, 70), code_size, class_names=names, options=options)
    assert isinstance(module, Segmenter)
    return module


def test_vgg16_counts_as_in_the_literature() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in vgg16(3).parameters()) == 14_714_688
    whole = {"width": 1.0, "batch_norm": False}
    layers = summarize(configure("fcn32s", (3, 224, 224), class_names=CAMVID, options=whole))
    counts = {layer.name: layer.trainable for layer in layers}
    assert counts["encoder.fc6.0"] == 102_764_544  # as of VGG-16's dense layers
    assert counts["encoder.fc7.0"] == 16_781_312


@pytest.mark.parametrize("name", FCNS)
@pytest.mark.parametrize("sides", [(1, 1), (16, 33), (32, 64), (45, 31), (180, 240)])
def test_logits_have_the_sides_of_any_image(name: str, sides: tuple[int, int]) -> None:
    with torch.device("meta"):
        module = fcn(name)  # built for other sides
        x = torch.empty(2, 3, *sides)
        assert module(x).shape == (2, 3, *sides)
        assert module.encode(x).shape == (2, 24)


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_upsampling_starts_as_bilinear_interpolation(factor: int) -> None:
    x = torch.randn(2, 3, 4, 5)
    wanted = functional.interpolate(x, scale_factor=factor, mode="bilinear")
    inner = slice(factor // 2, -(factor // 2))  # beyond it are zeros
    answer = bilinear(3, factor)(x)
    assert answer.shape == wanted.shape
    assert torch.allclose(answer[..., inner, inner], wanted[..., inner, inner], atol=1e-5)


def test_scores_start_at_zero_and_the_last_upsampling_is_fixed() -> None:
    module = fcn()
    assert torch.equal(module(torch.rand(1, 3, 40, 70)), torch.zeros(1, 3, 40, 70))
    fixed = [name for name, weight in module.named_parameters() if not weight.requires_grad]
    assert fixed == ["head.upsampling.weight"]
    assert module.head.get_submodule("upsampling").state_dict()["weight"].shape == (3, 3, 16, 16)


@pytest.mark.parametrize("name", FCNS)
def test_skips_join_the_maps_of_their_own_size(name: str) -> None:
    """Only scores of one map are left; the logits are then those of that map, upsampled."""
    torch.manual_seed(0)
    module = fcn(name).eval()
    kept: dict[str, Tensor] = {}
    maps = {"encoder.fc7": 32, "encoder.features.23": 16, "encoder.features.16": 8}
    for part in maps:
        module.get_submodule(part).register_forward_hook(
            lambda layer, x, y, part=part: kept.update({part: y})
        )
    x = torch.rand(1, 3, 192, 192)
    for place, (part, factor) in enumerate(list(maps.items())[: 1 + FCNS.index(name)]):
        with torch.no_grad():
            for number in range(1 + FCNS.index(name)):
                module.get_parameter(f"head.scores.{number}.weight").zero_()
            weight = module.get_parameter(f"head.scores.{place}.weight").normal_()
            answer = module(x)
            scores = functional.conv2d(kept[part], weight)
        wanted = functional.interpolate(scores, scale_factor=factor, mode="bilinear")
        inner = slice(64, -64)
        difference = (answer - wanted)[..., inner, inner].abs().mean()
        # Upsampling in two or three steps is bilinear only about: by a small share.
        assert difference < 0.15 * wanted[..., inner, inner].std()


def test_batch_normalization_stands_behind_every_convolution_of_vgg16() -> None:
    module = fcn(batch_norm=True)
    kinds = [type(part).__name__ for part in module.encoder.modules()]
    assert kinds.count("BatchNorm2d") == kinds.count("Conv2d") == 15
    biases = [name for name, _ in module.encoder.named_parameters() if name.endswith("bias")]
    assert len(biases) == 15  # those of batch normalization alone


# -- weights of a VGG-16 --------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs() -> dict[str, Tensor]:
    """Give the convolutions of a VGG-16, and dense layers that cost no memory."""
    torch.manual_seed(1)
    weights = {f"features.{name}": value for name, value in vgg16(3).state_dict().items()}
    return {**weights, "classifier.6.bias": torch.zeros(1000)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_convolutions_of_a_vgg16_are_copied(
    theirs: dict[str, Tensor], tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"vgg16{suffix}"
    if suffix == ".pth":
        torch.save(theirs, file)
    else:
        safetensors.torch.save_file(theirs, file)
    module = fcn(width=1.0)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    load_vgg16(module, file)
    for name, value in module.state_dict().items():
        expected = theirs.get(name.removeprefix("encoder."), before[name])
        assert torch.equal(value, expected), name


def test_dense_layers_become_convolutions(theirs: dict[str, Tensor], tmp_path: Path) -> None:
    torch.manual_seed(2)
    first, second = nn.Linear(512 * 7 * 7, 24), nn.Linear(24, 24)
    dense = {
        f"classifier.{place}.{name}": value
        for place, layer in ((0, first), (3, second))
        for name, value in layer.state_dict().items()
    }
    torch.save({**theirs, **dense}, tmp_path / "vgg16.pth")
    module = fcn(width=1.0).eval()
    load_vgg16(module, tmp_path / "vgg16.pth")
    pooled = torch.rand(1, 512, 7, 7)  # as behind an image of 224 × 224
    answer = module.get_submodule("encoder.fc7")(module.get_submodule("encoder.fc6")(pooled))
    with torch.inference_mode():
        wanted = functional.relu(second(functional.relu(first(pooled.flatten(1)))))
        assert torch.allclose(answer[:, :, 3, 3], wanted, atol=1e-4)
    other = fcn(width=1.0, code_size=16)
    before = other.get_parameter("encoder.fc6.0.weight").clone()
    load_vgg16(other, tmp_path / "vgg16.pth")
    assert torch.equal(other.get_parameter("encoder.fc6.0.weight"), before)


def test_a_vgg16_with_batch_normalization_answers_the_same(tmp_path: Path) -> None:
    torch.manual_seed(2)
    layers: list[nn.Module] = []
    for layer in vgg16(3, batch_norm=True):  # torchvision's convolutions have a bias there, too
        if isinstance(layer, nn.Conv2d):
            layer = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
        layers.append(layer)
    learned = nn.Sequential(*layers)
    learned(torch.rand(2, 3, 64, 64))  # gives running means other than 0
    state = {f"features.{name}": value for name, value in learned.state_dict().items()}
    torch.save(state, tmp_path / "vgg16_bn.pth")
    module = fcn(width=1.0, batch_norm=True)
    load_vgg16(module, tmp_path / "vgg16_bn.pth")
    x = torch.rand(1, 3, 64, 64)
    features = module.encoder.get_submodule("features").eval()
    with torch.inference_mode():
        assert torch.allclose(features(x), learned.eval()(x), atol=1e-4)


def test_weights_that_do_not_fit_are_refused(
    theirs: dict[str, Tensor], tmp_path: Path, refused: Callable[..., Any]
) -> None:
    file = tmp_path / "vgg16.pth"
    torch.save(theirs, file)
    with refused(ModelError, file, "features.0.weight", "(64, 3, 3, 3)", "(6, 3, 3, 3)", "width 1"):
        load_vgg16(fcn(), file)
    with refused(ModelError, file, "features.1.weight", "batch normalization"):
        load_vgg16(fcn(width=1.0, batch_norm=True), file)
    with refused(ModelError, "fcn8s"):
        load_vgg16(build_model("cnn-tiny", (3, 40, 40), class_names=CAMVID), file)
    with refused(ModelError, "nowhere.pth"):
        load_vgg16(fcn(), tmp_path / "nowhere.pth")
    (tmp_path / "broken.pth").write_bytes(b"this is not a file of torch")
    with refused(ModelError, "broken.pth", "damaged"):
        load_vgg16(fcn(), tmp_path / "broken.pth")
    (tmp_path / "broken.safetensors").write_bytes(b"nor is this")
    with refused(ModelError, "broken.safetensors", "damaged"):
        load_vgg16(fcn(), tmp_path / "broken.safetensors")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with refused(ModelError, "list.pth", "by name"):
        load_vgg16(fcn(), tmp_path / "list.pth")


def test_fcn8s_learns_street_scenes(require: Callable[[str], Path]) -> None:
    x, masks = (part[..., ::2, ::2] for part in scenes(require("camvid"), count=2))
    torch.manual_seed(0)
    model_config = configure("fcn8s", (3, 90, 120), class_names=CAMVID,
                   options={"width": 0.125, "batch_norm": True, "dropout": 0.0})  # fmt: skip
    module = model_config.build()
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)
    for _ in range(30):
        loss: Any = functional.cross_entropy(module(x), masks, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    counted = masks != 255
    right = float((module(x).argmax(1) == masks)[counted].float().mean())
    majority = float(torch.bincount(masks[counted]).max() / counted.sum())
    assert right > 0.75 > majority


def scenes(folder: Path, count: int) -> tuple[Tensor, Tensor]:
    """Return the first scenes as x and their masks (N, H, W), void as 255."""
    images: list[Any] = []
    masks: list[Any] = []
    with tarfile.open(folder / "camvid.tar") as archive:
        names = sorted(name for name in archive.getnames() if "/train/" in name)[:count]
        for name in names:
            mask = name.replace("/train/", "/trainannot/").replace(".jpg", ".png")
            for member, kept in ((name, images), (mask, masks)):
                content = archive.extractfile(member)
                assert content is not None
                with Image.open(io.BytesIO(content.read())) as picture:
                    kept.append(np.array(picture))
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(np.stack(masks)).long()
    return x, torch.where(labels == 11, 255, labels)

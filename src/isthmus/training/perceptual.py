"""Perceptual losses: how far an image is from a photograph in content, and from a style in texture.

Gatys, Ecker and Bethge, Image Style Transfer Using Convolutional Neural Networks, 2016. Their sums
depend on the network, on how many channels a layer has and on how strongly it answers. Here each
layer's loss is a share of what there is to compare, so that all layers weigh the same in any
network, and a weight of content against style means the same everywhere.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from isthmus.errors import ModelError
from isthmus.files import suggest_path
from isthmus.inference.contract import is_weights_file
from isthmus.inference.trained import TrainedModel
from isthmus.models.perceptual import (
    RANDOM_SEED,
    Features,
    classifier_features,
    random_features,
    vgg16_features,
)

Maps = Mapping[str, Tensor]  # feature maps (N, C, H, W), or Gram matrices (N, C, C), by layer
ROUNDING = 1e-6  # keeps the gradient of a root finite at 0
TINY = 1e-12  # keeps 0 / 0 from being NaN; far below what any image measures


def load_features(source: str | Path = "random", seed: int = RANDOM_SEED) -> Features:
    """Return the network of a perceptual loss.

    Parameters
    ----------
    source : str or path
        "random" for random filters; the run folder or weights file of a classifier of ours; or a
        file with the weights of a VGG-16, .pth or .safetensors.
    seed : int
        Of random filters.

    Raises
    ------
    ModelError
        If there is no such file or run, or its network does not fit.
    """
    if str(source) == "random":
        return random_features(seed)
    path = Path(source)
    if not path.exists():
        raise ModelError(
            f"there are no features {str(source)!r}{suggest_path(path)}; give random, a run of a "
            "classifier, or a file with the weights of a VGG-16, .pth or .safetensors."
        )
    if path.is_dir() or is_weights_file(path):
        return classifier_features(TrainedModel.load(path).module, str(path))
    return vgg16_features(path)


def gram(features: Tensor) -> Tensor:
    """Return the Gram matrices (N, C, C) of maps (N, C, H, W): the mean over pixels of f fᵀ."""
    flat = features.float().flatten(2)
    return flat @ flat.mT / flat.shape[2]


def grams(features: Features, x: Tensor) -> dict[str, Tensor]:
    """Return the Gram matrices (N, C, C) of images x (N, 3, H, W) in [0, 1], by style layer."""
    maps = features(x)
    return {name: gram(maps[name]) for name in features.style}


def style_loss(maps: Maps, styles: Maps, originals: Maps) -> Tensor:
    """Mean over layers and images of ‖G − A‖ / √(‖A‖² + ‖R‖²), in Frobenius norms.

    G, A and R are the Gram matrices of the image, of the style, and of the photograph that the
    image was made from. The loss is 0 where the texture is the style's (0.001 by rounding), and
    from 0 to 1 for the photograph itself, as Gram matrices have no negative inner product. Dividing
    by ‖A‖ alone would let one smooth layer of a style outweigh everything else; and the square,
    which the literature has, grows with the fourth power of the image: early steps that paint too
    much were then thrown so far that training did not come back.

    Parameters
    ----------
    maps : mapping
        Feature maps (N, C, H, W) of the images.
    styles, originals : mapping
        Gram matrices A and R, (N, C, C) or (1, C, C), by style layer; see `grams`.
    """
    losses = []
    for name, style in styles.items():
        scale = _squares(style) + _squares(originals[name])
        share = _squares(gram(maps[name]) - style) / scale.clamp(min=TINY)
        losses.append((share + ROUNDING).sqrt().mean())
    return torch.stack(losses).mean()


def content_loss(maps: Maps, originals: Maps, layers: Sequence[str]) -> Tensor:
    """Mean over layers of Σ(f − p)² / Σ(p − p̄)²; sums over the batch.

    f and p are the feature maps of the images and of the photographs, p̄ the mean of each channel.
    The loss is 0 where an image shows what the photograph shows, and 1 where it shows the mean of
    all photographs of the batch.

    Parameters
    ----------
    maps, originals : mapping
        Feature maps (N, C, H, W) of the images and of the photographs.
    layers : sequence of str
    """
    losses = []
    for name in layers:
        image, photograph = maps[name].float(), originals[name].float()
        spread = (photograph - photograph.mean((0, 2, 3), keepdim=True)).square().sum()
        losses.append((image - photograph).square().sum() / spread.clamp(min=TINY))
    return torch.stack(losses).mean()


def total_variation(x: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels of images (N, C, H, W), over both directions.

    Mahendran and Vedaldi, Understanding Deep Image Representations by Inverting Them, 2015, with
    β = 2. It keeps single pixels from standing out.
    """
    down = (x[..., 1:, :] - x[..., :-1, :]).square().mean()
    return down + (x[..., :, 1:] - x[..., :, :-1]).square().mean()


def _squares(matrices: Tensor) -> Tensor:
    return matrices.square().sum((-2, -1))

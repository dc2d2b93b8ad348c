"""Layers and building blocks that several models share.

From the top: what a model is (`Autoencoder`, `Classifier`, `Segmenter`), the sequence that fuses
layers, the small layers, functions that assemble layers, first weights, and questions about a
module.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar, Union, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import ModelError
from isthmus.models.upsampling import can_fold, upsample_and_convolve

if TYPE_CHECKING:
    from isthmus.models.denoisers import Denoiser
    from isthmus.models.stylebank import StyleBank

# -- models ---------------------------------------------------------------------------------


class Autoencoder(nn.Module):
    """An encoder to a code and a decoder back.

    `decode` returns values before the output activation, so that a loss can be computed from
    logits, which is exact where a sigmoid would already have rounded to 0 or 1. Which activation
    follows is part of the model's `ModelConfig`.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, x: Tensor) -> Tensor:
        """Turn samples x (N, C, H, W) or (N, C, L) into codes z (N, D)."""
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Tensor) -> Tensor:
        """Turn codes z (N, D) into samples before the output activation."""
        x: Tensor = self.decoder(z)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Encode, then decode."""
        return self.code_and_output(x)[1]

    def code_and_output(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `encode` and `forward` return, from one pass."""
        z = self.encode(x)
        return z, self.decode(z)


class Classifier(nn.Module):
    """An encoder to features and a head that turns them into one logit per class."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def encode(self, x: Tensor) -> Tensor:
        """Turn samples x (N, C, H, W) or (N, C, L) into features (N, D)."""
        features: Tensor = self.encoder(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Turn samples x into logits (N, K)."""
        return self.code_and_output(x)[1]

    def code_and_output(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `encode` and `forward` return, from one pass."""
        z = self.encode(x)
        return z, self.head(z)


class Segmenter(nn.Module):
    """An encoder to feature maps and a head that turns them into logits for each pixel.

    The encoder returns maps (N, C', H', W') from the finest to the coarsest. Images may have any
    sides, also other ones than in training: they are padded until `step` divides the sides, and the
    logits are cropped.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, step: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.step = step

    def encode(self, x: Tensor) -> Tensor:
        """Turn images x (N, C, H, W) into features (N, D): the spatial mean of the coarsest map."""
        return _pool(self._feature_maps(x))

    def forward(self, x: Tensor) -> Tensor:
        """Turn images x (N, C, H, W) into logits (N, K, H, W)."""
        return self.code_and_output(x)[1]

    def code_and_output(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `encode` and `forward` return, from one pass."""
        maps = self._feature_maps(x)
        logits: Tensor = self.head(maps)
        return _pool(maps), Crop(x.shape[2:])(logits)

    def _feature_maps(self, x: Tensor) -> Sequence[Tensor]:
        sides = [-(-side // self.step) * self.step for side in x.shape[2:]]
        maps: Sequence[Tensor] = self.encoder(Pad(sides)(x))
        return maps


def _pool(maps: Sequence[Tensor]) -> Tensor:
    """Return the spatial mean of the coarsest map."""
    return maps[-1].mean((2, 3))


Encoding = Union[Autoencoder, Classifier, Segmenter, "StyleBank"]
Network = Union[Encoding, "Denoiser"]
AnyModule = TypeVar("AnyModule", bound=nn.Module)


def require_encoder(module: Network) -> Encoding:
    """Return a module that has an encoder, which all have but denoisers.

    Raises
    ------
    ModelError
    """
    if not hasattr(module, "encoder"):
        raise ModelError("a denoiser has no encoder and no codes; take an autoencoder.")
    return cast("Encoding", module)


# -- fused layers ---------------------------------------------------------------------------

Step = Callable[[Tensor], Tensor]
MONOTONIC = (nn.ReLU, nn.ELU, nn.SELU)  # f(a) ≤ f(b) for a < b; GELU falls below zero


class FusedSequential(nn.Sequential):
    """A sequence that computes some pairs of layers in one step.

    Modules, weights and their names are those of `nn.Sequential`, and so are outputs and gradients
    up to rounding. So weights can be exchanged with ordinary modules, and parameters count as in
    the literature. A layer with a forward hook is computed separately, so that the hook gets its
    output.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Send x through all layers."""
        layers = list(self)
        while layers:
            step = fuse(*layers[:2]) if len(layers) > 1 else None
            x = (step or layers[0])(x)
            del layers[: 2 if step else 1]
        return x


def fuse(layer: nn.Module, following: nn.Module) -> Step | None:
    """Return a function that computes two layers in one step, or None if there is none.

    - Upsampling is folded into the convolution that follows; see `models.upsampling`.
    - A monotonic activation and max pooling are exchanged: pooling picks the same pixel before and
      after the activation, and after 2 × 2 pooling only a quarter of the numbers remain.
    """
    # `nn.Module` keeps its hooks in these dictionaries; torch has no public way to ask for them.
    if any(part._forward_hooks or part._forward_pre_hooks for part in (layer, following)):
        return None
    if isinstance(layer, MONOTONIC) and isinstance(following, nn.MaxPool2d):
        return lambda x: cast("Tensor", layer(following(x)))
    if isinstance(following, nn.Conv2d) and can_fold(layer, following):
        scale = int(cast("float", layer.scale_factor))
        return partial(upsample_and_convolve, convolution=following, scale=scale)
    return None


# -- layers ---------------------------------------------------------------------------------

RGB = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # ImageNet's means and deviations
GRAY = ((0.449,), (0.226,))  # their means over the three channels


class Pad(nn.Module):
    """Repeat the border until the spatial sides are `sides`, as evenly as possible around.

    Strides, pooling and upsampling only return certain sides (their *natural* sides). Padding to
    the next natural ones and cropping the output lets every model take any sides; at a preset's own
    size nothing is added. The border is repeated because zeros would draw an edge around each
    image, which the model would have to reconstruct.
    """

    def __init__(self, sides: Sequence[int]) -> None:
        super().__init__()
        self.sides = tuple(sides)

    def forward(self, x: Tensor) -> Tensor:
        """Pad (N, C, *spatial) to (N, C, *sides)."""
        margins: list[int] = []  # `functional.pad` wants those of the last axis first
        for side, current in zip(reversed(self.sides), reversed(x.shape[2:]), strict=True):
            margins += [(side - current) // 2, (side - current + 1) // 2]
        return functional.pad(x, margins, mode="replicate")

    def extra_repr(self) -> str:
        """Show the sides in the printed module."""
        return " × ".join(map(str, self.sides))


class Crop(Pad):
    """Undo `Pad`: keep the middle, of the spatial sides `sides`."""

    def forward(self, x: Tensor) -> Tensor:
        """Crop (N, C, *spatial) to (N, C, *sides)."""
        for axis, side in enumerate(self.sides, start=2):
            x = x.narrow(axis, (x.shape[axis] - side) // 2, side)
        return x


class Unpatch(nn.Module):
    """Spread channels over space: the inverse of cutting into patches of `steps`.

    In two dimensions with equal steps it is the sub-pixel layer of Shi et al., Real-Time Single
    Image and Video Super-Resolution, 2016. `nn.PixelShuffle` has no unequal steps and no one
    dimension.
    """

    def __init__(self, steps: Sequence[int]) -> None:
        super().__init__()
        self.steps = tuple(steps)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, C·∏steps, *sides) into (N, C, *(sides·steps))."""
        axes = len(self.steps)
        sides = [side * step for side, step in zip(x.shape[2:], self.steps, strict=True)]
        x = torch.unflatten(x, 1, (-1, *self.steps))
        # The step of each axis goes behind the side that it belongs to, so that they merge.
        order = [place for axis in range(axes) for place in (2 + axes + axis, 2 + axis)]
        # -1, not `len(x)`: an exported model takes batches of any size.
        return x.permute(0, 1, *order).reshape(-1, x.shape[1], *sides)

    def extra_repr(self) -> str:
        """Show the steps in the printed module."""
        return " × ".join(map(str, self.steps))


class Residual(nn.Sequential):
    """Layers whose output is added to their input (He et al., Deep Residual Learning, 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus the output of the layers, of the same shape."""
        y = x
        for layer in self:
            y = layer(y)
        return x + y


class Standardize(nn.Module):
    """Subtract ImageNet's mean color and divide by its standard deviation.

    Networks trained on ImageNet expect it. Channels other than RGB are treated as gray.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Turn x (N, C, H, W) in [0, 1] into numbers of about mean 0 and deviation 1."""
        colors = RGB if x.shape[1] == 3 else GRAY
        mean, deviation = (x.new_tensor(values)[:, None, None] for values in colors)
        return (x - mean) / deviation


# -- assembly -------------------------------------------------------------------------------


def dense_layers(sizes: Sequence[int], activation: type[nn.Module]) -> list[nn.Module]:
    """Return linear layers from each size to the next, each with its activation."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return layers


def with_padding(
    shape: Sequence[int], natural: Sequence[int], layers: list[nn.Module]
) -> nn.Module:
    """Return an encoder's layers, after the padding from `shape` to its natural sides if any."""
    pad = [] if tuple(shape[1:]) == tuple(natural) else [Pad(natural)]
    return FusedSequential(*pad, *layers)


def with_crop(shape: Sequence[int], natural: Sequence[int], layers: list[nn.Module]) -> nn.Module:
    """Return a decoder's layers, before the crop from its natural sides to `shape` if any."""
    crop = [] if tuple(shape[1:]) == tuple(natural) else [Crop(shape[1:])]
    return FusedSequential(*layers, *crop)


def scale_channels(count: int, factor: float) -> int:
    """Return a number of channels times a factor, at least one."""
    return max(1, round(count * factor))


def channels_last(module: AnyModule) -> AnyModule:
    """Store the weights of two-dimensional convolutions channels-last, the fastest layout.

    `Preprocessing.to_input` gives images the same layout without moving a pixel, because that is
    how they lie in `Samples`. A forward of `conv-pool` takes 12 ms instead of 30 (256 images of
    28 × 28, one core, float32).
    """
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


# -- first weights --------------------------------------------------------------------------


def is_on_meta(module: nn.Module) -> bool:
    """Return whether a module is built on torch's meta device, where there is nothing to draw.

    Drawing there would be slow all the same: torch computes the shape of a random tensor by its
    Python reference, for which it imports its compiler: 1.4 s of every command that loads a model.
    """
    return any(parameter.is_meta for parameter in module.parameters())


def lecun_normal(module: nn.Module) -> None:
    """Draw the weights of a layer with variance 1 / inputs, three times torch's default.

    LeCun et al., Efficient BackProp, 1998, section 4.6. With torch's default the signal fades from
    layer to layer.
    """
    if is_on_meta(module):
        return
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
        nn.init.normal_(module.weight, std=1 / math.sqrt(module.weight[0].numel()))
    elif isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
        # With a stride, an output pixel is reached by only one tap in so many.
        inputs = module.weight[:, 0].numel() / math.prod(module.stride)
        nn.init.normal_(module.weight, std=1 / math.sqrt(inputs))


def he_normal(module: nn.Module) -> None:
    """Draw the weights of a layer with variance 2 / inputs, as ReLU needs it; zero its bias.

    He et al., Delving Deep into Rectifiers, 2015.
    """
    if isinstance(module, nn.Conv2d | nn.Linear) and not is_on_meta(module):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def zero_bias(module: nn.Module) -> None:
    """Set the bias of a linear layer to zero."""
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


# -- questions ------------------------------------------------------------------------------


def has_batch_norm(module: nn.Module) -> bool:
    """Return whether any layer normalizes over the batch and so needs two samples to train."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Count a module's numbers as (trainable, frozen).

    Frozen are also the running means and variances of batch normalization.
    """
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    running = sum(b.numel() for b in module.buffers() if b.dtype.is_floating_point)
    return trainable, frozen + running

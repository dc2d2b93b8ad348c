"""A network made of plain layers only, as other programs know them.

`FusedSequential` decides in Python which layers it computes together, and interleaves by a function
of its own. Formats such as ONNX have neither, but a sub-pixel layer (`nn.PixelShuffle`) they have.
"""

import itertools
from collections import OrderedDict
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from isthmus.models.layers import AnyModule, FusedSequential
from isthmus.models.recorder import copy_modules
from isthmus.models.upsampling import can_fold, fold_kernel


class SubpixelConv2d(nn.Module):
    """Nearest upsampling and a convolution as one convolution whose channels are interleaved.

    It computes what `convolve_upsampled` does (see `models.upsampling`), with all phases in one
    convolution: some phases multiply by zeros, but any runtime has fast kernels for both steps. In
    onnxruntime `conv-pool` is 1.5 times as fast with it as with the two layers.

    Parameters
    ----------
    convolution : nn.Conv2d
        See `can_fold`; it is left as it is.
    scale : int
        Of the upsampling.
    """

    def __init__(self, convolution: nn.Conv2d, scale: int) -> None:
        super().__init__()
        kernel, padding = convolution.kernel_size[0], int(convolution.padding[0])
        weight = fold_kernel(convolution.weight.detach(), scale)
        outputs, inputs, side, _ = weight.shape
        self.convolution = nn.Conv2d(inputs, outputs, side, bias=False)
        self.convolution.weight = nn.Parameter(weight.contiguous())
        if convolution.bias is not None:
            # Channels are in the order that `nn.PixelShuffle` wants: the phases of one together.
            bias = convolution.bias.detach().repeat_interleave(scale**2)
            self.convolution.bias = nn.Parameter(bias)
        self.shuffle = nn.PixelShuffle(scale)
        self.grown = 2 * padding - kernel + 1  # pixels by which a side is larger than upsampled
        self.before = -(-padding // scale)  # whole pixels of padding, of the small image
        self.start = scale * self.before - padding  # pixels of the large image too many
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, C, H, W) into (N, C', H', W')."""
        height, width = (self.scale * side + self.grown for side in x.shape[2:])
        margins = [self._margin(x.shape[3], width), self._margin(x.shape[2], height)]
        x = functional.pad(x, [self.before, margins[0], self.before, margins[1]])
        y: Tensor = self.shuffle(self.convolution(x))
        return y[:, :, self.start : self.start + height, self.start : self.start + width]

    def _margin(self, side: int, out: int) -> int:
        """Return how many pixels are missing behind a side for `out` pixels; less than 0 crops."""
        needed = -(-(self.start + out) // self.scale) + self.convolution.kernel_size[0] - 1
        return needed - side - self.before


def plain_copy(network: AnyModule, *, fold: bool = True) -> AnyModule:
    """Return a copy of a network whose sequences are plain ones; both share their tensors.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; it is left as it is.
    fold : bool
        Replace upsampling before a convolution by a `SubpixelConv2d`, which has the name of the
        convolution. Otherwise the copy has the layers of the network, under the same names.
    """
    network = copy_modules(network)
    for name, part in list(network.named_modules()):
        if isinstance(part, FusedSequential):
            _replace(network, name, nn.Sequential(_layers(part, fold)))
    return network.eval()


def _layers(sequence: nn.Sequential, fold: bool) -> "OrderedDict[str, nn.Module]":
    """Return the layers of a sequence by their names, with pairs folded."""
    layers = OrderedDict(sequence.named_children())
    names = list(layers)
    for name, following in itertools.pairwise(names):
        layer, convolution = layers[name], layers[following]
        if fold and isinstance(convolution, nn.Conv2d) and can_fold(layer, convolution):
            scale = int(cast("float", layer.scale_factor))
            layers[following] = SubpixelConv2d(convolution, scale)
            del layers[name]
    return layers


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)

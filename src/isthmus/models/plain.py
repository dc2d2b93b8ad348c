"""A network made of plain layers only, as other programs know them.

`FusedSequential` decides in Python which layers it computes together, and interleaves by a function
of its own. Formats such as ONNX have neither, but a sub-pixel layer (`nn.PixelShuffle`) they have.
"""

from collections import OrderedDict
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from isthmus.models.layers import AnyModule, FusedSequential
from isthmus.models.recorder import copy_modules
from isthmus.models.upsampling import can_fold, fold_kernel
from isthmus.models.variational import GaussianCode

# Activations that pooling may go before, see `layers.fuse`: then they compute a quarter of the
# numbers. ReLU is left, as runtimes compute it within the convolution.
EXCHANGED = (nn.ELU, nn.SELU)


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


def plain_copy(network: AnyModule, *, fuse: bool = True) -> AnyModule:
    """Return a copy of a network whose sequences are plain ones; both share their tensors.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; it is left as it is.
    fuse : bool
        Exchange and replace layers as `FusedSequential` does, so that less is computed: a
        `SubpixelConv2d` has the name of its convolution. Otherwise each layer of the copy computes
        what the layer of the same name in the network does.
    """
    network = copy_modules(network)
    for name, part in list(network.named_modules()):
        if isinstance(part, FusedSequential):
            layers = OrderedDict(part.named_children())
            _replace(network, name, nn.Sequential(_fuse(layers) if fuse else layers))
    for name, part in list(network.named_modules()):
        if isinstance(part, GaussianCode):  # nobody but training asks for the log-variance
            _replace(network, name, part.only_mean())
    return network.eval()


def _fuse(layers: "OrderedDict[str, nn.Module]") -> "OrderedDict[str, nn.Module]":
    """Return layers by their names, pairs of which are exchanged or one layer."""
    fused: OrderedDict[str, nn.Module] = OrderedDict()
    for name, following in layers.items():
        last, layer = next(reversed(fused.items()), ("", None))
        if isinstance(layer, EXCHANGED) and isinstance(following, nn.MaxPool2d):
            del fused[last]
            fused |= {name: following, last: layer}
        elif layer is not None and isinstance(following, nn.Conv2d) and can_fold(layer, following):
            del fused[last]
            fused[name] = SubpixelConv2d(following, int(cast("float", layer.scale_factor)))
        else:
            fused[name] = following
    return fused


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)

"""A sequence of layers that spares arithmetic where two neighbours can be computed together."""

from collections.abc import Callable
from functools import partial
from typing import cast

from torch import Tensor, nn

from isthmus.models.upsampling import folds, upsampled_convolution

Step = Callable[[Tensor], Tensor]
RISING = (nn.ReLU, nn.ELU, nn.SELU)  # f(a) ≤ f(b) for a < b


class Layers(nn.Sequential):
    """A sequence that computes some pairs of layers in one step.

    Modules, weights and their names are those of an ordinary sequence and so are, up to rounding,
    outputs and gradients. Where someone listens (by a hook) to what passes between the two, they
    are computed one after the other.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Send x through all layers."""
        layers = list(self)
        while layers:
            step = joined(*layers[:2]) if len(layers) > 1 else None
            x = (step or layers[0])(x)
            del layers[: 2 if step else 1]
        return x


def joined(layer: nn.Module, following: nn.Module) -> Step | None:
    """Return what does the work of two layers in one step, if there is a way.

    Upsampling is folded into the convolution behind it. An activation that never falls picks the
    same number before max pooling as behind it, where there are fewer to compute.
    """
    if any(part._forward_hooks or part._forward_pre_hooks for part in (layer, following)):
        return None
    if isinstance(layer, RISING) and isinstance(following, nn.MaxPool2d):
        return lambda x: cast("Tensor", layer(following(x)))
    if isinstance(following, nn.Conv2d) and folds(layer, following):
        scale = int(cast("float", layer.scale_factor))
        return partial(upsampled_convolution, convolution=following, scale=scale)
    return None

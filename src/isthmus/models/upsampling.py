"""Upsampling and the convolution behind it in one step, with less arithmetic.

Nearest upsampling by s repeats each number s times a side, so that several taps of the kernel
behind it meet the same number. Summing their weights first leaves a smaller kernel on the small
image: for s of 2 or 3 and a kernel of 3, 2 × 2 taps instead of 3 × 3. Each of the s × s phases of
the output has its own sums; they are computed as channels of one convolution and interleaved. The
result is that of the two layers, up to rounding.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def upsampled_convolution(x: Tensor, convolution: nn.Conv2d, scale: int) -> Tensor:
    """Do what nearest upsampling by `scale` and then `convolution` do.

    Parameters
    ----------
    x : (N, C, H, W)
    convolution : nn.Conv2d
        With a square kernel, stride 1 and zeros around.
    scale : int

    Returns
    -------
    (N, C', H', W')
        Channels-last in memory.
    """
    kernel, padding = convolution.kernel_size[0], int(convolution.padding[0])
    before = -(-padding // scale)
    sides = [scale * side + 2 * padding - kernel + 1 for side in x.shape[2:]]
    after = [
        (out - 1 - padding) // scale + _reach(scale, kernel) - side
        for out, side in zip(sides, x.shape[2:], strict=True)
    ]
    x = functional.pad(x, (before, after[1], before, after[0]))
    runs = _runs(scale, kernel)
    parts = [_part(x, convolution, scale, rows, columns) for rows in runs for columns in runs]
    places = [(rows.start, columns.start) for rows in runs for columns in runs]
    y: Tensor = _Interleaved.apply((scale, scale * before - padding, *sides), places, *parts)  # type: ignore[no-untyped-call]
    return y


def _part(x: Tensor, convolution: nn.Conv2d, scale: int, rows: range, columns: range) -> Tensor:
    """Compute a run of phases, as channels: (N, h, w, rows, columns, C')."""
    kernel = convolution.kernel_size[0]
    down, across = (_taps(scale, kernel, run).to(convolution.weight) for run in (rows, columns))
    weight = torch.einsum("rmt,snu,octu->rsocmn", down, across, convolution.weight)
    weight = weight.reshape(-1, x.shape[1], down.shape[1], across.shape[1])
    count = len(rows) * len(columns)
    bias = None if convolution.bias is None else convolution.bias.repeat(count)
    phases = functional.conv2d(x, weight.contiguous(memory_format=torch.channels_last), bias)
    return torch.unflatten(phases.permute(0, 2, 3, 1), 3, (len(rows), len(columns), -1))


class _Interleaved(torch.autograd.Function):
    """Put phases in their places, all in one pass; the gradient is taken out of them again.

    Phase (r, c) at (i, j) belongs at (scale · i + r - start, scale · j + c - start); what falls
    outside is dropped.
    """

    @staticmethod
    def forward(
        ctx: Any,
        shape: tuple[int, int, int, int],
        places: list[tuple[int, int]],
        *parts: Tensor,
    ) -> Tensor:
        """Interleave parts (N, h, w, R, C, C') to (N, C', H, W), channels-last.

        `shape` is (scale, start, H, W), `places` the first phase of each part.
        """
        y = parts[0].new_empty(len(parts[0]), *shape[2:], parts[0].shape[-1])
        for inside, outside in _pairs(shape, places, parts, y):
            outside.copy_(inside)
        ctx.shape, ctx.places = shape, places
        ctx.sizes = [part.shape for part in parts]
        return y.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """Gather the gradient of each part; it is zero where the part was dropped."""
        g = gradients[0].permute(0, 2, 3, 1)
        parts = [g.new_zeros(size) for size in ctx.sizes]
        for inside, outside in _pairs(ctx.shape, ctx.places, parts, g):
            inside.copy_(outside)
        return None, None, *parts


def _pairs(
    shape: tuple[int, int, int, int],
    places: list[tuple[int, int]],
    parts: Sequence[Tensor],
    y: Tensor,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield views of each phase in its part and in y (N, H, W, C')."""
    scale, start, *sides = shape
    for (top, left), part in zip(places, parts, strict=True):
        for row, column in itertools.product(*map(range, part.shape[3:5])):
            inside, outside = part[:, :, :, row, column], y
            for axis, phase in ((1, top + row), (2, left + column)):
                skipped = -((phase - start) // scale)  # places before the first
                first = scale * skipped + phase - start
                count = -(-(sides[axis - 1] - first) // scale)
                inside = inside.narrow(axis, skipped, count)
                outside = _every(outside, axis, first, scale)
            yield inside, outside


def _every(y: Tensor, axis: int, first: int, scale: int) -> Tensor:
    return y[:, first::scale] if axis == 1 else y[:, :, first::scale]


def _reach(scale: int, kernel: int) -> int:
    """Return how many places of the small image the taps of the last phase fall on."""
    return (scale + kernel - 2) // scale + 1


@lru_cache
def _runs(scale: int, kernel: int) -> list[range]:
    """Divide the phases into runs whose taps fall on equally many places: two at most.

    Of a scale of 3 and a kernel of 3, the first phase needs one place, the others two.
    """
    reaches = [(phase + kernel - 1) // scale + 1 for phase in range(scale)]
    few = reaches.count(reaches[0])
    return [run for run in (range(few), range(few, scale)) if run]


@lru_cache
def _taps(scale: int, kernel: int, phases: range) -> Tensor:
    """Say which taps fall on which place: (phase, place, tap), of zeros and ones.

    Phases are ordered by their first tap: tap t of phase r falls on (r + t) // scale.
    """
    places = (phases[-1] + kernel - 1) // scale + 1
    taps = torch.zeros(len(phases), places, kernel, device="cpu")  # whatever the device of now
    for row, phase in enumerate(phases):
        for tap in range(kernel):
            taps[row, (phase + tap) // scale, tap] = 1
    return taps


def folds(layer: nn.Module, following: nn.Conv2d) -> bool:
    """Tell whether a layer is upsampling that `upsampled_convolution` can do."""
    return (
        isinstance(layer, nn.Upsample)
        and layer.mode == "nearest"
        and isinstance(layer.scale_factor, float)
        and layer.scale_factor.is_integer()
        and len(set(following.kernel_size)) == 1
        and following.padding in {(side, side) for side in range(following.kernel_size[0])}
        and (following.stride, following.dilation, following.groups) == ((1, 1), (1, 1), 1)
        and following.padding_mode == "zeros"
    )

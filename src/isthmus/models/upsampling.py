"""Nearest upsampling and the convolution that follows it, in one step with less arithmetic.

Nearest upsampling repeats each pixel, so several taps of the kernel that follows read the same
pixel. Adding up the weights of those taps first leaves a smaller kernel on the small image. In one
dimension, at a scale of 2 and with the kernel (a, b, c), an output pixel is one of

    phase 0:  a · x[i-1] + (b + c) · x[i]
    phase 1:  (a + b) · x[i] + c · x[i+1]

where a *phase* is the remainder of the output position divided by the scale. Each phase has its own
sums. All phases are computed as channels of one convolution on the small image and then
interleaved, as in sub-pixel convolution (Shi et al., Real-Time Single Image and Video
Super-Resolution, 2016).

In two dimensions a 3 × 3 kernel needs 4 of 9 multiplications at a scale of 2, and 25 of 81 at a
scale of 3. On one core in float32, images of 28 × 28, this makes a training step of `conv-pool`
(batch of 256) 1.9 times and one of `conv-bn-2d` (batch of 64) 1.7 times as fast. The result equals
that of the two layers up to rounding.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Multiplications of the two layers for an image. Folding the kernel and interleaving take time of
# their own: with 37,000 (4 × 4 pixels of 8 channels) a step of `conv-pool` spent 1.3 ms on them,
# and 0.7 on the layers themselves; with 113,000 (14 × 14 of 16) 1.9 ms instead of 4.2.
MIN_TO_FOLD = 2**16

Taps = tuple[tuple[tuple[float, ...], ...], ...]  # (phase, pixel, tap), of zeros and ones


def can_fold(layer: nn.Module, following: nn.Conv2d) -> bool:
    """Return whether `convolve_upsampled` can compute an upsampling layer and a convolution."""
    return (
        # Padding as numbers smaller than the kernel; "same" and more padding are left to torch, and
        # so is all that would need taps of its own.
        isinstance(layer, nn.Upsample)
        and layer.mode == "nearest"
        and isinstance(layer.scale_factor, float)
        and layer.scale_factor.is_integer()
        and len(set(following.kernel_size)) == 1
        and following.padding in {(side, side) for side in range(following.kernel_size[0])}
        and (following.stride, following.dilation, following.groups) == ((1, 1), (1, 1), 1)
        and following.padding_mode == "zeros"
    )


def upsample_and_convolve(x: Tensor, convolution: nn.Conv2d, scale: int) -> Tensor:
    """Return what `convolve_upsampled` returns, of small images by the two layers themselves.

    The choice depends on the size of an image, and not on how many there are: each has the same
    answer in any batch.
    """
    multiplications = math.prod(x.shape[1:]) * scale**2 * convolution.weight[:, 0].numel()
    if multiplications < MIN_TO_FOLD:
        y: Tensor = convolution(functional.interpolate(x, scale_factor=float(scale)))
        return y
    return convolve_upsampled(x, convolution, scale)


def convolve_upsampled(x: Tensor, convolution: nn.Conv2d, scale: int) -> Tensor:
    """Return what nearest upsampling by `scale` followed by `convolution` returns.

    Parameters
    ----------
    x : (N, C, H, W)
    convolution : nn.Conv2d
        With a square kernel, stride 1 and zero padding; see `can_fold`.
    scale : int

    Returns
    -------
    (N, C', H', W')
        Channels-last in memory.
    """
    kernel, padding = convolution.kernel_size[0], int(convolution.padding[0])
    # Padding of the large image becomes padding of the small one, in whole pixels: `before` may
    # add up to scale - 1 large pixels too many, which interleaving drops.
    before = -(-padding // scale)
    sides = [scale * side + 2 * padding - kernel + 1 for side in x.shape[2:]]
    # How many pixels the last output position reads beyond the small image.
    after = [
        (out - 1 - padding) // scale + _pixels_read(scale - 1, scale, kernel) - side
        for out, side in zip(sides, x.shape[2:], strict=True)
    ]
    x = functional.pad(x, (before, after[1], before, after[0]))
    # A group of rows and one of columns share a kernel: at most four convolutions in all.
    groups = _phase_groups(scale, kernel)
    taps = [_taps(group, scale, kernel) for group in groups]
    parts = [_convolve_phases(x, convolution, down, across) for down in taps for across in taps]
    first_phases = [(rows.start, columns.start) for rows in groups for columns in groups]
    geometry = (scale, scale * before - padding, *sides)
    y: Tensor = _Interleave.apply(geometry, first_phases, *parts)  # type: ignore[no-untyped-call]
    return y


def fold_kernel(weight: Tensor, scale: int) -> Tensor:
    """Return the kernel for all phases at once, in the order of channels of `nn.PixelShuffle`.

    Parameters
    ----------
    weight : (C', C, K, K)
        Of a convolution that follows nearest upsampling by `scale`.
    scale : int

    Returns
    -------
    (C' · scale², C, M, M)
        Where M is the largest number of pixels that a phase reads.
    """
    taps = _to_tensor(_taps(range(scale), scale, weight.shape[2]), weight)
    summed = torch.einsum("rmt,snu,octu->orscmn", taps, taps, weight)
    return summed.reshape(-1, weight.shape[1], *summed.shape[4:])


def _convolve_phases(x: Tensor, convolution: nn.Conv2d, down: Taps, across: Taps) -> Tensor:
    """Compute groups of row and column phases as channels: (N, h, w, rows, columns, C')."""
    # Summed in each pass, not stored: the weights change in training, their gradient flows through
    # the sum, and for weights it costs little compared with the image.
    rows, columns = (_to_tensor(taps, convolution.weight) for taps in (down, across))
    weight = torch.einsum("rmt,snu,octu->rsocmn", rows, columns, convolution.weight)
    weight = weight.reshape(-1, x.shape[1], rows.shape[1], columns.shape[1])
    count = len(down) * len(across)
    bias = None if convolution.bias is None else convolution.bias.repeat(count)
    # Channels-last makes the convolution itself faster (a forward of `conv-pool` takes 12 ms
    # instead of 30) and keeps the C' numbers of a phase together, so that interleaving copies runs
    # of memory instead of single numbers.
    phases = functional.conv2d(x, weight.contiguous(memory_format=torch.channels_last), bias)
    return torch.unflatten(phases.permute(0, 2, 3, 1), 3, (len(down), len(across), -1))


class _Interleave(torch.autograd.Function):
    """Put each phase at its output positions; the gradient takes them out again.

    Phase (r, c) at (i, j) belongs at (scale · i + r - start, scale · j + c - start); what falls
    outside is dropped. This is a function of its own because autograd would clone the gradient of
    the whole image once for each copy.
    """

    @staticmethod
    def forward(
        ctx: Any,
        geometry: tuple[int, int, int, int],
        first_phases: list[tuple[int, int]],
        *parts: Tensor,
    ) -> Tensor:
        """Interleave parts (N, h, w, R, C, C') to (N, C', H, W), channels-last.

        `geometry` is (scale, start, H, W), `first_phases` the first row and column phase of each
        part.
        """
        # Not zeros: each position belongs to exactly one phase, so all of them are written.
        y = parts[0].new_empty(len(parts[0]), *geometry[2:], parts[0].shape[-1])
        for phase, positions in _paired_views(geometry, first_phases, parts, y):
            positions.copy_(phase)
        ctx.geometry, ctx.first_phases = geometry, first_phases
        # Shapes are all that the gradient needs: nothing is kept in memory for the backward pass.
        ctx.sizes = [part.shape for part in parts]
        return y.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable  # a second derivative raises an error instead of being silently wrong
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """Gather the gradient of each part; it is zero where the part was dropped."""
        g = gradients[0].permute(0, 2, 3, 1)
        parts = [g.new_zeros(size) for size in ctx.sizes]
        for phase, positions in _paired_views(ctx.geometry, ctx.first_phases, parts, g):
            phase.copy_(positions)
        return None, None, *parts


def _paired_views(
    geometry: tuple[int, int, int, int],
    first_phases: list[tuple[int, int]],
    parts: Sequence[Tensor],
    y: Tensor,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, for each phase, views of it in its part and of its positions in y (N, H, W, C')."""
    scale, start, *sides = geometry
    for (top, left), part in zip(first_phases, parts, strict=True):
        for row, column in itertools.product(*map(range, part.shape[3:5])):
            phase, positions = part[:, :, :, row, column], y
            for axis, offset in ((1, top + row - start), (2, left + column - start)):
                dropped = -(offset // scale)  # pixels in front of the first position
                first = scale * dropped + offset
                # Rounded up: the last positions of a phase may have no full step behind them.
                count = -(-(sides[axis - 1] - first) // scale)
                phase = phase.narrow(axis, dropped, count)
                positions = _take_every(positions, axis, first, scale)
            yield phase, positions


def _take_every(y: Tensor, axis: int, first: int, step: int) -> Tensor:
    return y[:, first::step] if axis == 1 else y[:, :, first::step]


def _pixels_read(phase: int, scale: int, kernel: int) -> int:
    """Return how many pixels of the small image the taps of a phase read."""
    return (phase + kernel - 1) // scale + 1


@lru_cache
def _phase_groups(scale: int, kernel: int) -> tuple[range, ...]:
    """Divide the phases into groups that read equally many pixels, at most two.

    One convolution has one kernel size. At a scale of 3 and a kernel of 3 the first phase reads
    one pixel and the others two: without groups it would be 36 multiplications, not 25.
    """
    widths = [_pixels_read(phase, scale, kernel) for phase in range(scale)]
    narrow = widths.count(widths[0])
    return tuple(group for group in (range(narrow), range(narrow, scale)) if group)


# The cache holds plain numbers, never tensors. A tensor made at the first call keeps the mode of
# that call: under `torch.export` it would be a FakeTensor, under `inference_mode` one that no
# later training step may save for its backward pass.
@lru_cache
def _taps(phases: range, scale: int, kernel: int) -> Taps:
    """Return which taps read which pixel: 1 where tap t of phase r reads pixel (r + t) // scale."""
    pixels = range(_pixels_read(phases[-1], scale, kernel))
    return tuple(
        tuple(
            tuple(float((phase + tap) // scale == pixel) for tap in range(kernel))
            for pixel in pixels
        )
        for phase in phases
    )


def _to_tensor(taps: Taps, weight: Tensor) -> Tensor:
    return torch.tensor(taps, dtype=weight.dtype, device=weight.device)

"""Dropout that is drawn for a whole batch, of which a share takes its own."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.training.shares import WHOLE, Share


class SharedDropout(nn.Module):
    """What `nn.Dropout` would set to zero of a whole batch, for a share of it.

    From the same state of torch's random numbers, all shares together are what one process would
    compute. It takes the random numbers of the whole batch for each of them.

    Parameters
    ----------
    p : float
        Share of the features that are set to zero.
    size : int
        Samples of the whole batch.
    """

    def __init__(self, p: float, size: int) -> None:
        super().__init__()
        self.p, self.size = p, size
        self.share: Share = WHOLE

    def forward(self, x: Tensor) -> Tensor:
        """Set features of x (n, …) to zero, n being the samples of the share."""
        if not self.training or not self.p:
            return x
        whole = torch.ones((self.size, *x.shape[1:]), dtype=x.dtype, device=x.device)
        # torch draws in the order of the memory.
        if x.ndim == 4 and not x.is_contiguous():
            whole = whole.contiguous(memory_format=torch.channels_last)
        return x * functional.dropout(whole, self.p)[self.share[0] :: self.share[1]]


def share_dropout(module: nn.Module, size: int) -> list[SharedDropout]:
    """Replace all dropout of a module, in place; it has no weights, so that nothing else changes.

    Returns
    -------
    list of SharedDropout
        Whose `share` is to be set before each pass.
    """
    replaced = []
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Dropout):
                replaced.append(SharedDropout(child.p, size))
                setattr(parent, name, replaced[-1])
    return replaced

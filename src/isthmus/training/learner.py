"""`Learner`: from a batch to changed weights, on one process or several, or in micro-batches."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.data.random import DROPOUT
from isthmus.models.layers import Network
from isthmus.training.config import TrainingConfig
from isthmus.training.dropout import share_dropout
from isthmus.training.objective import Moment, Objective
from isthmus.training.optim import plain_step
from isthmus.training.shares import WHOLE, Share, Shares

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Pairs = Iterator[tuple[Tensor, Tensor]]  # inputs and targets


class Learner:
    """A module and its optimizer, which change by steps.

    The gradients of a batch are those of one mean over it, however it is divided: weights differ by
    rounding alone. What looks at a batch as a whole sees a share of it: batch normalization, the
    free bits of a variational autoencoder, and the content loss of a style bank.

    Parameters
    ----------
    fabric : Fabric
    module : Network
        On its device. Where batches are divided, its dropout is replaced in place.
    optimizer : torch.optim.Optimizer
    config : TrainingConfig
    """

    def __init__(
        self,
        fabric: "Fabric",
        module: Network,
        optimizer: torch.optim.Optimizer,
        config: TrainingConfig,
    ) -> None:
        self.fabric, self.module, self.optimizer = fabric, module, optimizer
        self.size, self._seed = config.batch_size or 1, config.seed
        self.shares = Shares(fabric.global_rank, fabric.world_size, config.accumulate or 1)
        self._has_dropout = any(isinstance(part, nn.Dropout) for part in module.modules())
        # What torch draws for a batch is what one process with the whole batch has.
        self._dropouts = share_dropout(module, self.size) if self.shares.count > 1 else []
        self._update = plain_step(optimizer)
        self._weights = [one for group in optimizer.param_groups for one in group["params"]]
        # A process that trains alone calls the module and the loss themselves: Fabric's wrappers
        # take as long as all of a small model's own work. Device and precision come from Fabric
        # either way.
        self._wrapper = fabric.setup_module(module) if fabric.world_size > 1 else None

    def step(
        self, batches: Pairs, objective: Objective, moment: Callable[[Share], Moment], number: int
    ) -> Tensor:
        """Change the weights by the next batch, and return this process's part of its loss.

        Parameters
        ----------
        batches : iterator
            Of inputs and targets: the shares of a batch, one after the other.
        objective : Objective
        moment : callable
            Returns where training stands, for a share.
        number : int
            Of the step.

        Returns
        -------
        () float32
            The parts of all processes add up to the loss.
        """
        if self.shares.count > 1:
            loss = self._add_gradients(batches, objective, moment, number)
        else:
            x, targets = next(batches)
            with self._seeded_dropout(number, WHOLE):
                loss = objective(self._forward, x, targets, moment(WHOLE)).loss
            torch.autograd.backward(loss)
        self._update()
        for weight in self._weights:
            weight.grad = None
        return loss.detach()

    def compute(self, *inputs: Any, **options: Any) -> Any:
        """Compute the module of this process alone; see `objective.Forward`."""
        return self._compute(self.module, inputs, options)

    def total(self, part: Tensor) -> Tensor:
        """Add up the parts of all processes, each ()."""
        if self.shares.processes > 1:
            part = part.clone()
            torch.distributed.all_reduce(part)
        return part

    def _forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the module so that several processes exchange its gradients."""
        return self._compute(self._wrapper or self.module, inputs, options)

    def _compute(self, module: nn.Module, inputs: Any, options: dict[str, Any]) -> Any:
        with self.fabric.autocast():
            output = module(*inputs, **options)
        return output.float() if isinstance(output, Tensor) else [part.float() for part in output]

    def _add_gradients(
        self, batches: Pairs, objective: Objective, moment: Callable[[Share], Moment], number: int
    ) -> Tensor:
        """Add up the gradients of the shares of a batch, each by its part of the mean."""
        losses, weights = [], []
        for turn, share in enumerate(self.shares, 1):
            x, targets = next(batches)
            weight = objective.weigh(targets)
            is_last = turn == self.shares.accumulate
            with self._exchanging(is_last), self._seeded_dropout(number, share):
                loss, output, _ = objective(self._forward, x, targets, moment(share))
                # The mean over no pixel is no number.
                part = loss * (weight / self.size) if weight else 0 * output.sum()
                # Processes exchange the mean of their gradients, where the sum is wanted.
                self.fabric.backward(part * self.shares.processes)
            losses.append(part.detach())
            weights.append(weight)
        return torch.stack(losses).sum() * self._rescale(weights)

    def _rescale(self, weights: list[Tensor | int]) -> Tensor | float:
        """Divide gradients by the weights of a batch where these are no samples; return the factor.

        They are known once all processes have seen their shares.
        """
        own = [weight for weight in weights if isinstance(weight, Tensor)]
        if not own:
            return 1.0
        factor = self.size / self.total(torch.stack(own).sum())
        for weight in self.module.parameters():
            if weight.grad is not None:
                weight.grad *= factor
        return factor

    def _exchanging(self, is_last: bool) -> AbstractContextManager[None]:
        """Let processes exchange gradients in the last backward pass of a step only."""
        if self._wrapper is None:
            return nullcontext()
        return self.fabric.no_backward_sync(self._wrapper, enabled=not is_last)

    @contextmanager
    def _seeded_dropout(self, number: int, share: Share) -> Iterator[None]:
        """Let dropout follow from seed and step, and leave torch's random numbers alone.

        torch draws dropout from a generator that has a state. Seeding it in every step makes
        dropout a function of the counters, like noise and augmentation.
        """
        if not self._has_dropout:
            yield
            return
        for dropout in self._dropouts:
            dropout.share = share
        device = self.fabric.device
        # `SeedSequence` mixes the counters into one seed; their sum would repeat between steps.
        seed = np.random.SeedSequence([self._seed, DROPOUT, number, 0])
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(seed.generate_state(1)[0]))
            yield

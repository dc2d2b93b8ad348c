"""Batches by counter: samples, order and noise follow from seed, epoch and step alone.

A data loader with workers has a state: a queue, and random numbers in every worker. Here a batch
is a function of (seed, epoch, step), so a checkpoint needs no state of the data, a run can be
resumed in the middle of an epoch to the bit, and several processes see together what one would.
There are no workers because there is nothing left for them to do: samples are decoded before.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.augmentation import Augmentation
from isthmus.data.corruption import Corruption
from isthmus.data.preprocess import Preprocessing
from isthmus.data.random import AUGMENT, FLIP, ORDER, StepRng
from isthmus.data.samples import Samples
from isthmus.training.config import TrainingConfig
from isthmus.training.read_ahead import ReadAhead
from isthmus.training.shares import WHOLE, Share, blocks
from isthmus.training.targets import Targets

MAX_DEVICE_SHARE = 0.5  # of an accelerator's free memory that the samples may take
NOISE_BATCH_SIZE = 256  # for the fingerprint of noise, which does not depend on it


class SampleTensors:
    """Samples and their targets as tensors, ready to be gathered into batches on a device.

    Parameters
    ----------
    values : (N, H, W, C) uint8 or (N, L, C) float32
    preprocessing : Preprocessing
    device : torch.device
    targets : (N,) int64 or (N, H, W) uint8, optional
        Labels or masks, where they are the target; otherwise the samples themselves are.
    """

    def __init__(
        self,
        values: NDArray[np.generic],
        preprocessing: Preprocessing,
        device: torch.device,
        targets: Targets | None = None,
    ) -> None:
        self._read_ahead = ReadAhead(values, *([] if targets is None else [targets]))
        # On a CPU the memory-mapped file itself is the tensor: nothing is copied.
        self.values = torch.from_numpy(values)
        self.targets = None if targets is None else torch.from_numpy(targets)
        self.preprocessing = preprocessing
        self.device = device
        # Samples that fit go to the device once, as uint8: a quarter of their size as float32,
        # and no transfer in any step.
        if device.type == "cuda" and values.nbytes < (
            MAX_DEVICE_SHARE * torch.cuda.mem_get_info()[0]
        ):
            self.values = self.values.to(device)
            self.targets = None if self.targets is None else self.targets.to(device)
            self._read_ahead = ReadAhead()

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample."""
        return self.values[:1].numel() * self.values.element_size()

    def read_ahead(self, portions: Iterable[NDArray[np.int64]]) -> Iterable[NDArray[np.int64]]:
        """Return the indices of batches as they are given, each read before it is gathered."""
        return self._read_ahead.walk(portions)

    def gather(self, indices: NDArray[np.int64]) -> Tensor:
        """Return the samples at `indices` as x (n, C, H, W) or (n, C, L) float32."""
        return self.preprocessing.to_input(self._select(self.values, indices))

    def gather_targets(self, indices: NDArray[np.int64]) -> Tensor | None:
        """Return labels (n,) or masks (n, H, W) int64, where those are the target."""
        return None if self.targets is None else self._select(self.targets, indices).long()

    def _select(self, tensor: Tensor, indices: NDArray[np.int64]) -> Tensor:
        rows = torch.from_numpy(np.ascontiguousarray(indices)).to(tensor.device)
        return tensor.index_select(0, rows).to(self.device)


class Batches:
    """Batches of the samples at `indices`.

    All are of one size: an epoch leaves out the few samples beyond a whole number of batches,
    different ones each time.

    Parameters
    ----------
    tensors : SampleTensors
    indices : (n,) int64
        Samples to draw from.
    size : int
        Samples in a batch, of all processes together.
    seed : int
    shares : iterable of (int, int)
        The shares of every batch that this process takes; see `Shares`.
    flip : bool
        Mirror half of the samples of an epoch from left to right.
    augmentation : Augmentation, optional
        Random changes to the samples of an epoch.
    corruption : Corruption, optional
        Noise on the inputs; the targets stay clean.
    """

    def __init__(
        self,
        tensors: SampleTensors,
        indices: NDArray[np.int64],
        size: int,
        seed: int = 0,
        shares: Iterable[Share] = (WHOLE,),
        flip: bool = False,
        augmentation: Augmentation | None = None,
        corruption: Corruption | None = None,
    ) -> None:
        self.tensors = tensors
        self.indices = indices
        self.size = size
        self.seed = seed
        self.shares = tuple(shares)
        self.flip = flip
        self.augmentation = augmentation
        self.corruption = corruption

    def __len__(self) -> int:
        return len(self.indices) // self.size

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs and targets of an epoch (counted from 0), from batch `start` on.

        Of each batch these are its shares, one after the other. Targets are labels, masks, or the
        samples before noise. Random numbers are drawn for the whole batch, of which a share takes
        its own: so the result depends neither on the shares nor on the batch that an epoch starts
        from.
        """
        order = np.random.default_rng([self.seed, ORDER, epoch]).permutation(self.indices)
        # For the whole epoch at once, so that a batch in the middle needs no replay of the others.
        is_flipped = np.random.default_rng([self.seed, FLIP, epoch]).random(len(order)) < 0.5
        taken = list(product(range(start, len(self)), self.shares))
        rows = [self._rows(*one) for one in taken]
        portions = self.tensors.read_ahead(order[own] for own in rows)
        for (batch, share), own, indices in zip(taken, rows, portions, strict=True):
            x, targets = self._gather(indices)
            if self.flip:  # in place: gathering has made a copy
                _flip(x, targets, is_flipped[own])
            counters = (self.seed, epoch, batch, self.size, share)
            if self.augmentation is not None:
                x, targets = self._augment(x, targets, StepRng(*counters, AUGMENT))
            # After the augmentation, which changes the target too; noise is on the input only. It
            # returns a new tensor and leaves the clean one as it is.
            clean = x
            if self.corruption is not None:
                x = self.corruption.apply(x, StepRng(*counters))
            yield x, clean if targets is None else targets

    def in_order(self, part: Share = WHOLE) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets of all samples once, in their order, the last batch shorter.

        Nothing is augmented, and noise is fixed: always the same for a sample, so that epochs
        and models are compared on the same inputs.

        Parameters
        ----------
        part : (int, int)
            Yield every n-th batch, from the i-th on.
        """
        portions = (self.indices[rows] for rows in blocks(len(self.indices), self.size, part))
        for indices in self.tensors.read_ahead(portions):
            x, targets = self._gather(indices)
            clean = x
            if self.corruption is not None:
                x = self.corruption.apply_fixed(x, self.seed, indices)
            yield x, clean if targets is None else targets

    def _rows(self, batch: int, share: Share) -> slice:
        """Return which samples of an epoch's order are a share of a batch."""
        return slice(batch * self.size + share[0], (batch + 1) * self.size, share[1])

    def _gather(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
        return self.tensors.gather(indices), self.tensors.gather_targets(indices)

    def _augment(
        self, x: Tensor, targets: Tensor | None, rng: StepRng
    ) -> tuple[Tensor, Tensor | None]:
        """Change samples, and masks with them; labels stay."""
        assert self.augmentation is not None
        if targets is not None and targets.ndim == 1:
            return self.augmentation.apply(x, rng)[0], targets
        return self.augmentation.apply(x, rng, targets)


def noise_fingerprint(
    samples: Samples,
    indices: NDArray[np.int64],
    preprocessing: Preprocessing,
    config: TrainingConfig,
) -> str:
    """Return 16 hexadecimal digits of the samples at `indices` with their fixed noise.

    A run records them, so that noise which another version of NumPy draws differently is noticed
    before anything is measured on it.
    """
    tensors = SampleTensors(samples.values, preprocessing, torch.device("cpu"))
    batches = Batches(tensors, indices, NOISE_BATCH_SIZE, config.seed, corruption=config.corruption)
    digest = hashlib.sha256()
    for x, _ in batches.in_order():
        # In the order of its memory, channels last, so that nothing is moved.
        digest.update(x.movedim(1, -1).contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _flip(x: Tensor, targets: Tensor | None, is_flipped: NDArray[np.bool_]) -> None:
    """Mirror some samples in place, and their masks with them."""
    rows = torch.from_numpy(np.flatnonzero(is_flipped)).to(x.device)
    x[rows] = x[rows].flip(-1)
    if targets is not None and targets.ndim == 3:
        targets[rows] = targets[rows].flip(-1)

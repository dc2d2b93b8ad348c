"""Batches by counter: samples, order and noise follow from seed, epoch and step alone."""

import hashlib
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.augmentation import Augmentation
from isthmus.data.corruption import Corruption
from isthmus.data.preprocess import Preprocessing
from isthmus.data.random import AUGMENT, FLIP, ORDER, StepRng
from isthmus.data.samples import Samples
from isthmus.runtime import total_memory
from isthmus.training.config import TrainingConfig

DEVICE_SHARE = 0.5  # of an accelerator's free memory that the samples may take
MEMORY_SHARE = 0.5  # of the memory that a file may take before it is read piece by piece


class SampleTensors:
    """Samples ready to be gathered into inputs x on a device.

    Samples that fit are copied to an accelerator once, as they are (uint8); otherwise each batch
    is gathered from memory, or from the memory-mapped file, and sent. Of a file that memory
    cannot hold, only what is asked for is read: reading ahead would push out what is needed next.

    Parameters
    ----------
    values : (N, H, W, C) uint8 or (N, L, C) float32
    preprocessing : Preprocessing
    device : torch.device
    truth : (N,) int64 or (N, H, W) uint8, optional
        Labels or masks, where they are the target; otherwise the samples themselves are.
    """

    def __init__(
        self,
        values: NDArray[np.generic],
        preprocessing: Preprocessing,
        device: torch.device,
        truth: NDArray[np.int64] | NDArray[np.uint8] | None = None,
    ) -> None:
        mapped: Any = getattr(values, "_mmap", None)
        if hasattr(mapped, "madvise") and values.nbytes > MEMORY_SHARE * total_memory():
            mapped.madvise(mmap.MADV_RANDOM)  # Windows has none
        self.values = torch.from_numpy(values)
        self.truth = None if truth is None else torch.from_numpy(truth)
        self.preprocessing = preprocessing
        self.device = device
        if device.type == "cuda" and values.nbytes < DEVICE_SHARE * torch.cuda.mem_get_info()[0]:
            self.values = self.values.to(device)
            self.truth = None if self.truth is None else self.truth.to(device)

    def gather(self, indices: NDArray[np.int64]) -> Tensor:
        """Return the samples at `indices` as x (n, C, H, W) or (n, C, L) float32."""
        where = torch.from_numpy(np.ascontiguousarray(indices)).to(self.values.device)
        return self.preprocessing.to_input(self.values.index_select(0, where).to(self.device))

    def target(self, indices: NDArray[np.int64]) -> Tensor | None:
        """Return labels (n,) or masks (n, H, W) int64, where those are the target."""
        if self.truth is None:
            return None
        where = torch.from_numpy(np.ascontiguousarray(indices)).to(self.truth.device)
        return self.truth.index_select(0, where).to(self.device).long()


class Batches:
    """Batches of the samples at `indices`.

    All are of one size: an epoch leaves out the few samples beyond a whole number of batches,
    other ones each time.

    Parameters
    ----------
    source : Source
    indices : (n,) int64
        Which samples to draw from.
    size : int
        Of a batch, over all processes.
    seed : int
    share : (int, int)
        The number of this process and of all; each takes its share of every batch.
    flip : bool
        Mirror half of the samples of an epoch from left to right.
    augmentation : Augmentation, optional
        Changes to the samples of an epoch.
    corruption : Corruption, optional
        Noise on the inputs; the targets stay clean.
    """

    def __init__(
        self,
        source: SampleTensors,
        indices: NDArray[np.int64],
        size: int,
        seed: int = 0,
        share: tuple[int, int] = (0, 1),
        flip: bool = False,
        augmentation: Augmentation | None = None,
        corruption: Corruption | None = None,
    ) -> None:
        self.source = source
        self.indices = indices
        self.size = size
        self.seed = seed
        self.share = share
        self.flip = flip
        self.augmentation = augmentation
        self.corruption = corruption

    def __len__(self) -> int:
        return len(self.indices) // self.size

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs and targets of an epoch (counted from 0), from the batch `start` on.

        Targets are labels, masks, or the samples before noise. Chance is drawn for the whole
        batch, of which each process takes its share.
        """
        order = np.random.default_rng([self.seed, ORDER, epoch]).permutation(self.indices)
        flipped = np.random.default_rng([self.seed, FLIP, epoch]).random(len(order)) < 0.5
        for batch in range(start, len(self)):
            whole = slice(batch * self.size, (batch + 1) * self.size)
            mine = slice(self.share[0], None, self.share[1])
            chosen = order[whole][mine]
            x, truth = self.source.gather(chosen), self.source.target(chosen)
            if self.flip:
                where = torch.from_numpy(np.flatnonzero(flipped[whole][mine])).to(x.device)
                x[where] = x[where].flip(-1)
                if truth is not None and truth.ndim == 3:
                    truth[where] = truth[where].flip(-1)
            rng = (self.seed, epoch, batch, self.size, self.share)
            if self.augmentation is not None:
                x, truth = self._augmented(x, truth, StepRng(*rng, AUGMENT))
            target = x if truth is None else truth
            if self.corruption is not None:
                x = self.corruption.apply(x, StepRng(*rng))
            yield x, target

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets of all samples once, in their order, the last batch shorter.

        Nothing is augmented, and noise is frozen: always the same for a sample.
        """
        for start in range(0, len(self.indices), self.size):
            chosen = self.indices[start : start + self.size]
            x, truth = self.source.gather(chosen), self.source.target(chosen)
            target = x if truth is None else truth
            if self.corruption is not None:
                x = self.corruption.apply_fixed(x, self.seed, chosen)
            yield x, target

    def _augmented(
        self, x: Tensor, truth: Tensor | None, rng: StepRng
    ) -> tuple[Tensor, Tensor | None]:
        """Change samples, and masks with them; labels stay."""
        assert self.augmentation is not None
        if truth is not None and truth.ndim == 1:
            return self.augmentation.apply(x, rng)[0], truth
        return self.augmentation.apply(x, rng, truth)


def noise_fingerprint(
    samples: Samples,
    indices: NDArray[np.int64],
    preprocessing: Preprocessing,
    config: TrainingConfig,
) -> str:
    """Return 16 hexadecimal digits of the samples at `indices` under their frozen noise."""
    source = SampleTensors(samples.values, preprocessing, torch.device("cpu"))
    part = Batches(source, indices, 256, config.seed, corruption=config.corruption)
    digest = hashlib.sha256()
    for x, _ in part.in_order():
        digest.update(x.movedim(1, -1).contiguous().numpy().data)
    return digest.hexdigest()[:16]

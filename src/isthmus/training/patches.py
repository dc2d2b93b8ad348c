"""Patches by counter: which, where and how they are turned follows from seed, epoch and step.

A denoiser learns from small squares of images, cut again in every epoch, so that images of any
sizes are trained on as they are. As with `Batches`, nothing has a state: a run that was stopped
continues with the same patches, and several processes see together what one would.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.corruption import Corruption
from isthmus.data.images import Images, Ragged
from isthmus.data.manifest import evenly_spaced
from isthmus.data.preprocess import Preprocessing
from isthmus.data.random import PATCHES, StepRng
from isthmus.data.split import Split
from isthmus.training.config import TrainingConfig
from isthmus.training.shares import WHOLE, Share, Shares, blocks, size_of

if TYPE_CHECKING:
    from isthmus.training.run import Run

MIN_PATCHES, MAX_PATCHES = 1024, 16384  # of an epoch
CANDIDATES = 4  # places that are looked at for one patch, until one shows something
BLANK = 2  # gray values: what differs by no more is blank
MAX_TILES = 16  # patches of an image that a model is validated on
TURNS = 8  # of a square: four rotations, each also mirrored


class Places(NamedTuple):
    """Where patches are cut.

    Parameters
    ----------
    image, top, left, turn : (n,) int64
        Of each patch: the index of its image, its upper left corner in pixels, and how it is
        turned, from 0 to 7.
    """

    image: NDArray[np.int64]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    turn: NDArray[np.int64]

    def at(self, rows: Any) -> "Places":
        """Return the places at rows, as NumPy understands them."""
        return Places(*(column[rows] for column in self))


def count_patches(images: Images, indices: NDArray[np.int64], side: int) -> int:
    """Return how many patches an epoch has: as many as cover the images, within limits."""
    pixels = int(images.values.sides[indices].prod(1).sum())
    return int(np.clip(pixels // side**2, MIN_PATCHES, MAX_PATCHES))


@dataclass(frozen=True, eq=False)
class Cutter:
    """Cuts patches out of images.

    Parameters
    ----------
    values : Ragged
        The inputs.
    targets : Ragged
        What they are to become: the same images, or clean ones of the same sides.
    side : int
        Of a patch, in pixels. Smaller images are continued by their reflection.
    preprocessing : Preprocessing
    device : torch.device
    """

    values: Ragged
    targets: Ragged
    side: int
    preprocessing: Preprocessing
    device: torch.device

    @property
    def sample_bytes(self) -> int:
        """Bytes of a patch of eight bits."""
        return self.side**2 * self.values.channels

    def cut(self, places: Places) -> tuple[Tensor, Tensor]:
        """Return inputs and targets (n, C, side, side) float32; one tensor if they are the same."""
        x = self._cut(self.values, places)
        return x, x if self.targets is self.values else self._cut(self.targets, places)

    def gather(self, indices: NDArray[np.int64]) -> Tensor:
        """Return the middle of the images at `indices` as x (n, C, side, side)."""
        sides = self.values.sides[indices]
        top, left = (np.maximum(sides - self.side, 0) // 2).T
        return self._cut(self.values, Places(indices, top, left, np.zeros_like(indices)))

    def is_blank(self, image: int, top: int, left: int) -> bool:
        """Return whether a patch shows nothing that could be lost with the noise."""
        patch = self._patch(self.targets, image, top, left)
        return bool(patch.max() - patch.min() <= BLANK)

    def _cut(self, values: Ragged, places: Places) -> Tensor:
        patches = [
            _turn(self._patch(values, image, top, left), turn)
            for image, top, left, turn in zip(*(one.tolist() for one in places), strict=True)
        ]
        return self.preprocessing.to_input(torch.from_numpy(np.stack(patches)).to(self.device))

    def _patch(self, values: Ragged, image: int, top: int, left: int) -> NDArray[Any]:
        patch = values[image][top : top + self.side, left : left + self.side]
        missing = [(0, self.side - length) for length in patch.shape[:2]]
        if missing == [(0, 0), (0, 0)]:
            return patch
        return np.pad(patch, [*missing, (0, 0)], mode="symmetric")


class PatchBatches:
    """Batches of patches of the images at `indices`, others in each epoch.

    Parameters
    ----------
    tensors : Cutter
    indices : (n,) int64
        Images to draw from, each as often as it has pixels.
    count : int
        Patches of an epoch.
    size : int
        Patches in a batch, of all processes together.
    seed : int
    shares : iterable of (int, int)
        The shares of every batch that this process takes; see `Shares`.
    flip : bool
        Turn and mirror patches.
    corruption : Corruption, optional
        Noise on the inputs; the targets stay as they are.
    """

    def __init__(
        self,
        tensors: Cutter,
        indices: NDArray[np.int64],
        count: int,
        size: int,
        seed: int = 0,
        shares: Iterable[Share] = (WHOLE,),
        flip: bool = True,
        corruption: Corruption | None = None,
    ) -> None:
        self.tensors, self.indices, self.count, self.size = tensors, indices, count, size
        self.seed, self.shares = seed, tuple(shares)
        self.flip, self.corruption = flip, corruption

    def __len__(self) -> int:
        return self.count // self.size

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs and targets of an epoch (counted from 0), from batch `start` on.

        Of each batch these are its shares, one after the other.
        """
        places = self._draw(epoch)
        for batch, share in product(range(start, len(self)), self.shares):
            whole = np.arange(batch * self.size, (batch + 1) * self.size)
            own = whole[share[0] :: share[1]]
            x, targets = self.tensors.cut(self._choose(places, own))
            if self.corruption is not None:
                rng = StepRng(self.seed, epoch, batch, self.size, share)
                x = self.corruption.apply(x, rng)
            yield x, targets

    def _draw(self, epoch: int) -> Places:
        """Draw places for an epoch, several for each patch: (count, CANDIDATES)."""
        chance = np.random.default_rng([self.seed, PATCHES, epoch]).random(
            (4, self.count, CANDIDATES)
        )
        sides = self.tensors.values.sides[self.indices]
        ends = np.cumsum(sides.prod(1))
        rows = np.searchsorted(ends, np.floor(chance[0] * ends[-1]), side="right")
        room = np.maximum(sides[rows] - self.tensors.side, 0) + 1
        top, left = (np.floor(chance[i + 1] * room[..., i]).astype(np.int64) for i in (0, 1))
        turn = np.floor(chance[3] * TURNS).astype(np.int64) * self.flip
        return Places(self.indices[rows], top, left, turn)

    def _choose(self, places: Places, rows: NDArray[np.int64]) -> Places:
        """Take the first place of each patch that is not blank, else the last.

        Scans and microscopy are mostly background, from which nothing is learned.
        """
        chosen = [self._first_not_blank(places.at(row)) for row in rows]
        return places.at((rows, chosen))

    def _first_not_blank(self, places: Places) -> int:
        for i in range(CANDIDATES - 1):
            if not self.tensors.is_blank(*(int(one[i]) for one in places[:3])):
                return i
        return CANDIDATES - 1


class TiledPatches:
    """Batches of the same patches in every epoch: tiles of the images at `images`.

    Parameters
    ----------
    tensors : Cutter
    images : (n,) int64
    size : int
        Patches in a batch.
    seed : int
    corruption : Corruption, optional
        Noise on the inputs, always the same for a patch.

    Attributes
    ----------
    indices : (m,) int64
        A number of each patch, from which its noise follows.
    """

    def __init__(
        self,
        tensors: Cutter,
        images: NDArray[np.int64],
        size: int,
        seed: int = 0,
        corruption: Corruption | None = None,
    ) -> None:
        self.tensors, self.size, self.seed, self.corruption = tensors, size, seed, corruption
        corners = [_tile(tensors.values.sides[image], tensors.side) for image in images]
        counts = [len(each) for each in corners]
        image, (top, left) = np.repeat(images, counts), np.concatenate(corners).T
        self._places = Places(image, top, left, np.zeros_like(image))
        tile = np.concatenate([np.arange(count) for count in counts])
        self.indices = image * MAX_TILES + tile

    def in_order(self, part: Share = WHOLE) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets of all patches once, the last batch shorter.

        Of several parts (i, n), yield every n-th batch, from the i-th on.
        """
        for rows in blocks(len(self.indices), self.size, part):
            x, targets = self.tensors.cut(self._places.at(rows))
            if self.corruption is not None:
                x = self.corruption.apply_fixed(x, self.seed, self.indices[rows])
            yield x, targets


def make_patch_batches(
    run: "Run", images: Images, split: Split, device: torch.device, shares: Shares
) -> tuple[PatchBatches, TiledPatches]:
    """Return the patches that a denoiser is trained on, and those it is validated on."""
    record, config = run.record, run.record.training_config
    noise, values = config.corruption, images.values
    if noise is not None and config.no_clean:  # no clean image is seen, also where there is one
        values, noise = with_fixed_corruption(images, noise, config.seed), None
    targets = images.clean if images.clean is not None and not config.no_clean else values
    side, size = record.model_config.shape[1], config.batch_size or 1
    cutter = Cutter(values, targets, side, record.preprocessing, device)
    training = PatchBatches(
        cutter,
        split.train,
        record.per_epoch,
        size,
        config.seed,
        shares,
        bool(config.flip),
        noise,
    )
    at_once = size_of((0, shares.count), size)
    return training, TiledPatches(cutter, split.validation, at_once, config.seed, noise)


def noise_of_patches(
    images: Images, indices: NDArray[np.int64], preprocessing: Preprocessing, config: TrainingConfig
) -> str:
    """Return 16 hexadecimal digits of the middle of images with their fixed noise.

    As `noise_fingerprint`, of which it is the counterpart for images.
    """
    assert config.corruption is not None
    device = torch.device("cpu")
    cutter = Cutter(images.values, images.values, config.patch or 1, preprocessing, device)
    digest = hashlib.sha256()
    for index in indices:
        row = np.array([index])
        x = config.corruption.apply_fixed(cutter.gather(row), config.seed, row)
        digest.update(x.movedim(1, -1).contiguous().numpy().data)
    return digest.hexdigest()[:16]


def with_fixed_corruption(images: Images, corruption: Corruption, seed: int) -> Ragged:
    """Return images that each have noise once and for all, not rounded to gray values.

    So a training without clean images can be tried where there are clean ones to compare with.

    Returns
    -------
    Ragged
        Of float32, on the scale of the images, from 0 to 255 and beyond.
    """
    noisy = []
    for index in range(len(images)):
        x = torch.from_numpy(images.values[index][None]).movedim(-1, 1) / 255
        x = corruption.apply_fixed(x, seed, np.array([index])) * 255
        noisy.append(x[0].movedim(0, -1).numpy().reshape(-1))
    return Ragged(np.concatenate(noisy), images.values.sides, images.channels)


def _turn(patch: NDArray[Any], turn: int) -> NDArray[Any]:
    """Rotate a patch (P, P, C) by a multiple of 90°, and mirror it if `turn` is 4 or more."""
    if not turn:
        return patch
    turned = np.rot90(patch, turn % 4)
    return turned[:, ::-1] if turn >= TURNS // 2 else turned


def _tile(sides: Sequence[int], side: int) -> NDArray[np.int64]:
    """Return the upper left corners (m, 2) of tiles of an image, evenly spread."""
    steps = [
        np.round(np.linspace(0, max(length - side, 0), max(1, length // side))) for length in sides
    ]
    corners = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 2).astype(np.int64)
    return corners[evenly_spaced(len(corners), MAX_TILES)]

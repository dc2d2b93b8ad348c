"""`Model`: what every model in use can do, whatever computes it."""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.load import load_with
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.display import Displayed
from isthmus.errors import ModelError, OptionError
from isthmus.inference.batches import join_batches
from isthmus.inference.numbers import find_range, from_unit, to_unit
from isthmus.inference.tiles import split_into_tiles
from isthmus.models.tasks import TASKS, Task, with_article
from isthmus.runtime import map_in_threads, thread_count

CODE = "code"  # the name of the bottleneck among the layers

# Of an image that is denoised, a tile is as much as so many batches: its margin is computed twice.
TILE_BATCHES = 4

Values = NDArray[Any] | Samples
Result = TypeVar("Result")


class Model(Displayed, ABC):
    """A model in use: it turns samples into codes, and what else its task is.

    `TrainedModel` computes by torch, `OnnxModel` by ONNX Runtime; a third-party `Encoder`
    only encodes. Commands, sessions and indexes take any of them.

    All methods take samples in the layout of `Samples`: images (N, H, W, C) uint8 or signals
    (N, L, C) float32, of the model's shape. They work in batches and pass these through `track`,
    which may show progress or stop the work by an exception. Threads may share a model.
    """

    preprocessing: Preprocessing

    # -- what it is ---------------------------------------------------------------------------

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages call the model."""

    @property
    @abstractmethod
    def task(self) -> Task | None:
        """What the model does besides encoding; None if it only encodes."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of one sample x: (C, H, W), or (C, L) for signals."""

    @property
    @abstractmethod
    def code_size(self) -> int:
        """D, how many numbers a code has."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Of a classifier or segmenter; otherwise empty."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """16 hexadecimal digits of all that the codes depend on."""

    @property
    def has_prior(self) -> bool:
        """Whether it was trained so that codes follow the standard normal distribution."""
        return False

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """How many samples pass the model at once."""

    @property
    def margin(self) -> int:
        """Of a denoiser: how many pixels in each direction a pixel of its answer depends on."""
        return 0

    @property
    def step(self) -> int:
        """Of a denoiser: how many pixels become one; tiles begin at multiples of it."""
        return 1

    @property
    def tile_pixels(self) -> int:
        """Of a denoiser: about how many pixels it computes at once."""
        return TILE_BATCHES * self.batch_size * math.prod(self.shape[1:])

    # -- samples and codes --------------------------------------------------------------------

    def read(
        self, source: str | Path, *, limit: int | None = None, track: Track = untracked
    ) -> Samples:
        """Load a source with this model's preprocessing; see `isthmus.load`."""
        return load_with(source, self.preprocessing, limit=limit, track=track)

    def encode(self, values: Values, *, track: Track = untracked) -> NDArray[np.float32]:
        """Turn samples into codes; of a classifier or segmenter, the features before its head.

        Returns
        -------
        z : (N, D) float32
        """
        return self._collect(self.features(values), len(values), "Encoding", track)

    @abstractmethod
    def features(self, values: Values, layer: str = CODE) -> Iterator[NDArray[np.float32]]:
        """Yield batches of the output of a layer, after its activation: (n, *shape) float32.

        Raises
        ------
        OptionError
            If there is no such layer.
        """

    def feature_shape(self, layer: str = CODE) -> tuple[int, ...]:
        """Return the shape of a layer's output for one sample.

        Raises
        ------
        OptionError
            If there is no such layer.
        """
        if layer != CODE:
            raise OptionError(
                f"there is no layer {layer!r} in {self.name}, only its code; export the layer "
                "with isthmus export RUN --layer NAME."
            )
        return (self.code_size,)

    # -- answers ------------------------------------------------------------------------------

    def decode(self, z: NDArray[np.float32], *, track: Track = untracked) -> NDArray[Any]:
        """Turn codes (N, D) into samples: (N, H, W, C) uint8 or (N, L, C) float32.

        Raises
        ------
        ModelError
            If the model is not an autoencoder, or the codes are not of its size.
        """
        self.require_task("reconstruct")
        if z.ndim != 2 or z.shape[1] != self.code_size:
            raise ModelError(f"codes are (N, {self.code_size}), not {z.shape}.")
        if not len(z):
            raise ModelError("there are no codes to decode; give at least one.")
        blocks = self._split(np.ascontiguousarray(z, np.float32))
        return self._collect(self._map(self._decode, blocks), len(z), "Decoding", track)

    def reconstruct(self, values: Values, *, track: Track = untracked) -> NDArray[Any]:
        """Encode and decode samples; returns samples of the same kind.

        Raises
        ------
        ModelError
            If the model is not an autoencoder.
        """
        self.require_task("reconstruct")
        blocks = self._map(self._reconstruct, self.blocks(values))
        return self._collect(blocks, len(values), "Reconstructing", track)

    def denoise(
        self,
        image: NDArray[Any],
        *,
        value_range: tuple[float, float] | None = None,
        track: Track = untracked,
    ) -> NDArray[Any]:
        """Take the noise out of an image of any size; nothing is resized.

        A large image is computed in tiles, with the result of one piece.

        Parameters
        ----------
        image : (H, W, C) array
            With as many channels as the model has; `isthmus.denoise_values` takes others too.
            Fractions from 0 to 1, which noise may exceed, or whole numbers.
        value_range : (float, float), optional
            The numbers that are black and white; by default 0 and 255 of uint8, 65535 of uint16
            and 1 of fractions.
        track : callable
            Shows progress of the tiles of a large image.

        Returns
        -------
        (H, W, C)
            Of the type of the image, within the range.

        Raises
        ------
        ModelError
            If the model is no denoiser, or the image has other channels.
        SourceError
            If the image holds NaN, or numbers of an unknown range.
        """
        self.require_task("denoise")
        if image.ndim != 3 or image.shape[2] != self.shape[0] or not image.size:
            raise ModelError(f"this model takes images (H, W, {self.shape[0]}), not {image.shape}.")
        low, high = find_range(image, value_range)
        tiles = split_into_tiles(image.shape[:2], self.tile_pixels, self.margin, self.step)
        clean = np.empty(image.shape, image.dtype)
        for tile in tiles if len(tiles) == 1 else track(tiles, len(tiles), "Denoising"):
            x = self._denoise(to_unit(image[tile.read], low, high))
            clean[tile.write] = from_unit(x[:, *tile.keep], low, high, image.dtype)
        return clean

    def predict(
        self, values: Values, *, track: Track = untracked
    ) -> NDArray[np.int64] | NDArray[np.uint8]:
        """Return the most probable class of each sample, or of each pixel.

        These are exactly `probabilities(values).argmax(-1)`: where both are needed, one pass is
        enough.

        Returns
        -------
        (N,) int64 or (N, H, W) uint8
            Indices of the class names.

        Raises
        ------
        ModelError
            If the model is an autoencoder.
        """
        return self._collect(self.predictions(values), len(values), "Predicting", track)

    def predictions(self, values: Values) -> Iterator[NDArray[np.int64] | NDArray[np.uint8]]:
        """Yield `predict` batch by batch, where the answers for all samples are too many.

        Raises
        ------
        ModelError
            If the model is an autoencoder.
        """
        self.require_task("classify", "segment")
        return self._map(self._predict, self.blocks(values))

    def probabilities(self, values: Values, *, track: Track = untracked) -> NDArray[np.float32]:
        """Return the probability of each class, for each sample or each pixel.

        Returns
        -------
        (N, K) or (N, H, W, K) float32

        Raises
        ------
        ModelError
            If the model is an autoencoder.
        """
        self.require_task("classify", "segment")
        blocks = self._map(self._probabilities, self.blocks(values))
        return self._collect(blocks, len(values), "Predicting", track)

    # -- identity -----------------------------------------------------------------------------

    def check_fingerprint(self, model: str, what: str, remedy: str) -> None:
        """Reject what was made by another model.

        Parameters
        ----------
        model : str
            The fingerprint of the model that made it.
        what, remedy : str
            The beginning and the end of the message: what it is, such as "this map was drawn for",
            and how to get a new one.

        Raises
        ------
        ModelError
        """
        if model != self.fingerprint:
            raise ModelError(
                f"{what} another model, or before this one was trained further; {remedy}."
            )

    def require_task(self, *tasks: Task) -> None:
        """Reject what only models of these tasks can do.

        Raises
        ------
        ModelError
            If the model has another task.
        """
        if self.task not in tasks:
            wanted = " or ".join(with_article(TASKS[task]) for task in tasks)
            own = "an encoder" if self.task is None else with_article(TASKS[self.task])
            raise ModelError(f"this model, {self.name}, is {own}; this needs {wanted}.")

    # -- batches ------------------------------------------------------------------------------

    def blocks(self, values: Values) -> Iterator[NDArray[Any]]:
        """Yield samples in batches: contiguous arrays (n, H, W, C) uint8 or (n, L, C) float32.

        Raises
        ------
        ModelError
            If there are no samples, or they are not of the model's shape.
        """
        array = values.values if isinstance(values, Samples) else values
        channels, *sides = self.shape
        if array.shape[1:] == tuple(sides) and channels == 1:
            array = array[..., None]  # gray images may come without their axis of one
        kind = np.uint8 if len(sides) == 2 else np.float32
        if array.shape[1:] != (*sides, channels) or array.dtype != kind:
            raise ModelError(
                f"this model takes samples (N, {', '.join(map(str, (*sides, channels)))}) of "
                f"{kind.__name__}, not {array.shape} of {array.dtype}; {type(self).__name__}.read "
                "resizes and recolors images."
            )
        if not len(array):
            raise ModelError("there are no samples to compute; give at least one.")
        # torch wants contiguous, writable memory; only blocks that are not are copied.
        for block in self._split(array):
            yield np.require(block, requirements=["C", "W"])

    # What an engine computes for one block of samples or codes, each for models of its task.

    def _decode(self, z: NDArray[np.float32]) -> NDArray[Any]:
        raise NotImplementedError

    def _reconstruct(self, block: NDArray[Any]) -> NDArray[Any]:
        raise NotImplementedError

    def _denoise(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the noise out of one image (C, H, W), which is not clipped."""
        raise NotImplementedError

    def _predict(self, block: NDArray[Any]) -> NDArray[np.int64] | NDArray[np.uint8]:
        raise NotImplementedError

    def _probabilities(self, block: NDArray[Any]) -> NDArray[np.float32]:
        raise NotImplementedError

    def _map(
        self, compute: Callable[[NDArray[Any]], Result], blocks: Iterable[NDArray[Any]]
    ) -> Iterator[Result]:
        """Compute blocks in order, each by one thread, and several at the same time.

        So answers do not depend on the number of threads. The threads of a layer would wait for
        each other at its end, and far longer where other processes want the same cores. On two
        cores, blocks of one thread each are 1.0 to 1.4 times as fast for the presets, and next to
        two busy processes 2.3 to 4.3 times.
        """

        def compute_alone(block: NDArray[Any]) -> Result:
            with self._one_thread():
                return compute(block)

        blocks = iter(blocks)
        first = list(itertools.islice(blocks, 2))
        threads = self._threads if len(first) > 1 else 1
        blocks = itertools.chain(first, blocks)
        if threads == 1:
            return map(compute_alone, blocks)
        return map_in_threads(compute_alone, blocks, threads, "blocks")

    @property
    def _threads(self) -> int:
        """How many threads the engine computes with when it is called from this one."""
        return thread_count()

    def _one_thread(self) -> AbstractContextManager[None]:
        """Compute a block in the calling thread alone; for engines that would take more."""
        return nullcontext()

    def _collect(
        self, batches: Iterable[NDArray[Any]], count: int, title: str, track: Track
    ) -> NDArray[Any]:
        """Compute the batches of `count` samples and join them."""
        return join_batches(track(batches, math.ceil(count / self.batch_size), title), count)

    def _split(self, values: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Yield views of at most `batch_size` rows."""
        for start in range(0, len(values), self.batch_size):
            yield values[start : start + self.batch_size]

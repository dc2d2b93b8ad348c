"""`TrainedModel`: a model with everything needed to use it."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.cache import Track, untracked
from isthmus.data.load import load_with
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.errors import ModelError, OptionError
from isthmus.files import fingerprint, from_json, reporting_damage, to_json, write_bytes
from isthmus.models.config import ModelConfig
from isthmus.models.layers import Autoencoder, Network, channels_last
from isthmus.models.registry import ACTIVATIONS, TASKS, Task
from isthmus.models.summary import Layer, summarize
from isthmus.runtime import configure_process

FILE = "model.safetensors"
CODE = "code"  # the name of the bottleneck among the layers
BATCH_NUMBERS = 2**22  # that the widest layer gives for a batch, about: more leave the cache
BATCH_LARGEST = 512

Values = NDArray[Any] | Samples
Precision = Literal["32", "bf16"]


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model, its spec and its preprocessing; nothing else decides what it answers.

    `encode` goes with every model, `decode` and `reconstruct` with autoencoders, `predict` and
    `probabilities` with classifiers and segmenters.

    All methods take samples as `Samples` holds them, images (N, H, W, C) uint8 or signals
    (N, L, C) float32, of the shape that the model was trained on, and work in batches.

    Examples
    --------
    >>> trained = TrainedModel.load("runs/mnist")  # doctest: +SKIP
    >>> z = trained.encode(trained.read("some/digits/"))  # doctest: +SKIP
    """

    config: ModelConfig
    preprocessing: Preprocessing
    module: Network
    precision: Precision = "32"

    @classmethod
    def load(
        cls, path: str | Path, device: str = "cpu", precision: Precision = "32"
    ) -> "TrainedModel":
        """Load a model from its run folder or its weights file.

        Parameters
        ----------
        path : path
        device : str
            A device of torch.
        precision : str
            "32", or "bf16" to compute in bfloat16: up to twice as fast on processors that have it,
            with two to three correct digits.

        Raises
        ------
        ModelError
            If there is none, or it cannot be read.
        """
        configure_process()
        path = Path(path)
        if not path.exists():
            raise ModelError(f"there is no run folder and no file of weights called {path}.")
        file = path / FILE if path.is_dir() else path
        if not file.exists():
            raise ModelError(f"{path} holds no trained model: there is no {file.name}.")
        with reporting_damage(file, ModelError):
            content = file.read_bytes()
            about = json.loads(_metadata(content)["isthmus"])
            config = from_json(ModelConfig, about["config"])
            with torch.device("meta"):  # draws no first weights, only to replace them
                module = config.build()
            module.load_state_dict(safetensors.torch.load(content), assign=True)
            module = channels_last(module)
            preprocessing = from_json(Preprocessing, about["preprocessing"])
        return cls(config, preprocessing, module.to(device).eval(), precision)

    def save(self, path: str | Path) -> None:
        """Write spec, preprocessing and weights to one .safetensors file, whole or not at all."""
        about = {"config": to_json(self.config), "preprocessing": to_json(self.preprocessing)}
        weights = {name: tensor.cpu().contiguous() for name, tensor in self._state.items()}
        write_bytes(Path(path), safetensors.torch.save(weights, {"isthmus": json.dumps(about)}))

    def read(
        self, source: str | Path, *, limit: int | None = None, track: Track = untracked
    ) -> Samples:
        """Load a source as this model wants it; see `isthmus.load`."""
        return load_with(source, self.preprocessing, limit=limit, track=track)

    def encode(self, values: Values) -> NDArray[np.float32]:
        """Turn samples into codes; of a classifier or segmenter, the features before its head.

        Returns
        -------
        z : (N, D) float32
        """
        return _joined(self.features(values))

    def decode(self, z: NDArray[np.float32]) -> NDArray[Any]:
        """Turn codes (N, D) into samples: (N, H, W, C) uint8 or (N, L, C) float32."""
        module = self._autoencoder()
        if z.ndim != 2 or z.shape[1] != self.config.code_size:
            raise ModelError(f"codes are (N, {self.config.code_size}), not {z.shape}.")
        codes = torch.from_numpy(np.ascontiguousarray(z, np.float32)).to(self._device)
        return _joined(
            self.preprocessing.from_output(self.activate(self._run(module.decode, part)))
            for part in torch.split(codes, self.batch)
        )

    def features(self, values: Values, layer: str = CODE) -> Iterator[Tensor]:
        """Yield batches of what leaves a layer, behind its activation: (n, *shape) float32.

        Parameters
        ----------
        values : array or Samples
        layer : str
            "code", or a name of `layers`.

        Raises
        ------
        SettingsError
            If there is no such layer.
        """
        if layer == CODE:
            for x in self.inputs(values):
                yield self._run(self.module.encode, x)
            return
        part = self.module.get_submodule(self.layer(layer).output)
        caught: list[Tensor] = []
        hook = part.register_forward_hook(lambda part, x, output: caught.append(output))
        try:
            for _ in self.outputs(values):
                yield caught.pop().float()
        finally:
            hook.remove()

    @cached_property
    def layers(self) -> list[Layer]:
        """The layers in the order in which a sample passes them; see `summarize`."""
        return summarize(self.config)

    def layer(self, name: str) -> Layer:
        """Return the layer of that name, or say which there are."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join([CODE, *(layer.name for layer in self.layers)])
        raise OptionError(f"there is no layer {name!r}; there are {names}.")

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the spec, the preprocessing and all weights."""
        weights = (tensor.cpu().contiguous().numpy() for tensor in self._state.values())
        parts = (np.atleast_1d(array).data for array in weights)
        return fingerprint(self.config, self.preprocessing, *parts)

    def check(self, model: str, what: str, again: str) -> None:
        """Refuse what another model made.

        Parameters
        ----------
        model : str
            The fingerprint of the model that made it.
        what, again : str
            What it is, such as "this map was drawn for", and the way to another.

        Raises
        ------
        ModelError
        """
        if model != self.fingerprint:
            raise ModelError(
                f"{what} another model, or before this one was trained further; {again}."
            )

    def reconstruct(self, values: Values) -> NDArray[Any]:
        """Send samples through the code and back, to samples of the same kind."""
        self._autoencoder()
        return _joined(
            self.preprocessing.from_output(self.activate(output))
            for _, output in self.outputs(values)
        )

    def predict(self, values: Values) -> NDArray[np.int64] | NDArray[np.uint8]:
        """Return the likeliest class of each sample, or of each pixel.

        Returns
        -------
        (N,) int64 or (N, H, W) uint8
            Indices of the spec's class names.

        Raises
        ------
        ModelError
            If the model is an autoencoder.
        """
        self.reject_task("reconstruct")
        likeliest = (output.argmax(1) for _, output in self.outputs(values))
        kind = torch.int64 if self.config.task == "classify" else torch.uint8
        return _joined(classes.to(kind) for classes in likeliest)

    def probabilities(self, values: Values) -> NDArray[np.float32]:
        """Return how likely each class is, for each sample or each pixel.

        Returns
        -------
        (N, K) or (N, H, W, K) float32

        Raises
        ------
        ModelError
            If the model is an autoencoder.
        """
        self.reject_task("reconstruct")
        return _joined(self.activate(output).movedim(1, -1) for _, output in self.outputs(values))

    def reject_task(self, *tasks: Task) -> None:
        """Refuse to be asked for what a model of these tasks does not do.

        Raises
        ------
        ModelError
        """
        if self.config.task in tasks:
            wanted = [name for task, name in TASKS.items() if task not in tasks]
            raise ModelError(
                f"this model, {self.config.model}, is {_a(TASKS[self.config.task])}; this needs "
                f"{' or '.join(map(_a, wanted))}."
            )

    def _autoencoder(self) -> Autoencoder:
        self.reject_task("classify", "segment")
        assert isinstance(self.module, Autoencoder)
        return self.module

    def inputs(self, values: Values) -> Iterator[Tensor]:
        """Yield batches x, as the model takes them.

        Raises
        ------
        ModelError
            If the samples are not of the model's shape.
        """
        array = values.values if isinstance(values, Samples) else values
        channels, *sides = self.config.shape
        if array.shape[1:] == tuple(sides) and channels == 1:
            array = array[..., None]  # gray images may come without their axis of one
        kind = np.uint8 if len(sides) == 2 else np.float32
        if array.shape[1:] != (*sides, channels) or array.dtype != kind:
            raise ModelError(
                f"this model takes samples (N, {', '.join(map(str, (*sides, channels)))}) of "
                f"{kind.__name__}, not {array.shape} of {array.dtype}; TrainedModel.read resizes and "
                "recolors images."
            )
        for start in range(0, len(array), self.batch):
            block = np.require(array[start : start + self.batch], requirements=["C", "W"])
            batch = torch.from_numpy(block).to(self._device)
            yield self.preprocessing.to_input(batch)

    def outputs(self, values: Values) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches x with the decoder's output for them, before the activation."""
        for x in self.inputs(values):
            yield x, self._run(self.module, x)

    def activate(self, output: Tensor) -> Tensor:
        """Apply the output activation."""
        return ACTIVATIONS[self.config.activation](output)

    def _run(self, part: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Compute a part of the module in the chosen precision."""
        narrow = self.precision == "bf16"
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=narrow),
        ):
            return part(x).float()

    @property
    def _state(self) -> dict[str, Tensor]:
        return self.module.state_dict()

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device

    @cached_property
    def batch(self) -> int:
        """How many samples go through the model at once."""
        widest = max(math.prod(layer.shape) for layer in self.layers)
        fitting: int = 2 ** round(math.log2(max(1, BATCH_NUMBERS / widest)))
        return min(fitting, BATCH_LARGEST)


def _metadata(content: bytes) -> dict[str, str]:
    """Return the metadata in the header of a .safetensors file: its length, then JSON."""
    length = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + length])["__metadata__"]
    return metadata


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _joined(batches: Iterator[Tensor]) -> NDArray[Any]:
    with torch.inference_mode():
        return np.concatenate([batch.cpu().numpy() for batch in batches])

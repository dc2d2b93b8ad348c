"""`TrainedModel`: a module with everything needed to use it, computed by torch."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.damage import reporting_damage
from isthmus.data.cache import Track, untracked
from isthmus.data.preprocess import Preprocessing
from isthmus.errors import ModelError, OptionError, describe_unknown, require_name
from isthmus.files import suggest_path, write_bytes
from isthmus.inference.contract import MODEL_FILE, is_weights_file
from isthmus.inference.model import CODE, Model, Values
from isthmus.inference.weights import fingerprint_model, pack_model, unpack_model
from isthmus.models.config import ModelConfig
from isthmus.models.denoisers import Denoiser
from isthmus.models.layers import Autoencoder, Network, channels_last, require_encoder
from isthmus.models.reach import measure_reach
from isthmus.models.recorder import Recorder
from isthmus.models.registry import ACTIVATIONS
from isthmus.models.summary import Layer, summarize_network
from isthmus.models.tasks import WITH_PRIOR, Task
from isthmus.places import require_regular
from isthmus.runtime import computing_threads, configure_process
from isthmus.temporaries import sweep_for

WEIGHTS_SUFFIX = ".safetensors"
RESTORE = "restore it from a copy, or train the model again"  # what to do about a damaged file
# A batch whose widest layer has about 2**22 numbers (16 MB in float32) still fits the cache of a
# processor. Larger batches are slower, because each layer reads its input back from memory.
MAX_BATCH_VALUES = 2**22
MAX_BATCH_SIZE = 512

Precision = Literal["32", "bf16"]


@dataclass(frozen=True, eq=False)
class TrainedModel(Model):
    """A model config, its preprocessing and its weights; its answers depend on nothing else.

    Every model can `encode`. Autoencoders can also `decode` and `reconstruct`; classifiers and
    segmenters can also `predict` and return `probabilities`.

    All methods take samples in the layout of `Samples`: images (N, H, W, C) uint8 or signals
    (N, L, C) float32, of the shape that the model was trained on. They work in batches and pass
    these through `track`, which may show progress or stop the work by an exception.

    Threads may share a model, as no method changes it. What is computed once (`layers`,
    `fingerprint`, `batch_size`) may at worst be computed twice, with the same result.

    Examples
    --------
    >>> trained = TrainedModel.load("runs/mnist")  # doctest: +SKIP
    >>> z = trained.encode(trained.read("some/digits/"))  # doctest: +SKIP
    """

    config: ModelConfig
    preprocessing: Preprocessing
    module: Network
    precision: Precision = "32"

    # -- files ------------------------------------------------------------------------------

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
            "32", or "bf16" to compute in bfloat16: up to twice as fast on processors that support
            it, with two to three correct digits.

        Raises
        ------
        ModelError
            If there is no model, or it cannot be read.
        """
        require_name("the run folder", path, ModelError)
        path = Path(path)
        if not path.exists():
            near = suggest_path(path, _is_model)
            raise ModelError(f"there is no run folder and no file of weights called {path}{near}.")
        file = path / MODEL_FILE if path.is_dir() else path
        if not file.exists():
            raise ModelError(f"{path} holds no trained model: there is no {file.name}.")
        if file.suffix != WEIGHTS_SUFFIX:
            raise ModelError(
                f"{path} is no file of weights; give a run folder or a {WEIGHTS_SUFFIX} file."
            )
        with reporting_damage(file, ModelError, RESTORE):
            parts = unpack_model(file.read_bytes())
        return cls._on_device(*parts, device, precision)

    @classmethod
    def from_bytes(
        cls, content: bytes, device: str = "cpu", precision: Precision = "32"
    ) -> "TrainedModel":
        """Return the model whose `to_bytes` gave this content; see `load`.

        Raises
        ------
        ModelError
            If the content cannot be read.
        """
        with reporting_damage("the content of the model", ModelError):
            parts = unpack_model(content)
        return cls._on_device(*parts, device, precision)

    @classmethod
    def _on_device(
        cls,
        config: ModelConfig,
        preprocessing: Preprocessing,
        module: Network,
        fingerprint: str,
        device: str,
        precision: Precision,
    ) -> "TrainedModel":
        configure_process()
        model = cls(config, preprocessing, channels_last(module).to(device).eval(), precision)
        vars(model)["fingerprint"] = fingerprint  # as the property of that name keeps it
        return model

    def save(self, path: str | Path) -> None:
        """Write `to_bytes` to a .safetensors file, whole or not at all.

        Raises
        ------
        OptionError
            If there is a file that holds no weights of Isthmus, which is left alone.
        """
        path = Path(path)
        require_regular(path)
        sweep_for(path)
        if path.exists() and not is_weights_file(path):
            raise OptionError(
                f"{path} exists and holds no weights of Isthmus; choose another name."
            )
        write_bytes(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return config, preprocessing and weights as the content of a .safetensors file."""
        return pack_model(self.config, self.preprocessing, self.module)

    def __reduce__(self) -> tuple[Any, ...]:
        # As the content of a file: it outlives a change of our classes, which a module does not.
        # On the CPU, as the process that reads it may have no other device.
        return TrainedModel.from_bytes, (self.to_bytes(), "cpu", self.precision)

    # -- what it is -------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of its row in `MODELS`."""
        return self.config.model

    @property
    def task(self) -> Task:
        """What the model does, a key of `TASKS`."""
        return self.config.task

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample x: (C, H, W), or (C, L) for signals."""
        return self.config.shape

    @property
    def code_size(self) -> int:
        """D, how many numbers a code has."""
        return self.config.code_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of a classifier or segmenter; otherwise empty."""
        return self.config.class_names

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the config, the preprocessing and all weights."""
        return fingerprint_model(self.config, self.preprocessing, self.module.state_dict())

    @property
    def has_prior(self) -> bool:
        """See `Model`."""
        return self.config.model in WITH_PRIOR

    @cached_property
    def batch_size(self) -> int:
        """How many samples pass the model at once: a power of two."""
        widest = max(math.prod(layer.shape) for layer in self.layers)
        fitting: int = 2 ** round(math.log2(max(1, MAX_BATCH_VALUES / widest)))
        return min(fitting, MAX_BATCH_SIZE)

    @cached_property
    def margin(self) -> int:
        """See `Model`."""
        return measure_reach(self.module) if self.task == "denoise" else 0

    @property
    def step(self) -> int:
        """See `Model`."""
        return self.module.step if isinstance(self.module, Denoiser) else 1

    # -- layers -----------------------------------------------------------------------------

    def features(self, values: Values, layer: str = CODE) -> Iterator[NDArray[np.float32]]:
        """Yield batches of the output of a layer, after its activation: (n, *shape) float32.

        Parameters
        ----------
        values : array or Samples
        layer : str
            "code", or a name of `layers`.

        Raises
        ------
        OptionError
            If there is no such layer.
        """
        if layer == CODE:
            encode = require_encoder(self.module).encode
            return self._map(lambda block: self._encode(encode, block), self.blocks(values))
        return (_to_array(one[layer]) for one in self._layer_outputs(values, [layer]))

    def feature_shape(self, layer: str = CODE) -> tuple[int, ...]:
        """Return the shape of a layer's output for one sample; see `features`."""
        return (self.code_size,) if layer == CODE else self.layer(layer).shape

    def activations(
        self, values: Values, layers: Sequence[str] | None = None, *, track: Track = untracked
    ) -> dict[str, NDArray[np.float32]]:
        """Return the outputs of several layers, after their activations, from one pass.

        Parameters
        ----------
        values : array or Samples
        layers : sequence of str, optional
            Names of `layers`; by default all.

        Returns
        -------
        dict
            Layer name: (N, *shape) float32.

        Raises
        ------
        OptionError
            If there is no such layer.
        """
        names = [layer.name for layer in self.layers] if layers is None else list(layers)
        # Moved off the device batch by batch: all layers of all samples would not fit there.
        count = math.ceil(len(values) / self.batch_size)
        passes = track(self._layer_outputs(values, names), count, "Encoding")
        batches = [
            {name: _to_array(output) for name, output in outputs.items()} for outputs in passes
        ]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in names}

    @cached_property
    def layers(self) -> list[Layer]:
        """The layers in the order in which a sample passes them; see `summarize`."""
        return summarize_network(self.module, self.config.shape)

    def layer(self, name: str) -> Layer:
        """Return the layer of that name.

        Raises
        ------
        OptionError
            If there is none; the message lists the names.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = [CODE, *(layer.name for layer in self.layers)]
        raise OptionError(f"{describe_unknown('layer', name, names)}.")

    # -- batches ----------------------------------------------------------------------------

    def inputs(self, values: Values) -> Iterator[Tensor]:
        """Yield batches x as the module takes them; raises as `blocks`."""
        for block in self.blocks(values):
            yield self._to_input(block)

    def outputs(self, values: Values) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches x with the module's output for them, before the output activation."""
        for x in self.inputs(values):
            yield x, self._run(self.module, x)

    def passes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of a batch x, and the output before its activation, from one pass."""
        with self.computing():
            z, output = require_encoder(self.module).code_and_output(x)
            return z.float(), output.float()

    def activate(self, output: Tensor) -> Tensor:
        """Apply the output activation."""
        return ACTIVATIONS[self.config.activation](output)

    def rebuild(self, values: Values) -> NDArray[Any]:
        """Encode and decode samples without any style, which only a style bank can leave out.

        Raises
        ------
        ModelError
            If the model has no decoder of samples.
        """
        self.require_task("reconstruct", "stylize")
        return np.concatenate(list(self._map(self._reconstruct, self.blocks(values))))

    def _encode(
        self, encode: Callable[[Tensor], Tensor], block: NDArray[Any]
    ) -> NDArray[np.float32]:
        return _to_array(self._run(encode, self._to_input(block)))

    def _decode(self, z: NDArray[np.float32]) -> NDArray[Any]:
        assert isinstance(self.module, Autoencoder)  # for the type checker
        codes = torch.from_numpy(z).to(self.device)
        return self._to_samples(self._run(self.module.decode, codes))

    def _reconstruct(self, block: NDArray[Any]) -> NDArray[Any]:
        return self._to_samples(self._run(self.module, self._to_input(block)))

    def _denoise(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        clean = self._run(self.module, torch.from_numpy(x)[None].to(self.device))
        return _to_array(clean[0])

    def _predict(self, block: NDArray[Any]) -> NDArray[np.int64] | NDArray[np.uint8]:
        kind = torch.int64 if self.task == "classify" else torch.uint8
        return _to_array(self._classify(block).argmax(1).to(kind))

    def _probabilities(self, block: NDArray[Any]) -> NDArray[np.float32]:
        return _to_array(self._classify(block).movedim(1, -1))

    def _classify(self, block: NDArray[Any]) -> Tensor:
        """Return the probabilities (n, K) or (n, K, H, W) for a block."""
        return self.activate(self._run(self.module, self._to_input(block)))

    def _to_input(self, block: NDArray[Any]) -> Tensor:
        return self.preprocessing.to_input(torch.from_numpy(block).to(self.device))

    def _layer_outputs(self, values: Values, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
        """Yield, for each batch, the outputs of layers by name."""
        sources = {self.layer(name).output: name for name in names}
        # In the order of the model, so that the pass can end after the last of them.
        in_order = [layer.output for layer in self.layers if layer.output in sources]

        def record(block: NDArray[Any]) -> dict[str, Tensor]:
            # A recorder belongs to one thread; blocks may be computed by several.
            recorder = Recorder(self.module, in_order)
            with self.computing():
                outputs = recorder(self._to_input(block))
            # What is recorded of a layer is its activation's output.
            return {sources[module]: output for module, output in outputs.items()}

        return self._map(record, self.blocks(values))

    def _run(self, part: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Compute a part of the module."""
        with self.computing():
            return part(x).float()

    @property
    def _threads(self) -> int:
        return torch.get_num_threads() if self.device.type == "cpu" else 1

    def _one_thread(self) -> AbstractContextManager[None]:
        return computing_threads(1)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute without gradients and in the chosen precision; torch keeps both per thread."""
        is_bf16 = self.precision == "bf16"
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=is_bf16)
        with torch.inference_mode(), autocast:
            yield

    def _to_samples(self, output: Tensor) -> NDArray[Any]:
        return _to_array(self.preprocessing.from_output(self.activate(output)))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device


def _is_model(path: Path) -> bool:
    """Return whether a path is that of a run folder, a file of weights or an ONNX file."""
    return path.suffix in (WEIGHTS_SUFFIX, ".onnx") or (path / MODEL_FILE).is_file()


def _to_array(output: Tensor) -> NDArray[Any]:
    return output.cpu().numpy()

"""Third-party encoders: anybody's features for maps, indexes and probes.

An encoder turns images into features and does nothing else. Its own scaling of pixels,
(pixel / 255 - mean) / std, comes from its file or from the caller, never from a guess.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import reporting_damage
from isthmus.data.preprocess import Preprocessing
from isthmus.errors import ModelError, OptionError, missing_package, suggest
from isthmus.files import fingerprint, is_within
from isthmus.inference.contract import KEY
from isthmus.inference.model import CODE, Model, Values
from isthmus.inference.onnx import open_onnx, read_model_file, require_model_file, run_onnx
from isthmus.models.tasks import Task
from isthmus.text import is_plain_name

if TYPE_CHECKING:
    from torch import nn

BATCH_SIZE = 32  # of images of 224 × 224 and more; smaller ones are fast enough with it
INPUT_TYPES: dict[str, Any] = {  # of ONNX Runtime
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
MAX_BATCH_NUMBERS = 2**29  # of a batch: 2 GB in float32
SCALE_REMEDY = (
    "give mean and std as (0, 0, 0) and (1, 1, 1) for pixels in [0, 1], or those of its training"
)


class Encoder(Model):
    """A third-party model that turns images into features (N, D).

    Parameters
    ----------
    name : str
        What messages call it.
    size : int or (int, int)
        Side, or height and width, of its input in pixels.
    channels : int
        1 for gray, 3 for RGB.
    mean, std : float or sequence of float
        Of the pixels in [0, 1] in its training, for each channel; they become 0 and 1.

    Raises
    ------
    OptionError
        If mean or std do not fit the channels, or std is not above 0.
    """

    class_names = ()
    batch_size = BATCH_SIZE

    def __init__(
        self,
        name: str,
        size: int | tuple[int, int],
        channels: int,
        mean: float | Sequence[float],
        std: float | Sequence[float],
    ) -> None:
        if channels not in (1, 3):
            raise OptionError(f"channels must be 1 for gray or 3 for RGB, not {channels}.")
        self._name = name
        self.preprocessing = Preprocessing(size=_as_sides(size), channels=channels)
        self.mean, self.std = (_by_channel(one, channels) for one in (mean, std))
        if not (self.std > 0).all():
            raise OptionError(f"std must be above 0 in every channel, not {self.std.tolist()}.")

    # -- what it is ---------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._name

    @property
    def task(self) -> Task | None:
        """None: it only encodes."""
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: (C, H, W)."""
        assert self.preprocessing.size is not None
        return (len(self.mean), *self.preprocessing.size)

    @property
    def code_size(self) -> int:
        """D, how many numbers its features have."""
        return int(np.prod(self.feature_shape()))

    def feature_shape(self, layer: str = CODE) -> tuple[int, ...]:
        """Return the shape of an output for one image, found with a black one."""
        if layer not in self._shapes:
            black = np.zeros((1, *self.shape[1:], self.shape[0]), np.uint8)
            self._shapes[layer] = next(self.features(black, layer)).shape[1:]
        return self._shapes[layer]

    # -- what it computes ---------------------------------------------------------------------

    def encode(self, values: Values, **options: Any) -> NDArray[np.float32]:
        """Turn images into features (N, D) float32, flattened; see `Model.encode`."""
        features = super().encode(values, **options)
        return features.reshape(len(features), -1)

    def features(self, values: Values, layer: str = CODE) -> Iterator[NDArray[np.float32]]:
        """Yield batches of an output: (n, *shape) float32.

        Raises
        ------
        OptionError
            If there is no such output.
        """
        self._require_output(layer)
        return (self._compute(self._scale(block), layer) for block in self.blocks(values))

    @abstractmethod
    def _compute(self, x: NDArray[np.float32], layer: str) -> NDArray[np.float32]:
        """Compute an output for scaled images x (n, C, H, W)."""

    def _require_output(self, layer: str) -> None:
        if layer != CODE:
            raise OptionError(f"{self.name} has no output {layer!r}, only its features: {CODE}.")

    def _scale(self, block: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn pixels (n, H, W, C) into x (n, C, H, W)."""
        x = (block.astype(np.float32) / 255 - self.mean) / self.std
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)

    def _identity(self, *content: Any) -> str:
        """Return the fingerprint of the weights and of how images reach them."""
        return fingerprint(self.preprocessing, self.mean.tolist(), self.std.tolist(), *content)

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {}


class OnnxEncoder(Encoder):
    """A third-party encoder in an ONNX file, computed by ONNX Runtime.

    Its first input takes images (N, C, H, W) or (N, H, W, C): as float32, scaled by mean and std,
    or as uint8, as they are. Its first output is the code; others are layers, by their names.

    Parameters
    ----------
    path : path
    size : int or (int, int), optional
        By default what the file says: its metadata `size`, or the sides of its input.
    mean, std : float or sequence of float, optional
        By default what its metadata `mean` and `std` say.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or its input does not take images.
    OptionError
        If the file does not say its size, mean or std, and they are not given.

    Examples
    --------
    >>> encoder = OnnxEncoder("resnet.onnx", mean=0.5, std=0.25)  # doctest: +SKIP
    >>> session = Session("runs/mine", encoder=encoder)  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size: int | tuple[int, int] | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
    ) -> None:
        self.path = Path(path)
        self._options: dict[str, Any] = {"size": size, "mean": mean, "std": std}
        require_model_file(self.path)
        self._session = open_onnx(self.path, str(path))
        self._input = self._session.get_inputs()[0]
        entries = self._session.get_modelmeta().custom_metadata_map
        if KEY in entries:
            raise ModelError(
                f"{path} was exported by Isthmus and knows how it scales pixels; open it with "
                "isthmus.load_model, which gives an encoder as well."
            )
        if self._input.type not in INPUT_TYPES:
            raise ModelError(f"{path} takes inputs of {self._input.type}, not images.")
        self._has_channels_last, channels, sides = _image_layout(self.path, self._input.shape)
        if size is None:
            size = _read_metadata(self.path, entries, "size") or sides
        if size is None:
            raise OptionError(f"{path} does not say the size of its images; give size in pixels.")
        if sides not in (None, _as_sides(size)):
            raise OptionError(f"{path} takes images of {sides[0]} × {sides[1]}; leave size out.")
        if self._is_uint8:
            if mean is not None or std is not None:
                raise OptionError(f"{path} takes pixels as they are; leave mean and std out.")
            mean, std = 0.0, 1.0
        mean = _read_metadata(self.path, entries, "mean") if mean is None else mean
        std = _read_metadata(self.path, entries, "std") if std is None else std
        if mean is None or std is None:
            raise OptionError(f"{path} does not say how it scales pixels; {SCALE_REMEDY}.")
        super().__init__(self.path.name, size, channels, mean, std)
        if isinstance(self._input.shape[0], int):
            self.batch_size = self._input.shape[0]  # exported for batches of one size
        if not 1 <= self.batch_size * math.prod(self.shape) <= MAX_BATCH_NUMBERS:
            raise ModelError(
                f"{path} takes batches of {self.batch_size:,} images; export it for any number."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(OnnxEncoder, self.path, **self._options), ()

    @cached_property
    def fingerprint(self) -> str:
        """Of the file, and of how images reach it."""
        contents = (read_model_file(file) for file in (self.path, *_weight_files(self.path)))
        return self._identity(*contents)

    @property
    def outputs(self) -> list[str]:
        """The names of what it computes; the first is its code."""
        return [output.name for output in self._session.get_outputs()]

    @property
    def _is_uint8(self) -> bool:
        return bool(self._input.type == "tensor(uint8)")

    def _compute(self, x: NDArray[np.float32], layer: str) -> NDArray[np.float32]:
        count = len(x)
        fixed = self._input.shape[0]
        if isinstance(fixed, int) and count < fixed:
            x = np.concatenate([x, np.repeat(x[-1:], fixed - count, axis=0)])
        name = self.outputs[0] if layer == CODE else layer
        inputs = {self._input.name: x.astype(INPUT_TYPES[self._input.type])}
        output = run_onnx(self._session, name, inputs, self.name)
        return np.asarray(output[:count], np.float32)

    def _scale(self, block: NDArray[np.uint8]) -> NDArray[Any]:
        x = block if self._is_uint8 else super()._scale(block).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(x if self._has_channels_last else x.transpose(0, 3, 1, 2))

    def _require_output(self, layer: str) -> None:
        if layer not in (CODE, *self.outputs):
            near, names = suggest(layer, self.outputs), ", ".join([CODE, *self.outputs])
            raise OptionError(f"{self.name} has no output {layer!r}{near}; there are {names}.")


class TorchEncoder(Encoder):
    """An encoder that is a module of torch, such as a model of timm.

    Parameters
    ----------
    module : nn.Module
        Takes images x (N, C, H, W) float32 and returns features (N, …). It is put into evaluation
        mode and used on the device that it is on.
    size : int or (int, int), optional
        By default that of the module's `pretrained_cfg`, as models of timm have it.
    channels : int, optional
        1 for gray, 3 for RGB; by default that of the module's `pretrained_cfg`, or 3.
    mean, std : float or sequence of float, optional
        By default those of the module's `pretrained_cfg`.

    Raises
    ------
    OptionError
        If the module does not say its size, mean or std, and they are not given.

    Examples
    --------
    >>> import torch
    >>> flatten = TorchEncoder(torch.nn.Flatten(), size=8, channels=1, mean=0.0, std=1.0)
    >>> flatten.encode(np.full((2, 8, 8, 1), 255, np.uint8)).shape
    (2, 64)
    """

    def __init__(
        self,
        module: "nn.Module",
        *,
        size: int | tuple[int, int] | None = None,
        channels: int | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
    ) -> None:
        said: Mapping[str, Any] = getattr(module, "pretrained_cfg", None) or {}
        input_size = said.get("input_size", (3, None, None))  # (C, H, W)
        if size is None and None not in input_size:
            size = (input_size[1], input_size[2])
        channels = input_size[0] if channels is None else channels
        mean, std = (said.get(k) if v is None else v for k, v in (("mean", mean), ("std", std)))
        name = type(module).__name__
        if size is None:
            raise OptionError(f"{name} does not say the size of its images; give size in pixels.")
        if mean is None or std is None:
            raise OptionError(f"{name} does not say how it scales pixels; {SCALE_REMEDY}.")
        super().__init__(name, size, channels, mean, std)
        self.module = module.eval()

    @cached_property
    def fingerprint(self) -> str:
        """Of the module's weights and structure, and of how images reach it."""
        weights = (one.cpu().contiguous().numpy() for one in self.module.state_dict().values())
        return self._identity(str(self.module), *(np.atleast_1d(one).data for one in weights))

    def _compute(self, x: NDArray[np.float32], layer: str) -> NDArray[np.float32]:
        import torch

        parameter = next(self.module.parameters(), torch.zeros(()))
        with torch.inference_mode():
            output = self.module(torch.from_numpy(x).to(parameter.device))
        if not isinstance(output, torch.Tensor):
            raise ModelError(
                f"{self.name} returns {type(output).__name__}, not a tensor of features; wrap it "
                "in a module that returns one."
            )
        return output.float().cpu().numpy()


def _as_sides(size: float | Sequence[float]) -> tuple[int, int]:
    """Return height and width from one whole number, or two."""
    sides = np.atleast_1d(np.asarray(size, np.float64))
    if sides.shape not in ((1,), (2,)) or not np.array_equal(sides, np.round(sides)):
        raise OptionError(f"size is a number of pixels, or a height and a width, not {size!r}.")
    return int(sides[0]), int(sides[-1])


def _by_channel(values: float | Sequence[float], channels: int) -> NDArray[np.float32]:
    """Return a number for each channel."""
    numbers = np.atleast_1d(np.asarray(values, np.float32))
    if numbers.shape not in ((1,), (channels,)) or not np.isfinite(numbers).all():
        raise OptionError(
            f"mean and std are one number, or one for each of {channels} channels, not {values!r}."
        )
    return np.broadcast_to(numbers, (channels,)).copy()


def _image_layout(path: Path, shape: Sequence[Any]) -> tuple[bool, int, tuple[int, int] | None]:
    """Return whether an input has its channels last, how many, and its sides if they are fixed."""
    if len(shape) == 4 and shape[1] in (1, 3):
        is_last, channels, sides = False, shape[1], shape[2:]
    elif len(shape) == 4 and shape[3] in (1, 3):
        is_last, channels, sides = True, shape[3], shape[1:3]
    else:
        raise ModelError(
            f"{path} takes inputs of shape {tuple(shape)}, not images with 1 or 3 channels."
        )
    is_fixed = all(isinstance(side, int) for side in sides)
    return is_last, channels, (sides[0], sides[1]) if is_fixed else None


def _read_metadata(path: Path, entries: Mapping[str, str], name: str) -> Any:
    """Return numbers from a file's metadata: 224, [0.485, 0.456, 0.406], or with commas only."""
    text = entries.get(name)
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.strip(" []()").split(",")]
    except ValueError:
        raise ModelError(
            f"{path} has the metadata {name} {text!r}, which are no numbers; give {name}."
        ) from None
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _weight_files(path: Path) -> list[Path]:
    """Return the files next to an ONNX file that hold its weights, as torch writes them."""
    try:
        import onnx
    except ImportError:
        raise missing_package(path.name, "onnx", "onnx") from None
    with reporting_damage(path, ModelError):
        graph = onnx.load(path, load_external_data=False).graph
    names = {
        entry.value
        for tensor in graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [_weight_file(path, name) for name in sorted(names)]


def _weight_file(path: Path, name: str) -> Path:
    """Return a file of weights, if it lies where the ONNX file does: a name may lead anywhere."""
    file = path.parent / name
    if not is_plain_name(name) or not is_within(file, path.parent):
        raise ModelError(f"{path} asks for weights in {name!r}, which is not next to it.")
    return file

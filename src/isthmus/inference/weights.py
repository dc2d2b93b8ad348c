"""The content of a .safetensors file: a config, its preprocessing and its weights, all checked.

A file may come from anybody. Nothing in it is run, and what it asks for is compared with what it
holds before memory is taken.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from isthmus.data.preprocess import Preprocessing
from isthmus.errors import ModelError, list_names
from isthmus.fields import convert_some, from_json, parse_json
from isthmus.files import fingerprint, to_json
from isthmus.inference.contract import KEY
from isthmus.models.config import ModelConfig
from isthmus.models.layers import Network

LENGTH_BYTES = 8  # at the start: the length of the header
MAX_HEADER_BYTES = 10_000_000  # many times what the names of thousands of weights and classes take
MAX_NAMES = 3  # of weights, in a message


def pack_model(config: ModelConfig, preprocessing: Preprocessing, module: Network) -> bytes:
    """Return the content of a .safetensors file."""
    weights = {name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}
    about = {
        "config": to_json(config),
        "preprocessing": to_json(preprocessing),
        "fingerprint": fingerprint_model(config, preprocessing, weights),
    }
    return safetensors.torch.save(weights, {KEY: json.dumps(about)})


def unpack_model(content: bytes) -> tuple[ModelConfig, Preprocessing, Network, str]:
    """Return config, preprocessing, module and fingerprint from what `pack_model` returned.

    Raises
    ------
    IsthmusError
        With what is wrong, if anything is.
    """
    about = _read_about(content)
    config = from_json(ModelConfig, about["config"], "config")
    preprocessing = from_json(Preprocessing, about["preprocessing"], "preprocessing")
    require_fitting(config, preprocessing)
    weights = safetensors.torch.load(content)
    module = config.build_on_meta()  # draws no first weights only to replace them
    require_weights(weights, module, config.model)
    # The tensors of the file become the weights, because there is no memory to copy them to.
    module.load_state_dict(weights, assign=True)
    found = fingerprint_model(config, preprocessing, module.state_dict())
    if about.get("fingerprint", found) != found:  # older versions wrote none
        raise ModelError("its weights are not as they were written")
    return config, preprocessing, module, found


def fingerprint_model(
    config: ModelConfig, preprocessing: Preprocessing, weights: Mapping[str, Tensor]
) -> str:
    """Return 16 hexadecimal digits of the config, the preprocessing and all weights."""
    # Contiguous, so that it does not depend on the memory layout: `channels_last` changes that.
    arrays = (tensor.cpu().contiguous().numpy() for tensor in weights.values())
    # Some buffers are scalars.
    return fingerprint(config, preprocessing, *(array.reshape(-1).data for array in arrays))


def require_fitting(config: ModelConfig, preprocessing: Preprocessing) -> None:
    """Reject a preprocessing that makes images of another shape than the model takes.

    Raises
    ------
    ModelError
    """
    if len(config.shape) == 2:
        return
    if config.task == "denoise" and (preprocessing.crop or preprocessing.size):
        raise ModelError("its preprocessing resizes images, and its model takes them as they are")
    channels, *sides = config.shape
    made = (preprocessing.channels or channels, *(preprocessing.size or sides))
    if made != config.shape:
        raise ModelError(
            f"its preprocessing makes images {made} (C, H, W) and its model takes {config.shape}"
        )


def require_weights(weights: Any, module: Network, model: str) -> None:
    """Reject weights that are not those of a module: by names, shapes, types and values.

    Parameters
    ----------
    weights : object
        Tensors by name, if all is well.
    module : Network
        It may be on torch's meta device.
    model : str
        What it is called.

    Raises
    ------
    ModelError
    """
    if not isinstance(weights, dict) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise ModelError("it holds no weights by name")
    wanted = module.state_dict()
    for what, names in (("has no", wanted.keys() - weights), ("has", weights.keys() - wanted)):
        if names:
            listed = list_names(sorted(map(str, names)), MAX_NAMES)
            raise ModelError(f"it {what} {listed}, unlike the model {model} that it describes")
    for name, tensor in weights.items():
        _require_weight(name, tensor, wanted[name])


def _require_weight(name: str, tensor: Tensor, wanted: Tensor) -> None:
    if tensor.layout is not torch.strided or tensor.is_meta:
        raise ModelError(f"{name} is sparse, or a tensor without numbers")
    if tensor.shape != wanted.shape:
        raise ModelError(
            f"{name} is {tuple(tensor.shape)}, and {tuple(wanted.shape)} in the model that it "
            "describes"
        )
    if tensor.dtype != wanted.dtype:
        raise ModelError(
            f"{name} is {_name(tensor.dtype)} and should be {_name(wanted.dtype)}, as Isthmus "
            "stores weights whatever precision it computes in"
        )
    if tensor.is_floating_point() and not has_numbers(tensor):
        raise ModelError(f"{name} holds only NaN or infinity, with which nothing can be computed")


def has_numbers(tensor: Tensor) -> bool:
    """Return whether a tensor holds more than NaN and infinity.

    Some may be NaN: training in bfloat16 may leave that in weights that no pixel meets.
    """
    # Without any the sum is finite, which takes a thirtieth of the time.
    return math.isfinite(float(tensor.sum())) or bool(torch.isfinite(tensor).any())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _read_about(content: bytes) -> dict[str, Any]:
    """Return what the header of a .safetensors file says about the model.

    By hand, as safetensors only gives the metadata of a file that it opens itself.
    """
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if len(content) < LENGTH_BYTES or length > min(len(content) - LENGTH_BYTES, MAX_HEADER_BYTES):
        raise ModelError("its header is cut short, or it is no .safetensors file")
    header = parse_json(content[LENGTH_BYTES : LENGTH_BYTES + length])
    metadata = convert_some(header, {"__metadata__": dict[str, str]}, "its header")
    text = metadata.get("__metadata__", {}).get(KEY)
    if text is None:
        raise ModelError("it holds weights, but no model of Isthmus")
    about = convert_some(parse_json(text), {"fingerprint": str}, "its metadata")
    for name in ("config", "preprocessing"):
        if name not in about:
            raise ModelError(f"its metadata have no {name}")
    return about

"""The model as ONNX files, by which a page encodes and decodes on its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from isthmus.errors import OptionError
from isthmus.inference.contract import Part
from isthmus.inference.encoders import Encoder
from isthmus.inference.model import Model
from isthmus.inference.onnx import OnnxModel
from isthmus.studio.scores import task_of
from isthmus.studio.storage import Storage
from isthmus.text import format_bytes

if TYPE_CHECKING:  # it imports torch, which a page with stored networks does without
    from isthmus.inference.trained import TrainedModel

MAX_BYTES = 2**26  # of a network that a page loads
NO_NETWORKS: dict[str, Any] = {"encoder": None, "decoder": None, "layers": None}


def write_networks(storage: Storage, model: Model) -> tuple[dict[str, Any], str]:
    """Write the model's parts, and describe them.

    Returns
    -------
    dict
        `networks` of the manifest.
    str
        Why something is missing, in a sentence; else empty.
    """
    name = Path(model.name).name
    if isinstance(model, Encoder):
        return NO_NETWORKS, f"{name} is used as an encoder: no decoder and no layers are shown."
    try:
        if isinstance(model, OnnxModel):
            return _write_parts(storage, model), f"{name} has no layers to look into; its run has."
        return _export_parts(storage, cast("TrainedModel", model)), ""
    except OptionError as error:  # too large, or onnx is not installed
        return NO_NETWORKS, str(error)


def _write_parts(storage: Storage, model: OnnxModel) -> dict[str, Any]:
    """Write the parts that are in an ONNX file."""
    _require_small(len(model.content), model)
    parts: dict[str, Any] = {part: _write(storage, part, model.cut(part)) for part in _parts(model)}
    return {**NO_NETWORKS, **parts}


def _export_parts(storage: Storage, model: "TrainedModel") -> dict[str, Any]:
    from isthmus.inference.conversion import to_layers, to_onnx, to_parts

    _require_small(sum(weight.numel() * 4 for weight in model.module.parameters()), model)
    is_autoencoder = task_of(model) == "reconstruct"
    contents: dict[Part, bytes]
    contents = to_parts(model) if is_autoencoder else {"encoder": to_onnx(model, "encoder")}
    parts: dict[str, Any] = {
        part: _write(storage, part, content) for part, content in contents.items()
    }
    layers = [
        {"name": one.name, "kind": one.kind, "shape": list(one.shape), "output": one.name}
        for one in model.layers
    ]
    written = _write(storage, "layers", to_layers(model))
    return {**NO_NETWORKS, **parts, "layers": {**written, "layers": layers}}


def _parts(model: Model) -> tuple[Part, ...]:
    return ("encoder", "decoder") if task_of(model) == "reconstruct" else ("encoder",)


def _require_small(size: int, model: Model) -> None:
    if size > MAX_BYTES:
        name = Path(model.name).name
        raise OptionError(f"{name} of {format_bytes(size)} is too large for a page.")


def _write(storage: Storage, part: str, content: bytes) -> dict[str, Any]:
    storage.write(f"{part}.onnx", content)
    return {"file": f"{part}.onnx", "bytes": len(content)}

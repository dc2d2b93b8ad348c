"""The model as ONNX files, by which a page encodes and decodes on its own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from isthmus.errors import OptionError
from isthmus.inference.model import Model
from isthmus.studio.storage import Storage

if TYPE_CHECKING:  # it imports torch, which a page with stored networks does without
    from isthmus.inference.trained import TrainedModel

MAX_BYTES = 2**26  # of a network that a page loads
NO_NETWORKS: dict[str, Any] = {"encoder": None, "decoder": None, "layers": None}


def write_networks(storage: Storage, model: Model) -> tuple[dict[str, Any], str]:
    """Export the model's parts, and describe them.

    Returns
    -------
    dict
        `networks` of the manifest.
    str
        Why something is missing, in a sentence; else empty.
    """
    if not hasattr(model, "passes"):
        return (
            NO_NETWORKS,
            f"{Path(model.name).name} runs where Isthmus runs: the page has no network of it.",
        )
    trained = cast("TrainedModel", model)
    size = sum(weight.numel() * 4 for weight in trained.module.parameters())
    if size > MAX_BYTES:
        return NO_NETWORKS, f"{model.name} of {size / 1e6:,.0f} MB is too large for a page."
    try:
        return _export_all(storage, trained), ""
    except OptionError as error:  # onnx is not installed
        return NO_NETWORKS, str(error)


def _export_all(storage: Storage, model: "TrainedModel") -> dict[str, Any]:
    from isthmus.inference.conversion import to_layers, to_onnx

    networks: dict[str, Any] = {
        "encoder": _write(storage, "encoder", lambda: to_onnx(model, "encoder"))
    }
    networks["decoder"] = None
    if model.task == "reconstruct":
        networks["decoder"] = _write(storage, "decoder", lambda: to_onnx(model, "decoder"))
    layers = [
        {"name": one.name, "kind": one.kind, "shape": list(one.shape), "output": one.name}
        for one in model.layers
    ]
    networks["layers"] = _write(storage, "layers", lambda: to_layers(model)) | {"layers": layers}
    return networks


def _write(storage: Storage, part: str, export: Callable[[], bytes]) -> dict[str, Any]:
    content = export()
    storage.write(f"{part}.onnx", content)
    return {"file": f"{part}.onnx", "bytes": len(content)}

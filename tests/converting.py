"""Conversions that a process of the tests makes once, for tests of what is done with them."""

from typing import Any

import onnx
import pytest

from isthmus import TrainedModel
from isthmus.inference import conversion
from isthmus.inference.contract import Part

_CONVERT, _CONVERT_LAYERS = conversion.to_proto, conversion.to_layers
_kept: dict[tuple[Any, ...], bytes] = {}


def keep_conversions(patch: pytest.MonkeyPatch) -> None:
    """Let a model that was converted before be read instead of converted again."""
    for place in ("isthmus.inference.conversion", "isthmus.exporting.export"):
        patch.setattr(f"{place}.to_proto", _to_proto)
    patch.setattr("isthmus.inference.conversion.to_layers", _to_layers)


def _to_proto(
    model: TrainedModel, part: Part = "whole", layer: str | None = None
) -> onnx.ModelProto:
    key = (*_identity(model), part, layer)
    if key not in _kept:  # what cannot be converted fails each time
        _kept[key] = _CONVERT(model, part, layer).SerializeToString()
    proto = onnx.load_from_string(_kept[key])
    conversion.set_record(proto, conversion.describe(model, part, layer))
    return proto


def _to_layers(model: TrainedModel) -> bytes:
    key = (*_identity(model), "layers")
    if key not in _kept:
        _kept[key] = _CONVERT_LAYERS(model)
    return _kept[key]


def _identity(model: TrainedModel) -> tuple[Any, ...]:
    """Return what a conversion depends on: all weights as they are, and in which numbers."""
    types = {str(weights.dtype) for weights in model.module.state_dict().values()}
    return model.fingerprint, model.name, frozenset(types)

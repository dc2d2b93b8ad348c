"""Turn a `TrainedModel` into programs that answer without Isthmus: ONNX and `torch.export`.

A program takes samples as they are stored, pixels or signals of the model's own size, and returns
what the methods of `TrainedModel` return; scaling and activation are inside. So a program that uses
it decides nothing that an answer depends on.
"""

import copy
import importlib.util
import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from isthmus.errors import OptionError, describe_unknown, missing_package
from isthmus.files import fingerprint
from isthmus.inference.contract import (
    BATCH,
    CLEAN,
    FORMAT,
    KEY,
    PAINTINGS,
    PARTS,
    PREDICTION,
    PROBABILITIES,
    RECONSTRUCTION,
    SAMPLES,
    SIDES,
    ExportRecord,
    Part,
    outputs_of,
)
from isthmus.inference.model import CODE
from isthmus.inference.operators import remembered_operators
from isthmus.inference.trained import TrainedModel
from isthmus.models.denoisers import Denoiser
from isthmus.models.layers import Autoencoder, Network, require_encoder
from isthmus.models.plain import plain_copy
from isthmus.models.stylebank import StyleBank
from isthmus.models.tasks import TASKS
from isthmus.runtime import ignored_warnings
from isthmus.version import __version__

if TYPE_CHECKING:
    import onnx

OPSET = 20  # of ONNX; onnxruntime reads it since 1.17 (2024)
# torch's exporters keep state in globals while they work.
_exporting = threading.Lock()


class Program(nn.Module):
    """A part of a model as a module from samples, or codes, to its answers by name.

    Parameters
    ----------
    model : TrainedModel
        Left as it is; its tensors are copied.
    part : str
        One of `PARTS`.
    layer : str, optional
        A layer whose output, flattened, takes the place of the code.
    """

    def __init__(self, model: TrainedModel, part: Part, layer: str | None = None) -> None:
        super().__init__()
        self.preprocessing = model.preprocessing
        self.activate: Callable[[Tensor], Tensor] = model.activate
        self.task, self.part = model.config.task, part
        # A layer keeps its name and its output only if nothing is fused.
        self.network = plain_copy(_copy(model.module), fuse=layer is None)
        self.output: str | None = None if layer is None else model.layer(layer).output
        self._recorded: list[Tensor] = []
        if self.output is not None:
            source = self.network.get_submodule(self.output)
            source.register_forward_hook(lambda module, x, y: self._recorded.append(y))
        _drop_unused(self.network, part, self.output)

    def forward(self, samples: Tensor) -> dict[str, Tensor]:
        """Turn samples (N, H, W, C) or (N, L, C), or codes (N, D), into answers."""
        if self.part == "decoder":
            assert isinstance(self.network, Autoencoder)  # for the type checker
            return {RECONSTRUCTION: self._reconstruct(self.network.decode(samples))}
        if isinstance(self.network, Denoiser):  # of fractions, whatever bits they come from
            clean = self.network(samples.permute(0, 3, 1, 2)).clamp(0, 1)
            return {CLEAN: clean.permute(0, 2, 3, 1)}
        x = self.preprocessing.to_input(samples)
        if self.output is not None:
            return {CODE: self._record(x)}
        if self.part == "encoder":
            return {CODE: require_encoder(self.network).encode(x)}
        if isinstance(self.network, StyleBank):
            return self._paint(self.network, x)
        z, y = require_encoder(self.network).code_and_output(x)
        if self.task == "reconstruct":
            return {CODE: z, RECONSTRUCTION: self._reconstruct(y)}
        probabilities = self.activate(y)
        kind = torch.int64 if self.task == "classify" else torch.uint8
        prediction = probabilities.argmax(1).to(kind)
        return {CODE: z, PROBABILITIES: probabilities.movedim(1, -1), PREDICTION: prediction}

    def _paint(self, network: StyleBank, x: Tensor) -> dict[str, Tensor]:
        """Return codes, and images in all styles (N, K, H, W, C)."""
        maps = network.to_maps(x)
        added = network.paint_all(maps)
        painted = torch.cat([network.from_maps(maps + one, x.shape[2:]) for one in added])
        # Styles come first until here, so that all are rounded at once.
        images = torch.unflatten(self._reconstruct(painted), 0, (len(added), -1))
        return {CODE: maps.mean((2, 3)), PAINTINGS: images.movedim(0, 1)}

    def _reconstruct(self, y: Tensor) -> Tensor:
        return self.preprocessing.from_output(self.activate(y))

    def _record(self, x: Tensor) -> Tensor:
        is_encoders = str(self.output).startswith("encoder.")
        (require_encoder(self.network).encode if is_encoders else self.network)(x)
        return self._recorded.pop().flatten(1)


class LayersProgram(nn.Module):
    """A whole model as a module from samples to the output of each layer, and its answers.

    Nothing is fused: each layer computes what the layer of that name in the model does.

    Parameters
    ----------
    model : TrainedModel
        Left as it is; its tensors are copied.
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self.whole = Program(model, "whole")
        self.whole.network = plain_copy(_copy(model.module), fuse=False)
        self._recorded: dict[str, Tensor] = {}
        for layer in model.layers:
            source = self.whole.network.get_submodule(layer.output)
            source.register_forward_hook(partial(self._record, layer.name))

    def forward(self, samples: Tensor) -> dict[str, Tensor]:
        """Turn samples (N, H, W, C) or (N, L, C) into outputs by the names of the layers."""
        answers = self.whole(samples)
        if isinstance(self.whole.network, StyleBank):  # its layers are those without any style
            self.whole.network(self.whole.preprocessing.to_input(samples))
        # A layer that only passes on its input would be no output of its own in the file.
        outputs = {name: output.clone() for name, output in self._recorded.items()}
        self._recorded = {}
        merged: dict[str, Tensor] = outputs | answers
        return merged

    def _record(self, name: str, module: nn.Module, x: tuple[Tensor, ...], y: Tensor) -> None:
        self._recorded[name] = y


def to_program(
    model: TrainedModel, part: Part = "whole", layer: str | None = None
) -> torch.export.ExportedProgram:
    """Return a part of a model as a program of `torch.export`, for batches of any size.

    Parameters
    ----------
    model : TrainedModel
    part : str
        "whole", "encoder" or "decoder".
    layer : str, optional
        A layer whose output, flattened, is returned instead of the code; the part is then the
        encoder.

    Returns
    -------
    torch.export.ExportedProgram
        Takes samples, or codes for a decoder, and returns a dictionary of answers.

    Raises
    ------
    OptionError
        If there is no such part or layer.
    ModelError
        If the model has no decoder.
    """
    part = choose_part(model, part, layer)
    # Two samples: torch would take a batch of one for a constant.
    example = torch.zeros(2, *input_shape(model, part), dtype=_input_type(model, part))
    axes = _open_axes(model)
    return _export(lambda: Program(model, part, layer), example, axes)


def _open_axes(model: TrainedModel) -> tuple[str, ...]:
    """Return the names of the first axes, which may be of any length."""
    return (BATCH, *SIDES) if model.task == "denoise" else (BATCH,)


def _export(
    make: Callable[[], nn.Module], example: Tensor, axes: tuple[str, ...] = (BATCH,)
) -> torch.export.ExportedProgram:
    """Return a module as a program for batches, or images, of any size."""
    shapes = ({i: torch.export.Dim(name) for i, name in enumerate(axes)},)
    # What torch cannot prove of sides becomes an assertion; else it would fix them.
    options: dict[str, Any] = {}
    if len(axes) > 1:
        options["prefer_deferred_runtime_asserts_over_guards"] = True
    with _exporting, _quiet(), _no_traces(), torch.no_grad():
        program = make().eval().requires_grad_(False)
        exported = torch.export.export(
            program, (example,), dynamic_shapes=shapes, strict=False, **options
        )
    for node in exported.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine's source files
    if len(axes) > 1:
        _remove_assertions(exported.graph_module)
    return exported


def _remove_assertions(program: torch.fx.GraphModule) -> None:
    """Remove what torch would refuse although it can compute it, such as sides of one pixel."""
    for node in list(program.graph.nodes):
        if node.target is torch.ops.aten._assert_scalar.default:
            program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.recompile()


def to_onnx(model: TrainedModel, part: Part = "whole", layer: str | None = None) -> bytes:
    """Return a part of a model as the content of an ONNX file, in float32.

    Parameters
    ----------
    model : TrainedModel
    part, layer : str
        See `to_program`.

    Returns
    -------
    bytes
        A model whose input is `samples`, or `code` for a decoder, and whose outputs are those of
        `outputs_of`; its metadata are an `ExportRecord`.

    Raises
    ------
    OptionError, ModelError
        As `to_program`.
    IsthmusError
        If onnx or onnxscript is not installed.
    """
    content: bytes = to_proto(model, part, layer).SerializeToString()
    return content


def to_proto(
    model: TrainedModel, part: Part = "whole", layer: str | None = None
) -> "onnx.ModelProto":
    """Return what `to_onnx` returns as an object of onnx, which can be changed."""
    require_packages("onnx", "onnxscript")
    program = to_program(model, part, layer)
    part = choose_part(model, part, layer)
    source = CODE if part == "decoder" else SAMPLES
    outputs = outputs_of(model.config.task, part)
    proto = _convert(program, source, outputs, _open_axes(model))
    set_record(proto, describe(model, part, layer))
    return proto


def to_parts(model: TrainedModel) -> dict[Part, bytes]:
    """Return encoder and decoder of an autoencoder as the contents of two ONNX files.

    Both are cut from one conversion, which takes nearly all of the time.

    Raises
    ------
    ModelError
        If the model has no decoder.
    IsthmusError
        If onnx or onnxscript is not installed.
    """
    model.require_task("reconstruct")
    whole = to_proto(model)
    parts: tuple[Part, ...] = ("encoder", "decoder")
    return {part: cut_part(whole, model, part).SerializeToString() for part in parts}


def cut_part(whole: "onnx.ModelProto", model: TrainedModel, part: Part) -> "onnx.ModelProto":
    """Return the encoder or decoder of a model that was converted as a whole.

    Parameters
    ----------
    whole : ModelProto
        As `to_proto` returns it; left as it is.
    model : TrainedModel
        What was converted.
    part : str
        "encoder" or, of an autoencoder, "decoder".
    """
    from onnx.utils import Extractor

    start, end = (SAMPLES, CODE) if part == "encoder" else (CODE, RECONSTRUCTION)
    proto = Extractor(whole).extract_model([start], [end])
    set_record(proto, describe(model, part))
    return proto


def to_layers(model: TrainedModel) -> bytes:
    """Return a whole model as the content of an ONNX file that also gives each layer's output.

    Returns
    -------
    bytes
        The outputs are those of the layers, each named as in `TrainedModel.layers` and of the shape
        (N, *shape) float32 after its activation, followed by those of the whole model.

    Raises
    ------
    IsthmusError
        If onnx or onnxscript is not installed.
    """
    require_packages("onnx", "onnxscript")
    example = torch.zeros(2, *input_shape(model, "whole"), dtype=_input_type(model, "whole"))
    names = [*(layer.name for layer in model.layers), *outputs_of(model.config.task, "whole")]
    proto = _convert(_export(lambda: LayersProgram(model), example), SAMPLES, names)
    set_record(proto, describe(model))
    return bytes(proto.SerializeToString())


def _convert(
    program: torch.export.ExportedProgram,
    source: str,
    outputs: Iterable[str],
    axes: tuple[str, ...] = (BATCH,),
) -> "onnx.ModelProto":
    """Return a program as an object of onnx, with names for its input and outputs."""
    with _exporting, _quiet(), _no_traces(), remembered_operators():
        converted = torch.onnx.export(
            program,
            input_names=[source],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert converted is not None  # without a file to write to, there is a program
    proto: onnx.ModelProto = converted.model_proto
    _remove_traces(proto, axes)
    return proto


def describe(
    model: TrainedModel, part: Part = "whole", layer: str | None = None, precision: str = "32"
) -> ExportRecord:
    """Return what an exported file says about itself: all that is needed to use it alone."""
    part = choose_part(model, part, layer)
    # Codes of another layer or precision are other codes; a decoder takes those of the model.
    parts: tuple[Any, ...] = () if layer is None else ("layer", layer)
    if precision != "32" and part != "decoder":
        parts = (*parts, precision)
    return ExportRecord(
        format=FORMAT,
        version=__version__,
        model=model.name,
        task=model.task,
        shape=model.shape,
        code_size=math.prod(model.feature_shape(layer or CODE)),
        class_names=model.class_names,
        preprocessing=model.preprocessing,
        part=part,
        layer=layer,
        precision=precision,
        fingerprint=fingerprint(model.fingerprint, *parts) if parts else model.fingerprint,
        batch_size=model.batch_size,
        style_names=model.config.style_names,
        margin=model.margin,
        step=model.step if model.task == "denoise" else 0,
    )


def set_record(proto: "onnx.ModelProto", record: ExportRecord) -> None:
    """Replace what an ONNX model says about itself."""
    proto.producer_name, proto.producer_version = KEY, record.version
    proto.graph.name = record.model
    proto.doc_string = (
        f"The {record.layer or record.part} of the {TASKS[record.task]} {record.model}, made by "
        f"Isthmus {record.version}."
    )
    del proto.metadata_props[:]
    proto.metadata_props.add(key=KEY, value=record.to_text())


def choose_part(model: TrainedModel, part: str, layer: str | None = None) -> Part:
    """Return the part that is exported; what the model does not have is refused."""
    for known in PARTS:
        if part == known:
            break
    else:
        raise OptionError(f"{describe_unknown('part', part, PARTS)}.")
    if model.task == "denoise" and (known != "whole" or layer is not None):
        raise OptionError("a denoiser has no parts; leave the part and the layer out.")
    if known == "decoder":
        model.require_task("reconstruct")
    if layer is None:
        return known
    if known == "decoder":
        raise OptionError("a layer is exported with all that leads to it; leave the part out.")
    model.layer(layer)  # an unknown one fails here
    return "encoder"


def input_shape(model: TrainedModel, part: Part) -> tuple[int, ...]:
    """Return the shape of one input of a part: (H, W, C), (L, C), or (D,) for a decoder."""
    channels, *sides = model.config.shape
    return (model.config.code_size,) if part == "decoder" else (*sides, channels)


def require_packages(*names: str) -> None:
    """Raise an OptionError if a package that an export needs is missing."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise missing_package("an ONNX file", name, "onnx")


def _input_type(model: TrainedModel, part: Part) -> torch.dtype:
    is_pixels = part != "decoder" and len(model.config.shape) == 3 and model.task != "denoise"
    return torch.uint8 if is_pixels else torch.float32


def _copy(network: Network) -> Network:
    """Return a copy on the CPU whose tensors share no memory, as a pt2 file needs them.

    Weights that are not finite become zero. They are never read, or the model itself would answer
    NaN; runs of older versions have some, see `training.padding`. torch skips them, but other
    programs multiply them by the zeros of the padding, which gives NaN.
    """
    network = copy.deepcopy(network).to("cpu").to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for weight in network.parameters():
        weight.data.nan_to_num_(nan=0, posinf=0, neginf=0)
    return network


def _drop_unused(network: Network, part: Part, output: str | None) -> None:
    """Remove what a part does not compute, whose weights would be in the file all the same."""
    if part == "decoder":
        del network.encoder
    elif part == "encoder" and (output is None or output.startswith("encoder.")):
        if isinstance(network, StyleBank):
            del network.bank
        if isinstance(network, Autoencoder | StyleBank):
            del network.decoder
        elif not isinstance(network, Denoiser):
            del network.head


def _remove_traces(proto: "onnx.ModelProto", axes: tuple[str, ...]) -> None:
    """Remove what the exporter notes for its developers, such as the paths of source files."""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]  # shapes between layers, which every reader computes itself
    for value in (*proto.graph.input, *proto.graph.output):
        del value.metadata_props[:]
        for dim, name in zip(value.type.tensor_type.shape.dim, axes, strict=False):
            dim.dim_param = name


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's warnings from the user, who can do nothing about them; errors stay."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with ignored_warnings:
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _no_traces() -> Iterator[None]:
    """Keep torch from recording the lines of code behind each operator: a quarter of an export.

    Files may not hold these paths of this machine anyway. A version of torch without the switch
    records them, and they are removed.
    """
    name = "do_not_emit_stack_traces"
    before = getattr(torch.fx.config, name, False)
    setattr(torch.fx.config, name, True)
    try:
        yield
    finally:
        setattr(torch.fx.config, name, before)

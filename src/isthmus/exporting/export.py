"""`export`: write a trained model for other programs, once it is shown to answer the same."""

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.samples import Samples
from isthmus.errors import ModelError, OptionError, describe_unknown, require_known
from isthmus.exporting.agreement import TOLERANCE, compare
from isthmus.exporting.answers import OnnxProgram, TorchProgram
from isthmus.exporting.checks import CheckSamples, of_run, of_samples, stand_in_samples
from isthmus.exporting.denoisers import compare_denoiser
from isthmus.exporting.place import FORMATS, Format, require_place
from isthmus.exporting.precision import PRECISIONS, to_half, to_int8
from isthmus.exporting.quality import measure_quality
from isthmus.files import write_bytes
from isthmus.inference.contract import KEY, ExportRecord, Part
from isthmus.inference.conversion import (
    choose_part,
    describe,
    require_packages,
    set_record,
    to_program,
    to_proto,
)
from isthmus.inference.trained import TrainedModel
from isthmus.training.run import Run
from isthmus.training.store import is_run

if TYPE_CHECKING:
    import onnx


def export(
    model: TrainedModel | Run | str | Path,
    out: str | Path,
    *,
    part: str = "whole",
    layer: str | None = None,
    precision: str = "32",
    format: str = "onnx",  # noqa: A002 - what users call it
    samples: Samples | NDArray[Any] | str | Path | None = None,
    track: Track = untracked,
) -> dict[str, Any]:
    """Write a trained model to a file that other programs can use without Isthmus.

    An ONNX or pt2 file takes samples as they are stored, in batches of any size: pixels
    (N, H, W, C) uint8 of the model's own size, or signals (N, L, C) float32. Scaling and activation
    are inside. A denoiser takes images (N, H, W, C) float32 of any sides, from 0 to 1, so that all
    bits of a file reach it. Before it is written, its answers are compared with the model's on
    samples that the model was not trained on, in batches of 1, 7 and 256 (the last is smaller for
    large images); a file whose numbers differ by more than 1e-4 is refused.

    Parameters
    ----------
    model : TrainedModel, Run or path
        A path is that of a run folder or of a file of weights.
    out : path
        The file to write. An older export is replaced, but weights only by the same weights; any
        other file is left alone.
    part : str
        "whole", "encoder" or "decoder".
    layer : str, optional
        A name of `TrainedModel.layers`, to return its output, flattened, instead of the code. The
        part is then the encoder.
    precision : str
        "32", or of an ONNX file "16", which stores weights in half the space, or "int8", which
        computes with eight-bit integers. What the last two lose is measured and not limited.
    format : str
        "onnx"; "pt2", a program that `torch.export.load` loads; or "safetensors", the weights that
        `TrainedModel.load` loads.
    samples : Samples, array or source, optional
        Samples to check on; by default those of the run that it was not trained on. Without a run
        or its data these are parts of photographs. int8 needs samples of the model's own kind.
    track : callable
        Shows progress of reading the data of the run or the source.

    Returns
    -------
    dict
        The file (`out`, `bytes`, `format`, `part`, `layer`, `precision`, `fingerprint`); `checked`,
        the number of samples, their `description`, the sizes of the `batches` and the differences
        of each output, as `compare` returns them; and for other precisions than 32 the `loss`, as
        `measure_quality` returns it.

    Raises
    ------
    OptionError
        If an option is unknown, `out` is a file of something else, or a loss is to be measured on
        samples with a class that the model does not know.
    ModelError
        If the model has no such part, or the file would answer differently.
    IsthmusError
        If a package is missing, or the file cannot be written.
    """
    out = Path(out)
    run, trained = _open(model)
    kind = _choose_format(format, precision, part, layer)
    if kind == "safetensors" and samples is not None:
        raise OptionError(
            "safetensors files hold the weights themselves, so that there is nothing to check; "
            "leave the samples out."
        )
    chosen = choose_part(trained, part, layer)
    if kind == "onnx":
        require_packages("onnx", "onnxscript", "onnxruntime")
    require_place(out, kind, trained)
    result = {
        "out": str(out),
        "bytes": 0,
        "format": kind,
        "part": chosen,
        "layer": layer,
        "precision": precision,
    }
    if kind == "safetensors":
        content = trained.to_bytes()  # the weights themselves: there is nothing to compare
        result |= {"fingerprint": trained.fingerprint}
    elif trained.task == "denoise":
        if samples is not None:
            raise OptionError(
                "a denoiser is checked on parts of photographs; leave the samples out."
            )
        make_denoiser = _make_onnx_denoiser if kind == "onnx" else _make_pt2_denoiser
        content, measured = make_denoiser(trained, precision)
        result |= measured
    else:
        checks = _gather(run, trained, samples, precision, track)
        if precision == "int8" and checks.calibration is None:
            raise OptionError(
                "int8 needs samples of the model's own kind, to know which numbers occur in it: "
                "export a run whose data is there, or give samples."
            )
        make = _make_onnx if kind == "onnx" else _make_pt2
        content, measured = make(trained, chosen, layer, precision, checks)
        result |= measured
    write_bytes(out, content)
    return result | {"bytes": len(content)}


def _open(model: TrainedModel | Run | str | Path) -> tuple[Run | None, TrainedModel]:
    if isinstance(model, str | Path):
        if not is_run(model):
            return None, TrainedModel.load(model)
        model = Run.open(model)
    if isinstance(model, Run):
        return model, model.model()
    # On the CPU and in float32: where and how to compute is up to the program that uses the file.
    return None, TrainedModel.from_bytes(model.to_bytes())


def _choose_format(name: str, precision: str, part: str, layer: str | None) -> Format:
    """Return the format of that name, or reject what it does not have."""
    require_known("precision", precision, PRECISIONS)
    for kind in FORMATS:
        if kind == name:
            break
    else:
        raise OptionError(f"{describe_unknown('format', name, FORMATS)}.")
    if precision != "32" and kind != "onnx":
        raise OptionError(f"{kind} files are of precision 32; for {precision} take onnx.")
    if kind == "safetensors" and (part, layer) != ("whole", None):
        raise OptionError("safetensors files hold whole models; for a part take onnx or pt2.")
    return kind


def _gather(
    run: Run | None,
    model: TrainedModel,
    samples: Samples | NDArray[Any] | str | Path | None,
    precision: str,
    track: Track,
) -> CheckSamples:
    if isinstance(samples, str | Path):
        samples = model.read(samples, track=track)
    if isinstance(samples, Samples) and precision == "32":
        samples = samples.values  # labels only measure what other precisions lose
    if samples is not None:
        return of_samples(model, samples)
    if run is not None:
        return of_run(run, model, track)
    return stand_in_samples(model, "no run or samples were given")


def _make_onnx(
    model: TrainedModel, part: Part, layer: str | None, precision: str, checks: CheckSamples
) -> tuple[bytes, dict[str, Any]]:
    """Return the content of an ONNX file and what was measured of it."""
    proto, record = to_proto(model, part, layer), describe(model, part, layer, precision)
    exact = OnnxProgram(proto)
    compared = compare(model, exact, part, layer, checks.inputs)
    measured = {
        "fingerprint": record.fingerprint,
        "checked": _check({"description": checks.description, **compared}),
    }
    if precision != "32":
        proto = _reduce(model, proto, part, precision, checks)
        reduced = OnnxProgram(proto)
        compared = compare(model, reduced, part, layer, checks.inputs)
        loss = {"outputs": compared["outputs"]}
        loss |= measure_quality(model, exact, reduced, part, layer, checks)
        measured["loss"] = loss
        record = replace(record, loss=loss)
    set_record(proto, replace(record, max_difference=compared["max_difference"]))
    content: bytes = proto.SerializeToString()
    return content, measured


def _make_onnx_denoiser(model: TrainedModel, precision: str) -> tuple[bytes, dict[str, Any]]:
    """Return the content of an ONNX file of a denoiser and what was measured of it."""
    if precision == "int8":
        raise OptionError("a denoiser is exported in precision 32 or 16; take one of them.")
    proto, record = to_proto(model), describe(model, precision=precision)
    compared = compare_denoiser(model, OnnxProgram(proto))
    measured = {"fingerprint": record.fingerprint, "checked": _check(compared)}
    if precision == "16":
        proto = to_half(proto)
        compared = compare_denoiser(model, OnnxProgram(proto))
        loss = {"outputs": compared["outputs"]}
        measured["loss"], record = loss, replace(record, loss=loss)
    set_record(proto, replace(record, max_difference=compared["max_difference"]))
    content: bytes = proto.SerializeToString()
    return content, measured


def _make_pt2_denoiser(model: TrainedModel, precision: str) -> tuple[bytes, dict[str, Any]]:
    """Return the content of a pt2 file of a denoiser and what was measured of it."""
    program = to_program(model)
    compared = compare_denoiser(model, TorchProgram(program))
    record = replace(describe(model), max_difference=compared["max_difference"])
    content = _save_pt2(program, record)
    return content, {"fingerprint": record.fingerprint, "checked": _check(compared)}


def _save_pt2(program: torch.export.ExportedProgram, record: ExportRecord) -> bytes:
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={KEY: record.to_text()})
    return content.getvalue()


def _reduce(
    model: TrainedModel, proto: "onnx.ModelProto", part: Part, precision: str, checks: CheckSamples
) -> "onnx.ModelProto":
    """Return an ONNX model in another precision."""
    if precision == "16":
        return to_half(proto)
    assert checks.calibration is not None  # for the type checker
    inputs = checks.calibration
    return to_int8(proto, model.encode(inputs) if part == "decoder" else inputs)


def _make_pt2(
    model: TrainedModel, part: Part, layer: str | None, precision: str, checks: CheckSamples
) -> tuple[bytes, dict[str, Any]]:
    """Return the content of a pt2 file and what was measured of it."""
    program = to_program(model, part, layer)
    compared = compare(model, TorchProgram(program), part, layer, checks.inputs)
    checked = _check({"description": checks.description, **compared})
    record = describe(model, part, layer, precision)
    record = replace(record, max_difference=compared["max_difference"])
    return _save_pt2(program, record), {"fingerprint": record.fingerprint, "checked": checked}


def _check(compared: dict[str, Any]) -> dict[str, Any]:
    """Return what was compared, if the differences are those of rounding."""
    # Not `>`: where an answer is NaN, the difference is.
    if not compared["max_difference"] <= TOLERANCE:
        name, worst = max(
            ((name, one["max"]) for name, one in compared["outputs"].items() if "max" in one),
            key=lambda pair: pair[1],
        )
        raise ModelError(
            f"the file would answer differently: its {name} differs by up to {worst:.1g} from the "
            f"model's, and {TOLERANCE:g} is allowed; nothing was written, please report it."
        )
    return compared

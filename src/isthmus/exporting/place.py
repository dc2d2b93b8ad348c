"""Where an export is written: its name, and what is not replaced by it."""

import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from isthmus.errors import OptionError
from isthmus.files import require_writable_place
from isthmus.inference.contract import KEY, is_weights_file
from isthmus.inference.trained import TrainedModel
from isthmus.places import require_regular
from isthmus.temporaries import sweep_for
from isthmus.training.store import is_run

Format = Literal["onnx", "pt2", "safetensors"]
FORMATS: tuple[Format, ...] = get_args(Format)


def default_name(model: Path, part: str, layer: str | None, precision: str, kind: str) -> str:
    """Return what an export of a run folder or file is called if its user does not say.

    Examples
    --------
    >>> default_name(Path("runs/mine"), "encoder", None, "int8", "onnx")
    'mine-encoder-int8.onnx'
    """
    place = model.absolute()
    name = place.name if place.is_dir() else place.stem  # a dot in a folder's name ends nothing
    words = [name, layer or part, precision]
    return "-".join(word for word in words if word not in ("whole", "32")) + f".{kind}"


def require_place(out: Path, kind: Format, model: TrainedModel) -> None:
    """Reject a path that cannot be written to, or holds what must not be lost.

    Exports can be made again. Weights cannot: a file of them, which `TrainedModel.save` may have
    written, is only replaced by the same weights.

    Raises
    ------
    OptionError, IsthmusError
    """
    if out.suffix != f".{kind}":
        raise OptionError(f"{kind} files end in .{kind}; {out} has another ending.")
    require_writable_place(out)
    require_regular(out)
    sweep_for(out)
    if is_run(out.parent):
        raise OptionError(f"{out.parent} is a run folder; write {out.name} to another one.")
    if out.exists() and not READERS[kind](out):
        raise OptionError(f"{out} exists and is no export of Isthmus; choose another name.")
    is_weights = kind == "safetensors" and out.exists()
    if is_weights and TrainedModel.load(out).fingerprint != model.fingerprint:
        raise OptionError(f"{out} holds the weights of another model; choose another name.")


def _is_our_onnx(file: Path) -> bool:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        proto = onnx.load(file, load_external_data=False)
    except DecodeError:
        return False
    return KEY in (entry.key for entry in proto.metadata_props)


def _is_our_pt2(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(PurePosixPath(name).name == KEY for name in archive.namelist())


READERS: dict[Format, Callable[[Path], bool]] = {
    "onnx": _is_our_onnx,
    "pt2": _is_our_pt2,
    "safetensors": is_weights_file,
}

"""`load_model`: a model from a run folder or a file, and what computes it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isthmus.errors import (
    ModelError,
    OptionError,
    explain_missing_module,
    require_known,
    require_name,
)
from isthmus.inference.model import Model
from isthmus.inference.onnx import SUFFIX, OnnxModel

if TYPE_CHECKING:
    from isthmus.inference.trained import TrainedModel

Engine = Literal["torch", "onnx"]
ENGINES: tuple[Engine, ...] = ("torch", "onnx")


def load_model(path: str | Path, *, engine: Engine | None = None, **options: Any) -> Model:
    """Load a model to use it.

    Parameters
    ----------
    path : path
        A run folder, a weights file (.safetensors), or a file of `isthmus.export` (.onnx).
    engine : str, optional
        What computes: "torch", or "onnx" for ONNX Runtime on the CPU. By default torch for runs
        and weights, and ONNX Runtime for .onnx files. For a run, "onnx" converts the model first,
        which takes a few seconds.
    **options
        `device` and `precision` of `TrainedModel.load`, for torch.

    Raises
    ------
    ModelError
        If there is no model, or it cannot be read.
    OptionError
        If the engine is unknown, not installed, or cannot compute this file.

    Examples
    --------
    >>> model = load_model("mine.onnx")  # doctest: +SKIP
    >>> model.reconstruct(model.read("photos/"))  # doctest: +SKIP
    """
    if engine is not None:
        require_known("engine", engine, ENGINES)
    require_name("the model", path, ModelError)
    path = Path(path)
    if path.suffix.lower() == SUFFIX and not path.is_dir():
        if engine == "torch":
            raise OptionError(f"torch cannot compute {path}; load the run that it came from.")
        _reject_options(options, path)
        return OnnxModel.load(path)
    if engine == "onnx":
        _reject_options(options, path)
        return OnnxModel(_convert(_load_trained(path)))
    return _load_trained(path, **options)


def _load_trained(path: Path, **options: Any) -> "TrainedModel":
    try:
        from isthmus.inference.trained import TrainedModel
    except ModuleNotFoundError as error:
        raise explain_missing_module(str(path), error) or error from error
    return TrainedModel.load(path, **options)


def _convert(trained: "TrainedModel") -> bytes:
    from isthmus.inference.conversion import to_onnx

    return to_onnx(trained)


def _reject_options(options: dict[str, Any], path: Path) -> None:
    if options:
        raise OptionError(
            f"ONNX Runtime computes {path} on the CPU; leave {' and '.join(options)} out, which "
            "torch alone has."
        )

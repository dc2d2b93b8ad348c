"""A detector's normal samples in one file of a run, so that others are judged without the data."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import read_npz, require_array
from isthmus.damage import DAMAGE
from isthmus.detection.detector import Detector
from isthmus.detection.measures import ERRORS, Measures
from isthmus.detection.reference import Reference
from isthmus.errors import IsthmusError
from isthmus.files import fingerprint, write_bytes
from isthmus.inference.model import Model
from isthmus.latent.array_files import seal_of

FILE = "detection.npz"
FORMAT = 1  # raise it when the same model and data give other numbers
ROWS = "rows"  # of the reference, in the data of the run

Arrays = dict[str, NDArray[Any]]


def make_key(
    model: Model, data: str, train: NDArray[np.int64], validation: NDArray[np.int64]
) -> str:
    """Return what a stored detector depends on: the weights, the data and its split."""
    parts = [np.ascontiguousarray(part).data for part in (train, validation)]
    return fingerprint(FORMAT, model.fingerprint, data, *parts)


def write_detector(path: Path, detector: Detector, key: str) -> None:
    """Write a detector to a file, whole or not at all.

    Raises
    ------
    IsthmusError
        If it cannot be written.
    """
    assert detector.reference.rows is not None
    arrays = {
        **_to_arrays("reference", detector.reference.measures),
        **_to_arrays("validation", detector.validation),
        ROWS: detector.reference.rows,
    }
    said = np.array([key, seal_of({}, arrays)])
    content = io.BytesIO()
    np.savez(content, said=said, **arrays)  # type: ignore[arg-type]
    write_bytes(path, content.getvalue())


def read_detector(path: Path, model: Model, key: str) -> Detector | None:
    """Return the detector in a file; None if there is none, or it is damaged or of another key."""
    try:
        arrays = read_npz(path)
        said = require_array(arrays, "said", "U", 1).tolist()
        arrays.pop("said")
        if said != [key, seal_of({}, arrays)]:
            return None
        reference = _of_arrays("reference", arrays, model)
        rows = require_array(arrays, ROWS, "i", 1).astype(np.int64)
        if len(rows) != len(reference):
            return None
        return Detector(model, Reference(reference, rows), _of_arrays("validation", arrays, model))
    except DAMAGE:
        return None


def _to_arrays(part: str, measures: Measures) -> Arrays:
    named: Arrays = {"z": measures.z, **measures.errors}
    return {f"{part}.{name}": one for name, one in named.items()}


def _of_arrays(part: str, arrays: Arrays, model: Model) -> Measures:
    z = require_array(arrays, f"{part}.z", "f", 2).astype(np.float32)
    if z.shape[1] != model.code_size or len(z) < 1:
        raise IsthmusError(f"its codes are {z.shape}")
    if model.task != "reconstruct":
        return Measures(z)
    errors = {
        name: require_array(arrays, f"{part}.{name}", "f", 1).astype(np.float64) for name in ERRORS
    }
    if {*map(len, errors.values())} != {len(z)}:
        raise IsthmusError("its arrays are of several lengths")
    return Measures(z, **errors)

"""Arrays with facts about them in an .npz file, and the seal by which changes are noticed."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import require_array
from isthmus.errors import OptionError, SourceError
from isthmus.fields import SEAL, convert_some, parse_json
from isthmus.files import fingerprint
from isthmus.places import FACTS, require_regular, write_arrays
from isthmus.temporaries import sweep_for

Arrays = Mapping[str, NDArray[Any]]


def write_sealed(path: Path, facts: Mapping[str, Any], arrays: Arrays, noun: str) -> None:
    """Write arrays and facts, whole or not at all.

    Parameters
    ----------
    path : Path
    facts : mapping
        JSON values.
    arrays : mapping
        By the first of them, an earlier file of the same kind is known.
    noun : str
        What the file holds, such as "map", for messages.

    Raises
    ------
    OptionError
        If there is a file that holds something else, which is left alone.
    """
    require_regular(path)
    sweep_for(path)
    if path.exists() and not _has(path, {FACTS, next(iter(arrays))}):
        raise OptionError(f"{path} exists and holds no {noun}; choose another name.")
    sealed = {**facts, SEAL: seal_of(facts, arrays)}
    write_arrays(path, {FACTS: np.array(json.dumps(sealed)), **arrays})


def read_facts(arrays: Arrays, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts in the arrays of a file, with those of known kinds checked.

    Raises
    ------
    IsthmusError
        If one of them is missing or of another type.
    """
    text = parse_json(str(require_array(arrays, FACTS, "U", 0)))
    return convert_some(text, kinds, FACTS, required=True)


def require_sealed(facts: Mapping[str, Any], arrays: Arrays) -> None:
    """Reject a file that was changed since it was written.

    To be called when all of it is checked, as what is wrong says more than that something is.

    Raises
    ------
    SourceError
    """
    said = {name: value for name, value in facts.items() if name != SEAL}
    others = {name: array for name, array in arrays.items() if name != FACTS}
    # Older versions wrote no seal.
    if SEAL in facts and facts[SEAL] != seal_of(said, others):
        raise SourceError("something in it was changed since it was written")


def seal_of(facts: Mapping[str, Any], arrays: Arrays) -> str:
    """Return the fingerprint of all that a file holds: its facts, and the names, types and values.

    Arrays of objects have no part in it, as they are not written.
    """
    kinds = [[name, str(array.dtype), array.shape] for name, array in arrays.items()]
    plain = [array for array in arrays.values() if not array.dtype.hasobject]
    flat = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in plain)
    return fingerprint(facts, kinds, *(content.data for content in flat))


def _has(path: Path, names: set[str]) -> bool:
    """Return whether an .npz file has arrays of these names."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {f"{name}.npy" for name in names} <= set(archive.namelist())
    except zipfile.BadZipFile:
        return False

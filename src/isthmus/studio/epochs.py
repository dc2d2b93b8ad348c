"""What the model of each epoch makes of the same test samples, as files of a page."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.session import Session
from isthmus.studio import columns
from isthmus.studio.history import store_of
from isthmus.training.kept import KeptEpochs

FOLDER = "epochs/"
INPUTS, PATTERN = f"{FOLDER}inputs.bin", f"{FOLDER}{{n}}.bin"


def kept_epochs(session: Session) -> KeptEpochs | None:
    """Return what the session's run keeps of its epochs; None of a model without a run."""
    store = None if session.encoder is not None else store_of(session)
    return None if store is None else KeptEpochs(store)


def describe_epochs(
    session: Session, rows: list[int] | None, whole: set[int]
) -> dict[str, Any] | None:
    """Return what a manifest says of the epochs that are kept now; None if there are none.

    Parameters
    ----------
    session : Session
    rows : list of int, optional
        As `find_rows` returned them.
    whole : set of int
        Epochs whose file was read before, to which others are added: a damaged one is left out.
    """
    kept = kept_epochs(session)
    if kept is None or rows is None or kept.inputs() is None:
        return None
    numbers = [one for one in kept.numbers() if one in whole or kept.read(one) is not None]
    whole.update(numbers)
    if not numbers:
        return None
    return {"pattern": PATTERN, "kept": numbers, "rows": rows, "inputs": INPUTS}


def epoch_files(entry: dict[str, Any] | None) -> list[str]:
    """Return the names of the files that an entry describes."""
    if entry is None:
        return []
    return [entry["inputs"], *(entry["pattern"].format(n=number) for number in entry["kept"])]


def read_epoch_file(session: Session, path: str) -> bytes | None:
    """Return the inputs, or what the model of an epoch makes of them, as a column; None if missing.

    It has a row for each sample; of samples of more than 65,535 numbers, which no row can hold, a
    row for each of their first axis.
    """
    kept, match = kept_epochs(session), re.fullmatch(r"epochs/([1-9][0-9]{0,8})\.bin", path)
    values: NDArray[Any] | None = None
    if kept is not None and path == INPUTS:
        given = kept.inputs()
        values = None if given is None else given[0]
    elif kept is not None and match:
        values = kept.read(int(match[1]))
    if values is None:
        return None
    flat = values.reshape(len(values), -1)
    if flat.shape[1] > columns.MAX_COLUMNS:
        flat = values.reshape(values.shape[0] * values.shape[1], -1)
    return columns.pack(flat)


def find_rows(session: Session, indices: NDArray[np.int64] | None) -> list[int] | None:
    """Return where the samples of the epochs are among those that are shown, -1 for others.

    Parameters
    ----------
    session : Session
    indices : (N,) int64, optional
        Of the samples that are shown in the run's data, ascending; None if they are of another
        source.

    Returns
    -------
    list of int, optional
        None if the run keeps no epochs yet.
    """
    kept = kept_epochs(session)
    given = None if kept is None else kept.inputs()
    if given is None:
        return None
    rows = given[1]
    if indices is None:
        return [-1] * len(rows)
    places = np.minimum(np.searchsorted(indices, rows), len(indices) - 1)
    found: list[int] = np.where(indices[places] == rows, places, -1).tolist()
    return found

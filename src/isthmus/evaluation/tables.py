"""Tables of predictions: a row for each sample, written one after the other.

The columns of a classifier are `name`, `class`, `probability` and `probability_CLASS` for each
class; those of a segmenter are `name` and `share_CLASS`.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from isthmus.errors import OptionError, missing_package
from isthmus.files import atomic_write
from isthmus.inference.model import Model
from isthmus.places import require_new
from isthmus.temporaries import sweep_for
from isthmus.text import as_cell, to_utf8

GROUP_ROWS = 2048  # of a Parquet file, which are in memory at once
KEY = b"isthmus"  # of the metadata of a Parquet file
# What a row says of all classes: the columns before it, and how those of the classes begin.
COLUMNS: dict[str, tuple[dict[str, type], str]] = {
    "probabilities": ({"name": str, "class": str, "probability": float}, "probability"),
    "shares": ({"name": str}, "share"),
}

Row = dict[str, Any]


def is_table(path: Path) -> bool:
    """Return whether predictions are written to a path as a table, by its ending."""
    return path.suffix.lower() in TABLES


def require_table(path: Path) -> None:
    """Reject a path that no table can be written to, before the work that fills it.

    Raises
    ------
    OptionError
        If its ending is none of a table, something is there, or a package is not installed.
    """
    if not is_table(path):
        raise OptionError(f"{path} does not end in {', '.join(TABLES)}; give a name that does.")
    require_new(path)
    sweep_for(path)
    if path.suffix.lower() == ".parquet":
        _import_parquet()


def write_table(path: Path, model: Model, rows: Iterable[Row]) -> int:
    """Write predictions, whole or not at all, and return how many they are.

    Parameters
    ----------
    path : Path
        Checked by `require_table`.
    model : Model
        A classifier or segmenter.
    rows : iterable of dict
        As `prediction_rows` returns them; only some are in memory at a time. Without any, the
        table has its columns all the same.

    Returns
    -------
    int

    Raises
    ------
    OptionError
        If a file has appeared there since it was checked; nothing is replaced.
    IsthmusError
        If it cannot be written.
    """
    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    with atomic_write(path) as file:
        TABLES[path.suffix.lower()](file, model, counted())
        require_new(path)  # a job may have taken hours
    return count


def flatten(row: Mapping[str, Any], class_names: Iterable[str]) -> Row:
    """Return a row with a column for each class.

    Examples
    --------
    >>> flatten({"name": "a.png", "shares": {"road": 1.0}}, ["road", "sky"])
    {'name': 'a.png', 'share_road': 1.0, 'share_sky': 0.0}
    """
    kind = "probabilities" if "probabilities" in row else "shares"
    own, prefix = COLUMNS[kind]
    shares = {f"{prefix}_{name}": row[kind].get(name, 0.0) for name in class_names}
    return {name: row[name] for name in own} | shares


def _list_columns(model: Model) -> dict[str, type]:
    """Return the columns of a table in their order, with the types of their cells."""
    own, prefix = COLUMNS["probabilities" if model.task == "classify" else "shares"]
    return {**own, **dict.fromkeys((f"{prefix}_{name}" for name in model.class_names), float)}


def _write_csv(file: BinaryIO, model: Model, rows: Iterator[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_list_columns(model)), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = flatten(row, model.class_names)
        # What spreadsheets would take for a formula has an apostrophe in front.
        texts: Row = {name: as_cell(cells[name]) for name in ("name", "class") if name in cells}
        writer.writerow(cells | texts)
        file.write(to_utf8(text.getvalue()))
        text.seek(0)
        text.truncate()
    file.write(to_utf8(text.getvalue()))  # the header alone, without rows


def _write_json(file: BinaryIO, model: Model, rows: Iterator[Row]) -> None:
    """Write what `isthmus predict --json` prints, a line for each sample."""
    file.write(b"[")
    before = b"\n"
    for row in rows:
        file.write(before + to_utf8(json.dumps(row, ensure_ascii=False)))
        before = b",\n"
    file.write(b"\n]\n")


def _write_parquet(file: BinaryIO, model: Model, rows: Iterator[Row]) -> None:
    pa, parquet = _import_parquet()
    kinds = {str: pa.string(), float: pa.float64()}
    facts = {"kind": "isthmus predictions", "model_fingerprint": model.fingerprint}
    fields = [(_storable(name), kinds[kind]) for name, kind in _list_columns(model).items()]
    schema = pa.schema(fields, {KEY: json.dumps(facts)})
    with parquet.ParquetWriter(file, schema) as writer:
        for group in _in_groups(rows):
            flat = [_as_text(flatten(row, model.class_names)) for row in group]
            writer.write_table(pa.Table.from_pylist(flat, schema))


def _in_groups(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while group := list(islice(rows, GROUP_ROWS)):
        yield group


def _as_text(row: Row) -> Row:
    """Return a row that can be stored, whatever bytes its names of files and folders have."""
    return {
        _storable(name): _storable(cell) if isinstance(cell, str) else cell
        for name, cell in row.items()
    }


def _storable(name: str) -> str:
    return to_utf8(name).decode()


def _import_parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise missing_package("a Parquet file", "pyarrow", "parquet") from None
    return pyarrow, pyarrow.parquet


TABLES: dict[str, Callable[[BinaryIO, Model, Iterator[Row]], None]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".parquet": _write_parquet,
}

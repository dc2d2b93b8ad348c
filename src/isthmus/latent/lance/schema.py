"""The columns of a Lance dataset of codes, and batches of its rows.

row : int64
    The place of the sample in the order of its source.
name : string
label : int32
    Index of its class, null for a sample without one; no such column if no sample has one.
z : FixedSizeList<float32, D>
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import NO_CLASS, Items
from isthmus.errors import ModelError, SourceError
from isthmus.latent.lance.facts import KEY, Facts
from isthmus.text import printable

if TYPE_CHECKING:
    import pyarrow

COLUMNS = ("row", "name", "label", "z")


def schema(facts: Facts) -> "pyarrow.Schema":
    """Return the schema of a dataset of codes: its columns, and the facts as its metadata."""
    import pyarrow as pa

    fields = [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        *([pa.field("label", pa.int32())] if facts.class_names else []),
        pa.field("z", pa.list_(pa.float32(), facts.size), nullable=False),
    ]
    return pa.schema(fields, {KEY: facts.to_bytes()})


def to_batch(
    kind: "pyarrow.Schema",
    rows: NDArray[np.int64],
    names: Sequence[str],
    labels: NDArray[np.integer[Any]] | None,
    z: NDArray[np.float32],
) -> "pyarrow.RecordBatch":
    """Return n codes as a batch of a dataset.

    Parameters
    ----------
    kind : pyarrow.Schema
        As `schema` returns it.
    rows : (n,) int64
        Places of the samples in the order of their source.
    names : sequence of n str
    labels : (n,) int, optional
        -1 for a sample without a class; None if no sample has one.
    z : (n, D) float32

    Raises
    ------
    ModelError
        If a code holds NaN or infinity, which no distance is to.
    SourceError
        If a name is no text that can be stored.
    """
    import pyarrow as pa

    z = np.ascontiguousarray(z, np.float32).reshape(len(rows), -1)
    if not np.isfinite(z).all():
        culprit = names[int(np.isfinite(z).all(axis=1).argmin())]
        raise ModelError(f"the code of {culprit} holds NaN or infinity; leave it out.")
    size = kind.field("z").type.list_size
    columns = [
        pa.array(rows, pa.int64()),
        _to_texts(names),
        pa.FixedSizeListArray.from_arrays(pa.array(z.reshape(-1), pa.float32()), size),
    ]
    if "label" in kind.names:
        columns.insert(2, _to_labels(labels, len(rows)))
    return pa.record_batch(columns, schema=kind)


def to_batches(
    facts: Facts,
    items: Items,
    blocks: Iterable[NDArray[np.float32]],
    rows: NDArray[np.int64] | None = None,
) -> "Iterator[pyarrow.RecordBatch]":
    """Yield blocks of codes (n, …) as batches of a dataset, with the items that belong to them.

    Parameters
    ----------
    facts : Facts
    items : Items
        Of all codes, in their order.
    blocks : iterable of (n, …) float32
    rows : (N,) int64, optional
        Places of the samples in their source; by default those of the items.
    """
    kind, start = schema(facts), 0
    for z in blocks:
        end = start + len(z)
        places = np.arange(start, end) if rows is None else rows[start:end]
        labels = items.labels[start:end] if facts.class_names and items.labels is not None else None
        yield to_batch(kind, places, items.names[start:end], labels, z)
        start = end


def to_z(column: Any, size: int) -> NDArray[np.float32]:
    """Return a column z of a batch as an array (n, D), which may be read only."""
    z: NDArray[np.float32] = column.flatten().to_numpy().reshape(-1, size)
    return z


def to_labels(column: Any) -> NDArray[np.int64]:
    """Return a column of labels as an array (n,), -1 where there is no class."""
    labels: NDArray[np.int64] = column.fill_null(NO_CLASS).to_numpy(zero_copy_only=False)
    return labels.astype(np.int64)


def _to_labels(labels: NDArray[np.integer[Any]] | None, count: int) -> Any:
    import pyarrow as pa

    if labels is None:
        return pa.nulls(count, pa.int32())
    return pa.array(labels, pa.int32(), mask=labels == NO_CLASS)


def _to_texts(names: Sequence[str]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(list(names), pa.string())
    except UnicodeEncodeError as error:  # Linux allows names of files that are no text
        name = printable(str(error.object))
        raise SourceError(
            f"{name}: its name is not valid Unicode, which Lance needs; rename the file."
        ) from None

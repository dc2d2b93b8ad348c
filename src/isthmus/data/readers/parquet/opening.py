"""Opens a table by its suffix, and turns every error of pyarrow into one sentence."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import DAMAGE
from isthmus.data.reading import Note
from isthmus.errors import IsthmusError, SourceError, first_sentence, missing_package
from isthmus.limits import reject_beyond

PARQUET = ".parquet"  # all others are Arrow's


class Leaf(NamedTuple):
    """A column, or a field of a column that holds structures."""

    column: str
    field: str = ""

    def take(self, batch: Any) -> Any:
        """Return its values in a batch of rows; a field is null where its structure is."""
        column = batch.column(batch.schema.get_field_index(self.column))
        if not self.field:
            return column
        return column.flatten()[column.type.get_field_index(self.field)]


class Table(Protocol):
    """A file of rows, of which a few are in memory at a time.

    Parameters
    ----------
    path : Path
    schema : pyarrow.Schema
    count : int
        Rows.
    notes : tuple of Note
        About the file itself.
    """

    path: Path
    schema: Any
    count: int
    notes: tuple[Note, ...]

    def read(
        self, leaves: Sequence[Leaf], rows: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number of a first row, from 0, and it and some more as a record batch.

        Batches without any of the given rows (ascending) may be left out.

        Raises
        ------
        SourceError
            If the file is damaged, or holds far more than its size explains.
        """
        ...

    def rows_to_look_at(self, leaf: Leaf) -> NDArray[np.int64]:
        """Return the rows among which some may have no value, ascending."""
        ...


def open_table(path: Path) -> Table:
    """Open a table.

    Raises
    ------
    SourceError
        If it is damaged, or has too many rows.
    OptionError
        If pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        raise missing_package(f"{path}: a Parquet or Arrow table", "pyarrow", "parquet") from None
    if path.name.lower().endswith(PARQUET):
        from isthmus.data.readers.parquet.parquet_table import ParquetTable

        return ParquetTable(path)
    from isthmus.data.readers.parquet.arrow_table import ArrowTable

    return ArrowTable(path)


def reject_many_rows(path: Path, count: int) -> None:
    """Refuse a table of too many rows, of which each takes memory before a picture is read."""
    try:
        reject_beyond("ISTHMUS_MAX_MEMBERS", count, f"{path} has {count:,} rows")
    except SourceError as error:
        raise SourceError(f"{error}, or split it into several files.") from None


@contextmanager
def reporting_damaged_table(path: Path) -> Iterator[None]:
    """Turn any error of pyarrow into one sentence about the file."""
    from pyarrow import ArrowException

    try:
        yield
    except IsthmusError:
        raise
    except (*DAMAGE, ArrowException) as error:
        if isinstance(error, OSError) and error.errno:
            raise SourceError(
                f"{path} cannot be read ({first_sentence(error)}); allow yourself to read it or "
                "give another file."
            ) from error
        raise SourceError(
            f"{path} is not a readable table: {first_sentence(error)}; fetch it again."
        ) from error

"""Parquet files, read row group by row group."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.readers.parquet.footer import Column, read_footer
from isthmus.data.readers.parquet.opening import Leaf, reject_many_rows, reporting_damaged_table
from isthmus.data.readers.parquet.pages import list_pages
from isthmus.data.reading import Note
from isthmus.limits import reject_disproportion

BUFFER_BYTES = 2**16  # of a column that are read at a time, instead of all of a row group
# Of a batch. A column may say "the same value again" a million times, so that its rows take far
# more than it says; each row at most as much as the whole column.
MAX_BATCH_BYTES = 2**26
MAX_BATCH_ROWS = 4096


class ParquetTable:
    """A Parquet file; see `Table`."""

    notes: tuple[Note, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._metadata: Any = None
        with reporting_damaged_table(path):
            self._groups = read_footer(path)
            self.count = sum(group.rows for group in self._groups)
            reject_many_rows(path, self.count)
            with self._open() as file:
                self._metadata, self.schema = file.metadata, file.schema_arrow
        counts = np.array([group.rows for group in self._groups], np.int64)
        self._ends = np.cumsum(counts)
        self._starts = self._ends - counts

    def read(
        self, leaves: Sequence[Leaf], rows: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield batches of rows; see `Table`."""
        columns = [".".join(filter(None, leaf)) for leaf in leaves]
        packed = self.path.stat().st_size
        unpacked = 0
        with reporting_damaged_table(self.path), self._open() as file:
            groups = self._find_groups(rows)
            sizes = [self._measure(group, columns) for group in groups]
            reject_disproportion(sum(sizes), packed, self.path)
            for group, size in zip(groups, sizes, strict=True):
                for row, batch in self._read_group(file, group, size, columns):
                    unpacked += batch.nbytes  # more than a part holds, if its values repeat
                    reject_disproportion(unpacked, packed, self.path)
                    yield row, batch

    def _read_group(
        self, file: Any, group: int, size: int, columns: Sequence[str]
    ) -> Iterator[tuple[int, Any]]:
        """Yield batches of a row group, in which columns hold `size` bytes."""
        count = max(1, min(MAX_BATCH_ROWS, MAX_BATCH_BYTES // max(1, size)))
        row = int(self._starts[group])
        for batch in file.iter_batches(
            count, row_groups=[group], columns=columns, use_threads=False
        ):
            yield row, batch
            row += len(batch)
        if row != self._ends[group]:
            raise ValueError("a part of it has fewer rows than it says")

    def rows_to_look_at(self, leaf: Leaf) -> NDArray[np.int64]:
        """Return the rows of the groups that do not say that each has a value."""
        name = ".".join(filter(None, leaf))
        rows = [np.zeros(0, np.int64)]
        for group, (start, end) in enumerate(zip(self._starts, self._ends, strict=True)):
            if any(column.nulls != 0 for column in self._columns(group, [name])):
                rows.append(np.arange(start, end))
        return np.concatenate(rows)

    def _open(self) -> Any:
        from pyarrow.parquet import ParquetFile

        return ParquetFile(  # metadata that is known is not read again
            self.path, metadata=self._metadata, buffer_size=BUFFER_BYTES, pre_buffer=False
        )

    def _find_groups(self, rows: NDArray[np.int64] | None) -> list[int]:
        """Return the row groups that hold some of the rows."""
        if rows is None:
            return list(range(len(self._starts)))
        found: list[int] = np.unique(np.searchsorted(self._ends, rows, side="right")).tolist()
        return found

    def _columns(self, group: int, names: Sequence[str]) -> list[Column]:
        return [column for column in self._groups[group].columns if column.path in names]

    def _measure(self, group: int, names: Sequence[str]) -> int:
        """Return the bytes that columns of a row group hold, unpacked.

        Raises
        ------
        ValueError
            If their pages hold more than the columns say.
        """
        columns = self._columns(group, names)
        with self.path.open("rb") as file:
            for column in columns:
                pages = list_pages(file, column.start, column.packed)
                if sum(page.unpacked for page in pages) > column.unpacked:
                    raise ValueError("a part of it holds more than it says")
        return sum(column.unpacked for column in columns)

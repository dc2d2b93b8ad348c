"""Parquet files, read row group by row group."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.readers.parquet.opening import Leaf, reject_many_rows, reporting_damaged_table
from isthmus.errors import SourceError
from isthmus.limits import reject_disproportion

BUFFER_BYTES = 2**16  # of a column that are read at a time, instead of all of a row group
# Of a batch. A column may say "the same value again" a million times, so that its rows take far
# more than it says; each row at most as much as the whole column.
MAX_BATCH_BYTES = 2**27
MAX_BATCH_ROWS = 4096


class ParquetTable:
    """A Parquet file; see `Table`."""

    notes = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        with reporting_damaged_table(path), self._open() as file:
            self._metadata: Any = file.metadata
            self.schema: Any = file.schema_arrow
            groups = [self._metadata.row_group(i) for i in range(self._metadata.num_row_groups)]
            counts = np.array([group.num_rows for group in groups], np.int64)
        self.count = int(counts.sum())
        if (counts < 0).any() or self.count != self._metadata.num_rows:
            raise SourceError(
                f"{path} is not a readable table: its parts have {self.count:,} rows, and all of "
                f"it {self._metadata.num_rows:,}; fetch it again."
            )
        reject_many_rows(path, self.count)
        self._ends = np.cumsum(counts)
        self._starts = self._ends - counts

    def read(
        self, leaves: Sequence[Leaf], rows: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield batches of rows; see `Table`."""
        columns = [".".join(filter(None, leaf)) for leaf in leaves]
        wanted = self._find_groups(rows)
        sizes = [self._largest(group, columns) for group in wanted]
        reject_disproportion(sum(sizes), self.path.stat().st_size, self.path)
        with reporting_damaged_table(self.path), self._open() as file:
            for group, size in zip(wanted, sizes, strict=True):
                row = int(self._starts[group])
                for batch in file.iter_batches(
                    max(1, min(MAX_BATCH_ROWS, MAX_BATCH_BYTES // max(1, size))),
                    row_groups=[group],
                    columns=columns,
                    use_threads=False,
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
            stored = [column.statistics for column in self._columns(group, [name])]
            if any(one is None or not one.has_null_count or one.null_count for one in stored):
                rows.append(np.arange(start, end))
        return np.concatenate(rows)

    def _open(self) -> Any:
        from pyarrow.parquet import ParquetFile

        known = getattr(self, "_metadata", None)  # else it is parsed each time
        return ParquetFile(self.path, metadata=known, buffer_size=BUFFER_BYTES, pre_buffer=False)

    def _find_groups(self, rows: NDArray[np.int64] | None) -> list[int]:
        """Return the row groups that hold some of the rows."""
        if rows is None:
            return list(range(len(self._starts)))
        found: list[int] = np.unique(np.searchsorted(self._ends, rows, side="right")).tolist()
        return found

    def _columns(self, group: int, names: Sequence[str]) -> list[Any]:
        described = self._metadata.row_group(group)
        columns = [described.column(i) for i in range(described.num_columns)]
        return [column for column in columns if column.path_in_schema in names]

    def _largest(self, group: int, names: Sequence[str]) -> int:
        """Return the bytes that columns of a row group say they hold, unpacked."""
        sizes = [column.total_uncompressed_size for column in self._columns(group, names)]
        if min(sizes, default=0) < 0:
            raise SourceError(
                f"{self.path} is not a readable table: it has a part of {min(sizes):,} bytes; "
                "fetch it again."
            )
        return sum(sizes)

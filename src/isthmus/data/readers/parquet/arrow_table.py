"""Arrow files and streams, which are mapped into memory and so are not read as a whole."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.readers.parquet.messages import list_messages
from isthmus.data.readers.parquet.opening import Leaf, reject_many_rows, reporting_damaged_table
from isthmus.data.reading import Note
from isthmus.limits import reject_disproportion

MAGIC = b"ARROW1"  # of a file: a stream between this, padded to 8 bytes, and a list of its parts
STREAM_START = 8
END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream; a writer that was killed has left it out


class ArrowTable:
    """An Arrow file or stream; see `Table`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: tuple[Note, ...] = ()
        with reporting_damaged_table(path), path.open("rb") as file:
            is_file = file.read(len(MAGIC)) == MAGIC
            file.seek(max(0, path.stat().st_size - len(END)))
            last = file.read()
            if is_file and not last.endswith(MAGIC):
                raise ValueError("it is cut short")
            if not is_file and last != END:
                self.notes = (_warn_of_end(path),)
            self._start = STREAM_START if is_file else 0
            messages = list(list_messages(self._map()))
            reject_disproportion(sum(one.unpacked for one in messages), path.stat().st_size, path)
            with self._open() as stream:
                self.schema: Any = stream.schema
        self.count = sum(one.rows for one in messages)
        reject_many_rows(path, self.count)

    def read(
        self, leaves: Sequence[Leaf], rows: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield batches of rows; see `Table`."""
        names = list(dict.fromkeys(leaf.column for leaf in leaves))
        row = 0
        with reporting_damaged_table(self.path), self._open(names) as stream:
            for batch in stream:
                end = row + len(batch)
                if rows is None or _is_between(rows, row, end):
                    batch.validate(full=True)  # a place outside of the file would be read
                    yield row, batch
                row = end
            if row != self.count:
                raise ValueError("it has changed while it was read")

    def rows_to_look_at(self, leaf: Leaf) -> NDArray[np.int64]:
        """Return all rows: which of them have a value takes no time to find out."""
        return np.arange(self.count)

    def _open(self, columns: Sequence[str] = ()) -> Any:
        """Open the stream, to read these columns of it."""
        from pyarrow.ipc import IpcReadOptions, open_stream

        chosen = [self.schema.get_field_index(name) for name in columns] if columns else None
        return open_stream(self._map(), options=IpcReadOptions(included_fields=chosen))

    def _map(self) -> Any:
        import pyarrow

        source = pyarrow.memory_map(os.fspath(self.path))
        source.seek(self._start)
        return source


def _is_between(rows: NDArray[np.int64], start: int, end: int) -> bool:
    """Return whether one of the rows, ascending, is from `start` up to `end`."""
    return bool(np.searchsorted(rows, start) < np.searchsorted(rows, end))


def _warn_of_end(path: Path) -> Note:
    text = f"{path.name} has no end mark and may be cut short"
    return Note("warning", "no-end-of-table", text, "compare its size with that of the original")

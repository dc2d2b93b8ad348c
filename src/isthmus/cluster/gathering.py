"""Outputs of a job: its parts, gathered in their order into one file."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import OptionError
from isthmus.files import atomic_write, require_writable_place
from isthmus.latent.codes import KIND, Codes, require_codes_path, write_blocks
from isthmus.latent.lance.facts import KEY, Facts
from isthmus.latent.lance.schema import schema, to_batches
from isthmus.latent.lance.writing import require_lance_path, write_codes
from isthmus.places import require_regular
from isthmus.temporaries import sweep_for

Blocks = Iterable[NDArray[np.float32]]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Output:
    """Where codes go, and what writes them."""

    path: Path
    write_to: Callable[[Path, Codes, Blocks, Numbers], None]

    def write(self, codes: Codes, blocks: Blocks, rows: Numbers) -> None:
        """Write codes, whole or not at all.

        Parameters
        ----------
        codes : Codes
            Without numbers.
        blocks : iterable of (n, D) float32
        rows : (N,) int64
            The places of the samples in their source.
        """
        self.write_to(self.path, codes, blocks, rows)


def choose_output(path: Path) -> Output:
    """Return what writes codes to a path, by its ending.

    Raises
    ------
    OptionError
        If the ending is none of them, or another file is in the way.
    """
    if path.suffix not in OUTPUTS:
        raise OptionError(f"{path} does not end in {', '.join(OUTPUTS)}; give a name that does.")
    require, write = OUTPUTS[path.suffix]
    return Output(require(path), write)


def _write_npy(path: Path, codes: Codes, blocks: Blocks, rows: Numbers) -> None:
    write_blocks(path, codes, blocks, (len(rows), codes.z.shape[1]))


def _write_lance(path: Path, codes: Codes, blocks: Blocks, rows: Numbers) -> None:
    facts = Facts.of(codes)
    write_codes(path, facts, to_batches(facts, codes.items, blocks, rows))


def _write_parquet(path: Path, codes: Codes, blocks: Blocks, rows: Numbers) -> None:
    import pyarrow.parquet as pq

    facts = Facts.of(codes)
    with atomic_write(path) as file, pq.ParquetWriter(file, schema(facts)) as writer:
        for batch in to_batches(facts, codes.items, blocks, rows):
            writer.write_batch(batch)


def _require_table(path: Path) -> Path:
    require_writable_place(path)
    require_regular(path)
    sweep_for(path)
    if path.exists() and not _is_ours(path):
        raise OptionError(f"{path} exists and holds no codes of Isthmus; choose another name.")
    return path


def _is_ours(path: Path) -> bool:
    """Return whether a Parquet file says that it holds codes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError):
        return False
    return f'"kind": "{KIND}"'.encode() in metadata.get(KEY, b"")


OUTPUTS: dict[str, tuple[Callable[[Path], Path], Any]] = {
    ".npy": (require_codes_path, _write_npy),
    ".parquet": (_require_table, _write_parquet),
    ".lance": (require_lance_path, _write_lance),
}

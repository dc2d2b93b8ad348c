"""Writes codes in the formats that vector databases take in bulk.

parquet
    codes-00000.parquet, …: `id`, `row`, `name`, `label` (if there are any) and `vector`.
milvus
    The same files, which Milvus imports into a collection with these fields, and collection.json
    with the fields and the metric. Milvus matches columns and fields by name.
qdrant
    Qdrant imports no files; its clients upload arrays with JSON objects. So vectors.npy and, line
    by line in the same order, payload.jsonl, as its own examples read them; and collection.json
    with the size and the metric.

Numbers in `id` count from 0 in the order of the codes; `row` is the place in the source.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import NO_CLASS
from isthmus.errors import OptionError, missing_package, require_known
from isthmus.files import atomic_folder, put, require_writable_place
from isthmus.latent.codes import Codes
from isthmus.latent.lance.adding import facts_of, numbered_blocks_of
from isthmus.latent.lance.dataset import LanceCodes
from isthmus.latent.lance.opening import open_codes
from isthmus.places import is_free
from isthmus.text import to_utf8

ROWS_PER_FILE = 2**20
MAX_VARCHAR = 65_535  # bytes of a text in Milvus
METRICS = {"milvus": "L2", "qdrant": "Euclid"}  # as they call the Euclidean distance


def export_codes(
    source: str | Path | Codes | LanceCodes, to: str, out: str | Path
) -> dict[str, Any]:
    """Write codes into a new folder, for a vector database to take in.

    Parameters
    ----------
    source : path, Codes or LanceCodes
        An .npy file or a Lance dataset that `isthmus encode` wrote, or codes.
    to : str
        A key of `EXPORTERS`: "milvus", "qdrant" or "parquet".
    out : path
        The folder to create.

    Returns
    -------
    dict
        The `folder`, its `files`, the number of codes `n` and their `size`.

    Raises
    ------
    OptionError
        If there is no such format, the folder exists, or pyarrow is not installed.
    SourceError
        If there are no codes, or they are damaged.
    """
    require_known("format", to, EXPORTERS)
    out = Path(out)
    require_writable_place(out / "any")
    if not is_free(out):
        raise OptionError(f"{out} exists; choose another name, or move it away.")
    codes = open_codes(source) if isinstance(source, str | Path) else source
    with atomic_folder(out) as folder:
        EXPORTERS[to](codes, folder)
        files = sorted(file.name for file in folder.iterdir())
    return {"folder": str(out), "files": files, "n": len(codes), "size": facts_of(codes).size}


def _export_parquet(codes: Codes | LanceCodes, folder: Path) -> None:
    try:
        from pyarrow.parquet import ParquetWriter
    except ModuleNotFoundError:
        raise missing_package("a Parquet file", "pyarrow", "parquet") from None
    kind, done = _parquet_schema(codes), 0
    with ExitStack() as stack:
        writer: Any = None
        for rows, block in numbered_blocks_of(codes):
            if done % ROWS_PER_FILE == 0:
                stack.close()
                file = folder / f"codes-{done // ROWS_PER_FILE:05}.parquet"
                writer = stack.enter_context(ParquetWriter(file, kind))
            writer.write_batch(_to_columns(kind, done, rows, block))
            done += len(block)


def _export_milvus(codes: Codes | LanceCodes, folder: Path) -> None:
    _export_parquet(codes, folder)
    text: dict[str, Any] = {"type": "VARCHAR", "max_length": MAX_VARCHAR}
    fields: dict[str, Any] = {
        "id": {"type": "INT64", "is_primary": True},
        "row": {"type": "INT64"},
        "name": text,
        **({"label": text | {"nullable": True}} if facts_of(codes).class_names else {}),
        "vector": {"type": "FLOAT_VECTOR", "dim": facts_of(codes).size},
    }
    _put_json(folder, {"fields": fields, "metric_type": METRICS["milvus"], **_origin(codes)})


def _export_qdrant(codes: Codes | LanceCodes, folder: Path) -> None:
    size = facts_of(codes).size
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(codes), size)}
    with (
        (folder / "vectors.npy").open("wb") as vectors,
        (folder / "payload.jsonl").open("wb") as payload,
    ):
        np.lib.format.write_array_header_1_0(vectors, header)
        for rows, block in numbered_blocks_of(codes):
            vectors.write(np.ascontiguousarray(block.z).data)
            _write_payload(payload, rows, block)
    vectors_config = {"size": size, "distance": METRICS["qdrant"]}
    _put_json(folder, {"vectors": vectors_config, **_origin(codes)})


EXPORTERS: dict[str, Callable[[Codes | LanceCodes, Path], None]] = {
    "milvus": _export_milvus,
    "qdrant": _export_qdrant,
    "parquet": _export_parquet,
}


def _parquet_schema(codes: Codes | LanceCodes) -> Any:
    import pyarrow as pa

    fields = {"id": pa.int64(), "row": pa.int64(), "name": pa.string(), "label": pa.string()}
    if not facts_of(codes).class_names:
        del fields["label"]
    return pa.schema({**fields, "vector": pa.list_(pa.float32())})


def _to_columns(kind: Any, first: int, rows: NDArray[np.int64], block: Codes) -> Any:
    """Return codes as a batch of a Parquet file."""
    import pyarrow as pa

    count, size = block.z.shape
    ends = pa.array(np.arange(0, count * size + 1, size, dtype=np.int32))
    values = pa.array(np.ascontiguousarray(block.z).reshape(-1))
    columns = {
        "id": pa.array(np.arange(first, first + count)),
        "row": pa.array(rows),
        "name": pa.array(list(block.names), pa.string()),
        "label": pa.array(block.items.label_names(), pa.string()),
        "vector": pa.ListArray.from_arrays(ends, values),
    }
    return pa.record_batch([columns[name] for name in kind.names], schema=kind)


def _write_payload(file: BinaryIO, rows: NDArray[np.int64], block: Codes) -> None:
    labels = block.labels
    texts = block.items.label_names()
    for place, row in enumerate(rows.tolist()):
        payload: dict[str, Any] = {"row": row, "name": block.names[place]}
        if labels is not None and labels[place] != NO_CLASS:
            payload["label"] = texts[place]
        file.write(to_utf8(json.dumps(payload, ensure_ascii=False) + "\n"))


def _origin(codes: Codes | LanceCodes) -> dict[str, Any]:
    """Return what readers of the export need to know, such as which model made the codes."""
    facts = facts_of(codes)
    return {
        "layer": facts.layer,
        "model_fingerprint": facts.model_fingerprint,
        "data_fingerprint": facts.fingerprint,
        "class_names": list(facts.class_names),
    }


def _put_json(folder: Path, content: dict[str, Any]) -> None:
    put(folder / "collection.json", to_utf8(json.dumps(content, indent=2, ensure_ascii=False)))

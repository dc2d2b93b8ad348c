"""One search in a dataset, by its index or by comparing a query with every code."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import SourceError
from isthmus.latent.lance.dataset import LanceCodes
from isthmus.latent.lance.index_facts import IndexFacts
from isthmus.latent.lance.library import reporting_lance


def find_nearest(
    codes: LanceCodes,
    facts: IndexFacts,
    queries: NDArray[np.float32],
    k: int,
    where: str | None = None,
) -> Any:
    """Find the k nearest codes of each of n queries.

    Parameters
    ----------
    codes : LanceCodes
    facts : IndexFacts
        How to search.
    queries : (n, D) float32
    k : int
        At most as many as there are.
    where : str, optional
        A condition of SQL for what may be found; looked at before, not after the search.

    Returns
    -------
    pyarrow.Table
        n · k rows, those of the first query first, nearest first: name, label and `_distance`,
        squared for the metric euclidean and else 1 - cos.
    """
    import pyarrow as pa

    columns = ["name", *(["label"] if codes.facts.class_names else []), "_distance"]
    nearest = _options(facts, k)
    tables = []
    with reporting_lance(codes.path, SourceError):
        for query in queries:
            table = codes.dataset.to_table(
                columns=columns, nearest=nearest | {"q": query}, filter=where, prefilter=True
            )
            tables.append(table)
    found = pa.concat_tables(tables)
    if len(found) != len(queries) * k:
        raise SourceError(
            f"{codes.path} is damaged: it has {len(found):,} neighbors of {len(queries) * k:,}; "
            "index it again with isthmus index."
        )
    return found


def _options(facts: IndexFacts, k: int) -> dict[str, Any]:
    """Return how Lance is to search."""
    options = {
        "column": "z",
        "k": k,
        "metric": "l2" if facts.metric == "euclidean" else "cosine",
        "use_index": facts.kind != "exact",
    }
    if facts.kind != "exact":
        # At least so many lists; more, where they hold fewer than k.
        options |= {"minimum_nprobes": facts.nprobes, "refine_factor": facts.refine}
    return options

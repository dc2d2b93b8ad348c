"""`IndexFacts`: what a dataset of codes says of its index, in its configuration."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from isthmus.errors import RunError
from isthmus.fields import from_json, parse_json
from isthmus.files import to_json
from isthmus.latent.index_record import IndexSource
from isthmus.latent.lance.facts import Facts

FORMAT = 1  # raise it when an older program could misread it
KEY = "isthmus.index"  # of the configuration of the dataset


@dataclass(frozen=True)
class IndexFacts:
    """How codes are searched.

    Parameters
    ----------
    metric : str
    kind : str
        "exact", or "ivf-pq" for inverted lists of quantized codes.
    partitions : int
        Number of inverted lists; 1 if the search is exact.
    nprobes : int
        How many of them a search looks into.
    refine : int
        For k neighbors, the distances of k times so many candidates are computed exactly.
    recall : float
        Share of the ten nearest that a search finds.
    sources : tuple of IndexSource
        What the codes were made of.
    format : int

    Raises
    ------
    RunError
        If a number is outside its range.
    """

    metric: Literal["euclidean", "cosine"] = "euclidean"
    kind: Literal["exact", "ivf-pq"] = "exact"
    partitions: int = 1
    nprobes: int = 1
    refine: int = 1
    recall: float = 1.0
    sources: tuple[IndexSource, ...] = ()
    format: int = FORMAT

    def __post_init__(self) -> None:
        is_usable = 1 <= self.nprobes <= self.partitions and self.refine >= 1
        if not (is_usable and 0 <= self.recall <= 1):
            raise RunError("its numbers are outside their range")

    @classmethod
    def of(cls, dataset: Any, codes: Facts) -> "IndexFacts":
        """Return what a dataset says; if it was never indexed, that its search is exact.

        Raises
        ------
        IsthmusError
            If it says something else than `to_text` returns.
        """
        text = dataset.config().get(KEY)
        if text is None:
            return cls(sources=(IndexSource(codes.origin, codes.fingerprint),))
        content = parse_json(text)
        written = content.get("format") if isinstance(content, dict) else None
        if written != FORMAT:
            raise RunError(f"its index is of format {written!r} and this Isthmus reads {FORMAT}")
        return from_json(cls, content)

    def to_text(self) -> str:
        """Return them as JSON."""
        return json.dumps(to_json(self))

"""Adds codes to a dataset that has others."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import NO_CLASS
from isthmus.errors import ModelError, OptionError
from isthmus.latent.codes import Codes
from isthmus.latent.lance.dataset import LanceCodes
from isthmus.latent.lance.facts import KEY, Facts
from isthmus.latent.lance.names import first_repeated
from isthmus.latent.lance.schema import schema, to_batch
from isthmus.latent.lance.vectors import comparable
from isthmus.latent.lance.writing import append

BLOCK_ROWS = 2**13  # codes that are looked at and written at once


def require_addable(codes: LanceCodes, added: Codes | LanceCodes, metric: str) -> None:
    """Reject codes that do not belong to those of a dataset, before anything is written.

    Raises
    ------
    OptionError
    ModelError
    """
    own, other = codes.facts, facts_of(added)
    if other.model_fingerprint != own.model_fingerprint:
        raise ModelError(
            f"these codes were made by another model than those of {codes.path}; make them with "
            "the same model."
        )
    if (other.layer, other.size) != (own.layer, own.size):
        raise ModelError(
            f"these codes have {other.size:,} numbers of layer {other.layer}, and those of "
            f"{codes.path} have {own.size:,} of layer {own.layer}."
        )
    if not len(added):
        raise OptionError("there are no codes to add; give at least one.")
    if other.class_names and not own.class_names:
        raise OptionError(
            f"{codes.path} has no labels, so those of the added codes would be lost; make it again "
            "of a source with labels."
        )
    _require_new_names(codes, added)
    for block in blocks_of(added):
        comparable(block, metric)


def add_codes(codes: LanceCodes, added: Codes | LanceCodes) -> LanceCodes:
    """Append codes to a dataset, and open it again."""
    merged = tuple(dict.fromkeys([*codes.facts.class_names, *facts_of(added).class_names]))
    facts = replace(codes.facts, class_names=merged)
    with codes.reporting():
        if facts != codes.facts:  # first: labels without a class name would be damage
            codes.dataset.update_schema_metadata({KEY.decode(): facts.to_bytes().decode()})
    append(codes.dataset, facts, _batches_of(added, facts))
    return LanceCodes.open(codes.path)


def blocks_of(codes: Codes | LanceCodes) -> Iterator[Codes]:
    """Yield codes some at a time, wherever they are."""
    return (block for _, block in numbered_blocks_of(codes))


def numbered_blocks_of(codes: Codes | LanceCodes) -> Iterator[tuple[NDArray[np.int64], Codes]]:
    """Yield what `blocks_of` does, and before it the places in the source, (n,) int64."""
    if isinstance(codes, LanceCodes):
        yield from codes.numbered_batches(BLOCK_ROWS)
        return
    for start in range(0, len(codes), BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, len(codes)))
        yield rows, codes.take(rows)


def facts_of(codes: Codes | LanceCodes) -> Facts:
    """Return what codes have in common."""
    return codes.facts if isinstance(codes, LanceCodes) else Facts.of(codes)


def _require_new_names(codes: LanceCodes, added: Codes | LanceCodes) -> None:
    def read() -> Iterator[Sequence[str]]:
        return (block.names for block in blocks_of(added))

    name = first_repeated(read)
    if name is not None:
        raise OptionError(f"two of the codes are called {name}; give each its own name.")
    for names in read():
        for known in codes.rows_of(names):
            raise OptionError(f"{known} is in the index already; remove it before adding it.")


def _batches_of(added: Codes | LanceCodes, facts: Facts) -> Iterator[object]:
    """Yield batches with the labels of a dataset, whose classes include those of the codes."""
    kind, start = schema(facts), 0
    for block in blocks_of(added):
        rows = np.arange(start, start + len(block))
        yield to_batch(kind, rows, block.names, _labels_in(block, facts.class_names), block.z)
        start += len(block)


def _labels_in(block: Codes, class_names: Sequence[str]) -> NDArray[np.int64] | None:
    if block.labels is None:
        return None
    numbers = [*(class_names.index(name) for name in block.class_names), NO_CLASS]
    labels: NDArray[np.int64] = np.array(numbers)[block.labels]  # -1 finds the last
    return labels

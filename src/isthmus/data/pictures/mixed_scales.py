"""Integers of a wide type, which are of one scale in all pictures of a source or refused."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from isthmus.errors import SourceError

if TYPE_CHECKING:
    from isthmus.data.blocks import Block


class Largest(NamedTuple):
    """The largest integer of a wide type in a picture, and the picture's name."""

    value: float
    name: str


class Scales:
    """The largest integers so far, of pictures of 8 bits and of others.

    Such a type does not tell whether 255 or 65,535 is white; each picture by itself would be read
    by its largest value, and a dark one become bright.
    """

    def __init__(self) -> None:
        self._largest: dict[bool, Largest] = {}  # by whether it is beyond 8 bits

    def __iter__(self) -> Iterator[Largest]:
        return iter(self._largest.values())

    def add(self, found: Iterable[Largest]) -> None:
        """Take pictures into account.

        Raises
        ------
        SourceError
            If they are of both kinds.
        """
        for one in found:
            is_wide = one.value > 255
            self._largest[is_wide] = max(one, self._largest.get(is_wide, one))
        if len(self._largest) == 2:
            (low, dark), (high, bright) = self._largest[False], self._largest[True]
            raise SourceError(
                f"{dark} holds integers up to {low:g}, as of 8 bits, and {bright} up to {high:g}, "
                f"as of 16; say which values are black and white by --stretch, such as 0:{high:g}, "
                "or auto."
            )


def list_largest(block: "Block", names: Sequence[str]) -> Iterator[Largest]:
    """Yield the largest integer of each picture that holds integers of a wide type.

    Parameters
    ----------
    block : Block
    names : sequence of str
        Of the pictures of the block, also of broken ones.
    """
    for i, facts in zip(block.good, block.facts, strict=False):
        if "integer" in facts.kind:
            yield Largest(facts.high, names[i])


def reject_mixed_scales(
    blocks: Generator["Block", None, None], names: Sequence[str]
) -> Generator["Block", None, None]:
    """Yield blocks, as long as integers of a wide type are of one scale in all pictures.

    Raises
    ------
    SourceError
    """
    scales, done = Scales(), 0
    with closing(blocks):
        for block in blocks:
            scales.add(list_largest(block, names[done : done + len(block)]))
            done += len(block)
            yield block
            del block  # the next may be as large

"""Integers of a wide type, which are of one scale in all pictures of a source or refused."""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from isthmus.errors import SourceError

if TYPE_CHECKING:
    from isthmus.data.blocks import Block


def reject_mixed_scales(
    blocks: Generator["Block", None, None], names: Sequence[str]
) -> Generator["Block", None, None]:
    """Yield blocks, as long as integers of a wide type are of one scale in all pictures.

    Such a type does not tell whether 255 or 65,535 is white; each picture by itself would be read
    by its largest value, and a dark one become bright.

    Raises
    ------
    SourceError
    """
    largest: dict[bool, tuple[float, str]] = {}  # by whether it is beyond eight bits
    done = 0
    with closing(blocks):
        for block in blocks:
            good = [i for i in range(len(block)) if i not in block.broken]
            for i, facts in zip(good, block.facts, strict=False):
                if "integer" in facts.kind:
                    one = (facts.high, names[done + i])
                    largest[facts.high > 255] = max(one, largest.get(facts.high > 255, one))
            if len(largest) == 2:
                (low, dark), (high, bright) = largest[False], largest[True]
                raise SourceError(
                    f"{dark} holds integers up to {low:g}, as of 8 bits, and {bright} up to "
                    f"{high:g}, as of 16; say which values are black and white by --stretch, such "
                    f"as 0:{high:g}, or auto."
                )
            done += len(block)
            yield block
            del block  # the next may be as large

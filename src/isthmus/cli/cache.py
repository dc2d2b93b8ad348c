"""The cache as a table in the terminal."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from isthmus.cli.tables import make_table
from isthmus.cli.terminal import out_console, print_text
from isthmus.text import count_of, format_bytes

if TYPE_CHECKING:
    from isthmus.data.cache import Cleaning
    from isthmus.data.cache.holdings import Holding

MIN_LISTED_BYTES = 50_000  # of a leftover; smaller ones are counted
HEADS = ("decoded samples", "", "size", "last used", "")


def show_cleaning(cleaning: "Cleaning") -> None:
    """Print what was removed from the cache, entry by entry, and what stays."""
    verb = "would be deleted" if cleaning.is_dry else "deleted"
    rows = [*_rows(cleaning.removed, verb), *_rows(cleaning.kept, "kept")]
    if rows:
        out_console.print(make_table(HEADS, rows))
    for line in _lines(cleaning, verb):
        print_text(line)
    freed = format_bytes(cleaning.freed)
    print_text(f"{freed} would be freed." if cleaning.is_dry else f"{freed} freed.")


def _rows(entries: "Sequence[Holding]", what: str) -> Iterator[list[str]]:
    from isthmus.data.cache.units import format_age

    now = time.time()
    for entry in entries:
        state = f"{what}, {entry.state}" if entry.state else what
        used = format_age(now - entry.last_use)
        name = entry.source or entry.path.name
        yield [name, entry.description, format_bytes(entry.bytes), used, state]


def _lines(cleaning: "Cleaning", verb: str) -> Iterator[str]:
    """Yield what else was removed and what else is there."""
    large = {path: size for path, size in cleaning.leftovers.items() if size >= MIN_LISTED_BYTES}
    for path, size in large.items():
        yield f"{verb}: left over {path}, {format_bytes(size)}"
    if small := len(cleaning.leftovers) - len(large):
        yield f"{verb}: {count_of(small, 'small file')} left over"
    for path, size in cleaning.others.items():
        yield f"kept: {path}, {format_bytes(size)}"
    for folder, size in ((folder, size) for folder, size in cleaning.downloads.items() if size):
        yield f"kept: fetched data in {folder}, {format_bytes(size)}"
    if cleaning.kept:
        is_free = cleaning.limit == float("inf")
        limit = (
            "there is no limit" if is_free else f"the limit is {format_bytes(int(cleaning.limit))}"
        )
        yield f"{format_bytes(cleaning.held)} stay; {limit} (ISTHMUS_CACHE_LIMIT)."

"""Whether names differ, without having all of them in memory."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np


def first_repeated(read: Callable[[], Iterable[Sequence[str]]]) -> str | None:
    """Return a name that two codes have, if any; it takes 16 bytes a name.

    Parameters
    ----------
    read : callable
        Returns the names in blocks; called once more if a name has to be found.
    """
    hashes = [np.fromiter(map(hash, names), np.int64, len(names)) for names in read()]
    if not hashes:
        return None
    values, counts = np.unique(np.concatenate(hashes), return_counts=True)
    repeated = set(values[counts > 1].tolist())
    if not repeated:
        return None
    seen: set[str] = set()  # few: different names rarely share a hash
    for names in read():
        for name in names:
            if hash(name) in repeated:
                if name in seen:
                    return name
                seen.add(name)
    return None

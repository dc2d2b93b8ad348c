"""What the model makes of the same few test samples after each epoch, to look at its progress.

====================  ==============================================================================
epochs/inputs.npy.gz  the samples as the model takes them, of a denoiser with their noise
epochs/rows.npy.gz    their indices in the data of the run
epochs/0007.npy.gz    what the model of epoch 7 makes of them: reconstructions, probabilities, masks
====================  ==============================================================================

These are not the best weights of their time but those of the epoch. They are not measured and not
chosen by.
"""

import gzip
import io
import re
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import read_npy
from isthmus.damage import DAMAGE
from isthmus.training.store import Store

FOLDER, SUFFIX = "epochs", ".npy.gz"
INPUTS, ROWS = "inputs", "rows"
MAX_KEPT = 64  # epochs
MAX_SHOWN = 16  # samples
MAX_BYTES, MIN_SHOWN = 2**18, 4  # of an epoch's samples; of larger samples there are fewer
MAX_UNPACKED = 2**28  # beyond what the fewest of the largest samples take
GZIP = 31  # for zlib: the format of a .gz file, with its checksum
COMPRESSION = 1  # masks shrink to a hundredth at any level, pictures little at the highest


class KeptEpochs:
    """The epochs that a run keeps.

    Parameters
    ----------
    store : Store
        Of the run.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def numbers(self) -> list[int]:
        """Return the epochs, ascending; always the first and the last, and at most 64."""
        matches = (re.fullmatch(rf"(\d+){re.escape(SUFFIX)}", name) for name in self.files())
        return sorted(int(match[1]) for match in matches if match)

    def files(self) -> list[str]:
        """Return the names of all files in the folder."""
        return self._store.names(FOLDER)

    def read(self, epoch: int) -> NDArray[Any] | None:
        """Return what the model of an epoch makes of the samples; None if it is not kept whole.

        Returns
        -------
        (n, H, W, C) uint8, (n, L, C) float32, (n, K) float32 or (n, H, W) uint8
            Reconstructions, of images or signals; probabilities of a classifier; masks of a
            segmenter.
        """
        return self._read(_name(epoch))

    def inputs(self) -> tuple[NDArray[Any], NDArray[np.int64]] | None:
        """Return the samples as the model takes them, and their indices in the run's data."""
        values, rows = self._read(INPUTS), self._read(ROWS)
        if values is None or rows is None or rows.shape != values.shape[:1]:
            return None
        return (values, rows) if rows.dtype == np.int64 and (rows >= 0).all() else None

    def begin(self, values: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Write the samples, unless they are there already and whole."""
        if self.inputs() is None:
            self._write(INPUTS, values)
            self._write(ROWS, rows)

    def write(self, epoch: int, answers: NDArray[Any]) -> None:
        """Write what the model of an epoch makes of the samples, and remove epochs in between.

        Which epochs stay depends on the number of epochs alone, so that a run that was stopped and
        resumed keeps the same.
        """
        self._write(_name(epoch), answers)
        self.prune(epoch)

    def has(self, epoch: int) -> bool:
        """Return whether an epoch is kept, and the samples with it."""
        return self.inputs() is not None and self.read(epoch) is not None

    def prune(self, epoch: int) -> None:
        """Remove epochs that are not kept after so many, and those that are not trained yet."""
        kept = kept_epochs(epoch)
        for number in self.numbers():
            if number not in kept or number > epoch:
                self._store.remove(_path(_name(number)))

    def _read(self, name: str) -> NDArray[Any] | None:
        content = self._store.read(_path(name))
        if content is None:
            return None
        with suppress(*DAMAGE):  # a run is trained and used all the same
            return read_npy(_unpack(content))
        return None

    def _write(self, name: str, values: NDArray[Any]) -> None:
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(values), allow_pickle=False)
        # Without the time of day, so that equal numbers are equal files.
        compressed = gzip.compress(content.getvalue(), COMPRESSION, mtime=0)
        self._store.write(_path(name), compressed)


def _unpack(content: bytes) -> bytes:
    """Return what was compressed, if it is of a size that is ever written."""
    unpacker = zlib.decompressobj(GZIP)
    unpacked = unpacker.decompress(content, MAX_UNPACKED)
    if not unpacker.eof:
        raise EOFError
    return unpacked


def kept_epochs(epochs: int) -> set[int]:
    """Return which of so many epochs are kept: the first, the last and every n-th between.

    n is a power of two, so that an epoch that is kept at some time was kept at all times before.

    Examples
    --------
    >>> len(kept_epochs(62)), sorted(kept_epochs(200))[:4], max(kept_epochs(200))
    (62, [1, 4, 8, 12], 200)
    """
    step = 1
    while epochs // step > MAX_KEPT - 2:
        step *= 2
    return {1, epochs, *range(step, epochs + 1, step)}


def shown_count(bytes_each: int) -> int:
    """Return how many samples are kept of so many bytes each."""
    return min(MAX_SHOWN, max(MIN_SHOWN, MAX_BYTES // bytes_each))


def _name(epoch: int) -> str:
    return f"{epoch:04}"


def _path(name: str) -> str:
    return f"{FOLDER}/{name}{SUFFIX}"

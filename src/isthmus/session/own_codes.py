"""Codes of a run's own samples, each computed once."""

import threading
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track
from isthmus.data.samples import Samples
from isthmus.inference.model import Model
from isthmus.latent.codes import Codes

BATCHES_AT_ONCE = 8  # of samples that are copied


class OwnCodes:
    """Codes of the run's own samples; only those that are needed are computed.

    A report needs the codes of the test split and of some training samples: on a large set, a
    fraction of all.
    """

    def __init__(self, model: Model, samples: Samples) -> None:
        self._model, self._samples = model, samples
        self._z = np.zeros((len(samples), model.code_size), np.float32)
        self._is_known = np.zeros(len(samples), np.bool_)
        self._lock = threading.Lock()

    def z(self, indices: NDArray[np.int64], track: Track) -> NDArray[np.float32]:
        """Return the codes (n, D) at `indices`; those that are missing are encoded first."""
        with self._lock:
            missing = np.unique(indices[~self._is_known[indices]])
            if len(missing):
                self._encode(missing, track)
            return self._z[indices]

    def _encode(self, rows: NDArray[np.int64], track: Track) -> None:
        """Encode samples without a copy of many: a training split may be larger than the memory."""
        if len(rows) == len(self._samples):
            self._z[rows] = self._model.encode(self._samples, track=track)
        else:
            step = BATCHES_AT_ONCE * self._model.batch_size  # so that batches are those of one call
            parts = [rows[start : start + step] for start in range(0, len(rows), step)]
            for some in track(parts, len(parts), "Encoding"):
                self._z[some] = self._model.encode(self._samples.take(some))
        self._is_known[rows] = True

    def take(self, indices: NDArray[np.int64], track: Track) -> Codes:
        """Return the codes at `indices` with their items."""
        is_all = np.array_equal(indices, np.arange(len(self._samples)))
        chosen = self._samples if is_all else self._samples.take(indices)
        return Codes(
            self.z(indices, track),
            replace(chosen.items, fingerprint=chosen.fingerprint),
            shape=(self._z.shape[1],),
            model_fingerprint=self._model.fingerprint,
            origin=chosen.origin,
        )

"""`place_on_cluster`: codes of a dataset on a map, placed on many machines."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.cluster.connection import joined
from isthmus.cluster.job import Job
from isthmus.cluster.parts import Part
from isthmus.cluster.tasks import Block, WritesNoFiles
from isthmus.cluster.workload import missing_on_machine, require_same
from isthmus.data.cache import Track, untracked
from isthmus.data.items import Items
from isthmus.data.manifest import evenly_spaced
from isthmus.files import fingerprint
from isthmus.latent.lance.dataset import LanceCodes
from isthmus.latent.lance.placing import choose_rows, write_points
from isthmus.latent.maps import Map
from isthmus.places import require_own_place

THREADS = 1  # of a process; where a code is placed does not depend on it
Places = NDArray[np.int64]


def place_on_cluster(
    drawn: Map,
    codes: LanceCodes,
    out: str | Path,
    *,
    on: str = "local",
    limit: int | None = None,
    fitted: NDArray[np.bool_] | None = None,
    track: Track = untracked,
) -> dict[str, Any]:
    """Place the codes of a dataset on a map on many machines, by Ray, and write a CSV file.

    The points are those of `Map.transform`, to the last bit. Those that are done wait in a folder
    next to the output, so that a job that was stopped continues when it is started again.

    Parameters
    ----------
    drawn : Map
        Fitted on some codes of the same model and layer; see `isthmus.fit_map`.
    codes : LanceCodes
        On a file system that all machines share.
    out : str or Path
        The CSV file: name, label, x, y, and whether the map was fitted on the code.
    on : str
        See `isthmus.encode_on_cluster`.
    limit : int, optional
        At most as many codes, spread evenly.
    fitted : (N,) bool, optional
        Which of the codes the map was fitted on; by default none.
    track : callable
        Shows progress, in codes.

    Returns
    -------
    dict
        `coordinates`, the path; `n`, how many codes; `resumed`, how many of them an earlier
        attempt had placed.

    Raises
    ------
    OptionError
        If Ray is not installed, nothing answers at the address, or the output may not be replaced.
    IsthmusError
        What a worker raises, in one sentence.

    Examples
    --------
    >>> codes = open_codes("codes.lance")  # doctest: +SKIP
    >>> drawn = fit_map(codes.sample(20_000), "umap")  # doctest: +SKIP
    >>> place_on_cluster(drawn, codes, "map.csv", on="auto")  # doctest: +SKIP
    """
    out = Path(out)
    require_own_place(out, (".csv",))
    places = evenly_spaced(len(codes), limit)
    stored = StoredCodes(codes.path.absolute(), codes.key)
    with joined(on):
        task = PlaceCodes(stored, _without_points(drawn))
        job = Job.plan(task, ChosenCodes(stored, places), out, choose_rows(codes), THREADS)
        with job.completed(track) as resumed:
            blocks = (part.array(PlaceCodes.array, "f", 2) for part in job.results())
            write_points(out, blocks, codes, places, fitted)
    return {"coordinates": str(out), "n": len(places), "resumed": resumed}


@dataclass(frozen=True)
class StoredCodes:
    """A dataset of codes as every machine finds it.

    Parameters
    ----------
    path : Path
    key : str
        See `LanceCodes.key`.
    """

    path: Path
    key: str

    def open(self) -> LanceCodes:
        """Open it, on whatever machine this is.

        Raises
        ------
        SourceError
            If it is missing, or another one than on the machine that started the job.
        """
        if not self.path.exists():
            raise missing_on_machine(self.path)
        codes = LanceCodes.open(self.path)
        require_same(str(self.path), codes.key, self.key)
        return codes


@dataclass(frozen=True)
class ChosenCodes:
    """The codes that are placed, as the blocks of a job."""

    stored: StoredCodes
    places: Places

    @property
    def source(self) -> str:
        """See `Blocks`."""
        return str(self.stored.path)

    @property
    def key(self) -> str:
        """See `Blocks`."""
        return fingerprint(self.stored.key, self.places.data)

    def __len__(self) -> int:
        return len(self.places)

    def block(self, start: int, stop: int) -> Places:
        """See `Blocks`."""
        return self.places[start:stop]

    def reject_broken(self, broken: dict[int, str], seen: int) -> None:
        """See `Blocks`: no code is broken."""


@dataclass(frozen=True)
class PlaceCodes(WritesNoFiles):
    """Places codes on a map.

    Parameters
    ----------
    stored : StoredCodes
    drawn : Map
    """

    stored: StoredCodes
    drawn: Map

    title = "Placing"
    takes_samples = False
    array = "xy"  # the name of the points in a part

    @cached_property
    def made_by(self) -> Mapping[str, str]:
        """See `Task`."""
        learned = (np.ascontiguousarray(one).data for one in self.drawn.params.values())
        return {"map": fingerprint(self.drawn.method, list(self.drawn.params), *learned)}

    def do(self, block: Block, folder: Path) -> Part:
        """See `Task`."""
        return Part(
            block.range, {self.array: self.drawn.transform(self._codes.take(block.given))}, {}
        )

    @cached_property
    def _codes(self) -> LanceCodes:
        """The codes, opened once by each process."""
        return self.stored.open()


def _without_points(drawn: Map) -> Map:
    """Return what places codes on a map, without those that are on it."""
    nothing = np.zeros((0, 2), np.float32)
    return replace(drawn, xy=nothing, items=Items(()), fitted=np.zeros(0, np.bool_))

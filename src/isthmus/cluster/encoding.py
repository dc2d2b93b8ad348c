"""`encode_on_cluster`: the codes of a source, computed on many machines."""

import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.cluster.connection import joined
from isthmus.cluster.failures import explained
from isthmus.cluster.gathering import choose_output
from isthmus.cluster.parts import SUFFIX, About, Parts, Range
from isthmus.cluster.pipeline import Block, Job, encode_blocks, list_cores
from isthmus.cluster.ranges import choose_rows, plan_ranges
from isthmus.cluster.workload import Workload, locate, open_workload
from isthmus.data.cache import Track, untracked
from isthmus.data.decode import reject_too_many
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Reading
from isthmus.errors import SourceError
from isthmus.files import fingerprint
from isthmus.inference.load import load_model
from isthmus.inference.model import CODE, Model
from isthmus.latent.codes import Codes
from isthmus.locks import working_alone
from isthmus.runtime import thread_count
from isthmus.version import __version__

FORMAT = 1  # of the parts; raise it when they would be computed otherwise
OWN_VARIABLES = "ISTHMUS_"  # what they begin with


def encode_on_cluster(
    model: Model | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    on: str = "local",
    layer: str = CODE,
    limit: int | None = None,
    preprocessing: Preprocessing | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Encode a source on many machines, by Ray, and write the codes to a file.

    The codes are equal to those of `isthmus.encode` on this machine to the last bit, if all
    machines have processors of the same kind. Codes that are done wait in a folder next to the
    output, so that a job that was stopped continues when it is started again.

    Parameters
    ----------
    model : Model or path
        The model, or where `isthmus.load_model` finds it on this machine.
    source : str or Path
        All machines must find it by the same path, or by the same name; see `isthmus.load`.
    out : path
        A .npy file as `isthmus.encode` writes it, a .parquet file or a .lance dataset, on a file
        system that all machines share.
    on : str
        "local" starts Ray on this machine; "auto" joins the cluster that this machine is in; an
        address joins another one. Where `ray.init` was called already, that cluster is used.
    layer : str
        "code", or the name of a layer.
    limit : int, optional
        At most as many samples, spread evenly over the source.
    preprocessing : Preprocessing, optional
        By default that of the model.
    reading : Reading, optional
        See `isthmus.load`.
    track : callable
        Shows progress, in samples.
    say : callable
        Receives sentences about what was left out of the source, or guessed.

    Returns
    -------
    dict
        "codes" : str
            The path.
        "n", "size" : int
            How many codes, and how many numbers each has.
        "layer", "shape", "model_fingerprint", "data_fingerprint"
            As codes have them. The last one is empty where no machine has seen all pixels.
        "resumed" : int
            How many samples an earlier attempt had encoded.

    Raises
    ------
    OptionError
        If Ray is not installed, nothing answers at the address, or the output may not be replaced.
    IsthmusError
        What a worker raises, in one sentence.

    Examples
    --------
    >>> encode_on_cluster("runs/mine", "photos/", "codes.npy", on="local")  # doctest: +SKIP
    """
    model = model if isinstance(model, Model) else load_model(model)
    output = choose_output(Path(out))
    found = locate(source, preprocessing or model.preprocessing, limit, reading)
    with joined(on):
        work = open_workload(found, track)
        encoding = Encoding.prepare(model, work, output.path, layer)
        with working_alone(encoding.parts.folder):
            encoding.parts.begin()
            resumed = encoding.resume()
            encoding.run(track)
            items = work.take(encoding.broken)
            codes = _describe(model, layer, work, items)
            output.write(codes, encoding.blocks(), encoding.rows())
            encoding.parts.remove()
    report = work.report(encoding.broken)
    for line in report.summary() if report and (report.left_out or report.guesses) else ():
        say(line)
    return _summarize(output.path, codes, resumed)


@dataclass
class Encoding:
    """A job: its plan, and what is done of it.

    Parameters
    ----------
    model : Model
    work : Workload
    job : Job
    rows_of_block : int
    """

    model: Model
    work: Workload
    job: Job
    rows_of_block: int
    done: set[Range] = field(default_factory=set)  # with codes
    broken: dict[int, str] = field(default_factory=dict)
    seen: int = 0  # samples that were tried

    @classmethod
    def prepare(cls, model: Model, work: Workload, out: Path, layer: str) -> "Encoding":
        """Plan a job; nothing is computed or written."""
        model.feature_shape(layer)  # an unknown one should fail before any work
        rows, threads = choose_rows(model.batch_size, work.sample_bytes), _count_threads(model)
        key = fingerprint(FORMAT, __version__, model.fingerprint, layer, work.key, rows, threads)
        about = About(key, work.origin.source, model.fingerprint, layer, len(work))
        folder = Path(os.path.abspath(f"{out}{SUFFIX}"))  # noqa: PTH100 - links mean the same elsewhere
        settings = {
            key: value for key, value in os.environ.items() if key.startswith(OWN_VARIABLES)
        }
        return cls(model, work, Job(Parts(folder, about), layer, threads, settings), rows)

    @property
    def parts(self) -> Parts:
        """Where the codes are."""
        return self.job.parts

    def resume(self) -> int:
        """Find out what is done already, and return how many samples that is."""
        for place in self.parts.list_ranges():
            self._note(place, *self.parts.read(place)[2:])
        self.done &= {*self.ranges()}
        return sum(stop - start for start, stop in self.done)

    def ranges(self) -> Iterator[Range]:
        """Yield the ranges that codes are computed in, as far as it is known what is broken."""
        return plan_ranges(len(self.work), self.rows_of_block, self.broken)

    def run(self, track: Track) -> None:
        """Compute what is missing.

        When pictures turn out to be broken, the batches after them change and are computed again.
        This happens once, because all broken pictures are known then.

        Raises
        ------
        SourceError
            If too many are broken.
        """
        while missing := [place for place in self.ranges() if place not in self.done]:
            total = sum(stop - start for start, stop in missing)
            # Closed also at Ctrl-C: otherwise the cluster would go on computing.
            with closing(self._compute(missing)) as rows:
                for _ in track(rows, total, "Encoding"):
                    pass

    def blocks(self) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
        """Yield the codes of all parts, in their order."""
        for place in self.ranges():
            yield self.parts.read(place).z

    def rows(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the rows of the source that have codes."""
        return np.setdiff1d(np.arange(len(self.work)), np.array(list(self.broken), np.int64))

    def _compute(self, missing: Iterable[Range]) -> Generator[int, None, None]:
        """Yield each row whose block is done."""
        known = np.array(sorted(self.broken), np.int64)
        blocks = (
            Block((start, stop), _between(known, start, stop), self.work.block(start, stop))
            for start, stop in missing
        )
        outcomes = encode_blocks(self.model, self.job, blocks)
        with explained(), closing(outcomes):
            for place, is_whole, broken in outcomes:
                self._note(place, broken, is_whole)
                yield from range(*place)

    def _note(self, place: Range, broken: Any, is_whole: bool) -> None:
        self.broken.update(broken)
        self.seen = min(len(self.work), self.seen + place[1] - place[0])
        if is_whole:
            self.done.add(place)
        if broken and self.work.manifest is not None:
            try:
                source = self.work.origin.source
                reject_too_many(self.broken, self.work.manifest, source, self.seen)
            except SourceError:
                self.parts.remove()  # when files are repaired, it is another job
                raise


def _count_threads(model: Model) -> int:
    """Return how many threads compute a batch: as here, if all machines have so many cores.

    More threads than cores wait for each other. ONNX Runtime takes one for each of several.
    """
    from isthmus.inference.onnx import OnnxModel

    return 1 if isinstance(model, OnnxModel) else min([thread_count(), *list_cores()])


def _between(rows: np.ndarray[Any, np.dtype[np.int64]], start: int, stop: int) -> list[int]:
    first, last = np.searchsorted(rows, [start, stop])
    return list(map(int, rows[first:last]))


def _describe(model: Model, layer: str, work: Workload, items: Any) -> Codes:
    """Return the codes without numbers."""
    shape = model.feature_shape(layer)
    no_z = np.empty((0, math.prod(shape)), np.float32)
    return Codes(no_z, items, layer, shape, model.fingerprint, work.origin)


def _summarize(path: Path, codes: Codes, resumed: int) -> dict[str, Any]:
    return {
        "codes": str(path),
        "n": len(codes.items),
        "size": codes.z.shape[1],
        "layer": codes.layer,
        "shape": list(codes.shape),
        "model_fingerprint": codes.model_fingerprint,
        "data_fingerprint": codes.items.fingerprint,
        "resumed": resumed,
    }

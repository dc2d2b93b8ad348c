"""`LanceCodes`: codes in a Lance dataset, of which only the rows in use are in memory."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import reporting_damage
from isthmus.data.cache import Track, untracked
from isthmus.data.items import Items
from isthmus.data.samples import Samples
from isthmus.display import Displayed
from isthmus.errors import SourceError
from isthmus.files import fingerprint, suggest_path
from isthmus.inference.model import CODE, Model
from isthmus.latent.codes import Codes
from isthmus.latent.lance.facts import KEY, Facts
from isthmus.latent.lance.library import AGAIN, load_lance, reporting_lance
from isthmus.latent.lance.manifests import require_manifests
from isthmus.latent.lance.schema import COLUMNS, schema, to_batches, to_labels, to_z
from isthmus.latent.lance.writing import require_lance_path, write_codes

BATCH_NUMBERS = 2**20  # of codes that are read at once: 4 MB


class LanceCodes(Displayed):
    """N codes in a Lance dataset on disk.

    It has the methods of `Codes`, and reads what they ask for. Any number of threads may read.

    Parameters
    ----------
    path : Path
    facts : Facts
        Layer, shape, model, origin and class names.
    dataset : lance.LanceDataset

    Examples
    --------
    >>> codes = LanceCodes.open("codes.lance")  # doctest: +SKIP
    >>> for batch in codes.batches():  # doctest: +SKIP
    ...     print(batch.names[0], batch.z.mean())
    """

    def __init__(self, path: Path, facts: Facts, dataset: Any) -> None:
        self.path = path
        self.facts = facts
        self.dataset = dataset

    def __repr__(self) -> str:
        return f"LanceCodes({len(self):,} of {self.facts.size:,}, layer {self.facts.layer})"

    def __len__(self) -> int:
        with self.reporting():
            return int(self.dataset.count_rows())

    @classmethod
    def open(cls, path: str | Path, model: Model | None = None) -> "LanceCodes":
        """Open a dataset that `encode` wrote.

        Parameters
        ----------
        path : path
            Of the folder, which ends in .lance.
        model : Model, optional
            The model that must have made the codes.

        Raises
        ------
        SourceError
            If it is missing, damaged, or no dataset of codes.
        ModelError
            If another model made the codes.
        """
        path = Path(path)
        lance = load_lance()
        if not path.exists():
            near = suggest_path(path)
            raise SourceError(f"there are no codes at {path}{near}; isthmus encode makes them.")
        with reporting_damage(path, SourceError, AGAIN):
            require_manifests(path)
        with reporting_lance(path, SourceError):
            dataset = lance.dataset(str(path))
            found = dataset.schema
        with reporting_damage(path, SourceError, AGAIN):
            facts = _read_facts(found)
        codes = cls(path, facts, dataset)
        if model is not None:
            codes.check(model)
        return codes

    @classmethod
    def encode(
        cls,
        model: Model,
        samples: Samples,
        path: str | Path,
        layer: str = CODE,
        *,
        track: Track = untracked,
    ) -> "LanceCodes":
        """Send samples through a model up to a layer, and write each batch as it comes.

        Parameters
        ----------
        model, samples, layer, track
            See `isthmus.encode`.
        path : path
            A name that ends in .lance; an earlier dataset of codes is replaced at the end.

        Raises
        ------
        IsthmusError
            If the samples do not fit the model, there is no such layer, a code holds NaN, or the
            path cannot be written.
        """
        path = require_lance_path(path)
        shape = model.feature_shape(layer)
        classes = samples.class_names if samples.labels is not None else ()  # not those of masks
        facts = Facts(
            layer, tuple(shape), model.fingerprint, samples.origin, classes, samples.fingerprint
        )
        batches = math.ceil(len(samples) / model.batch_size)
        features = track(model.features(samples, layer), batches, "Encoding")
        write_codes(path, facts, to_batches(facts, samples.items, features))
        return cls.open(path)

    @classmethod
    def store(cls, codes: Codes, path: str | Path) -> "LanceCodes":
        """Write codes into a dataset; see `encode`, which need not have them in memory.

        Raises
        ------
        IsthmusError
            If a code holds NaN, or the path cannot be written.
        """
        facts = Facts.of(codes)
        blocks = np.array_split(codes.z, max(1, codes.z.size // BATCH_NUMBERS))
        write_codes(path, facts, to_batches(facts, codes.items, blocks))
        return cls.open(path)

    @property
    def key(self) -> str:
        """16 hexadecimal digits that change when codes are added, removed or written again."""
        with self.reporting():
            files = [
                ([file.path for file in part.data_files()], part.deletion_file())
                for part in self.dataset.get_fragments()
            ]
        return fingerprint(files)

    def check(self, model: Model) -> None:
        """Reject codes that another model made.

        Raises
        ------
        ModelError
        """
        again = "make them again with isthmus encode"
        model.check_fingerprint(
            self.facts.model_fingerprint, f"the codes in {self.path} were made by", again
        )

    def batches(self, rows: int | None = None) -> Iterator[Codes]:
        """Yield the codes in the order in which they were written, some at a time.

        Parameters
        ----------
        rows : int, optional
            At most so many at once; by default 4 MB of numbers.
        """
        for _, codes in self.numbered_batches(rows):
            yield codes

    def numbered_batches(
        self, rows: int | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Codes]]:
        """Yield what `batches` does, and before it the places in the source, (n,) int64."""
        count = rows or max(1, BATCH_NUMBERS // self.facts.size)
        with self.reporting():
            for batch in self.dataset.to_batches(
                columns=self._columns, batch_size=count, scan_in_order=True, batch_readahead=2
            ):
                yield batch["row"].to_numpy(), self._to_codes(batch)

    def names_in_blocks(self) -> Iterator[Sequence[str]]:
        """Yield the names alone, some at a time, in the order of `batches`."""
        with self.reporting():
            for batch in self.dataset.to_batches(columns=["name"], scan_in_order=True):
                yield batch["name"].to_pylist()

    def few_names(self, most: int) -> list[str]:
        """Return all names if there are at most so many, else none."""
        if len(self) > most:
            return []
        return [name for names in self.names_in_blocks() for name in names]

    def take(self, places: NDArray[np.int64]) -> Codes:
        """Return the codes at places, from 0 in the order of `batches`, in memory."""
        with self.reporting():
            return self._to_codes(self.dataset.take(places.tolist(), columns=self._columns))

    def take_items(self, places: NDArray[np.int64]) -> Items:
        """Return the names and labels alone of what `take` returns."""
        columns = [name for name in self._columns if name in ("name", "label")]
        with self.reporting():
            return self._to_items(self.dataset.take(places.tolist(), columns=columns))

    def sample(self, count: int, seed: int = 0) -> Codes:
        """Return codes chosen at random, in the order in which they were written.

        Parameters
        ----------
        count : int
            So many, or all if there are fewer.
        seed : int
            Chooses them.
        """
        return self.take(np.sort(sampled(len(self), count, seed)))

    def rows_of(self, names: Sequence[str]) -> dict[str, int]:
        """Return the place in its source of each of the names that is there."""
        with self.reporting():
            table = self.dataset.to_table(columns=["name", "row"], filter=any_name(names))
        return dict(zip(table["name"].to_pylist(), table["row"].to_pylist(), strict=True))

    def named(self, name: str) -> Codes:
        """Return the code of a name, or none."""
        with self.reporting():
            return self._to_codes(
                self.dataset.to_table(columns=self._columns, filter=any_name([name]))
            )

    @property
    def _columns(self) -> list[str]:
        return [name for name in COLUMNS if name != "label" or self.facts.class_names]

    def reporting(self, way_out: str = AGAIN) -> AbstractContextManager[None]:
        """Turn what Lance raises on damage into one sentence about this dataset."""
        return reporting_lance(self.path, SourceError, way_out)

    def _to_codes(self, batch: Any) -> Codes:
        """Return a batch or a table of rows as codes."""
        facts = self.facts
        z = to_z(_whole(batch["z"]), facts.size)
        items = self._to_items(batch)
        return Codes(z, items, facts.layer, facts.shape, facts.model_fingerprint, facts.origin)

    def _to_items(self, batch: Any) -> Items:
        facts = self.facts
        labels = to_labels(_whole(batch["label"])) if facts.class_names else None
        return Items(batch["name"].to_pylist(), labels, facts.class_names, facts.fingerprint)


def sampled(n: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return at most `count` different numbers below n, chosen at random by a seed."""
    return np.random.default_rng(seed).choice(n, min(count, n), replace=False)


def any_name(names: Sequence[str]) -> str:
    """Return a condition of SQL for rows of any of the names."""
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    return f"name IN ({quoted})"


def _read_facts(found: Any) -> Facts:
    """Return the facts of a dataset, if its columns are those that they imply."""
    facts = Facts.parse((found.metadata or {}).get(KEY))
    wanted = schema(facts)
    wrong = [
        field.name
        for field in wanted
        if field.name not in found.names or found.field(field.name).type != field.type
    ]
    if wrong:
        name, kind = wrong[0], wanted.field(wrong[0]).type
        raise SourceError(f"it has no column {name!r} of {kind}")
    return facts


def _whole(column: Any) -> Any:
    """Return a column of a table as one array."""
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column

"""`LanceIndex`: nearest neighbors among codes in a Lance dataset, found on disk."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import reporting_damage
from isthmus.data.items import Items
from isthmus.display import Displayed
from isthmus.errors import (
    MAX_COMPARED,
    MAX_NAMES,
    ModelError,
    OptionError,
    RunError,
    SourceError,
    describe_unknown,
    require_known,
    suggest,
)
from isthmus.inference.model import Model
from isthmus.latent.codes import Codes
from isthmus.latent.index import choose_k
from isthmus.latent.index_record import IndexSource
from isthmus.latent.lance import building
from isthmus.latent.lance.adding import add_codes, require_addable
from isthmus.latent.lance.dataset import LanceCodes, any_name
from isthmus.latent.lance.index_facts import KEY, IndexFacts
from isthmus.latent.lance.schema import to_labels
from isthmus.latent.lance.searching import find_nearest
from isthmus.latent.search_result import SearchResult
from isthmus.latent.vectors import METRICS, to_vectors
from isthmus.locks import hold
from isthmus.state import lock_path

LOCK_TIMEOUT = 60  # seconds for another process to finish a change
# Added codes are found at once, as they are compared one by one. Above this share of all they are
# put into the lists, and the recall is measured again.
MAX_UNLISTED = 0.1
# Removed rows stay in a file, which is written again once they are more than this share of it.
MAX_REMOVED = 0.1
KEPT = timedelta(hours=1)  # versions of the dataset that a process may still read


class LanceIndex(Displayed):
    """Codes of N samples in a Lance dataset that can be searched for the nearest ones.

    It has the methods of `Index`, but nothing is in memory: `add` and `remove` change the dataset
    at once, for all who open it. Any number of threads may search.

    Parameters
    ----------
    codes : LanceCodes
    facts : IndexFacts

    Examples
    --------
    >>> index = LanceIndex.build("codes.lance")  # doctest: +SKIP
    >>> index.search_by_name("test/7/0001.png", k=3).matches()  # doctest: +SKIP
    """

    def __init__(self, codes: LanceCodes, facts: IndexFacts) -> None:
        self.codes = codes
        self.facts = facts

    def __repr__(self) -> str:
        return f"LanceIndex({len(self):,} of {self.size:,}, {self.kind}, recall {self.recall:.3f})"

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def size(self) -> int:
        """D, how many numbers a code has."""
        return self.codes.facts.size

    @property
    def kind(self) -> str:
        """How it searches: "exact", or "ivf-pq" (inverted lists of quantized codes) for many."""
        return self.facts.kind

    @property
    def metric(self) -> str:
        """Of `METRICS`."""
        return self.facts.metric

    @property
    def layer(self) -> str:
        """The layer whose output the codes are."""
        return self.codes.facts.layer

    @property
    def model_fingerprint(self) -> str:
        """Of the model that made the codes."""
        return self.codes.facts.model_fingerprint

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.codes.facts.class_names

    @property
    def sources(self) -> list[IndexSource]:
        """What the codes were made of."""
        return list(self.facts.sources)

    @property
    def recall(self) -> float:
        """Share of the ten nearest that a search finds, measured on a sample of it; 1 if exact."""
        return self.facts.recall

    @classmethod
    def build(cls, path: str | Path, metric: str = "euclidean") -> "LanceIndex":
        """Build the index of a dataset in its folder, in place of an older one.

        Up to 100,000 codes the search stays exact, and nothing but the metric is stored.

        Parameters
        ----------
        path : path
            Of a dataset that `LanceCodes.encode` wrote.
        metric : str
            "euclidean" or "cosine".

        Raises
        ------
        SourceError
            If there is no such dataset, or it is damaged.
        OptionError
            If there is no such metric, there are no codes, or two have the same name.
        ModelError
            If a code is all zeros with "cosine".
        """
        require_known("metric", metric, METRICS)
        with _changing(Path(path)):
            index = cls.open(path)
            building.require_indexable(index.codes, metric)
            index._rewrite(0)
            index.facts = replace(
                IndexFacts(sources=index.facts.sources),
                metric=metric,  # type: ignore[arg-type]
            )
            index._make_lists()
        return index

    @classmethod
    def open(cls, path: str | Path, model: Model | None = None) -> "LanceIndex":
        """Open the index of a dataset; without an index, a search compares with every code.

        Parameters
        ----------
        path : path
        model : Model, optional
            The model that must have made its codes.

        Raises
        ------
        SourceError
            If there is no such dataset, or it is damaged.
        ModelError
            If another model made its codes.
        """
        codes = LanceCodes.open(path, model)
        with reporting_damage(codes.path, SourceError, "index it again with isthmus index"):
            facts = IndexFacts.of(codes.dataset, codes.facts)
        return cls(codes, facts)

    def add(self, codes: Codes | LanceCodes) -> None:
        """Add codes to the dataset; the next search finds them.

        Where they are more than a tenth of all, they are put into the inverted lists.

        Raises
        ------
        OptionError
            If there are no codes, a name is in the index already, or labels would be lost.
        ModelError
            If another model or layer made them, one holds NaN, or one is all zeros with "cosine".
        """
        with _changing(self.codes.path):
            self._refresh()
            require_addable(self.codes, codes, self.metric)
            self.codes = add_codes(self.codes, codes)
            source = source_of(codes)
            sources = dict.fromkeys([*self.facts.sources, source])
            self._store(replace(self.facts, sources=tuple(sources)))
            self._list_added()

    def remove(self, names: Sequence[str]) -> None:
        """Remove samples by name; the next search does not find them.

        Their bytes stay in a file until they are a tenth of it, or the index is built again; then
        the file is written again. This also happens where neighboring files are small and are
        joined into one. The old files are removed with a change an hour later.

        Raises
        ------
        OptionError
            If a name is not in the index, or no sample would be left.
        """
        with _changing(self.codes.path):
            self._refresh()
            found = self.codes.rows_of(names)
            for name in names:
                if name not in found:
                    raise self._no_name(name)
            if len(found) == len(self):
                raise OptionError("an index cannot be empty; keep a sample, or delete its folder.")
            with self._reporting():
                self.codes.dataset.delete(any_name(names))
                self._rewrite(MAX_REMOVED)

    def search(
        self, z: NDArray[np.float32], k: int | None = None, *, label: str | None = None
    ) -> SearchResult:
        """Find the samples whose codes are nearest; see `Index.search`.

        Returns
        -------
        SearchResult
            Its items are those that were found, and its rows are theirs.
        """
        where, count = self._among(label)
        k = choose_k(k, count, label)
        if z.ndim != 2 or z.shape[1] != self.size:
            raise ModelError(f"this index holds codes (N, {self.size}), not {z.shape}.")
        vectors = to_vectors(z, self.metric, "code {} to search for".format)
        return self._to_result(find_nearest(self.codes, self._within(count), vectors, k, where), k)

    def search_by_name(
        self, name: str, k: int | None = None, *, label: str | None = None
    ) -> SearchResult:
        """Find the other samples most similar to one of the index; see `Index.search_by_name`."""
        own = self._one(name)
        where, count = self._among(label)
        is_among = label is None or own.items.label_names() == [label]
        k = choose_k(k, count - is_among, label)
        # One more, in place of the sample itself.
        table = find_nearest(self.codes, self._within(count), own.z, k + is_among, where)
        keep = [found != name for found in table["name"].to_pylist()]
        return self._to_result(table.filter(keep).slice(0, k), k)

    @property
    def known_names(self) -> Sequence[str]:
        """Names among which to look for one that is spelled alike: of many, none are read."""
        return self.codes.few_names(MAX_COMPARED)

    def has(self, name: str) -> bool:
        """Return whether there is a sample of that name."""
        return name in self.codes.rows_of([name])

    def _one(self, name: str) -> Codes:
        found = self.codes.named(name)
        if not len(found):
            raise self._no_name(name)
        return found

    def _no_name(self, name: str) -> OptionError:
        near = suggest(name, self.known_names)
        return OptionError(f"there is no sample called {name!r} in the index{near}.")

    def _among(self, label: str | None) -> tuple[str | None, int]:
        """Return the condition for samples of a class, and how many there are."""
        if label is None:
            return None, len(self)
        if label not in self.class_names:
            if not self.class_names:
                raise OptionError(f"there is no class {label!r}; the index knows no classes.")
            raise OptionError(f"{describe_unknown('class', label, self.class_names, MAX_NAMES)}.")
        where = f"label = {self.class_names.index(label)}"
        with self._reporting():
            return where, int(self.codes.dataset.count_rows(where))

    def _within(self, count: int) -> IndexFacts:
        """Return how to search among so many of all: few are compared one by one."""
        if count == len(self) or self.kind == "exact":
            return self.facts
        if count <= building.MAX_EXACT:
            return replace(self.facts, kind="exact")
        # So many lists that they hold as many of these as of all otherwise.
        lists = min(self.facts.partitions, self.facts.nprobes * -(-len(self) // count))
        return replace(self.facts, nprobes=lists)

    def _to_result(self, table: Any, k: int) -> SearchResult:
        facts = self.codes.facts
        table = table.combine_chunks()
        labels = to_labels(table["label"].combine_chunks()) if facts.class_names else None
        items = Items(table["name"].to_pylist(), labels, facts.class_names, facts.fingerprint)
        distances = table["_distance"].to_numpy().reshape(-1, k)
        if self.metric == "euclidean":
            distances = np.sqrt(np.maximum(distances, 0))
        return SearchResult(np.arange(len(items)).reshape(-1, k), distances, items)

    def _make_lists(self) -> None:
        """Choose by the number of codes how they are searched, prepare that, and store it."""
        with self._reporting():
            if len(self) <= building.MAX_EXACT:
                building.drop_lists(self.codes)
                facts = replace(self.facts, kind="exact", partitions=1, nprobes=1, recall=1.0)
            else:
                facts = replace(
                    self.facts,
                    kind="ivf-pq",
                    partitions=building.build_lists(self.codes, self.metric),
                )
                facts = building.tune(self.codes, facts)
            _index_columns(self.codes)
            self._store(facts)

    def _list_added(self) -> None:
        """Put added codes into the lists, if they are many."""
        if self.kind == "exact":
            if len(self) > building.MAX_EXACT:
                self._make_lists()
            return
        with self._reporting():
            dataset = self.codes.dataset
            unlisted = dataset.stats.index_stats("z")["num_unindexed_rows"]
            if unlisted > MAX_UNLISTED * len(self):
                dataset.optimize.optimize_indices()
                self._store(building.tune(self.codes, self.facts))

    def _rewrite(self, most: float) -> None:
        """Write files again of which more than a share was removed; lists and rows stay the same.

        Lance also joins small neighboring files, whatever was removed of them.
        Those who have opened the dataset go on reading the files before, until `KEPT` has passed.
        """
        with self._reporting():
            dataset = self.codes.dataset
            dataset.optimize.compact_files(materialize_deletions_threshold=most)
            dataset.cleanup_old_versions(older_than=KEPT)

    def _store(self, facts: IndexFacts) -> None:
        with self._reporting():
            self.codes.dataset.update_config({KEY: facts.to_text()})
            self.codes.dataset.cleanup_old_versions(older_than=KEPT)
        self.facts = facts

    def _refresh(self) -> None:
        """Read what another process has changed since; only under the lock."""
        current = type(self).open(self.codes.path)
        if current.model_fingerprint != self.model_fingerprint:
            raise RunError(f"{self.codes.path} was made again by another model; open it again.")
        self.codes, self.facts = current.codes, current.facts

    def _reporting(self) -> AbstractContextManager[None]:
        return self.codes.reporting("index it again with isthmus index")


def source_of(codes: Codes | LanceCodes) -> IndexSource:
    """Return what codes were made of."""
    if isinstance(codes, LanceCodes):
        return IndexSource(codes.facts.origin, codes.facts.fingerprint)
    return IndexSource(codes.origin, codes.items.fingerprint)


def _index_columns(codes: LanceCodes) -> None:
    """Make names be found in milliseconds, and the samples of a class."""
    codes.dataset.create_scalar_index("name", "BTREE", replace=True)
    if codes.facts.class_names:
        codes.dataset.create_scalar_index("label", "BITMAP", replace=True)


def _changing(path: Path) -> AbstractContextManager[None]:
    """Keep every other process of this user from changing a dataset."""
    busy = f"{path} is being written by another process; try again when it has ended."
    return hold(lock_path(path), busy=busy, timeout=LOCK_TIMEOUT, kind=RunError, optional=True)

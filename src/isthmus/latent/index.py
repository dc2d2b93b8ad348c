"""`Index`: nearest neighbors among the codes of samples."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.items import HasItems, Items
from isthmus.errors import (
    MAX_NAMES,
    ModelError,
    OptionError,
    RunError,
    describe_unknown,
    require_known,
    suggest,
)
from isthmus.files import to_json
from isthmus.inference.model import Model
from isthmus.latent import index_files
from isthmus.latent.codes import Codes
from isthmus.latent.index_record import IndexSource
from isthmus.latent.search_result import SearchResult
from isthmus.latent.vectors import METRICS, Vectors, to_distances, to_vectors

DEFAULT_K = 5  # how many samples a search finds, if there are as many


@dataclass(eq=False, repr=False)
class Index(HasItems):
    """Codes of N samples that can be searched for the nearest ones.

    Made by `build` or `open`. `add` and `remove` change it in memory, `save` writes it; `edit` does
    so while no other process can. Any number of threads may search at the same time, as long as no
    thread changes it.

    Parameters
    ----------
    vectors : Vectors
        The codes, of length 1 for the metric cosine.
    items : Items
        Of the samples; all names differ.
    metric : str
        Of `METRICS`.
    layer, model_fingerprint : str
        Which layer of which model made the codes.
    sources : list of IndexSource
    removed : set of str
        Names of samples in the sources that were removed from the index, so that they stay out
        when it is built again.

    Examples
    --------
    >>> index = Index.build(Codes.load("runs/mnist/codes.npy"))  # doctest: +SKIP
    >>> index.search_by_name("test/7/0001.png", k=3).matches()  # doctest: +SKIP
    """

    vectors: Vectors
    items: Items
    metric: str
    layer: str
    model_fingerprint: str
    sources: list[IndexSource]
    removed: set[str]
    # Where it was opened, at which version; and whether its lock is held until it is saved.
    _opened: tuple[Path, str] | None = field(default=None, init=False)
    _is_locked: bool = field(default=False, init=False)

    def __repr__(self) -> str:
        return f"Index({len(self):,} of {self.size:,}, {self.kind}, recall {self.recall:.3f})"

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def size(self) -> int:
        """D, how many numbers a code has."""
        return self.vectors.size

    @property
    def kind(self) -> str:
        """How it searches: "exact", or "ivf" (inverted lists) for many codes."""
        return self.vectors.kind

    @property
    def recall(self) -> float:
        """Share of the ten nearest that a search finds, measured on a sample of it; 1 if exact."""
        return self.vectors.recall

    @classmethod
    def build(cls, codes: Codes, metric: str = "euclidean") -> "Index":
        """Build an index of codes.

        Parameters
        ----------
        codes : Codes
            All names must differ.
        metric : str
            "euclidean", or "cosine", which compares directions of codes and ignores their length.

        Raises
        ------
        OptionError
            If there is no such metric, there are no codes, or two have the same name.
        ModelError
            If a code holds NaN, or is all zeros with "cosine".
        """
        require_known("metric", metric, METRICS)
        _reject_repeated(codes)
        return cls(
            Vectors.build(_comparable_vectors(codes, metric)),
            codes.items,
            metric,
            codes.layer,
            codes.model_fingerprint,
            [IndexSource(codes.origin, codes.items.fingerprint)],
            set(),
        )

    def add(self, codes: Codes) -> None:
        """Add codes. The index is built again only if it becomes too large to be exact.

        Raises
        ------
        OptionError
            If there are no codes, or a name is in the index already.
        ModelError
            If another model or layer made them, one holds NaN, or one is all zeros with "cosine".
        """
        self._check(codes)
        # Whatever can fail comes before the items: both must have the same rows.
        self.vectors = self.vectors.add(_comparable_vectors(codes, self.metric))
        self.items = self.items.append(codes.items)
        self.removed.difference_update(codes.names)  # they are wanted again, also after a rebuild
        source = IndexSource(codes.origin, codes.items.fingerprint)
        if source not in self.sources:  # it is there if it was removed and is added again
            self.sources.append(source)

    def remove(self, names: Sequence[str]) -> None:
        """Remove samples by name; rows behind them move up.

        Raises
        ------
        OptionError
            If a name is not in the index, or no sample would be left.
        """
        # A mask, so that a name that is given twice counts once.
        removed = np.zeros(len(self), np.bool_)
        removed[self.rows(names)] = True
        if removed.all():
            raise OptionError("an index cannot be empty; keep a sample, or delete its folder.")
        self.vectors.remove(removed)
        self.items = self.items.select(~removed)
        self.removed.update(names)

    def search(
        self, z: NDArray[np.float32], k: int | None = None, *, label: str | None = None
    ) -> SearchResult:
        """Find the samples whose codes are nearest.

        Parameters
        ----------
        z : (n, D) float32
        k : int
            How many to find, from 1 to as many as there are; by default 5, or all if fewer.
        label : str, optional
            Find only samples of this class. The search is then exact, however large the index.

        Raises
        ------
        OptionError
            If k is outside its range, or there is no such class.
        ModelError
            If the codes are not of the index's size, one holds NaN, or is all zeros with "cosine".
        """
        # Among all, `None` keeps a large index fast: a mask makes the search exact.
        among = None if label is None else self._members(label)
        k = choose_k(k, len(self) if among is None else int(among.sum()), label)
        if z.ndim != 2 or z.shape[1] != self.size:
            raise ModelError(f"this index holds codes (N, {self.size}), not {z.shape}.")
        return self._search(to_vectors(z, self.metric, "code {} to search for".format), k, among)

    def search_by_name(
        self, name: str, k: int | None = None, *, label: str | None = None
    ) -> SearchResult:
        """Find the other samples most similar to one of the index. The search is exact.

        Parameters
        ----------
        name : str
            Of the sample, which is not among those found.
        k : int
            How many to find, from 1 to the number of other samples; by default 5, or all of them
            if they are fewer.
        label : str, optional
            Find only samples of this class.

        Raises
        ------
        OptionError
            If there is no such name or class, or k is outside its range.
        """
        row = self.rows([name])
        among = np.ones(len(self), np.bool_) if label is None else self._members(label)
        among[row] = False
        k = choose_k(k, int(among.sum()), label)
        return self._search(self.vectors.at(row), k, among)

    @property
    def known_names(self) -> Sequence[str]:
        """Names among which to look for one that is spelled alike."""
        return self.names

    def has(self, name: str) -> bool:
        """Return whether there is a sample of that name."""
        return bool(self.items.rows([name])[0] >= 0)

    def rows(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of samples by name: (n,) int64.

        Raises
        ------
        OptionError
            If a name is not in the index.
        """
        rows = self.items.rows(names)
        if (rows < 0).any():
            missing = names[int((rows < 0).argmax())]
            near = suggest(missing, self.names)
            raise OptionError(f"there is no sample called {missing!r} in the index{near}.")
        return rows

    def save(self, folder: str | Path) -> None:
        """Write the index to a folder, in place of an older one, whole or not at all.

        Raises
        ------
        RunError
            If it was opened from that folder and another process has changed that index since, or
            another process keeps changing it.
        IsthmusError
            If it cannot be written; an older index is untouched.
        """
        folder = Path(folder)
        is_own = self._opened is not None and self._opened[0] == folder.resolve()
        with nullcontext() if is_own and self._is_locked else index_files.lock(folder):
            self.write(folder)

    def write(self, folder: Path) -> None:
        """Write the index; for callers that hold its lock: see `save`."""
        place = folder.resolve()
        current = index_files.current_token(folder)
        if self._opened and self._opened[0] == place and current not in (None, self._opened[1]):
            raise RunError(
                f"the index at {folder} was changed by another process since it was opened; open "
                "it again, or change it within Index.edit."
            )
        described = {
            "metric": self.metric,
            "layer": self.layer,
            "model_fingerprint": self.model_fingerprint,
            "sources": to_json(self.sources),
            "removed": sorted(self.removed),
        }
        token = index_files.write(folder, described, self.vectors, self.items)
        if self._opened and self._opened[0] == place:
            self._opened = place, token

    @classmethod
    def open(cls, folder: str | Path, model: Model | None = None) -> "Index":
        """Open an index that `save` wrote.

        Parameters
        ----------
        folder : path
        model : Model, optional
            The model that must have made its codes.

        Raises
        ------
        RunError
            If there is no index, or it is damaged.
        ModelError
            If another model made its codes.
        """
        folder = Path(folder)
        stored = index_files.read(folder)
        record = stored.record
        index = cls(
            stored.vectors,
            stored.items,
            record.metric,
            record.layer,
            record.model_fingerprint,
            list(record.sources),
            set(record.removed),
        )
        index._opened = folder.resolve(), record.token
        if model is not None:
            again = "make it again with isthmus index"
            model.check_fingerprint(
                index.model_fingerprint, f"the index at {folder} was made by", again
            )
        return index

    @classmethod
    @contextmanager
    def edit(cls, folder: str | Path, model: Model | None = None) -> Iterator["Index"]:
        """Open an index, give it to be changed, and save it; no other process can in between.

        After an error it stays as it was. Others wait for a minute: encode samples before.

        Parameters
        ----------
        folder, model
            See `open`.

        Raises
        ------
        RunError
            If there is no index, it is damaged, or another process keeps changing it.
        ModelError
            If another model made its codes.

        Examples
        --------
        >>> codes = encode(model, samples)  # doctest: +SKIP
        >>> with Index.edit("runs/mnist/index", model) as index:  # doctest: +SKIP
        ...     index.add(codes)
        """
        folder = Path(folder)
        index_files.read_record(folder)  # before a folder is made that holds nothing but a lock
        with index_files.lock(folder):
            index = cls.open(folder, model)
            index._is_locked = True
            try:
                yield index
                index.save(folder)
            finally:
                index._is_locked = False

    def _search(
        self, vectors: NDArray[np.float32], k: int, among: NDArray[np.bool_] | None
    ) -> SearchResult:
        distances, rows = self.vectors.search(vectors, k, among)
        return SearchResult(rows, to_distances(distances, self.metric), self.items)

    def _members(self, label: str) -> NDArray[np.bool_]:
        """Return the samples of a class as a mask (N,)."""
        if label in self.class_names and self.labels is not None:
            among: NDArray[np.bool_] = self.labels == self.class_names.index(label)
            return among
        if not self.class_names:
            raise OptionError(f"there is no class {label!r}; the index knows no classes.")
        raise OptionError(f"{describe_unknown('class', label, self.class_names, MAX_NAMES)}.")

    def _check(self, codes: Codes) -> None:
        if codes.model_fingerprint != self.model_fingerprint:
            raise ModelError(
                "these codes were made by another model than those of the index, or after it was "
                "trained further; make the index again with isthmus index."
            )
        if codes.layer != self.layer or codes.z.shape[1:] != (self.size,):
            raise ModelError(
                f"these codes are {codes.z.shape} of layer {codes.layer}, but the index holds "
                f"(N, {self.size}) of layer {self.layer}."
            )
        _reject_repeated(codes)
        repeated = np.flatnonzero(self.items.rows(codes.names) >= 0)
        if len(repeated):
            name = codes.names[repeated[0]]
            raise OptionError(f"{name} is in the index already; remove it before adding it.")


def choose_k(k: int | None, count: int, label: str | None) -> int:
    """Return how many of `count` samples to find, by default 5, or all if they are fewer.

    Raises
    ------
    OptionError
        If k is outside its range, or there is nothing to find.
    """
    where = "in the index" if label is None else f"of class {label!r}"
    if not count:
        raise OptionError(f"there is no other sample {where} to find; add some to the index.")
    if k is None:
        return min(DEFAULT_K, count)
    if not 1 <= k <= count:
        raise OptionError(
            f"k must be from 1 to {count:,}, the number of samples to find {where}, not {k:,}."
        )
    return k


def _reject_repeated(codes: Codes) -> None:
    name = codes.items.first_repeated()
    if name is not None:
        raise OptionError(f"two of the codes are called {name}; give each its own name.")


def _comparable_vectors(codes: Codes, metric: str) -> NDArray[np.float32]:
    if codes.z.ndim != 2 or 0 in codes.z.shape:
        raise OptionError(f"there are no codes to search in {codes.z.shape}; give at least one.")
    if len(codes.names) != len(codes):
        raise OptionError(f"{len(codes):,} codes came with {len(codes.names):,} names.")
    return to_vectors(codes.z, metric, lambda row: f"the code of {codes.names[row]}")

"""`Session`: a run in use, which answers by image, by name or by code with arrays and numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.images import Images
from isthmus.data.items import Names
from isthmus.data.samples import Samples
from isthmus.errors import (
    OptionError,
    SourceError,
    suggest,
)
from isthmus.files import fingerprint, suggest_path
from isthmus.inference.model import CODE, Model
from isthmus.latent.codes import Codes
from isthmus.latent.index import Index
from isthmus.latent.index_record import IndexSource
from isthmus.latent.indexing import open_index
from isthmus.latent.interpolation import (
    class_direction,
    interpolate,
    interpolate_grid,
    traverse,
)
from isthmus.latent.lance.index import LanceIndex
from isthmus.latent.maps import Map, fit_map, map_quality
from isthmus.latent.search_result import SearchResult
from isthmus.session.detection import Detection
from isthmus.session.generation import Generation

if TYPE_CHECKING:  # all need torch or scikit-learn, which a model in an ONNX file does without
    from isthmus.training.run import Run

Query = str | Path | Samples | NDArray[Any]


class Session(Generation, Detection):
    """A run in use.

    Everything is loaded when it is first needed and then kept. All methods may be called from
    several threads at once: what two of them need is computed once, and the second one waits.
    `interrupt` stops what is being loaded or computed, at the next batch.

    Parameters
    ----------
    run : path, Run or Model
        A run folder, a run, the file of a model (.safetensors or .onnx), or a model; without a run
        there are no own samples and no split.
    samples : Samples or Images, optional
        The run's own samples; needed for a run on an array, otherwise loaded again.
    data : path or str, optional
        Where the run's own data is now, if it has moved since the training.
    encoder : Model, optional
        A third-party model, such as `isthmus.OnnxEncoder`, whose features take the place of the
        run's own codes in everything: codes, maps, index and search.
    track : callable
        Shows progress.
    say : callable
        Receives a sentence where something was repaired, such as an index that was built again,
        or left out or guessed of a source, and of images of another size than the model's.

    Examples
    --------
    >>> session = Session("runs/mine")  # doctest: +SKIP
    >>> session.search("photos/cat.jpg", k=5).names  # doctest: +SKIP
    >>> session.interpolate(["photos/cat.jpg", "photos/dog.jpg"], steps=9)  # doctest: +SKIP
    """

    @property
    def index(self) -> Index:
        """The run's index, opened once; build it with `isthmus index`.

        A run in memory has no folder for one: its index is built of all its samples.
        """
        return self._memo.get("index", self._open_index)

    def map(
        self, codes: Codes, method: str = "tsne", *, seed: int = 0, max_samples: int = 20_000
    ) -> Map:
        """Fit a two-dimensional map of codes; see `isthmus.fit_map`."""
        # By the codes themselves: those that somebody made by hand have no fingerprint of samples.
        # Of a million names, the letters in one array take no time; a list of them takes seconds.
        names = Names.of(codes.names)
        letters = (np.ascontiguousarray(part).data for part in (names.text, names.ends))
        content = fingerprint(np.ascontiguousarray(codes.z).data, *letters)
        key = ("map", content, codes.items.fingerprint, codes.layer, method, seed, max_samples)
        return self._memo.get(
            key,
            lambda: fit_map(
                codes, method, seed=seed, max_samples=max_samples, track=self._interruptible()
            ),
        )

    def stored_map(
        self, codes: Codes, method: str = "tsne", *, seed: int = 0, max_samples: int = 20_000
    ) -> tuple[Map, Path]:
        """Fit a map like `map`, and store it in the run folder; if it is there already, load it.

        Returns
        -------
        Map, Path
            The path is that of the map's file.
        """
        key = fingerprint(
            codes.model_fingerprint, codes.items.fingerprint, codes.layer, max_samples, seed
        )
        file = self.folder / "maps" / f"{method}-{key}.npz"
        # Seeds, methods and codes are in the name of the file, so that what exists is the same map.
        if file.exists():
            try:
                return Map.load(file), file
            except SourceError:
                self._say(f"the map {file.name} was damaged; it is drawn again.")
                file.unlink(missing_ok=True)  # what is no map at all is not written over
        fitted_map = self.map(codes, method, seed=seed, max_samples=max_samples)
        fitted_map.save(file)
        return fitted_map, file

    def map_quality(
        self, fitted_map: Map, codes: Codes, samples: Samples | None = None
    ) -> dict[str, Any]:
        """Measure how much of the codes a map keeps; see `isthmus.latent.maps.map_quality`."""
        return map_quality(fitted_map, codes, samples)

    def search(
        self,
        query: Query,
        k: int | None = None,
        *,
        label: str | None = None,
        index: Index | LanceIndex | None = None,
    ) -> SearchResult:
        """Find the samples of the index that are most similar to a query.

        Parameters
        ----------
        query : str, Path, Samples or array
            The path of an image, the name of a sample in the index (which is then left out of
            the result), samples, images (H, W, C) or (n, H, W, C) uint8, signals (n, L, C)
            float32, or codes (D,) or (n, D) float32.
        k : int, optional
            By default 5, or all others if they are fewer.
        label : str, optional
            Search only samples of this class.
        index : Index or LanceIndex, optional
            Another index of the same model; by default the run's own.

        Returns
        -------
        SearchResult
            Its `values` are the samples that were found, loaded when they are asked for.

        Raises
        ------
        OptionError
            If there is no such file or sample, or k or the class makes no sense.
        """
        queries: Sequence[str] | NDArray[Any] | None
        index = self.index if index is None else index
        # A file first: names of samples are paths within their source, and look like files.
        if isinstance(query, str) and not Path(query).is_file():
            if not index.has(query):
                near = suggest(query, index.known_names) or suggest_path(query)
                raise OptionError(f"there is no file and no indexed sample called {query!r}{near}.")
            result, queries = index.search_by_name(query, k, label=label), [query]
        else:
            query = self._values(query)
            result = index.search(self._features(query, index.layer), k, label=label)
            queries = None if _is_code(query) else query
        return replace(result, load=partial(self.indexed_values, index=index), queries=queries)

    def indexed_values(
        self, names: Sequence[str], *, index: Index | LanceIndex | None = None
    ) -> NDArray[Any]:
        """Return the values of samples in an index, by name, from the sources it was made of.

        Parameters
        ----------
        names : sequence of str
        index : Index or LanceIndex, optional
            By default the run's own.

        Returns
        -------
        (n, H, W, C) uint8 or (n, L, C) float32

        Raises
        ------
        OptionError
            If the index was made of an array that the session does not have.
        SourceError
            If a source is gone.
        """
        index = self.index if index is None else index
        sources = tuple(index.sources)
        places = self._memo.get(("indexed", sources), lambda: self._load_indexed(sources))
        return np.stack([samples.values[row] for samples, row in map(places.__getitem__, names)])

    def interpolate(
        self, ends: Sequence[Query], steps: int = 7, path: str = "linear"
    ) -> NDArray[Any]:
        """Decode the way between two samples, or the grid between four.

        Parameters
        ----------
        ends : sequence of str, Path, Samples or array
            Two or four: images, names of samples of the run, or codes (D,).
        steps : int
        path : str
            "linear" or "spherical".

        Returns
        -------
        (steps, H, W, C) uint8 or (steps, L, C) float32
            Of four ends (steps · steps, …), row by row.
        """
        if len(ends) not in (2, 4):
            raise OptionError(f"a morph needs 2 or 4 images, not {len(ends)}.")
        z = [self.code(end) for end in ends]
        if len(z) == 2:
            return self._decode(interpolate(z[0], z[1], steps, path))
        grid = interpolate_grid(z[0], z[1], z[2], z[3], steps, steps, path)
        return self._decode(grid.reshape(steps * steps, -1))

    def traverse(
        self, start: Query, samples: Samples, classes: tuple[str, str], steps: int = 7
    ) -> NDArray[Any]:
        """Decode the way from a sample in the direction from one class to another.

        Parameters
        ----------
        start : str, Path, Samples or array
        samples : Samples
            With labels; the direction leads from the mean code of one class to that of another.
        classes : (str, str)
        steps : int

        Returns
        -------
        (steps, H, W, C) uint8 or (steps, L, C) float32
        """
        direction = class_direction(self.encode(samples), *classes)
        return self._decode(traverse(self.code(start), direction, steps))

    def code(self, query: Query) -> NDArray[np.float32]:
        """Return the code (D,) of one image, of a sample of the run by its name, or as given."""
        features = self._features(query, CODE)
        if len(features) != 1:
            raise OptionError(f"{query} holds several samples; give a single image.")
        code: NDArray[np.float32] = features[0]
        return code

    def activations(self, sample: NDArray[Any]) -> list[tuple[str, NDArray[np.float32]]]:
        """Return the output of every layer for one sample (H, W, C) or (L, C).

        Returns
        -------
        list of (str, array)
            The layer's name, kind and shape, and its output (C, H, W), (C, L) or (D,).
        """
        self.require_codes()
        outputs, titled = self.trained.activations(sample[None]), []
        for layer in self.trained.layers:
            shape = " × ".join(map(str, layer.shape))
            output = outputs[layer.name][0]
            # A channel of one pixel is no picture: such layers, as after global pooling, are drawn
            # like dense ones.
            output = output.ravel() if output.size == len(output) else output
            titled.append((f"{layer.name} · {layer.kind} · {shape}", output))
        return titled

    def evaluate(
        self,
        samples: Samples | Images | None = None,
        *,
        corrupt: str | None = None,
        plain: "Run | None" = None,
        encoder: Model | None = None,
    ) -> dict[str, Any]:
        """Measure the model on data that it was not trained on; see `isthmus.evaluate`.

        With an encoder, the result has `encoder`: its `name`, its `code_size`, and how well classes
        are predicted from its features.
        """
        from isthmus.evaluation.evaluate import evaluate

        def encode_own(indices: NDArray[np.int64]) -> NDArray[np.float32]:
            return self._own_codes.z(indices, self._interruptible())

        features = None if encoder is None else self._features_of(encoder)
        result = evaluate(
            self.run,
            samples,
            corrupt=corrupt,
            own=self.images if self.is_denoiser else self.samples,
            plain=plain,
            model=self.trained,
            encode=encode_own,
            features=features,
            track=self._interruptible(),
        )
        if encoder is not None:
            result["encoder"] |= {"name": encoder.name, "code_size": encoder.code_size}
        return result

    def _features_of(self, encoder: Model) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
        """Return what gives an encoder's features of the run's samples at indices."""
        track = self._interruptible()
        other = Session(self._source, self._samples, data=self._data, encoder=encoder, track=track)
        return lambda indices: other._own_codes.z(indices, self._interruptible())

    def _features(self, query: Query, layer: str) -> NDArray[np.float32]:
        """Return the features (n, D) of a query."""
        self.require_codes()
        query = self._values(query)
        if _is_code(query):
            return np.atleast_2d(query).astype(np.float32)
        return np.concatenate(
            [batch.reshape(len(batch), -1) for batch in self.model.features(query, layer)]
        )

    def _values(self, query: Query) -> NDArray[Any]:
        """Return a query as an array: samples (n, H, W, C) or (n, L, C), or codes as given."""
        if isinstance(query, str | Path):
            query = self._find(query)
        values = query.values if isinstance(query, Samples) else query
        return values[None] if values.dtype == np.uint8 and values.ndim == 3 else values

    def _find(self, query: str | Path) -> Samples:
        """Read an image file, or take the run's own sample of that name."""
        if isinstance(query, Path) or Path(query).exists():
            return self.read(query, limit=2)
        rows = self._memo.get("rows", lambda: {n: i for i, n in enumerate(self.samples.names)})
        if query not in rows:
            near = suggest(query, rows) or suggest_path(query)
            raise OptionError(f"there is no file and no sample of the run called {query!r}{near}.")
        return self.samples.take(np.array([rows[query]]))

    def _open_index(self) -> Index:
        self.require_codes()
        if self._given_run is not None and self._given_run.is_in_memory:
            return Index.build(self.codes())
        return open_index(
            self.folder / "index",
            self.model,
            self._say,
            self._interruptible(),
            self.load_origin,
        )

    def _load_indexed(self, sources: Sequence[IndexSource]) -> dict[str, tuple[Samples, int]]:
        """Load the sources of an index: by name, the samples and the row in them."""
        places: dict[str, tuple[Samples, int]] = {}
        for source in sources:
            samples = self._load_source(source)
            for row, name in enumerate(samples.names):
                places.setdefault(name, (samples, row))
        return places

    def _load_source(self, source: IndexSource) -> Samples:
        """Load a source of the index; an array is known only if it is the run's own."""
        if self.has_run and source.fingerprint == self.run.record.data["fingerprint"]:
            return self.samples  # from where they are now
        if source.origin.source:
            return self.load_origin(source.origin, self._interruptible())
        if self.has_samples and source.fingerprint == self.samples.fingerprint:
            return self.samples
        raise OptionError("the index was made of an array; search without a picture.")


def _is_code(query: NDArray[Any]) -> bool:
    """Return whether an array holds codes (D,) or (n, D), and no samples."""
    # Images are uint8 and signals have three dimensions.
    return query.dtype != np.uint8 and query.ndim < 3

"""`Session`: a run in use, with its model, samples, codes, maps and index each loaded once.

The command line, the reports and every other program that asks a run more than one question go
through a session. It answers by image, by name or by code and returns arrays and numbers. It writes
files only in `stored_map`, in `evaluate` (the result), and where an index has to be built again.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.fitting import describe_use
from isthmus.data.items import Names
from isthmus.data.load import load_origin, load_with
from isthmus.data.normal import normal_rows
from isthmus.data.preprocess import Preprocessing
from isthmus.data.rates import require_rate
from isthmus.data.reading import Reading
from isthmus.data.samples import SPLITS, Origin, Samples
from isthmus.data.split import Split, split_samples
from isthmus.detection.detector import Detector, divide_reference
from isthmus.detection.outliers import Outliers, judge
from isthmus.detection.reference import require_enough
from isthmus.detection.scores import SCORES
from isthmus.detection.stored import FILE as DETECTOR_FILE
from isthmus.detection.stored import make_key, read_detector, write_detector
from isthmus.detection.truth import add_measures
from isthmus.errors import (
    InterruptionError,
    IsthmusError,
    ModelError,
    OptionError,
    RunError,
    SourceError,
    require_known,
    require_name,
    suggest,
)
from isthmus.files import fingerprint, suggest_path
from isthmus.inference.encoders import Encoder
from isthmus.inference.load import load_model
from isthmus.inference.model import CODE, Model
from isthmus.inference.onnx import OnnxModel
from isthmus.latent.codes import Codes, encode
from isthmus.latent.drawing import Draw, draw_codes
from isthmus.latent.index import Index
from isthmus.latent.index_record import IndexSource
from isthmus.latent.indexing import open_index
from isthmus.latent.interpolation import (
    class_direction,
    interpolate,
    interpolate_grid,
    traverse,
)
from isthmus.latent.maps import Map, fit_map, map_quality
from isthmus.latent.mixture import FILE as MIXTURE_FILE
from isthmus.latent.mixture import Mixture
from isthmus.latent.mixture_fitting import fit_mixture, open_mixture
from isthmus.latent.search_result import SearchResult
from isthmus.latent.walks import walk
from isthmus.links import reject_links
from isthmus.memo import Memo

if TYPE_CHECKING:  # all need torch or scikit-learn, which a model in an ONNX file does without
    from isthmus.detection.duplicates.result import Duplicates
    from isthmus.detection.labels.mislabelled import Mislabelled
    from isthmus.inference.trained import TrainedModel
    from isthmus.training.run import Run

T = TypeVar("T")
Query = str | Path | Samples | NDArray[Any]

MODEL_SUFFIXES = (".onnx", ".safetensors")  # of models without a run
CHECKED_SPLITS = {**{name: (name,) for name in SPLITS}, "held-out": SPLITS[1:], "all": SPLITS}
MIN_REFERENCE = 3  # normal samples that come without a run: two to compare with, one to judge by
MAX_ENTRIES = 32  # codes and maps that are kept; the codes of 60,000 samples take 8 MB at 32


class Session:
    """A run in use.

    Everything is loaded when it is first needed and then kept. All methods may be called from
    several threads at once: what two of them need is computed once, and the second one waits.
    `interrupt` stops what is being loaded or computed, at the next batch.

    Parameters
    ----------
    run : path, Run or Model
        A run folder, a run, the file of a model (.safetensors or .onnx), or a model; without a run
        there are no own samples and no split.
    samples : Samples, optional
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

    def __init__(
        self,
        run: "str | Path | Run | Model",
        samples: Samples | None = None,
        *,
        data: str | Path | None = None,
        encoder: Model | None = None,
        track: Track = untracked,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._source = run
        self._data = data
        self._require_source()
        self._samples = samples
        self._encoder = encoder
        self._track = track
        self._say = say
        self._memo = Memo(MAX_ENTRIES)
        self._interrupts = 0  # a count, not a flag: calls that start later are not stopped

    def renewed(self) -> "Session":
        """Return a session of the same run as it is now, such as with the weights it has now.

        Samples that are loaded already are kept; all else is loaded again when it is needed.
        """
        source = self._source
        if self._given_run is not None:
            source = self._given_run.reload()
        samples = self._samples
        if self._encoder is None and self._memo.has("samples"):  # an encoder's are larger
            samples = self.samples
        return Session(
            source,
            samples,
            data=self._data,
            encoder=self._encoder,
            track=self._track,
            say=self._say,
        )

    # -- what the run holds ---------------------------------------------------------------------

    @property
    def source(self) -> "str | Path | Run | Model":
        """What the session was made of."""
        return self._source

    @property
    def name(self) -> str:
        """What people call it: the name of the run folder, or of the model's file."""
        if self._given_run is not None:
            return Path(self._given_run.name).resolve().name
        return self.model.name if self._path is None else self._path.resolve().name

    @property
    def data(self) -> str | Path | None:
        """Where the run's own data was said to be, if it has moved."""
        return self._data

    @property
    def encoder(self) -> Model | None:
        """The third-party model in the place of the run's own, if there is one."""
        return self._encoder

    @property
    def run(self) -> "Run":
        """The run."""
        return self._memo.get("run", self._open_run)

    @property
    def model(self) -> Model:
        """The model with its best weights, or the encoder in its place."""
        return self._memo.get("model", self._load_model)

    @property
    def trained(self) -> "TrainedModel":
        """The model, where layers and weights are needed.

        Raises
        ------
        ModelError
            If it is in an ONNX file or is an encoder, which have none that can be looked into.
        """
        model = self.model
        if isinstance(model, OnnxModel | Encoder):
            remedy = "give the folder of the run that it came from"
            if self._encoder is not None:
                remedy = "open the session without the encoder, which evaluate takes as well"
            raise ModelError(f"{model.name} has no layers or weights to look into; {remedy}.")
        return cast("TrainedModel", model)

    @property
    def folder(self) -> Path:
        """Where maps and the index of this session's codes are kept.

        The run folder; of an encoder a folder of its own in there, so that both are kept; of a
        model's file the folder of its name with the ending .isthmus, next to it.

        Raises
        ------
        OptionError
            If there is neither a run folder nor a file.
        """
        place = self._path
        if place is None:
            raise OptionError(f"{self.model.name} has no folder to keep maps and an index in.")
        # Of an encoder also by its scaling of pixels, so that two of them do not share an index.
        reject_links(place)
        if self._encoder is None and place.is_dir():
            return place  # without a look at the model, which may not be loaded yet
        own_name = f"{Path(self.model.name).stem}-{self.model.fingerprint[:8]}"
        if self._encoder is not None:
            return place / "encoders" / own_name
        name = own_name if isinstance(self.model, Encoder) else place.stem
        own = place.with_name(f"{name}.isthmus")
        reject_links(own)
        return own

    @property
    def samples(self) -> Samples:
        """The samples that the run was trained, validated and tested on."""
        return self._memo.get("samples", self._load_samples)

    @property
    def split(self) -> Split:
        """Which of these samples are for training, for validation and for testing."""
        return self._memo.get("split", self.run.split)

    @property
    def index(self) -> Index:
        """The run's index, opened once; build it with `isthmus index`.

        A run in memory has no folder for one: its index is built of all its samples.
        """
        return self._memo.get("index", self._open_index)

    def mixture(self, samples: Samples | None = None) -> Mixture:
        """Return the mixture of normal distributions over the codes of the training samples.

        It is fitted when it is first needed, in 12 seconds for codes of 32 numbers, and then kept
        in the folder.

        Parameters
        ----------
        samples : Samples, optional
            Whose codes to fit it to; by default the run's own training and validation samples.

        Raises
        ------
        ModelError
            If the model is no autoencoder.
        """
        key = "mixture" if samples is None else ("mixture", samples.fingerprint)
        return self._memo.get(key, lambda: self._open_mixture(samples))

    def codes(self, indices: NDArray[np.int64] | None = None) -> Codes:
        """Return codes of the run's own samples; each sample is encoded once.

        Parameters
        ----------
        indices : (n,) int64, optional
            By default those of all samples.
        """
        if indices is None:
            indices = np.arange(len(self.samples))
        return self._own_codes.take(indices, self._interruptible())

    # -- answers --------------------------------------------------------------------------------

    def read(self, source: str | Path, limit: int | None = None) -> Samples:
        """Load a source with the preprocessing of the model, and say what was made of it.

        Of files of several pages, those are read that the run was trained on.
        """
        samples = load_with(
            source,
            self.preprocessing,
            limit=limit,
            reading=Reading(pages=self._pages),
            track=self._interruptible(),
        )
        for line in describe_use(source, samples):
            self._say(line)
        return samples

    def read_one(self, image: str | Path) -> Samples:
        """Load a single image with the preprocessing of the model.

        Raises
        ------
        OptionError
            If the source holds several samples.
        """
        samples = self.read(image, limit=2)
        if len(samples) > 1:
            raise OptionError(f"{image} holds several samples; give a single image.")
        return samples

    def encode(self, samples: Samples, layer: str = CODE) -> Codes:
        """Return the codes of samples, or the features of another layer."""
        key = ("codes", samples.fingerprint, layer)
        return self._memo.get(
            key, lambda: encode(self.model, samples, layer, track=self._interruptible())
        )

    def reconstruct(self, samples: Samples | NDArray[Any]) -> NDArray[Any]:
        """Return samples after encoding and decoding, in the kind and shape of the samples."""
        return self.model.reconstruct(samples, track=self._interruptible())

    def add_noise(self, samples: Samples, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return samples with the noise that the run's samples of these indices always get.

        Returns
        -------
        (n, H, W, C) uint8 or (n, L, C) float32
            The samples as they are, if the run was trained without noise.
        """
        return self.run.add_noise(self.trained, samples.values, indices)

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
        self, query: Query, k: int | None = None, *, label: str | None = None
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
        # A file first: names of samples are paths within their source, and look like files.
        if isinstance(query, str) and not Path(query).is_file():
            if not self.index.has(query):
                near = suggest(query, self.index.names) or suggest_path(query)
                raise OptionError(f"there is no file and no indexed sample called {query!r}{near}.")
            result, queries = self.index.search_by_name(query, k, label=label), [query]
        else:
            query = self._values(query)
            result = self.index.search(self._features(query, self.index.layer), k, label=label)
            queries = None if _is_code(query) else query
        return replace(result, load=self.indexed_values, queries=queries)

    def indexed_values(self, names: Sequence[str]) -> NDArray[Any]:
        """Return the values of samples in the index, by name, from the sources it was made of.

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
        places = self._memo.get("indexed", self._load_indexed)
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

    def draw(self, draw: Draw, samples: Samples | None = None) -> Codes:
        """Draw codes that new samples can be decoded from.

        Parameters
        ----------
        draw : Draw
        samples : Samples, optional
            See `mixture`.
        """
        return draw_codes(draw, self.model, lambda: self.mixture(samples))

    def generate(
        self,
        n: int = 64,
        *,
        label: str | None = None,
        temperature: float = 1.0,
        sampler: str = "mixture",
        seed: int = 0,
        samples: Samples | None = None,
    ) -> Samples:
        """Generate samples: draw codes and decode them; see `isthmus.generate`."""
        codes = self.draw(Draw(n, label, temperature, sampler, seed), samples)
        return Samples(self._decode(codes.z), codes.items)

    def measure_generated(
        self, judge: Model, draw: Draw | None = None, *, plain: "Run | None" = None
    ) -> dict[str, Any]:
        """Compare generated samples with test samples; see `compare_generators`.

        Parameters
        ----------
        judge : Model
            A classifier, in whose features they are compared.
        draw : Draw, optional
            How codes are drawn; `n` is not used. Of a variational autoencoder, samples from the
            prior and from the mixture are measured, whatever the draw says.
        plain : Run, optional
            An autoencoder on the same data, whose samples from a mixture are measured too.

        Returns
        -------
        dict
            As `compare_generators`; the rows are "real", "rebuilt", "pca" (a normal distribution
            of as many principal components as codes have numbers), "mixture", "prior" and
            "plain".

        Raises
        ------
        OptionError
            If there are too few test samples, or one class is asked for.
        RunError
            If the other run was trained on other data, or divides it in another way.
        """
        from isthmus.evaluation.generation import compare_generators, pca_generator

        draw = draw or Draw()
        if draw.label is not None:
            raise OptionError(
                f"measures compare with all test samples; leave the class {draw.label!r} out."
            )
        values, split = self.samples.values, self.split
        pca = pca_generator(values, split.train, self.model.code_size, draw.seed)
        generators = {"pca": pca, "mixture": self._generator(replace(draw, sampler="mixture"))}
        if self.model.has_prior:
            generators["prior"] = self._generator(replace(draw, sampler="prior"))
        if plain is not None:
            other = Session(self._require_same_split(plain), self.samples, track=self._track)
            generators["plain"] = other._generator(replace(draw, sampler="mixture"))
        test = np.asarray(values[split.test])
        return compare_generators(judge, test, generators, rebuild=self.reconstruct, seed=draw.seed)

    def walk(self, codes: Codes, steps: int = 12, path: str = "linear") -> NDArray[Any]:
        """Decode a closed way from each code to the next; see `latent.walks.walk`.

        Returns
        -------
        (n · steps, H, W, C) uint8 or (n · steps, L, C) float32
        """
        return self._decode(walk(codes.z, steps, path))

    def activations(self, sample: NDArray[Any]) -> list[tuple[str, NDArray[np.float32]]]:
        """Return the output of every layer for one sample (H, W, C) or (L, C).

        Returns
        -------
        list of (str, array)
            The layer's name, kind and shape, and its output (C, H, W), (C, L) or (D,).
        """
        outputs, titled = self.trained.activations(sample[None]), []
        for layer in self.trained.layers:
            shape = " × ".join(map(str, layer.shape))
            output = outputs[layer.name][0]
            # A channel of one pixel is no picture: such layers, as after global pooling, are drawn
            # like dense ones.
            output = output.ravel() if output.size == len(output) else output
            titled.append((f"{layer.name} · {layer.kind} · {shape}", output))
        return titled

    def duplicates(
        self, *, near: float | None = None, mirrored: bool = True, turned: bool = False
    ) -> "Duplicates":
        """Find duplicates among the run's own samples; see `isthmus.find_duplicates`.

        Parameters
        ----------
        near : float, optional
            The agreement from which two samples are nearly equal; by default 0.98.
        mirrored : bool
            Also find mirror images.
        turned : bool
            Also find samples that are turned by 90° or 180°, or upside down.

        Returns
        -------
        Duplicates
            Its `leaks` are what the training, validation and test samples share.
        """
        from isthmus.detection.duplicates.find import NEAR, find_among, require_near
        from isthmus.detection.duplicates.pictures import of_samples, splits_of

        near = NEAR if near is None else near
        require_near(near)
        track = self._interruptible()
        splits = splits_of(self.split, len(self.samples))
        pictures = of_samples(self.samples, splits, track)
        return find_among(pictures, near=near, mirrored=mirrored, turned=turned, track=track)

    def mislabelled(
        self,
        samples: Samples | None = None,
        *,
        split: str | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> "Mislabelled":
        """Find labels that look wrong, by the codes; see `isthmus.find_mislabelled`.

        Parameters
        ----------
        samples : Samples, optional
            By default the run's own.
        split : str, optional
            Which of the run's own samples: "train", "validation", "test", "held-out" for the last
            two, or "all". By default all; of a classifier, whose codes were fitted to the labels of
            its training samples, held-out.
        folds, seed : int
            Of the cross-validation.

        Returns
        -------
        Mislabelled
            Its rows are those of the samples that were checked: of the run's own, those of
            `rows_of_split`.

        Raises
        ------
        OptionError
            If there are no labels or too few samples, or an option makes no sense.
        """
        from isthmus.detection.labels.mislabelled import find_mislabelled

        if samples is None:
            codes = self.codes(self.rows_to_check(split))
        elif split is not None:
            raise OptionError("a split is one of the run's own data; leave it or the source out.")
        else:
            codes = self.encode(samples)
        return find_mislabelled(codes, folds=folds, seed=seed, track=self._interruptible())

    def rows_to_check(self, split: str | None = None) -> NDArray[np.int64]:
        """Return the rows (n,) of the run's own samples whose labels `mislabelled` checks."""
        if split is None:
            split = "held-out" if self.has_seen_labels else "all"
        require_known("split", split, CHECKED_SPLITS)
        if self.samples.labels is None:  # before any of them is encoded
            raise OptionError(f"the data of {self.run.name} has no labels to check.")
        parts = [getattr(self.split, name) for name in CHECKED_SPLITS[split]]
        rows: NDArray[np.int64] = np.sort(np.concatenate(parts))
        return rows

    @property
    def has_seen_labels(self) -> bool:
        """Whether the codes of training samples were fitted to their labels, as a classifier's."""
        if self._encoder is not None or self.model.task in (None, "reconstruct"):
            return False
        return not (self.has_run and self.run.record.training_config.freeze)

    def evaluate(
        self,
        samples: Samples | None = None,
        *,
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
            own=self.samples,
            plain=plain,
            model=self.trained,
            encode=encode_own,
            features=features,
            track=self._interruptible(),
        )
        if encoder is not None:
            result["encoder"] |= {"name": encoder.name, "code_size": encoder.code_size}
        return result

    def outliers(
        self,
        samples: Samples | None = None,
        *,
        score: str | None = None,
        false_alarms: float | None = None,
        normal: str | None = None,
        reference: Samples | None = None,
        baselines: bool = False,
    ) -> Outliers:
        """Rank samples by how far they are from all that is normal.

        They are compared with the training split, and the validation split says what is usual. A
        model without a run has neither: samples are then compared with each other.

        Parameters
        ----------
        samples : Samples, optional
            By default the run's own: of a run that was trained on normal samples only its test
            split, of any other all.
        score : str, optional
            A key of `isthmus.detection.scores.SCORES`; by default "combined", or "neighbors" for a
            model that only encodes.
        false_alarms : float, optional
            Share of normal samples that may be called outliers; by default that of the run, or
            0.01.
        normal : str, optional
            The class or folder that is normal, to measure how well outliers are found; by default
            what the run was trained on.
        reference : Samples, optional
            Normal samples to compare with instead; a fifth of them says what is usual.
        baselines : bool
            Measure baselines too, on the raw pixels, where it is known which samples are outliers.

        Raises
        ------
        OptionError
            If there is no such score or class, or the share makes no sense.
        ModelError
            If the model does not have the score, or the samples do not fit it.
        """
        if score is not None:  # before samples are loaded, which may take long
            require_known("score", score, SCORES)
        if false_alarms is not None:
            require_rate(false_alarms)
        track = self._interruptible()
        is_own = reference is None and (samples is None or self._is_own(samples))
        chosen = self.samples if samples is None else samples
        if normal is not None:
            normal_rows(chosen, normal)  # rejects what is not there
        config = self.run.record.training_config if self.has_run else None
        if config is not None:
            normal, false_alarms = normal or config.normal, false_alarms or config.false_alarms
        is_one_class = config is not None and config.normal is not None
        rows = self.split.test if samples is None and is_one_class else None
        detector = self.detector(reference, chosen)
        found = judge(
            detector,
            chosen,
            rows,
            normal=self._normal_samples(chosen, reference),
            is_own=is_own or (not self.has_run and reference is None),
            score=score,
            false_alarms=false_alarms,
            track=track,
        )
        trained = self._trained_rows if is_own and self.has_run else None

        def load_normal() -> Samples | None:
            return self._load_normal(reference) if baselines else None

        return add_measures(found, normal, trained=trained, own=load_normal)

    def detector(
        self, reference: Samples | None = None, samples: Samples | None = None
    ) -> Detector:
        """Return what judges samples: the model and normal samples to compare with.

        That of a run is stored in its folder, so that others are judged without the run's data.

        Parameters
        ----------
        reference : Samples, optional
            Normal samples; by default the training split of the run.
        samples : Samples, optional
            What is compared with itself, where there is neither a run nor a reference.
        """
        if reference is None and self.has_run:
            return self._memo.get("detector", self._load_detector)
        if reference is None and samples is None:
            raise OptionError(f"{self.model.name} has no run; give normal samples to compare with.")
        key = ("detector", (reference or cast("Samples", samples)).fingerprint, reference is None)
        return self._memo.get(key, lambda: self._fit_detector(reference, samples))

    @property
    def _trained_rows(self) -> NDArray[np.int64]:
        """Which samples the run was trained on, or its best epoch chosen by."""
        return np.concatenate([self.split.train, self.split.validation])

    def _normal_samples(self, samples: Samples, reference: Samples | None) -> Samples | None:
        """Return what samples are compared with; the run's own only if they are loaded already."""
        if reference is not None or not self.has_run:
            return reference or samples
        return self.samples if self.has_samples or self._memo.has("samples") else None

    def _is_own(self, samples: Samples) -> bool:
        """Return whether samples are those of the run."""
        return self.has_run and samples.fingerprint == self.run.record.data["fingerprint"]

    def _load_normal(self, reference: Samples | None) -> Samples | None:
        """Return what baselines are fitted on; None where the run's data is gone."""
        if reference is not None or not self.has_run:
            return reference
        with suppress(SourceError):
            return self.samples
        self._say(f"{self.run.name} has no data here to fit baselines on; they are left out.")
        return None

    def _fit_detector(self, reference: Samples | None, samples: Samples | None) -> Detector:
        track = self._interruptible()
        if reference is None:
            return Detector.fit_within(self.model, cast("Samples", samples), track=track)
        require_enough(len(reference), reference.origin.source or "the reference", MIN_REFERENCE)
        train, validation = divide_reference(len(reference))
        return Detector.fit(self.model, reference, train, validation, track=track)

    def _load_detector(self) -> Detector:
        run, split = self.run, self.split
        key = make_key(self.model, run.record.data["fingerprint"], split.train, split.validation)
        file = None if run.is_in_memory else self.folder / DETECTOR_FILE
        if file is not None and file.exists():
            stored = read_detector(file, self.model, key)
            if stored is not None:
                return stored
            self._say(f"{file.name} was of other weights or data, or damaged; it is made again.")
        detector = Detector.fit(
            self.model, self.samples, split.train, split.validation, track=self._interruptible()
        )
        if file is not None:
            with suppress(IsthmusError):  # a run that is read only; the file only saves time
                write_detector(file, detector, key)
        return detector

    def interrupt(self) -> None:
        """Stop what this session is loading, encoding, decoding or fitting, at the next batch.

        The calls that are stopped raise `InterruptionError`; later calls compute again. An
        evaluation stops only while it encodes samples.
        """
        self._interrupts += 1

    # -- how it is loaded -----------------------------------------------------------------------

    @cached_property
    def _path(self) -> Path | None:
        """The run folder or the model's file."""
        source = self._source
        if isinstance(source, str | Path):
            return Path(source)
        path: Path | None = getattr(source, "path", None)  # a run, or a model of a file
        return path

    @property
    def _given_run(self) -> "Run | None":
        """The run itself, if the session was made of one."""
        source = self._source
        return None if isinstance(source, str | Path | Model) else source

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """How pictures reach the model; an encoder gets the part of each that the run's does."""
        wanted = self.model.preprocessing
        if self._encoder is None or isinstance(self._source, Model):
            return wanted
        own = self.run.record.origin.preprocessing
        return replace(wanted, crop=wanted.crop or own.crop, background=own.background)

    @property
    def has_run(self) -> bool:
        """Whether the session is of a run, and not of a model alone."""
        source = self._source
        if isinstance(source, str | Path):
            return Path(source).suffix not in MODEL_SUFFIXES
        return not isinstance(source, Model)

    @property
    def _pages(self) -> str | None:
        """Which pages of a file the run was trained on, if the user chose."""
        from isthmus.training.store import is_run

        source = self._source
        if not self.has_run or (isinstance(source, str | Path) and not is_run(source)):
            return None  # such as the weights of a run alone
        own = self.run.record.origin.reading
        return None if own is None else own.pages

    @property
    def _is_moved(self) -> bool:
        """Whether the run's data is at another place than run.json says."""
        given = self._given_run
        return self._data is not None or (given is not None and given.is_moved)

    @property
    def _own_codes(self) -> "_OwnCodes":
        return self._memo.get("own codes", lambda: _OwnCodes(self.model, self.samples))

    def _require_source(self) -> None:
        """Reject an empty name, which would be the current folder, and data of no run."""
        source = self._source
        if isinstance(source, str | Path):
            require_name("the run folder", source, RunError)
            name = str(source) if Path(source).suffix in MODEL_SUFFIXES else None
        else:
            name = source.name if isinstance(source, Model) else None
        if self._data is not None and name is not None:
            raise OptionError(
                f"{name} is a model without a run, which has no data of its own; leave data out, "
                "or name a source of samples."
            )

    def _open_run(self) -> "Run":
        source = self._source
        if isinstance(source, Model):
            raise OptionError(f"{source.name} is a model without a run; name a source of samples.")
        if not isinstance(source, str | Path):
            return source if self._data is None else source.with_data(self._data)
        if Path(source).suffix in MODEL_SUFFIXES:
            raise RunError(f"{source} is a model without a run; name a source of samples.")
        from isthmus.training.run import Run

        return Run.open(source, data=self._data)

    def _load_model(self) -> Model:
        source = self._source
        if self._encoder is not None:
            return self._encoder
        if isinstance(source, Model):
            return source
        return load_model(source) if isinstance(source, str | Path) else source.model()

    def _features_of(self, encoder: Model) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
        """Return what gives an encoder's features of the run's samples at indices."""
        track = self._interruptible()
        other = Session(self._source, self._samples, data=self._data, encoder=encoder, track=track)
        return lambda indices: other._own_codes.z(indices, self._interruptible())

    def _load_samples(self) -> Samples:
        if self._samples is not None:
            self.run.check(self._samples)
        if self._encoder is None:
            return self._samples or self.run.samples(self._interruptible())
        # As the encoder takes them: larger than the run's own model does.
        origin = self.run.record.origin
        if origin.source:
            if self._is_moved:  # that it is the same data shows at the run's own size
                self.run.samples(self._interruptible())
            self.run.require_data()
            return load_origin(
                replace(origin, preprocessing=self.preprocessing), self._interruptible()
            )
        samples = self._samples or self.run.samples(self._interruptible())
        if samples.is_signal:
            raise OptionError(f"{self.model.name} takes images, and the run has signals.")
        values = np.stack([self.preprocessing.fit(image) for image in samples.values])
        return replace(samples, values=values, masks=None)

    @property
    def has_mixture(self) -> bool:
        """Whether the mixture of the run's codes is fitted already, so that generating is quick."""
        if self._memo.has("mixture"):
            return True
        file = self._mixture_file
        if file is None or not file.exists():
            return False
        try:
            stored = Mixture.load(file)
        except SourceError:
            return False
        return stored.is_of(self.model.fingerprint, self._trained_on(self.split, None))

    def _trained_on(self, split: Split, samples: Samples | None) -> str:
        """Return the fingerprint of samples and split, by default of the run's."""
        data = self.run.record.data["fingerprint"] if samples is None else samples.fingerprint
        parts = (np.ascontiguousarray(part).data for part in (split.train, split.validation))
        return fingerprint(data, *parts)

    def _open_mixture(self, samples: Samples | None) -> Mixture:
        self.model.require_task("reconstruct")
        file = self._mixture_file
        if samples is None and not self.has_run and file is not None and file.exists():
            return Mixture.load(file, self.model)  # of what was named when it was fitted
        own = self.run.record.data["fingerprint"] if self.has_run else ""
        is_own = samples is None or samples.fingerprint == own
        split = self.split if is_own or samples is None else split_samples(samples)
        # That of the run's own codes stays, where a source is looked at for once.
        kept = file if is_own or not self.has_run else None

        def fit() -> Mixture:
            train, held = (self._rows(samples, part) for part in (split.train, split.validation))
            return fit_mixture(train, held, track=self._interruptible())

        trained_on = self._trained_on(split, samples)
        return open_mixture(kept, self.model.fingerprint, trained_on, fit, self._say)

    def _generator(self, draw: Draw) -> Callable[[int], NDArray[Any]]:
        return lambda n: self._decode(self.draw(replace(draw, n=n)).z)

    def _require_same_split(self, other: "Run") -> "Run":
        """Reject a run that was not trained on the same samples as this one."""
        own = self.run.record.data["fingerprint"]
        same = other.record.data["fingerprint"] == own
        if not same or not np.array_equal(other.split().train, self.split.train):
            raise RunError(
                f"{other.name} was trained on other data than {self.run.name}, or on another split "
                "of it; train it with the same source and seed."
            )
        return other

    @property
    def _mixture_file(self) -> Path | None:
        """Where the mixture is kept, if the session has a folder."""
        run = self._given_run
        is_in_memory = run is not None and run.is_in_memory
        return None if is_in_memory or self._path is None else self.folder / MIXTURE_FILE

    def _rows(self, samples: Samples | None, indices: NDArray[np.int64]) -> Codes:
        """Return codes of samples at `indices`, by default of the run's own."""
        if samples is not None:
            return self.encode(samples).take(indices)
        z = self._own_codes.z(indices, self._interruptible())
        items = self.samples.items.take(indices)  # without a copy of the samples themselves
        return Codes(z, items, model_fingerprint=self.model.fingerprint)

    def _open_index(self) -> Index:
        if self._given_run is not None and self._given_run.is_in_memory:
            return Index.build(self.codes())
        return open_index(
            self.folder / "index",
            self.model,
            self._say,
            self._interruptible(),
            self.load_origin,
        )

    def _load_indexed(self) -> dict[str, tuple[Samples, int]]:
        """Load the sources of the index: by name, the samples and the row in them."""
        places: dict[str, tuple[Samples, int]] = {}
        for source in self.index.sources:
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

    def load_origin(self, origin: Origin, track: Track = untracked) -> Samples:
        """Load what an origin describes; the run's own data from where it is now."""
        known = self.has_run and origin.source in self.run.record.data.get("moved_from", ())
        if known and (self._is_moved or not Path(origin.source).exists()):
            origin = replace(origin, source=self.run.record.origin.source)
        return load_origin(origin, track)

    @property
    def has_samples(self) -> bool:
        """Whether there are samples that need not be loaded."""
        run = self._given_run
        return self._samples is not None or (run is not None and run.loaded is not None)

    def _decode(self, z: NDArray[np.float32]) -> NDArray[Any]:
        return self.model.decode(z, track=self._interruptible())

    def _features(self, query: Query, layer: str) -> NDArray[np.float32]:
        """Return the features (n, D) of a query."""
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

    def _interruptible(self) -> Track:
        """Return the session's progress, which raises once the session is interrupted."""
        before = self._interrupts  # those before this call are not meant for it

        def track(items: Iterable[T], total: int, title: str) -> Iterable[T]:
            for item in self._track(items, total, title):
                if self._interrupts != before:
                    raise InterruptionError(f"{title.lower()} was interrupted.")
                yield item

        return track


def _is_code(query: NDArray[Any]) -> bool:
    """Return whether an array holds codes (D,) or (n, D), and no samples."""
    # Images are uint8 and signals have three dimensions.
    return query.dtype != np.uint8 and query.ndim < 3


def generate(
    run: "str | Path | Run | Model",
    n: int = 64,
    *,
    label: str | None = None,
    temperature: float = 1.0,
    sampler: str = "mixture",
    seed: int = 0,
    samples: Samples | None = None,
    track: Track = untracked,
) -> Samples:
    """Generate new samples with an autoencoder.

    Codes are drawn and decoded. Of any autoencoder they are drawn from a mixture of normal
    distributions, which is fitted to the codes of its training samples when it is first needed and
    then kept in the run folder; see `isthmus.latent.mixture`.

    Parameters
    ----------
    run : path, Run or Model
        An autoencoder: a run folder, a run, the file of a model, or a model.
    n : int
    label : str, optional
        The name of a class, of a run on labeled samples; by default all, as often as each occurs
        among the training samples.
    temperature : float
        Factor on the standard deviations, from 0 to 100: below 1, samples are more typical and
        less varied.
    sampler : str
        "mixture"; or "prior", the standard normal distribution, which the codes of a variational
        autoencoder are trained to follow.
    seed : int
        From 0 to 2³² - 1. The i-th sample depends on the seed and on i, and not on n.
    samples : Samples, optional
        Whose codes the mixture is fitted to: needed for a model without a run, and for a run on
        an array that is opened again. By default those that the run was trained on.
    track : callable
        Shows progress.

    Returns
    -------
    Samples
        With the class of the component that each was drawn from, where all have one.

    Raises
    ------
    OptionError
        If there is no such class or sampler, or a number is outside its range.
    ModelError
        If the model is no autoencoder, or has no prior and needs one.

    Examples
    --------
    >>> sevens = generate("runs/mnist", 16, label="7", temperature=0.8)  # doctest: +SKIP
    """
    session = Session(run, track=track)
    return session.generate(
        n,
        label=label,
        temperature=temperature,
        sampler=sampler,
        seed=seed,
        samples=samples,
    )


def find_outliers(
    run: "str | Path | Run | Model",
    samples: Samples | None = None,
    *,
    score: str | None = None,
    false_alarms: float | None = None,
    normal: str | None = None,
    reference: Samples | None = None,
    baselines: bool = False,
    track: Track = untracked,
) -> Outliers:
    """Rank samples by how far they are from all that a model knows as normal.

    Parameters
    ----------
    run : path, Run or Model
    samples, score, false_alarms, normal, reference, baselines
        See `Session.outliers`, which saves loading the model again for another question.
    track : callable
        Shows progress.

    Raises
    ------
    OptionError
        If there is no such score or class, or the share makes no sense.
    ModelError
        If the model does not have the score, or the samples do not fit it.

    Examples
    --------
    >>> found = find_outliers("runs/good", load("pieces/"))  # doctest: +SKIP
    >>> [found.names[place] for place in found.first(10)]  # doctest: +SKIP
    """
    return Session(run, track=track).outliers(
        samples,
        score=score,
        false_alarms=false_alarms,
        normal=normal,
        reference=reference,
        baselines=baselines,
    )


class _OwnCodes:
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
                # Without a copy of all samples, where all are needed.
                is_all = len(missing) == len(self._samples)
                samples = self._samples if is_all else self._samples.take(missing)
                self._z[missing] = self._model.encode(samples, track=track)
                self._is_known[missing] = True
            return self._z[indices]

    def take(self, indices: NDArray[np.int64], track: Track) -> Codes:
        """Return the codes at `indices` with their items."""
        chosen = self._samples.take(indices)
        return Codes(
            self.z(indices, track),
            replace(chosen.items, fingerprint=chosen.fingerprint),
            shape=(self._z.shape[1],),
            model_fingerprint=self._model.fingerprint,
            origin=chosen.origin,
        )

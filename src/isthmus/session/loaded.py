"""`Loaded`: what a run holds, each thing loaded once, and what can stop the work."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.fitting import describe_use
from isthmus.data.images import Images
from isthmus.data.load import load_origin, load_with
from isthmus.data.load_images import load_images_with
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Reading
from isthmus.data.samples import Origin, Samples
from isthmus.data.sources import is_there
from isthmus.data.split import Split
from isthmus.errors import (
    DenoiserError,
    InterruptionError,
    ModelError,
    OptionError,
    RunError,
    require_name,
)
from isthmus.inference.encoders import Encoder
from isthmus.inference.load import load_model
from isthmus.inference.model import CODE, Model
from isthmus.inference.onnx import OnnxModel
from isthmus.latent.codes import Codes, encode
from isthmus.links import reject_links
from isthmus.memo import Memo
from isthmus.session.own_codes import OwnCodes

if TYPE_CHECKING:  # all need torch or scikit-learn, which a model in an ONNX file does without
    from isthmus.inference.trained import TrainedModel
    from isthmus.training.run import Run

T = TypeVar("T")
MODEL_SUFFIXES = (".onnx", ".safetensors")  # of models without a run
MAX_ENTRIES = 32  # codes and maps that are kept; the codes of 60,000 samples take 8 MB at 32


class Loaded:
    """A run in use, or a model alone: what `Session` answers from.

    The parameters are those of `Session`.
    """

    def __init__(
        self,
        run: "str | Path | Run | Model",
        samples: Samples | Images | None = None,
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

    def renewed(self) -> Self:
        """Return a session of the same run as it is now, such as with the weights it has now.

        Samples that are loaded already are kept; all else is loaded again when it is needed.
        """
        source = self._source
        if self._given_run is not None:
            source = self._given_run.reload()
        samples = self._samples
        if self._encoder is None and self._memo.has("samples"):  # an encoder's are larger
            samples = self.samples
        return type(self)(
            source,
            samples,
            data=self._data,
            encoder=self._encoder,
            track=self._track,
            say=self._say,
        )

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
    def images(self) -> Images:
        """The images that a denoiser was trained, validated and tested on, each at its own size."""
        return self._memo.get("images", self._load_images)

    @property
    def is_denoiser(self) -> bool:
        """Whether the model takes the noise out of images of any size, and has no codes."""
        return self.model.task == "denoise"

    def require_codes(self) -> None:
        """Raise a DenoiserError for a denoiser, which has no codes and takes images of any size."""
        if self.is_denoiser:
            named = self._source if isinstance(self._source, str | Path) else self.name
            raise DenoiserError(named)

    @property
    def split(self) -> Split:
        """Which of these samples are for training, for validation and for testing."""
        return self._memo.get("split", self.run.split)

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

    def read(self, source: str | Path, limit: int | None = None) -> Samples:
        """Load a source with the preprocessing of the model, and say what was made of it.

        Of files of several pages, those are read that the run was trained on. A denoiser, which
        takes images as they are, has `read_images`.
        """
        self.require_codes()
        samples = load_with(
            source,
            self.preprocessing,
            limit=limit,
            reading=self.reading,
            track=self._interruptible(),
        )
        for line in describe_use(source, samples):
            self._say(line)
        return samples

    def read_images(self, source: str | Path, limit: int | None = None) -> Images:
        """Load a source for a denoiser: each image at its own size; see `read`."""
        return load_images_with(
            source,
            self.preprocessing,
            limit=limit,
            reading=self.reading,
            track=self._interruptible(),
        )

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
        self.require_codes()
        key = ("codes", samples.fingerprint, layer)
        return self._memo.get(
            key, lambda: encode(self.model, samples, layer, track=self._interruptible())
        )

    def reconstruct(self, samples: Samples | NDArray[Any]) -> NDArray[Any]:
        """Return samples after encoding and decoding, in the kind and shape of the samples."""
        self.require_codes()
        return self.model.reconstruct(samples, track=self._interruptible())

    def add_noise(self, samples: Samples, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return samples with the noise that the run's samples of these indices always get.

        Returns
        -------
        (n, H, W, C) uint8 or (n, L, C) float32
            The samples as they are, if the run was trained without noise.
        """
        return self.run.add_noise(self.trained, samples.values, indices)

    def interrupt(self) -> None:
        """Stop what this session is loading, encoding, decoding or fitting, at the next batch.

        The calls that are stopped raise `InterruptionError`; later calls compute again. An
        evaluation stops only while it encodes samples.
        """
        self._interrupts += 1

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
    def reading(self) -> Reading:
        """How other sources are read: of files, those pages that the run was trained on."""
        from isthmus.training.store import is_run

        source = self._source
        if not self.has_run or (isinstance(source, str | Path) and not is_run(source)):
            return Reading()  # such as of the weights of a run alone
        own = self.run.record.origin.reading
        return Reading(pages=None if own is None else own.pages)

    @property
    def _is_moved(self) -> bool:
        """Whether the run's data is at another place than run.json says."""
        given = self._given_run
        return self._data is not None or (given is not None and given.is_moved)

    @property
    def _own_codes(self) -> OwnCodes:
        return self._memo.get("own codes", lambda: OwnCodes(self.model, self.samples))

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

    def _load_images(self) -> Images:
        if not isinstance(self._samples, Images):
            return self.run.images(self._interruptible())
        self.run.check(self._samples)
        return self._samples

    def _load_samples(self) -> Samples:
        self.require_codes()
        given = self._samples
        assert not isinstance(given, Images)  # only denoisers have some
        if given is not None:
            self.run.check(given)
        if self._encoder is None:
            return given or self.run.samples(self._interruptible())
        # As the encoder takes them: larger than the run's own model does.
        origin = self.run.record.origin
        if origin.source:
            if self._is_moved:  # that it is the same data shows at the run's own size
                self.run.samples(self._interruptible())
            self.run.require_data()
            return load_origin(
                replace(origin, preprocessing=self.preprocessing), self._interruptible()
            )
        samples = given or self.run.samples(self._interruptible())
        if samples.is_signal:
            raise OptionError(f"{self.model.name} takes images, and the run has signals.")
        values = np.stack([self.preprocessing.fit(image) for image in samples.values])
        return replace(samples, values=values, masks=None)

    def _rows(self, samples: Samples | None, indices: NDArray[np.int64]) -> Codes:
        """Return codes of samples at `indices`, by default of the run's own."""
        if samples is not None:
            return self.encode(samples).take(indices)
        z = self._own_codes.z(indices, self._interruptible())
        items = self.samples.items.take(indices)  # without a copy of the samples themselves
        return Codes(z, items, model_fingerprint=self.model.fingerprint)

    def load_origin(self, origin: Origin, track: Track = untracked) -> Samples:
        """Load what an origin describes; the run's own data from where it is now."""
        known = self.has_run and origin.source in self.run.record.data.get("moved_from", ())
        if known and (self._is_moved or not is_there(origin.source)):
            origin = replace(origin, source=self.run.record.origin.source)
        return load_origin(origin, track)

    @property
    def has_samples(self) -> bool:
        """Whether there are samples that need not be loaded."""
        run = self._given_run
        return self._samples is not None or (run is not None and run.loaded is not None)

    def _decode(self, z: NDArray[np.float32]) -> NDArray[Any]:
        return self.model.decode(z, track=self._interruptible())

    def _interruptible(self) -> Track:
        """Return the session's progress, which raises once the session is interrupted."""
        before = self._interrupts  # those before this call are not meant for it

        def track(items: Iterable[T], total: int, title: str) -> Iterable[T]:
            for item in self._track(items, total, title):
                if self._interrupts != before:
                    raise InterruptionError(f"{title.lower()} was interrupted.")
                yield item

        return track

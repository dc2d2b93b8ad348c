"""A run: all that training leaves, in a folder or in memory.

=====================  =============================================================================
run.json               what was asked for and on what: the `Record`, and the format's version
split.npz              indices of the training, validation and test samples, decided once
history.jsonl          a line for every epoch
model.safetensors      the best weights by validation (see `Meter.error`), a file of `TrainedModel`
last.safetensors       the last weights, once training has ended
epochs/                what the model of each epoch makes of a few test samples; see `KeptEpochs`
styles.npz             pictures of the styles of a style bank
features.safetensors   the network by which these are compared; random features need no file
checkpoint/state.pt    what resuming needs: last weights, optimizer, counters
failure.json           where a training ended because its loss was not a number, if one did
tensorboard/           event files, if asked for
=====================  =============================================================================

What is derived from a run (codes, maps/, index/, encoders/, studio/, report.html, card/) may lie in
its folder too; it carries the fingerprints of model and data, and can be deleted.

A file is whole or absent. The checkpoint is the first file that an epoch writes, and makes it
count; the others follow from it, and `resume` writes those that a killed process left out. See
`saving`.
"""

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.damage import reporting_damage
from isthmus.data.cache import Track, untracked
from isthmus.data.corruption import with_fixed_noise
from isthmus.data.images import Images
from isthmus.data.load import load_origin
from isthmus.data.load_images import load_images_of
from isthmus.data.samples import Samples
from isthmus.data.sources import is_there, locate_source
from isthmus.data.split import Split
from isthmus.display import Displayed
from isthmus.errors import ModelError, RunError, SourceError, require_name
from isthmus.fields import convert_some, parse_json
from isthmus.files import suggest_path
from isthmus.inference.contract import MODEL_FILE
from isthmus.inference.trained import TrainedModel
from isthmus.links import reject_links
from isthmus.models.perceptual import Features
from isthmus.training.kept import FOLDER as EPOCHS
from isthmus.training.kept import KeptEpochs
from isthmus.training.record import FORMAT, Record
from isthmus.training.store import (
    CHECKPOINT,
    FAILURE,
    HISTORY,
    LAST_MODEL,
    RECORD,
    SPLIT,
    FolderStore,
    MemoryStore,
    Store,
    is_run,
)
from isthmus.training.stored import parse_checkpoint, parse_history, parse_split
from isthmus.training.style_features import RANDOM, restore_features
from isthmus.training.styles import (
    FEATURES,
    STYLES,
    Picture,
    fingerprint_styles,
    parse_pictures,
)

FILES = (RECORD, SPLIT, HISTORY, MODEL_FILE, LAST_MODEL, CHECKPOINT, FAILURE, STYLES, FEATURES)
FAILED: dict[str, Any] = {"epoch": int, "step": int, "loss": str, "lr": float}
RESTORE = "restore it from a copy, or train a new run"  # what to do about a damaged file


@dataclass(frozen=True)
class Run(Displayed):
    """A run that exists: its record, split, history, checkpoint and model.

    `Run.open` gives one of a folder; `train` and `resume` leave theirs in `Training.run`, also
    one that lives in memory only.
    """

    store: Store
    record: Record
    # What `samples` returns without loading it again.
    loaded: Samples | Images | None = field(default=None, repr=False)
    # Whether the data is at another place than run.json says.
    is_moved: bool = field(default=False, repr=False)

    @classmethod
    def create(
        cls,
        path: Path | None,
        record: Record,
        split: Split,
        untrained: TrainedModel,
        checkpoint: dict[str, Any] | None = None,
        others: Mapping[str, bytes] | None = None,
    ) -> "Run":
        """Make a run in a new folder, whole or not at all, or in memory.

        A run that starts from other weights than the seed's has a checkpoint from the beginning,
        that of a style bank `others`: the files that its styles are learned from.

        Raises
        ------
        RunError
            If there is something at `path` already.
        """
        arrays = io.BytesIO()
        np.savez_compressed(arrays, train=split.train, validation=split.validation, test=split.test)
        files = {
            RECORD: record.to_bytes(),
            SPLIT: arrays.getvalue(),
            MODEL_FILE: untrained.to_bytes(),
            **(others or {}),
        }
        if checkpoint is not None:
            files[CHECKPOINT] = _pack(checkpoint)
        return cls(FolderStore.create(path, files) if path else MemoryStore(files), record)

    @classmethod
    def open(cls, path: str | Path, *, data: str | Path | None = None) -> "Run":
        """Open a run folder.

        Parameters
        ----------
        path : path
        data : path or str, optional
            Where the run's data is now, if it has moved; see `with_data`.

        Raises
        ------
        RunError
            If there is none, or another version of Isthmus wrote it.
        SourceError
            If there is nothing at the place of the data.
        """
        require_name("the run folder", path, RunError)
        run = cls._read(FolderStore(Path(path)))
        return run if data is None else run.with_data(data)

    def with_data(self, place: str | Path) -> "Run":
        """Return the run with its data at another place; run.json stays as it is.

        `samples` checks that it is the same data. Resuming the run writes the place to run.json.

        Raises
        ------
        SourceError
            If there is nothing at that place.
        """
        record = self.record
        origin = replace(record.origin, source=locate_source(place)[0])
        # Indexes that were made before name the old places; see `Session.load_origin`.
        places = list(dict.fromkeys([*record.data.get("moved_from", ()), record.origin.source]))
        record = replace(record, origin=origin, data={**record.data, "moved_from": places})
        return replace(self, record=record, loaded=None, is_moved=True)

    def reload(self) -> "Run":
        """Return this run with its record as it is written now: resuming may have changed it."""
        run = self._read(self.store)
        if self.is_moved:
            run = run.with_data(self.record.origin.source)
        return replace(run, loaded=self.loaded)

    @classmethod
    def _read(cls, store: Store) -> "Run":
        file = Path(store.name, RECORD)
        if isinstance(store, FolderStore):
            reject_links(store.path)
        with reporting_damage(file, RunError, RESTORE):
            text = store.read(RECORD)
        if text is None:
            if not Path(store.name).exists():
                near = suggest_path(store.name, is_run)
                raise RunError(f"there is no run folder called {store.name}{near}.")
            raise RunError(f"{store.name} is not a run folder: it has no run.json.")
        with reporting_damage(file, RunError, RESTORE):
            content = convert_some(parse_json(text), {"format": int}, "")
            written = content.get("format")
        if written != FORMAT:
            raise RunError(
                f"{file} is of format {written} of the run folder and this Isthmus reads format "
                f"{FORMAT}; use the version that wrote it."
            )
        with reporting_damage(file, RunError, RESTORE):
            record = Record.of(content)
        return cls(store, record)

    @property
    def name(self) -> str:
        """What messages call this run: its path, or "the run in memory"."""
        return self.store.name

    @property
    def is_in_memory(self) -> bool:
        """Whether the run has no folder."""
        return not isinstance(self.store, FolderStore)

    @property
    def path(self) -> Path:
        """The run folder.

        Raises
        ------
        RunError
            If the run is in memory.
        """
        if not isinstance(self.store, FolderStore):
            raise RunError(f"{self.name} has no folder; save it into one with Run.save.")
        return self.store.path

    def save(self, path: str | Path) -> "Run":
        """Copy the run into a new folder, whole or not at all, and return that run.

        Raises
        ------
        RunError
            If there is something at `path` already.
        """
        # Only these: what is derived (maps, an index, a page) can be made again.
        epochs = [f"{EPOCHS}/{name}" for name in self.epochs.files()]
        contents = {file: self.store.read(file) for file in (*FILES, *epochs)}
        files = {file: content for file, content in contents.items() if content is not None}
        return replace(self._read(FolderStore.create(Path(path), files)), loaded=self.loaded)

    def lock(self) -> AbstractContextManager[None]:
        """Keep everybody else from training this run.

        Raises
        ------
        RunError
            If somebody does so now.
        """
        return self.store.lock()

    def samples(self, track: Track = untracked) -> Samples:
        """Return the data of the run; it is loaded again unless the run was trained just now.

        Raises
        ------
        RunError
            If it came from an array, or has changed since; or if the run is of a denoiser, which
            has `images`.
        """
        if self.record.model_config.task == "denoise":
            raise RunError(
                f"{self.name} is a denoiser: its images have no common size, and it has no codes; "
                "isthmus denoise, evaluate, report and export use it."
            )
        samples = self.data(track)
        assert isinstance(samples, Samples)
        return samples

    def images(self, track: Track = untracked) -> Images:
        """Return the data of the run of a denoiser; see `samples`.

        Raises
        ------
        RunError
            As `samples`, and if the run is of another model.
        """
        if self.record.model_config.task != "denoise":
            raise RunError(f"{self.name} is no denoiser: its data is samples of one shape.")
        images = self.data(track)
        assert isinstance(images, Images)
        return images

    def data(self, track: Track = untracked) -> Samples | Images:
        """Return `samples` or `images`, whichever the run was trained on."""
        if self.loaded is not None:
            return self.loaded
        origin = self.record.origin
        if not origin.source:
            raise RunError(f"{self.name} was trained on an array; give the samples again.")
        self.require_data()
        is_denoiser = self.record.model_config.task == "denoise"
        samples = (load_images_of if is_denoiser else load_origin)(origin, track)
        self.check(samples)
        return samples

    def require_data(self) -> None:
        """Raise a SourceError if there is nothing where the run's data was."""
        source = self.record.origin.source
        if source and not is_there(source):
            raise SourceError(
                f"the data of {self.name} is not at {source} any more; give its new place with "
                "--data, in Python Run.open(…, data=…)."
            )

    def check(self, samples: Samples | Images) -> None:
        """Raise a RunError if samples are not those that the run was trained on."""
        if samples.fingerprint == self.record.data["fingerprint"]:
            if len(samples) != self.record.total:
                raise RunError(
                    f"{Path(self.name, RECORD)} is damaged: its splits have "
                    f"{self.record.total:,} samples, and there are {len(samples):,}; "
                    f"{RESTORE}."
                )
            return
        if self.is_moved:
            before, now = self.record.data["description"], samples.describe()
            raise RunError(
                f"{self.record.origin.source} is not the data that {self.name} was trained on: "
                + (f"{now} instead of {before}" if now != before else "its names or values differ")
                + "; give the place of the same data."
            )
        raise RunError(
            f"{self.record.origin.source or 'the array'} is not the data that {self.name} was "
            "trained on; it has changed since, so train a new run."
        )

    def split(self) -> Split:
        """Return the split of the data, which was decided when the run was made."""
        with self._reporting_damage(SPLIT):
            return parse_split(self._require(SPLIT), self.record.counts, self.record.total)

    def add_noise(
        self, model: TrainedModel, values: NDArray[Any], indices: NDArray[np.int64]
    ) -> NDArray[Any]:
        """Return samples with the noise that the run's samples of these indices always get.

        Returns
        -------
        (n, H, W, C) uint8 or (n, L, C) float32
            The samples as they are, if the run was trained without noise.
        """
        config = self.record.training_config
        if config.corruption is None:
            return np.asarray(values)
        pairs = with_fixed_noise(model.inputs(values), config.corruption, config.seed, indices)
        return np.concatenate(
            [model.preprocessing.from_output(noisy).cpu().numpy() for _, noisy in pairs]
        )

    def model(self, device: str = "cpu") -> TrainedModel:
        """Load the best weights so far; before the first epoch, those it started with.

        Raises
        ------
        ModelError
            If they are missing or damaged, or those of another run.
        """
        if isinstance(self.store, FolderStore):
            model = TrainedModel.load(self.path, device)
        else:
            model = TrainedModel.from_bytes(self._require(MODEL_FILE), device)
        self.require_own(model)
        return model

    def require_own(self, model: TrainedModel) -> None:
        """Raise a ModelError if a model is none that this run has trained."""
        record = self.record
        if (model.config, model.preprocessing) != (record.model_config, record.preprocessing):
            raise ModelError(
                f"{Path(self.name, MODEL_FILE)} is not of the model that {RECORD} describes; "
                f"{RESTORE}."
            )

    def styles(self) -> tuple[dict[str, Picture], Features]:
        """Return the pictures of the run's styles by name, and the network that compares images.

        Raises
        ------
        RunError
            If the run is not of a style bank, or a file is damaged or of another run.
        """
        settings, names = self.record.styles, self.record.model_config.style_names
        if settings is None:
            raise RunError(f"{self.name} has no styles; isthmus style train makes a run that has.")
        with self._reporting_damage(STYLES):
            pictures = parse_pictures(self._require(STYLES), names)
        with self._reporting_damage(FEATURES):
            content = b"" if settings.features == RANDOM else self._require(FEATURES)
            features = restore_features(settings.features, content)
        with self._reporting_damage(STYLES):
            if fingerprint_styles(pictures, features.fingerprint) != settings.fingerprint:
                raise RunError("it is not as the run has written it, or of other features")
        return pictures, features

    def history(self) -> list[dict[str, Any]]:
        """Return the lines of history.jsonl, one for every epoch."""
        with self._reporting_damage(HISTORY):
            content = self.store.read(HISTORY)
            return [] if content is None else parse_history(content)

    def write_history(self, lines: list[dict[str, Any]]) -> None:
        """Replace the history."""
        self.store.write(HISTORY, pack_history(lines))

    def failure(self) -> dict[str, Any] | None:
        """Return where a training ended because its loss was not finite, None if none did.

        Returns
        -------
        dict
            `epoch` and `step`, the `loss` as a word ("NaN" or "infinite") and the `lr`. A run that
            has more steps in its history by now was resumed, and has got over it.
        """
        with self._reporting_damage(FAILURE):
            content = self.store.read(FAILURE)
            if content is None:
                return None
            return convert_some(parse_json(content), FAILED, "", required=True)

    def write_failure(self, failure: dict[str, Any]) -> None:
        """Note where a training ended; see `failure`."""
        self.store.write(FAILURE, (json.dumps(failure) + "\n").encode())

    @property
    def epochs(self) -> KeptEpochs:
        """What the model of each epoch makes of a few test samples."""
        return KeptEpochs(self.store)

    def checkpoint(self) -> dict[str, Any] | None:
        """Return the state at the last checkpoint, or None before the first."""
        with self._reporting_damage(CHECKPOINT):
            content = self.store.read(CHECKPOINT)
            if content is not None:
                return parse_checkpoint(content, self.record)
            # A killed process may have left out the first one, and no other.
            if len(self.history()) > 1:
                raise RunError("it is missing")
            return None

    def write_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint."""
        self.store.write(CHECKPOINT, _pack(state))

    def with_training(self, **changes: Any) -> "Run":
        """Return the run with changes to its training config, which are not written yet.

        Changes that are None are left out.
        """
        # Written once the new training holds the lock; until then the old config is true.
        given = {name: value for name, value in changes.items() if value is not None}
        config = replace(self.record.training_config, **given)
        return replace(self, record=replace(self.record, training_config=config))

    def differs_from(self, old: "Run") -> bool:
        """Return whether run.json does not say yet what this run has, which was made of another."""
        return self.is_moved or self.record != old.record

    def write_record(self) -> None:
        """Replace run.json."""
        self.store.write(RECORD, self.record.to_bytes())

    def _require(self, file: str) -> bytes:
        content = self.store.read(file)
        if content is None:
            raise RunError("it is missing.")
        return content

    def _reporting_damage(self, file: str) -> AbstractContextManager[None]:
        return reporting_damage(Path(self.name, file), RunError, RESTORE)


def pack_history(lines: Sequence[dict[str, Any]]) -> bytes:
    """Return the content of history.jsonl."""
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _pack(checkpoint: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    torch.save(checkpoint, content)
    return content.getvalue()


def best_epoch(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the line of the epoch that the best weights are from."""
    return [line for line in history if line["is_best"]][-1]


def summarize_training(run: Run) -> dict[str, Any]:
    """Return how long a run was trained, and its best epoch.

    Returns
    -------
    dict
        `run`, its name; `epochs` and `seconds` of training; `best`, with the `epoch` that the best
        weights are from and all that was measured on the validation split then; `reading`, what
        was read (see `ReadingReport`), None for runs of older versions.
    """
    history = run.history()
    best = best_epoch(history)
    metrics = {name: best[name] for name in best if name.startswith("validation_")}
    return {
        "run": run.name,
        "epochs": history[-1]["epoch"],
        "seconds": history[-1]["seconds"],
        "best": {"epoch": best["epoch"], **metrics},
        "reading": run.record.data.get("reading"),
    }

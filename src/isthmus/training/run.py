"""A run: all that training leaves, in a folder or in memory.

=====================  =============================================================================
run.json               what was asked for and on what: the `Record`, and the format's version
split.npz              indices of the training, validation and test samples, decided once
history.jsonl          a line for every epoch
model.safetensors      the best weights by validation (see `Meter.error`), a file of `TrainedModel`
last.safetensors       the last weights, once training has ended
epochs/                what the model of each epoch makes of a few test samples; see `KeptEpochs`
checkpoint/state.pt    what resuming needs: last weights, optimizer, counters
failure.json           where a training ended because its loss was not a number, if one did
tensorboard/           event files, if asked for
=====================  =============================================================================

What is derived from a run (codes, maps/, index/, encoders/, studio/, report.html, card/) may lie in
its folder too; it carries the fingerprints of model and data, and can be deleted.

A file is whole or absent. An epoch is written as best weights, samples of epochs/, history,
checkpoint: the checkpoint comes last and makes the epoch count, so a process that is killed between
two of them trains that epoch again, to the same files.
"""

import io
import json
import os
import platform
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.catalog import DATASETS
from isthmus.data.corruption import with_fixed_noise
from isthmus.data.load import load_origin
from isthmus.data.preprocess import Preprocessing
from isthmus.data.report import ReadingReport
from isthmus.data.samples import Origin, Samples
from isthmus.data.sources import locate_source
from isthmus.data.split import Split
from isthmus.display import Displayed
from isthmus.errors import RunError, SourceError, require_name
from isthmus.files import from_json, reporting_damage, suggest_path, to_json
from isthmus.inference.contract import MODEL_FILE
from isthmus.inference.trained import TrainedModel
from isthmus.models.config import ModelConfig
from isthmus.text import to_utf8
from isthmus.training.config import TrainingConfig
from isthmus.training.kept import FOLDER as EPOCHS
from isthmus.training.kept import KeptEpochs
from isthmus.training.store import RECORD, FolderStore, MemoryStore, Store, is_run
from isthmus.version import __version__

FORMAT = 2  # of run.json and split.npz; raise it when an older program could misread them
SPLIT, HISTORY = "split.npz", "history.jsonl"
LAST_MODEL, CHECKPOINT = "last.safetensors", "checkpoint/state.pt"
FAILURE = "failure.json"
FILES = (RECORD, SPLIT, HISTORY, MODEL_FILE, LAST_MODEL, CHECKPOINT, FAILURE)


@dataclass(frozen=True)
class Record:
    """What run.json says.

    Parameters
    ----------
    model_config : ModelConfig
    preprocessing : Preprocessing
        From the bytes of a file to the model's input, with every default chosen.
    training_config : TrainingConfig
        With every default chosen.
    origin : Origin
        What the data was loaded from, and how.
    data : dict
        The data's fingerprint, description and number of samples in each split, what was read
        (see `ReadingReport`), the fingerprint of a denoiser's noise, that of the model that was
        trained further, and the places where the data was before.
    environment : dict
        When, with which versions and on which machine.
    """

    model_config: ModelConfig
    preprocessing: Preprocessing
    training_config: TrainingConfig
    origin: Origin
    data: dict[str, Any]
    environment: dict[str, Any]

    @property
    def reading(self) -> ReadingReport | None:
        """What was read; None for a run of an older version."""
        content = self.data.get("reading")
        return None if content is None else ReadingReport.from_json(content)

    def to_bytes(self) -> bytes:
        """Return the content of run.json."""
        content = {"format": FORMAT, **to_json(self)}
        return to_utf8(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Run(Displayed):
    """A run that exists: its record, split, history, checkpoint and model.

    `Run.open` gives one of a folder; `train` and `resume` leave theirs in `Training.run`, also
    one that lives in memory only.
    """

    store: Store
    record: Record
    # What `samples` returns without loading it again.
    loaded: Samples | None = field(default=None, repr=False)
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
    ) -> "Run":
        """Make a run in a new folder, whole or not at all, or in memory.

        A run that starts from other weights than the seed's has a checkpoint from the beginning.

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
        with reporting_damage(file, RunError):
            text = store.read(RECORD)
        if text is None:
            if not Path(store.name).exists():
                near = suggest_path(store.name, is_run)
                raise RunError(f"there is no run folder called {store.name}{near}.")
            raise RunError(f"{store.name} is not a run folder: it has no run.json.")
        with reporting_damage(file, RunError):
            content = json.loads(text)
            written = content.get("format")
        if written != FORMAT:
            raise RunError(
                f"{store.name} was written in format {written} of the run folder and this Isthmus "
                f"reads format {FORMAT}; use the version that wrote it."
            )
        with reporting_damage(file, RunError):
            content["data"]["fingerprint"]  # every run has one: without it the file is damaged
            record = Record(
                from_json(ModelConfig, content["model_config"]),
                from_json(Preprocessing, content["preprocessing"]),
                from_json(TrainingConfig, content["training_config"]),
                Origin.build(content["origin"]),
                content["data"],
                content["environment"],
            )
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
            If it came from an array, or has changed since.
        """
        if self.loaded is not None:
            return self.loaded
        origin = self.record.origin
        if not origin.source:
            raise RunError(f"{self.name} was trained on an array; give the samples again.")
        self.require_data()
        samples = load_origin(origin, track)
        self.check(samples)
        return samples

    def require_data(self) -> None:
        """Raise a SourceError if there is nothing where the run's data was."""
        source = self.record.origin.source
        if source and source not in DATASETS and not Path(source).exists():
            raise SourceError(
                f"the data of {self.name} is not at {source} any more; give its new place with "
                "--data, in Python Run.open(…, data=…)."
            )

    def check(self, samples: Samples) -> None:
        """Raise a RunError if samples are not those that the run was trained on."""
        if samples.fingerprint == self.record.data["fingerprint"]:
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
        with self._reporting_damage(SPLIT), np.load(io.BytesIO(self._require(SPLIT))) as arrays:
            return Split(arrays["train"], arrays["validation"], arrays["test"])

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
        """Load the best weights so far; before the first epoch, those it started with."""
        if isinstance(self.store, FolderStore):
            return TrainedModel.load(self.path, device)
        with self._reporting_damage(MODEL_FILE):
            return TrainedModel.from_bytes(self._require(MODEL_FILE), device)

    def write_model(self, model: TrainedModel, file: str = MODEL_FILE) -> None:
        """Replace the best weights, or those of another file."""
        self.store.write(file, model.to_bytes())

    def history(self) -> list[dict[str, Any]]:
        """Return the lines of history.jsonl, one for every epoch."""
        with self._reporting_damage(HISTORY):
            content = self.store.read(HISTORY) or b""
            return [json.loads(line) for line in content.splitlines()]

    def write_history(self, lines: list[dict[str, Any]]) -> None:
        """Replace the history."""
        self.store.write(HISTORY, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def failure(self) -> dict[str, Any] | None:
        """Return where a training ended because its loss was not finite, None if none did.

        Returns
        -------
        dict
            `epoch` and `step`, the `loss` as text ("nan" or "inf") and the `lr`. A run that has
            more steps in its history by now was resumed, and has got over it.
        """
        with self._reporting_damage(FAILURE):
            content = self.store.read(FAILURE)
            if content is None:
                return None
            failure = json.loads(content)
            numbers = {name: int(failure[name]) for name in ("epoch", "step")}
            return {**numbers, "loss": str(failure["loss"]), "lr": float(failure["lr"])}

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
            if content is None:
                return None
            # Weights only: a checkpoint is data, and a pickle could run any code.
            state: dict[str, Any] = torch.load(
                io.BytesIO(content), map_location="cpu", weights_only=True
            )
        return state

    def write_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint."""
        self.store.write(CHECKPOINT, _pack(state))

    def with_epochs(self, epochs: int | None) -> "Run":
        """Return the run with another number of epochs, which is not written yet."""
        # Written once the new training holds the lock; until then the old number is true.
        config = self.record.training_config
        config = replace(config, epochs=epochs or config.epochs)
        return replace(self, record=replace(self.record, training_config=config))

    def write_record(self) -> None:
        """Replace run.json."""
        self.store.write(RECORD, self.record.to_bytes())

    def _require(self, file: str) -> bytes:
        content = self.store.read(file)
        if content is None:
            raise RunError("it is missing.")
        return content

    def _reporting_damage(self, file: str) -> AbstractContextManager[None]:
        return reporting_damage(Path(self.name, file), RunError)


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


def describe_environment(device: torch.device, precision: str) -> dict[str, Any]:
    """Return when, with which versions and on which machine a run is made."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "isthmus": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device.type if device.type != "cuda" else torch.cuda.get_device_name(device),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }

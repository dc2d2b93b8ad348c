"""The run folder: all that training leaves, each file whole or absent.

run.json
    What was asked for: spec, preprocessing, settings, data, versions, machine.
split.npz
    Indices of the training, validation and test parts.
history.jsonl
    A line for every epoch.
model.safetensors
    The best weights by validation (see `TrainingConfig.patience`), ready to use (`TrainedModel`).
last.safetensors
    The last weights, once training has ended.
checkpoint/state.pt
    What it takes to go on exactly: last weights, optimizer, counters.
"""

import io
import json
import os
import platform
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch

from isthmus.data.cache import Track, untracked
from isthmus.data.load import load_with
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Origin, Samples
from isthmus.data.split import Split
from isthmus.errors import IsthmusError, RunError, first_sentence
from isthmus.files import from_json, reporting_damage, to_json, write_bytes, write_json
from isthmus.inference import FILE, TrainedModel
from isthmus.models.config import ModelConfig
from isthmus.training.config import TrainingConfig

FORMAT = 2  # of the run folder; raise it when an older program could misread it


@dataclass(frozen=True)
class Record:
    """What run.json says.

    Parameters
    ----------
    model_config : ModelConfig
    preprocessing : Preprocessing
        From the bytes of a file to the model's input, with nothing left open.
    config : TrainingConfig
        With nothing left open.
    origin : Origin
        What the data was loaded from, and how.
    data : dict
        The data's fingerprint, description and number of samples in each part.
    made : dict
        When, with which versions and on which machine.
    """

    model_config: ModelConfig
    preprocessing: Preprocessing
    training_config: TrainingConfig
    origin: Origin
    data: dict[str, Any]
    environment: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A run folder that exists, and its record."""

    path: Path
    record: Record

    @classmethod
    def create(
        cls, path: str | Path, record: Record, split: Split, untrained: TrainedModel
    ) -> "Run":
        """Make a run folder, whole or not at all.

        Raises
        ------
        RunError
            If there is something at `path` already.
        """
        path = Path(path)
        require_free(path)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            partial.mkdir(parents=True)
            cls(partial, record).write_record()
            parts = io.BytesIO()
            np.savez_compressed(
                parts, train=split.train, validation=split.validation, test=split.test
            )
            write_bytes(partial / "split.npz", parts.getvalue())
            untrained.save(partial / FILE)
            partial.rename(path)
        except (OSError, IsthmusError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise RunError(f"{path} cannot be made: {first_sentence(cause)}.") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return cls(path, record)

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Open a run folder.

        Raises
        ------
        RunError
            If there is none, or another version of Isthmus wrote it.
        """
        path = Path(path)
        file = path / "run.json"
        if not file.exists():
            raise RunError(f"{path} is no run folder: it has no run.json.")
        with reporting_damage(file, RunError):
            content = json.loads(file.read_text())
            written = content.get("format")
        if written != FORMAT:
            raise RunError(
                f"{path} was written in format {written} of the run folder and this Isthmus reads "
                f"format {FORMAT}; use the version that wrote it."
            )
        with reporting_damage(file, RunError):
            content["data"]["fingerprint"]
            record = Record(
                from_json(ModelConfig, content["model_config"]),
                from_json(Preprocessing, content["preprocessing"]),
                from_json(TrainingConfig, content["training_config"]),
                Origin.build(content["origin"]),
                content["data"],
                content["environment"],
            )
        return cls(path, record)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other process from writing to this run.

        Raises
        ------
        RunError
            If another one does so now.
        """
        lock = filelock.FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise RunError(
                f"{self.path} is in use by another process that trains it; wait for its end, or "
                "train into another folder."
            ) from None
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {first_sentence(error)}.") from error
        try:
            for abandoned in self.path.rglob(".*.tmp"):  # by a process that was killed
                abandoned.unlink()
            yield
        finally:
            lock.release()

    def samples(self, track: Track = untracked) -> Samples:
        """Load the data of the run again.

        Raises
        ------
        RunError
            If it came from an array, or is not what it was.
        """
        origin = self.record.origin
        if not origin.source:
            raise RunError(f"{self.path} was trained on an array; give the samples again.")
        samples = load_with(origin.source, origin.preprocessing, limit=origin.limit, track=track)
        self.check(samples)
        return samples

    def check(self, samples: Samples) -> None:
        """Refuse samples that are not those the run was trained on."""
        if samples.fingerprint != self.record.data["fingerprint"]:
            raise RunError(
                f"{self.record.origin.source or 'the array'} is not the data that {self.path} was "
                "trained on; it has changed since, so train a new run."
            )

    def split(self) -> Split:
        """Return the division of the data, decided when the run was made."""
        file = self.path / "split.npz"
        with reporting_damage(file, RunError), file.open("rb") as opened, np.load(opened) as parts:
            return Split(parts["train"], parts["validation"], parts["test"])

    def model(self, device: str = "cpu") -> TrainedModel:
        """Load the best weights."""
        return TrainedModel.load(self.path, device)

    def history(self) -> list[dict[str, Any]]:
        """Return the lines of history.jsonl, one for every epoch."""
        file = self.path / "history.jsonl"
        if not file.exists():
            return []
        with reporting_damage(file, RunError):
            return [json.loads(line) for line in file.read_text().splitlines()]

    def write_history(self, lines: list[dict[str, Any]]) -> None:
        """Replace history.jsonl."""
        content = "".join(json.dumps(line) + "\n" for line in lines)
        write_bytes(self.path / "history.jsonl", content.encode())

    def checkpoint(self) -> dict[str, Any] | None:
        """Return the state at the last checkpoint, if there is one."""
        file = self.path / "checkpoint" / "state.pt"
        if not file.exists():
            return None
        with reporting_damage(file, RunError):
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return state

    def write_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint."""
        content = io.BytesIO()
        torch.save(state, content)
        (self.path / "checkpoint").mkdir(exist_ok=True)
        write_bytes(self.path / "checkpoint" / "state.pt", content.getvalue())

    def with_epochs(self, epochs: int | None) -> "Run":
        """Return the run with another number of epochs, not yet written."""
        config = replace(
            self.record.training_config, epochs=epochs or self.record.training_config.epochs
        )
        return Run(self.path, replace(self.record, training_config=config))

    def write_record(self) -> None:
        """Replace run.json."""
        write_json(self.path / "run.json", {"format": FORMAT, **to_json(self.record)})


def is_run(path: str | Path) -> bool:
    """Return whether there is a run folder at a path."""
    return (Path(path) / "run.json").is_file()


def best_epoch(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the line of the epoch whose weights were kept."""
    return [line for line in history if line["is_best"]][-1]


def summarize_training(run: Run) -> dict[str, Any]:
    """Return what `isthmus train` prints: how long a run was trained, and its best epoch.

    Returns
    -------
    dict
        `run`, its path; `epochs` and `seconds` of training; `best`, with the `epoch` whose weights
        were kept and all that was measured on the validation split then.
    """
    history = run.history()
    best = best_epoch(history)
    scores = {name: best[name] for name in best if name.startswith("validation_")}
    return {
        "run": str(run.path),
        "epochs": history[-1]["epoch"],
        "seconds": history[-1]["seconds"],
        "best": {"epoch": best["epoch"], **scores},
    }


def require_free(path: Path) -> None:
    """Refuse a path for a new run unless it is free or an empty folder."""
    if (path / "run.json").exists():
        raise RunError(
            f"{path} is a run already; choose another folder, or go on with it by isthmus resume "
            f"{path}."
        )
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise RunError(f"{path} exists already and is not empty; choose another folder.")


def environment(device: torch.device, precision: str) -> dict[str, Any]:
    """Say when, with what and on what a run is made."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "isthmus": version("isthmus"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device.type if device.type != "cuda" else torch.cuda.get_device_name(device),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }

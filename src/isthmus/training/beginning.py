"""`NewRun` and `OldRun`: what a training begins with, at its first step."""

import math
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track
from isthmus.data.images import Images
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.data.split import Split
from isthmus.data.survey import report_of
from isthmus.errors import OptionError, RunError
from isthmus.files import fingerprint, to_json
from isthmus.inference.trained import TrainedModel
from isthmus.models.config import ModelConfig
from isthmus.training.batches import noise_fingerprint
from isthmus.training.config import TrainingConfig
from isthmus.training.machine import Machine
from isthmus.training.patches import count_patches, noise_of_patches
from isthmus.training.processes import require_alike
from isthmus.training.record import Record
from isthmus.training.run import Run
from isthmus.training.state import Plan, first_checkpoint
from isthmus.training.store import is_run
from isthmus.training.style_plan import StylePlan, add_styles
from isthmus.training.targets import reject_single_class
from isthmus.training.trial import fastest_way
from isthmus.training.weights import initialize, load_encoder

if TYPE_CHECKING:
    from lightning_fabric import Fabric

BLOCK_SIGNALS = 4096  # read at once to find their range; they may be larger than memory


@dataclass(frozen=True)
class NewRun:
    """A run that is created at the first step."""

    samples: Samples | Images
    split: Split
    model_config: ModelConfig
    config: TrainingConfig
    path: Path | None
    start: "Start | None"
    styles: StylePlan | None = None

    def tune(self, machine: Machine) -> Machine:
        """Return the machine, set to how the model is trained fastest; see `fastest_way`."""
        if not machine.is_open:
            return machine
        if isinstance(self.samples, Images):
            count = count_patches(self.samples, self.split.train, self.config.patch or 1)
        else:
            count = len(self.split.train)
        steps = Plan.of(self.config, count).steps
        way = fastest_way(self.model_config, self.config, steps)
        return replace(machine, precision=way.precision, threads=way.threads)

    def begin(self, fabric: "Fabric", machine: Machine) -> tuple[Run, Samples | Images]:
        """Make the run; of several processes, the first one makes it and the others wait."""
        _reject_processes(self.model_config, fabric)
        if self.path is None:
            if fabric.world_size > 1:
                raise OptionError("several processes share their run by its folder; give out.")
            return self._create(machine), self.samples
        require_alike(fabric, self._facts(machine))
        if fabric.is_global_zero:
            self._create(machine)
        fabric.barrier()
        return _open_shared(self.path, fabric), self.samples

    def _facts(self, machine: Machine) -> dict[str, str]:
        options = fingerprint(to_json(self.config), to_json(self.model_config))
        return {**_facts(self.samples, machine), "options": options}

    def _create(self, machine: Machine) -> Run:
        samples, model_config, config = self.samples, self.model_config, self.config
        # Only now, because it reads every mask.
        if (
            isinstance(samples, Samples)
            and samples.masks is not None
            and model_config.task == "segment"
        ):
            reject_single_class(samples, samples.masks)
        if self.start is None:
            preprocessing = _complete_preprocessing(samples, self.split)
            module = initialize(model_config, config.seed)
        else:
            preprocessing, module = self.start.model.preprocessing, self.start.model.module
        if config.encoder_from:
            load_encoder(module, model_config, Path(config.encoder_from))
        data = _describe_data(samples, self.split, preprocessing, config)
        if self.start is not None:
            data["start"] = self.start.model.fingerprint
        record = Record(
            model_config,
            preprocessing,
            config,
            samples.origin,
            data,
            machine.describe(),
            None if self.styles is None else self.styles.settings,
        )
        untrained = TrainedModel(model_config, preprocessing, module)
        checkpoint = None if self.start is None else first_checkpoint(module, self.start.optimizer)
        files = None if self.styles is None else self.styles.files
        return Run.create(self.path, record, self.split, untrained, checkpoint, files)


@dataclass(frozen=True)
class OldRun:
    """A run to continue; its data is loaded and checked at the first step.

    Parameters
    ----------
    run : Run
    samples : Samples or Images, optional
        By default the run's own.
    track : callable
        Shows progress of loading them.
    is_tuned : bool
        Whether to choose its precision again; otherwise it stays as it was begun.
    """

    run: Run
    samples: Samples | Images | None
    track: Track
    is_tuned: bool = False

    def tune(self, machine: Machine) -> Machine:
        """Return the machine, with the precision in which the model is trained fastest."""
        if not self.is_tuned:
            return machine
        record = self.run.record
        config = replace(record.training_config, precision="auto")
        way = fastest_way(record.model_config, config, Plan.of(config, record.per_epoch).steps)
        return replace(machine, precision=way.precision)

    def begin(self, fabric: "Fabric", machine: Machine) -> tuple[Run, Samples | Images]:
        """Load the samples, and reject those of another run."""
        samples = self.run.data(self.track) if self.samples is None else self.samples
        require_alike(fabric, _facts(samples, machine))
        self.run.check(samples)
        _reject_processes(self.run.record.model_config, fabric)
        if self.is_tuned:
            return self.run.with_training(precision=machine.precision), samples
        return self.run, samples


@dataclass(frozen=True)
class Start:
    """A model to train further, and what its optimizer remembers, if it is known."""

    model: TrainedModel
    optimizer: dict[str, Any] | None = None

    @classmethod
    def of(cls, start: TrainedModel | Run, config: TrainingConfig) -> "Start":
        """Return what is known of a model, or of the run that trained it."""
        if isinstance(start, TrainedModel):
            return cls(start)
        checkpoint, old = start.checkpoint(), start.record.training_config
        # Another optimizer remembers other things, and a frozen encoder's weights are not among
        # them.
        if checkpoint is None or (old.optimizer, old.freeze) != (config.optimizer, config.freeze):
            return cls(start.model())
        return cls(start.model(), checkpoint["optimizer"])

    def with_styles(self, names: tuple[str, ...], seed: int) -> "Start":
        """Return the model with more styles; what its optimizer remembers is of other weights."""
        if self.model.config.style_names == names:
            return Start(self.model)
        return Start(add_styles(self.model, names, seed))


def _facts(samples: Samples | Images, machine: Machine) -> dict[str, str]:
    """Return what all processes of a training must have alike; see `require_alike`."""
    environment = machine.describe()
    said = {name: str(environment[name]) for name in ("isthmus", "torch", "precision")}
    return {**said, "samples": samples.fingerprint}


def _open_shared(path: Path, fabric: "Fabric") -> Run:
    """Open the run that the first process has made.

    Raises
    ------
    RunError
        If this process does not see it.
    """
    if fabric.world_size > 1 and not is_run(path):
        raise RunError(
            f"rank {fabric.global_rank} on {platform.node()} does not see {path}, which rank 0 has "
            "made; give --out on a file system that all machines share."
        )
    return Run.open(path)


def _reject_processes(model_config: ModelConfig, fabric: "Fabric") -> None:
    """Reject several processes for a style bank: in each step only some of its weights learn."""
    if model_config.task == "stylize" and fabric.world_size > 1:
        raise OptionError("a style bank is trained by one process; start it without torchrun.")


def _complete_preprocessing(samples: Samples | Images, split: Split) -> Preprocessing:
    """Choose what was left open: the size and channels that came out, the range of signals.

    The range is that of the training samples: a model must not know those it is tested on.
    """
    preprocessing = samples.origin.preprocessing
    if isinstance(samples, Images):
        return replace(preprocessing, crop=None, size=None, channels=samples.channels)
    if not samples.is_signal:
        return preprocessing.resolve(samples.shape)
    low, high = math.inf, -math.inf
    for indices in np.array_split(split.train, len(split.train) // BLOCK_SIGNALS + 1):
        values = samples.values[indices]
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if not low < high:
        raise OptionError(f"all signals are constant at {low:g}; there is nothing to learn.")
    return preprocessing.with_range(low, high)


def _describe_data(
    samples: Samples | Images,
    split: Split,
    preprocessing: Preprocessing,
    config: TrainingConfig,
) -> dict[str, Any]:
    """Return what run.json says of the data, and of its noise."""
    description = {
        "fingerprint": samples.fingerprint,
        "description": samples.describe(),
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "skipped": [list(pair) for pair in samples.skipped],
    }
    if isinstance(samples, Images):
        description["patches"] = count_patches(samples, split.train, config.patch or 1)
    report = samples.report if isinstance(samples, Images) else report_of(samples)
    if report is not None:
        description["reading"] = report.to_json()
    if unused := len(samples) - sum(map(len, (split.train, split.validation, split.test))):
        description["unused"] = unused
    if config.corruption is not None:
        description["noise"] = {
            name: _fingerprint_noise(samples, getattr(split, name), preprocessing, config)
            for name in ("validation", "test")
        }
    return description


def _fingerprint_noise(
    samples: Samples | Images,
    indices: NDArray[np.int64],
    preprocessing: Preprocessing,
    config: TrainingConfig,
) -> str:
    if isinstance(samples, Images):
        return noise_of_patches(samples, indices, preprocessing, config)
    return noise_fingerprint(samples, indices, preprocessing, config)

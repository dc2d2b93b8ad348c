"""The steps of recipes: a class for each command that they use.

Heavy modules are imported when a step is executed, so that recipes are listed at once.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from isthmus.recipes.step import Source, Step
from isthmus.recipes.workspace import Workspace

if TYPE_CHECKING:
    from isthmus.data.images import Images
    from isthmus.data.samples import Samples
    from isthmus.models.tasks import Task

MODEL_OPTIONS = ("width", "lrn")  # options of `train` that belong to the model


# -- runs ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Train(Step):
    """Train a model into a run folder `out`; the options are those of `TrainingConfig`."""

    command: ClassVar[str] = "train"
    arguments: ClassVar[tuple[str, ...]] = ("source",)

    source: Source
    task: "Task | None" = None
    model: str | None = None
    width: int | float | None = None
    lrn: bool | None = None
    code_size: int | None = None
    size: int | tuple[int, int] | None = None
    limit: int | None = None
    normal: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    lr: float | None = None
    schedule: str | None = None
    loss: str | None = None
    patch: int | None = None
    flip: bool | None = None
    corrupt: str | None = None
    no_clean: bool | None = None
    validation: float | None = None
    tensorboard: bool | None = None
    seed: int | None = None
    out: str = field(kw_only=True)

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Train, and return `summarize_training`."""
        from isthmus.training.config import TrainingConfig
        from isthmus.training.run import summarize_training
        from isthmus.training.train import train

        given = self.options()  # those left out take the defaults of `TrainingConfig` itself
        names = {option.name for option in fields(TrainingConfig)}
        samples: Samples | Images
        if self.task == "denoise":
            samples = workspace.load_images(str(self.source), self.limit)
        else:
            samples = workspace.load(str(self.source), self.size, self.limit)
        training = train(
            samples,
            self.model,
            out=self.out,
            task=self.task,
            code_size=self.code_size,
            options={name: given[name] for name in MODEL_OPTIONS if name in given},
            config=TrainingConfig(**{name: given[name] for name in names & given.keys()}),
        )
        workspace.follow(training, Path(self.out))
        return summarize_training(workspace.session(training.run).run)

    def is_finished(self) -> bool:
        """Return whether nothing is left to train or to write."""
        from isthmus.training.resuming import is_finished
        from isthmus.training.run import Run

        return is_finished(Run.open(self.out))

    def resume(self, workspace: Workspace) -> dict[str, Any]:
        """Continue a run that was stopped, and return `summarize_training`."""
        from isthmus.training.run import summarize_training
        from isthmus.training.train import resume

        training = resume(self.out, track=workspace.track)
        workspace.follow(training, Path(self.out))
        return summarize_training(workspace.session(training.run).run)


@dataclass(frozen=True)
class Evaluate(Step):
    """Measure a run on its test split."""

    command: ClassVar[str] = "evaluate"
    arguments: ClassVar[tuple[str, ...]] = ("run",)
    keeps_result: ClassVar[bool] = True

    run: str
    plain: str | None = None

    @property
    def key(self) -> str:
        """The name of the run."""
        return Path(self.run).name

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `isthmus.evaluate`."""
        plain = workspace.session(self.plain).run if self.plain else None
        return workspace.session(self.run).evaluate(plain=plain)


# -- samples ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Export(Step):
    """Write samples of a source to a file or a folder `out`."""

    command: ClassVar[str] = "data export"
    arguments: ClassVar[tuple[str, ...]] = ("source",)

    source: Source
    split: str | None = None
    only: tuple[str, ...] = ()
    count: int | None = None
    limit: int | None = None
    out: str = field(kw_only=True)

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `write_export`."""
        from isthmus.reports.source_outputs import write_export
        from isthmus.training.store import is_run

        source = str(self.source)
        return write_export(
            workspace.session(source) if is_run(source) else source,
            Path(self.out),
            track=workspace.track,
            **self.options(),
        )


@dataclass(frozen=True)
class Preview(Step):
    """Draw samples of a source, perhaps with noise, and their reconstructions by runs."""

    command: ClassVar[str] = "data preview"
    arguments: ClassVar[tuple[str, ...]] = ("source",)

    source: Source
    corrupt: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    limit: int | None = None
    out: str = field(kw_only=True)

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `write_preview`."""
        from isthmus.reports.source_outputs import write_preview

        options = self.options()
        options.pop("through", None)
        models = [(Path(run).name, workspace.session(run).model) for run in self.through]
        return write_preview(
            str(self.source), Path(self.out), models=models, track=workspace.track, **options
        )


@dataclass(frozen=True)
class MapSamples(Step):
    """Draw samples in two dimensions by their raw values."""

    command: ClassVar[str] = "data map"
    arguments: ClassVar[tuple[str, ...]] = ("source",)
    keeps_result: ClassVar[bool] = True

    source: Source
    method: str | None = None
    out: str = field(kw_only=True)

    @property
    def key(self) -> str:
        """The name of the picture, without its ending."""
        return Path(self.out).stem

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `write_source_map`."""
        from isthmus.reports.source_outputs import write_source_map

        return write_source_map(
            str(self.source), Path(self.out), track=workspace.track, **self.options()
        )


# -- a trained model in use ---------------------------------------------------------------------


@dataclass(frozen=True)
class Reconstruct(Step):
    """Draw samples, their codes and their reconstructions by one run."""

    command: ClassVar[str] = "reconstruct"
    arguments: ClassVar[tuple[str, ...]] = ("run", "source")

    run: str
    source: Source
    limit: int | None = None
    out: str = field(kw_only=True)

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `write_reconstructions`."""
        from isthmus.reports.outputs import write_reconstructions

        session = workspace.session(self.run)
        return write_reconstructions(session, str(self.source), Path(self.out), **self.options())


@dataclass(frozen=True)
class Map(Step):
    """Draw samples in two dimensions by a run's codes or features."""

    command: ClassVar[str] = "map"
    arguments: ClassVar[tuple[str, ...]] = ("run", "source")
    keeps_result: ClassVar[bool] = True

    run: str
    source: Source
    method: str | None = None
    layer: str | None = None
    seed: int | None = None
    out: str = field(kw_only=True)

    @property
    def key(self) -> str:
        """The name of the picture, without its ending."""
        return Path(self.out).stem

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `write_map`."""
        from isthmus.reports.outputs import write_map

        session = workspace.session(self.run)
        return write_map(session, str(self.source), Path(self.out), **self.options())


@dataclass(frozen=True)
class BuildIndex(Step):
    """Index the codes of samples."""

    command: ClassVar[str] = "index"
    arguments: ClassVar[tuple[str, ...]] = ("run", "source")

    run: str
    source: Source
    limit: int | None = None

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `write_index`."""
        from isthmus.reports.outputs import write_index

        session, folder = workspace.session(self.run), Path(self.run) / "index"
        return write_index(
            session,
            folder,
            str(self.source),
            say=workspace.say,
            track=workspace.track,
            **self.options(),
        )


@dataclass(frozen=True)
class Search(Step):
    """Draw the indexed samples whose codes are nearest to that of one of them."""

    command: ClassVar[str] = "search"
    arguments: ClassVar[tuple[str, ...]] = ("run", "query")

    run: str
    query: str
    k: int | None = None
    out: str = field(kw_only=True)

    def execute(self, workspace: Workspace) -> list[dict[str, Any]]:
        """Return `write_search`."""
        from isthmus.reports.outputs import write_search

        session = workspace.session(self.run)
        return write_search(session, self.query, Path(self.out), **self.options())


@dataclass(frozen=True)
class Morph(Step):
    """Draw a morph between two or four images."""

    command: ClassVar[str] = "morph"
    arguments: ClassVar[tuple[str, ...]] = ("run", "images")

    run: str
    images: tuple[str, ...]
    steps: int | None = None
    out: str = field(kw_only=True)

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `write_morph`."""
        from isthmus.reports.outputs import write_morph

        session = workspace.session(self.run)
        return write_morph(session, self.images, Path(self.out), **self.options())


@dataclass(frozen=True)
class Generate(Step):
    """Draw new samples of a run, and compare them with test samples in a classifier's features."""

    command: ClassVar[str] = "generate"
    arguments: ClassVar[tuple[str, ...]] = ("run",)
    keeps_result: ClassVar[bool] = True

    run: str
    n: int | None = None
    temperature: float | None = None
    sampler: str | None = None
    seed: int | None = None
    features: str | None = None
    plain: str | None = None
    out: str = field(kw_only=True)

    @property
    def key(self) -> str:
        """The name of the picture, without its ending."""
        return Path(self.out).stem

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `write_samples`."""
        from isthmus.reports.samples import draw_for, write_samples

        others = ("features", "plain")
        draw = {name: value for name, value in self.options().items() if name not in others}
        return write_samples(
            workspace.session(self.run),
            None,
            Path(self.out),
            draw_for(Path(self.out), **draw),
            judge=workspace.session(self.features).model if self.features else None,
            plain=workspace.session(self.plain).run if self.plain else None,
        )


@dataclass(frozen=True)
class FindOutliers(Step):
    """Rank the samples of a run by how little they belong, and write a page of the oddest."""

    command: ClassVar[str] = "outliers"
    arguments: ClassVar[tuple[str, ...]] = ("run",)
    keeps_result: ClassVar[bool] = True

    run: str
    k: int | None = None
    out: str = field(kw_only=True)

    @property
    def key(self) -> str:
        """The name of the page, without its ending."""
        return Path(self.out).stem

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `write_outliers`."""
        from isthmus.reports.outliers import write_outliers

        return write_outliers(workspace.session(self.run), None, Path(self.out), **self.options())


@dataclass(frozen=True)
class Predict(Step):
    """Draw samples with the classes that a run predicts."""

    command: ClassVar[str] = "predict"
    arguments: ClassVar[tuple[str, ...]] = ("run", "source")

    run: str
    source: Source
    out: str = field(kw_only=True)

    def execute(self, workspace: Workspace) -> list[dict[str, Any]]:
        """Return `write_predictions`."""
        from isthmus.reports.outputs import write_predictions

        session = workspace.session(self.run)
        return write_predictions(session.model, [session.read(str(self.source))], Path(self.out))


# -- without samples ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Transposed(Step):
    """Draw a transposed convolution of a small picture with a kernel, number by number."""

    command: ClassVar[str] = "transposed"
    arguments: ClassVar[tuple[str, ...]] = ("values", "kernel")

    values: tuple[tuple[float, ...], ...]
    kernel: tuple[tuple[float, ...], ...]
    stride: int | None = None
    out: str = field(kw_only=True)

    def execute(self, workspace: Workspace) -> dict[str, Any]:
        """Return `write_transposed`."""
        import numpy as np

        from isthmus.reports.outputs import write_transposed

        values, kernel = np.array(self.values, np.float64), np.array(self.kernel, np.float64)
        return write_transposed(values, kernel, Path(self.out), **self.options())

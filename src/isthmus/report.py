"""One self-contained HTML page about a run."""

import base64
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.cache import Track, untracked
from isthmus.data.samples import Samples
from isthmus.data.sources import spread
from isthmus.errors import RunError
from isthmus.evaluation import evaluate
from isthmus.figures import samples as drawn
from isthmus.figures.drawing import png
from isthmus.figures.training import curves
from isthmus.files import write_bytes
from isthmus.models.summary import summarise
from isthmus.trained import Trained
from isthmus.training.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 10  # columns of the picture of reconstructions


def write_report(
    run: Run, samples: Samples | None = None, *, out: Path | None = None, track: Track = untracked
) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    run : Run
    samples : Samples, optional
        The run's data; needed for a run on an array, otherwise loaded again.
    out : Path, optional
        By default report.html in the run folder.
    track : callable
        Shows progress of loading.

    Returns
    -------
    Path
        The page, which needs no other file.

    Raises
    ------
    IsthmusError
        If the run has no epoch yet, or its data is gone or has changed.
    """
    from jinja2 import Environment, StrictUndefined

    history = run.history()
    if not history:
        raise RunError(f"{run.path} has no whole epoch yet; isthmus resume {run.path} goes on.")
    samples = samples or run.samples(track)
    evaluation = evaluate(run, own=samples)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        files("isthmus").joinpath("report.html.jinja").read_text(encoding="utf-8")
    )
    record = run.record
    layers = summarise(record.spec)
    page = template.render(
        title=run.path.resolve().name,
        evaluation=evaluation,
        verdict=_verdict(evaluation),
        best=min(history, key=lambda line: line["validation_loss"]),
        history=history,
        grid=_embedded(_grid(run, samples)),
        curves=_embedded(curves(history, record.settings.loss or "")),
        layers=layers,
        macs=sum(layer.macs for layer in layers),
        record=record,
        settings=asdict(record.settings),
        preprocessing=asdict(record.preprocessing),
    )
    out = out or run.path / "report.html"
    write_bytes(out, page.encode())
    return out


def reconstruction_grid(trained: Trained, samples: Samples) -> "Figure":
    """Draw original, code and reconstruction of samples."""
    return drawn.reconstruction_grid(
        samples.values, trained.encode(samples), trained.reconstruct(samples), samples.names
    )


def _grid(run: Run, samples: Samples) -> "Figure":
    """Draw test samples spread evenly, over the classes too where they are few."""
    test = run.split().test
    chosen = test[spread(len(test), SHOWN)]
    if samples.labels is not None and 1 < len(samples.class_names) <= SHOWN:
        each = SHOWN // len(samples.class_names)
        labels = samples.labels[test]
        classes = [test[labels == label] for label in range(len(samples.class_names))]
        chosen = np.concatenate([members[spread(len(members), each)] for members in classes])
    shown = samples.take(chosen)
    if shown.labels is not None:
        names = [shown.class_names[label] for label in shown.labels]
        shown = Samples(shown.values, names)
    return reconstruction_grid(run.trained(), shown)


def _verdict(evaluation: dict[str, Any]) -> str:
    """Say in one sentence how the model compares with PCA."""
    mse, pca = evaluation["test"]["mse"], evaluation["baselines"]["pca"]["mse"]
    components = evaluation["baselines"]["pca"]["components"]
    if mse < pca:
        return (
            f"Its error is {1 - mse / pca:.0%} lower than that of PCA with {components:,} "
            "components."
        )
    return (
        f"PCA with {components:,} components does better: its error is {1 - pca / mse:.0%} lower. "
        "Train longer, or try another model."
    )


def _embedded(figure: "Figure") -> str:
    """Return a figure as a data URL."""
    return "data:image/png;base64," + base64.b64encode(png(figure)).decode()

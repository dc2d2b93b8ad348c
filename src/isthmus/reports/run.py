"""One self-contained HTML page about a run."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.manifest import evenly_spaced
from isthmus.data.samples import Samples
from isthmus.errors import RunError
from isthmus.evaluation.evaluate import evaluate
from isthmus.evaluation.summaries import (
    compare_predictions,
    compare_reconstructions,
    prediction_verdict,
    reconstruction_verdict,
)
from isthmus.files import write_bytes
from isthmus.models.summary import summarize
from isthmus.reports.gallery.answers import classified, segmented
from isthmus.reports.gallery.maps import describe_quality, map_of
from isthmus.reports.gallery.morphs import morphs
from isthmus.reports.gallery.samples import corrupt_samples, reconstructions
from isthmus.reports.gallery.searches import nearest
from isthmus.reports.page import embedded, render
from isthmus.training.run import Run, best_epoch
from isthmus.viz.classes import confusion
from isthmus.viz.curves import curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 10  # columns of the picture of reconstructions
MAPPED = 2_000  # test samples on the map, at most
SEARCHES, MORPHS = 10, 5
OVERLAID = 6  # test images beside their masks
SEARCHED = 20_000  # training samples that are searched, at most


def write_report(
    run: Run,
    samples: Samples | None = None,
    *,
    plain: Run | None = None,
    out: Path | None = None,
    track: Track = untracked,
) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    run : Run
    samples : Samples, optional
        The run's data; needed for a run on an array, otherwise loaded again.
    plain : Run, optional
        For a denoiser: a run on the same data without noise, to compare with.
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
    history = run.history()
    if not history:
        raise RunError(f"{run.path} has no whole epoch yet; isthmus resume {run.path} goes on.")
    samples = samples or run.samples(track)
    evaluation = evaluate(run, own=samples, plain=plain)
    record, layers = run.record, summarize(run.record.model_config)
    about = _autoencoder if record.model_config.task == "reconstruct" else _answering
    template, content = about(run, samples, evaluation)
    page = render(
        template,
        title=run.path.resolve().name,
        evaluation=evaluation,
        best=best_epoch(history),
        history=history,
        curves=embedded(curves(history, record.training_config.loss or "")),
        layers=layers,
        macs=sum(layer.macs for layer in layers),
        record=record,
        training_config=asdict(record.training_config),
        preprocessing=asdict(record.preprocessing),
        **content,
    )
    out = out or run.path / "report.html"
    write_bytes(out, page)
    return out


def shown_indices(run: Run, samples: Samples) -> NDArray[np.int64]:
    """Return test samples to show, spread evenly, over the classes too where they are few."""
    test = run.split().test
    if samples.labels is None or not 1 < len(samples.class_names) <= SHOWN:
        return test[evenly_spaced(len(test), SHOWN)]
    each = SHOWN // len(samples.class_names)
    labels = samples.labels[test]
    classes = [test[labels == label] for label in range(len(samples.class_names))]
    return np.concatenate([members[evenly_spaced(len(members), each)] for members in classes])


def _autoencoder(
    run: Run, samples: Samples, evaluation: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the template about an autoencoder and what it is filled with."""
    return "report.html.jinja", {
        "compared": compare_reconstructions(evaluation),
        "verdict": reconstruction_verdict(evaluation),
        "grid": embedded(_grid(run, samples)),
        **_latent(run, samples),
    }


def _answering(
    run: Run, samples: Samples, evaluation: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the template about a classifier or segmenter and what it is filled with."""
    model, test = run.model(), run.split().test
    result, masks = evaluation["test"], model.config.task == "segment"
    rows = compare_predictions(evaluation)
    content: dict[str, Any] = {
        "masks": masks,
        "compared": rows,
        "verdict": prediction_verdict(rows, "pixels" if masks else "samples"),
    }
    if masks:
        shown = samples.take(test[evenly_spaced(len(test), OVERLAID)])
        names, matrix = model.config.class_names, np.array(result["confusion"])
        content["overlays"] = embedded(segmented(model, shown))
        content["confusion"] = embedded(confusion(matrix, names))
        return "answers.html.jinja", content
    figures = classified(model, samples.take(test), result["confusion"])
    figure, quality = map_of(model, samples.take(test[evenly_spaced(len(test), MAPPED)]))
    content |= {name: embedded(drawn) for name, drawn in figures.items()}
    return "answers.html.jinja", {
        **content,
        "map": embedded(figure),
        "map_note": describe_quality(quality),
    }


def _grid(run: Run, samples: Samples) -> "Figure":
    """Draw test samples, their codes and reconstructions, named by class where there is one."""
    model, config = run.model(), run.record.training_config
    indices = shown_indices(run, samples)
    shown, noisy = samples.take(indices), None
    if config.corruption is not None:
        noisy = corrupt_samples(model, shown, config.corruption, config.seed, indices)
    if shown.labels is not None:
        shown = Samples(shown.values, [shown.class_names[label] for label in shown.labels])
    return reconstructions(model, shown, noisy)


def _latent(run: Run, samples: Samples) -> dict[str, Any]:
    """Draw a map of test samples, searches for them and morphs between them."""
    model, split = run.model(), run.split()
    test = samples.take(split.test[evenly_spaced(len(split.test), MAPPED)])
    figure, quality = map_of(model, test)
    queries = samples.take(split.test[evenly_spaced(len(split.test), SEARCHES)])
    pool = split.train[evenly_spaced(len(split.train), SEARCHED)]
    return {
        "map": embedded(figure),
        "map_note": describe_quality(quality),
        "searches": embedded(nearest(model, queries, samples.take(pool))),
        "morphs": embedded(morphs(model, test, MORPHS)),
    }

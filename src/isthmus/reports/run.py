"""The report: one self-contained HTML page about a run."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.images import Images
from isthmus.data.items import Items
from isthmus.data.manifest import evenly_spaced
from isthmus.data.samples import Samples
from isthmus.data.split import spread_over_classes
from isthmus.errors import RunError
from isthmus.evaluation.diagnosis.diagnose import diagnose
from isthmus.evaluation.predictions import (
    ClassPredictions,
    predict_samples,
    targets_in_model_classes,
)
from isthmus.evaluation.summaries import (
    ADVICE,
    compare_predictions,
    compare_reconstructions,
    compare_representations,
    describe_likelihood,
    likelihood_note,
    prediction_verdict,
    reconstruction_verdict,
)
from isthmus.files import require_writable_place, write_bytes
from isthmus.inference.model import Model
from isthmus.models.tasks import Task
from isthmus.places import PAGE_SUFFIXES, require_own_place
from isthmus.reports.denoiser import denoiser_sections
from isthmus.reports.page import render, to_data_url
from isthmus.reports.pictures import (
    describe_quality,
    mistakes,
    morphs,
    nearest_training_samples,
    overlays,
    reconstructions,
)
from isthmus.reports.samples import generated_section
from isthmus.reports.style import style_sections
from isthmus.session import Session
from isthmus.temporaries import sweep_for
from isthmus.training.run import Run, best_epoch
from isthmus.viz.classes import confusion, reliability
from isthmus.viz.curves import curves
from isthmus.viz.maps import scatter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_EXAMPLES = 10  # columns of the picture of reconstructions
MAX_MAPPED = 2_000  # test samples on the map; t-SNE of 10,000 takes 26 s on 2 cores
MAX_QUERIES, MAX_MORPHS = 10, 5  # rows of similar samples, and of interpolations
MAX_SEARCHED = 20_000  # training samples that are encoded to search among them
MAX_OVERLAYS = 6  # test images with their masks
MAX_MISTAKES = 16  # two rows


def write_report(
    run: Run,
    samples: Samples | Images | None = None,
    *,
    plain: Run | None = None,
    encoder: Model | None = None,
    out: Path | None = None,
    track: Track = untracked,
) -> Path:
    """Write the report of a run; see `render_report`.

    Parameters
    ----------
    run : Run
    samples : Samples or Images, optional
        The run's data; needed for a run on an array, otherwise loaded again.
    plain : Run, optional
        For a denoiser: a run on the same data without noise, to compare with.
    encoder : Model, optional
        A third-party model, to see whether its features hold more of the classes.
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
    if out is None:
        out = run.path / "report.html"
        require_writable_place(out)
        sweep_for(out)
    else:
        require_own_place(out, PAGE_SUFFIXES)
    session = Session(run, samples, track=track)
    write_bytes(out, render_report(session, plain=plain, encoder=encoder))
    return out


def render_report(
    session: Session, *, plain: Run | None = None, encoder: Model | None = None
) -> bytes:
    """Return the report of a run as one self-contained HTML page.

    Raises
    ------
    IsthmusError
        If the run has no epoch yet, or its data is gone or has changed.
    """
    run, history = session.run, session.run.history()
    if not history:
        raise RunError(f"{run.path} has no whole epoch yet; isthmus resume {run.path} continues.")
    evaluation = session.evaluate(plain=plain, encoder=encoder)
    record, layers = run.record, session.trained.layers
    sections = SECTIONS[record.model_config.task]
    content = sections(session, evaluation)
    own = session.images if session.is_denoiser else session.samples
    findings = diagnose(run, own, model=session.trained).findings
    if findings:  # whose own advice fits better
        content["verdict"] = content["verdict"].removesuffix(ADVICE).rstrip()
    return render(
        TEMPLATES[record.model_config.task],
        title=run.path.resolve().name,
        evaluation=evaluation,
        findings=findings,
        best=best_epoch(history),
        history=history,
        curves=to_data_url(curves(history, record.training_config.loss or "")),
        record=record,
        reading=record.reading,
        training_config=asdict(record.training_config),
        preprocessing=asdict(record.preprocessing),
        **{"layers": layers, "macs": sum(layer.macs for layer in layers), **content},
    )


def example_indices(session: Session) -> NDArray[np.int64]:
    """Return indices of test samples to show: spread evenly, also over the classes if few."""
    return spread_over_classes(session.samples, session.split.test, MAX_EXAMPLES)


def _autoencoder(session: Session, evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the sections about an autoencoder: reconstructions, map, searches and morphs."""
    test, train = session.split.test, session.split.train
    mapped = test[evenly_spaced(len(test), MAX_MAPPED)]
    queries = test[evenly_spaced(len(test), MAX_QUERIES)]
    pool = train[evenly_spaced(len(train), MAX_SEARCHED)]
    figure, note = map_section(session, mapped)
    likelihood = evaluation.get("likelihood")
    return {
        "compared": compare_reconstructions(evaluation),
        "representations": compare_representations(evaluation) if "codes" in evaluation else [],
        "likelihood": describe_likelihood(likelihood) if likelihood else [],
        "likelihood_note": likelihood_note(likelihood) if likelihood else "",
        "verdict": reconstruction_verdict(evaluation),
        "grid": to_data_url(draw_examples(session)),
        "map": to_data_url(figure),
        "map_note": note,
        "searches": to_data_url(nearest_training_samples(session, queries, pool)),
        "morphs": to_data_url(morphs(session, mapped, MAX_MORPHS)),
        **generated_section(session),
    }


def _classifier(session: Session, evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the sections about a classifier: confusion, calibration, mistakes and map."""
    test = session.split.test
    samples = session.samples.take(test)
    targets = targets_in_model_classes(session.model, samples)
    predictions = predict_samples(session.model, samples, targets)
    assert isinstance(predictions, ClassPredictions)
    rows = compare_predictions(evaluation)
    figure, note = map_section(session, test[evenly_spaced(len(test), MAX_MAPPED)])
    return {
        "masks": False,
        "compared": rows,
        "verdict": prediction_verdict(rows, "samples"),
        "confusion": to_data_url(confusion(predictions.confusion, predictions.class_names)),
        "reliability": to_data_url(reliability(predictions.reliability)),
        "mistakes": to_data_url(mistakes(samples, predictions, MAX_MISTAKES)),
        "map": to_data_url(figure),
        "map_note": note,
    }


def _segmenter(session: Session, evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the sections about a segmenter: masks over images, and confusion of pixels."""
    test, rows = session.split.test, compare_predictions(evaluation)
    examples = session.samples.take(test[evenly_spaced(len(test), MAX_OVERLAYS)])
    matrix = np.array(evaluation["test"]["confusion"])
    return {
        "masks": True,
        "compared": rows,
        "verdict": prediction_verdict(rows, "pixels"),
        "overlays": to_data_url(overlays(session.model, examples)),
        "confusion": to_data_url(confusion(matrix, session.model.class_names)),
    }


SECTIONS: dict[Task, Callable[[Session, dict[str, Any]], dict[str, Any]]] = {
    "reconstruct": _autoencoder,
    "classify": _classifier,
    "segment": _segmenter,
    "stylize": style_sections,
    "denoise": denoiser_sections,
}
TEMPLATES: dict[Task, str] = {
    "reconstruct": "autoencoder.html.jinja",
    "classify": "labels.html.jinja",
    "segment": "labels.html.jinja",
    "stylize": "style.html.jinja",
    "denoise": "denoiser.html.jinja",
}


def map_section(
    session: Session, indices: NDArray[np.int64], method: str = "tsne"
) -> tuple["Figure", str]:
    """Draw a map of samples of the run, and describe how far it can be trusted."""
    codes = session.codes(indices)
    fitted_map = session.map(codes, method)
    quality = session.map_quality(fitted_map, codes, session.samples.take(indices))
    return scatter(fitted_map), describe_quality(quality)


def draw_examples(session: Session) -> "Figure":
    """Draw test samples, their codes and reconstructions, named by class where there is one."""
    indices = example_indices(session)
    examples = session.samples.take(indices)
    if examples.labels is not None:
        names = [name or "" for name in examples.items.label_names()]
        examples = Samples(examples.values, Items(names))
    return reconstructions(session, examples, indices)

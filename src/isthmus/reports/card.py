"""A folder to publish: the model, and a model card as the Hugging Face Hub expects it.

The card is README.md: metadata in YAML, then a page for people. Its form is that of the Hub's own
documentation (https://huggingface.co/docs/hub/model-cards, and modelcard.md of the repository
hub-docs). Its numbers are those of the evaluation on the test split.
"""

from pathlib import Path
from typing import Any

from isthmus.data.cache import Track, untracked
from isthmus.data.images import Images
from isthmus.data.samples import Samples
from isthmus.errors import ModelError, RunError
from isthmus.evaluation.summaries import denoising_note, describe_likelihood, likelihood_note
from isthmus.inference.contract import MODEL_FILE
from isthmus.inference.onnx import SUFFIX, OnnxModel
from isthmus.models.tasks import TASKS
from isthmus.reports.card_facts import (
    describe_input,
    describe_output,
    list_metadata,
    list_rows,
    name_source,
    say_verdict,
)
from isthmus.reports.card_pictures import Picture, draw_pictures
from isthmus.reports.page import render
from isthmus.session import Session
from isthmus.training.run import Run, best_epoch
from isthmus.training.store import FolderStore, require_free
from isthmus.version import __version__
from isthmus.viz.canvas import to_png

CARD_FILE, ONNX_FILE = "README.md", f"model{SUFFIX}"  # of the folder
PICTURES = "images"  # its folder of pictures
MAX_CLASSES = 50  # whose names are listed


def write_card(
    run: Run,
    samples: Samples | Images | None = None,
    *,
    out: str | Path | None = None,
    onnx: str | Path | None = None,
    license: str | None = None,  # noqa: A002 - the word of the Hub
    track: Track = untracked,
) -> Path:
    """Write a folder to publish: the weights, a model card, and pictures of test samples.

    Parameters
    ----------
    run : Run
    samples : Samples or Images, optional
        The run's data; needed for a run on an array, otherwise loaded again.
    out : Path, optional
        The folder to create; by default card in the run folder.
    onnx : Path, optional
        A file that `isthmus export` wrote of this model, to publish as well.
    license : str, optional
        A name of https://huggingface.co/docs/hub/repositories-licenses; by default the card says
        where to fill it in.
    track : callable
        Shows progress.

    Returns
    -------
    Path
        The folder: README.md, model.safetensors, images/, and model.onnx if there is one.

    Raises
    ------
    RunError
        If the folder exists already and is not empty, the run has no epoch yet, or it is in memory
        and `out` is not given.
    ModelError
        If the ONNX file is not of this model, holds a part or a layer of it, or has another
        precision than 32.
    IsthmusError
        If the run's data is gone or has changed.
    """
    if not out and run.is_in_memory:
        raise RunError(f"{run.name} has no folder; say with out= where its card is written.")
    out = Path(out) if out else run.path / "card"
    require_free(out)
    if not run.history():
        raise RunError(f"{run.name} has no whole epoch yet; isthmus resume continues it.")
    session = Session(run, samples, track=track)
    files = {MODEL_FILE: session.trained.to_bytes()}
    if onnx is not None:
        files[ONNX_FILE] = _read_onnx(Path(onnx), session)
    evaluation = session.evaluate()
    pictures = draw_pictures(session, evaluation)
    name = run.path.resolve().name if out.parent == _folder(run) else out.resolve().name
    text = render_card(
        session, evaluation, pictures, name, license or None, has_onnx=onnx is not None
    )
    files[CARD_FILE] = text
    for picture in pictures:
        files[f"{PICTURES}/{picture.name}.png"] = to_png(picture.figure)
    FolderStore.create(out, files)
    return out


def render_card(
    session: Session,
    evaluation: dict[str, Any],
    pictures: list[Picture],
    name: str,
    license: str | None = None,  # noqa: A002
    *,
    has_onnx: bool = False,
) -> bytes:
    """Return the model card of a run as Markdown with metadata in YAML.

    Parameters
    ----------
    session : Session
    evaluation : dict
        As `evaluate` returns it.
    pictures : list of Picture
    name : str
        Of the model.
    license : str, optional
    has_onnx : bool
        Whether there is a model.onnx next to it.
    """
    record, history = session.run.record, session.run.history()
    layers = session.trained.layers
    likelihood = evaluation.get("likelihood")
    is_signal = len(record.model_config.shape) == 2
    return render(
        "card.md.jinja",
        name=name,
        metadata=list_metadata(record, evaluation, name, license),
        noun=TASKS[record.model_config.task],
        record=record,
        source=name_source(record),
        is_signal=is_signal,
        example="signals.npz" if is_signal else "photos/",
        input=describe_input(record),
        output=describe_output(record),
        test=evaluation["test"],
        rows=list_rows(evaluation, record.model_config.task),
        likelihood=describe_likelihood(likelihood) if likelihood else [],
        likelihood_note=likelihood_note(likelihood) if likelihood else "",
        denoising_note=denoising_note(evaluation) if "levels" in evaluation else "",
        verdict=say_verdict(evaluation, record.model_config.task),
        pictures=pictures,
        folder=PICTURES,
        has_onnx=has_onnx,
        parameters=evaluation["model"]["parameters"],
        macs=sum(layer.macs for layer in layers),
        training=evaluation["training"],
        best=best_epoch(history),
        fingerprint=session.model.fingerprint,
        max_classes=MAX_CLASSES,
        version=__version__,
    )


def _folder(run: Run) -> Path | None:
    return None if run.is_in_memory else run.path


def _read_onnx(path: Path, session: Session) -> bytes:
    """Return the content of an exported file, if it answers for this model."""
    exported = OnnxModel.load(path)
    record = exported.record
    # First what has a fingerprint of its own, so that it is not taken for another model.
    if record.precision != "32":
        raise ModelError(
            f"{path} holds precision {record.precision}; export it with --precision 32."
        )
    if record.layer is not None:
        raise ModelError(f"{path} holds only the layer {record.layer}; export the model whole.")
    session.model.check_fingerprint(
        exported.fingerprint, f"{path} was exported from", "export the run again"
    )
    if record.part != "whole":
        raise ModelError(f"{path} holds only the {record.part} of the model; export it whole.")
    return path.read_bytes()

"""What does not belong, as columns of the studio: the same numbers as the commands'."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from isthmus import Run, Session, TorchEncoder, TrainingConfig, load, train
from isthmus.data.cache import untracked
from isthmus.data.items import Items
from isthmus.data.samples import Samples
from isthmus.studio.choice import Choice, load_shown
from isthmus.studio.columns import unpack
from isthmus.studio.content import Content
from isthmus.studio.findings import Judged, write_findings
from isthmus.studio.storage import Storage

ONE_EPOCH = TrainingConfig(epochs=1)
NONE = 255  # in a column of classes


def finish(steps: Any) -> Run:
    list(steps)
    run: Run = steps.run
    return run


def columns_of(session: Session, choice: Choice) -> dict[str, NDArray[Any]]:
    """Return the columns of findings alone: all else that a page has takes seconds."""
    shown, storage = load_shown(session, choice), Storage(None)
    codes = session.codes(shown.indices)
    entries = write_findings(storage, Judged(session, choice, shown, codes, untracked))
    return {one["name"]: storage.column(one["file"]) for one in entries}


@pytest.fixture(scope="module")
def run() -> Run:
    digits = load("digits", limit=300)
    return finish(train(digits, "dense", code_size=6, config=TrainingConfig(epochs=3)))


def test_the_columns_are_what_the_session_finds(run: Run) -> None:
    # An encoder, as a page has no network of one: to make those takes seconds.
    flatten = TorchEncoder(torch.nn.Flatten(), size=8, channels=1, mean=0.0, std=1.0)
    session = Session(run, encoder=flatten)
    content = Content(session)
    content.finish()
    entries = content.manifest()["columns"]
    columns = {one["name"]: unpack(content.read(one["file"])) for one in entries}
    found, outliers = session.mislabelled(), session.outliers()

    suggested = np.full(300, NONE)
    suggested[found.rows] = found.suggested
    np.testing.assert_array_equal(columns["suggested"], suggested)
    np.testing.assert_allclose(columns["label_probability"], found.own_probabilities)
    for suspect, row in zip(found.suspects(), found.rows, strict=True):
        assert columns["label_probability"][row] == np.float32(suspect["p_label"])
    np.testing.assert_allclose(columns["outlier"], outliers.values, rtol=1e-6)
    np.testing.assert_array_equal(columns["is_outlier"], outliers.is_outlier)


def test_of_some_samples_these_are_judged(run: Run) -> None:
    session = Session(run)
    columns = columns_of(session, Choice(split="test"))
    outliers = session.outliers()
    np.testing.assert_allclose(columns["outlier"], outliers.values[session.split.test], rtol=1e-6)
    own = session.mislabelled().own_probabilities  # few are shown, and all are compared
    np.testing.assert_allclose(columns["label_probability"], own[session.split.test])


def test_labels_that_codes_were_fitted_to_are_not_judged() -> None:
    digits = load("digits", limit=300)
    run = finish(train(digits, "cnn-small", task="classify", config=ONE_EPOCH))
    session = Session(run)
    columns = columns_of(session, Choice())
    assert np.isnan(columns["label_probability"][session.split.train]).all()
    assert (columns["suggested"][session.split.train] == NONE).all()
    assert not {"label_probability", "suggested"} & {*columns_of(session, Choice(split="train"))}
    held_out = session.rows_to_check()
    found = session.mislabelled()
    np.testing.assert_allclose(
        columns["label_probability"][held_out[found.checked]], found.own_probabilities
    )


def test_what_cannot_be_judged_has_no_column() -> None:
    waves = np.sin(np.linspace(0, 9, 40 * 32)).reshape(40, 32, 1).astype(np.float32)
    signals = Samples(waves, Items([str(i) for i in range(40)]))
    run = finish(train(signals, "conv1d", code_size=2, config=ONE_EPOCH))
    assert {"suggested", "label_probability", "duplicate"}.isdisjoint(
        columns_of(Session(run), Choice())
    )


def test_copies_are_marked() -> None:
    draw, digits = np.random.default_rng(0), load("digits", limit=60)
    photo = draw.integers(0, 256, (60, 8, 8, 1), np.uint8)
    photo[7], photo[50] = photo[3], photo[3]
    other = Session(finish(train(replace(digits, values=photo), "dense", config=ONE_EPOCH)))
    marked = columns_of(other, Choice())["duplicate"]
    assert np.flatnonzero(marked != NONE).tolist() == [3, 7, 50]
    assert set(marked[[3, 7, 50]]) == {0}

"""Labels that look wrong: what is planted is found, by rules that a loop can check."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from isthmus import (
    Codes,
    Items,
    Samples,
    Session,
    TorchEncoder,
    TrainingConfig,
    find_mislabelled,
    load,
    train,
)
from isthmus.detection.labels.classifiers import (
    CLASSIFIERS,
    Classifier,
    candidates,
    choose_classifier,
    cross_validate,
    deal_folds,
    log_loss,
)
from isthmus.detection.labels.confident import (
    class_thresholds,
    confident_classes,
    count_confident,
    estimate_joint,
    find_contradicted,
    normalized_margin,
)
from isthmus.detection.labels.evidence import find_evidence
from isthmus.errors import ModelError, OptionError, SourceError
from test_cli import done, isthmus

Refused = Callable[..., AbstractContextManager[None]]
PLANTED = 12  # wrong labels


@pytest.fixture(scope="module", autouse=True)
def surroundings(session_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="module")
def planted() -> tuple[Samples, NDArray[np.int64]]:
    """Return 600 digits with wrong labels, and their rows."""
    digits, draw = load("digits", limit=600), np.random.default_rng(3)
    assert digits.labels is not None
    wrong, labels = draw.choice(600, PLANTED, replace=False), digits.labels.copy()
    labels[wrong] = (labels[wrong] + draw.integers(1, 10, PLANTED)) % 10
    return replace(digits, items=replace(digits.items, labels=labels)), np.sort(wrong)


@pytest.fixture(scope="module")
def source(
    planted: tuple[Samples, NDArray[np.int64]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("sources") / "planted.npz"
    np.savez(path, images=planted[0].values, labels=np.asarray(planted[0].labels))
    return path


@pytest.fixture(scope="module")
def run(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train an autoencoder on them."""
    out = tmp_path_factory.mktemp("runs") / "planted"
    list(train(load(source), "dense", code_size=8, out=out, config=TrainingConfig(epochs=6)))
    return out


@pytest.fixture(scope="module")
def classifier(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "sorted"
    config = TrainingConfig(epochs=4)
    list(train(load(source), "cnn-small", task="classify", out=out, config=config))
    return out


def codes_of(z: NDArray[Any], labels: list[int] | NDArray[np.int64], classes: int = 2) -> Codes:
    labels = np.asarray(labels, np.int64)
    names = tuple("abcdefghij"[:classes])
    return Codes(z.astype(np.float32), Items([f"{i}.png" for i in range(len(z))], labels, names))


def two_groups(count: int = 20) -> Codes:
    """Return codes of two groups that lie apart; the first of each has the other's label."""
    z = np.random.default_rng(0).normal(size=(2 * count, 3)) + np.repeat([[0], [9]], count, axis=0)
    labels = np.repeat([0, 1], count)
    labels[[0, count]] = 1, 0
    return codes_of(z, labels)


# -- the equations --------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 5), st.integers(0, 40), st.integers(0, 10**6), st.sampled_from([0.1, 1, 10]))
def test_the_counts_are_those_of_the_paper(
    classes: int, more: int, seed: int, concentration: float
) -> None:
    draw = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), draw.integers(0, classes, more)])
    p = draw.dirichlet([concentration] * classes, len(labels)).astype(np.float32)

    thresholds = class_thresholds(p, labels)
    confident = confident_classes(p, thresholds)
    counts = count_confident(labels, confident, classes)
    joint = estimate_joint(counts, labels)
    contradicted = find_contradicted(p, labels, confident)

    expected = np.zeros((classes, classes), np.int64)
    for row, given_label in zip(p, labels, strict=True):
        reached = [j for j in range(classes) if row[j] >= thresholds[j]]
        if reached:
            expected[given_label, max(reached, key=lambda j: row[j])] += 1
    means = [p[labels == j, j].mean(dtype=np.float64) for j in range(classes)]
    np.testing.assert_allclose(thresholds, means, rtol=1e-6)
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_allclose(joint.sum(1), np.bincount(labels) / len(labels))
    np.testing.assert_allclose(joint.sum(0) >= 0, True)
    ratio = counts / counts.sum(1, keepdims=True)
    np.testing.assert_allclose(joint / joint.sum(1, keepdims=True), ratio)
    assert (normalized_margin(p, labels)[contradicted] < 0).all()
    assert contradicted.sum() <= counts.sum() - np.trace(counts)


def test_equal_probabilities_reach_their_threshold() -> None:
    labels = np.repeat([0, 1], 30)
    p = np.full((60, 2), [0.1, 0.9], np.float32)
    assert (confident_classes(p, class_thresholds(p, labels)) == 1).all()


# -- out of sample --------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_label_has_no_part_in_its_own_probabilities(name: str) -> None:
    draw = np.random.default_rng(1)
    z, labels = draw.normal(size=(90, 4)).astype(np.float32), draw.integers(0, 3, 90)
    folds, held = deal_folds(labels, 3, 0), 1
    others = np.where(folds == held, (labels + 1) % 3, labels)
    classifier = Classifier(name, CLASSIFIERS[name].strengths[0])
    first, second = (cross_validate(classifier, z, one, folds) for one in (labels, others))
    np.testing.assert_array_equal(first[folds == held], second[folds == held])
    assert (first[folds != held] != second[folds != held]).any()
    np.testing.assert_allclose(first.sum(1), 1, rtol=1e-5)


def test_folds_are_even_in_all_and_in_each_class() -> None:
    labels = np.random.default_rng(0).integers(0, 7, 203)
    folds = deal_folds(labels, 4, 5)
    assert np.ptp(np.bincount(folds)) <= 1
    for label in range(7):
        assert np.ptp(np.bincount(folds[labels == label], minlength=4)) <= 1
    assert (folds != deal_folds(labels, 4, 6)).any()


def test_the_classifier_with_the_lowest_log_loss_is_chosen(
    planted: tuple[Samples, NDArray[np.int64]],
) -> None:
    codes = Codes.of_values(planted[0])
    assert codes.labels is not None
    folds = deal_folds(codes.labels, 5, 0)
    chosen, losses = choose_classifier(codes.z, codes.labels, folds)
    assert losses[chosen] == min(losses.values())
    assert list(losses) == list(candidates(10))
    held = folds == 0
    predicted = chosen.predict(codes.z[~held], codes.labels[~held], codes.z[held], 10)
    assert log_loss(predicted, codes.labels[held]) == losses[chosen]
    assert {one.name for one in candidates(101)} == {"neighbors"}  # the others would take minutes


# -- what is found --------------------------------------------------------------------------


def test_planted_labels_are_found_first(planted: tuple[Samples, NDArray[np.int64]]) -> None:
    samples, wrong = planted
    found = find_mislabelled(Codes.of_values(samples))
    assert np.isin(found.rows[: PLANTED // 2], wrong).mean() > 0.8
    assert np.isin(wrong, found.rows).mean() > 0.6
    true = load("digits", limit=600).labels
    assert true is not None
    hits = np.isin(found.rows, wrong)
    assert (found.suggested[hits] == true[found.rows[hits]]).mean() > 0.8
    assert 0.5 < found.error_rate / (PLANTED / 600) < 2
    assert (np.diff(found.scores) >= 0).all()
    assert repr(found) == f"Mislabelled({len(found)} suspicious of 600 labels)"


def test_the_same_seed_finds_the_same(planted: tuple[Samples, NDArray[np.int64]]) -> None:
    codes = Codes.of_values(planted[0])
    first, second, other = (find_mislabelled(codes, seed=seed) for seed in (4, 4, 5))
    assert first.suspects() == second.suspects()
    assert first.summary() == second.summary()
    assert (first.probabilities != other.probabilities).any()


def test_suspects_are_told_by_name_and_class() -> None:
    found = find_mislabelled(two_groups())
    suspects = found.suspects()
    assert {(one["name"], one["label"], one["suggested"]) for one in suspects} == {
        ("0.png", "b", "a"),
        ("20.png", "a", "b"),
    }
    assert all(one["p_label"] < 0.5 < one["p_suggested"] for one in suspects)
    assert [one["score"] for one in suspects] == [one["p_label"] for one in suspects]
    assert found.suspects(1) == suspects[:1]
    assert {pair["n"] for pair in found.pairs()} == {1}
    margins = find_mislabelled(two_groups(), ranking="normalized-margin").suspects()
    for one in margins:
        assert one["score"] == pytest.approx(one["p_label"] - one["p_suggested"])


def test_a_notebook_shows_a_table() -> None:
    html = find_mislabelled(two_groups())._repr_html_()
    assert html is not None
    assert "2 suspicious of 40 labels" in html
    assert all(f">{text}</td>" in html for text in ("0.png", "20.png", "a", "b"))


def test_the_evidence_is_the_nearest_of_both_labels() -> None:
    codes = two_groups()
    found = find_mislabelled(codes)
    labels = codes.labels
    assert labels is not None
    for row, suggested, evidence in zip(
        found.rows, found.suggested, find_evidence(found, 5, k=3), strict=True
    ):
        distances = np.linalg.norm(codes.z.astype(np.float64) - codes.z[row], axis=1)
        distances[found.rows] = np.inf  # itself, and other suspects
        for label, near in ((labels[row], evidence.given), (suggested, evidence.suggested)):
            expected = np.sort(distances[labels == label])[:3]
            np.testing.assert_allclose(near.distances, expected, rtol=1e-6)
            np.testing.assert_allclose(distances[near.rows], expected, rtol=1e-6)
            assert (labels[near.rows] == label).all()


def test_small_classes_are_left_out_and_named() -> None:
    codes = two_groups()
    labels = np.concatenate([codes.labels if codes.labels is not None else [], [2] * 4, [-1]])
    z = np.concatenate([codes.z, np.zeros((5, 3))])
    found = find_mislabelled(codes_of(z, labels, 3))
    assert found.unchecked == ("c",)
    assert found.summary()["unchecked_classes"] == ["c"]
    assert found.summary()["n"] == 40
    assert {one["name"] for one in found.suspects()} == {"0.png", "20.png"}


def test_equal_codes_say_nothing() -> None:
    found = find_mislabelled(codes_of(np.ones((20, 2)), [0, 1] * 10))
    assert len(found) == 0
    assert find_evidence(found, 5) == []


@pytest.mark.parametrize(
    ("change", "options", "culprits"),
    [
        ({"labels": None, "class_names": ()}, {}, ["no labels", "the array"]),
        ({"labels": np.zeros(40, np.int64)}, {}, ["too few samples", "at least two classes"]),
        ({}, {"seed": -1}, ["seed", "at least 0", "-1"]),
        ({}, {"folds": 1}, ["folds", "at least 2", "1"]),
        ({}, {"folds": 41}, ["folds", "at most", "41"]),
        ({}, {"ranking": "margin"}, ["'margin'", "normalized-margin", "self-confidence"]),
    ],
)
def test_what_makes_no_sense_is_refused(
    refused: Refused, change: dict[str, Any], options: dict[str, Any], culprits: list[str]
) -> None:
    codes = two_groups()
    codes = replace(codes, items=replace(codes.items, **change))
    with refused(OptionError, *culprits):
        find_mislabelled(codes, **options)


def test_a_code_that_is_no_number_is_named(refused: Refused) -> None:
    codes = two_groups()
    codes.z[7, 1] = np.nan
    with refused(ModelError, "7.png", "NaN"):
        find_mislabelled(codes)


# -- a session ------------------------------------------------------------------------------


def test_a_session_checks_all_samples_of_an_autoencoder(
    run: Path, planted: tuple[Samples, NDArray[np.int64]]
) -> None:
    session, wrong = Session(run), planted[1]
    found = session.mislabelled()
    assert len(found.checked) == 600
    assert not session.has_seen_labels
    assert np.isin(found.rows[:4], wrong).mean() > 0.7
    assert found.summary()["model_fingerprint"] == session.model.fingerprint
    test = session.mislabelled(split="test")
    assert test.codes.names == session.codes(session.split.test).names
    elsewhere = session.mislabelled(planted[0])
    np.testing.assert_array_equal(elsewhere.rows, found.rows)


def test_a_classifier_has_seen_the_labels_of_its_training_samples(classifier: Path) -> None:
    session = Session(classifier)
    assert session.has_seen_labels
    held_out = np.sort(np.concatenate([session.split.validation, session.split.test]))
    np.testing.assert_array_equal(session.rows_to_check(), held_out)
    assert len(session.rows_to_check("all")) == 600
    assert len(session.mislabelled().checked) == len(held_out)


def test_another_encoder_takes_the_place_of_the_codes(run: Path) -> None:
    encoder = TorchEncoder(torch.nn.Flatten(), size=8, channels=1, mean=0.0, std=1.0)
    session = Session(run, encoder=encoder)
    found = session.mislabelled()
    assert found.codes.z.shape == (600, 64)
    assert found.codes.model_fingerprint == encoder.fingerprint


def test_a_session_refuses_other_splits(run: Path, refused: Refused) -> None:
    with refused(OptionError, "'tests'", "held-out", "validation"):
        Session(run).mislabelled(split="tests")
    with refused(OptionError, "split", "source"):
        Session(run).mislabelled(load("digits", limit=60), split="test")


# -- the command ----------------------------------------------------------------------------


def test_the_command_writes_a_page_and_a_table(run: Path, tmp_path: Path) -> None:
    page, table = tmp_path / "page.html", tmp_path / "table.csv"
    command = ("mislabelled", run, "--out", page, "--csv", table)
    content = json.loads(done(*command, "--k", 3, "--json").out)
    found = Session(run).mislabelled()
    assert content["suspects"] == found.suspects(3)
    assert content["suspicious"] == len(found)
    assert (content["page"], content["table"]) == (str(page), str(table))

    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [one["name"] for one in found.suspects()]
    assert {row["corrected"] for row in rows} == {""}

    text = page.read_text()
    assert text.count('<section class="card suspect">') == 3
    assert len(re.findall("<img src=.data:image", text)) == 3 * 9  # itself, and four of each label
    assert all(f"{one['label']}: {one['name']}" in text for one in content["suspects"])
    assert "http://" not in text

    table.write_text("my corrections")
    again = isthmus(*command)
    assert again.code == 2
    assert f"{table} exists and may hold corrections" in again.err
    assert table.read_text() == "my corrections"
    shown = done("mislabelled", run, "--k", 2, "--out", page)  # its own page it replaces
    assert [line.split("  ")[-1] for line in shown.out.splitlines()] == [
        one["name"] for one in found.suspects(2)
    ]
    assert f"{len(found)} of 600 labels look wrong" in shown.err
    assert str(page) in shown.err


def test_the_command_says_what_a_classifier_has_seen(classifier: Path) -> None:
    outcome = done("mislabelled", classifier, "--json")
    assert "only its validation and test samples are checked" in outcome.err
    assert json.loads(outcome.out)["n"] == 120
    everything = done("mislabelled", classifier, "--split", "all", "--json")
    assert "fewer of those are found" in everything.err
    assert json.loads(everything.out)["n"] == 600


def test_the_command_takes_another_source(run: Path, source: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    content = json.loads(done("mislabelled", run, source, "--out", page, "--json").out)
    assert content["n"] == 600
    assert page.is_file()


def test_names_and_classes_cannot_change_the_page() -> None:
    from isthmus.reports.mislabelled import render_mislabelled

    codes = two_groups()
    names = [f"<script>{i}</script>" for i in range(40)]
    items = replace(codes.items, names=names, class_names=("<b>a</b>", 'b"'))
    found = find_mislabelled(replace(codes, items=items))
    samples = Samples(np.zeros((40, 4, 4, 1), np.uint8), items)
    text = render_mislabelled(found, samples, np.arange(40)).decode()
    assert "<script>" not in text
    assert "<b>a</b>" not in text
    assert "&lt;script&gt;0" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--k", 0), "k must be at least 1"),
        (("--folds", 1), "folds must be at least 2"),
        (("--split", "some"), "no split 'some'"),
        (("--limit", 10), "a limit needs a source"),
        (("--csv", "table.txt"), "does not end in .csv"),
        (("--out", "page.txt"), "does not end in .html"),
    ],
)
def test_bad_options_write_nothing(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = isthmus("mislabelled", run, *arguments)
    assert outcome.code == 2
    assert said in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_samples_without_labels_are_refused(
    planted: tuple[Samples, NDArray[np.int64]], tmp_path: Path, refused: Refused
) -> None:
    unlabeled = Samples(planted[0].values, Items(planted[0].names))
    training = train(unlabeled, "dense", code_size=4, config=TrainingConfig(epochs=1))
    list(training)
    with refused(OptionError, "no labels"):
        Session(training.run).mislabelled()
    with refused(SourceError, "nowhere"):
        Session(training.run).read(tmp_path / "nowhere")

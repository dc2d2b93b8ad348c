"""What models answer, held against labels and masks; by untrained models, which err enough."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import classification_report, confusion_matrix, log_loss, top_k_accuracy_score

from isthmus import Preprocessing, Samples, TrainedModel, configure, load
from isthmus.data.items import Items
from isthmus.errors import OptionError
from isthmus.evaluation.baselines import majority_accuracy
from isthmus.evaluation.predictions import (
    most_confident_mistakes,
    prediction_rows,
    score_predictions,
    shares_by_class,
    targets_in_model_classes,
)
from isthmus.training.weights import initialize

Refused = Callable[..., AbstractContextManager[None]]
DIGITS = tuple("0123456789")
SCENE = ("paper", "pen", "edge", "stain")


def untrained(
    model: str, side: int, class_names: tuple[str, ...], **options: object
) -> TrainedModel:
    model_config = configure(model, (1, side, side), class_names=class_names, options=options)
    return TrainedModel(
        model_config,
        Preprocessing(size=(side, side), channels=1),
        initialize(model_config, 3).eval(),
    )


@pytest.fixture(scope="module")
def classifier() -> TrainedModel:
    return untrained("cnn-small", 8, DIGITS)


@pytest.fixture(scope="module")
def segmenter() -> TrainedModel:
    return untrained("fcn8s", 32, SCENE, width=0.1)


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=200)


@pytest.fixture(scope="module")
def scenes() -> Samples:
    """Digits with masks of three of the four classes, and void."""
    values = load("digits", limit=12, size=32).values
    masks = np.digitize(values[..., 0], (80, 170)).astype(np.uint8)
    masks[:, :4] = 255
    return Samples(values, Items(list("abcdefghijkl"), class_names=SCENE), masks=masks)


# -- classifiers ----------------------------------------------------------------------------


def test_a_classifier_is_judged_as_scikit_learn_judges_it(
    classifier: TrainedModel, digits: Samples
) -> None:
    told, truth = score_predictions(classifier, digits), digits.labels
    predicted, chances = classifier.predict(digits), classifier.probabilities(digits)
    assert told["n"] == len(digits)
    assert told["confusion"] == confusion_matrix(truth, predicted).tolist()
    by_class = classification_report(truth, predicted, output_dict=True, zero_division=np.nan)
    for name, row in told["classes"].items():
        assert row["n"] == by_class[name]["support"]
        assert row["recall"] == pytest.approx(by_class[name]["recall"])
        precision = by_class[name]["precision"]
        assert row["precision"] == (None if np.isnan(precision) else pytest.approx(precision))
    assert told["top_5"] == pytest.approx(top_k_accuracy_score(truth, chances, k=5))
    exact = chances.astype(float)
    entropy = log_loss(truth, exact / exact.sum(1, keepdims=True))
    assert told["cross_entropy"] == pytest.approx(entropy, rel=1e-5)
    bins = np.ceil(chances.max(1) * 15)
    gaps = (predicted == truth) - chances.max(1)
    error = sum(abs(gaps[bins == one].sum()) for one in np.unique(bins)) / len(digits)
    assert told["ece"] == pytest.approx(error, rel=1e-4)


def test_few_classes_have_no_top_five(digits: Samples) -> None:
    assert digits.labels is not None
    two = replace(digits, items=Items(digits.names, digits.labels % 2, ("even", "odd")))
    assert "top_5" not in score_predictions(untrained("cnn-small", 8, ("even", "odd")), two)


def test_a_class_that_nobody_has_has_no_recall(classifier: TrainedModel, digits: Samples) -> None:
    assert digits.labels is not None
    part = digits.take(np.flatnonzero(digits.labels < 8))
    told = score_predictions(classifier, part)
    assert told["classes"]["9"]["n"] == 0
    assert told["classes"]["9"]["recall"] is None


def test_answers_name_the_likeliest_class_first(classifier: TrainedModel, digits: Samples) -> None:
    part = digits.take(np.arange(5))
    rows = prediction_rows(classifier, part)
    chances = classifier.probabilities(part)
    for row, name, own in zip(rows, part.names, chances, strict=True):
        assert row["name"] == name
        assert row["class"] == next(iter(row["probabilities"])) == DIGITS[own.argmax()]
        assert row["probability"] == row["probabilities"][row["class"]]
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert [row["probabilities"][one] for one in DIGITS] == pytest.approx(own, abs=1e-6)


# -- segmenters -----------------------------------------------------------------------------


def test_a_segmenter_is_judged_by_pixels_and_void_counts_nowhere(
    segmenter: TrainedModel, scenes: Samples
) -> None:
    told, predicted = score_predictions(segmenter, scenes), segmenter.predict(scenes)
    assert scenes.masks is not None
    valid = scenes.masks != 255
    truth, guess = scenes.masks[valid], predicted[valid]
    assert told["confusion"] == confusion_matrix(truth, guess, labels=range(4)).tolist()
    assert told["pixel_accuracy"] == pytest.approx((truth == guess).mean())
    found = {}
    for k, name in enumerate(SCENE):
        both, either = (truth == k) & (guess == k), (truth == k) | (guess == k)
        found[name] = both.sum() / either.sum() if either.any() else None
        assert told["classes"][name]["share"] == pytest.approx((truth == k).mean())
        assert told["classes"][name]["iou"] == (
            None if found[name] is None else pytest.approx(found[name])
        )
    assert told["mean_iou"] == pytest.approx(np.mean([found[name] for name in SCENE[:3]]))


def test_answers_of_a_segmenter_are_shares_of_the_classes_it_sees(
    segmenter: TrainedModel, scenes: Samples
) -> None:
    for row, mask in zip(
        prediction_rows(segmenter, scenes), segmenter.predict(scenes), strict=True
    ):
        assert sum(row["shares"].values()) == pytest.approx(1, abs=1e-5)
        assert set(row["shares"]) == {SCENE[k] for k in np.unique(mask)}
        assert list(row["shares"].values()) == sorted(row["shares"].values(), reverse=True)


# -- targets --------------------------------------------------------------------------------


def test_classes_are_found_by_name_in_any_order(classifier: TrainedModel, digits: Samples) -> None:
    assert digits.labels is not None
    turned = replace(digits, items=Items(digits.names, 9 - digits.labels, DIGITS[::-1]))
    assert np.array_equal(targets_in_model_classes(classifier, turned), digits.labels)
    assert targets_in_model_classes(classifier, turned).dtype == np.int64
    assert score_predictions(classifier, turned) == score_predictions(classifier, digits)


def test_classes_of_masks_are_found_by_name_and_void_stays(
    segmenter: TrainedModel, scenes: Samples
) -> None:
    assert scenes.masks is not None
    turned = np.where(scenes.masks == 255, 255, 2 - scenes.masks).astype(np.uint8)
    items = Items(scenes.names, class_names=("edge", "pen", "paper"))
    three = replace(scenes, masks=turned, items=items)
    assert np.array_equal(targets_in_model_classes(segmenter, three), scenes.masks)
    assert targets_in_model_classes(segmenter, three).dtype == np.uint8
    assert score_predictions(segmenter, three) == score_predictions(segmenter, scenes)


def test_without_a_truth_that_fits_nothing_is_judged(
    classifier: TrainedModel,
    segmenter: TrainedModel,
    digits: Samples,
    scenes: Samples,
    refused: Refused,
) -> None:
    with refused(OptionError, "the array", "no labels", "isthmus predict"):
        score_predictions(classifier, load(digits.values))
    with refused(OptionError, "the array", "no masks", "isthmus predict"):
        score_predictions(segmenter, load(scenes.values))
    other = replace(digits, items=replace(digits.items, class_names=(*DIGITS[:9], "nine")))
    with refused(OptionError, "the class nine", "0, 1, 2"):
        score_predictions(classifier, other)


# -- what is simple -------------------------------------------------------------------------


def test_the_majority_is_that_of_training() -> None:
    counts = np.array([3, 9, 1])
    assert majority_accuracy(np.array([0, 1, 1, 2]), counts) == 0.5
    assert majority_accuracy(np.array([[[1, 255], [0, 255]]], np.uint8), counts) == 0.5


def test_mistakes_come_by_confidence() -> None:
    chances = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], np.float32)
    labels = np.array([0, 0, 1, 0])
    assert most_confident_mistakes(chances, labels, 5).tolist() == [1, 3]
    assert most_confident_mistakes(chances, labels, 1).tolist() == [1]


def test_equal_shares_keep_the_order_of_the_classes() -> None:
    assert list(shares_by_class(("b", "a", "c"), np.array([0.25, 0.25, 0.5]))) == ["c", "b", "a"]

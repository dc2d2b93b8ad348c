"""Metrics of predicted classes: by hand, and against scikit-learn and torchmetrics."""

import io
import math
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as sklearn_metrics
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from isthmus import load, metrics

# Three classes; the last is never true, and predicted once.
TRUTH = torch.tensor([0, 0, 0, 0, 1, 1])
PREDICTED = torch.tensor([0, 0, 1, 2, 1, 1])
MATRIX = torch.tensor([[2, 1, 1], [0, 2, 0], [0, 0, 0]])


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    """Give probabilities (N, 10) of a simple classifier, and labels."""
    samples = load("digits")
    assert samples.labels is not None
    pixels = samples.values.reshape(len(samples), -1) / 255
    model = LogisticRegression(C=0.02)
    model.fit(pixels[:300], samples.labels[:300])
    return torch.from_numpy(model.predict_proba(pixels[300:])), torch.from_numpy(
        samples.labels[300:].copy()
    )


def test_a_confusion_counts_truth_in_rows_and_predictions_in_columns() -> None:
    matrix = metrics.confusion(PREDICTED, TRUTH, 3)
    assert matrix.dtype == torch.int64
    assert matrix.tolist() == MATRIX.tolist()


def test_metrics_follow_from_the_confusion() -> None:
    assert metrics.accuracy(MATRIX) == pytest.approx(4 / 6)
    assert metrics.recall(MATRIX).tolist() == pytest.approx([0.5, 1, math.nan], nan_ok=True)
    assert metrics.precision(MATRIX).tolist() == pytest.approx([1, 2 / 3, 0])
    assert metrics.iou(MATRIX).tolist() == pytest.approx([2 / 4, 2 / 3, 0])


def test_mean_iou_is_over_the_classes_that_are_true_somewhere() -> None:
    assert metrics.mean_iou(MATRIX) == pytest.approx((2 / 4 + 2 / 3) / 2)
    nowhere = torch.nn.functional.pad(MATRIX, (0, 1, 0, 1))
    assert metrics.mean_iou(nowhere) == metrics.mean_iou(MATRIX)
    assert math.isnan(metrics.iou(nowhere)[3])


def test_metrics_of_nothing_are_nan() -> None:
    empty = metrics.confusion(torch.zeros(0, dtype=torch.int64), torch.zeros(0).long(), 3)
    assert empty.tolist() == [[0] * 3] * 3
    assert math.isnan(metrics.accuracy(empty))
    assert math.isnan(metrics.mean_iou(empty))


def test_void_is_not_counted_whatever_is_predicted_there() -> None:
    masks = torch.tensor([[[0, 1], [255, 255]]], dtype=torch.uint8)
    predicted = torch.tensor([[[0, 0], [0, 1]]])
    assert metrics.confusion(predicted, masks, 2, void=255).tolist() == [[1, 0], [1, 0]]
    assert metrics.confusion(predicted, masks.long(), 2, 255).tolist() == [[1, 0], [1, 0]]
    first = torch.where(masks == 255, 0, 1)  # a void that is a class
    assert metrics.confusion(predicted, first, 2, void=0).tolist() == [[0, 0], [2, 0]]


def test_without_a_void_class_255_is_a_class_like_any_other() -> None:
    labels = torch.tensor([255, 255, 0])
    matrix = metrics.confusion(labels, labels, 300)
    assert matrix[255, 255] == 2
    assert metrics.accuracy(matrix) == 1


@pytest.mark.parametrize("void", [None, 255])
@pytest.mark.parametrize(("predicted", "label"), [(3, 0), (-1, 1), (0, 3), (0, -1)])
def test_an_unknown_class_is_refused(predicted: int, label: int, void: int | None) -> None:
    with pytest.raises(ValueError, match="not all in 0 to 2"):
        metrics.confusion(torch.tensor([predicted]), torch.tensor([label]), 3, void)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) do not fit labels of \(3,\)"):
        metrics.confusion(TRUTH[:2], TRUTH[:3], 3)


def test_confusions_of_batches_add_up(digits: tuple[Tensor, Tensor]) -> None:
    probabilities, labels = digits
    predicted = probabilities.argmax(1)
    parts = [
        metrics.confusion(predicted[start : start + 100], labels[start : start + 100], 10)
        for start in range(0, len(labels), 100)
    ]
    assert torch.equal(torch.stack(parts).sum(0), metrics.confusion(predicted, labels, 10))


def test_metrics_agree_with_scikit_learn(digits: tuple[Tensor, Tensor]) -> None:
    probabilities, labels = digits
    predicted = probabilities.argmax(1)
    matrix = metrics.confusion(predicted, labels, 10)
    reference = sklearn_metrics.confusion_matrix(labels, predicted)
    np.testing.assert_array_equal(matrix, reference)
    assert (reference - np.diag(reference.diagonal())).sum() > 50  # there is something to tell
    assert metrics.accuracy(matrix) == sklearn_metrics.accuracy_score(labels, predicted)
    for ours, name in (
        (metrics.recall, "recall_score"),
        (metrics.precision, "precision_score"),
        (metrics.iou, "jaccard_score"),
    ):
        theirs = getattr(sklearn_metrics, name)(labels, predicted, average=None)
        np.testing.assert_allclose(ours(matrix), theirs)


def test_masks_of_streets_agree_with_scikit_learn(require: Callable[[str], Path]) -> None:
    with tarfile.open(require("camvid") / "camvid.tar") as archive:
        names = [name for name in archive.getnames() if "/testannot/" in name][:2]
        masks = []
        for name in names:
            file = archive.extractfile(name)
            assert file is not None
            with Image.open(io.BytesIO(file.read())) as picture:
                masks.append(np.array(picture))
    truth = np.where(masks[0] == 11, 255, masks[0]).astype(np.uint8)
    predicted = np.roll(np.minimum(masks[0], 10), 5, axis=1)  # the same street, a step aside
    matrix = metrics.confusion(torch.from_numpy(predicted), torch.from_numpy(truth), 11, 255)
    kept = truth != 255
    reference = sklearn_metrics.confusion_matrix(truth[kept], predicted[kept], labels=np.arange(11))
    np.testing.assert_array_equal(matrix, reference)
    present = np.unique(truth[kept])
    theirs = sklearn_metrics.jaccard_score(
        truth[kept], predicted[kept], labels=present, average="macro"
    )
    assert metrics.mean_iou(matrix) == pytest.approx(theirs)


def test_top_k_grows_to_one_and_agrees_with_scikit_learn(digits: tuple[Tensor, Tensor]) -> None:
    probabilities, labels = digits
    for k in (1, 2, 5):
        theirs = sklearn_metrics.top_k_accuracy_score(labels, probabilities, k=k)
        assert metrics.top_k(probabilities, labels, k) == pytest.approx(theirs)
    assert metrics.top_k(probabilities, labels, 10) == metrics.top_k(probabilities, labels, 99) == 1


def test_of_equal_probabilities_the_lower_classes_come_first() -> None:
    equal = torch.full((4, 4), 0.25)
    assert [metrics.top_k(equal, torch.arange(4), k) for k in (1, 2, 3)] == [0.25, 0.5, 0.75]


def test_bins_and_calibration_error_by_hand() -> None:
    sure = torch.tensor([0.95, 0.85, 0.6, 0.5])
    probabilities = torch.stack([sure, 1 - sure], 1)
    labels = torch.tensor([0, 1, 0, 0])
    bins = metrics.reliability(probabilities, labels, bins=2)
    assert bins.count.tolist() == [1, 3]  # 0.5 belongs to the bin that it ends
    assert bins.confidence.tolist() == pytest.approx([0.5, 0.8])
    assert bins.accuracy.tolist() == pytest.approx([1, 2 / 3])
    expected = (1 * 0.5 + 3 * (0.8 - 2 / 3)) / 4
    assert bins.error == pytest.approx(expected)
    assert metrics.reliability(probabilities, labels, bins=2).error == pytest.approx(expected)


def test_an_empty_bin_is_nan_and_changes_nothing() -> None:
    bins = metrics.reliability(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))
    assert bins.count.tolist() == [0] * 14 + [2]
    assert bins.accuracy.isnan().tolist() == [True] * 14 + [False]
    assert bins.error == pytest.approx(0.5)


def test_calibration_error_agrees_with_torchmetrics(digits: tuple[Tensor, Tensor]) -> None:
    from torchmetrics.functional.classification import multiclass_calibration_error

    probabilities, labels = digits
    theirs = multiclass_calibration_error(probabilities, labels, 10, n_bins=15)
    ours = metrics.reliability(probabilities, labels).error
    assert ours > 0.05  # a strongly regularized classifier is too modest
    assert ours == pytest.approx(float(theirs), rel=1e-5)

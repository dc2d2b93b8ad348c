"""Pictures of predictions: the most confident mistakes, each with its predicted and true class."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest

from isthmus.data.items import Items
from isthmus.data.load import load
from isthmus.data.samples import Samples
from isthmus.errors import OptionError
from isthmus.evaluation.predictions import ClassPredictions
from isthmus.reports.pictures import mistakes, require_map_style
from isthmus.viz.canvas import to_pixels
from looking import find, find_all, noise, words

CLASSES = ("cat", "lieutenant-colonel")


def test_mistakes_come_by_their_confidence() -> None:
    cats = np.array([0.9, 0.6, 0.8, 0.3, 0.02], np.float32)
    items = Items(list("abcde"), np.array([0, 1, 1, 0, 1]), CLASSES)
    images = noise(5, 8, 8, 1)
    predictions = ClassPredictions(
        items.names, CLASSES, np.stack([cats, 1 - cats], 1), items.labels
    )
    figure = mistakes(Samples(images, items), predictions, limit=16)
    assert words(figure) == [
        "cat 80%\nis lieutenant-co…",
        "lieutenant-co… 70%\nis cat",
        "cat 60%\nis lieutenant-co…",
    ]
    picture = to_pixels(figure)
    lefts = [find(picture, images[i]).left for i in (2, 3, 1)]
    assert lefts == sorted(lefts)
    assert not find_all(picture, images[0])
    assert len(words(mistakes(Samples(images, items), predictions, limit=2))) == 2


def test_without_mistakes_the_picture_says_so() -> None:
    items = Items(list("abc"), np.array([0, 1, 0]), CLASSES)
    probabilities = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    predictions = ClassPredictions(items.names, CLASSES, probabilities, items.labels)
    figure = mistakes(Samples(noise(3, 8, 8, 1), items), predictions, limit=16)
    assert words(figure) == ["No mistakes among 3 samples."]


@pytest.mark.parametrize(
    ("source", "style", "method", "culprits"),
    [
        ("digits", "dots", "pca", ("'dots'", "points, thumbnails, decoded")),
        ("digits", "points", "lda", ("'lda'", "pca")),
        ("digits", "decoded", "pca", ("code of 2", "code")),
        ("waveforms", "thumbnails", "pca", ("signals", "thumbnails", "points")),
    ],
)
def test_a_map_that_cannot_be_drawn_is_rejected_before_the_work(
    source: str,
    style: str,
    method: str,
    culprits: tuple[str, ...],
    refused: Callable[..., AbstractContextManager[None]],
) -> None:
    with refused(OptionError, *culprits):
        require_map_style(style, method, load(source, limit=5))

"""Pictures of answers: the most confident mistakes, each with its answer and its true class."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.samples import Samples
from isthmus.reports.gallery.answers import classified
from isthmus.viz.canvas import to_pixels
from looking import find, find_all, noise, words

CLASSES = ("cat", "lieutenant-colonel")


def classifier(probabilities: NDArray[np.float32]) -> Any:
    """Make a model that answers the same to all samples."""
    config = SimpleNamespace(task="classify", class_names=CLASSES)
    return SimpleNamespace(config=config, probabilities=lambda samples: probabilities)


def test_mistakes_come_by_their_confidence() -> None:
    cats = np.array([0.9, 0.6, 0.8, 0.3, 0.02], np.float32)
    labels = np.array([0, 1, 1, 0, 1])
    images = noise(5, 8, 8, 1)
    samples = Samples(images, list("abcde"), labels, CLASSES)
    model = classifier(np.stack([cats, 1 - cats], 1))
    figure = classified(model, samples, [[1, 1], [2, 1]])["mistakes"]
    assert words(figure) == [
        "cat 80%\nis lieutenant-co…",
        "lieutenant-co… 70%\nis cat",
        "cat 60%\nis lieutenant-co…",
    ]
    picture = to_pixels(figure)
    lefts = [find(picture, images[i]).left for i in (2, 3, 1)]
    assert lefts == sorted(lefts)
    assert not find_all(picture, images[0])


def test_without_mistakes_the_picture_says_so() -> None:
    samples = Samples(noise(3, 8, 8, 1), list("abc"), np.array([0, 1, 0]), CLASSES)
    model = classifier(np.array([[1, 0], [0, 1], [1, 0]], np.float32))
    figure = classified(model, samples, [[2, 0], [0, 1]])["mistakes"]
    assert words(figure) == ["No mistakes among 3 samples."]

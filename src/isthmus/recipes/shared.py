"""Constants and steps that recipes on several data sets share."""

from pathlib import Path
from typing import Any

from isthmus.recipes.steps import Export

Options = dict[str, Any]  # fields that several steps of a recipe have in common

COURSE_REPORT = "course report"
KERAS_BLOG = "Chollet, blog.keras.io, 2016"
QUICK: Options = {
    "limit": 3000,
    "epochs": 8,
    "batch_size": 32,
}  # some seconds of training on images of 28 × 28
TEST_FILE = Path("test.npz")  # test samples of a run, for pictures and maps


def export_test(run: str, count: int) -> Export:
    """Return the step that writes test samples of a run to `TEST_FILE`; quick, at most 300."""
    quick: Options = {"count": 300} if count > 300 else {}
    return Export(Path(run), split="test", count=count, out=TEST_FILE.name, quick=quick)

"""What rows of several subjects share."""

from pathlib import Path
from typing import Any

from isthmus.recipes.steps import Export

Options = dict[str, Any]  # fields that several steps of a recipe have in common

COURSE = "course report"
BLOG = "Chollet, blog.keras.io, 2016"
FEW: Options = {"limit": 3000, "epochs": 8, "batch_size": 32}  # seconds on small images
TEST = Path("test.npz")  # test samples of a run, for pictures and maps


def export_test(run: str, count: int) -> Export:
    """Return the step that writes test samples of a run to `TEST`; in a quick run at most 300."""
    quick: Options = {"count": 300} if count > 300 else {}
    return Export(Path(run), split="test", count=count, out=TEST.name, quick=quick)

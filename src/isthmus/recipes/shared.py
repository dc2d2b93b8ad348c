"""What rows of several subjects share."""

from pathlib import Path

from isthmus.recipes.steps import Export

COURSE = "course report"
BLOG = "Chollet, blog.keras.io, 2016"
FEW = {"limit": 3000, "epochs": 8, "batch_size": 32}  # of small images; seconds on one core
TEST = Path("test.npz")  # test samples of a run, that pictures and maps are drawn of


def export_test(run: str, count: int) -> Export:
    """Return the step that writes test samples of a run to `TEST`; in a quick run at most 300."""
    quick = {"count": 300} if count > 300 else {}
    return Export(Path(run), split="test", count=count, out=TEST.name, quick=quick)

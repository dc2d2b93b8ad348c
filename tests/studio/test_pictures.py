"""The pictures of the guide on the studio."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]


def test_every_picture_of_the_guide_shows_its_view(
    chromium: Any, digits_run: Path, classifier_run: Path, tmp_path: Path
) -> None:
    # A second driver would collide with that of the fixture, so the pictures take its browser.
    sys.path.insert(0, str(ROOT / "docs"))
    from pictures import VIEWS, take_pictures

    runs = {"digits": digits_run, "classes": classifier_run}
    pictures = take_pictures(tmp_path / "pictures", runs, chromium)
    guide = (ROOT / "docs/studio.md").read_text(encoding="utf-8")
    assert {f"pictures/{path.name}" for path in pictures} == {
        part.partition(")")[0] for part in guide.split("](")[1:] if part.startswith("pictures/")
    }
    seen = set()
    for path in pictures:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert pixels.shape == (800, 1280, 3)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200  # a page that failed is bare
        seen.add(pixels.tobytes())
    assert len(seen) == len(VIEWS)

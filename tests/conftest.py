"""What all tests share: a cache of their own, the real data sets, and small pictures."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus import IsthmusError

DATA = os.environ.get("ISTHMUS_DATA", "")  # before a test sets another

# Files that train many models, start processes or run documentation: most of the time of all
# tests. `make quick` leaves them out.
SLOW_FILES = {
    "test_cache",
    "test_cache_cleaning",
    "test_cache_damage",
    "test_canvas",
    "test_card",
    "test_catalog",
    "test_cells",
    "test_cli",
    "test_cli_answers",
    "test_cli_sources",
    "test_cli_using",
    "test_cluster",
    "test_comparison",
    "test_completion",
    "test_content",
    "test_denoising",
    "test_encoders",
    "test_engine",
    "test_errors",
    "test_evaluate",
    "test_events",
    "test_export",
    "test_export_page",
    "test_guides",
    "test_index",
    "test_inference_threads",
    "test_installation",
    "test_kept",
    "test_labeled",
    "test_loop",
    "test_map_pictures",
    "test_maps",
    "test_masks",
    "test_names",
    "test_notebooks",
    "test_progress",
    "test_padding",
    "test_parts",
    "test_processes",
    "test_recipes",
    "test_onnx_models",
    "test_outputs",
    "test_reading_guide",
    "test_registry",
    "test_report",
    "test_results",
    "test_security",
    "test_segmenters",
    "test_server",
    "test_sklearn",
    "test_sklearn_checks",
    "test_soak",
    "test_streams",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow files."""
    for item in items:
        if item.path.stem in SLOW_FILES:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty cache to the one test."""
    folder = tmp_path_factory.mktemp("own-cache")
    monkeypatch.setenv("ISTHMUS_CACHE", str(folder))
    return folder


@pytest.fixture
def kept_conversions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert each model to ONNX only once, where a test is about what is done with the file."""
    from converting import keep_conversions  # it imports torch and onnx

    keep_conversions(monkeypatch)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Give a folder that all processes of pytest-xdist share, for `sharing.make_once`."""
    if worker_id == "master":  # there is one process
        return tmp_path_factory.mktemp("shared")
    folder = tmp_path_factory.getbasetemp().parent / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def require() -> Callable[[str], Path]:
    """Give a function that returns the folder of a real data set, or skips the test."""

    def folder(name: str) -> Path:
        path = Path(DATA, name).absolute()
        if not DATA or not path.is_dir():
            pytest.skip("ISTHMUS_DATA is not set to a folder with the data sets")
        return path

    return folder


@pytest.fixture
def refused() -> Callable[..., AbstractContextManager[None]]:
    """Give a context that expects an error: one sentence that names all the culprits."""

    @contextmanager
    def expecting(kind: type[IsthmusError], *culprits: object) -> Iterator[None]:
        with pytest.raises(kind) as caught:
            yield
        message = str(caught.value)
        assert re.fullmatch(r"(?!.*\.\.(\s|$))(?!.*[.!?] [A-Z]).+\.", message), message
        assert [text for text in map(str, culprits) if text not in message] == [], message

    return expecting


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make a folder of three pictures of cats and three of dogs, 12 × 10 and in color."""
    folder = tmp_path / "photos"
    draw = np.random.default_rng(7)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number, suffix in enumerate(("png", "jpg", "png")):
            pixels = draw.integers(0, 256, (12, 10, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.{suffix}")
    return folder


@pytest.fixture(scope="session")
def killed() -> str:
    """The end of a temporary name, ".….tmp", whose owner is a process that has ended."""
    script = "from isthmus.temporaries import *; print(temporary_path(Path('a')))"
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stdout.strip().removeprefix(".a")

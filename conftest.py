"""What tests and documented examples share: folders of their own, never the user's."""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

# Tiny models gain nothing from several threads, and on a busy machine lose much by waiting.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Python looks for garbage after so many new objects; with its own 700, tests take 4% longer.
NEW_OBJECTS = 10_000


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage neither among what is imported for all tests nor while it is imported.

    All of it stays. Walking through it took 4 of the 17 CPU seconds in which tests are collected,
    and takes some of each test that makes many objects.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS)
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep decoded samples, and what is remembered, in folders of this session."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(folder))
        patch.setenv("ISTHMUS_STATE", str(tmp_path_factory.mktemp("state")))
        yield folder

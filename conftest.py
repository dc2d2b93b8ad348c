"""What tests and documented examples share: folders of their own, never the user's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tiny models gain nothing from several threads, and on a busy machine lose much by waiting.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep decoded samples, and what is remembered, in folders of this session."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(folder))
        patch.setenv("ISTHMUS_STATE", str(tmp_path_factory.mktemp("state")))
        yield folder

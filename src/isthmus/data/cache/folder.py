"""Where the cache is, and what the names in it stand for."""

import os
import re
from pathlib import Path

import platformdirs

FORMAT = 6  # of all files in it; raise it when the same source would give other samples
KEY = re.compile(r"[0-9a-f]{16}")  # the name of an entry
ALIAS, LOCK, STRETCH = ".alias", ".lock", ".stretch"  # suffixes of files next to entries


def cache_folder() -> Path:
    """Return the folder of derived files: `ISTHMUS_CACHE`, or the user's cache."""
    return Path(os.environ.get("ISTHMUS_CACHE") or platformdirs.user_cache_dir("isthmus"))


def samples_folder() -> Path:
    """Return the folder of decoded samples in the cache."""
    return cache_folder() / "samples"

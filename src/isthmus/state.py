"""What Isthmus remembers for one user between calls: nothing that is needed, all of it small."""

import hashlib
import os
from pathlib import Path

import platformdirs


def state_folder() -> Path:
    """Return the folder of what is remembered: `ISTHMUS_STATE`, or the user's state folder."""
    return Path(os.environ.get("ISTHMUS_STATE") or platformdirs.user_state_dir("isthmus"))


def lock_path(path: Path) -> Path:
    """Return the lock of a folder in which no file for it may stay."""
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return state_folder() / "locks" / f"{name}.lock"

"""What Isthmus remembers for one user between calls: nothing that is needed, all of it small."""

import os
from pathlib import Path

import platformdirs


def state_folder() -> Path:
    """Return the folder of what is remembered: `ISTHMUS_STATE`, or the user's state folder."""
    return Path(os.environ.get("ISTHMUS_STATE") or platformdirs.user_state_dir("isthmus"))

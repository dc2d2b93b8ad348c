"""Take the code from the repository: `src` of the checkout, or the copy in a source distribution.

A link to `src` would be shorter, but hatchling enters a folder once and would then leave it out of
isthmus itself, which has this folder in its source distribution.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("src", "isthmus")


class SharedCode(BuildHookInterface):
    """Adds the package to whatever is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See `BuildHookInterface`."""
        root = Path(self.root)
        own, shared = root / PACKAGE, root.parents[1] / PACKAGE
        target = PACKAGE if self.target_name == "sdist" else Path(PACKAGE.name)
        build_data["force_include"][str(own if own.is_dir() else shared)] = str(target)

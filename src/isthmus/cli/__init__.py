"""The command line: each command parses, makes one call, and prints.

Heavy modules are imported inside the commands, so that help answers at once.
"""

import logging
import sys

from isthmus.cli import apply, data, export, inspect, recipes, train, transposed
from isthmus.cli.app import app
from isthmus.cli.terminal import console
from isthmus.errors import IsthmusError

__all__ = ["app", "apply", "data", "export", "inspect", "main", "recipes", "train", "transposed"]


def main() -> None:
    """Run the command line; a user's error is one sentence and exit code 2."""
    # At the level INFO, Fabric prints the seed and the devices, which run.json records.
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    try:
        app(standalone_mode=True)
    except IsthmusError as error:
        console.print(f"isthmus: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:  # such as of `isthmus data | head`: nobody reads on
        sys.exit(1)

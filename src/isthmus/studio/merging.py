"""What two studios of one run have computed each, in one description.

Both show the same model and samples, so what one has made is as good for the other. Without this,
the last one to write would drop the maps of the other.
"""

from typing import Any

Description = dict[str, Any]  # see `Snapshot.of_model`

# What each part changes in a description, apart from maps. Networks lie in a storage of their own.
TAKEN = {
    "drift": ("code_statistics",),
    "findings": ("columns",),
    "mixture": ("mixture",),
    "quality": (),
    "sheets": (),
}


def merge(own: Description, stored: Description | None) -> Description:
    """Add what is stored already, if anything is, to a description that will replace it."""
    if not stored:
        return own
    done = [part for part in own["pending"] if part in TAKEN and part not in stored["pending"]]
    taken = {key: stored[key] for part in done for key in TAKEN[part]}
    pending = [part for part in own["pending"] if part not in done]
    return {**own, **taken, "pending": pending, "maps": _merge_maps(own["maps"], stored["maps"])}


def _merge_maps(own: list[Description], stored: list[Description]) -> list[Description]:
    maps = {entry["method"]: entry for entry in stored}
    # Of two entries the one that is measured, and else the own.
    is_better = {
        entry["method"]: entry
        for entry in own
        if entry["method"] not in maps or entry["quality"] is not None
    }
    return list({**maps, **is_better}.values())

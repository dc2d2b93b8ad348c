"""What was found in a run, kept in its folder for those that show it; it needs no torch."""

from contextlib import suppress

from isthmus.damage import DAMAGE
from isthmus.evaluation.diagnosis.findings import Diagnosis
from isthmus.evaluation.results import Key, read_result, write_result
from isthmus.files import fingerprint
from isthmus.training.store import FAILURE, HISTORY, FolderStore, Store

FILE = "diagnosis.json"
FORMAT = 1  # raise it when the same run has other findings
SOURCES = (HISTORY, FAILURE)  # what changes when a run is trained on


def keep(store: Store, diagnosis: Diagnosis) -> None:
    """Write what was found; without findings, remove what an earlier look had found."""
    if not isinstance(store, FolderStore):
        return
    if diagnosis.is_healthy:
        with suppress(OSError):  # of a folder that cannot be written to; its file is stale, too
            store.remove(FILE)
    else:
        write_result(store.path / FILE, _key(store), diagnosis.to_json())


def read_kept(store: Store) -> list[str]:
    """Return what was found when the run was last looked at, as sentences.

    Nothing, if it was never looked at, or was trained on since.
    """
    if not isinstance(store, FolderStore):
        return []
    with suppress(*DAMAGE):  # of a run of somebody else, too
        result = read_result(store.path / FILE, _key(store)) or {"findings": []}
        return [f"{one['text']} {one['advice']}" for one in result["findings"]]
    return []


def _key(store: Store) -> Key:
    contents = [store.read(file) or b"" for file in SOURCES]
    return {"format": FORMAT, "run": fingerprint(*contents)}

"""The history of a run as a page shows it, also while the run is in training."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from isthmus.damage import DAMAGE
from isthmus.data.report import ReadingReport, describe_note
from isthmus.evaluation.diagnosis.kept import read_kept
from isthmus.inference.model import Model
from isthmus.session import Session
from isthmus.studio.choice import read_record
from isthmus.training.store import HISTORY, FolderStore, Store, is_in_training


def store_of(session: Session) -> Store | None:
    """Return the files of the session's run, None of a model without one; torch is not loaded."""
    source = session.source
    if isinstance(source, Model):
        return None
    if isinstance(source, str | Path):
        return FolderStore(Path(source)) if Path(source).is_dir() else None
    return source.store


def read_history(session: Session) -> dict[str, Any]:
    """Return the lines of the history as they are now, and what training aims at.

    Returns
    -------
    dict
        `lines`, as in history.jsonl; `epochs`, `patience` and `loss` of the training config;
        `is_training`, whether somebody trains the run now; `findings`, sentences on what looked
        wrong when the run was last examined; and `reading`, sentences on what was read.
    """
    store, record = store_of(session), read_record(session)
    config = record.get("training_config", {})
    content = b"" if store is None else store.read(HISTORY) or b""
    return {
        "lines": read_lines(content) or [],
        **{name: config.get(name) for name in ("epochs", "patience", "loss")},
        "is_training": store is not None and is_training(store),
        "findings": [] if store is None else read_kept(store),
        "reading": _describe_reading(record.get("data", {}).get("reading")),
    }


def _describe_reading(content: dict[str, Any] | None) -> list[str]:
    """Return what a record says of the reading as sentences; of an older run, none."""
    if content is None:
        return []
    with suppress(*DAMAGE):
        report = ReadingReport.from_json(content)
        rows = [f"{title}: {text}" for title, text in report.rows()]
        return [report.description, *rows, *map(describe_note, report.notes)]
    return []


def read_lines(content: bytes) -> list[dict[str, Any]] | None:
    """Return the lines of a history, or None if it is damaged."""
    with suppress(*DAMAGE):
        lines = [_parse_line(line) for line in content.decode().splitlines()]
        return lines if all(isinstance(line, dict) for line in lines) else None
    return None


def _parse_line(line: str) -> Any:
    # JSON knows no NaN, and a page could not read it.
    return json.loads(line, parse_constant=lambda name: None)


def is_training(store: Store) -> bool:
    """Return whether somebody trains the run now."""
    return isinstance(store, FolderStore) and is_in_training(store.path)

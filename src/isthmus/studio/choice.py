"""Which samples the studio shows, and by which names their files are stored."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import DAMAGE
from isthmus.data.manifest import evenly_spaced
from isthmus.data.samples import SPLITS, Samples
from isthmus.data.sources import locate_source
from isthmus.errors import DenoiserError, IsthmusError, OptionError, require_known
from isthmus.fields import convert_some, parse_json, require_fingerprint
from isthmus.files import fingerprint
from isthmus.inference.contract import MODEL_FILE
from isthmus.inference.model import Model
from isthmus.session import Session
from isthmus.training.store import RECORD

ALL = "all"
SPLIT_TITLES = ("training", "validation", "test")  # of SPLITS, for people
NO_SPLIT = 255
SHOWN_RECORD: dict[str, Any] = {"origin": dict[str, Any], "data": dict[str, Any]}
SHOWN_PARTS: dict[str, dict[str, Any]] = {
    "origin": {"source": str},
    "data": {"fingerprint": str, "reading": dict[str, Any] | None},
    "training_config": {"epochs": int, "patience": int | None, "loss": str},
}


@dataclass(frozen=True)
class Choice:
    """Which samples are shown.

    Parameters
    ----------
    source : str, optional
        Where they are read from; by default they are the run's own.
    split : str, optional
        "train", "validation" or "test"; by default all.
    limit : int, optional
        At most so many, evenly spaced.

    Raises
    ------
    OptionError
        If there is no such split, or the limit is below 1.
    """

    source: str | None = None
    split: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        split = {ALL: None, "training": "train"}.get(self.split or ALL, self.split)
        if split is not None:
            require_known("split", split, SPLITS)
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"limit must be at least 1, not {self.limit}.")
        object.__setattr__(self, "split", split)

    @property
    def key(self) -> str:
        """8 hexadecimal digits of the choice."""
        source = self.source
        if source is not None:
            with suppress(IsthmusError):  # one that is gone keeps the name that it was given
                source = locate_source(source)[0]
        return fingerprint(source, self.split, self.limit)[:8]

    @property
    def split_title(self) -> str:
        """The split for people, "all" without one."""
        return ALL if self.split is None else SPLIT_TITLES[SPLITS.index(self.split)]


@dataclass(frozen=True, eq=False)
class Shown:
    """The samples that are shown.

    Parameters
    ----------
    samples : Samples
    indices : (N,) int64
        Of the samples in their source.
    splits : (N,) uint8, optional
        Index of each sample's split in `SPLITS`, 255 for none.
    note : str
        What was left out, in a sentence; else empty.
    """

    samples: Samples
    indices: NDArray[np.int64]
    splits: NDArray[np.uint8] | None
    note: str = ""


def load_shown(session: Session, choice: Choice) -> Shown:
    """Load the samples of a choice.

    Raises
    ------
    IsthmusError
        If they cannot be loaded, or have no such split.
    """
    if choice.source is None:
        samples = session.samples
        splits: NDArray[np.uint8] | None = _own_splits(session)
    else:
        samples = session.read(choice.source)
        splits = samples.splits
    rows = np.arange(len(samples))
    if choice.split is not None:
        rows = _rows_of_split(splits, choice)
    kept = rows[evenly_spaced(len(rows), choice.limit)]
    note = "" if len(kept) == len(rows) else f"{len(kept):,} of {len(rows):,} samples are shown."
    # All of them are not copied: they may be larger than memory.
    taken = samples if len(kept) == len(samples) else samples.take(kept)
    return Shown(taken, kept, None if splits is None else splits[kept], note)


def is_available(session: Session, choice: Choice) -> bool:
    """Return whether the samples of a choice can probably be loaded; nothing is loaded."""
    source: str | None = choice.source
    if source is None:
        if session.has_samples:
            return True
        source = read_record(session).get("origin", {}).get("source")
        if session.data is not None:
            source = str(session.data)
    if not source:
        return False
    with suppress(IsthmusError, OSError):
        locate_source(source)
        return True
    return False


def model_key(session: Session) -> str:
    """Return 16 hexadecimal digits of the model as it is now, without torch where that is possible.

    Of a run or a file it is the content of its file, not of its weights: to read those would need
    torch, whose import takes longer than all else that a page needs.
    """
    source = session.source
    if session.encoder is not None:
        return session.encoder.fingerprint
    if isinstance(source, Model):
        return source.fingerprint
    if isinstance(source, str | Path):
        path = Path(source)
        file = path / MODEL_FILE if path.is_dir() else path
        content = file.read_bytes() if file.is_file() else None
    else:
        content = source.store.read(MODEL_FILE)
    # Where there is no file, the session has the right words.
    return session.model.fingerprint if content is None else fingerprint(content)


def read_record(session: Session) -> dict[str, Any]:
    """Return what run.json says, without torch where that is possible; {} without a run."""
    source = session.source
    if isinstance(source, Model):
        return {}
    if not isinstance(source, str | Path):
        return dict(json.loads(source.record.to_bytes()))
    if Path(source).is_file():
        return {}
    with suppress(*DAMAGE):
        return _parse_record((Path(source) / RECORD).read_bytes())
    return dict(json.loads(session.run.record.to_bytes()))  # says what is wrong


def reject_denoiser(session: Session) -> None:
    """Reject the run of a denoiser, which has no codes to show, without torch."""
    config = read_record(session).get("model_config", {})
    if config.get("code_size") == 0:
        source = session.source
        raise DenoiserError(source if isinstance(source, str | Path) else session.name)


def _parse_record(content: bytes) -> dict[str, Any]:
    """Return what run.json says, with what the studio reads of it checked."""
    record = convert_some(parse_json(content), SHOWN_RECORD, "")
    for name, kinds in SHOWN_PARTS.items():
        convert_some(record[name], kinds, name)
    require_fingerprint(record["data"]["fingerprint"], "data.fingerprint")
    return record


def safe_names(names: Sequence[str]) -> list[str]:
    """Return names as a page may show them: text, and no path of this machine.

    Examples
    --------
    >>> safe_names(["cats/1.png", "/home/ann/cats/1.png", "C:/cats/1.png"])
    ['cats/1.png', '1.png', '1.png']
    """
    return [_without_folder(name if name.isascii() else _valid(name)) for name in names]


def _valid(name: str) -> str:
    """Return a name without the lone surrogates by which Python writes bytes that are no text."""
    return name.encode("utf-8", "replace").decode()


def _without_folder(name: str) -> str:
    # Names may be absolute paths. Where those lead is the author's own business.
    if name.startswith(("/", "\\", "~")) or name[1:3] in (":/", ":\\"):
        return re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    return name


def _own_splits(session: Session) -> NDArray[np.uint8]:
    splits = np.full(len(session.samples), NO_SPLIT, np.uint8)
    for number, name in enumerate(SPLITS):
        splits[getattr(session.split, name)] = number
    return splits


def _rows_of_split(splits: NDArray[np.uint8] | None, choice: Choice) -> NDArray[np.int64]:
    if splits is None:
        raise OptionError(f"{choice.source} has no split of its own; leave the split out.")
    rows = np.flatnonzero(splits == SPLITS.index(choice.split or ""))
    if not len(rows):
        raise OptionError(f"there are no samples in the {choice.split_title} split.")
    return rows

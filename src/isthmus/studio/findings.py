"""Columns of what does not belong: outliers, labels that look wrong, and duplicates.

They take longer than all else, and are made last. What cannot be judged has no column, such as
labels without two classes of some samples each; nor have more than 100,000 samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track
from isthmus.data.items import NO_CLASS
from isthmus.errors import InterruptionError, IsthmusError
from isthmus.latent.codes import Codes
from isthmus.session import Session
from isthmus.studio.choice import Choice, Shown, safe_names
from isthmus.studio.sample_files import category, write_category, write_number
from isthmus.studio.storage import Storage

MAX_JUDGED = 100_000  # samples; more take many minutes
MAX_COMPARED = 20_000  # pictures among which duplicates are looked for
COPIES = ("equal to another", "nearly equal to another")

Column = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Judged:
    """What is judged, and by what.

    Parameters
    ----------
    session : Session
    choice : Choice
    shown : Shown
    codes : Codes
        Of the samples that are shown, with their items.
    track : callable
    """

    session: Session
    choice: Choice
    shown: Shown
    codes: Codes
    track: Track


def write_findings(storage: Storage, judged: Judged) -> list[Column]:
    """Judge all samples that are shown, write the columns and describe them."""
    columns: list[Column] = []
    if len(judged.session.samples if judged.choice.source is None else judged.codes) > MAX_JUDGED:
        return columns
    for find in (_find_outliers, _find_mislabelled, _find_duplicates):
        try:
            columns += find(storage, judged)
        except InterruptionError:
            raise
        except IsthmusError:  # such as a model or samples that this cannot be asked of
            continue
    return columns


def _find_outliers(storage: Storage, judged: Judged) -> Iterator[Column]:
    from isthmus.detection.outliers import judge

    session, shown = judged.session, judged.shown
    if judged.choice.source is None:
        samples, rows = session.samples, shown.indices
        found = judge(session.detector(), samples, rows, is_own=True, track=judged.track)
    else:
        found = session.outliers(shown.samples)
    yield write_number(storage, "outlier", f"Outlier score ({found.score})", found.values)
    names = ("usual", "outlier")
    values = found.is_outlier.astype(np.uint8)
    yield write_category(storage, "is_outlier", "Outlier", values, names)


def _find_mislabelled(storage: Storage, judged: Judged) -> Iterator[Column]:
    from isthmus.detection.labels.find import find_mislabelled

    codes, rows = _codes_to_check(judged)
    found = find_mislabelled(codes.take(rows), track=judged.track)
    suggested = np.full(len(codes), NO_CLASS)
    suggested[rows[found.rows]] = found.suggested
    own = np.full(len(codes), np.nan, np.float32)
    own[rows[found.checked]] = found.own_probabilities
    if len(codes) > len(judged.codes):
        suggested, own = suggested[judged.shown.indices], own[judged.shown.indices]
    if np.isnan(own).all():  # of a classifier, whose training samples are not checked
        return
    names = safe_names(codes.class_names)
    yield write_number(storage, "label_probability", "Probability of the label", own)
    values = category(suggested, len(names))
    yield write_category(storage, "suggested", "Suggested label", values, names)


def _codes_to_check(judged: Judged) -> tuple[Codes, NDArray[np.int64]]:
    """Return codes, and the rows of those whose labels are checked.

    Of the run's own samples these are all that the command checks, also where few are shown: the
    fewer there are, the less is known of their labels.
    """
    if judged.choice.source is not None:
        return judged.codes, np.arange(len(judged.codes))
    session = judged.session
    rows = session.rows_to_check()
    is_whole = len(judged.codes) == len(session.samples)
    return judged.codes if is_whole else session.codes(), rows


def _find_duplicates(storage: Storage, judged: Judged) -> Iterator[Column]:
    from isthmus.detection.duplicates.find import find_duplicates

    samples = judged.shown.samples
    if samples.is_signal or len(samples) > MAX_COMPARED:
        return
    values = np.full(len(samples), NO_CLASS)
    for group in find_duplicates(samples, track=judged.track).groups:
        values[list(group.rows)] = 0 if group.is_exact else 1
    yield write_category(storage, "duplicate", "Duplicate", category(values, len(COPIES)), COPIES)

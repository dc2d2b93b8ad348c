"""The page of suspicious labels, and the table of suggestions to correct by hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.samples import Samples
from isthmus.detection.outliers import require_count
from isthmus.errors import OptionError, list_names
from isthmus.files import write_together
from isthmus.places import PAGE_SUFFIXES, require_apart, require_new, require_own_place
from isthmus.reports.elements import draw_sample
from isthmus.reports.outputs import read_source
from isthmus.reports.page import render
from isthmus.session import Session
from isthmus.text import to_utf8
from isthmus.version import __version__
from isthmus.viz.canvas import short_name

if TYPE_CHECKING:
    from isthmus.detection.labels.evidence import Near
    from isthmus.detection.labels.mislabelled import Mislabelled

NEIGHBORS = 4  # that are drawn of each class
MAX_PAIRS = 12  # of labels in the page's table


def write_mislabelled(
    session: Session,
    source: str | Path | None,
    out: Path | None = None,
    *,
    table: Path | None = None,
    k: int = 20,
    split: str | None = None,
    folds: int = 5,
    seed: int = 0,
    limit: int | None = None,
) -> dict[str, Any]:
    """Find labels that look wrong, and write a page and a table of them.

    Parameters
    ----------
    session : Session
    source : str or Path, optional
        By default the run's own data.
    out : Path, optional
        The page; by default none.
    table : Path, optional
        A new CSV file of all suspects, with a column to correct by hand; by default none.
    k : int
        Suspects on the page and in the result.
    split, folds, seed
        See `Session.mislabelled`.
    limit : int, optional
        At most as many samples of the source.

    Returns
    -------
    dict
        As `Mislabelled.summary` returns it, the first k `suspects`, and the paths of `page` and
        `table`.

    Raises
    ------
    IsthmusError
        If there are no labels, an option makes no sense, or a file of somebody else is in the way.
    """
    require_count(k)
    if out is not None:
        require_own_place(out, PAGE_SUFFIXES)
        require_apart(out, source)
    if table is not None:
        require_new_table(table)
    samples = read_source(session, source, limit)
    found = session.mislabelled(samples, split=split, folds=folds, seed=seed)
    contents = {} if table is None else {table: to_utf8(found.to_csv())}
    if out is not None:
        rows = session.rows_to_check(split) if samples is None else np.arange(len(samples))
        shown = session.samples if samples is None else samples
        contents[out] = render_mislabelled(found, shown, rows, k=k, title=_title(session))
    if table is not None:  # again: corrections may have got there meanwhile
        require_new_table(table)
    if contents:
        write_together(contents)
    places = {"page": out, "table": table}
    paths = {name: None if path is None else str(path) for name, path in places.items()}
    return found.summary() | {"suspects": found.suspects(k)} | paths


def require_new_table(path: Path) -> None:
    """Reject a path for the table that is taken, even by an earlier one.

    It may hold corrections that somebody made by hand, which are never written over.

    Raises
    ------
    OptionError
    """
    if path.suffix.lower() != ".csv":
        raise OptionError(f"{path} does not end in .csv; give a name that does.")
    require_new(path, " and may hold corrections")


def render_mislabelled(
    found: "Mislabelled",
    samples: Samples,
    rows: NDArray[np.int64],
    *,
    k: int = 20,
    title: str = "labels",
) -> bytes:
    """Return the page: each suspect with its nearest samples of both labels.

    Parameters
    ----------
    found : Mislabelled
    samples : Samples
    rows : (N,) int64
        The row in `samples` of each code of `found`.
    k : int
        Suspects that are shown.
    title : str
        Of the page.
    """
    source = found.codes.origin.source
    return render(
        "mislabelled.html.jinja",
        title=title,
        summary=found.summary(),
        cards=_draw_cards(found, samples, rows, k),
        pairs=found.pairs()[:MAX_PAIRS],
        losses=_losses(found),
        source=Path(source).name if source else "",  # without folders, which are nobody's business
        version=__version__,
    )


def _draw_cards(
    found: "Mislabelled", samples: Samples, rows: NDArray[np.int64], k: int
) -> list[dict[str, Any]]:
    """Return the first k suspects, each with its picture and those of its neighbors."""
    from isthmus.detection.labels.evidence import find_evidence

    names = found.codes.names

    def draw(row: int, caption: str, alt: str) -> str:
        return draw_sample(samples.values[rows[row]], caption, alt)

    def draw_near(near: "Near", label: str) -> list[str]:
        pictures = []
        for row, distance in zip(near.rows.tolist(), near.distances.tolist(), strict=True):
            away = f"{distance:.3g}"
            pictures.append(draw(row, away, f"{label}: {names[row]}, at a distance of {away}"))
        return pictures

    evidence = find_evidence(found, k, NEIGHBORS)
    return [
        {
            **one,
            "picture": draw(row, short_name(one["name"]), f"{one['label']}: {one['name']}"),
            "given": draw_near(near.given, one["label"]),
            "other": draw_near(near.suggested, one["suggested"]),
        }
        for row, one, near in zip(found.rows.tolist(), found.suspects(k), evidence, strict=False)
    ]


def describe_found(content: dict[str, Any]) -> list[str]:
    """Return what `write_mislabelled` found, in a line or two for people."""
    lines = [
        f"{content['suspicious']:,} of {content['n']:,} labels look wrong by "
        f"{content['classifier']}; the estimate is that {100 * content['error_rate']:.1f}% are."
    ]
    if unchecked := content["unchecked_classes"]:
        lines.append(f"Not checked, with fewer than 5 samples: {list_names(unchecked, 5)}.")
    return lines


def _losses(found: "Mislabelled") -> list[tuple[str, float, bool]]:
    """Return the classifiers that were tried, best first, and which was chosen."""
    ordered = sorted(found.log_losses.items(), key=lambda pair: pair[1])
    return [(str(one), loss, one == found.classifier) for one, loss in ordered]


def _title(session: Session) -> str:
    source = session.source
    name = source if isinstance(source, str | Path) else getattr(source, "name", "a model")
    return Path(str(name)).resolve().name

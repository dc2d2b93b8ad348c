"""The page and the tables of what does not belong."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.detection.baselines import BASELINES
from isthmus.detection.outliers import Outliers, require_count
from isthmus.detection.scores import SCORES
from isthmus.errors import OptionError
from isthmus.files import write_bytes
from isthmus.places import PAGE_SUFFIXES, require_apart, require_own_place
from isthmus.reports.elements import draw_sample
from isthmus.reports.outputs import read_source
from isthmus.reports.page import render
from isthmus.session import Session
from isthmus.text import count_of
from isthmus.version import __version__
from isthmus.viz.outliers import mark

K = 20  # outliers that are listed


@dataclass(frozen=True)
class OutlierOptions:
    """What `Session.outliers` is asked for; see there."""

    score: str | None = None
    false_alarms: float | None = None
    normal: str | None = None
    reference: Path | None = None


def write_outliers(
    session: Session,
    source: str | Path | None = None,
    out: Path | None = None,
    *,
    k: int = K,
    limit: int | None = None,
    options: OutlierOptions | None = None,
) -> dict[str, Any]:
    """Rank samples by how far they are from all that is normal, and write a page of the oddest.

    Parameters
    ----------
    session : Session
    source : str or Path, optional
        By default the run's own data.
    out : Path, optional
        The page; by default none.
    k : int
        How many are listed and shown.
    limit : int, optional
        Samples of the source, at most.
    options : OutlierOptions, optional

    Returns
    -------
    dict
        See `Outliers.to_json`; `page` is its path, or None.

    Raises
    ------
    IsthmusError
        As `Session.outliers`, if there is a limit and no source, or if a file of somebody else is
        in the way.
    """
    options = options or OutlierOptions()
    require_count(k)
    if limit is not None and source is None:
        raise OptionError("a limit needs a source; name one.")
    if out is not None:
        require_own_place(out, PAGE_SUFFIXES)
        require_apart(out, source, options.reference)
    found = session.outliers(
        read_source(session, source, limit),
        score=options.score,
        false_alarms=options.false_alarms,
        normal=options.normal,
        reference=None if options.reference is None else session.read(options.reference),
        baselines=True,
    )
    if out is not None:
        write_bytes(out, render_outliers(found, k, str(source or "")))
    return found.to_json(k) | {"page": None if out is None else str(out)}


def describe_threshold(content: dict[str, Any]) -> list[str]:
    """Return lines on the threshold and what it finds, of the JSON of outliers."""
    threshold, rate = content["threshold"], format_share(content["threshold"]["false_alarms"])
    count = count_of(threshold["chosen_by"], "normal sample")
    how = f"chosen for {rate} false alarms among {count}"
    if threshold["expected"] > threshold["false_alarms"]:
        how = (
            f"the highest of {count}: too few for {rate} false alarms, expect "
            f"{format_share(threshold['expected'])} on average"
        )
    found = f"{content['outliers']:,} of {count_of(content['n'], 'sample')}"
    verb = "is" if content["n"] == 1 else "are"
    line = f"{found} {verb} above the threshold {threshold['value']:.4g} ({how})."
    return [line, *_describe_truth(content["measured"])]


def _describe_truth(measured: dict[str, Any] | None) -> list[str]:
    """Return a line on what the threshold finds, where outliers are known."""
    if measured is None:
        return []
    shares = measured["threshold"]
    parts = []
    if shares["found"] is not None:
        parts.append(f"{format_share(shares['found'])} of {measured['outliers']:,} outliers")
    if shares["false_alarms"] is not None:
        parts.append(f"{format_share(shares['false_alarms'])} of {measured['normal']:,} normal")
    return [f"Of samples that were not trained on, it finds {' and '.join(parts)} ones."]


def list_areas(measured: dict[str, Any] | None) -> list[tuple[str, str, float, float]]:
    """Return name, description, AUROC and AUPR of each score and baseline that was measured."""
    if measured is None:
        return []
    tables: tuple[tuple[str, Any], ...] = (("scores", SCORES), ("baselines", BASELINES))
    return [
        (name, table[name].description, areas["auroc"], areas["aupr"])
        for part, table in tables
        for name, areas in measured.get(part, {}).items()
    ]


def list_kinds(measured: dict[str, Any] | None, score: str) -> list[tuple[str, float]]:
    """Return the AUROC of each kind of outlier by a score, the hardest first."""
    areas = {} if measured is None else measured.get("scores", {}).get(score, {})
    return sorted(areas.get("kinds", {}).items(), key=lambda pair: pair[1])


def _share_of_outliers(measured: dict[str, Any] | None) -> float:
    """Return the share of outliers, which is what a ranking by chance has as its AUPR."""
    if measured is None:
        return 0.0
    return float(measured["outliers"] / (measured["outliers"] + measured["normal"]))


def format_share(share: float) -> str:
    """Format a share as percent, with as many digits as it needs.

    Examples
    --------
    >>> format_share(0.01), format_share(0.0004), format_share(0.123)
    ('1%', '0.04%', '12.3%')
    """
    return f"{100 * share:.3g}%"


def render_outliers(found: Outliers, k: int = K, source: str = "") -> bytes:
    """Return the page of the k oddest samples."""
    content = found.to_json(k)
    places = found.first(k)
    return render(
        "outliers.html.jinja",
        title=f"Outliers of {Path(source or found.samples.origin.source or 'an array').name}",
        lead=" ".join(describe_threshold(content)),
        model=found.detector.model.name,
        score=found.score,
        description=SCORES[found.score].description,
        tiles=_tiles(content),
        areas=list_areas(found.measured),
        chance=_share_of_outliers(found.measured),
        kinds=list_kinds(found.measured, found.score),
        pixels=None if found.measured is None else found.measured.get("pixels"),
        marks=found.detector.level is not None and not found.samples.is_signal,
        has_normal=found.normal is not None,
        rows=_rows(found, places),
        version=__version__,
    )


def _tiles(content: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers at the top of the page."""
    measured = content["measured"] or {}
    areas = measured.get("scores", {}).get(content["score"])
    tiles = [
        (f"{content['n']:,}", "samples judged"),
        (f"{content['outliers']:,}", "above the threshold"),
        (format_share(content["threshold"]["false_alarms"]), "false alarms asked for"),
    ]
    if areas is not None:
        tiles.append((f"{areas['auroc']:.3f}", "area under the ROC curve"))
    return tiles


def _rows(found: Outliers, places: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return what the page shows of each sample."""
    values = np.asarray(found.samples.values[found.rows[places]])
    pictures = [[one] for one in _draw_all("sample", values)]
    if found.detector.level is not None:
        rebuilt = found.detector.model.reconstruct(values)
        marked = _mark_all(found, places, values)
        for parts, *more in zip(pictures, marked, _draw_all("rebuilt", rebuilt), strict=True):
            parts.extend(more)
    for parts, one in zip(pictures, _draw_nearest(found, places), strict=False):
        parts.append(one)
    described = [found.describe(place) for place in places.tolist()]
    return [
        {**facts, "pictures": parts, "share": format_share(facts["share"])}
        for facts, parts in zip(described, pictures, strict=True)
    ]


def _draw_all(caption: str, values: NDArray[Any]) -> list[str]:
    return [draw_sample(value, caption, caption) for value in values]


def _mark_all(found: Outliers, places: NDArray[np.int64], values: NDArray[Any]) -> list[str]:
    """Draw samples with what is odd in them; of signals the error of each step."""
    maps, level = found.maps(places), found.detector.level
    assert maps is not None
    assert level is not None
    if found.samples.is_signal:
        return _draw_all("error", maps[..., None])
    marked = [mark(value, one, level) for value, one in zip(values, maps, strict=True)]
    return [draw_sample(one, "odd in red", "the sample, red where it is odd") for one in marked]


def _draw_nearest(found: Outliers, places: NDArray[np.int64]) -> list[str]:
    """Draw the normal sample with the nearest code, where normal samples are at hand."""
    if found.normal is None:
        return []
    return _draw_all("normal", np.asarray(found.normal.values[found.nearest[places]]))

"""The comparison of several runs: one table, one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.cache import Track, untracked
from isthmus.data.manifest import evenly_spaced
from isthmus.data.samples import Samples
from isthmus.files import write_bytes
from isthmus.latent.maps import require_method
from isthmus.models.tasks import CLASS_TASKS
from isthmus.places import PAGE_SUFFIXES, require_own_place
from isthmus.reports.comparison_rows import ROW_TITLES, compare, name_sessions
from isthmus.reports.denoiser import draw_compared
from isthmus.reports.page import render, to_data_url
from isthmus.reports.preview import title_of_noise
from isthmus.reports.run import MAX_MAPPED, example_indices, map_section
from isthmus.reports.style import draw_styles
from isthmus.session import Session
from isthmus.training.run import Run
from isthmus.viz.curves import accuracy_curves, validation_curves
from isthmus.viz.grids import rows_of_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_comparison(
    runs: Sequence[Run],
    out: Path,
    *,
    samples: Sequence[Samples] | None = None,
    method: str = "pca",
    track: Track = untracked,
) -> list[dict[str, Any]]:
    """Write a page that compares runs.

    Parameters
    ----------
    runs : sequence of Run
        Two or more, of one task.
    out : Path
        The page.
    samples : sequence of Samples, optional
        The data of each run; needed for runs on arrays, otherwise loaded again.
    method : str
        Of the maps; a key of `METHODS`.
    track : callable
        Shows progress of loading.

    Returns
    -------
    list of dict
        A row of values for every run, as in the page's table; see `compare`.

    Raises
    ------
    IsthmusError
        If there are fewer than two runs, they are of several tasks, one has no epoch yet, or its
        data is gone or has changed.
    """
    require_own_place(out, PAGE_SUFFIXES)  # before work that may take minutes, like the next line
    require_method(method)
    own: Sequence[Samples | None] = samples or [None] * len(runs)
    sessions = [Session(run, one, track=track) for run, one in zip(runs, own, strict=True)]
    rows = compare(sessions)
    write_bytes(out, render_comparison(sessions, rows, method))
    return rows


def render_comparison(
    sessions: Sequence[Session], rows: Sequence[dict[str, Any]], method: str = "pca"
) -> bytes:
    """Return the page that shows the rows of `compare`, with curves, examples and maps."""
    named, records = name_sessions(sessions), [session.run.record for session in sessions]
    same_data = len({record.data["fingerprint"] for record in records}) == 1
    return render(
        "compare.html.jinja",
        title=" · ".join(named),
        lead=_lead(sessions, same_data),
        rows=rows,
        table=[
            (ROW_TITLES[name], [_text(row[name]) for row in rows])
            for name in rows[0]
            if name != "run"
        ],
        task=_task(named),
        curves=to_data_url(_curves(named)),
        grids=[to_data_url(figure) for figure in _grids(named, same_data)],
        maps=_maps(named, method),
        version=records[0].environment["isthmus"],
    )


def _curves(named: dict[str, Session]) -> "Figure":
    """Draw the validation losses; with classes, accuracy or mean IoU."""
    histories = {name: session.run.history() for name, session in named.items()}
    if _task(named) in CLASS_TASKS:
        return accuracy_curves(histories)
    losses = {name: session.run.record.training_config.loss for name, session in named.items()}
    # The names carry the losses, as values of different losses cannot be compared.
    return validation_curves(
        {f"{name} ({losses[name]})": lines for name, lines in histories.items()}
    )


def _task(named: dict[str, Session]) -> str:
    return next(iter(named.values())).run.record.model_config.task


def _lead(sessions: Sequence[Session], same_data: bool) -> str:
    if same_data:
        description = sessions[0].run.record.data["description"]
        return f"{len(sessions)} runs on the same data: {description}."
    return (
        f"{len(sessions)} runs on different data, each measured on its own: the numbers do not say "
        "which model is better."
    )


def _grids(named: dict[str, Session], same_data: bool) -> list["Figure"]:
    """Draw reconstructions of the same samples by all runs; of different data, each run's own.

    Of style banks, each run's own paintings; of classifiers and segmenters there are none.
    """
    if _task(named) == "stylize":
        return [draw_styles(session) for session in named.values()]
    if _task(named) == "denoise":
        return draw_compared(named) if same_data else []
    if _task(named) != "reconstruct":
        return []
    if not same_data:
        return [_draw_reconstructions({name: session}) for name, session in named.items()]
    return [_draw_reconstructions(named)]


def _draw_reconstructions(named: dict[str, Session]) -> "Figure":
    """Draw test samples of the first run, and their reconstructions by each run."""
    first = next(iter(named.values()))
    indices = example_indices(first)
    examples = first.samples.take(indices)
    rows = [("original", examples.values)]
    for name, session in named.items():
        inputs = session.add_noise(examples, indices)
        if (corrupt := session.run.record.training_config.corrupt) is not None:
            rows.append((title_of_noise(corrupt), inputs))
        rows.append((name, session.reconstruct(inputs)))
    return rows_of_samples(rows)


def _maps(named: dict[str, Session], method: str) -> list[tuple[str, str, str]]:
    """Draw a map for each run; the features of segmenters belong to pixels, not to samples."""
    maps = []
    for name, session in named.items():
        if session.run.record.model_config.task not in ("segment", "denoise"):
            test = session.split.test
            indices = test[evenly_spaced(len(test), MAX_MAPPED)]
            figure, note = map_section(session, indices, method)
            maps.append((name, to_data_url(figure), note))
    return maps


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)

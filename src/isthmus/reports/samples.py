"""Write generated samples: as a sheet, a walk, a page, an .npz file or a folder of pictures."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.export import export
from isthmus.data.samples import Samples
from isthmus.data.split import Split, split_samples
from isthmus.errors import OptionError
from isthmus.evaluation.copies import describe_copies
from isthmus.files import require_writable_place, write_bytes
from isthmus.inference.model import Model
from isthmus.latent.codes import Codes
from isthmus.latent.drawing import Draw
from isthmus.latent.mixture import Mixture
from isthmus.places import PAGE_SUFFIXES, mark_gif, require_free, require_own_place
from isthmus.reports.page import embed, render, to_data_url
from isthmus.session import Session
from isthmus.text import count_of
from isthmus.version import __version__
from isthmus.viz.canvas import to_png
from isthmus.viz.grids import rows_of_samples
from isthmus.viz.strips import sheet, walk_gif

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from isthmus.training.run import Run

Values = NDArray[Any]
Indices = NDArray[np.int64]
Distances = NDArray[np.float64]

DRAWN, WALKED = 64, 8  # samples, unless their number is given
MAX_DRAWN = 1_024  # samples of a sheet, and of a page
MAX_WALKED = 100  # samples that an animation goes through
MAX_FRAMES = 3_000  # of an animation, which are held in memory at once: of 256 × 256, 600 MB
REPORTED, REPORT_ROW = 30, 15  # samples in the report of a run, and in a row
ROW = 10  # samples in a row of the page
MAX_NEAREST = 20  # samples that are shown next to their nearest training samples
MAX_CLASSES = 12  # rows of classes
TEMPERATURES = (0.0, 0.5, 0.8, 1.0, 1.2)
STEPS = 8  # of the walk of a page
COPIES = 0.75  # how often samples are nearer than rebuilt test samples, from which on it is odd
OTHER_PICTURES = (".jpg", ".jpeg", ".webp", ".svg", ".pdf", ".tif", ".tiff", ".bmp", ".npy", ".zip")
OWN = ("mixture", "prior")
ROW_TITLES = {
    "real": "other test samples",
    "rebuilt": "other test samples, rebuilt by this model",
    "pca": "PCA and a normal distribution",
    "mixture": "this model, from the mixture",
    "prior": "this model, from the prior",
    "plain": "the plain autoencoder, from a mixture",
}


def write_samples(
    session: Session,
    source: str | Path | None,
    out: Path,
    draw: Draw,
    *,
    steps: int = 12,
    judge: Model | None = None,
    plain: "Run | None" = None,
) -> dict[str, Any]:
    """Generate samples and write them.

    Parameters
    ----------
    session : Session
    source : str or Path, optional
        Whose codes the mixture is fitted to; by default the training samples of the run.
    out : Path
        A sheet (.png), a walk through the samples (.gif), a page (.html), arrays (.npz), or a
        folder to create, with a picture of each.
    draw : Draw
    steps : int
        Of a walk, from a sample to the next.
    judge : Model, optional
        A classifier, in whose features samples are compared with test samples.
    plain : Run, optional
        An autoencoder to compare with.

    Returns
    -------
    dict
        The path `out`, what was drawn, the components of the mixture by class (`components`);
        `copies`, of a page; `measures`, with a judge.

    Raises
    ------
    IsthmusError
        If the model is no autoencoder, there is no such class, or `out` cannot be written.
    """
    session.model.require_task("reconstruct")
    kind = _require_place(out, draw.n)
    if kind == ".gif":
        _require_steps(draw.n, steps)
    if judge is not None and source is not None:
        raise OptionError(
            "samples are measured against the run's own test samples; leave the source or the "
            "features out."
        )
    samples = None if source is None else session.read(source)
    measures = None if judge is None else session.measure_generated(judge, draw, plain=plain)
    result: dict[str, Any] = {
        "out": str(out),
        "n": draw.n,
        "class": draw.label,
        "sampler": draw.sampler,
        "temperature": draw.temperature,
        "seed": draw.seed,
    }
    mixture = session.mixture(samples) if draw.sampler == "mixture" else None
    if mixture is not None:
        result["components"] = {name or "": count for name, count in mixture.counts.items()}
    if measures is not None:
        result["measures"] = measures
    content = Content(session, draw, samples, mixture, measures, steps)
    return result | WRITERS[kind](content, out)


def draw_for(out: Path, n: int | None = None, **options: Any) -> Draw:
    """Return what to draw for an output: by default 64 samples, for a walk 8."""
    count = n if n is not None else WALKED if out.suffix.lower() == ".gif" else DRAWN
    return Draw(count, **options)


def generated_section(session: Session) -> dict[str, str]:
    """Return what the report of a run shows of generated samples.

    Returns
    -------
    dict
        The picture `generated` and its note `generated_note`; empty where the model has no prior
        and no mixture is fitted yet, which takes long.
    """
    sampler = "mixture" if session.has_mixture else "prior"
    if sampler == "prior" and not session.model.has_prior:
        return {"generated": "", "generated_note": ""}
    drawn = Draw(REPORTED, sampler=sampler)
    mixture = session.mixture() if sampler == "mixture" else None
    content = Content(session, drawn, None, mixture, None, STEPS)
    picture = to_data_url(sheet(content.generate().values, REPORTED // REPORT_ROW, REPORT_ROW))
    return {"generated": picture, "generated_note": _describe(content)}


@dataclass(frozen=True)
class Content:
    """What is to be written, in any form; see `write_samples`."""

    session: Session
    drawn: Draw
    source: Samples | None
    mixture: Mixture | None
    measures: dict[str, Any] | None
    steps: int

    def draw(self, **changes: Any) -> Codes:
        """Return the codes, or others of other numbers, classes or temperatures."""
        return self.session.draw(replace(self.drawn, **changes), self.source)

    def generate(self, **changes: Any) -> Samples:
        """Return the same as samples."""
        codes = self.draw(**changes)
        return Samples(self.session.model.decode(codes.z), codes.items)

    def known(self) -> tuple[Samples, Split]:
        """Return the samples to compare with, and which of them were trained on."""
        session, source = self.session, self.source
        if source is not None and not session.has_run:
            return source, split_samples(source)
        return session.samples, session.split


def _require_place(out: Path, n: int) -> str:
    """Return the kind of output, if it can be written there."""
    suffix = out.suffix.lower()
    kind = ".html" if suffix in PAGE_SUFFIXES else suffix
    if not kind or kind not in WRITERS:
        if suffix in OTHER_PICTURES:
            raise OptionError(f"{out} ends in {suffix}; sheets are .png, and walks .gif.")
        require_free(out)
        if not out.exists():
            require_writable_place(out)
        return ""
    require_own_place(out, PAGE_SUFFIXES if kind == ".html" else (kind,))
    most = {".gif": MAX_WALKED, ".npz": n}.get(kind, MAX_DRAWN)
    if n > most:
        raise OptionError(
            f"{out} holds at most {most:,} samples, not {n:,}; give a folder or an .npz file."
        )
    return kind


def _require_steps(n: int, steps: int) -> None:
    """Reject a walk of no frames, or of more than fit into memory and an animation."""
    most = MAX_FRAMES // n
    if not 1 <= steps <= most:
        raise OptionError(f"a walk of {n:,} samples has from 1 to {most:,} steps, not {steps:,}.")


def _write_sheet(content: Content, out: Path) -> dict[str, Any]:
    write_bytes(out, to_png(_sheet(content.generate().values)))
    return {}


def _write_walk(content: Content, out: Path) -> dict[str, Any]:
    write_bytes(out, mark_gif(_walk(content, content.drawn.n, content.steps)))
    return {"steps": content.steps}


def _write_files(content: Content, out: Path) -> dict[str, Any]:
    export(content.generate(), out)
    return {}


def _write_page(content: Content, out: Path) -> dict[str, Any]:
    samples, (known, split) = content.generate(), content.known()
    copies, nearest, apart = describe_copies(
        content.session.model, known.values, split, samples.values
    )
    page = render(
        "samples.html.jinja",
        title=f"Samples of {content.session.name}",
        lead=_describe(content),
        sheet=to_data_url(_sheet(samples.values)),
        classes=_draw_classes(content),
        verdict=describe_copies_verdict(copies),
        nearest=to_data_url(_draw_nearest(samples.values, known.values, nearest, apart)),
        is_signal=samples.is_signal,
        copies=copies,
        measures=content.measures,
        rows=_rows(content.measures),
        temperatures=to_data_url(_draw_temperatures(content)),
        walk=embed(_walk(content, WALKED, STEPS), "image/gif"),
        version=__version__,
    )
    write_bytes(out, page)
    return {"copies": copies}


WRITERS: dict[str, Callable[[Content, Path], dict[str, Any]]] = {
    ".png": _write_sheet,
    ".gif": _write_walk,
    ".html": _write_page,
    ".npz": _write_files,
    "": _write_files,  # a folder
}


# -- what a page shows --------------------------------------------------------------------------


def describe_copies_verdict(copies: dict[str, Any]) -> str:
    """Say in a sentence whether samples are copies of training samples; see `describe_copies`."""
    closer = copies["closer"]["rebuilt"]
    text = (
        "Of a generated sample and a test sample that the model has rebuilt, the generated one is "
        f"nearer to the training samples in {closer:.0%} of all pairs"
    )
    if closer >= COPIES:
        return f"{text}, which is more than for new samples; look at the pairs below."
    return f"{text}. For new samples it is about half, for copies nearly all."


def _describe(content: Content) -> str:
    """Say how the samples were made."""
    drawn, mixture = content.drawn, content.mixture
    of_class = "" if drawn.label is None else f" of the class {drawn.label}"
    if mixture is None:
        codes = "the standard normal distribution"
    else:
        codes = (
            f"a mixture of {count_of(len(mixture), 'normal distribution')}, which was fitted to "
            "the codes of training samples"
        )
    return (
        f"{drawn.n:,} new samples{of_class}: codes drawn from {codes}, and decoded. "
        f"Temperature {drawn.temperature:g}, seed {drawn.seed}."
    )


def _sheet(values: Values) -> "Figure":
    """Draw samples as a square, or as one row of few."""
    columns = len(values) if len(values) <= ROW else math.ceil(len(values) ** 0.5)
    return sheet(values, math.ceil(len(values) / columns), columns)


def _walk(content: Content, n: int, steps: int) -> bytes:
    return walk_gif(content.session.walk(content.draw(n=n), steps), steps)


def _draw_classes(content: Content) -> str:
    """Draw a row of samples for each class, if the mixture has a few of them."""
    counts = {} if content.mixture is None else content.mixture.counts
    names = [name for name in counts if name is not None]
    if content.drawn.label is not None or not 1 < len(names) <= MAX_CLASSES:
        return ""
    rows = [(name, content.generate(n=ROW, label=name).values) for name in names]
    return to_data_url(rows_of_samples(rows))


def _draw_nearest(generated: Values, known: Values, nearest: Indices, apart: Distances) -> "Figure":
    """Draw rows of generated samples, and below each row their nearest training samples."""
    rows: list[tuple[str, Values]] = []
    captions: list[list[str]] = []
    for start in range(0, min(MAX_NEAREST, len(generated)), ROW):
        part = slice(start, min(start + ROW, MAX_NEAREST))
        rows += [("generated", generated[part]), ("nearest", known[nearest[part]])]
        captions += [[], [f"{one:.3f}" for one in apart[part]]]
    return rows_of_samples(rows, captions)


def _draw_temperatures(content: Content) -> "Figure":
    rows = [(f"{one:g}", content.generate(n=ROW, temperature=one).values) for one in TEMPERATURES]
    return rows_of_samples(rows)


def _rows(measures: dict[str, Any] | None) -> list[tuple[str, dict[str, float], bool]]:
    """Return the rows of the table of measures: title, values, and whether it is this model."""
    rows = {} if measures is None else measures["rows"]
    return [(ROW_TITLES[name], rows[name], name in OWN) for name in ROW_TITLES if name in rows]

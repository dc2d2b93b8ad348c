"""The part of a report that is about a denoiser: its table, and images before and after."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.evaluation.denoisers import DenoisingSetup, plan_denoising
from isthmus.evaluation.denoising import NoisyImages, model_method, score, to_x
from isthmus.evaluation.summaries import (
    DENOISING_NOTE,
    compare_denoised,
    denoising_verdict,
    noise_title,
)
from isthmus.reports.page import to_data_url
from isthmus.session import Session
from isthmus.viz.denoised import Shown, denoised_figure, difference, to_pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from isthmus.evaluation.denoising import Method

MAX_SHOWN = 4  # images on a page, each of which takes about 1 MB


def denoiser_sections(session: Session, evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the sections about a denoiser."""
    return {
        "verdict": denoising_verdict(evaluation),
        "levels": compared_levels(evaluation),
        "note": DENOISING_NOTE,
        "examples": [to_data_url(figure) for figure in draw_denoised(session, evaluation)],
    }


def compared_levels(evaluation: dict[str, Any]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return for each strength of the noise its title, and what `compare_denoised` returns."""
    return [
        (noise_title(level["corrupt"]), compare_denoised({**level, "model": evaluation["model"]}))
        for level in evaluation["levels"]
    ]


def draw_denoised(
    session: Session, evaluation: dict[str, Any], limit: int = MAX_SHOWN
) -> list["Figure"]:
    """Draw test images: those of least and of most gain, at each strength of the noise."""
    setup = plan_denoising(session.run, session.images, model=session.trained)
    if not setup.test:
        rows = evenly_spaced(len(setup.images), limit)
        return [_draw_unknown(setup, int(row)) for row in rows]
    denoise = model_method(setup.model)
    return [
        _draw_known(setup.test[number], row, f"{what}, {setup.images.names[row]}", denoise)
        for number, row, what in _extremes(evaluation["levels"], limit)
    ]


def noisy_images(session: Session) -> NoisyImages | None:
    """Return the test images at the strength in the middle; None if none is clean."""
    test = plan_denoising(session.run, session.images, model=session.trained).test
    return test[len(test) // 2] if test else None


def _extremes(levels: list[dict[str, Any]], limit: int) -> list[tuple[int, int, str]]:
    """Return which images to show: the number of the strength, the row, and why."""
    each = max(1, limit // (2 * len(levels)))
    return [
        (number, example["row"], f"{what} gain")
        for number, level in enumerate(levels)
        for what, kind in (("least", "worst"), ("most", "best"))
        for example in level[kind][:each]
    ][: max(limit, 2 * len(levels))]


def _draw_known(noisy: NoisyImages, row: int, head: str, denoise: "Method") -> "Figure":
    x, clean = noisy.pair(row)
    y = denoise(x)
    head = f"{head}: {noise_title(str(noisy.corruption) if noisy.corruption else None)}"
    return denoised_figure(
        f"{head}, {describe_sides(x)}",
        [
            Shown(f"noisy, {score(x, clean)[0]:.2f} dB", to_pixels(last(x))),
            Shown(f"denoised, {score(y, clean)[0]:.2f} dB", to_pixels(last(y))),
            Shown("clean", to_pixels(last(clean))),
            Shown("denoised − clean, × 4", difference(last(y), last(clean))),
        ],
    )


def _draw_unknown(setup: DenoisingSetup, row: int) -> "Figure":
    x = to_x(setup.images.values[row])
    y = model_method(setup.model)(x)
    return denoised_figure(
        f"{setup.images.names[row]}, {describe_sides(x)}",
        [
            Shown("noisy", to_pixels(last(x))),
            Shown("denoised", to_pixels(last(y))),
            Shown("what was taken out, × 4", difference(last(x), last(y))),
        ],
    )


def describe_sides(x: NDArray[Any]) -> str:
    """Return the sides of an image (C, H, W) for people."""
    return f"{x.shape[1]:,} × {x.shape[2]:,} pixels"


def last(x: NDArray[Any]) -> NDArray[Any]:
    """Return an image (C, H, W) with its channels last."""
    return np.moveaxis(x, 0, -1)

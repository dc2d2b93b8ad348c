"""The part of a report that is about a denoiser: its table, and images before and after."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.evaluation.denoisers import DenoisingSetup, plan_denoising
from isthmus.evaluation.denoising import NoisyImages, model_method, score, to_x
from isthmus.evaluation.summaries import (
    compare_denoised,
    denoising_note,
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
        "note": denoising_note(evaluation),
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


def draw_compared(named: Mapping[str, Session], limit: int = 2) -> list["Figure"]:
    """Draw test images as several denoisers of the same data return them, with the first's noise.

    Empty where the first has no clean images.
    """
    first = next(iter(named.values()))
    test = plan_denoising(first.run, first.images, model=first.trained).test
    if not test:
        return []
    noisy = test[len(test) // 2]
    methods = {name: model_method(session.trained) for name, session in named.items()}
    rows = evenly_spaced(len(noisy), limit)
    return [_draw_by_each(noisy, int(row), methods) for row in rows]


def _draw_by_each(noisy: NoisyImages, row: int, methods: Mapping[str, "Method"]) -> "Figure":
    x, clean = noisy.pair(row)
    outputs = {name: method(x) for name, method in methods.items()}
    shown = {"noisy": x, **outputs}
    pictures = [
        Shown(f"{name}, {score(y, clean)[0]:.2f} dB", to_pixels(last(y)))
        for name, y in shown.items()
    ]
    pictures.append(Shown("clean", to_pixels(last(clean))))
    return denoised_figure(f"{noisy.images.names[row]}: {_title(noisy)}", pictures)


def _extremes(levels: list[dict[str, Any]], limit: int) -> list[tuple[int, int, str]]:
    """Return which images to show: the number of the strength, the row, and why."""
    each = max(1, limit // (2 * len(levels)))
    return [
        (number, example["row"], what)
        for number, level in enumerate(levels)
        for what, kind in _kinds(level)
        for example in level[kind][:each]
    ][: max(limit, 2 * len(levels))]


def _kinds(level: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return why images are shown, and where they are listed; a single image is shown once."""
    if level["worst"] == level["best"]:
        return (("the only test image", "best"),)
    return ("least gain", "worst"), ("most gain", "best")


def _draw_known(noisy: NoisyImages, row: int, head: str, denoise: "Method") -> "Figure":
    x, clean = noisy.pair(row)
    y = denoise(x)
    return denoised_figure(
        f"{head}: {_title(noisy)}, {describe_sides(x)}",
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


def _title(noisy: NoisyImages) -> str:
    return noise_title(None if noisy.corruption is None else str(noisy.corruption))


def describe_sides(x: NDArray[Any]) -> str:
    """Return the sides of an image (C, H, W) for people."""
    return f"{x.shape[1]:,} × {x.shape[2]:,} pixels"


def last(x: NDArray[Any]) -> NDArray[Any]:
    """Return an image (C, H, W) with its channels last."""
    return np.moveaxis(x, 0, -1)

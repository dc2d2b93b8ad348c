"""Pictures of masks: one class index a pixel, 255 where there is none (void)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.viz.canvas import DISTINCT, INK, blank_figure, draw_sample, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VOID = 255
WRONG, UNCOUNTED = "#e6002b", "#3d4650"
WIDE = 2.3  # inches of a picture
LEFT, TOP, GAP, LINE = 0.06, 0.26, 0.06, 0.19  # inches around pictures, and of a legend's line
OPACITY = 0.75  # of masks over pictures

Pixels = NDArray[np.uint8]


def segmentations(
    pictures: Pixels,
    predictions: Pixels,
    class_names: Sequence[str],
    truths: Pixels | None = None,
) -> "Figure":
    """Draw pictures in rows: the picture, the truth, the prediction and its errors.

    Without truths, the picture and the prediction. The legend names the classes that are seen.

    Parameters
    ----------
    pictures : (N, H, W, C) uint8
    predictions, truths : (N, H, W) uint8
        Indices into `class_names`; 255 in a truth is void.
    class_names : sequence of K str
    """
    each = [None] * len(pictures) if truths is None else truths
    rows = [_panels(*parts) for parts in zip(pictures, predictions, each, strict=True)]
    columns, tall = len(rows[0]), WIDE * pictures.shape[1] / pictures.shape[2]
    seen = [predictions] if truths is None else [predictions, truths]
    legend = _legend(seen, class_names)
    across = _across(legend, columns * WIDE)
    lines = -(-len(legend) // across)
    width = LEFT + columns * (WIDE + GAP)
    height = len(rows) * (tall + TOP) + lines * LINE + 0.2
    figure = blank_figure(width, height)
    for row, panels in enumerate(rows):
        bottom = height - (row + 1) * (tall + TOP)
        for column, (title, panel) in enumerate(panels.items()):
            left = LEFT + column * (WIDE + GAP)
            place = (left / width, bottom / height, WIDE / width, tall / height)
            axes = figure.add_axes(place)
            draw_sample(axes, panel)
            if row == 0 or title.startswith("errors"):
                axes.set_title(title, fontsize=8, color=INK, pad=3)
    _add_legend(figure, legend, across)
    return figure


def overlay(picture: Pixels, mask: Pixels, alpha: float = OPACITY) -> Pixels:
    """Blend the colors of classes over a picture; void is left as it is.

    Parameters
    ----------
    picture : (H, W, C) uint8
    mask : (H, W) uint8
        Class of each pixel; 255 is void.
    alpha : float
        Share of the class colors, in [0, 1].

    Returns
    -------
    (H, W, 3) uint8
    """
    below = _rgb(picture)
    above = np.zeros((VOID + 1, 3), np.uint8)
    kept = mask != VOID
    classes = int(mask[kept].max(initial=0)) + 1
    above[:classes] = colors(classes)
    blended = np.rint(alpha * above[mask].astype(np.float32) + (1 - alpha) * below)
    return np.where(kept[..., None], blended.astype(np.uint8), below)


def errors(picture: Pixels, prediction: Pixels, truth: Pixels) -> Pixels:
    """Paint wrong pixels red and void ones gray over a pale picture.

    Parameters
    ----------
    picture : (H, W, C) uint8
    prediction, truth : (H, W) uint8
        Classes of pixels; 255 in the truth is void.

    Returns
    -------
    (H, W, 3) uint8
    """
    gray = _rgb(picture).mean(2, keepdims=True)
    painted = np.repeat(np.rint(255 - (255 - gray) * 0.4).astype(np.uint8), 3, axis=2)
    painted[prediction != truth] = _bytes(WRONG)
    painted[truth == VOID] = _bytes(UNCOUNTED)
    return painted


def colors(classes: int) -> Pixels:
    """Return colors that are told apart, (classes, 3) uint8; those of fewer are their first.

    The first ten are `DISTINCT`. Each further one is, among the colors neither pale, dark nor
    gray, the one farthest from all before it: Glasbey, van der Heijden, Toh and Gray, Color
    Displays for Categorical Images, Color Research and Application 32, 2007, here with the
    color difference CIEDE2000.

    Parameters
    ----------
    classes : int
        Up to 255.
    """
    first = np.array([_bytes(color) for color in DISTINCT], np.uint8)
    return first[:classes] if classes <= len(first) else _palette()[:classes].copy()


@lru_cache(maxsize=1)
def _palette() -> Pixels:
    """Return 255 colors (255, 3), the first of them told apart best."""
    from skimage.color import rgb2lab

    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    rgb = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    lab = rgb2lab(rgb)
    lively = (lab[:, 0] >= 25) & (lab[:, 0] <= 92) & (np.hypot(lab[:, 1], lab[:, 2]) >= 25)
    rgb, lab = rgb[lively], lab[lively]
    first = np.array([_bytes(color) for color in DISTINCT], np.uint8)
    nearest = np.min([_differences(lab, color) for color in rgb2lab(first)], axis=0)
    further: list[Pixels] = []
    while len(first) + len(further) < VOID:
        farthest = int(nearest.argmax())
        further.append(rgb[farthest])
        nearest = np.minimum(nearest, _differences(lab, lab[farthest]))
    return np.concatenate([first, np.stack(further)])


def _differences(lab: NDArray[Any], color: NDArray[Any]) -> NDArray[np.float64]:
    """Return how far colors (N, 3) are from one, in units of CIEDE2000."""
    from skimage.color import deltaE_ciede2000

    return np.asarray(deltaE_ciede2000(lab, color[None]), np.float64)  # type: ignore[no-untyped-call]


def _panels(picture: Pixels, prediction: Pixels, truth: Pixels | None) -> dict[str, Pixels]:
    """Return what stands in a row, each with its title."""
    predicted = {"prediction": overlay(picture, prediction)}
    if truth is None:
        return {"picture": picture, **predicted}
    counted = truth != VOID
    wrong = (prediction != truth)[counted].mean() if counted.any() else 0.0
    painted = {f"errors: {wrong:.1%}": errors(picture, prediction, truth)}
    return {"picture": picture, "truth": overlay(picture, truth), **predicted, **painted}


def _legend(seen: Sequence[Pixels], class_names: Sequence[str]) -> dict[str, Any]:
    """Return the names and colors of the classes that are seen, and of errors where they are."""
    present = np.unique(np.concatenate([np.unique(masks) for masks in seen]))
    palette = colors(len(class_names)) / 255
    legend = {shorten(class_names[label], 20): palette[label] for label in present if label != VOID}
    if len(seen) > 1:
        legend["wrong"] = WRONG
    if VOID in present:
        legend["void"] = UNCOUNTED
    return legend


def _across(legend: dict[str, Any], width: float) -> int:
    """Return how many entries of a legend stand side by side in so many inches."""
    longest = max(map(len, legend))
    return max(1, min(len(legend), int(width / (0.35 + 0.075 * longest))))


def _add_legend(figure: "Figure", legend: dict[str, Any], columns: int) -> None:
    from matplotlib.patches import Patch

    figure.legend(
        handles=[Patch(color=color, label=name) for name, color in legend.items()],
        loc="lower center",
        borderaxespad=0.3,
        frameon=False,
        fontsize=8,
        ncols=columns,
        handlelength=1.2,
        columnspacing=1.0,
        labelcolor=INK,
    )


def _rgb(picture: Pixels) -> Pixels:
    """Return a picture (H, W, C) in color, (H, W, 3)."""
    gray = picture.shape[2] in (1, 2)
    return np.repeat(picture[..., :1], 3, axis=2) if gray else picture[..., :3]


def _bytes(color: str) -> tuple[int, ...]:
    """Return the three bytes of a color such as "#3f90da"."""
    return tuple(bytes.fromhex(color[1:]))

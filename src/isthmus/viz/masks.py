"""Pictures of masks: a class index for each pixel, 255 for void."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isthmus.viz.canvas import DISTINCT, TEXT, shorten, text_width
from isthmus.viz.mosaic import Box, Mosaic, Pixels, bytes_of, size_within, to_rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VOID = 255
ERROR_COLOR, VOID_COLOR = "#e6002b", "#3d4650"
MASK_OPACITY = 0.75  # of masks over pictures

# The colors after the first ten, each as three digits: its red, green and blue are LEVELS[digit].
LEVELS = np.array([0, 32, 64, 96, 128, 159, 191, 223, 255], np.uint8)
FURTHER = (
    "030083867320738412024053044803668865670534440238675530087844068446260874705811034465007746"
    "331400453612536758542335032504240056608243421650743066275450458324578548753036644220245825"
    "603563078740151422126581430063288662468733870354755318255347065437423734845305401474807606"
    "774635557762854720857042764630647842768645370476864701640342848435224533860520185832511552"
    "464756802424267230584546624642623853057326573413442657523512736525054540632560868643077028"
    "321535428524467522718404840073724538356146653420634532076754604620568770646658517750486351"
    "503622863636633048742856837353820852461757314834664855575564858064340702280745846521747526"
    "510703463316674448505215833843601637336615571058836704732824626452722875744407847358041558"
    "405553748735648"
)

# Pixels, of which a figure has 150 to an inch.
SIDE = 300  # of a picture, or of the nearest whole multiple of its own size
MIN_PITCH = 150  # so that titles do not overlap above narrow pictures
GAP, TITLE_HEIGHT = 9, 36
LEGEND_LINE, SWATCH = 29, 24  # a line of the legend, and a color in it


def segmentations(
    images: Pixels,
    predictions: Pixels,
    class_names: Sequence[str],
    targets: Pixels | None = None,
) -> "Figure":
    """Draw each image in a row: the image, the ground truth, the prediction and its errors.

    Without targets, only the image and the prediction. The legend names the classes that occur.

    Parameters
    ----------
    images : (N, H, W, C) uint8
    predictions, targets : (N, H, W) uint8
        Indices into `class_names`; 255 in a target is void.
    class_names : sequence of K str
    """
    each = [None] * len(images) if targets is None else targets
    rows = [_panels(*parts) for parts in zip(images, predictions, each, strict=True)]
    width, height = size_within(images[0], SIDE)
    pitch, row_height = max(width + GAP, MIN_PITCH), height + TITLE_HEIGHT
    masks = [predictions] if targets is None else [predictions, targets]
    legend = _legend_entries(masks, class_names)
    entry = SWATCH + 3 * GAP + text_width(legend, TEXT)  # the same for all, to align the columns
    outer = max(len(rows[0]) * pitch, entry)
    columns = min(len(legend), outer // entry)
    lines = -(-len(legend) // columns)
    mosaic = Mosaic(GAP + outer, len(rows) * row_height + lines * LEGEND_LINE + 3 * GAP)
    for row, panels in enumerate(rows):
        top = row * row_height + TITLE_HEIGHT
        for column, (title, panel) in enumerate(panels.items()):
            left = GAP + column * pitch + (pitch - GAP - width) // 2
            mosaic.place(panel, Box(left, top, width, height))
            # Only the share of errors is different in every row.
            if row == 0 or title.startswith("errors"):
                mosaic.write(left + width / 2, top - 7, title, TEXT)
    for number, (name, color) in enumerate(legend.items()):
        line, column = divmod(number, columns)
        top = len(rows) * row_height + 2 * GAP + line * LEGEND_LINE
        _draw_legend_entry(mosaic, GAP + column * entry, top, name, color)
    return mosaic.to_figure()


def overlay(image: Pixels, mask: Pixels, alpha: float = MASK_OPACITY) -> Pixels:
    """Blend the colors of classes over an image; void is left as it is.

    Parameters
    ----------
    image : (H, W, C) uint8
    mask : (H, W) uint8
        Class of each pixel; 255 is void.
    alpha : float
        Share of the class colors, in [0, 1].

    Returns
    -------
    (H, W, 3) uint8
    """
    below = to_rgb(image)
    above = np.zeros((VOID + 1, 3), np.uint8)
    counted = mask != VOID
    classes = int(mask[counted].max(initial=0)) + 1
    above[:classes] = colors(classes)
    blended = np.rint(alpha * above[mask].astype(np.float32) + (1 - alpha) * below)
    return np.where(counted[..., None], blended.astype(np.uint8), below)


def errors(image: Pixels, prediction: Pixels, target: Pixels) -> Pixels:
    """Paint wrong pixels red and void ones gray over a pale image.

    Parameters
    ----------
    image : (H, W, C) uint8
    prediction, target : (H, W) uint8
        Classes of pixels; 255 in the target is void.

    Returns
    -------
    (H, W, 3) uint8
    """
    gray = to_rgb(image).mean(2, keepdims=True)
    painted = np.repeat(np.rint(255 - (255 - gray) * 0.4).astype(np.uint8), 3, axis=2)
    painted[prediction != target] = bytes_of(ERROR_COLOR)
    painted[target == VOID] = bytes_of(VOID_COLOR)
    return painted


def colors(classes: int) -> Pixels:
    """Return colors that are told apart, (classes, 3) uint8; those of fewer are their first.

    The first ten are `DISTINCT`. Each further one is, among the colors neither pale, dark nor
    gray, the one farthest from all before it: Glasbey, van der Heijden, Toh and Gray, Color
    Displays for Categorical Images, Color Research and Application 32, 2007, here with the
    color difference CIEDE2000. They are stored: computing them needs scikit-image, and a second.

    Parameters
    ----------
    classes : int
        Up to 255.
    """
    first = np.array([bytes_of(color) for color in DISTINCT], np.uint8)
    further = LEVELS[np.array(list(FURTHER), int)].reshape(-1, 3)
    return np.concatenate([first, further])[:classes]


def _panels(image: Pixels, prediction: Pixels, target: Pixels | None) -> dict[str, Pixels]:
    """Return the pictures of a row, each with its title."""
    predicted = {"prediction": overlay(image, prediction)}
    if target is None:
        return {"image": image, **predicted}
    counted = target != VOID
    wrong = (prediction != target)[counted].mean() if counted.any() else 0.0
    painted = {f"errors: {wrong:.1%}": errors(image, prediction, target)}
    return {"image": image, "ground truth": overlay(image, target), **predicted, **painted}


def _legend_entries(masks: Sequence[Pixels], class_names: Sequence[str]) -> dict[str, Pixels]:
    """Return the names and colors of the classes in masks, and of errors if there are targets."""
    present = np.unique(np.concatenate([np.unique(some) for some in masks]))
    palette = colors(len(class_names))
    legend = {shorten(class_names[label], 20): palette[label] for label in present if label != VOID}
    if len(masks) > 1:
        legend["wrong"] = np.array(bytes_of(ERROR_COLOR), np.uint8)
    if VOID in present:
        legend["void"] = np.array(bytes_of(VOID_COLOR), np.uint8)
    return legend


def _draw_legend_entry(mosaic: Mosaic, left: int, top: int, name: str, color: Pixels) -> None:
    """Draw a colored field and a name."""
    mosaic.paste(np.broadcast_to(color, (SWATCH * 3 // 4, SWATCH, 3)), left, top)
    mosaic.write(left + SWATCH + GAP, top + SWATCH * 3 / 8, name, TEXT, ha="left", va="center")

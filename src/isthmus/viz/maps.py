"""Pictures of maps: points, small pictures in their places, and what lies between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import OptionError
from isthmus.viz.canvas import DISTINCT, INK, blank_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

MARKERS = ("o", "^", "s", "D")  # with the ten colors, 40 classes are told apart
OTHERS = "#d3d9e0"
QUIET = "#5b6673"
METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
LEGEND_ROWS = 20
GATHERED = 0.75  # spread of a class, in that of all samples, up to which its name has a place
THUMBNAILS = 26  # that would stand next to each other across a map
LEFT, BOTTOM, TOP = 0.7, 0.8, 0.4  # inches around the axes


class Drawn(Protocol):
    """What a picture needs to know of a map of N samples; see `isthmus.latent.maps.Map`."""

    @property
    def method(self) -> str:
        """How the map was made."""

    @property
    def xy(self) -> NDArray[np.float32]:
        """Points (N, 2)."""

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Classes (N,), if there are any."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def fitted(self) -> NDArray[np.bool_]:
        """Which samples the map was fitted on (N,); the others were placed."""

    @property
    def explained(self) -> tuple[float, float] | None:
        """The share of variance that each axis shows, for PCA."""


@dataclass(frozen=True, eq=False)
class Group:
    """Samples that look alike on a map, most often those of a class."""

    name: str
    color: str
    marker: str
    indices: NDArray[np.int64]


def scatter(fitted_map: Drawn, title: str = "") -> "Figure":
    """Draw a map as points, colored by class.

    Up to 40 classes are told apart, by ten colors and four shapes, in a legend and by their names
    at their medians. Of more, the ten with most samples are, and the others gray.

    Parameters
    ----------
    fitted_map : Drawn
    title : str
    """
    groups = _groups(fitted_map)
    figure, axes = _framed(fitted_map, title, groups, 5.8, _caption(fitted_map))
    axes.margins(0.04)
    axes.set_aspect("equal", adjustable="datalim")
    count = len(fitted_map.xy)
    size = float(np.clip(400 / np.sqrt(max(1, count)), 1.2, 40))
    opacity = float(np.clip(6 / max(1, count) ** 0.25, 0.35, 0.9))
    colors = np.empty(count, object)
    for group in groups:
        colors[group.indices] = group.color
    for marker in dict.fromkeys(group.marker for group in groups):
        for gray in (True, False):  # below the others
            parts = [
                g.indices for g in groups if g.marker == marker and (g.color == OTHERS) == gray
            ]
            if parts:  # in one lot and mixed, so that no class lies on top of all others
                mixed = np.random.default_rng(0).permutation(np.concatenate(parts))
                axes.scatter(
                    fitted_map.xy[mixed, 0],
                    fitted_map.xy[mixed, 1],
                    c=colors[mixed].tolist(),
                    s=size,
                    marker=marker,
                    alpha=opacity,
                    linewidths=0,
                    rasterized=True,
                )
    _name_groups(axes, fitted_map.xy, groups)
    return figure


def thumbnails(fitted_map: Drawn, images: NDArray[Any], title: str = "") -> "Figure":
    """Draw a map with small pictures of the samples, where they do not overlap.

    Parameters
    ----------
    fitted_map : Drawn
    images : (N, H, W, C) uint8
        In memory or memory-mapped; only those that are drawn are read.
    title : str

    Raises
    ------
    SettingsError
        If these are no images.
    """
    _require_images(images)
    height, width = images.shape[1:3]
    middle = (fitted_map.xy.min(0) + fitted_map.xy.max(0)) / 2
    side = float(np.ptp(fitted_map.xy, axis=0).max()) / THUMBNAILS or 1.0
    box = side * np.array([width, height]) / max(height, width)
    kept = _apart(fitted_map.xy, 1.08 * box)
    groups = _groups(fitted_map)
    caption = f"{_caption(fitted_map)} Pictures of {len(kept):,}."
    figure, axes = _framed(fitted_map, title, groups, 8.0, caption)
    colors = {int(i): group.color for group in groups for i in group.indices}
    for index in kept:
        left, bottom = fitted_map.xy[index] - box / 2
        extent = (left, left + box[0], bottom, bottom + box[1])
        _paint(axes, images[index], extent)
        if fitted_map.labels is not None:
            _frame(axes, extent, colors[index])
    reach = (THUMBNAILS + 2) / 2 * side
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] - reach, middle[1] + reach)
    return figure


def decoded_grid(
    decode: Callable[[NDArray[np.float32]], NDArray[Any]],
    z: NDArray[np.float32],
    side: int = 20,
    title: str = "",
) -> "Figure":
    """Draw what a decoder makes of a regular grid over codes of two numbers.

    Parameters
    ----------
    decode : callable
        Turns codes (M, 2) into images (M, H, W, C) uint8, as `TrainedModel.decode` does.
    z : (N, 2) float32
        Codes of samples: the grid spans the middle 98% of each of the two numbers.
    side : int
        Pictures in a row and in a column.
    title : str

    Raises
    ------
    SettingsError
        If the codes are not of two numbers, or what is decoded are no images.
    """
    if z.ndim != 2 or z.shape[1] != 2:
        raise OptionError(f"a grid is drawn over codes of 2 numbers, not over {z.shape}.")
    low, high = np.percentile(z, (1, 99), axis=0)
    low, high = np.where(high > low, (low, high), (low - 1, high + 1))
    across, up = (np.linspace(low[axis], high[axis], side) for axis in (0, 1))
    points = np.stack(np.meshgrid(across, up[::-1]), axis=-1)  # pictures go from the top down
    images = decode(points.reshape(-1, 2).astype(np.float32))
    _require_images(images)
    _, height, width, channels = images.shape
    rows = images.reshape(side, side, height, width, channels).swapaxes(1, 2)
    canvas = rows.reshape(side * height, side * width, channels)
    figure, axes = _room(6.6, 6.6 * height / width, title)
    half = (high - low) / max(1, side - 1) / 2  # the middle of a picture is where its code is
    extent = (low[0] - half[0], high[0] + half[0], low[1] - half[1], high[1] + half[1])
    _paint(axes, canvas, extent)
    for axis, number in ((axes.xaxis, "first"), (axes.yaxis, "second")):
        axis.set_label_text(_axis_name("code", number, None), color=INK, fontsize=9)
    return figure


def _groups(fitted_map: Drawn) -> list[Group]:
    """Divide samples by class, and give each class a color and a shape."""
    labels = fitted_map.labels
    if labels is None:
        return [Group("", DISTINCT[0], MARKERS[0], np.arange(len(fitted_map.xy)))]
    names = fitted_map.class_names or tuple(map(str, range(int(labels.max(initial=0)) + 1)))
    counts = np.bincount(labels, minlength=len(names))
    shown = list(range(len(names)))
    if len(names) > len(DISTINCT) * len(MARKERS):
        shown = np.argsort(-counts, kind="stable")[: len(DISTINCT)].tolist()
    groups = [
        Group(
            names[label],
            DISTINCT[number % len(DISTINCT)],
            MARKERS[number // len(DISTINCT)],
            np.flatnonzero(labels == label),
        )
        for number, label in enumerate(shown)
        if counts[label]
    ]
    others = np.flatnonzero(~np.isin(labels, shown))
    if len(others):
        count = len(np.unique(labels[others]))
        groups.append(Group(f"{count:,} other classes", OTHERS, MARKERS[0], others))
    return groups


def _room(across: float, up: float, title: str, right: float = 0.2) -> tuple["Figure", "Axes"]:
    """Return axes of so many inches with room around them."""
    width, height = LEFT + across + right, BOTTOM + up + TOP
    figure = blank_figure(width, height)
    place = (LEFT / width, BOTTOM / height, across / width, up / height)
    axes = figure.add_axes(place)
    axes.spines[:].set_color("#c8ced6")
    axes.tick_params(labelsize=8, colors=QUIET)
    axes.set_title(title, fontsize=11, color=INK)
    return figure, axes


def _framed(
    fitted_map: Drawn, title: str, groups: Sequence[Group], side: float, caption: str
) -> tuple["Figure", "Axes"]:
    """Return square axes of `side` inches with names, a caption, and a legend of the classes."""
    columns = 0 if fitted_map.labels is None else -(-len(groups) // LEGEND_ROWS)
    longest = max((len(shorten(group.name, 20)) for group in groups), default=0)
    figure, axes = _room(side, side, title, 0.2 + columns * (0.35 + 0.085 * longest))
    shares = fitted_map.explained or (None, None)
    for axis, number, share in zip(
        (axes.xaxis, axes.yaxis), ("first", "second"), shares, strict=True
    ):
        axis.set_label_text(_axis_name(fitted_map.method, number, share), color=INK, fontsize=9)
    if fitted_map.method in ("tsne", "umap"):  # their units mean nothing
        axes.set_xticks([])
        axes.set_yticks([])
    width, height = figure.get_size_inches()
    figure.text(LEFT / width, 0.15 / height, caption, fontsize=8, color=QUIET)
    if columns:
        _add_legend(axes, groups, columns)
    return figure, axes


def _axis_name(method: str, number: str, share: float | None) -> str:
    if method == "code":
        return f"{number} number of the code"
    if method == "pca":
        shown = "" if share is None else f" ({share:.1%} of the variance)"
        return f"{number} principal component{shown}"
    return f"{METHODS.get(method, method)}, {number} axis"


def _caption(fitted_map: Drawn) -> str:
    count, fitted = len(fitted_map.xy), int(fitted_map.fitted.sum())
    samples = f"{count:,} samples" if count > 1 else "1 sample"
    if fitted_map.method == "code":
        return f"{samples}, each at the two numbers of its code."
    method = METHODS.get(fitted_map.method, fitted_map.method)
    if not fitted:
        return f"{samples}, placed on a map by {method}."
    text = f"{samples}, drawn by {method}"
    if fitted < count:
        text += f", which was fitted on {fitted:,}; the other {count - fitted:,} were placed"
    return f"{text}."


def _add_legend(axes: "Axes", groups: Sequence[Group], columns: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=g.color, marker=g.marker, linestyle="", label=shorten(g.name, 20))
        for g in groups
    ]
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
        frameon=False,
        fontsize=8,
        ncols=columns,
        handletextpad=0.2,
        columnspacing=0.8,
        labelcolor=INK,
    )


def _name_groups(axes: "Axes", xy: NDArray[np.float32], groups: Sequence[Group]) -> None:
    """Write the names of classes at their medians, lower where they would overlap.

    A class that is spread over the whole map has no place, and is named in the legend only.
    """
    from matplotlib.patheffects import withStroke

    whole = GATHERED * _spread(xy)
    named = [g for g in groups if g.name and g.color != OTHERS and _spread(xy[g.indices]) <= whole]
    medians = [np.median(xy[group.indices], axis=0) for group in named]
    axes.apply_aspect()
    taken: list[Bbox] = []
    for index in sorted(range(len(named)), key=lambda i: -medians[i][1]):  # from the top
        text = axes.text(
            medians[index][0],
            medians[index][1],
            shorten(named[index].name),
            ha="center",
            va="center",
            fontsize=9 if len(named) <= 20 else 7,
            color=INK,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
        box = _lowered(text.get_window_extent(), taken)
        x, y = axes.transData.inverted().transform(((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2))
        text.set_position((float(x), float(y)))
        taken.append(box)


def _spread(xy: NDArray[np.float32]) -> float:
    """Return the median distance of points from their median."""
    return float(np.median(np.linalg.norm(xy - np.median(xy, axis=0), axis=1)))


def _lowered(box: "Bbox", taken: Sequence["Bbox"]) -> "Bbox":
    """Move a box down until it overlaps none of the others."""
    while under := [other for other in taken if box.overlaps(other)]:
        box = box.translated(0, min(other.y0 for other in under) - box.y1 - 1)
    return box


def _apart(xy: NDArray[np.float32], box: NDArray[np.float64]) -> list[int]:
    """Choose points around which boxes of that width and height do not overlap."""
    cells = np.floor((xy - xy.min(0)) / box).astype(int).tolist()
    kept: dict[tuple[int, int], int] = {}
    around = [(across, up) for across in (-1, 0, 1) for up in (-1, 0, 1)]
    for index in np.random.default_rng(0).permutation(len(xy)).tolist():
        column, row = cells[index]
        near = [kept.get((column + across, row + up)) for across, up in around]
        if all(n is None or (np.abs(xy[n] - xy[index]) >= box).any() for n in near):
            kept[column, row] = index
    return list(kept.values())


def _frame(axes: "Axes", extent: tuple[float, float, float, float], color: str) -> None:
    from matplotlib.patches import Rectangle

    left, right, bottom, top = extent
    axes.add_patch(
        Rectangle((left, bottom), right - left, top - bottom, fill=False, ec=color, lw=1.6)
    )


def _paint(
    axes: "Axes", image: NDArray[np.uint8], extent: tuple[float, float, float, float]
) -> None:
    shown = image[..., 0] if image.shape[-1] in (1, 2) else image[..., :3]
    axes.imshow(shown, extent=extent, aspect="auto", cmap="gray", vmin=0, vmax=255)


def _require_images(images: NDArray[Any]) -> None:
    if images.ndim != 4:
        raise OptionError("only images can be drawn on a map, not signals; draw points.")

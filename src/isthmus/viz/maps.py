"""Pictures of maps: points, thumbnails at their points, and grids of decoded codes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import OptionError
from isthmus.viz.canvas import (
    BORDER,
    DISTINCT,
    DPI,
    HEADING,
    LABEL,
    QUIET,
    SMALL,
    TEXT,
    add_legend,
    blank_figure,
    shorten,
    text_style,
    text_width,
)
from isthmus.viz.fonts import drawable
from isthmus.viz.mosaic import Pixels, bytes_of, resize, size_of_cells, to_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

MARKERS = ("o", "^", "s", "D")  # with the ten colors, 40 classes are told apart
NO_CLASS = -1  # the label of a sample without a class
OTHERS_COLOR = "#d3d9e0"  # of the classes that have no color of their own
METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
LEGEND_ROWS = 20
# Spread of a class, as a share of that of all samples, up to which its name is written at its
# median; above, the median says nothing about where its samples are.
MAX_NAMED_SPREAD = 0.75
MIN_NAMED = 3  # samples of a class whose name is written on the map; it would hide fewer
MAP_SIDE, THUMBNAIL_MAP_SIDE, GRID_SIDE = 5.8, 8.0, 6.6  # inches of the axes
LEFT, BOTTOM, TOP = 0.7, 0.8, 0.4  # inches around the axes
THUMBNAILS = 26  # that fit next to each other across a map
FRAME_WIDTH = 3  # pixels of the frame of a thumbnail


class MapLike(Protocol):
    """What a picture needs of a map of N samples; see `isthmus.latent.maps.Map`.

    A protocol, as viz stands next to the modules that compute and imports none of them.
    """

    @property
    def method(self) -> str:
        """A key of `isthmus.latent.maps.METHODS`."""

    @property
    def xy(self) -> NDArray[np.float32]:
        """Points (N, 2)."""

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Classes (N,), if there are any; -1 for a sample without one."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def fitted(self) -> NDArray[np.bool_]:
        """Which samples the map was fitted on (N,); the others were added afterwards."""

    @property
    def explained(self) -> tuple[float, float] | None:
        """The share of variance that each axis shows, for PCA."""


@dataclass(frozen=True, eq=False)
class Group:
    """Samples drawn in the same color and shape, usually those of a class."""

    name: str
    color: str
    marker: str
    indices: NDArray[np.int64]


def scatter(fitted_map: MapLike, title: str = "") -> "Figure":
    """Draw a map as points, colored by class.

    Up to 40 classes are told apart, by ten colors and four shapes, in a legend and by their names
    at their medians. Of more, the ten with most samples are, and the others gray.

    Parameters
    ----------
    fitted_map : MapLike
    title : str
    """
    groups = _groups(fitted_map)
    figure, axes = _map_axes(fitted_map, title, groups, MAP_SIDE, _caption(fitted_map))
    axes.margins(0.04)
    axes.set_aspect("equal", adjustable="datalim")
    count = len(fitted_map.xy)
    # Smaller and paler with more points, so that dense regions do not become one blot.
    style: dict[str, Any] = {
        "s": float(np.clip(400 / np.sqrt(max(1, count)), 1.2, 40)),
        "alpha": float(np.clip(6 / max(1, count) ** 0.25, 0.35, 0.9)),
        "linewidths": 0,
    }
    colors = np.zeros((count, 3))
    for group in groups:
        colors[group.indices] = np.array(bytes_of(group.color)) / 255
    for marker, indices in _layers(groups):
        x, y = fitted_map.xy[indices].T
        axes.scatter(x, y, c=colors[indices], marker=marker, **style)
    _name_groups(axes, fitted_map.xy, groups)
    return figure


def thumbnails(fitted_map: MapLike, images: NDArray[Any], title: str = "") -> "Figure":
    """Draw a map with small pictures of the samples, where they do not overlap.

    Parameters
    ----------
    fitted_map : MapLike
    images : (N, H, W, C) uint8
        In memory or memory-mapped; only those that are drawn are read.
    title : str

    Raises
    ------
    OptionError
        If these are no images.
    """
    _require_images(images)
    side = round(THUMBNAIL_MAP_SIDE * DPI)
    width, height = size_of_cells(images.shape[1:3], side // (THUMBNAILS + 2))
    room = np.array([width, height]) + 2 * FRAME_WIDTH
    low, high = fitted_map.xy.min(0), fitted_map.xy.max(0)
    middle, extent = (low + high) / 2, float((high - low).max()) or float(THUMBNAILS)
    scale = extent / (side - room.max() - 2 * FRAME_WIDTH)  # units of the map per pixel
    chosen = _without_overlap(fitted_map.xy, (room + 1) * scale)
    groups = _groups(fitted_map)
    caption = f"{_caption(fitted_map)} Pictures of {len(chosen):,}."
    figure, axes = _map_axes(fitted_map, title, groups, THUMBNAIL_MAP_SIDE, caption)
    frames = {} if fitted_map.labels is None else _colors(groups)
    canvas = np.full((side, side, 3), 255, np.uint8)
    corners = np.rint((fitted_map.xy - middle) / scale * (1, -1) + side / 2 - room / 2).astype(int)
    for index in chosen:
        pixels = resize(to_rgb(images[index]), width, height)
        left, top = corners[index].tolist()
        _paste_framed(canvas, pixels, left, top, frames.get(index, "#ffffff"))
    (x, y), reach = middle.tolist(), side / 2 * scale
    _fill(axes, canvas, (x - reach, x + reach, y - reach, y + reach))
    return figure


def decoded_grid(
    decode: Callable[[NDArray[np.float32]], NDArray[Any]],
    z: NDArray[np.float32],
    side: int = 20,
    title: str = "",
) -> "Figure":
    """Draw the images that a decoder returns for a regular grid of codes of two numbers.

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
    OptionError
        If the codes are not of two numbers, or what is decoded are no images.
    """
    if z.ndim != 2 or z.shape[1] != 2:
        raise OptionError(f"a grid needs codes of 2 numbers, not of shape {z.shape}.")
    # A few codes far away from all others would make the grid coarse where the samples are.
    low, high = np.percentile(z, (1, 99), axis=0)
    low, high = np.where(high > low, (low, high), (low - 1, high + 1))
    across, up = (np.linspace(low[axis], high[axis], side) for axis in (0, 1))
    points = np.stack(np.meshgrid(across, up[::-1]), axis=-1)  # pictures go from the top down
    images = decode(points.reshape(-1, 2).astype(np.float32))
    _require_images(images)
    canvas = _tile(images, side)
    height, width = canvas.shape[:2]
    figure, axes = _blank_axes(width / DPI, height / DPI, title)
    half = (high - low) / max(1, side - 1) / 2  # the middle of a picture is where its code is
    _fill(axes, canvas, (low[0] - half[0], high[0] + half[0], low[1] - half[1], high[1] + half[1]))
    for axis, number in ((axes.xaxis, "first"), (axes.yaxis, "second")):
        axis.set_label_text(_axis_name("code", number, None), **text_style(LABEL))
    return figure


def _groups(fitted_map: MapLike) -> list[Group]:
    """Group samples by class, and give each class a color and a shape."""
    labels = fitted_map.labels
    if labels is None:
        return [Group("", DISTINCT[0], MARKERS[0], np.arange(len(fitted_map.xy)))]
    names = fitted_map.class_names or tuple(map(str, range(int(labels.max(initial=0)) + 1)))
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
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
    others = np.flatnonzero(~np.isin(labels, [*shown, NO_CLASS]))
    if len(others):
        count = len(np.unique(labels[others]))
        groups.append(Group(f"{count:,} other classes", OTHERS_COLOR, MARKERS[0], others))
    without = np.flatnonzero(labels == NO_CLASS)
    if len(without):
        groups.append(Group("without a class", OTHERS_COLOR, MARKERS[1], without))
    return groups


def _blank_axes(
    across: float, up: float, title: str, right: float = 0.2
) -> tuple["Figure", "Axes"]:
    """Return axes of so many inches with room around them."""
    width, height = LEFT + across + right, BOTTOM + up + TOP
    figure = blank_figure(width, height)
    place = (LEFT / width, BOTTOM / height, across / width, up / height)
    axes = figure.add_axes(place)
    axes.spines[:].set_color(BORDER)
    axes.tick_params(labelsize=TEXT, colors=QUIET)
    axes.set_title(drawable(title), **text_style(HEADING))
    return figure, axes


def _map_axes(
    fitted_map: MapLike, title: str, groups: Sequence[Group], side: float, caption: str
) -> tuple["Figure", "Axes"]:
    """Return square axes of `side` inches with names, a caption, and a legend of the classes."""
    columns = 0 if fitted_map.labels is None else -(-len(groups) // LEGEND_ROWS)
    longest = text_width((shorten(group.name, 20) for group in groups), TEXT) / DPI
    figure, axes = _blank_axes(side, side, title, 0.2 + columns * (0.35 + longest))
    shares = fitted_map.explained or (None, None)
    for axis, number, share in zip(
        (axes.xaxis, axes.yaxis), ("first", "second"), shares, strict=True
    ):
        axis.set_label_text(_axis_name(fitted_map.method, number, share), **text_style(LABEL))
    if fitted_map.method in ("tsne", "umap"):  # their units mean nothing
        axes.set_xticks([])
        axes.set_yticks([])
    width, height = figure.get_size_inches()
    figure.text(LEFT / width, 0.15 / height, caption, **text_style(TEXT, QUIET))
    if columns:
        _add_group_legend(axes, groups, columns)
    return figure, axes


def _axis_name(method: str, number: str, share: float | None) -> str:
    if method == "code":
        return f"{number} number of the code"
    if method == "pca":
        shown = "" if share is None else f" ({share:.1%} of the variance)"
        return f"{number} principal component{shown}"
    return f"{METHODS.get(method, method)}, {number} axis"


def _caption(fitted_map: MapLike) -> str:
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


def _add_group_legend(axes: "Axes", groups: Sequence[Group], columns: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=group.color, marker=group.marker, linestyle="") for group in groups
    ]
    add_legend(
        axes,
        handles,
        [shorten(group.name, 20) for group in groups],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
        fontsize=TEXT,
        ncols=columns,
        handletextpad=0.2,
        columnspacing=0.8,
    )


def _name_groups(axes: "Axes", xy: NDArray[np.float32], groups: Sequence[Group]) -> None:
    """Write the names of classes at their medians, lower where they would overlap.

    A class that is spread over the whole map, or has very few samples, is named in the legend
    only.
    """
    from matplotlib.patheffects import withStroke

    most = MAX_NAMED_SPREAD * _spread(xy)
    own = [group for group in groups if group.name and group.color != OTHERS_COLOR]
    named = [
        group
        for group in own
        if len(group.indices) >= MIN_NAMED and _spread(xy[group.indices]) <= most
    ]
    medians = [np.median(xy[group.indices], axis=0) for group in named]
    axes.apply_aspect()  # sets the limits now: text is placed in pixels, which depend on them
    taken: list[Bbox] = []
    for index in sorted(range(len(named)), key=lambda i: -medians[i][1]):  # from the top
        text = axes.text(
            medians[index][0],
            medians[index][1],
            drawable(shorten(named[index].name)),
            horizontalalignment="center",
            verticalalignment="center",
            **text_style(LABEL if len(named) <= 20 else SMALL),
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
        box = _move_down(text.get_window_extent(), taken)
        x, y = axes.transData.inverted().transform(((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2))
        text.set_position((float(x), float(y)))
        taken.append(box)


def _spread(xy: NDArray[np.float32]) -> float:
    """Return the median distance of points from their median."""
    return float(np.median(np.linalg.norm(xy - np.median(xy, axis=0), axis=1)))


def _move_down(box: "Bbox", taken: Sequence["Bbox"]) -> "Bbox":
    """Move a box down until it overlaps none of the others."""
    while under := [other for other in taken if box.overlaps(other)]:
        box = box.translated(0, min(other.y0 for other in under) - box.y1 - 1)
    return box


def _layers(groups: Sequence[Group]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the marker and the samples of each layer of points, from the bottom.

    One call of Matplotlib draws points of one marker. The samples of all its classes are mixed,
    so that no class lies on top of all others; gray ones are below.
    """
    for marker in dict.fromkeys(group.marker for group in groups):
        same = [group for group in groups if group.marker == marker]
        for is_gray in (True, False):
            parts = [g.indices for g in same if (g.color == OTHERS_COLOR) == is_gray]
            if parts:
                yield marker, np.random.default_rng(0).permutation(np.concatenate(parts))


def _without_overlap(xy: NDArray[np.float32], box: NDArray[np.float64]) -> list[int]:
    """Choose points around which boxes of that width and height do not overlap."""
    # In cells as large as a box there is one point at most, and only the eight cells around it
    # can have a point that is too near.
    cells = np.floor((xy - xy.min(0)) / box).astype(int).tolist()
    chosen: dict[tuple[int, int], int] = {}
    around = [(across, up) for across in (-1, 0, 1) for up in (-1, 0, 1)]
    for index in np.random.default_rng(0).permutation(len(xy)).tolist():
        column, row = cells[index]
        near = [chosen.get((column + across, row + up)) for across, up in around]
        if all(n is None or (np.abs(xy[n] - xy[index]) >= box).any() for n in near):
            chosen[column, row] = index
    return list(chosen.values())


def _colors(groups: Sequence[Group]) -> dict[int, str]:
    """Return the color of each sample."""
    return {index: group.color for group in groups for index in group.indices.tolist()}


def _paste_framed(canvas: Pixels, pixels: Pixels, left: int, top: int, color: str) -> None:
    """Put a picture in a frame on a canvas, its top left corner at the frame's."""
    height, width = pixels.shape[:2]
    bottom, right = top + height + 2 * FRAME_WIDTH, left + width + 2 * FRAME_WIDTH
    canvas[top:bottom, left:right] = bytes_of(color)
    canvas[top + FRAME_WIDTH : bottom - FRAME_WIDTH, left + FRAME_WIDTH : right - FRAME_WIDTH] = (
        pixels
    )


def _tile(images: NDArray[np.uint8], side: int) -> Pixels:
    """Put pictures (side², H, W, C) in rows without gaps, in the size of `GRID_SIDE`."""
    _, height, width, channels = images.shape
    rows = images.reshape(side, side, height, width, channels).swapaxes(1, 2)
    canvas = to_rgb(rows.reshape(side * height, side * width, channels))
    return resize(canvas, *size_of_cells(canvas.shape[:2], round(GRID_SIDE * DPI)))


def _fill(axes: "Axes", canvas: Pixels, extent: tuple[float, float, float, float]) -> None:
    """Fill axes with pixels; `extent` is their left, right, bottom and top in data units."""
    from isthmus.viz.artist import PixelCanvas

    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.add_artist(PixelCanvas(canvas))


def _require_images(images: NDArray[Any]) -> None:
    if images.ndim != 4:
        raise OptionError("only images can be drawn on a map, not signals; draw points.")

"""What all pictures share: the blank figure, a sample on axes, the way to a PNG file."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from isthmus.errors import OptionError
from isthmus.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1c2733"
# Told apart by color-blind readers: Petroff, Accessible Color Sequences for Data
# Visualization, 2021.
DISTINCT = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)


def blank_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of so many inches."""
    from matplotlib.figure import Figure  # without pyplot there is no global state to clean up

    return Figure((width, height), facecolor="white")


def draw_sample(axes: "Axes", sample: NDArray[Any]) -> None:
    """Draw an image (H, W, C) or a signal (L, C), without ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    if sample.ndim == 2:
        axes.plot(sample, linewidth=0.9)
        axes.margins(x=0)
        return
    channels = sample.shape[2]
    shown = sample[..., 0] if channels in (1, 2) else sample[..., :3]
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for spine in axes.spines.values():
        spine.set_visible(False)


def to_png(figure: "Figure", dpi: int = 150) -> bytes:
    """Return a figure as the content of a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi, facecolor="white")
    return content.getvalue()


def write_png(path: Path, figure: "Figure") -> None:
    """Write a figure as a PNG file, whole or not at all; see `require_png`."""
    require_png(path)
    write_bytes(path, to_png(figure))


def require_png(path: Path) -> None:
    """Refuse a name that promises another kind of file than a PNG."""
    if path.suffix.lower() != ".png":
        raise OptionError(f"{path} is to be a PNG picture; give a name that ends in .png.")


def short_name(name: str, length: int = 16) -> str:
    """Return the last part of a path, cut to `length` characters."""
    return shorten(name.rsplit("/", 1)[-1], length)


def shorten(text: str, length: int = 16) -> str:
    """Return a text, such as the name of a class, cut to `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"

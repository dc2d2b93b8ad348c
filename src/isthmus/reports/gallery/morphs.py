"""Ways from sample to sample."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isthmus.data.samples import Samples
from isthmus.errors import OptionError
from isthmus.files import write_bytes
from isthmus.inference import TrainedModel
from isthmus.latent.codes import encode
from isthmus.latent.interpolation import class_direction, interpolate, interpolate_grid, traverse
from isthmus.viz.canvas import write_png
from isthmus.viz.grids import rows_of_samples
from isthmus.viz.strips import gif, sheet, strip

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def morphs(model: TrainedModel, samples: Samples, count: int, steps: int = 9) -> "Figure":
    """Draw `count` morphs between pairs of samples that are spread over all.

    With labels, the ends of each are of different classes where they can be.
    """
    ends = _pairs(samples, count)
    rows = []
    for start, end in ends:
        pair = samples.take(np.array([start, end]))
        first, last = model.encode(pair)
        frames = model.decode(interpolate(first, last, steps))
        rows.append(("", np.concatenate([pair.values[:1], frames, pair.values[1:]])))
    return rows_of_samples(rows)


def write_morph(
    model: TrainedModel,
    ends: Sequence[Samples],
    out: Path,
    *,
    steps: int = 7,
    path: str = "linear",
    classes: tuple[Samples, str, str] | None = None,
) -> None:
    """Write a morph: a strip or a film between two samples, or a sheet between four.

    Parameters
    ----------
    model : TrainedModel
    ends : sequence of Samples
        Of one sample each: two or four of them; one, if there are `classes`.
    out : Path
        A picture (.png), or a film between two samples (.gif).
    steps : int
        From one end to the other.
    path : str
        A key of `PATHS`.
    classes : (Samples, str, str), optional
        Labelled samples and two of their classes: go from the one sample in the direction between
        the means of their codes.

    Raises
    ------
    SettingsError
        If there are not as many samples, there is no such path or class, a class is too small, or
        the name ends otherwise.
    """
    needed = (1,) if classes else (2, 4)
    if len(ends) not in needed:
        wanted = " or ".join(map(str, needed))
        raise OptionError(f"a morph needs {wanted} images here, not {len(ends)}.")
    if classes and path != "linear":
        raise OptionError(f"the way between classes is straight; leave the path {path} out.")
    z = [model.encode(end)[0] for end in ends]
    last = None if classes else ends[-1].values[0]
    if classes is not None:
        codes = traverse(z[0], class_direction(encode(model, classes[0]), *classes[1:]), steps)
    elif len(z) == 2:
        codes = interpolate(z[0], z[1], steps, path)
    else:
        codes = interpolate_grid(z[0], z[1], z[2], z[3], steps, steps, path).reshape(
            steps * steps, -1
        )
    frames = model.decode(codes)
    if len(ends) == 4:
        write_png(out, sheet(frames, steps, steps))
    elif out.suffix.lower() == ".gif":
        write_bytes(out, gif(frames))
    else:
        write_png(out, strip(ends[0].values[0], last, frames))


def _pairs(samples: Samples, count: int) -> list[tuple[int, int]]:
    """Return pairs of indices, the same every time."""
    order = np.random.default_rng(0).permutation(len(samples))
    pairs: list[tuple[int, int]] = []
    for start, end in zip(order[::2], order[1::2], strict=False):
        same = samples.labels is not None and samples.labels[start] == samples.labels[end]
        if not same or len(samples.class_names) < 2:
            pairs.append((int(start), int(end)))
    return pairs[:count] or [(0, len(samples) - 1)]

"""What was done to the images of a source to make them fit a model, in a sentence."""

from collections.abc import Mapping
from pathlib import Path

from isthmus.data.decode import format_size
from isthmus.data.remote.addresses import name_source
from isthmus.data.report import OTHERS
from isthmus.data.samples import Samples
from isthmus.text import count_of

Sizes = Mapping[tuple[int, ...], int]

MANY: tuple[int, ...] = (0, 0)  # stands for all sizes that the report does not keep
COLORS = {1: "gray", 3: "RGB"}


def describe_use(source: str | Path, samples: Samples) -> list[str]:
    """Say what was left out or guessed of a source to use a model on, and how it was made to fit.

    What makes training difficult does not matter here: it is said only next to the others.

    Returns
    -------
    list of str
        A few lines, or none.
    """
    report = samples.report
    is_open = report is not None and (report.left_out or report.guesses)
    lines = report.summary() if report is not None and is_open else []
    fitting = describe_fitting(samples)
    return [*lines, f"{name_source(source)}: {fitting}"] if fitting else lines


def describe_fitting(samples: Samples) -> str:
    """Say how images were cropped, resized and recolored; "" if they were of the shape already.

    Examples
    --------
    >>> from isthmus.data.load import load
    >>> describe_fitting(load("digits"))
    ''
    """
    if samples.is_signal or not samples.origin.source:
        return ""
    sizes, kinds = _measure(samples)
    texts = [_describe_sides(sizes, samples), _describe_colors(kinds, samples.shape[2])]
    done = ", and ".join(text for text in texts if text)
    done = f"{done}, as the model takes them" if done else ""
    return "; ".join(text for text in (done, _describe_stretch(samples)) if text)


def _describe_stretch(samples: Samples) -> str:
    """Say where the values that the model takes for black and white are not those of the source."""
    if samples.report is None or samples.origin.preprocessing.stretch is None:
        return ""
    texts = [
        note.text for note in samples.report.notes if note.code in ("unstretched", "low-range")
    ]
    return "; ".join(texts)


def _measure(samples: Samples) -> tuple[Sizes, Mapping[str, int]]:
    """Return how many images have each height and width, and each kind of file, if it is known."""
    report = samples.report
    if report is None:  # a picture alone, of which nothing is kept
        origin = samples.origin
        facts = origin.preprocessing.decode_and_measure(origin.source)[1]
        return {(facts.height, facts.width): 1}, {facts.kind: 1}
    if report.values is not None:  # an array (N, H, W) or (N, H, W, C); a table tells nothing
        shape = report.values.shape
        if len(shape) not in (3, 4):
            return {}, {}
        color = "gray" if len(shape) == 3 or shape[3] == 1 else "RGB"
        return {shape[1:3]: report.count}, {color: report.count}
    sizes = {
        MANY if size == OTHERS else tuple(map(int, size.split(" × "))): count
        for size, count in report.sizes.items()
    }
    return sizes, report.kinds


def _describe_sides(sizes: Sizes, samples: Samples) -> str:
    sides, crop = samples.shape[:2], samples.origin.preprocessing.crop
    changed = {size: count for size, count in sizes.items() if size != sides}
    if not changed:
        return ""
    is_cropped = crop is not None and any(max(size) > crop or size[0] != size[1] for size in sizes)
    which = format_size(next(iter(changed))) if len(changed) == 1 else f"{len(changed)} sizes"
    which = "many sizes" if MANY in changed else which
    done = f"{'cropped and ' * is_cropped}resized to {format_size(sides)}"
    count = sum(changed.values())
    return f"{count_of(count, f'image of {which} was', f'images of {which} were')} {done}"


def _describe_colors(kinds: Mapping[str, int], channels: int) -> str:
    if channels not in COLORS:
        return ""
    is_other = {kind: ("gray" in kind) != (channels == 1) for kind in kinds}
    count = sum(kinds[kind] for kind, other in is_other.items() if other)
    done = f"turned from {COLORS[4 - channels]} into {COLORS[channels]}"
    return f"{count_of(count, 'image was', 'images were')} {done}" if count else ""

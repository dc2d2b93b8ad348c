"""Masks in shards: `17.seg.png` next to `17.jpg`, and a list of their classes."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np

from isthmus.data.export import encode_png
from isthmus.data.manifest import Content, Manifest
from isthmus.data.masks.mask import MaskError
from isthmus.data.pictures.opening import measure_content, read_content
from isthmus.data.preprocess import Preprocessing
from isthmus.data.readers.masks.class_lists import CLASSES_FILE, COLOR_LISTS, parse_list
from isthmus.data.readers.shards.members import MASK
from isthmus.errors import OptionError, SourceError, first_sentence
from isthmus.text import to_utf8

T = TypeVar("T")


def read_file(file: Content) -> bytes | SourceError:
    """Return the content of a file, or the reason why it has none."""
    return _explain_errors(read_content, file)


def measure_file(file: Content) -> int | SourceError:
    """Return how many bytes a file has, or the reason why it cannot be read."""
    return _explain_errors(measure_content, file)


def list_masks(manifest: Manifest) -> Iterator[bytes | SourceError]:
    """Yield the file of each mask, or the reason why it has none.

    Files are as they are, unless a legend says what the values in them stand for: then they become
    PNG of class numbers.

    Raises
    ------
    SourceError
        If one of these is no mask.
    """
    for file, name in zip(manifest.masks or (), manifest.mask_names, strict=True):
        content = read_file(file)
        if manifest.legend is not None and isinstance(content, bytes):
            content = _translate(content, manifest.legend, name)
        yield content if isinstance(content, bytes) else _explain(content, name)


def name_mask(manifest: Manifest, row: int, key: str) -> str:
    """Return the name of the member that holds the mask of a sample."""
    suffix = PurePosixPath(manifest.mask_names[row]).suffix.lower()
    return f"{key}.{MASK}{suffix if manifest.legend is None else '.png'}"


def format_classes(manifest: Manifest, source: str) -> tuple[str, bytes] | None:
    """Return the list of the classes of masks: the name of its file, and its content.

    None if only the masks tell how many classes there are.

    Raises
    ------
    OptionError
        If a name fits into no line of it.
    """
    names, colors = manifest.class_names, manifest.class_colors
    if not names:
        return None
    lines = [*names]
    if colors:
        lines = [
            f"{name} {_format_color(color)}" for name, color in zip(names, colors, strict=True)
        ]
    file = COLOR_LISTS[0] if colors else CLASSES_FILE
    text = "".join(f"{line}\n" for line in lines)
    try:
        is_same = parse_list(text, file, source) == (names, colors)
    except SourceError:
        is_same = False
    if not is_same:
        raise OptionError(
            f"{source} has names of classes that {file} cannot hold, such as {names[-1]!r}; rename "
            "them to words in a line each."
        )
    return file, to_utf8(text)


def _explain_errors(use: Callable[[bytes | str], T], file: Content) -> T | SourceError:
    try:
        return file if isinstance(file, SourceError) else use(file)
    except SourceError as error:
        return error
    except OSError as error:
        return SourceError(first_sentence(error))


def _translate(content: bytes, legend: bytes, name: str) -> bytes | SourceError:
    try:
        mask = Preprocessing().decode_mask(content).translate(legend)
    except MaskError as error:
        raise SourceError(f"the mask {name} {error}.") from error
    except SourceError as error:
        return error
    return encode_png(np.asarray(mask.pixels)[..., None])


def _explain(reason: SourceError, name: str) -> SourceError:
    return SourceError(f"its mask {name}: {first_sentence(reason)}")


def _format_color(color: int) -> str:
    return " ".join(str(color >> shift & 255) for shift in (16, 8, 0))

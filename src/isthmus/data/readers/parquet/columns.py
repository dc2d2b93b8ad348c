"""`Roles`: which column of a table holds the pictures, and which one their classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isthmus.data.readers.csv.columns import Plan, find_column
from isthmus.data.readers.csv.names import LABEL_NAMES, PART_NAMES, fold_name
from isthmus.data.readers.parquet.features import CLASS_LABEL, IMAGE, class_names, read_features
from isthmus.data.readers.parquet.opening import Leaf
from isthmus.data.readers.parquet.types import (
    is_bytes,
    is_list,
    is_number,
    is_text,
    list_fields,
    show_type,
)
from isthmus.data.reading import LeftOut, Note
from isthmus.errors import OptionError, SourceError, list_names

# Of several columns of pictures, the first in this table is taken.
PICTURE_NAMES = ("image", "images", "img", "picture", "photo", "jpg", "png", "webp", "bytes")
MAX_SHOWN = 8  # columns in a message
UNUSED = "column that is neither picture nor label"
UNUSED_MANY = "columns that are neither picture nor label"

Kinds = Mapping[str, Any]  # what Hugging Face calls the types of columns


class Roles(NamedTuple):
    """What the columns of a table are for.

    Parameters
    ----------
    picture : Leaf
        Files of pictures.
    name : Leaf, optional
        Their names.
    label, split : str, optional
        Columns of classes, and of the split of each row.
    class_names : tuple of str
        By the numbers in the label, if the table says them.
    notes : tuple of Note
    left_out : tuple of LeftOut
    """

    picture: Leaf
    name: Leaf | None
    label: str | None
    split: str | None
    class_names: tuple[str, ...]
    notes: tuple[Note, ...]
    left_out: tuple[LeftOut, ...]

    def describe(self) -> str:
        """Say which columns are what."""
        label = "no label" if self.label is None else f"label in the column {self.label!r}"
        return f"pictures in the column {self.picture.column!r}, {label}"


class NoPicturesError(SourceError):
    """A table has no column of pictures."""


def assign_roles(
    schema: Any, path: Path, label_column: str | None, *, wants_split: bool = True
) -> Roles:
    """Decide by names, types and what Hugging Face says of them what the columns are for.

    Parameters
    ----------
    schema : pyarrow.Schema
    path : Path
    label_column : str, optional
        See `Reading`.
    wants_split : bool
        Whether a column of splits is one.

    Raises
    ------
    NoPicturesError
    OptionError
        If there is no column of the given name, or it holds no labels.
    """
    features = read_features(schema)
    kinds = {name: one.get("_type") for name, one in features.items()}
    picture, *others = _find_pictures(schema, kinds, path)
    labels = _find_labels(schema, kinds, label_column, path)
    label = labels[0] if labels else None
    notes = (
        _note(
            "several-columns",
            "pictures",
            [leaf.column for leaf in (picture, *others)],
            "drop the others",
        ),
        _note("label-column", "label", labels, "--label-column NAME, or none"),
    )
    split = find_split(schema, label) if wants_split else None
    unused = [name for name in schema.names if name not in (picture.column, label, split)]
    return Roles(
        picture,
        _find_name(schema, picture),
        label,
        split,
        class_names(features.get(label or "", {})),
        tuple(note for note in notes if note is not None),
        (LeftOut.of(UNUSED, unused, UNUSED_MANY),) if unused else (),
    )


def _note(code: str, what: str, names: Sequence[str], way_out: str) -> Note | None:
    """Return the sentence on a column that is taken, the first, if others could be as well."""
    if len(names) < 2:
        return None
    text = f"the column {names[0]!r} is taken for the {what}, and {list_names(names[1:])} is not"
    return Note("guess", code, text, way_out)


def _find_pictures(schema: Any, kinds: Kinds, path: Path) -> list[Leaf]:
    """Return where pictures can be, the most likely place first."""
    leaves = [leaf for leaf in map(_picture_leaf, schema) if leaf is not None]
    # Sound has the same structure.
    leaves = [leaf for leaf in leaves if kinds.get(leaf.column, IMAGE) in (IMAGE, "Value")]
    if not leaves:
        raise _no_pictures(schema, path)
    return sorted(leaves, key=lambda leaf: (kinds.get(leaf.column) != IMAGE, _rank(leaf.column)))


def _picture_leaf(field: Any) -> Leaf | None:
    """Return where in a column pictures are, None if it can hold none."""
    if is_bytes(field.type):
        return Leaf(field.name)
    return Leaf(field.name, "bytes") if is_bytes(list_fields(field.type).get("bytes")) else None


def _rank(name: str) -> int:
    folded = fold_name(name)
    return PICTURE_NAMES.index(folded) if folded in PICTURE_NAMES else len(PICTURE_NAMES)


def _find_name(schema: Any, picture: Leaf) -> Leaf | None:
    """Return where the names of pictures are."""
    fields = list_fields(schema.field(picture.column).type) if picture.field else {}
    return Leaf(picture.column, "path") if is_text(fields.get("path")) else None


def _find_labels(schema: Any, kinds: Kinds, label_column: str | None, path: Path) -> list[str]:
    """Return the column of the labels, and those that could be as well."""
    possible = [one.name for one in schema if is_text(one.type) or is_number(one.type)]
    if label_column == "none":
        return []
    if label_column is not None:
        return [_choose_label(schema, possible, label_column, path)]
    named = [name for name in possible if fold_name(name) in LABEL_NAMES]
    named.sort(key=lambda name: LABEL_NAMES.index(fold_name(name)))
    declared = [name for name in possible if kinds.get(name) == CLASS_LABEL]
    return sorted(declared or named[:1], key=lambda name: name not in named[:1])


def find_split(schema: Any, label: str | None = None) -> str | None:
    """Return the column that is called as one of splits and holds words, None without one."""
    words = [one.name for one in schema if is_text(one.type) and one.name != label]
    named = [name for name in words if fold_name(name) in PART_NAMES]
    return min(named, key=lambda name: PART_NAMES.index(fold_name(name)), default=None)


def _choose_label(schema: Any, possible: Sequence[str], label_column: str, path: Path) -> str:
    name: str = schema.names[find_column(Plan(tuple(schema.names), len(schema)), label_column)]
    if name in possible:
        return name
    raise OptionError(
        f"the column {name!r} of {path} holds {show_type(schema.field(name).type)}, which are no "
        "labels; give a column of whole numbers or words, or none."
    )


def _no_pictures(schema: Any, path: Path) -> NoPicturesError:
    fields = list(schema)
    shown = [f"{one.name}: {show_type(one.type)}" for one in fields[:MAX_SHOWN]]
    more = f" and {len(fields) - MAX_SHOWN:,} more" if len(fields) > MAX_SHOWN else ""
    way_out = "give one with a column of encoded pictures, such as {bytes, path} or binary"
    if any(is_list(one.type) for one in fields):
        way_out = "lists of numbers are no encoded pictures; save them as .npy, or as PNG"
    return NoPicturesError(
        f"{path} has no column of pictures (it holds {', '.join(shown) or 'nothing'}{more}); "
        f"{way_out}."
    )

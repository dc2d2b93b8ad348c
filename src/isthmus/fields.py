"""JSON values as the fields of dataclasses, each of the type that its annotation says.

A file may have been written by another version, changed by hand or by a bad disk, or made by
somebody who means harm. What comes out of here has the types that the code after it counts on.
"""

import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import PurePath
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

from isthmus.errors import IsthmusError, list_names, suggest

T = TypeVar("T")

MAX_SHOWN = 60  # letters of a value in a message
MAX_WHOLE = 2**63 - 1  # what a whole number fits into, here and in NumPy
PLAIN: dict[Any, tuple[str, Callable[[Any], bool]]] = {  # type: its name, and what is one
    # By its type, because True is an instance of int.
    int: ("a whole number", lambda value: type(value) is int and abs(value) <= MAX_WHOLE),
    float: ("a number", lambda value: is_number(value)),
    str: ("a text", lambda value: isinstance(value, str)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    types.NoneType: ("null", lambda value: value is None),
    Any: ("anything", lambda value: True),
}
SEAL = "seal"  # the entry of an object with the fingerprint of all others
FINGERPRINT = re.compile("[0-9a-f]{16}")
PLURALS = {"a whole number": "whole numbers", "a number": "numbers", "a text": "texts"}


class FieldError(IsthmusError):
    """A value is of another type than its field."""


def parse_json(content: bytes | str) -> Any:
    """Return the value that a JSON text says.

    Raises
    ------
    IsthmusError
        With the reason as a sentence, if it is no JSON.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise IsthmusError("it is nested too deeply.") from None
    except UnicodeDecodeError:
        raise IsthmusError("it holds bytes that are no text.") from None
    except json.JSONDecodeError as error:
        if not content.strip():
            raise IsthmusError("it is empty.") from None
        raise IsthmusError(
            f"it is no JSON ({error.msg} in line {error.lineno}, column {error.colno})."
        ) from None
    except ValueError:  # of Python, which reads whole numbers of at most 4300 digits
        raise IsthmusError("it holds a number of thousands of digits.") from None


def seal_json(content: Mapping[str, Any]) -> bytes:
    """Return a JSON object whose last entry tells whether another one was changed."""
    text = json.dumps(content).encode()
    return text[:-1] + _seal(text)


def require_seal(content: bytes, value: Any) -> None:
    """Raise an IsthmusError if what `seal_json` returned was changed.

    To be called when all values are checked, as what is wrong says more than that something is.

    Parameters
    ----------
    content : bytes
    value : object
        What it says. Without an entry for the seal, an older version has written it.
    """
    length = len(_seal(b""))
    is_sealed = isinstance(value, Mapping) and SEAL in value
    if is_sealed and _seal(content[:-length] + b"}") != content[-length:]:
        raise IsthmusError("something in it was changed since it was written.")


def _seal(text: bytes) -> bytes:
    """Return the end of a JSON object with its fingerprint, to be written in place of its }."""
    return f', "{SEAL}": "{sha256(text).hexdigest()[:16]}"}}'.encode()


def from_json(kind: type[T], content: Any, place: str = "") -> T:
    """Return a dataclass from the JSON object that `files.to_json` returned, all values checked.

    Lists become tuples, the only sequences in these dataclasses.

    Parameters
    ----------
    kind : type
        A dataclass, or a named tuple.
    content : object
        What JSON says. A nested dataclass may be given as one already.
    place : str
        Where it stands in its file, for messages, such as "training_config".

    Raises
    ------
    IsthmusError
        If it is no object, a field is unknown, missing or of another type, or the dataclass itself
        refuses a value.
    """
    if not isinstance(content, Mapping):
        raise _wrong(place or "content", content, "an object")
    types_of, required = _fields(cast("Any", kind))
    unknown = [name for name in content if name not in types_of]
    missing = [name for name in required if name not in content]
    if unknown or missing:
        raise FieldError(_describe_names(kind, place, unknown, missing, types_of))
    values = {
        name: convert(value, types_of[name], f"{place}.{name}" if place else name)
        for name, value in content.items()
    }
    return kind(**values)


def convert(value: Any, kind: Any, place: str) -> Any:
    """Return a JSON value as a type says: lists become tuples, objects dataclasses.

    Examples
    --------
    >>> convert([1, 2], tuple[int, ...], "sizes")
    (1, 2)
    >>> convert("1", int, "size")
    Traceback (most recent call last):
    isthmus.fields.FieldError: size is "1" and should be a whole number.
    """
    if kind in PLAIN:
        if not PLAIN[kind][1](value):
            raise _wrong(place, value, PLAIN[kind][0])
        return value
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _convert_union(value, kind, inner, place)
    if origin is Literal:
        if not any(value == one and type(value) is type(one) for one in inner):
            raise _wrong(place, value, describe_type(kind))
        return value
    if origin in (tuple, list, Sequence):
        return _convert_list(value, kind, inner, place)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(place, value, "an object")
        return {name: convert(one, inner[1], f"{place}.{name}") for name, one in value.items()}
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return value if isinstance(value, kind) else kind(convert(value, str, place))
    return value if isinstance(value, kind) else from_json(kind, value, place)


def convert_some(
    content: Any, kinds: Mapping[str, Any], place: str, *, required: bool = False
) -> dict[str, Any]:
    """Check the known entries of a JSON object that may have others.

    Parameters
    ----------
    content : object
    kinds : mapping
        The types of the known entries, by name.
    place : str
        Where it stands in its file, for messages.
    required : bool
        Whether none of them may be missing.

    Raises
    ------
    IsthmusError
        If it is no object, or an entry is missing or of another type.
    """
    if not isinstance(content, Mapping):
        raise _wrong(place or "content", content, "an object")
    missing = [name for name in kinds if name not in content] if required else []
    if missing:
        raise FieldError(f"{f'{place} has' if place else 'it has'} no {list_names(missing)}.")
    known = {
        name: convert(content[name], kind, f"{place}.{name}" if place else name)
        for name, kind in kinds.items()
        if name in content
    }
    return {**content, **known}


def require_fingerprint(value: Any, place: str) -> str:
    """Return a fingerprint: it becomes the name of a file, which no other text may be.

    Raises
    ------
    IsthmusError
        If it is not 16 hexadecimal digits.
    """
    if not isinstance(value, str) or not FINGERPRINT.fullmatch(value):
        raise _wrong(place, value, "16 hexadecimal digits")
    return value


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number, and no truth value.

    Examples
    --------
    >>> is_number(3), is_number(0.5), is_number(True), is_number(float("inf"))
    (True, True, False, False)
    """
    if type(value) is int:
        return abs(value) <= MAX_WHOLE
    return isinstance(value, float) and math.isfinite(value)


def describe_type(kind: Any) -> str:
    """Return what a value of a type is, for people.

    Examples
    --------
    >>> describe_type(tuple[int, int] | None), describe_type(Literal["a", "b"])
    ('a list of 2 whole numbers, or null', '"a" or "b"')
    """
    if kind in PLAIN:
        return PLAIN[kind][0]
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return ", or ".join(map(describe_type, inner))
    if origin is Literal:
        return " or ".join(map(_show, inner))
    if origin in (tuple, list, Sequence):
        name = describe_type(inner[0])
        count = "" if origin is not tuple or inner[-1] is ... else f"{len(inner)} "
        return f"a list of {count}{PLURALS.get(name, 'objects')}"
    return "a text" if isinstance(kind, type) and issubclass(kind, PurePath) else "an object"


def _convert_union(value: Any, kind: Any, inner: Sequence[Any], place: str) -> Any:
    """Return a value as the first type of several that it is of."""
    if value is None and types.NoneType in inner:
        return None
    others = [one for one in inner if one is not types.NoneType]
    for one in others:
        if len(others) == 1 and _is_dataclass(one):  # says which field of it is wrong
            return convert(value, one, place)
        try:
            return convert(value, one, place)
        except FieldError:
            continue
    raise _wrong(place, value, describe_type(kind))


def _convert_list(value: Any, kind: Any, inner: Sequence[Any], place: str) -> Any:
    """Return a list as a tuple, with each of its values converted.

    Dataclasses that are dictionary keys or compared need tuples, and JSON has only lists.
    """
    is_any_length = get_origin(kind) is not tuple or inner[-1] is ...
    if not isinstance(value, list | tuple) or not (is_any_length or len(value) == len(inner)):
        raise _wrong(place, value, describe_type(kind))
    kinds = [inner[0]] * len(value) if is_any_length else inner
    return tuple(
        convert(one, each, f"{place}[{number}]")
        for number, (one, each) in enumerate(zip(value, kinds, strict=True))
    )


@cache
def _fields(kind: type) -> tuple[dict[str, Any], list[str]]:
    """Return the types of all fields by name, and the names of those without a default."""
    hints = typing.get_type_hints(kind)
    if not dataclasses.is_dataclass(kind):  # a named tuple
        return hints, [name for name in hints if name not in kind._field_defaults]  # type: ignore[attr-defined]
    fields = [field for field in dataclasses.fields(kind) if field.init]
    missing = dataclasses.MISSING
    required = [one.name for one in fields if one.default is one.default_factory is missing]
    return {field.name: hints[field.name] for field in fields}, required


def _is_dataclass(kind: Any) -> bool:
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, tuple))


def _describe_names(
    kind: type, place: str, unknown: list[str], missing: list[str], known: Mapping[str, Any]
) -> str:
    """Say which fields an object has too many, or too few."""
    what = f"{place} has" if place else "it has"
    if missing:
        return f"{what} no {list_names(missing)}, a field of {kind.__name__}."
    near = suggest(unknown[0], known)
    return f"{what} the field {_show(unknown[0])}, which is none of {kind.__name__}{near}."


def _wrong(place: str, value: Any, wanted: str) -> FieldError:
    return FieldError(f"{place} is {_show(value)} and should be {wanted}.")


def _show(value: Any) -> str:
    """Return a value as JSON writes it, in a few letters."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "an empty list" if not value else f"a list of {len(value):,}"
    if type(value) is int and abs(value) > MAX_WHOLE:
        return "a whole number of more than 64 bits"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return type(value).__name__
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"

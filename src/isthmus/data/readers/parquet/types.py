"""What the types of columns can hold: files of pictures, words or numbers."""

from typing import Any

MAX_TYPE = 40  # letters of a type in a message


def list_fields(kind: Any) -> dict[str, Any]:
    """Return the types of the fields of a structure by name; a type of another kind has none."""
    from pyarrow import types

    if not types.is_struct(kind):
        return {}
    return {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}


def is_bytes(kind: Any) -> bool:
    """Return whether values of a type are bytes, as of files; False for None."""
    from pyarrow import types

    return kind is not None and (types.is_binary(kind) or types.is_large_binary(kind))


def is_text(kind: Any) -> bool:
    """Return whether values of a type are words, also in a dictionary; False for None."""
    from pyarrow import types

    if kind is not None and types.is_dictionary(kind):
        kind = kind.value_type
    return kind is not None and (types.is_string(kind) or types.is_large_string(kind))


def is_number(kind: Any) -> bool:
    """Return whether values of a type are numbers."""
    from pyarrow import types

    return any(test(kind) for test in (types.is_boolean, types.is_integer, types.is_floating))


def is_list(kind: Any) -> bool:
    """Return whether values of a type are lists, which may be pixels but are no files."""
    from pyarrow import types

    return any(
        test(kind) for test in (types.is_list, types.is_large_list, types.is_fixed_size_list)
    )


def show_type(kind: Any) -> str:
    """Return the name of a type, for a message."""
    text = str(kind)
    return text if len(text) <= MAX_TYPE else f"{text[:MAX_TYPE]}…"

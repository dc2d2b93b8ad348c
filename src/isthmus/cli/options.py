"""Options that fill a dataclass: declared once, by its fields.

`isthmus train` has 38 parameters, most of them fields of `TrainingConfig`: each with a name, a
type, a default and a description, which is all that an option needs. So the command takes
dataclasses as parameters, and `expand_options` makes an option of every field. The field's metadata
name the `panel` of the help that lists it and, where the default is not clear, the `metavar`.
"""

import dataclasses
import inspect
from collections.abc import Callable
from copy import copy
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from isthmus.cli.completion import OPTIONS


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Make an option of each field of a command's dataclass parameters.

    Parameters
    ----------
    command : callable
        Its parameters that are dataclasses are made from the options.

    Returns
    -------
    callable
        With the signature that typer reads: the other parameters, then an option for each field.
    """
    hints = get_type_hints(command, include_extras=True)
    kinds: dict[str, type[Any]] = {
        name: kind
        for name, kind in hints.items()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
    }
    plain = [one for one in inspect.signature(command).parameters.values() if one.name not in kinds]
    expanded = [option for kind in kinds.values() for option in _options(kind)]

    def run(**values: Any) -> None:
        filled = {name: kind(**_take(values, kind)) for name, kind in kinds.items()}
        command(**values, **filled)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    # Typer reads types from `__annotations__` first, and those of `run` are of no use.
    run.__annotations__ = {}
    vars(run)["__signature__"] = inspect.Signature([*plain, *expanded])
    return run


def parameter_docs(kind: type[Any]) -> dict[str, str]:
    """Return the description of each parameter in a NumPy-style docstring, as one line.

    Examples
    --------
    >>> from isthmus.training.config import TrainingConfig
    >>> parameter_docs(TrainingConfig)["optimizer"]
    'One of adamw, adam, adamax, sgd and adadelta.'
    """
    _, _, text = (inspect.getdoc(kind) or "").partition("Parameters\n----------\n")
    descriptions: dict[str, str] = {}
    name = ""
    for line in text.partition("\n\n")[0].splitlines():
        if not line.startswith(" "):
            name = line.partition(" : ")[0]
            descriptions[name] = ""
        else:
            descriptions[name] = f"{descriptions[name]} {line.strip()}".strip()
    return descriptions


def _take(values: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Remove the values of a dataclass's fields from those of all options, and return them."""
    return {field.name: values.pop(field.name) for field in dataclasses.fields(kind)}


def _options(kind: type[Any]) -> list[inspect.Parameter]:
    """Return a parameter with a typer option for each field of a dataclass."""
    hints, docs = get_type_hints(kind, include_extras=True), parameter_docs(kind)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=_annotation(field, hints[field.name], docs.get(field.name, "")),
        )
        for field in dataclasses.fields(kind)
    ]


def _annotation(field: "dataclasses.Field[Any]", hint: Any, text: str) -> Any:
    """Return a field's type with its option: the field's own, or one with the text as its help.

    A field of type `bool`, not `bool | None`, is a plain flag: there is no "--no-" form of it, as
    leaving it out says the same.
    """
    if get_origin(hint) is Annotated:
        kind, option = get_args(hint)
        option = copy(option)  # one object is shared by all commands that have this option
    else:
        names = [f"--{field.name.replace('_', '-')}"] if hint is bool else []
        metavar = field.metadata.get("metavar")
        kind = hint
        option = typer.Option(
            *names, help=text, metavar=metavar, autocompletion=OPTIONS.get(field.name)
        )
    # A KeyError is right: an option without a panel would be hidden below all others.
    option.rich_help_panel = field.metadata["panel"]
    return Annotated[kind, option]

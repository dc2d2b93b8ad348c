"""The exporter's table of operators, read once a process instead of once an export.

torch fills the table by parsing the source of some five hundred functions of onnxscript, each time
that something is exported. This takes a third of an export (0.5 of 1.5 CPU seconds for `conv`), and
the studio exports a model twice.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_tables: dict[Any, Any] = {}  # by the arguments with which they were read


@contextmanager
def remembered_operators() -> Iterator[None]:
    """Let torch's exporter take the table that it has read before; one thread at a time may.

    The table is no public part of torch. Where a version of torch keeps it elsewhere, it is read
    each time.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:
        yield
        return
    registry: Any = ONNXRegistry
    name = "from_torchlib"
    if name not in vars(registry):
        yield
        return
    original, read = vars(registry)[name], getattr(registry, name)

    def remember(*arguments: Any, **named: Any) -> Any:
        key = (arguments, *sorted(named.items()))
        if key not in _tables:
            _tables[key] = read(*arguments, **named)
        return _copy(_tables[key])

    setattr(registry, name, staticmethod(remember))
    try:
        yield
    finally:
        setattr(registry, name, original)


def _copy(table: Any) -> Any:
    """Return a table of its own, in which an export may register more."""
    own = copy.copy(table)
    own.functions = {name: list(found) for name, found in table.functions.items()}
    return own

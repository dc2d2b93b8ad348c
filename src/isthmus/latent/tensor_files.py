"""Arrays in a file of the format safetensors, written block by block, with facts about them.

The format holds arrays and text, nothing that is executed, and its reader checks every size against
the file. Its own writer wants whole arrays: those of an index would be in memory a second time,
next to the lists of faiss.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

KEY = "isthmus"  # of the facts, as in the files of models
KINDS = {"<f4": "F32", "<i8": "I64", "|u1": "U8"}  # by the names that NumPy has for them


@dataclass(frozen=True)
class Tensor:
    """An array to write.

    Parameters
    ----------
    shape : tuple of int
    dtype : str
        Of `KINDS`.
    blocks : iterable of arrays
        Which together are the array, one after the other.
    """

    shape: tuple[int, ...]
    dtype: str
    blocks: Iterable[NDArray[Any]]

    @classmethod
    def of(cls, array: NDArray[Any]) -> "Tensor":
        """Return a tensor of an array that is in memory."""
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        return cls(array.shape, array.dtype.str, [array])

    @property
    def size(self) -> int:
        """Its bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class Tensors:
    """The arrays of a file that is open.

    Parameters
    ----------
    file
        As `safetensors.safe_open` gives it.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self.names = frozenset(file.keys())

    @property
    def facts(self) -> dict[str, Any]:
        """What was written with them."""
        content: dict[str, Any] = json.loads(self._file.metadata()[KEY])
        return content

    def read(self, name: str, dtype: str, dimensions: int = 1) -> NDArray[Any]:
        """Return an array.

        Raises
        ------
        ValueError
            If it is of another type or has another number of dimensions.
        """
        return self._checked(name, self._file.get_tensor(name), dtype, dimensions)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array without reading it."""
        return tuple(self._file.get_slice(name).get_shape())

    def read_rows(self, name: str, start: int, end: int, dtype: str) -> NDArray[Any]:
        """Return some rows of an array (N, D), at least one.

        Raises
        ------
        ValueError
            As with `read`.
        """
        return self._checked(name, self._file.get_slice(name)[start:end], dtype, 2)

    @staticmethod
    def _checked(name: str, array: Any, dtype: str, dimensions: int) -> NDArray[Any]:
        if array.dtype != np.dtype(dtype) or array.ndim != dimensions:
            raise ValueError(f"its {name} are {array.dtype} {array.shape}")
        return np.ascontiguousarray(array)


def write_tensors(file: BinaryIO, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write arrays with JSON values about them."""
    header: dict[str, Any] = {"__metadata__": {KEY: json.dumps(facts)}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.size
        kind, shape = KINDS[tensor.dtype], list(tensor.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that numbers begin where processors want them
    file.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        for block in tensor.blocks:
            file.write(block.tobytes())


@contextmanager
def open_tensors(path: Path) -> Iterator[Tensors]:
    """Open a file of arrays; a SafetensorError is raised for any other."""
    with safe_open(path, "np") as file:
        yield Tensors(file)

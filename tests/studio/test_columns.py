"""Columns: what is written is read again, to the bit, and nothing else is taken for one."""

import io
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isthmus.errors import IsthmusError
from isthmus.studio.columns import open_column, pack, unpack, write_blocks

Refused = Callable[..., AbstractContextManager[None]]
DRAW = np.random.default_rng(3)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.array([0, 9, 255], np.uint8), 0),
        (np.array([0, 65535], np.uint16), 1),
        (np.array([[-1, 2**31 - 1], [-(2**31), 0]], np.int32), 2),
        (DRAW.normal(size=(7, 3)).astype(np.float32), 3),
        (DRAW.normal(size=5).astype(np.float16), 4),
        (np.empty((0, 4), np.float32), 3),
    ],
)
def test_a_column_comes_back_and_its_header_is_what_pages_read(
    values: NDArray[Any], code: int, tmp_path: Path
) -> None:
    content = pack(values)
    columns = values.shape[1] if values.ndim == 2 else 1
    expected = struct.pack("<4sBBHII", b"ISTH", 1, code, columns, len(values), 0)
    assert content[:16] == expected
    assert content[16:] == values.tobytes()
    (tmp_path / "x.bin").write_bytes(content)
    for again in (unpack(content), open_column(tmp_path / "x.bin")):
        assert again.dtype == values.dtype
        np.testing.assert_array_equal(again, values)


def test_numbers_are_little_endian_on_any_machine() -> None:
    big = np.array([1.5, -2.0], ">f4")
    assert pack(big) == pack(big.astype("<f4"))


def test_samples_of_several_axes_become_rows() -> None:
    images = DRAW.integers(0, 256, (3, 4, 5, 2), np.uint8)
    np.testing.assert_array_equal(unpack(pack(images)), images.reshape(3, 40))


def test_blocks_give_the_file_of_the_whole() -> None:
    values, file = DRAW.normal(size=(10, 3)).astype(np.float32), io.BytesIO()
    write_blocks(file, (values[:4], values[4:]), values.shape)
    assert file.getvalue() == pack(values)


def test_a_file_that_is_cut_or_of_another_kind_is_refused(refused: Refused, tmp_path: Path) -> None:
    content = pack(np.arange(6, dtype=np.int32))
    damaged = (content[:-1], content[:9], b"", b"PNG" + content[3:], content + b"x")
    for number, wrong in enumerate(damaged):
        file = tmp_path / f"{number}.bin"
        file.write_bytes(wrong)
        with refused(IsthmusError, "damaged"):
            open_column(file)
        with refused(IsthmusError, "damaged"):
            unpack(wrong)


@pytest.mark.parametrize("values", [np.zeros(2), np.zeros((1, 65536), np.uint8)])
def test_what_no_header_can_say_is_refused(values: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="a column holds"):
        pack(values)

"""The kernels of the page's engine are what their source says, and small."""

import pytest

from isthmus.studio.assets import PAGE, page_files
from studio.kernels import assemble, find_assembler


def test_the_kernels_are_assembled_from_their_source() -> None:
    if find_assembler() is None:
        pytest.skip("there is no wat2wasm: apt-get install wabt")
    kept = {name: (PAGE / name).read_bytes() for name in page_files() if name.endswith(".wasm")}
    assert assemble() == kept


def test_a_kernel_takes_two_kilobytes() -> None:
    sizes = [(PAGE / name).stat().st_size for name in page_files() if name.endswith(".wasm")]
    assert len(sizes) == 2
    assert max(sizes) <= 2000

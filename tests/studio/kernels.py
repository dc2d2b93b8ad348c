"""Assemble the kernels of the page's engine.

python tests/studio/kernels.py      # after a change of kernel.wat; needs wat2wasm of wabt
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from isthmus.studio.assets import PAGE

SOURCE = PAGE / "kernel.wat"
PART = r"(\((?:[^()]|\([^()]*\))*\))"  # an expression with no more than one level inside
RELAXED = re.compile(rf"\(f32x4\.relaxed_madd\s+{PART}\s+{PART}\s+{PART}\)")


def assemble() -> dict[str, bytes]:
    """Return both kernels by their file names."""
    source = SOURCE.read_text()
    plain = RELAXED.sub(r"(f32x4.add (f32x4.mul \1 \2) \3)", source)
    return {"kernel.wasm": _assemble(source), "kernel.plain.wasm": _assemble(plain)}


def find_assembler() -> str | None:
    """Return the path of wat2wasm, if it is installed."""
    return shutil.which("wat2wasm")


def _assemble(source: str) -> bytes:
    program = find_assembler()
    assert program is not None, "there is no wat2wasm: apt-get install wabt"
    with tempfile.TemporaryDirectory() as folder:
        text, binary = Path(folder, "kernel.wat"), Path(folder, "kernel.wasm")
        text.write_text(source)
        options = ["--enable-relaxed-simd", str(text), "-o", str(binary)]
        subprocess.run([program, *options], check=True)
        return binary.read_bytes()


if __name__ == "__main__":
    for name, content in assemble().items():
        (PAGE / name).write_bytes(content)
        print(f"{name}: {len(content):,} bytes")

"""Lock all that Isthmus is installed with: exact versions, and the SHA-256 of each file.

`make lock` takes the newest versions that fit pyproject.toml and each other, on every system and
Python that is supported; `make lock KEEP=--keep` changes only what it must. It writes

run.txt
    What `make demo` installs: Isthmus and its studio.
dev.txt
    What `make test` and `make check` install: run.txt, every extra, and the tools.
torch.txt
    PyTorch as it is on the index, which on Linux brings CUDA, of several gigabytes.
isthmus.cdx.json and packages/runtime/isthmus-runtime.cdx.json
    The software bills of materials that the wheels contain, in the format of CycloneDX.

torch-cpu.txt is kept by hand: builds of PyTorch without CUDA, which `make` takes where pip knows a
place that has one. Their version has to be that of torch.txt.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
BIN = Path(sys.executable).parent
PYTHON = "3.11.5"  # the oldest that the tools run with; Isthmus itself runs with every 3.11
# PyTorch and what only it needs. `make` installs one of its builds, and pip takes the first file
# whose checksum it knows: in one list with others, a small build would never be chosen.
TORCH = re.compile(r"torch=|triton=|nvidia-|cuda-")
BILLS = {  # by the project that each belongs to
    "pyproject.toml": "requirements/isthmus.cdx.json",
    "packages/runtime/pyproject.toml": "packages/runtime/isthmus-runtime.cdx.json",
}
HEADER = "# Written by `make lock`; see lock.py.\n"


def main() -> None:
    """Write all lists and bills."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="Change no version that still fits.")
    before = [] if parser.parse_args().keep is False else read("dev.txt") + read("torch.txt")
    dev = resolve("pyproject.toml", before, "--extra", "all", "--group", "dev")
    run = resolve("pyproject.toml", dev, "--extra", "studio", "--group", "build")
    torch = [one for one in dev if TORCH.match(one)]
    write("dev.txt", [one for one in dev if one not in torch])
    write("run.txt", [one for one in run if one not in torch])
    write("torch.txt", torch)
    for project, bill in BILLS.items():
        write_bill(ROOT / bill, resolve(project, dev, "--extra", "studio"))
    version = next(one.split(" ")[0] for one in torch if one.startswith("torch="))
    if f"\n{version}+" not in (HERE / "torch-cpu.txt").read_text():
        print(f"torch-cpu.txt has no build of {version}; add it, or `make` installs CUDA.")


def resolve(project: str, before: list[str], *options: str) -> list[str]:
    """Return requirements with their checksums; those that were before are kept while they fit."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.txt")
        out.write_text("".join(before))
        command = [BIN / "uv", "pip", "compile", project, "--output-file", out, *options]
        command += ["--universal", "--python-version", PYTHON, "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--quiet"]
        subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True)
        return split(out.read_text())


def write_bill(file: Path, requirements: list[str]) -> None:
    """Write what a distribution is installed with as a bill of materials."""
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "library", "name": file.name.split(".")[0]}},
        "components": [describe(one) for one in requirements],
    }
    file.write_text(json.dumps(bill, indent=1) + "\n")


def describe(requirement: str) -> dict[str, str]:
    """Return a requirement as a component; optional are those that not every system needs."""
    name, version = requirement.split()[0].split("==")
    is_optional = ";" in requirement.splitlines()[0]
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "scope": "optional" if is_optional else "required",
    }


def read(name: str) -> list[str]:
    """Return the requirements of a list."""
    return split((HERE / name).read_text())


def write(name: str, requirements: list[str]) -> None:
    """Write a list."""
    (HERE / name).write_text(HEADER + "".join(requirements))


def split(text: str) -> list[str]:
    """Return the entries of a list, each with its checksums."""
    return [one for one in re.split(r"(?m)^(?=\S)", text) if re.match(r"\w", one)]


if __name__ == "__main__":
    main()

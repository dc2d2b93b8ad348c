"""Build the distributions and use them as a stranger does; `make wheel` runs this.

One environment, made from nothing and outside the repository, is used twice. First it gets
isthmus-runtime and uses models that were exported here, where torch is. Then isthmus takes its
place, trains and writes a report. Nothing that isthmus does not ask for is there by then: what the
small distribution needs, the whole one needs too, except for ONNX, which is uninstalled.
"""

import argparse
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
REQUIREMENTS = [ROOT / "requirements" / name for name in ("dev.txt", "torch.txt")]
PACKAGE = ROOT / "src" / "isthmus"
# What a source distribution holds at its top; the packages are built and tested from it.
SOURCES = {
    "isthmus": {
        *(file.name for file in ROOT.glob("*.md")),
        *("LICENSE", "Dockerfile", "Makefile", "conftest.py", "mkdocs.yml", "pyproject.toml"),
        *("benchmarks", "docs", "packages", "requirements", "src", "tests"),
        *(".dockerignore", ".gitignore", "PKG-INFO"),
    },
    "isthmus_runtime": {
        *("LICENSE", "README.md", "hatch_build.py", "isthmus-runtime.cdx.json", "pyproject.toml"),
        *("src", ".gitignore", "PKG-INFO"),
    },
}
# Of a wheel, in addition to its bill of materials.
METADATA = {"METADATA", "WHEEL", "RECORD", "LICENSE", "entry_points.txt"}
WITHOUT_TORCH = (  # commands of isthmus-runtime
    "encode digits.onnx digits --limit 200 --out codes.npy",
    "map digits.onnx digits --limit 200 --method pca --out map.png",
    "index digits.onnx digits",
    "search digits.onnx digit.png --k 3 --out similar.png --json",
    "reconstruct digits.onnx digits --out grid.png",
    "morph digits.onnx digit.png other.png --out strip.png",
    "denoise digits.onnx noisy --out clean",
    "predict classes.onnx digit.png other.png --out classes.png --json",
    "studio digits.onnx digits --limit 200 --export studio.html",
)
# Runs commands, one a line, as a started program does, but in one process: starting takes longest.
MANY = "import shlex, sys\nfrom isthmus.cli import app\n" + (
    "for line in sys.stdin:\n    app(shlex.split(line), standalone_mode=False)\n"
)
WRITTEN = (
    *("codes.npy", "map.png", "map.csv", "similar.png", "grid.png", "strip.png", "classes.png"),
    "studio.html",
)
DEMO = (  # of the README, with fewer epochs: that they learn is proven by the tests
    "train digits --code-size 8 --epochs 3 --out runs/demo",
    "report runs/demo",
    "studio runs/demo --export runs/demo/studio.html",
)
ONNX = ("onnx", "onnxruntime", "ml_dtypes", "protobuf", "flatbuffers")  # not in isthmus
# Of the lists in `requirements`: pip takes no checksums as constraints of a wheel that has none.
VERSION = re.compile(r"(?m)^\w\S*==[^\\\n]+")
MAX_DIFFERENCE = 1e-4  # of the codes of an exported model, from those of torch


class Stranger:
    """Somebody with an empty environment and an empty folder."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "folder"
        self.folder.mkdir()
        self.bin = place / "venv" / "bin"
        # Nothing of this process: neither its modules, nor its cache, nor its data sets.
        self.environment = os.environ | {
            "ISTHMUS_CACHE": str(place / "cache"),
            "ISTHMUS_DATA": str(place / "data"),
            "ISTHMUS_STATE": str(place / "state"),
            "OMP_NUM_THREADS": "1",  # threads of a tiny model wait where others compute, too
        }
        self.environment.pop("PYTHONPATH", None)
        # Without pip: ours installs into it, and nothing has to be removed from what is measured.
        venv = [sys.executable, "-m", "venv", "--without-pip", str(place / "venv")]
        subprocess.run(venv, check=True)
        self.empty = self.megabytes()

    def run(self, command: str, code: int = 0, given: str = "") -> str:
        """Run a program of the environment in the folder; return what it prints."""
        program, *arguments = shlex.split(command)
        return self._run([str(self.bin / program), *arguments], code, given)

    def pip(self, command: str) -> str:
        """Let pip of this process' environment work in that of the stranger."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python")]
        return self._run([*pip, *shlex.split(command)])

    def _run(self, command: list[str], code: int = 0, given: str = "") -> str:
        ended = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != code:
            raise SystemExit(
                f"{shlex.join(command)} ended with {ended.returncode}:\n{ended.stderr}"
            )
        return ended.stdout + ended.stderr

    def install(self, wheel: Path) -> float:
        """Install a wheel with the versions that are tested; return the seconds that it takes."""
        start = time.perf_counter()
        # Compiling all of torch takes longer than installing it, and little of it is used here.
        versions = self.folder.with_name("versions.txt")
        versions.write_text("\n".join(VERSION.findall("".join(map(Path.read_text, REQUIREMENTS)))))
        self.pip(f"install --quiet --no-compile --constraint {versions} {wheel}")
        return time.perf_counter() - start

    def megabytes(self) -> float:
        """Return the size of the installed packages, without what Python has compiled of them."""
        files = [path for path in self.bin.parent.rglob("*") if path.suffix != ".pyc"]
        return sum(path.stat().st_size for path in files if path.is_file()) / 1e6

    def count_packages(self) -> int:
        """Return how many packages are installed."""
        return len(list(self.bin.parent.glob("lib/python*/site-packages/*.dist-info")))

    def time(self, *commands: str) -> float:
        """Run commands of Isthmus; return the seconds that they take."""
        start = time.perf_counter()
        for command in commands:
            self.run(f"isthmus {command}")
        return time.perf_counter() - start


def main() -> None:
    """Check both distributions, and print what was checked and measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="Copy the distributions to this folder.")
    parser.add_argument("--quick", action="store_true", help="Run no demo with torch in it.")
    arguments = parser.parse_args()
    keep = arguments.keep
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="isthmus-wheel-") as name:
        place = Path(name)
        dist = place / "dist"
        build(ROOT, dist)
        build(ROOT / "packages" / "runtime", dist)
        for distribution in SOURCES:
            check_content(distribution, dist)
        stranger = Stranger(place)
        codes = write_models(stranger.folder)
        check_runtime(stranger, one(dist, "isthmus_runtime-*.whl"), codes)
        if not arguments.quick:
            check_whole(stranger, one(dist, "isthmus-*.whl"))
        if keep:
            shutil.copytree(dist, keep, dirs_exist_ok=True)
    print(f"All of it took {time.perf_counter() - start:.0f} s.")


def build(project: Path, dist: Path) -> None:
    """Build the source distribution of a project, and a wheel from that."""
    # Not isolated: with the locked build tools of this environment, whose checksums were compared.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(project)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise SystemExit(f"{project} cannot be built:\n{built.stdout}{built.stderr}")


def check_content(distribution: str, dist: Path) -> None:
    """Compare what a wheel and a source distribution hold with what they have to."""
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    source = {path.relative_to(PACKAGE.parent).as_posix() for path in files}
    wheel, sdist = one(dist, f"{distribution}-*.whl"), one(dist, f"{distribution}-*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        inside = [PurePosixPath(name) for name in archive.namelist()]
        (text,) = (path for path in inside if path.name == "METADATA")
        lines = archive.read(str(text)).decode().splitlines()
    needed = [one for one in lines if one.startswith("Requires-Dist") and "extra ==" not in one]
    packed = {str(path) for path in inside if path.parts[0] == PACKAGE.name}
    about = {path.name for path in inside if path.parts[0] != PACKAGE.name}
    expect(f"the files of {wheel.name}", packed, source)
    bill = f"{distribution.replace('_', '-')}.cdx.json"
    expect(f"the metadata of {wheel.name}", about, {*METADATA, bill})
    with tarfile.open(sdist) as opened:
        paths = [PurePosixPath(*PurePosixPath(name).parts[1:]) for name in opened.getnames()]
    code = {str(path.relative_to("src")) for path in paths if path.parts[0] == "src"}
    expect(f"the top of {sdist.name}", {path.parts[0] for path in paths}, SOURCES[distribution])
    expect(f"the code of {sdist.name}", code, source)
    print(
        f"{wheel.name}: {len(source)} files, {wheel.stat().st_size / 1e3:.0f} kB, {len(needed)} "
        f"direct dependencies; {sdist.name}: {sdist.stat().st_size / 1e3:.0f} kB"
    )


def write_models(folder: Path) -> NDArray[np.float32]:
    """Train and export models here, with torch, and write images; return codes to compare with.

    Returns
    -------
    (200, 8) float32
        Codes of digits by the trained model itself.
    """
    from PIL import Image

    import isthmus

    digits = isthmus.load("digits", limit=200)
    config = isthmus.TrainingConfig(epochs=2)
    models = {}
    for file, name, size in (("digits", "dense", 8), ("classes", "cnn-tiny", None)):
        training = isthmus.train(digits, name, code_size=size, config=config)
        list(training)
        models[file] = training.run.model()
        isthmus.export(models[file], folder / f"{file}.onnx", samples=digits)
    (folder / "noisy").mkdir()
    for row, name in enumerate(("digit.png", "other.png", "noisy/one.png")):
        Image.fromarray(digits.values[row, ..., 0]).save(folder / name)
    return models["digits"].encode(digits)


def check_runtime(stranger: Stranger, wheel: Path, codes: NDArray[np.float32]) -> None:
    """Use exported models where there is no torch."""
    seconds = stranger.install(wheel)
    size, count = stranger.megabytes() - stranger.empty, stranger.count_packages()
    start = time.perf_counter()
    stranger.run(shlex.join(["python", "-c", MANY]), given="\n".join(WITHOUT_TORCH))
    used = time.perf_counter() - start + stranger.time("info")
    difference = float(np.abs(np.load(stranger.folder / "codes.npy") - codes).max())
    expect("isthmus-runtime, codes as torch's", difference <= MAX_DIFFERENCE, True)
    expect("isthmus-runtime, files", [f for f in WRITTEN if not (stranger.folder / f).exists()], [])
    said = stranger.run("isthmus train digits", code=2)
    expect(
        "isthmus-runtime, train",
        said,
        "isthmus: isthmus train needs PyTorch, which isthmus-runtime leaves out; "
        "pip uninstall isthmus-runtime, then install isthmus.\n",
    )
    stranger.run("python -c 'import torch'", code=1)
    print(
        f"isthmus-runtime: installed in {seconds:.0f} s, {count} packages, {size:.0f} MB; "
        f"{len(WITHOUT_TORCH) + 1} commands without torch in {used:.0f} s, codes differ from "
        f"torch's by {difference:.1e}"
    )


def check_whole(stranger: Stranger, wheel: Path) -> None:
    """Run the demo of the README."""
    stranger.pip(f"uninstall --quiet --yes isthmus-runtime {' '.join(ONNX)}")
    seconds = stranger.install(wheel)
    size, count = stranger.megabytes() - stranger.empty, stranger.count_packages()
    used = stranger.time(*DEMO)
    page = stranger.folder / "runs" / "demo" / "report.html"
    expect("isthmus, the page", page.read_bytes().count(b"data:image/png;base64,") >= 5, True)
    print(
        f"isthmus: torch and the rest installed in {seconds:.0f} s, {count} packages, {size:.0f} "
        f"MB; the demo's page after {used:.0f} s, {page.stat().st_size / 1e3:.0f} kB"
    )


def one(folder: Path, pattern: str) -> Path:
    """Return the one file of a pattern."""
    (file,) = folder.glob(pattern)
    return file


def expect(what: str, found: object, expected: object) -> None:
    """Stop unless what was found is as expected."""
    if found != expected:
        raise SystemExit(f"{what}: {found!r}, not {expected!r}")


if __name__ == "__main__":
    main()

"""What an installation says of itself, and what it says where PyTorch was left out."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement

from isthmus import __version__, describe_installation
from isthmus.installation import EXTRAS, PACKAGES
from isthmus.limits import LIMITS
from isthmus.runtime import launch
from test_cli import done

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME: dict[str, Any] = tomllib.loads((ROOT / "packages/runtime/pyproject.toml").read_text())[
    "project"
]


def named(requirements: list[str]) -> dict[str, str]:
    """Return the bound of each requirement by its name."""
    parts = [re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(.*)", one) for one in requirements]
    return {part[1]: part[2] for part in parts if part}


def pretend_installed(name: str, folder: Path) -> None:
    """Write what pip leaves of a distribution."""
    about = folder / f"{name}-{__version__}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {name.replace('_', '-')}\nVersion: {__version__}\n"
    )


# -- isthmus info -----------------------------------------------------------------------------


def test_the_version_is_printed() -> None:
    assert done("--version").out == f"isthmus {__version__}\n"


def test_a_bug_report_has_versions_and_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "cache/samples").mkdir(parents=True)
    (tmp_path / "cache/samples/values").write_bytes(bytes(2_500_000))
    content = json.loads(done("info", "--json").out)
    assert content == describe_installation()
    assert content["isthmus"] == __version__
    assert content["python"] == platform.python_version()
    assert content["packages"]["torch"] == torch.__version__
    assert content["packages"]["numpy"] == np.__version__
    assert content["cache"] == {"path": str(tmp_path / "cache"), "bytes": 2_500_000}
    assert content["data"] == {"path": str(tmp_path / "data")}
    assert content["variables"]["OMP_NUM_THREADS"] == "1"
    assert content["threads"] == 1
    assert 1 <= content["cores"] <= (os.cpu_count() or 1)
    assert content["memory"] > 2**28
    text = done("info").out
    values = [__version__, platform.python_version(), torch.__version__, "2.5 MB", "1 used"]
    assert [value for value in values if value not in text] == []
    assert str(tmp_path / "data") in text


def test_info_lists_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_MAX_SCANS", "7")
    monkeypatch.setenv("ISTHMUS_MAX_PAGES", "many")  # which a bug report should show, not die of
    bounds = json.loads(done("info", "--json").out)["bounds"]
    assert bounds.keys() == LIMITS.keys()
    assert bounds["ISTHMUS_MAX_SCANS"] == {
        "value": 7,
        "default": 100,
        "what": "scans of a progressive JPEG",
    }
    assert bounds["ISTHMUS_MAX_PAGES"]["value"] is None
    text = done("info").out
    assert "7 scans of a progressive JPEG (100 by default)" in text
    assert "not a whole number above 0; 50,000 by default" in text
    assert f"{2**27:,} pixels of an image" in text


def test_device_and_precision_are_those_that_training_takes() -> None:
    content, fabric = describe_installation(), launch()
    chosen = {"32-true": "32", "bf16-mixed": "bf16"}[str(fabric.strategy.precision.precision)]
    assert content["precision"] == chosen
    assert (content["device"] == "cpu") == (fabric.device.type == "cpu")


@pytest.mark.parametrize("error", ["OSError('no libcudart')", "ImportError('no libcudart')"])
def test_a_broken_torch_is_reported(error: str, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(f"raise {error}")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    script += "sys.argv[1:] = ['info', '--json']\nfrom isthmus.cli import main\nmain()"
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    content = json.loads(ended.stdout)
    assert content["device"] == "torch cannot be imported: no libcudart"
    assert content["packages"]["torch"] == torch.__version__


def test_a_cache_in_which_others_work_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path))
    (tmp_path / "values").write_bytes(bytes(1000))
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            for number in range(100):
                (tmp_path / f"{number}.partial").mkdir()
                (tmp_path / f"{number}.partial" / "empty").touch()
            for number in range(100):
                shutil.rmtree(tmp_path / f"{number}.partial")

    with ThreadPoolExecutor() as pool:
        working = pool.submit(work)
        try:
            sizes = {describe_installation()["cache"]["bytes"] for _ in range(20)}
        finally:
            is_over.set()
        working.result()
    assert sizes == {1000}


def test_extras_are_those_of_the_project() -> None:
    declared = PROJECT["optional-dependencies"]
    assert declared.pop("all") == [f"isthmus[{','.join(sorted(EXTRAS))}]"]
    assert {name: tuple(named(needed)) for name, needed in declared.items()} == EXTRAS
    assert {name for needed in EXTRAS.values() for name in needed} <= set(PACKAGES)


def test_two_distributions_in_one_place_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("isthmus", "isthmus_runtime"):
        pretend_installed(name, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert describe_installation()["distributions"] == ["isthmus", "isthmus-runtime"]
    assert "uninstall both, then install one." in done("info").out


# -- what is locked -------------------------------------------------------------------------


def read_locked(*names: str) -> dict[str, str]:
    """Return the versions of lists in `requirements`, each of whose files has a checksum."""
    text = "".join((ROOT / "requirements" / name).read_text() for name in names)
    entries = re.findall(
        r"(?m)^(\S+)==([^\s;]+)[^\\\n]*((?: \\\n    --hash=sha256:\w{64})+)$", text
    )
    assert len(entries) == len(re.findall(r"(?m)^\w", text))
    return {name: version for name, version, _ in entries}


def test_all_that_the_project_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [one for extra in PROJECT["optional-dependencies"].values() for one in extra]
    groups = [one for group in project["dependency-groups"].values() for one in group]
    texts = [one for one in (*extras, *groups) if isinstance(one, str)]
    wanted = [Requirement(one) for one in (*PROJECT["dependencies"], *texts)]
    locked = read_locked("dev.txt", "torch.txt")
    found = [one for one in wanted if one.name != "isthmus"]
    assert [str(one) for one in found if not one.specifier.contains(locked[one.name])] == []
    assert read_locked("run.txt").items() <= locked.items()
    assert read_locked("torch-cpu.txt")["torch"].startswith(locked["torch"] + "+")
    (builder,) = project["build-system"]["requires"]
    assert builder == f"hatchling=={locked['hatchling']}"


@pytest.mark.parametrize(
    "bill", ["requirements/isthmus.cdx.json", "packages/runtime/isthmus-runtime.cdx.json"]
)
def test_a_bill_of_materials_names_what_is_locked(bill: str) -> None:
    components = json.loads((ROOT / bill).read_text())["components"]
    named_here = {one["name"]: one["version"] for one in components}
    assert named_here.items() <= read_locked("dev.txt", "torch.txt").items()
    whole = PROJECT if bill.startswith("requirements") else RUNTIME
    assert {one.lower() for one in named(whole["dependencies"])} <= named_here.keys()


# -- isthmus-runtime ------------------------------------------------------------------------


def test_the_small_distribution_needs_what_the_whole_one_does_but_torch() -> None:
    whole = named(PROJECT["dependencies"])
    onnx = named(PROJECT["optional-dependencies"]["onnx"])
    small = named(RUNTIME["dependencies"])
    assert set(whole) - set(small) == {"torch", "lightning-fabric", "scikit-image"}
    assert set(small) - set(whole) == {"onnx", "onnxruntime"}
    assert small.items() <= (whole | onnx).items()
    shared = ("scripts", "requires-python", "license")
    assert [key for key in shared if RUNTIME[key] != PROJECT[key]] == []
    license_text = (ROOT / "packages/runtime/LICENSE").read_text(encoding="utf-8")
    assert license_text == (ROOT / "LICENSE").read_text(encoding="utf-8")


WITHOUT_TORCH = """
import sys
for name in ("torch", "lightning_fabric", "skimage"):
    sys.modules[name] = None  # Python then finds no such module
"""


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """Return a folder of Python's path that isthmus-runtime is installed in."""
    pretend_installed("isthmus_runtime", tmp_path)
    return tmp_path


def run_without_torch(script: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    more = f"sys.path.append({str(path)!r})\n" if path else ""
    command = [sys.executable, "-c", WITHOUT_TORCH + more + script]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "command",
    ["train digits", "resume .", "summary", "evaluate .", "report .", "recipe run digits-dense"],
)
def test_a_command_that_needs_torch_says_so(command: str, runtime: Path) -> None:
    script = f"sys.argv[1:] = {command.split()!r}\nfrom isthmus.cli import main\nmain()"
    ended = run_without_torch(script, runtime)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[-1] == (
        f"isthmus: isthmus {command.split()[0]} needs PyTorch, which isthmus-runtime leaves out; "
        "pip uninstall isthmus-runtime, then install isthmus."
    )


def test_a_run_folder_that_needs_torch_is_named(tmp_path: Path, runtime: Path) -> None:
    script = f"from isthmus.inference.load import load_model\nload_model({str(tmp_path)!r})"
    said = run_without_torch(script, runtime).stderr.splitlines()[-1]
    assert said.startswith(f"isthmus.errors.OptionError: {tmp_path} needs PyTorch, which isthmus-")


def test_a_public_name_that_needs_torch_says_so(runtime: Path) -> None:
    said = run_without_torch("from isthmus import train", runtime).stderr.splitlines()[-1]
    assert said.startswith("ImportError: isthmus.train needs PyTorch, which isthmus-runtime")


def test_a_star_imports_what_needs_no_torch(runtime: Path) -> None:
    script = "from isthmus import *\nprint(*sorted(name for name in dir() if name != 'sys'))"
    ended = run_without_torch(script, runtime)
    assert ended.stderr == ""
    names = ended.stdout.split()
    assert {"OnnxModel", "Session", "Index", "load", "load_model", "encode"} <= set(names)
    assert {"train", "TrainedModel", "evaluate"}.isdisjoint(names)


def test_the_small_distribution_is_named_only_where_it_is_installed() -> None:
    said = run_without_torch("from isthmus import TrainedModel").stderr.splitlines()[-1]
    assert said == (
        "ImportError: isthmus.TrainedModel needs the package torch, which is missing; install "
        "isthmus again."
    )


def test_another_missing_module_is_not_explained_by_distributions() -> None:
    script = "sys.modules['numpy'] = None\n"
    for names in ("load", "*"):
        ended = run_without_torch(script + f"from isthmus import {names}")
        assert "import of numpy halted" in ended.stderr
    commands = "sys.argv[1:] = ['data']\nfrom isthmus.cli import main\nmain()"
    ended = run_without_torch(script + commands)
    assert ended.returncode == 1
    assert "isthmus-runtime" not in ended.stderr

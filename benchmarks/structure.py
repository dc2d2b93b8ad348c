"""Count the size and the imports of the package, and measure what its main commands cost.

    python benchmarks/structure.py                       # the checkout that holds this file
    python benchmarks/structure.py --root ../older       # another checkout, such as an earlier one
    python benchmarks/structure.py --costs               # also CPU seconds and decoded images
    python benchmarks/structure.py --costs --tests       # also of the whole test suite

A *room* is a file or folder directly in `src/isthmus`, a *floor* a line of the layers that
import-linter holds, an *arrow* a pair of rooms of which one imports the other.
"""

import argparse
import ast
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import tokenize
import tomllib
from pathlib import Path
from typing import Any

IMAGES = 600  # of the folder that the README's route is measured on


def main() -> None:
    """Print the counts of a checkout as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--costs", action="store_true")
    parser.add_argument("--tests", action="store_true")
    options = parser.parse_args()
    root = options.root.resolve()
    result = structure(root)
    if options.costs:
        with tempfile.TemporaryDirectory() as folder:
            result |= costs(root, Path(folder))
    if options.tests:
        with tempfile.TemporaryDirectory() as folder:
            command = ["pytest", "-q", "-p", "no:cacheprovider"]
            result["cpu_seconds_tests"] = cpu_seconds(root, Path(folder), command, cwd=root)
    print(json.dumps(result, indent=2))


def structure(root: Path) -> dict[str, Any]:
    """Count rooms, floors, arrows, files, lines, parameters and comments."""
    package = root / "src" / "isthmus"
    files = sorted(package.rglob("*.py"))
    rooms = {room(package, file) for file in files} - {"__init__", "__main__"}
    functions = [node for file in files for node in _functions(file)]
    lengths = [(node.end_lineno or 0) - node.lineno + 1 for node in functions]
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    lines, code, comments = _lines(files)
    longest = max(functions, key=_parameter_count)
    return {
        "rooms": len(rooms),
        "floors": len(contracts["contracts"][0]["layers"]),
        "arrows": len(_arrows(package, files)),
        "files": len(files),
        "lines": lines,
        "lines_of_code": code,
        "comment_share_of_code": round(comments / code, 4),
        "function_lines_median": statistics.median(lengths),
        "function_lines_90th_percentile": statistics.quantiles(lengths, n=10)[-1],
        "longest_parameter_list": _parameter_count(longest),
        "longest_parameter_list_of": longest.name,
    }


def room(package: Path, file: Path) -> str:
    """Return the name of the file or folder directly in the package that holds a file."""
    return file.relative_to(package).parts[0].removesuffix(".py")


def _functions(file: Path) -> list[ast.FunctionDef]:
    return [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef)]


def _parameter_count(function: ast.FunctionDef) -> int:
    arguments = function.args
    return len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)


def _arrows(package: Path, files: list[Path]) -> set[tuple[str, str]]:
    """Return the pairs of rooms of which the first imports the second, inside functions too."""
    arrows = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            parts = node.module.split(".")
            if parts[0] != "isthmus":
                continue
            targets = parts[1:2] or [alias.name for alias in node.names]
            arrows |= {(room(package, file), target) for target in targets}
    return {(a, b) for a, b in arrows if a != b and a not in ("__init__", "__main__")}


def _lines(files: list[Path]) -> tuple[int, int, int]:
    """Count lines that are not blank, those of them outside docstrings, and comments."""
    lines = code = comments = 0
    for file in files:
        text = file.read_text()
        count = sum(bool(line.strip()) for line in text.splitlines())
        lines += count
        code += count - sum(map(_docstring_lines, ast.walk(ast.parse(text))))
        with file.open("rb") as opened:
            comments += sum(
                token.type == tokenize.COMMENT for token in tokenize.tokenize(opened.readline)
            )
    return lines, code, comments


def _docstring_lines(node: ast.AST) -> int:
    """Return how many lines that are not blank the docstring of a node has."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    text = ast.get_docstring(node, clean=False) if isinstance(node, kinds) else None
    return sum(bool(line.strip()) for line in text.splitlines()) if text else 0


def costs(root: Path, folder: Path) -> dict[str, Any]:
    """Measure the CPU seconds of a report and an evaluation, and count decoded images."""
    isthmus = [sys.executable, "-m", "isthmus"]

    def seconds(*words: str) -> float:
        return cpu_seconds(root, folder, [*isthmus, *words], cwd=folder)

    seconds("train", "digits", "--code-size", "8", "--epochs", "2", "--out", "digits")
    noisy = ["--corrupt", "gaussian:0.5", "--code-size", "128", "--out", "denoiser"]
    seconds("train", "mnist", "--limit", "20000", "--epochs", "2", *noisy)
    result: dict[str, Any] = {
        "cpu_seconds_report_digits": seconds("report", "digits"),
        "cpu_seconds_evaluate_denoiser": seconds("evaluate", "denoiser", "--json"),
    }
    before = _decoded(folder)
    _make_images(folder / "photos")
    seconds("train", "photos", "--size", "32", "--epochs", "1", "--out", "photo-run")
    seconds("report", "photo-run")
    seconds("index", "photo-run", "photos")
    seconds("search", "photo-run", "photos/a/0.png", "--out", "similar.png")
    return result | {"images": IMAGES, "images_decoded": _decoded(folder) - before}


def cpu_seconds(root: Path, folder: Path, command: list[str], cwd: Path) -> float:
    """Run a command with the package of a checkout; return user and system seconds."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(root / "src"),
        "ISTHMUS_CACHE": str(folder / "cache"),
    }
    start = _children()
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr[-500:]}{done.stdout[-500:]}")
    return round(_children() - start, 2)


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _decoded(folder: Path) -> int:
    """Count the samples that the cache holds: each entry was read and decoded once."""
    files = (folder / "cache" / "samples").glob("*/samples.json")
    return sum(json.loads(file.read_text())["shape"][0] for file in files)


def _make_images(folder: Path) -> None:
    """Write pictures of digits in color, in two folders."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits().images[:IMAGES]
    for i, digit in enumerate(digits):
        place = folder / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.repeat((digit * 15).astype(np.uint8)[..., None], 3, 2)
        pixels[..., i % 3] //= 2
        Image.fromarray(pixels).resize((40, 40)).save(place / f"{i}.png")


if __name__ == "__main__":
    main()

"""SECURITY.md: each promise names tests that prove it, and they exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def promises() -> list[str]:
    """Return the numbered paragraphs."""
    return re.findall(r"^\d+\. .*(?:\n   .*)*", TEXT, re.MULTILINE)


def defined_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_promise_has_a_number_and_a_test() -> None:
    numbers = [int(promise.partition(".")[0]) for promise in promises()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 10
    assert [promise for promise in promises() if "::" not in promise] == []


def test_each_named_test_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) == TEXT.count("::")
    files = {file: defined_in(ROOT / file) for file, _ in named if (ROOT / file).is_file()}
    assert [(file, name) for file, name in named if name not in files.get(file, set())] == []


def test_no_address_is_invented() -> None:
    assert re.findall(r"[\w.]+@[\w.]+", TEXT) == []

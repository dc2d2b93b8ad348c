"""The guide "What was read" prints what the program says of each of its sources."""

from pathlib import Path

import pytest

from isthmus.data.reading import Reading
from test_cli import isthmus, pictures
from test_guides import BLOCK as ANY_BLOCK
from test_guides import run_python

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs/reading.md").read_text(encoding="utf-8")

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / "docs"))
    import reading

PRINTED = {command: text for _, command, text in reading.BLOCK.findall(GUIDE)}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    reading.write_sources(folder)
    return folder


@pytest.mark.parametrize("command", PRINTED)
def test_the_guide_shows_what_is_printed(
    command: str, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reading.is_missing(command):
        pytest.skip("ISTHMUS_DATA is not set to a folder with the data sets")
    monkeypatch.chdir(sources)
    outcome = isthmus(*command.split()[1:])
    printed = (outcome.out or outcome.err).replace(f"{sources}/", "")
    assert printed == PRINTED[command], "python docs/reading.py writes it"


def test_the_other_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    for language, code in ANY_BLOCK.findall(GUIDE):
        if language == "python":
            assert "1,797 images" in run_python(code, {})
    assert isthmus("data", "check", "photos/", "--size", 64).code == 0


def test_each_source_is_told_in_a_few_lines() -> None:
    assert len({command.split()[3].split("/")[0] for command in PRINTED}) == 10
    assert {command: text for command, text in PRINTED.items() if text.count("\n") > 25} == {}


def test_the_guide_lists_the_options_of_reading() -> None:
    assert [name for name in vars(Reading()) if f"`--{name.replace('_', '-')}`" not in GUIDE] == []

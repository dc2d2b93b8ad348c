"""The Dockerfile: what it copies is there and is sent, and it installs as `make` does."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORE = (ROOT / ".dockerignore").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def instructions(kind: str) -> list[str]:
    """Return the arguments of all instructions of a kind, each on one line."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{kind} (.*)$", joined, re.MULTILINE)


def copied() -> list[str]:
    """Return what is copied from the project."""
    return [
        source
        for arguments in instructions("COPY")
        if not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    ]


def is_sent(path: str) -> bool:
    """Return whether a file goes to the builder, by the last line of .dockerignore that fits."""
    sent = True
    for line in (line for line in IGNORE.splitlines() if line and not line.startswith("#")):
        pattern = line.removeprefix("!")
        above = [path, *(str(one) for one in Path(path).parents)]
        if any(fnmatch(one, pattern) for one in above):
            sent = line.startswith("!")
    return sent


def options(command: str) -> set[str]:
    return set(re.findall(r"--[\w-]+", command))


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_is_there_and_is_sent(source: str) -> None:
    assert (ROOT / source).exists()
    assert is_sent(source)


@pytest.mark.parametrize("path", [".git/config", "runs/mine/run.json", "tests/test_cli.py", ".env"])
def test_nothing_else_is_sent(path: str) -> None:
    assert not is_sent(path)


def test_the_program_is_sent_without_what_it_was_compiled_to() -> None:
    assert is_sent("src/isthmus/cli/app.py")
    assert not is_sent("src/isthmus/cli/__pycache__/app.pyc")


def test_it_installs_as_make_does() -> None:
    makefile = dict(re.findall(r"^(INSTALL|LOCKED) := (.*)$", MAKEFILE, re.MULTILINE))
    wanted = options(makefile["INSTALL"])
    locked = wanted | options(makefile["LOCKED"])
    commands = [one for one in instructions("RUN") if "pip install" in one]
    assert [options(one) for one in commands] == [locked, locked, wanted | {"--no-build-isolation"}]
    assert all(f"requirements/{name}.txt" in DOCKERFILE for name in ("run", "torch", "${TORCH}"))
    assert "ARG TORCH=torch-cpu" in DOCKERFILE


def test_it_runs_as_a_user_without_rights_and_names_no_secret() -> None:
    *_, user = instructions("USER")
    assert user == "1000:1000"
    assert re.search(r"--uid 1000\b", DOCKERFILE)
    assert not re.search(r"(?i)password|secret|token|https?://", DOCKERFILE)
    assert instructions("ENTRYPOINT") == ['["isthmus"]']
    variables = dict(pair.split("=") for line in instructions("ENV") for pair in line.split())
    volumes = instructions("VOLUME")[0]
    folders = ("ISTHMUS_DATA", "ISTHMUS_CACHE", "ISTHMUS_STATE")
    assert all(f'"{variables[name]}"' in volumes for name in folders)

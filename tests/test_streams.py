"""Standard output and error: any encoding, names of any bytes, closed or full; and no warnings."""

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from isthmus.cli import main
from isthmus.cli.streams import robust_streams
from isthmus.text import printable, to_utf8
from test_cli import Outcome, done

CAT = "\N{CJK UNIFIED IDEOGRAPH-732B}"
LATIN = "caf\udce9"  # as Python has the name of a file in Latin-1
COLORED = "\x1b[31mred\nline"
NAMES = (CAT, LATIN, COLORED, "[bold]", "$x_{$", "\N{CAT FACE}")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make two classes of pictures with difficult names."""
    folder = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(7)
    for label in (CAT, LATIN):
        (folder / label).mkdir()
        for name in NAMES:
            pixels = draw.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(os.fsencode(folder / label / f"{name}.png"), "PNG")
    return folder


@pytest.fixture(scope="module")
def runs(
    photos: Path, tmp_path_factory: pytest.TempPathFactory, session_cache: Path
) -> Iterator[Path]:
    """Train an autoencoder and a classifier, in a folder whose name is no UTF-8 either."""
    folder = tmp_path_factory.mktemp("runs") / LATIN
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        done("train", photos, "--model", "linear", "--epochs", 1, "--out", folder / "plain")
        classify = ("--task", "classify", "--model", "cnn-tiny")
        done("train", photos, *classify, "--epochs", 1, "--out", folder / "classes")
        yield folder


def isthmus_in(encoding: str, *arguments: object) -> Outcome:
    """Run a command in this process with streams of an encoding."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        with pytest.raises(SystemExit) as exited:
            main()
    texts = [stream.detach().getvalue().decode(encoding) for stream in streams]
    return Outcome(int(exited.value.code or 0), *texts)


# -- encodings and names --------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "utf-16"])
def test_names_are_printed_in_every_encoding(encoding: str, runs: Path, photos: Path) -> None:
    command = ("predict", runs / "classes", photos)
    text = isthmus_in(encoding, *command)
    assert (text.code, len(text.out.splitlines())) == (0, 12)
    assert "\x1b" not in text.out
    assert "\\x1b[31mred\\nline.png" in text.out
    assert "caf\\xe9.png" in text.out
    assert (f"{CAT}.png" if encoding.startswith("utf") else "\\u732b.png") in text.out
    rows = json.loads(isthmus_in(encoding, *command, "--json").out)
    assert [row["name"] for row in rows] == sorted(
        f"{label}/{name}.png" for label in (CAT, LATIN) for name in NAMES
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_messages_and_tables_are_printed_too(encoding: str, runs: Path) -> None:
    assert isthmus_in(encoding, "evaluate", runs / "classes").code == 0
    refused = isthmus_in(encoding, "evaluate", f"{CAT}{LATIN}{COLORED}")
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "\\u732bcaf\\xe9\\x1b[31mred\\nline" in refused.err


def test_any_name_is_drawn_written_and_found_again(
    runs: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow.parquet import read_table

    monkeypatch.chdir(tmp_path)
    plain, classes = runs / "plain", runs / "classes"
    picture = photos / LATIN / f"{LATIN}.png"
    done("map", plain, "--method", "pca", "--out", "map.png")
    assert "caf\\udce9" in (tmp_path / "map.csv").read_text("utf-8")
    done("reconstruct", plain, photos, "--limit", 12)
    done("activations", plain, picture, "--out", f"{LATIN}.png")
    done("index", plain)
    done("search", plain, picture, "--k", 3, "--out", "found.png")
    assert done("search", plain, f"{LATIN}/{LATIN}.png", "--k", 3).out.count("\n") == 3
    done("predict", classes, photos, "--out", "predicted.png")
    done("predict", classes, photos, "--out", "predicted.parquet")
    table = read_table(tmp_path / "predicted.parquet")
    assert table.column_names[3:] == ["probability_caf\\udce9", f"probability_{CAT}"]
    assert {*table["class"].to_pylist()} <= {CAT, "caf\\udce9"}
    done("encode", plain, "--out", "codes.npy")
    for run in (plain, classes):
        assert Path(json.loads(done("report", run, "--json").out)["page"]).read_text("utf-8")
    done("data", "export", photos, "--out", "copy")
    assert {path.name for path in (tmp_path / "copy" / LATIN).iterdir()} == {
        f"{name}.png" for name in NAMES
    }
    done("export", plain, "--out", f"{LATIN}.onnx")
    done("reconstruct", f"{LATIN}.onnx", photos, "--out", "again.png")


def test_what_no_terminal_should_get_becomes_an_escape() -> None:
    assert printable("a\u202eb\u2028\x9b\r\t") == r"a\u202eb\u2028\x9b\r\t"
    joined = "\N{ARABIC LETTER NOON}\N{ZERO WIDTH NON-JOINER}\N{ARABIC LETTER HEH}"
    assert printable(f"{joined} caf\xe9\xa0!") == f"{joined} caf\xe9\xa0!"
    assert json.loads(to_utf8(json.dumps(LATIN + CAT, ensure_ascii=False))) == LATIN + CAT


# -- streams that take nothing --------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "command", ["data", "data --json", "--help", "--version", "summary --json"]
)
def test_a_full_disk_ends_in_a_sentence(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        errors = io.StringIO()
        monkeypatch.setattr(sys, "argv", ["isthmus", *command.split()])
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", errors)
        # One of its own: it keeps what it could not write, for whoever prints by it next.
        for module in ("data", "terminal"):
            monkeypatch.setattr(f"isthmus.cli.{module}.out_console", Console())
        with pytest.raises(SystemExit) as exited:
            main()
    assert exited.value.code == 1
    assert errors.getvalue() == (
        "isthmus: the output cannot be written: No space left on device.\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="it needs a shell")
@pytest.mark.parametrize(
    ("command", "code"), [("summary --json >&- 2>&- <&-", 0), ("evaluate nowhere >&- 2>&-", 2)]
)
def test_closed_streams_are_no_error(command: str, code: int) -> None:
    shell = f"{sys.executable} -m isthmus {command}"
    assert subprocess.run(shell, shell=True, timeout=120, check=False).returncode == code


# -- warnings -------------------------------------------------------------------------------------


# What `python -W error -m isthmus` runs, one command after the other in one process.
PROGRAM = """
import sys
from isthmus.cli import main
from isthmus.cli.streams import robust_streams
for words in sys.stdin.read().splitlines():
    sys.argv = ["isthmus", *words.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, words
"""
COMMANDS = """\
train three --model linear --epochs 1 --code-size 2 --out run
evaluate run
report run
map run
data map three
index run
search run 0.png --k 1
denoise run three --out clean
encode run
card run
"""


def test_commands_run_where_warnings_are_errors(tmp_path: Path) -> None:
    (tmp_path / "three").mkdir()
    for number in range(3):
        pixels = np.full((8, 8), 60 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "three" / f"{number}.png")
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        input=COMMANDS,
        cwd=tmp_path,
        env=os.environ | {"ISTHMUS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ended.returncode, "Warning" in ended.stderr) == (0, False), ended.stderr


def test_no_warning_of_a_library_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr(sys, "warnoptions", [])
    with robust_streams():
        warnings.warn("noise", RuntimeWarning, stacklevel=1)
        logging.getLogger("a.library").warning("noise")
    assert errors.getvalue() == ""

"""Progress: a bar in a terminal, a bar in a notebook, lines in a log file."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, suppress
from pathlib import Path
from threading import Thread

import nbformat
import pytest
from nbclient import NotebookClient

from isthmus import TrainingConfig, load, resume, show_progress, train
from isthmus.progress import format_seconds

TRAINING = """
import isthmus
config = isthmus.TrainingConfig(epochs={epochs})
training = isthmus.train(isthmus.load("digits", limit=100), "linear", code_size=2, config=config)
for progress in isthmus.show_progress(training):
    pass
"""

FAILING = "train digits --limit 60 --batch-size 99"  # says what it reads first


class Clock:
    """A clock that tests set, so that none of them waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("isthmus.progress.time.monotonic", lambda: self.now)

    def each(self, count: int, seconds: float) -> Iterator[int]:
        """Yield numbers, each of which takes so many seconds."""
        for number in range(count):
            self.now += seconds
            yield number


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


# -- log files --------------------------------------------------------------------------------


def test_a_log_file_gets_a_line_for_about_ten_epochs(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log, redirect_stderr(log):
        exec(TRAINING.format(epochs=25), {})
    lines = (tmp_path / "log").read_text().splitlines()
    epochs = [int(re.match(r"epoch (\d+)/25: ", line)[1]) for line in lines]  # type: ignore[index]
    assert epochs == [*range(2, 25, 2), 25]
    pattern = r"epoch .*: [\d,]+/s, loss \d\.\d{4}, validation \d\.\d{4}, [\d.]+ s left"
    assert re.fullmatch(pattern, lines[0])


def test_counted_work_gets_a_line_now_and_then(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(show_progress(clock.each(40, 1), 40, "Encoding")) == list(range(40))
    assert capsys.readouterr().err.splitlines() == [
        "Encoding: 9 of 40, 0.9/s, 34 s left",
        "Encoding: 19 of 40, 0.95/s, 22 s left",
        "Encoding: 29 of 40, 0.97/s, 11 s left",
        "Encoding: 39 of 40, 0.97/s, 1.0 s left",
        "Encoding: 40 of 40, 1/s, in 40 s",
    ]


def test_short_work_gets_none(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    list(show_progress(clock.each(1000, 0.009), 1000, "Encoding"))
    assert capsys.readouterr().err == ""


def test_a_day_of_work_does_not_fill_the_log(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    list(show_progress(clock.each(86_400, 1), 86_400))
    lines = capsys.readouterr().err.splitlines()
    assert 20 < len(lines) < 100
    assert lines[-1] == "86,400 of 86,400, 1/s, in 24:00:00 h"


def test_work_of_unknown_length_is_counted(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    list(show_progress(clock.each(320, 0.0625), title="Reading"))
    assert capsys.readouterr().err.splitlines() == [
        "Reading: 159, 16/s",
        "Reading: 319, 16/s",
        "Reading: 320, 16/s, in 20 s",
    ]


def test_work_that_is_left_is_no_longer_counted(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in show_progress(clock.each(40, 1), 40, "Encoding"):
        if number == 14:
            break
    assert capsys.readouterr().err.splitlines()[-1] == "Encoding: 14 of 40, 0.93/s, 28 s left"


def test_only_the_first_process_speaks(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert len(list(show_progress(clock.each(40, 1), 40))) == 40
    assert capsys.readouterr().err == ""


def test_a_resumed_training_counts_the_time_from_its_own_start(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = load("digits", limit=60)
    list(train(samples, "linear", out=tmp_path / "run", config=TrainingConfig(epochs=97)))
    for progress in show_progress(resume(tmp_path / "run", epochs=100)):
        clock.now += 4 * (progress.validation_loss is not None)  # of three epochs, after each
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("epoch 100/100: ")
    assert line.endswith(f"validation {progress.validation_loss:.4f}, in 8.0 s")


def test_the_losses_of_the_last_epoch_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("isthmus.progress.SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr("isthmus.progress.LINE_FACTOR", 0.0)
    config = TrainingConfig(epochs=2, batch_size=20)
    results = ""
    training = train(load("digits", limit=60), "cnn-tiny", config=config)
    for progress in show_progress(training):
        results = progress.results() or results
        assert (results or "loss") in capsys.readouterr().err
    assert re.fullmatch(r"validation \d+\.\d{4}, accuracy \d+\.\d\d%", results)


# -- machines ---------------------------------------------------------------------------------


def test_machines_get_a_line_of_json_for_each_epoch_as_in_the_history(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ISTHMUS_LOG", "json")
    training = train(load("digits", limit=60), "cnn-tiny", config=TrainingConfig(epochs=3))
    for _ in show_progress(training):
        pass
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [
        {**line, **known} for line, known in zip(lines, training.run.history(), strict=True)
    ] == lines
    assert {line["level"] for line in lines} == {"info"}
    assert [(line["work"], line["done"]) for line in lines] == [
        (f"epoch {epoch}/3", epoch) for epoch in (1, 2, 3)
    ]
    assert "validation_accuracy" in lines[0]


def test_machines_get_counted_work_as_numbers(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_LOG", "json")
    list(show_progress(clock.each(25, 1), 25, "Encoding"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["work"], line["done"], line["total"], line["seconds"]) for line in lines] == [
        ("Encoding", 9, 25, 10),
        ("Encoding", 19, 25, 20),
        ("Encoding", 25, 25, 25),
    ]
    assert lines[0]["message"] == "Encoding: 9 of 25, 0.9/s, 18 s left"


@pytest.mark.parametrize(
    ("level", "written"),
    [("info", ["info", "error"]), ("warning", ["error"]), ("error", ["error"])],
)
def test_what_is_said_has_a_level(
    level: str,
    written: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ISTHMUS_LOG", "json")
    monkeypatch.setenv("ISTHMUS_LOG_LEVEL", level)
    code, err = command(monkeypatch, capsys, *FAILING.split())
    assert code == 2
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["level"] for line in lines] == written
    assert lines[-1]["message"].startswith("a batch of 99 exceeds the 46 samples")


def test_an_unknown_form_of_logs_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ISTHMUS_LOG", "xml")
    assert command(monkeypatch, capsys, "info") == (
        2,
        "isthmus: ISTHMUS_LOG is one of text, json, not 'xml'.\n",
    )


def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[object, str]:
    """Run a command in this process, and return its exit code and what it said."""
    from isthmus.cli import main

    monkeypatch.setattr(sys, "argv", ["isthmus", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


# -- terminals --------------------------------------------------------------------------------


def in_a_terminal(terminal: str, run: Callable[[int], None]) -> str:
    """Return what is written to a terminal of this kind by a function that is given it."""
    parent, child = pty.openpty()
    written = b""

    def read() -> None:
        nonlocal written
        with suppress(OSError):  # on Linux, the end of a terminal
            while part := os.read(parent, 4096):
                written += part

    reader = Thread(target=read)
    reader.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", terminal)
        patch.setenv("COLUMNS", "120")
        run(child)
    reader.join()
    os.close(parent)
    return written.decode()


def train_in_a_process(terminal: int) -> None:
    command = [sys.executable, "-c", TRAINING.format(epochs=3) + "print('done')"]
    process = subprocess.Popen(command, stderr=terminal, stdout=subprocess.PIPE)
    os.close(terminal)
    assert process.communicate()[0] == b"done\n"


def train_here(terminal: int) -> None:
    with open(terminal, "w") as stream, redirect_stderr(stream):
        exec(TRAINING.format(epochs=3), {})


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    text = in_a_terminal("xterm", train_in_a_process)
    assert "epoch 1/3" in text
    assert "━" in text
    assert "loss 0." in text
    assert text.endswith("\x1b[2K")  # the line is erased


def test_a_terminal_whose_cursor_cannot_go_back_gets_lines() -> None:
    text = in_a_terminal("dumb", train_here)
    assert [line[:11] for line in text.splitlines()] == [f"epoch {n}/3: " for n in (1, 2, 3)]


def test_a_log_file_gets_lines_where_colors_are_forced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with (tmp_path / "log").open("w") as log, redirect_stderr(log):
        exec(TRAINING.format(epochs=3), {})
    text = (tmp_path / "log").read_text()
    assert [line[:11] for line in text.splitlines()] == [f"epoch {n}/3: " for n in (1, 2, 3)]


# -- notebooks --------------------------------------------------------------------------------


def test_a_notebook_gets_one_bar_in_its_cell() -> None:
    counting = "list(isthmus.show_progress(range(3), 3, '<Counting>'))"
    until = "import isthmus.progress\nisthmus.progress.SECONDS_UNTIL_CELL = {}\n"
    cells = [
        until.format(600.0) + TRAINING.format(epochs=1),
        until.format(0.0) + TRAINING.format(epochs=4),
        counting,
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    short, training, counted = (cell.outputs for cell in notebook.cells)
    assert short == []
    (bar,) = training  # updated in place, with nothing next to it
    assert re.search(r'value="(\d+)" max="\1"', bar.data["text/html"])
    assert re.search(r">epoch 4/4<.*loss 0\..*validation 0\..*in [\d.]+ s<", bar.data["text/html"])
    assert bar.data["text/plain"].startswith("epoch 4/4: ")
    assert "&lt;Counting&gt;" in counted[0].data["text/html"]


def test_times_are_short() -> None:
    assert [format_seconds(value) for value in (9.96, 59.4, 3599.9)] == [
        "10 s", "59 s", "1:00:00 h",
    ]  # fmt: skip

"""What pages are told while they are open: epochs, better weights, progress, and the end."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from isthmus import Progress, Run, Session, TrainingConfig, load, train
from isthmus.errors import OptionError
from isthmus.studio.columns import pack, unpack
from isthmus.studio.content import Content
from isthmus.studio.events import Events
from isthmus.studio.follow import Follower
from isthmus.studio.live import Live
from isthmus.training.store import FolderStore, is_in_training
from studio.asking import Client
from studio.listening import Listener
from studio.serving import start_studio, wait_until

T = TypeVar("T")


class Trainer:
    """A training that goes on when it is told to."""

    def __init__(self, out: Path) -> None:
        config = TrainingConfig(epochs=3, batch_size=32)
        self.steps: Iterator[Progress] = iter(
            train(load("digits", limit=120), "linear", out=out, code_size=2, config=config)
        )
        next(self.steps)

    def finish_epoch(self) -> None:
        """Go on until an epoch was measured and written."""
        for progress in self.steps:
            if progress.validation_loss is not None:
                next(self.steps)  # the files of an epoch are there when the next one has begun
                return

    def finish(self) -> None:
        """Go on until the end."""
        for _ in self.steps:
            pass


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path / "run")


# -- a run in training ------------------------------------------------------------------------


def test_a_run_in_training_is_followed_to_its_end(trainer: Trainer, tmp_path: Path) -> None:
    run = tmp_path / "run"
    studio = start_studio(run)
    try:
        client = Client(studio)
        before = client.manifest
        listener = Listener(client)
        assert listener.wait("training") == {"is_training": True}
        assert client.json("/data/history.json")["is_training"] is True
        trainer.finish_epoch()
        told = listener.wait("history")
        assert (told["from"], [line["epoch"] for line in told["lines"]]) == (0, [1])
        trainer.finish_epoch()
        told = listener.wait("history")
        assert (told["from"], [line["epoch"] for line in told["lines"]]) == (1, [2])
        trainer.finish()
        listener.wait("training", is_training=False)
        # The last refresh: what is shown is what the run has in the end.
        end = time.monotonic() + 60
        expected = Session(run).codes().z
        while not np.array_equal(unpack(client.ask("/data/codes.bin").content), expected):
            assert time.monotonic() < end
            listener.wait("manifest")
        assert client.manifest["fingerprint"] != before["fingerprint"]
        lines = client.json("/data/history.json")["lines"]
        assert lines == Run.open(run).history()
        # Who opens the page now is told all that was told.
        late = Listener(client)
        assert late.wait("training") == {"is_training": False}
        assert late.wait("history") == {"from": 0, "lines": lines}
    finally:
        studio.stop()


def test_nothing_of_other_weights_answers_a_page_that_does_not_know_them(
    trainer: Trainer, tmp_path: Path
) -> None:
    trainer.finish_epoch()
    studio = start_studio(tmp_path / "run")
    try:
        client = Client(studio)
        wait_until(lambda: "networks" not in client.manifest["pending"])
        before = client.manifest
        page = {"Isthmus-Snapshot": before["snapshot"]}
        of_model = [
            *(before["networks"][part]["file"] for part in ("encoder", "decoder", "layers")),
            *(entry["file"] for entry in [before["codes"], *before["maps"]]),
            *(one["file"] for one in before["columns"] if one["name"] == "loss"),
        ]
        of_samples = ["manifest.json", "history.json", "names/0.json", "thumbs/0.webp"]
        of_samples += ["epochs/inputs.bin", "epochs/1.bin", "samples/3.png"]
        z = unpack(client.ask("/data/codes.bin").content)[:1]
        search = json.dumps({"code": z[0].tolist(), "k": 1}).encode()
        questions = [("/decode", pack(z)), ("/neighbors", search), ("/codes?rows=1", None)]
        questions += [("/layers/1", None), *((f"/data/{path}", None) for path in of_model)]
        for path, body in questions:
            assert client.ask(path, body, **page).status == 200, path
        trainer.finish()
        wait_until(lambda: client.manifest["snapshot"] != before["snapshot"])
        for path, body in questions:
            answer = client.ask(path, body, **page)
            assert (answer.status, answer.content) == (204, b""), path
        for path in of_samples:
            assert client.ask(f"/data/{path}", **page).status == 200, path
        page = {"Isthmus-Snapshot": client.manifest["snapshot"]}
        assert client.ask("/data/codes.bin", **page).status == 200
        # Of many epochs some are kept only for a while, and what was never there is a mistake.
        assert client.ask("/data/epochs/9.bin", **page).status == 204
        assert client.ask("/data/epochs/9.bin").status == 404
        assert client.ask("/data/nothing.onnx", **page).status == 404
    finally:
        studio.stop()


def test_looking_whether_a_run_is_trained_never_stops_its_training(tmp_path: Path) -> None:
    assert not is_in_training(tmp_path)
    digits = load("digits", limit=60)
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            is_in_training(tmp_path / "run")

    looking = threading.Thread(target=look)
    looking.start()
    try:
        list(train(digits, "linear", out=tmp_path / "run", config=TrainingConfig(epochs=1)))
        run = Run.open(tmp_path / "run")
        for _ in range(20):
            with run.lock():
                assert is_in_training(tmp_path / "run")
    finally:
        is_over.set()
        looking.join()
    assert not is_in_training(tmp_path / "run")


# -- following --------------------------------------------------------------------------------


class Told(Events):
    """Keeps what pages are told."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, name: str, content: dict[str, Any]) -> None:
        self.sent.append((name, content))

    def state(self, key: str, name: str, content: dict[str, Any], *, tell: bool = True) -> None:
        if tell:
            self.sent.append((name, content))

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        taken, self.sent = self.sent, []
        return taken


def write_history(run: Path, epochs: list[float]) -> None:
    """Replace a history as training does: whole, by another file."""
    lines = "".join(json.dumps({"epoch": epoch}) + "\n" for epoch in epochs)
    (run / "new").write_text(lines)
    (run / "new").replace(run / "history.jsonl")


def test_only_what_is_new_is_told(tmp_path: Path) -> None:
    events = Told()
    follower = Follower(tmp_path, events, lambda **_: True)
    follower.look()
    assert events.take() == [("training", {"is_training": False})]
    write_history(tmp_path, [1, 2])
    follower.look()
    assert events.take() == [("history", {"from": 0, "lines": [{"epoch": 1}, {"epoch": 2}]})]
    follower.look()
    assert events.take() == []
    write_history(tmp_path, [1, 2, 3])
    follower.look()
    assert events.take() == [("history", {"from": 2, "lines": [{"epoch": 3}]})]
    write_history(tmp_path, [1, 5])  # resumed from an earlier checkpoint
    follower.look()
    assert events.take() == [("history", {"from": 0, "lines": [{"epoch": 1}, {"epoch": 5}]})]
    (tmp_path / "new").write_text('{"epoch": NaN}\n')
    (tmp_path / "new").replace(tmp_path / "history.jsonl")
    follower.look()
    assert events.take() == [("history", {"from": 0, "lines": [{"epoch": None}]})]
    (tmp_path / "history.jsonl").write_text('{"epo')  # which only somebody else writes
    follower.look()
    (tmp_path / "history.jsonl").unlink()
    follower.look()
    assert events.take() == []


def test_better_weights_are_asked_for_until_there_is_time_for_them(tmp_path: Path) -> None:
    asked: list[bool] = []
    answers = iter([False, False, True, True])

    def refresh(*, now: bool) -> bool:
        asked.append(now)
        return next(answers)

    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"first")
    follower = Follower(tmp_path, Told(), refresh)
    follower.look()
    assert asked == []
    weights.write_bytes(b"better")
    for _ in range(5):
        follower.look()
    assert asked == [True, True, True]  # now: nobody trains the run
    os.utime(weights, ns=(1, 1))
    follower.look()
    assert len(asked) == 4


# -- refreshing -------------------------------------------------------------------------------


class Slow:
    """Content that takes a while to read again."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def manifest(self, *, live: bool = False) -> dict[str, Any]:
        return {"fingerprint": "0" * 16}

    def make_next(self, track: object = None) -> bool:
        return False

    def refresh(self) -> bool:
        start = time.monotonic()
        time.sleep(0.05)
        self.times.append((start, time.monotonic()))
        return True

    def add_map(self, method: str, track: object = None) -> None:
        raise OptionError("there is no such map.")


def open_slowly(content: Any, events: Events) -> Live:
    session: Any = type("Idle", (), {"interrupt": lambda self: None})()
    live = Live(lambda track: session, lambda session, track: content, events)
    live.start(lambda: None)
    while not live.is_prepared:
        time.sleep(0.001)
    return live


def test_refreshing_takes_a_fifth_of_the_time_at_most() -> None:
    slow = Slow()
    live = open_slowly(slow, Events())
    while len(slow.times) < 4:
        live.refresh()
        time.sleep(0.001)
    for (start, end), (later, _) in zip(slow.times, slow.times[1:], strict=False):
        assert later - end >= 3.9 * (end - start)
    while not live.refresh(now=True):  # refused only while the last one is still at work
        time.sleep(0.001)


def test_the_mixture_is_made_after_a_training_that_changed_nothing(
    trainer: Trainer, tmp_path: Path
) -> None:
    trainer.finish()
    run = tmp_path / "run"
    with FolderStore(run).lock():
        content = Content(Session(run))
        live = open_slowly(content, Events())
        wait_until(lambda: not content.manifest()["pending"])
        assert content.manifest()["mixture"] is None
    live.refresh(now=True)
    wait_until(lambda: content.manifest()["mixture"] is not None)


def test_a_job_that_fails_is_told_and_ends_nothing() -> None:
    events = Told()
    live = open_slowly(Slow(), events)
    live.add_map("nowhere")
    end = time.monotonic() + 20
    while not any("error" in content for _, content in events.sent):
        assert time.monotonic() < end
        time.sleep(0.001)
    assert events.sent[-1][1]["error"] == "there is no such map."
    assert live.is_prepared


# -- the stream -------------------------------------------------------------------------------


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread: the browser of other tests may have a loop in this one."""
    with ThreadPoolExecutor() as pool:
        return pool.submit(asyncio.run, work).result()


def test_pages_are_told_from_any_thread_and_late_ones_what_is_true() -> None:
    events = Events()
    events.state("training", "training", {"is_training": True})
    events.report("tsne", 1, 4, "Fitting")

    async def listen() -> list[str]:
        stream, seen = events.stream(), []
        async for text in stream:
            seen.append(text)
            if len(seen) == 1:
                threading.Thread(target=events.send, args=("history", {"text": "a\nb"})).start()
            elif len(seen) == 2:
                threading.Thread(target=events.close).start()
        return seen

    first, second = run_apart(listen())
    assert first.count("event: ") == 2
    assert second == 'event: history\ndata: {"text": "a\\nb"}\n\n'
    events.report("tsne", 4, 4, "")
    assert "tsne" not in run_apart(read_first(events))


async def read_first(events: Events) -> str:
    stream = events.stream()
    text = await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    return text


def test_streams_end_with_the_server(plane_run: Path) -> None:
    server = start_studio(plane_run)
    listeners = [Listener(Client(server)) for _ in range(3)]
    for listener in listeners:
        assert listener.answer.headers.get_content_type() == "text/event-stream"
        listener.wait("training")
    code, said = server.stop()
    assert (code, said) == (0, "The studio has ended.\n")
    for listener in listeners:
        listener.wait_for_end()

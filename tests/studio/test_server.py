"""The live server: its answers are the library's, and it starts and ends as a program should."""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from isthmus import Session, TrainingConfig, load, train, write_studio
from isthmus.errors import IsthmusError
from isthmus.studio.assets import page_files
from isthmus.studio.columns import pack, unpack
from isthmus.studio.serve import serve_studio
from studio.asking import Client, ask, find_cookie
from studio.conftest import fit
from studio.serving import Studio, Watch, open_studio, start_studio
from test_cli import isthmus


@pytest.fixture(scope="module")
def client(studio: Callable[..., Studio], digits_run: Path) -> Client:
    return Client(studio(digits_run))


@pytest.fixture(scope="module")
def session(digits_run: Path) -> Session:
    return Session(digits_run)


# -- answers ----------------------------------------------------------------------------------


def test_the_page_opens(page: Any, watch: Watch, client: Client) -> None:
    open_studio(page, client.studio.link)
    assert page.url == f"{client.studio.address}/"
    assert page.title() == "digits · Isthmus studio"
    page.reload()
    page.wait_for_selector("html[data-ready]", timeout=60_000)


@pytest.mark.parametrize("name", page_files())
def test_every_file_of_the_page_has_its_type(name: str, client: Client) -> None:
    kinds = {".js": "text/javascript", ".wasm": "application/wasm", ".css": "text/css"}
    kind = kinds.get(Path(name).suffix, "text/html")
    answer = client.ask(f"/{name}")
    assert (answer.status, answer.headers.get_content_type()) == (200, kind)


def test_codes_are_those_of_the_session(client: Client, session: Session) -> None:
    z = session.codes().z
    manifest = client.manifest
    codes = unpack(client.ask(f"/data/{manifest['codes']['file']}").content)
    np.testing.assert_array_equal(codes, z)
    rows = unpack(client.ask("/codes?rows=3,399,3").content)
    np.testing.assert_array_equal(rows, z[[3, 399, 3]])


def test_neighbors_are_exact_and_can_be_of_one_class(client: Client, session: Session) -> None:
    z, labels = session.codes().z, session.samples.labels
    assert labels is not None
    distances = np.sqrt(((z.astype(np.float64) - z[7]) ** 2).sum(1))
    found = client.post("/neighbors", {"code": z[7].tolist(), "k": 6}).json
    assert found["rows"][0] == 7
    np.testing.assert_allclose(found["distances"], np.sort(distances)[:6], atol=1e-4)
    asked = {"code": z[7].tolist(), "k": 1000, "column": "class", "value": 3}
    found = client.post("/neighbors", asked).json
    assert sorted(found["rows"]) == np.flatnonzero(labels == 3).tolist()
    np.testing.assert_allclose(found["distances"], np.sort(distances[labels == 3]), atol=1e-4)


def test_decoding_and_samples_are_those_of_the_model(client: Client, session: Session) -> None:
    z = session.codes().z[:5]
    decoded = unpack(client.ask("/decode", pack(z)).content)
    np.testing.assert_array_equal(decoded, session.model.decode(z).reshape(5, -1))
    for path in ("/samples/4.png", "/data/samples/4.png"):
        picture = Image.open(io.BytesIO(client.ask(path).content))
        np.testing.assert_array_equal(picture, session.samples.values[4, ..., 0])


def test_a_picture_becomes_the_code_that_the_session_gives_it(
    client: Client, session: Session, tmp_path: Path
) -> None:
    file = tmp_path / "digit.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(file)
    answer = client.ask("/encode", file.read_bytes()).json
    np.testing.assert_allclose(answer["code"], session.code(file), atol=1e-5)
    sample = np.frombuffer(base64.b64decode(answer["pixels"]), np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(sample, session.read_one(file).values[0, ..., 0])


def test_layers_are_those_of_the_model(client: Client, session: Session) -> None:
    content = client.ask("/layers/2").content
    size = int.from_bytes(content[:4], "little")
    titles = json.loads(content[4 : 4 + size])
    outputs = session.trained.activations(session.samples.values[2:3])
    numbers, at = np.frombuffer(content, "<f4", offset=4 + size), 0
    assert [title["name"] for title in titles] == [one.name for one in session.trained.layers]
    for title in titles:
        expected = outputs[title["name"]][0].ravel()
        np.testing.assert_allclose(numbers[at : at + expected.size], expected, atol=1e-6)
        assert np.prod(title["shape"]) == expected.size
        at += expected.size
    assert at == numbers.size


def test_what_a_browser_has_is_not_sent_again(client: Client) -> None:
    for path in ("/data/codes.bin", "/main.js", "/samples/0.png", "/data/thumbs/0.webp"):
        first = client.ask(path)
        again = client.ask(path, If_None_Match=first.headers["ETag"])
        assert (again.status, again.content) == (304, b""), path
        assert again.headers["ETag"] == first.headers["ETag"]
        assert client.ask(path, If_None_Match='"other"').status == 200


def test_a_signal_has_no_picture(studio: Callable[..., Studio], signal_run: Path) -> None:
    client = Client(studio(signal_run))
    assert client.manifest["sample"]["kind"] == "signal"
    assert client.ask("/samples/0.png").status == 404
    assert client.ask("/encode", b"x").status == 400
    z = unpack(client.ask("/codes?rows=0").content).copy()
    decoded = unpack(client.ask("/decode", pack(z)).content)
    np.testing.assert_array_equal(decoded, Session(signal_run).model.decode(z).reshape(1, -1))


def test_maps_are_fitted_when_they_are_asked_for(client: Client) -> None:
    assert client.ask("/maps/nowhere", b"").status == 404
    assert client.ask("/maps/pca", b"").status == 200  # it is there already
    # 200 if another process that shares the run has fitted it; asked for twice, it is fitted once.
    assert client.ask("/maps/tsne", b"").status in (200, 202)
    assert client.ask("/maps/tsne", b"").status in (200, 202)
    end = time.monotonic() + 60
    while "tsne" not in (names := [one["method"] for one in client.manifest["maps"]]):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert len(names) == len(set(names))
    assert unpack(client.ask("/data/maps/tsne.bin").content).shape == (400, 2)


def test_a_question_that_nobody_waits_for_is_given_up(client: Client) -> None:
    """Many clients that leave must not keep one that stays from its answer."""
    z = np.zeros((10_000, 8), np.float32)
    body = pack(z)
    head = (
        f"POST /decode HTTP/1.1\r\nHost: 127.0.0.1:{client.studio.port}\r\n"
        f"Cookie: {client.cookie}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", client.studio.port), 10) as left:
            left.sendall(head.encode() + body)
    assert client.ask("/decode", pack(z[:1])).status == 200


# -- what is left of a run ------------------------------------------------------------------


def test_a_run_whose_data_is_gone_still_shows_codes_and_thumbnails(
    page: Any, tmp_path: Path
) -> None:
    for number, pixels in enumerate(load("digits", limit=40).values[..., 0]):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    run = fit(load(tmp_path / "photos"), "linear", tmp_path / "run", epochs=1, code_size=2)
    write_studio(run, tmp_path / "mine.html")  # which stores what is shown
    shutil.rmtree(tmp_path / "photos")
    studio = start_studio(run)
    try:
        client = Client(studio)
        assert client.manifest["data_available"] is False
        assert client.manifest["samples"] is None
        assert client.ask("/samples/0.png").status == 404
        assert len(unpack(client.ask("/data/codes.bin").content)) == 40
        sheet = client.manifest["thumbs"]["pattern"].replace("{n}", "0")
        Image.open(io.BytesIO(client.ask(f"/data/{sheet}").content)).load()
        open_studio(page, studio.link)
        page.goto("about:blank")
    finally:
        studio.stop()
    nowhere = Session(run)
    shutil.rmtree(run / "studio")
    with pytest.raises(IsthmusError, match="photos"):
        write_studio(nowhere, tmp_path / "mine.html")


# -- the program ------------------------------------------------------------------------------


def test_the_link_is_printed_and_the_page_is_there_before_the_data(digits_run: Path) -> None:
    start = time.monotonic()
    studio = start_studio(digits_run, "--limit", "50")
    try:
        cookie = find_cookie(studio)
        assert ask(studio, "/", Cookie=cookie).status == 200
        assert time.monotonic() - start < 20  # 0.5 s on a quiet machine; this one may be busy
    finally:
        code, said = studio.stop(signal.SIGTERM)  # as service managers do
    assert code == 0
    assert said.splitlines()[-1] == "The studio has ended."
    assert "Traceback" not in said


def test_it_ends_while_it_reads_and_while_pages_wait(
    page: Any, watch: Watch, color_run: Path
) -> None:
    studio = start_studio(color_run)
    page.goto(studio.link)
    code, said = studio.stop()
    assert (code, said.splitlines()[-1:]) == (0, ["The studio has ended."])
    assert "Traceback" not in said
    page.wait_for_timeout(300)
    watch.errors.clear()  # that the server has ended


def test_a_port_that_is_in_use_is_one_sentence(digits_run: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        outcome = isthmus("studio", digits_run, "--port", port, "--no-browser")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"isthmus: port {port} cannot be used: another program uses it; give another one, or leave "
        "--port out.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ("RUN --port 70000", "from 0 to 65535, not 70000"),
        ("RUN --map nowhere", "there is no map 'nowhere'"),
        ("RUN --split nowhere", "there is no split 'nowhere'"),
        ("RUN nowhere", "nowhere"),
        ("nowhere", "there is no run folder called nowhere"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    arguments: str, culprit: str, digits_run: Path
) -> None:
    outcome = isthmus("studio", *arguments.replace("RUN", str(digits_run)).split(), "--no-browser")
    assert outcome.code == 2
    assert culprit in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err


def test_a_missing_package_is_named(digits_run: Path) -> None:
    script = (
        "import sys; sys.modules['uvicorn'] = None; from isthmus.cli import main; "
        f"sys.argv = ['isthmus', 'studio', {str(digits_run)!r}]; main()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == (
        "isthmus: the studio's server needs uvicorn; install it with pip install "
        "'isthmus[studio]'.\n"
    )


def test_a_run_in_memory_is_served_and_ends_with_ctrl_c(capfd: pytest.CaptureFixture[str]) -> None:
    config = TrainingConfig(epochs=1)
    training = train(load("digits", limit=60), "linear", config=config, code_size=2)
    list(training)
    seen: list[dict[str, Any]] = []

    def visit(link: str) -> None:
        try:
            client = Client(Studio(link, cast("Any", None)))
            end = time.monotonic() + 60
            while (manifest := client.manifest)["pending"] and time.monotonic() < end:
                time.sleep(0.1)
            seen.append(manifest)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def note(link: str) -> None:
        threading.Thread(target=visit, args=(link,)).start()

    # What a shell starts in the background ignores Ctrl-C, and would wait for ever.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert serve_studio(training.run, browser=False, ready=note)
    finally:
        signal.signal(signal.SIGINT, before)
    (manifest,) = seen
    assert (manifest["name"], manifest["pending"]) == ("run", [])
    assert manifest["networks"]["decoder"]["bytes"] > 0
    # Warnings are errors here: those of the exporter stay in the thread that it runs in.
    assert capfd.readouterr().err == ""
    with pytest.raises(IsthmusError):
        serve_studio(training.run, "nowhere", browser=False)

"""Downloads, from servers that are slow, broken, or mean harm."""

import gzip
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

import isthmus
from isthmus.cli.app import app
from isthmus.data.dataset import Dataset
from isthmus.data.fetching import fetch
from isthmus.data.published import Remote
from isthmus.errors import IsthmusError, OptionError, SourceError
from isthmus.temporaries import is_temporary

Refused = Callable[..., AbstractContextManager[None]]
Require = Callable[[str], Path]

CONTENT = b"published" * 1000
PACKED = gzip.compress(CONTENT, mtime=0)
PAGE = b"<!DOCTYPE html>\n<html><title>Please log in</title></html>"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Handler(BaseHTTPRequestHandler):
    """Answers as the server was told to, by the path of a request."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        try:
            self.server.answers[self.path](self)
        except (ConnectionError, TimeoutError):  # the client had enough
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A server on this machine whose answers are functions of its handler."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[str] = []
        self.scheme = "http"
        self.is_over = threading.Event()

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def encrypt(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "https"


def sends(
    content: bytes, length: int | None = None, code: int = 200, packed: bool = False
) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(content) if length is None else length))
        if packed:
            handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = True

    return answer


def drips(content: bytes, seconds: float) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        for byte in content:
            if handler.server.is_over.wait(seconds):
                return
            handler.wfile.write(bytes([byte]))

    return answer


def leads_to(target: str) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for 127.0.0.1, which nobody has signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    file = tmp_path / "localhost.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    files = ["-keyout", str(file), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    with file.open("ab") as both:
        both.write((tmp_path / "certificate.pem").read_bytes())
    return file


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Server]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[tuple[Server, threading.Thread]] = []

    def begin(certificate: Path | None = None) -> Server:
        server = Server()
        if certificate is not None:
            server.encrypt(certificate)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return server

    yield begin
    for server, thread in servers:
        server.is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(start: Callable[[], Server]) -> Server:
    return start()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give empty folders of data and state; return that of the set."""
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ISTHMUS_STATE", str(tmp_path / "state"))
    return tmp_path / "data/toy"


def remote(url: str, content: bytes = CONTENT) -> Remote:
    return Remote(url, url.rpartition("/")[2], hashlib.sha256(content).hexdigest(), len(content))


def toy(*files: Remote) -> Dataset:
    return Dataset(name="toy", description="", counts="", origin="", files=files)


def offer(server: Server, name: str, answer: Callable[[Handler], None]) -> Dataset:
    """Let the server answer for a file; return the set of this file."""
    server.answers[f"/{name}"] = answer
    return toy(remote(f"{server.address}/{name}"))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


# -- what arrives -----------------------------------------------------------------------------


def test_the_real_mnist_is_fetched_and_loads(require: Require, server: Server) -> None:
    real, mnist = require("mnist"), isthmus.DATASETS["mnist"]
    for file in mnist.files:
        server.answers[f"/{file.name}"] = sends((real / file.name).read_bytes())
    row = replace(
        mnist,
        files=tuple(replace(file, url=f"{server.address}/{file.name}") for file in mnist.files),
    )
    before = row.is_present
    fetched = fetch(row)
    assert fetched == [row.folder / file.name for file in mnist.files]
    assert (before, row.is_present) == (False, True)
    assert all(file.read_bytes() == (real / file.name).read_bytes() for file in fetched)
    assert fetch(row) == []
    assert len(server.asked) == 4
    assert isthmus.load("mnist", limit=7).values.shape == (7, 28, 28, 1)


def test_only_files_that_are_missing_are_fetched(server: Server, folder: Path) -> None:
    files = [remote(f"{server.address}/{name}", name.encode()) for name in ("one", "two")]
    for name in ("one", "two"):
        server.answers[f"/{name}"] = sends(name.encode())
    folder.mkdir(parents=True)
    (folder / "one").write_text("one")
    assert fetch(toy(*files)) == [folder / "two"]
    assert left(folder) == ["one", "two"]
    assert server.asked == ["/two"]


def test_a_file_that_the_user_put_there_is_verified_and_kept(
    server: Server, folder: Path, refused: Refused
) -> None:
    row = offer(server, "set.tar", sends(CONTENT))
    folder.mkdir(parents=True)
    (folder / "set.tar").write_bytes(CONTENT)
    assert fetch(row) == []
    (folder / "set.tar").write_text("mine")
    with refused(SourceError, folder / "set.tar", "4 bytes instead of 9,000"):
        fetch(row)
    assert (folder / "set.tar").read_text() == "mine"
    assert server.asked == []


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_file_is_refused(
    kind: str, server: Server, folder: Path, refused: Refused
) -> None:
    row = offer(server, "set.tar", sends(CONTENT))
    (folder / "else").mkdir(parents=True)
    file = folder / "set.tar"
    if kind == "pipe":
        os.mkfifo(file)
    else:
        (folder / "else").rename(file) if kind == "folder" else file.symlink_to("else")
    with refused(SourceError, file, "no file"):
        fetch(row)
    assert os.path.lexists(file)


def test_a_file_that_is_sent_as_packed_is_kept_as_it_is(server: Server, folder: Path) -> None:
    row = offer(server, "set.gz", sends(PACKED, packed=True))
    assert fetch(row) == [folder / "set.gz"]
    assert (folder / "set.gz").read_bytes() == PACKED


def test_a_file_packed_in_another_way_is_what_was_published(server: Server, folder: Path) -> None:
    row = offer(server, "set.gz", sends(gzip.compress(CONTENT, compresslevel=1, mtime=0)))
    assert fetch(row) == [folder / "set.gz"]
    (folder / "set.gz").write_bytes(PACKED)
    row.verify()


def test_progress_says_how_much_comes_and_has_come(server: Server) -> None:
    class Shown:
        def __init__(self) -> None:
            self.begun: list[tuple[str, int | None]] = []
            self.count = 0

        def start(self, name: str, total: int | None) -> None:
            self.begun.append((name, total))

        def update(self, count: int) -> None:
            self.count += count

    shown = Shown()
    fetch(offer(server, "set.tar", sends(CONTENT)), shown)
    fetch(offer(server, "set.gz", drips(b"HTTP/1.1 200 OK\r\n\r\n" + PACKED, 0)), shown)
    assert shown.begun == [("set.tar", 9000), ("set.gz", None)]
    assert shown.count == 9000 + len(PACKED)


def test_a_redirect_is_followed(server: Server, folder: Path) -> None:
    row = offer(server, "set.tar", leads_to("/elsewhere"))
    server.answers["/elsewhere"] = sends(CONTENT)
    assert fetch(row) == [folder / "set.tar"]
    assert server.asked == ["/set.tar", "/elsewhere"]


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answer", "reason"),
    [
        ("set.tar", sends(PAGE), "a web page, perhaps a login"),
        ("set.gz", sends(b"\xef\xbb\xbf\r\n " + PAGE), "a web page, perhaps a login"),
        ("set.tar", sends(CONTENT[:-1]), "8,999 bytes instead of 9,000"),
        ("set.tar", sends(b""), "0 bytes instead of 9,000"),
        ("set.tar", sends(CONTENT[::-1]), "SHA-256 differs"),
        ("set.gz", sends(PACKED[:-12]), "cut short or damaged"),
        ("set.gz", sends(b"no gzip"), "cut short or damaged"),
        ("set.gz", sends(gzip.compress(CONTENT[::-1], mtime=0)), "SHA-256 differs"),
        ("set.gz", sends(gzip.compress(bytes(10**6), mtime=0)), "unpacks to more than 9,000 bytes"),
        ("set.gz", sends(gzip.compress(bytes(10**8), 1, mtime=0)), "10,033 were published"),
        ("set.tar", sends(CONTENT + b"!"), "9,001 bytes, and 9,000 were published"),
        ("set.tar", sends(CONTENT, 10**15), "1,000,000,000,000,000 bytes, and 9,000"),
        ("set.tar", sends(CONTENT[:500], 9000), "the connection broke off"),
        ("set.tar", sends(PACKED, packed=True), f"{len(PACKED)} bytes instead of 9,000"),
        (
            "set.tar",
            drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n", 0),
            "off",
        ),
        ("set.tar", sends(b"gone", code=404), "404 Not Found"),
        ("set.tar", leads_to("/set.tar"), "more than 10 times"),
        ("set.tar", leads_to("file:///etc/passwd"), "file:///etc/passwd"),
        ("set.tar", drips(b"no server of HTTP\n\n", 0), "no server of HTTP"),
    ],
)
def test_anything_but_what_was_published_is_refused_and_not_kept(
    name: str,
    answer: Callable[[Handler], None],
    reason: str,
    server: Server,
    folder: Path,
    refused: Refused,
) -> None:
    row = offer(server, name, answer)
    with refused(SourceError, name, f"{server.address}/{name}", folder, reason):
        fetch(row)
    assert left(folder) == []
    assert not row.is_present


def test_a_server_that_sends_without_end_is_refused(
    server: Server, folder: Path, refused: Refused
) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()  # without a length
        while not handler.server.is_over.is_set():
            handler.wfile.write(bytes(1 << 16))

    with refused(SourceError, "more than the 9,000 bytes that were published"):
        fetch(offer(server, "set.tar", answer))
    assert left(folder) == []


HEADERS = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"


@pytest.mark.parametrize("sent", [0, 10, len(HEADERS)], ids=["first byte", "header", "content"])
def test_a_server_that_drips_is_given_up(
    sent: int,
    server: Server,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    def answer(handler: Handler) -> None:
        handler.wfile.write(HEADERS[:sent])
        drips(HEADERS[sent:] + CONTENT, 0.05)(handler)

    monkeypatch.setenv("ISTHMUS_FETCH_TIMEOUT", "0.3")
    with refused(SourceError, "set.tar", "0.3 seconds", "ISTHMUS_FETCH_TIMEOUT"):
        fetch(offer(server, "set.tar", answer))
    assert left(folder) == []


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_that_is_none_is_refused(
    seconds: str, server: Server, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setenv("ISTHMUS_FETCH_TIMEOUT", seconds)
    with refused(OptionError, "ISTHMUS_FETCH_TIMEOUT", seconds):
        fetch(offer(server, "set.tar", sends(CONTENT)))


def test_an_address_without_a_server_is_named(folder: Path, refused: Refused) -> None:
    with refused(SourceError, "http://127.0.0.1:1/set.tar", "Connection refused", folder):
        fetch(toy(remote("http://127.0.0.1:1/set.tar")))
    assert left(folder) == []


def test_an_encrypted_address_does_not_lead_to_one_that_is_not(
    start: Callable[..., Server],
    folder: Path,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    plain, encrypted = start(), start(certificate)
    plain.answers["/set.tar"] = sends(CONTENT)
    row = offer(encrypted, "set.tar", leads_to(f"{plain.address}/set.tar"))
    with refused(SourceError, f"{plain.address}/set.tar, which is not encrypted"):
        fetch(row)
    assert plain.asked == []
    encrypted.answers["/set.tar"] = sends(CONTENT)
    assert fetch(row) == [folder / "set.tar"]


def test_a_folder_that_cannot_be_written_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    (tmp_path / "occupied").write_text("a file where a folder is wanted")
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "occupied"))
    with refused(IsthmusError, "set.tar", tmp_path / "occupied"):
        fetch(offer(server, "set.tar", sends(CONTENT)))


NETWORK = re.compile(
    r"^\s*(?:import|from) (?:aiohttp|fsspec|ftplib|http\.client|httpx|huggingface_hub|pooch|ray"
    r"|requests|socket|ssl|torch\.hub|urllib\.request|urllib3)\b",
    re.MULTILINE,
)


def test_few_files_of_the_package_use_the_network() -> None:
    package = Path(isthmus.__file__).parent
    users = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if NETWORK.search(file.read_text(encoding="utf-8"))
    }
    # The studio's server listens, and asks nobody.
    assert {user for user in users if not user.startswith("studio/")} == {
        "cluster/connection.py",
        "cluster/pipeline.py",
        "data/remote/store.py",
        "data/transfer.py",
    }


# -- interruptions, and others who do the same ------------------------------------------------


def test_a_killed_fetch_leaves_nothing_under_the_name_and_the_next_one_cleans_up(
    server: Server, folder: Path
) -> None:
    row = offer(server, "set.tar", drips(HEADERS + CONTENT, 0.001))
    process = multiprocessing.get_context("spawn").Process(target=fetch, args=(row,))
    process.start()
    wait_for(lambda: bool(server.asked and left(folder)))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (part,) = left(folder)
    assert is_temporary(part)
    assert not row.is_present
    server.answers["/set.tar"] = sends(CONTENT)
    assert fetch(row) == [folder / "set.tar"]
    assert left(folder) == ["set.tar"]


def test_a_note_that_a_killed_fetch_left_half_written_is_removed_by_the_next_one(
    server: Server, folder: Path, tmp_path: Path, killed: str
) -> None:
    part = tmp_path / "state/verified" / f".note.json{killed}"
    part.parent.mkdir(parents=True)
    part.touch()
    fetch(offer(server, "set.tar", sends(CONTENT)))
    assert not part.exists()


def test_of_two_at_once_one_fetches_and_the_other_waits(server: Server, folder: Path) -> None:
    is_asked, may_go_on = threading.Event(), threading.Event()

    def answer(handler: Handler) -> None:
        is_asked.set()
        may_go_on.wait(10)
        sends(CONTENT)(handler)

    row = offer(server, "set.tar", answer)
    results: list[list[Path]] = []
    said: list[str] = []
    first = threading.Thread(target=lambda: results.append(fetch(row)))
    second = threading.Thread(target=lambda: results.append(fetch(row, say=said.append)))
    first.start()
    is_asked.wait(10)
    second.start()
    wait_for(lambda: bool(said))
    may_go_on.set()
    first.join()
    second.join()
    assert results == [[folder / "set.tar"], []]
    assert said == ["Another process fetches toy; this one waits for its end."]
    assert server.asked == ["/set.tar"]


def test_without_a_state_folder_data_are_fetched_all_the_same(
    server: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "occupied").write_text("a file where a folder is wanted")
    monkeypatch.setenv("ISTHMUS_STATE", str(tmp_path / "occupied"))
    assert fetch(offer(server, "set.tar", sends(CONTENT))) == [folder / "set.tar"]


def test_the_command_says_what_it_fetched(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = offer(server, "set.tar", sends(CONTENT))
    monkeypatch.setitem(isthmus.DATASETS, "toy", row)
    file = str(folder / "set.tar")
    for fetched in ([file], []):
        done = CliRunner().invoke(app, ["data", "fetch", "toy", "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == {"name": "toy", "path": file, "fetched": fetched}
    done = CliRunner().invoke(app, ["data", "fetch", "toy"])
    assert done.output == "toy is on this machine already.\n"
    done = CliRunner().invoke(app, ["data", "fetch", "digits", "--json"])
    assert json.loads(done.output) == {"name": "digits", "path": None, "fetched": []}


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)

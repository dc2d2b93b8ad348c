"""Attacks on the studio: each promise of its safety is tried from outside."""

import io
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.asking import Client, ask, find_cookie
from studio.serving import Studio, Watch, open_studio, start_studio

ROUTES = ("/", "/index.html", "/data/manifest.json", "/data/codes.bin", "/samples/0.png", "/codes")


@pytest.fixture(scope="module")
def served(studio: Callable[..., Studio], digits_run: Path) -> Studio:
    return studio(digits_run)


@pytest.fixture(scope="module")
def client(served: Studio) -> Client:
    return Client(served)


# -- who may come in --------------------------------------------------------------------------


def test_only_this_address_of_this_machine_is_listened_on(served: Studio) -> None:
    for address in ("127.0.0.2", socket.gethostbyname(socket.gethostname())):
        if address != "127.0.0.1":
            with socket.socket() as caller:
                assert caller.connect_ex((address, served.port)) != 0, address


@pytest.mark.parametrize("path", [*ROUTES, "/events", "/layers/0", "/nowhere"])
def test_nothing_is_shown_without_the_cookie(path: str, served: Studio) -> None:
    assert ask(served, path).status == 403
    wrong = f"isthmus-studio-{served.port}="
    for cookie in (wrong, f"{wrong}{'x' * 43}", f"{wrong}é", "=;=;", f"other={'x' * 43}"):
        answer = ask(served, path, Cookie=cookie)
        assert answer.status == 403, cookie
        assert b"digits" not in answer.content


@pytest.mark.parametrize("path", ["/encode", "/neighbors", "/decode", "/maps/pca"])
def test_nothing_is_computed_without_the_cookie(path: str, served: Studio) -> None:
    answer = ask(served, path, b"{}")
    assert answer.status == 403
    assert "Open the link" in answer.error


def test_the_token_becomes_a_cookie_that_scripts_and_other_pages_cannot_use(
    served: Studio,
) -> None:
    answer = ask(served, served.link.removeprefix(served.address))
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    name, _, rest = str(answer.headers["Set-Cookie"]).partition("=")
    value, *attributes = rest.split("; ")
    assert name == f"isthmus-studio-{served.port}"
    assert {one.lower() for one in attributes} == {"httponly", "samesite=strict", "path=/"}
    assert value not in served.link
    assert len(value) >= 40


def test_a_wrong_token_opens_nothing(served: Studio) -> None:
    token = served.link.partition("token=")[2]
    for wrong in ("", token[:-1], token + "x", token.swapcase(), "%00", "é"):
        answer = ask(served, f"/?token={wrong.encode().hex() if wrong == 'é' else wrong}")
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers
    assert ask(served, f"/main.js?token={token}").status == 403


def test_the_browser_is_started_with_a_link_that_works_once(
    plane_run: Path, tmp_path: Path
) -> None:
    """Other users of the machine can see with which link a browser was started."""
    shown, program = tmp_path / "link", tmp_path / "browser"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > "{shown}.new" && mv "{shown}.new" "{shown}"\n')
    program.chmod(0o700)
    studio = start_studio(plane_run, browser=f"{program} %s")
    try:
        end = time.monotonic() + 20
        while not shown.exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        link = shown.read_text()
        assert link.startswith(f"{studio.address}/?token=")
        assert link != studio.link
        path = link.removeprefix(studio.address)
        assert [ask(studio, path).status for _ in range(2)] == [303, 403]
        assert find_cookie(studio)  # the printed link goes on working
    finally:
        studio.stop()


# -- other pages ------------------------------------------------------------------------------


def test_only_the_own_name_is_answered(served: Studio, client: Client) -> None:
    port = served.port
    assert client.ask("/", Host=f"localhost:{port}").status == 200
    strangers = ("evil.example", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "")
    for host in (*strangers, f"127.0.0.1:{port}.evil.example", f"[::1]:{port}"):
        answer = client.ask("/data/manifest.json", Host=host)
        assert answer.status in (400, 403), host
        assert b"count" not in answer.content


def test_requests_of_other_pages_are_refused(served: Studio, client: Client) -> None:
    own = f"http://127.0.0.1:{served.port}"
    assert client.ask("/", Origin=own, Sec_Fetch_Site="same-origin").status == 200
    assert client.ask("/", Sec_Fetch_Site="none").status == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", f"https{own[4:]}", ""):
        assert client.ask("/", Origin=origin).status == 403, origin
        assert client.ask("/encode", b"x", Origin=origin).status == 403, origin
    for site in ("cross-site", "same-site", "anything"):
        assert client.ask("/", Sec_Fetch_Site=site).status == 403
        link = served.link.removeprefix(served.address)
        assert ask(served, link, Sec_Fetch_Site=site).status == 403


def test_no_other_page_is_allowed_to_read(served: Studio, client: Client) -> None:
    other = "http://evil.example"
    for answer in (
        ask(served, "/encode", None, "OPTIONS", Cookie=client.cookie, Origin=other),
        client.ask("/data/manifest.json"),
        client.ask("/data/manifest.json", Origin=served.address),
    ):
        assert [name for name in answer.headers if name.lower().startswith("access-control")] == []
    for method in ("OPTIONS", "PUT", "DELETE", "TRACE", "PATCH"):
        assert ask(served, "/", method=method, Cookie=client.cookie).status == 405


class Attacker(BaseHTTPRequestHandler):
    """A page of another port of this machine."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another page</title>")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def attacker() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Attacker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_another_page_of_the_same_browser_gets_nothing(
    page: Any, watch: Watch, attacker: str, served: Studio
) -> None:
    """The browser has the cookie: what keeps the other page out is the server."""
    open_studio(page, served.link)
    other = page.context.new_page()
    other.goto(attacker)
    tried = other.evaluate(
        """async (address) => {
          const answers = [];
          for (const mode of ["cors", "no-cors"]) {
            const options = { mode, credentials: "include" };
            answers.push(await fetch(`${address}/data/manifest.json`, options).then(
              (answer) => `${answer.type} ${answer.status}`, () => "refused"));
          }
          const image = new Image();
          answers.push(await new Promise((resolve) => {
            image.onload = () => resolve("shown");
            image.onerror = () => resolve("refused");
            image.src = `${address}/samples/0.png`;
          }));
          const frame = document.createElement("iframe");
          frame.src = address;
          document.body.append(frame);
          await new Promise((resolve) => { frame.onload = resolve; });
          return answers;
        }""",
        served.address,
    )
    assert tried[0] == "refused"
    assert tried[1] in ("refused", "opaque 0")
    assert tried[2] == "refused"
    assert all(frame.title() != "Isthmus studio" for frame in other.frames[1:])
    watch.errors.clear()  # the other page was told so
    assert page.evaluate("document.cookie") == ""


# -- every answer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/main.js", "/data/manifest.json", "/nowhere", "/codes?rows="]
)
def test_every_answer_has_the_headers(path: str, served: Studio, client: Client) -> None:
    for answer in (client.ask(path), ask(served, path)):
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert policy == [
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "worker-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"].startswith("private, no-")
        assert "Server" not in answer.headers


def test_the_page_runs_no_other_script(page: Any, watch: Watch, served: Studio) -> None:
    open_studio(page, served.link)
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.attacked = true";
          document.body.append(script);
          const image = document.createElement("img");
          image.setAttribute("onerror", "window.attacked = true");
          image.src = "data:,";
          document.body.append(image);
        }"""
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.attacked") is None
    assert len(watch.errors) >= 2
    watch.errors.clear()


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("../run.json", "%2e%2e/run.json", "..%2frun.json", "..%5crun.json", "/etc/passwd"),
        *(
            "%2fetc%2fpasswd",
            "codes.bin/../../run.json",
            "names/../../../run.json",
            "names/0.json%00",
        ),
        *("samples/-1.png", "samples/01.png", "samples/1e3.png", "samples/../run.json", "", "."),
        *("maps/..", "samples/99999999999999999999.png", "samples/400.png", "model.safetensors"),
    ],
)
def test_no_path_leads_out_of_the_data(path: str, client: Client) -> None:
    answer = client.ask(f"/data/{path}")
    assert answer.status == 404
    assert answer.error == "There is no such file of the data."


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/server.py", "//etc/passwd", "/kernel.wat"]
)
def test_no_path_leads_out_of_the_page(path: str, client: Client) -> None:
    assert client.ask(path).status == 404


def test_samples_are_named_by_whole_numbers(client: Client) -> None:
    assert client.ask("/samples/0.png").status == 200
    for name in ("x", "-1", "400", "1.5", "0x1", "1,2", "%31", "9" * 400):
        status = client.ask(f"/samples/{name}.png").status
        assert status == (200 if name == "%31" else 404), name
    for name in ("x", "-1", "400", "9" * 400):
        assert client.ask(f"/layers/{name}").status == 404, name


def test_no_path_of_this_machine_is_in_the_data(client: Client, runs: Path) -> None:
    manifest = client.manifest
    files = [manifest["codes"]["file"], manifest["history"], "names/0.json", "manifest.json"]
    files += [entry["file"] for entry in manifest["networks"].values() if entry]
    for file in files:
        content = client.ask(f"/data/{file}").content
        for path in (runs, Path.home(), Path(__file__).parents[2]):
            assert str(path).encode() not in content, file


# -- what is sent -----------------------------------------------------------------------------


def picture(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(content, "PNG")
    return content.getvalue()


def claiming(width: int, height: int) -> bytes:
    """Return a small PNG whose header says that it is huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_picture_is_encoded(client: Client) -> None:
    answer = client.ask("/encode", picture(30, 20)).json
    assert len(answer["code"]) == 8
    assert (answer["width"], answer["height"]) == (8, 8)


def test_an_upload_that_says_its_size_is_refused_before_it_is_read(
    served: Studio, client: Client
) -> None:
    head = (
        f"POST /encode HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nCookie: {client.cookie}\r\n"
        "Content-Length: 20000001\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), 10) as caller:
        caller.sendall(head.encode())
        assert b" 413 " in caller.recv(1000)


def peak_memory(studio: Studio) -> int:
    """Return the most bytes of memory that a server has had."""
    status = Path(f"/proc/{studio.process.pid}/status")
    if not status.exists():
        pytest.skip("this system does not say how much memory a process had")
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
    return int(kilobytes) * 1024


def test_an_upload_that_hides_its_size_is_not_kept(served: Studio, client: Client) -> None:
    before = peak_memory(served)
    answer = client.ask("/encode", (bytes(1_000_000) for _ in range(300)))
    assert (answer.status, "20 MB" in answer.error) == (413, True)
    assert peak_memory(served) < before + 100_000_000


@pytest.mark.parametrize("size", [(60_000, 60_000), (7072, 7072), (2**31 - 1, 1), (12_000, 12_000)])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(
    size: tuple[int, int], client: Client
) -> None:
    answer = client.ask("/encode", claiming(*size))
    assert answer.status == 400
    assert "pixels" in answer.error


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        picture(90, 90)[:120],
        claiming(80, 80),
    ],
    ids=["empty", "text", "EPS", "cut off", "no pixels"],
)
def test_what_is_no_picture_is_refused_in_a_sentence(content: bytes, client: Client) -> None:
    answer = client.ask("/encode", content)
    assert (answer.status, len(answer.error) < 200) == (400, True)


def test_one_picture_is_read_at_a_time(served: Studio, client: Client) -> None:
    content = picture(9, 9)
    head = (
        f"POST /encode HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nCookie: {client.cookie}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), 10) as slow:
        slow.sendall(head.encode() + content[:10])
        for _ in range(100):  # until the server has begun to read the slow one
            second = client.ask("/encode", content)
            if second.status == 429:
                break
        assert (second.status, second.headers["Retry-After"]) == (429, "1")
        assert second.error
        slow.sendall(content[10:])
        assert b" 200 " in slow.recv(1000)
    assert client.ask("/encode", content).status == 200


CODE = [0.5] * 8


@pytest.mark.parametrize(
    "asked",
    [
        *({}, [], None, "x", {"code": CODE}, {"code": CODE, "k": 0}, {"code": CODE, "k": 10**9}),
        *({"code": CODE, "k": True}, {"code": CODE, "k": 1.5}, {"code": CODE, "k": "1"}),
        *(
            {"code": CODE[1:], "k": 1},
            {"code": [*CODE[1:], None], "k": 1},
            {"code": "x" * 8, "k": 1},
        ),
        *({"code": [*CODE[1:], float("nan")], "k": 1}, {"code": [*CODE[1:], 1e39], "k": 1}),
        *({"code": [*CODE[1:], 10**400], "k": 1}, {"code": [CODE] * 8, "k": 1}),
        {"code": CODE, "k": 1, "column": "loss", "value": 1},
        {"code": CODE, "k": 1, "column": "../codes", "value": 1},
        {"code": CODE, "k": 1, "column": ["class"], "value": 1},
        *({"code": CODE, "k": 1, "column": "class", "value": v} for v in (None, -1, 10, 1.5, "3")),
    ],
    ids=repr,
)
def test_questions_that_make_no_sense_are_refused(asked: Any, client: Client) -> None:
    answer = client.post("/neighbors", asked)
    assert (answer.status, bool(answer.error)) == (400, True)


def test_questions_are_read_up_to_a_size(client: Client) -> None:
    for body in (b"[" * 900_000, b'{"a":' * 100_000):
        assert client.ask("/neighbors", body).status == 400
    large = json.dumps({"code": CODE, "k": 1, "column": "x" * 1_000_000}).encode()
    assert client.ask("/neighbors", large).status == 413


def test_rows_and_codes_are_checked(client: Client) -> None:
    for rows in ("", "-1", "1,", "a", "1.5", "400", "99999999999", ",".join(["1"] * 10_001)):
        assert client.ask(f"/codes?rows={rows}").status in (400, 404), rows
    good = client.ask("/codes?rows=0,1").content
    assert client.ask("/decode", good).status == 200
    nan = good[:16] + struct.pack("<f", float("nan")) + good[20:]
    huge = good[:8] + struct.pack("<I", 2**32 - 1) + good[12:]
    empty = good[:8] + bytes(8)
    for body in (b"", b"x", good[:-1], good + b"x", b"XXXX" + good[4:], nan, huge, empty):
        answer = client.ask("/decode", body)
        assert (answer.status, bool(answer.error)) == (400, True)


def test_what_the_page_may_do_is_what_the_answers_say() -> None:
    """Headers cannot be forgotten in one place: only the guard writes them."""
    server = Path(__file__).parents[2] / "src/isthmus/studio/server.py"
    assert not re.search(r"Content-Security|Access-Control", server.read_text())


def test_cookies_of_two_servers_do_not_meet(
    served: Studio, studio: Callable[..., Studio], plane_run: Path, client: Client
) -> None:
    other = studio(plane_run)
    both = f"{client.cookie}; {find_cookie(other)}"
    assert ask(served, "/", Cookie=both).status == ask(other, "/", Cookie=both).status == 200
    assert ask(other, "/", Cookie=client.cookie).status == 403

"""The studio as a folder and as one file: both open elsewhere, and replace nothing of others."""

import base64
import functools
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus import Session, load, write_studio
from isthmus.data.items import Items
from isthmus.data.samples import Samples
from isthmus.errors import IsthmusError, OptionError
from isthmus.locks import working_alone
from isthmus.studio.content import Content
from isthmus.studio.export import LIST
from isthmus.temporaries import is_temporary
from killing import killed_at
from studio.conftest import fit
from studio.joining import join_network
from studio.serving import Watch, open_studio
from test_cli import done, isthmus

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module")
def site(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export a folder."""
    out = tmp_path_factory.mktemp("web") / "below" / "site"
    write_studio(digits_run, out)
    return out


@pytest.fixture(scope="module")
def single(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export one file."""
    out = tmp_path_factory.mktemp("web") / "mine.html"
    write_studio(digits_run, out)
    return out


@pytest.fixture
def copy(site: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(site, tmp_path / "site"))


class QuietHost(SimpleHTTPRequestHandler):
    """A web host of files."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def host(site: Path) -> Iterator[str]:
    """Serve the folder two levels above the site, as hosts of projects do."""
    handler = functools.partial(QuietHost, directory=str(site.parents[1]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/below/site/"
    server.shutdown()
    server.server_close()


class Elements(HTMLParser):
    """Collects the elements of a page: tag, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}, ""))

    def handle_data(self, data: str) -> None:
        if self.found:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def files(self) -> dict[str, str]:
        """Return the text of all files in the page."""
        return {
            attributes["data-file"]: text.strip()
            for _, attributes, text in self.found
            if "data-file" in attributes
        }


# -- both open --------------------------------------------------------------------------------


def test_one_file_opens_from_a_disk_and_asks_for_nothing(
    page: Any, watch: Watch, single: Path
) -> None:
    open_studio(page, single.as_uri())
    assert page.title() == "digits · Isthmus studio"
    assert [
        address for address in watch.requests if not address.startswith(("blob:", "data:"))
    ] == [single.as_uri()]


def test_a_folder_opens_from_any_place_of_a_web_host(host: str, page: Any, watch: Watch) -> None:
    open_studio(page, host)
    assert page.title() == "digits · Isthmus studio"
    asked = [address for address in watch.requests if not address.startswith(("blob:", "data:"))]
    assert [address for address in asked if not address.startswith(host)] == []
    assert f"{host}data/manifest.json" in asked


def test_one_file_is_kept_from_every_other_server(page: Any, watch: Watch, single: Path) -> None:
    open_studio(page, single.as_uri())
    tried = page.evaluate(
        """() => fetch("http://127.0.0.1:9/").then(() => "sent", (error) => error.name)"""
    )
    assert tried == "TypeError"
    assert any("Content Security Policy" in error for error in watch.errors)
    watch.errors.clear()


def test_a_script_that_was_changed_does_not_run(
    page: Any, watch: Watch, single: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.html"
    before, found, after = single.read_text().rpartition('"use strict";')  # the last: no worker's
    changed.write_text(f"{before}{found} {after}")
    page.goto(changed.as_uri())
    assert page.evaluate("document.documentElement.dataset.ready") is None
    assert len(watch.errors) == 1
    watch.errors.clear()


# -- what is inside ---------------------------------------------------------------------------


def test_both_hold_what_the_content_has(site: Path, single: Path, digits_run: Path) -> None:
    content = Content(Session(digits_run))
    content.finish()
    inside = Elements(single.read_text()).files()
    for path in content.paths():
        expected = content.read(path)
        assert (site / "data" / path).read_bytes() == expected, path
        text = inside[f"data/{path}"]
        if path.endswith(".onnx"):  # in parts, some of which are those of other networks
            others = {name: content.read(name) for name in ("encoder.onnx", "decoder.onnx")}
            assert join_network(json.loads(text), others) == expected, path
        else:
            assert base64.b64decode(text) == expected, path
    manifest = json.loads((site / "data/manifest.json").read_bytes())
    assert (manifest["live"], manifest["samples"], manifest["pending"]) == (False, None, [])
    assert manifest["codes"]["in_page"]


def test_addresses_are_relative_and_nothing_stands_in_attributes(site: Path, single: Path) -> None:
    for file in (site / "index.html", single):
        for tag, attributes, _ in Elements(file.read_text()).found:
            for name, value in attributes.items():
                assert not name.startswith("on"), (tag, name)
                assert name != "style"
                if name in ("src", "href"):
                    assert not re.match(r"/|\w+:(?!,)", value), value


def test_policies_allow_no_more_than_is_needed(site: Path, single: Path) -> None:
    for file in (site / "index.html", single):
        found = Elements(file.read_text()).found
        # Before everything that it restricts.
        head = [(tag, attributes) for tag, attributes, _ in found][2:5]
        assert head[0] == ("meta", {"charset": "utf-8"})
        _, attributes = head[1]
        assert attributes["http-equiv"] == "Content-Security-Policy"
        assert "unsafe-inline" not in attributes["content"]
        assert attributes["content"].startswith("default-src 'none'; ")
    assert "connect-src 'none'" in attributes["content"]
    assert "'self'" not in attributes["content"]


def test_no_path_of_the_author_is_inside(
    color_run: Path, runs: Path, tmp_path: Path, session_cache: Path
) -> None:
    out = tmp_path / "site"
    write_studio(color_run, out)
    paths = (runs, tmp_path, session_cache, Path.home(), Path(__file__).parents[2], Path.cwd())
    for file in out.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert [path for path in paths if str(path).encode() in content] == [], file


def test_names_are_text_and_never_a_part_of_the_page(page: Any, runs: Path, tmp_path: Path) -> None:
    hostile = [
        "</script><script>window.attacked = 1</script>",
        "<img src=x onerror='window.attacked = 1'>",
        '"><svg onload=alert(1)>',
        "{{constructor.constructor('window.attacked = 1')()}}",
        "\u202ereversed \x00 end\n\r\u2028",
    ]
    digits = load("digits", limit=60)
    names = [f"{hostile[i % 5]} {i}" for i in range(60)]
    samples = Samples(digits.values, Items(names, np.arange(60) % 5, tuple(hostile)))
    run = fit(samples, "linear", runs / "<b>&amp;'\"${x}", epochs=1, code_size=2)
    session = Session(run, samples)
    page.on("dialog", lambda dialog: pytest.fail("a script of a name has run"))
    for out in (tmp_path / "mine.html",):
        write_studio(session, out)
        open_studio(page, out.as_uri())
        assert page.title() == "<b>&amp;'\"${x} · Isthmus studio"
        assert page.evaluate("window.attacked") is None


# -- where it is written ----------------------------------------------------------------------


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_an_export_is_replaced_and_files_of_others_stay(copy: Path, digits_run: Path) -> None:
    (copy / "CNAME").write_text("example.org")
    assert (copy / "data/maps/pca.bin").exists()
    write_studio(digits_run, copy, limit=100, methods=())
    manifest = json.loads((copy / "data/manifest.json").read_bytes())
    assert manifest["count"] == 100
    assert (copy / "CNAME").read_text() == "example.org"
    listed = json.loads((copy / LIST).read_bytes())["files"]
    assert set(files_of(copy)) == {*listed, LIST, "CNAME"}


def test_two_exports_do_not_mix(copy: Path, digits_run: Path, refused: Refused) -> None:
    before = files_of(copy)
    with working_alone(copy), refused(OptionError, copy, "another process"):
        write_studio(digits_run, copy, limit=100)
    assert files_of(copy) == before


@pytest.mark.slow
def test_a_kill_while_an_export_is_replaced_leaves_no_page_and_the_next_export_completes_it(
    copy: Path, digits_run: Path
) -> None:
    before = files_of(copy)
    with killed_at(12, within=copy):
        write_studio(digits_run, copy, limit=100, methods=())
    assert not (copy / "index.html").exists()
    found = files_of(copy)
    assert any(found[name] != before[name] for name in before.keys() & found.keys())
    write_studio(digits_run, copy, limit=100, methods=())
    whole = {name: content for name, content in files_of(copy).items() if not is_temporary(name)}
    assert set(whole) == {*json.loads(whole[LIST])["files"], LIST}
    assert json.loads(whole["data/manifest.json"])["count"] == 100


def test_a_folder_of_something_else_is_left_alone(
    copy: Path, digits_run: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "photos"
    other.mkdir()
    (other / "index.html").write_text("mine")
    with refused(OptionError, "photos is not empty", "a new folder"):
        write_studio(digits_run, other)
    assert files_of(other) == {"index.html": b"mine"}
    before = files_of(digits_run)
    with refused(OptionError, "is a run folder"):
        write_studio(digits_run, digits_run)
    assert files_of(digits_run) == before
    (tmp_path / "file").touch()
    with refused(OptionError, "is a file"):
        write_studio(digits_run, tmp_path / "file")
    with refused(OptionError, "is not a folder"):
        write_studio(digits_run, tmp_path / "file" / "site")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with refused(OptionError, "is the current folder"):
        write_studio(digits_run, ".")


def test_an_export_that_was_changed_is_left_alone(
    copy: Path, digits_run: Path, refused: Refused
) -> None:
    (copy / "style.css").write_text("body { color: green; }")
    before = files_of(copy)
    with refused(OptionError, "style.css was changed"):
        write_studio(digits_run, copy)
    assert files_of(copy) == before


def test_a_list_of_files_that_somebody_made_leads_nowhere(
    digits_run: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "precious").write_text("mine")
    site = tmp_path / "site"
    site.mkdir()
    for name in ("../precious", str(tmp_path / "precious")):
        listed = {"made_by": "isthmus studio", "files": {name: ""}}
        (site / LIST).write_text(json.dumps(listed))
        with refused(OptionError, "is not empty"):
            write_studio(digits_run, site)
    assert (tmp_path / "precious").read_text() == "mine"


def test_an_export_is_not_replaced_behind_a_link(
    copy: Path, digits_run: Path, tmp_path: Path, refused: Refused
) -> None:
    (copy / "data").rename(tmp_path / "mine")
    (copy / "data").symlink_to(tmp_path / "mine")
    before = files_of(tmp_path / "mine")
    with refused(OptionError, copy / "data", "leads out"):
        write_studio(digits_run, copy, limit=100, methods=())
    assert files_of(tmp_path / "mine") == before
    assert (copy / "index.html").exists()


def test_one_file_replaces_only_its_like(
    single: Path, digits_run: Path, tmp_path: Path, refused: Refused
) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("<!doctype html><title>mine</title>")
    with refused(OptionError, "mine.html exists"):
        write_studio(digits_run, mine)
    assert mine.read_text().endswith("mine</title>")
    mine.write_bytes(single.read_bytes())
    assert write_studio(digits_run, mine, limit=100)["bytes"] == mine.stat().st_size
    assert "data/codes.bin" in Elements(mine.read_text()).files()
    (tmp_path / "folder.html").mkdir()
    with refused(IsthmusError, "it is a folder"):
        write_studio(digits_run, tmp_path / "folder.html")


def test_nothing_is_left_of_an_export_that_fails(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Content, path: str) -> bytes:
        raise IsthmusError(f"{path} is damaged.")

    monkeypatch.setattr(Content, "read", fail)
    for name in ("site", "mine.html"):
        with pytest.raises(IsthmusError, match="is damaged"):
            write_studio(digits_run, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# -- the command ------------------------------------------------------------------------------


def test_the_command_says_what_it_wrote(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine.html"
    said = done("studio", digits_run, "--export", out, "--limit", 100).out
    size = out.stat().st_size
    assert said.splitlines()[0] == f"{out}: 100 samples, {size / 1e6:.1f} MB"
    assert "look before you publish" in said
    content = json.loads(done("studio", digits_run, "--export", out, "--json").out)
    assert (content["out"], content["samples"], content["files"]) == (str(out), 400, 1)
    said = done("studio", digits_run, "--export", tmp_path / "site").out
    assert re.search(r"site: 400 samples, .* in \d+ files, for a web host; ", said)
    monkeypatch.setattr("isthmus.cli.studio.LARGE", 1000)
    assert "--limit" not in done("studio", digits_run, "--export", out).out  # the model is large
    monkeypatch.setattr("isthmus.cli.studio.MANY", 100)
    assert "--split test or --limit" in done("studio", digits_run, "--export", out).out


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ("--map nowhere", "there is no map 'nowhere'"),
        ("--split nowhere", "there is no split 'nowhere'"),
        ("--limit 0", "limit"),
        ("nowhere", "nowhere"),
        ("--encoder nowhere.onnx", "nowhere.onnx"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: str, culprit: str, digits_run: Path, tmp_path: Path
) -> None:
    outcome = isthmus("studio", digits_run, *options.split(), "--export", tmp_path / "mine.html")
    assert outcome.code == 2
    assert culprit in outcome.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []

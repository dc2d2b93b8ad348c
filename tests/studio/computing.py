"""The engine of the page alone: an empty page that imports it, and calls of its methods."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.studio.assets import PAGE

TYPES = {"float32": np.float32, "uint8": np.uint8, "int32": np.int32}
START = """async manifest => {
    const [{Engine}, files] = await Promise.all([import("/engine.js"), import("/files.js")]);
    const TYPES = {float32: Float32Array, uint8: Uint8Array, int32: Int32Array};
    const toBase64 = bytes => {
        let text = "";
        for (let start = 0; start < bytes.length; start += 30000) {
            text += String.fromCharCode(...bytes.subarray(start, start + 30000));
        }
        return btoa(text);
    };
    const fromBase64 = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer;
    window.give = value => {
        if (Array.isArray(value)) {
            return value.map(give);
        }
        if (value?.base64 === undefined) {
            return value;
        }
        const content = fromBase64(value.base64);
        return value.type === "bytes" ? content : new TYPES[value.type](content);
    };
    window.take = value => {
        if (ArrayBuffer.isView(value)) {
            const type = Object.keys(TYPES).find(name => TYPES[name] === value.constructor);
            const {buffer, byteOffset, byteLength} = value;
            return {base64: toBase64(new Uint8Array(buffer, byteOffset, byteLength)), type};
        }
        if (Array.isArray(value)) {
            return value.map(take);
        }
        if (value && typeof value === "object") {
            const entries = Object.entries(value).map(([name, one]) => [name, take(one)]);
            return Object.fromEntries(entries);
        }
        return value;
    };
    window.engine?.stop();
    window.engine = new Engine(manifest, files);
}"""
CALL = "async ([name, values]) => take(await engine[name](...give(values)))"
FAIL = "([name, values]) => engine[name](...give(values)).then(() => '', ({message}) => message)"


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder as the data, and the files of the page beside an empty one."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def translate_path(self, path: str) -> str:
        name = path.removeprefix("/")
        if name.startswith("data/"):
            return str(Path(self.directory) / name.removeprefix("data/"))
        return str(PAGE / name if name != "empty" else Path(self.directory) / "empty.html")

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")  # tests write other files of the same names
        super().end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing of requests."""


@contextmanager
def serve_engine(data: Path) -> Iterator[str]:
    """Serve the engine over a folder of networks, and give the address of an empty page."""
    (data / "empty.html").write_text('<!doctype html><link rel="icon" href="data:,">')
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(data)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/empty"
    server.shutdown()
    server.server_close()


@dataclass(frozen=True)
class PageEngine:
    """An engine in a page.

    Parameters
    ----------
    page
        Of Playwright.
    address : str
        Of an empty page beside the engine's files.
    data : Path
        The folder whose files the engine reads.
    """

    page: Any
    address: str
    data: Path

    def start(
        self, networks: dict[str, bytes], code_size: int = 1, shape: tuple[int, ...] = ()
    ) -> None:
        """Start an engine with networks by their names; nothing is kept from one before.

        Parameters
        ----------
        networks : dict
        code_size : int
        shape : tuple of int
            Of a sample, as it is stored.
        """
        for name, content in networks.items():
            (self.data / f"{name}.onnx").write_bytes(content)
        if self.page.url != self.address:
            self.page.goto(self.address)
        entries = {name: {"file": f"{name}.onnx"} for name in networks}
        manifest = {
            "fingerprint": "0",
            "task": "classify",
            "code_size": code_size,
            "sample": {"shape": list(shape)},
            "codes": {"file": "codes.bin", "in_page": True},
            "networks": {"encoder": None, "decoder": None, "layers": None} | entries,
        }
        self.page.evaluate(START, manifest)

    def call(self, method: str, *values: Any) -> Any:
        """Call a method of the engine, and return arrays without their shape."""
        return take(self.page.evaluate(CALL, [method, give(list(values))]))

    def fail(self, method: str, *values: Any) -> str:
        """Return with what sentence a call fails; empty if it does not."""
        message: str = self.page.evaluate(FAIL, [method, give(list(values))])
        return message


def give(value: Any) -> Any:
    """Return a value as `give` of the page takes it."""
    if isinstance(value, list):
        return [give(one) for one in value]
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode(), "type": "bytes"}
    if isinstance(value, np.ndarray):
        return {"base64": base64.b64encode(value.tobytes()).decode(), "type": value.dtype.name}
    return value


def take(value: Any) -> Any:
    """Return what `take` of the page gave."""
    if isinstance(value, list):
        return [take(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "base64" in value:
        return np.frombuffer(base64.b64decode(value["base64"]), TYPES[value["type"]])
    return {name: take(one) for name, one in value.items()}

"""A named data set of two files on a server of our own, to fetch."""

import gzip
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np

from isthmus.data.catalog import DATASETS
from isthmus.data.dataset import Dataset
from isthmus.data.published import Remote
from soak.forks import Fork

NAME = "parcels"
BLOCK_BYTES = 1 << 16
PAUSE = 0.005  # seconds between blocks, so that a kill finds a download half done
CONTENTS = {
    f"{name}.gz": np.random.default_rng(seed).bytes(8 * BLOCK_BYTES)
    for seed, name in enumerate(("first", "second"))
}


class Handler(BaseHTTPRequestHandler):
    """Sends the files slowly."""

    def do_GET(self) -> None:
        """Send the file of a path."""
        content = gzip.compress(CONTENTS[self.path.lstrip("/")], mtime=0)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for start in range(0, len(content), BLOCK_BYTES):
            self.wfile.write(content[start : start + BLOCK_BYTES])
            time.sleep(PAUSE)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Print nothing."""


@contextmanager
def serving() -> Iterator[None]:
    """Serve the files, and name the data set."""
    server = HTTPServer(("127.0.0.1", 0), Handler)
    process = Fork(server.serve_forever, Path.cwd(), {})
    remotes = tuple(_remote(name, server.server_port) for name in CONTENTS)
    DATASETS[NAME] = Dataset(NAME, "bytes", "none", "a server of our own", files=remotes)
    try:
        yield
    finally:
        del DATASETS[NAME]
        process.kill()
        process.wait()
        server.server_close()


def _remote(name: str, port: int) -> Remote:
    content = CONTENTS[name]
    checksum = hashlib.sha256(content).hexdigest()
    return Remote(f"http://127.0.0.1:{port}/{name}", name, checksum, len(content))

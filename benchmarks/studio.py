"""Measure the page of the studio in a real browser.

Each section writes data trees of random numbers into a temporary folder, serves the page over them
on 127.0.0.1, and counts in the browser. What was measured is printed as JSON, with the machine and
how busy it was: on a busy one, the times of several workers say little.

    python benchmarks/studio.py [--section map engine]
"""

import argparse
import json
import os
import platform
import shutil
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, CDPSession, Page, ViewportSize, sync_playwright

import isthmus.studio
from isthmus import Preprocessing, TrainedModel, __version__, configure
from isthmus.inference.conversion import to_onnx

PAGE = Path(isthmus.studio.__file__).parent / "page"
SIZE: ViewportSize = {"width": 1280, "height": 800}
FRAMES = 150
STARTS = 5
# Without a sandbox, which root has not; memory is measured at once, not at the next collection.
OPTIONS = ["--no-sandbox", "--enable-blink-features=ForceEagerMeasureMemory"]
DTYPES = {"uint8": 0, "uint16": 1, "int32": 2, "float32": 3}
MB = 1e6


# -- serving -----------------------------------------------------------------------------------


class Handler(SimpleHTTPRequestHandler):
    """Serves a data tree and an empty page, and the page itself for everything else."""

    def end_headers(self) -> None:
        """Isolate the page from others."""
        # Only pages that are isolated from others may measure their memory.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def translate_path(self, path: str) -> str:
        """Return the file of the data tree or of the page."""
        name = path.split("?")[0].lstrip("/") or "index.html"
        return str((Path(self.directory) if name.startswith(("data/", "empty")) else PAGE) / name)

    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""


Handler.extensions_map |= {".js": "text/javascript", ".wasm": "application/wasm"}


@contextmanager
def serve(site: Path) -> Iterator[str]:
    """Serve the page over a folder with a data tree, and give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the system's Chromium."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        yield browser
        browser.close()


def write_column(path: Path, values: NDArray[Any]) -> None:
    """Write a column of the data tree: 16 bytes that say its type and shape, then the numbers."""
    columns = 1 if values.ndim == 1 else values.shape[1]
    head = struct.pack("<4sBBHII", b"ISTH", 1, DTYPES[values.dtype.name], columns, len(values), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + np.ascontiguousarray(values).tobytes())


# -- section map -------------------------------------------------------------------------------


def write_points(site: Path, count: int) -> None:
    """Write a data tree with one map: points in 60 clusters of ten classes."""
    draw = np.random.default_rng(0)
    centers = draw.uniform(-60, 60, (60, 2))
    cluster = draw.integers(60, size=count)
    spread = draw.uniform(1, 5, 60)[cluster, None]
    xy = centers[cluster] + spread * draw.standard_normal((count, 2))
    data = site / "data"
    write_column(data / "maps/tsne.bin", xy.astype(np.float32))
    write_column(data / "class.bin", (cluster % 10).astype(np.uint8))
    write_column(data / "loss.bin", draw.gamma(2, 1, count).astype(np.float32))
    write_column(data / "codes.bin", np.zeros((1, 2), np.float32))
    (data / "thumbs").mkdir(exist_ok=True)
    for sheet in range(count // 1024 + 1):
        Image.new("L", (256, 256), sheet % 200).save(data / f"thumbs/{sheet}.png")
    (data / "manifest.json").write_text(json.dumps(describe_points(count)))
    (data / "history.json").write_text(
        '{"lines": [], "epochs": 0, "loss": "mse", "patience": null}'
    )


def describe_points(count: int) -> dict[str, Any]:
    """Return the manifest of `write_points`, without what the map does not need."""
    names = [str(digit) for digit in range(10)]
    quality = {"trustworthiness": 0.98, "continuity": 0.97, "neighbors": 10, "measured": 5000}
    statistics = {"mean": [0, 0], "low": [-1, -1], "high": [1, 1], "drift": None}
    spacing = {"quantiles": [0.1 * step for step in range(11)]}
    axes: dict[str, list[Any]] = {"components": [], "scale": [], "explained": []}
    return {
        "format": 1, "version": "0", "name": f"{count:,} points", "live": False,
        "fingerprint": "0" * 16, "model": "random", "task": "encode",
        "sample": {"kind": "image", "shape": [8, 8, 1]},
        "preprocessing": {"crop": None, "size": [8, 8], "channels": 1, "background": "white"},
        "count": count, "code_size": 2, "source": "random", "split": "all",
        "data_available": True, "note": "",
        "columns": [
            {"name": "class", "title": "Class", "kind": "category", "file": "class.bin",
             "names": names},
            {"name": "loss", "title": "Loss", "kind": "number", "file": "loss.bin",
             "low": 0, "high": 6},
        ],
        "names": {"pattern": "names/{n}.json", "per_file": 4096},
        "codes": {"file": "codes.bin", "in_page": False},
        "code_statistics": {**statistics, "spacing": spacing, "axes": axes},
        "class_codes": None,
        "maps": [{
            "method": "tsne", "title": "t-SNE", "file": "maps/tsne.bin",
            "decode": {"kind": "neighbors", "spacing": 1, "anchors": 5, "fitted": None},
            "quality": {**quality, "knn_1": 0.9, "knn_10": 0.92, "raw_pca": None},
        }],
        "methods": ["tsne"],
        "thumbs": {
            "pattern": "thumbs/{n}.png", "per_sheet": 1024, "columns": 32,
            "width": 8, "height": 8, "lossless": True, "exact": True,
        },
        "samples": None, "signals": None, "masks": None,
        "networks": {"encoder": None, "decoder": None, "layers": None},
        "history": "history.json", "epochs": None, "pending": [],
    }  # fmt: skip


# Listens to the worker that draws: when a frame was asked for, when it was seen, and how long the
# worker drew. The page itself has nothing for measuring.
WATCH = """
const PageWorker = Worker;
window.drawn = [];
window.waits = [];
window.Worker = class extends PageWorker {
  constructor(...parts) {
    super(...parts);
    this.addEventListener("message", ({ data }) => {
      if (data.type === "drawn") {
        window.drawn.push({ draw: data.time, all: performance.now() - this.asked });
      } else if (data.type === "nearest") {
        window.waits.push(performance.now() - this.asking);
      }
    });
  }
  postMessage(message, ...rest) {
    if (message.type === "draw") {
      this.asked = performance.now();
    } else if (message.type === "nearest") {
      this.asking = performance.now();
    }
    super.postMessage(message, ...rest);
  }
};
new PerformanceObserver((list) => {
  const tasks = list.getEntries().map(({ duration }) => duration);
  window.blocked = Math.max(window.blocked ?? 0, ...tasks);
}).observe({ type: "longtask", buffered: true });
"""

READY = "document.documentElement.dataset.ready === 'true' && window.drawn.length > 0"


def measure_map() -> dict[str, Any]:
    """Measure frames while panning, hover, a lasso, memory, and how soon the page can be used."""
    return {f"{count:,}": measure_points(count) for count in (70_000, 100_000, 1_000_000)}


def measure_points(count: int) -> dict[str, Any]:
    """Measure one map, in a browser of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder)) as address,
        open_browser() as browser,
        open_page(browser) as page,
    ):
        write_points(Path(folder), count)
        starts = [measure_start(page, address) for _ in range(STARTS)]
        return {
            "page usable (s)": round(float(np.median(starts)), 2),
            "tab memory (MB)": measure_memory(page, browser.new_browser_cdp_session()),
            "frame while panning (ms)": measure_pan(page),
            "frame while zooming (ms)": measure_zoom(page),
            "nearest point (ms)": measure_hover(page),
            "lasso (ms)": measure_lasso(page, address),
        }


@contextmanager
def open_page(browser: Browser) -> Iterator[Page]:
    """Open a page that is watched, in a context of its own."""
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    page.add_init_script(WATCH)
    yield page
    context.close()


def measure_start(page: Page, address: str) -> float:
    """Return after how many seconds the map is drawn and the page answers."""
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_function(f"{READY} && (window.usable ??= performance.now())")
    return float(page.evaluate("window.usable")) / 1000


def measure_pan(page: Page) -> dict[str, Any]:
    """Drag the map; what was in view is copied, and what comes into view is drawn."""
    page.mouse.move(400, 400)
    page.mouse.down()
    result = measure_frames(page, lambda step: page.mouse.move(*circle(step)))
    page.mouse.up()
    return result


def measure_zoom(page: Page) -> dict[str, Any]:
    """Turn the wheel; all is drawn anew."""
    return measure_frames(page, lambda step: page.mouse.wheel(0, 60 if step // 20 % 2 else -60))


def measure_frames(page: Page, act: Callable[[int], None]) -> dict[str, Any]:
    """Return the time from asking for a frame to seeing it, and that of the worker alone."""
    page.evaluate("window.drawn = [], window.blocked = 0")
    for step in range(FRAMES):
        act(step)
        page.evaluate("new Promise(requestAnimationFrame)")
    page.wait_for_timeout(500)
    frames = page.evaluate("window.drawn")
    times = {name: summarize([frame[name] for frame in frames]) for name in ("all", "draw")}
    return {**times, "frames": len(frames), "longest task": page.evaluate("window.blocked")}


def circle(step: int) -> tuple[float, float]:
    """Return where the pointer is on its way around a circle, in about 15 pixels a step."""
    return round(400 + 120 * np.cos(step / 8)), round(400 + 120 * np.sin(step / 8))


def measure_hover(page: Page) -> dict[str, float]:
    """Move the pointer over the map, and return the time to the nearest point, by the worker."""
    page.evaluate("window.waits = []")
    for step in range(FRAMES):
        page.mouse.move(200 + 2 * step, 300 + step)
        page.evaluate("new Promise(requestAnimationFrame)")
    return summarize(page.evaluate("window.waits"))


def measure_lasso(page: Page, address: str) -> dict[str, float]:
    """Return the time to find the points in a lasso of 100 corners."""
    angles = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    radius = 40 + 8 * np.sin(7 * angles)
    corners = np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1).tolist()
    script = """async ([address, corners]) => {
      const { markInside } = await import(`${address}area.js`);
      const { readColumn } = await import(`${address}columns.js`);
      const answer = await fetch(`${address}data/maps/tsne.bin`);
      const positions = readColumn(await answer.arrayBuffer());
      const times = [];
      for (let i = 0; i < 20; i++) {
        const start = performance.now();
        await markInside(positions, corners);
        times.push(performance.now() - start);
      }
      return times;
    }"""
    return summarize(page.evaluate(script, [address, corners]))


def measure_memory(page: Page, session: CDPSession) -> dict[str, float]:
    """Return the memory of the tab in MB.

    "objects" is what its scripts, its workers and their arrays hold; "process" is all that the
    browser's process for this tab does not share with others, with the browser's own code.
    """
    held = page.evaluate("performance.measureUserAgentSpecificMemory().then(found => found.bytes)")
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    tabs = [int(entry["id"]) for entry in processes if entry["type"] == "renderer"]
    return {"objects": round(held / MB), "process": round(max(map(private_memory, tabs)) / MB)}


def private_memory(process: int) -> int:
    """Return the bytes of a process that it does not share."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def summarize(times: list[float]) -> dict[str, float]:
    """Return the median and the 95th percentile."""
    median, high = np.percentile(times, [50, 95])
    return {"median": round(float(median), 2), "95%": round(float(high), 2)}


# -- section engine ----------------------------------------------------------------------------

SHAPES = ((1, 28, 28), (3, 64, 64), (3, 128, 128))
CODE_SIZE = 32
CODES = 100_000
REPEATS = 300
WARM_UP = 50

# In a page without anything but the engine: from nothing to the first picture, then many pictures.
DECODE = """async ([address, codes, warmUp]) => {
  const start = performance.now();
  const [{ Engine }, files] = await Promise.all(
    ["engine.js", "files.js"].map((name) => import(`${address}${name}`)),
  );
  const manifest = {
    fingerprint: "", task: "reconstruct", code_size: codes[0].length, sample: { shape: [1] },
    codes: { file: "codes.bin", in_page: true },
    networks: { decoder: { file: "decoder.onnx" }, encoder: null, layers: null },
  };
  window.engine = new Engine(manifest, files);
  await engine.decode(Float32Array.from(codes[0]));
  const first = performance.now() - start;
  const times = [];
  for (const code of codes.map((code) => Float32Array.from(code))) {
    const asked = performance.now();
    await engine.decode(code);
    times.push(performance.now() - asked);
  }
  const code = performance.getEntriesByType("resource").filter(({ name }) => !/data/.test(name));
  const bytes = code.reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0);
  return { first, bytes, times: times.slice(warmUp) };
}"""
SEARCH = """async ([codes, warmUp, k]) => {
  const start = performance.now();
  const rows = await engine.nearest(Float32Array.from(codes[0]), k);
  const first = performance.now() - start;
  const times = [];
  for (const code of codes.map((code) => Float32Array.from(code))) {
    const asked = performance.now();
    await engine.nearest(code, k);
    times.push(performance.now() - asked);
  }
  return { first, times: times.slice(warmUp) };
}"""


def measure_engine() -> dict[str, Any]:
    """Measure decoding by the worker, messages included, start-up and an exact search."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        draws = np.random.default_rng(0).standard_normal((CODES + REPEATS, CODE_SIZE), np.float32)
        write_column(data / "codes.bin", draws[:CODES])
        Path(folder, "empty.html").write_text('<!doctype html><link rel="icon" href="data:,">')
        codes = draws[CODES:].tolist()
        with serve(Path(folder)) as address, open_browser() as browser:
            decoding = {
                " × ".join(map(str, shape)): measure_decoding(browser, address, data, shape, codes)
                for shape in SHAPES
            }
            return {**decoding, "neighbors": measure_search(browser, address, codes)}


def measure_decoding(
    browser: Browser, address: str, data: Path, shape: tuple[int, ...], codes: list[list[float]]
) -> dict[str, Any]:
    """Measure `conv` with random weights, which does not change what there is to compute."""
    config = configure("conv", shape, CODE_SIZE)
    model = TrainedModel(config, Preprocessing(), config.build().eval())
    (data / "decoder.onnx").write_bytes(to_onnx(model, "decoder"))
    runs = [decode_all(browser, address, codes if i == 0 else codes[:1]) for i in range(STARTS)]
    return {
        "start to first picture (ms)": round(float(np.median([run["first"] for run in runs]))),
        "decoder (MB)": round((data / "decoder.onnx").stat().st_size / MB, 2),
        "engine (KB)": round(runs[0]["bytes"] / 1000),
        "decode (ms)": summarize(runs[0]["times"]),
        "decodes": len(runs[0]["times"]),
    }


def decode_all(browser: Browser, address: str, codes: list[list[float]]) -> dict[str, Any]:
    """Decode in a browser that has stored nothing."""
    with open_page(browser) as page:
        page.goto(f"{address}empty.html")
        warm_up = min(WARM_UP, len(codes) - 1)
        result: dict[str, Any] = page.evaluate(DECODE, [address, codes, warm_up])
    return result


def measure_search(browser: Browser, address: str, codes: list[list[float]]) -> dict[str, Any]:
    """Measure the neighbors of codes that are not among those searched."""
    with open_page(browser) as page:
        page.goto(f"{address}empty.html")
        page.evaluate(DECODE, [address, codes[:1], 0])
        result = page.evaluate(SEARCH, [codes, WARM_UP, 12])
    return {
        "codes": f"{CODES:,} × {CODE_SIZE}",
        "first, with reading (ms)": round(result["first"]),
        "search (ms)": summarize(result["times"]),
        "searches": len(result["times"]),
    }


# -- all sections ------------------------------------------------------------------------------

SECTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "map": measure_map,
    "engine": measure_engine,
}


def main() -> None:
    """Print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--section", choices=SECTIONS, nargs="*", default=list(SECTIONS))
    choices = parser.parse_args()
    with open_browser() as browser:
        machine = describe_machine(browser)
    results = {name: SECTIONS[name]() for name in choices.section}
    print(json.dumps({"machine": machine, **results}, indent=1, ensure_ascii=False))


def describe_machine(browser: Browser) -> dict[str, Any]:
    """Return on what was measured."""
    return {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "load": round(os.getloadavg()[0], 1),
        "browser": browser.version,
        "isthmus": __version__,
    }


if __name__ == "__main__":
    main()

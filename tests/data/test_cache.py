"""The cache of decoded samples: what is decoded once, what bypasses it, who waits for whom."""

import csv
import io
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import isthmus
from isthmus.cli import main
from isthmus.data.blocks import Block
from isthmus.data.cache import clear, decoding
from isthmus.data.decode import decode_blocks
from isthmus.data.load import load_with

Pixels = NDArray[np.uint8]
T = TypeVar("T")


def draw(path: Path, seed: int, shape: tuple[int, ...] = (12, 12, 3)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def entries(cache: Path) -> list[Path]:
    return [path for path in (cache / "samples").iterdir() if path.is_dir()]


def command(*arguments: object) -> str:
    """Run a command in this process; return what it printed."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(out):
        patch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
    assert not exited.value.code, out.getvalue()
    return out.getvalue()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give a list that receives the number of samples whenever some are decoded or stored."""
    counts: list[int] = []
    store_array = decoding.store_array

    def count_blocks(*arguments: Any) -> Iterator[Block]:
        for block in decode_blocks(*arguments):
            counts.append(len(block))
            yield block

    def count_array(manifest: Any, values: Any, *rest: Any) -> isthmus.Samples:
        counts.append(len(values))
        return store_array(manifest, values, *rest)

    monkeypatch.setattr(decoding, "decode_blocks", count_blocks)
    monkeypatch.setattr(decoding, "store_array", count_array)
    return counts


def pictures_of_many_sizes(folder: Path) -> Path:
    for i in range(24):
        draw(folder / f"{'ab'[i % 2]}/{i:02}.png", i, (9 + i, 12, 3) if i % 3 else (12, 9 + i))
    return folder


def photographs(folder: Path) -> Path:
    for i in range(24):
        draw(folder / f"{'ab'[i % 2]}/{i:02}.jpg", i, (12, 12, 3) if i % 3 else (12, 12))
    return folder


def gray_pictures(folder: Path) -> Path:
    for i in range(24):
        draw(folder / f"{i:02}.png", i, (12, 12))
    return folder


def table(folder: Path) -> Path:
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (24, 1 + 64))
    rows[:, 0] %= 2
    with (folder / "digits.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows.tolist())
    return folder / "digits.csv"


def array(folder: Path) -> Path:
    folder.mkdir()
    np.save(folder / "x.npy", np.random.default_rng(0).random((24, 12, 12, 3)))
    return folder / "x.npy"


def signals(folder: Path) -> Path:
    folder.mkdir()
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(24, 32)).astype(np.float32))
    return folder / "x.npy"


Maker = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (pictures_of_many_sizes, ("--size", 8, "--crop", 12)),
        (photographs, ()),
        (table, ()),
        (signals, ()),
    ],
)
def test_the_route_of_the_readme_decodes_each_sample_once(
    make: Maker, options: tuple[object, ...], tmp_path: Path, cache: Path, decoded: list[int]
) -> None:
    source, run = make(tmp_path / "source"), tmp_path / "run"
    command("train", source, *options, "--model", "linear", "--epochs", 1, "--out", run)
    assert sum(decoded) == 24
    for file in files_below(source) if source.is_dir() else [source]:
        status = file.stat()  # unreadable from now on, and of the same size and time
        file.write_bytes(bytes(status.st_size))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    picture: tuple[object, ...] = ()
    if source.is_dir():  # once each is enough: these two draw, which takes seconds
        command("report", run)
        picture = ("--out", tmp_path / "similar.png")
    command("index", run, source)
    name = isthmus.TrainedModel.load(run).read(source).names[3]
    found = command("search", run, name, "--k", 3, *picture)
    assert len(found.splitlines()) == 3 + bool(picture)
    assert sum(decoded) == 24
    assert len(entries(cache)) == 1


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (pictures_of_many_sizes, {"size": 8}),
        (pictures_of_many_sizes, {"size": (7, 9), "crop": 10}),
        (photographs, {}),
        (photographs, {"crop": 6}),
        (photographs, {"crop": 40}),
        (photographs, {"size": 12}),
        (photographs, {"size": 3, "background": "red"}),
        (photographs, {"channels": 1}),
        (photographs, {"limit": 5}),
        (gray_pictures, {}),
        (gray_pictures, {"size": 5}),
        (gray_pictures, {"channels": 3}),
        (table, {}),
        (table, {"size": 5}),
        (array, {"crop": 6, "size": 4}),
    ],
)
def test_naming_the_size_and_channels_that_came_out_gives_the_same_pixels(
    make: Maker, options: dict[str, Any], tmp_path: Path, cache: Path, decoded: list[int]
) -> None:
    source = make(tmp_path / "source")
    asked = isthmus.load(source, **options)
    count = sum(decoded)
    wanted = asked.origin.preprocessing.resolve(asked.shape).with_range(3, 77)
    limit = options.get("limit")
    opened = load_with(source, wanted, limit=limit)
    assert sum(decoded) == count == len(asked)
    assert opened.origin == isthmus.data.samples.Origin(str(source), wanted, limit)
    assert len(entries(cache)) == 1

    clear()  # the other way around, both are decoded, and are the same
    fresh = load_with(source, wanted, limit=limit)
    assert np.array_equal(fresh.values, opened.values)
    assert fresh.fingerprint == opened.fingerprint == asked.fingerprint
    again = isthmus.load(source, **options)
    assert again.fingerprint == asked.fingerprint
    assert len(entries(cache)) == 1


def test_large_photographs_are_the_same_when_a_run_names_their_size(
    tmp_path: Path, cache: Path
) -> None:
    # Large enough for a JPEG to be decoded at a reduced scale.
    for i in range(3):
        small = np.random.default_rng(i).integers(0, 256, (12, 16, 3), np.uint8)
        picture = Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)
        (picture.convert("L") if i == 1 else picture).save(tmp_path / f"{i}.jpg")
    choices: list[dict[str, Any]] = [
        {},
        {"crop": 100},
        {"size": 20},
        {"size": 20, "crop": 100},
        {"size": 240},
    ]
    for options in choices:
        asked = isthmus.load(tmp_path, **options)
        wanted = asked.origin.preprocessing.resolve(asked.shape)
        values = [wanted.decode_and_fit(str(path)) for path in sorted(tmp_path.glob("*.jpg"))]
        assert np.array_equal(asked.values, values), options


def test_what_differs_is_cached_apart(tmp_path: Path, cache: Path) -> None:
    gray, folder = gray_pictures(tmp_path / "gray"), photographs(tmp_path / "photographs")
    requests: list[tuple[Path, dict[str, Any]]] = [
        (gray, {}),
        (gray, {"channels": 3}),
        (gray, {"crop": 6}),
        (gray, {"size": 6}),
        (gray, {"limit": 6}),
        (folder, {}),
        (folder, {"channels": 1}),
    ]
    contents = {isthmus.load(source, **options).fingerprint for source, options in requests}
    assert len(contents) == len(entries(cache)) == 7


def test_an_alias_whose_entry_is_gone_is_decoded_again(tmp_path: Path, cache: Path) -> None:
    source = photographs(tmp_path / "source")
    first = isthmus.load(source)
    (entries(cache)[0] / "values.bin").unlink()
    assert isthmus.load(source).fingerprint == first.fingerprint
    assert len(entries(cache)) == 1


@pytest.mark.parametrize("file", ["samples.json", "values.bin"])
@pytest.mark.parametrize("keep", [0, 100])
def test_an_entry_that_was_cut_short_is_decoded_again(
    file: str, keep: int, tmp_path: Path, cache: Path
) -> None:
    source = photographs(tmp_path / "source")
    pixels = np.array(isthmus.load(source).values)  # a copy: the file beneath them is damaged
    damaged = entries(cache)[0] / file
    damaged.write_bytes(damaged.read_bytes()[:keep])
    assert np.array_equal(isthmus.load(source).values, pixels)
    assert len(entries(cache)) == 1


def test_clean_frees_what_the_cache_holds(tmp_path: Path, cache: Path) -> None:
    isthmus.load(photographs(tmp_path / "source"))
    held = sum(path.stat().st_size for path in files_below(cache))
    assert held > 24 * 12 * 12 * 3
    assert clear() == held
    assert files_below(cache) == []
    assert clear() == 0


def test_files_next_to_an_idx_file_do_not_matter(
    tmp_path: Path, cache: Path, decoded: list[int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4), np.uint8)
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in pixels.shape)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(header + pixels.tobytes())
    isthmus.load(path)
    (tmp_path / "run").mkdir()
    (tmp_path / "notes.txt").write_text("not of the set")
    isthmus.load(path)
    assert sum(decoded) == 5
    labels = bytes([0, 0, 8, 1]) + (5).to_bytes(4, "big") + bytes(range(5))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    assert len(isthmus.load(path).class_names) == 5


def test_single_pictures_leave_nothing_in_the_cache(tmp_path: Path, cache: Path) -> None:
    run = tmp_path / "run"
    samples = isthmus.load(np.zeros((20, 6, 6, 3), np.uint8))
    for _ in isthmus.train(samples, "linear", out=run, code_size=2):
        break
    trained = isthmus.TrainedModel.load(run)
    queries = [draw(tmp_path / f"{i}.png", i, (9, 7, 3)) for i in range(200)]
    for query in queries:
        pixels = trained.read(query).values
        assert np.array_equal(pixels[0], trained.preprocessing.decode_and_fit(str(query)))
    gray = isthmus.load(draw(tmp_path / "gray.PNG", 1, (5, 4)), channels=3, size=8)
    assert gray.shape == (8, 8, 3)
    assert gray.origin.source == str(tmp_path / "gray.PNG")
    assert list(gray.names) == ["gray.PNG"]
    assert list(cache.iterdir()) == []


def load_slowly(
    source: Path, cache: Path, started: Any, results: Any, load: Callable[..., Any] = isthmus.load
) -> None:
    """Load in a process of its own; say when decoding starts and how many samples it decoded."""
    os.environ["ISTHMUS_CACHE"] = str(cache)
    count = 0

    def slow(items: Iterable[T], total: int, title: str) -> Iterable[T]:
        nonlocal count
        for item in items:
            started.set()
            time.sleep(0.02)
            count += 1
            yield item

    samples = load(source, track=slow)
    results.put((count, samples.fingerprint))


@pytest.fixture
def processes() -> Iterator[Callable[..., Any]]:
    """Give a function that starts `load_slowly` in a process, which is killed at the end."""
    running = []
    context = multiprocessing.get_context("spawn")

    def start(*arguments: Any) -> Any:
        process = context.Process(target=load_slowly, args=arguments)
        process.start()
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.join()


@pytest.mark.parametrize("load", [isthmus.load, isthmus.load_images])
def test_two_processes_decode_a_source_once(
    load: Callable[..., Any], processes: Callable[..., Any], tmp_path: Path, cache: Path
) -> None:
    source = photographs(tmp_path / "source")
    context = multiprocessing.get_context("spawn")
    started, results = context.Event(), context.Queue()
    for _ in range(2):
        processes(source, cache, started, results, load)
    (some, one), (others, other) = (results.get(timeout=60) for _ in range(2))
    assert sorted((some, others)) == [0, 24]
    assert one == other == load(source).fingerprint
    assert not list(cache.rglob("*.lock"))


def test_a_killed_process_does_not_block_the_next(
    processes: Callable[..., Any], tmp_path: Path, cache: Path
) -> None:
    source = photographs(tmp_path / "source")
    context = multiprocessing.get_context("spawn")
    started, results = context.Event(), context.Queue()
    process = processes(source, cache, started, results)
    assert started.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert len(isthmus.load(source)) == 24
    assert not list(cache.rglob("*.lock"))


def test_threads_that_load_the_same_decode_it_once(
    tmp_path: Path, cache: Path, decoded: list[int]
) -> None:
    source = photographs(tmp_path / "source")
    together = threading.Barrier(8)

    def load_together(number: int) -> str:
        together.wait()
        return isthmus.load(source).fingerprint

    with ThreadPoolExecutor(8) as pool:
        fingerprints = set(pool.map(load_together, range(8)))
    assert len(fingerprints) == 1
    assert sum(decoded) == 24


def test_threads_load_several_sources_at_the_same_time(tmp_path: Path, cache: Path) -> None:
    sources = [tmp_path / str(number) for number in range(6)]
    for number, source in enumerate(sources):
        for i in range(80):
            draw(source / f"{i:02}.png", 100 * number + i, (6, 5, 3))
        (source / "40.png").write_bytes(b"no picture")
    with ThreadPoolExecutor(6) as pool:
        loaded = list(pool.map(isthmus.load, sources))
    for source, samples in zip(sources, loaded, strict=True):
        alone = [
            isthmus.Preprocessing().decode_and_fit(str(source / f"{i:02}.png"))
            for i in range(80)
            if i != 40
        ]
        assert np.array_equal(samples.values, alone)
        assert [name for name, _ in samples.skipped] == ["40.png"]


def test_an_error_lets_those_that_wait_go_on(tmp_path: Path, cache: Path) -> None:
    source = photographs(tmp_path / "source")
    begun, may_fail = threading.Event(), threading.Event()

    def failing(items: Iterable[T], total: int, title: str) -> Iterable[T]:
        for _ in items:
            begun.set()
            may_fail.wait(30)
            raise KeyboardInterrupt
        return items

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            isthmus.load(source, track=failing)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(interrupted)
        assert begun.wait(30)
        second = pool.submit(isthmus.load, source)
        may_fail.set()
        first.result()
        assert len(second.result()) == 24
    assert not list(cache.rglob("*.lock"))


def test_warnings_of_pictures_are_ignored_in_all_threads(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(200):
        draw(tmp_path / f"{i:03}.png", i, (6, 5, 3))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # it warns above, and refuses twice that
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        choices: list[dict[str, Any]] = [{"size": 3}, {"crop": 4}, {"channels": 1}, {"limit": 150}]
        loaded = [pool.submit(isthmus.load, tmp_path, **options) for options in choices]
        assert [samples.result().skipped for samples in loaded] == [()] * 4
    assert warnings.filters == before


@pytest.mark.parametrize("make", [signals, photographs])
def test_opening_checks_and_reads_no_value_again(
    make: Maker, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make(tmp_path / "source")
    first = isthmus.load(source)

    def refuse(self: isthmus.Samples) -> None:
        raise AssertionError("checked again")

    monkeypatch.setattr(isthmus.Samples, "__post_init__", refuse)
    opened = isthmus.load(source)
    monkeypatch.undo()
    monkeypatch.setenv("ISTHMUS_CACHE", str(cache))
    assert opened.fingerprint == first.fingerprint
    assert type(opened) is isthmus.Samples
    assert vars(opened).keys() - {"fingerprint"} == vars(first).keys() - {"fingerprint"}
    assert opened.take(np.array([3, 1])).names == [first.names[3], first.names[1]]

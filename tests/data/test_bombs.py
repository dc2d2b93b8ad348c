"""Small files that ask for much are refused in one sentence, and in little memory.

The quick ones of `tests/bombs.py`, in a process whose memory is bounded.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from planting import png, write_tar, write_zip

import bombs
from bombs import BOMBS, packed, small_png, tar_header
from isthmus import load
from isthmus.data.readers.archives import waiting
from isthmus.errors import OptionError, SourceError
from isthmus.limits import LIMITS

Refused = Callable[..., AbstractContextManager[None]]

QUICK = [bomb for bomb in BOMBS if bomb.is_quick and bomb.is_refused]
# The work of a process that may have 600 MB more than it has once all is imported.
TRY_ALL = """
import json, os, resource, sys
from pathlib import Path
from bombs import BOMBS
from isthmus.cli import main
import isthmus.data.load, tifffile, PIL.Image

paths = {}
for bomb in BOMBS:
    if bomb.is_quick and bomb.is_refused:
        bomb.write(Path(bomb.name))
        paths[bomb.name] = bomb.options
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + 600 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (most, most))
for path, options in paths.items():
    sys.argv = ["isthmus", "data", "check", path, *options.split()]
    code = 0
    try:
        main()
    except SystemExit as error:
        code = error.code
    except BaseException as error:
        code = repr(error)
    print(json.dumps([path, code]), file=sys.stderr, flush=True)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, str]]:
    """Try all quick bombs, and return the exit code and the sentence of each by its name."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("only Linux bounds the memory of a process")
    folder = tmp_path_factory.mktemp("bombs")
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", TRY_ALL],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "ISTHMUS_CACHE": str(folder / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    answers, said = {}, ""
    for line in done.stderr.splitlines():
        if line.startswith("["):
            name, code = json.loads(line)
            answers[name], said = (code, said.strip()), ""
        elif line.startswith("isthmus: "):
            said = line
    return answers


@pytest.mark.parametrize("name", [bomb.name for bomb in QUICK])
def test_a_bomb_is_refused_in_a_sentence(name: str, answers: dict[str, tuple[Any, str]]) -> None:
    code, said = answers.get(name, ("the process ended", ""))
    assert code == 2, said
    assert name in said
    assert "memory" not in said  # it was not even asked for


@pytest.fixture
def set_limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], None]:
    return lambda name, value: monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM"])
def test_each_format_obeys_the_bound_that_the_refusal_names(
    kind: str, tmp_path: Path, refused: Refused, set_limit: Callable[[str, object], None]
) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    Image.new("RGB", (40, 30)).save(path, kind)
    assert load(path).values.shape[1:3] == (30, 40)
    set_limit("ISTHMUS_MAX_PIXELS", 300)
    with refused(SourceError, path, "40 × 30 pixels", "more than 300; set ISTHMUS_MAX_PIXELS"):
        load(path)


def test_more_than_pillow_allows_is_read_if_asked_for(
    tmp_path: Path, refused: Refused, set_limit: Callable[[str, object], None]
) -> None:
    path = tmp_path / "wide.png"
    path.write_bytes(bombs.png(18_000, 10_000, bits=1, whole=False))
    with refused(SourceError, path, "18,000 × 10,000 pixels"):
        load(path, size=8)
    set_limit("ISTHMUS_MAX_PIXELS", 18_000 * 10_000)
    assert load(path, size=8).values.shape == (1, 8, 8, 1)


@pytest.mark.parametrize("text", ["0", "-5", "many", "", "1e9"])
def test_a_bound_without_sense_is_refused(
    text: str, tmp_path: Path, refused: Refused, set_limit: Callable[[str, object], None]
) -> None:
    (tmp_path / "a.png").write_bytes(small_png())
    set_limit("ISTHMUS_MAX_PIXELS", text)
    with refused(OptionError, "ISTHMUS_MAX_PIXELS", repr(text), "such as 134217728"):
        load(tmp_path / "a.png")


def test_a_large_picture_among_others_is_left_out_alone(
    tmp_path: Path, set_limit: Callable[[str, object], None]
) -> None:
    for i in range(12):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    Image.new("L", (100, 100)).save(tmp_path / "large.png")
    set_limit("ISTHMUS_MAX_PIXELS", 5_000)
    samples = load(tmp_path, size=8)
    assert len(samples) == 12
    assert "100 × 100 pixels" in str(samples.report)


def test_scans_of_a_thumbnail_do_not_count(tmp_path: Path) -> None:
    Image.new("RGB", (2_000, 2_000)).save(tmp_path / "a.jpg", comment=b"\xff\xda" * 200)
    assert load(tmp_path / "a.jpg", size=8).values.shape == (1, 8, 8, 3)


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz"])
def test_too_many_members_are_refused(
    suffix: str, tmp_path: Path, refused: Refused, set_limit: Callable[[str, object], None]
) -> None:
    path = tmp_path / f"a.{suffix}"
    names = [f"{i:04}.png" for i in range(1100)]
    if suffix == "zip":
        write_zip(path, dict.fromkeys(names, png(0)))
    else:
        write_tar(path, names, mode="w:gz" if suffix == "tar.gz" else "w")
    set_limit("ISTHMUS_MAX_MEMBERS", 1000)
    with refused(SourceError, path, "members or more, more than 1,000; set ISTHMUS_MAX_MEMBERS"):
        load(path)


@pytest.mark.parametrize("suffix", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_packed_tar_is_not_unpacked_beyond_its_size(
    suffix: str, tmp_path: Path, refused: Refused, set_limit: Callable[[str, object], None]
) -> None:
    path = tmp_path / f"a.{suffix}"
    with packed(path) as file:
        file.write(tar_header("a.bmp", 2**24))
        for _ in range(2**4):
            file.write(bytes(2**20))
    set_limit("ISTHMUS_MAX_UNPACKED", 2**23)
    with refused(SourceError, path, "over 200 times as much", "ISTHMUS_MAX_RATIO"):
        load(path)


def test_members_that_wait_for_their_turn_do_so_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{i:02}.png" for i in range(20)]
    expected = load(write_tar(tmp_path / "a.tar.gz", names, mode="w:gz"))
    monkeypatch.setattr(waiting, "MAX_BYTES", 100)
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    samples = load(write_tar(tmp_path / "b.tar.gz", names[::-1], mode="w:gz"))
    assert list(samples.names) == list(expected.names)
    assert np.array_equal(np.sort(samples.values, 0), np.sort(expected.values, 0))


def test_the_guide_lists_every_bound() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "images.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {one.default:,} | {one.what} |" for name, one in LIMITS.items()]
    assert [row for row in rows if row not in guide] == []

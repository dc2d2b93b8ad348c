"""What a folder holds besides pictures: other kinds, links, pipes, and what nobody may read."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from PIL import Image
from planting import counts, left_out, notes, plant, png, spread

from isthmus import load
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")


@pytest.fixture
def readable(photos: Path) -> Iterator[Path]:
    """Give a folder of a user who is not root, as root may read everything."""
    load(photos)  # whoever is not root may also not import what is needed for it
    folder = Path(tempfile.mkdtemp())
    nobody = 65534
    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no users")
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, nobody, nobody)
        os.seteuid(nobody)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700)
        shutil.rmtree(folder)


@pytest.fixture
def own_cache(readable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(readable / ".cache"))


@pytest.mark.usefixtures("own_cache")
def test_folders_and_files_that_nobody_may_read_are_named(readable: Path, refused: Refused) -> None:
    photos = plant(readable / "photos", spread(["box", "disc", "star"]))
    (photos / "box").chmod(0)
    (photos / "disc" / "1.png").chmod(0)
    samples = load(photos)
    assert counts(samples) == {"disc": 2, "star": 3}
    assert left_out(samples) == {"cannot be read": 2}
    assert "box/, disc/1.png cannot be read (Permission denied)" in notes(samples)["unreadable"]
    (photos / "disc" / "1.png").chmod(0o600)
    assert counts(load(photos)) == {"disc": 3, "star": 3}  # and not what the cache has
    photos.chmod(0)
    with refused(SourceError, photos, "Permission denied"):
        load(photos)
    photos.chmod(0o700)
    for name in ("disc", "star"):
        (photos / name).chmod(0)
    with refused(SourceError, photos, "3 cannot be read (Permission denied)"):
        load(photos)


@pytest.mark.parametrize(
    "suffix", [".jfif", ".jpe", ".JPG", ".ppm", ".PGM", ".tga", ".pcx", ".dib"]
)
def test_further_suffixes_are_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("L" if suffix == ".PGM" else "RGB", (5, 6), 7).save(path)
    assert load(path).shape == load(tmp_path).shape


def test_the_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(png(1))
    (tmp_path / "b.bmp").write_bytes(png(2))
    assert len(load(tmp_path)) == 2


def test_other_kinds_are_counted_by_suffix_with_a_reason(tmp_path: Path) -> None:
    plant(tmp_path, spread(["a", "b"]))
    others = [
        "v.mp4",
        "a/w.mp4",
        "a/raw.CR2",
        "b/scan.nii.gz",
        "old.zip",
        "x.rar",
        "notes",
        "l.csv",
    ]
    hidden = [".DS_Store", "a/._0.png", "Thumbs.db", "b/desktop.ini", "@eaDir/0.png"]
    for name in others + hidden:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    samples = load(tmp_path)
    once = ("without suffix", ".cr2", ".csv", ".nii.gz", ".rar", ".zip")
    assert left_out(samples) == {".mp4": 2, **dict.fromkeys(once, 1)}
    assert samples.report is not None
    reasons = " ".join(one.reason for one in samples.report.left_out)
    assert "a video; extract its frames" in reasons
    assert "give it as the source" in reasons


@pytest.mark.parametrize(
    ("name", "said"), [("a.mp4", "a video"), ("b.pdf", "a document"), ("c.7z", "unpack it")]
)
def test_sources_of_other_kinds_are_refused_by_what_they_are(
    name: str, said: str, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / name).write_bytes(b"x")
    for source in (tmp_path, tmp_path / name):
        with refused(SourceError, source, said):
            load(source)


@posix_only
def test_links_pipes_and_sockets_are_left_out_with_a_reason(tmp_path: Path) -> None:
    photos = plant(tmp_path / "photos", spread(["a", "b"]))
    os.mkfifo(photos / "a" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        previous = Path.cwd()
        os.chdir(photos)  # the path of a socket may have a hundred letters
        server.bind("socket.png")
        os.chdir(previous)
    (photos / "zero.png").symlink_to("/dev/zero")
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    (photos / "self.png").symlink_to("self.png")
    (photos / "up").symlink_to(photos)
    (photos / "a again").symlink_to(photos / "a")
    (photos / "empty").mkdir()
    samples = load(photos)
    assert counts(samples) == {"a": 3, "b": 3}
    assert left_out(samples) == {
        "named pipe": 1,
        "socket": 1,
        "device": 1,
        "links to nothing": 2,
        "link to a folder above it, which is not followed": 1,
        "link to a folder that is read already": 1,
        "empty folder": 1,
    }


@posix_only
def test_a_link_to_nothing_is_no_source(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "photos").symlink_to(tmp_path / "nowhere")
    with refused(SourceError, tmp_path / "photos", "a link to nothing"):
        load(tmp_path / "photos")


@posix_only
def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    plant(tmp_path / "photos", spread(["a"]))
    plant(tmp_path / "elsewhere", spread(["b"]))
    (tmp_path / "photos" / "c").symlink_to(tmp_path / "elsewhere" / "b")
    assert counts(load(tmp_path / "photos")) == {"a": 3, "c": 3}


@posix_only
@pytest.mark.parametrize("name", ["a.fifo", "a.csv", "a.png", "a.zip", "a.npy"])
def test_a_pipe_is_no_source(name: str, tmp_path: Path, refused: Refused) -> None:
    os.mkfifo(tmp_path / name)
    with refused(SourceError, tmp_path / name, "a named pipe"):
        load(tmp_path / name)


@posix_only
@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero"])
def test_a_device_is_no_source(path: str, refused: Refused) -> None:
    with refused(SourceError, path, "a device"):
        load(path)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text")
def test_names_may_be_any_bytes(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    names = [os.fsdecode(name) for name in (b"\xff.png", b"a\nb.png", b"n" * 250 + b".png")]
    plant(folder, names)
    samples = load(tmp_path)
    assert sorted(samples.names) == sorted(f"{folder.name}/{name}" for name in names)
    again = load(tmp_path)  # from the cache
    assert list(again.names) == list(samples.names)
    assert again.class_names == samples.class_names == (folder.name,)
    assert len(load(folder)) == 3

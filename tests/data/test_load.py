"""Folders, archives and single pictures; what the cache keeps; what is refused."""

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import isthmus
from isthmus.errors import OptionError, SourceError

Refused = Callable[..., AbstractContextManager[None]]
Pixels = NDArray[np.uint8]
T = TypeVar("T")

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
}


class Witness:
    """Passes items on and remembers that it was asked to."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []

    def __call__(self, items: Iterable[T], total: int, title: str) -> Iterable[T]:
        self.seen.append((total, title))
        return items


def draw(path: Path, seed: int, shape: tuple[int, ...] = (6, 5, 3)) -> Pixels:
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def gallery(folder: Path, names: Iterable[str]) -> Path:
    for seed, name in enumerate(names):
        draw(folder / name, seed)
    return folder


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def spoil(path: Path) -> None:
    """Make the file unreadable and leave its size and time as they were."""
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def packed(folder: Path, suffix: str, top: str = "", extra: Iterable[str] = ()) -> Path:
    """Pack a folder, members in the opposite of their order, and `extra` members of rubbish."""
    path = folder.parent / f"packed{suffix}"
    members = {
        f"{top}{file.relative_to(folder).as_posix()}": file.read_bytes()
        for file in reversed(files_below(folder))
    } | dict.fromkeys(extra, b"rubbish")
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    path.write_bytes(COMPRESS[suffix](plain.getvalue()))
    return path


def assert_same(one: isthmus.Samples, other: isthmus.Samples) -> None:
    assert np.array_equal(one.values, other.values)
    assert list(one.names) == list(other.names)
    assert one.class_names == other.class_names
    for a, b in ((one.labels, other.labels), (one.splits, other.splits)):
        assert (a is None) == (b is None)
        assert a is None or b is None or np.array_equal(a, b)
    assert one.skipped == other.skipped
    assert one.fingerprint == other.fingerprint


def test_class_folders_become_labels(photos: Path) -> None:
    samples = isthmus.load(photos)
    assert samples.class_names == ("cat", "dog")
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert list(samples.names) == [
        f"{c}/{f}" for c in ("cat", "dog") for f in ("0.png", "1.jpg", "2.png")
    ]
    assert samples.shape == (12, 10, 3)
    assert samples.splits is None
    for name, pixels in zip(samples.names, samples.values, strict=True):
        assert np.array_equal(pixels, isthmus.Preprocessing().decode_and_fit(str(photos / name)))


def test_a_path_may_be_text_or_path(photos: Path) -> None:
    assert_same(isthmus.load(str(photos)), isthmus.load(photos))


def test_train_validation_and_test_folders_are_the_sources_own_parts(tmp_path: Path) -> None:
    names = [f"{part}/{c}/0.png" for part in ("Train", "val", "test") for c in ("ant", "bee")]
    samples = isthmus.load(gallery(tmp_path, names))
    assert samples.class_names == ("ant", "bee")
    assert samples.splits is not None
    parts = dict(zip(samples.names, samples.splits.tolist(), strict=True))
    assert parts == dict(zip(names, (0, 0, 1, 1, 2, 2), strict=True))
    split = isthmus.split_samples(samples)
    assert [samples.names[i] for i in split.test] == ["test/ant/0.png", "test/bee/0.png"]


def test_parts_without_classes_have_no_labels(tmp_path: Path) -> None:
    samples = isthmus.load(gallery(tmp_path, ["train/0.png", "training/1.png", "testing/2.png"]))
    assert samples.labels is None
    assert samples.splits is not None
    assert samples.splits.tolist() == [2, 0, 0]


def test_folders_called_test_without_train_are_classes(tmp_path: Path) -> None:
    samples = isthmus.load(gallery(tmp_path, ["test/0.png", "toast/0.png"]))
    assert samples.class_names == ("test", "toast")
    assert samples.splits is None


@pytest.mark.parametrize("names", [["0.png", "1.png"], ["0.png", "cat/1.png"]])
def test_a_picture_at_the_root_means_no_labels(names: list[str], tmp_path: Path) -> None:
    samples = isthmus.load(gallery(tmp_path, names))
    assert samples.labels is None
    assert samples.class_names == ()
    assert len(samples) == 2


def test_the_topmost_folder_is_the_class_however_deep_a_picture_lies(tmp_path: Path) -> None:
    samples = isthmus.load(gallery(tmp_path, ["cat/young/0.png", "cat/1.png", "dog/a/b/2.png"]))
    assert list(samples.names) == ["cat/1.png", "cat/young/0.png", "dog/a/b/2.png"]
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 0, 1]


def test_a_link_back_to_a_folder_above_is_not_followed(photos: Path) -> None:
    before = list(isthmus.load(photos).names)
    (photos / "cat/again").symlink_to(photos, target_is_directory=True)
    (photos / "cat/here").symlink_to(photos / "cat", target_is_directory=True)
    assert list(isthmus.load(photos).names) == before


def test_hidden_files_and_other_kinds_are_passed_over(photos: Path) -> None:
    before = list(isthmus.load(photos).names)
    draw(photos / ".thumbnails/cat.png", 0)
    draw(photos / "cat/.0.png", 0)
    (photos / "notes.txt").write_text("no picture")
    (photos / "cat/gone.png").symlink_to(photos / "nowhere.png")
    assert list(isthmus.load(photos).names) == before


def test_suffixes_count_in_capitals_too(tmp_path: Path) -> None:
    gallery(tmp_path, ["été/a b.png", "été/c.png"])
    (tmp_path / "été/c.png").rename(tmp_path / "été/c.PNG")
    samples = isthmus.load(tmp_path)
    assert list(samples.names) == ["été/a b.png", "été/c.PNG"]
    assert samples.class_names == ("été",)


def test_a_single_picture_is_a_source(tmp_path: Path) -> None:
    pixels = draw(tmp_path / "one.bmp", 3)
    samples = isthmus.load(tmp_path / "one.bmp")
    assert np.array_equal(samples.values, pixels[None])
    assert list(samples.names) == ["one.bmp"]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
@pytest.mark.parametrize("top", ["", "./", "some/photos/"])
def test_an_archive_gives_the_same_as_the_folder(suffix: str, top: str, photos: Path) -> None:
    path = packed(photos, suffix, top, extra=[f"{top}.hidden.png", f"{top}read.me"])
    assert_same(isthmus.load(path), isthmus.load(photos))


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".zip"])
def test_an_archive_has_its_own_parts(suffix: str, tmp_path: Path) -> None:
    names = [f"{part}/{c}/0.png" for part in ("train", "test") for c in ("ant", "bee")]
    folder = gallery(tmp_path / "photos", names)
    path = packed(folder, ".tar.gz" if suffix == ".tgz" else suffix, "top/")
    if suffix == ".tgz":
        path = path.rename(tmp_path / "packed.tgz")
    assert_same(isthmus.load(path), isthmus.load(folder))
    assert isthmus.load(path).splits is not None


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_members_with_and_without_a_leading_slash_go_together(suffix: str, photos: Path) -> None:
    path = packed(photos, suffix, "/")
    assert_same(isthmus.load(path), isthmus.load(photos))
    shutil.copytree(photos / "cat", photos / "hen")
    plain = packed(photos / "hen", ".tar", "hen/")
    with tarfile.open(plain, "a") as tar:
        tar.add(photos / "dog" / "0.png", "dog/0.png")
        member = tar.gettarinfo(photos / "dog" / "0.png")
        member.name = "/dog/1.png"
        with (photos / "dog" / "0.png").open("rb") as content:
            tar.addfile(member, content)
    assert set(isthmus.load(plain).names) >= {"dog/0.png", "dog/1.png", "hen/0.png"}


@pytest.mark.skipif(not shutil.which("tar"), reason="needs tar")
def test_members_stored_without_their_holes_are_read_whole(photos: Path) -> None:
    with (photos / "cat/0.png").open("ab") as file:
        file.truncate(1 << 20)
    path = photos.parent / "packed.tar"
    subprocess.run(["tar", "--sparse", "-cf", path, "cat", "dog"], cwd=photos, check=True)
    with tarfile.open(path) as archive:
        if not any(member.issparse() for member in archive):
            pytest.skip("the file system has no holes")
    assert_same(isthmus.load(path), isthmus.load(photos))


def test_what_a_mac_adds_to_a_zip_is_passed_over(photos: Path) -> None:
    path = packed(photos, ".zip", extra=["__MACOSX/cat/0.png"])
    assert_same(isthmus.load(path), isthmus.load(photos))


def test_an_all_gray_folder_has_one_channel(tmp_path: Path) -> None:
    pixels = [draw(tmp_path / f"{i}.png", i, (6, 5)) for i in range(4)]
    assert np.array_equal(isthmus.load(tmp_path).values[..., 0], pixels)


def test_gray_pictures_before_the_first_in_color_keep_their_pixels(tmp_path: Path) -> None:
    # Large, so that turning the earlier ones into color takes more than one step.
    grays = [draw(tmp_path / f"{i}.bmp", i, (700, 800)) for i in range(3)]
    colored = draw(tmp_path / "3.bmp", 3, (700, 800, 3))
    last = draw(tmp_path / "4.bmp", 4, (700, 800))
    values = isthmus.load(tmp_path).values
    assert values.shape == (5, 700, 800, 3)
    for found, gray in zip(values[[0, 1, 2, 4]], [*grays, last], strict=True):
        assert np.array_equal(found, gray[..., None].repeat(3, axis=2))
    assert np.array_equal(values[3], colored)


def test_progress_is_told_the_number_and_the_source(photos: Path, cache: Path) -> None:
    witness = Witness()
    isthmus.load(photos, track=witness)
    assert witness.seen == [(6, f"Reading {photos}")]
    assert files_below(cache)


@pytest.mark.parametrize("suffix", ["", ".zip", ".tar.gz"])
def test_a_second_load_reads_no_picture(suffix: str, photos: Path) -> None:
    source = packed(photos, suffix) if suffix else photos
    first = isthmus.load(source, size=8)
    values = np.array(first.values)
    for file in files_below(photos) if source == photos else [source]:
        spoil(file)
    witness = Witness()
    second = isthmus.load(source, size=8, track=witness)
    assert witness.seen == []
    assert_same(second, first)
    assert np.array_equal(second.values, values)


def test_the_kept_fingerprint_is_that_of_the_content(photos: Path) -> None:
    isthmus.load(photos)
    kept = isthmus.load(photos)
    fresh = isthmus.Samples(np.array(kept.values), kept.items)
    assert kept.fingerprint == fresh.fingerprint


def test_changed_added_and_removed_files_are_read_again(photos: Path) -> None:
    before = isthmus.load(photos)
    pixels = draw(photos / "dog/2.png", 99, (12, 10, 3))
    changed = isthmus.load(photos)
    assert np.array_equal(changed.values[5], pixels)
    assert changed.fingerprint != before.fingerprint
    draw(photos / "emu/0.png", 5, (12, 10, 3))
    assert isthmus.load(photos).class_names == ("cat", "dog", "emu")
    (photos / "emu/0.png").unlink()
    assert_same(isthmus.load(photos), changed)


def test_a_changed_archive_is_read_again(photos: Path) -> None:
    path = packed(photos, ".zip")
    assert len(isthmus.load(path)) == 6
    (photos / "cat/0.png").unlink()
    assert len(isthmus.load(packed(photos, ".zip"))) == 5


def test_other_preprocessing_is_kept_apart(photos: Path) -> None:
    shapes = [
        isthmus.load(photos, **options).shape
        for options in ({}, {"size": 4}, {"crop": 6}, {"channels": 1}, {"size": (4, 5)}, {})
    ]
    assert shapes == [(12, 10, 3), (4, 4, 3), (6, 6, 3), (12, 10, 1), (4, 5, 3), (12, 10, 3)]


def test_values_are_memory_mapped_and_writing_to_them_leaves_the_cache(photos: Path) -> None:
    samples = isthmus.load(photos)
    assert isinstance(samples.values, np.memmap)
    before = samples.values[0].copy()
    samples.values[0] = 255 - before
    assert np.array_equal(isthmus.load(photos).values[0], before)


def test_the_origin_says_what_was_asked_for(photos: Path) -> None:
    origin = isthmus.load(photos, size=4, crop=6, channels=1, background="red", limit=3).origin
    wanted = isthmus.Preprocessing(crop=6, size=(4, 4), channels=1, background="red")
    assert (origin.source, origin.preprocessing, origin.limit) == (str(photos), wanted, 3)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of 300 pictures, more than one process decodes; every tenth is gray."""
    folder = tmp_path_factory.mktemp("crowd")
    for i in range(300):
        draw(folder / f"{'abc'[i % 3]}/{i:03}.png", i, (6, 5) if i % 10 == 0 else (6, 5, 3))
    return folder


@pytest.mark.parametrize("suffix", ["", ".tar", ".tar.gz", ".zip"])
def test_many_pictures_give_the_same_as_one_by_one_and_in_order(suffix: str, crowd: Path) -> None:
    samples = isthmus.load(packed(crowd, suffix) if suffix else crowd)
    names = [file.relative_to(crowd).as_posix() for file in files_below(crowd)]
    alone = isthmus.Preprocessing(channels=3)
    assert list(samples.names) == names
    assert np.array_equal(
        samples.values, [alone.decode_and_fit(str(crowd / name)) for name in names]
    )


def test_among_many_pictures_those_broken_in_a_zip_are_skipped(crowd: Path) -> None:
    path = packed(crowd, ".zip")
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
    content = bytearray(path.read_bytes())
    for name in ("a/150.png", "c/290.png"):
        content[infos[name].header_offset + 60] ^= 0xFF
    path.write_bytes(content)
    samples = isthmus.load(path)
    assert len(samples) == 298
    assert [name for name, _ in samples.skipped] == ["a/150.png", "c/290.png"]
    assert all("CRC" in reason for _, reason in samples.skipped)


def test_many_pictures_load_again_after_an_interrupt(crowd: Path, cache: Path) -> None:
    def interrupted(items: Iterable[T], total: int, title: str) -> Iterable[T]:
        del total, title
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isthmus.load(crowd, track=interrupted)
    assert files_below(cache) == []
    assert len(isthmus.load(crowd)) == 300


def test_progress_comes_picture_by_picture(crowd: Path, cache: Path) -> None:
    del cache
    seen = []

    def counted(items: Iterable[T], total: int, title: str) -> Iterable[T]:
        del title
        for item in items:
            seen.append(total)
            yield item

    isthmus.load(crowd, track=counted)
    assert seen == [300] * 300


def test_many_broken_pictures_among_many_are_refused(tmp_path: Path, refused: Refused) -> None:
    for i in range(300):
        (tmp_path / f"{i:03}.png").write_bytes(b"no picture")
    with refused(SourceError, "31 of the first 31", tmp_path, "000.png"):
        isthmus.load(tmp_path)


def test_broken_pictures_are_skipped_and_listed_with_their_reason(tmp_path: Path) -> None:
    pixels = {f"{i:02}.png": draw(tmp_path / f"{i:02}.png", i) for i in range(30)}
    (tmp_path / "00.png").write_bytes(b"")
    (tmp_path / "11.png").write_text("a web page")
    whole = (tmp_path / "29.png").read_bytes()
    (tmp_path / "29.png").write_bytes(whole[: len(whole) // 2])
    samples = isthmus.load(tmp_path)
    reasons = dict(samples.skipped)
    assert list(reasons) == ["00.png", "11.png", "29.png"]
    assert reasons["11.png"] == "not an image that Pillow can read"
    assert "truncated" in reasons["29.png"]
    assert list(samples.names) == [name for name in pixels if name not in reasons]
    for name, found in zip(samples.names, samples.values, strict=True):
        assert np.array_equal(found, pixels[name])
    assert_same(isthmus.load(tmp_path), samples)


def test_labels_stay_with_their_pictures_when_one_is_skipped(tmp_path: Path) -> None:
    gallery(tmp_path, [f"{c}/{i}.png" for c in "ab" for i in range(5)])
    (tmp_path / "a/4.png").write_bytes(b"")
    samples = isthmus.load(tmp_path)
    assert samples.labels is not None
    assert samples.labels.tolist() == [0] * 4 + [1] * 5


def test_a_single_broken_picture_is_told_in_the_singular(tmp_path: Path, refused: Refused) -> None:
    gallery(tmp_path, [f"{i}.png" for i in range(3)])
    (tmp_path / "0.png").write_bytes(b"")
    with refused(SourceError, "0.png, the first of the 3 pictures of ", "repair or remove it"):
        isthmus.load(tmp_path)


def test_more_than_a_tenth_of_broken_pictures_is_refused(tmp_path: Path, refused: Refused) -> None:
    gallery(tmp_path, [f"{i:02}.png" for i in range(20)])
    for i in (3, 17):
        (tmp_path / f"{i:02}.png").write_bytes(b"")
    assert len(isthmus.load(tmp_path)) == 18
    (tmp_path / "18.png").write_bytes(b"")
    with refused(SourceError, tmp_path, "3 of the first 19", "03.png (not an image"):
        isthmus.load(tmp_path)


def test_a_reason_of_ours_fits_into_the_sentence(tmp_path: Path, refused: Refused) -> None:
    Image.fromarray(np.full((2, 2), 7, np.float32)).save(tmp_path / "far.tif")
    with refused(SourceError, "far.tif", "7 to 7"):
        isthmus.load(tmp_path)


def test_an_encrypted_zip_says_so(photos: Path, refused: Refused) -> None:
    path = packed(photos, ".zip")
    content = bytearray(path.read_bytes())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        for found in re.finditer(re.escape(header), bytes(content)):
            content[found.start() + flags] |= 1
    path.write_bytes(content)
    with refused(SourceError, path, "encrypted"):
        isthmus.load(path)


def test_pictures_of_different_sizes_need_a_size(tmp_path: Path, refused: Refused) -> None:
    gallery(tmp_path, ["cat/0.png", "cat/1.png"])
    draw(tmp_path / "dog/2.png", 2, (7, 9, 3))
    with refused(SourceError, tmp_path, "cat/0.png is 6 × 5", "dog/2.png is 7 × 9", "size"):
        isthmus.load(tmp_path)
    assert isthmus.load(tmp_path, size=6).values.shape == (3, 6, 6, 3)


def empty(path: Path) -> None:
    path.mkdir()


def of_text(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("no picture")


def of_broken_pictures(path: Path) -> None:
    path.mkdir()
    (path / "a.png").write_bytes(b"")


def of_two_sizes(path: Path) -> None:
    draw(path / "a.png", 0)
    draw(path / "b.png", 0, (2, 2, 3))


def rubbish(path: Path) -> None:
    path.write_bytes(b"rubbish" * 1000)


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def missing(path: Path) -> None:
    assert not path.exists()


def cut_short(path: Path) -> None:
    folder = path.parent / "whole"
    for i in range(9):
        draw(folder / f"a/{i}.png", i, (40, 40, 3))
    suffix = re.sub(r"^[^.]*", "", path.name)
    content = packed(folder, suffix).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damaged(path: Path) -> None:
    cut_short(path)
    content = bytearray(
        packed(path.parent / "whole", re.sub(r"^[^.]*", "", path.name)).read_bytes()
    )
    for i in range(len(content) // 2, len(content) // 2 + 40):
        content[i] ^= 0x55
    path.write_bytes(content)


def of_texts_only(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no picture")


@pytest.mark.parametrize(
    ("make", "name", "said"),
    [
        (missing, "photo", "no data set and no file or folder"),
        (missing, "photo.zip", "digits, waveforms, patterns, mnist"),
        (empty, "photos", "holds no pictures (empty)"),
        (of_text, "photos", "1 files of other kinds, such as notes.txt"),
        (of_broken_pictures, "photos", "a.png"),
        (of_two_sizes, "photos", "b.png"),
        (rubbish, "photo.png", "not an image"),
        (rubbish, "notes.docx", "of no known kind"),
        (rubbish, "photos", "of no known kind"),
        (rubbish, "photos.tar", "not a readable archive"),
        (rubbish, "photos.tar.gz", "not a readable archive"),
        (rubbish, "photos.zip", "not a readable archive"),
        (nothing, "photos.tar", "not a readable archive"),
        (nothing, "photos.zip", "not a readable archive"),
        (cut_short, "photos.tar", "not a readable archive"),
        (cut_short, "photos.tar.gz", "not a readable archive"),
        (cut_short, "photos.tar.xz", "not a readable archive"),
        (cut_short, "photos.zip", "not a readable archive"),
        (damaged, "photos.tar.xz", "not a readable archive"),
        (of_texts_only, "photos.zip", "1 files of other kinds, such as notes.txt: 1 .txt"),
    ],
)
def test_what_cannot_be_loaded_is_named_and_leaves_nothing_in_the_cache(
    make: Callable[[Path], None],
    name: str,
    said: str,
    tmp_path: Path,
    cache: Path,
    refused: Refused,
) -> None:
    path = tmp_path / name
    make(path)
    with refused(SourceError, path, said):
        isthmus.load(path)
    assert files_below(cache) == []
    assert not list(cache.rglob("*.tmp"))


def test_an_interrupted_load_leaves_nothing_in_the_cache(photos: Path, cache: Path) -> None:
    def interrupted(items: Iterable[T], total: int, title: str) -> Iterable[T]:
        del total, title
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isthmus.load(photos, track=interrupted)
    assert [path.name for path in cache.rglob("*")] == ["samples"]
    assert len(isthmus.load(photos)) == 6


def test_a_cache_that_cannot_be_written_is_named(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    (tmp_path / "occupied").write_text("a file where a folder is wanted")
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "occupied"))
    with refused(SourceError, photos, tmp_path / "occupied", "ISTHMUS_CACHE"):
        isthmus.load(photos)


def test_load_leaves_the_source_alone(photos: Path) -> None:
    before = {path: path.read_bytes() for path in files_below(photos)}
    isthmus.load(photos, size=4)
    assert {path: path.read_bytes() for path in files_below(photos)} == before


@pytest.mark.parametrize("suffix", ["", ".tar", ".tar.gz", ".zip"])
@pytest.mark.parametrize("limit", [1, 4, 7, 40])
def test_limit_spreads_over_the_classes(suffix: str, limit: int, tmp_path: Path) -> None:
    folder = gallery(tmp_path / "all", [f"{c}/{i}.png" for c in "abcd" for i in range(3)])
    everything = isthmus.load(folder)
    samples = isthmus.load(packed(folder, suffix) if suffix else folder, limit=limit)
    assert len(samples) == min(limit, 12)
    assert len(samples.class_names) == min(limit, 4)
    assert sorted(set(samples.names)) == list(samples.names)
    assert samples.labels is not None
    for i, name in enumerate(samples.names):
        assert samples.class_names[samples.labels[i]] == name[0]
        assert np.array_equal(
            samples.values[i], everything.values[list(everything.names).index(name)]
        )


def test_limit_knows_the_sources_own_parts(tmp_path: Path) -> None:
    names = [f"{part}/{c}/0.png" for part in ("train", "test") for c in ("ant", "bee")]
    samples = isthmus.load(gallery(tmp_path, names), limit=1)
    assert list(samples.names) == ["test/ant/0.png"]
    assert samples.class_names == ("ant",)
    assert samples.splits is not None
    assert samples.splits.tolist() == [2]


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(limit: int, photos: Path, refused: Refused) -> None:
    with refused(OptionError, f"limit must be at least 1, not {limit}"):
        isthmus.load(photos, limit=limit)

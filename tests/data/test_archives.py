"""Archives: names, links and kinds of members, damage, and several of them in one folder."""

import gzip
import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from planting import (
    add_file,
    changed,
    counts,
    left_out,
    notes,
    plant,
    png,
    spread,
    write_tar,
    write_zip,
)

from isthmus import load
from isthmus.errors import SourceError

Refused = Callable[..., AbstractContextManager[None]]

NAMES = spread(["d/a", "d/b"], 5)


def pictures(names: list[str]) -> dict[str, bytes]:
    return {name: png(seed) for seed, name in enumerate(names)}


def test_names_from_windows_have_folders(tmp_path: Path) -> None:
    names = ["data\\a\\0.png", "data\\b\\0.png", "data\\b\\", "../data/a/1.png", "/data/c/0.png"]
    samples = load(write_zip(tmp_path / "a.zip", pictures(names)))
    assert list(samples.names) == ["a/0.png", "a/1.png", "b/0.png", "c/0.png"]


def test_names_in_utf8_are_read_also_without_the_flag(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", pictures(["été/0.png", "ete/0.png"]))

    def unflag(content: bytearray) -> None:
        for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            for found in re.finditer(re.escape(header), bytes(content)):
                content[found.start() + flags + 1] &= ~0x08

    assert load(changed(tmp_path / "a.zip", unflag)).class_names == ("ete", "été")


def test_names_that_are_not_what_the_flag_says_are_refused(
    tmp_path: Path, refused: Refused
) -> None:
    path = write_zip(tmp_path / "a.zip", pictures(["été/0.png"]))
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))
    with refused(SourceError, path, "not a readable archive: the names of its members are damaged"):
        load(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_of_equal_names_the_last_one_counts(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for seed in range(3):
                archive.writestr("0.png", png(seed))
            archive.writestr("1.png", png(9))
    else:
        write_tar(path, ["0.png", "0.png", "0.png", "1.png"], mode="w:gz" if kind[3:] else "w")
    samples = load(path)
    assert list(samples.names) == ["0.png", "1.png"]
    assert left_out(samples) == {"earlier members of the same name; the last one counts": 2}
    (tmp_path / "last.png").write_bytes(png(2))
    assert np.array_equal(samples.values[0], load(tmp_path / "last.png").values[0])


def test_encrypted_members_are_counted(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", pictures(NAMES))
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir

    def encrypt_first(content: bytearray) -> None:
        content[start + 8] |= 1

    assert left_out(load(changed(path, encrypt_first))) == {
        "encrypted; unpack the archive with its password": 1
    }


def test_an_unknown_compression_is_told(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", pictures(NAMES))
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir

    def compress_first(content: bytearray) -> None:
        content[start + 10] = 9

    samples = load(changed(path, compress_first))
    assert left_out(samples) == {"compressed by a method that Python cannot read": 1}


def test_a_member_that_is_too_large_is_left_out_unread(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", pictures(NAMES), zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir

    def enlarge_first(content: bytearray) -> None:
        content[start + 24 : start + 28] = (600 * 2**20).to_bytes(4, "little")

    reason = "larger than 500 MB, unpacked; set ISTHMUS_MAX_FILE to read it"
    assert left_out(load(changed(path, enlarge_first))) == {reason: 1}


def test_a_zip_that_claims_more_than_it_can_hold_is_refused(
    tmp_path: Path, refused: Refused
) -> None:
    path = write_zip(tmp_path / "a.zip", pictures(NAMES), zipfile.ZIP_DEFLATED)

    def enlarge_all(content: bytearray) -> None:
        for found in re.finditer(b"PK\1\2", bytes(content)):
            content[found.start() + 24 : found.start() + 28] = (2**28).to_bytes(4, "little")

    with refused(SourceError, path, "claims to hold 2.7 GB"):
        load(changed(path, enlarge_all))


def test_a_damaged_member_is_skipped_in_a_few_words(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", pictures(spread(["a", "b"], 10)))

    def damage(content: bytearray) -> None:
        content[26:28] = b"\xff\x07"  # the length of the first name

    ((name, reason),) = load(changed(path, damage)).skipped
    assert (name, reason) == ("a/0.png", "it is damaged")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_all_compressions_of_python_are_read(method: int, tmp_path: Path) -> None:
    assert len(load(write_zip(tmp_path / "a.zip", pictures(NAMES), method))) == 10


def test_a_link_in_a_zip_is_followed(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", pictures(NAMES))
    with zipfile.ZipFile(path, "a") as archive:
        for name, target in (("d/b/link.png", "../a/0.png"), ("d/b/away.png", "/etc/hosts")):
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, 0o120777 << 16
            archive.writestr(link, target)
    samples = load(path)
    assert counts(samples) == {"a": 5, "b": 6}
    assert left_out(samples) == {"link to a folder, or to what is not in the archive": 1}


def test_archives_in_an_archive_are_told(tmp_path: Path, refused: Refused) -> None:
    inner = write_zip(tmp_path / "inner.zip", pictures(NAMES)).read_bytes()
    samples = load(write_zip(tmp_path / "a.zip", pictures(NAMES) | {"d/inner.zip": inner}))
    assert left_out(samples) == {".zip": 1}
    with refused(SourceError, "only.zip", "1 .zip", "give it as the source"):
        load(write_zip(tmp_path / "only.zip", {"inner.zip": inner}))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_links_in_a_tar_lead_to_members(mode: str, tmp_path: Path) -> None:
    more = [
        ("d/a/hard.png", tarfile.LNKTYPE, "d/a/0.png"),
        ("d/b/soft.png", tarfile.SYMTYPE, "../a/1.png"),
        ("d/b/twice.png", tarfile.SYMTYPE, "soft.png"),
        ("d/b/round.png", tarfile.SYMTYPE, "round.png"),
        ("d/b/gone.png", tarfile.SYMTYPE, "/etc/hosts"),
        ("d/c", tarfile.SYMTYPE, "a"),
        ("d/b/pipe.png", tarfile.FIFOTYPE, ""),
        ("d/b/device.png", tarfile.CHRTYPE, ""),
    ]
    path = write_tar(tmp_path / ("a.tar" if mode == "w" else "a.tgz"), NAMES, more, mode)
    samples = load(path)
    assert counts(samples) == {"a": 6, "b": 7}
    place = {name: i for i, name in enumerate(samples.names)}
    for link, target in (
        ("a/hard.png", "a/0.png"),
        ("b/soft.png", "a/1.png"),
        ("b/twice.png", "a/1.png"),
    ):
        assert np.array_equal(samples.values[place[link]], samples.values[place[target]])
    assert left_out(samples) == {
        "links to folders, or to what is not in the archive": 3,
        "devices, pipes and other members that are no files": 2,
    }


def damage_header(content: bytearray) -> None:
    content[4 * 1024 + 20] ^= 0xFF


def erase_header(content: bytearray) -> None:
    content[4 * 1024 : 4 * 1024 + 512] = bytes(512)


def double(content: bytearray) -> None:
    content.extend(bytes(content))


def cut_header(content: bytearray) -> None:
    del content[4 * 1024 + 100 :]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("damage", [damage_header, erase_header, double, cut_header])
def test_a_tar_that_goes_on_behind_its_last_member_is_refused(
    damage: Callable[[bytearray], None], suffix: str, tmp_path: Path, refused: Refused
) -> None:
    path = changed(write_tar(tmp_path / f"a{suffix}", NAMES), damage)
    if suffix == ".tar.gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    members = 10 if damage is double else 4
    with refused(SourceError, path, "not a readable archive", f"after {members} members"):
        load(path)


def test_a_tar_without_end_is_read_with_a_warning(tmp_path: Path) -> None:
    def cut_end(content: bytearray) -> None:
        del content[10 * 1024 :]

    samples = load(changed(write_tar(tmp_path / "a.tar", NAMES), cut_end))
    assert len(samples) == 10
    assert "may have been cut short" in notes(samples)["no-end-of-archive"]


def test_archives_with_equal_names_are_folders(tmp_path: Path) -> None:
    for seed, name in enumerate(("cat", "dog")):
        write_zip(tmp_path / f"{name}.zip", {f"{i}.png": png(10 * seed + i) for i in range(3)})
    (tmp_path / "notes.txt").write_text("no picture")
    samples = load(tmp_path)
    assert counts(samples) == {"cat": 3, "dog": 3}
    assert left_out(samples) == {".txt": 1}
    assert "0.png is in several" in notes(samples)["archives-as-folders"]


def test_archives_called_as_splits_are_splits(tmp_path: Path) -> None:
    for seed, name in enumerate(("train", "test")):
        members = {f"{c}/{name}{i}.png": png(10 * seed + i) for c in "ab" for i in range(3)}
        write_zip(tmp_path / f"{name}.zip", members)
    samples = load(tmp_path)
    assert samples.splits is not None
    assert np.bincount(samples.splits).tolist() == [6, 0, 6]
    assert samples.class_names == ("a", "b")


def test_parts_of_one_set_in_several_archives_go_together(tmp_path: Path) -> None:
    for part in (1, 2):
        with tarfile.open(tmp_path / f"part{part}.tar.gz", "w:gz") as archive:
            for c in "ab":
                add_file(archive, f"set/{c}/{part}.png", png(part))
    samples = load(tmp_path)
    assert counts(samples) == {"a": 2, "b": 2}
    assert "2 archives" in notes(samples)["archives-joined"]


def test_archives_next_to_pictures_are_left_alone(tmp_path: Path) -> None:
    write_zip(plant(tmp_path, spread(["a", "b"])) / "all.zip", pictures(NAMES))
    samples = load(tmp_path)
    assert len(samples) == 6
    assert left_out(samples) == {".zip": 1}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_the_content_tells_the_kind_of_an_archive(suffix: str, tmp_path: Path) -> None:
    for write in (write_zip, write_tar):
        path = tmp_path / f"{write.__name__}{suffix}"
        write_zip(path, pictures(NAMES)) if write is write_zip else write_tar(path, NAMES)
        assert counts(load(path)) == {"a": 5, "b": 5}


def test_files_outside_of_the_pictures_folder_are_no_classes(tmp_path: Path) -> None:
    members = pictures([f"data/{name}" for name in NAMES]) | {"papers/x/notes.txt": b"x"}
    samples = load(write_zip(tmp_path / "a.zip", members))
    assert samples.class_names == ("a", "b")
    assert "class-without-pictures" not in notes(samples)

"""Folders and archives as a stranger would craft them: links, devices, names, members."""

import io
import os
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from soak.arena import Arena
from soak.attack import Verdict
from soak.forks import run

SOURCE = "crafted"
EVIL = "evil"  # in the name of whatever must not appear outside of the source
CALLS = (
    ("data", "check"),
    ("data", "export", "--out", "out.npz"),
    ("encode", "run", "--out", "z.npy"),
)
NAMES = (
    b"\xff\xfe.png",
    b"a\nb.png",
    b"\x1b[2J.png",
    b"-rf.png",
    b"con.png",
    b"a:b.png",
    "\u202egnp.png".encode(),
    b"x" * 251 + b".png",
    b" .png",
    b"..png",
)
MEMBERS = (
    "../evil.png",
    "/tmp/evil.png",
    "C:\\evil.png",
    "..\\..\\evil.png",
    "a/../../evil.png",
    "nul.png",
    "evil.png:stream",
    "\\\\server\\share\\evil.png",
)


def draw(arena: Arena, chance: Random) -> Iterator[str]:
    """Yield what is crafted, the command that reads it and a seed, without an end."""
    while True:
        parts = chance.sample(list(CRAFTS), chance.randint(1, 3))
        yield f"{'+'.join(parts)} {chance.randrange(len(CALLS))} {chance.randrange(2**31)}"


def attempt(arena: Arena, text: str) -> Verdict | None:
    """Read a crafted folder: it is read, or refused in a sentence, and nothing else changes."""
    parts, call, seed = text.split()
    chance = Random(seed)
    with arena.workspace() as folder:
        source = folder / SOURCE
        source.mkdir()
        for number in range(4):
            (source / f"{number}.png").write_bytes(_picture(number))
        for part in parts.split("+"):
            CRAFTS[part](source, chance)
        command = CALLS[int(call)]
        outcome = run((*command[:2], SOURCE, *command[2:]), folder)
        escaped = _escaped(folder)
    if escaped:
        return Verdict(f"{escaped} was written")
    return Verdict(f"it gave {outcome}" if outcome.code and not outcome.is_refusal else "")


def _escaped(folder: Path) -> str:
    """Return what a member of an archive has become outside of the source, or ""."""
    source = folder / SOURCE
    found = [path for path in folder.rglob(f"*{EVIL}*") if source not in path.parents]
    found += [path for path in (folder.parent / "evil.png", Path("/tmp/evil.png")) if path.exists()]
    return str(found[0]) if found else ""


def _picture(seed: int = 0) -> bytes:
    content = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(noise).save(content, "png")
    return content.getvalue()


def _link_to_itself(folder: Path, chance: Random) -> None:
    (folder / "loop.png").symlink_to("loop.png")


def _link_to_parent(folder: Path, chance: Random) -> None:
    (folder / "up").symlink_to(chance.choice(["..", "../..", "."]))


def _link_to_device(folder: Path, chance: Random) -> None:
    (folder / "device.png").symlink_to(chance.choice(["/dev/zero", "/dev/random", "/dev/stdin"]))


def _link_outside(folder: Path, chance: Random) -> None:
    (folder / "outside.png").symlink_to(
        chance.choice(["/etc/passwd", "/nowhere", "/proc/self/mem"])
    )


def _pipe(folder: Path, chance: Random) -> None:
    os.mkfifo(folder / chance.choice(["pipe.png", "pipe.csv", "masks"]))


def _socket(folder: Path, chance: Random) -> None:
    here = Path.cwd()
    os.chdir(folder)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket.png")
    finally:
        os.chdir(here)


def _folder_as_picture(folder: Path, chance: Random) -> None:
    (folder / "folder.png").mkdir()
    (folder / "folder.png" / "inner.png").write_bytes(_picture(9))


def _name(folder: Path, chance: Random) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/" + chance.choice(NAMES))).write_bytes(_picture(7))


def _deep(folder: Path, chance: Random) -> None:
    deep = folder.joinpath(*["d"] * chance.choice([50, 300]))
    deep.mkdir(parents=True)
    (deep / "deep.png").write_bytes(_picture(8))


def _zip(folder: Path, chance: Random) -> None:
    with zipfile.ZipFile(_emptied(folder) / "pictures.zip", "w") as archive:
        for number, name in enumerate(["a.png", "b.png", "c.png", chance.choice(MEMBERS)]):
            archive.writestr(name, _picture(number))


def _tar(folder: Path, chance: Random) -> None:
    kind = chance.choice(
        [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"0"]
    )
    with tarfile.open(_emptied(folder) / "pictures.tar", "w") as archive:
        for number, name in enumerate(["a.png", "b.png", "c.png"]):
            _add(archive, tarfile.TarInfo(name), _picture(number))
        member = tarfile.TarInfo(chance.choice(MEMBERS))
        member.type, member.linkname = (
            kind,
            chance.choice(["/etc/passwd", "../../evil.png", "a.png"]),
        )
        _add(archive, member, _picture(4) if kind == b"0" else b"")


def _add(archive: tarfile.TarFile, member: tarfile.TarInfo, content: bytes) -> None:
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _emptied(folder: Path) -> Path:
    """Return the folder without the pictures, so that the archive in it is what is read."""
    for picture in folder.glob("[0-9].png"):
        picture.unlink()
    return folder


CRAFTS: dict[str, Callable[[Path, Random], None]] = {
    "deep": _deep,
    "folder-as-picture": _folder_as_picture,
    "link-outside": _link_outside,
    "link-to-device": _link_to_device,
    "link-to-itself": _link_to_itself,
    "link-to-parent": _link_to_parent,
    "name": _name,
    "pipe": _pipe,
    "socket": _socket,
    "tar": _tar,
    "zip": _zip,
}

"""File systems of our own, to cut off and to fill."""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHUT_DOWN = 0x8004587D  # the number of the ioctl of ext4 and XFS that ends a file system at once
WITHOUT_LOG = struct.pack("I", 2)  # nothing that is not on the disk gets there
DISK_BYTES = 64 * 2**20
# The journal is written every second, and no file system heals a rename without a flush for us:
# what was not flushed is lost, as it can be on any file system.
HARSH = "loop,commit=1,noauto_da_alloc"


class Disk:
    """An ext4 file system in a file, which can be cut off.

    Parameters
    ----------
    folder : Path
        Gets the file, and the folder at which it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.image, self.place = folder / "disk.img", folder / "disk"

    def format(self) -> None:
        """Make the file system."""
        self.place.mkdir(exist_ok=True)
        self.image.unlink(missing_ok=True)
        self.image.touch()
        os.truncate(self.image, DISK_BYTES)
        _run("mkfs.ext4", "-q", "-F", "-E", "nodiscard", str(self.image))

    def mount(self) -> None:
        """Mount it, which replays its journal."""
        _run("mount", "-o", HARSH, str(self.image), str(self.place))

    def unmount(self) -> None:
        """Unmount it."""
        _run("umount", str(self.place))

    def cut(self) -> None:
        """Cut it off, as the end of the power does: what is not on the disk is lost."""
        descriptor = os.open(self.place, os.O_RDONLY)
        fcntl.ioctl(descriptor, SHUT_DOWN, WITHOUT_LOG)
        os.close(descriptor)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system in memory of a size in bytes."""
    folder.mkdir(exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _run("umount", str(folder))


def enlarge(folder: Path) -> None:
    """Give such a file system as much room as it wants."""
    _run("mount", "-o", f"remount,size={DISK_BYTES}", str(folder))


def why_not() -> str:
    """Return why file systems cannot be mounted here, or ""."""
    if not hasattr(os, "geteuid") or os.geteuid():
        return "only root may mount file systems"
    missing = [name for name in ("mount", "umount", "mkfs.ext4") if shutil.which(name) is None]
    return f"{' and '.join(missing)} are missing" if missing else ""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)

"""The files of a folder elsewhere, as `list_files` lists those of one on this machine."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.data.readers.archives.names import LONG_NAME, MAX_NAME, ONE_LONG_NAME, clean_path
from isthmus.data.readers.files.kinds import is_ignored
from isthmus.data.readers.files.listing import Listing, list_files
from isthmus.data.reading import LeftOut
from isthmus.data.remote.path import RemotePath
from isthmus.data.remote.store import identify
from isthmus.places import HEAD_BYTES, OWN, OWN_FOLDERS, UNFINISHED, is_figure_content

OUTSIDE = "names that lead out of the folder"
ONE = {OUTSIDE: "a name that leads out of the folder", LONG_NAME: ONE_LONG_NAME}


def list_source(folder: Path) -> Listing:
    """List the files below a folder, on this machine or elsewhere; see `list_files`.

    Raises
    ------
    SourceError
        If it cannot be listed.
    """
    return list_remote(folder) if isinstance(folder, RemotePath) else list_files(folder)


def list_remote(folder: RemotePath) -> Listing:
    """List the files below a folder elsewhere; instead of a time, a file has what identifies it.

    Raises
    ------
    NetworkError
    """
    found = folder.store.find(folder.key, folder)
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    own = _find_own_folders(folder, found)
    left_out[OWN] += own
    files = []
    for name, info in sorted(found.items()):
        reason = _why_left_out(folder, name, info, own)
        if reason is None:
            files.append((name, int(info.get("size") or 0), identify(info)))
        elif reason:
            left_out[reason].append(name)
    return Listing(
        files,
        tuple(
            LeftOut.of(ONE.get(why, why), sorted(names), why)
            for why, names in left_out.items()
            if names
        ),
        tuple(sorted(_find_unfinished(found))),
    )


def _why_left_out(
    folder: RemotePath, name: str, info: Mapping[str, Any], own: Iterable[str]
) -> str | None:
    """Return why a file is not read, None if it is, "" if that is said of its folder or nowhere."""
    parts = name.split("/")
    if not parts[-1] and not info.get("size"):
        return ""  # how stores keep an empty folder
    if any(part in ("", ".", "..") for part in parts) or "\0" in name:
        return OUTSIDE
    if any(map(is_ignored, parts)) or any(name.startswith(one) for one in own):
        return ""
    if len(name) > MAX_NAME:
        return LONG_NAME
    if clean_path(name) != name:
        return OUTSIDE
    size = int(info.get("size") or 0)
    return OWN if is_figure_content(name, size, partial(_read, folder, name)) else None


def _read(folder: RemotePath, name: str) -> bytes:
    file = folder / name
    return file.store.read([file.key], [file])[0]


def _find_own_folders(folder: RemotePath, names: Iterable[str]) -> list[str]:
    """Return the folders that are runs or pages of Isthmus, with / at their end."""
    own = []
    for name in names:
        above, _, last = name.rpartition("/")
        if above and last in OWN_FOLDERS:
            file = folder / name
            start = file.store.read_start(file.key, HEAD_BYTES, file)
            own += [f"{above}/"] if OWN_FOLDERS[last] in start else []
    return own


def _find_unfinished(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the folders to which a command of Isthmus has not written all files; see `Listing`."""
    found = []
    for name in names:
        above, slash, last = name.rpartition("/")
        if last in UNFINISHED and not any(map(is_ignored, above.split("/") if above else ())):
            found.append((f"{above}{slash}", UNFINISHED[last]))
    return found

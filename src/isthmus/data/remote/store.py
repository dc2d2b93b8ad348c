"""`Store`: the files at an address, as fsspec opens them, and copies of them on this machine.

Nothing there is ever written or deleted.
"""

import errno
import importlib.util
import shutil
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from isthmus.data.remote.addresses import WEB, Address, find_given, read_address
from isthmus.errors import (
    IsthmusError,
    NetworkError,
    OptionError,
    SourceError,
    first_sentence,
)
from isthmus.temporaries import temporary_path
from isthmus.text import format_bytes

REQUESTS = 16  # at the same time, where fsspec has no way of its own
# Of modules whose package has another name.
PACKAGES = {"smbclient": "smbprotocol", "git": "pygit2", "dask": "dask[distributed]"}
# Fields that change with the content of a file, the most reliable first; each store has its own.
MARKS = (
    *("ETag", "etag", "e_tag", "md5Hash", "content_md5", "checksum", "blob_id", "generation"),
    *("sha", "LastModified", "last_modified", "Last-Modified", "mtime", "modified", "updated"),
    *("created", "CRC"),
)
GONE = (404, 410)  # of a web server: there is no such file


class Store:
    """The files at an address, by the keys that fsspec has for them.

    Parameters
    ----------
    address : Address
    files : fsspec.AbstractFileSystem
    """

    def __init__(self, address: Address, files: Any) -> None:
        self.address = address
        self._files = files
        self._known: dict[str, Mapping[str, Any] | None] = {}
        self._copies: dict[str, str] = {}
        self._folder: Path | None = None
        self._lock = threading.Lock()

    @property
    def is_web(self) -> bool:
        """Whether files are on a web server, which need not be able to list them."""
        return self.address.protocol in WEB

    def describe(self, key: str, shown: object) -> Mapping[str, Any] | None:
        """Return what is known of a file or folder, None if there is none.

        Raises
        ------
        NetworkError
        """
        if key not in self._known:
            with self.reporting(shown):
                self._known[key] = self._ask(key)
        return self._known[key]

    def _ask(self, key: str) -> Mapping[str, Any] | None:
        try:
            info: Mapping[str, Any] = self._files.info(key)
        except (FileNotFoundError, NotADirectoryError) as error:
            cause = error.__cause__
            if cause is None or isinstance(cause, FileNotFoundError) or _status(cause) in GONE:
                return None
            raise cause from None  # on the web, fsspec calls every failure so
        return info

    def find(self, key: str, shown: object) -> dict[str, Mapping[str, Any]]:
        """Return what is known of all files below a folder, by their paths from there.

        Raises
        ------
        NetworkError
        """
        with self.reporting(shown):
            found: dict[str, Mapping[str, Any]] = self._files.find(key, detail=True)
            if self.is_web:  # whose lists are pages of links
                with ThreadPoolExecutor(REQUESTS) as pool:
                    found = dict(zip(found, pool.map(self._files.info, found), strict=True))
            root = str(self._files._strip_protocol(key))
        root = root.partition("?")[0] if self.is_web else root
        names = {name: _path_below(root.rstrip("/"), str(name)) for name in found}
        return {
            unquote(names[name]) if self.is_web else names[name]: info
            for name, info in found.items()
            if info.get("type") != "directory"
        }

    def list_folder(self, key: str, shown: object) -> dict[str, Mapping[str, Any]]:
        """Return what is known of the files in a folder, without those below, by name."""
        with self.reporting(shown):
            try:
                found = self._files.ls(key, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return {}
        return {
            str(info["name"]).rstrip("/").rpartition("/")[2]: info
            for info in found
            if info.get("type") != "directory"
        }

    def read(self, keys: Sequence[str], shown: Sequence[object]) -> list[bytes]:
        """Return the contents of files, which are asked for at the same time.

        Raises
        ------
        NetworkError
        """
        with self.reporting(shown[0]):
            contents = self._files.cat_ranges(list(keys), None, None)
        for content, one in zip(contents, shown, strict=True):
            if not isinstance(content, bytes):
                with self.reporting(one):
                    raise content
        return list(contents)

    def read_start(self, key: str, count: int, shown: object) -> bytes:
        """Return the first bytes of a file."""
        with self.reporting(shown):
            content: bytes = self._files.cat_file(key, 0, count)
        return content

    def copy(self, key: str, shown: object) -> str:
        """Return the path of a copy on this machine, which is made if there is none.

        It is removed when nothing needs this store any more.

        Raises
        ------
        NetworkError
        SourceError
            If there is no room for it.
        """
        with self._lock:
            if key not in self._copies:
                self._copies[key] = self._make_copy(key, shown)
            return self._copies[key]

    def _make_copy(self, key: str, shown: object) -> str:
        info = self.describe(key, shown) or {}
        size = info.get("size")
        target = self._copy_folder() / str(len(self._copies))
        free = shutil.disk_usage(target.parent).free
        if size is not None and size > free:
            raise _no_room(shown, target.parent.parent, f"it has {format_bytes(size)}")
        with self.reporting(shown):
            try:
                self._files.get_file(key, str(target))
            except OSError as error:
                if error.errno == errno.ENOSPC:  # another program has filled the disk meanwhile
                    raise _no_room(shown, target.parent.parent, first_sentence(error)) from error
                raise
            require_size(target.stat().st_size, size)
        return str(target)

    def _copy_folder(self) -> Path:
        from isthmus.data.cache.folder import samples_folder

        if self._folder is None:
            folder = temporary_path(samples_folder() / "copies")
            try:
                folder.mkdir(parents=True)
            except OSError as error:
                raise SourceError(
                    f"{self.address} cannot be copied to {folder.parent}: {first_sentence(error)}; "
                    "set ISTHMUS_CACHE to another folder."
                ) from error
            self._folder = folder
            weakref.finalize(self, shutil.rmtree, str(folder), ignore_errors=True)
        return self._folder

    @contextmanager
    def reporting(self, shown: object) -> Iterator[None]:
        """Turn any error of fsspec, or of the library below it, into one sentence."""
        with reporting(self.address, shown):
            yield


def require_size(count: int, size: int | None) -> None:
    """Raise an OSError if fewer or more bytes came than there should be."""
    if size is not None and count != size:
        raise OSError(f"{count:,} bytes came where {size:,} were expected")


def identify(info: Mapping[str, Any]) -> str:
    """Return what changes with the content of a file, as far as its store says so."""
    found = (info.get(mark) for mark in MARKS)
    return str(next((value for value in found if value), ""))


def open_store(source: str) -> tuple[Store, str]:
    """Return the store of an address, and the key of what is there.

    Raises
    ------
    OptionError
        If the protocol is unknown, or needs a package that is missing.
    NetworkError
    """
    from fsspec.core import url_to_fs

    source = find_given(source)
    address = read_address(source)
    with reporting(address, address), _explaining_protocol(address):
        files, key = url_to_fs(source)
        files.invalidate_cache()  # what an earlier command of this process has seen
    return Store(address, files), str(key)


@contextmanager
def reporting(address: Address, shown: object) -> Iterator[None]:
    """Turn any error of fsspec, or of the library below it, into one sentence without secrets."""
    try:
        yield
    except (IsthmusError, MemoryError):
        raise
    except Exception as error:  # each protocol has errors of its own
        reason = address.clean(_explain(error))
        raise NetworkError(
            f"{shown} cannot be read ({reason}); check the address, the network and your "
            "credentials, and give the same command again."
        ) from (None if address.secrets else error)


@contextmanager
def _explaining_protocol(address: Address) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
        module = (cause.name or "").partition(".")[0]
        package = PACKAGES.get(module, module)
        if not package or importlib.util.find_spec(module) is not None:
            raise
        raise OptionError(
            f"{address}: {address.protocol}:// needs {package}; install it with pip install "
            f"{package}."
        ) from None
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise
        raise OptionError(
            f"{address}: {address.protocol}:// is no protocol that fsspec knows; give one such as "
            "s3://, gs://, hf://, abfs:// or https://."
        ) from None


def _no_room(shown: object, folder: Path, why: str) -> SourceError:
    return SourceError(
        f"{shown} cannot be copied to {folder}, which has no room for it ({why}); free some, or "
        "set ISTHMUS_CACHE to another folder."
    )


def _status(error: BaseException) -> int | None:
    """Return the status of an answer of a web server that is an error, such as 404."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def _explain(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(error, FileNotFoundError):
        # On the web, fsspec calls every failure so.
        if isinstance(cause, Exception) and _status(cause) not in GONE:
            return _explain(cause)
        return "it is not there"
    status = _status(error)
    return first_sentence(error) if status is None else f"{status} {getattr(error, 'message', '')}"


def _path_below(root: str, name: str) -> str:
    """Return the path of a file below a folder, or all of it where it lies elsewhere."""
    if not root:
        return name.removeprefix("/")
    return name.removeprefix(f"{root}/")

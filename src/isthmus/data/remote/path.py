"""`RemotePath`: a file or folder elsewhere, with the methods of a path that readers use."""

from collections.abc import Generator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from isthmus.data.readers.files.kinds import suffix_of
from isthmus.data.remote.store import Store, identify, open_store

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # before Python 3.12, `Path` itself has no subclasses


class RemotePath(_Path):
    """A path elsewhere: messages show its address, and opening it opens a copy on this machine.

    So readers of tables, archives and arrays from a path read them from anywhere. Pictures are
    not copied; see `isthmus.data.remote.contents`.

    The copy exists as long as this path or another one of its store.
    """

    store: Store
    key: str  # what fsspec calls it
    body: str  # what the address has between its protocol and its rest

    @classmethod
    def of(cls, store: Store, body: str, key: str) -> "RemotePath":
        """Return the path of a key in a store."""
        path = cls(body)
        path.store, path.body, path.key = store, body, key
        return path

    @property
    def info(self) -> Any:
        """What the store knows of it, None if it is not there."""
        return self.store.describe(self.key, self)

    @property
    def size(self) -> int:
        """Its bytes, 0 if the store does not know them."""
        return int((self.info or {}).get("size") or 0)

    @property
    def identity(self) -> tuple[str, int, str]:
        """What changes with its content: address, bytes, and what the store knows it by."""
        return str(self), self.size, identify(self.info or {})

    def __str__(self) -> str:
        address = self.store.address
        return f"{address.prefix}{self.body}{address.rest}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __fspath__(self) -> str:
        return self.store.copy(self.key, self)

    def __reduce__(self) -> Any:
        return open_remote, (str(self),)

    def __truediv__(self, name: Any) -> "RemotePath":
        name = PurePosixPath(name).as_posix()
        if name == ".":
            return self
        key, mark, query = self.key.partition("?") if self.store.is_web else (self.key, "", "")
        last = quote(name) if self.store.is_web else name
        key = f"{key.rstrip('/')}/{last}" if key else last
        return self.of(self.store, f"{self.body}/{name}".lstrip("/"), f"{key}{mark}{query}")

    @property
    def parent(self) -> "RemotePath":
        """The folder that holds it."""
        key, mark, query = self.key.partition("?") if self.store.is_web else (self.key, "", "")
        above = key.rstrip("/").rpartition("/")[0]
        return self.of(self.store, self.body.rpartition("/")[0], f"{above}{mark}{query}")

    def relative_to(self, *other: Any, **options: Any) -> Any:
        """Return the way to it from a folder above it."""
        above = [one.body if isinstance(one, RemotePath) else one for one in other]
        return PurePosixPath(self.body).relative_to(*above)

    def resolve(self, strict: bool = False) -> "RemotePath":
        """Return itself: there are no links."""
        return self

    def is_symlink(self) -> bool:
        """Return that it is none."""
        return False

    def exists(self, **options: Any) -> bool:
        """Return whether it is there."""
        return self._is_web_folder() or self.info is not None

    def is_file(self, **options: Any) -> bool:
        """Return whether it is a file."""
        if self._is_web_folder() or self.info is None:
            return False
        return bool(self.info.get("type") != "directory")

    def is_dir(self, **options: Any) -> bool:
        """Return whether it is a folder."""
        if self._is_web_folder():
            return True
        return self.info is not None and bool(self.info.get("type") == "directory")

    def iterdir(self) -> Generator["RemotePath", None, None]:
        """Yield the files in a folder; a web server need not list them."""
        if not self.store.is_web:
            yield from (self / name for name in self.store.list_folder(self.key, self))

    def _is_web_folder(self) -> bool:
        """Return whether it is a page of links: to a web server, folders are files like others."""
        from isthmus.data.readers.idx.files import is_idx

        return self.store.is_web and not suffix_of(self.name) and not is_idx(self)


def open_remote(source: str) -> RemotePath:
    """Return the path of an address.

    Raises
    ------
    OptionError
        If the protocol is unknown, or needs a package that is missing.
    NetworkError
    """
    store, key = open_store(source)
    return RemotePath.of(store, store.address.body, key)

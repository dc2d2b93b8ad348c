"""The contents of pictures elsewhere: read some at a time, each time with several requests."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from isthmus.data.manifest import Content
from isthmus.data.pictures.opening import reject_over_memory
from isthmus.data.remote.addresses import is_address
from isthmus.data.remote.path import RemotePath, open_remote
from isthmus.data.remote.store import require_size
from isthmus.errors import SourceError

# Read before the first of them is decoded. The next are read when these are used up, while other
# threads still decode: so that neither the network nor the cores wait for long, and memory holds.
MAX_FILES, MAX_BYTES = 64, 2**25


def read_files(
    folder: RemotePath, sizes: Mapping[str, int], names: Sequence[str]
) -> Iterator[Content]:
    """Yield the contents of files in a folder, in their order.

    Parameters
    ----------
    folder : RemotePath
    sizes : mapping
        Bytes by name, 0 where they are not known.
    names : sequence of str

    Raises
    ------
    NetworkError
        If one cannot be read: it may be whole, so that it is not left out.
    """
    for portion in _divide(names, sizes):
        reasons = {name: _why_too_large(sizes.get(name, 0)) for name in portion}
        files = {name: folder / name for name in portion if reasons[name] is None}
        contents = _read_all(list(files.values()), [sizes.get(name, 0) for name in files])
        found = dict(zip(files, contents, strict=True))
        for name in portion:
            yield reasons[name] or found[name]


def read_each(paths: Sequence[Path]) -> Iterable[Content]:
    """Return files anywhere, in their order; those elsewhere are read as they are taken."""
    if any(isinstance(path, RemotePath) for path in paths):
        return map(_read_one, paths)
    return [str(path) for path in paths]


def open_path(path: str | Path) -> Path:
    """Return a path, or that of an address."""
    return open_remote(str(path)) if is_address(path) else Path(path)


def _read_one(path: Path) -> Content:
    if not isinstance(path, RemotePath):
        return str(path)
    return _why_too_large(path.size) or _read_all([path], [path.size])[0]


def _read_all(files: Sequence[RemotePath], sizes: Sequence[int]) -> list[bytes]:
    if not files:
        return []
    store = files[0].store
    contents = store.read([file.key for file in files], files)
    for file, content, size in zip(files, contents, sizes, strict=True):
        with store.reporting(file):
            require_size(len(content), size or None)
    return contents


def _divide(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    portion: list[str] = []
    held = 0
    for name in names:
        if portion and (len(portion) == MAX_FILES or held + sizes.get(name, 0) > MAX_BYTES):
            yield portion
            portion, held = [], 0
        portion.append(name)
        held += sizes.get(name, 0)
    if portion:
        yield portion


def _why_too_large(size: int) -> SourceError | None:
    try:
        reject_over_memory(size)
    except SourceError as error:
        return error
    return None

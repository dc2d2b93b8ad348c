"""Writes codes into a Lance dataset batch by batch; the dataset is whole or absent."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.errors import IsthmusError, OptionError, first_sentence
from isthmus.files import flush_folder, flush_tree, require_writable_place, temporary_folder
from isthmus.latent.lance.facts import KEY, Facts
from isthmus.latent.lance.library import SUFFIX, load_lance
from isthmus.latent.lance.manifests import require_manifests
from isthmus.latent.lance.schema import schema
from isthmus.places import is_free
from isthmus.temporaries import remove, sweep_for, temporary_path

if TYPE_CHECKING:
    import pyarrow

# Of the files: 140 bytes a code of 32 numbers with a name of 12 letters, where 2.0 takes 160.
STORAGE = "2.1"
MAX_ROWS_PER_FILE = 2**20


def require_lance_path(path: str | Path) -> Path:
    """Return the path of a dataset to write, if nothing but codes of ours are in the way.

    Raises
    ------
    OptionError
        Also if Lance is not installed, before anything is computed.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise OptionError(f"a dataset of codes ends in {SUFFIX}; {path} has another ending.")
    load_lance()
    require_writable_place(path / "any")  # of the folder itself, which may be there already
    sweep_for(path)
    if path.is_symlink():
        raise OptionError(f"{path} is a link; give the name of a folder.")
    if not is_free(path) and not holds_codes(path):
        raise OptionError(f"{path} exists and holds no codes of Isthmus; choose another name.")
    return path


def holds_codes(path: Path) -> bool:
    """Return whether a folder is a dataset of codes, by the facts in it."""
    lance = load_lance()
    try:
        require_manifests(path)
        Facts.parse((lance.dataset(str(path)).schema.metadata or {}).get(KEY))
    except (IsthmusError, OSError, ValueError):
        return False
    return True


def write_codes(path: str | Path, facts: Facts, batches: "Iterable[pyarrow.RecordBatch]") -> None:
    """Write batches into a dataset, in place of an earlier one of ours.

    Parameters
    ----------
    path : path
        Ends in .lance.
    facts : Facts
    batches : iterable of pyarrow.RecordBatch
        As `to_batch` returns them; one is in memory at a time.

    Raises
    ------
    OptionError
        If something else is at the path, or Lance is not installed.
    IsthmusError
        If it cannot be written; an earlier one is untouched.
    """
    path = require_lance_path(path)

    def write(temporary: Path) -> None:
        append(str(temporary), facts, batches, mode="create")

    replace_dataset(path, write)


def replace_dataset(path: Path, write: Callable[[Path], None]) -> None:
    """Put the dataset that `write` makes under a temporary name in the place of another one."""
    with temporary_folder(path) as temporary:
        write(temporary)
        flush_tree(temporary)
        old = temporary_path(path)
        if path.exists():
            path.rename(old)
        try:
            temporary.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
        flush_folder(path.parent)
        remove(old)


def append(
    place: Any, facts: Facts, batches: "Iterable[pyarrow.RecordBatch]", mode: str = "append"
) -> None:
    """Write batches into a dataset that is there already, or with the mode "create" is not.

    Whatever the batches raise is raised. Lance would make a text of it, and of Ctrl-C too.
    """
    import pyarrow as pa

    raised: list[BaseException] = []

    def guard() -> "Iterator[pyarrow.RecordBatch]":
        try:
            yield from batches
        except BaseException as error:
            raised.append(error)
            raise

    reader = pa.RecordBatchReader.from_batches(schema(facts), guard())
    try:
        load_lance().write_dataset(
            reader,
            place,
            mode=mode,
            max_rows_per_file=MAX_ROWS_PER_FILE,
            data_storage_version=STORAGE,
        )
    except Exception as error:
        if raised:
            raise raised[0] from None
        raise IsthmusError(f"the codes cannot be written: {first_sentence(error)}.") from error

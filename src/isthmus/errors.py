"""Errors that the user can correct, as one small tree.

Each message is one plain sentence that names the culprit and the way out. The command line prints
it without a traceback and exits with code 2.
"""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from importlib import metadata

MAX_NAMES = 12  # in a message
MAX_SENTENCE = 300  # letters of a library's error; some list all that they were given
IN_WORDS: dict[type[Exception], str] = {  # errors whose own text says little or nothing
    EOFError: "it ends too early",
    MemoryError: "it needs more memory than there is",
    RecursionError: "it is nested too deeply",
    UnicodeDecodeError: "it holds bytes that are no text",
}
LEFT_OUT = {  # of the distribution isthmus-runtime: what trains and measures, by module
    "lightning_fabric": "PyTorch",
    "skimage": "scikit-image",
    "torch": "PyTorch",
}
OUT_OF_MEMORY = re.compile(  # of torch's allocators, ONNX Runtime, cuBLAS, C++ and the system
    r"not enough memory|can't allocate memory|out of memory|Failed to allocate memory|bad_alloc"
    r"|ALLOC_FAILED|Cannot allocate memory|Unable to allocate"
)
MAX_COMPARED = 10_000  # names; to compare a million with a misspelled one takes seconds


class IsthmusError(Exception):
    """Anything that the user can correct."""


class SourceError(IsthmusError):
    """A source of samples is missing, empty, broken or of the wrong kind."""


class NetworkError(SourceError):
    """A file elsewhere cannot be read: it may be whole, so that it is not left out as broken."""


class SizesDifferError(SourceError):
    """Pictures differ in size, and no size is given that all of them are resized to."""


class InputError(SourceError, ValueError):
    """An X or y that an estimator cannot use; a ValueError too, as scikit-learn's users expect."""


class OptionError(IsthmusError):
    """An option is outside its range, or a name is unknown."""


class ModelError(IsthmusError):
    """A model does not fit the data, or a file holds no model."""


class DenoiserError(ModelError):
    """A denoiser is asked for codes, which it does not have."""

    def __init__(self, name: object) -> None:
        super().__init__(
            f"{name} is a denoiser and has no codes; isthmus denoise, evaluate, report, compare, "
            "card and export use it."
        )


class RunError(IsthmusError):
    """A run folder exists already, or is missing, in use, stale or of another version."""


class TrainingError(IsthmusError):
    """Training cannot continue, for example because the loss became NaN."""


class InterruptionError(IsthmusError):
    """Work that was stopped on request, such as by `Session.interrupt`."""


def first_sentence(error: Exception) -> str:
    r"""Return the first sentence of a library's error, to be part of one of our messages.

    Examples
    --------
    >>> first_sentence(ValueError("cannot open it:\n- not this\n- nor that"))
    'cannot open it'
    >>> first_sentence(EOFError())
    'it ends too early'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    for kind, words in IN_WORDS.items():
        if isinstance(error, kind):
            return words
    sentences = re.split(r"\n|\. ", str(error))
    first = next(filter(None, (sentence.strip(".: ") for sentence in sentences)), "")
    return first[:MAX_SENTENCE] or f"an error of the kind {type(error).__name__}"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether there was no memory left, on the machine or on an accelerator.

    torch, ONNX Runtime and CUDA have errors of their own for it, most of them by their text alone.

    Examples
    --------
    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("sizes do not match"))
    (True, False)
    """
    if isinstance(error, IsthmusError):
        return False
    is_any = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return is_any or OUT_OF_MEMORY.search(str(error)) is not None


def require_name(what: str, name: object, kind: type[IsthmusError]) -> None:
    """Reject an empty name, which a path would take for the current folder.

    Raises
    ------
    IsthmusError
        Of that kind.

    Examples
    --------
    >>> require_name("the source", " ", SourceError)
    Traceback (most recent call last):
    isthmus.errors.SourceError: the name of the source is empty; give one.
    """
    if not str(name).strip():
        raise kind(f"the name of {what} is empty; give one.")


def require_known(noun: str, name: str, names: Iterable[str]) -> None:
    """Reject a name that a table does not have.

    Raises
    ------
    OptionError
        As `describe_unknown` words it.
    """
    if name not in (known := list(names)):
        raise OptionError(f"{describe_unknown(noun, name, known)}.")


def describe_unknown(
    noun: str, name: object, names: Collection[str], most: int | None = None
) -> str:
    """Say that there is no such name, which one is nearest, and which ones there are.

    Parameters
    ----------
    noun : str
        What is named, such as "model".
    name : object
    names : collection of str
    most : int, optional
        List at most as many names; by default all.

    Returns
    -------
    str
        Without the full stop, so that the caller can add a way out.

    Examples
    --------
    >>> describe_unknown("loss", "bec", ["bce", "mse"])
    "there is no loss 'bec'; the nearest is bce; there are bce, mse"
    >>> describe_unknown("class", "nine", ["cat", "dog", "cow"], most=2)
    "there is no class 'nine'; there are cat, dog and 1 more"
    >>> describe_unknown("class", "nine", [])
    "there is no class 'nine'"
    """
    there_is_none = f"there is no {noun} {name!r}"
    if not names:
        return there_is_none
    return f"{there_is_none}{suggest(str(name), names)}; there are {list_names(names, most)}"


def suggest(name: str, names: Collection[str]) -> str:
    """Return "; the nearest is …", to be part of a message, or nothing if no name is near.

    Examples
    --------
    >>> suggest("bec", ["bce", "mse"])
    '; the nearest is bce'
    >>> suggest("photographs", ["bce", "mse"])
    ''
    """
    near = find_nearest(name, names)
    return f"; the nearest is {near}" if near else ""


def find_nearest(name: str, names: Collection[str]) -> str | None:
    """Return the name that is spelled most like another one, if any is.

    Examples
    --------
    >>> find_nearest("Fashion_MNIST", ["mnist", "fashion-mnist"])
    'fashion-mnist'
    """
    if len(names) > MAX_COMPARED:
        return None
    spellings = {_fold(one): one for one in names}
    near = get_close_matches(_fold(name), spellings, n=1)
    return spellings[near[0]] if near else None


def missing_package(what: str, package: str, extra: str) -> OptionError:
    """Return the error that something needs a package of one of the extras.

    Examples
    --------
    >>> print(missing_package("a map by UMAP", "umap-learn", "umap"))
    a map by UMAP needs umap-learn; install it with pip install 'isthmus[umap]'.
    """
    return OptionError(f"{what} needs {package}; install it with pip install 'isthmus[{extra}]'.")


def explain_missing_module(what: str, error: ModuleNotFoundError) -> OptionError | None:
    """Return the error that something needs a module which `isthmus-runtime` leaves out.

    Where that distribution is not installed, the module is missing for another reason.

    Returns
    -------
    OptionError or None
        None if the missing module is another one, which is a bug or a broken installation.

    Examples
    --------
    >>> missing = ModuleNotFoundError(name="torch.nn")
    >>> print(explain_missing_module("isthmus train", missing))
    isthmus train needs the package torch, which is missing; install isthmus again.
    """
    module = (error.name or "").partition(".")[0]
    if module not in LEFT_OUT:
        return None
    try:
        metadata.version("isthmus-runtime")
    except metadata.PackageNotFoundError:
        return OptionError(
            f"{what} needs the package {module}, which is missing; install isthmus again."
        )
    # Installed over each other, one of the two would take files of the other when it goes.
    return OptionError(
        f"{what} needs {LEFT_OUT[module]}, which isthmus-runtime leaves out; pip uninstall "
        "isthmus-runtime, then install isthmus."
    )


def list_names(names: Collection[str], most: int | None = MAX_NAMES) -> str:
    """List names in a message; of many only the first.

    Examples
    --------
    >>> list_names(("a", "b"))
    'a, b'
    >>> list_names(tuple(map(str, range(1_012))))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 1,000 more'
    """
    listed = list(names)[:most]
    more = len(names) - len(listed)
    return ", ".join(listed) + (f" and {more:,} more" if more > 0 else "")


def _fold(name: str) -> str:
    """Return a name without what people mix up: upper case, underscores and spaces."""
    return name.lower().replace("_", "-").replace(" ", "-")

"""What a worker raised, as one of our sentences."""

from collections.abc import Iterator
from contextlib import contextmanager

from isthmus.errors import IsthmusError, first_sentence

AGAIN = "the same command continues where it stopped"


@contextmanager
def explained() -> Iterator[None]:
    """Turn whatever Ray raises into what the worker raised, or into one sentence.

    Raises
    ------
    IsthmusError
    """
    try:
        yield
    except IsthmusError:
        raise
    except Exception as error:
        raise _find_ours(error) or IsthmusError(
            f"the cluster gave up: {_last_words(error)}; {AGAIN}."
        ) from None


def _find_ours(error: BaseException) -> IsthmusError | None:
    return next((one for one in _causes(error) if isinstance(one, IsthmusError)), None)


def _last_words(error: Exception) -> str:
    """Return what the innermost error says."""
    innermost = [one for one in _causes(error) if isinstance(one, Exception)][-1]
    return f"{type(innermost).__name__}, {first_sentence(innermost)}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those that it was raised from, also on other machines."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        # Ray keeps the error of a worker in an attribute.
        error = getattr(error, "cause", None) or error.__cause__

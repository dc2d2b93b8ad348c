"""What to say when there is no memory left."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from isthmus.errors import IsthmusError

DOING = {  # by the part of the package that asked for the memory
    "data": "the data was read",
    "models": "the model was built",
    "training": "it trained",
    "inference": "the model computed",
    "latent": "codes were computed",
    "evaluation": "the model was evaluated",
    "denoising": "pictures were denoised",
    "segmenting": "masks were predicted",
    "exporting": "the model was exported",
    "viz": "pictures were drawn",
    "reports": "the report was written",
    "studio": "the page was prepared",
}
SMALLER = ("--batch-size", "--size", "--code-size", "--count", "--steps", "--limit")


def explain_memory(error: BaseException, arguments: Sequence[str]) -> IsthmusError:
    """Return the error that a command ran out of memory, with the options that help.

    Parameters
    ----------
    error : exception
    arguments : sequence of str
        Of the command line, without the name of the program.
    """
    name, options = _find_command(arguments)
    doing = _name_work(error.__traceback__)
    smaller = [option for option in SMALLER if option in options]
    way_out = f"give a smaller {_join(smaller)}" if smaller else "close other programs"
    is_cuda = "CUDA" in str(error) and "--device" in options
    way_out += ", or --device cpu" if is_cuda else ", or take a machine with more memory"
    while_doing = f" while {doing}" if doing else ""
    return IsthmusError(f"{name} ran out of memory{while_doing}; {way_out}.")


def _find_command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the name of a command and its options."""
    import typer

    from isthmus.cli.app import app

    command: Any = typer.main.get_command(app)
    words = ["isthmus"]
    for word in arguments:
        if word in getattr(command, "commands", ()):
            command = command.commands[word]
            words.append(word)
    return " ".join(words), [option for one in command.params for option in one.opts]


def _name_work(traceback: TracebackType | None) -> str | None:
    """Say what was being done, by the last of our own functions that has a name for it.

    Modules of a model are called by whoever trains it or uses it, which says more.
    """
    doing: str | None = None
    while traceback is not None:
        top, _, rest = str(traceback.tb_frame.f_globals.get("__name__", "")).partition(".")
        part = rest.partition(".")[0]
        if top == "isthmus" and part in DOING and (doing is None or part != "models"):
            doing = DOING[part]
        traceback = traceback.tb_next
    return doing


def _join(options: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(options[:-1]), options[-1])))

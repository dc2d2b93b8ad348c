"""`isthmus info` and `isthmus --version`."""

from typing import Annotated, Any

import typer

from isthmus.cli.app import Json, app
from isthmus.cli.terminal import print_result, print_text
from isthmus.text import format_bytes
from isthmus.version import __version__


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print_text(f"isthmus {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Take the options that stand before the command."""


@app.command()
def info(as_json: Json = False) -> None:
    """Describe this installation and its machine, for a bug report.

    Example: isthmus info
    """
    from isthmus.installation import describe_installation

    content = describe_installation()
    print_result(content, "\n".join(_lines(content)), as_json)


def _lines(content: dict[str, Any]) -> list[str]:
    """Format the description for people: a name and its value on each line."""
    distributions = content["distributions"]
    origin = " and ".join(distributions) or "not installed by pip"
    cache, memory = content["cache"], content["memory"]
    rows = {
        "isthmus": f"{content['isthmus']} ({origin})",
        "folder": content["folder"],
        "python": f"{content['python']}, {content['system']}",
        "device": f"{content['device']}, precision {content['precision']}",
        "cores": f"{content['cores']}, {content['threads']} used for computing",
        "memory": format_bytes(memory),
        "cache": f"{cache['path']}, {format_bytes(cache['bytes'])}",
        "data": content["data"]["path"],
        "state": content["state"]["path"],
        "extras": ", ".join(name for name, here in content["extras"].items() if here) or "none",
        **content["variables"],
        **{name: version or "–" for name, version in content["packages"].items()},
    }
    lines = [f"{name:18} {value}" for name, value in rows.items()]
    lines += [
        "Bounds on what files of others may ask for; a variable of this name sets another:",
        *(f"{name:25} {_describe_bound(bound)}" for name, bound in content["bounds"].items()),
    ]
    if len(distributions) > 1:
        lines.append(
            "isthmus and isthmus-runtime share their files; uninstall both, then install one."
        )
    return lines


def _describe_bound(bound: dict[str, Any]) -> str:
    value, default = bound["value"], bound["default"]
    if value is None:
        return f"not a whole number above 0; {default:,} by default"
    set_by_user = "" if value == default else f" ({default:,} by default)"
    return f"{value:,} {bound['what']}{set_by_user}"

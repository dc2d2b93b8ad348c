"""Modules of JavaScript joined into one script, for a page in one file.

A page that is opened from a disk may not load modules. The page's own modules use one form of
import and four of export, so that joining them takes no parser: each module becomes a function that
is called once and returns what it exports, in an order in which what is imported is there already.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from isthmus.errors import IsthmusError

NAME = r"[A-Za-z_$][\w$]*"
IMPORT = re.compile(
    rf'^import\s*\{{\s*({NAME}(?:\s*,\s*{NAME})*)\s*,?\s*\}}\s*from\s*"(\.{{1,2}}/[^"]+\.js)";',
    re.MULTILINE,
)
EXPORT = re.compile(rf"^export (?=(?:(?:async )?function\*?|class|const) ({NAME})\b)", re.MULTILINE)
# What is left of the two words after these forms are taken out. A property may have such a name.
OTHER = re.compile(r"(?<![\w$.])(?:import|export)\b(?!\s*:)")
# Strings, comments and patterns, in which the same words mean nothing. A slash that follows a value
# divides; after anything else it begins a pattern.
TEXT = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`"""
    r"""|(?:(?<=[(,=:\[!&|?{};+*%~^<>-])|(?<=return))\s*/(?![*/])(?:\\.|\[(?:\\.|[^\]\n])*\]|[^/\n\\\[])+/""",
    re.DOTALL,
)
COMMENT = re.compile(r"/[/*]")  # how one begins


@dataclass(frozen=True)
class Module:
    """A module, taken apart.

    Parameters
    ----------
    name : str
        Its file, relative to the page.
    imports : list of (names, name of the module)
    exports : list of str
    body : str
        Its script without the words of the module system.
    """

    name: str
    imports: list[tuple[list[str], str]]
    exports: list[str]
    body: str


def link(entry: str, read: Callable[[str], str]) -> str:
    r"""Return one script that does what a module and all that it imports do.

    Parameters
    ----------
    entry : str
        Name of the module, such as "main.js".
    read : callable
        Returns the text of a file by its name; raises a KeyError or an OSError if there is none.

    Raises
    ------
    IsthmusError
        If a module is missing, uses another form of import or export, or imports itself through
        others, or a name is imported that is not exported.

    Examples
    --------
    >>> files = {"a.js": 'import { b } from "./b.js";\nb();', "b.js": "export const b = alert;"}
    >>> print(link("a.js", files.__getitem__))
    (() => {
    "use strict";
    const b_js = (() => {
    const b = alert;
    return { b };
    })();
    const a_js = (() => {
    const { b } = b_js;
    b();
    return {  };
    })();
    })();
    """
    ordered: dict[str, Module] = {}
    _collect(entry, read, ordered, [])
    variables = _variables(ordered)
    for module in ordered.values():
        _check_names(module, ordered)
    parts = [_wrap(module, variables) for module in ordered.values()]
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "\n})();"


def parse(name: str, text: str) -> Module:
    """Take a module apart; see `link`."""
    text = text.replace("\r\n", "\n")
    blank = TEXT.sub(_blank, text)
    imports, body, at = [], [], 0
    for found in IMPORT.finditer(text):
        if blank[found.start()] != "i":  # in a comment or a string
            continue
        names = re.findall(NAME, found[1])
        imports.append(
            (names, posixpath.normpath(posixpath.join(posixpath.dirname(name), found[2])))
        )
        body.append(text[at : found.start()])
        at = found.end()
    rest = "".join(body) + text[at:]
    blank = TEXT.sub(_blank, rest)
    exports = [found[1] for found in EXPORT.finditer(blank)]
    places = [found.start() for found in EXPORT.finditer(blank)]
    for place in reversed(places):
        rest, blank = (one[:place] + one[place + len("export ") :] for one in (rest, blank))
    if other := OTHER.search(blank):
        line = rest.splitlines()[rest[: other.start()].count("\n")].strip()
        raise IsthmusError(f"{name} cannot be joined with others because of its line {line!r}.")
    return Module(name, imports, exports, rest.strip("\n"))


def without_comments(text: str) -> str:
    r"""Return a module without its comments and empty lines; none of its strings has any.

    Examples
    --------
    >>> print(without_comments('// one\nconst a = "//"; /* two */\n\n  /** three */\n  a;'), end="")
    const a = "//";
      a;
    """
    bare = TEXT.sub(lambda found: "" if COMMENT.match(found[0]) else found[0], text)
    lines = (line.rstrip() for line in bare.splitlines())
    return "".join(f"{line}\n" for line in lines if line)


def _blank(found: re.Match[str]) -> str:
    """Replace all but line breaks, so that places stay the same."""
    return re.sub(r"[^\n]", " ", found[0])


def _collect(
    name: str, read: Callable[[str], str], ordered: dict[str, Module], above: list[str]
) -> None:
    """Add a module after all that it imports."""
    if name in above:
        circle = " → ".join([*above[above.index(name) :], name])
        raise IsthmusError(f"modules import each other in a circle: {circle}.")
    if name in ordered:
        return
    try:
        text = read(name)
    except (KeyError, OSError) as error:
        by = f", which {above[-1]} imports" if above else ""
        raise IsthmusError(f"there is no module {name}{by}.") from error
    module = parse(name, text)
    for _, other in module.imports:
        _collect(other, read, ordered, [*above, name])
    ordered[name] = module


def _variables(names: Mapping[str, Module]) -> dict[str, str]:
    """Return a variable for each module, which none of them uses itself."""
    used = {word for module in names.values() for word in re.findall(r"\w+", module.body)}
    variables: dict[str, str] = {}
    for name in names:
        variable = re.sub(r"\W", "_", name)
        while variable in used:
            variable += "_"
        used.add(variable)
        variables[name] = variable
    return variables


def _check_names(module: Module, others: Mapping[str, Module]) -> None:
    for names, other in module.imports:
        for name in names:
            if name not in others[other].exports:
                raise IsthmusError(f"{module.name} imports {name}, which {other} does not export.")


def _wrap(module: Module, variables: Mapping[str, str]) -> str:
    lines = [f"const {variables[module.name]} = (() => {{"]
    lines += [
        f"const {{ {', '.join(names)} }} = {variables[name]};" for names, name in module.imports
    ]
    lines += [module.body, f"return {{ {', '.join(module.exports)} }};", "})();"]
    return "\n".join(lines)

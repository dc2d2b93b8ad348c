"""Pages from templates: self-contained HTML, and Markdown."""

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from isthmus.text import format_epochs, to_utf8
from isthmus.viz.canvas import to_png
from isthmus.viz.fonts import explain_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLAIN = re.compile(r"[A-Za-z](?:[\w./ -]*\w)?")  # texts that YAML takes without quotes …
RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}  # … but for these


def render(template: str, **values: Any) -> bytes:
    """Fill in a template of the package; a missing value is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("isthmus.reports"),
        # Names of files and classes are data, and may look like HTML or Markdown.
        autoescape=template.endswith(".html.jinja"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["epochs"] = format_epochs
    environment.filters["markdown"] = escape_markdown
    environment.filters["yaml"] = to_yaml
    # The pictures among the values have been drawn.
    values = {"numbered_letters": explain_numbers(), **values}
    return to_utf8(environment.get_template(template).render(**values))


def escape_markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is, also in a cell of a table.

    Examples
    --------
    >>> print(escape_markdown("a_b | <c>"))
    a\_b \| \<c\>
    """
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text)


def to_yaml(value: Any) -> str:
    """Return dictionaries, lists, texts and numbers as YAML in blocks, which people can edit.

    Examples
    --------
    >>> print(to_yaml({"tags": ["a", "b: c"], "results": [{"value": 0.5, "name": "no"}]}))
    tags:
    - a
    - "b: c"
    results:
    - value: 0.5
      name: "no"
    """
    return "\n".join(_yaml_lines(value))


def _yaml_lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [line for key, one in value.items() for line in _yaml_entry(key, one)]
    if isinstance(value, list):
        items = [_yaml_lines(one) for one in value]
        return [("  " if row else "- ") + line for item in items for row, line in enumerate(item)]
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in RESERVED:
        return [value]
    return [json.dumps(value, ensure_ascii=False)]  # which is YAML, too


def _yaml_entry(key: str, value: Any) -> list[str]:
    lines = _yaml_lines(value)
    if not isinstance(value, dict | list):
        return [f"{key}: {lines[0]}"]
    return [f"{key}:", *(f"  {line}" if isinstance(value, dict) else line for line in lines)]


def to_data_url(figure: "Figure") -> str:
    """Return a figure as a data URL, so that the page needs no other file."""
    return embed(to_png(figure), "image/png")


def embed(content: bytes, media_type: str) -> str:
    """Return the content of a file as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"

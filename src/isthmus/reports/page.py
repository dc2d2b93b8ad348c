"""Self-contained HTML pages."""

import base64
from typing import TYPE_CHECKING, Any

from isthmus.viz.canvas import to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render(template: str, **values: Any) -> bytes:
    """Fill in a template of the package; a missing value is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("isthmus.reports"),
        autoescape=True,  # names of files and classes are data, and may look like HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values).encode()


def to_data_url(figure: "Figure") -> str:
    """Return a figure as a data URL, so that the page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(to_png(figure)).decode()

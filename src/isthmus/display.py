"""`Displayed`: objects that notebooks show as pictures and tables."""

from importlib import import_module


class Displayed:
    """An object that notebooks show by itself; `isthmus.reports.cells` draws it.

    The base of samples, runs, models, maps, codes and search results.
    """

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows, or None for the text of `repr`."""
        # The one import that goes up the floors, and only by name: the objects lie below
        # everything that draws, and a notebook asks the object itself for its picture.
        try:
            html: str | None = import_module("isthmus.reports.cells").render(self)
        except Exception:  # a file is gone, a run is damaged, no Matplotlib: the text still says it
            return None
        return html

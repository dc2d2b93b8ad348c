"""Fonts for names in any script: those of the system, looked for when a name needs them."""

import threading
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby

from isthmus.errors import list_names
from isthmus.text import printable

# It comes with Matplotlib.
DEFAULT_FONT = "DejaVu Sans"
# Looked at first for what the default font lacks (Linux, then macOS and Windows): others may have
# a letter, too, but in a style of their own.
SCRIPT_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Micro Hei",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Bengali",
    "Noto Sans Thai",
    "Arial Unicode MS",
    "PingFang SC",
    "Hiragino Sans GB",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Nirmala UI",
    "Leelawadee UI",
)
# Fonts that have only boxes for letters; those of formulas come with Matplotlib.
UNSUITED = (".", "LastResort", "Last Resort", "Noto Sans Tofu", "STIX", "cm")
REGULAR_WEIGHTS = (400, "normal", "regular")
# Spaces, controls, surrogates, and what has another meaning in each program.
UNSHOWN = ("Zs", "Zl", "Zp", "Cc", "Cs", "Co")
REPLACEMENT = "\N{WHITE SQUARE}"  # for what is no letter, and no font has


def drawable(text: str) -> str:
    """Replace letters that no installed font has by a number in brackets; see `explain_numbers`.

    Of other characters, such as those that control a terminal, squares are left. Matplotlib would
    draw the same box for each letter, and warn of each of them on every drawing.
    """
    if text.isascii() and text.isprintable():
        return text
    known = _fonts().find({ord(one) for one in text} - {ord("\n")})
    runs = groupby(text, lambda one: _look(one, known))
    return "".join(_LOOKS[look]("".join(letters)) for look, letters in runs)


def explain_numbers() -> str | None:
    """Return what the numbers in brackets stand for that were drawn so far, or None without any."""
    if not _numbers:
        return None
    key = list_names([f"[{number}] {printable(letters)}" for letters, number in _numbers.items()])
    return f"No font of this machine has some letters, so pictures have numbers for them: {key}."


def forget_numbers() -> None:
    """Begin again with number 1, as each command does."""
    _numbers.clear()


def font_families() -> list[str]:
    """Return the default font and those that names have needed so far."""
    return list(_fonts().families)


class _Fonts:
    """The default font, and others that are added when a name has letters which it lacks."""

    def __init__(self) -> None:
        self.families: tuple[str, ...] = (DEFAULT_FONT,)
        self._known = _letters(DEFAULT_FONT)
        self._nowhere: frozenset[int] = frozenset()  # what no font has
        self._lock = threading.Lock()

    def find(self, letters: set[int]) -> frozenset[int]:
        """Add fonts until they have all of some letters, and return what they have."""
        with self._lock:
            missing = letters - self._known - self._nowhere
            others = _candidates() if missing else ()
            for family in others:
                if missing.isdisjoint(_letters(family)):
                    continue
                self.families = (*self.families, family)
                self._known |= _letters(family)
                missing -= self._known
                if not missing:
                    break
            self._nowhere |= missing
            return self._known


_numbers: dict[str, int] = {}
_LOOKS: dict[str, Callable[[str], str]] = {
    "known": lambda letters: letters,
    "unknown": lambda letters: f"[{_numbers.setdefault(letters, len(_numbers) + 1)}]",
    "unshown": lambda letters: REPLACEMENT * len(letters),
}


def _look(letter: str, known: frozenset[int]) -> str:
    if letter == "\n" or ord(letter) in known:
        return "known"
    return "unshown" if unicodedata.category(letter) in UNSHOWN else "unknown"


@cache
def _fonts() -> _Fonts:
    return _Fonts()


def _candidates() -> Iterator[str]:
    """Yield the families of the system's fonts, the usual ones first."""
    families = _files().keys() - {DEFAULT_FONT}
    yield from (name for name in SCRIPT_FONTS if name in families)
    yield from sorted(name for name in families if not name.startswith(UNSUITED))


@cache
def _files() -> dict[str, str]:
    """Return the file of each family; of those without an upright regular face, none."""
    from matplotlib.font_manager import fontManager

    return {
        font.name: font.fname
        for font in fontManager.ttflist
        if font.style == "normal" and font.weight in REGULAR_WEIGHTS
    }


@cache
def _letters(family: str) -> frozenset[int]:
    """Return the code points that a font has; none of one that Matplotlib cannot draw with."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(_files()[family])
    except (OSError, RuntimeError, ValueError):
        return frozenset()
    # Of emoji in color there are only pictures, in one size.
    return frozenset(font.get_charmap()) if font.scalable else frozenset()

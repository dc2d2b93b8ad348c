"""Names and texts of others: shown in a line, and written to files.

The name of a file may hold any byte but / and zero: line breaks, control sequences of terminals,
and bytes that are no UTF-8, which Python has as lone surrogates.
"""

import unicodedata

# Control characters, surrogates, and separators of lines and paragraphs.
UNSHOWN = {"Cc", "Cs", "Zl", "Zp"}
# They turn the direction of all that follows. Other marks of format stay: letters are joined by
# them, in Persian and Hindi as in emoji.
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    r"""Return a name or a text for one line of a terminal, with escapes for what cannot be shown.

    Examples
    --------
    >>> print(printable("two\nlines, \x1b[31mred, caf\udce9"))
    two\nlines, \x1b[31mred, caf\xe9
    """
    if text.isprintable():
        return text
    return "".join(_escape(letter) if _is_unshown(letter) else letter for letter in text)


def to_utf8(text: str) -> bytes:
    r"""Encode text for a file; a byte of a name that is no UTF-8 becomes an escape.

    It is the escape of JSON: a JSON file stays valid, and gives the name back.

    Examples
    --------
    >>> to_utf8("caf\udce9")
    b'caf\\udce9'
    """
    return text.encode("utf-8", "backslashreplace")


def _is_unshown(letter: str) -> bool:
    return unicodedata.category(letter) in UNSHOWN or letter in TURNING


def _escape(letter: str) -> str:
    r"""Return an escape such as \n or \u202e; for a byte that is no UTF-8 one such as \xe9."""
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()

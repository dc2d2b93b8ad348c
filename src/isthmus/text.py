"""Names and texts of others: shown in a line, and written to files.

The name of a file may hold any byte but / and zero: line breaks, control sequences of terminals,
and bytes that are no UTF-8, which Python has as lone surrogates.
"""

import re

# These turn the direction of all that follows. Other marks of format stay: letters are joined by
# them, in Persian and Hindi as in emoji.
TURNING = "\u202a-\u202e\u2066-\u2069"
# Control characters, ends of lines, and bytes that are no UTF-8.
UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{TURNING}]")
UNSAFE_ON_WINDOWS = re.compile(r'[\x00-\x1f<>:"\\|?*]')
DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}  # of Windows; a name that begins so and has any ending is one too
FORMULA = re.compile(r"\s*[=+\-@]|[\t\r]")  # as spreadsheets read a cell
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
UNSAFE_IN_JSON = re.compile(f"[\x7f-\x9f\u2028\u2029\ud800-\udfff{TURNING}]")


def printable(text: str) -> str:
    r"""Return a name or a text for one line of a terminal, with escapes for what cannot be shown.

    Examples
    --------
    >>> print(printable("two\nlines, \x1b[31mred, caf\udce9"))
    two\nlines, \x1b[31mred, caf\xe9
    """
    if text.isprintable():
        return text
    return UNSAFE.sub(lambda found: _escape(found[0]), text)


def escape_json(text: str) -> str:
    r"""Return JSON without the control characters and lone surrogates that may be in its strings.

    Examples
    --------
    >>> print(escape_json('"caf\udce9 \u202e"'))
    "caf\udce9 \u202e"
    """
    return UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def as_cell(text: str) -> str:
    r"""Return a name for a cell of a CSV file, which spreadsheets do not compute.

    They take what begins with one of = + - @ for a formula, and one may start programs. An
    apostrophe in front makes it text. Numbers stay as they are.

    Examples
    --------
    >>> as_cell("=1+1.png"), as_cell("a=b.png"), as_cell("-1")
    ("'=1+1.png", 'a=b.png', '-1')
    """
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def count_of(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun, and what follows it, in the singular or the plural.

    Examples
    --------
    >>> count_of(1, "file is", "files are"), count_of(1200, "picture")
    ('1 file is', '1,200 pictures')
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def format_epochs(count: float) -> str:
    """Format a number of epochs, which may be a fraction after an early stop.

    Examples
    --------
    >>> format_epochs(1), format_epochs(2.5)
    ('1 epoch', '2.5 epochs')
    """
    return f"{count:g} epoch" + ("" if count == 1 else "s")


def format_bytes(count: int) -> str:
    """Return a size for people; 1 kB is 1,000 bytes, as disks and networks count.

    Examples
    --------
    >>> format_bytes(633), format_bytes(57_312_000), format_bytes(20_000_000_000)
    ('633 bytes', '57.3 MB', '20 GB')
    """
    if count < 1000:
        return count_of(count, "byte")
    size, units = count / 1000, iter(("MB", "GB", "TB"))
    unit = "kB"
    while size >= 999.5 and (larger := next(units, "")):
        size, unit = size / 1000, larger
    return f"{size:,.0f} {unit}" if size >= 99.95 else f"{size:.1f} {unit}".replace(".0 ", " ")


def is_plain_name(name: str) -> bool:
    r"""Return whether a relative path leads to a file within its folder, on any system.

    On Windows a backslash parts folders, a colon names a drive or a stream, CON and its like are
    devices, and a dot or space at the end of a name is dropped.

    Examples
    --------
    >>> is_plain_name("maps/pca.bin"), is_plain_name("../a"), is_plain_name("/a")
    (True, False, False)
    >>> any(map(is_plain_name, ["a\\b", "C:a", "a:b", "con", "NUL.txt", "a.", "a ", "a//b", ""]))
    False
    """
    return all(
        part not in ("", ".", "..")
        and not part.endswith((".", " "))
        and not UNSAFE_ON_WINDOWS.search(part)
        and part.partition(".")[0].rstrip().upper() not in DEVICES
        for part in name.split("/")
    )


def to_utf8(text: str) -> bytes:
    r"""Encode text for a file; a byte of a name that is no UTF-8 becomes an escape.

    It is the escape of JSON: a JSON file stays valid, and gives the name back.

    Examples
    --------
    >>> to_utf8("caf\udce9")
    b'caf\\udce9'
    """
    return text.encode("utf-8", "backslashreplace")


def _escape(letter: str) -> str:
    r"""Return an escape such as \n or \u202e; for a byte that is no UTF-8 one such as \xe9."""
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()

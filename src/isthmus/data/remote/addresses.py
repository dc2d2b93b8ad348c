"""Addresses of sources elsewhere: their parts, and what of them is shown and kept.

An address may hold a password, or the signature of a link that opens for an hour. Neither belongs
in a run, a report or a message, so that they are taken out as soon as an address is read.
"""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]+::)*([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
HERE = re.compile(r"(?:file|local)://(?=/|\.|~|[a-z]:)", re.IGNORECASE)  # of files on this machine
WEB = ("http", "https")
QUERY = re.compile(r"(://[^\s?'\"<>]*)\?[^\s'\"<>)]*")  # behind an address in a text
HIDDEN = "…"

# Addresses as they were given, with their secrets, by what is shown. As long as this process
# lives, what is shown opens the same. They are kept nowhere else.
_given: dict[str, str] = {}


class Address(NamedTuple):
    """An address without what is secret: `prefix + body + rest` is what is shown.

    Parameters
    ----------
    prefix : str
        Such as "s3://", or "simplecache::s3://".
    body : str
        The path, without / at its end, such as "bucket/photos".
    rest : str
        Of "zip://photos::s3://bucket/all.zip" what is behind the first part; else empty.
    secrets : tuple of str
        User and password, and what is behind a question mark.
    """

    prefix: str
    body: str
    rest: str = ""
    secrets: tuple[str, ...] = ()

    @property
    def protocol(self) -> str:
        """The protocol of the first part, in lower case."""
        return self.prefix.removesuffix("://").rpartition("::")[2].lower()

    def __str__(self) -> str:
        return f"{self.prefix}{self.body}{self.rest}"

    def clean(self, text: str) -> str:
        """Return a text, such as an error of a library, without the secrets of the address."""
        for secret in self.secrets:
            text = text.replace(f"{secret}@", "").replace(secret, HIDDEN)
        return QUERY.sub(r"\1", text)


def is_address(source: object) -> bool:
    """Return whether a source is an address and no path, such as "s3://bucket/photos".

    Examples
    --------
    >>> is_address("hf://datasets/mnist"), is_address("photos/"), is_address("C://photos")
    (True, False, False)
    """
    return isinstance(source, str) and ADDRESS.match(source) is not None


def name_source(source: object) -> str:
    """Return what a source is called in messages and files: an address without what is secret."""
    if not isinstance(source, str) or not is_address(source):
        return str(source)
    address = read_address(source)
    if address.secrets:
        _given[str(address)] = source
    return str(address)


def find_given(source: str) -> str:
    """Return an address as it was given to this process, of what is shown of it."""
    return _given.get(name_source(source), source)


def find_local(source: str) -> Path | None:
    """Return the path of an address of this machine, None of any other.

    Examples
    --------
    >>> str(find_local("file:///photos"))
    '/photos'
    """
    match = HERE.match(source)
    return None if match is None else Path(source[match.end() :])


def read_address(source: str) -> Address:
    """Return the parts of an address.

    Examples
    --------
    >>> address = read_address("https://me:secret@host/a/photos.tar?signature=abc")
    >>> str(address), address.clean("cannot open https://me:secret@host")
    ('https://host/a/photos.tar', 'cannot open https://host')
    """
    match = ADDRESS.match(source)
    assert match is not None
    first, mark, rest = source[match.end() :].partition("::")
    body, secrets = _hide(match[1], first)
    more = [_hide_in_part(part) for part in rest.split("::")] if mark else []
    return Address(
        source[: match.end()],
        body.strip("/"),
        "".join(f"::{part}" for part, _ in more),
        _list_forms([*secrets, *(one for _, found in more for one in found)]),
    )


def _hide_in_part(part: str) -> tuple[str, list[str]]:
    match = ADDRESS.match(part)
    if match is None:
        return part, []
    body, secrets = _hide(match[1], part[match.end() :])
    return f"{match[0]}{body}", secrets


def _hide(protocol: str, text: str) -> tuple[str, list[str]]:
    """Return what follows the protocol, without its secrets, and these."""
    body, _, query = text.partition("?")
    if "=" not in query:
        body, query = text, ""
    user = _find_user(protocol, body)
    shown = body[len(user) + 1 :] if user else body
    return shown, [one for one in (user, query) if one]


def _find_user(protocol: str, body: str) -> str:
    """Return a user with a password, "" without one: container@account is no secret of Azure."""
    host = body.partition("/")[0]
    user = host.rpartition("@")[0]
    port = host.partition(":")[2]
    if not user and port and not port.isdecimal():  # a password with a slash
        user = body.rpartition("@")[0]
    return user if ":" in user or protocol.lower() in WEB else ""


def _list_forms(secrets: list[str]) -> tuple[str, ...]:
    """Return the forms in which secrets may be in an error; the longest first."""
    forms = {form for secret in secrets for form in (secret, secret.partition(":")[2])}
    forms |= {unquote(form) for form in forms}
    return tuple(sorted((form for form in forms if form), key=len, reverse=True))

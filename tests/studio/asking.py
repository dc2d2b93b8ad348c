"""How tests talk to the studio's server: as a browser does, or as no browser would."""

import http.client
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from studio.serving import Studio


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Message = field(repr=False)
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> str:
        """The one sentence of a refusal."""
        sentence: str = self.json["error"]
        assert sentence.endswith("."), sentence
        return sentence


Body = bytes | Iterable[bytes] | None


def ask(
    studio: Studio, path: str, body: Body = None, method: str | None = None, **headers: str
) -> Answer:
    """Send one request with these headers and no others but Host; `_` in a name means `-`."""
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=120)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), path, body, named)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def find_cookie(studio: Studio) -> str:
    """Exchange the link's token for the cookie, and return that as a header."""
    answer = ask(studio, studio.link.removeprefix(studio.address))
    assert answer.status == 303
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


class Client:
    """A client that was given the link."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.cookie = find_cookie(studio)

    def ask(self, path: str, body: Body = None, **headers: Any) -> Answer:
        return ask(self.studio, path, body, Cookie=self.cookie, **headers)

    def post(self, path: str, content: Any) -> Answer:
        return self.ask(path, json.dumps(content).encode())

    def json(self, path: str) -> Any:
        answer = self.ask(path)
        assert answer.status == 200, answer
        return answer.json

    @property
    def manifest(self) -> Any:
        return self.json("/data/manifest.json")

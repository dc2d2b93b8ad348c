"""Who may talk to the studio's server: the browser that was given its link, and nobody else.

Other programs of this machine, other users of it and every page of the web can send requests to
127.0.0.1. Four things keep them out. The server listens on that address only. The link has a random
token, which is exchanged for a cookie that scripts cannot read. A request has to name this server
as its host, so that a page whose name was pointed at 127.0.0.1 (DNS rebinding) is refused. And a
request that another page sends says so, in `Origin` or `Sec-Fetch-Site`.
"""

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isthmus.studio import policy

METHODS = ("GET", "HEAD", "POST")
NO_KEY = "Open the link that isthmus studio printed; this address alone opens nothing."

HEADERS = {
    "Content-Security-Policy": policy.write(policy.LIVE),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """An ASGI application that answers strangers itself and passes on all others' requests.

    Parameters
    ----------
    app : ASGI application
    port : int
        That the server listens on.

    Attributes
    ----------
    token : str
        Opens the page, as `?token=` in its address.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self.token = secrets.token_urlsafe(32)
        self._passes: set[str] = set()
        # Another secret than the token, which stays in the history of the browser and the terminal.
        self._key = secrets.token_urlsafe(32)
        # A browser sends the cookies of 127.0.0.1 to every port of it.
        self._cookie = f"isthmus-studio-{port}"
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        if port == 80:  # browsers leave it out
            self._hosts |= {"127.0.0.1", "localhost"}

    def issue_pass(self) -> str:
        """Return another token, which opens the page once.

        It is for a browser that is started with the link: other users of the machine can see what a
        program is started with for as long as it runs.
        """
        token = secrets.token_urlsafe(32)
        self._passes.add(token)
        return token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI; a connection that is no HTTP request is closed without an answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            answer = self._answer(scope)
            await (answer or self._app)(scope, receive, _with_headers(send))
        else:
            await send({"type": f"{scope['type']}.close"})

    def _answer(self, scope: Scope) -> Response | None:
        """Return the answer to a request that goes no further, or None."""
        headers = Headers(scope=scope)
        if reason := self._find_stranger(headers):
            return _refuse(scope, reason, 403)
        if scope["method"] not in METHODS:
            return _refuse(scope, f"{scope['method']} is not a method of this server.", 405)
        if scope["path"] == "/" and self._is_token(scope):
            return self._give_key()
        return None if self._has_key(headers) else _refuse(scope, NO_KEY, 403)

    def _find_stranger(self, headers: Headers) -> str | None:
        """Return why a request comes from somewhere else, or None."""
        if headers.getlist("host") not in ([host] for host in self._hosts):
            return "This server answers only to the address of its link."
        origins = headers.getlist("origin")
        if any(origin.removeprefix("http://") not in self._hosts for origin in origins):
            return "Other pages may not use this server."
        # "same-site" too: it is what a page from another port of this machine is called.
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "Other pages may not use this server; paste its link into the address bar."
        return None

    def _is_token(self, scope: Scope) -> bool:
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        for one in list(self._passes):
            if _is_equal(token, one):
                self._passes.discard(one)
                return True
        return _is_equal(token, self.token)

    def _has_key(self, headers: Headers) -> bool:
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return False
        return self._cookie in cookies and _is_equal(cookies[self._cookie].value, self._key)

    def _give_key(self) -> Response:
        """Set the cookie, and lead to the address without the token."""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, self._key, httponly=True, samesite="strict")
        return answer


def _is_equal(given: str, secret: str) -> bool:
    """Compare in a time that does not tell how much of the secret was guessed."""
    return secrets.compare_digest(given.encode(), secret.encode())


def _refuse(scope: Scope, reason: str, status: int) -> Response:
    if scope["path"] == "/":  # read by a person
        return PlainTextResponse(reason, status)
    return JSONResponse({"error": reason}, status)


def _with_headers(send: Send) -> Send:
    """Return a `send` that adds the headers of every answer."""

    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS)
            headers.setdefault("Cache-Control", "private, no-store")
        await send(message)

    return send_more

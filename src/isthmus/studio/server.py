"""The routes of the live studio: each takes a request, asks the content, and answers."""

import base64
import functools
import hashlib
import json
import math
import mimetypes
import re
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from isthmus.errors import IsthmusError, SourceError
from isthmus.limits import limit_of
from isthmus.runtime import core_count
from isthmus.studio.assets import page_files, read_page
from isthmus.studio.columns import pack, unpack
from isthmus.studio.epochs import FOLDER as EPOCHS
from isthmus.studio.live import Live
from isthmus.studio.uploads import (
    OneAtATime,
    read_body,
    read_json,
    require_picture,
)

if TYPE_CHECKING:
    from isthmus.studio.content import Content

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]

MAX_ROWS = 10_000  # codes or samples that are asked for at once
MAX_NEIGHBORS = 1000
MAX_CODE_BYTES = 64_000_000
OCTETS = "application/octet-stream"
# A page names by this header what its manifest is of. When that is gone, it gets an answer without
# content, and reads the manifest again: no mistake, which a browser would write to its console.
SNAPSHOT, GONE = "isthmus-snapshot", 204
TYPES = {".bin": OCTETS, ".js": "text/javascript", ".onnx": OCTETS, ".wasm": "application/wasm"}


class Server:
    """The handlers of all routes, over one content."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._uploads = OneAtATime()
        # Others wait here, where one whose page no longer waits is dropped; in the pool it is not.
        self._turns = anyio.CapacityLimiter(core_count())

    def app(self) -> Starlette:
        """Return the application, without its guard."""
        routes = [
            Route("/data/{path:path}", self._fitting(self.data)),
            Route("/samples/{i:int}.png", self.sample),
            Route("/layers/{i:int}", self._fitting(self.layers)),
            Route("/codes", self._fitting(self.codes)),
            Route("/events", self.events),
            Route("/neighbors", self._fitting(self.neighbors), methods=["POST"]),
            Route("/encode", self.encode, methods=["POST"]),
            Route("/decode", self._fitting(self.decode), methods=["POST"]),
            Route("/maps/{method}", self.map, methods=["POST"]),
            Route("/{path:path}", self.page),
        ]
        return Starlette(
            routes=routes,
            exception_handlers={
                HTTPException: _explain_refusal,
                IsthmusError: _explain_mistake,
                ClientDisconnect: _leave,
                Exception: _explain_bug,
            },
        )

    # -- files ----------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        """Answer with a file of the page itself."""
        name = request.path_params["path"] or "index.html"
        if name not in page_files():
            raise HTTPException(404, "There is no such file of the page.")
        content = read_page(name)
        if name == "index.html":  # so that it says how far the content is, before it has any
            content = content.replace(b"<html ", b'<html data-live="true" ', 1)
        return _file(request, name, content)

    async def data(self, request: Request) -> Response:
        """Answer with a file of the data, whose paths the manifest names."""
        return await self._data(request, request.path_params["path"])

    async def sample(self, request: Request) -> Response:
        """Answer with the own pixels of one sample."""
        return await self._data(request, f"samples/{request.path_params['i']}.png")

    async def _data(self, request: Request, path: str) -> Response:
        content = await self._content()

        def read() -> Response:
            return _file(request, path, content.read(path, live=True))

        try:
            return await run_in_threadpool(read)
        except KeyError:
            if SNAPSHOT in request.headers and path.startswith(EPOCHS):
                return Response(status_code=GONE)  # training keeps ever fewer of its epochs
            raise HTTPException(404, "There is no such file of the data.") from None

    # -- answers --------------------------------------------------------------------------------

    async def encode(self, request: Request) -> Response:
        """Answer with the code of the picture that the body holds."""
        content = await self._content()
        async with self._uploads.admit():
            picture = await read_body(request, limit_of("ISTHMUS_MAX_UPLOAD"))
            await run_in_threadpool(require_picture, picture)
            code, pixels = await self._compute(request, _encode, content, picture)
        height, width = pixels.shape[:2]
        answer = {"code": code.tolist(), "width": width, "height": height}
        return JSONResponse({**answer, "pixels": base64.b64encode(pixels.tobytes()).decode()})

    async def neighbors(self, request: Request) -> Response:
        """Answer with the rows of the nearest codes, and their distances."""
        content, asked = await self._content(), await read_json(request)
        code = _read_code(asked.get("code"), content.manifest(live=True)["code_size"])
        k = _read_whole("k", asked.get("k"), 1, MAX_NEIGHBORS)
        column, value = _read_filter(content, asked)
        search = functools.partial(content.neighbors, code, k, column, value)
        rows, distances = await self._compute(request, search)
        return JSONResponse({"rows": rows.tolist(), "distances": distances.tolist()})

    async def codes(self, request: Request) -> Response:
        """Answer with the codes of some rows, as a column."""
        content = await self._content()
        text = request.query_params.get("rows", "")
        if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", text) or text.count(",") >= MAX_ROWS:
            raise HTTPException(400, f"rows are at most {MAX_ROWS:,} whole numbers, as in 1,2,3.")
        rows = np.array(text.split(","), np.int64)
        _require_rows(content, rows)
        return Response(pack(await self._compute(request, content.codes, rows)), media_type=OCTETS)

    async def decode(self, request: Request) -> Response:
        """Answer with the samples that the decoder makes of codes, both as columns."""
        content = await self._content()
        z = _read_codes(
            await read_body(request, MAX_CODE_BYTES), content.manifest(live=True)["code_size"]
        )
        samples = await self._compute(request, content.decode, z)
        return Response(pack(samples), media_type=OCTETS)

    async def layers(self, request: Request) -> Response:
        """Answer with the output of every layer for one sample; see `pack_layers`."""
        content = await self._content()
        row = request.path_params["i"]
        _require_rows(content, np.array([row]))
        outputs = await self._compute(request, content.layers, row)
        return Response(pack_layers(outputs), media_type=OCTETS)

    async def map(self, request: Request) -> Response:
        """Begin to fit another map; events say how far that is."""
        content, method = await self._content(), request.path_params["method"]
        manifest = content.manifest(live=True)
        if method not in manifest["methods"]:
            raise HTTPException(404, "There is no such map.")
        if method in [entry["method"] for entry in manifest["maps"]]:
            return JSONResponse({}, 200)
        self._live.add_map(method)
        return JSONResponse({}, 202)

    async def events(self, request: Request) -> Response:
        """Answer with events until the page is closed or the server ends."""
        stream = self._live.events.stream()
        headers = {"Cache-Control": "private, no-store"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    # -- how ------------------------------------------------------------------------------------

    async def _content(self) -> "Content":
        """Return the content; pages wait here until it is prepared."""
        try:
            return await self._live.content()
        except Exception as error:  # of preparing; whoever started the server is told more
            raise HTTPException(503, str(error)) from None

    def _fitting(self, answer: Handler) -> Handler:
        """Answer only by the model that the page knows: what it holds is of that one."""

        async def answer_or_tell(request: Request) -> Response:
            content = await self._content()
            path, known = request.path_params.get("path"), request.headers.get(SNAPSHOT)
            if known is None or (path is not None and not content.depends_on_weights(path)):
                return await answer(request)
            found: Response | HTTPException | IsthmusError
            try:
                found = await answer(request)
            except (HTTPException, IsthmusError) as error:
                found = error
            # Seen afterwards: what is shown may have changed while this was read or computed.
            if known != content.snapshot:
                return Response(status_code=GONE)
            if isinstance(found, Exception):
                raise found
            return found

        return answer_or_tell

    async def _compute(self, request: Request, work: Callable[..., T], *arguments: Any) -> T:
        """Call the library in a thread, if the page still waits when it is this request's turn."""
        async with self._turns:
            # While somebody moves the pointer, all questions but the last are given up.
            if await request.is_disconnected():
                raise ClientDisconnect
            return await run_in_threadpool(work, *arguments)


def pack_layers(outputs: list[tuple[dict[str, Any], NDArray[np.float32]]]) -> bytes:
    """Return the outputs of layers as bytes.

    First the length of a JSON list as uint32, then the list, which describes each layer and is
    filled up with spaces to a multiple of four bytes, then the float32 numbers of all layers.
    """
    titles = json.dumps([title for title, _ in outputs]).encode()
    titles += b" " * (-len(titles) % 4)
    numbers = [np.ascontiguousarray(output, "<f4").tobytes() for _, output in outputs]
    return struct.pack("<I", len(titles)) + titles + b"".join(numbers)


# -- what is asked for ------------------------------------------------------------------------


def _require_rows(content: "Content", rows: NDArray[np.int64]) -> None:
    count = content.manifest(live=True)["count"]
    if rows.max() >= count:
        raise HTTPException(404, f"Rows go from 0 to {count - 1:,}.")


def _read_whole(name: str, value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:  # True is an int, too
        raise HTTPException(400, f"{name} is a whole number from {low} to {high:,}.")
    return value


def _read_code(values: Any, size: int) -> NDArray[np.float32]:
    is_code = isinstance(values, list) and len(values) == size
    if not is_code or not all(type(v) in (int, float) and _is_float32(v) for v in values):
        raise HTTPException(400, f"code is a list of {size:,} numbers.")
    return np.array(values, np.float32)


def _is_float32(value: float) -> bool:
    try:
        return math.isfinite(value) and abs(value) < 3e38
    except OverflowError:  # of an int that is larger than any float
        return False


def _read_codes(content: bytes, size: int) -> NDArray[np.float32]:
    try:
        z = unpack(content)
    except (IsthmusError, ValueError):  # the latter of no rows
        z = np.empty(0)
    z = z[:, None] if z.ndim == 1 and size == 1 else z
    if z.ndim != 2 or z.shape[1] != size or z.dtype != np.float32 or not len(z):
        raise HTTPException(400, f"The body is a column of codes (n, {size:,}) of float32.")
    if len(z) > MAX_ROWS or not np.isfinite(z).all():
        raise HTTPException(400, f"Codes are finite, and at most {MAX_ROWS:,} at once.")
    return z.copy()  # torch warns of arrays that it may not write to


def _read_filter(content: "Content", asked: dict[str, Any]) -> tuple[str | None, int | None]:
    """Return the column and the value that neighbors must have, if any."""
    name = asked.get("column")
    if name is None:
        return None, None
    for column in content.manifest(live=True)["columns"]:
        if column["name"] == name and column["kind"] == "category":
            return name, _read_whole("value", asked.get("value"), 0, len(column["names"]) - 1)
    raise HTTPException(400, "column is the name of a column of categories.")


# -- how it is answered -----------------------------------------------------------------------


def _encode(content: "Content", picture: bytes) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    try:
        return content.encode_image(picture)
    except SourceError as error:  # which is the reason alone
        reason = str(error).removesuffix(".")
        raise HTTPException(400, f"The picture cannot be read: {reason}.") from None


def _file(request: Request, name: str, content: bytes) -> Response:
    """Answer with a file, or that the browser has this version of it already."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    # no-cache: it may be kept, but not used without asking whether it is still true.
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    suffix = Path(name).suffix
    kind = TYPES.get(suffix) or mimetypes.guess_type(name)[0] or OCTETS
    return Response(content, media_type=kind, headers=headers)


async def _explain_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _explain_mistake(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _explain_bug(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The server failed; its terminal says why."}, 500)


async def _leave(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it

"""Bodies of requests: read up to a limit, and pictures looked at before they are decoded."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request

from isthmus.errors import SourceError
from isthmus.limits import limit_of
from isthmus.runtime import ignored_warnings
from isthmus.text import format_bytes

MAX_BODY_BYTES = 1_000_000  # of questions, which are codes and names
# Only what the readers of sources take: Pillow knows formats that start other programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the body of a request; one that exceeds the limit is refused before it is read.

    Raises
    ------
    HTTPException
        413, if it is too large.
    """
    said = request.headers.get("content-length", "0")
    if said.isdigit() and int(said) > limit:
        raise _too_large(limit)
    content = bytearray()
    async for chunk in request.stream():  # a body that is sent in chunks does not say its size
        content += chunk
        if len(content) > limit:
            raise _too_large(limit)
    return bytes(content)


async def read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request holds.

    Raises
    ------
    HTTPException
        400, if there is none; 413, if it is too large.
    """
    try:
        content = json.loads(await read_body(request))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise HTTPException(400, "The body of this request is a JSON object.")
    return content


class OneAtATime:
    """Admits one request and refuses others until it is done.

    A picture of the largest size takes 150 MB while it is decoded, and the page never sends two.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Enter, or raise an HTTPException 429."""
        if self._lock.locked():
            raise HTTPException(
                429, "Another picture is being read; try again.", {"Retry-After": "1"}
            )
        async with self._lock:
            yield


def require_picture(content: bytes) -> None:
    """Reject what is no picture, or one of too many pixels, by its first bytes.

    Raises
    ------
    SourceError
    """
    try:
        with ignored_warnings, Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            width, height = picture.size
    except Image.DecompressionBombError:
        most = limit_of("ISTHMUS_MAX_UPLOAD_PIXELS")
        raise SourceError(f"The picture has more than {most:,} pixels.") from None
    except Exception:  # decoders of damaged files raise anything
        raise SourceError(
            f"The file is no picture that can be read; take one of {', '.join(FORMATS)}."
        ) from None
    most = limit_of("ISTHMUS_MAX_UPLOAD_PIXELS")
    if width * height > most:
        raise SourceError(
            f"The picture has {width:,} × {height:,} pixels; at most {most:,} are read."
        )


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"This is larger than {format_bytes(limit)}, the most that is read.")

"""How tests drop, paste and make pictures."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# A file of the page's own making, as a browser gives that of a person; a number: so many zeros.
MAKE = """([content, name, type]) => {
    const bytes = typeof content === "number"
        ? new Uint8Array(content)
        : Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, {type}));
    return data;
}"""
PASTE = """(data) => window.dispatchEvent(
    new ClipboardEvent("paste", {clipboardData: data, bubbles: true}))"""


def png(pixels: NDArray[np.uint8] | Image.Image, **options: Any) -> bytes:
    """Return a picture as the content of a PNG."""
    content = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels.squeeze())
    image.save(content, "PNG", **options)
    return content.getvalue()


def carry(
    page: Any, content: bytes | int, name: str = "dropped.png", kind: str = "image/png"
) -> Any:
    """Return a handle of what is dragged or in the clipboard."""
    given = content if isinstance(content, int) else base64.b64encode(content).decode()
    return page.evaluate_handle(MAKE, [given, name, kind])


def drop(
    page: Any, content: bytes | int, name: str = "dropped.png", kind: str = "image/png"
) -> None:
    """Drop a file on the map, as a person does."""
    data = carry(page, content, name, kind)
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#map", event, {"dataTransfer": data})


def paste(page: Any, content: bytes) -> None:
    """Paste a picture."""
    page.evaluate(PASTE, carry(page, content))

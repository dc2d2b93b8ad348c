"""`Facts`: what a Lance dataset of codes says of them, under one key of its schema."""

import json
import math
from dataclasses import dataclass
from typing import Any

from isthmus.data.samples import Origin
from isthmus.errors import SourceError
from isthmus.fields import from_json, parse_json
from isthmus.files import to_json
from isthmus.latent.codes import KIND, Codes

FORMAT = 1  # of the dataset; raise it when an older program could misread it
KEY = b"isthmus"  # of the metadata of the schema


@dataclass(frozen=True)
class Facts:
    """What codes have in common, as the .json file next to an .npy file has it.

    Parameters
    ----------
    layer : str
    shape : tuple of int
        Of one sample's features before they were flattened.
    model_fingerprint : str
    origin : Origin
    class_names : tuple of str
        Empty if the samples have no labels; there is no column of labels then.
    fingerprint : str
        Of the samples.

    Raises
    ------
    SourceError
        If the shape has no number.
    """

    layer: str
    shape: tuple[int, ...]
    model_fingerprint: str
    origin: Origin
    class_names: tuple[str, ...]
    fingerprint: str

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise SourceError(f"the shape of a sample's features is {self.shape}")

    @property
    def size(self) -> int:
        """D, how many numbers a code has."""
        return math.prod(self.shape)

    @classmethod
    def of(cls, codes: Codes) -> "Facts":
        """Return the facts of codes, whose z may be missing."""
        items = codes.items
        shape = codes.shape or codes.z.shape[1:]
        return cls(
            codes.layer,
            shape,
            codes.model_fingerprint,
            codes.origin,
            items.class_names,
            items.fingerprint,
        )

    def to_bytes(self) -> bytes:
        """Return them as JSON, from which `parse` rebuilds them."""
        return json.dumps({"kind": KIND, "format": FORMAT, **to_json(self)}).encode()

    @classmethod
    def parse(cls, content: bytes | None) -> "Facts":
        """Rebuild what `to_bytes` returned, each field checked.

        Raises
        ------
        IsthmusError
            If it is of another kind or format, or a field is missing or of another type.
        """
        if content is None:
            raise SourceError("it is no dataset of Isthmus")
        facts: Any = parse_json(content)
        if not isinstance(facts, dict) or facts.pop("kind", None) != KIND:
            raise SourceError("it holds no codes of Isthmus")
        if (written := facts.pop("format", None)) != FORMAT:
            raise SourceError(f"it is of format {written!r} and this Isthmus reads format {FORMAT}")
        return from_json(cls, facts)

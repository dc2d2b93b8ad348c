"""What Hugging Face writes into the schema of a table: which columns are images and classes."""

import json
from typing import Any

KEY = b"huggingface"
IMAGE, CLASS_LABEL = "Image", "ClassLabel"


def read_features(schema: Any) -> dict[str, dict[str, Any]]:
    """Return the description of each column by its name; empty where there is none.

    Examples
    --------
    >>> class Schema:
    ...     metadata = {KEY: b'{"info": {"features": {"image": {"_type": "Image"}, "x": []}}}'}
    >>> read_features(Schema)
    {'image': {'_type': 'Image'}}
    """
    content = (schema.metadata or {}).get(KEY)
    try:
        features = json.loads(content or b"{}")["info"]["features"]
        return {name: one for name, one in features.items() if isinstance(one, dict)}
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return {}  # of another version: the columns themselves tell enough


def class_names(feature: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes of a column, empty if it has none."""
    names = feature.get("names") if feature.get("_type") == CLASS_LABEL else None
    return tuple(map(str, names)) if isinstance(names, list) else ()

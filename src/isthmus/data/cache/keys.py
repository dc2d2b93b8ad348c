"""Keys: a hash of everything that the content of an entry depends on."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from isthmus.data.cache.folder import FORMAT
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Origin
from isthmus.files import fingerprint


def make_key(origin: Origin, files: Sequence[Any]) -> str:
    """Return the name of the entry that a request has, or of its alias.

    `low` and `high` scale samples on their way into a model, long after they are cached.
    """
    preprocessing = replace(origin.preprocessing, low=Preprocessing.low, high=Preprocessing.high)
    content = json.dumps(files).encode()
    return fingerprint(FORMAT, replace(origin, preprocessing=preprocessing), content)


def resolve_key(origin: Origin, files: Sequence[Any], shape: tuple[int, ...]) -> str:
    """Return the key of the request that names the size and channels that came out.

    A first load leaves them open, and a run's preprocessing names them. Both give the same
    pixels, so that one entry serves both:

    - Without a size, all pictures have the same sides after cropping, or none are cached; with
      those sides as the size nothing is resized. Nor is a JPEG then decoded at a reduced scale:
      that takes at least twice the sides that are wanted.
    - Channels that came out are those of every picture, except that gray ones among color became
      color. They then do so before resizing instead of after it, which treats channels alike.
    - Crop, background and limit always stand in the key as they were asked for.

    The opposite does not hold: what came out of a named size and channels does not tell what an
    open request would give. Such a request is decoded, and then shares the entry.

    Parameters
    ----------
    shape : (H, W, C), (L, C) or (C,)
        What came out: images, signals, or images of their own sizes.
    """
    if len(shape) == 2:  # signals have no size to name
        return make_key(origin, files)
    if len(shape) == 1:  # images keep their sizes
        preprocessing = replace(origin.preprocessing, channels=shape[0])
    else:
        preprocessing = origin.preprocessing.resolve(shape)
    return make_key(replace(origin, preprocessing=preprocessing), files)

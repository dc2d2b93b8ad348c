"""`load_images`: turns a source of pictures into `Images`, each at its own size."""

from dataclasses import replace
from pathlib import Path

from isthmus.data.cache import Track, untracked
from isthmus.data.decode import decode_blocks
from isthmus.data.images import Images, Ragged
from isthmus.data.items import Items
from isthmus.data.load import plan_loading
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Reading
from isthmus.data.samples import Origin


def load_images(
    source: str | Path,
    *,
    channels: int | None = None,
    background: str = "white",
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> Images:
    """Load pictures at their own sizes; nothing is resized."""
    preprocessing = Preprocessing(channels=channels, background=background)
    return load_images_with(source, preprocessing, limit=limit, reading=reading, track=track)


def load_images_with(
    source: str | Path,
    preprocessing: Preprocessing,
    *,
    limit: int | None = None,
    reading: Reading | None = None,
    track: Track = untracked,
) -> Images:
    """Load pictures with a given `Preprocessing`, such as a trained model's."""
    plan = plan_loading(source, preprocessing, limit=limit, reading=reading)
    manifest = plan.read()
    images = [
        image
        for block in decode_blocks(manifest, plan.origin.preprocessing)
        for image in block.pixels
    ]
    items = Items(manifest.names, manifest.labels, manifest.class_names)
    return Images(Ragged.of(images), items, manifest.splits, plan.origin)


def load_images_of(origin: Origin, track: Track = untracked) -> Images:
    """Load again what an origin describes."""
    return load_images_with(
        origin.source,
        replace(origin.preprocessing, size=None),
        limit=origin.limit,
        reading=origin.reading,
        track=track,
    )

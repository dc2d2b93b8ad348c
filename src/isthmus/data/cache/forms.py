"""`Form`: what an entry holds, samples of one shape or images of their own sizes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import DAMAGE
from isthmus.data.cache.decoding import store, store_images
from isthmus.data.cache.entry import (
    CLEAN_FILE,
    MASKS_FILE,
    METADATA_FILE,
    VALUES_FILE,
    C,
    DamagedEntryError,
    Entry,
    require,
    trust,
)
from isthmus.data.cache.tracking import Track
from isthmus.data.cache.use import Use
from isthmus.data.images import Images, Ragged
from isthmus.data.items import Items, Names
from isthmus.data.manifest import Manifest
from isthmus.data.report import ReadingReport
from isthmus.data.samples import SPLITS, Origin, Samples
from isthmus.errors import first_sentence


@dataclass(frozen=True)
class Form(Generic[C]):
    """How one kind of what is cached is stored and opened.

    Parameters
    ----------
    kind : type
    store : callable
        Decodes a manifest into the files of a folder, and returns what they hold.
    describe : callable
        Returns what the JSON of an entry says about this kind alone.
    map : callable
        Returns the attributes of this kind alone, by memory map.
    shape : callable
        Returns (H, W, C) or (L, C) if all have one shape, or else (C,): what came out.
    """

    kind: type[C]
    store: Callable[[Manifest, Origin, Path, Track], C]
    describe: Callable[[C], dict[str, Any]]
    map: Callable[[Entry, Use], dict[str, Any]]
    shape: Callable[[C], tuple[int, ...]]

    def open(self, entry: Entry, origin: Origin) -> C:
        """Open an entry by memory map, without reading a pixel.

        Raises
        ------
        FileNotFoundError
            If another process has deleted it meanwhile.
        DamagedEntryError
            If its JSON is not as it was written.
        """
        metadata = entry.metadata
        # Before the maps: nobody deletes the files from now on.
        use = Use(entry.folder / METADATA_FILE)
        try:
            return trust(
                self.kind,
                **self.map(entry, use),
                items=_read_items(metadata, len(entry)),
                splits=_read_splits(entry),
                origin=origin,
                skipped=tuple((name, reason) for name, reason in metadata["skipped"]),
                report=ReadingReport.from_json(metadata["report"]),
                fingerprint=require(metadata["fingerprint"], str),
            )
        except (FileNotFoundError, DamagedEntryError):
            raise
        except DAMAGE as error:
            raise DamagedEntryError(f"{METADATA_FILE}: {first_sentence(error)}") from error
        finally:
            use.close()


def _describe_samples(samples: Samples) -> dict[str, Any]:
    return {
        "dtype": str(samples.values.dtype),
        "shape": samples.values.shape,
        "masks": samples.masks is not None,
    }


def _map_samples(entry: Entry, use: Use) -> dict[str, Any]:
    folder, metadata = entry.folder, entry.metadata
    return {
        "values": use.map(folder / VALUES_FILE, metadata["dtype"], entry.shape),
        "masks": _map_masks(entry, use) if metadata["masks"] else None,
        "allows_flip": False,
    }


def _map_masks(entry: Entry, use: Use) -> NDArray[np.uint8]:
    """Map the masks (N, H, W), which lie at the end of an .npy file."""
    shape = entry.shape[:3]
    offset = entry.sums[MASKS_FILE].size - math.prod(shape)
    masks: NDArray[np.uint8] = use.map(entry.folder / MASKS_FILE, "uint8", shape, offset)
    return masks


def _describe_images(images: Images) -> dict[str, Any]:
    return {
        "sides": images.values.sides.reshape(-1).tolist(),
        "channels": images.channels,
        "clean": images.has_pairs,
    }


def _map_images(entry: Entry, use: Use) -> dict[str, Any]:
    def map_file(name: str) -> Ragged:
        pixels = use.map(entry.folder / name, "uint8", (entry.sums[name].size,))
        return Ragged(pixels, entry.sides, entry.metadata["channels"])

    clean = map_file(CLEAN_FILE) if entry.metadata["clean"] else None
    return {"values": map_file(VALUES_FILE), "clean": clean}


def _read_items(metadata: dict[str, Any], count: int) -> Items:
    text = np.frombuffer(metadata["names"]["text"].encode("latin-1"), np.uint8)
    ends = np.array(metadata["names"]["ends"], np.int64)
    if ends.shape != (count,) or ends[-1] != len(text) or (np.diff(ends, prepend=0) < 0).any():
        raise DamagedEntryError(f"{METADATA_FILE}: the names are not those of the samples")
    labels = metadata["labels"]
    labels = None if labels is None else np.array(labels, np.int64).reshape(count)
    class_names = tuple(require(name, str) for name in metadata["class_names"])
    return Items(Names(text, ends), labels, class_names)


def _read_splits(entry: Entry) -> NDArray[np.uint8] | None:
    if entry.metadata["splits"] is None:
        return None
    splits = np.array(entry.metadata["splits"], np.uint8).reshape(len(entry))
    if splits.max() >= len(SPLITS):
        raise DamagedEntryError(f"{METADATA_FILE}: there is no such split")
    return splits


SAMPLES = Form(Samples, store, _describe_samples, _map_samples, lambda samples: samples.shape)
IMAGES = Form(
    Images, store_images, _describe_images, _map_images, lambda images: (images.channels,)
)

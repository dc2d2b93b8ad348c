"""Masks of defects, which some sources have for the samples that are damaged."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isthmus.data.catalog import DATASETS
from isthmus.data.masks.mask import Mask
from isthmus.data.readers.archives.tree import archive_tree
from isthmus.data.readers.files.kinds import ARCHIVE_SUFFIXES
from isthmus.data.readers.files.trees import Tree, folder_tree
from isthmus.data.readers.masks.mvtec import GOOD, list_masks
from isthmus.data.samples import Samples
from isthmus.data.sources import is_there, locate
from isthmus.errors import SourceError, first_sentence


def load_defects(samples: Samples, rows: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Return where samples are damaged, as the source's own masks say.

    Parameters
    ----------
    samples : Samples
    rows : (n,) int64
        Which of them.

    Returns
    -------
    (n, H, W) bool, or None
        All False for what is good. None if the source has no masks of defects, or not for every
        damaged sample of these.

    Raises
    ------
    SourceError
        If a mask is damaged.
    """
    tree = _open_tree(samples)
    masks = {} if tree is None else list_masks(tree)
    if tree is None or not masks or samples.labels is None:
        return None
    names = [samples.names[row] for row in rows.tolist()]
    kinds = [samples.class_names[label] for label in samples.labels[rows].tolist()]
    damaged = [name for name, kind in zip(names, kinds, strict=True) if kind not in GOOD]
    if not damaged or any(name not in masks for name in damaged):
        return None
    found = np.zeros((len(names), *samples.shape[:2]), np.bool_)
    places = [place for place, name in enumerate(names) if name in masks]
    decoded = _decode(tree, samples, [masks[names[place]] for place in places])
    for place, mask in zip(places, decoded, strict=True):
        found[place] = mask
    return found


def _open_tree(samples: Samples) -> Tree | None:
    """Return the files of a source of pictures, if it is a folder or an archive."""
    source = samples.origin.source
    if not source or samples.is_signal or source in DATASETS or not is_there(source):
        return None
    path = locate(source)[2]
    if path.is_dir():
        return folder_tree(path)
    return archive_tree(path) if path.name.lower().endswith(ARCHIVE_SUFFIXES) else None


def _decode(tree: Tree, samples: Samples, names: Sequence[str]) -> list[NDArray[np.bool_]]:
    """Decode masks and fit them as their pictures were."""
    fit = samples.origin.preprocessing.resolve(samples.shape)
    found = []
    for name, content in zip(names, tree.contents(names), strict=True):
        if isinstance(content, SourceError):
            raise SourceError(f"the mask {name} cannot be read: {first_sentence(content)}.")
        try:
            mask = fit.decode_mask(content)
        except SourceError as error:
            raise SourceError(
                f"the mask {name} of {tree.path} cannot be used: {first_sentence(error)}; repair "
                "it, or remove it and pixels are not measured."
            ) from error
        found.append(fit.fit_mask(_is_marked(mask)).astype(np.bool_))
    return found


def _is_marked(mask: Mask) -> NDArray[np.uint8]:
    """Return 1 where a mask is not black: (H, W) uint8."""
    lookup = np.zeros(256, np.uint8)
    for place, value in zip(mask.places.tolist(), mask.values, strict=True):
        lookup[place] = value.color != 0
    return lookup[mask.pixels]

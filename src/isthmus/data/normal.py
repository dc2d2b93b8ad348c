"""Which samples are normal, for a model that is to learn nothing else."""

import numpy as np
from numpy.typing import NDArray

from isthmus.data.samples import SPLITS, Samples
from isthmus.data.split import Split
from isthmus.errors import OptionError, list_names, suggest

ALL = "all"  # unless a class or a folder has that name
MAX_NAMED = 10  # classes in a message


def choose_normal(samples: Samples, normal: str | None) -> str:
    """Return what is normal: as given, or the only class that there is to train on.

    Returns
    -------
    str
        `ALL` for samples without classes.

    Raises
    ------
    OptionError
        If there are several classes to train on and `normal` is None.
    """
    if normal is not None or samples.labels is None:
        return normal or ALL
    labels = samples.labels
    if samples.splits is not None:
        labels = labels[samples.splits == SPLITS.index("train")]
    classes = np.unique(labels)
    if len(classes) == 1:
        return samples.class_names[int(classes[0])]
    raise OptionError(
        f"there are {len(classes):,} classes to train on ({_list_classes(samples)}); say by "
        "--normal NAME which one is normal."
    )


def normal_rows(samples: Samples, normal: str) -> NDArray[np.bool_]:
    """Return which samples are normal: (N,) bool.

    Parameters
    ----------
    samples : Samples
    normal : str
        A class, or a folder of the source; a slash at the end may be there. Or `ALL`.

    Raises
    ------
    OptionError
        If there is no such class or folder.

    Examples
    --------
    >>> from isthmus import load
    >>> int(normal_rows(load("digits"), "3").sum())
    183
    """
    name = normal.strip("/")
    classes = samples.class_names if samples.labels is not None else ()
    if name in classes:
        return np.asarray(samples.labels == classes.index(name))
    inside = np.array([_is_in(one, name) for one in samples.names], np.bool_)
    if not inside.any() and name == ALL:
        return np.ones(len(samples), np.bool_)
    if not inside.any():
        raise OptionError(_describe_missing(samples, classes, name or normal))
    return inside


def keep_normal(samples: Samples, split: Split, normal: str) -> Split:
    """Return a split whose training and validation parts hold normal samples only.

    All others are to be tested on if the source has no test split of its own; if it has one, those
    outside it are in no part.

    Raises
    ------
    OptionError
        If no sample to train on or to validate by is normal.
    """
    is_normal = normal_rows(samples, normal)
    train, validation = (rows[is_normal[rows]] for rows in (split.train, split.validation))
    for part, name in ((train, "train on"), (validation, "choose the threshold by")):
        if not len(part):
            raise OptionError(
                f"no sample of {normal} is there to {name}; give more normal samples, or another "
                "class by --normal."
            )
    test = split.test
    if samples.splits is None or not (samples.splits == SPLITS.index("test")).any():
        test = np.union1d(test, np.flatnonzero(~is_normal))
    return Split(train, validation, test.astype(np.int64))


def _is_in(name: str, folder: str) -> bool:
    """Return whether a sample's name is a path in a folder, at any depth."""
    return f"/{name}".find(f"/{folder}/") >= 0


def _describe_missing(samples: Samples, classes: tuple[str, ...], name: str) -> str:
    source = samples.origin.source or "the array"
    if not classes:
        return (
            f"{source} has no classes, and no folder {name} in it; leave --normal out to take all "
            "of it for normal, or train on a folder of normal samples."
        )
    return (
        f"{source} has no class and no folder {name}{suggest(name, classes)}; its classes are "
        f"{_list_classes(samples)}."
    )


def _list_classes(samples: Samples) -> str:
    return list_names(list(samples.class_names), MAX_NAMED)

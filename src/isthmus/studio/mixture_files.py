"""The mixture of a model's codes, from which a page draws new ones."""

from typing import Any

from isthmus.data.samples import Samples
from isthmus.errors import ModelError, OptionError
from isthmus.session import Session
from isthmus.studio import columns
from isthmus.studio.storage import Storage

MEANS, FACTORS = "mixture_means.bin", "mixture_factors.bin"
MAX_NUMBERS = 2**21  # of the factors that a page loads: 8 MiB


def write_mixture(
    storage: Storage, session: Session, samples: Samples | None
) -> dict[str, Any] | None:
    """Write the mixture of normal distributions over the codes of the training samples.

    Parameters
    ----------
    storage : Storage
    session : Session
    samples : Samples, optional
        Whose codes it is fitted to; by default those of the run, see `Session.mixture`.

    Returns
    -------
    dict or None
        `mixture` of the manifest; None if there is none for these codes, or it is too large.
    """
    try:
        mixture = session.mixture(samples)
    except (ModelError, OptionError):  # too few codes, or some that are no numbers
        return None
    if mixture.factors.size > MAX_NUMBERS:
        return None
    storage.write(MEANS, columns.pack(mixture.means))
    storage.write(FACTORS, columns.pack(mixture.factors.reshape(-1, mixture.code_size)))
    return {
        "means": MEANS,
        "factors": FACTORS,
        "is_diagonal": mixture.factors.ndim == 2,
        "weights": mixture.weights.tolist(),
        "classes": mixture.classes.tolist(),
        "names": list(mixture.class_names),
    }


def mixture_files(entry: dict[str, Any] | None) -> list[str]:
    """Return the names of the files of an entry of the manifest."""
    return [] if entry is None else [entry["means"], entry["factors"]]

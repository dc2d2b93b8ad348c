"""Opens codes by the ending of their name."""

from pathlib import Path

from isthmus.inference.model import Model
from isthmus.latent.codes import Codes
from isthmus.latent.lance.dataset import LanceCodes
from isthmus.latent.lance.library import is_lance


def open_codes(path: str | Path, model: Model | None = None) -> Codes | LanceCodes:
    """Open codes that `isthmus encode` wrote: an .npy file, or a Lance dataset (.lance).

    Parameters
    ----------
    path : path
    model : Model, optional
        The model that must have made the codes.

    Raises
    ------
    SourceError
        If they are missing or damaged.
    ModelError
        If another model made them.
    """
    return (LanceCodes.open if is_lance(path) else Codes.load)(path, model)

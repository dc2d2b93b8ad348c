"""Write what commands show of a source, without a model or through several; see `outputs`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.cache import Track, untracked
from isthmus.data.catalog import DATASETS
from isthmus.data.export import export, select
from isthmus.data.images import Images
from isthmus.data.load import load, load_with
from isthmus.data.load_images import load_images
from isthmus.data.preprocess import Preprocessing
from isthmus.data.remote.addresses import name_source
from isthmus.data.samples import SPLITS, Samples
from isthmus.errors import OptionError, SizesDifferError, require_known
from isthmus.inference.model import Model
from isthmus.latent.codes import Codes
from isthmus.latent.maps import fit_map, map_quality, require_method
from isthmus.places import require_apart
from isthmus.reports.preview import cut_middles, is_reduced, preview
from isthmus.session import Session
from isthmus.viz.canvas import require_png, write_png
from isthmus.viz.grids import SIDE
from isthmus.viz.maps import scatter


def describe_datasets() -> list[dict[str, Any]]:
    """Return a JSON object for each row of `DATASETS`, with whether it is on this machine."""
    return [
        {
            "name": row.name,
            "description": row.description,
            "samples": row.counts,
            "origin": row.origin,
            "present": row.is_present,
        }
        for row in DATASETS.values()
    ]


def write_preview(
    source: str | Path,
    out: Path,
    *,
    corrupt: Sequence[str] = (),
    models: Sequence[tuple[str, Model]] = (),
    limit: int = 10,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    track: Track = untracked,
) -> dict[str, Any]:
    """Draw samples of a source, the same with noise, and their reconstructions by models.

    Of images that differ in size, or are larger than they are drawn, noise is shown in the middle,
    pixel by pixel: reduced, it would be weaker.

    Parameters
    ----------
    source : str or Path
    out : Path
        The PNG file.
    corrupt : sequence of str
        Kinds of noise, as `Corruption.parse` reads them.
    models : sequence of (name, Model)
        Autoencoders; the first one decides the size and the channels of the samples.
    limit : int
        At most as many samples, spread evenly over the source.
    size : (int, int), optional
        Height and width to resize to, without models.
    seed : int
        Decides the noise.
    track : callable
        Shows progress.

    Returns
    -------
    dict
        The path of the `picture`, the number of `samples`, and the side of the `middle`, or None if
        whole samples are drawn.
    """
    require_png(out)
    require_apart(out, source)
    if models and size:
        raise OptionError("a run decides the size of its images; leave the size out.")
    from isthmus.data.corruption import Corruption

    noise = [Corruption.parse(text) for text in corrupt]
    # All models see the same samples, so that their reconstructions can be compared.
    preprocessing = models[0][1].preprocessing if models else Preprocessing(size=size)
    samples = _load_any(source, preprocessing, limit, track)
    cuts = bool(noise and not models and not size and is_reduced(samples))
    write_png(out, preview(cut_middles(samples) if cuts else samples, noise, models, seed))
    return {"picture": str(out), "samples": len(samples), "middle": SIDE if cuts else None}


def _load_any(
    source: str | Path, preprocessing: Preprocessing, limit: int, track: Track
) -> Samples | Images:
    try:
        return load_with(source, preprocessing, limit=limit, track=track)
    except SizesDifferError:
        return load_images(source, limit=limit, track=track)


def write_source_map(
    source: str | Path,
    out: Path,
    *,
    method: str = "pca",
    max_samples: int = 20_000,
    seed: int = 0,
    limit: int | None = None,
    track: Track = untracked,
) -> dict[str, Any]:
    """Draw the samples of a source in two dimensions by their raw values, without a model.

    Returns
    -------
    dict
        As `map_quality` returns it, and the path of the `picture`.
    """
    require_method(method)
    require_png(out)
    codes = Codes.of_values(load(source, limit=limit, track=track))
    fitted_map = fit_map(codes, method, seed=seed, max_samples=max_samples, track=track)
    write_png(out, scatter(fitted_map))
    return {**map_quality(fitted_map, codes, seed=seed), "picture": str(out)}


def write_export(
    source: str | Path | Session,
    out: Path,
    *,
    split: str | None = None,
    only: Sequence[str] = (),
    count: int | None = None,
    limit: int | None = None,
    track: Track = untracked,
) -> dict[str, Any]:
    """Write samples of a source, or of a run, to an .npz file or as a folder of pictures.

    Parameters
    ----------
    source : str, Path or Session
        A session stands for the samples of its run.
    out : Path
        See `isthmus.data.export.export`.
    split : str, optional
        "train", "validation" or "test"; by default all samples.
    only : sequence of str
        Names of samples; by default all.
    count : int, optional
        At most as many of these, spread evenly.
    limit : int, optional
        Load at most as many samples of a source.
    track : callable
        Shows progress.
    """
    samples = select(_read_split(source, split, limit=limit, track=track), only, count)
    require_apart(out, samples.origin.source)
    export(samples, out)
    return {"out": str(out), "samples": len(samples), "description": samples.describe()}


def _read_split(
    source: str | Path | Session,
    name: str | None = None,
    *,
    limit: int | None = None,
    track: Track = untracked,
) -> Samples:
    """Load the samples of a source or of a run, or one of their splits.

    Parameters
    ----------
    source : str, Path or Session
        A session stands for the samples of its run, which has a split of its own. Of any other
        source the split is the one that it comes with.
    name : str, optional
        "train", "validation" or "test"; by default all samples.
    limit : int, optional
        At most as many samples of the source, spread evenly.
    track : callable
        Shows progress.

    Raises
    ------
    OptionError
        If there is no such split, or a run is given with a limit.
    """
    if name is not None:
        require_known("split", name, SPLITS)
    if isinstance(source, Session):
        if limit is not None:
            raise OptionError("a run has its own data; leave the limit out, or give a count.")
        return source.samples if name is None else source.samples.take(getattr(source.split, name))
    samples = load(source, limit=limit, track=track)
    if name is None:
        return samples
    if samples.splits is None:
        raise OptionError(f"{name_source(source)} defines no splits; give a run on it instead.")
    indices = np.flatnonzero(samples.splits == SPLITS.index(name))
    if len(indices) == 0:
        raise OptionError(f"{name_source(source)} has no {name} split; choose another.")
    return samples.take(indices)

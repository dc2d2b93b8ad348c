"""Write what a model makes of samples: pictures, tables, and samples themselves.

Each function does the work of one command of the command line and returns what the command prints
with `--json`. Recipes call the same functions, so that a step of a recipe and the command that
`isthmus recipe show` prints for it cannot differ. The defaults are those of the commands.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.corruption import Corruption
from isthmus.data.export import export, select
from isthmus.data.load import load, load_with
from isthmus.data.preprocess import Preprocessing
from isthmus.data.samples import Samples
from isthmus.errors import OptionError
from isthmus.evaluation.predictions import prediction_rows
from isthmus.files import write_bytes
from isthmus.inference import CODE, TrainedModel
from isthmus.latent.codes import Codes
from isthmus.latent.index import Index
from isthmus.latent.maps import Map, fit_map, map_quality, require_method
from isthmus.models.transposed import contributions
from isthmus.reports.pictures import (
    map_picture,
    morph_picture,
    predictions,
    preview,
    reconstructions,
    require_map_style,
    search_picture,
)
from isthmus.session import Session, read_split
from isthmus.viz.canvas import require_png, write_png
from isthmus.viz.maps import scatter
from isthmus.viz.strips import gif
from isthmus.viz.transposed import transposed

# -- sources ------------------------------------------------------------------------------------


def describe_samples(samples: Samples) -> str:
    """Return one line for people: how many samples, of what shape, and which files were broken."""
    if not samples.skipped:
        return samples.describe()
    name, reason = samples.skipped[0]
    count = f"{len(samples.skipped):,}"
    return f"{samples.describe()}; {count} skipped as broken, such as {name} ({reason})"


def write_preview(
    source: str | Path,
    out: Path,
    *,
    corrupt: Sequence[str] = (),
    models: Sequence[tuple[str, TrainedModel]] = (),
    limit: int = 10,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    track: Track = untracked,
) -> dict[str, Any]:
    """Draw samples of a source, the same with noise, and what models make of them.

    Parameters
    ----------
    source : str or Path
    out : Path
        The PNG file.
    corrupt : sequence of str
        Kinds of noise, as `Corruption.parse` reads them.
    models : sequence of (name, TrainedModel)
        Autoencoders; the first one decides the size and the channels of the samples.
    limit : int
        At most as many samples, spread evenly over the source.
    size : (int, int), optional
        Height and width to resize to, without models.
    seed : int
        Decides the noise.
    track : callable
        Shows progress.
    """
    require_png(out)
    if models and size:
        raise OptionError("a run decides the size of its images; leave the size out.")
    noise = [Corruption.parse(text) for text in corrupt]
    preprocessing = models[0][1].preprocessing if models else Preprocessing(size=size)
    samples = load_with(source, preprocessing, limit=limit, track=track)
    write_png(out, preview(samples, noise, models, seed))
    return {"picture": str(out), "samples": len(samples)}


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
    samples = select(read_split(source, split, limit=limit, track=track), only, count)
    export(samples, out)
    return {"out": str(out), "samples": len(samples), "description": samples.describe()}


# -- a model at work ----------------------------------------------------------------------------


def write_reconstructions(
    session: Session, source: str | Path, out: Path, *, limit: int = 10
) -> dict[str, Any]:
    """Draw samples, their codes and their reconstructions, row by row."""
    session.model.require_task("reconstruct")
    require_png(out)
    samples = session.read(source, limit)
    write_png(out, reconstructions(session, samples))
    return {"picture": str(out), "samples": len(samples)}


def write_map(
    session: Session,
    source: str | Path,
    out: Path,
    *,
    method: str = "tsne",
    style: str = "points",
    onto: Path | None = None,
    max_samples: int = 20_000,
    layer: str = CODE,
    seed: int = 0,
    limit: int | None = None,
) -> dict[str, Any]:
    """Draw samples in two dimensions by their codes, and write the coordinates as a CSV file.

    Parameters
    ----------
    session : Session
    source : str or Path
    out : Path
        The PNG file; the CSV file has the same name with another ending.
    method : str
        "pca", "tsne", "umap", or "code" for a code of 2 numbers as it is.
    style : str
        A key of `MAP_STYLES`.
    onto : Path, optional
        A map from before, on which the samples are placed.
    max_samples : int
        Fit on at most as many samples and place the others.
    layer : str
    seed : int
    limit : int, optional

    Returns
    -------
    dict
        As `map_quality` returns it, and the paths of `picture`, `coordinates` and `map`.
    """
    base = None if onto is None else Map.load(onto, session.model)
    samples = session.read(source, limit)
    require_map_style(style, base.method if base else method, samples)
    require_png(out)
    codes = session.encode(samples, layer)
    if base is not None:
        fitted_map, file = base.with_codes(codes), onto
    else:
        fitted_map, file = session.stored_map(codes, method, seed=seed, max_samples=max_samples)
    write_png(out, map_picture(fitted_map, style, samples, session.model))
    table = out.with_suffix(".csv")
    write_bytes(table, fitted_map.to_csv().encode())
    paths = {"picture": str(out), "coordinates": str(table), "map": str(file)}
    return session.map_quality(fitted_map, codes, samples) | paths


def describe_index(folder: Path, index: Index) -> dict[str, Any]:
    """Return what `isthmus index` prints about an index in a folder."""
    return {
        "index": str(folder),
        "n": len(index),
        "kind": index.kind,
        "metric": index.metric,
        "recall_10": index.recall,
    }


def write_search(
    session: Session, query: str, out: Path | None = None, *, k: int = 5, label: str | None = None
) -> list[dict[str, Any]]:
    """Find the samples of the index whose codes are nearest to that of a query, and draw them.

    Parameters
    ----------
    session : Session
    query : str
        The path of an image, or the name of a sample in the index.
    out : Path, optional
        The PNG file; by default nothing is drawn.
    k : int
    label : str, optional
        Search only samples of this class.

    Returns
    -------
    list of dict
        As `SearchResult.matches` returns them.
    """
    if out is not None:
        require_png(out)
    sample = session.read_one(query) if Path(query).is_file() else None
    result = session.search(query if sample is None else sample, k, label=label)
    if out is not None:
        values = None if sample is None else sample.values[0]
        write_png(out, search_picture(session, query, values, result))
    return result.matches()


def write_morph(
    session: Session,
    images: Sequence[str],
    out: Path,
    *,
    steps: int = 7,
    path: str = "linear",
    among: str | None = None,
    start: str | None = None,
    end: str | None = None,
) -> dict[str, Any]:
    """Draw a morph between images, or from one image in the direction between two classes.

    Parameters
    ----------
    session : Session
    images : sequence of str
        Paths: two, four for the corners of a grid, or one together with `among`, `start` and
        `end`.
    out : Path
        A PNG file, or a GIF file for a film.
    steps : int
        Pictures from one end to the other.
    path : str
        "linear" or "spherical".
    among : str, optional
        A labeled source whose classes `start` and `end` give the direction.
    start, end : str, optional
    """
    session.model.require_task("reconstruct")
    is_film = out.suffix.lower() == ".gif"
    if not is_film:
        require_png(out)
    if (among, start, end) == (None, None, None):
        ends = [session.read_one(image) for image in images]
        frames = session.interpolate(ends, steps, path)
        last = ends[-1].values[0]
    elif among is None or start is None or end is None:
        raise OptionError("a direction between classes needs --among, --start and --end.")
    elif len(images) != 1 or path != "linear":
        raise OptionError(
            f"a morph between classes needs 1 image and the path linear, not {len(images)} and "
            f"{path}."
        )
    else:
        ends = [session.read_one(images[0])]
        frames = session.traverse(ends[0], session.read(among), (start, end), steps)
        last = None
    if is_film and len(ends) != 4:
        write_bytes(out, gif(frames))
    else:
        write_png(out, morph_picture(frames, ends[0].values[0], last, len(ends)))
    return {"picture": str(out), "steps": steps, "path": path}


def write_predictions(
    model: TrainedModel, sources: Sequence[Samples], out: Path | None = None
) -> list[dict[str, Any]]:
    """Predict the class of each sample, or of each of its pixels, and draw the first ones.

    Returns
    -------
    list of dict
        As `prediction_rows` returns them.
    """
    model.require_task("classify", "segment")
    if out is not None:
        require_png(out)
    rows = [row for samples in sources for row in prediction_rows(model, samples)]
    if out is not None:
        write_png(out, predictions(model, sources))
    return rows


# -- without samples ----------------------------------------------------------------------------


def write_transposed(
    values: NDArray[np.float64], kernel: NDArray[np.float64], out: Path, *, stride: int = 1
) -> dict[str, Any]:
    """Draw a transposed convolution of a small picture (H, W) with a kernel (K, L).

    Returns
    -------
    dict
        The `result` (H', W') as lists and the path of the `picture`.
    """
    if stride < 1:
        raise OptionError(f"the stride must be at least 1, not {stride}.")
    added = contributions(values, kernel, stride)
    write_png(out, transposed(values, kernel, added))
    return {"picture": str(out), "result": added.sum(0).tolist()}

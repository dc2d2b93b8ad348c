"""Write what commands compute with a model: pictures, tables, codes and indexes.

Each function does the work of one command of the command line and returns what the command prints
with `--json`; `source_outputs` has those of `isthmus data`. Recipes call the same functions, so
that a step of a recipe and the command that `isthmus recipe show` prints for it cannot differ. The
defaults are those of the commands.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.fitting import describe_fitting
from isthmus.data.remote.addresses import name_source
from isthmus.data.samples import Samples
from isthmus.errors import OptionError
from isthmus.evaluation.predictions import prediction_rows
from isthmus.evaluation.tables import TABLES, is_table, require_table, write_table
from isthmus.files import to_json, write_bytes, write_together
from isthmus.inference.model import CODE, Model
from isthmus.latent.codes import encode, require_codes_path
from isthmus.latent.indexing import build_index, update_index
from isthmus.latent.lance.building import MAX_EXACT
from isthmus.latent.lance.dataset import LanceCodes
from isthmus.latent.lance.facts import Facts
from isthmus.latent.lance.index import LanceIndex
from isthmus.latent.lance.library import is_lance
from isthmus.latent.lance.writing import require_lance_path
from isthmus.latent.maps import Map
from isthmus.models.transposed import contributions
from isthmus.places import mark_gif, require_apart, require_own_place
from isthmus.reports.pictures import (
    map_picture,
    morph_picture,
    predictions,
    reconstructions,
    require_map_style,
    search_picture,
)
from isthmus.session import Session
from isthmus.text import to_utf8
from isthmus.viz.canvas import require_png, to_png, write_png
from isthmus.viz.strips import gif
from isthmus.viz.transposed import transposed

MANY = 1_000_000  # codes of a run's index, of 255 MB with names and thumbnails for 32 numbers


def write_reconstructions(
    session: Session, source: str | Path, out: Path, *, limit: int = 10
) -> dict[str, Any]:
    """Draw samples, their codes and their reconstructions, row by row."""
    session.model.require_task("reconstruct")
    require_png(out)
    require_apart(out, source)
    samples = session.read(source, limit)
    write_png(out, reconstructions(session, samples))
    return {"picture": str(out), "samples": len(samples)} | _fitting(samples)


def write_map(
    session: Session,
    source: str | Path | None,
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
    source : str or Path, optional
        By default the samples of the run.
    out : Path
        The PNG file; the CSV file has the same name with another ending.
    method : str
        "pca", "tsne", "umap", or "code" for a code of 2 numbers as it is.
    style : str
        A key of `MAP_STYLES`.
    onto : Path, optional
        The file of a stored map, on which the samples are placed.
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
    table = out.with_suffix(".csv")
    require_png(out)
    require_own_place(table, (".csv",))
    # Loaded first: reading samples takes longer than finding a map of another model.
    base = None if onto is None else Map.load(onto, session.model)
    samples = _read(session, source, limit)
    require_map_style(style, base.method if base else method, samples)
    codes = session.encode(samples, layer)
    if base is not None:
        fitted_map, file = base.with_codes(codes), onto
    else:
        fitted_map, file = session.stored_map(codes, method, seed=seed, max_samples=max_samples)
    picture = to_png(map_picture(fitted_map, style, samples, session.model))
    # A picture cannot be searched or plotted again; the table can.
    write_together({table: to_utf8(fitted_map.to_csv()), out: picture})
    paths = {"picture": str(out), "coordinates": str(table), "map": str(file)}
    return session.map_quality(fitted_map, codes, samples) | paths | _fitting(samples, source)


def write_codes(
    session: Session,
    source: str | Path | None,
    out: Path,
    *,
    layer: str = CODE,
    limit: int | None = None,
    track: Track = untracked,
) -> dict[str, Any]:
    """Write the codes of samples, or the features of another layer, to an .npy file or .lance.

    Parameters
    ----------
    session : Session
    source : str or Path, optional
        By default the samples of the run.
    out : Path
        The .npy file, next to which a .json file has names and labels; or a Lance dataset.
    layer : str
    limit : int, optional
    track : callable
        Shows progress of encoding.
    """
    (require_lance_path if is_lance(out) else require_codes_path)(out)
    require_apart(out, source)
    # Not by `session.encode`, which keeps the codes: those of a whole layer may exceed the memory.
    samples = _read(session, source, limit)
    if is_lance(out):
        facts = LanceCodes.encode(session.model, samples, out, layer, track=track).facts
    else:
        facts = Facts.of(encode(session.model, samples, layer, out=out, track=track))
    return {
        "codes": str(out),
        "n": len(samples),
        "size": facts.size,
        "layer": layer,
        "shape": list(facts.shape),
        "model_fingerprint": facts.model_fingerprint,
        "data_fingerprint": facts.fingerprint,
        **_fitting(samples, source),
    }


def write_index(
    session: Session,
    folder: Path,
    source: str | Path | None = None,
    *,
    metric: str | None = None,
    layer: str | None = None,
    add: bool = False,
    remove: Sequence[str] = (),
    limit: int | None = None,
    say: Callable[[str], None] = lambda text: None,
    track: Track = untracked,
) -> dict[str, Any]:
    """Build the index of a run in a folder, or add samples to it and remove others.

    Parameters
    ----------
    session : Session
    folder : Path
    source : str or Path, optional
        What to index or to add; by default the samples of the run.
    metric : str, optional
        "euclidean" or "cosine"; by default Euclidean.
    layer : str, optional
        By default the code.
    add : bool
        Add the source instead of replacing the index.
    remove : sequence of str
        Names of samples.
    limit : int, optional
        At most as many samples of the source.
    say : callable
        Receives one sentence if the index had to be built again before it was changed, or if it
        is large.
    track : callable
        Shows progress of encoding.

    Returns
    -------
    dict
        The path of the `index`, how many codes it has (`n`), its `kind` ("exact" or "ivf"), its
        `metric` and its measured `recall_10`, None if it is exact.

    Raises
    ------
    OptionError
        If the options contradict each other.
    """
    changes = add or bool(remove)
    if changes and (metric or layer):
        raise OptionError(
            "an index keeps its metric and layer; leave them out, or index the source again."
        )
    # Without --add a source replaces the index, and there would be nothing to remove from.
    if remove and source is not None and not add:
        raise OptionError(f"to put {name_source(source)} into the index as well, give --add.")
    only_removes = remove and source is None
    samples = None if only_removes else _read(session, source, limit)
    if changes:
        index = update_index(
            folder,
            session.model,
            say,
            add=samples,
            remove=remove,
            load=session.load_origin,
            track=track,
        )
    else:
        assert samples is not None
        index = build_index(
            folder,
            session.model,
            samples,
            metric=metric or "euclidean",
            layer=layer or CODE,
            track=track,
        )
    if len(index) > MANY:
        say(
            f"{len(index):,} codes are searched in memory; for many more, let isthmus encode write "
            "them to a .lance dataset, which is searched on disk."
        )
    return {
        "index": str(folder),
        "n": len(index),
        "kind": index.kind,
        "metric": index.metric,
        "recall_10": index.recall,
    }


def write_search(
    session: Session,
    query: str,
    out: Path | None = None,
    *,
    k: int | None = None,
    label: str | None = None,
    codes: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Find the samples of the index whose codes are nearest to that of a query, and draw them.

    Parameters
    ----------
    session : Session
    query : str
        The path of an image, or the name of a sample in the index.
    out : Path, optional
        The PNG file; by default nothing is drawn.
    k : int, optional
        By default 5, or all others if they are fewer.
    label : str, optional
        Search only samples of this class.
    codes : Path, optional
        A Lance dataset of codes to search; by default the index of the run.
    say : callable
        Receives one sentence if the dataset is large and has no index.

    Returns
    -------
    list of dict
        As `SearchResult.matches` returns them.
    """
    if out is not None:
        require_png(out)
        require_apart(out, query)
    # A file is read here, not by the session, because its picture is drawn next to the results.
    sample = session.read_one(query) if Path(query).is_file() else None
    index = None if codes is None else LanceIndex.open(codes, session.model)
    if index is not None and index.kind == "exact" and len(index) > MAX_EXACT:
        say(
            f"{codes} has no index, so all {len(index):,} codes are compared; isthmus index "
            f"{codes} makes one."
        )
    result = session.search(query if sample is None else sample, k, label=label, index=index)
    if out is not None:
        values = None if sample is None else sample.values[0]
        write_png(out, search_picture(query, values, result))
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
        A PNG file, or a GIF file for an animation.
    steps : int
        Pictures from one end to the other.
    path : str
        "linear" or "spherical".
    among : str, optional
        A labeled source whose classes `start` and `end` give the direction.
    start, end : str, optional
    """
    session.model.require_task("reconstruct")  # before images are read
    is_animation = out.suffix.lower() == ".gif"
    require_own_place(out, (".png", ".gif"))
    require_apart(out, *images, among)
    if (among, start, end) == (None, None, None):
        if len(images) == 1:
            raise OptionError(
                "a morph of 1 image needs --among, --start and --end; give these or more images."
            )
        ends = [session.read_one(image) for image in images]
        frames = session.interpolate(ends, steps, path)
        last = ends[-1].values[0]
    elif among is None or start is None or end is None:
        raise OptionError("a morph between classes needs all of --among, --start and --end.")
    elif len(images) != 1 or path != "linear":
        raise OptionError(
            f"a morph between classes needs 1 image and the path linear, not {len(images)} and "
            f"{path}."
        )
    else:
        ends = [session.read_one(images[0])]
        frames = session.traverse(ends[0], session.read(among), (start, end), steps)
        last = None
    if is_animation and len(ends) != 4:
        write_bytes(out, mark_gif(gif(frames)))
    else:
        write_png(out, morph_picture(frames, ends[0].values[0], last, len(ends)))
    return {"picture": str(out), "steps": steps, "path": path}


def write_predictions(
    model: Model, sources: Sequence[Samples], out: Path | None = None
) -> list[dict[str, Any]]:
    """Predict the class of each sample, or of each of its pixels; draw the first, or list all.

    Parameters
    ----------
    model : Model
    sources : sequence of Samples
    out : Path, optional
        A picture (PNG) of the first ones, or a table of all.

    Returns
    -------
    list of dict
        As `prediction_rows` returns them.
    """
    model.require_task("classify", "segment")
    if out is not None:
        require_predictions(out)
        require_apart(out, *(samples.origin.source for samples in sources))
    rows = [row for samples in sources for row in prediction_rows(model, samples)]
    if out is not None and is_table(out):
        write_table(out, model, rows)
    elif out is not None:
        write_png(out, predictions(model, sources))
    return rows


def require_predictions(out: Path) -> None:
    """Reject a path that predictions cannot be written to, by its ending or what is there.

    Raises
    ------
    OptionError
    """
    if is_table(out):
        require_table(out)
    elif out.suffix.lower() == ".png":
        require_png(out)
    else:
        raise OptionError(
            f"{out} does not end in .png, for a picture, or in {', '.join(TABLES)}, for a "
            "table; give a name that does."
        )


def write_transposed(
    values: NDArray[np.float64], kernel: NDArray[np.float64], out: Path, *, stride: int = 1
) -> dict[str, Any]:
    """Draw a transposed convolution of a small picture (H, W) with a kernel (K, L).

    Returns
    -------
    dict
        The `result` (H', W') as lists and the path of the `picture`.
    """
    require_png(out)
    if stride < 1:
        raise OptionError(f"the stride must be at least 1, not {stride}.")
    added = contributions(values, kernel, stride)
    write_png(out, transposed(values, kernel, added))
    return {"picture": str(out), "result": added.sum(0).tolist()}


def describe_model(
    model: str, shape: Sequence[int] | None = None, code_size: int | None = None
) -> dict[str, Any]:
    """Describe a model by its name, or that of a run by the run folder; nothing is trained.

    Parameters
    ----------
    model : str
        A key of `MODELS`, or the path of a run folder.
    shape : sequence of int, optional
        Shape of one sample x, (C, H, W) or (C, L); by default the model's own.
    code_size : int, optional
        By default the model's own.

    Returns
    -------
    dict
        The `config`, the `layers` as `summarize` returns them, and in all layers the `trainable`
        and `not_trainable` parameters, their sum `parameters`, and the multiplications `macs`.

    Raises
    ------
    IsthmusError
        If there is no such model or run, or a run is given with another shape or code size.
    """
    from isthmus.models.config import configure
    from isthmus.models.registry import MODELS, model_row
    from isthmus.models.summary import summarize
    from isthmus.training.run import Run

    if model not in MODELS and Path(model).is_dir():
        if shape is not None or code_size is not None:
            raise OptionError(f"{model} has its shape and code size; leave both options out.")
        model_config = Run.open(model).record.model_config
    else:
        row = model_row(model)
        model_config = configure(
            model,
            shape or row.shape,
            code_size,
            class_names=row.class_names,
            style_names=row.style_names,
        )
    layers = summarize(model_config)
    trainable = sum(layer.trainable for layer in layers)
    frozen = sum(layer.frozen for layer in layers)
    return {
        "config": to_json(model_config),
        "layers": to_json(layers),
        "trainable": trainable,
        "not_trainable": frozen,
        "macs": sum(layer.macs for layer in layers),
        "parameters": trainable + frozen,
    }


def read_source(session: Session, source: str | Path | None, limit: int | None) -> Samples | None:
    """Load a source; None if there is none, where the run's own samples are meant.

    Raises
    ------
    OptionError
        If there is a limit and no source.
    """
    if source is not None:
        return session.read(source, limit)
    if limit is not None:
        raise OptionError("a limit needs a source; name one.")
    return None


def _read(session: Session, source: str | Path | None, limit: int | None) -> Samples:
    """Load a source, or by default the run's own samples."""
    samples = read_source(session, source, limit)
    return session.samples if samples is None else samples


def _fitting(samples: Samples, source: str | Path | None = "") -> dict[str, str]:
    """Return how the images of a source were made to fit; nothing of the run's own samples."""
    text = "" if source is None else describe_fitting(samples)
    return {"fitting": text} if text else {}

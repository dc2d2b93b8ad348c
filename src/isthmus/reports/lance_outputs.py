"""Write what commands make of codes in a Lance dataset: its index, and a map of it.

As in `outputs`, each function does the work of a command and returns what it prints with `--json`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.cluster.placing import place_on_cluster
from isthmus.data.cache import Track, untracked
from isthmus.data.manifest import evenly_spaced
from isthmus.errors import OptionError, require_known
from isthmus.files import fingerprint, write_bytes
from isthmus.inference.model import CODE
from isthmus.latent.codes import Codes
from isthmus.latent.lance.building import MAX_EXACT
from isthmus.latent.lance.dataset import LanceCodes, sampled
from isthmus.latent.lance.index import LanceIndex
from isthmus.latent.lance.opening import open_codes
from isthmus.latent.lance.placing import place_codes
from isthmus.latent.maps import Map, require_method
from isthmus.places import require_own_place
from isthmus.reports.pictures import MAP_STYLES
from isthmus.session import Session
from isthmus.viz.canvas import require_png, to_png
from isthmus.viz.maps import scatter


def write_lance_index(
    path: Path,
    more: Path | None = None,
    *,
    metric: str | None = None,
    add: bool = False,
    remove: Sequence[str] = (),
) -> dict[str, Any]:
    """Build the index of a dataset of codes, or add codes to it and remove others.

    Parameters
    ----------
    path : Path
        Of the dataset.
    more : Path, optional
        Codes to add, an .npy file or a dataset.
    metric : str, optional
        By default Euclidean.
    add : bool
        Whether `more` is to be added.
    remove : sequence of str
        Names of samples.

    Returns
    -------
    dict
        The path of the `index`, how many codes it has (`n`), its `kind` ("exact" or "ivf-pq"), its
        `metric`, `partitions`, `nprobes` and `refine`, its measured `recall_10`, and `reason`, why
        it is of this kind.

    Raises
    ------
    OptionError
        If the options contradict each other.
    """
    if add != (more is not None):
        raise OptionError("codes are added by --add with a file of codes, .npy or .lance.")
    if not (add or remove):
        return _describe(LanceIndex.build(path, metric or "euclidean"))
    if metric is not None:
        raise OptionError("an index keeps its metric; leave it out, or index the codes again.")
    index = LanceIndex.open(path)
    if remove:
        index.remove(remove)
    if more is not None:
        index.add(open_codes(more))
    return _describe(index)


def write_lance_map(
    session: Session,
    path: Path,
    out: Path,
    *,
    method: str = "tsne",
    style: str = "points",
    onto: Path | None = None,
    max_samples: int = 20_000,
    layer: str = CODE,
    seed: int = 0,
    limit: int | None = None,
    on: str | None = None,
    track: Track = untracked,
) -> dict[str, Any]:
    """Draw a map of a random sample of a dataset of codes, and place all others on it.

    The coordinates of all are written as a CSV file, some at a time, and the sample is drawn.

    Parameters
    ----------
    session : Session
    path : Path
        Of the dataset.
    out, method, onto, max_samples, seed
        See `outputs.write_map`.
    style : str
        "points".
    layer : str
        That of the codes.
    limit : int, optional
        Map at most as many codes, spread evenly.
    on : str, optional
        Place them on many machines; see `isthmus.encode_on_cluster`. The map is fitted here.
    track : callable
        Shows progress.

    Returns
    -------
    dict
        As `map_quality` returns it, of the sample, and the paths of `picture`, `coordinates` and
        `map`. On many machines also `resumed`, see `isthmus.place_on_cluster`.
    """
    table = out.with_suffix(".csv")
    require_png(out)
    require_own_place(table, (".csv",))
    _require_points(style, method)
    base = None if onto is None else Map.load(onto, session.model)
    codes = LanceCodes.open(path, session.model)
    if layer not in (CODE, codes.facts.layer):
        raise OptionError(f"the codes in {path} are of layer {codes.facts.layer}, not {layer}.")
    places = evenly_spaced(len(codes), limit)
    chosen = np.sort(sampled(len(places), max_samples, seed))
    sample = _renamed(codes.take(places[chosen]), len(places), seed)
    if base is not None:
        drawn, file = base.with_codes(sample), onto
    else:
        drawn, file = session.stored_map(sample, method, seed=seed, max_samples=max_samples)
    is_fitted = np.zeros(len(places), np.bool_)
    is_fitted[chosen] = drawn.fitted
    placed: dict[str, Any] = {}
    if on is None:
        place_codes(drawn, codes, table, limit=limit, fitted=is_fitted, track=track)
    else:
        placed = place_on_cluster(
            drawn, codes, table, on=on, limit=limit, fitted=is_fitted, track=track
        )
    write_bytes(out, to_png(scatter(drawn)))
    paths = {"picture": str(out), "coordinates": str(table), "map": str(file)}
    return session.map_quality(drawn, sample) | {"n": len(places)} | placed | paths


def describe_lance_index(result: dict[str, Any]) -> str:
    """Say in one line what `write_lance_index` made."""
    text = f"{result['index']}: {result['n']:,} codes, {result['metric']} distance, "
    if result["kind"] == "exact":
        return f"{text}exact search on disk, as {result['reason']}"
    return (
        f"{text}IVF-PQ of {result['partitions']:,} inverted lists with refinement, recall@10 "
        f"{result['recall_10']:.3f}, as {result['reason']}"
    )


def _describe(index: LanceIndex) -> dict[str, Any]:
    facts = index.facts
    few_or_many = "not more" if facts.kind == "exact" else "more"
    return {
        "index": str(index.codes.path),
        "n": len(index),
        "kind": facts.kind,
        "metric": facts.metric,
        "partitions": facts.partitions,
        "nprobes": facts.nprobes,
        "refine": facts.refine,
        "recall_10": facts.recall,
        "reason": f"there were {few_or_many} than {MAX_EXACT:,}",
    }


def _require_points(style: str, method: str) -> None:
    require_method(method)
    require_known("map style", style, MAP_STYLES)
    if style != "points":
        raise OptionError(f"codes of a dataset are drawn as points, not as {style}.")


def _renamed(sample: Codes, count: int, seed: int) -> Codes:
    """Return a sample whose fingerprint is not that of all samples, by which maps are stored."""
    items = sample.items
    # Of the sample itself: the fingerprint of all is not known if a cluster has encoded them, and
    # stays the same when some are removed.
    own = fingerprint(np.ascontiguousarray(sample.z).data, list(items.names), items.label_names())
    name = f"{own}, {len(sample)} of {count} by seed {seed}"
    return replace(sample, items=replace(items, fingerprint=name))

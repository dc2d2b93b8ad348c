"""The option `--on`, and what commands do with it."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.terminal import say, track
from isthmus.errors import OptionError

if TYPE_CHECKING:
    from isthmus.denoising import Denoised
    from isthmus.inference.model import Model
    from isthmus.segmenting import PredictedMasks
    from isthmus.session import Session

On = Annotated[
    str | None,
    typer.Option(
        help="Compute on many machines, by Ray: local starts Ray on this machine, auto joins the "
        "cluster of this machine, and an address another cluster. By default without Ray.",
        metavar="ADDRESS",
        show_default=False,
    ),
]


@contextmanager
def to_be_continued() -> Iterator[None]:
    """At Ctrl-C, say that the same command does the rest, and end."""
    try:
        yield
    except KeyboardInterrupt:
        say("Stopped; the same command does the rest.")
        sys.exit(130)  # 128 + SIGINT, what a shell expects of a command that was interrupted


def encode_on(
    on: str, session: "Session", source: str | None, out: Path, layer: str, limit: int | None
) -> dict[str, Any]:
    """Encode a source on a cluster, and return what `isthmus encode` prints."""
    from isthmus.cluster.encoding import encode_on_cluster

    if source is None:
        raise OptionError("--on needs a source that all machines find; name it after the run.")
    session.require_codes()
    with to_be_continued():
        return encode_on_cluster(
            session.model,
            source,
            out,
            on=on,
            layer=layer,
            limit=limit,
            preprocessing=session.preprocessing,
            reading=session.reading,
            track=track,
            say=say,
        )


def denoise_on(on: str, model: "Model", source: str, out: Path) -> "Denoised":
    """Denoise the pictures of a source on a cluster."""
    from isthmus.cluster.denoising import denoise_on_cluster

    with to_be_continued():
        return denoise_on_cluster(model, source, out, on=on, track=track)


def require_predicted_files(out: Path | None, masks: Path | None) -> None:
    """Reject predictions on a cluster that are not written to a table or to masks.

    Raises
    ------
    OptionError
    """
    from isthmus.evaluation.tables import TABLES, is_table

    if (out is None and masks is None) or (out is not None and not is_table(out)):
        raise OptionError(
            f"--on writes predictions to a table or to masks; give --out a name that ends in "
            f"{', '.join(TABLES)}, or --masks a new folder."
        )


def tabulate_on(
    on: str, model: "Model", sources: Sequence[str], out: Path, limit: int | None
) -> dict[str, Any]:
    """Write a table of predictions on a cluster, and return what `isthmus predict` prints."""
    from isthmus.cluster.predicting import predict_on_cluster

    with to_be_continued():
        return predict_on_cluster(
            model, _require_one(sources), out, on=on, limit=limit, track=track, say=say
        )


def predict_masks_on(
    on: str, model: "Model", sources: Sequence[str], folder: Path, limit: int | None
) -> "PredictedMasks":
    """Write masks on a cluster."""
    from isthmus.cluster.predicting import predict_masks_on_cluster

    with to_be_continued():
        return predict_masks_on_cluster(
            model, _require_one(sources), folder, on=on, limit=limit, track=track
        )


def _require_one(sources: Sequence[str]) -> str:
    if len(sources) != 1:
        raise OptionError(f"--on takes one source, not {len(sources)}; give one at a time.")
    return sources[0]

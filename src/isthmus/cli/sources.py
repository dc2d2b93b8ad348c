"""Commands that look at sources before anything is trained: data preview, data map, data export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.app import Json, Limit, Size, Source, preprocessing
from isthmus.cli.data import data_app
from isthmus.errors import SettingsError
from isthmus.terminal import print_result, track

if TYPE_CHECKING:
    from isthmus.data.samples import Samples

Seed = Annotated[int, typer.Option(help="Decides all that is random.")]
Noise = Annotated[
    list[str] | None,
    typer.Option(help="Noise as isthmus train takes it; may be given repeatedly."),
]


@data_app.command("preview")
def preview_command(
    source: Source,
    corrupt: Noise = None,
    through: Annotated[
        list[Path] | None,
        typer.Option(help="A run whose reconstructions to draw too; may be given repeatedly."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("preview.png"),
    limit: Annotated[int, typer.Option(help="At most so many columns, spread evenly.")] = 10,
    size: Size = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Draw samples of a source, the same under noise, and what runs make of it.

    Example: isthmus data preview mnist --corrupt gaussian:0.1 --corrupt gaussian:0.5
    """
    from isthmus.data.corruption import Corruption
    from isthmus.data.loading import load_as
    from isthmus.figures.drawing import require_png, write_png
    from isthmus.gallery.previews import preview
    from isthmus.trained import Trained

    require_png(out)
    noise = [Corruption.parse(text) for text in corrupt or ()]
    models = [(run.resolve().name, Trained.load(run)) for run in through or ()]
    wanted = models[0][1].preprocessing if models else preprocessing(size, None, None, "white")
    if models and size:
        raise SettingsError("a run decides the size of its images; leave the size out.")
    samples = load_as(source, wanted, limit=limit, track=track)
    write_png(out, preview(samples, noise, models, seed))
    print_result({"picture": str(out), "samples": len(samples)}, f"{out}", as_json)


@data_app.command("map")
def map_command(
    source: Source,
    method: Annotated[str, typer.Option(help="pca, tsne or umap.")] = "pca",
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("map.png"),
    largest: Annotated[
        int, typer.Option(help="Fit on at most so many samples and place the others.")
    ] = 20_000,
    seed: Seed = 0,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Draw samples in two dimensions by their raw values, with no model between.

    Example: isthmus data map digits --out digits.png
    """
    from isthmus.data.loading import load
    from isthmus.gallery.maps import told
    from isthmus.gallery.previews import write_map_of_values

    result = write_map_of_values(
        load(source, limit=limit, track=track),
        out,
        method=method,
        largest=largest,
        seed=seed,
        track=track,
    )
    shares = result.get("explained_variance")
    text = f"{out}: {told(result)}"
    if shares:
        text += f" The axes show {shares[0]:.2%} and {shares[1]:.2%} of the variance."
    print_result(result, text, as_json)


@data_app.command("export")
def export_command(
    source: Annotated[
        str, typer.Argument(help="As isthmus train takes it, or a run folder: the run's own data.")
    ],
    out: Annotated[Path, typer.Option(help="An .npz file, or a folder of pictures to make.")],
    part: Annotated[str | None, typer.Option(help="train, validation or test; else all.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="The sample of this name; may be given repeatedly.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="At most so many of them, spread evenly.")
    ] = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Write samples to a file or as pictures, such as the test part of a run.

    Example: isthmus data export runs/mine --part test --out test.npz
    """
    from isthmus.data.export import export

    samples = _chosen(_read(source, part, limit), tuple(only or ()), count)
    export(samples, out)
    print_result(
        {"out": str(out), "samples": len(samples)}, f"{out}: {samples.describe()}", as_json
    )


def _read(source: str, part: str | None, limit: int | None) -> "Samples":
    """Read a source, or the data of a run, or a part of it."""
    from isthmus.data.loading import load
    from isthmus.data.samples import SPLITS
    from isthmus.training.run import Run

    if part is not None and part not in SPLITS:
        raise SettingsError(f"there is no part {part!r}; there are {', '.join(SPLITS)}.")
    if not (Path(source) / "run.json").is_file():
        samples = load(source, limit=limit, track=track)
        return samples if part is None else _own_part(samples, source, part)
    if limit is not None:
        raise SettingsError("a run has its own data; leave the limit out, or give a count.")
    run = Run.open(source)
    samples = run.samples(track)
    return samples if part is None else samples.take(getattr(run.split(), part))


def _own_part(samples: "Samples", source: str, part: str) -> "Samples":
    """Return a part as the source itself divides its samples."""
    import numpy as np

    from isthmus.data.samples import SPLITS

    if samples.splits is None:
        raise SettingsError(f"{source} has no parts of its own; give a run that divided it.")
    indices = np.flatnonzero(samples.splits == SPLITS.index(part))
    if len(indices) == 0:
        raise SettingsError(f"{source} has no {part} part; choose another.")
    return samples.take(indices)


def _chosen(samples: "Samples", only: tuple[str, ...], count: int | None) -> "Samples":
    """Return the samples of these names, if any are given, and at most so many."""
    import numpy as np

    from isthmus.data.sources import spread

    if count is not None and count < 1:
        raise SettingsError(f"the count must be at least 1, not {count}.")
    places = {name: i for i, name in enumerate(samples.names)} if only else {}
    for name in only:
        if name not in places:
            raise SettingsError(
                f"there is no sample {name!r}; names are such as {samples.names[0]!r}."
            )
    indices = np.array([places[name] for name in only] or range(len(samples)), np.int64)
    return samples.take(indices[spread(len(indices), count)])

"""`isthmus style`: learn to paint like pictures, and paint photographs."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.app import Json, MaxMinutes, Size, Source, app, make_preprocessing
from isthmus.cli.completion import complete_run, complete_source
from isthmus.cli.options import expand_options
from isthmus.cli.sources import MAX_NAMED, describe_unread, list_unread, say_reading
from isthmus.cli.terminal import follow, print_result, say, to_be_continued, track
from isthmus.errors import list_names
from isthmus.text import count_of, printable
from isthmus.training.config import TRAINING

if TYPE_CHECKING:
    from isthmus.styling import Stylized
    from isthmus.training.config import TrainingConfig
    from isthmus.training.styles import Styles

style_app = typer.Typer(
    help="Learn to paint like pictures of your choice, and paint photographs.\n\n"
    "Example: isthmus style train photos/ --styles paintings/ --out runs/bank",
    no_args_is_help=True,
)
app.add_typer(style_app, name="style")

STYLE = {"panel": "Style"}
Bank = Annotated[
    Path,
    typer.Argument(
        help="The run folder that isthmus style train made.", autocompletion=complete_run
    ),
]
Out = Annotated[Path, typer.Option(help="The run folder to create.")]


@dataclass(frozen=True)
class StyleOptions:
    """Options on what is learned.

    Parameters
    ----------
    features : str, optional
        What compares images: random, for filters that need no training; the run of a classifier; or
        a file of VGG-16's weights (.pth or .safetensors), which the papers use. By default random,
        for added styles as for the first ones.
    style_size : int
        Pixels of the shorter side to which larger pictures of styles are reduced; strokes are as
        large as they are then.
    style_weight : float, optional
        How much the style counts, compared with what a photograph shows; by default 5.
    """

    features: str | None = field(default=None, metadata=STYLE)
    style_size: int = field(default=192, metadata=STYLE)
    style_weight: float | None = field(default=None, metadata=STYLE)


@dataclass(frozen=True)
class TrainingOptions:
    """Options on how it is learned.

    Parameters
    ----------
    epochs : int, optional
        Passes over the photographs; by default as many as see about 12,000.
    batch_size : int, optional
        Photographs in a batch; by default 4.
    lr : float, optional
        Highest learning rate of the schedule; by default the model's usual one.
    seed : int
        Seed of all that is random.
    """

    epochs: int | None = field(default=None, metadata=TRAINING)
    batch_size: int | None = field(default=None, metadata=TRAINING)
    lr: float | None = field(default=None, metadata=TRAINING)
    seed: int = field(default=0, metadata=TRAINING)
    max_minutes: MaxMinutes = field(default=None, metadata=TRAINING)

    @property
    def config(self) -> "TrainingConfig":
        """The training config."""
        from isthmus.training.config import TrainingConfig

        return TrainingConfig(
            epochs=self.epochs, batch_size=self.batch_size, lr=self.lr, seed=self.seed
        )


@style_app.command()
@expand_options
def train(
    photos: Source,
    styles: Annotated[
        str,
        typer.Option(
            help="A picture, or a folder or archive of pictures: each is a style, named by its "
            "file."
        ),
    ],
    out: Out,
    style: StyleOptions,
    training: TrainingOptions,
    size: Size = "128",
    limit: Annotated[
        int | None, typer.Option(help="Maximum number of photographs to read; by default all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a style bank: an autoencoder of photographs, and a few layers for each style.

    Photographs of any size can be painted afterwards; --size is that of training.

    Example: isthmus style train photos/ --styles paintings/ --out runs/bank
    """
    from isthmus.data.load import load_with
    from isthmus.training.store import require_free
    from isthmus.training.train import train as start_training

    require_free(out)
    pictures = _read_styles(styles, style)
    samples = load_with(
        photos, make_preprocessing(size, None, False, "white"), limit=limit, track=track
    )
    say_reading(samples)
    started = start_training(
        samples,
        "stylebank",
        out=out,
        styles=pictures,
        config=training.config,
        max_minutes=training.max_minutes,
    )
    follow(started, out, as_json)


@style_app.command()
@expand_options
def add(
    run: Bank,
    styles: Annotated[
        str,
        typer.Argument(
            help="A picture, or a folder or archive of pictures: each is a new style.",
            autocompletion=complete_source,
        ),
    ],
    out: Out,
    style: StyleOptions,
    training: TrainingOptions,
    photos: Annotated[
        str | None,
        typer.Option(help="Photographs to learn on; by default those of the run."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add styles to a style bank, as a new run; nothing else of it changes.

    Only the layers of the new styles are trained, so that the others paint exactly as before.

    Example: isthmus style add runs/bank more/monet.jpg --out runs/bank2
    """
    from isthmus.data.load import load_with
    from isthmus.training.run import Run
    from isthmus.training.store import require_free
    from isthmus.training.train import train as start_training

    require_free(out)
    bank = Run.open(run)
    bank.model().require_task("stylize")
    pictures = _read_styles(styles, style)
    if photos is None:
        samples = bank.samples(track)
    else:
        samples = load_with(photos, bank.record.preprocessing, track=track)
        say_reading(samples)
    started = start_training(
        samples,
        out=out,
        start=bank,
        styles=pictures,
        config=training.config,
        max_minutes=training.max_minutes,
    )
    follow(started, out, as_json)


@style_app.command()
def apply(
    run: Bank,
    source: Annotated[
        str,
        typer.Argument(
            help="A photograph of any size, or a folder or archive of photographs.",
            autocompletion=complete_source,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="The folder to create, in which files keep their names and sizes; for a single "
            "photograph a file, too."
        ),
    ],
    style: Annotated[
        str | None, typer.Option(help="The name of a style; not needed if there is only one.")
    ] = None,
    strength: Annotated[
        float, typer.Option(help="From 0, the photograph as it is, to 1, the style alone.")
    ] = 1.0,
    mix: Annotated[
        str | None,
        typer.Option(
            metavar="<style:share>",
            help="Several styles with their shares and commas between, such as ink:0.3,oil:0.7.",
        ),
    ] = None,
    side: Annotated[
        int | None,
        typer.Option(
            help="The longest side at which to paint: larger photographs are reduced and enlarged "
            "again, which makes strokes larger. By default every pixel is painted."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Paint photographs in a style, or in a mix of styles.

    After Ctrl-C, the same command does the rest.

    Example: isthmus style apply runs/bank photo.jpg --style waves --strength 0.7 --out painted.jpg
    """
    from isthmus.denoising.ledger import STYLIZED, count_done
    from isthmus.inference.load import load_model
    from isthmus.styling import stylize
    from isthmus.styling.shares import parse_mix

    with to_be_continued(lambda: count_done(out, STYLIZED)):
        done = stylize(
            load_model(run),
            source,
            out,
            style,
            mix=None if mix is None else parse_mix(mix),
            strength=strength,
            side=side,
            track=track,
        )
    content: dict[str, Any] = {
        "out": str(out),
        "painted": done.count,
        "shares": done.shares,
        "lost": [asdict(loss) for loss in done.lost],
        **list_unread(done),
    }
    print_result(content, _describe(out, done), as_json)


def _read_styles(source: str, options: StyleOptions) -> "Styles":
    """Read pictures of styles, and say which ones there are."""
    from isthmus.training.styles import StyleSettings, load_styles

    settings = StyleSettings()
    if options.style_weight is not None:
        settings = StyleSettings(style=options.style_weight)
    styles = load_styles(
        source,
        side=options.style_size,
        features=options.features,
        settings=settings,
        track=track,
    )
    for name, reason in styles.skipped:
        say(printable(f"skipped {name}: {reason}"))
    say(printable(f"{count_of(len(styles.names), 'style')}: {list_names(styles.names)}"))
    return styles


def _describe(out: Path, done: "Stylized") -> str:
    from isthmus.styling.shares import describe_shares

    text = printable(f"{out}: {done.count:,} painted, {describe_shares(done.shares)}")
    for loss in done.lost:
        lost = f"lost in {count_of(loss.count, 'file')}, such as {loss.example}: {loss.what}"
        text += "\n" + printable(lost)
    return "\n".join([text, *describe_unread(done, MAX_NAMED)])

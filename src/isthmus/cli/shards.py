"""`isthmus data shard`: any source as WebDataset shards."""

from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli.app import Json, Limit, On, Source
from isthmus.cli.data import data_app
from isthmus.cli.options import expand_options
from isthmus.cli.terminal import print_result, to_be_continued, track
from isthmus.data.reading import Reading
from isthmus.text import count_of, format_bytes


@data_app.command("shard")
@expand_options
def shard_command(
    source: Source,
    out: Annotated[Path, typer.Option(help="The folder of shards to create.")],
    reading: Reading,
    size_mb: Annotated[float, typer.Option(help="Size in megabytes at which a shard ends.")] = 500,
    samples_per_shard: Annotated[
        int, typer.Option(help="Maximum number of samples in a shard.")
    ] = 100_000,
    limit: Limit = None,
    on: On = None,
    as_json: Json = False,
) -> None:
    """Write a source as WebDataset shards, tar files of pictures with their labels next to them.

    Files are copied as they are, and the folder is a source again, with the same samples. With
    --on, after Ctrl-C, the same command does the rest.

    Example: isthmus data shard photos/ --out shards

    Example: isthmus data shard photos/ --out shards --on ray://head:10001
    """
    from isthmus.data.shards import write_shards

    settings: dict[str, Any] = {
        "size_mb": size_mb,
        "samples_per_shard": samples_per_shard,
        "limit": limit,
        "reading": reading,
        "track": track,
    }
    if on is None:
        result = write_shards(source, out, **settings)
    else:
        from isthmus.cluster.sharding import shard_on_cluster

        with to_be_continued():
            result = shard_on_cluster(source, out, on=on, **settings)
    print_result(result, f"{out}: {_describe(result)}", as_json)


def _describe(result: dict[str, Any]) -> str:
    """Return what was written, in a line, and in others what was not."""
    shards, classes = result["shards"], result["class_names"]
    size = format_bytes(sum(shard["bytes"] for shard in shards))
    of_classes = f" of {count_of(len(classes), 'class', 'classes')}" if classes else ""
    text = f"{count_of(result['samples'], 'sample')}{of_classes} in "
    text += f"{count_of(len(shards), 'shard')} of {size} together"
    left_out = [f"\nleft out: {name} ({reason})" for name, reason in result["skipped"]]
    return f"{text}{''.join(left_out)}"

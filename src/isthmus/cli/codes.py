"""`isthmus codes`: what can be done with a file of codes."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.app import Json, app
from isthmus.cli.completion import complete_table
from isthmus.cli.terminal import print_result

codes_app = typer.Typer(
    help="Export codes for vector databases.\n\nExample: isthmus codes export codes.npy --to qdrant"
    " --out vectors/",
    no_args_is_help=True,
)
app.add_typer(codes_app, name="codes")


@codes_app.command("export")
def export_command(
    codes: Annotated[
        Path,
        typer.Argument(
            help="An .npy file or a .lance dataset that isthmus encode wrote.", show_default=False
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="milvus (Parquet files that it imports), qdrant (vectors.npy and payload.jsonl, "
            "which its clients upload), or parquet.",
            autocompletion=complete_table("latent.lance.exporting", "EXPORTERS"),
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder to create.")],
    as_json: Json = False,
) -> None:
    """Write codes with their names, labels and places for a vector database.

    Example: isthmus codes export codes.lance --to milvus --out vectors/
    """
    from isthmus.latent.lance.exporting import export_codes

    result = export_codes(codes, to, out)
    text = f"{out}: {result['n']:,} × {result['size']:,}, {', '.join(result['files'])}"
    print_result(result, text, as_json)

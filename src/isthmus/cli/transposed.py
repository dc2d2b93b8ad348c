"""`isthmus transposed`: a transposed convolution computed on a small example."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.app import Json, app
from isthmus.cli.terminal import print_result
from isthmus.errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_NUMBERS = 16  # numbers in a picture that can still be drawn one by one


@app.command()
def transposed(
    values: Annotated[
        str, typer.Argument(help='The numbers of a small image, row by row, such as "1 2; 3 4".')
    ],
    kernel: Annotated[
        str, typer.Argument(help='The numbers of a kernel, row by row, such as "1 1; 1 1".')
    ],
    stride: Annotated[
        int, typer.Option(help="How many cells the kernel moves from one number to the next.")
    ] = 1,
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("transposed.png"),
    as_json: Json = False,
) -> None:
    """Draw a transposed convolution, with which decoders enlarge images, number by number.

    Example: isthmus transposed "1 2; 3 4" "1 1; 1 1" --stride 2
    """
    from isthmus.reports.outputs import write_transposed

    result = write_transposed(_matrix(values), _matrix(kernel), out, stride=stride)
    rows = "\n".join("  ".join(f"{value:>5g}" for value in row) for row in result["result"])
    print_result(result, f"{rows}\n{out}", as_json)


def _matrix(text: str) -> "NDArray[np.float64]":
    """Parse numbers with spaces between them, and rows with semicolons."""
    import numpy as np

    try:
        matrix = np.array([[float(cell) for cell in row.split()] for row in text.split(";")])
    except ValueError:
        matrix = np.empty(0)
    if matrix.ndim != 2 or not 0 < matrix.size <= MAX_NUMBERS:
        raise OptionError(
            f"{text!r} is not a small matrix; give up to {MAX_NUMBERS} numbers in rows of "
            'one length, such as "1 2; 3 4".'
        )
    return matrix

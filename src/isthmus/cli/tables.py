"""Evaluation results as tables in the terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from isthmus.cli.app import format_number
from isthmus.cli.terminal import out_console
from isthmus.text import count_of, format_epochs, printable

MAX_CONFUSION_CLASSES = 12  # a larger matrix does not fit a terminal of 80 columns
MAX_LISTED_CLASSES, WORST_CLASSES = 30, 10  # of more classes, only the worst are listed
HINT = "--json and isthmus report show all {:,} classes."


def show_evaluation(result: dict[str, Any]) -> None:
    """Print the result of `isthmus.evaluate` as tables.

    Parameters
    ----------
    result : dict
        As `evaluate` returns it.
    """
    tested = count_of(result["test"]["n"], "test image" if "levels" in result else "test sample")
    out_console.print(f"{tested}{_noise_note(result)}", style="bold")
    for table in _tables(result):
        out_console.print(table)
        out_console.print()
    out_console.print(_cost_line(result), highlight=False, soft_wrap=True)


def show_models(descriptions: dict[str, str]) -> None:
    """Print the names of models and what they are.

    Parameters
    ----------
    descriptions : dict of str to str
        By name.
    """
    table = Table(box=None, show_header=False)
    for row in descriptions.items():
        table.add_row(*row)
    out_console.print(table)


def show_layers(model: dict[str, Any]) -> None:
    """Print the layers of a model and their totals.

    Parameters
    ----------
    model : dict
        As `isthmus.reports.outputs.describe_model` returns it.
    """
    table = Table(box=None, header_style="bold")
    for title in ("layer", "kind", "output"):
        table.add_column(title, no_wrap=title != "kind")
    for title in ("parameters", "multiplications"):
        table.add_column(title, justify="right", no_wrap=True)
    for layer in model["layers"]:
        numbers = (f"{layer['trainable'] + layer['frozen']:,}", f"{layer['macs']:,}")
        table.add_row(layer["name"], layer["kind"], " × ".join(map(str, layer["shape"])), *numbers)
    out_console.print(table)
    out_console.print(
        f"\n{model['parameters']:,} parameters, of which {model['trainable']:,} trainable and "
        f"{model['not_trainable']:,} not; {model['macs']:,} multiplications a sample"
    )


def _tables(result: dict[str, Any]) -> Iterable[Table | str]:
    """Yield the tables of a model, by what was measured of it."""
    if "levels" in result:
        return _denoising_tables(result)
    is_reconstruction = "mse" in result["test"]
    return _reconstruction_tables(result) if is_reconstruction else _prediction_tables(result)


def _denoising_tables(result: dict[str, Any]) -> Iterable[Table | str]:
    """Yield a table for each strength of the noise, and how the model compares."""
    from isthmus.evaluation.summaries import (
        compare_denoised,
        denoising_note,
        denoising_verdict,
        noise_title,
    )

    for level in result["levels"]:
        rows = [
            [name, _with_error(row, "psnr", 2), _with_error(row, "ssim", 4)]
            for name, row in compare_denoised({**level, "model": result["model"]})
        ]
        yield make_table([noise_title(level["corrupt"]), "PSNR, dB", "SSIM"], rows)
    yield denoising_verdict(result)
    if result["levels"]:
        yield denoising_note(result)


def _with_error(row: dict[str, Any], metric: str, digits: int) -> str:
    """Return a mean over images with its standard error."""
    value, error = row[metric], row[f"{metric}_error"]
    if value is None:
        return "–"
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def _reconstruction_tables(result: dict[str, Any]) -> Iterable[Table | str]:
    """Yield the tables of an autoencoder: errors, and classes predicted from its codes."""
    from isthmus.evaluation.summaries import (
        compare_reconstructions,
        compare_representations,
        describe_likelihood,
        likelihood_note,
    )

    names = ("mse", "psnr", "ssim", "bce")
    rows = [
        [name, *(format_number(row[one]) for one in names)]
        for name, row in compare_reconstructions(result)
    ]
    yield make_table(["", "squared error", "PSNR, dB", "SSIM", "cross-entropy"], rows)
    if "styles" in result:
        heads = ["style", "content", "style loss", "of the photograph itself"]
        losses = [
            [name, *(format_number(row[one]) for one in ("content", "style", "photograph"))]
            for name, row in result["styles"].items()
        ]
        yield make_table(heads, losses)
        yield (
            f"Means over {result['painted']:,} photographs; a content of 0 is that of the "
            "photograph, a style loss of 0 the texture of the style."
        )
    if "likelihood" in result:
        yield make_table(None, describe_likelihood(result["likelihood"]))
        yield likelihood_note(result["likelihood"])
    if "codes" in result:
        probes = ("knn_4", "logistic")
        accuracies = [
            [title, *(_share(row[one]) for one in probes)]
            for title, row in compare_representations(result)
        ]
        yield make_table(["classes predicted from", "4 nearest", "logistic regression"], accuracies)


def _prediction_tables(result: dict[str, Any]) -> Iterable[Table | str]:
    """Yield the tables of a classifier or segmenter: accuracy over all and by class."""
    from isthmus.evaluation.summaries import compare_predictions

    test, masks = result["test"], "mean_iou" in result["test"]
    accuracy = "pixel accuracy" if masks else "accuracy"
    yield make_table(
        ["", accuracy], [[name, _share(one)] for name, one in compare_predictions(result)]
    )
    more = {
        "mean intersection over union": test.get("mean_iou"),
        "top-5 accuracy": test.get("top_5"),
        "expected calibration error": test.get("ece"),
    }
    others = [[name, _share(value)] for name, value in more.items() if value is not None]
    if not masks:
        others.append(["cross-entropy", format_number(test["cross_entropy"])])
    yield make_table(None, others)
    yield from _class_tables(test["classes"], "iou" if masks else "recall")
    yield _confusion_table(list(test["classes"]), test["confusion"], masks)


def _class_tables(classes: dict[str, Any], quality: str) -> Iterable[Table | str]:
    """Yield a table of the classes, or of the worst ones if there are many."""
    shown = list(classes.items())
    if len(shown) > MAX_LISTED_CLASSES:
        present = [row for row in shown if row[1][quality] is not None]
        shown = sorted(present, key=lambda row: float(row[1][quality]))[:WORST_CLASSES]
    if quality == "iou":
        heads = ["class", "share of pixels", "IoU"]
        rows = [[name, _share(row["share"]), _share(row["iou"])] for name, row in shown]
    else:
        heads = ["class", "samples", "recall", "precision"]
        rows = [
            [name, format_number(row["n"]), _share(row["recall"]), _share(row["precision"])]
            for name, row in shown
        ]
    yield make_table(heads, rows)
    if len(shown) < len(classes):
        yield f"These are the worst {len(shown)}; {HINT.format(len(classes))}"


def _confusion_table(names: Sequence[str], matrix: list[list[int]], masks: bool) -> Table | str:
    """Return the confusion matrix as a table: samples, or shares of each class's pixels."""
    from isthmus.viz.canvas import short_name

    if len(names) > MAX_CONFUSION_CLASSES:
        return f"The confusion matrix is too large for a terminal; {HINT.format(len(names))}"
    # Samples are few enough to count; of millions of pixels only shares are readable.
    rows = []
    for name, counts in zip(names, matrix, strict=True):
        total = max(1, sum(counts)) if masks else 0
        rows.append([short_name(name), *(_cell(count, total) for count in counts)])
    return make_table(["true \\ predicted", *(name[:4] for name in names)], rows, gap=1)


def _cell(count: int, total: int) -> str:
    """Format a cell of a confusion matrix: its share of a total if there is one; no zeros."""
    if not count or not total:
        return f"{count}" if count else "·"
    return f"{count / total:.0%}" if count / total >= 0.005 else "<1%"


def make_table(heads: Sequence[str] | None, rows: Iterable[Sequence[str]], gap: int = 2) -> Table:
    """Arrange texts without markup, the first column to the left, the others to the right.

    Parameters
    ----------
    heads : sequence of str, optional
        The titles of the columns.
    rows : iterable of sequences of str
    gap : int
        Spaces between columns.
    """
    # As `Text`, because names may contain brackets, which Rich would read as markup.
    texts = [[Text(printable(text)) for text in row] for row in rows]
    table = Table(box=None, show_header=heads is not None, header_style="bold", pad_edge=False)
    table.padding = (0, gap, 0, 0)
    for i, head in enumerate(heads or texts[0]):
        table.add_column(Text(printable(str(head))), justify="right" if i else "left")
    for row in texts:
        table.add_row(*row)
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _noise_note(result: dict[str, Any]) -> str:
    is_one = "noise" in result and "levels" not in result
    return f", with the noise {result['noise']['corrupt']}" if is_one else ""


def _cost_line(result: dict[str, Any]) -> str:
    """Describe the size of the model and the cost of its training."""
    model, training = result["model"], result["training"]
    size = format_number(model["code_size"])
    what = f", a code of {size}" if "mse" in result["test"] else f", {size} features"
    noun = "patches" if "levels" in result else "samples"
    return (
        f"{model['name']}, {format_number(model['parameters'])} parameters"
        f"{'' if 'levels' in result else what}; "
        f"{format_epochs(training['epochs'])} in {training['seconds']:.1f} s of training, "
        f"{training['images_per_second']:,.0f} {noun} a second."
    )

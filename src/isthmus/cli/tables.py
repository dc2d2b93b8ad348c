"""Results as tables for people."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from isthmus.cli.app import format_number
from isthmus.cli.terminal import out_console

READ_FROM = {
    "codes": "the codes of this model",
    "pca": "PCA with as many components",
    "pixels": "the raw values",
}
CONFUSED = 12  # classes up to which a confusion matrix fits a terminal
LISTED, WORST = 30, 10  # classes up to which all are listed, and of more the worst
ELSEWHERE = "{} {:,} classes {} in --json and in isthmus report."


def show_evaluation(result: dict[str, Any]) -> None:
    """Print the result of `isthmus.evaluate` as tables.

    Parameters
    ----------
    result : dict
        As `evaluate` returns it.
    """
    out_console.print(f"{result['test']['n']:,} test samples{_noise(result)}", style="bold")
    tables = _reconstructing(result) if "mse" in result["test"] else _answering(result)
    for table in tables:
        out_console.print(table)
        out_console.print()
    out_console.print(_cost(result), highlight=False, soft_wrap=True)


def _reconstructing(result: dict[str, Any]) -> Iterable[Table | str]:
    """Yield the tables about an autoencoder: errors, and classes read from its codes."""
    from isthmus.reports.run import compare_reconstructions

    names = ("mse", "psnr", "ssim", "bce")
    rows = [
        [name, *(format_number(row[one]) for one in names)]
        for name, row in compare_reconstructions(result)
    ]
    yield make_table(["", "squared error", "PSNR, dB", "SSIM", "cross-entropy"], rows)
    if "codes" in result:
        probes = ("knn_4", "logistic")
        read = [
            [title, *(_share(result[name][one]) for one in probes)]
            for name, title in READ_FROM.items()
        ]
        yield make_table(["classes read right from", "4 nearest", "logistic regression"], read)


def _answering(result: dict[str, Any]) -> Iterable[Table | str]:
    """Yield the tables about a classifier or segmenter: right in all, and class by class."""
    from isthmus.reports.run import compare_predictions

    test, masks = result["test"], "mean_iou" in result["test"]
    right = "pixels right" if masks else "right"
    yield make_table(
        ["", right], [[name, _share(one)] for name, one in compare_predictions(result)]
    )
    more = {
        "mean intersection over union": test.get("mean_iou"),
        "among the likeliest five": test.get("top_5"),
        "expected calibration error": test.get("ece"),
    }
    others = [[name, _share(value)] for name, value in more.items() if value is not None]
    if not masks:
        others.append(["cross-entropy", format_number(test["cross_entropy"])])
    yield make_table(None, others)
    yield from _by_class(test["classes"], "iou" if masks else "recall")
    yield _confusion(list(test["classes"]), test["confusion"], masks)


def _by_class(classes: dict[str, Any], quality: str) -> Iterable[Table | str]:
    """Yield a table of the classes, of many the worst."""
    shown = list(classes.items())
    if len(shown) > LISTED:
        present = [row for row in shown if row[1][quality] is not None]
        shown = sorted(present, key=lambda row: float(row[1][quality]))[:WORST]
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
        yield ELSEWHERE.format(f"These are the worst {len(shown)}; all", len(classes), "stand")


def _confusion(names: Sequence[str], matrix: list[list[int]], masks: bool) -> Table | str:
    """Return the confusion matrix as a table: samples, or shares of each class's pixels."""
    from isthmus.viz.canvas import short_name

    if len(names) > CONFUSED:
        return ELSEWHERE.format("The confusion matrix of", len(names), "stands")
    rows = []
    for name, counts in zip(names, matrix, strict=True):
        total = max(1, sum(counts)) if masks else 0
        rows.append([short_name(name), *(_cell(count, total) for count in counts)])
    return make_table(["true \\ predicted", *(name[:4] for name in names)], rows, gap=1)


def _cell(count: int, total: int) -> str:
    """Write a cell of a confusion matrix: its share of a total if there is one, and no zeros."""
    if not count or not total:
        return f"{count}" if count else "·"
    return f"{count / total:.0%}" if count / total >= 0.005 else "<1%"


def make_table(heads: Sequence[str] | None, rows: Iterable[Sequence[str]], gap: int = 2) -> Table:
    """Lay out texts as they are, the first of a row to the left, the others to the right.

    Parameters
    ----------
    heads : sequence of str, optional
        Of the columns.
    rows : iterable of sequences of str
    gap : int
        Spaces between columns.
    """
    texts = [[Text(text) for text in row] for row in rows]
    table = Table(box=None, show_header=heads is not None, header_style="bold", pad_edge=False)
    table.padding = (0, gap, 0, 0)
    for i, head in enumerate(heads or texts[0]):
        table.add_column(Text(str(head)), justify="right" if i else "left")
    for row in texts:
        table.add_row(*row)
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _noise(result: dict[str, Any]) -> str:
    return f", made noisy by {result['noise']['corrupt']}" if "noise" in result else ""


def _cost(result: dict[str, Any]) -> str:
    """Say what the model and its training took."""
    model, training = result["model"], result["training"]
    size = format_number(model["code_size"])
    what = f"a code of {size}" if "mse" in result["test"] else f"{size} features"
    return (
        f"{model['name']}, {format_number(model['parameters'])} parameters, {what}; "
        f"{training['epochs']:g} epochs in {training['seconds']:.1f} s of training, "
        f"{training['images_per_second']:,.0f} samples a second."
    )

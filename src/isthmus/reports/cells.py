"""What notebooks show: one function for each kind of object, which returns HTML.

`isthmus.display.Displayed` calls `render`, and falls back to text where it fails. Nothing here may
take long: of large sets only a few samples are read, of long lists a few rows are shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.errors import IsthmusError
from isthmus.reports.elements import (
    draw_figure,
    draw_legend,
    draw_sample,
    make_cell,
    make_line,
    make_row,
    make_table,
)
from isthmus.viz.canvas import short_name
from isthmus.viz.curves import curves
from isthmus.viz.maps import METHODS, scatter
from isthmus.viz.masks import overlay

if TYPE_CHECKING:
    from isthmus.data.images import Images
    from isthmus.data.report import ReadingReport
    from isthmus.data.samples import Samples
    from isthmus.detection.labels.mislabelled import Mislabelled
    from isthmus.detection.outliers import Outliers
    from isthmus.evaluation.diagnosis.findings import Diagnosis
    from isthmus.inference.trained import TrainedModel
    from isthmus.latent.codes import Codes
    from isthmus.latent.maps import Map
    from isthmus.latent.search_result import SearchResult
    from isthmus.training.run import Run

MAX_SHOWN = 16  # samples; as pictures of pure noise, which compress worst, they take 170 kB
MAX_READ = 512  # pixels across a picture that are read; it is shown much smaller
MAX_QUERIES, MAX_FOUND = 3, 7  # rows of a search result, and pictures in a row
MAX_POINTS = 5_000  # of a map; more take longer to draw than one waits for a cell
MAX_LAYERS, MAX_CODES, MAX_NUMBERS = 60, 5, 8  # rows and columns of tables


def render(shown: object) -> str | None:
    """Return the HTML for an object, or None if there is none for its kind."""
    # By the name of the class: importing the classes would load torch to show some pictures.
    for kind in type(shown).__mro__:
        if kind.__name__ in KINDS:
            return KINDS[kind.__name__](shown)
    return None


def render_samples(samples: "Samples") -> str:
    """Show samples as small pictures with their classes or names; masks lie over them."""
    chosen = evenly_spaced(len(samples), MAX_SHOWN)
    items, pictures, masks = samples.items.take(chosen), [], []
    for row, label, name in zip(chosen.tolist(), items.label_names(), items.names, strict=True):
        value = _thin(samples.values[row])
        if samples.masks is not None:
            masks.append(_thin(samples.masks[row]))
            value = overlay(value, masks[-1])
        alt = f"{label}: {name}" if label else name
        pictures.append(draw_sample(value, label or short_name(name), alt))
    more = _say_shown(len(chosen), len(samples))
    legend = draw_legend(masks, samples.class_names) if masks else ""
    return make_cell(f"{samples!r}{more}", make_row(pictures) + legend)


def render_images(images: "Images") -> str:
    """Show images as small pictures with their names; of pairs, the noisy ones."""
    chosen = evenly_spaced(len(images), MAX_SHOWN)
    pictures = [
        draw_sample(_thin(images.values[row]), short_name(images.names[row]), images.names[row])
        for row in chosen.tolist()
    ]
    return make_cell(f"{images!r}{_say_shown(len(chosen), len(images))}", make_row(pictures))


def render_reading(report: "ReadingReport") -> str:
    """Show what was read as a table, and what was guessed or looks wrong below."""
    rows = [list(row) for row in report.rows()]
    rows += [[note.kind, f"{note.text}. {note.way_out}".strip()] for note in report.notes]
    return make_cell(repr(report), make_table(["", ""], rows, numeric=0))


def render_run(run: "Run") -> str:
    """Show the curves of a run's training, and its figures in a line."""
    from isthmus.training.run import best_epoch

    record, history = run.record, run.history()
    config = record.model_config
    head = f"Run: {run.name}"
    facts = [f"{config.model}{_code_of(config.code_size)}", record.data["description"]]
    if not history:
        return make_cell(head, make_line([*facts, "no whole epoch yet"]))
    last, best = history[-1], best_epoch(history)
    values = [
        f"{name.replace('_', ' ')} {best[name]:.4g}"
        for name in best
        if name.startswith("validation_")
    ]
    facts += [
        f"epoch {last['epoch']:g} of {record.training_config.epochs}",
        f"{last['seconds']:.1f} s of training",
        f"best epoch {best['epoch']:g}: {', '.join(values)}",
    ]
    figure = curves(history, record.training_config.loss or "")
    return make_cell(head, make_line(facts) + draw_figure(figure, f"Loss by epoch; {facts[-1]}"))


def render_diagnosis(diagnosis: "Diagnosis") -> str:
    """Show what looks wrong with a run as a table, and what could not be examined below."""
    head = f"Diagnosis: {diagnosis.run}"
    rows = [[one.code.replace("-", " "), one.text, one.advice] for one in diagnosis.findings]
    table = make_table(["", "what was seen", "what to try"], rows, numeric=0)
    shown = make_line(["nothing looks wrong"]) if diagnosis.is_healthy else table
    return make_cell(head, shown + make_line(list(diagnosis.unexamined)))


def render_model(model: "TrainedModel") -> str:
    """Show the layers of a model with their output shapes and parameters."""
    config, layers = model.config, model.layers
    rows = [
        [
            layer.name,
            layer.kind,
            " × ".join(map(str, layer.shape)),
            f"{layer.trainable + layer.frozen:,}",
            f"{layer.macs:,}",
        ]
        for layer in layers
    ]
    if len(rows) > MAX_LAYERS:
        left_out = f"… {len(rows) - MAX_LAYERS} more"
        half = MAX_LAYERS // 2
        rows[half:-half] = [[left_out, "", "", "", ""]]
    parameters = sum(layer.trainable + layer.frozen for layer in layers)
    macs = sum(layer.macs for layer in layers)
    rows.append(["total", "", "", f"{parameters:,}", f"{macs:,}"])
    shape = " × ".join(map(str, config.shape))
    of = (
        f"patches of {shape}, images of any size"
        if config.task == "denoise"
        else f"samples of {shape}"
    )
    facts = [f"{of}{_code_of(config.code_size)}", f"to {config.task}"]
    header = ["layer", "kind", "output", "parameters", "multiplications"]
    table = make_table(header, rows, numeric=2)
    return make_cell(f"{type(model).__name__}: {config.model}", make_line(facts) + table)


def render_map(fitted_map: "Map") -> str:
    """Show a map as its picture; of very many points, as many as can be drawn in a moment."""
    shown, note = fitted_map, ""
    if len(fitted_map) > MAX_POINTS:
        chosen = evenly_spaced(len(fitted_map), MAX_POINTS)
        shown = replace(
            fitted_map,
            xy=fitted_map.xy[chosen],
            items=fitted_map.items.take(chosen),
            fitted=fitted_map.fitted[chosen],
        )
        note = f", {MAX_POINTS:,} of them, evenly spaced"
    method = METHODS.get(fitted_map.method, fitted_map.method)
    alt = f"{len(fitted_map):,} samples as points in two dimensions by {method}"
    return make_cell(f"{fitted_map!r}{note}", draw_figure(scatter(shown), alt))


def render_codes(codes: "Codes") -> str:
    """Show the first codes as rows of numbers."""
    numbers = min(MAX_NUMBERS, codes.z.shape[1])
    more = [] if numbers == codes.z.shape[1] else ["…"]
    labels = codes.items.take(np.arange(min(MAX_CODES, len(codes)))).label_names()
    rows = [
        [name, label or "", *(f"{value:.3f}" for value in z[:numbers].tolist()), *more]
        for name, label, z in zip(codes.names[:MAX_CODES], labels, codes.z, strict=False)
    ]
    if len(codes) > MAX_CODES:
        rows.append(["…"] + [""] * (len(rows[0]) - 1))
    header = ["name", "class", *map(str, range(numbers)), *more]
    return make_cell(repr(codes), make_table(header, rows, numeric=len(header) - 2))


def render_search_result(result: "SearchResult") -> str:
    """Show what was found as pictures, a row for each query; as a table where there are none."""
    shown = range(min(MAX_QUERIES, len(result)))
    found, queries = result.rows.shape[1], len(result)
    head = (
        f"SearchResult({found:,} nearest of {queries:,} {'query' if queries == 1 else 'queries'})"
    )
    if queries > MAX_QUERIES or found > MAX_FOUND:
        head += f", the nearest {min(found, MAX_FOUND)} of the first {len(shown)}"
    try:
        return make_cell(head, "".join(_found(result, number) for number in shown))
    except IsthmusError as error:  # an index alone knows names only, or a source is gone
        return make_cell(head, _table_of_matches(result, shown) + make_line([str(error)]))


def render_outliers(found: "Outliers") -> str:
    """Show the oddest samples with their scores, and what the scores mean below."""
    places = found.first(MAX_SHOWN)
    values = found.samples.values[found.rows[places]]
    pictures = [
        draw_sample(_thin(value), f"{found.values[place]:.3g}", found.names[place])
        for value, place in zip(values, places.tolist(), strict=True)
    ]
    facts = [f"threshold {found.threshold.value:.4g}"]
    facts.append(f"{100 * found.threshold.false_alarms:.3g}% false alarms asked for")
    return make_cell(repr(found), make_row(pictures) + make_line(facts))


def render_mislabelled(found: "Mislabelled") -> str:
    """Show the most suspicious labels as a table, and how they were found below."""
    rows = [
        [one["name"], one["label"], one["suggested"], f"{100 * one['p_label']:.2f}%"]
        for one in found.suspects(MAX_SHOWN)
    ]
    header = ["name", "label", "suggested", "probability of the label"]
    facts = [f"{100 * found.error_rate:.1f}% of all labels wrong, as estimated"]
    facts.append(f"by {found.classifier}")
    return make_cell(repr(found), make_table(header, rows, numeric=1) + make_line(facts))


KINDS: dict[str, Callable[[Any], str]] = {
    "Samples": render_samples,
    "Images": render_images,
    "ReadingReport": render_reading,
    "Diagnosis": render_diagnosis,
    "Run": render_run,
    "TrainedModel": render_model,
    "Map": render_map,
    "Codes": render_codes,
    "SearchResult": render_search_result,
    "Mislabelled": render_mislabelled,
    "Outliers": render_outliers,
}


def _found(result: "SearchResult", number: int) -> str:
    """Return a row: the query, if its picture is known, and what was found."""
    values, query = result.values(number), result.query_values(number)
    pictures = [] if query is None else [draw_sample(_thin(query), "query", "query")]
    for value, match in zip(values[:MAX_FOUND], result.matches(number), strict=False):
        what = match["label"] or short_name(match["name"])
        caption = f"{what} · {match['distance']:.3g}"
        pictures.append(draw_sample(_thin(value), caption, f"{caption}: {match['name']}"))
    return make_row(pictures)


def _table_of_matches(result: "SearchResult", shown: Sequence[int]) -> str:
    rows = [
        [str(number), match["name"], match["label"] or "", f"{match['distance']:.4g}"]
        for number in shown
        for match in result.matches(number)[:MAX_FOUND]
    ]
    return make_table(["query", "name", "class", "distance"], rows, numeric=1)


def _say_shown(shown: int, count: int) -> str:
    return "" if shown == count else f", {shown} of them, evenly spaced"


def _code_of(size: int) -> str:
    return f", code of {size:,}" if size else ""  # a denoiser has none


def _thin(image: NDArray[Any]) -> NDArray[Any]:
    """Return every n-th pixel of a very large image or mask; signals are left as they are."""
    # Without reading the others: sixteen memory-mapped images of 8,000 × 8,000 are 3 GB.
    is_signal = image.dtype != np.uint8
    step = 1 if is_signal else max(1, min(image.shape[:2]) // MAX_READ)
    return image[::step, ::step] if step > 1 else image

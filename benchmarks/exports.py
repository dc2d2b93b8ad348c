"""Compare exported models with torch: the largest difference by model, and what precision costs.

    python benchmarks/exports.py                       # every row of MODELS, at its own size
    python benchmarks/exports.py --only conv cnn       # some of them
    python benchmarks/exports.py --runs runs/a runs/b  # trained runs, in every precision

Rows have random weights and the batch statistics of the photographs that they are compared on:
agreement does not depend on what a model has learned, but the loss of a precision does.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from isthmus import MODELS, Preprocessing, Run, TrainedModel, configure, export
from isthmus.exporting.checks import stand_in_samples
from isthmus.exporting.precision import PRECISIONS
from isthmus.models.layers import channels_last

BATCH = 32  # whose statistics batch normalization takes


def main() -> None:
    """Print the tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(MODELS))
    parser.add_argument("--runs", nargs="*", type=Path, default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.runs:
            print_precisions(options.runs, Path(folder))
        else:
            print_rows(options.only, Path(folder))


def print_rows(names: list[str], folder: Path) -> None:
    """Print the largest differences of each model's parts."""
    print("| model | input | part | MB | seconds | batches | code | answer | rounded differently |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in names:
        model = make_model(name)
        decoder = ["decoder"] if model.config.task == "reconstruct" else []
        for part in ["whole", "encoder", *decoder]:
            start = time.perf_counter()
            result = export(model, folder / "model.onnx", part=part)
            seconds = time.perf_counter() - start
            checked = result["checked"]
            cells = [
                f"`{name}`",
                " × ".join(map(str, model.config.shape)),
                part,
                f"{result['bytes'] / 1e6:.2f}",
                f"{seconds:.1f}",
                ", ".join(map(str, checked["batches"])),
                *_differences(checked["outputs"]),
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


def print_precisions(runs: list[Path], folder: Path) -> None:
    """Print sizes and qualities of trained models in each precision."""
    print("| run | model | precision | MB | max diff | mean diff | metric | float32 | reduced |")
    print("|---|---|---|---|---|---|---|---|---|")
    for path in runs:
        run = Run.open(path)
        for precision in PRECISIONS:
            result = export(run, folder / "model.onnx", precision=precision)
            measured = result.get("loss", result["checked"])
            answer = [one for one in measured["outputs"].values() if "max" in one][-1]
            cells = [
                path.name,
                f"`{run.record.model_config.model}`",
                precision,
                f"{result['bytes'] / 1e6:.2f}",
                f"{answer['max']:.2g}",
                f"{answer['mean']:.2g}",
                measured.get("metric", ""),
                *(
                    f"{measured[key]:.4f}" if key in measured else ""
                    for key in ("float32", "reduced")
                ),
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


def make_model(name: str) -> TrainedModel:
    """Return a model of a row with random weights, none of them zero."""
    row = MODELS[name]
    torch.manual_seed(0)
    config = configure(name, row.shape, class_names=row.class_names)
    module = config.build()
    model = TrainedModel(config, Preprocessing(), module)
    values = stand_in_samples(model, "", BATCH).inputs
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
        module.train()
        module(model.preprocessing.to_input(torch.from_numpy(values)))
    return TrainedModel(config, Preprocessing(), channels_last(module).eval())


def _differences(outputs: dict[str, Any]) -> list[str]:
    code = outputs.get("code", {}).get("max")
    answers = [one for name, one in outputs.items() if name != "code"]
    largest = [one["max"] for one in answers if "max" in one]
    counts = [f"{one['different']:,} of {one['values']:,}" for one in answers if "different" in one]
    return [
        "" if code is None else f"{code:.1e}",
        f"{largest[0]:.1e}" if largest else "",
        counts[0] if counts else "",
    ]


if __name__ == "__main__":
    main()

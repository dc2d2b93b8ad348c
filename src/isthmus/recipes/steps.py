"""Steps and figures that many recipes have."""

from isthmus.recipes.recipe import Metric, Step

COURSE = "course report"
BLOG = "Chollet, blog.keras.io, 2016"
FEW = "--limit 3000 --epochs 8 --batch-size 32"  # of small images; seconds on one core


def train(source: str, name: str, options: str, quick: str = FEW) -> Step:
    """Train a model into the recipe's folder."""
    return Step(f"train {source} {options} --out {{out}}/{name}", quick)


def evaluate(name: str, options: str = "") -> Step:
    """Measure a run on its test part."""
    return Step(f"evaluate {{out}}/{name} {options}--json", name=name)


def put_aside(name: str, count: int) -> Step:
    """Put test samples of a run aside; quick, at most 300."""
    command = f"data export {{out}}/{name} --split test --count {count} --out {{out}}/test.npz"
    return Step(command, "--count 300" if count > 300 else "")


def rows(out: str, caption: str, *runs: str, corrupt: str = "") -> Step:
    """Draw ten test samples, perhaps under noise, and what runs make of them."""
    noise = f"--corrupt {corrupt} " if corrupt else ""
    through = "".join(f"--through {{out}}/{run} " for run in runs)
    command = f"data preview {{out}}/test.npz {noise}{through}--out {{out}}/{out}.png"
    return Step(command, caption=caption)


def fit_map(name: str, options: str, out: str, caption: str) -> Step:
    """Draw the map of what was put aside, by a run's features."""
    command = f"map {{out}}/{name} {{out}}/test.npz {options} --json --out {{out}}/{out}.png"
    return Step(command, caption=caption, name=out)


def predict(name: str, caption: str, source: str = "test.npz") -> Step:
    """Draw what a run with labels says of what was put aside."""
    command = f"predict {{out}}/{name} {{out}}/{source} --out {{out}}/{name}.png"
    return Step(command, caption=caption)


def error(title: str, place: str, reported: str = "", source: str = "") -> Metric:
    """Return a figure with five decimals."""
    return Metric(title, place, reported, source, "{:.5f}")


def share(title: str, place: str, reported: str = "", source: str = "") -> Metric:
    """Return a figure in per cent."""
    return Metric(title, place, reported, source, "{:.1%}")


def decibels(title: str, place: str, reported: str = "", source: str = "") -> Metric:
    """Return a figure in dB."""
    return Metric(title, place, reported, source, "{:.2f}")

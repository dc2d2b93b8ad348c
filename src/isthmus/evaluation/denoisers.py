"""The evaluation of a denoiser: how much noise it takes out of images that it has not seen."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.corruption import Corruption
from isthmus.data.images import Images
from isthmus.data.manifest import evenly_spaced
from isthmus.errors import OptionError
from isthmus.evaluation.denoising import (
    NOISY,
    NoisyImages,
    Scores,
    compare,
    estimate_deviation,
    extremes,
    filter_methods,
    mean_and_error,
    measure,
    model_method,
    summarize,
    to_x,
    tune,
)
from isthmus.evaluation.results import Key, Result, read_or_compute
from isthmus.evaluation.setup import TEST, held_out
from isthmus.evaluation.strengths import measured_strengths
from isthmus.files import fingerprint
from isthmus.inference.model import Model
from isthmus.training.config import TrainingConfig
from isthmus.training.run import Run

FORMAT = 1  # of kept results; raise it when the same model and images give other numbers
MAX_PIXELS = 2**26  # that are measured; the filters take a second for a million at each strength
MIN_IMAGES = 8  # that are measured however large they are


@dataclass(frozen=True, eq=False)
class DenoisingSetup:
    """A denoiser, and images that it has not seen.

    Parameters
    ----------
    model : Model
    test : tuple of NoisyImages
        The same images at each strength of the noise; empty where no clean images are known.
    images : Images
        Those of `test`.
    tuned_on : tuple of NoisyImages
        Images by which filters are tuned, one for each of `test`; empty if there are none.
    is_own_test : bool
        Whether all is as the run was trained: its own test split and its own noise.
    """

    model: Model
    test: tuple[NoisyImages, ...]
    images: Images
    tuned_on: tuple[NoisyImages, ...]
    is_own_test: bool

    def key(self, **more: Any) -> Key:
        """Return everything that the results depend on but the model, as JSON."""
        return {
            "format": FORMAT,
            "images": self.images.fingerprint,
            "noise": [_key(one) for one in self.test],
            "tuned_on": [[one.images.fingerprint, _key(one)] for one in self.tuned_on],
            **more,
        }


def plan_denoising(
    run: Run,
    own: Images,
    images: Images | None = None,
    corrupt: str | None = None,
    model: Model | None = None,
) -> DenoisingSetup:
    """Choose the images to measure a denoiser on, and their noise.

    Raises
    ------
    OptionError
        If the images may have been trained on, or noise is missing or given for noisy images.
    """
    config, split, model = run.record.training_config, run.split(), model or run.model()
    others = None if images is None else held_out(images, own)
    noise = Corruption.parse(corrupt) if corrupt else config.corruption
    if others is None:
        test, indices = own.take(split.test), split.test
        if not knows_clean(config):
            _reject_noise(run, corrupt)
            return DenoisingSetup(model, (), _some(test, indices)[0], (), True)
    else:
        test, indices = others, np.arange(len(others))
    _check_noise(run, test, noise, corrupt)
    levels = levels_of(test, noise)
    test, indices = _some(test, indices)
    tuning, rows = _tuning_images(run, own, images if others else None, test)
    return DenoisingSetup(
        model,
        tuple(NoisyImages(test, level, indices, config.seed) for level in levels),
        test,
        tuple(NoisyImages(tuning, level, rows, config.seed) for level in levels) if tuning else (),
        others is None and corrupt is None,
    )


def measure_denoiser(
    setup: DenoisingSetup, folder: Path | None = None, track: Track = untracked
) -> Result:
    """Measure a denoiser and the filters at each strength of the noise.

    Parameters
    ----------
    setup : DenoisingSetup
    folder : Path, optional
        Where to read and write the results of the filters; by default they are computed.
    track : callable
        Shows progress.

    Returns
    -------
    dict
        "levels", for each strength of the noise: `corrupt`, the noise, or None for pairs; `noisy`,
        `test` and `baselines` (by filter) with what `summarize` returns, the baselines also with
        what `compare` adds and the `strength` that was chosen; `worst` and `best`, the images of
        least and of most gain. At the top `noisy`, `test` (with the number of images, `n`),
        `baselines` and `noise` are those of the strength in the middle.

        Where no clean images are known, "levels" is empty, and "test" has `n` and means over
        images of standard deviations: `deviation` of the noise, as `estimate_deviation` finds it,
        and `removed` of what was taken out, which is exact.
    """
    if not setup.test:
        return _without_clean(setup, track)
    tuned_on = setup.tuned_on or (None,) * len(setup.test)
    levels = [
        _measure_level(setup, noisy, tuned, folder, track)
        for noisy, tuned in zip(setup.test, tuned_on, strict=True)
    ]
    middle = levels[len(levels) // 2]
    return {
        "test": {"n": len(setup.images), **middle["test"]},
        "noisy": middle["noisy"],
        "baselines": middle["baselines"],
        "noise": {"corrupt": middle["corrupt"]},
        "levels": levels,
    }


def _measure_level(
    setup: DenoisingSetup,
    noisy: NoisyImages,
    tuned: NoisyImages | None,
    folder: Path | None,
    track: Track,
) -> Result:
    name = str(noisy.corruption) if noisy.corruption else "pairs"
    kept = _measure_filters(noisy, tuned, folder, track)
    methods = {"test": model_method(setup.model)}
    scores = measure(noisy, methods, f"Denoising, {name}", track)
    filters = {name: _unpack(values) for name, values in kept["scores"].items()}
    baselines = compare(scores["test"], filters)
    for filter_name, strength in kept["strengths"].items():
        baselines[filter_name]["strength"] = strength
    return {
        "corrupt": str(noisy.corruption) if noisy.corruption else None,
        "noisy": summarize(scores[NOISY]),
        "test": summarize(scores["test"]),
        "baselines": baselines,
        **extremes(noisy, scores["test"], scores[NOISY]),
    }


def _measure_filters(
    noisy: NoisyImages, tuned: NoisyImages | None, folder: Path | None, track: Track
) -> Result:
    """Measure the filters, image by image, unless the folder has their results."""
    key = {
        "format": FORMAT,
        "baseline": "denoising",
        "images": noisy.images.fingerprint,
        "noise": _key(noisy),
        "tuned_on": tuned and [tuned.images.fingerprint, _key(tuned)],
    }

    def compute() -> Result:
        strengths = tune(tuned, track) if tuned is not None else {}
        methods = filter_methods(noisy.deviation, strengths)
        scores = measure(noisy, methods, f"Filtering, {noisy.corruption or 'pairs'}", track)
        return {
            "strengths": strengths,
            "scores": {name: _pack(scores[name]) for name in methods},
        }

    return read_or_compute(folder and folder / f"{fingerprint(key)}.json", key, compute)


def _without_clean(setup: DenoisingSetup, track: Track) -> Result:
    """Say what can be said without clean images."""
    denoise, rows = model_method(setup.model), []
    for image in track(setup.images.values, len(setup.images), "Denoising"):
        x = to_x(image)
        y = denoise(x)
        rows.append((estimate_deviation(x), float((x - y).std())))
    columns = np.array(rows, np.float64).T
    test: Result = {"n": len(setup.images)}
    for name, values in zip(("deviation", "removed"), columns, strict=True):
        test[name], test[f"{name}_error"] = mean_and_error(values)
    return {"test": test, "baselines": {}, "levels": []}


def knows_clean(config: TrainingConfig) -> bool:
    """Return whether the images of a run can be measured, as there are clean ones.

    Also those that were trained on without a look at them: where the noise is added, they are there
    to measure by.
    """
    return not config.no_clean or config.corruption is not None


def levels_of(images: Images, noise: Corruption | None) -> tuple[Corruption | None, ...]:
    """Return the strengths of the noise to add; one, None, for images that are noisy already."""
    return (None,) if images.has_pairs or noise is None else measured_strengths(noise)


def _check_noise(run: Run, test: Images, noise: Corruption | None, corrupt: str | None) -> None:
    name = test.origin.source or "the array"
    if test.has_pairs and corrupt:
        raise OptionError(f"{name} holds noisy images with their clean ones; leave corrupt out.")
    if not test.has_pairs and noise is None:
        raise OptionError(
            f"{name} has no clean images next to noisy ones, and {run.name} was trained without "
            "added noise; say with --corrupt which noise to add, such as gaussian:25/255."
        )


def _reject_noise(run: Run, corrupt: str | None) -> None:
    if corrupt:
        raise OptionError(
            f"the images of {run.name} are noisy already; give a source of clean images to add "
            "noise to."
        )


def _tuning_images(
    run: Run, own: Images, images: Images | None, test: Images
) -> tuple[Images | None, NDArray[np.int64]]:
    """Return images that are not measured on, of the same source where it has any.

    There are none where no image is known to be clean, or where those to measure on are pairs, and
    the others are clean images without their noise: filters are then used as they are.
    """
    if images is not None and images.splits is not None and TEST in images.splits:
        rows = np.flatnonzero(images.splits != TEST)
        if len(rows):
            return images.take(rows), rows
    rows = run.split().validation
    if not knows_clean(run.record.training_config) or (test.has_pairs and not own.has_pairs):
        return None, np.arange(0)
    tuning = own.take(rows)
    if tuning.clean is not None and not test.has_pairs:  # noise is added to what has none
        tuning = replace(tuning, values=tuning.clean, clean=None)
    return tuning, rows


def _some(images: Images, indices: NDArray[np.int64]) -> tuple[Images, NDArray[np.int64]]:
    """Return at most so many images that measuring them takes minutes."""
    mean = images.values.sides.prod(1).mean()
    rows = evenly_spaced(len(images), max(MIN_IMAGES, int(MAX_PIXELS / mean)))
    return (images, indices) if len(rows) == len(images) else (images.take(rows), indices[rows])


def _key(noisy: NoisyImages) -> list[Any]:
    rows = fingerprint(np.ascontiguousarray(noisy.indices).data)
    return [str(noisy.corruption) if noisy.corruption else None, rows, noisy.seed]


def _pack(scores: Scores) -> dict[str, list[float | None]]:
    """Return scores as JSON, in which there is no NaN."""
    return {
        metric: [value if np.isfinite(value) else None for value in values.tolist()]
        for metric, values in scores.items()
    }


def _unpack(scores: dict[str, list[float | None]]) -> Scores:
    return {metric: np.array(values, np.float64) for metric, values in scores.items()}

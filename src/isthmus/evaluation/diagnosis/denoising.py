"""What a denoiser is worth on validation images, compared with doing nothing and with filters."""

from dataclasses import replace

from isthmus.data.images import Images, Ragged
from isthmus.data.manifest import evenly_spaced
from isthmus.evaluation.denoisers import knows_clean, levels_of
from isthmus.evaluation.denoising import (
    NOISY,
    NoisyImages,
    filter_methods,
    measure,
    middle_of,
    model_method,
)
from isthmus.evaluation.diagnosis.facts import DenoisingFacts, Facts
from isthmus.evaluation.diagnosis.findings import Finding
from isthmus.evaluation.diagnosis.remedies import remedy
from isthmus.evaluation.filters import FILTERS
from isthmus.inference.model import Model
from isthmus.training.run import Run

MAX_IMAGES, SIDE = 8, 128  # parts of so many validation images: it stands at the end of a training


def measure_denoising(run: Run, images: Images, model: Model) -> DenoisingFacts | None:
    """Compare a denoiser with filters, at the strength in the middle; None without clean images."""
    config, rows = run.record.training_config, run.split().validation
    if not knows_clean(config):
        return None
    rows = rows[evenly_spaced(len(rows), MAX_IMAGES)]
    parts = _cut(images.take(rows))
    levels = levels_of(parts, config.corruption)
    noisy = NoisyImages(parts, levels[len(levels) // 2], rows, config.seed)
    methods = {"model": model_method(model), **filter_methods(noisy.deviation)}
    psnr = {
        name: float(scores["psnr"].mean()) for name, scores in measure(noisy, methods, "").items()
    }
    best = max(FILTERS, key=lambda name: psnr[name])
    return DenoisingFacts(len(rows), psnr["model"], psnr[NOISY], psnr[best], best)


def check_harm(facts: Facts) -> Finding | None:
    """Find a denoiser whose results are farther from the clean images than its inputs."""
    found = facts.denoising
    if found is None or found.model > found.noisy:
        return None
    return Finding(
        "no-better-than-noise",
        f"The denoiser does harm: on parts of {found.count:,} validation images it reaches "
        f"{found.model:.2f} dB, and the noisy images themselves have {found.noisy:.2f} dB.",
        remedy(facts),
        {"psnr": found.model, "noisy_psnr": found.noisy},
    )


def check_filters(facts: Facts) -> Finding | None:
    """Find a denoiser that is no better than a filter, which needs no training."""
    found = facts.denoising
    if found is None or found.model > found.filter:
        return None
    return Finding(
        "no-better-than-filter",
        f"On parts of {found.count:,} validation images the denoiser reaches {found.model:.2f} dB; "
        f"a filter, {FILTERS[found.name].description}, has {found.filter:.2f} dB without any "
        "training.",
        remedy(facts),
        {"psnr": found.model, "filter_psnr": found.filter},
    )


def _cut(images: Images) -> Images:
    """Return the middle of each image."""
    values = Ragged.of([middle_of(image, SIDE) for image in images.values])
    clean = images.clean and Ragged.of([middle_of(image, SIDE) for image in images.clean])
    return replace(images, values=values, clean=clean)

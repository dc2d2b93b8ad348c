"""How well a style bank paints: by its own losses, next to those of the photograph itself."""

from collections import defaultdict
from typing import Any

import numpy as np
import torch

from isthmus.data.manifest import evenly_spaced
from isthmus.evaluation.reconstructions import model_method, score_reconstructions
from isthmus.evaluation.setup import EvaluationSetup
from isthmus.models.perceptual import Features
from isthmus.models.stylebank import one_style
from isthmus.training.perceptual import content_loss, gram, grams, style_loss

MAX_PAINTED = 64  # test samples, each in all styles

Result = dict[str, Any]


def measure_styles(setup: EvaluationSetup) -> Result:
    """Measure a style bank on test samples.

    Returns
    -------
    dict
        `test`, how well the autoencoder alone rebuilds `n` samples, as `score_reconstructions` has
        it. `styles`, for each its means over `painted` samples of the losses that it was trained
        by, on the features of the run: `content`, 0 where the painting shows what the photograph
        does; `style`, 0 where its texture is the style's; and `photograph`, the style loss of the
        photograph itself.
    """
    count = len(setup.test)
    scores = score_reconstructions(setup.batches(), {"test": model_method(setup.model)})
    painted = evenly_spaced(count, MAX_PAINTED)
    return {
        "test": {"n": count, **scores["test"]},
        "baselines": {},
        "painted": len(painted),
        "features": setup.run.record.styles.features if setup.run.record.styles else "",
        "styles": _measure_each(setup, painted),
    }


def _measure_each(setup: EvaluationSetup, painted: np.ndarray[Any, Any]) -> dict[str, Result]:
    pictures, features = setup.run.styles()
    targets = {
        name: grams(features, torch.from_numpy(picture).movedim(-1, 0)[None] / 255)
        for name, picture in pictures.items()
    }
    sums: dict[str, dict[str, float]] = {name: defaultdict(float) for name in pictures}
    # One at a time: a mean over samples does not depend on how they were divided into batches.
    for x in setup.model.inputs(setup.test.take(painted)):
        for sample in torch.split(x, 1):
            for number, name in enumerate(pictures):
                for loss, value in _losses(setup, features, sample, number, targets[name]).items():
                    sums[name][loss] += value / len(painted)
    return {name: dict(losses) for name, losses in sums.items()}


def _losses(
    setup: EvaluationSetup,
    features: Features,
    x: torch.Tensor,
    number: int,
    target: dict[str, torch.Tensor],
) -> dict[str, float]:
    """Return the losses of one photograph x (1, 3, H, W) in one style."""
    model = setup.model
    with torch.inference_mode():
        shares = one_style(torch.tensor([number]), len(model.config.style_names))
        maps, photo = features(model.activate(model.module(x, shares))), features(x)
        originals = {name: gram(photo[name]) for name in target}
        return {
            "content": float(content_loss(maps, photo, features.content)),
            "style": float(style_loss(maps, target, originals)),
            "photograph": float(style_loss(photo, target, originals)),
        }

"""Known experiments: each a row of steps, with the metrics that the literature reports.

A step renders itself as a command, which `isthmus recipe show` prints, and executes itself by
calling functions, which `isthmus recipe run` does. Both follow from the same fields.
"""

from isthmus.errors import require_known
from isthmus.recipes import (
    clothes,
    denoising,
    digits,
    faces,
    generation,
    oddities,
    photographs,
    signals,
)
from isthmus.recipes.recipe import Metric as Metric
from isthmus.recipes.recipe import Recipe as Recipe
from isthmus.recipes.step import Step as Step

__all__ = ["RECIPES", "Metric", "Recipe", "Step", "recipe_row"]

RECIPES: dict[str, Recipe] = {
    row.name: row
    for row in (
        digits.MNIST_CONV,
        digits.MNIST_DENOISE,
        digits.DIGITS_DENSE,
        digits.DIGITS_PCA,
        oddities.MNIST_OUTLIERS,
        clothes.FASHION_2D,
        faces.FACES_LINEAR,
        faces.FACES_DEEP,
        faces.FACES_DENOISE,
        denoising.BSD_DENOISE,
        faces.FACES_SEARCH,
        faces.FACES_MORPH,
        generation.DIGITS_GENERATE,
        generation.FASHION_GENERATE,
        generation.FACES_GENERATE,
        photographs.PETS_CNN,
        clothes.FASHION_CNN,
        photographs.ALEXNET_ABLATION,
        photographs.STREETS_FCN,
        photographs.VOC_FCN,
        photographs.BIRDS_FCN,
        signals.SIGNALS_1D,
    )
}


def recipe_row(name: str) -> Recipe:
    """Return a row of `RECIPES`, or raise an error that lists the names."""
    require_known("recipe", name, RECIPES)
    return RECIPES[name]

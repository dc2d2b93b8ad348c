"""The known experiments: each a row of commands, with what the literature reports.

`isthmus recipe show` prints the commands of a row and `isthmus recipe run` carries out these very
commands, so that both cannot differ.
"""

from isthmus.errors import OptionError
from isthmus.recipes import clothes, digits, faces, photographs, signals
from isthmus.recipes.recipe import Metric as Metric
from isthmus.recipes.recipe import Recipe as Recipe
from isthmus.recipes.recipe import Step as Step

__all__ = ["RECIPES", "Figure", "Recipe", "Step", "recipe_row"]

RECIPES: dict[str, Recipe] = {
    row.name: row
    for row in (
        digits.MNIST_CONV,
        digits.MNIST_DENOISE,
        digits.DIGITS_DENSE,
        digits.DIGITS_PCA,
        clothes.FASHION_2D,
        faces.FACES_LINEAR,
        faces.FACES_DEEP,
        faces.FACES_DENOISE,
        faces.FACES_SEARCH,
        faces.FACES_MORPH,
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
    """Return the row of `RECIPES`, or say which there are."""
    if name not in RECIPES:
        raise OptionError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]

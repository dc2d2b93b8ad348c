"""The known experiments: each a row of commands, with what the literature reports.

`isthmus recipe show` prints the commands of a row and `isthmus recipe run` carries out these very
commands, so that both cannot differ.
"""

from isthmus.errors import SettingsError
from isthmus.recipes import clothes, digits, faces, photographs, signals
from isthmus.recipes.recipe import Figure, Recipe, Step

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
        photographs.segmenting(
            "streets-fcn",
            "street scenes, pixel by pixel, with 0, 1 and 2 skips",
            "camvid",
            "--epochs 12 --batch-size 8",
            False,
        ),
        photographs.segmenting(
            "voc-fcn", "the same on Pascal VOC 2012", "voc2012", "--batch-size 8", True
        ),
        photographs.segmenting(
            "birds-fcn", "the same on the birds of CUB-200-2011", "cub200", "--batch-size 8", False
        ),
        signals.SIGNALS_1D,
    )
}


def recipe_row(name: str) -> Recipe:
    """Return the row of `RECIPES`, or say which there are."""
    if name not in RECIPES:
        raise SettingsError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]

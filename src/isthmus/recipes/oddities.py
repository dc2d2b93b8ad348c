"""Recipes on what does not belong."""

from isthmus.recipes.recipe import Metric, Recipe
from isthmus.recipes.steps import FindOutliers, Train

RUFF = "Ruff et al., ICML 2018"
AREA = "outliers.measured.{}.auroc"
FORMAT = "{:.3f}"

MNIST_OUTLIERS = Recipe(
    "mnist-outliers",
    "every digit but 8 found by a model that has seen nothing but eights",
    "The common test of novelty detection: a model learns the training images of one class and "
    "judges all test images. 8 is the digit for which most methods do worst, as other digits are "
    "parts of it. The mean of all ten digits is in the benchmarks.",
    (
        Train(
            "mnist",
            normal="8",
            epochs=5,
            out="eights",
            quick={"limit": 3000, "epochs": 4},
        ),
        FindOutliers("eights", k=50, out="outliers.html"),
    ),
    (
        Metric(
            "area under the ROC curve, code and relative error combined",
            AREA.format("scores.combined"),
            "0.939",
            f"{RUFF}, Deep SVDD",
            FORMAT,
        ),
        Metric(
            "… the error of the reconstruction alone",
            AREA.format("scores.error"),
            format=FORMAT,
        ),
        Metric("… the error of PCA", AREA.format("baselines.pca"), format=FORMAT),
        Metric("… raw pixels, nearest neighbors", AREA.format("baselines.pixels"), format=FORMAT),
        Metric("… isolation forest", AREA.format("baselines.forest"), format=FORMAT),
    ),
    needs=("mnist",),
)

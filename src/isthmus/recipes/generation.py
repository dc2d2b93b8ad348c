"""Recipes that generate: digits, clothes and faces that nobody has drawn, sewn or seen."""

from typing import Any

from isthmus.recipes.recipe import Metric, Recipe
from isthmus.recipes.shared import QUICK
from isthmus.recipes.step import Step
from isthmus.recipes.steps import Generate, Train

MEASURED = "samples.measures.rows"  # in the result of the step that writes samples.png
FACES: dict[str, Any] = {"size": 64, "quick": {"limit": 240, "epochs": 5, "batch_size": 8}}


def _samples(**options: Any) -> tuple[Step, ...]:
    """Return the steps that draw samples of both models."""
    return (
        Generate(
            "vae",
            **options,
            out="samples.png",
            caption="Samples of the variational autoencoder, from the mixture.",
        ),
        Generate("vae", sampler="prior", out="prior.png", caption="The same, from the prior."),
        Generate(
            "conv", out="plain.png", caption="Samples of the plain autoencoder, from a mixture."
        ),
        Generate("vae", out="walk.gif", caption="A walk from sample to sample."),
    )


def _measured(name: str, source: str, description: str) -> Recipe:
    """Return a recipe on images with labels, which a classifier judges."""
    return Recipe(
        name,
        description,
        "A mixture of normal distributions is fitted to the codes of the training images, and new "
        "images are decoded from codes that are drawn from it (Ghosh et al. 2020). This works for "
        "any autoencoder, and better than drawing from the prior of a variational one. Distances "
        "are measured in the features of a classifier of our own: they can be compared with each "
        "other, not with published ones.",
        (
            Train(source, model="vae", out="vae", quick=QUICK),
            Train(source, out="conv", quick=QUICK),
            Train(source, task="classify", model="cnn", epochs=2, out="judge", quick=QUICK),
            *_samples(features="judge", plain="conv"),
        ),
        (
            _frechet("Fréchet distance of vae, from the mixture", "mixture"),
            _frechet("… from the prior", "prior"),
            _frechet("… of conv, from a mixture", "plain"),
            _frechet("… of PCA and a normal distribution", "pca"),
            _frechet("… of other test images", "real"),
            Metric("precision of vae, from the mixture", f"{MEASURED}.mixture.precision"),
            Metric("recall", f"{MEASURED}.mixture.recall"),
        ),
        needs=(source,),
    )


def _frechet(title: str, row: str) -> Metric:
    return Metric(title, f"{MEASURED}.{row}.frechet", format="{:.2f}")


DIGITS_GENERATE = _measured(
    "mnist-generate", "mnist", "digits that nobody has written, measured against test images"
)
FASHION_GENERATE = _measured(
    "fashion-generate",
    "fashion-mnist",
    "clothes that nobody has sewn, measured against test images",
)
FACES_GENERATE = Recipe(
    "faces-generate",
    "faces of nobody, by a variational and a plain autoencoder",
    "Faces that are cropped in the same way have an average that is a face, so faces can be drawn "
    "at random. They are as smooth as reconstructions are.",
    (
        Train("lfw", model="vae", code_size=128, out="vae", **FACES),
        Train("lfw", code_size=128, out="conv", **FACES),
        *_samples(),
    ),
    needs=("lfw",),
)

"""Recipes on photographs with labels or masks."""

from pathlib import Path

from isthmus.recipes.recipe import PERCENT, Metric, Recipe, accuracy
from isthmus.recipes.shared import COURSE_REPORT, KERAS_BLOG, TEST_FILE, Options, export_test
from isthmus.recipes.steps import Evaluate, Export, Predict, Train

CATS_DOGS: Options = {"task": "classify", "size": 64, "limit": 4000}
QUICK_PETS: Options = {"limit": 600, "epochs": 10, "size": 32}


PETS_CNN = Recipe(
    "pets-cnn",
    "cats and dogs classified by networks trained from scratch",
    "Convolutional networks on photographs of 64 × 64 pixels, which are shifted, zoomed and "
    "tinted a little in every epoch. Of at most 4,000 photographs, some are held out. The blog "
    "post trains on 2,000, of 150 pixels.",
    (
        Train("cats-dogs", **CATS_DOGS, model="cnn", out="cnn", quick={**QUICK_PETS, "width": 16}),
        Train("cats-dogs", **CATS_DOGS, model="cnn-small", out="cnn-small", quick=QUICK_PETS),
        Evaluate("cnn"),
        Evaluate("cnn-small"),
        export_test("cnn", 24),
        Predict(
            "cnn",
            TEST_FILE,
            out="cnn.png",
            caption="Test photographs with the classes and probabilities that cnn predicts.",
        ),
    ),
    (
        accuracy(
            "accuracy on the test split, cnn",
            "cnn.test.accuracy",
            "79 to 81%, its own network",
            KERAS_BLOG,
        ),
        accuracy("… cnn-small", "cnn-small.test.accuracy"),
        accuracy("… logistic regression on the pixels", "cnn.baselines.pixels.logistic"),
    ),
    needs=("cats-dogs",),
)


ALEXNET: Options = {
    "task": "classify",
    "model": "alexnet",
    "width": 0.25,
    "code_size": 512,
    "size": 64,
    "limit": 4000,
    "epochs": 40,
    "optimizer": "adam",
    "lr": 0.0003,
    "quick": {"limit": 600, "epochs": 10, "size": 32, "width": 0.1, "code_size": 64},
}
NO_DIFFERENCE = "as with response normalization"
ALEXNET_RUNS = {  # run: response normalization, schedule, and what the report finds
    "lrn-constant": (True, "constant", "learns faster than in steps"),
    "lrn-step": (True, "step", "learns slower than at a constant rate"),
    "no-lrn-constant": (False, "constant", NO_DIFFERENCE),
    "no-lrn-step": (False, "step", NO_DIFFERENCE),
}
ALEXNET_ABLATION = Recipe(
    "alexnet-ablation",
    "what AlexNet's response normalization and learning rate in steps are worth",
    "Four AlexNets of a quarter of the width on cats and dogs: with and without response "
    "normalization, with a constant learning rate and with one that falls in steps.",
    (
        *(
            Train("cats-dogs", **ALEXNET, lrn=lrn, schedule=schedule, out=run)
            for run, (lrn, schedule, _) in ALEXNET_RUNS.items()
        ),
        *(Evaluate(run) for run in ALEXNET_RUNS),
    ),
    tuple(
        accuracy(
            f"accuracy on the test split, {run}", f"{run}.test.accuracy", finding, COURSE_REPORT
        )
        for run, (_, _, finding) in ALEXNET_RUNS.items()
    ),
    needs=("cats-dogs",),
)


FCN: Options = {
    "task": "segment",
    "batch_size": 8,
    "quick": {"limit": 80, "epochs": 6, "size": (48, 64), "width": 0.1, "batch_size": 4},
}
VOC_RESULTS = {"fcn32s": "59.4%", "fcn16s": "62.4%", "fcn8s": "62.7%"}
LONG_ET_AL = "Long et al. 2015, part of VOC 2011, VGG-16 of ImageNet"


def compare_fcns(
    name: str,
    description: str,
    source: str,
    *,
    epochs: int | None = None,
    reported: dict[str, str] | None = None,
) -> Recipe:
    """Return the recipe that compares FCNs without, with one and with two skip connections."""
    order = dict.fromkeys(VOC_RESULTS, "32s < 16s < 8s")  # the paper's finding on another data set
    return Recipe(
        name,
        description,
        "Fully convolutional networks predict a class for each pixel. Without skip connections "
        "they predict one for every 32 × 32 pixels and interpolate between; with one and two, "
        "outlines become finer. These networks are narrow and are trained from scratch.",
        (
            *(Train(source, model=model, epochs=epochs, out=model, **FCN) for model in VOC_RESULTS),
            *(Evaluate(model) for model in VOC_RESULTS),
            Export(Path("fcn8s"), split="test", count=3, out="test"),
            *(
                Predict(
                    model,
                    Path("test"),
                    out=f"{model}.png",
                    caption=f"Test images with the masks that {model} predicts.",
                )
                for model in VOC_RESULTS
            ),
        ),
        tuple(
            Metric(
                f"mean intersection over union, {model}",
                f"{model}.test.mean_iou",
                found,
                LONG_ET_AL if reported else "Long et al. 2015, on Pascal VOC",
                PERCENT,
            )
            for model, found in (reported or order).items()
        ),
        needs=(source,),
    )


STREETS_FCN = compare_fcns(
    "streets-fcn",
    "street scenes, pixel by pixel, with 0, 1 and 2 skips",
    "camvid",
    epochs=12,
)


VOC_FCN = compare_fcns(
    "voc-fcn",
    "objects of Pascal VOC 2012, pixel by pixel, with 0, 1 and 2 skips",
    "voc2012",
    reported=VOC_RESULTS,
)


BIRDS_FCN = compare_fcns(
    "birds-fcn",
    "the birds of CUB-200-2011, pixel by pixel, with 0, 1 and 2 skips",
    "cub200",
)

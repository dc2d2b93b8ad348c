"""Recipes on photographs with labels or masks."""

from isthmus.recipes.recipe import Recipe, Step
from isthmus.recipes.steps import BLOG, COURSE, evaluate, predict, put_aside, share, train

PETS = "--task classify --size 64 --limit 4000"
FEW_PETS = "--limit 600 --epochs 10 --size 32"
ALEX = (
    "--task classify --model alexnet --width 0.25 --code-size 512 --size 64 --limit 4000 "
    "--epochs 40 --optimizer adam --lr 0.0003"
)
FEW_ALEX = "--limit 600 --epochs 10 --size 32 --width 0.1 --code-size 64"


PETS_CNN = Recipe(
    "pets-cnn",
    "cats and dogs told apart, from nothing",
    "Convolutional networks on photographs of 64 × 64, moved, zoomed and tinted a little in "
    "every epoch; of at most 4,000, some are held out. The blog post trains on 2,000, at 150 "
    "pixels.",
    (
        train("cats-dogs", "cnn", f"{PETS} --model cnn", f"{FEW_PETS} --width 16"),
        train("cats-dogs", "cnn-small", f"{PETS} --model cnn-small", FEW_PETS),
        evaluate("cnn"),
        evaluate("cnn-small"),
        put_aside("cnn", 24),
        predict("cnn", "Test photographs, what cnn sees in each, and how sure it is."),
    ),
    (
        share(
            "right on the test part, cnn", "cnn.test.accuracy", "79 to 81%, its own network", BLOG
        ),
        share("… cnn-small", "cnn-small.test.accuracy"),
        share("… logistic regression on the pixels", "cnn.baselines.pixels.logistic"),
    ),
    needs=("cats-dogs",),
)


AS_WITH = "as with response normalization"
RUNS = {  # name: options, and what the report finds
    "lrn-constant": ("--lrn --schedule constant", "learns faster than in steps"),
    "lrn-step": ("--lrn --schedule step", "learns slower than at a constant rate"),
    "no-lrn-constant": ("--no-lrn --schedule constant", AS_WITH),
    "no-lrn-step": ("--no-lrn --schedule step", AS_WITH),
}
ALEXNET_ABLATION = Recipe(
    "alexnet-ablation",
    "what AlexNet's response normalization and learning rate in steps are worth",
    "Four AlexNets of a quarter of the width on cats and dogs: with and without response "
    "normalization, at a constant rate and at one that falls in steps.",
    (
        *(
            train("cats-dogs", name, f"{ALEX} {options}", FEW_ALEX)
            for name, (options, _) in RUNS.items()
        ),
        *(evaluate(name) for name in RUNS),
    ),
    tuple(
        share(f"right on the test part, {name}", f"{name}.test.accuracy", found, COURSE)
        for name, (_, found) in RUNS.items()
    ),
    needs=("cats-dogs",),
)


def segmenting(
    name: str, about: str, source: str, options: str = "", *, reported: bool = False
) -> Recipe:
    """Return the recipe that trains FCNs without, with one and with two skips."""
    models = ("fcn32s", "fcn16s", "fcn8s")
    voc = {"fcn32s": "59.4%", "fcn16s": "62.4%", "fcn8s": "62.7%"}
    source_of = "Long et al. 2015, part of VOC 2011, VGG-16 of ImageNet"
    quick = "--limit 80 --epochs 6 --size 48x64 --width 0.1 --batch-size 4"
    options = f"--task segment --batch-size 8{options}"
    return Recipe(
        name,
        about,
        "Fully convolutional networks give each pixel a class. Without skips they decide once for "
        "every 32 × 32 pixels and interpolate between; one and two skips bring back finer "
        "outlines. Ours are slim and start from nothing.",
        (
            *(train(source, model, f"--model {model} {options}", quick) for model in models),
            *(evaluate(model) for model in models),
            Step("data export {out}/fcn8s --split test --count 3 --out {out}/test"),
            *(
                predict(model, f"Test images and what {model} sees in them.", "test")
                for model in models
            ),
        ),
        tuple(
            share(
                f"mean intersection over union, {model}",
                f"{model}.test.mean_iou",
                voc[model] if reported else "32s < 16s < 8s",
                source_of if reported else "Long et al. 2015, on Pascal VOC",
            )
            for model in models
        ),
        needs=(source,),
    )


STREETS_FCN = segmenting(
    "streets-fcn",
    "street scenes, pixel by pixel, with 0, 1 and 2 skips",
    "camvid",
    " --epochs 12",
)


VOC_FCN = segmenting(
    "voc-fcn",
    "objects of Pascal VOC 2012, pixel by pixel, with 0, 1 and 2 skips",
    "voc2012",
    reported=True,
)


BIRDS_FCN = segmenting(
    "birds-fcn", "the birds of CUB-200-2011, pixel by pixel, with 0, 1 and 2 skips", "cub200"
)

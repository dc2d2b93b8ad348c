"""Recipes on Fashion-MNIST."""

from isthmus.recipes.recipe import Metric, Recipe, Step
from isthmus.recipes.steps import COURSE, evaluate, fit_map, predict, put_aside, rows, share, train

FEW_WIDE = "--limit 1000 --epochs 5 --batch-size 16 --size 14"  # its running means need steps
WIDE = "--model conv-bn-2d --batch-size 100 --optimizer adam --lr 0.001 --schedule constant"


TEST = "cross-entropy on the test part, {}"
FASHION_2D = Recipe(
    "fashion-2d",
    "Fashion-MNIST in a code of two numbers: a wide model, ours, and a denoiser",
    "Every piece of clothing becomes a point of the plane, and is drawn again from its two "
    "coordinates alone. The wide model is that of the report; ours is the default of Isthmus.",
    (
        train("fashion-mnist", "conv-bn-2d", f"{WIDE} --epochs 100", FEW_WIDE),
        train("fashion-mnist", "conv", "--code-size 2", FEW_WIDE),
        train(
            "fashion-mnist",
            "denoiser",
            f"{WIDE} --epochs 20 --corrupt gaussian:0.5",
            FEW_WIDE,
        ),
        evaluate("conv-bn-2d"),
        evaluate("conv"),
        evaluate("denoiser", "--plain {out}/conv-bn-2d "),
        put_aside("conv-bn-2d", 500),
        rows(
            "rebuilt",
            "Ten test images, through the wide model and through ours.",
            "conv-bn-2d",
            "conv",
        ),
        rows(
            "denoised",
            "The same under noise of deviation 0.5, through the wide model and its denoiser.",
            "conv-bn-2d",
            "denoiser",
            corrupt="gaussian:0.5",
        ),
        fit_map(
            "conv-bn-2d",
            "--method code",
            "code",
            "Test images at the two numbers of their codes, wide model.",
        ),
        fit_map("conv", "--method code", "code-conv", "The same in the code of ours."),
        fit_map(
            "conv-bn-2d",
            "--layer encoder.4 --method pca",
            "convolution",
            "By what leaves the last convolution of the wide model, by PCA.",
        ),
        Step(
            "data map {out}/test.npz --method pca --json --out {out}/pixels.png",
            caption="By their pixels, by PCA.",
            name="pixels",
        ),
    ),
    (
        Metric(TEST.format("conv-bn-2d"), "conv-bn-2d.test.bce", "0.3296 after 3 hours", COURSE),
        Metric(TEST.format("conv, ours"), "conv.test.bce"),
        Metric(
            "… from noisy images, conv-bn-2d as a denoiser",
            "denoiser.test.bce",
            "0.3440",
            COURSE,
        ),
        Metric("cross-entropy of PCA with 2", "conv-bn-2d.baselines.pca.bce"),
        share("told right by the 10 nearest in the code, conv-bn-2d", "code.knn_10"),
        share("… conv, ours", "code-conv.knn_10"),
        share("… two principal components of the pixels", "pixels.knn_10"),
    ),
    needs=("fashion-mnist",),
)


FASHION_CNN = Recipe(
    "fashion-cnn",
    "clothing sorted by a network of fewer than 100,000 parameters",
    "The list of results kept beside Fashion-MNIST has a convolutional network of that size. "
    "Clothing may be mirrored, so half of it is, others in each epoch.",
    (
        train("fashion-mnist", "cnn-tiny", "--task classify --model cnn-tiny --flip"),
        evaluate("cnn-tiny"),
        put_aside("cnn-tiny", 1_000),
        predict("cnn-tiny", "Test images, what the network sees in each, and how sure it is."),
        fit_map(
            "cnn-tiny",
            "--method tsne --seed 0",
            "map",
            "Test images by the features before the last layer, by t-SNE.",
        ),
    ),
    (
        share(
            "right on the test part",
            "cnn-tiny.test.accuracy",
            "92.5%",
            "the data set's own list",
        ),
        share("… logistic regression on the pixels", "cnn-tiny.baselines.pixels.logistic"),
        Metric(
            "parameters",
            "cnn-tiny.model.parameters",
            "fewer than 100,000",
            "the data set's own list",
            "{:,.0f}",
        ),
    ),
    needs=("fashion-mnist",),
)

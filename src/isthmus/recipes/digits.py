"""Recipes on handwritten digits."""

from isthmus.recipes.recipe import Metric, Recipe, Step
from isthmus.recipes.steps import (
    BLOG,
    COURSE,
    decibels,
    error,
    evaluate,
    fit_map,
    put_aside,
    rows,
    share,
    train,
)

POOL = "--model conv-pool --optimizer adam --schedule constant --loss bce --batch-size 128"
SELU = "--model dense-selu --validation 0.125 --epochs 30 --batch-size 32 --schedule constant"


MNIST_CONV = Recipe(
    "mnist-conv",
    "a small convolutional autoencoder on MNIST, and a map of its codes",
    "A convolutional autoencoder squeezes each digit into 4 × 4 × 8 numbers and draws it "
    "again. It is never told which digit it sees; still, on the map digits of a kind lie "
    "together. Beside it ours, the default of Isthmus, with a code as large.",
    (
        train("mnist", "conv-pool", f"{POOL} --epochs 50"),
        train("mnist", "conv", "--code-size 128"),
        evaluate("conv-pool"),
        evaluate("conv"),
        put_aside("conv-pool", 5_000),
        Step(
            "reconstruct {out}/conv-pool {out}/test.npz --limit 10 --out {out}/rebuilt.png",
            caption="Test digits, their codes and what comes back.",
        ),
        rows("both", "Test digits through this model and through ours.", "conv-pool", "conv"),
        fit_map(
            "conv-pool",
            "--method tsne --seed 0",
            "map",
            "The codes of test digits by t-SNE, which started from PCA and the seed 0.",
        ),
    ),
    (
        Metric("cross-entropy on the test part", "conv-pool.test.bce", "0.094", BLOG),
        Metric("… conv, ours", "conv.test.bce"),
        error("squared error on the test part", "conv-pool.test.mse"),
        error("… conv, ours", "conv.test.mse"),
        error("… PCA with as many numbers", "conv-pool.baselines.pca.mse"),
        share("test digits told right by the 4 nearest codes", "conv-pool.codes.knn_4"),
        share("the same on the map, by the 10 nearest", "map.knn_10"),
    ),
    needs=("mnist",),
)


NOISE = "gaussian:0.5"
MNIST_DENOISE = Recipe(
    "mnist-denoise",
    "an autoencoder fails on noise unless it was trained on noise",
    "The first two models are alike; one was trained on clean digits, the other was given digits "
    "under normal noise of deviation 0.5 and asked for the clean ones. Only the second removes "
    "noise. The third is the second again, by Adadelta, with event files for TensorBoard; the last "
    "is ours.",
    (
        train("mnist", "plain", f"{POOL} --epochs 20"),
        train("mnist", "denoiser", f"{POOL} --epochs 20 --corrupt {NOISE}"),
        train(
            "mnist",
            "adadelta",
            f"{POOL.replace('adam', 'adadelta')} --epochs 20 --corrupt {NOISE} --tensorboard",
        ),
        train("mnist", "conv", f"--code-size 128 --corrupt {NOISE}"),
        evaluate("plain"),
        evaluate("denoiser", "--plain {out}/plain "),
        evaluate("adadelta"),
        evaluate("conv"),
        put_aside("plain", 10),
        rows(
            "clean",
            "Test digits without noise, and what both models make of them.",
            "plain",
            "denoiser",
        ),
        rows(
            "noisy",
            "The same digits under noise, and what each model makes of those.",
            "plain",
            "denoiser",
            "adadelta",
            "conv",
            corrupt=NOISE,
        ),
    ),
    (
        decibels("PSNR in dB of the noisy digits", "denoiser.noisy.psnr"),
        decibels(
            "… through the model trained without noise",
            "denoiser.baselines.plain.psnr",
            "pictures only",
            BLOG,
        ),
        decibels("… through the denoiser", "denoiser.test.psnr", "pictures only", BLOG),
        decibels("… through that by Adadelta", "adadelta.test.psnr"),
        decibels("… through conv, ours", "conv.test.psnr"),
        decibels("… through a median of 3 × 3, twice", "denoiser.baselines.median-twice.psnr"),
        Metric("cross-entropy of the denoiser", "denoiser.test.bce"),
    ),
    needs=("mnist",),
)


DIGITS_DENSE = Recipe(
    "digits-dense",
    "a stacked SELU autoencoder on Kaggle's digits, and the same as a denoiser",
    "The CSV of Kaggle's digit recognizer, an eighth of it to choose by. Layers of 100 and 30 "
    "numbers, SELU and plain gradient descent at a rate of 1.5; then the same as a denoiser, "
    "by Adam, and ours with a code as large.",
    (
        Step(
            "data preview {file} --corrupt gaussian:0.1 --corrupt gaussian:0.2 "
            "--corrupt gaussian:0.5 --out {out}/noise.png",
            caption="What noise of three strengths does to the digits.",
        ),
        train("{file}", "dense", f"{SELU} --optimizer sgd --lr 1.5"),
        train("{file}", "denoiser", f"{SELU} --optimizer adam --lr 0.001 --corrupt gaussian:0.2"),
        train("{file}", "conv", "--validation 0.125 --code-size 30"),
        evaluate("dense"),
        evaluate("conv"),
        evaluate("denoiser", "--plain {out}/dense "),
        put_aside("dense", 1_000),
        rows("rebuilt", "Test digits through this model and through ours.", "dense", "conv"),
        rows(
            "denoised",
            "Under noise, and through both models.",
            "dense",
            "denoiser",
            corrupt="gaussian:0.2",
        ),
        fit_map(
            "dense",
            "--layer decoder.3 --method tsne --seed 0",
            "map",
            "The reconstructions of test digits (before the sigmoid) by t-SNE.",
        ),
    ),
    (
        Metric(
            "cross-entropy on the test part",
            "dense.test.bce",
            "pictures and curves only",
            "tutorial, Keras",
        ),
        Metric("… conv, ours, with a code of 30 too", "conv.test.bce"),
        error("squared error on the test part", "dense.test.mse"),
        error("… conv, ours", "conv.test.mse"),
        error("… PCA with 30", "dense.baselines.pca.mse"),
        Metric("cross-entropy of the denoiser, from noisy digits", "denoiser.test.bce"),
        Metric("… of the model without noise, from the same", "denoiser.baselines.plain.bce"),
    ),
    files=("digit-recognizer/train.csv.gz", "digit-recognizer/train.csv"),
    by_hand="download train.csv of Kaggle's competition digit-recognizer and put it there",
)


AXIS = "share of the variance on the {} axis"
DIGITS_PCA = Recipe(
    "digits-pca",
    "two principal components of scikit-learn's digits",
    "Principal component analysis, the linear relative of autoencoders: the two directions "
    "along which 1,797 digits of 8 × 8 pixels differ most. Pixels are rounded to 0 to 255 here "
    "and go from 0 to 16 there, so the last decimal may differ.",
    (
        Step("data preview digits --out {out}/digits.png", caption="Ten of the digits."),
        Step(
            "data map digits --method pca --json --out {out}/map.png",
            caption="All digits by their first two principal components.",
            name="map",
        ),
    ),
    (
        Metric(AXIS.format("first"), "map.explained_variance.0", "0.1489", COURSE),
        Metric(AXIS.format("second"), "map.explained_variance.1", "0.1362", COURSE),
        share("digits told right by the 10 nearest on the map", "map.knn_10"),
    ),
)

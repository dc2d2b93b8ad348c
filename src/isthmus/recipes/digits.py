"""Recipes on handwritten digits."""

from isthmus.recipes.recipe import Metric, Recipe, accuracy, mse, psnr
from isthmus.recipes.shared import COURSE_REPORT, KERAS_BLOG, QUICK, TEST_FILE, Options, export_test
from isthmus.recipes.step import DataFile
from isthmus.recipes.steps import Evaluate, Map, MapSamples, Preview, Reconstruct, Train

CONV_POOL: Options = {
    "model": "conv-pool",
    "batch_size": 128,
    "optimizer": "adam",
    "schedule": "constant",
    "loss": "bce",
    "quick": QUICK,
}
DENSE_SELU: Options = {
    "model": "dense-selu",
    "epochs": 30,
    "batch_size": 32,
    "schedule": "constant",
    "validation": 0.125,
    "quick": QUICK,
}


MNIST_CONV = Recipe(
    "mnist-conv",
    "a small convolutional autoencoder on MNIST, and a map of its codes",
    "A convolutional autoencoder compresses each digit into a code of 4 × 4 × 8 numbers and "
    "reconstructs the digit from it. It never sees which digit an image shows; still, images of "
    "the same digit lie together on the map of the codes. For comparison, conv, the default model "
    "of Isthmus, has a code of the same size.",
    (
        Train("mnist", **CONV_POOL, epochs=50, out="conv-pool"),
        Train("mnist", code_size=128, out="conv", quick=QUICK),
        Evaluate("conv-pool"),
        Evaluate("conv"),
        export_test("conv-pool", 5_000),
        Reconstruct(
            "conv-pool",
            TEST_FILE,
            limit=10,
            out="reconstructions.png",
            caption="Test digits, their codes and their reconstructions.",
        ),
        Preview(
            TEST_FILE,
            through=("conv-pool", "conv"),
            out="models.png",
            caption="Test digits and their reconstructions by both models.",
        ),
        Map(
            "conv-pool",
            TEST_FILE,
            method="tsne",
            seed=0,
            out="map.png",
            caption="The codes of test digits by t-SNE, started from PCA with the seed 0.",
        ),
    ),
    (
        Metric("cross-entropy on the test split", "conv-pool.test.bce", "0.094", KERAS_BLOG),
        Metric("… conv (our default)", "conv.test.bce"),
        mse("squared error on the test split", "conv-pool.test.mse"),
        mse("… conv (our default)", "conv.test.mse"),
        mse("… PCA with as many components", "conv-pool.baselines.pca.mse"),
        accuracy("accuracy of the 4 nearest neighbors in the code", "conv-pool.codes.knn_4"),
        accuracy("accuracy of the 10 nearest neighbors on the map", "map.knn_10"),
    ),
    needs=("mnist",),
)


NOISE = "gaussian:0.5"
MNIST_DENOISE = Recipe(
    "mnist-denoise",
    "an autoencoder fails on noise unless it was trained on noise",
    "The first two models are the same; one was trained on clean digits, the other on digits with "
    "Gaussian noise of standard deviation 0.5 and the clean digits as targets. Only the second "
    "removes noise. The third is the second trained by Adadelta, with event files for TensorBoard; "
    "the last is conv, the default model of Isthmus.",
    (
        Train("mnist", **CONV_POOL, epochs=20, out="plain"),
        Train("mnist", **CONV_POOL, epochs=20, corrupt=NOISE, out="denoiser"),
        Train(
            "mnist",
            **{**CONV_POOL, "optimizer": "adadelta"},
            epochs=20,
            corrupt=NOISE,
            tensorboard=True,
            out="adadelta",
        ),
        Train("mnist", code_size=128, corrupt=NOISE, out="conv", quick=QUICK),
        Evaluate("plain"),
        Evaluate("denoiser", plain="plain"),
        Evaluate("adadelta"),
        Evaluate("conv"),
        export_test("plain", 10),
        Preview(
            TEST_FILE,
            through=("plain", "denoiser"),
            out="clean.png",
            caption="Test digits without noise, and their reconstructions by both models.",
        ),
        Preview(
            TEST_FILE,
            corrupt=(NOISE,),
            through=("plain", "denoiser", "adadelta", "conv"),
            out="noisy.png",
            caption="The same digits with noise, and their reconstructions by each model.",
        ),
    ),
    (
        psnr("PSNR in dB of the noisy digits", "denoiser.noisy.psnr"),
        psnr(
            "… after the model trained without noise",
            "denoiser.baselines.plain.psnr",
            "pictures only",
            KERAS_BLOG,
        ),
        psnr("… after the denoiser", "denoiser.test.psnr", "pictures only", KERAS_BLOG),
        psnr("… after the denoiser trained by Adadelta", "adadelta.test.psnr"),
        psnr("… after conv (our default)", "conv.test.psnr"),
        psnr("… after a 3 × 3 median filter, twice", "denoiser.baselines.median-twice.psnr"),
        Metric("cross-entropy of the denoiser", "denoiser.test.bce"),
    ),
    needs=("mnist",),
)


KAGGLE_CSV = DataFile(
    ("digit-recognizer/train.csv.gz", "digit-recognizer/train.csv"),
    "download train.csv of Kaggle's competition digit-recognizer and put it there",
)
DIGITS_DENSE = Recipe(
    "digits-dense",
    "a stacked SELU autoencoder on Kaggle's digits, and the same as a denoiser",
    "The CSV file of Kaggle's digit recognizer, of which one eighth is for validation. Layers of "
    "100 and 30 units, SELU, and gradient descent without momentum at a learning rate of 1.5; then "
    "the same model as a denoiser, trained by Adam, and conv, the default model of Isthmus, with a "
    "code of the same size.",
    (
        Preview(
            KAGGLE_CSV,
            corrupt=("gaussian:0.1", "gaussian:0.2", "gaussian:0.5"),
            out="noise.png",
            caption="Digits with noise of three strengths.",
        ),
        Train(KAGGLE_CSV, **DENSE_SELU, optimizer="sgd", lr=1.5, out="dense"),
        Train(
            KAGGLE_CSV,
            **DENSE_SELU,
            optimizer="adam",
            lr=0.001,
            corrupt="gaussian:0.2",
            out="denoiser",
        ),
        Train(KAGGLE_CSV, code_size=30, validation=0.125, out="conv", quick=QUICK),
        Evaluate("dense"),
        Evaluate("conv"),
        Evaluate("denoiser", plain="dense"),
        export_test("dense", 1_000),
        Preview(
            TEST_FILE,
            through=("dense", "conv"),
            out="reconstructions.png",
            caption="Test digits and their reconstructions by dense and conv.",
        ),
        Preview(
            TEST_FILE,
            corrupt=("gaussian:0.2",),
            through=("dense", "denoiser"),
            out="denoised.png",
            caption="With noise, and their reconstructions by dense and its denoiser.",
        ),
        Map(
            "dense",
            TEST_FILE,
            method="tsne",
            layer="decoder.3",
            seed=0,
            out="map.png",
            caption="The reconstructions of test digits (before the sigmoid) by t-SNE.",
        ),
    ),
    (
        Metric(
            "cross-entropy on the test split",
            "dense.test.bce",
            "pictures and curves only",
            "tutorial, Keras",
        ),
        Metric("… conv (our default), code of 30 too", "conv.test.bce"),
        mse("squared error on the test split", "dense.test.mse"),
        mse("… conv (our default)", "conv.test.mse"),
        mse("… PCA with 30 components", "dense.baselines.pca.mse"),
        Metric("cross-entropy of the denoiser, from noisy digits", "denoiser.test.bce"),
        Metric("… of the model without noise, from the same", "denoiser.baselines.plain.bce"),
    ),
    file=KAGGLE_CSV,
)


DIGITS_PCA = Recipe(
    "digits-pca",
    "two principal components of scikit-learn's digits",
    "Principal component analysis is the linear relative of autoencoders. It finds the two "
    "directions along which 1,797 digits of 8 × 8 pixels differ most. Isthmus rounds pixels to 0 "
    "to 255 and the source has 0 to 16, so the last decimal may differ.",
    (
        Preview("digits", out="digits.png", caption="Ten of the digits."),
        MapSamples(
            "digits",
            method="pca",
            out="map.png",
            caption="All digits by their first two principal components.",
        ),
    ),
    (
        Metric(
            "explained variance of the first axis",
            "map.explained_variance.0",
            "0.1489",
            COURSE_REPORT,
        ),
        Metric(
            "explained variance of the second axis",
            "map.explained_variance.1",
            "0.1362",
            COURSE_REPORT,
        ),
        accuracy("accuracy of the 10 nearest neighbors on the map", "map.knn_10"),
    ),
)

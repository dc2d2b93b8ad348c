"""Recipes on Fashion-MNIST."""

from isthmus.recipes.recipe import Metric, Recipe, accuracy
from isthmus.recipes.shared import COURSE_REPORT, QUICK, TEST_FILE, Options, export_test
from isthmus.recipes.steps import Evaluate, Map, MapSamples, Predict, Preview, Train

# Small batches: the running means of batch normalization need many steps to settle, and a quick
# run has few.
QUICK_CONV_BN: Options = {"limit": 1000, "epochs": 5, "batch_size": 16, "size": 14}
CONV_BN: Options = {
    "model": "conv-bn-2d",
    "batch_size": 100,
    "optimizer": "adam",
    "lr": 0.001,
    "schedule": "constant",
    "quick": QUICK_CONV_BN,
}


FASHION_2D = Recipe(
    "fashion-2d",
    "Fashion-MNIST in a code of two numbers: a wide model, conv, and a denoiser",
    "Every piece of clothing becomes a point in the plane and is reconstructed from its two "
    "coordinates alone. The wide model is that of the report; conv is the default model of "
    "Isthmus.",
    (
        Train("fashion-mnist", **CONV_BN, epochs=100, out="conv-bn-2d"),
        Train("fashion-mnist", code_size=2, out="conv", quick=QUICK_CONV_BN),
        Train("fashion-mnist", **CONV_BN, epochs=20, corrupt="gaussian:0.5", out="denoiser"),
        Evaluate("conv-bn-2d"),
        Evaluate("conv"),
        Evaluate("denoiser", plain="conv-bn-2d"),
        export_test("conv-bn-2d", 500),
        Preview(
            TEST_FILE,
            through=("conv-bn-2d", "conv"),
            out="reconstructions.png",
            caption="Ten test images and their reconstructions by the wide model and by conv.",
        ),
        Preview(
            TEST_FILE,
            corrupt=("gaussian:0.5",),
            through=("conv-bn-2d", "denoiser"),
            out="denoised.png",
            caption="The same with noise of standard deviation 0.5, and their reconstructions by "
            "the wide model and by its denoiser.",
        ),
        Map(
            "conv-bn-2d",
            TEST_FILE,
            method="code",
            out="code.png",
            caption="Test images at the two numbers of their codes, wide model.",
        ),
        Map(
            "conv",
            TEST_FILE,
            method="code",
            out="code-conv.png",
            caption="The same in the code of conv.",
        ),
        Map(
            "conv-bn-2d",
            TEST_FILE,
            method="pca",
            layer="encoder.4",
            out="convolution.png",
            caption="By the output of the last convolution of the wide model, by PCA.",
        ),
        MapSamples(TEST_FILE, method="pca", out="pixels.png", caption="By their pixels, by PCA."),
    ),
    (
        Metric(
            "cross-entropy on the test split, conv-bn-2d",
            "conv-bn-2d.test.bce",
            "0.3296 after 3 hours",
            COURSE_REPORT,
        ),
        Metric("… conv (our default)", "conv.test.bce"),
        Metric(
            "… conv-bn-2d as a denoiser, from noisy images",
            "denoiser.test.bce",
            "0.3440",
            COURSE_REPORT,
        ),
        Metric("… PCA with 2 components", "conv-bn-2d.baselines.pca.bce"),
        accuracy("accuracy of the 10 nearest neighbors in the code, conv-bn-2d", "code.knn_10"),
        accuracy("… conv (our default)", "code-conv.knn_10"),
        accuracy("… two principal components of the pixels", "pixels.knn_10"),
    ),
    needs=("fashion-mnist",),
)


FASHION_CNN = Recipe(
    "fashion-cnn",
    "clothing classified by a network of fewer than 100,000 parameters",
    "The benchmark of Fashion-MNIST lists a convolutional network of that size. As mirrored "
    "clothing is still clothing, half of the images are flipped, other ones in every epoch.",
    (
        Train(
            "fashion-mnist",
            task="classify",
            model="cnn-tiny",
            flip=True,
            out="cnn-tiny",
            quick=QUICK,
        ),
        Evaluate("cnn-tiny"),
        export_test("cnn-tiny", 1_000),
        Predict(
            "cnn-tiny",
            TEST_FILE,
            out="cnn-tiny.png",
            caption="Test images with their predicted classes and probabilities.",
        ),
        Map(
            "cnn-tiny",
            TEST_FILE,
            method="tsne",
            seed=0,
            out="map.png",
            caption="Test images by the features before the last layer, by t-SNE.",
        ),
    ),
    (
        accuracy(
            "accuracy on the test split",
            "cnn-tiny.test.accuracy",
            "92.5%",
            "the data set's own list",
        ),
        accuracy("… logistic regression on the pixels", "cnn-tiny.baselines.pixels.logistic"),
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

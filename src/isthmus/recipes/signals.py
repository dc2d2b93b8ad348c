"""Recipes on one-dimensional signals."""

from isthmus.recipes.recipe import Recipe, accuracy, mse
from isthmus.recipes.shared import COURSE_REPORT, TEST_FILE, Options, export_test
from isthmus.recipes.steps import Evaluate, Map, Preview, Train

NOISE = "gaussian-unclipped:0.2"
CONV1D_OPTIONS: Options = {"code_size": 16, "epochs": 60, "quick": {"limit": 1000, "epochs": 6}}
SIGNALS_1D = Recipe(
    "signals-1d",
    "waveforms reconstructed, denoised and mapped by a one-dimensional autoencoder",
    "A generator makes waves of four shapes, single and double: sine, triangle, square and "
    "sawtooth, of 128 steps each. The model compresses each wave into 16 numbers; its denoiser was "
    "trained on waves with noise. Waves with similar codes begin in the same way and have the same "
    "period more often than the same shape, and the map shows that too.",
    (
        Preview("waveforms", limit=8, out="waveforms.png", caption="Eight of the waveforms."),
        Train("waveforms", **CONV1D_OPTIONS, out="conv1d"),
        Train("waveforms", **CONV1D_OPTIONS, corrupt=NOISE, out="denoiser"),
        Evaluate("conv1d"),
        Evaluate("denoiser", plain="conv1d"),
        export_test("conv1d", 400),
        Preview(
            TEST_FILE,
            through=("conv1d",),
            out="reconstructions.png",
            caption="Test waveforms and their reconstructions.",
        ),
        Preview(
            TEST_FILE,
            corrupt=(NOISE,),
            through=("conv1d", "denoiser"),
            out="denoised.png",
            caption="With noise, and their reconstructions by both models.",
        ),
        Map(
            "conv1d",
            TEST_FILE,
            method="tsne",
            seed=0,
            out="map.png",
            caption="The codes of test waveforms by t-SNE.",
        ),
    ),
    (
        mse("squared error on the test split", "conv1d.test.mse", "pictures only", COURSE_REPORT),
        mse("… PCA with 16 components", "conv1d.baselines.pca.mse"),
        mse("squared error of the noisy waveforms", "denoiser.noisy.mse"),
        mse("… after the denoiser", "denoiser.test.mse", "pictures only", COURSE_REPORT),
        accuracy("accuracy of the 4 nearest neighbors in the code", "conv1d.codes.knn_4"),
    ),
    needs=("waveforms",),
)

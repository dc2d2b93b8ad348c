"""Recipes on one-dimensional signals."""

from isthmus.recipes.recipe import Recipe, Step
from isthmus.recipes.steps import COURSE, error, evaluate, fit_map, put_aside, rows, share, train

NOISE = "gaussian-unclipped:0.2"
FEW = "--limit 1000 --epochs 6"
SIGNALS_1D = Recipe(
    "signals-1d",
    "waveforms rebuilt, cleaned and mapped by a one-dimensional autoencoder",
    "Four shapes, single and double, made by a generator: sine, triangle, square and sawtooth "
    "waves of 128 steps. The model squeezes each into 16 numbers; its denoiser was given them "
    "under noise. Codes that are near belong to waves that begin alike and repeat as often, sooner "
    "than to waves of one shape, and so it is on the map.",
    (
        Step(
            "data preview waveforms --limit 8 --out {out}/waveforms.png",
            caption="Eight of the waveforms.",
        ),
        train("waveforms", "conv1d", "--code-size 16 --epochs 60", FEW),
        train("waveforms", "denoiser", f"--code-size 16 --epochs 60 --corrupt {NOISE}", FEW),
        evaluate("conv1d"),
        evaluate("denoiser", "--plain {out}/conv1d "),
        put_aside("conv1d", 400),
        rows("rebuilt", "Test waveforms and what comes back.", "conv1d"),
        rows(
            "denoised",
            "Under noise, and through both models.",
            "conv1d",
            "denoiser",
            corrupt=NOISE,
        ),
        fit_map("conv1d", "--method tsne --seed 0", "map", "The codes of test waveforms by t-SNE."),
    ),
    (
        error("squared error on the test part", "conv1d.test.mse", "pictures only", COURSE),
        error("squared error of PCA with 16", "conv1d.baselines.pca.mse"),
        error("squared error of the noisy waveforms", "denoiser.noisy.mse"),
        error("… through the denoiser", "denoiser.test.mse", "pictures only", COURSE),
        share("classes told right by the 4 nearest codes", "conv1d.codes.knn_4"),
    ),
    needs=("waveforms",),
)

"""Recipes on Labeled Faces in the Wild."""

from isthmus.recipes.recipe import Recipe, mse
from isthmus.recipes.shared import COURSE_REPORT, TEST_FILE, Options, export_test
from isthmus.recipes.steps import (
    BuildIndex,
    Evaluate,
    Export,
    Morph,
    Preview,
    Search,
    Train,
    Transposed,
)

QUICK_FACES: Options = {"limit": 240, "epochs": 5, "batch_size": 8}
ADAMAX: Options = {
    "epochs": 25,
    "batch_size": 32,
    "optimizer": "adamax",
    "schedule": "constant",
    "quick": QUICK_FACES,
}
LINEAR: Options = {"model": "linear", "code_size": 32, **ADAMAX}
DEEP: Options = {"model": "conv-transpose", **ADAMAX}


FACES_LINEAR = Recipe(
    "faces-linear",
    "a linear autoencoder on faces does what PCA does",
    "With one matrix for encoding, one for decoding and the squared error, an autoencoder can "
    "learn nothing better than the plane of PCA. The code has 32 numbers, the faces 32 × 32 "
    "pixels. With a constant learning rate training stops a little short of the optimum; with one "
    "that falls to zero, the default of Isthmus, it comes closer.",
    (
        Train("lfw", **LINEAR, out="linear"),
        Train("lfw", model="linear", code_size=32, out="adamw", quick=QUICK_FACES),
        Evaluate("linear"),
        Evaluate("adamw"),
        export_test("linear", 10),
        Preview(
            TEST_FILE,
            through=("linear", "adamw"),
            out="reconstructions.png",
            caption="Test faces and their reconstructions from 32 numbers.",
        ),
    ),
    (
        mse("squared error on the test split", "linear.test.mse", "as PCA", COURSE_REPORT),
        mse("… trained with our defaults", "adamw.test.mse"),
        mse("… PCA with 32 components", "linear.baselines.pca.mse"),
        mse("… the mean face", "linear.baselines.mean.mse"),
    ),
    needs=("lfw",),
)


CODE_SIZES = (1, 8, 32, 128, 512)
RUNS_BY_SIZE = tuple(f"code-{size}" for size in CODE_SIZES)
REPORTED_BY_SIZE = {32: ("aims at 0.0056 in an hour", "course exercise, Keras")}
FACES_DEEP = Recipe(
    "faces-deep",
    "a deep autoencoder on faces, codes from 1 to 512, and how its decoder grows pictures",
    "Convolutions and max pooling lead down to the code, transposed convolutions up again. The "
    "more numbers the code has, the more of a face is reconstructed. A transposed convolution "
    "multiplies the kernel by each number of its input and adds the products up, shifted by the "
    "stride.",
    (
        Transposed(
            ((1, 2), (3, 4)),
            ((1, 1), (1, 1)),
            stride=2,
            out="apart.png",
            caption="A kernel of 2 × 2 and a stride of 2: the products lie side by side.",
        ),
        Transposed(
            ((1, 2), (3, 4)),
            ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
            stride=2,
            out="over.png",
            caption="A kernel of 3 × 3: the products overlap, and are added where they do.",
        ),
        *(Train("lfw", **DEEP, code_size=size, out=f"code-{size}") for size in CODE_SIZES),
        Train("lfw", **LINEAR, out="linear"),
        Train("lfw", code_size=32, out="conv", quick=QUICK_FACES),
        *(Evaluate(run) for run in (*RUNS_BY_SIZE, "linear", "conv")),
        export_test("code-32", 10),
        Preview(
            TEST_FILE,
            through=RUNS_BY_SIZE,
            out="reconstructions.png",
            caption="Test faces and their reconstructions from codes of 1 to 512 numbers.",
        ),
        Preview(
            TEST_FILE,
            through=("linear", "code-32", "conv"),
            out="models.png",
            caption="From 32 numbers: the linear model, this model, and conv.",
        ),
    ),
    (
        *(
            mse(
                f"squared error on the test split, code of {size}",
                f"code-{size}.test.mse",
                *REPORTED_BY_SIZE.get(size, ()),
            )
            for size in CODE_SIZES
        ),
        mse("… linear, code of 32", "linear.test.mse", "as PCA", COURSE_REPORT),
        mse("… PCA with 32 components", "linear.baselines.pca.mse"),
        mse("… conv (our default), code of 32", "conv.test.mse"),
    ),
    needs=("lfw",),
)


FACES_DENOISE = Recipe(
    "faces-denoise",
    "a denoiser of faces, with a code of 512",
    "Gaussian noise of standard deviation 0.1, other noise in every epoch. With a code as large "
    "as 512 a model could almost copy its input; the noise prevents that.",
    (
        Preview(
            "lfw",
            corrupt=("gaussian:0.01", "gaussian:0.1", "gaussian:0.5"),
            out="noise.png",
            caption="Faces with noise of three strengths.",
        ),
        Train("lfw", **DEEP, code_size=512, out="plain"),
        Train("lfw", **DEEP, code_size=512, corrupt="gaussian:0.1", out="denoiser"),
        Train("lfw", code_size=512, corrupt="gaussian:0.1", out="conv", quick=QUICK_FACES),
        Evaluate("denoiser", plain="plain"),
        Evaluate("conv"),
        export_test("denoiser", 10),
        Preview(
            TEST_FILE,
            corrupt=("gaussian:0.1",),
            through=("plain", "denoiser", "conv"),
            out="denoised.png",
            caption="Test faces with noise of 0.1, and their reconstructions by the model trained "
            "without noise, by the denoiser, and by conv trained with noise.",
        ),
    ),
    (
        mse("squared error of the noisy faces", "denoiser.noisy.mse"),
        mse("… after the denoiser", "denoiser.test.mse", "pictures only", COURSE_REPORT),
        mse("… after the same model trained without noise", "denoiser.baselines.plain.mse"),
        mse("… after conv (our default) trained with noise", "conv.test.mse"),
    ),
    needs=("lfw",),
)


# Every 16th face: samples are spread evenly, and these hold the faces of all queries and morphs.
QUICK_LIMIT: Options = {"limit": 828}
CONV_STEPS = (
    Train("lfw", code_size=32, out="conv", quick={**QUICK_LIMIT, "epochs": 8}),
    Evaluate("conv"),
)
CONV_ERROR = mse(
    "squared error on the test split, code of 32", "conv.test.mse", "pictures only", COURSE_REPORT
)
QUERY_NAMES = ("Serena_Williams", "George_W_Bush", "Jennifer_Aniston")
FACES_SEARCH = Recipe(
    "faces-search",
    "faces that look alike, found by their codes",
    "Images are similar if their codes are close. The model was trained without names: what it "
    "finds shares the pose, the light and the smile more often than the person.",
    (
        *CONV_STEPS,
        BuildIndex("conv", "lfw", quick=QUICK_LIMIT),
        *(
            Search(
                "conv",
                f"{name}/{name}_{number}.jpg",
                k=8,
                out=f"similar-{row}.png",
                caption=f"The faces whose codes are nearest to that of {name.replace('_', ' ')}.",
            )
            for row, (name, number) in enumerate(
                zip(QUERY_NAMES, ("0027", "0101", "0018"), strict=True), 1
            )
        ),
    ),
    (CONV_ERROR,),
    needs=("lfw",),
)


MORPHED_NAMES = (
    "Serena_Williams/Serena_Williams_0027",
    "Jennifer_Aniston/Jennifer_Aniston_0018",
    "Tony_Blair/Tony_Blair_0025",
    "Andre_Agassi/Andre_Agassi_0026",
)
MORPHED_FILES = tuple(f"faces/{name}.png" for name in MORPHED_NAMES)
FACES_MORPH = Recipe(
    "faces-morph",
    "one face becomes another",
    "The straight line between two codes, decoded point by point. A frame is not a mixture of "
    "two photographs, but one face.",
    (
        *CONV_STEPS,
        Export(
            "lfw",
            only=tuple(f"{name}.jpg" for name in MORPHED_NAMES),
            out="faces",
            quick=QUICK_LIMIT,
        ),
        *(
            Morph(
                "conv",
                files,
                steps=7,
                out=f"strip-{row}.png",
                caption="From one face to another; at the ends the photographs themselves.",
            )
            for row, files in enumerate((MORPHED_FILES[:2], MORPHED_FILES[2:]), 1)
        ),
        Morph(
            "conv",
            MORPHED_FILES,
            steps=7,
            out="sheet.png",
            caption="Between four faces, which are at the corners.",
        ),
        Morph(
            "conv",
            (MORPHED_FILES[0], MORPHED_FILES[2]),
            steps=15,
            out="film.gif",
            caption="A morph as an animation.",
        ),
    ),
    (CONV_ERROR,),
    needs=("lfw",),
)

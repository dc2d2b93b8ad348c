"""Recipes on Labeled Faces in the Wild."""

from isthmus.recipes.recipe import Recipe, Step
from isthmus.recipes.steps import COURSE, error, evaluate, put_aside, rows, train

FACES = "--optimizer adamax --schedule constant --epochs 25 --batch-size 32"
DEEP = f"--model conv-transpose {FACES}"
FEW_FACES = "--limit 240 --epochs 5 --batch-size 8"
SIZES = (1, 8, 32, 128, 512)


FACES_LINEAR = Recipe(
    "faces-linear",
    "a linear autoencoder on faces does what PCA does",
    "With one matrix each way and the squared error, the best that an autoencoder can learn is "
    "the plane of PCA. Code of 32, faces of 32 × 32. A constant learning rate stops a little short "
    "of it; one that falls to nothing, our default, comes closer.",
    (
        train("lfw", "linear", f"--model linear --code-size 32 {FACES}", FEW_FACES),
        train("lfw", "adamw", "--model linear --code-size 32", FEW_FACES),
        evaluate("linear"),
        evaluate("adamw"),
        put_aside("linear", 10),
        rows("rebuilt", "Test faces and what 32 numbers keep of them.", "linear", "adamw"),
    ),
    (
        error("squared error on the test part", "linear.test.mse", "as PCA", COURSE),
        error("… trained with our defaults", "adamw.test.mse"),
        error("… of PCA with 32", "linear.baselines.pca.mse"),
        error("… of the mean face", "linear.baselines.mean.mse"),
    ),
    needs=("lfw",),
)


BY_SIZE = [f"code-{size}" for size in SIZES]
REPORTED = {32: ("aims at 0.0056 in an hour", "course exercise, Keras")}
FACES_DEEP = Recipe(
    "faces-deep",
    "a deep autoencoder on faces, codes from 1 to 512, and how its decoder grows pictures",
    "Convolutions and max pooling down to the code, transposed convolutions up again. The more "
    "numbers in the code, the more of a face comes back. A transposed convolution is no "
    "mystery: each number of a picture stamps the kernel, times itself, onto the larger one.",
    (
        Step(
            'transposed "1 2; 3 4" "1 1; 1 1" --stride 2 --out {out}/apart.png',
            caption="A kernel of 2 × 2 and a stride of 2: stamps side by side.",
        ),
        Step(
            'transposed "1 2; 3 4" "1 1 1; 1 1 1; 1 1 1" --stride 2 --out {out}/over.png',
            caption="A kernel of 3 × 3: stamps overlap, and there their numbers are added.",
        ),
        *(train("lfw", f"code-{size}", f"{DEEP} --code-size {size}", FEW_FACES) for size in SIZES),
        train("lfw", "linear", f"--model linear --code-size 32 {FACES}", FEW_FACES),
        train("lfw", "conv", "--code-size 32", FEW_FACES),
        *(evaluate(run) for run in (*BY_SIZE, "linear", "conv")),
        put_aside("code-32", 10),
        rows("rebuilt", "Test faces through codes of 1 to 512 numbers.", *BY_SIZE),
        rows(
            "models",
            "Through 32 numbers: linear, this model, and ours.",
            "linear",
            "code-32",
            "conv",
        ),
    ),
    (
        *(
            error(
                f"squared error on the test part, code of {size}",
                f"code-{size}.test.mse",
                *REPORTED.get(size, ()),
            )
            for size in SIZES
        ),
        error("… linear, code of 32", "linear.test.mse", "as PCA", COURSE),
        error("… PCA with 32", "linear.baselines.pca.mse"),
        error("… conv, ours, code of 32", "conv.test.mse"),
    ),
    needs=("lfw",),
)


FACES_DENOISE = Recipe(
    "faces-denoise",
    "a denoiser of faces, with a code of 512",
    "Noise of deviation 0.1, fresh in every epoch. With a code as large as 512 a model could "
    "nearly copy what it sees; the noise keeps it from that.",
    (
        Step(
            "data preview lfw --corrupt gaussian:0.01 --corrupt gaussian:0.1 "
            "--corrupt gaussian:0.5 --out {out}/noise.png",
            caption="What noise of three strengths does to faces.",
        ),
        train("lfw", "plain", f"{DEEP} --code-size 512", FEW_FACES),
        train("lfw", "denoiser", f"{DEEP} --code-size 512 --corrupt gaussian:0.1", FEW_FACES),
        train("lfw", "conv", "--code-size 512 --corrupt gaussian:0.1", FEW_FACES),
        evaluate("denoiser", "--plain {out}/plain "),
        evaluate("conv"),
        put_aside("denoiser", 10),
        rows(
            "denoised",
            "Test faces under noise of 0.1, through the model without and with noise in training, "
            "and through ours, with noise.",
            "plain",
            "denoiser",
            "conv",
            corrupt="gaussian:0.1",
        ),
    ),
    (
        error("squared error of the noisy faces", "denoiser.noisy.mse"),
        error("… through the denoiser", "denoiser.test.mse", "pictures only", COURSE),
        error("… through the same without noise in training", "denoiser.baselines.plain.mse"),
        error("… through conv, ours, with noise in training", "conv.test.mse"),
    ),
    needs=("lfw",),
)


OWN = (  # quick, on every 16th face: those that are searched and morphed are among them
    train("lfw", "conv", "--code-size 32", "--limit 828 --epochs 8"),
    evaluate("conv"),
)
OWN_ERROR = error(
    "squared error on the test part, code of 32", "conv.test.mse", "pictures only", COURSE
)
ASKED = ("Serena_Williams_0027", "George_W_Bush_0101", "Jennifer_Aniston_0018")
SEARCHES = tuple(
    Step(
        f"search {{out}}/conv {name[:-5]}/{name}.jpg --k 8 --out {{out}}/similar-{number}.png",
        caption=f"The faces whose codes are nearest to that of {name[:-5].replace('_', ' ')}.",
    )
    for number, name in enumerate(ASKED, 1)
)
FACES_SEARCH = Recipe(
    "faces-search",
    "faces that look alike, found by their codes",
    "Pictures are alike if their codes are near. Nobody told the model who is who: it finds "
    "the same pose, light and smile sooner than the same person.",
    (
        *OWN,
        Step("index {out}/conv lfw", "--limit 828"),
        *SEARCHES,
    ),
    (OWN_ERROR,),
    needs=("lfw",),
)


FOUR = (
    "Serena_Williams_0027",
    "Jennifer_Aniston_0018",
    "Tony_Blair_0025",
    "Andre_Agassi_0026",
)
ONLY = " ".join(f"--only {name[:-5]}/{name}.jpg" for name in FOUR)
FILES = [f"{{out}}/faces/{name[:-5]}/{name}.png" for name in FOUR]
FACES_MORPH = Recipe(
    "faces-morph",
    "one face becomes another",
    "The straight line between two codes, decoded point by point: not two faces faded over "
    "each other, but faces all along.",
    (
        *OWN,
        Step(f"data export lfw {ONLY} --out {{out}}/faces", "--limit 828"),
        *(
            Step(
                f"morph {{out}}/conv {first} {last} --steps 7 --out {{out}}/strip-{number}.png",
                caption="From one face to another; at the ends the photographs themselves.",
            )
            for number, (first, last) in enumerate((FILES[:2], FILES[2:]), 1)
        ),
        Step(
            f"morph {{out}}/conv {' '.join(FILES)} --steps 7 --out {{out}}/sheet.png",
            caption="Between four faces, which stand at the corners.",
        ),
        Step(
            f"morph {{out}}/conv {FILES[0]} {FILES[2]} --steps 15 --out {{out}}/film.gif",
            caption="The same as a film.",
        ),
    ),
    (OWN_ERROR,),
    needs=("lfw",),
)

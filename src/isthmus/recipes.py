"""The known experiments: each a row of commands, with what the literature reports.

`isthmus recipe show` prints the commands of a row and `isthmus recipe run` carries out these very
commands, so that both cannot differ.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from isthmus.data.datasets import DATASETS, data_folder
from isthmus.errors import SettingsError, SourceError

COURSE, TUTORIAL = "course report, Keras", "tutorial, Keras"
FEW = "--limit 3000 --epochs 8 --batch-size 32"  # of small images; seconds on one core


@dataclass(frozen=True)
class Step:
    """A command of a recipe.

    Parameters
    ----------
    command : str
        As one would type it behind `isthmus`. In it {out} stands for the folder of the recipe and
        {file} for the file that it needs.
    quick : str
        Options with values that a quick run puts in the place of the command's own, or adds.
    caption : str
        Of the picture that the command writes.
    name : str
        By which figures find what the command prints; it has to print JSON.
    """

    command: str
    quick: str = ""
    caption: str = ""
    name: str = ""

    @property
    def trains(self) -> bool:
        """Whether the command leaves a run."""
        return self.command.startswith("train ")

    def words(self, out: Path, file: Path | None, quick: bool = False) -> list[str]:
        """Return the words of the command, for this folder and file, and quick or not."""
        places = {"{out}": str(out), "{file}": str(file)}
        words = shlex.split(self.command)
        for mark, place in places.items():
            words = [word.replace(mark, place) for word in words]
        return _with_options(words, shlex.split(self.quick)) if quick else words

    def written(self, option: str = "--out") -> str:
        """Return the value of an option of the command; empty without it."""
        words = shlex.split(self.command)
        return words[words.index(option) + 1] if option in words else ""


@dataclass(frozen=True)
class Figure:
    """A row of a recipe's table: a figure of ours beside that of the literature.

    Parameters
    ----------
    title : str
    place : str
        Where ours stands: the name of a step, then the keys into the JSON that it prints, with
        dots between.
    reported, source : str
        What the literature reports, and who; empty where there is none.
    form : str
        How ours is written.
    """

    title: str
    place: str
    reported: str = ""
    source: str = ""
    form: str = "{:.4f}"


@dataclass(frozen=True)
class Recipe:
    """A row of `RECIPES`.

    Parameters
    ----------
    name, about : str
        For people, in a line.
    story : str
        What it shows, in a few sentences.
    steps : tuple of Step
    figures : tuple of Figure
    needs : tuple of str
        Names of the data sets that it takes.
    files : tuple of str
        Paths below the folder of the data sets, of which it takes the first that is there.
    by_hand : str
        How to get that file.
    """

    name: str
    about: str
    story: str
    steps: tuple[Step, ...]
    figures: tuple[Figure, ...] = ()
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    by_hand: str = ""

    @property
    def file(self) -> Path | None:
        """The file that {file} stands for: the first that is there, or where it should be."""
        found = [data_folder() / name for name in self.files]
        return next((path for path in found if path.exists()), found[0] if found else None)

    @property
    def missing(self) -> tuple[str, ...]:
        """The data that is not on this machine."""
        sets = [name for name in self.needs if not DATASETS[name].present]
        gone = self.file is not None and not self.file.exists()
        return (*sets, *self.files[:1]) if gone else tuple(sets)

    def require_data(self) -> None:
        """Refuse to begin without the data.

        Raises
        ------
        SourceError
            If a set or the file is not on this machine, with the way to get it.
        """
        for name in self.needs:
            DATASETS[name].located()
        if self.file is not None and not self.file.exists():
            raise SourceError(f"{self.file} is missing; {self.by_hand}.")

    def commands(self, out: Path, quick: bool = False, seed: int = 0) -> list[list[str]]:
        """Return the words of all commands.

        Parameters
        ----------
        out : Path
            The folder that gets all runs and pictures.
        quick : bool
        seed : int
            Of each training.
        """
        made = []
        for step in self.steps:
            words = step.words(out, self.file, quick)
            made.append([*words, "--seed", str(seed)] if step.trains and seed else words)
        return made

    def lines(self, out: Path, quick: bool = False) -> list[str]:
        """Return all commands as one would type them."""
        return [f"isthmus {shlex.join(words)}" for words in self.commands(out, quick)]


def recipe_row(name: str) -> Recipe:
    """Return the row of `RECIPES`, or say which there are."""
    if name not in RECIPES:
        raise SettingsError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]


def _with_options(words: list[str], options: list[str]) -> list[str]:
    """Put options with values in the place of those that are there, or at the end."""
    for name, value in zip(options[::2], options[1::2], strict=True):
        if name in words:
            words[words.index(name) + 1] = value
        else:
            words += [name, value]
    return words


# -- steps that many recipes have ---------------------------------------------------------------


def _train(source: str, name: str, options: str, quick: str = FEW) -> Step:
    return Step(f"train {source} {options} --out {{out}}/{name}", quick)


def _evaluate(name: str, options: str = "") -> Step:
    return Step(f"evaluate {{out}}/{name} {options}--json", name=name)


def _test(name: str, count: int) -> Step:
    """Put test samples of a run aside; quick, fewer of them."""
    command = f"data export {{out}}/{name} --part test --count {count} --out {{out}}/test.npz"
    return Step(command, f"--count {min(count, 300)}")


def _rows(out: str, caption: str, *runs: str, corrupt: str = "") -> Step:
    """Draw ten test samples, perhaps under noise, and what runs make of them."""
    noise = f"--corrupt {corrupt} " if corrupt else ""
    through = "".join(f"--through {{out}}/{run} " for run in runs)
    command = f"data preview {{out}}/test.npz {noise}{through}--out {{out}}/{out}.png"
    return Step(command, caption=caption)


def _map(name: str, options: str, out: str, caption: str) -> Step:
    command = f"map {{out}}/{name} {{out}}/test.npz {options} --json --out {{out}}/{out}.png"
    return Step(command, caption=caption, name=out)


def _predict(name: str, caption: str) -> Step:
    command = f"predict {{out}}/{name} {{out}}/test.npz --out {{out}}/{name}.png"
    return Step(command, caption=caption)


def _error(title: str, place: str, reported: str = "", source: str = "") -> Figure:
    return Figure(title, place, reported, source, "{:.5f}")


def _share(title: str, place: str, reported: str = "", source: str = "") -> Figure:
    return Figure(title, place, reported, source, "{:.1%}")


def _decibels(title: str, place: str, reported: str = "", source: str = "") -> Figure:
    return Figure(title, place, reported, source, "{:.2f}")


# -- the rows -----------------------------------------------------------------------------------

FEW_WIDE = "--limit 1000 --epochs 5 --batch-size 16 --size 14"  # its running means need steps
POOL = "--model conv-pool --optimizer adam --schedule constant --loss bce --batch-size 128"
SELU = "--model dense-selu --validation 0.125 --epochs 30 --batch-size 32 --schedule constant"
WIDE = (
    "--model conv-bn-2d --epochs 100 --batch-size 100 --optimizer adam --lr 0.001 "
    "--schedule constant"
)
FACES = "--optimizer adamax --schedule constant --epochs 25 --batch-size 32"
DEEP = f"--model conv-transpose {FACES}"
FEW_FACES = "--limit 240 --epochs 5 --batch-size 8"
PETS = "--task classify --size 64"
FEW_PETS = "--limit 600 --epochs 10 --size 32"
ALEX = (
    "--task classify --model alexnet --width 0.25 --code-size 512 --size 64 --epochs 40 "
    "--optimizer adam --lr 0.0003"
)
FEW_ALEX = "--limit 600 --epochs 10 --size 32 --width 0.1 --code-size 64"
SIZES = (1, 8, 32, 128, 512)


def _mnist_conv() -> Recipe:
    return Recipe(
        "mnist-conv",
        "a small convolutional autoencoder on MNIST, and a map of its codes",
        "A convolutional autoencoder squeezes each digit into 4 × 4 × 8 numbers and draws it "
        "again. It is never told which digit it sees; still, on the map digits of a kind lie "
        "together.",
        (
            _train("mnist", "conv-pool", f"{POOL} --epochs 50"),
            _evaluate("conv-pool"),
            _test("conv-pool", 5_000),
            Step(
                "reconstruct {out}/conv-pool {out}/test.npz --limit 10 --out {out}/rebuilt.png",
                caption="Test digits, their codes and what comes back.",
            ),
            _map(
                "conv-pool",
                "--method tsne --seed 0",
                "map",
                "The codes of test digits by t-SNE, which started from PCA and the seed 0.",
            ),
        ),
        (
            Figure("cross-entropy on the test part", "conv-pool.test.bce", "0.094", TUTORIAL),
            _error("squared error on the test part", "conv-pool.test.mse"),
            _error("squared error of PCA with as many numbers", "conv-pool.baselines.pca.mse"),
            _share("test digits told right by the 4 nearest codes", "conv-pool.codes.knn_4"),
            _share("the same on the map, by the 10 nearest", "map.knn_10"),
        ),
        needs=("mnist",),
    )


def _mnist_denoise() -> Recipe:
    noise = "gaussian:0.5"
    return Recipe(
        "mnist-denoise",
        "an autoencoder fails on noise unless it was trained on noise",
        "Both models are the same; one was trained on clean digits, the other was given digits "
        "under normal noise of deviation 0.5 and asked for the clean ones. Only the second removes "
        "noise. The third is the second again, by Adadelta, with event files for TensorBoard.",
        (
            _train("mnist", "plain", f"{POOL} --epochs 20"),
            _train("mnist", "denoiser", f"{POOL} --epochs 20 --corrupt {noise}"),
            _train(
                "mnist",
                "adadelta",
                f"{POOL.replace('adam', 'adadelta')} --epochs 20 --corrupt {noise} --tensorboard",
            ),
            _evaluate("plain"),
            _evaluate("denoiser", "--plain {out}/plain "),
            _evaluate("adadelta"),
            _test("plain", 10),
            _rows(
                "clean",
                "Test digits without noise, and what both models make of them.",
                "plain",
                "denoiser",
            ),
            _rows(
                "noisy",
                "The same digits under noise, and what each model makes of those.",
                "plain",
                "denoiser",
                "adadelta",
                corrupt=noise,
            ),
        ),
        (
            _decibels("PSNR in dB of the noisy digits", "denoiser.noisy.psnr"),
            _decibels(
                "… through the model trained without noise",
                "denoiser.baselines.plain.psnr",
                "pictures only",
                TUTORIAL,
            ),
            _decibels("… through the denoiser", "denoiser.test.psnr", "pictures only", TUTORIAL),
            _decibels("… through that by Adadelta", "adadelta.test.psnr"),
            _decibels("… through a median of 3 × 3, twice", "denoiser.baselines.median.psnr"),
            Figure("cross-entropy of the denoiser", "denoiser.test.bce"),
        ),
        needs=("mnist",),
    )


def _digits_dense() -> Recipe:
    return Recipe(
        "digits-dense",
        "a stacked SELU autoencoder on Kaggle's digits, and the same as a denoiser",
        "The CSV of Kaggle's digit recognizer, an eighth of it to choose by. Layers of 100 and 30 "
        "numbers, SELU and plain gradient descent at a rate of 1.5; then the same as a denoiser, "
        "by Adam.",
        (
            Step(
                "data preview {file} --corrupt gaussian:0.1 --corrupt gaussian:0.2 "
                "--corrupt gaussian:0.5 --out {out}/noise.png",
                caption="What noise of three strengths does to the digits.",
            ),
            _train("{file}", "dense", f"{SELU} --optimizer sgd --lr 1.5"),
            _train(
                "{file}", "denoiser", f"{SELU} --optimizer adam --lr 0.001 --corrupt gaussian:0.2"
            ),
            _evaluate("dense"),
            _evaluate("denoiser", "--plain {out}/dense "),
            _test("dense", 1_000),
            _rows("rebuilt", "Test digits and what comes back.", "dense"),
            _rows(
                "denoised",
                "Under noise, and through both models.",
                "dense",
                "denoiser",
                corrupt="gaussian:0.2",
            ),
            _map(
                "dense",
                "--layer decoder.3 --method tsne --seed 0",
                "map",
                "The reconstructions of test digits (before the sigmoid) by t-SNE.",
            ),
        ),
        (
            Figure(
                "cross-entropy on the test part",
                "dense.test.bce",
                "pictures and curves only",
                TUTORIAL,
            ),
            _error("squared error", "dense.test.mse"),
            _error("squared error of PCA with 30", "dense.baselines.pca.mse"),
            Figure("cross-entropy of the denoiser, from noisy digits", "denoiser.test.bce"),
            Figure("… of the model without noise, from the same", "denoiser.baselines.plain.bce"),
        ),
        files=("digit-recognizer/train.csv.gz", "digit-recognizer/train.csv"),
        by_hand="download train.csv of Kaggle's competition digit-recognizer and put it there",
    )


def _digits_pca() -> Recipe:
    share = "of the variance on the {} axis"
    return Recipe(
        "digits-pca",
        "two principal components of scikit-learn's digits",
        "Principal component analysis, the linear relative of autoencoders: the two directions "
        "along which 1,797 digits of 8 × 8 pixels differ most. Pixels are counted from 0 to 255 "
        "here and from 0 to 16 there, hence the last figure.",
        (
            Step("data preview digits --out {out}/digits.png", caption="Ten of the digits."),
            Step(
                "data map digits --method pca --json --out {out}/map.png",
                caption="All digits by their first two principal components.",
                name="map",
            ),
        ),
        (
            Figure(share.format("first"), "map.explained_variance.0", "0.1489", COURSE),
            Figure(share.format("second"), "map.explained_variance.1", "0.1362", COURSE),
            _share("digits told right by the 10 nearest on the map", "map.knn_10"),
        ),
    )


def _fashion_2d() -> Recipe:
    test = "cross-entropy on the test part, {}"
    return Recipe(
        "fashion-2d",
        "Fashion-MNIST in a code of two numbers: a wide model, ours, and a denoiser",
        "Every piece of clothing becomes a point of the plane, and is drawn again from its two "
        "coordinates alone. The wide model is that of the report; ours is the default of Isthmus.",
        (
            _train("fashion-mnist", "conv-bn-2d", WIDE, FEW_WIDE),
            _train("fashion-mnist", "conv", "--code-size 2", FEW_WIDE),
            _train(
                "fashion-mnist",
                "denoiser",
                f"{WIDE} --corrupt gaussian:0.5",
                FEW_WIDE,
            ),
            _evaluate("conv-bn-2d"),
            _evaluate("conv"),
            _evaluate("denoiser", "--plain {out}/conv-bn-2d "),
            _test("conv-bn-2d", 500),
            _rows(
                "rebuilt",
                "Ten test images, through the wide model and through ours.",
                "conv-bn-2d",
                "conv",
            ),
            _rows(
                "denoised",
                "The same under noise of deviation 0.5, through the wide model and its denoiser.",
                "conv-bn-2d",
                "denoiser",
                corrupt="gaussian:0.5",
            ),
            _map(
                "conv-bn-2d",
                "--method code",
                "code",
                "Test images at the two numbers of their codes, wide model.",
            ),
            _map("conv", "--method code", "code-conv", "The same in the code of ours."),
            _map(
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
            Figure(
                test.format("conv-bn-2d"), "conv-bn-2d.test.bce", "0.3296 after 3 hours", COURSE
            ),
            Figure(test.format("conv, ours"), "conv.test.bce", "0.3296 after 3 hours", COURSE),
            Figure(
                "… from noisy images, conv-bn-2d as a denoiser",
                "denoiser.test.bce",
                "0.3440",
                COURSE,
            ),
            Figure("cross-entropy of PCA with 2", "conv-bn-2d.baselines.pca.bce"),
            _share("told right by the 10 nearest in the code, conv-bn-2d", "code.knn_10"),
            _share("… conv, ours", "code-conv.knn_10"),
            _share("… two principal components of the pixels", "pixels.knn_10"),
        ),
        needs=("fashion-mnist",),
    )


def _faces_linear() -> Recipe:
    return Recipe(
        "faces-linear",
        "a linear autoencoder on faces does what PCA does",
        "With one matrix each way and the squared error, the best that an autoencoder can learn is "
        "the plane of PCA. Code of 32, faces of 32 × 32.",
        (
            _train("lfw", "linear", f"--model linear --code-size 32 {FACES}", FEW_FACES),
            _evaluate("linear"),
            _test("linear", 10),
            _rows("rebuilt", "Test faces and what 32 numbers keep of them.", "linear"),
        ),
        (
            _error("squared error on the test part", "linear.test.mse", "as PCA", COURSE),
            _error("squared error of PCA with 32", "linear.baselines.pca.mse"),
            _error("… of the mean face", "linear.baselines.mean.mse"),
        ),
        needs=("lfw",),
    )


def _faces_deep() -> Recipe:
    runs = [f"code-{size}" for size in SIZES]
    reported = {32: ("0.0056 after an hour", COURSE)}
    return Recipe(
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
            *(
                _train("lfw", f"code-{size}", f"{DEEP} --code-size {size}", FEW_FACES)
                for size in SIZES
            ),
            _train("lfw", "linear", f"--model linear --code-size 32 {FACES}", FEW_FACES),
            _train("lfw", "conv", "--code-size 32", FEW_FACES),
            *(_evaluate(run) for run in (*runs, "linear", "conv")),
            _test("code-32", 10),
            _rows("rebuilt", "Test faces through codes of 1 to 512 numbers.", *runs),
            _rows(
                "models",
                "Through 32 numbers: linear, this model, and ours.",
                "linear",
                "code-32",
                "conv",
            ),
        ),
        (
            *(
                _error(
                    f"squared error on the test part, code of {size}",
                    f"code-{size}.test.mse",
                    *reported.get(size, ()),
                )
                for size in SIZES
            ),
            _error("… linear, code of 32", "linear.test.mse", "as PCA", COURSE),
            _error("… PCA with 32", "linear.baselines.pca.mse"),
            _error("… conv, ours, code of 32", "conv.test.mse", *reported[32]),
        ),
        needs=("lfw",),
    )


def _faces_denoise() -> Recipe:
    return Recipe(
        "faces-denoise",
        "a denoiser of faces, with a code of 512",
        "Noise of deviation 0.1, fresh in every epoch. A larger code has room for detail, so noise "
        "is what forbids the model merely to copy.",
        (
            Step(
                "data preview lfw --corrupt gaussian:0.01 --corrupt gaussian:0.1 "
                "--corrupt gaussian:0.5 --out {out}/noise.png",
                caption="What noise of three strengths does to faces.",
            ),
            _train("lfw", "plain", f"{DEEP} --code-size 512", FEW_FACES),
            _train("lfw", "denoiser", f"{DEEP} --code-size 512 --corrupt gaussian:0.1", FEW_FACES),
            _evaluate("denoiser", "--plain {out}/plain "),
            _test("denoiser", 10),
            _rows(
                "denoised",
                "Test faces under noise of 0.1, through the model without and with "
                "noise in training.",
                "plain",
                "denoiser",
                corrupt="gaussian:0.1",
            ),
        ),
        (
            _error("squared error of the noisy faces", "denoiser.noisy.mse"),
            _error("… through the denoiser", "denoiser.test.mse", "pictures only", COURSE),
            _error("… through the same without noise in training", "denoiser.baselines.plain.mse"),
        ),
        needs=("lfw",),
    )


def _faces_search() -> Recipe:
    asked = ("Serena_Williams_0027", "George_W_Bush_0101", "Jennifer_Aniston_0018")
    searches = (
        Step(
            f"search {{out}}/conv {name[:-5]}/{name}.jpg --k 8 --out {{out}}/similar-{number}.png",
            caption=f"The faces whose codes are nearest to that of {name[:-5].replace('_', ' ')}.",
        )
        for number, name in enumerate(asked, 1)
    )
    return Recipe(
        "faces-search",
        "faces that look alike, found by their codes",
        "Pictures are alike if their codes are near. Nobody told the model who is who: it finds "
        "the same pose, light and smile sooner than the same person.",
        (
            _train("lfw", "conv", "--code-size 32", "--limit 828 --epochs 8"),
            _evaluate("conv"),
            Step("index {out}/conv lfw", "--limit 828"),  # every 16th: the three are among them
            *searches,
        ),
        (
            _error(
                "squared error on the test part, code of 32",
                "conv.test.mse",
                "0.0056 after an hour",
                COURSE,
            ),
        ),
        needs=("lfw",),
    )


def _faces_morph() -> Recipe:
    names = (
        "Serena_Williams_0027",
        "Jennifer_Aniston_0018",
        "Tony_Blair_0025",
        "Andre_Agassi_0026",
    )
    only = " ".join(f"--only {name[:-5]}/{name}.jpg" for name in names)
    files = [f"{{out}}/faces/{name[:-5]}/{name}.png" for name in names]
    return Recipe(
        "faces-morph",
        "one face becomes another",
        "The straight line between two codes, decoded point by point: not two faces faded over "
        "each other, but faces all along.",
        (
            _train("lfw", "conv", "--code-size 32", "--limit 828 --epochs 8"),
            _evaluate("conv"),
            Step(f"data export lfw {only} --out {{out}}/faces", "--limit 828"),
            *(
                Step(
                    f"morph {{out}}/conv {first} {last} --steps 7 --out {{out}}/strip-{number}.png",
                    caption="From one face to another; at the ends the photographs themselves.",
                )
                for number, (first, last) in enumerate((files[:2], files[2:]), 1)
            ),
            Step(
                f"morph {{out}}/conv {' '.join(files)} --steps 7 --out {{out}}/sheet.png",
                caption="Between four faces, which stand at the corners.",
            ),
            Step(
                f"morph {{out}}/conv {files[0]} {files[2]} --steps 15 --out {{out}}/film.gif",
                caption="The same as a film.",
            ),
        ),
        (
            _error(
                "squared error on the test part, code of 32",
                "conv.test.mse",
                "pictures only",
                COURSE,
            ),
        ),
        needs=("lfw",),
    )


def _pets_cnn() -> Recipe:
    return Recipe(
        "pets-cnn",
        "cats and dogs told apart, from nothing",
        "Convolutional networks on photographs of 64 × 64, moved, zoomed and tinted a little in "
        "every epoch. The report takes 2,000 images at 150 pixels.",
        (
            _train("cats-dogs", "cnn", f"{PETS} --model cnn", f"{FEW_PETS} --width 16"),
            _train("cats-dogs", "cnn-small", f"{PETS} --model cnn-small", FEW_PETS),
            _evaluate("cnn"),
            _evaluate("cnn-small"),
            _test("cnn", 24),
            _predict("cnn", "Test photographs, what cnn sees in each, and how sure it is."),
        ),
        (
            _share(
                "right on the test part, cnn", "cnn.test.accuracy", "79 to 81%", "blog post, Keras"
            ),
            _share("… cnn-small", "cnn-small.test.accuracy", "79 to 81%", "blog post, Keras"),
            _share("… logistic regression on the pixels", "cnn.baselines.pixels.logistic"),
        ),
        needs=("cats-dogs",),
    )


def _fashion_cnn() -> Recipe:
    return Recipe(
        "fashion-cnn",
        "clothing sorted by a network of fewer than 100,000 parameters",
        "The list of results kept beside Fashion-MNIST has a convolutional network of that size. "
        "Clothing may be mirrored, so half of it is, others in each epoch.",
        (
            _train("fashion-mnist", "cnn-tiny", "--task classify --model cnn-tiny --mirror"),
            _evaluate("cnn-tiny"),
            _test("cnn-tiny", 1_000),
            _predict("cnn-tiny", "Test images, what the network sees in each, and how sure it is."),
            _map(
                "cnn-tiny",
                "--method tsne --seed 0",
                "map",
                "Test images by the features before the last layer, by t-SNE.",
            ),
        ),
        (
            _share(
                "right on the test part",
                "cnn-tiny.test.accuracy",
                "92.5%",
                "the data set's own list",
            ),
            _share("… logistic regression on the pixels", "cnn-tiny.baselines.pixels.logistic"),
            Figure(
                "parameters",
                "cnn-tiny.model.parameters",
                "fewer than 100,000",
                "the data set's own list",
                "{:,.0f}",
            ),
        ),
        needs=("fashion-mnist",),
    )


def _alexnet_ablation() -> Recipe:
    normal = "response normalisation does not matter"
    sooner = "a constant rate converges faster"
    runs = {  # name: options, and what the report finds
        "lrn-constant": ("--lrn --schedule constant", sooner),
        "lrn-step": ("--lrn --schedule step", sooner),
        "no-lrn-constant": ("--no-lrn --schedule constant", normal),
        "no-lrn-step": ("--no-lrn --schedule step", normal),
    }
    return Recipe(
        "alexnet-ablation",
        "what AlexNet's response normalisation and learning rate in steps are worth",
        "Four AlexNets of a quarter of the width on cats and dogs: with and without response "
        "normalisation, at a constant rate and at one that falls in steps.",
        (
            *(
                _train("cats-dogs", name, f"{ALEX} {options}", FEW_ALEX)
                for name, (options, _) in runs.items()
            ),
            *(_evaluate(name) for name in runs),
        ),
        tuple(
            _share(f"right on the test part, {name}", f"{name}.test.accuracy", found, COURSE)
            for name, (_, found) in runs.items()
        ),
        needs=("cats-dogs",),
    )


def _segmenting(name: str, about: str, source: str, options: str, reported: bool) -> Recipe:
    """Return the recipe that trains FCNs without, with one and with two skips."""
    models = ("fcn32s", "fcn16s", "fcn8s")
    voc = {"fcn32s": "59.4%", "fcn16s": "62.4%", "fcn8s": "62.7%"}
    source_of = "Long et al. 2015, Pascal VOC, VGG-16 trained on ImageNet"
    quick = "--limit 80 --epochs 6 --size 48x64 --width 0.1 --batch-size 4"
    return Recipe(
        name,
        about,
        "Fully convolutional networks give each pixel a class. Without skips they answer in blocks "
        "of 32 pixels; one and two skips bring back the finer outlines. Ours are slim and start "
        "from nothing.",
        (
            *(
                _train(source, model, f"--task segment --model {model} {options}", quick)
                for model in models
            ),
            *(_evaluate(model) for model in models),
            _test("fcn8s", 3),
            *(_predict(model, f"Test images and what {model} sees in them.") for model in models),
        ),
        tuple(
            _share(
                f"mean intersection over union, {model}",
                f"{model}.test.mean_iou",
                voc[model] if reported else "32s < 16s < 8s",
                source_of if reported else "Long et al. 2015, Pascal VOC",
            )
            for model in models
        ),
        needs=(source,),
    )


def _signals_1d() -> Recipe:
    noise = "gaussian-unclipped:0.2"
    few = "--limit 1000 --epochs 6"
    return Recipe(
        "signals-1d",
        "waveforms rebuilt, cleaned and mapped by a one-dimensional autoencoder",
        "Four shapes, single and double, made by a generator: sine, triangle, square and sawtooth "
        "waves of 128 steps. The model squeezes each into 16 numbers; its denoiser was given them "
        "under noise.",
        (
            Step(
                "data preview waveforms --limit 8 --out {out}/waveforms.png",
                caption="Eight of the waveforms.",
            ),
            _train("waveforms", "conv1d", "--code-size 16 --epochs 60", few),
            _train("waveforms", "denoiser", f"--code-size 16 --epochs 60 --corrupt {noise}", few),
            _evaluate("conv1d"),
            _evaluate("denoiser", "--plain {out}/conv1d "),
            _test("conv1d", 400),
            _rows("rebuilt", "Test waveforms and what comes back.", "conv1d"),
            _rows(
                "denoised",
                "Under noise, and through both models.",
                "conv1d",
                "denoiser",
                corrupt=noise,
            ),
            _map(
                "conv1d", "--method tsne --seed 0", "map", "The codes of test waveforms by t-SNE."
            ),
        ),
        (
            _error("squared error on the test part", "conv1d.test.mse", "pictures only", COURSE),
            _error("squared error of PCA with 16", "conv1d.baselines.pca.mse"),
            _error("squared error of the noisy waveforms", "denoiser.noisy.mse"),
            _error("… through the denoiser", "denoiser.test.mse", "pictures only", COURSE),
            _share("classes told right by the 4 nearest codes", "conv1d.codes.knn_4"),
        ),
        needs=("waveforms",),
    )


RECIPES: dict[str, Recipe] = {
    row.name: row
    for row in (
        _mnist_conv(),
        _mnist_denoise(),
        _digits_dense(),
        _digits_pca(),
        _fashion_2d(),
        _faces_linear(),
        _faces_deep(),
        _faces_denoise(),
        _faces_search(),
        _faces_morph(),
        _pets_cnn(),
        _fashion_cnn(),
        _alexnet_ablation(),
        _segmenting(
            "streets-fcn",
            "street scenes, pixel by pixel, with 0, 1 and 2 skips",
            "camvid",
            "--epochs 12 --batch-size 8",
            False,
        ),
        _segmenting("voc-fcn", "the same on Pascal VOC 2012", "voc2012", "--batch-size 8", True),
        _segmenting(
            "birds-fcn", "the same on the birds of CUB-200-2011", "cub200", "--batch-size 8", False
        ),
        _signals_1d(),
    )
}

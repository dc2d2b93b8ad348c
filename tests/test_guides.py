"""README and guides are true: every code block is executed, page by page, in order."""

import io
import re
import shlex
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import fsspec
import numpy as np
import pyarrow
import pytest
import typer
from PIL import Image
from pyarrow.parquet import write_table
from sklearn.datasets import load_sample_images

import isthmus as package
import isthmus.sklearn as package_sklearn
from isthmus import DATASETS, load
from isthmus.cli import app
from studio.serving import start_studio
from test_cli import done

ROOT = Path(__file__).parents[1]
GUIDES = sorted(set(ROOT.glob("docs/*.md")) - {ROOT / "docs/commands.md"})
PAGES = [ROOT / "README.md", *GUIDES]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CONFIGURATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

# A page names real data sets and full trainings. The test takes small sources of the same kind and
# fewer epochs, because it proves that the commands work together, not how good a model gets.
STAND_INS = {
    "mnist": "digits",
    "fashion-mnist": "digits",
    "lfw": "photos/",
    "cats-dogs": "photos/",
    "camvid": "streets/",
    "mnist-denoise": "digits-pca",
    "s3://bucket/photos/": "memory://photos/",
}
SMALLER = {  # options that are added to a command
    "train": "--epochs 1 --limit 60 --max-minutes 9",
    "resume": "--epochs 2",
    "style train": "--epochs 1 --limit 20 --size 32",
    "style add": "--epochs 1",
    "map": "--limit 99",
}
NARROW = "--width 0.05"  # of segmenters
NARROW_DENOISER = "--width 8 --patch 16"
SIZES = {"64": "32", "128": "32"}  # of images, in a training
EPOCHS = re.compile(r"\bepochs=\d+")  # of Python code
SIZE = re.compile(r"\bsize=(\d+)")
ALL_DIGITS = "X, y = load_digits(return_X_y=True)"
SOME_DIGITS = "X, y = (part[::3] for part in load_digits(return_X_y=True))"

# The sources of this page are drawn by docs/reading.py, and what it prints is compared exactly.
OWN_TEST = {"reading"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


# -- files that the pages name -----------------------------------------------------------------


@pytest.fixture(scope="module")
def example_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the images, tables and the run that the commands of the pages name."""
    folder = tmp_path_factory.mktemp("examples")
    photographs = dict(zip(("temple", "flower"), load_sample_images().images, strict=True))
    for name in ("photos", "other-photos", "labeled", "more-photos", "scans"):
        for kind, photograph in photographs.items():
            write_crops(folder / name / kind, photograph, start=len(name))
    write_crops(folder / "folder", photographs["flower"], start=2, count=3)
    scan = Image.fromarray(photographs["temple"]).convert("L").resize((780, 260))
    scan.save(folder / "scan.tif")
    write_crops(folder / "streets", photographs["temple"], masks=True)
    for i, name in enumerate(("a", "b", "c", "d", "query", "photo", "frame")):
        crop(photographs["flower"], 7 * i).save(folder / f"{name}.jpg")
    write_digits(folder)
    write_pairs(folder / "pairs", photographs["flower"])
    write_tables(folder / "beans", photographs)
    fsspec.filesystem("memory").put(str(folder / "photos"), "/photos", recursive=True)
    for name in ("paintings/waves", "paintings/mosaic", "more/woodcut"):
        (folder / name).parent.mkdir(exist_ok=True)
        crop(photographs["temple"], len(name)).save(folder / f"{name}.png")
    other = ("--size", 32, *SMALLER["train"].split(), "--out", folder / "runs/other")
    done("train", folder / "photos", "--model", "linear", *other)
    return folder


def write_pairs(folder: Path, photograph: np.ndarray) -> None:
    """Write crops of a photograph with noise and without."""
    rng = np.random.default_rng(0)
    for name in ("noisy", "clean"):
        (folder / name).mkdir(parents=True)
    for i in range(20):
        clean = crop(photograph, i)
        noisy = np.asarray(clean) + rng.normal(0, 25, np.asarray(clean).shape)
        clean.save(folder / "clean" / f"{i}.png")
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "noisy" / f"{i}.png")


def write_tables(folder: Path, photographs: dict[str, np.ndarray]) -> None:
    """Write crops of photographs as Parquet files of two splits."""
    folder.mkdir()
    for start, split in ((0, "train"), (60, "test")):
        contents = []
        for number in range(start, start + 30):
            file = io.BytesIO()
            crop(photographs["flower" if number % 2 else "temple"], number).save(file, "PNG")
            contents.append({"bytes": file.getvalue(), "path": f"{number}.png"})
        table = pyarrow.table({"image": contents, "label": ["temple", "flower"] * 15})
        write_table(table, folder / f"{split}-00000-of-00001.parquet")


def write_crops(
    folder: Path, photograph: np.ndarray, start: int = 0, count: int = 30, masks: bool = False
) -> None:
    """Write small crops of a photograph, optionally with masks of dark and bright pixels."""
    parts = ("images", "masks") if masks else ("",)
    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
    for i in range(start, start + count):
        picture = crop(photograph, i)
        picture.save(folder / parts[0] / f"{i:03}.jpg")
        if masks:
            bright = (np.asarray(picture.convert("L")) > 128).astype(np.uint8)
            Image.fromarray(bright).save(folder / "masks" / f"{i:03}.png")


def crop(photograph: np.ndarray, i: int) -> Image.Image:
    top, left = 37 * i % 380, 53 * i % 590
    return Image.fromarray(photograph[top : top + 40, left : left + 48])


def write_digits(folder: Path) -> None:
    """Write digits as noisy images, as single images, and as a CSV of labels and pixels."""
    digits = load("digits", limit=100)
    assert digits.labels is not None
    pixels = digits.values[..., 0]
    noise = np.random.default_rng(0).normal(0, 100, pixels.shape)
    (folder / "noisy").mkdir()
    for i, noisy in enumerate((pixels + noise).clip(0, 255).astype(np.uint8)[:9]):
        Image.fromarray(noisy).save(folder / "noisy" / f"{i}.png")
    for i in range(4):
        Image.fromarray(pixels[i]).save(folder / f"digit-{i}.png")
    rows = np.column_stack([digits.labels, pixels.reshape(-1, 64)])
    header = ",".join(["label", *(f"pixel{i}" for i in range(64))])
    np.savetxt(folder / "train.csv.gz", rows, "%d", ",", header=header, comments="")


@pytest.fixture
def workspace(
    example_files: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Make a folder with links to the example files the working directory, with its own cache."""
    (tmp_path / "runs").mkdir()
    for path in (*example_files.glob("[!r]*"), example_files / "runs/other"):
        (tmp_path / path.relative_to(example_files)).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


# -- blocks -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("kept_conversions")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in OWN_TEST], ids=lambda page: page.stem
)
def test_every_block_runs(page: Path, workspace: Path) -> None:
    names: dict[str, Any] = {}
    printed = ""
    for language, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "text":  # the output of the block before it
            lines = [mask_numbers(line) for line in code.splitlines()]
            assert [line for line in lines if line not in mask_numbers(printed)] == []
        else:
            printed = RUN[language](code, names)


def run_python(code: str, names: dict[str, Any]) -> str:
    """Run Python code with the names that earlier blocks defined; return what it prints."""
    printed = io.StringIO()
    shorter = EPOCHS.sub("epochs=1", code).replace(ALL_DIGITS, SOME_DIGITS)
    shorter = SIZE.sub(lambda found: f"size={SIZES.get(found[1], found[1])}", shorter)
    with redirect_stdout(printed):
        exec(compile(shorter, "block", "exec"), names)
    return printed.getvalue()


def run_lines(code: str, names: dict[str, Any]) -> str:
    """Run shell lines; return what they print."""
    return "".join(run(line) for line in code.splitlines() if line.split("#")[0].strip())


RUN = {"python": run_python, "bash": run_lines, "": run_lines}


def run(line: str) -> str:
    """Run a shell line of ours and check others; return what it prints."""
    program, *arguments = shlex.split(line, comments=True)
    if program != "isthmus":
        PROGRAMS[program](arguments)
        return ""
    if arguments[0] == "studio" and "--export" not in arguments:
        return serve(arguments[1:])
    if arguments[:2] == ["data", "fetch"]:
        assert arguments[2] in DATASETS
        return ""
    printed = done(*shrink(arguments)).out
    if "--out" in arguments:
        assert Path(arguments[arguments.index("--out") + 1]).exists(), line
    return printed


def serve(arguments: list[str]) -> str:
    """Start a studio, ask it for its page, and end it; return what it said at the end."""
    studio = start_studio(*arguments)
    browser = build_opener(HTTPCookieProcessor())
    with browser.open(studio.link) as answer:
        assert b"<title>" in answer.read()
    code, said = studio.stop()
    assert code == 0
    return said


def shrink(arguments: list[str]) -> list[str]:
    """Replace large data sets by stand-ins, and add options that make a command quick."""
    if "--on" in arguments:  # a cluster, which tests/test_cluster.py has
        place = arguments.index("--on")
        arguments = [*arguments[:place], *arguments[place + 2 :]]
    command, *others = arguments
    # A group of commands has options of each command.
    smaller = SMALLER.get(command, SMALLER.get(" ".join(arguments[:2]), "")).split()
    if "--limit" in others:  # a block that needs so many
        smaller = [word for word in smaller if word not in ("--limit", "60")]
    if arguments[:2] == ["recipe", "run"] and "--quick" not in others:
        smaller += ["--quick"]
    if "segment" in others or any(name.startswith("fcn") for name in others):
        smaller += NARROW.split() if command == "train" else []
    if "denoise" in others and command == "train":
        smaller += NARROW_DENOISER.split()
    if command == "train" and "--size" in others:
        place = others.index("--size") + 1
        others[place] = SIZES.get(others[place], others[place])
    return [command, *(STAND_INS.get(name, name) for name in others), *smaller]


def mask_numbers(text: str) -> str:
    """Return a text without what differs from run to run: numbers and spaces."""
    return " ".join(re.sub(r"\d[\d.,]*", "0", text).split())


# -- programs that are not ours: their arguments are checked, but they are not run -------------


def pip(arguments: list[str]) -> None:
    assert arguments[0] == "install"
    options = [name for name in arguments if name.startswith("--")]
    assert set(options) <= {"--no-deps", "--require-hashes", "--requirement"}
    assert all((ROOT / name).exists() for name in arguments if name.endswith(".txt"))
    for extra in re.findall(r"\[(.+)\]", arguments[-1]):
        assert all(f"\n{name} = [" in PROJECT for name in extra.split(","))


def make(arguments: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    variables = [name.split("=")[0] for name in arguments if "=" in name]
    targets = [name for name in arguments if "=" not in name]
    assert [name for name in targets if f"\n{name}:" not in makefile] == []
    assert [name for name in variables if f"\n{name} ?=" not in makefile] == []


def python(arguments: list[str]) -> None:
    assert (ROOT / arguments[0]).is_file()


def torchrun(arguments: list[str]) -> None:
    from torch.distributed.run import get_args_parser

    parsed = get_args_parser().parse_args(arguments)
    assert parsed.module
    assert parsed.training_script == "isthmus"
    parse(parsed.training_script_args)


def ray(arguments: list[str]) -> None:
    assert arguments[0] == "start"
    assert "--head" in arguments or "--address" in arguments


def tensorboard(arguments: list[str]) -> None:
    assert "\ntensorboard = [" in PROJECT
    assert arguments[0] == "--logdir"


def docker(arguments: list[str]) -> None:
    command, *others = arguments
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    if command == "build":
        given = [others[i + 1] for i, name in enumerate(others) if name == "--build-arg"]
        assert [one for one in given if f"\nARG {one.split('=')[0]}" not in dockerfile] == []
        return
    assert command == "run"
    mounted = [others[i + 1].split(":")[1] for i, name in enumerate(others) if name == "--volume"]
    assert [
        place for place in mounted if f'"{place}"' not in dockerfile and place != "/photos"
    ] == []
    parse(others[others.index("isthmus") + 1 :])


def systemd_run(arguments: list[str]) -> None:
    parse(arguments[arguments.index("isthmus") + 1 :])


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "docker": docker,
    "systemd-run": systemd_run,
    "pip": pip,
    "make": make,
    "python": python,
    "torchrun": torchrun,
    "ray": ray,
    "tensorboard": tensorboard,
}


# -- between the blocks -----------------------------------------------------------------------


def parse(arguments: list[str]) -> None:
    """Parse a command line of ours without running it; of a bare command, only its name."""
    command: Any = typer.main.get_command(app)
    while arguments and arguments[0] in getattr(command, "commands", {}):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    assert command.name, f"there is no command {arguments}"
    if arguments:
        command.make_context(command.name, list(arguments))


def code_spans(page: Path) -> list[str]:
    """Return the inline code of a page, from its sentences and tables."""
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", page.read_text(encoding="utf-8")))


@every_page
def test_commands_within_sentences_parse(page: Path) -> None:
    for span in code_spans(page):
        if span.startswith("isthmus ") and "…" not in span:
            parse(shlex.split(span)[1:])


@every_page
def test_options_within_sentences_exist(page: Path) -> None:
    commands = [typer.main.get_command(app)]
    known = {"--help"}
    for command in commands:  # grows while it is iterated over
        commands += getattr(command, "commands", {}).values()
        known |= {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    ours = [span for span in code_spans(page) if span.startswith(("--", "isthmus "))]
    named = {name for span in ours for name in re.findall(r"(?<!\S)--[a-z][\w-]*", span)}
    assert named - known == set()


@every_page
def test_training_configs_within_sentences_are_valid(page: Path) -> None:
    for span in code_spans(page):
        if span.startswith("TrainingConfig(") and "…" not in span:
            eval(span, {"TrainingConfig": package.TrainingConfig})


@every_page
def test_python_names_within_sentences_exist(page: Path) -> None:
    names = {name for span in code_spans(page) for name in re.findall(r"\bisthmus\.(\w+)", span)}
    assert names <= {*package.__all__, "sklearn"}


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_guide_is_in_the_navigation(page: Path) -> None:
    assert CONFIGURATION.count(f": {page.name}\n") == 1


def test_the_page_of_the_python_api_has_every_public_name() -> None:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    described = re.findall(r"^::: isthmus\.(\w+)$", page, re.MULTILINE)
    assert sorted(described) == sorted(set(package.__all__) - {"__version__"})
    estimators = re.findall(r"^::: isthmus\.sklearn\.(\w+)$", page, re.MULTILINE)
    assert sorted(estimators) == sorted(package_sklearn.__all__)


@pytest.mark.parametrize("side", ["ours", "pca"])
def test_the_guide_shows_the_code_that_is_measured(side: str) -> None:
    measured = ROOT / f"benchmarks/peers/three_ways/{side}.py"
    parts = re.findall(r"^# -- (?:imports|the job)\n(.*?)^# -- ", measured.read_text(), re.M | re.S)
    guide = (ROOT / "docs/scikit-learn.md").read_text(encoding="utf-8")
    assert len(parts) == 2
    assert "\n\n".join(part.strip() for part in parts) in guide

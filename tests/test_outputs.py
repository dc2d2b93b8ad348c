"""What is written where: nothing of the user's is replaced, and no figure becomes a sample."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus import Session, TrainedModel, fit_map, load
from isthmus.errors import OptionError
from isthmus.places import BLOCK_BYTES, is_figure, mark_gif, mark_png
from test_cli import done, isthmus

Refused = Callable[..., AbstractContextManager[None]]

# What follows "isthmus …", and the ending of what it writes.
COMMANDS = {
    "reconstruct {run} {photos}": "png",
    "map {run} {photos} --method pca": "png",
    "search {index} {photos}/cat/0.png --k 2": "png",
    "morph {run} {photos}/cat/0.png {photos}/dog/0.png": "png",
    "morph {run} {photos}/cat/0.png {photos}/dog/0.png --steps 3": "gif",
    "activations {run} {photos}/cat/0.png": "png",
    "predict {classes} {photos}": "png",
    "data preview {photos}": "png",
    "data map {photos}": "png",
    "data export {photos}": "npz",
    "compare {run} {run}": "html",
    "report {run}": "html",
    "encode {run} {photos}": "npy",
    "export {run} --format safetensors": "safetensors",
    "transposed 1,2;3,4 1,1;1,1": "png",
}


def arguments(command: str, places: dict[str, Path], out: Path) -> list[str]:
    words = command.format(**places).split(" ")
    return [*(word.replace(",", " ") for word in words), "--out", str(out)]


@pytest.fixture(scope="module")
def places(
    tmp_path_factory: pytest.TempPathFactory, session_cache: Path
) -> Iterator[dict[str, Path]]:
    """Make photos, a run on them with an index, and a classifier."""
    folder = tmp_path_factory.mktemp("places")
    photos = folder / "photos"
    draw = np.random.default_rng(7)
    for name in ("cat", "dog"):
        (photos / name).mkdir(parents=True)
        for number in range(4):
            pixels = draw.integers(0, 256, (12, 10, 3), np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        common = ("--epochs", 1, "--out")
        done("train", photos, "--model", "linear", "--code-size", 4, *common, folder / "run")
        done(
            "train",
            photos,
            "--task",
            "classify",
            "--model",
            "cnn-tiny",
            *common,
            folder / "classes",
        )
        done("index", folder / "run")
        yield {
            "photos": photos,
            "run": folder / "run",
            "index": folder / "run",
            "classes": folder / "classes",
        }


# -- what is replaced -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_replaces_only_an_earlier_one(
    command: str, places: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / f"out.{COMMANDS[command]}"
    words = arguments(command, places, out)
    out.write_bytes(b"precious")
    refused = isthmus(*words)
    assert (refused.code, out.read_bytes()) == (2, b"precious")
    assert refused.err.startswith(f"isthmus: {out} exists and ")
    out.unlink()
    done(*words)
    assert out.read_bytes()
    done(*words)  # the same command again
    assert {path.suffix for path in tmp_path.iterdir()} <= {out.suffix, ".csv", ".json"}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_has_a_name_of_its_kind_and_is_no_link(
    command: str, places: dict[str, Path], tmp_path: Path
) -> None:
    photo = places["photos"] / "cat" / "0.png"
    before = photo.read_bytes()
    link = tmp_path / f"link.{COMMANDS[command]}"
    link.symlink_to(photo)
    for out in (tmp_path / "out.txt", link):
        if command.startswith("data export") and out != link:
            continue  # any other name is that of a folder
        refused = isthmus(*arguments(command, places, out))
        assert (refused.code, str(out) in refused.err) == (2, True), refused.err
        assert not out.exists() or out.is_symlink()
    assert photo.read_bytes() == before


def test_a_map_does_not_replace_a_table_of_the_user(
    places: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "map.csv").write_text("name,price\n")
    refused = isthmus(*arguments("map {run} --method pca", places, tmp_path / "map.png"))
    assert (refused.code, [*tmp_path.iterdir()]) == (2, [tmp_path / "map.csv"])
    assert (tmp_path / "map.csv").read_text() == "name,price\n"


def test_an_output_is_not_what_it_is_made_from(places: dict[str, Path], tmp_path: Path) -> None:
    figure, arrays = tmp_path / "grid.png", tmp_path / "all.npz"
    done(*arguments("reconstruct {run} {photos}", places, figure))
    done(*arguments("data export {photos}", places, arrays))
    for command, file in (
        (f"reconstruct {{run}} {figure}", figure),
        (f"activations {{run}} {figure}", figure),
        (f"predict {{classes}} {figure}", figure),
        (f"data export {arrays} --count 2", arrays),
    ):
        before = file.read_bytes()
        refused = isthmus(*arguments(command, places, file))
        assert (refused.code, file.read_bytes()) == (2, before)
        assert "is what is read" in refused.err


def test_python_replaces_no_other_file_either(
    places: dict[str, Path], tmp_path: Path, refused: Refused
) -> None:
    model = TrainedModel.load(places["run"])
    for name in ("a.safetensors", "a.npz"):
        (tmp_path / name).write_bytes(b"precious")
    with refused(OptionError, "a.safetensors"):
        model.save(tmp_path / "a.safetensors")
    with refused(OptionError, "a.npz"):
        fit_map(Session(places["run"]).codes(), "pca").save(tmp_path / "a.npz")
    model.save(tmp_path / "b.safetensors")
    model.save(tmp_path / "b.safetensors")
    assert {(tmp_path / name).read_bytes() for name in ("a.safetensors", "a.npz")} == {b"precious"}


@pytest.mark.parametrize("length", [255, 256])
def test_a_name_may_be_as_long_as_the_system_allows(
    length: int, places: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / f"{'n' * (length - 4)}.png"
    outcome = isthmus(*arguments("data preview {photos}", places, out))
    assert outcome.code == (0 if length == 255 else 2)
    assert len([*tmp_path.iterdir()]) + len(outcome.err.splitlines()) == 1


# -- what is read ---------------------------------------------------------------------------------


def test_what_isthmus_wrote_into_a_source_is_no_part_of_it(
    places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(places["photos"], tmp_path / "photos"))
    before = load(folder, limit=5)
    monkeypatch.chdir(folder)
    done("train", ".", "--model", "linear", "--epochs", 1, "--limit", 5, "--out", "runs/one")
    done("reconstruct", "runs/one", ".")
    done("map", "runs/one", "--method", "pca", "--out", "cat/any name.png")
    done("morph", "runs/one", "cat/0.png", "dog/0.png", "--out", "dog/way.gif")
    done("card", "runs/one", "--out", "published")
    Path("site").mkdir()
    shutil.copy("cat/0.png", "site")
    Path("site", "isthmus-studio.json").write_text('{"made_by": "isthmus studio"}')
    after = load(folder, limit=5)
    assert (after.names, after.fingerprint) == (before.names, before.fingerprint)
    assert done("evaluate", "runs/one").out
    assert after.report is not None
    counts = {one.reason: one.count for one in after.report.left_out}
    assert counts["written by Isthmus"] > 5


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_a_figure_in_an_archive_is_no_sample(
    kind: str, places: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(places["photos"], tmp_path / "photos"))
    done("data", "preview", folder, "--out", folder / "dog" / "figure.png")
    done(*arguments("morph {run} {photos}/cat/0.png {photos}/dog/0.png", places, folder / "a.gif"))
    assert len(load(shutil.make_archive(str(tmp_path / "packed"), kind, folder))) == 8


def test_exported_pictures_are_samples_again(places: dict[str, Path], tmp_path: Path) -> None:
    done("data", "export", places["photos"], "--out", tmp_path / "copy")
    assert len(load(tmp_path / "copy")) == 8
    done("data", "export", places["photos"], "--out", tmp_path / "copy.npz")
    assert len(load(tmp_path / "copy.npz")) == 8


def test_no_folder_of_pictures_is_written_into_the_source(places: dict[str, Path]) -> None:
    out = places["photos"] / "exported"
    outcome = isthmus("data", "export", str(places["photos"]), "--out", str(out))
    assert outcome.code == 2
    assert "its source; choose another place" in outcome.err
    assert not out.exists()


def test_a_figure_is_one_by_its_mark_alone(places: dict[str, Path], tmp_path: Path) -> None:
    photo = (places["photos"] / "cat" / "0.png").read_bytes()
    padded = photo + b"\0" * (-len(photo) % BLOCK_BYTES)  # the size of a figure
    for name, content, answer in (("a.png", padded, False), ("b.png", mark_png(photo), True)):
        (tmp_path / name).write_bytes(content)
        assert is_figure(tmp_path / name, len(content)) is answer
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (10, 12)
    for frames in range(1, 40):
        animation = tmp_path / "c.gif"
        shades = [Image.new("L", (frames, 9), shade) for shade in range(frames)]
        shades[0].save(animation, save_all=True, append_images=shades[1:])
        assert not is_figure(animation, animation.stat().st_size)
        animation.write_bytes(mark_gif(animation.read_bytes()))
        assert is_figure(animation, animation.stat().st_size)
        with Image.open(animation) as picture:
            assert getattr(picture, "n_frames", 1) == frames

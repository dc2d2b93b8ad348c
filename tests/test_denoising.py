"""`denoise`: as many files as went in, of their names and sizes, and cleaner."""

import io
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, JpegImagePlugin

from isthmus import Run, Samples, check_data, load, train
from isthmus.data.readers.files.kinds import HEIF_SUFFIXES, PICTURE_SUFFIXES
from isthmus.data.reading import LeftOut, Reading
from isthmus.data.survey import report_of
from isthmus.denoising import Denoised, Loss, denoise, denoise_values
from isthmus.denoising.formats import SAVE_OPTIONS
from isthmus.errors import IsthmusError, ModelError, OptionError, SourceError
from isthmus.inference import batches
from isthmus.inference.trained import TrainedModel
from isthmus.locks import working_alone
from isthmus.training.config import TrainingConfig

Refused = Callable[..., AbstractContextManager[None]]
Pixels = NDArray[np.uint8]


def trained_on(samples: Samples, out: Path, **config: Any) -> TrainedModel:
    list(train(samples, "dense", out=out, config=TrainingConfig(batch_size=32, **config)))
    return Run.open(out).model()


@pytest.fixture(scope="module")
def gray(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Give a denoiser of digits, 8 × 8 and gray."""
    out = tmp_path_factory.mktemp("runs") / "gray"
    return trained_on(load("digits"), out, epochs=10, corrupt="gaussian:0.3")


@pytest.fixture(scope="module")
def rgb(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Give a model of digits, 8 × 8 and in color."""
    out = tmp_path_factory.mktemp("runs") / "rgb"
    return trained_on(load("digits", channels=3, limit=200), out, epochs=3)


@pytest.fixture(scope="module")
def cropping(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Give a model of the middle of digits: 6 × 6, enlarged to 8 × 8."""
    out = tmp_path_factory.mktemp("runs") / "cropping"
    return trained_on(load("digits", crop=6, size=8, limit=200), out, epochs=3)


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Give a model of signals (40, 2)."""
    out = tmp_path_factory.mktemp("runs") / "waves"
    return trained_on(load(signals(100)), out, epochs=2)


def signals(count: int) -> NDArray[np.float32]:
    phases = np.random.default_rng(0).uniform(0, 6, (count, 1, 2))
    wave: NDArray[np.float32] = np.sin(np.linspace(0, 6, 40)[:, None] + phases).astype(np.float32)
    return wave


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=40)


@pytest.fixture
def folder(digits: Samples, tmp_path: Path) -> Path:
    """Make class folders of forty digits as PNG files."""
    assert digits.labels is not None
    for i, (values, label) in enumerate(zip(digits.values, digits.labels, strict=True)):
        path = tmp_path / "noisy" / digits.class_names[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values[..., 0]).save(path)
    return tmp_path / "noisy"


def files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def pixels(path: Path) -> Pixels:
    with Image.open(path) as picture:
        values = np.asarray(picture.convert("L") if picture.mode == "P" else picture)
    return values[..., None] if values.ndim == 2 else values


def resized(values: Pixels, size: tuple[int, int]) -> Pixels:
    picture = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
    back = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))
    return back[..., None] if back.ndim == 2 else back


def digit(digits: Samples, size: tuple[int, int], index: int = 0) -> Image.Image:
    return Image.fromarray(digits.values[index, ..., 0]).resize(size[::-1])


def test_a_folder_keeps_its_names_and_gets_what_the_model_answers(
    gray: TrainedModel, digits: Samples, folder: Path, tmp_path: Path
) -> None:
    (folder / "notes.txt").write_text("no picture")
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    done = denoise(gray, folder, tmp_path / "far" / "clean")
    assert done == Denoised(40, left_out=(LeftOut(".txt", 1, ("notes.txt",)),))
    assert files(tmp_path / "far" / "clean") == [name for name in before if name[-3:] == "png"]
    expected = gray.reconstruct(digits)
    for name in files(tmp_path / "far" / "clean"):
        clean = pixels(tmp_path / "far" / "clean" / name)
        np.testing.assert_array_equal(clean, expected[int(Path(name).stem)])
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


def test_noise_is_removed_and_the_digits_stay(
    gray: TrainedModel, digits: Samples, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.3 * 255, digits.values.shape)
    noisy = (digits.values + noise).clip(0, 255).astype(np.uint8)
    (tmp_path / "noisy").mkdir()
    for i, values in enumerate(noisy):
        Image.fromarray(values[..., 0]).save(tmp_path / "noisy" / f"{i}.png")
    denoise(gray, tmp_path / "noisy", tmp_path / "clean")
    clean = np.stack([pixels(tmp_path / "clean" / f"{i}.png") for i in range(40)])
    errors = [np.square(values / 255.0 - digits.values / 255.0).mean() for values in (noisy, clean)]
    assert errors[1] < 0.6 * errors[0]


def test_pictures_of_any_kind_come_back_in_their_upright_size(
    gray: TrainedModel, digits: Samples, tmp_path: Path
) -> None:
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    digit(digits, (8, 8)).save(noisy / "same.png")
    digit(digits, (20, 15)).save(noisy / "large.png")
    digit(digits, (3, 5)).convert("RGB").save(noisy / "small.bmp")
    transparent = digit(digits, (16, 16)).convert("RGBA")
    transparent.putalpha(digit(digits, (16, 16), 1))
    transparent.save(noisy / "transparent.png")
    deep = digits.values[0, ..., 0].astype(np.uint16) * 257
    Image.fromarray(deep).save(noisy / "deep.png")
    digit(digits, (10, 30)).convert("P").save(noisy / "palette.gif")
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn
    digit(digits, (12, 24)).save(noisy / "turned.jpg", exif=turned)
    done = denoise(gray, noisy, tmp_path / "clean")
    assert (done.count, done.resized, done.skipped) == (7, 5, ())
    sizes = {"large.png": (20, 15), "small.bmp": (3, 5), "transparent.png": (16, 16)}
    sizes |= {"palette.gif": (10, 30), "turned.jpg": (24, 12)}
    for name, size in (sizes | {"same.png": (8, 8), "deep.png": (8, 8)}).items():
        clean = pixels(tmp_path / "clean" / name)
        assert clean.dtype == (np.uint16 if name == "deep.png" else np.uint8)
        if name == "transparent.png":
            expected_alpha = np.asarray(digit(digits, (16, 16), 1))
            np.testing.assert_array_equal(clean[..., 1], expected_alpha)
            clean = clean[..., :1]
        assert clean.shape == (*size, 1)
        clean = (clean // 257).astype(np.uint8) if name == "deep.png" else clean
        expected = resized(gray.reconstruct(gray.read(noisy / name))[0], size)
        assert np.abs(clean.astype(int) - expected).max() <= (8 if name == "turned.jpg" else 0)
    same, deep_again = (pixels(tmp_path / "clean" / name) for name in ("same.png", "deep.png"))
    np.testing.assert_array_equal(same * np.uint16(257), deep_again)
    with Image.open(tmp_path / "clean" / "turned.jpg") as picture:
        assert 0x0112 not in picture.getexif()  # it is upright now


@pytest.mark.parametrize("suffix", [*PICTURE_SUFFIXES, ".PNG", ".Jpg"])
@pytest.mark.parametrize("kind", ["gray", "rgb"])
def test_every_format_stays_what_it_is(
    suffix: str, kind: str, digits: Samples, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model: TrainedModel = request.getfixturevalue(kind)
    if suffix in HEIF_SUFFIXES:
        pytest.importorskip("pillow_heif").register_heif_opener()
    (tmp_path / "noisy").mkdir()
    noisy, clean = tmp_path / "noisy" / f"digit{suffix}", tmp_path / "clean" / f"digit{suffix}"
    digit(digits, (16, 24)).convert("RGB").save(noisy)
    done = denoise(model, tmp_path / "noisy", tmp_path / "clean")
    lost = [loss.what for loss in done.lost]
    assert (done.count, done.resized, done.skipped) == (1, 1, ())
    assert lost == (["colors: a GIF has 256"] if (suffix, kind) == (".gif", "rgb") else [])
    with Image.open(noisy) as before, Image.open(clean) as after:
        assert after.format == before.format
        assert after.size == before.size
        lossy = after.format in ("JPEG", "AVIF", "HEIF") or (suffix == ".gif" and kind == "rgb")
        if after.format == "JPEG" and kind == "rgb":
            assert JpegImagePlugin.get_sampling(after) == 0
        shown = np.asarray(after.convert("RGB" if kind == "rgb" else "L")).reshape(16, 24, -1)
    expected = resized(model.reconstruct(model.read(noisy))[0], (16, 24))
    assert np.abs(shown.astype(int) - expected).mean() <= (2 if lossy else 0)


def test_nothing_changes_around_the_cropped_square(
    cropping: TrainedModel, digits: Samples, tmp_path: Path
) -> None:
    (tmp_path / "noisy").mkdir()
    for i, size in enumerate([(8, 8), (7, 12), (5, 9)]):
        digit(digits, size, i).save(tmp_path / "noisy" / f"{i}.png")
    assert denoise(cropping, tmp_path / "noisy", tmp_path / "clean") == Denoised(3, 3)
    for i, (top, left, side) in enumerate([(1, 1, 6), (0, 3, 6), (0, 2, 5)]):
        before = pixels(tmp_path / "noisy" / f"{i}.png")
        clean = pixels(tmp_path / "clean" / f"{i}.png").copy()
        middle = (slice(top, top + side), slice(left, left + side))
        answer = cropping.reconstruct(cropping.read(tmp_path / "noisy" / f"{i}.png"))[0]
        np.testing.assert_array_equal(clean[middle], resized(answer, (side, side)))
        clean[middle] = before[middle]
        np.testing.assert_array_equal(clean, before)


def test_a_single_picture_becomes_a_file_or_lies_in_a_folder(
    gray: TrainedModel, digits: Samples, tmp_path: Path
) -> None:
    noisy = tmp_path / "noisy.png"
    digit(digits, (8, 8)).save(noisy)
    (tmp_path / "empty").mkdir()
    for out, expected in (
        ("clean.png", "clean.png"),
        ("new/clean.bmp", "new/clean.bmp"),
        ("folder", "folder/noisy.png"),
        ("empty", "empty/noisy.png"),
    ):
        assert denoise(gray, noisy, tmp_path / out) == Denoised(1)
        answer = gray.reconstruct(gray.read(noisy))[0]
        np.testing.assert_array_equal(pixels(tmp_path / expected), answer)


def test_arrays_in_memory_come_back_in_their_sizes(
    gray: TrainedModel, cropping: TrainedModel, waves: TrainedModel, digits: Samples
) -> None:
    expected = gray.reconstruct(digits)
    for values in (digits.values, digits.values[..., 0], list(digits.values)):
        clean = denoise_values(gray, values)
        assert isinstance(clean, list) == isinstance(values, list)
        np.testing.assert_array_equal(np.stack(clean), expected)
    sizes = [(16, 24), (8, 8), (5, 9)]
    pictures = [np.asarray(digit(digits, size, i))[..., None] for i, size in enumerate(sizes)]
    for picture, clean in zip(pictures, denoise_values(gray, pictures), strict=True):
        answer = gray.reconstruct(gray.preprocessing.fit(picture)[None])[0]
        np.testing.assert_array_equal(clean, resized(answer, picture.shape[:2]))
    for picture, clean in zip(pictures, denoise_values(cropping, pictures), strict=True):
        assert clean.shape == picture.shape
    many = signals(700)  # more than a batch
    np.testing.assert_array_equal(denoise_values(waves, many), waves.reconstruct(many))


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_arrays_become_one_file_in_their_order_and_size(
    kind: str, gray: TrainedModel, digits: Samples, tmp_path: Path
) -> None:
    source = tmp_path / f"noisy.{kind}"
    large = np.stack([resized(image, (11, 10)) for image in digits.values])
    for values, count in ((digits.values[..., 0], 0), (large, 40)):
        if kind == "npy":
            np.save(source, values)
        else:
            np.savez(source, images=values, labels=np.arange(40))
        out = tmp_path / f"clean-{count}.npy"
        assert denoise(gray, source, out) == Denoised(40, count)
        clean = np.load(out)
        assert clean.dtype == np.uint8
        assert clean.shape == (*values.shape[:3], 1)
        expected = gray.reconstruct(gray.read(source))
        for one, answer in zip(clean, expected, strict=True):
            np.testing.assert_array_equal(one, resized(answer, one.shape[:2]))


def test_signals_become_one_file_in_their_own_units(waves: TrainedModel, tmp_path: Path) -> None:
    many = signals(700)  # more than a batch
    np.save(tmp_path / "noisy.npy", many)
    assert denoise(waves, tmp_path / "noisy.npy", tmp_path / "clean.npy") == Denoised(700)
    clean = np.load(tmp_path / "clean.npy")
    assert clean.dtype == np.float32
    np.testing.assert_array_equal(clean, waves.reconstruct(many))


def test_named_sets_and_csv_files_are_arrays_too(gray: TrainedModel, tmp_path: Path) -> None:
    assert denoise(gray, "digits", tmp_path / "clean.npy") == Denoised(1797)
    assert np.load(tmp_path / "clean.npy").shape == (1797, 8, 8, 1)


def test_an_archive_becomes_a_folder(gray: TrainedModel, folder: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "noisy"), "zip", folder)
    assert denoise(gray, tmp_path / "noisy.zip", tmp_path / "clean") == Denoised(40)
    assert files(tmp_path / "clean") == files(folder)


def test_no_archive_writes_outside_of_the_folder(
    gray: TrainedModel, folder: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "noisy.zip", "w") as archive:
        for name in files(folder):
            archive.write(folder / name, f"a/{name}")
        archive.write(folder / files(folder)[0], "a/../../evil.png")
    assert denoise(gray, tmp_path / "noisy.zip", tmp_path / "in" / "clean") == Denoised(41)
    assert files(tmp_path / "in" / "clean") == [f"a/{name}" for name in files(folder)] + [
        "evil.png"
    ]
    assert len(list(tmp_path.rglob("evil.png"))) == 1


def test_a_few_broken_pictures_are_skipped_with_their_reasons(
    gray: TrainedModel, folder: Path, tmp_path: Path
) -> None:
    (folder / "0" / "broken.png").write_bytes(b"no picture")
    whole = (folder / "0" / "0.png").read_bytes()
    (folder / "1" / "short.png").write_bytes(whole[: len(whole) // 2])
    done = denoise(gray, folder, tmp_path / "clean")
    assert done.count == 40
    assert [name for name, _ in done.skipped] == ["0/broken.png", "1/short.png"]
    assert done.skipped[0][1] == "not an image that Pillow can read"
    assert len(files(tmp_path / "clean")) == 40


def test_many_broken_pictures_stop_it_and_leave_nothing(
    gray: TrainedModel,
    folder: Path,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "MAX_BATCH_BYTES", 500)  # bytes: some files are written before
    for i in range(5):
        (folder / f"broken{i}.png").write_bytes(b"no picture")
    (tmp_path / "results").mkdir()
    with refused(SourceError, folder, "5 of", "broken0.png"):
        denoise(gray, folder, tmp_path / "results" / "clean")
    assert list((tmp_path / "results").iterdir()) == []


def stopping(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
    """Stop after 30 items, as Ctrl-C does."""
    for place, item in enumerate(items):
        if place == 30:
            raise KeyboardInterrupt
        yield item


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.fixture
def stopped(
    gray: TrainedModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Give a folder of which some files are done."""
    monkeypatch.setattr(batches, "MAX_BATCH_BYTES", 500)  # some files are written before
    (folder / "color.jpg").write_bytes(b"")  # written before the others, as it is the first
    digit_file = Image.open(folder / "0" / "0.png").convert("RGBA")
    digit_file.putalpha(99)
    digit_file.convert("RGB").save(folder / "color.jpg", icc_profile=b"not of much use")
    with pytest.raises(KeyboardInterrupt):
        denoise(gray, folder, tmp_path / "clean", track=stopping)
    return tmp_path / "clean"


def test_the_same_call_completes_a_folder_that_was_stopped(
    gray: TrainedModel, folder: Path, tmp_path: Path, stopped: Path
) -> None:
    begun = contents(stopped)
    assert 10 < len(begun) < 41
    times = {name: (stopped / name).stat().st_mtime_ns for name in begun}
    (stopped / ".9.png.0123abcd.tmp").write_bytes(b"half of it")  # left by a crash
    whole = denoise(gray, folder, tmp_path / "whole")
    assert denoise(gray, folder, stopped) == whole
    assert whole.count == 41
    assert whole.lost == (Loss("the color profile", 1, "color.jpg"),)
    assert contents(stopped) == contents(tmp_path / "whole")  # and nothing else is in it
    after = {path.relative_to(stopped).as_posix(): path for path in stopped.rglob("*.png")}
    kept = [name for name in after if times.get(name) == after[name].stat().st_mtime_ns]
    assert len(kept) >= 10  # not written a second time
    with pytest.raises(OptionError, match="exists already"):
        denoise(gray, folder, stopped)


def test_who_reads_a_folder_that_was_stopped_is_told_that_it_is_a_part(
    gray: TrainedModel, folder: Path, tmp_path: Path, stopped: Path
) -> None:
    (tmp_path / "above").mkdir()
    (tmp_path / "above/clean").symlink_to(stopped)
    for source in (stopped, tmp_path / "above"):
        text = f"{source / 'clean' if source != stopped else stopped} is not finished"
        report = check_data(source, size=8, channels=1)
        assert [note.code for note in report.warnings if note.code == "unfinished"] == [
            "unfinished"
        ]
        assert text in str(report)
        assert text in "\n".join(report_of(load(source, size=8, channels=1)).summary())
    for kind in ("zip", "tar"):
        archive = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path, "clean")
        assert f"{archive}/clean is not finished" in str(check_data(archive, size=8, channels=1))
    denoise(gray, folder, stopped)
    for source in (stopped, tmp_path / "above"):
        assert "not finished" not in str(check_data(source, size=8, channels=1))
        assert "not finished" not in str(report_of(load(source, size=8, channels=1)))


def test_a_kill_at_the_first_moment_is_no_obstacle(
    gray: TrainedModel, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "clean"
    out.mkdir()
    part = out / ".isthmus-denoise.jsonl.0123abcd.tmp"
    part.write_bytes(b"half of it")
    with pytest.raises(OptionError, match="exists already"):  # perhaps another one writes it
        denoise(gray, folder / "0", out)
    os.utime(part, (0, 0))
    assert denoise(gray, folder / "0", out).count == len(files(folder / "0"))
    assert files(out) == files(folder / "0")


def test_two_do_not_write_to_the_same_folder(
    gray: TrainedModel, folder: Path, stopped: Path, refused: Refused
) -> None:
    before = contents(stopped)
    with working_alone(stopped), refused(OptionError, stopped, "another process"):
        denoise(gray, folder, stopped)
    assert contents(stopped) == before
    assert denoise(gray, folder, stopped).count == 41


def test_originals_that_change_in_between_are_denoised_again(
    gray: TrainedModel, folder: Path, tmp_path: Path, stopped: Path
) -> None:
    first, second, third = [name for name in files(stopped) if name.endswith("png")][:3]
    (folder / first).unlink()
    (folder / second).write_bytes(b"broken since then")
    Image.new("L", (9, 9), 200).save(folder / third)
    done = denoise(gray, folder, stopped)
    assert (done.count, len(done.skipped)) == (39, 1)
    denoise(gray, folder, tmp_path / "whole")
    assert contents(stopped) == contents(tmp_path / "whole")


def test_a_folder_that_others_have_begun_is_refused(
    gray: TrainedModel, rgb: TrainedModel, folder: Path, stopped: Path, refused: Refused
) -> None:
    with refused(OptionError, stopped, "another model"):
        denoise(rgb, folder, stopped)
    with refused(OptionError, stopped, "another source"):
        denoise(gray, folder / "0", stopped)
    (stopped / "mine.png").write_bytes(b"of the user")
    before = contents(stopped)
    with refused(OptionError, stopped, "mine.png"):
        denoise(gray, folder, stopped)
    assert contents(stopped) == before


def test_a_list_of_files_from_elsewhere_removes_nothing(
    gray: TrainedModel, folder: Path, tmp_path: Path, stopped: Path
) -> None:
    (tmp_path / "mine.png").write_bytes(b"of the user")
    with next(stopped.glob(".isthmus*")).open("a") as ledger:
        ledger.write('{"name": "../mine.png", "source": [1], "size": 11}\n{"name": "cut sho')
    assert denoise(gray, folder, stopped).count == 41
    assert (tmp_path / "mine.png").read_bytes() == b"of the user"


def test_a_link_in_a_folder_that_was_begun_is_not_followed(
    gray: TrainedModel, folder: Path, tmp_path: Path, stopped: Path, refused: Refused
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/9.png").write_bytes(b"of the user")
    shutil.rmtree(stopped / "9", ignore_errors=True)
    (stopped / "9").symlink_to(tmp_path / "mine")
    with refused(OptionError, stopped, "holds 9"):
        denoise(gray, folder, stopped)
    assert contents(tmp_path / "mine") == {"9.png": b"of the user"}


def test_an_array_that_is_stopped_leaves_nothing(gray: TrainedModel, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    np.save(tmp_path / "many.npy", np.zeros((20_000, 8, 8), np.uint8))
    with pytest.raises(KeyboardInterrupt):
        denoise(gray, tmp_path / "many.npy", tmp_path / "results" / "clean.npy", track=stopping)
    assert list((tmp_path / "results").iterdir()) == []


def test_a_single_broken_picture_is_refused(
    gray: TrainedModel, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "noisy.png").write_bytes(b"no picture")
    with refused(SourceError, "noisy.png", "not an image"):
        denoise(gray, tmp_path / "noisy.png", tmp_path / "clean.png")
    assert files(tmp_path) == ["noisy.png"]


def test_memory_bounds_the_batch_and_changes_nothing(
    gray: TrainedModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoise(gray, folder, tmp_path / "at-once")
    monkeypatch.setattr(batches, "MAX_BATCH_BYTES", 3 * 64)
    denoise(gray, folder, tmp_path / "in-parts")
    for name in files(folder):
        one, other = pixels(tmp_path / "at-once" / name), pixels(tmp_path / "in-parts" / name)
        assert np.abs(one.astype(int) - other).max() <= 1  # sums in another order


def test_progress_is_reported_picture_by_picture(
    gray: TrainedModel, folder: Path, tmp_path: Path
) -> None:
    reports: list[tuple[int, int, str]] = []

    def track(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
        everything = list(items)
        reports.append((len(everything), total, title))
        return everything

    denoise(gray, folder, tmp_path / "clean", track=track)
    assert reports == [(40, 40, "Denoising")]


@pytest.mark.parametrize("taken", ["file.png", "folder", "noisy", "noisy/clean", "noisy/0"])
def test_nothing_is_overwritten(
    taken: str, gray: TrainedModel, folder: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "file.png").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file.png").write_bytes(b"mine")
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    with refused(OptionError, tmp_path / taken, "choose another place"):
        denoise(gray, folder, tmp_path / taken)
    single = folder / files(folder)[0]
    if taken in ("file.png", "folder"):
        with refused(OptionError, tmp_path / taken):
            denoise(gray, single, tmp_path / taken)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_a_link_to_the_source_is_the_source(
    gray: TrainedModel, folder: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "link").symlink_to(folder)
    with refused(OptionError, "link"):
        denoise(gray, folder, tmp_path / "link" / "clean")


def test_an_array_needs_the_name_of_a_file(
    gray: TrainedModel, digits: Samples, tmp_path: Path, refused: Refused
) -> None:
    np.save(tmp_path / "noisy.npy", digits.values)
    with refused(OptionError, "noisy.npy", ".npy"):
        denoise(gray, tmp_path / "noisy.npy", tmp_path / "clean")
    assert files(tmp_path) == ["noisy.npy"]


def test_a_folder_that_cannot_be_made_is_refused(
    gray: TrainedModel, folder: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with refused(IsthmusError, tmp_path / "file" / "clean"):
        denoise(gray, folder, tmp_path / "file" / "clean")
    with refused(OptionError, "x" * 300):
        denoise(gray, folder, tmp_path / ("x" * 300))


def test_samples_of_another_kind_are_refused(
    gray: TrainedModel, waves: TrainedModel, folder: Path, tmp_path: Path, refused: Refused
) -> None:
    np.save(tmp_path / "waves.npy", signals(3))
    np.save(tmp_path / "images.npy", np.zeros((3, 9, 9), np.uint8))
    with refused(ModelError, "takes samples (N, 40, 2)", folder, "pictures"):
        denoise(waves, folder, tmp_path / "clean")
    for model, source in ((gray, "waves.npy"), (waves, "images.npy")):
        with refused(ModelError, "takes samples"):
            denoise(model, tmp_path / source, tmp_path / "clean.npy")
    assert not [name for name in files(tmp_path) if "clean" in name]


def test_missing_and_unknown_sources_are_refused(
    gray: TrainedModel, tmp_path: Path, refused: Refused
) -> None:
    with refused(SourceError, "nowhere"):
        denoise(gray, tmp_path / "nowhere", tmp_path / "clean")
    (tmp_path / "empty").mkdir()
    with refused(SourceError, "empty"):
        denoise(gray, tmp_path / "empty", tmp_path / "clean")


def test_written_jpegs_are_near_to_the_original(rgb: TrainedModel) -> None:
    """JPEGs are saved at quality 95, with color at full resolution."""
    draw = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(draw).save(content, **SAVE_OPTIONS[".jpg"])
    with Image.open(content) as picture:
        assert np.abs(np.asarray(picture).astype(int) - draw).mean() < 6
    assert set(SAVE_OPTIONS) >= set(PICTURE_SUFFIXES)


def smooth(channels: int, seed: int = 0, sides: tuple[int, int] = (16, 12)) -> Image.Image:
    rough = np.random.default_rng(seed).integers(0, 256, (3, 3, channels), np.uint8)
    picture = Image.fromarray(rough[..., 0] if channels == 1 else rough)
    return picture.resize(sides, Image.Resampling.BILINEAR)


def test_profile_exif_and_resolution_stay_and_the_orientation_goes(
    rgb: TrainedModel, tmp_path: Path
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", 6
    noisy, clean = tmp_path / "noisy", tmp_path / "clean"
    noisy.mkdir()
    for suffix in ("jpg", "png", "webp", "tif"):
        if suffix == "tif":  # which Pillow writes without folders of EXIF
            del exif[0x8769]
        else:
            exif[0x8769] = {0x9003: "2024:05:06 07:08:09"}
        smooth(3).save(noisy / f"a.{suffix}", exif=exif, icc_profile=profile, dpi=(300, 300))
    assert denoise(rgb, noisy, clean).lost == ()
    for suffix in ("jpg", "png", "webp", "tif"):
        with Image.open(clean / f"a.{suffix}") as picture:
            assert picture.size == (12, 16)  # upright
            assert picture.info["icc_profile"] == profile
            if suffix != "webp":
                assert round(float(picture.info["dpi"][0])) == 300
            found = picture.getexif()
            assert (found[0x010F], found.get(0x0112, 1)) == ("a camera", 1)
            if suffix != "tif":
                assert found.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_all_frames_and_pages_are_denoised(suffix: str, gray: TrainedModel, tmp_path: Path) -> None:
    pages = [smooth(1, seed) for seed in range(5)]
    options: dict[str, Any] = {"save_all": True, "append_images": pages[1:]}
    if suffix != "tif":
        options |= {"duration": [40, 60, 80, 40, 20], "loop": 3}
    if suffix == "webp":
        options["lossless"] = True
    noisy, clean = tmp_path / f"noisy.{suffix}", tmp_path / f"clean.{suffix}"
    pages[0].save(noisy, **options)
    assert denoise(gray, noisy, clean) == Denoised(1, 1)
    with Image.open(noisy) as before, Image.open(clean) as after:
        assert after.n_frames == 5  # type: ignore[attr-defined]
        assert after.info.get("loop") == before.info.get("loop")
        for number, page in enumerate(pages):
            before.seek(number)
            after.seek(number)
            before.load()
            shown = np.asarray(after.convert("L"))
            assert after.info.get("duration") == before.info.get("duration")
            (answer,) = denoise_values(gray, [np.asarray(page)])
            assert np.abs(shown.astype(int) - answer[..., 0]).max() <= 2


def test_transparency_of_every_kind_stays(rgb: TrainedModel, tmp_path: Path) -> None:
    noisy, clean = tmp_path / "noisy", tmp_path / "clean"
    noisy.mkdir()
    rgba = smooth(4)
    rgba.save(noisy / "a.webp", lossless=True)
    rgba.save(noisy / "a.png")
    rgba.save(noisy / "a.tif")
    rgba.convert("LA").save(noisy / "gray.png")
    indexed = smooth(3).quantize(8)
    indexed.save(noisy / "palette.gif", transparency=2)
    indexed.save(noisy / "palette.png", transparency=bytes(range(0, 240, 30)))
    assert [loss.what for loss in denoise(rgb, noisy, clean).lost] in (
        [],
        ["colors: a GIF has 256"],
    )
    for name in files(noisy):
        with Image.open(noisy / name) as before, Image.open(clean / name) as after:
            alphas = [np.asarray(picture.convert("RGBA"))[..., 3] for picture in (before, after)]
            np.testing.assert_array_equal(alphas[0], alphas[1])
            assert alphas[0].min() < 255
    with Image.open(clean / "gray.png") as picture:
        assert picture.mode == "LA"  # gray stays gray, although the model has colors


def test_numbers_of_more_than_eight_bits_keep_their_range(
    gray: TrainedModel, tmp_path: Path
) -> None:
    noisy, clean = tmp_path / "noisy", tmp_path / "clean"
    noisy.mkdir()
    values = np.asarray(smooth(1))
    for name in ("a.pgm", "a.png", "a.tif"):
        Image.fromarray(values.astype(np.uint16) * 257).save(noisy / name)
    Image.fromarray((values / 255).astype(np.float32)).save(noisy / "fractions.tif")
    done = denoise(gray, noisy, clean)
    assert done.lost == (Loss("precision beyond 8 bits; the numbers keep their range", 4, "a.pgm"),)
    (answer,) = denoise_values(gray, [values])
    for name in ("a.pgm", "a.png", "a.tif"):
        np.testing.assert_array_equal(np.asarray(Image.open(clean / name)), answer[..., 0] * 257.0)
    fractions = np.asarray(Image.open(clean / "fractions.tif"))
    np.testing.assert_allclose(fractions, answer[..., 0] / 255, atol=1e-6)


def test_what_was_stretched_keeps_the_numbers_of_its_file(tmp_path: Path) -> None:
    dark = np.stack([np.roll(np.array(smooth(1)) // 17, i, 0) for i in range(48)])  # up to 15
    model = trained_on(load(dark, reading=Reading(stretch="0:15")), tmp_path / "dark", epochs=1)
    Image.fromarray(dark[0]).save(tmp_path / "dark.png")
    denoise(model, tmp_path / "dark.png", tmp_path / "clean.png")
    assert 2 < pixels(tmp_path / "clean.png").max() <= 15
    # A stretch for other numbers was not used for the file, and is not undone.
    signed = load(dark / 7.5 - 1, reading=Reading(stretch="-1:1"))
    model = trained_on(signed, tmp_path / "signed", epochs=1)
    Image.fromarray(dark[0].astype(np.uint16) * 4000).save(tmp_path / "deep.png")
    denoise(model, tmp_path / "deep.png", tmp_path / "clean deep.png")
    with Image.open(tmp_path / "clean deep.png") as image:
        assert np.asarray(image).max() > 255


def test_what_a_format_or_the_model_cannot_keep_is_said(gray: TrainedModel, tmp_path: Path) -> None:
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    smooth(3).save(noisy / "color.png")
    smooth(3, 1).save(noisy / "more.png")
    smooth(4).convert("CMYK").save(noisy / "print.jpg")
    smooth(1).save(noisy / "text.gif", comment=b"by hand")
    told = {
        loss.what: (loss.count, loss.example)
        for loss in denoise(gray, noisy, tmp_path / "clean").lost
    }
    assert told["color: the model is gray"] == (3, "color.png")
    assert told["CMYK, written as RGB"] == (1, "print.jpg")
    assert told["comments and texts"] == (1, "text.gif")
    frames = [smooth(4, seed) for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], disposal=2)
    told = {
        loss.what: (loss.count, loss.example)
        for loss in denoise(gray, tmp_path / "a.gif", tmp_path / "a.jpg").lost
    }
    assert "pages or frames but the first" in told


def test_pages_that_are_broken_are_said_and_the_others_kept(
    gray: TrainedModel, tmp_path: Path
) -> None:
    pages = [smooth(1, seed) for seed in range(4)]
    content = io.BytesIO()
    pages[0].save(content, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    with Image.open(content) as picture:
        picture.seek(2)
        (start,), (size,) = picture.tag_v2[273], picture.tag_v2[279]  # type: ignore[attr-defined]
    damaged = bytearray(content.getvalue())
    damaged[start : start + size] = b"\xff" * size
    (tmp_path / "noisy.tif").write_bytes(damaged)
    done = denoise(gray, tmp_path / "noisy.tif", tmp_path / "clean.tif")
    assert [loss.what for loss in done.lost] == ["pages that are broken"]
    with Image.open(tmp_path / "clean.tif") as picture:
        assert picture.n_frames == 3  # type: ignore[attr-defined]

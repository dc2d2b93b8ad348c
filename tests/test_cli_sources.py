"""Commands that look at sources: data preview, data map and data export."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from isthmus import Run, Samples, Session, TrainedModel, check_data, load
from isthmus.data.corruption import Corruption
from isthmus.reports.preview import noisy, preview
from isthmus.studio.history import read_history
from isthmus.viz.canvas import to_pixels
from looking import find, words
from test_cli import done, isthmus


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small run to take parts of and to draw through."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    options = ("--model", "dense", "--limit", 300, "--epochs", 3, "--code-size", 8)
    done("train", "digits", *options, "--out", folder)
    return folder


# -- export ---------------------------------------------------------------------------------


def test_the_split_of_a_run_is_what_it_held_out(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "test.npz"
    result = json.loads(done("data", "export", run, "--split", "test", "--out", out, "--json").out)
    opened = Run.open(run)
    held_out = opened.samples().take(opened.split().test)
    written = load(out)
    assert result == {
        "out": str(out),
        "samples": len(held_out),
        "description": held_out.describe(),
    }
    assert np.array_equal(written.values, held_out.values)
    assert np.array_equal(np.asarray(written.labels), np.asarray(held_out.labels))
    assert written.class_names == held_out.class_names


def test_a_run_without_a_part_gives_all_its_data(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.npz"
    done("data", "export", run, "--out", out)
    assert np.array_equal(load(out).values, Run.open(run).samples().values)


def test_signals_come_back_as_they_were(tmp_path: Path) -> None:
    out = tmp_path / "waves.npz"
    done("data", "export", "waveforms", "--limit", 20, "--out", out)
    made, written = load("waveforms", limit=20), load(out)
    assert np.array_equal(written.values, made.values)
    assert written.class_names == made.class_names


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_of_pictures_holds_the_same_pixels(
    channels: int, photos: Path, tmp_path: Path
) -> None:
    samples = load(photos, channels=channels)
    source = tmp_path / "source.npz"
    np.savez(source, images=samples.values)
    out = tmp_path / "pictures"
    done("data", "export", source, "--out", out)
    written = sorted(out.iterdir(), key=lambda file: int(file.stem))
    assert [np.array_equal(load(file).values[0], one) for file, one in zip(
        written, samples.values, strict=True)] == [True] * len(samples)  # fmt: skip


def test_pictures_keep_their_names(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "some"
    asked = ("--only", "dog/1.jpg", "--only", "cat/0.png")
    done("data", "export", photos, *asked, "--out", out)
    files = {file.relative_to(out).as_posix() for file in out.rglob("*.png")}
    assert files == {"dog/1.png", "cat/0.png"}
    assert load(out).class_names == ("cat", "dog")


def test_labels_and_parts_come_back_from_a_folder(tmp_path: Path) -> None:
    source, out = tmp_path / "source.npz", tmp_path / "copy"
    x = np.random.default_rng(0).integers(0, 256, (12, 4, 4), np.uint8)
    y = np.arange(12) % 3
    np.savez(source, x_train=x[:9], y_train=y[:9], x_test=x[9:], y_test=y[9:])
    done("data", "export", source, "--out", out)
    asked, written = load(source), load(out)

    def described(samples: Samples) -> set[tuple[bytes, int, str]]:
        assert samples.splits is not None
        assert samples.labels is not None
        names = [samples.class_names[label] for label in samples.labels]
        pixels = [values.tobytes() for values in samples.values]
        return set(zip(pixels, samples.splits.tolist(), names, strict=True))

    assert len(described(asked)) == 12
    assert described(written) == described(asked)


def test_pictures_of_one_name_are_not_written_over_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate(("a.png", "a.bmp", "b.png")):
        Image.new("L", (4, 4), 50 * i).save(folder / name)
    outcome = isthmus("data", "export", folder, "--out", tmp_path / "copy")
    assert outcome.code == 2
    assert "a.png" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("parts", [("",), ("train/", "test/")], ids=["whole", "in parts"])
def test_masks_come_back_with_their_pictures_parts_and_classes(
    parts: tuple[str, ...], tmp_path: Path
) -> None:
    source, out = tmp_path / "streets", tmp_path / "copy"
    random = np.random.default_rng(0)
    for file in (f"{part}{{}}/{name}.png" for part in parts for name in ("a", "b/c")):
        for kind, high, shape in (("images", 256, (8, 10, 3)), ("masks", 3, (8, 10))):
            (source / file.format(kind)).parent.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, high, shape, np.uint8)
            Image.fromarray(pixels).save(source / file.format(kind))
    (source / "classes.txt").write_text("sky\nroad\ntree")
    done("data", "export", source, "--out", out)
    asked, written = load(source), load(out)
    assert np.array_equal(written.values, asked.values)
    assert np.array_equal(np.asarray(written.masks), np.asarray(asked.masks))
    assert np.array_equal(np.asarray(written.splits), np.asarray(asked.splits))
    assert written.class_names == ("sky", "road", "tree")
    outcome = isthmus("data", "export", source, "--out", tmp_path / "copy.npz")
    assert outcome.code == 2
    assert "folder" in outcome.err


def test_a_count_is_spread_over_the_split(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "few.npz"
    done("data", "export", run, "--split", "train", "--count", 5, "--out", out)
    opened = Run.open(run)
    train = opened.samples().take(opened.split().train)
    few = load(out)
    assert len(few) == 5
    assert np.array_equal(few.values[[0, -1]], train.values[[0, -1]])


def test_a_source_with_splits_of_its_own_needs_no_run(tmp_path: Path) -> None:
    source, out = tmp_path / "parts.npz", tmp_path / "test.npz"
    x = np.arange(7 * 16, dtype=np.uint8).reshape(7, 4, 4)
    np.savez(source, x_train=x[:5], x_test=x[5:])
    done("data", "export", source, "--split", "test", "--out", out)
    assert np.array_equal(load(out).values[..., 0], x[5:])
    outcome = isthmus("data", "export", source, "--split", "validation", "--out", out)
    assert outcome.code == 2
    assert "no validation split" in outcome.err


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        (("digits", "--split", "test"), "defines no splits"),
        (("digits", "--split", "tests"), "train, validation, test"),
        (("digits", "--only", "Nobody"), "'Nobody'"),
        (("digits", "--count", 0), "count"),
        (("nowhere",), "nowhere"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    options: tuple[object, ...], culprit: str, tmp_path: Path
) -> None:
    outcome = isthmus("data", "export", *options, "--out", tmp_path / "out.npz")
    assert outcome.code == 2
    assert culprit in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_a_run_is_refused(run: Path, tmp_path: Path) -> None:
    outcome = isthmus("data", "export", run, "--limit", 5, "--out", tmp_path / "out.npz")
    assert outcome.code == 2
    assert "give a count" in outcome.err


def test_nothing_is_overwritten_by_a_folder_of_pictures(photos: Path) -> None:
    before = sorted(photos.rglob("*"))
    outcome = isthmus("data", "export", "digits", "--out", photos)
    assert outcome.code == 2
    assert "not empty" in outcome.err
    assert sorted(photos.rglob("*")) == before


def test_signals_are_no_pictures(tmp_path: Path) -> None:
    outcome = isthmus("data", "export", "waveforms", "--limit", 3, "--out", tmp_path / "waves")
    assert outcome.code == 2
    assert ".npz" in outcome.err


# -- preview --------------------------------------------------------------------------------


def test_noise_has_the_strength_that_was_asked_for() -> None:
    gray = np.full((40, 16, 16, 1), 128, np.uint8)
    samples = load(gray)
    found = noisy(samples, Corruption.parse("gaussian:0.1")).astype(float) - 128
    assert found.std() == pytest.approx(25.5, rel=0.03)
    again = noisy(samples, Corruption.parse("gaussian:0.1")).astype(float) - 128
    assert np.array_equal(found, again)
    other = noisy(samples, Corruption.parse("gaussian:0.1"), seed=1).astype(float) - 128
    assert not np.array_equal(found, other)


def test_noise_of_signals_is_in_their_range() -> None:
    samples = load("waveforms", limit=200)
    found = noisy(samples, Corruption.parse("gaussian-unclipped:0.2"))
    reach = float(samples.values.max() - samples.values.min())
    assert found.dtype == np.float32
    assert (found - samples.values).std() == pytest.approx(0.2 * reach, rel=0.03)


def test_rows_are_the_samples_the_noise_and_what_runs_make_of_it(run: Path) -> None:
    model, samples = TrainedModel.load(run), load("digits", limit=4)
    kinds = [Corruption.parse("gaussian:0.5"), Corruption.parse("masked:0.5")]
    figure = preview(samples, kinds, [("small", model)])
    assert words(figure) == ["original", "gaussian:0.5", "small", "masked:0.5", "small"]
    picture = to_pixels(figure)
    tops = []
    for kind in kinds:
        corrupted = noisy(samples, kind)
        for row in (corrupted, model.reconstruct(corrupted)):
            boxes = [find(picture, image) for image in row]
            assert [box.left for box in boxes] == sorted(box.left for box in boxes)
            tops.append(boxes[0].top)
    assert tops == sorted(tops)
    assert all(find(picture, image).bottom < tops[0] for image in samples.values)


def test_the_title_of_noise_is_all_of_it() -> None:
    texts = ("gaussian:0..55/255", "gaussian-unclipped:25/255,jpeg:10..50,salt-pepper:0.25")
    figure = preview(load("digits", limit=2), [Corruption.parse(text) for text in texts])
    assert words(figure) == [
        "original",
        "gaussian:0..55/255",
        "unclipped:25/255,\njpeg:10..50,\nsalt-pepper:0.25",
    ]


def test_the_seed_of_a_preview_decides_its_noise(tmp_path: Path) -> None:
    pictures = []
    for number, seed in enumerate((3, 3, 4)):
        out = tmp_path / f"{number}.png"
        done("data", "preview", "digits", "--corrupt", "poisson:0..0.5,gaussian:0..55/255",
             "--limit", 3, "--seed", seed, "--out", out)  # fmt: skip
        pictures.append(out.read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_without_noise_runs_are_shown_the_samples_themselves(run: Path) -> None:
    model, samples = TrainedModel.load(run), load("digits", limit=3)
    picture = to_pixels(preview(samples, (), [("small", model)]))
    assert find(picture, model.reconstruct(samples)[0])


def test_the_preview_is_a_picture(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "preview.png"
    noise = ("--corrupt", "gaussian:0.1", "--corrupt", "gaussian:0.5")
    command = ("data", "preview", "digits", *noise, "--through", run, "--limit", 5, "--out", out)
    assert json.loads(done(*command, "--json").out) == {
        "picture": str(out),
        "samples": 5,
        "middle": None,
    }
    with Image.open(out) as picture:
        assert picture.height > picture.width * 0.7  # five rows of five


def test_noise_of_photographs_is_shown_at_their_own_pixels(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "preview.png"
    photos.mkdir()
    for number, (height, width) in enumerate([(300, 400), (90, 500), (40, 30)]):
        Image.fromarray(np.full((height, width), 128, np.uint8)).save(photos / f"{number}.png")
    noise = ("--corrupt", "gaussian:0.1")
    result = json.loads(done("data", "preview", photos, *noise, "--out", out, "--json").out)
    assert result == {"picture": str(out), "samples": 3, "middle": 160}
    with Image.open(out) as picture:
        pixels = np.asarray(picture.convert("L"), float)
    changed = pixels[(pixels > 60) & (pixels < 200) & (pixels != 128)] - 128
    assert changed.size > 160 * 160 + 90 * 160  # of both photographs, in the row of noise
    assert changed.std() == pytest.approx(25.5, rel=0.1)  # reduced, it would be weaker
    assert "preview.png\n" in done("data", "preview", photos, "--out", out).out  # whole, all sizes


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        (("--corrupt", "rain:0.5"), "rain"),
        (("--corrupt", "gaussian:.."), "gaussian:.."),
        (("--out", "preview.jpg"), "preview.jpg"),
        (("--through", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_previewed_is_refused(options: tuple[str, ...], culprit: str) -> None:
    outcome = isthmus("data", "preview", "digits", *options)
    assert outcome.code == 2
    assert culprit in outcome.err


def test_a_preview_of_signals_as_jpeg_is_refused() -> None:
    outcome = isthmus("data", "preview", "waveforms", "--limit", 3, "--corrupt", "jpeg:10")
    assert outcome.code == 2
    assert "jpeg is noise of images" in outcome.err


def test_a_size_beside_a_run_is_refused(run: Path) -> None:
    outcome = isthmus("data", "preview", "digits", "--through", run, "--size", 16)
    assert outcome.code == 2
    assert "size" in outcome.err


def test_a_run_that_rebuilds_nothing_is_refused(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "classifier"
    done("train", "digits", "--task", "classify", "--model", "cnn-tiny", "--limit", 60,
         "--epochs", 1, "--out", folder)  # fmt: skip
    outcome = isthmus("data", "preview", "digits", "--through", folder, "--limit", 3)
    assert outcome.code == 2
    assert "autoencoder" in outcome.err


# -- map ------------------------------------------------------------------------------------


def test_a_map_of_values_is_that_of_scikit_learn(tmp_path: Path) -> None:
    out = tmp_path / "map.png"
    result = json.loads(done("data", "map", "digits", "--out", out, "--json").out)
    pixels = load("digits").values.reshape(1797, -1).astype(float)
    expected = PCA(2).fit(pixels).explained_variance_ratio_
    assert result["explained_variance"] == pytest.approx(expected.tolist(), rel=1e-4)
    assert result["n"] == 1797
    with Image.open(out) as picture:
        assert picture.format == "PNG"


def test_it_tells_people_what_the_axes_show(tmp_path: Path) -> None:
    text = done("data", "map", "digits", "--out", tmp_path / "map.png").out
    assert "14.90% and 13.62%" in text


def test_signals_are_mapped_too(tmp_path: Path) -> None:
    out = tmp_path / "map.png"
    result = json.loads(
        done("data", "map", "waveforms", "--limit", 60, "--method", "tsne", "--out", out, "--json")
        .out
    )  # fmt: skip
    assert result["method"] == "tsne"
    assert 0 <= result["knn_10"] <= 1


def test_a_method_that_does_not_exist_is_refused() -> None:
    outcome = isthmus("data", "map", "digits", "--method", "mds")
    assert outcome.code == 2
    assert "pca, tsne, umap" in outcome.err


# -- check ----------------------------------------------------------------------------------


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Make a folder of classes with brackets in a name, dark pictures and a note."""
    folder = tmp_path / "odd"
    draw = np.random.default_rng(3)
    for name in ("[red]", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            Image.fromarray(draw.integers(0, 20, (9, 8), np.uint8)).save(folder / name / f"{i}.png")
    (folder / "b" / "notes.txt").write_text("dark")
    return folder


def test_check_says_what_is_read_and_what_looks_wrong(odd: Path) -> None:
    outcome = done("data", "check", odd)
    lines = outcome.out.splitlines()
    assert lines[0] == "24 images of 9 × 8, gray, 2 classes"
    assert 8 <= len(lines) <= 25
    for text in ("24 .png", "1 .txt", "[red]: 12, b: 12", "19 of 255", "--stretch auto"):
        assert text in outcome.out
    starts = {len(line) - len(line[11:].lstrip()) for line in lines[1:]}
    assert len(starts) == 1  # aligned


def test_check_as_json_is_the_report(odd: Path) -> None:
    outcome = done("data", "check", odd, "--json")
    assert json.loads(outcome.out) == check_data(odd).to_json()


def test_check_takes_the_options_of_train(odd: Path) -> None:
    options = ("--size", 16, "--rgb", "--limit", 10, "--stretch", "0:19")
    outcome = done("data", "check", odd, *options)
    assert outcome.out.startswith("10 images of 16 × 16, RGB, 2 classes\n")
    assert "--stretch auto" not in outcome.out


def test_check_lists_sizes_that_training_refuses(odd: Path, tmp_path: Path) -> None:
    Image.new("L", (30, 40), 7).save(odd / "b" / "large.png")
    Image.new("L", (31, 40), 7).save(odd / "b" / "larger.png")
    assert isthmus("train", odd, "--out", tmp_path / "run").code == 2
    outcome = done("data", "check", odd)
    assert "9 × 8: 24, 40 × 30: 1" in outcome.out
    assert "--size" in outcome.out


def test_check_of_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "missing"):
        outcome = isthmus("data", "check", source)
        assert (outcome.code, outcome.out) == (2, "")
        assert str(source) in outcome.err


def test_train_begins_with_what_was_read_and_keeps_it(odd: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    outcome = done("train", odd, "--model", "linear", "--epochs", 1, "--out", out, "--json")
    said = outcome.err.partition("epoch 1/1")[0].splitlines()
    assert said[0] == "24 images of 9 × 8, gray, 2 classes"
    assert 2 <= len(said) <= 5
    assert "19 of 255" in outcome.err
    assert "1 .txt" in outcome.err
    report = check_data(odd)
    assert json.loads(outcome.out)["reading"] == report.to_json()
    assert json.loads((out / "run.json").read_text())["data"]["reading"] == report.to_json()
    assert f"{Run.open(out).record.reading}" == f"{report}"


def test_pages_about_a_run_show_what_was_read(odd: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "run", tmp_path / "page.html"
    done("train", odd, "--model", "linear", "--epochs", 1, "--out", out)
    done("report", out, "--out", page)
    shown = page.read_text(encoding="utf-8")
    assert "What was read" in shown
    assert "[red]: 12, b: 12" in shown
    assert "19 of 255" in shown
    assert any("19 of 255" in text for text in read_history(Session(out))["reading"])
    done("card", out, "--out", tmp_path / "card")
    assert "| warning | the brightest pixel is 19 of 255 |" in (
        tmp_path / "card" / "README.md"
    ).read_text(encoding="utf-8")


def test_runs_of_older_versions_say_nothing_of_it(run: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(run, tmp_path / "old"))
    record = json.loads((old / "run.json").read_text())
    del record["data"]["reading"], record["seal"]
    (old / "run.json").write_text(json.dumps(record))
    done("report", old)
    assert "What was read" not in (old / "report.html").read_text(encoding="utf-8")
    done("card", old, "--out", tmp_path / "card")
    assert read_history(Session(old))["reading"] == []
    assert Run.open(old).record.reading is None

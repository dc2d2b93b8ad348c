"""The content of a page: complete, true, stored once, and safe against whoever asks."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from isthmus import (
    Run,
    Samples,
    Session,
    TorchEncoder,
    TrainedModel,
    TrainingConfig,
    evaluate,
    load,
    resume,
    train,
)
from isthmus.data.items import Items
from isthmus.errors import IsthmusError, OptionError, RunError
from isthmus.evaluation.predictions import score_predictions
from isthmus.studio.columns import unpack
from isthmus.studio.content import Content
from isthmus.studio.merging import merge

pytestmark = pytest.mark.usefixtures("kept_conversions")

Refused = Callable[..., AbstractContextManager[None]]
QUICK = TrainingConfig(epochs=2, batch_size=32)


def finish(steps: Any) -> Run:
    for _ in steps:
        pass
    run: Run = steps.run
    return run


def column(content: Content, name: str) -> NDArray[Any]:
    known = {one["name"]: one for one in content.manifest()["columns"]}
    return unpack(content.read(known[name]["file"]))


def all_files(content: Content) -> dict[str, bytes]:
    return {path: content.read(path) for path in content.paths()}


def load_onnx(content: Content, file: str) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(content.read(file))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of small pictures of two classes."""
    folder = tmp_path_factory.mktemp("sources") / "pictures"
    digits = load("digits")
    assert digits.labels is not None
    for label in (0, 1):
        (folder / f"class {label}").mkdir(parents=True)
        for row in np.flatnonzero(digits.labels == label)[:30]:
            picture = Image.fromarray(digits.values[row, ..., 0])
            picture.save(folder / f"class {label}" / f"{row}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """Train an autoencoder on the pictures."""
    out = tmp_path_factory.mktemp("runs") / "mine"
    finish(train(load(pictures), "dense", code_size=3, out=out, config=QUICK))
    Content(Session(out)).finish()  # stored, so that most tests only open it
    return out


@pytest.fixture
def run(trained: Path, pictures: Path, tmp_path: Path) -> Path:
    """Copy the run, and its data, so that a test may change both."""
    shutil.copytree(pictures, tmp_path / "pictures")
    shutil.copytree(trained, tmp_path / "mine")
    record = json.loads((tmp_path / "mine" / "run.json").read_text())
    record["origin"]["source"] = str(tmp_path / "pictures")
    (tmp_path / "mine" / "run.json").write_text(json.dumps(record))
    return tmp_path / "mine"


@pytest.fixture(scope="module")
def digits_run() -> Run:
    """Train in memory, on digits."""
    return finish(train(load("digits", limit=300), "dense", code_size=6, config=QUICK))


@pytest.fixture(scope="module")
def digits(digits_run: Run) -> Content:
    content = Content(Session(digits_run))
    content.finish()
    return content


# -- what is in it ----------------------------------------------------------------------------


def test_the_manifest_names_only_files_that_are_there(digits: Content) -> None:
    manifest = json.loads(digits.read("manifest.json"))
    assert manifest == json.loads(json.dumps(digits.manifest()))
    assert manifest["format"] == 1
    assert (manifest["task"], manifest["count"], manifest["code_size"]) == ("reconstruct", 300, 6)
    assert manifest["pending"] == []
    files = all_files(digits)
    assert next(iter(files)) == "manifest.json"
    named = [
        *(one["file"] for one in manifest["columns"]),
        manifest["codes"]["file"],
        manifest["class_codes"]["file"],
        *(one["file"] for one in manifest["maps"]),
        *(one["file"] for one in manifest["networks"].values()),
        *(manifest["mixture"][part] for part in ("means", "factors")),
        manifest["thumbs"]["pattern"].format(n=0),
        manifest["names"]["pattern"].format(n=0),
        manifest["history"],
        manifest["epochs"]["inputs"],
        *(manifest["epochs"]["pattern"].format(n=n) for n in manifest["epochs"]["kept"]),
    ]
    assert sorted([*named, "manifest.json"]) == sorted(files)


def test_codes_and_losses_are_those_of_the_model(digits: Content, digits_run: Run) -> None:
    model, samples = digits_run.model(), digits_run.samples()
    z = unpack(digits.read("codes.bin"))
    np.testing.assert_allclose(z, model.encode(samples), atol=1e-5)
    np.testing.assert_array_equal(digits.codes(np.array([5, 2])), z[[5, 2]])
    # The mean over the test split is what `isthmus evaluate` says.
    mse = evaluate(digits_run, cache=False)["test"]["mse"]
    loss = column(digits, "loss")
    assert loss[digits_run.split().test].mean() == pytest.approx(mse, rel=1e-5)


def test_names_labels_and_splits_are_those_of_the_samples(digits: Content, digits_run: Run) -> None:
    samples, split = digits_run.samples(), digits_run.split()
    assert json.loads(digits.read("names/0.json")) == list(samples.names)
    np.testing.assert_array_equal(column(digits, "class"), samples.labels)
    splits = column(digits, "split")
    for number, rows in enumerate((split.train, split.validation, split.test)):
        np.testing.assert_array_equal(np.flatnonzero(splits == number), np.sort(rows))


def test_a_place_on_the_map_leads_back_to_its_code(digits: Content) -> None:
    entry = digits.manifest()["maps"][0]
    assert (entry["method"], entry["decode"]["kind"]) == ("pca", "linear")
    xy, z = unpack(digits.read(entry["file"])), unpack(digits.read("codes.bin"))
    components, mean = (np.array(entry["decode"][name]) for name in ("components", "mean"))
    np.testing.assert_allclose(
        xy @ components + mean @ components.T @ components,
        (z @ components.T @ components),
        atol=1e-4,
    )
    quality = entry["quality"]
    assert 0.5 < quality["trustworthiness"] <= 1
    assert {"continuity", "neighbors", "knn_1", "knn_10", "measured", "raw_pca"} <= set(quality)


def test_statistics_describe_the_codes(digits: Content) -> None:
    z, statistics = unpack(digits.read("codes.bin")), digits.manifest()["code_statistics"]
    np.testing.assert_allclose(statistics["mean"], z.mean(0), atol=1e-5)
    assert ((z < statistics["low"]).mean(0) <= 0.02).all()
    assert ((z > statistics["high"]).mean(0) <= 0.02).all()
    apart = np.linalg.norm(z[:, None] - z[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = np.quantile(apart.min(1), np.linspace(0, 1, 11))
    np.testing.assert_allclose(statistics["spacing"]["quantiles"], nearest, atol=1e-3)
    axes = np.array(statistics["axes"]["components"])
    np.testing.assert_allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-5)
    np.testing.assert_allclose(
        ((z - z.mean(0)) @ axes.T).std(0), statistics["axes"]["scale"], rtol=1e-2
    )
    drift = statistics["drift"]["quantiles"]
    assert len(drift) == 11
    assert drift == sorted(drift)


def test_class_codes_are_means(digits: Content) -> None:
    z, labels = unpack(digits.read("codes.bin")), column(digits, "class")
    means = unpack(digits.read("class_codes.bin"))
    np.testing.assert_allclose(means[3], z[labels == 3].mean(0), atol=1e-4)


def test_epochs_are_of_samples_that_are_shown(digits: Content, digits_run: Run) -> None:
    entry = digits.manifest()["epochs"]
    values = digits_run.samples().values[entry["rows"]]
    np.testing.assert_array_equal(unpack(digits.read("epochs/inputs.bin")), values.reshape(-1, 64))
    kept = digits_run.epochs.read(2)
    assert kept is not None
    np.testing.assert_array_equal(unpack(digits.read("epochs/2.bin")), kept.reshape(-1, 64))
    tested = Content(Session(digits_run), split="test").manifest()["epochs"]["rows"]
    shown = digits_run.samples().values[digits_run.split().test]
    np.testing.assert_array_equal(shown[tested], values)


def test_the_networks_answer_as_the_model_does(digits: Content, digits_run: Run) -> None:
    model, x = digits_run.model(), digits_run.samples().values[:9]

    def run(file: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
        session = load_onnx(digits, file)
        names = [output.name for output in session.get_outputs()]
        fed = {session.get_inputs()[0].name: values}
        return dict(zip(names, session.run(None, fed), strict=True))

    z = run("encoder.onnx", x)["code"]
    np.testing.assert_allclose(z, model.encode(x), atol=1e-4)
    drawn = run("decoder.onnx", z)["reconstruction"].astype(int)
    assert np.abs(drawn - model.decode(z)).max() <= 1
    layers, activations = run("layers.onnx", x), model.activations(x)
    for entry in digits.manifest()["networks"]["layers"]["layers"]:
        output = layers[entry["output"]]
        assert list(output.shape[1:]) == entry["shape"]
        np.testing.assert_allclose(output, activations[entry["name"]], atol=1e-4)
    assert {"code", "reconstruction"} <= set(layers)


def test_a_code_of_two_is_a_map_and_the_first() -> None:
    run = finish(train(load("digits", limit=120), "dense", code_size=2, config=QUICK))
    content = Content(Session(run))
    assert [one["method"] for one in content.manifest()["maps"]] == ["code", "pca"]
    assert content.manifest()["maps"][0]["decode"] == {"kind": "code"}
    np.testing.assert_array_equal(
        unpack(content.read("maps/code.bin")), unpack(content.read("codes.bin"))
    )


def test_another_map_is_added_when_asked_for(digits_run: Run, refused: Refused) -> None:
    content = Content(Session(digits_run), limit=100)
    before = content.manifest()
    assert "tsne" in content.manifest(live=True)["methods"]
    entry = content.add_map("tsne")
    assert entry["decode"]["kind"] == "neighbors"
    assert entry["decode"]["anchors"] == 5
    assert entry["quality"]["trustworthiness"] > 0.5
    after = content.manifest()
    assert [one["method"] for one in after["maps"]] == ["pca", "tsne"]
    assert after["fingerprint"] != before["fingerprint"]
    assert len(unpack(content.read("maps/tsne.bin"))) == 100
    for wrong in ("code", "lda", "pca2"):
        with refused(OptionError, wrong):
            content.add_map(wrong)


def test_a_denoisers_loss_is_that_of_its_noisy_inputs() -> None:
    config = replace(QUICK, corrupt="gaussian:0.4")
    run = finish(train(load("digits", limit=200), "dense", code_size=6, config=config))
    content = Content(Session(run))
    entry = next(one for one in content.manifest()["columns"] if one["name"] == "loss")
    assert "noisy" in entry["title"]
    mse = evaluate(run, cache=False)["test"]["mse"]
    assert column(content, "loss")[run.split().test].mean() == pytest.approx(mse, rel=1e-5)
    tested = Content(Session(run), split="test")
    assert column(tested, "loss").mean() == pytest.approx(mse, rel=1e-5)


def test_a_classifier_has_its_predictions() -> None:
    run = finish(train(load("digits", limit=400), "cnn-tiny", config=QUICK))
    content = Content(Session(run))
    content.finish()
    manifest = content.manifest()
    model, samples = run.model(), run.samples()
    assert manifest["task"] == "classify"
    assert manifest["networks"]["decoder"] is None
    assert manifest["code_statistics"]["drift"] is None
    probabilities = model.probabilities(samples)
    np.testing.assert_array_equal(column(content, "predicted"), probabilities.argmax(1))
    np.testing.assert_allclose(column(content, "confidence"), probabilities.max(1), atol=1e-5)
    accuracy = score_predictions(model, samples)["accuracy"]
    assert column(content, "correct").mean() == pytest.approx(accuracy)
    kept = unpack(content.read("epochs/1.bin"))
    assert kept.shape[1] == 10


def test_a_segmenter_has_masks_and_scores() -> None:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (30, 16, 24, 3), np.uint8)
    masks = (images[..., 0] > 128).astype(np.uint8)
    masks[:, :3] = 255
    items = Items([str(i) for i in range(30)], None, ("dark", "<b>light</b>"))
    samples = Samples(images, items, masks=masks)
    options = {"width": 0.05, "batch_norm": False}
    config = TrainingConfig(epochs=1, batch_size=8)
    run = finish(train(samples, "fcn32s", code_size=8, options=options, config=config))
    content = Content(Session(run))
    manifest = content.manifest()
    assert manifest["masks"]["names"] == ["dark", "<b>light</b>"]
    assert len(manifest["masks"]["colors"]) == 2
    model = run.model()
    predicted = model.predict(samples)
    for row, (found, true) in enumerate(zip(predicted, masks, strict=True)):
        one = samples.take(np.array([row]))
        scores = score_predictions(model, one)
        assert column(content, "accuracy")[row] == pytest.approx(scores["pixel_accuracy"])
        assert column(content, "iou")[row] == pytest.approx(scores["mean_iou"], abs=1e-6)
        for folder, mask in (("predicted", found), ("masks", true)):
            with Image.open(io.BytesIO(content.read(f"{folder}/0.png"))) as picture:
                sheet = np.array(picture)
            cell = sheet[0:16, row * 24 : (row + 1) * 24]
            np.testing.assert_array_equal(cell, mask)


def test_signals_are_drawn_and_sent(tmp_path: Path) -> None:
    signals = np.sin(np.linspace(0, 20, 32) * np.linspace(1, 2, 80)[:, None]).astype(np.float32)
    samples = Samples(signals[..., None], Items([str(i) for i in range(80)]))
    run = finish(train(samples, "conv1d", code_size=4, config=QUICK))
    content = Content(Session(run))
    manifest = content.manifest(live=True)
    assert manifest["sample"]["kind"] == "signal"
    assert manifest["sample"]["low"] < manifest["sample"]["high"]
    assert manifest["samples"] is None
    np.testing.assert_array_equal(unpack(content.read("signals.bin")), signals)
    assert content.read("thumbs/0.webp")
    assert column(content, "loss").shape == (80,)


# -- choices and other models -----------------------------------------------------------------


def test_a_split_a_limit_and_another_source(
    run: Path, pictures: Path, refused: Refused, tmp_path: Path
) -> None:
    opened = Run.open(run)
    tested = Content(Session(run), split="test")
    assert tested.manifest()["count"] == len(opened.split().test)
    assert tested.manifest()["split"] == "test"
    few = Content(Session(run), limit=10)
    assert few.manifest()["count"] == 10
    assert "10 of 60 samples" in few.manifest()["note"]
    other = Content(Session(run), pictures / "class 1")
    assert other.manifest()["count"] == 30
    assert other.manifest()["source"] == "class 1"
    assert {one["name"] for one in other.manifest()["columns"]} == {"loss"}
    assert set(other.manifest()["epochs"]["rows"]) == {-1}
    with refused(OptionError, "half"):
        Content(Session(run), split="half")
    with refused(OptionError, "split"):
        Content(Session(run), pictures, split="test")
    with refused(IsthmusError, "nowhere"):
        Content(Session(run), tmp_path / "nowhere")
    with refused(OptionError, "0"):
        Content(Session(run), limit=0)


def test_a_model_in_a_file_needs_a_source(
    trained: Path, pictures: Path, tmp_path: Path, refused: Refused
) -> None:
    weights = tmp_path / "weights.safetensors"
    shutil.copy(trained / "model.safetensors", weights)
    with refused(RunError, "source"):
        Content(Session(weights))
    content = Content(Session(weights), pictures)
    assert content.manifest()["name"] == "weights.safetensors"
    assert content.manifest()["history"] is None
    assert content.history()["lines"] == []
    assert column(content, "loss").shape == (60,)
    onnx = pytest.importorskip("onnx")
    assert onnx
    from isthmus import export

    export(trained, tmp_path / "mine.onnx")
    exported = Content(Session(tmp_path / "mine.onnx"), pictures)
    exported.finish()
    networks = exported.manifest()["networks"]
    assert networks["layers"] is None
    assert "mine.onnx has no layers" in exported.manifest()["note"]
    decoder = load_onnx(exported, networks["decoder"]["file"])
    z = exported.codes(np.arange(5))
    np.testing.assert_array_equal(decoder.run(None, {"code": z})[0], exported.decode(z))
    export(trained, tmp_path / "part.onnx", part="encoder")
    part = Content(Session(tmp_path / "part.onnx"), pictures)
    part.finish()
    assert part.manifest()["task"] == "encode"
    assert [name for name, one in part.manifest()["networks"].items() if one] == ["encoder"]
    np.testing.assert_allclose(unpack(part.read("codes.bin"))[:5], z, atol=1e-5)
    encoder = load_onnx(exported, networks["encoder"]["file"])
    x = np.stack([exported.sample(row) for row in range(5)])
    np.testing.assert_allclose(encoder.run(None, {"samples": x})[0], z, atol=1e-5)
    np.testing.assert_allclose(column(exported, "loss"), column(content, "loss"), atol=1e-3)


def test_an_encoder_takes_the_place_of_the_model(run: Path) -> None:
    flatten = TorchEncoder(torch.nn.Flatten(), size=4, channels=1, mean=0.5, std=0.5)
    session = Session(run, encoder=flatten)
    content = Content(session)
    content.finish()
    manifest = content.manifest()
    assert (manifest["task"], manifest["model"], manifest["code_size"]) == ("encode", "Flatten", 16)
    assert manifest["networks"] == {"encoder": None, "decoder": None, "layers": None}
    findings = {"outlier", "is_outlier", "label_probability", "suggested", "duplicate"}
    assert {one["name"] for one in manifest["columns"]} == {"class", "split"} | findings
    assert manifest["epochs"] is None  # those are of the run's own model
    expected = flatten.encode(session.samples)
    np.testing.assert_allclose(unpack(content.read("codes.bin")), expected, atol=1e-5)
    # The run's own content is left as it was.
    own = Content(Session(run))
    assert own.manifest()["task"] == "reconstruct"
    assert not own.finish()


def test_a_folder_that_cannot_be_written_is_shown_all_the_same(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(run / "studio")
    # Root may write anywhere, so the system is made to say that this place is not to be written.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    content = Content(Session(run))
    assert content.make_next()
    assert column(content, "loss").shape == (60,)
    assert content.add_map("pca")["quality"]
    assert not (run / "studio").exists()


# -- stored once, and opened again ------------------------------------------------------------


def test_it_is_computed_once_and_opened_without_a_model(run: Path) -> None:
    content = Content(Session(run))
    content.finish()
    expected = all_files(content)
    script = (
        "import sys\n"
        "from isthmus.session import Session\n"
        "from isthmus.studio.content import Content\n"
        "content = Content(Session(sys.argv[1]))\n"
        "assert not content.finish()\n"
        "for path in content.paths(): content.read(path)\n"
        "content.neighbors(content.codes(__import__('numpy').array([3]))[0], 4)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(run)], check=True)
    again = Content(Session(run))
    assert all_files(again) == expected


def test_two_studios_of_a_run_keep_what_both_have_made(run: Path) -> None:
    first, second = Content(Session(run)), Content(Session(run))
    first.add_map("tsne")
    second.add_map("pca")
    for content in (second, Content(Session(run))):
        assert [entry["method"] for entry in content.manifest()["maps"]] == ["pca", "tsne"]


def test_what_one_studio_has_finished_is_done_for_the_other() -> None:
    begun = {"method": "pca", "quality": None}
    measured = {"method": "pca", "quality": {"trust": 1.0}}
    own = {"pending": ["quality", "networks", "drift"], "maps": [begun], "code_statistics": {}}
    statistics = {"drift": [0.5]}
    stored = {"pending": ["sheets"], "maps": [measured], "code_statistics": statistics}
    merged = {"pending": ["networks"], "maps": [measured], "code_statistics": statistics}
    assert merge(own, stored) == merged
    assert merge(own, None) == own


def test_without_the_data_all_that_was_stored_still_shows(run: Path, refused: Refused) -> None:
    content = Content(Session(run))
    content.finish()
    expected = all_files(content)
    shutil.rmtree(run.parent / "pictures")
    gone = Content(Session(run))
    assert gone.manifest()["data_available"] is False
    files = all_files(gone)
    assert {path for path in files if files[path] != expected[path]} == {"manifest.json"}
    assert gone.manifest(live=True)["samples"] is None
    rows, _ = gone.neighbors(gone.codes(np.array([0]))[0], 3)
    assert rows[0] == 0
    assert gone.decode(gone.codes(np.array([0]))).shape == (1, 8, 8, 1)
    with pytest.raises(KeyError):
        gone.read("samples/0.png")
    with refused(IsthmusError):
        gone.sample(0)
    assert not gone.finish()
    with refused(RunError, "mine"):
        Content(Session(run), split="test")  # of which nothing is stored


def test_without_the_data_what_needs_it_is_given_up(run: Path) -> None:
    for folder in (run / "studio").glob("[ms]*"):
        shutil.rmtree(folder)
    Content(Session(run))  # not finished
    shutil.rmtree(run.parent / "pictures")
    gone = Content(Session(run))
    assert gone.finish()
    manifest = gone.manifest()
    assert manifest["pending"] == []
    assert manifest["networks"]["decoder"] is not None
    with pytest.raises(KeyError):
        gone.read("thumbs/0.webp")


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("codes.bin", lambda whole: whole[:-3]),
        ("stored.json", lambda whole: b"{" + whole[20:]),
        ("maps/pca.bin", lambda whole: b""),
        ("decoder.onnx", lambda whole: whole[:40] + bytes(len(whole) - 40)),
    ],
)
def test_what_is_damaged_is_made_again(
    file: str, damage: Callable[[bytes], bytes], run: Path
) -> None:
    expected = all_files(Content(Session(run)))
    (folder,) = (run / "studio").glob("networks-*" if file.endswith(".onnx") else "model-*")
    stored = folder / file
    stored.write_bytes(damage(stored.read_bytes()))
    again = Content(Session(run))
    assert again.manifest()["pending"]
    if file.endswith(".onnx"):  # which takes seconds
        again.finish()
    files = all_files(again)
    assert files.pop("manifest.json") != b""
    assert len(files) > 10
    assert {path: expected[path] for path in files} == files


def test_what_an_older_version_stored_is_made_again(run: Path) -> None:
    expected = all_files(Content(Session(run)))
    for stored in (run / "studio").glob("[ms]*/stored.json"):
        sealed = json.loads(stored.read_text())
        # It had no number of the format, and described its files in another way.
        stored.write_text(json.dumps({"content": {"count": 60}, "files": sealed["files"]}))
    (sheet,) = (run / "studio").glob("samples-*/thumbs/0.*")
    sheet.write_bytes(b"of another kind")
    again = Content(Session(run))
    again.finish()
    assert all_files(again) == expected


def test_a_damaged_sheet_is_drawn_again(run: Path) -> None:
    expected = Content(Session(run)).read("thumbs/0.webp")
    (sheet,) = (run / "studio").glob("samples-*/thumbs/0.webp")
    sheet.write_bytes(sheet.read_bytes()[:-9])
    assert Content(Session(run)).read("thumbs/0.webp") == expected


def test_damaged_epochs_and_history_are_left_out(run: Path) -> None:
    content = Content(Session(run))
    (run / "epochs" / "0001.npy.gz").write_bytes(b"damaged")
    (run / "history.jsonl").write_text('{"epo')
    with pytest.raises(KeyError):
        content.read("epochs/1.bin")
    assert content.history()["lines"] == []
    (run / "epochs" / "rows.npy.gz").write_bytes(b"damaged")
    shutil.rmtree(run / "studio")
    assert Content(Session(run)).manifest()["epochs"] is None


def test_what_is_missing_is_made_again(run: Path) -> None:
    expected = all_files(Content(Session(run)))
    for folder in (run / "studio").iterdir():
        for file in folder.glob("**/*.*"):
            if file.suffix in (".bin", ".webp"):
                file.unlink()
    files = all_files(Content(Session(run)))
    del files["manifest.json"]
    assert len(files) > 10
    assert {path: expected[path] for path in files} == files


def test_better_weights_are_taken_up_and_old_files_removed(run: Path) -> None:
    content = Content(Session(run))
    content.finish()
    before, files = content.manifest(), all_files(content)
    assert not content.refresh()
    finish(resume(run, epochs=6))
    assert content.refresh()
    after = content.manifest()
    assert after["fingerprint"] != before["fingerprint"]
    assert after["epochs"]["kept"] == [1, 2, 3, 4, 5, 6]
    assert len(content.history()["lines"]) == 6
    model = TrainedModel.load(run)
    np.testing.assert_allclose(
        unpack(content.read("codes.bin")), model.encode(Run.open(run).samples()), atol=1e-5
    )
    content.finish()
    assert content.read("decoder.onnx") != files["decoder.onnx"]
    assert len(list((run / "studio").glob("model-*"))) == 1
    assert not content.refresh()


def test_a_run_in_memory_is_refreshed_too() -> None:
    training = train(load("digits", limit=200), "dense", code_size=4, config=QUICK)
    for progress in training:
        if progress.validation_loss is not None:
            break
    content = Content(Session(training.run))
    assert content.manifest()["epochs"]["kept"] == [1]
    for _ in training:
        pass
    assert content.refresh()
    assert content.manifest()["epochs"]["kept"] == [1, 2]


def test_a_run_whose_training_has_not_begun_gets_its_epochs_later() -> None:
    training = train(load("digits", limit=200), "dense", code_size=4, config=QUICK)
    next(training)
    content = Content(Session(training.run))
    assert content.manifest()["epochs"] is None
    assert content.history()["lines"] == []
    for _ in training:
        pass
    assert content.refresh()
    assert content.manifest()["epochs"]["kept"] == [1, 2]


# -- answers ----------------------------------------------------------------------------------


def test_neighbors_are_the_nearest_also_within_a_class(digits: Content, refused: Refused) -> None:
    z = unpack(digits.read("codes.bin"))
    apart = np.linalg.norm(z - z[7], axis=1)
    rows, distances = digits.neighbors(z[7], 12)
    assert rows[0] == 7
    np.testing.assert_allclose(distances, np.sort(apart)[:12], atol=1e-5)
    np.testing.assert_allclose(apart[rows], distances, atol=1e-5)
    labels = column(digits, "class")
    rows, distances = digits.neighbors(z[7], 5, "class", 4)
    assert set(labels[rows]) == {4}
    np.testing.assert_allclose(distances, np.sort(apart[labels == 4])[:5], atol=1e-5)
    assert len(digits.neighbors(z[7], 1000, "class", 4)[0]) == (labels == 4).sum()
    assert len(digits.neighbors(z[7], 10, "class", 77)[0]) == 0
    for wrong in ((z[7][:3], 5), (z[7], 0), (np.full(6, np.nan, np.float32), 5)):
        with refused(OptionError):
            digits.neighbors(*wrong)
    with refused(OptionError, "loss"):
        digits.neighbors(z[7], 5, "loss", 0)
    with refused(OptionError):
        digits.codes(np.array([300]))


def test_a_picture_is_encoded_as_the_model_sees_it(run: Path, pictures: Path) -> None:
    content = Content(Session(run))
    file = next((pictures / "class 0").iterdir())
    name = f"class 0/{file.name}"
    row = json.loads(content.read("names/0.json")).index(name)
    code, pixels = content.encode_image(file.read_bytes())
    np.testing.assert_array_equal(pixels, content.sample(row))
    np.testing.assert_allclose(code, content.codes(np.array([row]))[0], atol=1e-5)
    with pytest.raises(IsthmusError):
        content.encode_image(b"no picture")


def test_layers_and_samples_of_a_row(digits: Content, digits_run: Run, refused: Refused) -> None:
    x = digits_run.samples().values
    np.testing.assert_array_equal(digits.sample(3), x[3])
    expected = digits_run.model().activations(x[3:4])
    for entry, output in digits.layers(3):
        np.testing.assert_allclose(output, expected[entry["name"]][0], atol=1e-5)
        assert list(output.shape) == entry["shape"]
    with Image.open(io.BytesIO(digits.read("samples/3.png"))) as picture:
        np.testing.assert_array_equal(np.array(picture), x[3, ..., 0])
    for wrong in (-1, 300):
        with refused(OptionError):
            digits.sample(wrong)


# -- whoever asks -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "/", "..", "../run.json", "../../run.json", "/etc/passwd", "codes.bin/",
        "./codes.bin",
        "thumbs/../codes.bin", "thumbs/1.webp", "thumbs/-1.webp", "thumbs/0.png", "thumbs/٣.webp",
        "samples/-1.png", "samples/1e3.png", "samples/300.png", "samples/03.png", "samples/.png",
        "samples/../3.png", "samples/3", "samples/٣.png", "samples/" + "9" * 5000 + ".png",
        "epochs/9.bin", "epochs/../inputs.bin", "epochs/01.bin", "epochs/-1.bin", "stored.json",
        "names/1.json", "maps/tsne.bin", "codes.bin\0", "CODES.BIN", "data/codes.bin",
        "signals.bin",
    ],
)  # fmt: skip
def test_only_names_of_the_manifest_are_files(path: str, digits: Content) -> None:
    with pytest.raises(KeyError):
        digits.read(path)


def test_hostile_names_stay_text_and_no_path_leaves_the_machine(tmp_path: Path) -> None:
    folder = tmp_path / "secret place"
    digits = load("digits", limit=80)
    classes = ('<img src=x onerror="alert(1)">', "</script><script>")
    for number, image in enumerate(digits.values):
        place = folder / classes[number % 2].replace("/", "_")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(place / f"{number} & <b>'.png")
    run = finish(train(load(folder), "dense", code_size=3, out=tmp_path / "r", config=QUICK))
    content = Content(Session(run.path))
    names = json.loads(content.read("names/0.json"))
    assert any(name.endswith(" & <b>'.png") for name in names)
    for path, data in all_files(content).items():
        for secret in (str(tmp_path), "secret place/"):
            assert secret.encode() not in data, path
    assert content.manifest()["source"] == "secret place"


def test_absolute_names_lose_their_folders() -> None:
    digits = load("digits", limit=80)
    names = [f"/home/ann/{number}.png" for number in range(80)]
    run = finish(train(replace(digits, items=Items(names)), "dense", code_size=3, config=QUICK))
    assert json.loads(Content(Session(run)).read("names/0.json"))[3] == "3.png"

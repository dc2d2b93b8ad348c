"""Exported files in use: they answer as the trained model did, by the same commands."""

import json
import pickle
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import pytest
from PIL import Image

from isthmus import (
    Index,
    OnnxModel,
    Samples,
    Session,
    TrainedModel,
    TrainingConfig,
    export,
    load,
    load_model,
    train,
)
from isthmus.errors import InterruptionError, ModelError, OptionError
from isthmus.inference.conversion import to_onnx
from isthmus.latent.codes import Codes, encode
from test_cli import done, isthmus

pytestmark = pytest.mark.usefixtures("kept_conversions")

T = TypeVar("T")
Refused = Callable[..., AbstractContextManager[None]]
NARROW = {"width": 0.1}  # a segmenter of all its layers, with a hundredth of the weights


@pytest.fixture(scope="module", autouse=True)
def surroundings(session_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=500)


def trained_on(samples: Samples, model: str, **options: Any) -> TrainedModel:
    training = train(samples, model, config=TrainingConfig(epochs=3, precision="32"), **options)
    list(training)
    return training.run.model()


@pytest.fixture(scope="module")
def autoencoder(digits: Samples) -> TrainedModel:
    return trained_on(digits, "conv-pool")


@pytest.fixture(scope="module")
def classifier(digits: Samples) -> TrainedModel:
    return trained_on(digits, "cnn-tiny")


@pytest.fixture(scope="module")
def segmenter(digits: Samples) -> TrainedModel:
    some = digits.take(np.arange(80))
    masks = (some.values[..., 0] > 100).astype(np.uint8)  # ink and paper
    items = type(some.items)(list(some.names), None, ("paper", "ink"))
    return trained_on(Samples(some.values, items, masks=masks), "fcn8s", options=NARROW)


def write(model: TrainedModel, path: Path, part: Any = "whole") -> Path:
    path.write_bytes(to_onnx(model, part))
    return path


@pytest.fixture(scope="module")
def file(autoencoder: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(autoencoder, tmp_path_factory.mktemp("files") / "mine.onnx")


def assert_same_pixels(answer: Any, expected: Any) -> None:
    """Both round numbers that differ by about 1e-6, which may fall to either side of a half."""
    assert answer.shape == expected.shape
    assert answer.dtype == expected.dtype
    difference = np.abs(answer.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_new_samples_are_the_same_and_need_a_source_only_once(
    autoencoder: TrainedModel, file: Path, digits: Samples
) -> None:
    generated = Session(OnnxModel.load(file)).generate(5, samples=digits)
    assert_same_pixels(generated.values, Session(autoencoder).generate(5, samples=digits).values)
    again = Session(file).generate(5)
    np.testing.assert_array_equal(again.values, generated.values)


# -- the same answers ---------------------------------------------------------------------------


def test_an_autoencoder_answers_as_the_trained_one(
    autoencoder: TrainedModel, file: Path, digits: Samples
) -> None:
    model = OnnxModel.load(file)
    z = autoencoder.encode(digits)
    np.testing.assert_allclose(model.encode(digits), z, atol=1e-4)
    assert_same_pixels(model.reconstruct(digits), autoencoder.reconstruct(digits))
    assert_same_pixels(model.decode(z), autoencoder.decode(z))
    assert_same_pixels(model.decode(z[:1]), autoencoder.decode(z[:1]))
    for field in ("task", "shape", "code_size", "class_names", "preprocessing", "fingerprint"):
        assert getattr(model, field) == getattr(autoencoder, field)
    assert (autoencoder.name, model.name) == ("conv-pool", "mine.onnx")


def test_an_autoencoder_of_signals_answers_as_the_trained_one() -> None:
    time = np.linspace(0, 6, 64, dtype=np.float32)
    sines = [np.sin(time * speed) * 5 - 2 for speed in np.linspace(1, 9, 80)]
    waves = np.stack(sines)[..., None].astype(np.float32)
    model = trained_on(load(waves), "conv1d", code_size=6)
    other = OnnxModel(to_onnx(model))
    back = other.reconstruct(waves)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, model.reconstruct(waves), atol=1e-4)
    np.testing.assert_allclose(other.encode(waves), model.encode(waves), atol=1e-4)


@pytest.mark.parametrize("kind", ["classifier", "segmenter"])
def test_classes_are_those_of_the_trained_one(
    kind: str, digits: Samples, request: pytest.FixtureRequest
) -> None:
    trained: TrainedModel = request.getfixturevalue(kind)
    model, some = OnnxModel(to_onnx(trained)), digits.take(np.arange(100, 200))
    probabilities = model.probabilities(some)
    np.testing.assert_allclose(probabilities, trained.probabilities(some), atol=1e-4)
    predicted = model.predict(some)
    assert predicted.dtype == trained.predict(some).dtype
    np.testing.assert_array_equal(predicted, probabilities.argmax(-1))
    np.testing.assert_allclose(model.encode(some), trained.encode(some), atol=1e-3)
    with pytest.raises(ModelError, match=r"needs an autoencoder"):
        model.reconstruct(some)


@pytest.mark.parametrize("count", [1, 7, 256])
def test_batches_of_any_size_are_taken(
    count: int, autoencoder: TrainedModel, file: Path, digits: Samples
) -> None:
    values = digits.values[:count]
    z = OnnxModel.load(file).encode(values)
    np.testing.assert_allclose(z, autoencoder.encode(values), atol=1e-4)


def test_onnx_runtime_is_an_engine_for_runs(
    autoencoder: TrainedModel, digits: Samples, tmp_path: Path
) -> None:
    autoencoder.save(tmp_path / "model.safetensors")
    model = load_model(tmp_path, engine="onnx")
    assert isinstance(model, OnnxModel)
    np.testing.assert_allclose(model.encode(digits), autoencoder.encode(digits), atol=1e-4)
    assert isinstance(load_model(tmp_path), TrainedModel)
    assert isinstance(load_model(tmp_path, engine="torch", precision="bf16"), TrainedModel)


def test_codes_and_indexes_of_both_belong_together(
    autoencoder: TrainedModel, file: Path, digits: Samples, tmp_path: Path
) -> None:
    encode(autoencoder, digits, out=tmp_path / "codes.npy")
    model = OnnxModel.load(file)
    codes = Codes.load(tmp_path / "codes.npy", model)
    Index.build(codes).save(tmp_path / "index")
    index = Index.open(tmp_path / "index", model)
    assert index.search(model.encode(digits.values[:9]), 1).rows.ravel().tolist() == list(range(9))


@pytest.mark.parametrize("precision", ["16", "int8"])
def test_lower_precisions_are_used_like_others_and_have_codes_of_their_own(
    precision: str, autoencoder: TrainedModel, digits: Samples, tmp_path: Path
) -> None:
    path = tmp_path / "small.onnx"
    export(autoencoder, path, precision=precision, samples=digits)
    model = OnnxModel.load(path)
    z, expected = model.encode(digits), autoencoder.encode(digits)
    assert 0 < np.abs(z - expected).max() < 0.2 * np.abs(expected).max()
    back, wanted = model.decode(z), autoencoder.decode(expected)
    assert np.abs(back.astype(int) - wanted.astype(int)).mean() < 5
    assert model.fingerprint != autoencoder.fingerprint
    assert (model.record.precision, model.record.part) == (precision, "whole")
    assert model.record.loss is not None


def test_many_blocks_are_computed_at_once_and_come_in_order(
    autoencoder: TrainedModel, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.inference.model.thread_count", lambda: 3)
    model, digits = OnnxModel.load(file), load("digits")
    assert len(digits) > 3 * model.batch_size
    np.testing.assert_allclose(model.encode(digits), autoencoder.encode(digits), atol=1e-4)
    assert_same_pixels(model.reconstruct(digits), autoencoder.reconstruct(digits))

    def stop(items: Iterable[T], total: int, title: str) -> Iterable[T]:
        yield next(iter(items))
        raise InterruptionError("it was stopped.")

    with pytest.raises(InterruptionError):
        model.encode(digits, track=stop)


# -- parts --------------------------------------------------------------------------------------


def test_a_part_does_its_part_and_names_the_others(
    autoencoder: TrainedModel, digits: Samples, tmp_path: Path, refused: Refused
) -> None:
    encoder = OnnxModel.load(write(autoencoder, tmp_path / "encoder.onnx", "encoder"))
    decoder = OnnxModel.load(write(autoencoder, tmp_path / "decoder.onnx", "decoder"))
    z = encoder.encode(digits)
    assert_same_pixels(decoder.decode(z), autoencoder.reconstruct(digits))
    with refused(ModelError, "decoder.onnx", "--part encoder"):
        decoder.encode(digits)
    with refused(ModelError, "encoder.onnx", "--part decoder"):
        encoder.decode(z)
    with refused(ModelError, "encoder.onnx", "--part whole"):
        encoder.reconstruct(digits)


def test_a_file_has_no_layers_but_its_code(file: Path, digits: Samples, refused: Refused) -> None:
    with refused(OptionError, "encoder.0", "mine.onnx", "--layer"):
        OnnxModel.load(file).features(digits, "encoder.0")
    with refused(ModelError, "mine.onnx", "run"):
        Session(file).activations(digits.values[0])
    with pytest.raises(OptionError, match="is a model without a run"):
        Session(OnnxModel.load(file)).run  # noqa: B018


# -- commands -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "digit.png"
    Image.fromarray(load("digits").values[11, ..., 0]).resize((30, 20)).save(path)
    return path


def test_commands_use_a_file_like_a_run(
    autoencoder: TrainedModel, file: Path, picture: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    autoencoder.save(run / "model.safetensors")
    file = Path(shutil.copy(file, tmp_path))  # what other tests left next to it stays out
    answers = []
    for model in (run, file):
        done("encode", model, "digits", "--limit", 100, "--out", tmp_path / "codes.npy")
        done("index", model, "digits")
        found = json.loads(done("search", model, picture, "--k", 3, "--json").out)
        answers.append(([match["name"] for match in found], np.load(tmp_path / "codes.npy")))
        done("map", model, "digits", "--method", "pca", "--out", tmp_path / "map.png")
        done("reconstruct", model, "digits", "--out", tmp_path / "grid.png")
        done("morph", model, picture, picture, "--out", tmp_path / "strip.png")
        for name in ("map.png", "grid.png", "strip.png"):
            assert (tmp_path / name).stat().st_size > 1_000
            (tmp_path / name).unlink()
    assert answers[0][0] == answers[1][0]
    np.testing.assert_allclose(answers[0][1], answers[1][1], atol=1e-4)
    assert {path.name for path in file.with_suffix(".isthmus").iterdir()} == {"index", "maps"}


def test_a_file_denoises_and_predicts(
    file: Path, classifier: TrainedModel, picture: Path, tmp_path: Path
) -> None:
    done("denoise", file, picture, "--out", tmp_path / "clean.png")
    with Image.open(tmp_path / "clean.png") as clean:
        assert clean.size == (30, 20)
    sorts = write(classifier, tmp_path / "sorts.onnx")
    row = json.loads(done("predict", sorts, picture, "--json").out)[0]
    expected = classifier.probabilities(classifier.read(picture))[0]
    assert row["class"] == classifier.class_names[int(expected.argmax())]
    assert row["probability"] == pytest.approx(float(expected.max()), abs=1e-4)


@pytest.mark.parametrize("command", ["evaluate", "report", "activations"])
def test_what_needs_a_run_says_so(command: str, file: Path, picture: Path) -> None:
    more = (picture,) if command == "activations" else ()
    answer = isthmus(command, file, *more)
    assert answer.code == 2
    assert "mine.onnx" in answer.err
    assert "run" in answer.err


WITHOUT_TORCH = """
    import json
    import sys

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("torch", "lightning_fabric", "skimage"):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Missing())
    from isthmus.cli import app
    for line in sys.stdin:
        app(json.loads(line), standalone_mode=False)
"""


def test_files_are_used_without_torch(
    file: Path, classifier: TrainedModel, digits: Samples, picture: Path, tmp_path: Path
) -> None:
    sorts = write(classifier, tmp_path / "sorts.onnx")
    some, names = digits.take(np.arange(40)), tuple(f"gray {level}" for level in range(12))
    masks = some.values[..., 0] // 22
    shades = Samples(some.values, type(some.items)(list(some.names), None, names), masks=masks)
    paints = write(trained_on(shades, "fcn8s", options=NARROW), tmp_path / "paints.onnx")
    script = tmp_path / "without_torch.py"
    script.write_text(textwrap.dedent(WITHOUT_TORCH))

    commands: list[tuple[Any, ...]] = [
        ("encode", file, "digits", "--limit", 50),
        ("index", file, "digits"),
        ("search", file, picture, "--out", "similar.png"),
        ("map", file, "digits", "--method", "tsne", "--limit", 100, "--out", "map.png"),
        ("reconstruct", file, "digits", "--out", "grid.png"),
        ("morph", file, picture, picture, "--out", "morph.png"),
        ("denoise", file, picture, "--out", "clean.png"),
        ("predict", sorts, picture, "--out", "classes.png"),
        ("predict", paints, picture, "--out", "masks.png"),
    ]
    # One process for all, as each takes seconds to start.
    lines = "".join(json.dumps([str(word) for word in command]) + "\n" for command in commands)
    program = [sys.executable, str(script)]
    subprocess.run(program, check=True, capture_output=True, cwd=tmp_path, input=lines, text=True)
    written = [command[-1] for command in commands if "--out" in command]
    assert [name for name in written if not (tmp_path / name).exists()] == []


# -- what is refused ----------------------------------------------------------------------------


def test_a_file_of_other_origin_is_an_encoder_at_most(
    file: Path, tmp_path: Path, refused: Refused
) -> None:
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with refused(ModelError, "foreign.onnx", "--encoder"):
        load_model(tmp_path / "foreign.onnx")


@pytest.mark.parametrize("change", [{"preprocessing": {}}, {"surprise": 1}])
def test_metadata_that_cannot_be_understood_are_refused(
    change: dict[str, Any], file: Path, tmp_path: Path, refused: Refused
) -> None:
    model = onnx.load(file)
    content = json.loads(model.metadata_props[0].value) | change
    if change == {"preprocessing": {}}:
        content["preprocessing"] = {"nothing": 1}
    model.metadata_props[0].value = json.dumps(content)
    onnx.save(model, tmp_path / "other.onnx")
    with refused(ModelError, "other.onnx"):
        OnnxModel.load(tmp_path / "other.onnx")


def test_a_file_of_a_newer_version_is_not_called_damaged(
    file: Path, tmp_path: Path, refused: Refused
) -> None:
    model = onnx.load(file)
    content = json.loads(model.metadata_props[0].value) | {"format": 9}
    model.metadata_props[0].value = json.dumps(content)
    onnx.save(model, tmp_path / "newer.onnx")
    with refused(ModelError, "newer.onnx", "format 9", "the version that wrote it"):
        OnnxModel.load(tmp_path / "newer.onnx")


def test_a_model_can_be_pickled(file: Path, digits: Samples) -> None:
    model = OnnxModel.load(file)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.encode(digits), model.encode(digits))


@pytest.mark.parametrize("command", ["encode", "map", "index"])
def test_without_a_source_a_file_has_no_samples(command: str, file: Path) -> None:
    answer = isthmus(command, file)
    assert (answer.code, "name a source" in answer.err) == (2, True)


def test_damaged_and_missing_files_are_refused(
    file: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "cut.onnx").write_bytes(file.read_bytes()[:5_000])
    with refused(ModelError, "cut.onnx"):
        load_model(tmp_path / "cut.onnx")
    with refused(ModelError, "missing.onnx"):
        load_model(tmp_path / "missing.onnx")
    (tmp_path / "photo.png").write_bytes(b"no model")
    with refused(ModelError, "photo.png", ".safetensors"):
        load_model(tmp_path / "photo.png")


def test_engines_and_their_options_are_checked(file: Path, refused: Refused) -> None:
    with refused(OptionError, "tensorrt", "torch, onnx"):
        load_model(file, engine="tensorrt")  # type: ignore[arg-type]
    with refused(OptionError, "mine.onnx", "torch cannot"):
        load_model(file, engine="torch")
    with refused(OptionError, "precision", "mine.onnx"):
        load_model(file, precision="bf16")

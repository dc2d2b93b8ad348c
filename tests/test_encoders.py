"""Third-party encoders: their features in maps, indexes, searches and probes, next to codes."""

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.decomposition import PCA
from torch import nn

from isthmus import (
    OnnxEncoder,
    Run,
    Samples,
    Session,
    TorchEncoder,
    TrainedModel,
    TrainingConfig,
    load,
    train,
    write_report,
)
from isthmus.errors import ModelError, OptionError
from isthmus.inference.conversion import to_onnx
from test_cli import done, isthmus

Refused = Callable[..., AbstractContextManager[None]]
SIDE, SIZE = 16, 12  # of the images that the encoder takes, and of its features


@pytest.fixture(scope="module", autouse=True)
def surroundings(session_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", size=SIDE)


@pytest.fixture(scope="module")
def components(digits: Samples) -> np.ndarray:
    """Return the principal components of the pixels, (SIZE, SIDE²): features that know digits."""
    flat = digits.values.reshape(len(digits), -1) / 255
    return np.asarray(PCA(SIZE, random_state=0).fit(flat).components_, np.float32)


def write_encoder(
    path: Path,
    components: np.ndarray,
    *,
    batch: str | int = "batch",
    layout: str = "NCHW",
    kind: int = TensorProto.FLOAT,
    metadata: dict[str, Any] | None = None,
) -> Path:
    """Write what another program might: images to features, and half of them as a second output."""
    shape = {"NCHW": [batch, 1, SIDE, SIDE], "NHWC": [batch, SIDE, SIDE, 1]}[layout]
    nodes = [
        helper.make_node("Cast", ["input"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["features"]),
        helper.make_node("Slice", ["features", "start", "end", "axis"], ["half"]),
    ]
    weights = {
        "weight": components.T.copy(),
        "start": np.array([0]),
        "end": np.array([SIZE // 2]),
        "axis": np.array([1]),
    }
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("input", kind, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, size])
            for name, size in (("features", SIZE), ("half", SIZE // 2))
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, components: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    return write_encoder(folder / "pca.onnx", components, metadata={"mean": 0.25, "std": [0.5]})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a model of 2 numbers, which hold less of the classes than the encoder's."""
    out = tmp_path_factory.mktemp("runs") / "small"
    config = TrainingConfig(epochs=10)
    list(train(load("digits"), "linear", code_size=2, out=out, config=config))
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def expected(digits: Samples, components: np.ndarray) -> np.ndarray:
    flat = (digits.values.reshape(len(digits), -1) / 255 - 0.25) / 0.5
    return np.asarray(flat @ components.T, np.float32)


# -- features -----------------------------------------------------------------------------------


def test_features_are_those_of_scaled_pixels(
    file: Path, digits: Samples, components: np.ndarray
) -> None:
    encoder = OnnxEncoder(file)
    assert (encoder.shape, encoder.code_size, encoder.task) == ((1, SIDE, SIDE), SIZE, None)
    read = encoder.read("digits")
    np.testing.assert_array_equal(read.values, digits.values)  # at the size that the file names
    np.testing.assert_allclose(encoder.encode(read), expected(digits, components), atol=1e-4)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batch", ["batch", 1, 7])
def test_layout_and_batch_are_those_of_the_file(
    layout: str, batch: str | int, digits: Samples, components: np.ndarray, tmp_path: Path
) -> None:
    path = write_encoder(tmp_path / "e.onnx", components, layout=layout, batch=batch)
    features = OnnxEncoder(path, mean=0.25, std=0.5).encode(digits.values[:40])
    np.testing.assert_allclose(features, expected(digits, components)[:40], atol=1e-4)


def test_an_encoder_of_bytes_gets_the_pixels_as_they_are(
    digits: Samples, components: np.ndarray, tmp_path: Path
) -> None:
    path = write_encoder(tmp_path / "e.onnx", components, kind=TensorProto.UINT8)
    flat = digits.values[:40].reshape(40, -1).astype(np.float32)
    np.testing.assert_allclose(
        OnnxEncoder(path).encode(digits.values[:40]), flat @ components.T, rtol=1e-4, atol=1e-2
    )


def test_other_outputs_are_layers(file: Path, digits: Samples) -> None:
    encoder = OnnxEncoder(file)
    half = np.concatenate(list(encoder.features(digits, "half")))
    np.testing.assert_array_equal(half, encoder.encode(digits)[:, : SIZE // 2])
    assert encoder.feature_shape("half") == (SIZE // 2,)
    with pytest.raises(OptionError, match="no output 'head'; there are code, features, half"):
        encoder.features(digits, "head")


def test_a_module_of_torch_is_an_encoder_too(digits: Samples, components: np.ndarray) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, SIZE, bias=False), nn.Dropout())
    module[1].weight.data = torch.from_numpy(components)
    module.pretrained_cfg = {"input_size": (1, SIDE, SIDE), "mean": (0.25,), "std": (0.5,)}  # type: ignore[assignment]
    encoder = TorchEncoder(module, channels=1)
    np.testing.assert_allclose(encoder.encode(digits), expected(digits, components), atol=1e-4)
    other = TorchEncoder(module, channels=1, mean=0.5)
    assert encoder.fingerprint != other.fingerprint


def test_fingerprints_follow_from_weights_and_scaling(
    file: Path, components: np.ndarray, tmp_path: Path
) -> None:
    same = Path(shutil.copy(file, tmp_path / "another-name.onnx"))
    assert OnnxEncoder(same).fingerprint == OnnxEncoder(file).fingerprint
    assert OnnxEncoder(file, std=1.0).fingerprint != OnnxEncoder(file).fingerprint
    assert OnnxEncoder(file, size=(SIDE, SIDE)).fingerprint == OnnxEncoder(file).fingerprint


def test_a_file_that_torch_wrote_is_found_with_its_weights_from_any_folder(
    digits: Samples, components: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.onnx"
    model = onnx.load(write_encoder(path, components))
    onnx.save(model, path, save_as_external_data=True, location="net.onnx.data", size_threshold=500)
    assert (tmp_path / "net.onnx.data").exists()
    monkeypatch.chdir(tmp_path.parent)
    before = OnnxEncoder(path, mean=0.25, std=0.5)
    np.testing.assert_allclose(
        before.encode(digits.values[:20]), expected(digits, components)[:20], atol=1e-4
    )
    identity = before.fingerprint
    model = onnx.load(write_encoder(path, components * 2))
    plain = path.read_bytes()
    onnx.save(model, path, save_as_external_data=True, location="net.onnx.data", size_threshold=500)
    assert len(path.read_bytes()) < len(plain)
    assert OnnxEncoder(path, mean=0.25, std=0.5).fingerprint != identity


def test_an_encoder_can_be_pickled(file: Path, digits: Samples) -> None:
    encoder = OnnxEncoder(file, std=0.25)
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.encode(digits), encoder.encode(digits))


@pytest.mark.parametrize(
    ("text", "mean"), [("0.25", 0.25), ("[0.25]", 0.25), (" 0.25 ", 0.25), ("(0.25)", 0.25)]
)
def test_metadata_of_other_programs_are_understood(
    text: str, mean: float, components: np.ndarray, tmp_path: Path
) -> None:
    path = write_encoder(tmp_path / "e.onnx", components)
    model = onnx.load(path)
    for key, value in (("mean", text), ("std", "1.0"), ("size", f"{SIDE}.0")):
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    assert OnnxEncoder(path).mean.tolist() == [mean]


def test_metadata_without_numbers_name_the_way_out_and_can_be_overridden(
    components: np.ndarray, tmp_path: Path, refused: Refused
) -> None:
    path = write_encoder(tmp_path / "e.onnx", components, metadata={"mean": {"a": 1}, "std": 1})
    with refused(ModelError, "e.onnx", "mean", "give mean"):
        OnnxEncoder(path)
    assert OnnxEncoder(path, mean=0.5).mean.tolist() == [0.5]


# -- in place of a run's codes ------------------------------------------------------------------


def test_an_encoder_takes_the_place_of_the_codes_and_keeps_its_files_apart(
    file: Path, run: Path, digits: Samples, components: np.ndarray
) -> None:
    session = Session(run, encoder=OnnxEncoder(file))
    assert session.samples.shape == (SIDE, SIDE, 1)  # as the encoder sees them
    np.testing.assert_allclose(session.codes().z, expected(digits, components), atol=1e-4)
    fitted_map, path = session.stored_map(session.codes(), "pca")
    assert path.is_relative_to(run / "encoders")
    assert fitted_map.model_fingerprint == session.model.fingerprint
    done("index", run, "--encoder", file)
    done("index", run)
    of_encoder = Session(run, encoder=OnnxEncoder(file)).index
    assert (of_encoder.size, Session(run).index.size) == (SIZE, 2)


def test_a_run_on_an_array_is_resized_for_an_encoder(file: Path, components: np.ndarray) -> None:
    small = load("digits", limit=60)
    training = train(load(small.values), "linear", code_size=2, config=TrainingConfig(epochs=1))
    list(training)
    session = Session(training.run, encoder=OnnxEncoder(file))
    assert session.codes().z.shape == (60, SIZE)
    flat = (load("digits", size=SIDE, limit=60).values.reshape(60, -1) / 255 - 0.25) / 0.5
    np.testing.assert_allclose(session.codes().z, flat @ components.T, atol=1e-4)


def test_queries_get_the_part_of_a_picture_that_the_run_uses(
    components: np.ndarray, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(30):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 60), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    run = tmp_path / "run"
    small = ("--model", "linear", "--code-size", 2, "--epochs", 1, "--crop", 24, "--size", 8)
    done("train", folder, *small, "--out", run)
    encoder = write_encoder(tmp_path / "e.onnx", components, metadata={"mean": 0, "std": 1})
    done("index", run, "--encoder", encoder)
    picture = folder / "07.png"
    found = json.loads(done("search", run, picture, "--encoder", encoder, "--json").out)
    assert found[0]["name"] == "07.png"
    assert found[0]["distance"] == pytest.approx(0, abs=1e-4)


def test_an_exported_model_is_an_encoder_with_its_own_preparation(
    run: Path, tmp_path: Path
) -> None:
    model = TrainedModel.load(run)
    path = tmp_path / "own.onnx"
    path.write_bytes(to_onnx(model, "encoder"))
    out = tmp_path / "codes.npy"
    done("encode", "--encoder", path, "digits", "--out", out)
    np.testing.assert_allclose(np.load(out), model.encode(load("digits")), atol=1e-4)
    answer = isthmus("encode", "--encoder", path, "digits", "--out", out, "--mean", 0.5)
    assert "leave mean out" in answer.err
    with pytest.raises(ModelError, match=r"isthmus\.load_model"):
        OnnxEncoder(path)


def test_which_is_better_is_measured(file: Path, run: Path) -> None:
    result = Session(run).evaluate(encoder=OnnxEncoder(file))
    assert result["encoder"]["name"] == "pca.onnx"
    assert result["encoder"]["code_size"] == SIZE
    assert result["encoder"]["knn_4"] > 0.9 > 0.8 > result["codes"]["knn_4"]
    assert result["encoder"]["logistic"] > result["codes"]["logistic"]
    printed = json.loads(done("evaluate", run, "--encoder", file, "--json").out)
    assert printed["encoder"] == result["encoder"]
    assert "the 12 features of pca.onnx" in done("evaluate", run, "--encoder", file).out
    page = write_report(Run.open(run), encoder=OnnxEncoder(file)).read_text()
    assert "the 12 features of pca.onnx" in page
    assert "encoder" not in json.loads((run / "evaluation.json").read_text())["result"]


def test_commands_take_an_encoder_with_or_without_a_run(
    file: Path, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "codes.npy"
    alone = json.loads(done("encode", "--encoder", file, "digits", "--out", out, "--json").out)
    own = json.loads(done("encode", run, "--encoder", file, "--out", out, "--json").out)
    both = json.loads(done("encode", run, "digits", "--encoder", file, "--out", out, "--json").out)
    assert alone == own == both
    assert (alone["n"], alone["size"]) == (1_797, SIZE)
    picture = tmp_path / "map.png"
    result = json.loads(
        done("map", run, "--encoder", file, "--method", "pca", "--out", picture, "--json").out
    )
    assert result["knn_10"] > 0.5
    done("index", "--encoder", file, "digits")
    name = load("digits").names[3]
    found = json.loads(done("search", "--encoder", file, name, "--k", "3", "--json").out)
    assert len(found) == 3
    assert len(list(file.parent.glob("pca-*.isthmus/index"))) == 1


# -- what is refused ----------------------------------------------------------------------------


def test_scaling_is_never_guessed(components: np.ndarray, tmp_path: Path, refused: Refused) -> None:
    path = write_encoder(tmp_path / "e.onnx", components)
    with refused(OptionError, "e.onnx", "mean and std"):
        OnnxEncoder(path)
    assert "give mean and std" in isthmus("encode", "--encoder", path, "digits").err
    with refused(OptionError, "Flatten", "size"):
        TorchEncoder(nn.Flatten(), mean=0.0, std=1.0)
    with refused(OptionError, "Flatten", "mean and std"):
        TorchEncoder(nn.Flatten(), size=8)


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"mean": (0.1, 0.2)}, "1 channels"),
        ({"std": 0.0}, "std must be above 0"),
    ],
)
def test_wrong_scaling_is_refused(options: Any, culprit: str, file: Path) -> None:
    with pytest.raises(OptionError, match=culprit):
        OnnxEncoder(file, **options)


def test_images_of_another_size_than_a_fixed_input_are_refused(
    file: Path, refused: Refused
) -> None:
    with refused(OptionError, "pca.onnx", "16 × 16", "size"):
        OnnxEncoder(file, size=32)


def test_inputs_of_other_types_get_theirs_or_are_refused(
    digits: Samples, components: np.ndarray, tmp_path: Path, refused: Refused
) -> None:
    half = write_encoder(tmp_path / "half.onnx", components, kind=TensorProto.FLOAT16)
    features = OnnxEncoder(half, mean=0.25, std=0.5).encode(digits.values[:40])
    np.testing.assert_allclose(features, expected(digits, components)[:40], atol=0.05)
    whole = write_encoder(tmp_path / "whole.onnx", components, kind=TensorProto.INT64)
    with refused(ModelError, "whole.onnx", "int64"):
        OnnxEncoder(whole, mean=0.25, std=0.5)


def test_a_batch_that_is_fixed_inside_is_reported(
    digits: Samples, components: np.ndarray, tmp_path: Path, refused: Refused
) -> None:
    model = onnx.load(write_encoder(tmp_path / "e.onnx", components))
    model.graph.node[1].CopyFrom(helper.make_node("Reshape", ["float", "fixed"], ["flat"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, SIDE**2]), "fixed"))
    onnx.save(model, tmp_path / "baked.onnx")
    with refused(ModelError, "baked.onnx"):
        OnnxEncoder(tmp_path / "baked.onnx", mean=0.25, std=0.5).encode(digits.values[:3])


def test_what_is_no_encoder_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused(ModelError, "missing.onnx"):
        OnnxEncoder(tmp_path / "missing.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"nothing of the kind")
    with refused(ModelError, "broken.onnx"):
        OnnxEncoder(tmp_path / "broken.onnx")


def test_an_encoder_does_nothing_but_encode(file: Path, run: Path, digits: Samples) -> None:
    encoder = OnnxEncoder(file)
    for answer in (encoder.reconstruct, encoder.predict, encoder.probabilities):
        with pytest.raises(ModelError, match=r"pca\.onnx, is an encoder; this needs"):
            answer(digits)
    session = Session(run, encoder=encoder)
    with pytest.raises(ModelError, match="has no layers or weights"):
        session.activations(digits.values[0])


def test_what_is_no_run_is_neither_ignored_nor_written_to(file: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    answer = isthmus("index", photos, "digits", "--encoder", file)
    assert (answer.code, "is no run folder" in answer.err) == (2, True)
    assert list(photos.iterdir()) == []


def test_pixels_as_they_are_have_no_scaling(
    components: np.ndarray, tmp_path: Path, refused: Refused
) -> None:
    path = write_encoder(tmp_path / "e.onnx", components, kind=TensorProto.UINT8)
    with refused(OptionError, "e.onnx", "leave mean and std out"):
        OnnxEncoder(path, mean=0.5)


@pytest.mark.parametrize("size", [8.5, (1, 2, 3), "large"])
def test_sizes_that_are_none_are_refused(size: Any) -> None:
    with pytest.raises((OptionError, ValueError)):
        TorchEncoder(nn.Flatten(), size=size, mean=0.0, std=1.0)


def test_options_of_an_encoder_need_one(run: Path, file: Path) -> None:
    assert "give --encoder too" in isthmus("encode", run, "digits", "--mean", "0.5").err
    answer = isthmus("encode", run, "digits", "--encoder", file, "--mean", "grey")
    assert "not 'grey'" in answer.err
    assert "nothing to search for" in isthmus("search", run).err


def test_an_encoder_is_compared_where_labels_are_its_own(
    file: Path, run: Path, refused: Refused
) -> None:
    with refused(OptionError, "labels"):
        Session(run).evaluate(load(load("digits", limit=20).values), encoder=OnnxEncoder(file))

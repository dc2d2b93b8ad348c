"""`TrainedModel`: its file is all that is needed, and a sample's answer depends on no other."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
from PIL import Image

from isthmus import Run, Samples, TrainedModel, TrainingConfig, load, train
from isthmus.errors import ModelError, OptionError


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=400)


@pytest.fixture(scope="module")
def run(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "digits"
    config = TrainingConfig(epochs=30, batch_size=32)
    list(train(digits, "dense", out=out, code_size=8, config=config))
    return Run.open(out)


def test_reconstructions_look_like_their_originals(run: Run, digits: Samples) -> None:
    test = digits.take(run.split().test)
    back = run.model().reconstruct(test)
    assert back.shape == test.values.shape
    assert back.dtype == np.uint8
    error = np.abs(back.astype(float) - test.values).mean()
    assert error < 0.5 * np.abs(digits.values.mean(0) - test.values).mean()


def test_reconstruct_is_decode_after_encode(run: Run, digits: Samples) -> None:
    model = run.model()
    z = model.encode(digits)
    assert z.shape == (400, 8)
    assert z.dtype == np.float32
    np.testing.assert_array_equal(model.decode(z), model.reconstruct(digits))


def test_a_code_does_not_depend_on_its_batch(run: Run, digits: Samples) -> None:
    model = run.model()
    z = model.encode(digits)
    alone = np.concatenate([model.encode(digits.values[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, z[:5], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model.encode(digits.values[::-1].copy()), z[::-1], rtol=1e-4, atol=1e-5
    )


def test_bfloat16_gives_nearly_the_same(run: Run, digits: Samples) -> None:
    exact, rough = (TrainedModel.load(run.path, precision=p) for p in ("32", "bf16"))
    z, narrow = exact.encode(digits), rough.encode(digits)
    assert narrow.dtype == np.float32
    assert not np.array_equal(narrow, z)
    assert np.abs(narrow - z).max() < 0.03 * np.abs(z).max()
    difference = rough.reconstruct(digits).astype(int) - exact.reconstruct(digits)
    assert np.abs(difference).max() < 12
    assert np.abs(difference).mean() < 1
    assert rough.fingerprint == exact.fingerprint


def test_using_a_model_changes_neither_samples_nor_model(run: Run, digits: Samples) -> None:
    model = run.model()
    before = digits.values.copy()
    first = model.encode(digits)
    np.testing.assert_array_equal(model.encode(digits), first)
    np.testing.assert_array_equal(digits.values, before)


def test_gray_images_may_come_without_their_last_axis(run: Run, digits: Samples) -> None:
    model = run.model()
    np.testing.assert_array_equal(model.encode(digits.values[..., 0]), model.encode(digits.values))


def test_the_weights_file_alone_is_enough(run: Run, digits: Samples, tmp_path: Path) -> None:
    copy = tmp_path / "anything.safetensors"
    copy.write_bytes((run.path / "model.safetensors").read_bytes())
    np.testing.assert_array_equal(
        TrainedModel.load(copy).encode(digits), TrainedModel.load(run.path).encode(digits)
    )
    run.model().save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == copy.read_bytes()


def test_a_pickle_holds_what_the_file_holds(run: Run, digits: Samples) -> None:
    model = TrainedModel.load(run.path, precision="bf16")
    copied = pickle.loads(pickle.dumps(model))
    assert copied.precision == "bf16"
    assert copied.fingerprint == model.fingerprint
    np.testing.assert_array_equal(copied.encode(digits), model.encode(digits))


def test_preprocessing_travels_with_the_weights(run: Run, digits: Samples, tmp_path: Path) -> None:
    with safetensors.safe_open(run.path / "model.safetensors", "np") as file:
        metadata = json.loads(file.metadata()["isthmus"])
    assert metadata["preprocessing"]["size"] == [8, 8]
    assert metadata["preprocessing"]["channels"] == 1
    large = Image.fromarray(digits.values[0, ..., 0]).resize((40, 40), Image.Resampling.NEAREST)
    large.convert("RGB").save(tmp_path / "digit.png")
    read = run.model().read(tmp_path / "digit.png")
    assert read.shape == (8, 8, 1)
    assert np.abs(read.values[0].astype(int) - digits.values[0]).max() < 60


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((3, 9, 8, 1), np.uint8),
        np.zeros((3, 8, 8, 3), np.uint8),
        np.zeros((3, 8, 8, 1), np.float32),
        np.zeros((8, 8), np.uint8),
    ],
)
def test_samples_of_another_shape_are_refused(run: Run, values: np.ndarray) -> None:
    with pytest.raises(ModelError, match=r"takes samples \(N, 8, 8, 1\) of uint8"):
        run.model().encode(values)


def test_no_samples_at_all_are_refused(run: Run) -> None:
    nothing = np.zeros((0, 8, 8, 1), np.uint8)
    model = run.model()
    for answer in (model.encode, model.reconstruct, model.activations):
        with pytest.raises(ModelError, match="there are no samples"):
            answer(nothing)


def test_codes_of_another_size_are_refused(run: Run) -> None:
    with pytest.raises(ModelError, match=r"codes are \(N, 8\), not \(3, 7\)"):
        run.model().decode(np.zeros((3, 7), np.float32))


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_that_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="is damaged and cannot be read"):
        TrainedModel.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x08\0\0\0\0\0\0\0{}      "])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="the content of the model is damaged and cannot be read"):
        TrainedModel.from_bytes(content)


def test_a_missing_device_is_not_called_damage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such device")

    monkeypatch.setattr(torch.nn.Module, "to", fail)
    with pytest.raises(RuntimeError, match="no such device"):
        TrainedModel.load(run.path)


def test_a_task_that_the_model_does_not_have_is_refused(run: Run, digits: Samples) -> None:
    model = run.model()
    model.require_task("reconstruct", "segment")
    for call in (model.predict, model.probabilities):
        with pytest.raises(ModelError, match="is an autoencoder; this needs a classifier or a seg"):
            call(digits)


def test_a_layer_that_the_model_does_not_have_is_refused(run: Run, digits: Samples) -> None:
    model = run.model()
    with pytest.raises(OptionError, match=r"no layer 'encoder\.99'; .*there are code, encoder"):
        model.features(digits, "encoder.99")
    with pytest.raises(OptionError, match=r"no layer 'x'"):
        model.activations(digits, ["encoder.1", "x"])


def test_a_file_that_was_cut_off_is_refused(run: Run, tmp_path: Path) -> None:
    whole = (run.path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="is damaged and cannot be read"):
        TrainedModel.load(tmp_path)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model\.safetensors"):
        TrainedModel.load(tmp_path)


# Codes are kept while the inputs of later batches come and go.
GROWTH = """
import numpy as np, torch
from isthmus import configure
from isthmus.data.preprocess import Preprocessing
from isthmus.inference.trained import TrainedModel
from isthmus.latent.codes import Codes, encode
from isthmus.data.items import Items
from isthmus.data.samples import Samples

def anonymous():
    line, = (one for one in open("/proc/self/status") if one.startswith("RssAnon"))
    return int(line.split()[1])

config = configure("linear", (3, 64, 64), code_size=32)
model = TrainedModel(config, Preprocessing(), config.build())
values = np.zeros((8000, 64, 64, 3), np.uint8)
samples = Samples(values, Items(list(map(str, range(len(values))))))
model.encode(values[:600])
before = anonymous()
model.encode(values)
encode(model, samples)
print(anonymous() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory is whose")
def test_memory_does_not_grow_with_the_number_of_batches() -> None:
    command = [sys.executable, "-c", GROWTH]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    inputs = 4 * 8000 * 64 * 64 * 3 / 1024  # kB, of which one batch at a time is needed
    assert int(ended.stdout) < inputs / 2

"""`Codes`: what the model says, in order, in one file that is mapped and refused when stale."""

import argparse
import ast
import gc
import inspect
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus import Run, Samples, TrainedModel, TrainingConfig, load, resume, train
from isthmus.data.items import Items
from isthmus.errors import IsthmusError, ModelError, OptionError, SourceError
from isthmus.fields import SEAL, seal_json
from isthmus.latent.codes import Codes, encode
from killing import killed_at

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=600)  # more than one batch


@pytest.fixture(scope="module")
def run(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "digits"
    config = TrainingConfig(epochs=1, batch_size=64)
    list(train(digits, "conv-pool", out=out, code_size=8, config=config))
    return Run.open(out)


@pytest.fixture(scope="module")
def model(run: Run) -> TrainedModel:
    return run.model()


@pytest.fixture(scope="module")
def codes(model: TrainedModel, digits: Samples) -> Codes:
    return encode(model, digits)


def test_codes_are_what_the_model_encodes_with_all_that_is_known(
    codes: Codes, model: TrainedModel, digits: Samples
) -> None:
    np.testing.assert_array_equal(codes.z, model.encode(digits))
    assert codes.z.dtype == np.float32
    assert len(codes) == 600
    assert list(codes.names) == list(digits.names)
    assert codes.labels is not None
    np.testing.assert_array_equal(codes.labels, digits.labels)
    assert codes.class_names == digits.class_names
    assert (codes.layer, codes.shape) == ("code", (8,))
    assert (codes.model_fingerprint, codes.items.fingerprint) == (
        model.fingerprint,
        digits.fingerprint,
    )
    assert codes.origin == digits.origin
    assert repr(codes) == "Codes(600 of 8, layer code)"


def test_every_layer_can_be_read_flattened(model: TrainedModel, digits: Samples) -> None:
    few = digits.take(np.arange(5))
    for layer in model.layers:
        codes = encode(model, few, layer.name)
        assert codes.shape == layer.shape
        assert codes.z.shape == (5, int(np.prod(layer.shape)))
        features = next(model.features(few, layer.name))
        np.testing.assert_array_equal(codes.z.reshape(features.shape), features)
    np.testing.assert_array_equal(  # the last layer is what is drawn, before its activation
        codes.z.reshape(5, -1), next(model.outputs(few))[1].flatten(1)
    )


def test_an_unknown_layer_is_refused_and_leaves_nothing(
    model: TrainedModel, digits: Samples, tmp_path: Path, refused: Refused
) -> None:
    with refused(OptionError, "middle", "code", *(layer.name for layer in model.layers)):
        encode(model, digits, "middle", out=tmp_path / "codes.npy")
    assert list(tmp_path.iterdir()) == []


def test_samples_that_do_not_fit_are_refused_and_leave_nothing(
    model: TrainedModel, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="takes samples"):
        encode(model, load(np.zeros((3, 9, 9), np.uint8)), out=tmp_path / "codes.npy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layer", ["code", "encoder.0"])
def test_a_file_written_in_batches_is_the_one_written_at_once(
    layer: str, model: TrainedModel, digits: Samples, tmp_path: Path
) -> None:
    at_once = encode(model, digits, layer)
    at_once.save(tmp_path / "at-once.npy")
    streamed = encode(model, digits, layer, out=tmp_path / "streamed.npy")
    assert isinstance(streamed.z, np.memmap)
    np.testing.assert_array_equal(streamed.z, at_once.z)
    for suffix in (".npy", ".json"):
        one, other = ((tmp_path / name).with_suffix(suffix) for name in ("streamed", "at-once"))
        assert one.read_bytes() == other.read_bytes()


def test_what_was_saved_comes_back(codes: Codes, tmp_path: Path) -> None:
    codes.save(tmp_path / "codes.npy")
    back = Codes.load(tmp_path / "codes.npy")
    np.testing.assert_array_equal(back.z, codes.z)
    assert isinstance(back.z, np.memmap)
    assert back.z.offset % 64 == 0
    assert replace(back, z=codes.z) != back  # arrays are not compared
    for name in ("layer", "shape", "model_fingerprint", "origin", "class_names"):
        assert getattr(back, name) == getattr(codes, name)
    assert list(back.names) == list(codes.names)
    assert back.labels is not None
    np.testing.assert_array_equal(back.labels, codes.labels)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["codes.json", "codes.npy"]


def test_codes_need_no_labels_and_take_any_name_and_number(tmp_path: Path) -> None:
    z = np.array([[1.5, -2.0], [np.pi, 1e-9]])  # float64, and no array of torch
    Codes(z[:, ::-1], Items(["Zoë/猫.png", "a b"])).save(tmp_path / "codes.npy")
    back = Codes.load(tmp_path / "codes.npy")
    np.testing.assert_array_equal(back.z, z[:, ::-1].astype(np.float32))
    assert list(back.names) == ["Zoë/猫.png", "a b"]
    assert back.labels is None
    assert back.class_names == ()


def test_numpy_alone_reads_the_file(codes: Codes, tmp_path: Path) -> None:
    codes.save(tmp_path / "codes.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), codes.z)
    metadata = json.loads((tmp_path / "codes.json").read_text())
    assert metadata["items"]["names"] == list(codes.names)
    assert metadata["model_fingerprint"] == codes.model_fingerprint
    assert metadata["origin"]["source"] == "digits"


def test_writing_to_mapped_codes_leaves_the_file(codes: Codes, tmp_path: Path) -> None:
    codes.save(tmp_path / "codes.npy")
    before = (tmp_path / "codes.npy").read_bytes()
    Codes.load(tmp_path / "codes.npy").z[:] = 0
    assert (tmp_path / "codes.npy").read_bytes() == before


def test_some_can_be_taken_in_any_order(codes: Codes) -> None:
    few = codes.take(np.array([5, 0, 5]))
    np.testing.assert_array_equal(few.z, codes.z[[5, 0, 5]])
    assert list(few.names) == [codes.names[i] for i in (5, 0, 5)]
    assert few.labels is not None
    assert codes.labels is not None
    assert few.labels.tolist() == codes.labels[[5, 0, 5]].tolist()
    few.z[:] = 0
    assert codes.z[5].any()
    bare = replace(codes, items=Items(codes.names))
    assert bare.take(np.array([1])).labels is None


def test_progress_is_told_in_batches(model: TrainedModel, digits: Samples) -> None:
    told: list[tuple[int, int, str]] = []

    def track(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
        everything = list(items)
        told.append((len(everything), total, title))
        return everything

    encode(model, digits, track=track)
    assert told == [(2, 2, "Encoding")]


def test_codes_of_another_model_are_refused(
    codes: Codes, run: Run, digits: Samples, tmp_path: Path, refused: Refused
) -> None:
    codes.save(tmp_path / "codes.npy")
    codes.check(run.model())
    Codes.load(tmp_path / "codes.npy", run.model())
    list(
        train(
            digits, "conv-pool", out=tmp_path / "run", code_size=8, config=TrainingConfig(epochs=1)
        )
    )
    model = TrainedModel.load(tmp_path / "run")
    encode(model, digits, out=tmp_path / "codes.npy")
    with refused(ModelError, "another model", "isthmus encode"):
        codes.check(model)
    list(resume(tmp_path / "run", epochs=2))
    with refused(ModelError, "trained further"):
        Codes.load(tmp_path / "codes.npy", TrainedModel.load(tmp_path / "run"))


def test_missing_codes_are_said(tmp_path: Path, refused: Refused) -> None:
    with refused(SourceError, tmp_path / "codes.npy", "isthmus encode"):
        Codes.load(tmp_path / "codes.npy")


@pytest.mark.parametrize("name", ["codes.npy", "codes.json"])
def test_one_file_without_the_other_is_no_codes(
    codes: Codes, name: str, tmp_path: Path, refused: Refused
) -> None:
    codes.save(tmp_path / "codes.npy")
    (tmp_path / name).unlink()
    with refused(SourceError, tmp_path / "codes.npy", f"{name} is missing"):
        Codes.load(tmp_path / "codes.npy")


@pytest.mark.parametrize("content", [b"", b"no array", b"PK\x05\x06" + bytes(18), b"{}", b"[1]"])
@pytest.mark.parametrize("name", ["codes.npy", "codes.json"])
def test_a_file_that_holds_no_codes_is_refused(
    codes: Codes, content: bytes, name: str, tmp_path: Path, refused: Refused
) -> None:
    codes.save(tmp_path / "codes.npy")
    (tmp_path / name).write_bytes(content)
    with refused(SourceError, tmp_path / name, "damaged"):
        Codes.load(tmp_path / "codes.npy")


def test_a_file_cut_short_or_changed_is_refused(
    codes: Codes, tmp_path: Path, refused: Refused
) -> None:
    codes.save(tmp_path / "codes.npy")
    whole = (tmp_path / "codes.npy").read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for content in (whole[:100], whole[:middle], whole[:-1], whole + b"0", flipped):
        (tmp_path / "codes.npy").write_bytes(content)
        with refused(SourceError, tmp_path / "codes.npy", "damaged"):
            Codes.load(tmp_path / "codes.npy")


def test_files_of_two_writes_are_refused(codes: Codes, tmp_path: Path, refused: Refused) -> None:
    large = replace(codes, z=np.tile(codes.z, (1, 1000)))  # 19 MB, of which 4 are compared
    large.save(tmp_path / "codes.npy")
    other = replace(large, z=large.z[::-1])
    other.save(tmp_path / "other.npy")
    shutil.copy(tmp_path / "other.json", tmp_path / "codes.json")
    with refused(SourceError, tmp_path / "codes.npy", "not the file that codes.json describes"):
        Codes.load(tmp_path / "codes.npy")


def test_a_kill_leaves_old_codes_new_ones_or_none_and_the_same_call_completes_them(
    codes: Codes, tmp_path: Path
) -> None:
    file = tmp_path / "codes.npy"
    other = replace(codes, z=codes.z[::-1])
    found = []
    for number in range(6):
        codes.save(file)
        with killed_at(number):
            other.save(file)
        found.append("none")
        with suppress(SourceError):
            found[-1] = "new" if np.array_equal(Codes.load(file).z, other.z) else "old"
        other.save(file)
        assert np.array_equal(Codes.load(file).z, other.z)
    assert found[0] == "old"
    assert found[-1] == "new"
    assert sorted({*found}) == ["new", "none", "old"]


def test_a_kill_at_the_first_codes_of_a_name_leaves_none(codes: Codes, tmp_path: Path) -> None:
    for number in range(4):
        file = tmp_path / f"{number}.npy"
        with killed_at(number):
            codes.save(file)
        codes.save(file)
        assert np.array_equal(Codes.load(file).z, codes.z)


def test_a_file_of_another_format_is_refused(
    codes: Codes, tmp_path: Path, refused: Refused
) -> None:
    codes.save(tmp_path / "codes.npy")
    file = tmp_path / "codes.json"
    content = {**json.loads(file.read_text()), "format": 99}
    del content[SEAL]
    file.write_bytes(seal_json(content))
    with refused(SourceError, file, "format 99"):
        Codes.load(tmp_path / "codes.npy")


@pytest.mark.parametrize("name", ["codes", "codes.npz", "codes.json", "codes.npy.gz"])
def test_codes_are_written_to_npy_files_only(
    codes: Codes,
    model: TrainedModel,
    digits: Samples,
    name: str,
    tmp_path: Path,
    refused: Refused,
) -> None:
    with refused(OptionError, ".npy", tmp_path / name):
        codes.save(tmp_path / name)
    with refused(OptionError, ".npy", tmp_path / name):
        encode(model, digits, out=tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["codes.npy", "codes.json"])
@pytest.mark.parametrize("content", [b"of the user", b'{"kind": "other"}', b"[]"])
def test_files_of_others_are_not_overwritten(
    codes: Codes, name: str, content: bytes, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / name).write_bytes(content)
    with refused(OptionError, tmp_path / name, "choose another name"):
        codes.save(tmp_path / "codes.npy")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: content}


def test_codes_can_be_written_again(codes: Codes, tmp_path: Path) -> None:
    codes.save(tmp_path / "codes.npy")
    codes.take(np.arange(5)).save(tmp_path / "codes.npy")
    assert len(Codes.load(tmp_path / "codes.npy")) == 5


@pytest.mark.parametrize("step", ["codes.npy", "codes.json"])
def test_a_write_that_fails_leaves_no_half(
    codes: Codes, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = Path.replace

    def replacing(self: Path, target: Path) -> Path:
        if target.name == step:
            raise OSError(28, "No space left on device")
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", replacing)
    with pytest.raises(IsthmusError, match="No space left on device"):
        codes.save(tmp_path / "codes.npy")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said(
    codes: Codes, model: TrainedModel, digits: Samples, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "file").touch()
    with refused(IsthmusError, tmp_path / "file" / "codes.npy"):
        codes.save(tmp_path / "file" / "codes.npy")
    with refused(IsthmusError, tmp_path / "file" / "codes.npy"):
        encode(model, digits, out=tmp_path / "file" / "codes.npy")


def test_codes_are_opened_while_another_thread_parses_python(codes: Codes, tmp_path: Path) -> None:
    codes.save(tmp_path / "codes.npy")
    code = inspect.getsource(argparse)
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            Codes.load(tmp_path / "codes.npy")

    thread = threading.Thread(target=look)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    gc.callbacks.append(give_way)  # as PyTorch has one: in it, the other thread has its turn
    try:
        thread.start()
        for _ in range(10):
            ast.parse(code)  # as an export does with PyTorch's own
        assert thread.is_alive()
    finally:
        is_over.set()
        thread.join()
        gc.callbacks.remove(give_way)
        sys.setswitchinterval(interval)


def give_way(*_: object) -> None:
    """Run Python code for long enough that another thread is given its turn."""
    sum(range(2000))

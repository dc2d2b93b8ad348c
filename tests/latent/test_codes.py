"""`Codes`: what the model says, in order, in one file that is mapped and refused when stale."""

import json
import zipfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus import Run, Samples, TrainedModel, TrainingConfig, load, resume, train
from isthmus.data.items import Items
from isthmus.errors import IsthmusError, ModelError, OptionError, SourceError
from isthmus.latent.codes import Codes, encode

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
        features = next(model.features(few, layer.name)).numpy()
        np.testing.assert_array_equal(codes.z.reshape(features.shape), features)
    np.testing.assert_array_equal(  # the last layer is what is drawn, before its activation
        codes.z.reshape(5, -1), next(model.outputs(few))[1].flatten(1)
    )


def test_an_unknown_layer_is_refused_and_leaves_nothing(
    model: TrainedModel, digits: Samples, tmp_path: Path, refused: Refused
) -> None:
    with refused(OptionError, "middle", "code", *(layer.name for layer in model.layers)):
        encode(model, digits, "middle", out=tmp_path / "codes.npz")
    assert list(tmp_path.iterdir()) == []


def test_samples_that_do_not_fit_are_refused_and_leave_nothing(
    model: TrainedModel, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="takes samples"):
        encode(model, load(np.zeros((3, 9, 9), np.uint8)), out=tmp_path / "codes.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layer", ["code", "encoder.0"])
def test_a_file_written_in_batches_is_the_one_written_at_once(
    layer: str, model: TrainedModel, digits: Samples, tmp_path: Path
) -> None:
    at_once = encode(model, digits, layer)
    at_once.save(tmp_path / "at-once.npz")
    streamed = encode(model, digits, layer, out=tmp_path / "streamed.npz")
    assert isinstance(streamed.z, np.memmap)
    np.testing.assert_array_equal(streamed.z, at_once.z)
    with np.load(tmp_path / "streamed.npz") as one, np.load(tmp_path / "at-once.npz") as other:
        assert one.files == other.files
        assert all(np.array_equal(one[key], other[key]) for key in one.files)


def test_what_was_saved_comes_back(codes: Codes, tmp_path: Path) -> None:
    codes.save(tmp_path / "codes.npz")
    back = Codes.load(tmp_path / "codes.npz")
    np.testing.assert_array_equal(back.z, codes.z)
    assert isinstance(back.z, np.memmap)
    assert back.z.offset % 64 == 0
    assert replace(back, z=codes.z) != back  # arrays are not compared
    for name in ("layer", "shape", "model_fingerprint", "origin", "class_names"):
        assert getattr(back, name) == getattr(codes, name)
    assert list(back.names) == list(codes.names)
    assert back.labels is not None
    np.testing.assert_array_equal(back.labels, codes.labels)
    assert [file.name for file in tmp_path.iterdir()] == ["codes.npz"]


def test_codes_need_no_labels_and_take_any_name_and_number(tmp_path: Path) -> None:
    z = np.array([[1.5, -2.0], [np.pi, 1e-9]])  # float64, and no array of torch
    Codes(z[:, ::-1], Items(["Zoë/猫.png", "a b"])).save(tmp_path / "codes.npz")
    back = Codes.load(tmp_path / "codes.npz")
    np.testing.assert_array_equal(back.z, z[:, ::-1].astype(np.float32))
    assert list(back.names) == ["Zoë/猫.png", "a b"]
    assert back.labels is None
    assert back.class_names == ()


def test_numpy_alone_reads_the_file(codes: Codes, tmp_path: Path) -> None:
    codes.save(tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz", allow_pickle=False) as parts:
        np.testing.assert_array_equal(parts["z"], codes.z)
        assert parts["names"].tobytes().decode() == "".join(codes.names)
        about = json.loads(str(parts["about"]))
    assert about["model_fingerprint"] == codes.model_fingerprint
    assert about["origin"]["source"] == "digits"


def test_writing_to_mapped_codes_leaves_the_file(codes: Codes, tmp_path: Path) -> None:
    codes.save(tmp_path / "codes.npz")
    before = (tmp_path / "codes.npz").read_bytes()
    Codes.load(tmp_path / "codes.npz").z[:] = 0
    assert (tmp_path / "codes.npz").read_bytes() == before


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
    codes.save(tmp_path / "codes.npz")
    codes.check(run.model())
    Codes.load(tmp_path / "codes.npz", run.model())
    list(
        train(
            digits, "conv-pool", out=tmp_path / "run", code_size=8, config=TrainingConfig(epochs=1)
        )
    )
    model = TrainedModel.load(tmp_path / "run")
    encode(model, digits, out=tmp_path / "codes.npz")
    with refused(ModelError, "another model", "isthmus encode"):
        codes.check(model)
    list(resume(tmp_path / "run", epochs=2))
    with refused(ModelError, "trained further"):
        Codes.load(tmp_path / "codes.npz", TrainedModel.load(tmp_path / "run"))


def test_missing_codes_are_said(tmp_path: Path, refused: Refused) -> None:
    with refused(SourceError, tmp_path / "codes.npz", "isthmus encode"):
        Codes.load(tmp_path / "codes.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_holds_no_codes_is_refused(
    content: bytes, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "codes.npz").write_bytes(content)
    with refused(SourceError, tmp_path / "codes.npz", "damaged"):
        Codes.load(tmp_path / "codes.npz")


def test_a_file_cut_short_is_refused(codes: Codes, tmp_path: Path, refused: Refused) -> None:
    codes.save(tmp_path / "codes.npz")
    whole = (tmp_path / "codes.npz").read_bytes()
    for length in (100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "codes.npz").write_bytes(whole[:length])
        with refused(SourceError, tmp_path / "codes.npz", "damaged"):
            Codes.load(tmp_path / "codes.npz")


def test_a_file_that_another_program_packed_is_refused(
    codes: Codes, tmp_path: Path, refused: Refused
) -> None:
    codes.save(tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz") as parts:
        np.savez_compressed(tmp_path / "packed.npz", **dict(parts))
        np.savez(tmp_path / "fewer.npz", **{**parts, "z": parts["z"][:9]})
        np.savez(tmp_path / "wider.npz", **{**parts, "z": parts["z"].astype(np.float64)})
    for name in ("packed.npz", "fewer.npz", "wider.npz"):
        with refused(SourceError, tmp_path / name, "not as isthmus encode writes them"):
            Codes.load(tmp_path / name)


def test_a_file_of_another_format_is_refused(
    codes: Codes, tmp_path: Path, refused: Refused
) -> None:
    codes.save(tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz") as held:
        parts = dict(held)
    about = json.loads(str(parts["about"]))
    parts["about"] = np.array(json.dumps({**about, "format": 99}))
    np.savez(tmp_path / "codes.npz", **parts)
    with refused(SourceError, tmp_path / "codes.npz", "format 99"):
        Codes.load(tmp_path / "codes.npz")


def test_a_place_that_cannot_be_written_is_said(
    codes: Codes, model: TrainedModel, digits: Samples, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "file").touch()
    with refused(IsthmusError, tmp_path / "file" / "codes.npz"):
        codes.save(tmp_path / "file" / "codes.npz")
    with refused(IsthmusError, tmp_path / "file" / "codes.npz"):
        encode(model, digits, out=tmp_path / "file" / "codes.npz")


def test_the_archive_is_sound(codes: Codes, tmp_path: Path) -> None:
    codes.save(tmp_path / "codes.npz")
    with zipfile.ZipFile(tmp_path / "codes.npz") as archive:
        assert archive.testzip() is None

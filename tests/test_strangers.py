"""Files of strangers: none of them runs the code that was put into it."""

import gzip
import io
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus import build_model
from isthmus.errors import ModelError
from isthmus.models.layers import Segmenter
from isthmus.models.segmenters import load_vgg16
from isthmus.training.kept import KeptEpochs
from isthmus.training.store import FolderStore
from test_cli import done, isthmus


class Code:
    """An object whose pickle makes a folder when it is opened."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.mkdir, (self.sign,)


def as_pickle(code: Code) -> bytes:
    return pickle.dumps(code)


def as_weights(code: Code) -> bytes:
    content = io.BytesIO()
    torch.save({"weights": code}, content)
    return content.getvalue()


def as_array(code: Code) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([code], object), allow_pickle=True)
    return content.getvalue()


def as_arrays(code: Code) -> bytes:
    content = io.BytesIO()
    names = ("images", "train", "validation", "test", "xy", "z", "metadata")
    arrays: dict[str, Any] = {name: np.array([code], object) for name in names}
    np.savez(content, **arrays)
    return content.getvalue()


def as_packed_array(code: Code) -> bytes:
    return gzip.compress(as_array(code))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("strangers") / "run"
    done("train", "digits", "--limit", 60, "--model", "dense", "--epochs", 1, "--out", run)
    return run


@pytest.mark.parametrize(
    ("file", "make", "command"),
    [
        ("run/checkpoint/state.pt", as_weights, "resume run --epochs 2"),
        ("run/split.npz", as_arrays, "evaluate run"),
        ("map.npz", as_arrays, "map run digits --limit 9 --onto map.npz"),
        ("codes.npz", as_arrays, "data check codes.npz"),
        ("values.npy", as_array, "data check values.npy"),
        ("model.safetensors", as_weights, "encode model.safetensors digits --limit 9"),
        ("model.onnx", as_pickle, "encode model.onnx digits --limit 9"),
    ],
)
def test_no_file_runs_what_a_stranger_put_into_it(
    file: str,
    command: str,
    make: Callable[[Code], bytes],
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert (tmp_path / file).parent.is_dir()
    (tmp_path / file).write_bytes(make(Code(tmp_path / "sign")))
    outcome = isthmus(*command.split())
    assert outcome.code in (0, 2), outcome.err  # 0 where the file only helps
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "sign").exists()
    pickle.loads(as_pickle(Code(tmp_path / "sign")))
    assert (tmp_path / "sign").exists()


def test_weights_of_others_run_no_code(tmp_path: Path) -> None:
    (tmp_path / "vgg.pth").write_bytes(as_weights(Code(tmp_path / "sign")))
    names, options = ("a", "b"), {"width": 0.1}
    module = build_model("fcn8s", (3, 40, 40), 8, class_names=names, options=options)
    assert isinstance(module, Segmenter)
    with pytest.raises(ModelError, match=r"vgg\.pth"):
        load_vgg16(module, tmp_path / "vgg.pth")
    assert not (tmp_path / "sign").exists()


def test_what_epochs_made_of_samples_runs_no_code(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    files = list((run / "epochs").iterdir())
    for file in files:
        file.write_bytes(as_packed_array(Code(tmp_path / "sign")))
    kept = KeptEpochs(FolderStore(run))
    assert len(files) == 3
    assert [kept.inputs(), *map(kept.read, kept.numbers())] == [None, None]
    assert not (tmp_path / "sign").exists()

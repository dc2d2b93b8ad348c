"""Exported denoisers take images of any sides, and answer as the model does, without torch."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from denoisers import untrained
from isthmus import OnnxModel, denoise_values, export
from isthmus.denoising import Denoised, denoise
from isthmus.errors import ModelError, OptionError
from isthmus.inference.trained import TrainedModel

pytest.importorskip("onnxruntime")
Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return untrained(joined=True)


@pytest.fixture(scope="module")
def exported(model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exports") / "clean.onnx"
    checked = export(model, path)["checked"]
    assert checked["max_difference"] < 1e-5
    return path


def test_an_onnx_file_denoises_images_of_any_sides_type_and_channels(
    model: TrainedModel, exported: Path
) -> None:
    loaded = OnnxModel.load(exported)
    assert (loaded.margin, loaded.step) == (model.margin, model.step)
    random = np.random.default_rng(0)
    for sides in ((1, 1), (1, 40), (9, 3), (33, 70), (64, 64, 3)):
        image = random.integers(0, 65536, sides).astype(np.uint16)
        clean, wanted = denoise_values(loaded, image), denoise_values(model, image)
        assert np.abs(clean.astype(int) - wanted).max() <= 2  # of 65,535


def test_an_onnx_file_computes_large_images_in_tiles(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, image = OnnxModel.load(exported), np.random.default_rng(0).random((200, 210, 1))
    whole = loaded.denoise(image)
    monkeypatch.setattr(OnnxModel, "tile_pixels", 15_000)
    np.testing.assert_allclose(loaded.denoise(image), whole, atol=1e-6)


def test_files_are_denoised_by_an_onnx_file(exported: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (3, 20, 21), np.uint8)
    np.save(tmp_path / "noisy.npy", values)
    loaded = OnnxModel.load(exported)
    assert denoise(loaded, tmp_path / "noisy.npy", tmp_path / "clean.npy") == Denoised(3)
    np.testing.assert_array_equal(
        np.load(tmp_path / "clean.npy")[..., 0], denoise_values(loaded, values)
    )


def test_a_program_of_torch_takes_any_sides_too(model: TrainedModel, tmp_path: Path) -> None:
    import torch

    export(model, tmp_path / "clean.pt2", format="pt2")
    program = torch.export.load(tmp_path / "clean.pt2").module()
    for sides in ((1, 1), (7, 50)):
        image = np.random.default_rng(0).random((*sides, 1)).astype(np.float32)
        clean = program(torch.from_numpy(image)[None])["clean"][0].detach().numpy()
        np.testing.assert_allclose(clean, model.denoise(image), atol=1e-5)


def test_half_precision_is_smaller_and_its_loss_is_measured(
    model: TrainedModel, exported: Path, tmp_path: Path
) -> None:
    result = export(model, tmp_path / "half.onnx", precision="16")
    assert 0 < result["loss"]["outputs"]["clean"]["max"] < 0.01
    loaded = OnnxModel.load(tmp_path / "half.onnx")
    assert loaded.fingerprint != OnnxModel.load(exported).fingerprint


def test_what_a_denoiser_has_not_is_refused(
    model: TrainedModel, exported: Path, tmp_path: Path, refused: Refused
) -> None:
    out = tmp_path / "out.onnx"
    with refused(OptionError, "a denoiser has no parts"):
        export(model, out, part="encoder")
    with refused(OptionError, "precision 32 or 16"):
        export(model, out, precision="int8")
    with refused(OptionError, "leave the samples out"):
        export(model, out, samples=np.zeros((4, 64, 64, 1), np.uint8))
    with refused(ModelError, "a denoiser has no encoder"):
        OnnxModel.load(exported).encode(np.zeros((4, 64, 64, 1), np.uint8))
    assert not out.exists()

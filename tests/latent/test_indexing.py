"""An index follows its model and its sources, or says why it cannot."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus import TrainedModel, load
from isthmus.data.preprocess import Preprocessing
from isthmus.errors import IsthmusError, RunError, SourceError
from isthmus.latent.codes import encode
from isthmus.latent.index import Index
from isthmus.latent.indexing import check_index, open_index, update_index
from isthmus.models.config import ModelConfig

Refused = Callable[..., AbstractContextManager[None]]


def untrained(seed: int) -> TrainedModel:
    model_config = ModelConfig("linear", (1, 8, 8), 6, "sigmoid")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TrainedModel(
            model_config, Preprocessing(size=(8, 8), channels=1), model_config.build().eval()
        )


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return untrained(0)


@pytest.fixture
def pictures(tmp_path: Path, cache: Path) -> Path:
    return draw(tmp_path / "pictures.npy", 40)


@pytest.fixture
def folder(pictures: Path, photos: Path, model: TrainedModel, tmp_path: Path) -> Path:
    """Make the folder of an index of two sources, of which three samples were removed."""
    index = Index.build(encode(model, model.read(pictures)), "cosine")
    index.add(encode(model, model.read(photos)))
    index.remove(["0", "39", "cat/0.png"])
    index.save(tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def said() -> list[str]:
    return []


def draw(path: Path, count: int, seed: int = 0) -> Path:
    np.save(path, np.random.default_rng(seed).integers(0, 256, (count, 8, 8), np.uint8))
    return path


def damage(folder: Path, suffix: str) -> None:
    next(folder.glob(f"*.{suffix}")).write_bytes(b"damaged")


HELD = {
    *map(str, range(1, 39)),
    *(f"{animal}/{name}" for animal in ("cat", "dog") for name in ("0.png", "1.jpg", "2.png")),
} - {"cat/0.png"}


def test_an_index_that_is_up_to_date_is_opened(
    folder: Path, model: TrainedModel, said: list[str]
) -> None:
    before = (folder / "index.json").read_bytes()
    index = open_index(folder, model, said.append)
    assert set(index.names) == HELD
    assert said == []
    assert (folder / "index.json").read_bytes() == before


@pytest.mark.parametrize("suffix", ["vectors.safetensors", "items.safetensors"])
def test_a_damaged_index_is_made_again(
    folder: Path, model: TrainedModel, suffix: str, said: list[str], pictures: Path
) -> None:
    before = Index.open(folder)
    z = encode(model, model.read(pictures)).z
    hits = before.search(z, 5)  # now: it is mapped to the very file that gets damaged
    damage(folder, suffix)
    index = open_index(folder, model, said.append)
    assert said == [f"the index at {folder} was damaged; it was made again, of 43 samples."]
    assert set(index.names) == HELD
    assert index.removed == {"0", "39", "cat/0.png"}
    assert (index.metric, index.sources) == ("cosine", before.sources)
    again = Index.open(folder, model).search(z, 5)
    assert (hits.names, hits.labels) == (again.names, again.labels)
    np.testing.assert_allclose(hits.distances, again.distances, atol=1e-6)
    assert list(open_index(folder, model, said.append).names) == list(index.names)
    assert len(said) == 1


def test_an_index_of_another_model_is_made_again(folder: Path, said: list[str]) -> None:
    other = untrained(1)
    index = open_index(folder, other, said.append)
    (line,) = said
    assert "by another model, or before this one was trained further; it was made again" in line
    assert index.model_fingerprint == other.fingerprint
    assert set(index.names) == HELD
    open_index(folder, other, said.append)
    assert len(said) == 1


def test_an_index_is_opened_without_its_sources(
    folder: Path,
    model: TrainedModel,
    pictures: Path,
    photos: Path,
    cache: Path,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("isthmus.latent.indexing.load_origin", None)
    z = encode(model, model.read(pictures)).z
    before = open_index(folder, model, said.append).search(z, 3)
    for gone in (photos, cache):
        shutil.rmtree(gone)
    pictures.unlink()
    after = open_index(folder, model, said.append).search(z, 3)
    np.testing.assert_array_equal(after.rows, before.rows)
    assert said == []


def test_a_check_says_what_no_longer_belongs_together(
    folder: Path, model: TrainedModel, pictures: Path, photos: Path, said: list[str]
) -> None:
    assert check_index(folder, model) is None
    assert check_index(folder, untrained(1)) == (
        "was made by another model, or before this one was trained further"
    )
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    draw(pictures, 40, seed=1)
    assert check_index(folder, model) == f"was made before {pictures} changed"
    draw(pictures, 40)
    assert check_index(folder, model) is None  # new times, but the same content
    shutil.rmtree(photos)
    reason = check_index(folder, model)
    assert reason is not None
    assert reason.startswith(f"was made of {photos}, which cannot be read any more (")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    damage(folder, "vectors.safetensors")
    assert check_index(folder, model) == "was damaged"


def test_a_check_needs_an_index(model: TrainedModel, tmp_path: Path, refused: Refused) -> None:
    with refused(RunError, "there is no index at", tmp_path):
        check_index(tmp_path, model)


def test_an_index_of_a_source_that_changed_is_made_again_when_it_is_updated(
    folder: Path, model: TrainedModel, pictures: Path, said: list[str]
) -> None:
    draw(pictures, 50, seed=1)
    index = update_index(folder, model, said.append)
    why = f"was made before {pictures} changed; it was made again, of 53 samples"
    assert said == [f"the index at {folder} {why}."]
    assert set(index.names) == (HELD | set(map(str, range(40, 50))))
    z = encode(model, model.read(pictures)).z
    assert index.search(z[5:6], 1).names == [["5"]]
    np.testing.assert_allclose(index.search(z[5:6], 1).distances, 0, atol=1e-6)
    update_index(folder, model, said.append)
    assert len(said) == 1
    assert check_index(folder, model) is None


def test_what_was_never_in_it_stays_out(
    pictures: Path, model: TrainedModel, tmp_path: Path, said: list[str]
) -> None:
    codes = encode(model, model.read(pictures))
    index = Index.build(codes.take(np.arange(10)))
    index.add(codes.take(np.arange(20, 25)))
    index.save(tmp_path / "index")
    index = open_index(tmp_path / "index", untrained(1), said.append)
    assert list(index.names) == [str(i) for i in (*range(10), *range(20, 25))]


def test_a_removed_name_that_came_back_is_kept(
    folder: Path, model: TrainedModel, pictures: Path, said: list[str]
) -> None:
    index = Index.open(folder)
    index.add(encode(model, model.read(pictures)).take(np.array([39])))
    index.save(folder)
    damage(folder, "items.safetensors")
    assert set(open_index(folder, model, said.append).names) == HELD | {"39"}


def test_the_layer_is_kept(
    pictures: Path, model: TrainedModel, tmp_path: Path, said: list[str]
) -> None:
    layer = model.layers[-1].name
    codes = encode(model, model.read(pictures), layer)
    Index.build(codes).save(tmp_path / "index")
    index = open_index(tmp_path / "index", untrained(1), said.append)
    assert (index.layer, index.size) == (layer, codes.z.shape[1])


def test_a_source_that_is_gone_is_said(
    folder: Path, model: TrainedModel, pictures: Path, said: list[str], refused: Refused
) -> None:
    pictures.unlink()
    with refused(SourceError, folder, pictures, "put it back", "isthmus index"):
        open_index(folder, untrained(1), said.append)
    with refused(SourceError, folder, pictures, "put it back", "isthmus index"):
        update_index(folder, model, said.append, remove=["1"])
    assert len(Index.open(folder, model)) == 43
    assert said == []


def test_an_index_of_an_array_is_opened_but_not_made_again(
    model: TrainedModel, tmp_path: Path, said: list[str], refused: Refused
) -> None:
    array = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8)
    Index.build(encode(model, load(array))).save(tmp_path)
    assert len(open_index(tmp_path, model, said.append)) == 20
    with refused(RunError, tmp_path, "came from an array"):
        open_index(tmp_path, untrained(1), said.append)
    damage(tmp_path, "vectors.safetensors")
    with refused(RunError, tmp_path, "came from an array"):
        open_index(tmp_path, model, said.append)


def test_without_index_json_nothing_can_be_done(
    folder: Path, model: TrainedModel, said: list[str], refused: Refused
) -> None:
    with refused(RunError, "there is no index at", folder / "none"):
        open_index(folder / "none", model, said.append)
    (folder / "index.json").write_text("{")
    with refused(RunError, folder, "is damaged", "isthmus index"):
        open_index(folder, model, said.append)
    with refused(RunError, folder, "is damaged", "isthmus index"):
        update_index(folder, model, said.append)
    (folder / "index.json").write_text('{"format": 3, "token": "0123abcd"}')
    with refused(RunError, folder, "is damaged"):
        open_index(folder, model, said.append)


def test_an_index_that_cannot_be_made_again_stays_what_it_was(
    folder: Path, said: list[str]
) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    wider = replace(untrained(0).config, shape=(1, 9, 9))
    other = TrainedModel(wider, untrained(0).preprocessing, wider.build().eval())
    with pytest.raises(IsthmusError):
        open_index(folder, other, said.append)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before

"""Codes in a Lance dataset: written, searched, changed, mapped, exported, and damaged."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from isthmus import Codes, Index, IsthmusError, Items, LanceCodes, LanceIndex, load, open_codes
from isthmus.errors import ModelError, OptionError, SourceError
from isthmus.latent.lance import building, dataset
from isthmus.latent.lance.facts import FORMAT, KEY, Facts
from isthmus.latent.lance.library import load_lance
from isthmus.latent.lance.schema import schema, to_batch
from isthmus.latent.lance.writing import write_codes
from test_cli import done, isthmus

Refused = Callable[..., AbstractContextManager[None]]

pytestmark = pytest.mark.skipif(find_spec("lance") is None, reason="pylance is not installed")


@pytest.fixture(scope="module")
def digits() -> Codes:
    return Codes.of_values(load("digits"))


@pytest.fixture(scope="module")
def stored(digits: Codes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 1,797 × 64 numbers, with labels; tests that change it copy it."""
    path = tmp_path_factory.mktemp("lance") / "digits.lance"
    LanceCodes.store(digits, path)
    return path


@pytest.fixture(scope="module")
def listed(stored: Path) -> Path:
    """The same with inverted lists, as if it were large."""
    path = stored.with_name("listed.lance")
    shutil.copytree(stored, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "MAX_EXACT", 1000)
        patch.setattr(building, "RECALL_QUERIES", 50)
        LanceIndex.build(path)
    return path


@pytest.fixture
def copy(listed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(listed, tmp_path / "copy.lance"))


def failed(*arguments: object) -> str:
    """Return what a command says that has to refuse."""
    outcome = isthmus(*arguments)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    return outcome.err


def use_all(path: Path, query: np.ndarray) -> str:
    """Read and search a dataset in every way; return what is said of it, if anything is."""
    try:
        index = LanceIndex.open(path)
        index.search(query, 3)
        index.search_by_name("7", 3, label="7")
        list(index.codes.batches())
    except IsthmusError as error:
        return str(error)
    return ""


def one(codes: Codes, name: str, z: np.ndarray) -> Codes:
    """Return a single code of the same layer, without a label."""
    return Codes(z[None], Items([name]), codes.layer, codes.shape, codes.model_fingerprint)


# -- written and read --------------------------------------------------------------------------


def test_what_is_stored_comes_back(
    digits: Codes, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = LanceCodes.open(stored)
    monkeypatch.setattr(dataset, "BATCH_NUMBERS", 64 * 500)
    batches = list(codes.batches())
    assert [len(batch) for batch in batches] == [500, 500, 500, 297]
    assert np.array_equal(np.concatenate([batch.z for batch in batches]), digits.z)
    assert [name for batch in batches for name in batch.names] == list(digits.names)
    sample = codes.sample(20, seed=3)
    places = [int(name) for name in sample.names]
    assert sorted(set(places)) == places
    assert np.array_equal(sample.z, digits.z[places])
    assert sample.items.label_names() == digits.items.take(np.array(places)).label_names()


def test_columns_and_facts_are_as_documented(digits: Codes, stored: Path) -> None:
    kind = load_lance().dataset(str(stored)).schema
    assert [(field.name, str(field.type)) for field in kind] == [
        ("row", "int64"),
        ("name", "string"),
        ("label", "int32"),
        ("z", "fixed_size_list<item: float>[64]"),
    ]
    facts = json.loads(kind.metadata[KEY])
    assert facts["kind"] == "isthmus codes"
    assert facts["format"] == FORMAT
    assert facts["fingerprint"] == digits.items.fingerprint
    assert facts["class_names"] == list(digits.class_names)


def test_a_write_that_fails_leaves_the_earlier_dataset(
    digits: Codes, stored: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(stored, tmp_path / "codes.lance"))
    facts = Facts.of(digits)

    def stop() -> Iterator[object]:
        yield to_batch(schema(facts), np.arange(1), ["a"], None, digits.z[:1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_codes(path, facts, stop())
    assert len(LanceCodes.open(path)) == 1797
    assert [entry.name for entry in tmp_path.iterdir()] == ["codes.lance"]


def test_nothing_of_others_is_replaced(digits: Codes, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "mine.lance").mkdir()
    (tmp_path / "mine.lance/notes.txt").write_text("keep")
    with refused(OptionError, "mine.lance", "holds no codes", "choose another"):
        LanceCodes.store(digits, tmp_path / "mine.lance")
    assert (tmp_path / "mine.lance/notes.txt").read_text() == "keep"


def test_a_code_of_nan_and_a_name_that_is_no_text_are_refused(
    digits: Codes, tmp_path: Path, refused: Refused
) -> None:
    with refused(ModelError, "the code of bad.png", "NaN"):
        LanceCodes.store(one(digits, "bad.png", np.full(64, np.nan)), tmp_path / "a.lance")
    with refused(SourceError, "is not valid Unicode", "rename the file"):
        LanceCodes.store(one(digits, "caf\udce9.png", digits.z[0]), tmp_path / "a.lance")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "format 99"),
        ({"kind": "a table"}, "no codes of Isthmus"),
        ({"layer": 3}, "layer is 3"),
        ({"shape": [65]}, "no column 'z'"),
        ({"shape": []}, "shape"),
        ({"class_names": []}, None),  # fewer columns are wanted: the labels are not read
    ],
)
def test_other_facts_are_refused(
    stored: Path, tmp_path: Path, change: dict[str, object], said: str | None, refused: Refused
) -> None:
    path = Path(shutil.copytree(stored, tmp_path / "codes.lance"))
    lance = load_lance().dataset(str(path))
    facts = json.loads(lance.schema.metadata[KEY]) | change
    lance.update_schema_metadata({KEY.decode(): json.dumps(facts)})
    if said is None:
        assert LanceCodes.open(path).sample(3).labels is None
        return
    with refused(SourceError, "codes.lance", said):
        LanceCodes.open(path)


def test_damage_gives_one_sentence_or_changes_nothing(
    listed: Path, digits: Codes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = sorted(file for file in listed.rglob("*") if file.is_file())
    rng = np.random.default_rng(0)
    for number, file in enumerate(files):
        path = Path(shutil.copytree(listed, tmp_path / f"{number}.lance"))
        broken = path / file.relative_to(listed)
        content = bytearray(file.read_bytes())
        for place in rng.integers(len(content), size=len(content) // 20 + 1):
            content[place] ^= 0x5A
        broken.write_bytes(content if number % 3 else content[: len(content) // 2])
        said = use_all(path, digits.z[:1])
        assert "\n" not in said
        if file.suffix == ".manifest" and not number % 3:  # cut off
            assert "damaged" in said
    assert "panicked" not in capfd.readouterr().err


# -- searched -----------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_few_codes_are_searched_exactly_as_by_faiss(
    digits: Codes, stored: Path, tmp_path: Path, metric: str
) -> None:
    path = Path(shutil.copytree(stored, tmp_path / "codes.lance"))
    index, other = LanceIndex.build(path, metric), Index.build(digits, metric)
    queries = digits.z[::300] + np.float32(0.25)
    for label in (None, "3"):
        found = index.search(queries, 4, label=label)
        expected = other.search(queries, 4, label=label)
        assert found.names == expected.names
        np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-4, atol=1e-6)
        assert found.labels == expected.labels
    by_name = LanceIndex.open(path).search_by_name("5", 3, label="9")
    assert by_name.names == other.search_by_name("5", 3, label="9").names
    assert (index.kind, index.recall, index.metric) == ("exact", 1.0, metric)


def test_many_codes_get_lists_with_enough_recall(digits: Codes, listed: Path) -> None:
    index = LanceIndex.open(listed)
    assert index.kind == "ivf-pq"
    assert index.recall >= building.MIN_RECALL
    queries = digits.z[::30] + np.random.default_rng(0).normal(size=(60, 64)).astype(np.float32)
    found = index.search(queries, 10)
    exact = Index.build(digits).search(queries, 10)
    assert (found.distances <= exact.distances[:, -1:] * 1.00001).mean() >= 0.95
    within = index.search(queries[:5], 10, label="4")
    assert within.labels == [["4"] * 10] * 5
    expected = Index.build(digits).search(queries[:5], 10, label="4")
    assert within.names == expected.names


def test_what_cannot_be_searched_is_said(stored: Path, digits: Codes, refused: Refused) -> None:
    index = LanceIndex.open(stored)
    with refused(OptionError, "no class 'dog'"):
        index.search(digits.z[:1], label="dog")
    with refused(OptionError, "k must be from 1 to 1,797"):
        index.search(digits.z[:1], 0)
    with refused(ModelError, "(N, 64)"):
        index.search(digits.z[:1, :3])
    with refused(OptionError, "'17x'", "nearest is 17"):
        index.search_by_name("17x")


def test_two_codes_of_one_name_are_not_indexed(
    digits: Codes, tmp_path: Path, refused: Refused
) -> None:
    names = [f"it's {number}" for number in (1, 2, 1)]
    LanceCodes.store(
        Codes(digits.z[:3], Items(names), shape=(64,)), path := tmp_path / "codes.lance"
    )
    with refused(OptionError, "two of the codes are called it's 1"):
        LanceIndex.build(path)


# -- changed ------------------------------------------------------------------------------------


def test_added_codes_are_found_and_removed_ones_are_not(
    copy: Path, digits: Codes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "MAX_EXACT", 1000)
    monkeypatch.setattr(building, "RECALL_QUERIES", 50)
    index = LanceIndex.open(copy)
    far = np.full(64, 99, np.float32)
    index.add(one(digits, "it's new", far))
    index.remove(["5", "5"])
    for opened in (index, LanceIndex.open(copy)):
        assert len(opened) == 1797
        assert opened.search(far[None], 1).names == [["it's new"]]
        assert opened.search(far[None], 1).labels == [[None]]
        assert "5" not in opened.search(digits.z[5:6], 20).names[0]
        assert not opened.has("5")
    moved = Codes(
        digits.z[:400] + 200,
        Items([f"moved {number}" for number in range(400)], np.zeros(400, np.int64), ("dog",)),
        digits.layer,
        digits.shape,
    )
    index.add(moved)  # more than a tenth: they go into the lists
    statistics = index.codes.dataset.stats.index_stats("z")
    assert statistics["num_unindexed_rows"] == 0
    assert index.class_names == (*digits.class_names, "dog")
    found = index.search(moved.z[:1], 3, label="dog")
    assert found.names[0][0] == "moved 0"
    assert "5" not in index.search(digits.z[5:6], 20).names[0]
    assert index.recall >= building.MIN_RECALL
    assert count_stored(index) == len(index) + 1  # "5" takes its bytes
    before, near = LanceIndex.open(copy), index.search(moved.z[300:301], 5).names[0]
    index.remove([f"moved {number}" for number in range(250)])
    assert count_stored(index) == len(index) == 1947
    assert index.codes.dataset.stats.index_stats("z")["num_unindexed_rows"] == 0
    kept = [name for name in near if int(name.removeprefix("moved ")) >= 250]
    for opened in (index, LanceIndex.open(copy)):
        left = opened.search(moved.z[300:301], 5).names[0]
        assert [name for name in left if name in near] == kept
    assert before.search(moved.z[300:301], 5).names[0] == near


def count_stored(index: LanceIndex) -> int:
    """Return how many rows are in the files of an index, also of samples that were removed."""
    return sum(part.physical_rows for part in index.codes.dataset.get_fragments())


def test_codes_that_do_not_belong_are_not_added(
    stored: Path, digits: Codes, tmp_path: Path, refused: Refused
) -> None:
    path = Path(shutil.copytree(stored, tmp_path / "codes.lance"))
    index = LanceIndex.open(path)
    other = Codes(digits.z[:1], Items(["a"]), digits.layer, digits.shape, "another")
    with refused(ModelError, "another model"):
        index.add(other)
    with refused(OptionError, "7 is in the index already"):
        index.add(one(digits, "7", digits.z[7]))
    with refused(OptionError, "no sample called 'nobody'"):
        index.remove(["3", "nobody"])
    assert len(LanceIndex.open(path)) == 1797
    with refused(OptionError, "cannot be empty"):
        index.remove(list(digits.names))


# -- by commands --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(shared: Path) -> Path:
    folder = shared / "lance-run"
    if not folder.exists():
        done("train", "digits", "--model", "linear", "--epochs", "1", "--limit", "400",
             "--code-size", "6", "--out", folder)  # fmt: skip
    return folder


def test_the_commands_work_on_a_dataset(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done("encode", run, "--out", "codes.npy")
    written = json.loads(done("encode", run, "--out", "codes.lance", "--json").out)
    expected = Codes.load("codes.npy")
    codes = open_codes("codes.lance")
    assert isinstance(codes, LanceCodes)
    assert written["n"] == len(codes) == 400
    assert np.array_equal(np.concatenate([batch.z for batch in codes.batches()]), expected.z)
    assert (
        "exact search on disk, as there were not more than 100,000"
        in done("index", "codes.lance").out
    )
    name = expected.names[3]
    found = json.loads(done("search", run, "codes.lance", name, "--k", 3, "--json").out)
    assert [match["name"] for match in found] == (
        Index.build(expected).search_by_name(name, 3).names[0]
    )
    done("search", run, "codes.lance", name, "--out", "similar.png")
    done("encode", run, "digits", "--limit", 5, "--out", "more.npy")
    assert "is in the index already" in failed("index", "codes.lance", "more.npy", "--add")
    removed = json.loads(done("index", "codes.lance", "--remove", "0", "--json").out)
    assert removed["n"] == 399
    mapped = json.loads(
        done(
            "map",
            run,
            "codes.lance",
            "--method",
            "pca",
            "--max-samples",
            50,
            "--out",
            "m.png",
            "--json",
        ).out
    )
    assert (mapped["n"], mapped["fitted"], mapped["measured"]) == (399, 50, 50)
    lines = Path("m.csv").read_text().splitlines()
    assert len(lines) == 400
    assert sum(line.endswith(",1") for line in lines) == 50


def test_a_dataset_of_another_model_is_refused(run: Path, stored: Path) -> None:
    assert "made by another" in failed("search", run, stored, "7")


def test_a_search_without_a_query_says_where_to_give_it(run: Path, stored: Path) -> None:
    assert f"give an image file after {stored}" in failed("search", run, stored)


# -- exported -----------------------------------------------------------------------------------


def test_parquet_has_names_labels_and_places(stored: Path, digits: Codes, tmp_path: Path) -> None:
    from pyarrow.parquet import read_table

    result = json.loads(
        done("codes", "export", stored, "--to", "parquet", "--out", tmp_path / "out", "--json").out
    )
    assert result["files"] == ["codes-00000.parquet"]
    table = read_table(tmp_path / "out/codes-00000.parquet")
    assert table["row"].to_pylist() == list(range(1797))
    assert table["name"].to_pylist() == list(digits.names)
    assert table["label"].to_pylist() == digits.items.label_names()
    assert np.array_equal(np.stack(table["vector"].to_numpy()), digits.z)


def test_qdrant_finds_what_was_exported(stored: Path, digits: Codes, tmp_path: Path) -> None:
    qdrant = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    folder = tmp_path / "out"
    done("codes", "export", stored, "--to", "qdrant", "--out", folder)
    client = qdrant.QdrantClient(":memory:")
    settings = json.loads((folder / "collection.json").read_text())["vectors"]
    client.create_collection("codes", qdrant.models.VectorParams(**settings))
    payload = map(json.loads, (folder / "payload.jsonl").read_text().splitlines())
    client.upload_collection("codes", np.load(folder / "vectors.npy"), payload)
    [_, *found] = client.query_points("codes", digits.z[7].tolist(), limit=4).points
    expected = Index.build(digits).search_by_name("7", 3)
    assert [point.payload["name"] for point in found] == expected.names[0]
    assert [point.payload["label"] for point in found] == (expected.labels or [])[0]
    client.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the server that starts
def test_milvus_finds_what_was_exported(digits: Codes, tmp_path: Path) -> None:
    """Milvus Lite imports no files, so the rows of the files are inserted."""
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    pymilvus = pytest.importorskip("pymilvus", reason="pymilvus is not installed")
    from pyarrow.parquet import read_table

    few = digits.take(np.arange(300))
    few.save(tmp_path / "codes.npy")
    folder = tmp_path / "out"
    done("codes", "export", tmp_path / "codes.npy", "--to", "milvus", "--out", folder)
    content = json.loads((folder / "collection.json").read_text())
    client = pymilvus.MilvusClient(str(tmp_path / "milvus.db"))
    kind = client.create_schema()
    for name, options in content["fields"].items():
        data_type = pymilvus.DataType[options.pop("type")]
        kind.add_field(name, data_type, **options)
    keys = client.prepare_index_params()
    keys.add_index("vector", index_type="FLAT", metric_type=content["metric_type"])
    client.create_collection("codes", schema=kind, index_params=keys)
    client.insert("codes", read_table(folder / "codes-00000.parquet").to_pylist())
    [[_, *found]] = client.search(
        "codes", [digits.z[7].tolist()], limit=4, output_fields=["name", "label"]
    )
    expected = Index.build(few).search_by_name("7", 3)
    assert [hit["entity"]["name"] for hit in found] == expected.names[0]
    assert [hit["entity"]["label"] for hit in found] == (expected.labels or [])[0]
    client.close()


def test_an_export_replaces_nothing(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("keep")
    place = ("--out", tmp_path / "out")
    assert "exists" in failed("codes", "export", stored, "--to", "qdrant", *place)
    said = failed("codes", "export", stored, "--to", "pinecone", "--out", tmp_path / "new")
    assert re.search(r"no format 'pinecone'.*milvus, qdrant, parquet", said)

"""`Index`: what brute force finds, whatever was added, removed, saved and opened before."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from isthmus import Samples, TrainedModel, load
from isthmus.data.items import Items
from isthmus.data.preprocess import Preprocessing
from isthmus.errors import IsthmusError, ModelError, OptionError, RunError
from isthmus.latent import index_files, vectors
from isthmus.latent.codes import Codes, encode
from isthmus.latent.index import Index
from isthmus.latent.vectors import METRICS
from isthmus.models.config import ModelConfig

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=700)


@pytest.fixture(scope="module")
def model(digits: Samples) -> TrainedModel:
    return untrained(0)


@pytest.fixture(scope="module")
def codes(model: TrainedModel, digits: Samples) -> Codes:
    return encode(model, digits)


@pytest.fixture(params=["exact", "ivf"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the index be of each kind."""
    if request.param == "ivf":
        monkeypatch.setattr(vectors, "MAX_EXACT", 100)
    return str(request.param)


def untrained(seed: int) -> TrainedModel:
    model_config = ModelConfig("linear", (1, 8, 8), 6, "sigmoid")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TrainedModel(
            model_config, Preprocessing(size=(8, 8), channels=1), model_config.build().eval()
        )


def drawn(count: int, size: int = 6, seed: int = 0, prefix: str = "") -> Codes:
    z = np.random.default_rng(seed).standard_normal((count, size), np.float32)
    return Codes(z, Items([f"{prefix}{i}" for i in range(count)]))


def labeled(codes: Codes, labels: NDArray[np.int64] | None, class_names: tuple[str, ...]) -> Codes:
    return replace(codes, items=Items(codes.names, labels, class_names))


def measured(z: NDArray[Any], queries: NDArray[Any], metric: str) -> NDArray[np.float64]:
    """Return all distances (n, N), by brute force."""
    z, queries = z.astype(float), queries.astype(float)
    if metric == "euclidean":
        return np.asarray(np.linalg.norm(queries[:, None] - z, axis=2))
    z, queries = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (z, queries))
    return np.asarray(1 - queries @ z.T)


def agrees(index: Index, codes: Codes, metric: str, k: int = 10) -> float:
    """Compare searches with brute force over what should be there; return the recall."""
    assert list(index.names) == list(codes.names)
    queries = codes.z[:: max(1, len(codes) // 100)] + np.float32(0.01)
    hits = index.search(queries, k)
    truth = measured(codes.z, queries, metric)
    rows = hits.rows
    assert hits.names == [[codes.names[row] for row in found] for found in rows]
    assert [len(set(names)) for names in hits.names] == [k] * len(queries)
    # What it says of each is true, and the nearest comes first.
    np.testing.assert_allclose(
        hits.distances, np.take_along_axis(truth, rows, 1), rtol=1e-4, atol=1e-6
    )
    assert (np.diff(hits.distances, axis=1) >= 0).all()
    assert hits.distances.dtype == np.float32
    if codes.labels is not None:
        assert hits.labels == [[codes.class_names[codes.labels[r]] for r in row] for row in rows]
    limit = np.sort(truth, axis=1)[:, k - 1 : k]
    return float((hits.distances <= limit * (1 + 1e-4) + 1e-6).mean())


@pytest.mark.parametrize("metric", METRICS)
def test_it_finds_what_brute_force_finds(codes: Codes, kind: str, metric: str) -> None:
    index = Index.build(codes, metric)
    assert (index.kind, index.metric, len(index)) == (kind, metric, 700)
    assert index.recall >= 0.99
    assert agrees(index, codes, metric) >= (1 if kind == "exact" else 0.98)


def test_probing_some_lists_is_enough_and_its_recall_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vectors, "MAX_EXACT", 1000)
    codes = drawn(5000, 8)
    index = Index.build(codes)
    assert 1 < index.vectors.nprobe < index.vectors.lists == 71
    assert 0.99 <= index.recall < 1
    assert agrees(index, codes, "euclidean") == pytest.approx(index.recall, abs=0.01)
    few = index.vectors
    few.nprobe = 1
    found = index.search(codes.z[:300] + np.float32(0.01), 10)
    truth = np.sort(measured(codes.z, codes.z[:300] + np.float32(0.01), "euclidean"), axis=1)
    assert (found.distances <= truth[:, 9:10] + 1e-6).mean() < 0.9


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (30, 3), elements=st.floats(-1e6, 1e6, width=32)),
    st.integers(1, 30),
    st.sampled_from(METRICS),
    st.sampled_from([5, 1000]),
)
def test_any_codes_are_found_in_the_order_of_their_distances(
    z: NDArray[np.float32], k: int, metric: str, exact: int
) -> None:
    z[~z.any(axis=1)] = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "MAX_EXACT", exact)
        index = Index.build(Codes(z, Items([str(i) for i in range(30)])), metric)
        hits = index.search(z, k)
    assert np.isfinite(hits.distances).all()
    truth = np.sort(measured(z, z, metric), axis=1)[:, :k]
    if exact == 1000:
        scale = np.abs(z).max() if metric == "euclidean" else 1
        np.testing.assert_allclose(hits.distances, truth, rtol=1e-3, atol=2e-6 * scale)
    np.testing.assert_allclose(hits.distances[:, 0], 0, atol=1e-6 if metric == "cosine" else 0)


def test_small_differences_far_from_zero_are_seen(kind: str) -> None:
    codes = drawn(400)
    codes = replace(codes, z=np.float32(1000) + codes.z)
    assert agrees(Index.build(codes), codes, "euclidean", 5) >= 0.99


def test_answers_do_not_depend_on_company(codes: Codes, kind: str) -> None:
    index = Index.build(codes)
    together = index.search(codes.z[:40], 7)
    alone = [index.search(codes.z[i : i + 1], 7) for i in range(40)]
    assert [hits.names[0] for hits in alone] == together.names
    np.testing.assert_array_equal(np.concatenate([h.distances for h in alone]), together.distances)
    assert len(index.search(codes.z[:0], 7)) == 0


@pytest.mark.parametrize("metric", METRICS)
def test_adding_and_removing_is_as_if_it_had_been_built_so(
    codes: Codes, kind: str, metric: str
) -> None:
    order = np.random.default_rng(5).permutation(700)
    index = Index.build(codes.take(order[:300]), metric)
    index.add(codes.take(order[300:301]))
    index.add(codes.take(order[301:]))
    assert index.kind == kind
    assert agrees(index, codes.take(order), metric) >= 0.98
    gone, left = order[::3], np.delete(order, np.s_[::3])
    index.remove([codes.names[i] for i in gone])
    assert index.removed == {codes.names[i] for i in gone}
    assert agrees(index, codes.take(left), metric) >= 0.98
    index.add(codes.take(gone))
    assert index.removed == set()
    assert agrees(index, codes.take(np.concatenate([left, gone])), metric) >= 0.98
    assert index.recall >= 0.99
    assert len(index.sources) == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "save"]), st.integers(1, 40))))
def test_after_any_changes_it_holds_what_it_should(steps: list[tuple[str, int]]) -> None:
    pool = labeled(drawn(2000, 4), np.arange(2000) % 3, ("a", "b", "c"))
    rows = list(range(30))
    fresh, draw = 30, np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(vectors, "MAX_EXACT", 60)
        index = Index.build(pool.take(np.array(rows)))
        for step, count in steps:
            if step == "add":
                more = list(range(fresh, min(fresh + count, 2000)))
                fresh += len(more)
                index.add(pool.take(np.array(more)))
                rows += more
            elif step == "remove" and count < len(rows) - 1:
                gone = draw.choice(rows, count, replace=False).tolist()
                index.remove([pool.names[row] for row in gone])
                rows = [row for row in rows if row not in gone]
            elif step == "save":
                index.save(folder)
                index = Index.open(folder)
    held = pool.take(np.array(rows))
    assert list(index.names) == list(held.names)
    assert held.labels is not None
    np.testing.assert_array_equal(index.labels, held.labels)
    truth = measured(held.z, held.z, "euclidean")
    np.fill_diagonal(truth, np.inf)
    for row in range(0, len(rows), 7):  # by all lists, so exactly
        hits = index.search_by_name(held.names[row], len(rows) - 1)
        order = truth[row].argsort()[:-1]
        np.testing.assert_allclose(hits.distances[0], truth[row][order], rtol=1e-4, atol=1e-6)
        assert sorted(hits.names[0]) == sorted(held.names[i] for i in order)


def test_lists_may_run_empty(codes: Codes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "MAX_EXACT", 100)
    index = Index.build(codes)
    _, lists = index.vectors.index.quantizer.search(codes.z, 1)  # which list has which code
    gone = np.flatnonzero(lists == lists[0]).tolist()
    index.remove([codes.names[row] for row in gone])
    index.remove(index.names[:1])
    index.save(tmp_path)
    index = Index.open(tmp_path)
    index.remove(index.names[:1])
    left = [row for row in range(700) if row not in gone][2:]
    assert agrees(index, codes.take(np.array(left)), "euclidean") >= 0.98


def test_an_exact_index_that_grows_beyond_the_limit_gets_lists(
    codes: Codes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "MAX_EXACT", 500)
    index = Index.build(codes.take(np.arange(500)))
    assert (index.kind, index.recall) == ("exact", 1.0)
    index.add(codes.take(np.arange(500, 700)))
    assert index.kind == "ivf"
    assert agrees(index, codes, "euclidean") >= 0.98


def test_recall_is_measured_again_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "MAX_EXACT", 1000)
    index = Index.build(drawn(3000))
    nprobe = index.vectors.nprobe
    far = drawn(3000, seed=1, prefix="far")
    index.add(replace(far, z=far.z * np.float32(0.2) + 20))  # all in one list: recall gets perfect
    assert index.recall > 0.99
    index.vectors.nprobe = 1  # what such an index might have been left with
    index.add(drawn(1, seed=2, prefix="new"))
    assert 1 < index.vectors.nprobe <= nprobe
    assert index.recall >= 0.99


def test_a_class_is_searched_exactly_even_where_few_of_it_are(kind: str) -> None:
    z = drawn(1000).z
    labels = np.zeros(1000, np.int64)
    labels[[3, 500, 999]] = 1
    codes = Codes(z, Items([str(i) for i in range(1000)], labels, ("many", "few")))
    index = Index.build(codes)
    for label, members in (("few", np.flatnonzero(labels)), ("many", np.flatnonzero(labels == 0))):
        hits = index.search(z[:50], 3, label=label)
        truth = measured(z[members], z[:50], "euclidean").argsort(axis=1)[:, :3]
        assert hits.names == [[str(members[row]) for row in found] for found in truth]
        assert hits.labels == [[label] * 3] * 50


def test_all_can_be_asked_for(codes: Codes, kind: str) -> None:
    hits = Index.build(codes).search(codes.z[:3], 700)
    assert [sorted(names) for names in hits.names] == [sorted(codes.names)] * 3
    truth = np.sort(measured(codes.z, codes.z[:3], "euclidean"), axis=1)
    np.testing.assert_allclose(hits.distances, truth, rtol=1e-4, atol=1e-6)


def test_similar_to_a_sample_are_others(codes: Codes, kind: str) -> None:
    index = Index.build(codes)
    for i in (0, 333, 699):
        truth = measured(codes.z, codes.z[i : i + 1], "euclidean")[0]
        truth[i] = np.inf
        hits = index.search_by_name(codes.names[i], 4)
        assert hits.names == [[codes.names[row] for row in truth.argsort()[:4]]]
        assert len(index.search_by_name(codes.names[i], 699).names[0]) == 699
    assert codes.labels is not None
    hits = index.search_by_name(codes.names[0], 2, label="7")
    truth = np.where(codes.labels == 7, measured(codes.z, codes.z[:1], "euclidean")[0], np.inf)
    assert hits.names[0] == [codes.names[row] for row in truth.argsort()[:2]]


def test_a_sample_is_left_out_even_among_its_equals(kind: str) -> None:
    index = Index.build(Codes(np.ones((200, 2), np.float32), Items([str(i) for i in range(200)])))
    hits = index.search_by_name("7", 199)
    assert sorted(map(int, hits.names[0])) == [i for i in range(200) if i != 7]
    np.testing.assert_array_equal(hits.distances, 0)


def test_most_of_the_nearest_digits_are_of_the_same_class(codes: Codes) -> None:
    index = Index.build(codes)
    assert codes.labels is not None
    hits = [index.search_by_name(name, 1).labels for name in codes.names[:200]]
    same = [hit == [[str(label)]] for hit, label in zip(hits, codes.labels, strict=False)]
    assert np.mean(same) > 0.5  # by chance, 0.1 would be


def test_hits_are_rows_for_a_machine(codes: Codes) -> None:
    hits = Index.build(codes).search(codes.z[:2], 2)
    rows = json.loads(json.dumps(hits.matches(1)))
    assert [row["name"] for row in rows] == hits.names[1]
    assert hits.labels is not None
    label = hits.labels[1][0]
    assert rows[0] == {"name": codes.names[1], "label": label, "distance": 0.0}
    unlabeled = Index.build(drawn(5)).search(drawn(5).z, 2)
    assert unlabeled.labels is None
    assert [row["label"] for row in unlabeled.matches()] == [None, None]


def test_codes_of_other_classes_and_of_none_join(codes: Codes) -> None:
    index = Index.build(labeled(codes, None, ()).take(np.arange(5)))
    with pytest.raises(OptionError, match="the index knows no classes"):
        index.search(codes.z[:1], 1, label="cat")
    pets = labeled(codes, np.arange(700) % 2, ("cat", "dog"))
    index.add(pets.take(np.arange(5, 9)))
    birds = labeled(codes, np.arange(700) % 2, ("bird", "cat"))
    index.add(birds.take(np.arange(9, 12)))
    assert index.class_names == ("cat", "dog", "bird")
    assert index.labels is not None
    assert index.labels.tolist() == [-1] * 5 + [1, 0, 1, 0] + [0, 2, 0]
    hits = index.search(codes.z[:12], 1)
    assert hits.labels is not None
    labels = [label for (label,) in hits.labels]
    assert labels == [None] * 5 + ["dog", "cat", "dog", "cat", "cat", "bird", "cat"]
    assert hits.matches(3)[0]["label"] is None


def test_eight_threads_can_search_one_index(codes: Codes, kind: str, tmp_path: Path) -> None:
    Index.build(codes).save(tmp_path)

    def answers(index: Index, i: int) -> tuple[Any, ...]:
        by_code = index.search(codes.z[i : i + 3], 7)
        of_class = index.search(codes.z[i : i + 1], 5, label="3")
        by_name = index.search_by_name(codes.names[i], 4)  # makes faiss find vectors by row
        return by_code.rows.tolist(), by_code.names, of_class.labels, by_name.rows.tolist()

    expected = [answers(Index.open(tmp_path), i) for i in range(0, 80, 2)]
    index, start = Index.open(tmp_path), threading.Barrier(8)

    def ask(thread: int) -> list[tuple[Any, ...]]:
        start.wait()
        return [answers(index, i) for i in range(0, 80, 2)]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [expected] * 8


# On disk


@pytest.mark.parametrize("metric", METRICS)
def test_it_answers_the_same_when_opened(
    codes: Codes, model: TrainedModel, kind: str, metric: str, tmp_path: Path
) -> None:
    index = Index.build(codes, metric)
    index.remove(codes.names[10:20])
    index.save(tmp_path / "run" / "index")
    again = Index.open(tmp_path / "run" / "index", model)
    first, second = (i.search(codes.z, 6, label=None) for i in (index, again))
    assert first.names == second.names
    assert first.labels == second.labels
    np.testing.assert_array_equal(first.distances, second.distances)
    assert (
        again.search_by_name(codes.names[0]).names,
        again.search_by_name(codes.names[0]).labels,
    ) == (
        index.search_by_name(codes.names[0]).names,
        index.search_by_name(codes.names[0]).labels,
    )
    for name in ("kind", "recall", "metric", "layer", "model_fingerprint", "sources", "removed"):
        assert getattr(again, name) == getattr(index, name)
    assert (again.names, again.class_names) == (index.names, index.class_names)
    assert again.items.fingerprint == index.items.fingerprint
    np.testing.assert_array_equal(again.labels, index.labels)
    assert again.sources[0].origin == codes.origin
    assert repr(again) == repr(index)


def test_an_opened_index_can_be_changed_and_saved_over_itself(
    codes: Codes, kind: str, tmp_path: Path
) -> None:
    Index.build(codes.take(np.arange(600))).save(tmp_path)
    opened = Index.open(tmp_path)
    opened.search_by_name(codes.names[3])  # after which faiss knows where each vector lies
    opened.add(codes.take(np.arange(600, 700)))
    opened.save(tmp_path)
    assert agrees(opened, codes, "euclidean") >= 0.98
    again = Index.open(tmp_path)
    reader = Index.open(tmp_path)
    again.remove(codes.names[::2])
    again.save(tmp_path)
    left = codes.take(np.arange(1, 700, 2))
    assert agrees(again, left, "euclidean") >= 0.98
    assert agrees(Index.open(tmp_path), left, "euclidean") >= 0.98
    assert agrees(reader, codes, "euclidean") >= 0.98  # its files are gone, and still its own


def test_index_json_says_what_it_holds(codes: Codes, kind: str, tmp_path: Path) -> None:
    index = Index.build(codes)
    index.save(tmp_path)
    about = json.loads((tmp_path / "index.json").read_text())
    assert about["format"] == 3
    assert (about["metric"], about["kind"], about["count"], about["size"]) == (
        "euclidean",
        kind,
        700,
        6,
    )
    assert (about["recall"], about["nprobe"]) == (index.recall, index.vectors.nprobe)
    assert (about["layer"], about["removed"]) == ("code", [])
    assert about["model_fingerprint"] == codes.model_fingerprint
    assert about["sources"][0]["fingerprint"] == codes.items.fingerprint
    assert about["sources"][0]["origin"]["source"] == "digits"
    for part in ("vectors", "items"):
        content = (tmp_path / f"{about['token']}.{part}.safetensors").read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        assert about[part] == {"size": len(content), "sha256": digest}


def test_saving_leaves_one_version_and_nothing_of_others(codes: Codes, tmp_path: Path) -> None:
    index = Index.build(codes)
    index.save(tmp_path)
    (tmp_path / "codes.npz").write_bytes(b"not ours")
    for name in ("0123abcd.npz", "0123abcd.faiss", "0123abcd.items.safetensors"):
        (tmp_path / name).write_bytes(b"of a process that was killed")
        os.utime(tmp_path / name, (0, 0))
    index.save(tmp_path)
    token = json.loads((tmp_path / "index.json").read_text())["token"]
    own = {f"{token}.{part}.safetensors" for part in ("vectors", "items")}
    left = {".lock", "codes.npz", "index.json", *own}
    assert {file.name for file in tmp_path.iterdir()} - {".lock"} == left - {".lock"}


@pytest.mark.parametrize("step", ["vectors.safetensors", "items.safetensors", "index.json"])
def test_a_save_that_fails_leaves_the_old_index(
    codes: Codes, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Index.build(codes.take(np.arange(50))).save(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    replaced = Path.replace

    def replacing(self: Path, target: Path) -> Path:
        if target.name.endswith(step):
            raise OSError(28, "No space left on device")
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", replacing)
    with pytest.raises(IsthmusError, match="No space left on device"):
        Index.build(codes).save(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert len(Index.open(tmp_path)) == 50


def test_two_writers_do_not_mix(codes: Codes, tmp_path: Path) -> None:
    indices = [Index.build(codes.take(np.arange(n))) for n in (100, 200, 300)]
    indices[0].save(tmp_path)
    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            index = Index.open(tmp_path)
            assert len(index.names) == len(index)
            seen.add(len(index))

    reader = threading.Thread(target=watch)
    reader.start()
    writers = [
        threading.Thread(target=lambda i=i: [i.save(tmp_path) for _ in range(8)]) for i in indices
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    reader.join()
    assert seen <= {100, 200, 300}
    assert len(Index.open(tmp_path)) in (100, 200, 300)


def test_a_folder_that_another_process_writes_to_is_refused(
    codes: Codes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr(index_files, "LOCK_TIMEOUT", 0.01)
    with index_files.lock(tmp_path), refused(RunError, tmp_path, "by another process"):
        Index.build(codes).save(tmp_path)


def test_a_place_that_cannot_be_written_is_said(
    codes: Codes, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "file").touch()
    with refused(IsthmusError, tmp_path / "file", "cannot be written"):
        Index.build(codes).save(tmp_path / "file")


def test_a_missing_index_is_said(tmp_path: Path, refused: Refused) -> None:
    with refused(RunError, "there is no index at", tmp_path, "isthmus index makes it"):
        Index.open(tmp_path)


def test_an_index_of_another_model_is_refused(
    codes: Codes, tmp_path: Path, model: TrainedModel, refused: Refused
) -> None:
    Index.build(codes).save(tmp_path)
    Index.open(tmp_path, model)
    with refused(ModelError, tmp_path, "another model", "isthmus index"):
        Index.open(tmp_path, untrained(1))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "a bit of the header": lambda content: flipped(content, 9),
    "a bit of the sizes": lambda content: flipped(content, 145),
    "a bit in the middle": lambda content: flipped(content, len(content) // 2),
    "zeros": lambda content: b"\0" * len(content),
    "text": lambda content: b"x" * len(content),
}


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :]


@pytest.mark.parametrize("file", ["vectors.safetensors", "items.safetensors", "index.json"])
def test_damaged_files_are_refused_and_do_not_end_the_process(
    codes: Codes, file: str, kind: str, tmp_path: Path
) -> None:
    Index.build(codes).save(tmp_path)
    victim = next(path for path in tmp_path.iterdir() if path.name.endswith(file))
    content = victim.read_bytes()
    damages = {name: damage(content) for name, damage in DAMAGE.items()}
    if file == "index.json":  # a text whose bits may change without its getting wrong
        damages = {name: damages[name] for name in ("empty", "truncated", "zeros", "text")}
        damages |= {"a list": b"[]", "nothing in it": b"{}", "format only": b'{"format": 3}'}
    for name, damaged in damages.items():
        (tmp_path / f"{name}.bin").write_bytes(damaged)
    script = f"""
import pathlib
from isthmus.errors import RunError
from isthmus.latent.index import Index

for damage in sorted(pathlib.Path({str(tmp_path)!r}).glob("*.bin")):
    pathlib.Path({str(victim)!r}).write_bytes(damage.read_bytes())
    try:
        Index.open({str(tmp_path)!r})
    except RunError as error:
        print(damage.stem, "-", error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" - ", 1) for line in done.stdout.splitlines())
    assert set(lines) == set(damages)
    for message in lines.values():
        assert message.startswith(f"the index at {tmp_path} is damaged ("), message
        assert message.endswith("; make it again with isthmus index.")


@pytest.mark.parametrize("suffix", ["vectors.safetensors", "items.safetensors"])
def test_a_file_that_is_gone_is_damage(
    codes: Codes, suffix: str, tmp_path: Path, refused: Refused
) -> None:
    Index.build(codes).save(tmp_path)
    next(tmp_path.glob(f"*.{suffix}")).unlink()
    with refused(RunError, tmp_path, "is damaged (No such file or directory)"):
        Index.open(tmp_path)


def test_another_format_is_refused(codes: Codes, tmp_path: Path, refused: Refused) -> None:
    Index.build(codes).save(tmp_path)
    file = tmp_path / "index.json"
    file.write_text(file.read_text().replace('"format": 3', '"format": 2'))
    with refused(RunError, tmp_path, "format 2", "reads format 3", "make it again"):
        Index.open(tmp_path)


# What is refused


@pytest.mark.parametrize("k", [0, -1, 701])
def test_k_outside_its_range_is_refused(codes: Codes, k: int, refused: Refused) -> None:
    with refused(OptionError, "k must be from 1 to 700", "in the index", f"not {k}"):
        Index.build(codes).search(codes.z[:1], k)


def test_k_beyond_a_class_is_refused(codes: Codes, refused: Refused) -> None:
    index = Index.build(codes)
    assert codes.labels is not None
    count = int((codes.labels == 0).sum())
    index.search(codes.z[:1], count, label="0")
    with refused(OptionError, f"k must be from 1 to {count},", "of class '0'"):
        index.search(codes.z[:1], count + 1, label="0")
    name = codes.names[int((codes.labels == 0).argmax())]
    with refused(OptionError, f"k must be from 1 to {count - 1},", "of class '0'"):
        index.search_by_name(name, count, label="0")
    with refused(OptionError, "k must be from 1 to 699"):
        index.search_by_name(name, 700)


def test_an_unknown_class_is_refused_with_the_known(codes: Codes, refused: Refused) -> None:
    with refused(OptionError, "'cat'", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9."):
        Index.build(codes).search(codes.z[:1], 1, label="cat")
    many = labeled(codes, codes.labels, tuple(f"c{i}" for i in range(1500)))
    with refused(OptionError, "c0, c1, ", "c11 and 1,488 more."):
        Index.build(many).search(codes.z[:1], 1, label="cat")


@pytest.mark.parametrize("shape", [(1, 5), (1, 7), (6,), (1, 6, 1)])
def test_queries_of_another_size_are_refused(
    codes: Codes, shape: tuple[int, ...], refused: Refused
) -> None:
    with refused(ModelError, "(N, 6)", shape):
        Index.build(codes).search(np.zeros(shape, np.float32), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_codes_that_are_no_numbers_are_refused(
    codes: Codes, value: float, refused: Refused
) -> None:
    z = codes.z.copy()
    z[3, 2] = value
    with refused(ModelError, f"the code of {codes.names[3]} holds NaN or numbers beyond"):
        Index.build(replace(codes, z=z))
    index = Index.build(codes.take(np.arange(5, 9)))
    with refused(ModelError, f"the code of {codes.names[3]} holds NaN"):
        index.add(replace(codes, z=z).take(np.arange(3, 5)))
    assert len(index) == len(index.names) == 4
    with refused(ModelError, "code 3 to search for holds NaN"):
        index.search(z, 1)


def test_a_code_without_direction_is_refused_by_the_cosine_only(
    codes: Codes, refused: Refused
) -> None:
    z = codes.z.copy()
    z[3] = 0
    assert Index.build(replace(codes, z=z)).search(z[3:4], 1).names == [[codes.names[3]]]
    with refused(ModelError, f"the code of {codes.names[3]} is all zeros", "euclidean"):
        Index.build(replace(codes, z=z), "cosine")
    with refused(ModelError, "code 0 to search for is all zeros"):
        Index.build(codes, "cosine").search(z[3:4], 1)


@pytest.mark.parametrize("scale", [1e-30, 1e14])
def test_the_cosine_does_not_mind_the_length_of_codes(codes: Codes, scale: float) -> None:
    scaled = replace(codes, z=codes.z * np.float32(scale))
    index = Index.build(scaled, "cosine")
    near = Index.build(codes, "cosine").search(codes.z, 4)
    far = index.search(scaled.z, 4)
    np.testing.assert_allclose(far.distances, near.distances, atol=1e-6)


def test_an_unknown_metric_is_refused(codes: Codes, refused: Refused) -> None:
    with refused(OptionError, "'manhattan'", "euclidean, cosine"):
        Index.build(codes, "manhattan")


def test_nothing_is_refused(codes: Codes, refused: Refused) -> None:
    nothing = codes.take(np.arange(0))
    with refused(OptionError, "there are no codes", "(0, 6)"):
        Index.build(nothing)
    with refused(OptionError, "there are no codes"):
        Index.build(codes).add(nothing)
    with refused(OptionError, "700 codes came with 3 names"):
        Index.build(replace(codes, items=Items(["a", "b", "c"])))


def test_names_must_differ(codes: Codes, refused: Refused) -> None:
    twice = codes.take(np.array([4, 5, 4]))
    with refused(OptionError, f"two of the codes are called {codes.names[4]}"):
        Index.build(twice)
    index = Index.build(codes.take(np.arange(4, 9)))
    with refused(OptionError, f"{codes.names[8]} is in the index already"):
        index.add(codes.take(np.array([20, 8, 21])))
    assert len(index) == 5
    with refused(OptionError, f"two of the codes are called {codes.names[9]}"):
        index.add(codes.take(np.array([9, 9])))


def test_codes_of_another_model_or_layer_do_not_join(codes: Codes, refused: Refused) -> None:
    index = Index.build(codes.take(np.arange(5)))
    more = codes.take(np.arange(5, 9))
    with refused(ModelError, "by another model"):
        index.add(replace(more, model_fingerprint="0123456789abcdef"))
    with refused(ModelError, "(4, 6) of layer block 1", "(N, 6) of layer code"):
        index.add(replace(more, layer="block 1"))
    with refused(ModelError, "(4, 5)", "(N, 6)"):
        index.add(replace(more, z=more.z[:, :5]))
    assert len(index) == 5


def test_only_what_is_there_can_be_removed_or_asked_for(codes: Codes, refused: Refused) -> None:
    index = Index.build(codes.take(np.arange(5)))
    with refused(OptionError, "no sample called 'nobody'"):
        index.remove([codes.names[0], "nobody"])
    with refused(OptionError, "no sample called 'nobody'"):
        index.search_by_name("nobody")
    with refused(OptionError, "an index cannot be empty"):
        index.remove(list(index.names))
    index.remove([])
    assert len(index) == 5
    index.remove(codes.names[1:5])
    assert index.search(codes.z[:1], 1).names == [[codes.names[0]]]
    with refused(OptionError, "there is no other sample in the index to find"):
        index.search_by_name(codes.names[0], 1)


def test_names_that_are_no_text_come_back(tmp_path: Path) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), "", "日本\n語.png", "a\0b", "a"]
    Index.build(Codes(np.eye(5, dtype=np.float32), Items(names))).save(tmp_path)
    index = Index.open(tmp_path)
    assert list(index.names) == names
    assert index.search(np.eye(5, dtype=np.float32), 1).names == [[name] for name in names]
    assert [len(index.search_by_name(name, 4).names[0]) for name in names] == [4] * 5

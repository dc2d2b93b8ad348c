"""An index from elsewhere: each field and array is checked, also where its checksums are right."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from isthmus.data.items import Items
from isthmus.errors import RunError
from isthmus.files import fingerprint
from isthmus.latent import vectors
from isthmus.latent.codes import Codes
from isthmus.latent.index import Index

Refused = Callable[..., AbstractContextManager[None]]
Record = dict[str, Any]


def codes(count: int = 60, size: int = 4) -> Codes:
    z = np.random.default_rng(0).standard_normal((count, size), np.float32)
    names = [f"é{number}" for number in range(count)]
    return Codes(z, Items(names, np.arange(count) % 3, ("a", "b", "c")))


@pytest.fixture(params=["exact", "ivf"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "ivf":
        monkeypatch.setattr(vectors, "MAX_EXACT", 20)
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    Index.build(codes()).save(tmp_path / "index")
    return tmp_path / "index"


def read(folder: Path) -> Record:
    record: Record = json.loads((folder / "index.json").read_bytes())
    return record


def forge(folder: Path, **changes: Any) -> None:
    """Change index.json, and correct its fingerprint."""
    record = {**read(folder), **changes}
    del record["fingerprint"]
    record["fingerprint"] = fingerprint(record)
    (folder / "index.json").write_text(json.dumps(record))


def forge_file(folder: Path, part: str, content: bytes) -> None:
    """Replace a file, and correct what index.json says of it."""
    (folder / f"{read(folder)['token']}.{part}.safetensors").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    forge(folder, **{part: {"size": len(content), "sha256": sha256}})


def content_of(folder: Path, part: str) -> bytes:
    return (folder / f"{read(folder)['token']}.{part}.safetensors").read_bytes()


def arrays_of(folder: Path, part: str) -> dict[str, np.ndarray]:
    return load_file(folder / f"{read(folder)['token']}.{part}.safetensors")


def facts_of(folder: Path, part: str) -> dict[str, str]:
    content = content_of(folder, part)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    facts: dict[str, str] = header["__metadata__"]
    return facts


def test_forged_with_nothing_changed_it_is_opened(folder: Path) -> None:
    for part in ("vectors", "items"):
        forge_file(folder, part, save(arrays_of(folder, part), facts_of(folder, part)))
    assert list(Index.open(folder).names) == list(codes().names)


FIELDS: list[tuple[str, Any]] = [
    ("format", "3"),
    ("metric", "cosine"),
    ("metric", "manhattan"),
    ("kind", "hnsw"),
    ("count", 61),
    ("count", 0),
    ("count", 2**40),
    ("count", True),
    ("size", 5),
    ("size", "4"),
    ("layer", "hidden"),
    ("layer", None),
    ("model_fingerprint", "another"),
    ("nprobe", 0),
    ("nprobe", 10**6),
    ("recall", 1.5),
    ("recall", float("nan")),
    ("sources", [{}]),
    ("sources", "digits"),
    ("removed", [1]),
    ("token", "../index"),
    ("token", ""),
    ("vectors", {"size": -1, "sha256": "0" * 64}),
    ("items", {"size": 1, "sha256": "0"}),
    ("items", None),
    ("extra", 1),
]


def test_each_field_is_checked(folder: Path, kind: str, refused: Refused) -> None:
    swapped = ("kind", "ivf" if kind == "exact" else "exact")
    record = (folder / "index.json").read_bytes()
    for name, value in [*FIELDS, swapped]:
        (folder / "index.json").write_bytes(record)
        forge(folder, **{name: value})
        with refused(RunError, folder, "is damaged (", "make it again with isthmus index"):
            Index.open(folder)


def test_a_field_that_changed_by_accident_is_noticed(folder: Path, refused: Refused) -> None:
    file = folder / "index.json"
    text = file.read_text()
    for before, after in (('"removed": []', '"removed": ["é1"]'), ('"limit": null', '"limit": 3')):
        assert before in text
        file.write_text(text.replace(before, after))
        with refused(RunError, folder, "index.json is not as it was written"):
            Index.open(folder)


@pytest.mark.parametrize("part", ["vectors", "items"])
def test_files_of_another_index_are_refused(
    folder: Path, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    others = [Index.build(codes(61)), Index.build(codes(size=5)), Index.build(codes(), "cosine")]
    monkeypatch.setattr(vectors, "MAX_EXACT", 30 if vectors.MAX_EXACT > 60 else 100)
    others.append(Index.build(codes()))  # of the other kind
    for number, other in enumerate(others):
        other.save(tmp_path / str(number))
        shutil.rmtree(tmp_path / "mine", ignore_errors=True)
        shutil.copytree(folder, tmp_path / "mine")
        forge_file(tmp_path / "mine", part, content_of(tmp_path / str(number), part))
        if part == "items" and number:  # they are the same
            assert len(Index.open(tmp_path / "mine")) == 60
            continue
        with refused(RunError, tmp_path / "mine", "is damaged (", "isthmus index"):
            Index.open(tmp_path / "mine")


def changed(array: np.ndarray, place: Any, value: Any) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


FAR = 3 * 2**61  # the difference of it and its negative leaves 64 bits

CRAFTED: dict[str, tuple[str, str, Callable[[np.ndarray], np.ndarray | None]]] = {
    # what, file, array, change
    "NaN": ("vectors", "vectors", lambda a: changed(a, (3, 1), np.nan)),
    "infinity": ("vectors", "vectors", lambda a: changed(a, (3, 1), np.inf)),
    "doubles": ("vectors", "vectors", lambda a: a.astype(np.float64)),
    "flat": ("vectors", "vectors", lambda a: a.reshape(-1)),
    "none": ("vectors", "vectors", lambda a: a[:0]),
    "row twice": ("vectors", "rows", lambda a: changed(a, 0, a[1])),
    "row beyond": ("vectors", "rows", lambda a: changed(a, 0, 60)),
    "row below": ("vectors", "rows", lambda a: changed(a, 0, -1)),
    "short rows": ("vectors", "rows", lambda a: a.astype(np.int32)),
    "end beyond": ("vectors", "ends", lambda a: changed(a, -1, 2**40)),
    "end before": ("vectors", "ends", lambda a: changed(a, 0, -5)),
    "ends back": ("vectors", "ends", lambda a: changed(a, 1, 0)),
    "ends far apart": ("vectors", "ends", lambda a: changed(a, slice(2), (FAR, -FAR))),
    "no ends": ("vectors", "ends", lambda a: a[:0]),
    "no centers": ("vectors", "centers", lambda a: None),
    "wide centers": ("vectors", "centers", lambda a: np.tile(a, 2)),
    "names end beyond": ("items", "name_ends", lambda a: changed(a, -1, 2**40)),
    "names end before": ("items", "name_ends", lambda a: changed(a, 0, -5)),
    "names end within a letter": ("items", "name_ends", lambda a: changed(a, 0, 1)),
    "names are no text": ("items", "names", lambda a: changed(a, 0, 0xFF)),
    "label beyond": ("items", "labels", lambda a: changed(a, 0, 3)),
    "label below": ("items", "labels", lambda a: changed(a, 0, -2)),
    "one label less": ("items", "labels", lambda a: a[1:]),
    "one name less": ("items", "name_ends", lambda a: a[:-1]),
}


def test_arrays_that_nobody_would_write_are_refused(
    folder: Path, kind: str, tmp_path: Path, refused: Refused
) -> None:
    tried = 0
    for part, name, change in CRAFTED.values():
        shutil.rmtree(tmp_path / "mine", ignore_errors=True)
        shutil.copytree(folder, tmp_path / "mine")
        arrays = arrays_of(folder, part)
        if name not in arrays:  # of inverted lists
            continue
        array = change(arrays.pop(name))
        arrays |= {} if array is None else {name: np.ascontiguousarray(array)}
        forge_file(tmp_path / "mine", part, save(arrays, facts_of(folder, part)))
        with refused(RunError, tmp_path / "mine", "is damaged (", "isthmus index"):
            Index.open(tmp_path / "mine")
        tried += 1
    assert tried == (len(CRAFTED) if kind == "ivf" else 13)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes that have names")
def test_pipes_folders_and_links_in_the_place_of_files_are_refused(
    folder: Path, tmp_path: Path, refused: Refused
) -> None:
    token = read(folder)["token"]
    for name in ("index.json", f"{token}.vectors.safetensors", f"{token}.items.safetensors"):
        for make in (os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")):
            shutil.rmtree(tmp_path / "mine", ignore_errors=True)
            shutil.copytree(folder, tmp_path / "mine")
            (tmp_path / "mine" / name).unlink()
            make(tmp_path / "mine" / name)
            with refused(RunError, tmp_path / "mine", "is damaged ("):
                Index.open(tmp_path / "mine")


def test_names_that_end_far_apart_are_refused(tmp_path: Path, refused: Refused) -> None:
    Index.build(replace(codes(), items=Items([str(number) for number in range(60)]))).save(tmp_path)
    arrays = arrays_of(tmp_path, "items")
    arrays["name_ends"][:2] = FAR, -FAR
    forge_file(tmp_path, "items", save(arrays, facts_of(tmp_path, "items")))
    with refused(RunError, tmp_path, "is damaged (", "isthmus index"):
        Index.open(tmp_path)


def test_what_faiss_would_read_is_not_read(folder: Path, refused: Refused) -> None:
    import faiss

    content = faiss.serialize_index(faiss.IndexFlatL2(4)).tobytes()
    forge_file(folder, "vectors", content)
    with refused(RunError, folder, "is damaged ("):
        Index.open(folder)

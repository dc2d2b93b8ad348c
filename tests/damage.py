"""What can be wrong with the files of a run: by a bad disk, another program, or somebody nasty.

`damages` gives a name and a function that damages a copy of a run for each fault of each file;
`read_by` says which commands read that file. A command on a damaged run is right if it says one
sentence that names the file and exits with code 2, or if it answers as it does on the whole run.
"""

import functools
import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch

from isthmus import Codes, IsthmusError, Map, Run
from isthmus.training.kept import KeptEpochs
from isthmus.training.store import FolderStore

Change = Callable[[bytes], bytes | None]  # None removes the file
# Other values for every field of a JSON file; `json` writes and reads the last ones, too.
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 2.5, "", "x", "../x", [], [1], {}, {"a": 1}),
    *(float("nan"), float("inf"), "\ud800", "x" * 5000),
)
FLIPS = 12  # bytes that are flipped, one in each copy
CUTS = (0, 1, 7, 8, 40, 0.25, 0.5, 0.99, -1)  # what is kept: bytes, a part, all but some
READERS = {  # the commands that read a file, with the run as {run}
    "run.json": ("evaluate", "resume", "report", "studio"),
    "split.npz": ("evaluate", "resume"),
    "history.jsonl": ("evaluate", "resume", "report"),
    "model.safetensors": ("evaluate", "encode", "map", "summary"),
    "checkpoint/state.pt": ("resume",),
    "epochs/inputs.npy.gz": ("resume", "studio"),
    "epochs/rows.npy.gz": ("resume", "studio"),
    "epochs/0001.npy.gz": ("resume", "studio"),
    "evaluation.json": ("evaluate", "report"),
    "maps/map.npz": ("map",),
    "studio/stored.json": ("studio",),
    "codes.npy": ("codes",),
    "codes.json": ("codes",),
    "model.onnx": ("onnx",),
}


def _read_session_map(run: Path) -> Any:
    loaded = Map.load(run / "maps/map.npz")
    params = {name: array.tobytes() for name, array in loaded.params.items()}
    return loaded.xy.tobytes(), loaded.fitted.tobytes(), _facts(loaded), loaded.method, params


def _read_codes(run: Path) -> Any:
    codes = Codes.load(run / "codes.npy")
    return codes.z.tobytes(), codes.shape, _facts(codes)


def _facts(made: Codes | Map) -> Any:
    labels = None if made.labels is None else made.labels.tolist()
    facts = (list(made.names), labels, made.items.fingerprint)
    return *facts, made.layer, made.model_fingerprint, made.origin


def _read_epochs(run: Path) -> Any:
    """Damaged ones are left out, so what is read is whole or nothing."""
    kept = KeptEpochs(FolderStore(run))
    inputs, first = kept.inputs(), kept.read(1)
    return (None if inputs is None else [one.tobytes() for one in inputs]), (
        None if first is None else first.tobytes()
    )


def _read_split(run: Path) -> Any:
    split = Run.open(run).split()
    return [getattr(split, name).tolist() for name in ("train", "validation", "test")]


def _read_checkpoint(run: Path) -> Any:
    state = Run.open(run).checkpoint()
    file = io.BytesIO()
    torch.save(state, file)
    return None if state is None else file.getvalue()


# Reads a file of a run as the commands do, in a millisecond, and returns what can be compared.
READ: dict[str, Callable[[Path], Any]] = {
    "run.json": lambda run: Run.open(run).record,
    "split.npz": _read_split,
    "history.jsonl": lambda run: Run.open(run).history(),
    "model.safetensors": lambda run: Run.open(run).model().fingerprint,
    "checkpoint/state.pt": _read_checkpoint,
    "epochs/inputs.npy.gz": _read_epochs,
    "epochs/rows.npy.gz": _read_epochs,
    "epochs/0001.npy.gz": _read_epochs,
    "maps/map.npz": _read_session_map,
    "codes.npy": _read_codes,
    "codes.json": _read_codes,
}


class Damage(NamedTuple):
    """A fault of a file.

    Parameters
    ----------
    file : str
        In the run folder; a key of `READERS`.
    name : str
        What is wrong with it.
    change : callable
        From the content of the file to another.
    """

    file: str
    name: str
    change: Change

    def apply(self, path: Path) -> bool:
        """Damage a file; return whether that changed it."""
        before = path.read_bytes()
        after = self.change(before)
        if after is None:
            path.unlink()
        else:
            path.write_bytes(after)
        return before != after


def damages(file: str, content: bytes, seed: int = 0) -> Iterator[Damage]:
    """Yield the faults of a file, given its content, always the same for one seed."""
    for name, change in _of_bytes(len(content), random.Random(f"{file} {seed}")):
        yield Damage(file, name, change)
    for name, change in KINDS.get(Path(file).suffix, _nothing)(content):
        yield Damage(file, name, change)


# -- bytes ----------------------------------------------------------------------------------


def _of_bytes(size: int, chance: random.Random) -> Iterator[tuple[str, Change]]:
    for cut in CUTS:
        end = int(cut * size) if isinstance(cut, float) else cut
        yield f"cut at {cut}", functools.partial(_cut, end=end)
    for _ in range(FLIPS):
        place, bit = chance.randrange(size), 1 << chance.randrange(8)
        yield f"byte {place} ^ {bit}", functools.partial(_flip, place=place, bit=bit)
    yield "zeros", lambda content: bytes(len(content))
    yield "zeros from the middle", lambda content: content[: size // 2] + bytes(size - size // 2)
    yield (
        "zeros in a block",
        lambda content: content[: size // 3] + bytes(64) + content[size // 3 + 64 :],
    )
    yield "missing", lambda content: None
    yield "more behind it", lambda content: content + b"more"
    yield "other text", lambda content: b"other bytes\n" * 99
    yield "an object of Python", lambda content: PICKLE


def _cut(content: bytes, end: int) -> bytes:
    return content[:end]


def _flip(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]


# What runs a command when it is unpickled: it would make a file that tests look for.
PICKLE = b"cposix\nsystem\n(S'touch executed'\ntR."


def _nothing(content: bytes) -> Iterator[tuple[str, Change]]:
    return iter(())


# -- JSON -----------------------------------------------------------------------------------


def _of_json(content: bytes) -> Iterator[tuple[str, Change]]:
    yield from _of_value(json.loads(content), lambda content, value: _dump(value), json.loads)
    yield "nested", lambda content: b"[" * 100_000 + b"]" * 100_000
    yield "a long number", lambda content: b'{"format": ' + b"9" * 5000 + b"}"


def _of_lines(content: bytes) -> Iterator[tuple[str, Change]]:
    lines = [json.loads(line) for line in content.splitlines()]

    def read(content: bytes) -> Any:
        return [json.loads(line) for line in content.splitlines()]

    def write(content: bytes, value: Any) -> bytes:
        return b"".join(_dump(line) + b"\n" for line in value) if isinstance(value, list) else b"1"

    yield from _of_value(lines, write, read)
    yield "lines in reverse", lambda content: write(b"", read(content)[::-1])
    yield "a line twice", lambda content: content + content.splitlines(keepends=True)[-1]


def _of_value(
    whole: Any, write: Callable[[bytes, Any], bytes], read: Callable[[bytes], Any]
) -> Iterator[tuple[str, Change]]:
    """Yield changes of each value within a JSON value."""
    for path in _paths(whole):
        where = ".".join(map(str, path)) or "all"
        for number, value in enumerate(VALUES):
            change = functools.partial(_replaced, path=path, value=value)
            yield f"{where} = {str(value)[:12]!r} ({number})", _within(read, write, change)
        if path:
            yield (
                f"{where} is missing",
                _within(read, write, functools.partial(_removed, path=path)),
            )
        if isinstance(_find(whole, path), dict):
            change = functools.partial(_replaced, path=(*path, "moon"), value=1)
            yield f"{where} has more", _within(read, write, change)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of all values, of a long list the first two."""
    yield path
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value[:2])
        for key, one in inner:
            yield from _paths(one, (*path, key))


def _within(
    read: Callable[[bytes], Any], write: Callable[[bytes, Any], bytes], change: Callable[[Any], Any]
) -> Change:
    return lambda content: write(content, change(read(content)))


def _replaced(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    _find(whole, path[:-1])[path[-1]] = value
    return whole


def _removed(whole: Any, path: tuple[Any, ...]) -> Any:
    del _find(whole, path[:-1])[path[-1]]
    return whole


def _find(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


# -- arrays ---------------------------------------------------------------------------------

ARRAYS: dict[str, Callable[[Any], Any]] = {
    "floats": lambda a: a.astype(np.float64) + 0.5 if a.dtype.kind in "iufb" else a,
    "texts": lambda a: a.astype(np.str_),
    "truth": lambda a: np.zeros(a.shape, np.bool_),
    "two axes": lambda a: a[None],
    "no axis": lambda a: np.array(3),
    "empty": lambda a: a[:0] if a.ndim else np.empty((0,)),
    "one less": lambda a: a[:-1] if a.ndim else a,
    "one more": lambda a: np.concatenate([a, a[-1:]]) if a.ndim else a,
    "negative": lambda a: -a - 1 if a.dtype.kind in "if" else a,
    "huge": lambda a: a + 10**9 if a.dtype.kind in "if" else a,
    "NaN": lambda a: a * np.float32("nan") if a.dtype.kind == "f" else a,
    "all the same": lambda a: np.full_like(a, a.reshape(-1)[0]) if a.size else a,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "complex": lambda a: a.astype(np.complex64) if a.dtype.kind in "if" else a,
}


def _of_arrays(content: bytes) -> Iterator[tuple[str, Change]]:
    names = list(np.load(io.BytesIO(content)).files)
    for name in names:
        for kind, change in ARRAYS.items():
            yield f"{name}: {kind}", functools.partial(_with_array, name=name, change=change)
        yield f"{name} is missing", functools.partial(_with_array, name=name, change=None)
        for other in names:
            if other != name:
                yield f"{name} is {other}", functools.partial(_copy_array, name=name, other=other)
    yield "a bomb", lambda content: _bomb(names)


def _with_array(content: bytes, name: str, change: Callable[[Any], Any] | None) -> bytes:
    arrays = dict(np.load(io.BytesIO(content)))
    array = arrays.pop(name)
    return _save(arrays if change is None else {**arrays, name: change(array)})


def _copy_array(content: bytes, name: str, other: str) -> bytes:
    arrays = dict(np.load(io.BytesIO(content)))
    return _save({**arrays, name: arrays[other]})


def _save(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _bomb(names: list[str]) -> bytes:
    """Return an archive of arrays that take a thousandth of what they hold."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names[:1]:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": "<i8", "fortran_order": False, "shape": (2**23,)}
                np.lib.format.write_array_header_1_0(member, header)
                for _ in range(16):
                    member.write(bytes(2**22))
    return file.getvalue()


def _of_array(content: bytes) -> Iterator[tuple[str, Change]]:
    for kind, change in ARRAYS.items():
        yield kind, functools.partial(_with_npy, change=change)
    yield "a huge shape", lambda content: _header((10**6, 10**6)) + content[128:]
    yield "a shape of many", lambda content: _header((10**4,) * 5) + content[128:]


def _with_npy(content: bytes, change: Callable[[Any], Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, change(np.load(io.BytesIO(content))), allow_pickle=False)
    return file.getvalue()


def _header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


# -- weights --------------------------------------------------------------------------------

TENSORS: dict[str, Callable[[Any], Any]] = {
    "bfloat16": lambda t: t.to(torch.bfloat16),
    "float16": lambda t: t.to(torch.float16),
    "float64": lambda t: t.to(torch.float64),
    "int64": lambda t: t.to(torch.int64),
    "one less": lambda t: t[:-1].clone() if t.dim() else t,
    "one axis": lambda t: t.reshape(-1).clone(),
    "more axes": lambda t: t[None].clone(),
    "NaN": lambda t: t * float("nan") if t.is_floating_point() else t,
    "infinity": lambda t: t / 0 if t.is_floating_point() else t,
    "empty": lambda t: t[:0].clone() if t.dim() else t,
}


def _of_weights(content: bytes) -> Iterator[tuple[str, Change]]:
    names = list(safetensors.torch.load(content))
    for name in names[:2]:
        for kind, change in TENSORS.items():
            yield f"{name}: {kind}", functools.partial(_with_tensor, name=name, change=change)
        yield f"{name} is missing", functools.partial(_with_tensor, name=name, change=None)
    yield "one weight more", functools.partial(_with_more)
    yield "no metadata", lambda content: safetensors.torch.save(safetensors.torch.load(content))
    for length in (0, 2**20, 2**40, 2**64 - 1):
        yield f"a header of {length}", functools.partial(_with_length, length=length)
    about = _about(content)
    yield from _of_value(about, _with_about, _about)


def _with_tensor(content: bytes, name: str, change: Callable[[Any], Any] | None) -> bytes:
    weights = safetensors.torch.load(content)
    tensor = weights.pop(name)
    if change is not None:
        weights[name] = change(tensor).contiguous()
    return safetensors.torch.save(weights, {"isthmus": json.dumps(_about(content))})


def _with_more(content: bytes) -> bytes:
    weights = {**safetensors.torch.load(content), "moon": torch.zeros(3)}
    return safetensors.torch.save(weights, {"isthmus": json.dumps(_about(content))})


def _with_length(content: bytes, length: int) -> bytes:
    return struct.pack("<Q", length) + content[8:]


def _about(content: bytes) -> Any:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["isthmus"])


def _with_about(content: bytes, about: Any) -> bytes:
    weights = safetensors.torch.load(content)
    return safetensors.torch.save(weights, {"isthmus": json.dumps(about)})


# -- checkpoints ----------------------------------------------------------------------------


_MISSING = object()
PARTS: tuple[Any, ...] = (None, 3, "x", [], {}, {"a": 1}, torch.zeros(2))
COUNTS: tuple[Any, ...] = (None, "x", -1, 10**30, float("nan"), True, _MISSING)


def _of_checkpoint(content: bytes) -> Iterator[tuple[str, Change]]:
    state = _load(content)
    for part in state:
        for value in PARTS:
            yield f"{part} = {value!r}", functools.partial(_with_part, path=(part,), value=value)
        yield f"{part} is missing", functools.partial(_with_part, path=(part,), value=_MISSING)
    for name in state["counters"]:
        for value in COUNTS:
            yield (
                f"{name} = {value!r}",
                functools.partial(_with_part, path=("counters", name), value=value),
            )
    yield "more counters", functools.partial(_with_part, path=("counters", "moon"), value=1)
    for where, tensors in (("module", state["module"]), ("state", state["optimizer"]["state"][0])):
        path: tuple[Any, ...] = ("optimizer", "state", 0) if where == "state" else ("module",)
        for name in list(tensors)[:3]:
            for kind, change in TENSORS.items():
                yield (
                    f"{where} {name}: {kind}",
                    functools.partial(_with_part, path=(*path, name), change=change),
                )
    groups = ("optimizer", "param_groups")
    yield "no groups", functools.partial(_with_part, path=groups, value=[])
    yield "other groups", functools.partial(_with_part, path=groups, value=[{"params": [0, 0]}])
    yield (
        "state of others",
        functools.partial(
            _with_part, path=("optimizer", "state", 99), value=state["optimizer"]["state"][0]
        ),
    )


def _load(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), weights_only=True)


def _with_part(
    content: bytes,
    path: tuple[Any, ...],
    value: Any = None,
    change: Callable[[Any], Any] | None = None,
) -> bytes:
    state = _load(content)
    inner = _find(state, path[:-1])
    if value is _MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value if change is None else change(inner[path[-1]])
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


KINDS: dict[str, Callable[[bytes], Iterator[tuple[str, Change]]]] = {
    ".json": _of_json,
    ".jsonl": _of_lines,
    ".npz": _of_arrays,
    ".npy": _of_array,
    ".safetensors": _of_weights,
    ".pt": _of_checkpoint,
}


def judge(file: str, run: Path, right: Any) -> tuple[bool, str]:
    """Read a file of a damaged run; return whether what came of it is right, and what that was.

    Parameters
    ----------
    file : str
        A key of `READ`.
    run : Path
    right : object
        What the whole run gives.
    """
    try:
        found = READ[file](run)
    except IsthmusError as error:
        text = str(error)
        return is_right_sentence(f"isthmus: {text}", file), text
    except Exception as error:
        return False, f"{type(error).__name__}: {error}"
    if file.startswith("epochs/"):  # left out where it is damaged
        pairs = zip(found, right, strict=True)
        return all(one in (None, other) for one, other in pairs), "left out"
    return found == right, "as before" if found == right else f"read as {found!r}"


def is_plausible(file: str, name: str) -> bool:
    """Return whether a fault leaves what could be right.

    The history could be that of another training, and people may correct the place of the data.
    Checkpoints of older versions hold no history.
    """
    if file == "checkpoint/state.pt":
        return name == "history is missing"
    ends = ("missing", "has more", "(2)", "(3)", "(5)")
    is_history = file == "history.jsonl" and (name.endswith(ends) or name.startswith("byte"))
    return is_history or (file == "run.json" and name.startswith("origin.source = "))


def is_right_sentence(text: str, file: str) -> bool:
    """Return whether what a command said is one sentence that names a file."""
    lines = [line for line in text.splitlines() if line.startswith("isthmus: ")]
    return (
        len(lines) == 1
        and "Traceback" not in text
        and re.fullmatch(r"isthmus: (?!.*\.\.$).+[^.]\.", lines[0]) is not None
        and Path(file).name in lines[0]
    )

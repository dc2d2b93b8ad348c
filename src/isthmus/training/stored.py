"""What a run stores besides its record and its weights, read with every value checked.

Each function takes the content of a file. It raises an `IsthmusError` with what is wrong, around
which `Run` says the name of the file and what to do.
"""

import io
import math
import zipfile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.arrays import read_npz, require_array
from isthmus.data.samples import SPLITS
from isthmus.data.split import Split
from isthmus.errors import RunError
from isthmus.fields import convert, convert_some, is_number, parse_json
from isthmus.inference.weights import has_numbers, require_weights
from isthmus.training.freezing import freeze_parts
from isthmus.training.record import Record

LINE: dict[str, Any] = {  # of a history
    "epoch": float,
    "step": int,
    "loss": float,
    "validation_loss": float,
    "is_best": bool,
    "lr": float,
    "seconds": float,
    "images_per_second": float,
}
COUNTERS: dict[str, type] = {  # of a checkpoint; errors and losses may be infinite at the start
    "step": int,
    "seconds": float,
    "loss_sum": float,
    "best_error": float,
    "best_loss": float,
    "best_step": int,
}


def parse_split(content: bytes, counts: tuple[int, ...], total: int) -> Split:
    """Return the split in the content of split.npz.

    Parameters
    ----------
    content : bytes
    counts : tuple of int
        How many samples each part has.
    total : int
        How many samples there are.

    Raises
    ------
    IsthmusError
        If a part is no list of so many indices, or a sample is in two parts or twice in one.
    """
    arrays = read_npz(content)
    parts = [require_array(arrays, name, "iu", 1).astype(np.int64) for name in SPLITS]
    for name, part, count in zip(SPLITS, parts, counts, strict=True):
        if len(part) != count:
            raise RunError(
                f"{name} has {len(part):,} samples and {count:,} in run.json, which was written "
                "with it"
            )
    _reject_outside(parts, total)
    _reject_repeats(parts)
    return Split(*parts)


def parse_history(content: bytes) -> list[dict[str, Any]]:
    """Return the lines of history.jsonl, one for every epoch.

    Raises
    ------
    IsthmusError
        If a line has not the numbers of an epoch, or the epochs do not follow each other.
    """
    lines = [_parse_line(line, number) for number, line in enumerate(content.splitlines(), 1)]
    if not lines:
        raise RunError("it is empty")
    check_history(lines)
    return lines


def check_history(lines: list[dict[str, Any]]) -> None:
    """Raise a RunError unless the epochs follow each other and one is the best."""
    before: dict[str, Any] = {"epoch": 0, "step": 0, "seconds": 0}
    for number, line in enumerate(lines, 1):
        for name in before:
            if line[name] < before[name] or (line[name] == before[name] and name != "seconds"):
                raise RunError(
                    f"line {number} has the {name} {line[name]:,}, which does not follow "
                    f"{before[name]:,}"
                )
        before = {name: line[name] for name in before}
    if not any(line["is_best"] for line in lines):
        raise RunError("none of its lines is the best epoch")


def parse_checkpoint(content: bytes, record: Record) -> dict[str, Any]:
    """Return the state in the content of checkpoint/state.pt: counters, module and optimizer.

    Raises
    ------
    IsthmusError
        If a part of it is damaged, or it is of another model than the record's.
    """
    _require_whole(content)
    # Weights only: a checkpoint is data, and a pickle could run any code.
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not {"counters", "module", "optimizer"} <= set(state):
        raise RunError("it is no checkpoint: counters, weights or the optimizer are missing")
    _check_counters(state["counters"])
    if "history" in state:  # older versions wrote none
        _check_lines(state["history"], state["counters"]["step"])
    module = record.model_config.build_on_meta()
    require_weights(state["module"], module, record.model_config.model)
    freeze_parts(module, record)
    shapes = [weight.shape for weight in module.parameters() if weight.requires_grad]
    if state["optimizer"] is None and state["counters"]["step"]:
        raise RunError("what its optimizer remembers is missing")
    _check_optimizer(state["optimizer"], shapes)
    return state


def _parse_line(line: bytes, number: int) -> dict[str, Any]:
    return _check_line(parse_json(line), f"line {number}")


def _check_line(line: Any, place: str) -> dict[str, Any]:
    """Return the numbers of an epoch; those of validation scores are in it by their names."""
    content = convert_some(line, LINE, place, required=True)
    for name, value in content.items():
        if name.startswith("validation_"):
            convert(value, float, f"{place}.{name}")
        if name in LINE and value < 0:
            raise RunError(f"{place}.{name} is {value} and should be at least 0")
    return content


def _reject_outside(parts: list[NDArray[np.int64]], count: int) -> None:
    """Reject indices of samples that do not exist."""
    for name, part in zip(SPLITS, parts, strict=True):
        wrong = part[(part < 0) | (part >= count)]
        if len(wrong):
            raise RunError(f"{name} has the sample {wrong[0]:,}, and there are {count:,} from 0 on")


def _reject_repeats(parts: list[NDArray[np.int64]]) -> None:
    """Reject a sample that is in two parts, or twice in one."""
    owner = np.concatenate([np.full(len(part), number) for number, part in enumerate(parts)])
    indices = np.concatenate(parts)
    order = np.argsort(indices, kind="stable")
    again = np.flatnonzero(np.diff(indices[order]) == 0)
    if not len(again):
        return
    first, second = (SPLITS[owner[order[again[0] + step]]] for step in (0, 1))
    where = f"both in {first} and in {second}" if first != second else f"twice in {first}"
    raise RunError(f"sample {indices[order[again[0]]]:,} is {where}")


def _check_lines(lines: Any, step: int) -> None:
    """Reject a history within a checkpoint of so many steps that does not lead to it."""
    if not isinstance(lines, list):
        raise RunError("its history is no list of lines")
    for number, line in enumerate(lines, 1):
        _check_line(line, f"line {number} of its history")
    if lines:
        check_history(lines)
    if (lines[-1]["step"] if lines else 0) != step:
        raise RunError(f"its history does not lead to step {step:,}")


def _require_whole(content: bytes) -> None:
    """Compare the checksums that torch writes with the content, which it does not do itself."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise RunError("a part of it is compressed, which torch never does")
        damaged = archive.testzip()
    if damaged is not None:
        raise RunError(f"its part {damaged!r} is not as it was written")


def _check_counters(counters: Any) -> None:
    """Reject counters of another training loop, or out of their range."""
    if not isinstance(counters, dict) or set(counters) != set(COUNTERS):
        raise RunError(f"its counters are not {', '.join(COUNTERS)}")
    for name, kind in COUNTERS.items():
        value = counters[name]
        is_valid = is_number(value) or value == math.inf
        if not is_valid or value < 0 or (kind is int and type(value) is not int):
            raise RunError(f"its counter {name} is {value!r}")
    if counters["best_step"] > counters["step"]:
        raise RunError("its best step comes after its last one")


def _check_optimizer(optimizer: Any, shapes: list[torch.Size]) -> None:
    """Reject what an optimizer of this run does not remember: numbers of other shapes.

    The checkpoint that a run starts from has no settings, which are those of the new run, and no
    state if that is not known.
    """
    if optimizer is None:
        return
    if not isinstance(optimizer, dict) or not isinstance(optimizer.get("state"), dict):
        raise RunError("what its optimizer remembers is missing")
    for index, remembered in optimizer["state"].items():
        if type(index) is not int or not 0 <= index < len(shapes):
            raise RunError(f"its optimizer remembers weight {index!r} of {len(shapes):,}")
        if not isinstance(remembered, dict):
            raise RunError(f"what its optimizer remembers of weight {index} are no numbers")
        for name, value in remembered.items():
            _check_remembered(f"its optimizer's {name} of weight {index}", value, shapes[index])
    _check_groups(optimizer.get("param_groups"), len(shapes))


def _check_remembered(what: str, value: Any, shape: torch.Size) -> None:
    """Reject a tensor that is neither one number nor one for each number of the weight."""
    if isinstance(value, Tensor):
        if value.dim() and value.shape != shape:
            raise RunError(f"{what} is {tuple(value.shape)} and the weight {tuple(shape)}")
        is_plain = value.layout is torch.strided and not value.is_meta
        if not is_plain or value.dtype != torch.float32 or not has_numbers(value):
            raise RunError(f"{what} holds no numbers of float32")
    elif value is not None and not is_number(value):
        raise RunError(f"{what} is {value!r}")


def _check_groups(groups: Any, count: int) -> None:
    """Reject settings of other weights than the model's; a first checkpoint has none."""
    if groups is None:
        return
    is_valid = isinstance(groups, list) and all(
        isinstance(group, dict) and isinstance(group.get("params"), list) for group in groups
    )
    if not is_valid or [one for group in groups for one in group["params"]] != list(range(count)):
        raise RunError("the settings of its optimizer are not those of the model's weights")

"""Mutated files of each reader: read, or refused in one sentence."""

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random

from fuzz.seeds import SEEDS
from fuzz.verdicts import MAX_BYTES, judge, make_case, watch
from fuzz.verdicts import Verdict as Found
from soak.arena import Arena
from soak.attack import Verdict
from soak.forks import Fork, limit_memory

KEPT = Path(".cache/soak")  # where files stay that failed
MAX_SECONDS = 30.0
MAX_SEED = 2**31


def draw(arena: Arena, chance: Random) -> Iterator[str]:
    """Yield readers, the numbers of mutations and a seed, without an end."""
    seed, number = chance.randrange(MAX_SEED), 0
    while True:
        for reader in SEEDS:
            yield f"{reader} {number} {seed}"
        number += 1


def attempt(arena: Arena, text: str) -> Verdict | None:
    """Load a mutated file in a process of its own; one that fails is kept."""
    reader, number, seed = text.split()
    with tempfile.TemporaryDirectory(dir=arena.folder) as name:
        case = make_case(reader, int(number), int(seed), Path(name, "case"))
        found = _judge(case.path, Path(name))
        if found.outcome != "failed":
            return Verdict(memory=found.memory)
    kept = make_case(
        reader, int(number), int(seed), Path(tempfile.mkdtemp(dir=_kept(), prefix=reader)) / "case"
    )
    return Verdict(f"{found.text} ({kept.path}, {kept.variant})", memory=found.memory)


def _judge(path: Path, folder: Path) -> Found:
    report = folder / "verdict.json"

    def work() -> None:
        os.environ["ISTHMUS_CACHE"] = str(folder / "cache")
        with watch() as read_output:
            limit_memory(MAX_BYTES)
            report.write_text(json.dumps(asdict(judge(path, read_output))))

    outcome = Fork(work, folder, {}).wait(MAX_SECONDS)
    if outcome.code or not report.exists():
        return Found("failed", f"the process gave {outcome}")
    return Found(**json.loads(report.read_text()))


def _kept() -> Path:
    KEPT.mkdir(parents=True, exist_ok=True)
    return KEPT

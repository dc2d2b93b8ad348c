"""Damaged files of a run: refused in one sentence that names the file, or read as before."""

import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

from damage import READ, READERS, damages, is_plausible, is_right_sentence, judge
from soak.arena import Arena, ArenaError
from soak.attack import Verdict
from soak.forks import Fork, run

CALLS = {  # the commands of `READERS` that are run as well
    "encode": ("encode", "run", "--out", "codes.npy"),
    "evaluate": ("evaluate", "run"),
    "report": ("report", "run"),
    "resume": ("resume", "run", "--epochs", "3"),
    "summary": ("summary", "run"),
}
MAX_SEED = 2**31


def draw(arena: Arena, chance: Random) -> Iterator[str]:
    """Yield files, numbers of faults, commands and a seed, in random order; then with others."""
    folder = _whole(arena)
    while True:
        seed = chance.randrange(MAX_SEED)
        tries = [
            f"{file} {number} {chance.choice(_callers(file))} {seed}"
            for file in READ
            for number, _ in enumerate(damages(file, (folder / file).read_bytes(), seed))
        ]
        chance.shuffle(tries)
        yield from tries


def attempt(arena: Arena, text: str) -> Verdict | None:
    """Damage a file, and read it in Python and by a command, which have to agree."""
    file, number, caller, seed = text.split()
    with arena.workspace() as folder:
        shutil.rmtree(folder / "run", ignore_errors=True)
        shutil.copytree(_whole(arena), folder / "run")
        path = folder / "run" / file
        fault = list(damages(file, path.read_bytes(), int(seed)))[int(number)]
        if is_plausible(file, fault.name) or not fault.apply(path):
            return None
        wrong = _judge(arena, folder, file, caller)
        if (folder / "executed").exists():
            wrong = "an object of Python was executed"
    return Verdict(f"{fault.name}: {wrong}" if wrong else "")


def _judge(arena: Arena, folder: Path, file: str, caller: str) -> str:
    """Return what is wrong with how a damaged file is read, or ""."""
    report = folder / "verdict.json"

    def work() -> None:
        found = judge(file, folder / "run", READ[file](_whole(arena)))
        report.write_text(json.dumps(found))

    outcome = Fork(work, folder, {}).wait()
    if outcome.code:
        return f"reading it gave {outcome}"
    is_right, said = json.loads(report.read_text())
    if not is_right:
        return str(said)
    if caller not in CALLS:
        return ""
    outcome = run(CALLS[caller], folder)
    is_read = not outcome.code
    is_refused = outcome.is_refusal and is_right_sentence(outcome.text, file)
    return "" if is_read or is_refused else f"{caller} gave {outcome}"


def _callers(file: str) -> list[str]:
    return [name for name in READERS.get(file, ()) if name in CALLS] or ["python"]


@cache
def _whole(arena: Arena) -> Path:
    """Return a run with codes and a map."""
    folder = arena.folder / "whole"
    folder.mkdir()

    def work() -> None:
        from isthmus import Session, load, train
        from isthmus.training.config import TrainingConfig

        place, samples = folder / "run", load("digits", limit=60)
        for _ in train(samples, "linear", code_size=3, out=place, config=TrainingConfig(epochs=2)):
            pass
        session = Session(place)
        codes = session.encode(samples)
        codes.save(place / "codes.npy")
        (place / "maps").mkdir()
        session.map(codes, "pca").save(place / "maps/map.npz")

    outcome = Fork(work, folder, {"ISTHMUS_CACHE": str(folder / "cache")}).wait()
    if outcome.code:
        raise ArenaError(f"a run to damage cannot be made: {outcome}")
    return folder / "run"

"""Damaged files are read, or refused in one sentence; `make soak` tries many more."""

import shutil
from pathlib import Path

import pytest

from fuzz.seeds import SEEDS, seeds_of
from fuzz.verdicts import Verdict, judge, make_case, watch

COUNT = 100  # mutations of each reader
SEED = 0


@pytest.mark.parametrize("reader", SEEDS)
def test_valid_files_are_read_or_refused_with_a_reason(reader: str, tmp_path: Path) -> None:
    verdicts: dict[str, Verdict] = {}
    with watch() as read_output:
        for number, seed in enumerate(seeds_of(reader)):
            folder = tmp_path / str(number)
            folder.mkdir()
            for name, content in {**seed.beside, seed.name: seed.wrap(seed.content)}.items():
                (folder / name).write_bytes(content)
            verdicts[seed.variant] = judge(folder / (seed.opened or seed.name), read_output)
    listed = "\n".join(f"{name}: {one.outcome}, {one.text}" for name, one in verdicts.items())
    outcomes = [verdict.outcome for verdict in verdicts.values()]
    assert "failed" not in outcomes, listed
    assert outcomes.count("read") >= 0.6 * len(outcomes), listed  # else they would test little


@pytest.mark.parametrize("reader", SEEDS)
def test_damaged_files_are_read_or_refused_in_one_sentence(reader: str, tmp_path: Path) -> None:
    failed = []
    with watch() as read_output:
        for number in range(COUNT):
            case = make_case(reader, number, SEED, tmp_path / str(number))
            verdict = judge(case.path, read_output)
            shutil.rmtree(case.path.parent)
            if verdict.outcome == "failed":
                failed.append(f"{number}, {case.variant}: {verdict.text}")
    assert not failed, "\n".join(failed)

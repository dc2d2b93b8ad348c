"""Kept results answer for exactly what they were computed from, and are never trusted blindly."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus import Run, Samples, TrainingConfig, evaluate, load, resume, train
from isthmus.data.corruption import Corruption
from isthmus.errors import RunError
from isthmus.evaluation import baselines, pca
from isthmus.evaluation.filters import FILTERS, Array
from isthmus.evaluation.results import read_or_compute, read_result, write_result

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=400)


@pytest.fixture
def denoiser(digits: Samples, tmp_path: Path, cache: Path) -> Run:
    return trained(digits, tmp_path / "denoiser")


def trained(samples: Samples, out: Path, **settings: Any) -> Run:
    defaults: dict[str, Any] = {"epochs": 1, "corrupt": "gaussian:0.5", "precision": "32"}
    config = TrainingConfig(**{**defaults, **settings})
    list(train(samples, "linear", out=out, code_size=8, config=config))
    return Run.open(out)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count what is drawn, fitted and filtered."""
    counts = {"noisy samples": 0, "PCA": 0, "filtered batches": 0}
    draw_noise, fit_pca, median = Corruption.apply_fixed, pca.fit_pca, FILTERS["median"]

    def apply_fixed(self: Corruption, x: Any, *rest: Any) -> Any:
        counts["noisy samples"] += len(x)
        return draw_noise(self, x, *rest)

    def fit(*values: Any) -> Any:
        counts["PCA"] += 1
        return fit_pca(*values)

    def filtered(x: Array) -> Array:
        counts["filtered batches"] += 1
        return median.apply(x)

    monkeypatch.setattr(Corruption, "apply_fixed", apply_fixed)
    monkeypatch.setattr(baselines, "fit_pca", fit)
    monkeypatch.setitem(FILTERS, "median", replace(median, apply=filtered))
    return counts


def test_an_evaluation_draws_noise_and_fits_pca_once(
    denoiser: Run, digits: Samples, calls: dict[str, int]
) -> None:
    calls.update(dict.fromkeys(calls, 0))
    result = evaluate(denoiser, own=digits)
    assert calls == {"noisy samples": result["test"]["n"], "PCA": 1, "filtered batches": 1}


def test_a_second_evaluation_computes_nothing_and_is_equal(
    denoiser: Run, digits: Samples, calls: dict[str, int]
) -> None:
    first = evaluate(denoiser, own=digits)
    calls.update(dict.fromkeys(calls, 0))
    assert evaluate(denoiser, own=digits) == first == json.loads(json.dumps(first))
    assert not any(calls.values())
    kept = json.loads((denoiser.path / "evaluation.json").read_text())["result"]
    assert kept == {name: first[name] for name in first if name not in ("training", "model")}


def test_without_the_cache_nothing_is_written_and_the_result_is_the_same(
    denoiser: Run, digits: Samples, cache: Path
) -> None:
    files = sorted(denoiser.path.rglob("*"))
    result = evaluate(denoiser, own=digits, cache=False)
    assert sorted(denoiser.path.rglob("*")) == files
    assert not (cache / "baselines").exists()
    assert evaluate(denoiser, own=digits) == result


def test_runs_on_the_same_data_share_the_baselines(
    denoiser: Run, digits: Samples, tmp_path: Path, calls: dict[str, int]
) -> None:
    other = trained(digits, tmp_path / "other", lr=0.01)
    first = evaluate(denoiser, own=digits)
    calls.update(dict.fromkeys(calls, 0))
    second = evaluate(other, own=digits)
    assert calls == {"noisy samples": first["test"]["n"], "PCA": 0, "filtered batches": 0}
    assert second["test"] != first["test"]
    assert second["baselines"] == first["baselines"]
    assert second["pixels"] == first["pixels"]


@pytest.mark.parametrize("settings", [{"seed": 1}, {"corrupt": "gaussian:0.4"}, {"corrupt": None}])
def test_other_splits_and_noise_have_baselines_of_their_own(
    settings: dict[str, Any], denoiser: Run, digits: Samples, tmp_path: Path
) -> None:
    other = trained(digits, tmp_path / "other", **settings)
    evaluate(denoiser, own=digits)
    assert evaluate(other, own=digits) == evaluate(other, own=digits, cache=False)


def test_training_further_makes_the_result_stale(denoiser: Run, digits: Samples) -> None:
    before = evaluate(denoiser, own=digits)
    list(resume(denoiser.path, samples=digits, epochs=3))
    run = Run.open(denoiser.path)
    after = evaluate(run, own=digits)
    assert after["test"]["mse"] < before["test"]["mse"]
    assert after["training"]["epochs"] == 3
    assert after == evaluate(run, own=digits, cache=False)


def test_the_cost_of_training_is_read_each_time(denoiser: Run, digits: Samples) -> None:
    evaluate(denoiser, own=digits)
    history = denoiser.history()
    denoiser.write_history([{**line, "seconds": 1e6} for line in history])
    assert evaluate(denoiser, own=digits)["training"]["seconds"] == 1e6


def test_the_plain_run_is_measured_once(
    denoiser: Run, digits: Samples, tmp_path: Path, calls: dict[str, int]
) -> None:
    plain = trained(digits, tmp_path / "plain", corrupt=None)
    alone = evaluate(denoiser, own=digits)
    first = evaluate(denoiser, own=digits, plain=plain)
    calls.update(dict.fromkeys(calls, 0))
    assert evaluate(denoiser, own=digits, plain=plain) == first
    assert evaluate(denoiser, own=digits) == alone
    assert not any(calls.values())
    assert first["baselines"].pop("plain")["mse"] > 0
    assert first == alone


def test_another_source_is_never_kept(denoiser: Run, digits: Samples, cache: Path) -> None:
    evaluate(denoiser, load(digits.values[:20]), own=digits)
    assert not (denoiser.path / "evaluation.json").exists()
    assert not (cache / "baselines").exists()


def test_other_noise_than_recorded_is_rejected_although_a_result_is_kept(
    denoiser: Run, digits: Samples, refused: Refused
) -> None:
    evaluate(denoiser, own=digits)
    run = Run.open(denoiser.path)
    run.record.data["noise"]["test"] = "0" * 16
    for samples in (None, load(digits.values[:20])):
        with refused(RunError, run.path, "noise"):
            evaluate(run, samples, own=digits)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"key": 1}', b"\xff\xfe"])
def test_damaged_files_are_computed_again(
    damage: bytes, denoiser: Run, digits: Samples, cache: Path
) -> None:
    first = evaluate(denoiser, own=digits)
    files = [denoiser.path / "evaluation.json", *(cache / "baselines").iterdir()]
    assert len(files) == 3
    contents = [file.read_bytes() for file in files]
    for file in files:
        file.write_bytes(damage)
    assert evaluate(denoiser, own=digits) == first
    assert [file.read_bytes() for file in files] == contents


def test_a_number_that_was_changed_in_a_file_is_noticed(tmp_path: Path) -> None:
    write_result(tmp_path / "a.json", {"of": 1}, {"mse": 0.125})
    assert read_result(tmp_path / "a.json", {"of": 1}) == {"mse": 0.125}
    assert read_result(tmp_path / "a.json", {"of": 2}) is None
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text.replace("0.125", "0.025"))
    assert read_result(tmp_path / "a.json", {"of": 1}) is None


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "a.json"
    assert read_or_compute(path, {"of": 1}, lambda: {"mse": 0.5}) == {"mse": 0.5}


def test_several_writers_leave_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    result = {"values": np.arange(2000).tolist()}

    def use(_: int) -> bool:
        return read_or_compute(path, {"of": 1}, lambda: result) == result

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(64)))
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert read_result(path, {"of": 1}) == result

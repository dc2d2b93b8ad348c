"""`train` and `resume` as their caller sees them: lazy, in a folder or in memory."""

import gc
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.nn.modules.module import register_module_parameter_registration_hook

from isthmus import Run, Samples, TrainedModel, TrainingConfig, evaluate, load, resume, train
from isthmus.data.items import Items
from isthmus.errors import OptionError, RunError, SourceError
from isthmus.temporaries import temporary_path
from isthmus.training.train import Training

QUICK = TrainingConfig(epochs=2, batch_size=16)
SMAPS = Path("/proc/self/smaps")


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=120)


def finish(training: Training) -> Run:
    for _ in training:
        pass
    return training.run


# -- nothing before the first step ----------------------------------------------------------


def mapped(path: Path, values: np.ndarray) -> np.memmap:
    """Write an array to a file and map it, as the cache of decoded samples does."""
    values.tofile(path)
    return np.memmap(path, values.dtype, "c", shape=values.shape)


def resident(folder: Path) -> int:
    """Return how many kilobytes of the mapped files of a folder this process has touched."""
    total, inside = 0, False
    for line in SMAPS.read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            inside = words[-1].startswith(str(folder))
        elif inside and words[0] == "Rss:":
            total += int(words[1])
    return total


@contextmanager
def counting_weights() -> Iterator[list[str]]:
    """Give a list that gets the name of every parameter that any module is given."""
    names: list[str] = []
    hook = register_module_parameter_registration_hook(lambda module, name, _: names.append(name))
    try:
        yield names
    finally:
        hook.remove()


def labeled(folder: Path) -> Samples:
    values = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 1), np.uint8)
    labels = np.arange(64) % 2
    return Samples(
        mapped(folder / "values", values), Items(list(map(str, labels)), labels, ("a", "b"))
    )


def masked(folder: Path) -> Samples:
    values = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 1), np.uint8)
    masks = mapped(folder / "masks", (values[..., 0] > 99).astype(np.uint8))
    names = list(map(str, range(64)))
    return Samples(
        mapped(folder / "values", values), Items(names, class_names=("dark", "light")), masks=masks
    )


def signals(folder: Path) -> Samples:
    values = np.random.default_rng(0).normal(size=(64, 40, 1)).astype(np.float32)
    return Samples(mapped(folder / "values", values), Items(list(map(str, range(64)))))


def forget_pages(samples: Samples) -> None:
    """Unload what making the samples has read; they stay mapped."""
    for array in (samples.values, samples.masks):
        if isinstance(array, np.memmap):
            file: mmap.mmap = vars(array)["_mmap"]
            file.madvise(mmap.MADV_DONTNEED)


@pytest.mark.skipif(not SMAPS.exists(), reason="only Linux says which pages were touched")
@pytest.mark.parametrize(
    ("make", "model", "corrupt"),
    [
        (labeled, "dense", "gaussian:0.5"),
        (labeled, "cnn-tiny", None),
        (masked, "fcn8s", None),
        (signals, "conv1d", "gaussian:0.1"),
    ],
)
@pytest.mark.parametrize("in_memory", [False, True])
def test_the_call_reads_no_pixel_draws_no_weight_and_writes_nothing(
    make: Callable[[Path], Samples],
    model: str,
    corrupt: str | None,
    in_memory: bool,
    tmp_path: Path,
) -> None:
    data, out = tmp_path / "data", tmp_path / "runs" / "new"
    data.mkdir()
    samples, config = make(data), replace(QUICK, corrupt=corrupt)
    options = {"width": 0.1} if model == "fcn8s" else None
    place = None if in_memory else out
    forget_pages(samples)
    with counting_weights() as weights:
        training = train(samples, model, out=place, options=options, config=config)
        assert resident(data) == 0
        assert weights == []
        assert not out.parent.exists()
        with pytest.raises(RunError, match="before the first step"):
            _ = training.run
        assert next(training).step == 1
        assert resident(data) > 0
        assert weights != []
    assert out.exists() != in_memory
    assert training.run.record.data["fingerprint"] == samples.fingerprint


def test_resuming_loads_no_data_before_the_first_step(photos: Path, tmp_path: Path) -> None:
    config = replace(QUICK, batch_size=2)
    run = finish(train(load(photos), "linear", out=tmp_path / "run", config=config))
    photos.rename(photos.with_name("moved"))
    training = resume(run.path, epochs=4)
    with pytest.raises(SourceError, match="photos"):
        next(training)


@pytest.mark.parametrize("source", ["digits", np.zeros((20, 8, 8, 1), np.uint8)])
def test_what_is_not_loaded_yet_is_refused(source: Any) -> None:
    with pytest.raises(OptionError, match=r"not (str|ndarray); isthmus\.load turns"):
        train(source)


def test_masks_of_one_class_are_refused_before_a_run_is_made(
    digits: Samples, tmp_path: Path
) -> None:
    masks = np.ones((120, 8, 8), np.uint8)
    values = np.asarray(digits.values)
    samples = Samples(values, Items(digits.names, class_names=("paper", "pen")), masks=masks)
    training = train(samples, "fcn8s", out=tmp_path / "run", config=QUICK)
    with pytest.raises(OptionError, match="of one class, pen"):
        next(training)
    assert list(tmp_path.iterdir()) == []


# -- a run in memory ------------------------------------------------------------------------


def test_a_run_in_memory_is_that_of_a_folder_bit_by_bit_also_when_resumed(
    digits: Samples, tmp_path: Path
) -> None:
    config = replace(QUICK, corrupt="gaussian:0.3", flip=True)
    folder = finish(train(digits, "conv-pool", out=tmp_path / "run", config=config))
    training = train(digits, "conv-pool", config=config)
    for progress in training:
        if progress.epoch == 2 and progress.step % 6 == 2:
            break
    training.close()
    assert [line["epoch"] for line in training.run.history()] == [1]
    memory = finish(resume(training.run))
    assert memory.model().fingerprint == folder.model().fingerprint
    assert memory.store.read("last.safetensors") == folder.store.read("last.safetensors")
    losses = [
        [(line["step"], line["loss"], line["validation_loss"]) for line in run.history()]
        for run in (memory, folder)
    ]
    assert losses[0] == losses[1]
    np.testing.assert_array_equal(memory.split().test, folder.split().test)
    parts = [replace(run.record, environment={}) for run in (memory, folder)]
    assert parts[0] == parts[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_run_in_memory_is_evaluated_on_the_samples_it_holds(tmp_path: Path) -> None:
    samples = load(np.random.default_rng(0).integers(0, 256, (80, 6, 6), np.uint8))
    memory = finish(train(samples, "dense", code_size=4, config=QUICK))
    folder = finish(train(samples, "dense", code_size=4, config=QUICK, out=tmp_path / "run"))
    assert memory.samples() is samples
    measured = [evaluate(memory), evaluate(folder), evaluate(Run.open(folder.path), own=samples)]
    assert measured[0]["test"] == measured[1]["test"] == measured[2]["test"]
    assert measured[0]["baselines"] == measured[2]["baselines"]
    assert [progress.epoch for progress in resume(memory, epochs=3)][-1] == 3
    assert memory.reload().record.training_config.epochs == 3
    with pytest.raises(OptionError, match="3 of 3 epochs"):
        resume(memory)
    with pytest.raises(RunError, match="give the samples again"):
        resume(folder.path, epochs=3)


def test_a_model_that_was_read_does_not_change_with_training(digits: Samples) -> None:
    training = train(digits, "dense", config=QUICK)
    next(training)
    before = training.run.model()
    z = before.encode(digits)
    run = finish(training)
    np.testing.assert_array_equal(before.encode(digits), z)
    assert not np.array_equal(run.model().encode(digits), z)


def test_a_model_in_memory_is_saved_as_that_of_a_folder(digits: Samples, tmp_path: Path) -> None:
    model = finish(train(digits, "cnn-tiny", config=QUICK)).model()
    model.save(tmp_path / "mine.safetensors")
    again = TrainedModel.load(tmp_path / "mine.safetensors")
    assert again.fingerprint == model.fingerprint
    np.testing.assert_array_equal(again.predict(digits), model.predict(digits))


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_run_is_trained_by_one_at_a_time_and_free_when_its_training_is_dropped(
    in_memory: bool, digits: Samples, tmp_path: Path
) -> None:
    training = train(digits, "linear", out=None if in_memory else tmp_path / "run", config=QUICK)
    next(training)
    run = training.run
    with pytest.raises(RunError, match=r"in use by another|in training already"):
        next(resume(run))
    gc.disable()  # a training that is dropped needs no collector to be freed
    try:
        del training
        assert next(resume(run)).step == 1
    finally:
        gc.enable()


def test_the_current_folder_is_no_place_for_a_run(
    digits: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (".", tmp_path):
        with pytest.raises(RunError, match="is the current folder; choose a new one, such as"):
            train(digits, "linear", out=path, config=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_is_removed_but_nothing_in_the_making(
    digits: Samples, tmp_path: Path, killed: str
) -> None:
    run = tmp_path / "run"
    finish(train(digits, "linear", out=run, config=QUICK))
    left = [run / f".card{killed}" / "README.md", run / "checkpoint" / f".state.pt{killed}"]
    making = [temporary_path(run / "card") / "README.md", temporary_path(run / "report.html")]
    for file in (*left, *making):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    finish(resume(run, epochs=3))
    assert not left[0].parent.exists()
    assert not any(file.exists() for file in left)
    assert all(file.exists() for file in making)


def test_a_run_in_memory_is_saved_into_a_folder_that_resumes(
    digits: Samples, tmp_path: Path
) -> None:
    memory = finish(train(digits, "dense", config=QUICK))
    memory.save(tmp_path / "run")
    with pytest.raises(RunError, match="is a run already"):
        memory.save(tmp_path / "run")
    folder = finish(resume(Run.open(tmp_path / "run"), epochs=3))
    finish(resume(memory, epochs=3))
    assert folder.path == tmp_path / "run"
    assert folder.store.read("last.safetensors") == memory.store.read("last.safetensors")
    assert folder.store.read("split.npz") == memory.store.read("split.npz")


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_two_ways_to_resume_a_run_do_not_undo_each_other(
    where: str, digits: Samples, tmp_path: Path
) -> None:
    out = tmp_path / "run" if where == "folder" else None
    run = finish(train(digits, "linear", out=out, config=replace(QUICK, epochs=1)))
    longer, stale = resume(run, epochs=3), resume(run, epochs=2, patience=1)
    finish(longer)
    with pytest.raises(RunError, match=r"was resumed in another way meanwhile; resume it again\."):
        next(stale)
    assert run.reload().record.training_config.epochs == 3
    assert len(run.history()) == 3


def test_what_needs_a_folder_says_so(digits: Samples) -> None:
    run = finish(train(digits, "linear", config=replace(QUICK, epochs=1)))
    with pytest.raises(RunError, match="the run in memory has no folder"):
        _ = run.path
    with pytest.raises(OptionError, match="TensorBoard need a run folder"):
        train(digits, "linear", config=replace(QUICK, tensorboard=True))


# -- the same weights as ever ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "loss", "validation_loss"),
    [
        ("conv", 0.43053415417671204, 0.33914357291327585),
        ("dense-selu", 0.4520666003227234, 0.36122443543540106),
        ("conv-pool", 0.5911362171173096, 0.5035760680834452),
    ],
)
def test_the_first_epoch_has_the_losses_it_always_had(
    model: str, loss: float, validation_loss: float
) -> None:
    """Pin the weights of a seed; where this fails, the published results are no longer ours."""
    config = TrainingConfig(epochs=1, precision="32", device="cpu")
    run = finish(train(load("digits"), model, code_size=8, config=config))
    (line,) = run.history()
    assert line["loss"] == pytest.approx(loss, rel=1e-5)
    assert line["validation_loss"] == pytest.approx(validation_loss, rel=1e-5)

"""A session: one run, asked many questions, by several threads, each thing loaded once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from isthmus import (
    Codes,
    Index,
    Items,
    Reading,
    Run,
    Samples,
    Session,
    TrainedModel,
    TrainingConfig,
    encode,
    fit_map,
    load,
    load_model,
    resume,
    train,
)
from isthmus.errors import InterruptionError, IsthmusError, OptionError, RunError, SourceError
from isthmus.session import own_codes

T = TypeVar("T")
Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train an autoencoder on digits, and index them."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    config = TrainingConfig(epochs=2, corrupt="gaussian:0.2")
    list(train(load("digits", limit=400), "dense", code_size=6, out=out, config=config))
    run = Run.open(out)
    Index.build(encode(run.model(), run.samples())).save(out / "index")
    return out


@pytest.fixture
def session(folder: Path) -> Session:
    return Session(folder)


@pytest.fixture
def image(session: Session, tmp_path: Path) -> Path:
    """Write the run's seventh sample as a picture."""
    path = tmp_path / "seven.png"
    Image.fromarray(session.samples.values[7, ..., 0]).save(path)
    return path


def test_a_large_split_is_encoded_in_the_batches_of_one_call_and_never_copied_whole(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_codes, "BATCHES_AT_ONCE", 1)
    monkeypatch.setattr(TrainedModel, "batch_size", 64)
    train = session.split.train
    copied: list[int] = []
    take = Samples.take

    def note(samples: Samples, indices: NDArray[np.int64]) -> Samples:
        copied.append(len(indices))
        return take(samples, indices)

    expected = encode(session.model, session.samples.take(train)).z
    monkeypatch.setattr(Samples, "take", note)
    session.mixture()
    assert max(copied) == 64
    assert np.array_equal(session.codes(train).z, expected)
    assert session.codes().items.fingerprint == session.samples.fingerprint


def test_an_image_a_name_and_a_code_get_the_same_answer(session: Session, image: Path) -> None:
    name = session.samples.names[7]
    code = session.code(image)
    np.testing.assert_array_equal(session.code(name), code)
    np.testing.assert_array_equal(session.code(code), code)
    np.testing.assert_allclose(code, session.model.encode(session.samples)[7], atol=1e-6)
    by_image, by_code = session.search(image, 4), session.search(code[None], 4)
    assert by_image.names == by_code.names
    assert by_image.names[0][0] == name
    assert session.search(name, 3).names[0] == by_image.names[0][1:]


def test_an_image_in_memory_is_searched_as_its_file_is(session: Session, image: Path) -> None:
    pixels = session.samples.values[7]
    expected = session.search(image, 4)
    for query in (pixels, pixels[None], session.samples.take(np.array([7]))):
        assert session.search(query, 4).names == expected.names


def test_of_other_sources_only_the_latest_codes_are_kept(session: Session) -> None:
    first = session.encode(session.samples.take(np.array([0])))
    for row in range(1, 40):
        session.encode(session.samples.take(np.array([row])))
    again = session.encode(session.samples.take(np.array([0])))
    assert again is not first
    np.testing.assert_array_equal(again.z, first.z)
    assert session.encode(session.samples.take(np.array([0]))) is again


def test_what_was_found_can_be_shown(session: Session) -> None:
    names = session.search(session.samples.names[3], 5).names[0]
    rows = [list(session.samples.names).index(name) for name in names]
    np.testing.assert_array_equal(session.indexed_values(names), session.samples.values[rows])


def test_an_indexed_array_is_shown_if_the_session_has_it(tmp_path: Path, refused: Refused) -> None:
    samples = load(np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8))
    list(train(samples, "dense", out=tmp_path / "run", config=TrainingConfig(epochs=1)))
    Index.build(Session(tmp_path / "run", samples).codes()).save(tmp_path / "run" / "index")
    result = Session(tmp_path / "run", samples).search("5", 3)
    rows = [int(name) for name in result.names[0]]
    np.testing.assert_array_equal(result.values(), samples.values[rows])
    other = samples.take(np.arange(20))
    Index.build(encode(Run.open(tmp_path / "run").model(), other)).save(tmp_path / "run" / "index")
    for session in (Session(tmp_path / "run", samples), Session(tmp_path / "run")):
        with refused(OptionError, "made of an array"):
            session.search("5", 3).values()


def test_a_morph_begins_and_ends_at_its_samples(session: Session, image: Path) -> None:
    frames = session.interpolate([image, session.samples.names[12]], steps=5)
    ends = session.reconstruct(session.samples.take(np.array([7, 12])))
    assert frames.shape == (5, 8, 8, 1)
    np.testing.assert_array_equal(frames[[0, -1]], ends)
    grid = session.interpolate([session.samples.names[i] for i in range(4)], steps=3)
    assert grid.shape == (9, 8, 8, 1)


def test_a_direction_between_classes_starts_at_its_sample(session: Session, image: Path) -> None:
    frames = session.traverse(image, session.samples, ("3", "8"), steps=4)
    first = session.reconstruct(session.samples.take(np.array([7])))
    assert frames.shape == (4, 8, 8, 1)
    np.testing.assert_array_equal(frames[:1], first)


def test_every_layer_is_seen(session: Session) -> None:
    outputs = session.activations(session.samples.values[0])
    assert [title.split(" · ")[0] for title, _ in outputs] == [
        layer.name for layer in session.trained.layers
    ]
    expected = next(session.model.features(session.samples.values[:1], "encoder.1"))
    np.testing.assert_allclose(outputs[1][1], expected[0], atol=1e-6)


def test_each_sample_is_encoded_once(folder: Path) -> None:
    encoded: list[int] = []

    def track(items: Iterable[T], total: int, title: str) -> Iterable[T]:
        for item in items:
            encoded.append(len(item)) if title == "Encoding" else None  # type: ignore[arg-type]
            yield item

    session = Session(folder, track=track)
    first = session.codes(np.array([3, 1, 2]))
    second = session.codes(np.array([2, 3, 4]))
    assert sum(encoded) == 4
    whole = session.codes()
    assert sum(encoded) == len(session.samples)
    np.testing.assert_array_equal(whole.z[[3, 1, 2]], first.z)
    np.testing.assert_array_equal(whole.z[[2, 3, 4]], second.z)
    np.testing.assert_allclose(whole.z, session.model.encode(session.samples), atol=1e-6)
    assert list(first.names) == [session.samples.names[i] for i in (3, 1, 2)]


def test_all_is_loaded_once_also_by_eight_threads(folder: Path) -> None:
    session = Session(folder)
    parts: list[Callable[[], object]] = [
        lambda: session.model,
        lambda: session.samples,
        lambda: session.index,
        lambda: session.run,
        lambda: session.map(session.codes(), "pca"),
        lambda: session.encode(session.samples),
    ]
    with ThreadPoolExecutor(8) as threads:
        for part in parts:
            found = list(threads.map(lambda _, part=part: id(part()), range(16)))
            assert len(set(found)) == 1


def test_eight_threads_get_the_answers_of_one(folder: Path, image: Path) -> None:
    session, alone = Session(folder), Session(folder)
    sample = alone.samples.values[5]
    questions: list[Callable[[Session], Any]] = [
        lambda s: s.search(image, 5).distances,
        lambda s: s.interpolate([image, alone.samples.names[1]], 4),
        lambda s: s.codes(np.arange(0, 400, 7)).z,
        lambda s: s.map(s.codes(np.arange(100)), "pca").xy,
        lambda s: s.reconstruct(alone.samples),
        lambda s: s.add_noise(alone.samples, np.arange(400)),
        *(
            lambda s, layer=layer: s.encode(alone.samples, layer).z
            for layer in ("encoder.1", "encoder.3", "decoder.2")
        ),
        lambda s: np.concatenate([values.ravel() for _, values in s.activations(sample)]),
    ]
    expected = [question(alone) for question in questions]
    for _ in range(5):
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda question: question(session), questions))
        for answer, value in zip(answers, expected, strict=True):
            np.testing.assert_allclose(answer, value, atol=1e-5)


def test_an_interrupted_call_stops_and_the_next_one_computes(folder: Path) -> None:
    session = Session(folder, track=lambda items, total, title: interrupting(items))

    def interrupting(items: Iterable[T]) -> Iterable[T]:
        for item in items:
            if is_interrupted:
                session.interrupt()
            yield item

    is_interrupted = True
    with pytest.raises(InterruptionError, match="interrupted"):
        session.codes()
    is_interrupted = False
    np.testing.assert_allclose(session.codes().z, session.model.encode(session.samples), atol=1e-6)


def test_reconstructing_and_morphing_stop_too(folder: Path) -> None:
    session = Session(folder, track=lambda items, total, title: interrupting(items))

    def interrupting(items: Iterable[T]) -> Iterable[T]:
        for item in items:
            session.interrupt()
            yield item

    values, z = Session(folder).samples.values, Session(folder).codes(np.arange(2)).z
    questions: list[Callable[[], Any]] = [
        lambda: session.reconstruct(values),
        lambda: session.interpolate(list(z)),
    ]
    for question in questions:
        with pytest.raises(InterruptionError, match="interrupted"):
            question()


def test_maps_of_codes_made_by_hand_are_not_mixed_up(session: Session) -> None:
    rng = np.random.default_rng(0)
    first, second = (
        Codes(rng.normal(size=(30, 4)).astype(np.float32), Items(list(map(str, range(30)))))
        for _ in range(2)
    )
    for codes in (first, second, first):
        np.testing.assert_array_equal(session.map(codes, "pca").xy, fit_map(codes, "pca").xy)


def test_a_map_is_kept_in_the_run_folder_and_found_again(folder: Path) -> None:
    first, file = Session(folder).stored_map(Session(folder).codes(), "pca")
    written = file.stat().st_mtime_ns
    again, same = Session(folder).stored_map(Session(folder).codes(), "pca")
    assert same == file
    assert file.parent == folder / "maps"
    assert file.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.xy, again.xy)
    file.write_bytes(b"damaged")
    again, _ = Session(folder).stored_map(Session(folder).codes(), "pca")
    np.testing.assert_array_equal(again.xy, first.xy)


def test_noise_is_that_of_the_sample(session: Session) -> None:
    few = session.samples.take(np.array([8, 2]))
    noisy = session.add_noise(few, np.array([8, 2]))
    whole = session.add_noise(session.samples, np.arange(len(session.samples)))
    np.testing.assert_array_equal(noisy, whole[[8, 2]])
    assert (noisy != few.values).any()


@pytest.mark.parametrize(
    ("question", "error", "culprit"),
    [
        (lambda s: s.search("nothing.png"), OptionError, "'nothing.png'"),
        (lambda s: s.code("nothing.png"), OptionError, "'nothing.png'"),
        (lambda s: s.interpolate(["0", "1", "2"]), OptionError, "2 or 4"),
        (lambda s: s.search("0", 1000), OptionError, "399"),
        (lambda s: s.code(s.samples.take(np.arange(2))), OptionError, "several samples"),
    ],
)
def test_bad_questions_are_one_sentence(
    session: Session,
    question: Callable[[Session], Any],
    error: type[IsthmusError],
    culprit: str,
    refused: Refused,
) -> None:
    with refused(error, culprit):
        question(session)


def test_other_samples_than_the_run_s_are_rejected(folder: Path, refused: Refused) -> None:
    with refused(RunError, str(folder)):
        Session(folder, load("digits", limit=300)).samples  # noqa: B018


def test_the_samples_of_a_run_on_an_array_are_given(tmp_path: Path) -> None:
    samples: Samples = load(load("digits", limit=100).values)
    list(
        train(samples, "linear", code_size=3, out=tmp_path / "run", config=TrainingConfig(epochs=1))
    )
    with pytest.raises(RunError, match="array"):
        Session(tmp_path / "run").samples  # noqa: B018
    assert len(Session(tmp_path / "run", samples).codes()) == 100


def test_signals_are_searched_like_their_codes(tmp_path: Path) -> None:
    waves = load("waveforms", limit=60)
    list(train(waves, code_size=4, out=tmp_path / "run", config=TrainingConfig(epochs=1)))
    session = Session(tmp_path / "run", waves)
    codes = session.encode(waves)
    Index.build(codes).save(tmp_path / "run" / "index")
    found = session.search(waves.values[:2], k=3)
    assert found.names == session.search(codes.z[:2], k=3).names
    assert [names[0] for names in found.names] == list(waves.names[:2])


# -- data that moved ------------------------------------------------------------------------


@pytest.fixture
def moved(photos: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Train and index a run on pictures, and move them: the run and their new place."""
    out = tmp_path / "run"
    list(train(load(photos), "linear", out=out, config=TrainingConfig(epochs=1)))
    Index.build(Session(out).codes()).save(out / "index")
    return out, photos.rename(tmp_path / "elsewhere")


def test_data_that_moved_is_found_at_its_new_place(
    moved: tuple[Path, Path], refused: Refused
) -> None:
    run, place = moved
    record = (run / "run.json").read_bytes()
    with refused(SourceError, run, "photos", "--data"):
        _ = Session(run).samples
    session = Session(run, data=place)
    assert session.samples.fingerprint == session.run.record.data["fingerprint"]
    assert session.evaluate()["test"]["n"] == 1
    assert session.search("cat/0.png").values().shape == (5, 12, 10, 3)
    assert len(session.renewed().samples) == 6
    assert (run / "run.json").read_bytes() == record


def test_other_data_is_not_taken_for_data_that_moved(
    moved: tuple[Path, Path], refused: Refused
) -> None:
    run, place = moved
    (place / "cat" / "0.png").unlink()
    with refused(RunError, place, run, "5 images", "6 images"):
        _ = Session(run, data=place).samples
    with refused(SourceError, "nowhere"):
        _ = Session(run, data="nowhere").samples
    with refused(OptionError, "mine.onnx", "no data of its own"):
        Session("mine.onnx", data=place)


def test_a_run_that_is_resumed_records_where_its_data_is(moved: tuple[Path, Path]) -> None:
    run, place = moved
    list(resume(Run.open(run, data=place), epochs=2))
    assert Run.open(run).record.origin.source == str(place)
    session = Session(run)
    assert session.run.history()[-1]["epoch"] == 2
    assert len(session.search("cat/0.png").names[0]) == 5  # of an index that is made again


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_the_current_folder(
    name: str, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for call in (load, Session, Run.open, load_model, TrainedModel.load):
        with refused(IsthmusError, "name of", "is empty"):
            call(name)
    with refused(RunError, "name of the run folder is empty"):
        train(load("digits", limit=30), out=name)


def test_pages_are_read_as_the_run_was_trained_on_them_and_what_is_left_out_is_said(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    source = tmp_path / "scans"
    source.mkdir()
    (source / "notes.txt").write_text("none of the pictures")
    for i in range(4):
        pages = [Image.fromarray(page) for page in rng.integers(0, 256, (3, 8, 8), np.uint8)]
        pages[0].save(source / f"{i}.tif", save_all=True, append_images=pages[1:])
    config = TrainingConfig(epochs=1)
    said: list[str] = []
    for pages_of, count in ((Reading(pages="all"), 12), (None, 4)):
        training = train(load(source, reading=pages_of), "linear", config=config)
        list(training)
        assert len(Session(training.run, say=said.append).read(source)) == count
    assert sum("notes.txt" in line for line in said) == 2
    assert any("only the first page" in line for line in said)

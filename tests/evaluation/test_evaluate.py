"""Figures are means over test samples, and baselines are what they say."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from isthmus import Run, Samples, TrainingConfig, evaluate, load, train
from isthmus.data.items import Items
from isthmus.errors import OptionError, RunError

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits")


@pytest.fixture(scope="module")
def run(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A linear autoencoder with ten numbers, trained to the end."""
    out = tmp_path_factory.mktemp("runs") / "linear"
    config = TrainingConfig(epochs=150, precision="32")
    list(train(digits, "linear", out=out, code_size=10, config=config))
    return Run.open(out)


def test_the_linear_autoencoder_is_as_good_as_pca_and_no_better_than_can_be(
    run: Run, digits: Samples
) -> None:
    result = evaluate(run, own=digits)
    mse, pca = result["test"]["mse"], result["baselines"]["pca"]["mse"]
    assert mse == pytest.approx(pca, rel=0.01)
    test = digits.values[run.split().test].reshape(result["test"]["n"], -1) / 255
    best = PCA(10, svd_solver="full").fit(test)  # fitted on the test samples themselves
    floor = np.square(best.inverse_transform(best.transform(test)) - test).mean()
    assert mse > floor - 1e-6


def test_baselines_are_fitted_on_the_training_part_alone(run: Run, digits: Samples) -> None:
    split = run.split()
    flat = digits.values.reshape(len(digits), -1) / 255
    train_part, test_part = flat[split.train], flat[split.test]
    pca = PCA(10, svd_solver="full").fit(train_part)
    expected = np.square(pca.inverse_transform(pca.transform(test_part)) - test_part).mean()
    result = evaluate(run, own=digits)["baselines"]
    assert result["pca"]["mse"] == pytest.approx(expected, rel=1e-4)
    assert result["pca"]["components"] == 10
    assert result["mean"]["mse"] == pytest.approx(
        np.square(train_part.mean(0) - test_part).mean(), rel=1e-5
    )


def test_the_figures_are_those_of_the_reconstructions(run: Run, digits: Samples) -> None:
    test = digits.values[run.split().test]
    outputs = [output for _, output in run.model().outputs(test)]
    y = np.concatenate([output.numpy() for output in outputs]).reshape(len(test), -1)
    x = test.reshape(len(test), -1) / 255
    result = evaluate(run, own=digits)["test"]
    assert result["n"] == len(test)
    assert result["mse"] == pytest.approx(np.square(y - x).mean(), rel=1e-4)
    psnr = -10 * np.log10(np.square(y - x).mean(1))
    assert result["psnr"] == pytest.approx(psnr.mean(), rel=1e-4)


def test_training_is_told_with_its_rate(run: Run, digits: Samples) -> None:
    told = evaluate(run, own=digits)["training"]
    config = run.record.training_config
    assert told["epochs"] == config.epochs == 150
    assert config.batch_size is not None
    steps = 150 * (len(run.split().train) // config.batch_size)
    assert told["images_per_second"] == pytest.approx(
        steps * config.batch_size / told["seconds"], rel=1e-3
    )


def test_another_source_is_measured_whole(run: Run, digits: Samples) -> None:
    result = evaluate(run, load(digits.values[:50]), own=digits)
    assert result["test"]["n"] == 50


def test_the_runs_own_data_given_as_a_source_means_its_test_part(run: Run, digits: Samples) -> None:
    assert evaluate(run, digits, own=digits)["test"] == evaluate(run)["test"]


def test_a_part_of_the_runs_own_data_may_have_been_trained_on(
    run: Run, digits: Samples, refused: Refused
) -> None:
    with refused(OptionError, "digits", "was trained on"):
        evaluate(run, load("digits", limit=100), own=digits)


def test_a_source_with_a_test_part_is_measured_on_that(run: Run, digits: Samples) -> None:
    splits = np.zeros(100, np.uint8)
    splits[:7] = 2
    part = Samples(digits.values[:100], Items(digits.names[:100]), splits=splits)
    assert evaluate(run, part, own=digits)["test"]["n"] == 7


def test_what_has_no_figure_says_none(tmp_path: Path) -> None:
    waves = np.random.default_rng(0).standard_normal((60, 20, 1)).astype(np.float32)
    samples = load(waves)
    list(train(samples, "linear", out=tmp_path / "run", config=TrainingConfig(epochs=1)))
    result = evaluate(Run.open(tmp_path / "run"), own=samples)
    assert result["test"]["ssim"] is None
    assert result["test"]["psnr"] > 0
    assert result["baselines"]["pca"]["components"] == 20
    assert result["baselines"]["pca"]["mse"] < 1e-9


# -- what codes are worth -------------------------------------------------------------------


def test_classes_are_read_from_training_codes_by_test_codes(run: Run, digits: Samples) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    split, model = run.split(), run.model()
    assert digits.labels is not None
    train_labels, test_labels = digits.labels[split.train], digits.labels[split.test]
    neighbors = KNeighborsClassifier(1).fit(model.encode(digits.values[split.train]), train_labels)
    nearest = neighbors.score(model.encode(digits.values[split.test]), test_labels)
    result = evaluate(run, own=digits)
    assert result["codes"]["knn_4"] == pytest.approx(nearest, abs=0.03)  # 4 of them, not 1
    for described in ("codes", "pca", "pixels"):
        assert 0.9 < result[described]["knn_4"] <= 1
        assert 0.85 < result[described]["logistic"] <= 1
    assert result["codes"]["knn_4"] == pytest.approx(result["pca"]["knn_4"], abs=0.03)  # linear


def test_without_labels_nothing_is_said_of_classes(run: Run, digits: Samples) -> None:
    result = evaluate(run, load(digits.values[:50]), own=digits)
    assert not {"codes", "pca", "pixels"} & result.keys()


# -- denoisers ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained_on(digits, None, tmp_path_factory.mktemp("runs") / "plain")


@pytest.fixture(scope="module")
def denoiser(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained_on(digits, "gaussian:0.5", tmp_path_factory.mktemp("runs") / "denoiser")


def trained_on(digits: Samples, corrupt: str | None, out: Path) -> Run:
    config = TrainingConfig(epochs=15, corrupt=corrupt, precision="32")
    list(train(digits, "dense", out=out, code_size=32, config=config))
    return Run.open(out)


def test_a_denoiser_is_measured_from_noise_beside_all_baselines(
    denoiser: Run, plain: Run, digits: Samples
) -> None:
    result = evaluate(denoiser, own=digits, plain=plain)
    rows = {"test": result["test"], "noisy": result["noisy"], **result["baselines"]}
    assert rows.keys() == {
        *("test", "noisy", "pca", "mean", "median", "median-twice", "nlm", "tv", "plain")
    }
    for name, row in rows.items():
        assert row["psnr"] > 0, name
        assert row["bce"] > 0, name
        assert row["ssim"] <= 1, name
    errors = {name: row["mse"] for name, row in rows.items()}
    assert errors["test"] == min(errors.values())  # it learns to undo what the plain one cannot
    assert errors["test"] < 0.7 * errors["plain"]


def test_noisy_inputs_are_as_noisy_as_was_asked_for(denoiser: Run, digits: Samples) -> None:
    x = digits.values[denoiser.split().test] / 255
    rng = np.random.default_rng(0).normal(0, 0.5, x.shape)
    expected = np.square((x + rng).clip(0, 1) - x).mean()
    assert evaluate(denoiser, own=digits)["noisy"]["mse"] == pytest.approx(expected, rel=0.05)


def test_a_plain_run_has_no_noise(plain: Run, digits: Samples) -> None:
    result = evaluate(plain, own=digits)
    assert not {"noisy", "noise"} & result.keys()
    assert result["baselines"].keys() == {"pca", "mean"}


def test_other_noise_than_recorded_is_refused(
    denoiser: Run, digits: Samples, refused: Refused
) -> None:
    denoiser = Run.open(denoiser.path)
    denoiser.record.data["noise"]["test"] = "0" * 16
    with refused(RunError, denoiser.path):
        evaluate(denoiser, own=digits)


def test_a_plain_run_is_compared_with_denoisers_only_and_has_no_noise(
    plain: Run, denoiser: Run, digits: Samples, refused: Refused
) -> None:
    with refused(OptionError, plain.path, "only a denoiser"):
        evaluate(plain, own=digits, plain=plain)
    with refused(OptionError, denoiser.path, "with noise"):
        evaluate(denoiser, own=digits, plain=denoiser)


def test_a_plain_run_on_another_division_is_refused(
    denoiser: Run, digits: Samples, tmp_path: Path, refused: Refused
) -> None:
    list(train(digits, "linear", out=tmp_path / "run", config=TrainingConfig(epochs=1, seed=1)))
    with refused(RunError, tmp_path / "run", denoiser.path):
        evaluate(denoiser, own=digits, plain=Run.open(tmp_path / "run"))


# -- classifiers ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier(digits: Samples, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "classifier"
    list(train(digits, "cnn-small", out=out, config=TrainingConfig(epochs=2, precision="32")))
    return Run.open(out)


def test_baselines_of_a_classifier_are_fitted_on_the_training_part_alone(
    classifier: Run, digits: Samples
) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    split, x = classifier.split(), digits.values.reshape(len(digits), -1) / 255
    assert digits.labels is not None
    train_labels, test_labels = digits.labels[split.train], digits.labels[split.test]
    result = evaluate(classifier, own=digits)["baselines"]
    frequent = np.bincount(train_labels).argmax()
    assert result["majority"] == pytest.approx((test_labels == frequent).mean())
    scaler = StandardScaler().fit(x[split.train])
    model = LogisticRegression(max_iter=300)
    model.fit(scaler.transform(x[split.train]), train_labels)
    right = model.score(scaler.transform(x[split.test]), test_labels)
    assert result["pixels"]["logistic"] == pytest.approx(right, abs=0.02)
    assert result["pixels"]["knn_4"] > 0.9


def test_a_classifier_is_measured_on_another_order_of_classes(
    classifier: Run, digits: Samples
) -> None:
    part = digits.take(np.arange(100))
    assert part.labels is not None
    names = digits.class_names
    same = Samples(part.values, Items(part.names, part.labels, names))
    turned = Samples(part.values, Items(part.names, 9 - part.labels, names[::-1]))
    results = [evaluate(classifier, samples, own=digits) for samples in (same, turned)]
    assert results[0] == results[1]
    assert results[0]["test"]["n"] == 100
    assert results[0]["test"]["classes"]["3"]["n"] == (part.labels == 3).sum()


def test_a_classifier_is_not_measured_on_what_it_does_not_know(
    classifier: Run, digits: Samples, refused: Refused
) -> None:
    part = digits.take(np.arange(20))
    names = (*digits.class_names[:9], "nine")
    with refused(OptionError, "the class nine", "does not know"):
        other = Samples(part.values, Items(part.names, part.labels, names))
        evaluate(classifier, other, own=digits)
    with refused(OptionError, "no labels"):
        evaluate(classifier, load(part.values), own=digits)

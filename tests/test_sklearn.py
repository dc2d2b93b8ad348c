"""The scikit-learn estimators on digits: forms of X, quality, and scikit-learn's own tools."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import isthmus
from isthmus import Items, Samples, TrainingConfig
from isthmus.errors import InputError, ModelError, OptionError, RunError, SourceError
from isthmus.models.layers import require_encoder
from isthmus.sklearn import Autoencoder, Denoiser, ImageClassifier, OutlierDetector

Refused = Callable[..., AbstractContextManager[None]]
ESTIMATORS = [Autoencoder, Denoiser, OutlierDetector, ImageClassifier]
# Flat digits of values from 0 to 16, as scikit-learn has them.
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = X[:1200], X[1200:], y[:1200], y[1200:]
DIGITS: dict[str, Any] = {"image_shape": (8, 8), "value_range": (0, 16), "random_state": 0}
PIXELS = np.round(X * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)


def pca_errors(count: int, train: NDArray[Any], test: NDArray[Any]) -> NDArray[Any]:
    """Return the mean squared error of each test sample, of PCA."""
    pca = PCA(count, random_state=0).fit(train)
    errors: NDArray[Any] = np.square(test - pca.inverse_transform(pca.transform(test))).mean(1)
    return errors


@pytest.fixture(scope="module")
def autoencoder() -> Autoencoder:
    return Autoencoder(code_size=8, epochs=10, **DIGITS).fit(X_train)


@pytest.fixture(scope="module")
def quick() -> Autoencoder:
    """Give an autoencoder of one matrix each way, trained for an epoch on pixels."""
    return Autoencoder("linear", code_size=4, epochs=1, random_state=0).fit(PIXELS[:200])


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Make 24 pictures of digits 0 and 1, in a folder for each."""
    paths = []
    for label in (0, 1):
        (tmp_path / "digits" / f"is-{label}").mkdir(parents=True)
        for i, pixels in enumerate(PIXELS[y == label][:12]):
            paths.append(tmp_path / "digits" / f"is-{label}" / f"{i}.png")
            Image.fromarray(pixels).save(paths[-1])
    return paths


# -- quality -------------------------------------------------------------------------------------


def test_codes_of_eight_numbers_keep_more_than_eight_principal_components(
    autoencoder: Autoencoder,
) -> None:
    z = autoencoder.transform(X_test)
    assert z.shape == (597, 8)
    assert z.dtype == np.float32
    error = np.square(autoencoder.inverse_transform(z) - X_test).mean()
    assert error < 0.8 * pca_errors(8, X_train, X_test).mean()
    # Reconstructions are in steps of 1/255, the score is not.
    assert autoencoder.score(X_test) == pytest.approx(-error, abs=0.01)


def test_features_of_a_table_are_compressed_better_than_by_pca() -> None:
    table = np.random.default_rng(0).permutation(load_breast_cancer().data)
    scaler = StandardScaler().fit(table[:400])
    train, test = scaler.transform(table[:400]), scaler.transform(table[400:])
    dense = Autoencoder(code_size=5, random_state=0).fit(train)
    assert dense.model_.config.model == "dense"
    assert dense.n_epochs_ == 100
    assert -dense.score(test) < pca_errors(5, train, test).mean()
    decoded = dense.inverse_transform(dense.transform(test))
    assert decoded.shape == test.shape
    assert dense.score(test) == pytest.approx(-np.square(decoded - test).mean(), rel=1e-4)


@pytest.mark.parametrize(("features", "code_size"), [(64, 32), (10, 5), (1, 1)])
def test_vectors_get_a_code_of_at_most_half_of_their_features(
    features: int, code_size: int
) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, features))
    assert Autoencoder(epochs=1, random_state=0).fit_transform(vectors).shape == (20, code_size)


def test_a_denoiser_removes_noise() -> None:
    denoiser = Denoiser("gaussian:0.3", code_size=16, epochs=8, **DIGITS).fit(X_train)
    noise = np.random.default_rng(1).normal(0, 0.3 * 16, X_test.shape)
    noisy = np.clip(X_test + noise, 0, 16)
    clean = denoiser.transform(noisy)
    assert clean.shape == X_test.shape
    error = np.square(clean - X_test).mean()
    assert error < 0.6 * np.square(noisy - X_test).mean()
    # Its score is the same experiment with noise of its own.
    assert denoiser.score(X_test) == pytest.approx(-error, rel=0.05)
    assert denoiser.score(X_test) == denoiser.score(X_test)


@pytest.mark.parametrize("held_out", [0, 3])
def test_a_digit_that_was_held_out_is_an_outlier(held_out: int) -> None:
    normal = X_train[y_train != held_out]
    detector = OutlierDetector(0.05, code_size=4, epochs=8, **DIGITS).fit(normal)
    scores, is_outlier = detector.score_samples(X_test), y_test == held_out
    auc = roc_auc_score(is_outlier, -scores)
    assert auc > 0.85
    assert auc > roc_auc_score(is_outlier, pca_errors(4, normal, X_test)) + 0.1
    assert (detector.predict(normal) == -1).mean() == pytest.approx(0.05, abs=0.002)
    np.testing.assert_array_equal(detector.decision_function(X_test), scores - detector.offset_)
    is_found = detector.predict(X_test) == -1
    assert is_found[is_outlier].mean() > 3 * is_found[~is_outlier].mean()


def test_a_classifier_knows_digits_by_any_name() -> None:
    names = np.array([f"digit {label}" for label in range(10)])
    classifier = ImageClassifier("cnn-tiny", epochs=8, **DIGITS).fit(X_train, names[y_train])
    assert classifier.classes_.tolist() == names.tolist()
    assert classifier.score(X_test, names[y_test]) > 0.95
    probabilities = classifier.predict_proba(X_test)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(names[probabilities.argmax(1)], classifier.predict(X_test))


def test_mnist_is_compressed_better_than_by_pca(require: Callable[[str], Path]) -> None:
    require("mnist")
    samples = isthmus.load("mnist", limit=1500)
    train, test = samples.values[:1000], samples.values[1000:]
    small = Autoencoder(code_size=8, epochs=6, random_state=0).fit(train)
    flat = (images.reshape(len(images), -1).astype(np.float64) for images in (train, test))
    assert -small.score(test) < 0.85 * pca_errors(8, *flat).mean()


def test_images_are_computed_by_the_model_itself_and_vectors_by_a_precise_copy(
    quick: Autoencoder,
) -> None:
    def last_call(estimator: Autoencoder, values: Any) -> tuple[Any, str]:
        calls: list[tuple[Any, str]] = []
        handle = estimator.model_.module.register_forward_hook(
            lambda module, inputs, _: calls.append((module, str(inputs[0].dtype)))
        )
        estimator.score(values)
        handle.remove()
        return calls[-1]  # others measure how large a batch may be

    assert last_call(quick, PIXELS[:20]) == (quick.model_.module, "torch.float32")
    vectors = Autoencoder("linear", code_size=2, epochs=1, random_state=0).fit(X)
    module, kind = last_call(vectors, X[:20])
    assert module is not vectors.model_.module
    assert kind == "torch.float64"
    assert str(next(vectors.model_.module.parameters()).dtype) == "torch.float32"


# -- forms of X ----------------------------------------------------------------------------------


Form = tuple[Callable[[NDArray[np.uint8]], Any], dict[str, Any], tuple[float, float]]
FLAT = {"image_shape": (8, 8)}
FORMS: dict[str, Form] = {
    "bytes with channels": (lambda pixels: pixels[..., None], {}, (0, 255)),
    "flat bytes": (lambda pixels: pixels.reshape(-1, 64), FLAT, (0, 255)),
    "a list of images": (list, {}, (0, 255)),
    "whole numbers": (lambda pixels: pixels.astype(np.int64), {"image_shape": (8, 8, 1)}, (0, 255)),
    "fractions": (lambda pixels: pixels / 255, {}, (0, 1)),
    "flat fractions": (
        lambda pixels: (pixels / 255).astype(np.float32).reshape(-1, 64),
        FLAT,
        (0, 1),
    ),
    "sixteen bits": (lambda pixels: pixels.astype(np.uint16) * np.uint16(257), {}, (0, 65535)),
    "another range": (lambda pixels: pixels / 127.5 - 1, {"value_range": (-1, 1)}, (-1, 1)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_images_gives_the_same_codes(quick: Autoencoder, form: str) -> None:
    convert, options, (low, high) = FORMS[form]
    images = convert(PIXELS)
    estimator = clone(quick).set_params(**options).fit(images[:200])
    z = estimator.transform(images)
    np.testing.assert_array_equal(z, quick.transform(PIXELS))
    decoded = estimator.inverse_transform(z)
    assert decoded.shape == np.shape(images)
    assert decoded.dtype == (np.uint8 if (low, high) == (0, 255) else np.float32)
    pixels = (decoded.astype(np.float64) - low) * (255 / (high - low))
    expected = quick.inverse_transform(z)
    np.testing.assert_allclose(pixels.reshape(expected.shape), expected, atol=1e-3)
    # The score is in the units of X.
    scale = ((high - low) / 255) ** 2
    assert estimator.score(images) == pytest.approx(quick.score(PIXELS) * scale)


def test_an_estimator_takes_other_forms_than_it_was_fitted_on(quick: Autoencoder) -> None:
    z = quick.transform(PIXELS)
    np.testing.assert_array_equal(quick.transform(PIXELS.reshape(-1, 64)), z)
    np.testing.assert_array_equal(quick.transform(PIXELS / 255), z)


def test_black_and_white_may_be_images() -> None:
    drawn = PIXELS[:200] > 127
    decoded = Denoiser("masked:0.1", model="linear", epochs=1, random_state=0).fit_transform(drawn)
    assert decoded.shape == drawn.shape
    assert decoded.dtype == np.float32
    assert 0 <= decoded.min() < decoded.max() <= 1


def test_a_denoiser_answers_in_the_form_of_the_question() -> None:
    denoiser = Denoiser(model="linear", epochs=1, random_state=0).fit(PIXELS[:200])
    for images in (PIXELS, PIXELS.reshape(-1, 64), PIXELS[..., None]):
        answer = denoiser.transform(images)
        assert answer.shape == images.shape
        assert answer.dtype == np.uint8
    assert denoiser.transform(PIXELS / 255).max() <= 1


def test_color_images_keep_their_channels() -> None:
    colors = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)
    estimator = Autoencoder("linear", code_size=2, epochs=1, random_state=0)
    decoded = estimator.fit(colors).inverse_transform(estimator.transform(colors))
    assert decoded.shape == colors.shape
    assert estimator.n_features_in_ == 90
    flat = clone(estimator).set_params(image_shape=(6, 5, 3)).fit(colors.reshape(20, -1))
    np.testing.assert_array_equal(flat.transform(colors), estimator.transform(colors))


def test_signals_of_several_channels_come_as_samples() -> None:
    values = np.random.default_rng(0).normal(size=(30, 16, 2)).astype(np.float32)
    signals = Samples(values, Items([str(i) for i in range(30)]))
    estimator = Autoencoder(code_size=3, epochs=1, random_state=0).fit(signals)
    assert estimator.model_.config.model == "conv1d"
    z = estimator.transform(signals)
    np.testing.assert_array_equal(estimator.transform(values), z)
    assert estimator.inverse_transform(z).shape == values.shape


def test_named_sets_and_samples_are_read_as_everywhere(quick: Autoencoder) -> None:
    samples = isthmus.load("digits")
    by_name = Autoencoder("linear", code_size=4, epochs=1, random_state=0).fit("digits")
    by_samples = clone(by_name).fit(samples)
    z = by_name.transform("digits")
    np.testing.assert_array_equal(by_samples.transform(samples), z)
    np.testing.assert_array_equal(by_name.transform(samples.values), z)
    assert by_name.inverse_transform(z).shape == (1797, 8, 8, 1)


def test_splits_of_a_source_are_kept() -> None:
    splits = np.repeat(np.array([0, 1, 2], np.uint8), [150, 30, 20])
    samples = Samples(PIXELS[:200, ..., None], Items([str(i) for i in range(200)]), splits=splits)
    estimator = Autoencoder("linear", code_size=2, epochs=1, random_state=0).fit(samples)
    np.testing.assert_array_equal(estimator.run_.split().test, np.arange(180, 200))
    assert isthmus.evaluate(estimator.run_)["test"]["mse"] > 0


def test_pictures_may_be_given_by_their_paths(pictures: list[Path]) -> None:
    pandas = pytest.importorskip("pandas")
    estimator = Autoencoder("linear", code_size=2, epochs=1, random_state=0).fit(pictures)
    z = estimator.transform(pictures)
    assert z.shape == (24, 2)
    for others in ([str(path) for path in pictures], pandas.Series(pictures)):
        np.testing.assert_array_equal(estimator.transform(others), z)
    np.testing.assert_allclose(estimator.transform(pictures[3]), z[3:4], rtol=1e-5)
    # A size for training is a size for what comes later.
    larger = clone(estimator).set_params(image_shape=(12, 10, 3)).fit(pictures)
    assert larger.inverse_transform(larger.transform(pictures[:2])).shape == (2, 12, 10, 3)


def test_a_folder_has_the_classes_of_its_folders(pictures: list[Path]) -> None:
    folder = pictures[0].parents[1]
    classifier = ImageClassifier("encoder", epochs=20, random_state=0).fit(folder)
    assert classifier.classes_.tolist() == ["is-0", "is-1"]
    assert classifier.score(folder) == 1
    in_order = sorted(pictures)  # as they are read
    assert classifier.predict(in_order).tolist() == ["is-0"] * 12 + ["is-1"] * 12
    # An own y has priority.
    is_round = [path.parent.name == "is-0" for path in in_order]
    again = clone(classifier).fit(folder, is_round)
    assert again.classes_.tolist() == [False, True]
    assert again.score(in_order, is_round) == 1


def test_classes_of_a_source_are_sorted_whatever_its_order(tmp_path: Path) -> None:
    labels = (y[y < 2] == 1).astype(np.int64)
    items = Items([str(i) for i in range(len(labels))], labels, ("zebra", "ant"))
    samples = Samples(PIXELS[y < 2, ..., None], items)
    names = np.array(items.class_names)[labels]
    classifier = ImageClassifier("cnn-tiny", epochs=10, out=tmp_path / "run", random_state=0)
    classifier.fit(samples)
    assert classifier.classes_.tolist() == ["ant", "zebra"]
    assert classifier.score(samples) == classifier.score(samples, names) > 0.95
    assert (classifier.predict(samples) == names).mean() > 0.95
    probabilities = classifier.predict_proba(samples)
    assert probabilities[names == "ant"].mean(0)[0] > 0.5
    assert probabilities[names == "zebra"].mean(0)[1] > 0.5
    # The run is still one on these samples: it can be resumed and evaluated with them.
    isthmus.Run.open(tmp_path / "run").check(samples)


def test_fashion_has_its_classes_in_another_order(require: Callable[[str], Path]) -> None:
    require("fashion-mnist")
    samples = isthmus.load("fashion-mnist", limit=700)
    classifier = ImageClassifier("cnn-tiny", epochs=5, random_state=0).fit(samples)
    assert classifier.classes_.tolist() == sorted(samples.class_names)
    names = np.array(samples.class_names)[samples.labels]
    assert classifier.score(samples) == classifier.score(samples, names) > 0.6


def test_a_broken_picture_is_said(pictures: list[Path], refused: Refused) -> None:
    broken = pictures[4]
    broken.write_bytes(b"no picture")
    estimator = Autoencoder("linear", code_size=2, epochs=1, random_state=0)
    with refused(SourceError, broken, "cannot be decoded"):
        estimator.fit(pictures)
    with pytest.warns(UserWarning, match="is-0/4.png"):
        estimator.fit(pictures[0].parents[1])
    assert len(estimator.run_.samples()) == 23


def test_pictures_of_several_sizes_need_one(pictures: list[Path], refused: Refused) -> None:
    Image.new("L", (9, 8)).save(pictures[4])
    estimator = Autoencoder("linear", code_size=2, epochs=1, random_state=0)
    with refused(SourceError, pictures[4], "(8, 9, 1)", "(8, 8, 1)"):
        estimator.fit(pictures)
    assert clone(estimator).set_params(image_shape=(8, 8)).fit(pictures).n_features_in_ == 64


# -- what is refused -------------------------------------------------------------------------------


def test_values_outside_black_and_white_are_never_guessed(
    quick: Autoencoder, refused: Refused
) -> None:
    flat = Autoencoder("linear", image_shape=(8, 8), epochs=1)
    with refused(InputError, "float64", "0 to 16", "value_range"):
        flat.fit(X)
    with refused(InputError, "-1 to 15"):
        flat.fit((X - 1).astype(np.int64))
    with refused(InputError, "black is 0 and white 16"):
        flat.set_params(value_range=(0, 16)).fit(X + 1)
    with refused(InputError, "0 to 2"):
        quick.transform(PIXELS / 127.5)
    with pytest.raises(ValueError, match="value_range"):  # as scikit-learn's users expect
        flat.fit(X + 1)


def test_images_of_another_shape_are_refused(quick: Autoencoder, refused: Refused) -> None:
    shaped = Autoencoder("linear", image_shape=(9, 9), epochs=1)
    with refused(InputError, "64 features", "9 × 9", "81"):
        shaped.fit(PIXELS.reshape(-1, 64))
    with refused(InputError, "8 × 8", "9 × 9"):
        shaped.fit(PIXELS)
    with refused(InputError, "8 × 8", "9 × 9"):
        shaped.fit(isthmus.load("digits"))
    with refused(InputError, "(N, 8, 8, 1, 1)"):
        clone(quick).fit(PIXELS[..., None, None])
    with pytest.raises(ValueError, match="X has 60 features, but Autoencoder is expecting 64"):
        quick.transform(PIXELS.reshape(-1, 64)[:, :60])
    with refused(ModelError, "(N, 8, 8, 1)"):
        quick.transform(Samples(np.zeros((1, 9, 9, 1), np.uint8), Items(["a"])))
    with refused(ModelError, "(N, 4)"):
        quick.inverse_transform(np.zeros((1, 5)))


@pytest.mark.parametrize("shape", [8, (8,), (8, 8, 1, 1), (8, 0), (8, 8.0)])
def test_an_image_shape_has_two_or_three_sides(shape: Any, refused: Refused) -> None:
    with refused(OptionError, "image shape", repr(shape)):
        Autoencoder(image_shape=shape).fit(X)


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"value_range": (16, 0)}, "(16, 0)"),
        ({"value_range": 5}, "5"),
        ({"value_range": (0, 1, 2)}, "(0, 1, 2)"),
        ({"value_range": ("0", "16")}, "('0', '16')"),
        ({"value_range": (0, np.inf)}, "inf"),
        ({"value_range": np.array(16)}, "array(16)"),
        ({"contamination": 0.6}, "0.6"),
        ({"contamination": "auto"}, "'auto'"),
        ({"contamination": None}, "None"),
        ({"contamination": 0}, "contamination"),
        ({"model": "nowhere"}, "nowhere"),
        ({"epochs": 0}, "epochs"),
        ({"config": TrainingConfig(validation=1.5)}, "1.5"),
    ],
)
def test_wrong_parameters_are_refused_at_fit(
    options: dict[str, Any], culprit: str, refused: Refused
) -> None:
    detector = OutlierDetector(image_shape=(8, 8), value_range=(0, 16)).set_params(**options)
    with refused(OptionError, culprit):
        detector.fit(X)


def test_nothing_works_before_it_is_fitted() -> None:
    with pytest.raises(NotFittedError):
        Autoencoder().transform(PIXELS)
    with pytest.raises(NotFittedError):
        Autoencoder().inverse_transform(np.zeros((1, 2)))
    with pytest.raises(NotFittedError):
        ImageClassifier().score(PIXELS, y)


def test_a_classifier_needs_two_classes(pictures: list[Path], refused: Refused) -> None:
    classifier = ImageClassifier("cnn-tiny", epochs=1, random_state=0)
    with refused(InputError, "y has one class only, 3"):
        classifier.fit(PIXELS, np.full(len(y), 3))
    with refused(InputError, "X has no classes"):
        classifier.fit(pictures)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier.fit(pictures, [0, 1])
    classifier.fit(PIXELS[:100], y[:100])
    with refused(InputError, "X has no classes"):
        classifier.score(pictures)


# -- scikit-learn's tools --------------------------------------------------------------------------


def test_codes_are_classified_in_a_pipeline() -> None:
    pipeline = make_pipeline(
        Autoencoder(code_size=16, epochs=5, **DIGITS),
        StandardScaler(),
        LogisticRegression(max_iter=1000),
    )
    assert pipeline.fit(X_train, y_train).score(X_test, y_test) > 0.9


def test_a_grid_search_finds_the_larger_code() -> None:
    estimator = Autoencoder("linear", epochs=10, **DIGITS)
    search = GridSearchCV(estimator, {"code_size": [2, 16, 4]}, cv=2).fit(X_train)
    assert search.best_params_ == {"code_size": 16}
    assert search.cv_results_["rank_test_score"].tolist() == [3, 1, 2]
    assert search.best_estimator_.transform(X_test).shape == (597, 16)


def test_pictures_are_cross_validated_by_their_paths(pictures: list[Path]) -> None:
    classifier = ImageClassifier("encoder", epochs=20, random_state=0)
    labels = [path.parent.name for path in pictures]
    scores = cross_val_score(classifier, pictures, labels, cv=2)
    assert scores.mean() > 0.9


def test_codes_have_names(quick: Autoencoder) -> None:
    pandas = pytest.importorskip("pandas")
    names = [f"autoencoder{i}" for i in range(4)]
    assert quick.get_feature_names_out().tolist() == names
    table = pandas.DataFrame(PIXELS[:20].reshape(20, -1), index=range(100, 120)).add_prefix("p")
    estimator = clone(quick).set_params(image_shape=(8, 8)).set_output(transform="pandas")
    codes = estimator.fit_transform(table)
    assert codes.columns.tolist() == names
    assert codes.index.tolist() == table.index.tolist()
    assert estimator.feature_names_in_.tolist() == table.columns.tolist()
    # A set has no names of features.
    assert not hasattr(estimator.fit("digits"), "feature_names_in_")
    denoiser = Denoiser(model="linear", image_shape=(8, 8), epochs=1, random_state=0)
    clean = denoiser.set_output(transform="pandas").fit_transform(table)
    assert clean.columns.tolist() == table.columns.tolist()


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_a_fitted_estimator_is_stored_and_read(kind: type[Any], tmp_path: Path) -> None:
    estimator = kind(epochs=1, random_state=0).fit(PIXELS[:100], y[:100])
    method = "transform" if hasattr(estimator, "transform") else "predict"
    expected = getattr(estimator, method)(PIXELS)
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    for copied in (
        pickle.loads(pickle.dumps(estimator)),
        joblib.load(tmp_path / "estimator.joblib"),
    ):
        np.testing.assert_array_equal(getattr(copied, method)(PIXELS), expected)
        assert not hasattr(copied, "run_")
    # The weights, and neither the data nor the optimizer's state.
    assert len(pickle.dumps(estimator)) < 1.1 * len(estimator.model_.to_bytes()) + 5000


def test_another_process_reads_a_pickle(quick: Autoencoder, tmp_path: Path) -> None:
    (tmp_path / "estimator").write_bytes(pickle.dumps(quick))
    np.save(tmp_path / "pixels.npy", PIXELS)
    script = """
import pickle, sys, numpy
with open("estimator", "rb") as file:
    estimator = pickle.load(file)
numpy.save("codes.npy", estimator.transform(numpy.load("pixels.npy")))
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), quick.transform(PIXELS))


# -- training ------------------------------------------------------------------------------------


def test_the_seed_decides() -> None:
    def codes(random_state: Any) -> NDArray[np.float32]:
        estimator = Autoencoder("linear", code_size=2, epochs=1, random_state=random_state)
        z: NDArray[np.float32] = estimator.fit_transform(PIXELS[:50])
        return z

    np.testing.assert_array_equal(codes(3), codes(3))
    assert not np.array_equal(codes(3), codes(4))
    random = np.random.RandomState(0)
    first = codes(random)
    assert not np.array_equal(codes(random), first)  # it has been drawn from
    np.testing.assert_array_equal(codes(np.random.RandomState(0)), first)
    assert not np.array_equal(codes(None), codes(None))


def test_a_tenth_chooses_the_epoch_and_all_else_is_trained_on(quick: Autoencoder) -> None:
    split = quick.run_.split()
    assert [len(part) for part in (split.train, split.validation, split.test)] == [179, 20, 1]


def test_each_class_has_its_share_of_the_validation_split() -> None:
    labels = np.repeat([0, 1, 2], [150, 45, 5])
    classifier = ImageClassifier("cnn-tiny", epochs=1, random_state=0).fit(PIXELS[:200], labels)
    counts = np.bincount(labels[classifier.run_.split().validation], minlength=3)
    assert counts.tolist() == [15, 5, 0] or counts.tolist() == [15, 4, 1]
    assert 4 <= np.bincount(labels[classifier.run_.split().train])[2] <= 5


def test_settings_reach_the_run() -> None:
    config = TrainingConfig(schedule="constant", patience=7, epochs=50, seed=5, loss="mse")
    estimator = Autoencoder(
        "conv",
        code_size=2,
        epochs=1,
        batch_size=16,
        optimizer="sgd",
        lr=0.01,
        config=config,
        random_state=1,
    ).fit(PIXELS[:50])
    record = estimator.run_.record
    used = record.training_config
    assert (used.schedule, used.patience, used.loss) == ("constant", 7, "mse")
    assert (used.epochs, used.batch_size, used.optimizer, used.lr) == (1, 16, "sgd", 0.01)
    assert used.seed == 1
    assert estimator.n_epochs_ == 1


def test_a_run_is_written_where_it_is_asked_for(tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "run"
    estimator = Autoencoder("linear", code_size=2, epochs=1, out=folder, random_state=0)
    estimator.fit(PIXELS[:50])
    assert isthmus.Run.open(folder).record == estimator.run_.record
    copied = pickle.loads(pickle.dumps(estimator))
    assert copied.run_.path == folder
    assert copied.run_.loaded is None
    with refused(RunError, folder):
        estimator.fit(PIXELS[:50])
    with refused(OptionError, "out"):
        estimator.partial_fit(PIXELS[:50])


def test_a_vector_classifier_may_start_from_an_encoder(tmp_path: Path) -> None:
    scaled = X / 16
    Autoencoder("dense", code_size=8, epochs=3, out=tmp_path / "run", random_state=0).fit(scaled)
    config = TrainingConfig(encoder_from=str(tmp_path / "run"), freeze=True)
    classifier = ImageClassifier(epochs=3, config=config, random_state=0).fit(scaled, y)
    encoder = require_encoder(isthmus.TrainedModel.load(tmp_path / "run").module).encoder
    kept = require_encoder(classifier.model_.module).encoder.state_dict()
    assert all(kept[name].equal(tensor) for name, tensor in encoder.state_dict().items())


# -- partial_fit ---------------------------------------------------------------------------------


def test_training_continues_with_each_part() -> None:
    estimator = Autoencoder("dense", code_size=8, epochs=99, **DIGITS)
    scores = []
    for _ in range(4):
        for part in np.array_split(X_train, 4):
            estimator.partial_fit(part)
        scores.append(estimator.score(X_test))
    assert scores == sorted(scores)
    assert -scores[-1] < 0.6 * np.square(X_test - X_train.mean(0)).mean()
    assert estimator.n_epochs_ == 16


def test_the_first_part_is_a_fit_of_one_epoch() -> None:
    estimator = Autoencoder("linear", code_size=4, epochs=1, **DIGITS)
    once = clone(estimator).fit_transform(X_train)
    np.testing.assert_array_equal(estimator.partial_fit(X_train).transform(X_train), once)


def test_training_continues_after_fit_and_after_a_pickle(quick: Autoencoder) -> None:
    read = pickle.loads(pickle.dumps(quick))
    before = read.score(PIXELS)
    read.partial_fit(PIXELS)
    assert read.score(PIXELS) > before
    assert read.n_epochs_ == 2
    assert quick.score(PIXELS) == before


def test_parts_of_vectors_are_scaled_as_the_first() -> None:
    estimator = Autoencoder("linear", code_size=4, epochs=1, random_state=0).partial_fit(X)
    scale = estimator.model_.preprocessing
    estimator.partial_fit(2 * X)
    assert (estimator.model_.preprocessing.low, estimator.model_.preprocessing.high) == (0, 16)
    assert estimator.model_.preprocessing == scale


def test_parts_continue_from_the_encoder_of_another_run(tmp_path: Path, refused: Refused) -> None:
    Autoencoder("dense", code_size=8, epochs=5, out=tmp_path / "run", **DIGITS).fit(X_train)
    config = TrainingConfig(encoder_from=str(tmp_path / "run"))
    estimator = Autoencoder("dense", code_size=8, config=config, **DIGITS).partial_fit(X_train)
    before = estimator.score(X_test)
    assert before > Autoencoder("dense", code_size=8, **DIGITS).partial_fit(X_train).score(X_test)
    estimator.partial_fit(X_train)
    assert estimator.score(X_test) > before
    assert estimator.n_epochs_ == 2
    frozen = TrainingConfig(encoder_from=str(tmp_path / "run"), freeze=True)
    with refused(OptionError, "freeze", "use fit"):
        estimator.set_params(config=frozen).partial_fit(X_train)


def test_the_module_is_imported_without_torch() -> None:
    script = "import isthmus.sklearn, sys; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert done.stdout == "False\n"


def test_a_denoiser_of_photographs_takes_images_of_any_sizes() -> None:
    random = np.random.default_rng(0)
    photos = [np.full((40 + 8 * i, 48), 20 * i, np.uint8) for i in range(8)]
    denoiser = Denoiser(
        "gaussian:0.1", model="denoiser", patch=32, options={"width": 8}, epochs=1, random_state=0
    )
    denoiser.fit(photos)
    noisy = [(photo + random.normal(0, 25, photo.shape)).clip(0, 255) for photo in photos]
    clean = denoiser.transform([image.astype(np.uint8) for image in noisy])
    assert [image.shape for image in clean] == [photo.shape for photo in photos]
    errors = [
        np.mean([np.square(a - 1.0 * b).mean() for a, b in zip(images, photos, strict=True)])
        for images in (noisy, clean)
    ]
    assert errors[1] < 0.5 * errors[0]
    assert -errors[0] < denoiser.score(photos) < 0
    stack = random.random((4, 20, 30)).astype(np.float32)
    assert denoiser.transform(stack).dtype == np.float32
    assert denoiser.transform(stack).shape == stack.shape
    again = pickle.loads(pickle.dumps(denoiser))
    np.testing.assert_array_equal(again.transform(stack), denoiser.transform(stack))

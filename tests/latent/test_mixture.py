"""A mixture has the shape of the codes that it was fitted to, and draws others like them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from isthmus import Codes, Items
from isthmus.errors import ModelError, OptionError, SourceError
from isthmus.latent.drawing import Draw
from isthmus.latent.mixture import Mixture
from isthmus.latent.mixture_fitting import fit_mixture
from isthmus.latent.walks import walk

Refused = Callable[..., AbstractContextManager[None]]
Vectors = NDArray[np.float32]

CENTERS = np.array([[-6, 0], [6, 0], [0, 9]], np.float32)
SHARES = (0.5, 0.3, 0.2)
CLASSES = ("west", "east", "north")


def blobs(count: int, seed: int, *, labeled: bool = True) -> Codes:
    """Draw codes around three centers; those of the last have correlated numbers."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, count, p=SHARES)
    noise = rng.normal(size=(count, 2))
    noise[labels == 2] @= np.array([[1, 0.9], [0, 0.3]])
    z = (CENTERS[labels] + noise).astype(np.float32)
    names = [str(number) for number in range(count)]
    items = Items(names, labels, CLASSES) if labeled else Items(names)
    return Codes(z, items, model_fingerprint="0" * 16)


def draw(mixture: Mixture, n: int, **options: object) -> tuple[Vectors, NDArray[np.int64]]:
    asked = Draw(n, **options)  # type: ignore[arg-type]
    return mixture.sample(*asked.noise(mixture.code_size), asked.label)


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    return fit_mixture(blobs(1500, 0), blobs(300, 1))


def test_codes_are_drawn_as_often_and_where_their_classes_are(mixture: Mixture) -> None:
    z, labels = draw(mixture, 4000)
    assert z.dtype == np.float32
    for label, (center, share) in enumerate(zip(CENTERS, SHARES, strict=True)):
        assert (labels == label).mean() == pytest.approx(share, abs=0.04)
        np.testing.assert_allclose(z[labels == label].mean(0), center, atol=0.25)
    north = z[labels == 2] - CENTERS[2]
    expected = np.array([[1, 0.9], [0.9, 0.9]])
    np.testing.assert_allclose(np.cov(north, rowvar=False), expected, atol=0.25)


def test_a_sample_that_is_alone_in_its_class_is_a_component_of_its_own() -> None:
    codes = blobs(120, 0)
    assert codes.labels is not None
    rows = np.append(np.flatnonzero(codes.labels == 0), np.flatnonzero(codes.labels == 1)[0])
    alone = fit_mixture(codes.take(rows), blobs(30, 1))
    assert alone.counts[None] == 1
    np.testing.assert_allclose(alone.means[alone.classes < 0][0], codes.z[rows[-1]], atol=1e-5)
    assert alone.weights.sum() == pytest.approx(1)


def test_a_class_is_drawn_alone(mixture: Mixture) -> None:
    z, labels = draw(mixture, 200, label="east")
    assert set(labels.tolist()) == {1}
    assert np.linalg.norm(z - CENTERS[1], axis=1).max() < 6


def test_without_labels_the_groups_are_found(mixture: Mixture) -> None:
    plain = fit_mixture(blobs(1500, 0, labeled=False), blobs(300, 1, labeled=False))
    assert plain.class_names == ()
    assert plain.counts[None] >= 3
    z, labels = draw(plain, 2000)
    assert set(labels.tolist()) == {-1}
    nearest = np.linalg.norm(z[:, None] - CENTERS, axis=2)
    assert np.bincount(nearest.argmin(1)) / 2000 == pytest.approx(SHARES, abs=0.05)
    assert np.quantile(nearest.min(1), 0.99) < 4


def test_the_validation_codes_choose_how_many_components_there_are(mixture: Mixture) -> None:
    for label, name in enumerate(CLASSES):
        trials = [trial for trial in mixture.trials if trial.label == label]
        best = max(trials, key=lambda trial: trial.likelihood)
        assert mixture.counts[name] == best.components
        assert len(trials) > 1


def test_the_first_codes_of_many_are_those_of_few(mixture: Mixture) -> None:
    np.testing.assert_array_equal(draw(mixture, 50)[0][:7], draw(mixture, 7)[0])
    assert not np.array_equal(draw(mixture, 7, seed=1)[0], draw(mixture, 7)[0])


def test_the_temperature_scales_the_distance_from_the_means(mixture: Mixture) -> None:
    z, warm, cold = (draw(mixture, 50, temperature=one)[0] for one in (1.0, 2.0, 0.0))
    np.testing.assert_allclose(warm - cold, 2 * (z - cold), atol=1e-4)
    assert all((one == mixture.means).all(1).any() for one in cold)


def test_few_codes_have_one_component_of_independent_numbers() -> None:
    mixture = fit_mixture(blobs(12, 0, labeled=False), blobs(2, 1, labeled=False))
    assert len(mixture) == 1
    assert mixture.factors.shape == (1, 2)
    assert np.isfinite(draw(mixture, 9)[0]).all()


def test_small_classes_share_components(refused: Refused) -> None:
    codes = blobs(300, 0)
    labels = np.where(np.arange(300) < 270, codes.labels == 1, 2)  # 30 are of the last class
    few = replace(codes, items=replace(codes.items, labels=labels.astype(np.int64)))
    mixture = fit_mixture(few, few)
    assert set(mixture.counts) == {"west", "east", None}
    with refused(OptionError, "north", "too few"):
        draw(mixture, 3, label="north")


def test_a_number_that_never_changes_stays_as_it_is() -> None:
    codes = blobs(200, 0, labeled=False)
    z = np.column_stack([codes.z, np.full(200, 7, np.float32)])
    drawn = draw(fit_mixture(replace(codes, z=z), replace(codes, z=z)), 50)[0]
    np.testing.assert_allclose(drawn[:, 2], 7, atol=0.1)


def test_a_stored_mixture_draws_the_same(mixture: Mixture, tmp_path: Path) -> None:
    mixture.save(tmp_path / "mixture.npz")
    loaded = Mixture.load(tmp_path / "mixture.npz")
    np.testing.assert_array_equal(draw(loaded, 20)[0], draw(mixture, 20)[0])
    assert (loaded.trials, loaded.counts) == (mixture.trials, mixture.counts)
    assert loaded.is_of("0" * 16, "")


def test_what_is_no_mixture_is_refused_and_left_alone(
    mixture: Mixture, tmp_path: Path, refused: Refused
) -> None:
    file = tmp_path / "mixture.npz"
    with refused(SourceError, "isthmus generate"):
        Mixture.load(file)
    np.savez(file, images=np.zeros(3))
    before = file.read_bytes()
    with refused(OptionError, file, "holds no mixture"):
        mixture.save(file)
    with refused(SourceError, file, "damaged"):
        Mixture.load(file)
    assert file.read_bytes() == before


def test_a_changed_number_is_noticed(mixture: Mixture, tmp_path: Path, refused: Refused) -> None:
    file = tmp_path / "mixture.npz"
    mixture.save(file)
    arrays = dict(np.load(file))
    arrays["means"][0, 0] += 1
    np.savez(file, **arrays)
    with refused(SourceError, "changed since it was written"):
        Mixture.load(file)
    arrays["weights"][0] = np.nan
    np.savez(file, **arrays)
    with refused(SourceError, "NaN"):
        Mixture.load(file)


def test_a_class_that_does_not_exist_is_answered_by_those_that_do(
    mixture: Mixture, refused: Refused
) -> None:
    with refused(OptionError, "'south'", *CLASSES):
        draw(mixture, 3, label="south")
    plain = fit_mixture(blobs(60, 0, labeled=False), blobs(20, 1, labeled=False))
    with refused(OptionError, "'west'", "without labels"):
        draw(plain, 3, label="west")


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"n": 0}, "0"),
        ({"n": 10**7}, "10,000,000"),
        ({"temperature": -1}, "-1"),
        ({"temperature": float("nan")}, "nan"),
        ({"seed": -1}, "-1"),
        ({"sampler": "dice"}, "mixture"),
    ],
)
def test_numbers_outside_their_range_are_refused(
    options: dict[str, object], culprit: str, refused: Refused
) -> None:
    with refused(OptionError, culprit):
        Draw(**options)  # type: ignore[arg-type]


def test_codes_that_hold_no_numbers_are_refused(refused: Refused) -> None:
    codes = blobs(30, 0)
    codes.z[3, 1] = np.nan
    with refused(ModelError, "code of 3", "NaN"):
        fit_mixture(codes, codes)
    with refused(OptionError, "at least 2"):
        fit_mixture(codes.take(np.array([0])), codes)


def test_a_walk_passes_every_code_and_returns() -> None:
    way = walk(CENTERS, 4)
    assert way.shape == (12, 2)
    np.testing.assert_array_equal(way[::4], CENTERS)
    lengths = np.linalg.norm(np.diff(np.concatenate([way, way[:1]]), axis=0), axis=1)
    np.testing.assert_allclose(lengths.reshape(3, 4), lengths[::4, None].repeat(4, 1), rtol=1e-5)


@pytest.mark.parametrize(("count", "steps"), [(1, 4), (3, 0)])
def test_a_walk_needs_codes_and_steps(count: int, steps: int, refused: Refused) -> None:
    with refused(OptionError, "a walk needs at least"):
        walk(CENTERS[:count], steps)

"""Maps: the same for the same codes, everything in its place, and refused when stale."""

import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from threadpoolctl import threadpool_limits

from isthmus import Preprocessing, Samples, TrainedModel, configure, load
from isthmus.data.items import Items
from isthmus.errors import ModelError, OptionError, SourceError
from isthmus.latent.codes import Codes
from isthmus.latent.maps import Map, fit_map, map_quality
from isthmus.latent.neighbors import MAX_MEASURED, knn_accuracy
from isthmus.latent.projections import METHODS

Refused = Callable[..., AbstractContextManager[None]]

COUNT, FITTED = 600, 400
LEARNING = ["pca", "tsne", "umap"]


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits", limit=COUNT)


@pytest.fixture(scope="module")
def codes(digits: Samples) -> Codes:
    """Give the pixels of digits, no two of them alike."""
    return Codes(
        digits.values.reshape(COUNT, -1).astype(np.float32) / np.float32(255),
        replace(digits.items, fingerprint=digits.fingerprint),
        model_fingerprint="0123",
        origin=digits.origin,
    )


@pytest.fixture(scope="module")
def drawn(codes: Codes) -> Callable[[str], Map]:
    """Give a function that fits a map to 400 of the codes and places the others."""
    maps: dict[str, Map] = {}

    def draw(method: str) -> Map:
        if method not in maps:
            maps[method] = fit_map(codes, method, max_samples=FITTED)
        return maps[method]

    return draw


def some(z: Any, labels: NDArray[np.int64] | None = None) -> Codes:
    z = np.asarray(z, np.float32)
    names = [f"{i}.png" for i in range(len(z))]
    return Codes(z, Items(names, labels, () if labels is None else ("a", "b", "c")))


def shuffled(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(5).permutation(count)


def test_pca_is_that_of_scikit_learn(codes: Codes) -> None:
    fitted_map = fit_map(codes, "pca")
    expected = PCA(2).fit(codes.z.astype(np.float64))
    xy = expected.transform(codes.z.astype(np.float64))
    signs = np.sign((xy * fitted_map.xy).sum(0))
    np.testing.assert_allclose(fitted_map.xy, xy * signs, atol=1e-4)
    assert fitted_map.explained == pytest.approx(expected.explained_variance_ratio_)
    assert fitted_map.fitted.all()


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_neighbors_in_truth_are_neighbors_on_the_map(
    codes: Codes, drawn: Callable[[str], Map], method: str
) -> None:
    fitted_map = drawn(method)
    assert trustworthiness(codes.z, fitted_map.xy, n_neighbors=10) > 0.9
    assert codes.labels is not None
    in_truth = knn_accuracy(codes.z, codes.labels, 10)
    assert knn_accuracy(fitted_map.xy, codes.labels, 10) > in_truth - 0.06
    assert fitted_map.explained is None


@pytest.mark.parametrize("method", LEARNING)
def test_the_same_codes_in_another_order_give_the_same_map(
    codes: Codes, drawn: Callable[[str], Map], method: str
) -> None:
    fitted_map, order = drawn(method), shuffled(COUNT)
    again = fit_map(codes.take(order), method, max_samples=FITTED)
    np.testing.assert_array_equal(again.xy, fitted_map.xy[order])
    np.testing.assert_array_equal(again.fitted, fitted_map.fitted[order])
    assert list(again.names) == [fitted_map.names[i] for i in order]


@pytest.mark.parametrize("method", LEARNING)
def test_the_number_of_threads_changes_nothing(codes: Codes, method: str) -> None:
    few, threads = codes.take(np.arange(80)), torch.get_num_threads()
    maps = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            with threadpool_limits(count):
                maps.append(fit_map(few, method).xy)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(maps[0], maps[1])


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_another_seed_gives_another_map(codes: Codes, method: str) -> None:
    few = codes.take(np.arange(40))
    first, second = (fit_map(few, method, seed=seed) for seed in (0, 1))
    assert (first.seed, second.seed) == (0, 1)
    assert np.abs(first.xy - second.xy).max() > 0.01 * np.ptp(first.xy)


@pytest.mark.parametrize("method", LEARNING)
def test_a_code_is_placed_where_it_is_whatever_its_company(
    codes: Codes, drawn: Callable[[str], Map], method: str
) -> None:
    fitted_map, order = drawn(method), shuffled(COUNT)
    near = 1e-6 * float(np.ptp(fitted_map.xy))
    placed = fitted_map.transform(codes)
    assert placed.dtype == np.float32
    np.testing.assert_allclose(placed, fitted_map.xy, atol=near)
    np.testing.assert_array_equal(fitted_map.transform(codes.take(order)), placed[order])
    for i in range(0, COUNT, 60):
        alone = fitted_map.transform(codes.take(np.array([i])))
        np.testing.assert_array_equal(alone, placed[[i]])


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_fitted_codes_keep_their_points_and_new_ones_join_their_like(
    codes: Codes, drawn: Callable[[str], Map], method: str
) -> None:
    fitted_map = drawn(method)
    fitted, placed = fitted_map.fitted, ~fitted_map.fitted
    own = {
        z.tobytes(): xy
        for z, xy in zip(fitted_map.params["z"], fitted_map.params["xy"], strict=True)
    }
    expected = [own[z.tobytes()] for z in codes.z[fitted]]
    np.testing.assert_allclose(fitted_map.xy[fitted], expected, rtol=1e-6)
    assert codes.labels is not None
    alike = []  # how often the nearest fitted code has the same label, on the map and in truth
    for points in (fitted_map.xy, codes.z):
        apart = np.linalg.norm(points[placed][:, None] - points[fitted], axis=2)
        alike.append((codes.labels[fitted][apart.argmin(1)] == codes.labels[placed]).mean())
    assert alike[0] > alike[1] - 0.06


def test_a_new_code_between_two_clusters_is_placed_in_one_of_them() -> None:
    draw = np.random.default_rng(0)
    middles = np.repeat([-1.0, 1.0], 60)[:, None] * np.ones(6)
    clusters = middles + draw.normal(0, 0.3, (120, 6))
    fitted_map = fit_map(some(clusters), "tsne")
    between = fitted_map.transform(some(draw.normal(0, 0.3, (50, 6)) + 0.1))
    distances = np.linalg.norm(between[:, None] - fitted_map.xy, axis=2).min(1)
    spacing = np.linalg.norm(fitted_map.xy[:, None] - fitted_map.xy, axis=2)
    np.fill_diagonal(spacing, np.inf)
    assert np.median(distances) < 2 * np.median(spacing.min(1))


@pytest.mark.parametrize("method", LEARNING)
def test_a_large_set_is_fitted_on_a_sample(drawn: Callable[[str], Map], method: str) -> None:
    assert drawn(method).fitted.sum() == FITTED


def test_equal_codes_share_a_point_and_count_once_in_the_sample(codes: Codes) -> None:
    twice = codes.take(np.repeat(np.arange(30), 3))
    fitted_map = fit_map(twice, "tsne", max_samples=20)
    assert len(np.unique(fitted_map.xy[fitted_map.fitted], axis=0)) == 20
    assert fitted_map.fitted.sum() == 60
    np.testing.assert_array_equal(fitted_map.xy[::3], fitted_map.xy[2::3])


def test_zero_has_no_sign() -> None:
    z = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    z[:, 0] = 0
    fitted_map = fit_map(some(np.concatenate([z, z * np.array([-1, 1, 1])])), "tsne")
    np.testing.assert_array_equal(fitted_map.xy[:20], fitted_map.xy[20:])
    assert len(fitted_map.params["z"]) == 20


@pytest.mark.parametrize("method", LEARNING)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_few_codes_can_be_drawn(method: str, size: int) -> None:
    for count in (1, 2, 3, 4, 5, 12):
        z = np.random.default_rng(count).normal(size=(count, size))
        fitted_map = fit_map(some(z), method)
        assert fitted_map.xy.shape == (count, 2)
        assert np.isfinite(fitted_map.xy).all()
        assert len(np.unique(fitted_map.xy, axis=0)) == count


@pytest.mark.parametrize("method", LEARNING)
def test_codes_without_variance_can_be_drawn(method: str) -> None:
    fitted_map = fit_map(some(np.full((40, 4), 3)), method)
    np.testing.assert_array_equal(fitted_map.xy, 0)
    line = np.linspace(0, 1, 40)[:, None] * np.ones(3)
    assert np.isfinite(fit_map(some(line), method).xy).all()


def test_principal_components_without_variance_are_zero() -> None:
    fitted_map = fit_map(some(np.linspace(0, 1, 40)[:, None] * np.ones(3)), "pca")
    assert fitted_map.explained == pytest.approx((1, 0))
    np.testing.assert_array_equal(fitted_map.xy[:, 1], 0)
    np.testing.assert_array_equal(fitted_map.transform(some([[1, 5, -2]]))[:, 1], 0)


@pytest.mark.parametrize("method", LEARNING[1:])
@pytest.mark.parametrize("scale", [1e-15, 1e10])
def test_the_scale_of_codes_does_not_matter(codes: Codes, method: str, scale: float) -> None:
    few = codes.take(np.arange(60))
    scaled = replace(few, z=few.z * np.float32(scale))
    fitted_map = fit_map(scaled, method)
    assert trustworthiness(few.z, fitted_map.xy, n_neighbors=5) > 0.9


def test_a_code_of_two_is_drawn_as_it_is(codes: Codes, refused: Refused) -> None:
    two = replace(codes, z=np.ascontiguousarray(codes.z[:, :2]))
    fitted_map = fit_map(two, "code", max_samples=10)
    np.testing.assert_array_equal(fitted_map.xy, two.z)
    np.testing.assert_array_equal(fitted_map.transform(two), two.z)
    assert fitted_map.fitted.all()
    assert fitted_map.explained is None
    with refused(OptionError, "64", "pca"):
        fit_map(codes, "code")


def test_what_cannot_be_drawn_is_refused(codes: Codes, refused: Refused) -> None:
    with refused(OptionError, "mds", *METHODS):
        fit_map(codes, "mds")
    with refused(OptionError, "at least 1", "0"):
        fit_map(codes, "pca", max_samples=0)
    with refused(OptionError, "seed", "-1"):
        fit_map(codes, "pca", seed=-1)
    with refused(OptionError, "no codes"):
        fit_map(some(np.empty((0, 4))), "pca")
    broken = some([[0, 1], [np.nan, 2]])
    with refused(ModelError, "1.png", "NaN"):
        fit_map(broken, "pca")
    with refused(ModelError, "1.png", "NaN"):
        fit_map(some(np.eye(2)), "pca").transform(broken)


def test_umap_may_be_missing(
    codes: Codes, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with refused(OptionError, "umap-learn", "isthmus[umap]"):
        fit_map(codes, "umap")


def test_progress_is_shown(codes: Codes) -> None:
    titles = []

    def track(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
        walked = list(items)
        titles.append((title, total, len(walked)))
        return walked

    fit_map(codes.take(np.arange(30)), "tsne", track=track)
    ((title, total, walked),) = titles
    assert title == "t-SNE"
    assert total == walked > 1


@pytest.mark.parametrize("method", LEARNING)
def test_what_is_saved_is_all_that_is_needed(
    codes: Codes, drawn: Callable[[str], Map], method: str, tmp_path: Path
) -> None:
    fitted_map = drawn(method)
    fitted_map.save(tmp_path / "map.npz")
    again = Map.load(tmp_path / "map.npz")
    for name in ("xy", "labels", "fitted"):
        np.testing.assert_array_equal(getattr(again, name), getattr(fitted_map, name))
    for name in (
        "method",
        "class_names",
        "layer",
        "model_fingerprint",
        "origin",
        "seed",
        "explained",
    ):
        assert getattr(again, name) == getattr(fitted_map, name)
    assert list(again.names) == list(fitted_map.names)
    np.testing.assert_array_equal(again.transform(codes), fitted_map.xy)
    assert [path.name for path in tmp_path.iterdir()] == ["map.npz"]


def test_a_map_without_labels_comes_back_without(tmp_path: Path) -> None:
    fit_map(some(np.eye(4)), "pca").save(tmp_path / "map.npz")
    again = Map.load(tmp_path / "map.npz")
    assert again.labels is None
    assert again.class_names == ()
    assert repr(again) == "Map(pca of 4, layer code)"


def test_the_map_of_another_model_is_refused(
    codes: Codes, tmp_path: Path, refused: Refused
) -> None:
    first, second = (
        TrainedModel(model_config, Preprocessing(), model_config.build())
        for model_config in (configure("dense", (1, 8, 8), size) for size in (4, 5))
    )
    fit_map(replace(codes, model_fingerprint=first.fingerprint), "pca").save(tmp_path / "map.npz")
    assert len(Map.load(tmp_path / "map.npz", first)) == COUNT
    with refused(ModelError, "another model", "isthmus map"):
        Map.load(tmp_path / "map.npz", second)


def test_codes_of_another_model_or_layer_are_not_placed(
    codes: Codes, drawn: Callable[[str], Map], refused: Refused
) -> None:
    for other in (replace(codes, model_fingerprint="4567"), replace(codes, layer="encoder.1")):
        with refused(ModelError, "another model or layer"):
            drawn("pca").transform(other)


def test_a_map_takes_other_codes_in_place_of_its_own(
    codes: Codes, drawn: Callable[[str], Map], tmp_path: Path
) -> None:
    few = codes.take(np.arange(7))
    few = replace(few, items=replace(few.items, fingerprint="89ab"))
    other = drawn("tsne").with_codes(few)
    np.testing.assert_allclose(other.xy, drawn("tsne").xy[:7], rtol=1e-5)
    assert (len(other), other.items.fingerprint) == (7, "89ab")
    assert not other.fitted.any()
    other.save(tmp_path / "map.npz")
    np.testing.assert_array_equal(Map.load(tmp_path / "map.npz").transform(few), other.xy)


def test_damage_is_said(codes: Codes, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "map.npz"
    with refused(SourceError, path, "isthmus map"):
        Map.load(path)
    fit_map(codes, "pca").save(path)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[200] ^= 1
    for damaged in (b"", b"no map", content[:-100], content[:300], bytes(flipped)):
        path.write_bytes(damaged)
        with refused(SourceError, path, "damaged"):
            Map.load(path)
    np.savez(path, z=codes.z)  # which is no map
    with refused(SourceError, path, "damaged"):
        Map.load(path)


def test_what_another_version_wrote_is_said(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "map.npz"
    fit_map(some(np.eye(4)), "pca").save(path)
    with np.load(path) as arrays:
        parts = dict(arrays)
    parts["metadata"] = np.array(str(parts["metadata"]).replace('"format": 2', '"format": 3'))
    np.savez(path, allow_pickle=False, **parts)
    with refused(SourceError, path, "another version"):
        Map.load(path)


def test_what_cannot_be_written_leaves_what_was(codes: Codes, tmp_path: Path) -> None:
    fitted_map = fit_map(codes, "pca")
    with pytest.raises(OptionError, match="is no regular file"):
        fitted_map.save(tmp_path)
    path = tmp_path / "map.npz"
    fitted_map.save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Object arrays"):
        replace(fitted_map, xy=np.array([None])).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_quality_is_told_beside_the_raw_pixels(
    codes: Codes, digits: Samples, drawn: Callable[[str], Map]
) -> None:
    fitted_map = drawn("tsne")
    figures = map_quality(fitted_map, codes, digits)
    assert codes.labels is not None
    raw = figures.pop("raw_pca")
    truth, xy = codes.z.astype(np.float64), fitted_map.xy.astype(np.float64)
    assert figures == {
        "method": "tsne",
        "n": COUNT,
        "fitted": FITTED,
        "measured": COUNT,
        "neighbors": 10,
        "trustworthiness": pytest.approx(trustworthiness(truth, xy, n_neighbors=10)),
        "continuity": pytest.approx(trustworthiness(xy, truth, n_neighbors=10)),
        "knn_1": knn_accuracy(fitted_map.xy, codes.labels, 1),
        "knn_10": knn_accuracy(fitted_map.xy, codes.labels, 10),
    }
    pixels = digits.values.reshape(COUNT, -1) / 255
    pca = PCA(2).fit(pixels)
    xy = pca.transform(pixels).astype(np.float32)
    expected = trustworthiness(pixels, xy, n_neighbors=10)
    assert raw["trustworthiness"] == pytest.approx(expected, abs=1e-4)
    assert raw["continuity"] == pytest.approx(trustworthiness(xy, pixels, n_neighbors=10), abs=1e-4)
    assert raw["knn_10"] == pytest.approx(knn_accuracy(xy, codes.labels, 10), abs=0.01)
    assert raw["explained_variance"] == pytest.approx(pca.explained_variance_ratio_)
    assert raw.keys() == {*figures, "explained_variance"} - {
        "method",
        "n",
        "fitted",
        "measured",
        "neighbors",
    }


def test_quality_of_pca_says_what_its_axes_show(codes: Codes, drawn: Callable[[str], Map]) -> None:
    figures = map_quality(drawn("pca"), codes)
    assert figures["explained_variance"] == list(drawn("pca").explained or ())
    assert "raw_pca" not in figures


def test_quality_of_few_samples_and_without_labels() -> None:
    codes = some(np.random.default_rng(0).normal(size=(8, 3)))
    figures = map_quality(fit_map(codes, "pca"), codes)
    assert figures["neighbors"] == 3
    assert figures["trustworthiness"] > 0.5
    assert figures["knn_1"] is figures["knn_10"] is None
    alone = some(np.ones((1, 3)), np.zeros(1, np.int64))
    figures = map_quality(fit_map(alone, "pca"), alone)
    assert figures["trustworthiness"] is figures["continuity"] is figures["knn_1"] is None


def test_quality_of_many_samples_is_measured_on_some() -> None:
    z = np.random.default_rng(0).normal(size=(MAX_MEASURED + 100, 2))
    codes = some(z, (z[:, 0] > 0).astype(np.int64))
    fitted_map = fit_map(codes, "code")
    figures = map_quality(fitted_map, codes, k=2)
    assert (figures["n"], figures["measured"]) == (MAX_MEASURED + 100, MAX_MEASURED)
    assert figures["trustworthiness"] == figures["continuity"] == 1
    assert figures["knn_1"] > 0.99


def test_quality_of_what_does_not_belong_together_is_refused(
    codes: Codes, digits: Samples, drawn: Callable[[str], Map], refused: Refused
) -> None:
    with refused(ModelError, "other codes"):
        map_quality(drawn("pca"), replace(codes, model_fingerprint="4567"))
    with refused(ModelError, "other codes"):
        map_quality(drawn("pca"), codes.take(np.arange(10)))
    with refused(ModelError, "other samples"):
        map_quality(drawn("pca"), codes, digits.take(shuffled(COUNT)))


def test_umap_warns_of_nothing_that_is_not_asked_for(codes: Codes) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_map(codes.take(np.arange(30)), "umap")
    assert [str(w.message) for w in caught if "umap" in w.filename] == []

"""New pictures in a browser: drawn from the mixture, decoded, above the nearest real sample."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isthmus import Session, load, write_studio
from isthmus.studio.columns import unpack
from isthmus.studio.content import Content
from studio.conftest import fit, once
from studio.exploring import differ, open_at, read_decoded, read_picture
from studio.serving import Studio, open_studio

Open = Callable[..., Studio]

COUNT = 12  # as at first
ITEMS = "#panel-generate .generated li"
DRAW = """async draws => {
    const [{drawCodes, readMixture}, {Store}] =
        await Promise.all([import("/mixture.js"), import("/store.js")]);
    const mixture = await readMixture(await Store.open());
    return draws.map(draw => Array.from(drawCodes(mixture, draw)));
}"""


@pytest.fixture(scope="module")
def run(runs: Path) -> Path:
    """Train on so many digits that each class has components of its own."""
    return once(fit_many, runs)


def fit_many(runs: Path) -> Path:
    return fit(load("digits", limit=900), "dense", runs / "many", epochs=2, code_size=4)


@pytest.fixture(scope="module")
def session(run: Path) -> Session:
    return Session(run)


def draw(page: Any, session: Session, *draws: dict[str, float]) -> list[NDArray[np.float32]]:
    """Return codes that the page draws."""
    usual = {"seed": 0, "temperature": 1, "count": COUNT, "category": -1}
    found = page.evaluate(DRAW, [usual | one for one in draws])
    size = session.model.code_size
    return [np.array(codes, np.float32).reshape(-1, size) for codes in found]


def shown(page: Any) -> list[NDArray[np.uint8]]:
    """Return the pictures that are shown, once they are there."""
    page.wait_for_selector(ITEMS)
    page.wait_for_timeout(300)
    places = range(1, page.locator(ITEMS).count() + 1)
    return [read_picture(page, f"{ITEMS}:nth-child({place}) .picture") for place in places]


def expect_decoded(
    pictures: list[NDArray[np.uint8]], session: Session, z: NDArray[np.float32]
) -> None:
    expected = session.model.decode(z)
    assert len(pictures) == len(expected)
    for picture, values in zip(pictures, expected, strict=True):
        assert differ(picture, values) <= 1


def test_the_page_is_given_the_mixture_of_the_session(session: Session) -> None:
    content, mixture = Content(session), session.mixture()
    content.finish()
    entry = content.manifest()["mixture"]
    np.testing.assert_array_equal(unpack(content.read(entry["means"])), mixture.means)
    factors = unpack(content.read(entry["factors"])).reshape(mixture.factors.shape)
    np.testing.assert_array_equal(factors, mixture.factors)
    assert entry["is_diagonal"] == (mixture.factors.ndim == 2)
    assert entry["weights"] == mixture.weights.tolist()
    assert [entry["names"][one] for one in entry["classes"]] == [
        mixture.class_names[one] for one in mixture.classes
    ]


def test_codes_are_distributed_as_the_mixture_says(
    page: Any, studio: Open, run: Path, session: Session
) -> None:
    open_at(page, studio(run))
    mixture = session.mixture()
    three = mixture.class_names.index("3")
    of_three = mixture.classes == three
    many: dict[str, float] = {"count": 4000, "seed": 5}
    everything, threes = draw(page, session, many, many | {"category": three})
    covariances = np.array([factor @ factor.T for factor in np.atleast_3d(mixture.factors)])
    for codes, among in ((everything, of_three | True), (threes, of_three)):
        weights = mixture.weights[among] / mixture.weights[among].sum()
        means = mixture.means[among]
        mean = weights @ means
        offsets = means - mean
        spread = np.einsum("k,kij->ij", weights, covariances[among])
        covariance = spread + (weights[:, None] * offsets).T @ offsets
        scale = np.sqrt(np.diag(covariance))
        assert np.abs((codes.mean(0) - mean) / scale).max() < 0.08  # five times its own deviation
        got = np.cov(codes.T) / np.outer(scale, scale)
        assert np.abs(got - covariance / np.outer(scale, scale)).max() < 0.15


def test_a_code_depends_on_its_seed_and_place(
    page: Any, studio: Open, run: Path, session: Session
) -> None:
    open_at(page, studio(run))
    few, more, other, mild, cold = draw(
        page, session, {}, {"count": 48}, {"seed": 1}, {"temperature": 0.5}, {"temperature": 0}
    )
    np.testing.assert_array_equal(few, more[:COUNT])
    assert not np.isin(other, few).any()
    np.testing.assert_allclose(cold - 2 * mild + few, 0, atol=1e-5)  # halfway to the mean
    assert {code.tobytes() for code in cold} <= {mean.tobytes() for mean in session.mixture().means}


def test_pictures_are_decoded_beside_the_nearest_training_sample(
    page: Any, studio: Open, run: Path, session: Session
) -> None:
    open_at(page, studio(run), panel="generate")
    (z,) = draw(page, session, {})
    expect_decoded(shown(page), session, z)
    train, codes = session.split.train, session.codes().z
    distances = np.linalg.norm(z[:, None] - codes[train], axis=2)
    for place, row in enumerate(train[distances.argmin(1)]):
        near = read_picture(page, f"{ITEMS}:nth-child({place + 1}) .thumbnail")
        np.testing.assert_array_equal(near, session.samples.values[row].repeat(3, -1))
    texts = page.locator(f"{ITEMS} span").all_inner_texts()
    np.testing.assert_allclose([float(text) for text in texts], distances.min(1), rtol=6e-3)
    page.locator(f"{ITEMS}:nth-child(3) .picture-button").first.click()
    assert differ(read_decoded(page), session.model.decode(z[2:3])[0]) <= 1
    page.locator(f"{ITEMS}:nth-child(3) .near").click()
    row = int(train[distances[2].argmin()])
    page.wait_for_function("row => location.hash.includes(`sample=${row}`)", arg=row)


def test_what_is_drawn_can_be_chosen_and_is_in_the_link(
    page: Any, studio: Open, run: Path, session: Session
) -> None:
    open_at(page, studio(run), panel="generate")
    panel = page.locator("#panel-generate")
    shown(page)
    panel.get_by_role("button", name="Draw others").click()
    panel.get_by_role("combobox", name="How many").select_option("24")
    panel.get_by_role("combobox", name="Generate only").select_option(label="7")
    panel.get_by_role("slider", name="Temperature").fill("0.6")
    page.wait_for_function("() => location.hash.includes('drawn=1,0.6,24,7')")
    choice: dict[str, float] = {"seed": 1, "temperature": 0.6, "count": 24, "category": 7}
    expect_decoded(shown(page), session, draw(page, session, choice)[0])
    page.evaluate("location.hash = 'panel=generate&drawn=-3,9,7,99'")  # nothing of it exists
    page.wait_for_function(f"() => document.querySelectorAll('{ITEMS}').length === {COUNT}")
    expect_decoded(shown(page), session, draw(page, session, {"temperature": 1.5})[0])


def test_a_page_without_a_server_draws_the_same(
    page: Any, studio: Open, run: Path, session: Session, tmp_path: Path
) -> None:
    open_at(page, studio(run))
    (z,) = draw(page, session, {"seed": 3})
    out = tmp_path / "many.html"
    write_studio(run, out)
    open_studio(page, f"{out.as_uri()}#panel=generate&drawn=3,1,12,-1")
    expect_decoded(shown(page), session, z)


def test_where_no_training_samples_are_shown_that_is_said(
    page: Any, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tested.html"
    write_studio(run, out, split="test")
    open_studio(page, f"{out.as_uri()}#panel=generate")
    shown(page)
    assert "are as near to a sample as" in page.locator("#panel-generate .hint").inner_text()


def test_what_decodes_nothing_generates_nothing(
    page: Any, studio: Open, classifier_run: Path
) -> None:
    open_studio(page, studio(classifier_run).link)
    assert page.get_by_role("tab", name="Generate").count() == 0

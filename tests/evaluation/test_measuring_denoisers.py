"""Denoisers are measured on whole images at their own size, compared with filters at their best."""

import io
import json
import re
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from isthmus import Run, Session, TrainingConfig, diagnose, evaluate, train
from isthmus.data.corruption import Corruption
from isthmus.data.images import Images, Ragged
from isthmus.data.items import Items
from isthmus.errors import IsthmusError, OptionError
from isthmus.evaluation.denoising import NoisyImages, filter_methods, measure, summarize, tune
from isthmus.evaluation.filters import FILTERS
from isthmus.evaluation.strengths import measured_strengths
from isthmus.reports.run import write_report
from test_cli import done, isthmus

SIGMA = 25 / 255
NOISE = Corruption.parse("gaussian-unclipped:25/255")


def draw(sides: list[tuple[int, int]], channels: int = 1) -> Images:
    """Return smooth images with edges; noise is told from such."""
    rng, images = np.random.default_rng(0), []
    for height, width in sides:
        down, right = np.mgrid[:height, :width]
        waves = np.sin(down / 9 + rng.uniform(0, 6)) + np.cos(right / 11) + (down > right)
        image = np.round(80 + 40 * waves).astype(np.uint8)
        images.append(np.repeat(image[..., None], channels, 2))
    return Images(Ragged.of(images), Items([f"{row}.png" for row in range(len(images))]))


def noisy(images: Images, noise: Corruption | None = NOISE) -> NoisyImages:
    return NoisyImages(images, noise, np.arange(len(images)), 0)


@pytest.fixture(scope="module")
def images() -> Images:
    return draw([(48 + row, 64 - row) for row in range(20)])


@pytest.fixture(scope="module")
def folder(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the same images as files."""
    folder = tmp_path_factory.mktemp("denoising")
    (folder / "photos").mkdir()
    for name, image in zip(images.names, images.values, strict=True):
        Image.fromarray(image[..., 0]).save(folder / "photos" / name)
    return folder


def trained(images: Images | Path, out: Path | None = None, **config: Any) -> Run:
    from isthmus.data.load_images import load_images

    source = load_images(images) if isinstance(images, Path) else images
    settings: dict[str, Any] = {"epochs": 1, "patch": 16, "batch_size": 64, **config}
    training = train(
        source,
        "dncnn",
        out=out,
        options={"depth": 3, "width": 4},
        config=TrainingConfig(**settings),
    )
    deque(training, 0)
    return training.run


@pytest.fixture(scope="module")
def run(folder: Path, session_cache: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CACHE", str(session_cache))
        return trained(folder / "photos", folder / "run", corrupt="gaussian:0..60/255").path


@pytest.fixture(scope="module")
def alone(images: Images) -> Run:
    return trained(images, no_clean=True)


# -- numbers ------------------------------------------------------------------------------------


def test_noise_of_one_strength_is_measured_as_it_is_and_a_range_at_several() -> None:
    def texts(corrupt: str) -> list[str]:
        return [str(one) for one in measured_strengths(Corruption.parse(corrupt))]

    assert texts("gaussian:0.1,jpeg:20") == ["gaussian:0.1,jpeg:20"]
    published = ["gaussian:15/255", "gaussian:25/255", "gaussian:50/255"]
    assert texts("gaussian:0..55/255") == texts("gaussian:15..50/255") == published
    assert texts("gaussian:0..0.1") == ["gaussian:0.025", "gaussian:0.0625", "gaussian:0.1"]
    assert texts("jpeg:10..31") == ["jpeg:10", "jpeg:20", "jpeg:31"]


def test_each_image_has_one_psnr_of_what_is_clipped_and_not_rounded(images: Images) -> None:
    def brighten(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return x + np.float32(0.3)

    scores, rows = measure(noisy(images), {"bright": brighten}, ""), noisy(images)
    for row in (0, 7, 19):
        x, clean = rows.pair(row)
        assert x.shape == (1, 48 + row, 64 - row)
        expected = -10 * np.log10(np.square((x + 0.3).clip(0, 1) - clean).mean())
        assert scores["bright"]["psnr"][row] == pytest.approx(expected, abs=1e-3)
    # The noisy images themselves, whose noise is not clipped, have the PSNR of its deviation.
    assert summarize(scores["noisy"])["psnr"] == pytest.approx(-20 * np.log10(SIGMA), abs=0.1)


def test_noise_follows_from_seed_and_index_and_not_from_the_other_images(images: Images) -> None:
    rows = np.array([3, 11])
    some, others = noisy(images).take(rows), replace(noisy(images), seed=1)
    np.testing.assert_array_equal(some.pair(1)[0], noisy(images).pair(11)[0])
    assert not np.array_equal(some.pair(1)[0], others.pair(11)[0])


def test_small_images_have_no_ssim_and_one_image_no_error() -> None:
    summary = summarize(measure(noisy(draw([(5, 9)])), {}, "")["noisy"])
    assert summary["ssim"] is summary["ssim_error"] is summary["psnr_error"] is None
    assert summary["psnr"] is not None


@pytest.mark.parametrize("channels", [1, 3])
def test_tuned_filters_are_better_than_untuned_ones(channels: int) -> None:
    images = noisy(draw([(50, 60), (64, 41)], channels))
    chosen = tune(images)
    assert set(chosen) == {"nlm", "tv"}
    assert all(chosen[name] in FILTERS[name].strengths for name in chosen)
    best = measure(images, filter_methods(SIGMA, chosen), "")
    usual = measure(images, filter_methods(SIGMA), "")
    for name in chosen:
        assert best[name]["psnr"].mean() >= usual[name]["psnr"].mean() - 1e-6


def test_filters_take_images_of_one_pixel() -> None:
    scores = measure(noisy(draw([(1, 1), (1, 30), (40, 2)])), filter_methods(SIGMA), "")
    assert all(np.isfinite(one["psnr"]).all() for one in scores.values())


# -- evaluation ---------------------------------------------------------------------------------


def test_a_range_is_measured_at_three_strengths_and_kept(run: Path, cache: Path) -> None:
    result = evaluate(Run.open(run))
    assert [level["corrupt"] for level in result["levels"]] == [
        "gaussian:15/255",
        "gaussian:25/255",
        "gaussian:50/255",
    ]
    for level in result["levels"]:
        assert set(level["baselines"]) == set(FILTERS)
        rows = [level["test"], level["noisy"], *level["baselines"].values()]
        assert all(0 < row["psnr"] < 60 and row["psnr_error"] > 0 for row in rows)
        behind = level["test"]["psnr"] - level["baselines"]["nlm"]["psnr"]
        assert level["baselines"]["nlm"]["behind"] == pytest.approx(behind)
        assert level["worst"][0]["psnr"] - level["worst"][0]["noisy"] <= (
            level["best"][0]["psnr"] - level["best"][0]["noisy"]
        )
    noise = [level["noisy"]["psnr"] for level in result["levels"]]
    assert noise == sorted(noise, reverse=True)
    assert result["noise"]["corrupt"] == "gaussian:25/255"
    assert result["test"]["psnr"] == result["levels"][1]["test"]["psnr"]
    # What is kept is returned, and only of the run's own noise.
    file = run / "evaluation.json"
    content = json.loads(file.read_bytes())
    assert content["result"]["test"] == result["test"]
    before = file.read_bytes()
    other = evaluate(Run.open(run), corrupt="gaussian:5/255")
    assert [level["corrupt"] for level in other["levels"]] == ["gaussian:5/255"]
    assert file.read_bytes() == before


def test_the_command_prints_a_table_and_a_verdict(run: Path, folder: Path) -> None:
    printed = " ".join(done("evaluate", run).out.split())
    for text in ("2 test images", "noise gaussian:50/255", "filter: non-local means", "PSNR, dB"):
        assert text in printed
    assert re.search(r"\d\.\d\d ± \d\.\d\d dB (above|below) .* at gaussian:15/255", printed)
    result = json.loads(done("evaluate", run, "--corrupt", "poisson:0.1", "--json").out)
    assert result["levels"][0]["corrupt"] == "poisson:0.1"
    answer = isthmus("evaluate", run, folder / "photos", "--limit", 5)
    assert answer.code == 2
    assert "leave the source out" in answer.err


def as_pairs(images: Images) -> Images:
    rows = noisy(images)
    values = [np.round(255 * rows.pair(row)[0][0].clip(0, 1)) for row in range(len(images))]
    pixels = Ragged.of([value.astype(np.uint8)[..., None] for value in values])
    return replace(images, values=pixels, clean=images.values)


@pytest.fixture(scope="module")
def paired(images: Images) -> Run:
    return trained(as_pairs(images))


def test_pairs_are_measured_as_they_are(paired: Run) -> None:
    result = evaluate(paired)
    assert [level["corrupt"] for level in result["levels"]] == [None]
    assert 19 < result["noisy"]["psnr"] < 21.5
    with pytest.raises(OptionError, match="leave corrupt out"):
        evaluate(paired, corrupt="gaussian:0.1")


def test_filters_are_tuned_for_the_noise_that_is_measured(
    paired: Run, run: Path, folder: Path, images: Images
) -> None:
    # With noise on clean images, filters are tuned on clean ones of the run too, not on its noise.
    others = draw([(50, 60), (64, 41), (47, 52)])
    measured = evaluate(paired, others, corrupt="gaussian-unclipped:25/255")
    chosen = measured["levels"][0]["baselines"]
    rows = paired.split().validation
    best = tune(replace(noisy(images.take(rows)), indices=rows))
    assert {name: chosen[name]["strength"] for name in best} == best
    # There are no pairs to tune on, where a run adds its noise itself.
    pairs = as_pairs(others)
    level = evaluate(Run.open(run), pairs)["levels"][0]
    assert "strength" not in level["baselines"]["nlm"]
    for kind, part in (("noisy", pairs.values), ("clean", others.values)):
        (folder / "pairs" / kind).mkdir(parents=True)
        for name, image in zip(others.names, part, strict=True):
            Image.fromarray(image[..., 0]).save(folder / "pairs" / kind / name)
    printed = " ".join(done("evaluate", run, folder / "pairs").out.split())
    assert "filters is their usual one, and they estimate the noise of each image" in printed


def test_a_single_test_image_is_shown_once_and_called_so(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for row, image in enumerate(draw([(20, 30)] * 3).values):
        Image.fromarray(image[..., 0]).save(tmp_path / f"photos/{row}.png")
    one = trained(tmp_path / "photos", tmp_path / "one", corrupt="gaussian:0.1")
    assert done("evaluate", one.path).out.startswith("1 test image\n")
    done("report", one.path, "--out", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "1 test image that was used neither" in text
    assert text.count("A test image with noise") == 1


def test_without_clean_images_nothing_is_invented(alone: Run, images: Images) -> None:
    result = evaluate(alone)
    assert result["levels"] == []
    assert "psnr" not in result["test"]
    assert result["test"]["removed"] > 0
    with pytest.raises(OptionError, match="noisy already"):
        evaluate(alone, corrupt="gaussian:0.1")
    others = draw([(30, 40), (41, 20)])
    with pytest.raises(OptionError, match="say with --corrupt"):
        evaluate(alone, others)
    measured = evaluate(alone, others, corrupt="gaussian:0.1")
    assert measured["test"]["n"] == 2
    assert measured["levels"][0]["baselines"]["nlm"]["psnr"] > 0


def test_other_models_are_measured_as_they_were_trained(run: Path) -> None:
    training = train(
        draw_samples(), "linear", code_size=2, config=TrainingConfig(epochs=1, corrupt=None)
    )
    deque(training, 0)
    with pytest.raises(OptionError, match="an autoencoder and is measured as it was trained"):
        evaluate(training.run, corrupt="gaussian:0.1")
    with pytest.raises(OptionError, match="without a plain run"):
        evaluate(Run.open(run), plain=training.run)


def draw_samples() -> Any:
    from isthmus import load

    return load("digits", limit=60)


# -- the doctor, pages and cards ----------------------------------------------------------------


def test_the_doctor_compares_with_filters(run: Path, alone: Run) -> None:
    (finding,) = diagnose(run).findings
    assert finding.code in ("no-better-than-filter", "no-better-than-noise")
    epochs = re.search(r"--epochs (\d+)", finding.advice)
    assert epochs is None or int(epochs[1]) < 1000
    assert any("Without clean images" in text for text in diagnose(alone).unexamined)


def test_the_report_of_a_run_on_arrays_takes_their_images(
    alone: Run, images: Images, tmp_path: Path
) -> None:
    alone.save(tmp_path / "run")
    # As another process opens it, that has the images too.
    page = write_report(Run.open(tmp_path / "run"), images, out=tmp_path / "page.html")
    assert "their noise counts in the loss" in page.read_text(encoding="utf-8")


def test_the_doctor_measures_by_clean_images_that_the_training_has_not_seen(images: Images) -> None:
    blind = trained(images, no_clean=True, corrupt="gaussian:25/255")
    found = diagnose(blind)
    assert [finding.code for finding in found.findings] == ["no-better-than-noise"]
    assert not any("Without clean images" in text for text in found.unexamined)


def test_the_report_shows_images_pixel_by_pixel(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done("report", run, "--out", page)
    text = page.read_text(encoding="utf-8")
    assert "gaussian:50/255" in text
    assert "filter: total variation" in text or "filter: least total variation" in text
    assert text.count("data:image/png") >= 6  # two images at three strengths


def test_the_card_says_what_it_is(run: Path, tmp_path: Path) -> None:
    done("card", run, "--out", tmp_path / "card")
    card = (tmp_path / "card/README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: image-to-image" in card
    assert "noise gaussian:15/255" in card
    assert "codes" not in card.partition("## Limits")[0]
    picture = Image.open(io.BytesIO((tmp_path / "card/images/denoised-1.png").read_bytes()))
    assert picture.width <= 1000


def test_denoisers_are_compared_with_each_other(run: Path, folder: Path, tmp_path: Path) -> None:
    other = trained(folder / "photos", tmp_path / "other", corrupt="gaussian:0.1").path
    shown = done("compare", run, other, "--out", tmp_path / "page.html").out
    assert re.search(r"side of a patch +\d+ +\d+\n", shown)
    assert re.search(r"trained on +clean images +clean images\n", shown)
    assert "code size" not in shown  # there is no code
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "PSNR of the best filter" in text
    assert "Denoised images" in text


@pytest.mark.parametrize(
    "command",
    [
        ("map",),
        ("index",),
        ("search", "0.png"),
        ("encode", "photos"),
        ("morph", "photos/0.png", "photos/1.png"),
        ("activations", "photos/0.png"),
        ("predict", "photos"),
        ("reconstruct", "photos"),
        ("generate",),
        ("outliers",),
        ("mislabelled",),
        ("duplicates",),
        ("studio", "--export"),
        ("studio", "--no-browser"),
    ],
    ids=" ".join,
)
def test_what_needs_codes_says_so(
    command: tuple[str, ...], run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    name, *arguments = command
    more = [folder / "page.html"] if "--export" in arguments else []
    answer = isthmus(name, run, *arguments, *more)
    assert answer.code == 2
    assert re.match(r"isthmus: (\S+/run|this model, dncnn,) is a denoiser", answer.err)
    assert not answer.out  # such as the link of a page that nobody can open
    assert "Traceback" not in answer.err


def test_a_session_has_its_images_and_no_codes(run: Path, images: Images) -> None:
    session = Session(run)
    assert len(session.images) == len(images)
    for call in (
        lambda: session.samples,
        lambda: session.codes(),
        lambda: session.index,
        lambda: session.search("0.png"),
        lambda: session.interpolate(["0.png", "1.png"]),
        lambda: session.outliers(),
        lambda: session.duplicates(),
        lambda: session.read("photos"),
    ):
        with pytest.raises(IsthmusError, match="is a denoiser"):
            call()

"""Style banks: trained in turn, kept whole in their runs, and photographs painted by them."""

import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from isthmus import (
    Run,
    Samples,
    Session,
    Styles,
    load,
    load_styles,
    resume,
    stylize,
    stylize_values,
    train,
)
from isthmus.cli.app import app
from isthmus.data.random import StepRng
from isthmus.errors import InputError, IsthmusError, ModelError, OptionError, RunError, SourceError
from isthmus.evaluation.evaluate import evaluate
from isthmus.exporting.export import export
from isthmus.inference.trained import TrainedModel
from isthmus.models.config import build_model
from isthmus.models.perceptual import Features
from isthmus.models.stylebank import StyleBank, one_style
from isthmus.styling import strips
from isthmus.styling.shares import parse_mix
from isthmus.training.config import TrainingConfig
from isthmus.training.objective import Moment
from isthmus.training.objectives import make_objective
from isthmus.training.style_objective import StyleObjective
from isthmus.training.styles import StyleSettings

Refused = Callable[..., AbstractContextManager[None]]
Pixels = NDArray[np.uint8]
SIDE = 24


def stripes(step: int, color: tuple[int, int, int], side: int = 48) -> Pixels:
    bright = (np.arange(side) // step % 2 == 0)[:, None, None]
    return np.where(bright, np.array(color), 255 - np.array(color)).repeat(side, 1).astype(np.uint8)


PICTURES = {"fine": stripes(2, (200, 30, 30)), "wide": stripes(8, (20, 60, 160))}


def photos(count: int, side: int = SIDE) -> Samples:
    """Return blobs of colors, of which no two are alike."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    large = [np.asarray(Image.fromarray(one).resize((side, side))) for one in coarse]
    return load(np.stack(large))


def config(**settings: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 2, "batch_size": 4, "precision": "32", **settings})


@pytest.fixture(scope="module")
def samples() -> Samples:
    return photos(40)


@pytest.fixture(scope="module")
def run(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Give the run of a style bank of two styles."""
    out = tmp_path_factory.mktemp("runs") / "bank"
    training = train(samples, styles=Styles(PICTURES), out=out, options={"width": 8}, code_size=56,
                     config=config())  # fmt: skip
    list(training)
    return training.run


@pytest.fixture(scope="module")
def bank(run: Run) -> TrainedModel:
    return run.model()


@pytest.fixture
def photo() -> Pixels:
    picture: Pixels = photos(1, 64).values[0]
    return picture


def weights(model: TrainedModel, part: str) -> dict[str, torch.Tensor]:
    return {name: one for name, one in model.module.state_dict().items() if name.startswith(part)}


def command(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(one) for one in arguments])


# -- the model ------------------------------------------------------------------------------


def test_images_of_any_sides_pass_and_keep_them() -> None:
    module = build_model("stylebank", (3, 16, 16), style_names=("a", "b"))
    assert isinstance(module, StyleBank)
    for sides in ((16, 16), (1, 1), (5, 37), (64, 12)):
        x = torch.rand(2, 3, *sides)
        assert module(x).shape == module(x, one_style(torch.tensor([0, 1]), 2)).shape == x.shape


def test_the_first_weights_return_an_image_nearly_as_it_is() -> None:
    torch.manual_seed(0)
    module = build_model("stylebank", (3, 32, 32), style_names=("a",))
    x = torch.rand(2, 3, 32, 32)
    assert (module(x) - x).abs().mean() < 0.12  # of noise alone, 0.33


def test_a_code_that_is_the_same_everywhere_is_painted_without_a_grid() -> None:
    torch.manual_seed(0)
    module = build_model("stylebank", (3, 32, 32), style_names=("a",))
    assert isinstance(module, StyleBank)
    code = torch.randn(1, 96, 1, 1)
    code[:, :48] = 0.5  # pixels, of a gray photograph
    image = module.from_maps(code.expand(1, 96, 8, 8), (32, 32))
    torch.testing.assert_close(image, image[..., :1, :1].expand_as(image), rtol=1e-4, atol=1e-4)


def test_a_code_without_room_behind_the_pixels_is_refused(refused: Refused) -> None:
    with refused(OptionError, "above 48", "not 32"):
        build_model("stylebank", (3, 16, 16), 32, style_names=("a",))


def test_an_image_gets_the_style_that_its_shares_say() -> None:
    module = build_model("stylebank", (3, 16, 16), style_names=("a", "b", "c"))
    x = torch.rand(1, 3, 16, 16)
    alone = [module(x, one_style(torch.tensor([style]), 3)) for style in range(3)]
    together = module(x.expand(3, -1, -1, -1), one_style(torch.arange(3), 3))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one[0], other, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module(x, torch.zeros(1, 3)), module(x))


def test_gray_images_and_missing_styles_are_refused(samples: Samples, refused: Refused) -> None:
    with refused(OptionError, "convert the images to RGB"):
        build_model("stylebank", (1, 16, 16), style_names=("a",))
    with refused(OptionError, "isthmus style train"):
        train(samples, "stylebank")
    with refused(OptionError, "conv is an autoencoder and has no styles"):
        train(samples, "conv", styles=Styles(PICTURES))


# -- training -------------------------------------------------------------------------------


def test_the_autoencoder_alone_rebuilds_the_content(run: Run) -> None:
    measured = evaluate(run)
    assert measured["test"]["psnr"] > 20  # the mean of all photographs has 11
    last = run.history()[-1]
    assert {"validation_content", "validation_style", "validation_rebuild"} <= last.keys()


def test_of_five_steps_one_rebuilds_and_four_paint(run: Run) -> None:
    objective = make_objective("stylebank", run)
    x = torch.rand(4, 3, SIDE, SIDE)
    painted: list[torch.Tensor | None] = []

    def forward(x: torch.Tensor, shares: torch.Tensor | None = None) -> torch.Tensor:
        painted.append(shares)
        return x

    for step in range(10):
        moment = Moment(step, 10, True, partial(StepRng, 0, 0, step, len(x)))
        outcome = objective(forward, x, x, moment)
        assert outcome.loss.isfinite()
    assert [shares is None for shares in painted] == [True, False, False, False, False] * 2
    for shares in painted:  # each image has one style
        assert shares is None or shares.sum(1).tolist() == [1] * len(x)


class OnOneDevice(nn.Module):
    """Passes images on, if they are where its weight is."""

    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return x (N, 3, H, W) as the only map."""
        assert x.device == self.scale.device
        return [x * self.scale]


def test_features_are_moved_to_the_device_of_the_first_batch() -> None:
    features = Features(OnOneDevice(), ["map"], ["map"], ["map"], 1)
    objective = StyleObjective(features, PICTURES, StyleSettings(), "identity")
    x = torch.zeros(2, 3, 8, 8, device="meta")
    moment = Moment(1, 6, True, partial(StepRng, 0, 0, 1, len(x)))
    assert objective(lambda x, shares: x, x, x, moment).loss.device == x.device


def test_a_resumed_run_has_the_same_weights_to_the_bit(
    samples: Samples, run: Run, tmp_path: Path
) -> None:
    training = train(samples, styles=Styles(PICTURES), out=tmp_path / "b", options={"width": 8},
                     code_size=56, config=config())  # fmt: skip
    for progress in training:
        if progress.validation_loss is not None:
            break
    training.close()
    list(resume(tmp_path / "b", samples))
    again = Run.open(tmp_path / "b").model()
    assert again.fingerprint == run.model().fingerprint


def test_a_run_holds_the_pictures_of_its_styles(run: Run, tmp_path: Path, refused: Refused) -> None:
    copy = run.save(tmp_path / "copy")
    pictures, features = copy.styles()
    assert list(pictures) == ["fine", "wide"]
    np.testing.assert_array_equal(pictures["wide"], PICTURES["wide"])
    assert features.fingerprint == run.styles()[1].fingerprint
    others = io.BytesIO()
    np.savez(others, **{"0": PICTURES["wide"], "1": PICTURES["fine"]})  # type: ignore[arg-type]
    (tmp_path / "copy" / "styles.npz").write_bytes(others.getvalue())
    with refused(RunError, "styles.npz is damaged"):
        Run.open(tmp_path / "copy").styles()


def test_features_of_a_classifier_are_kept_in_the_run(samples: Samples, tmp_path: Path) -> None:
    labeled = load("digits", channels=3, limit=60)
    list(train(labeled, "cnn-tiny", out=tmp_path / "cnn", config=config(epochs=1, batch_size=16)))
    styles = Styles(PICTURES, features=tmp_path / "cnn")
    training = train(samples, styles=styles, out=tmp_path / "bank", options={"width": 8},
                     code_size=56, config=config(epochs=1))  # fmt: skip
    list(training)
    (tmp_path / "cnn" / "model.safetensors").unlink()
    run = Run.open(tmp_path / "bank")
    assert run.record.styles is not None
    assert run.record.styles.features == "classifier"
    assert run.styles()[1].names[0] == "stage1"


def test_an_added_style_changes_nothing_else(
    samples: Samples, run: Run, bank: TrainedModel, photo: Pixels, refused: Refused
) -> None:
    new = {"dots": stripes(4, (10, 200, 90))}
    training = train(samples, start=run, styles=Styles(new), config=config(epochs=1))
    list(training)
    grown = training.run.model()
    assert grown.config.style_names == ("fine", "wide", "dots")
    for name, value in bank.module.state_dict().items():
        torch.testing.assert_close(grown.module.state_dict()[name], value, rtol=0, atol=0)
    untrained = [one.clone() for one in weights(grown, "bank.2").values()]
    assert untrained
    for name in ("fine", "wide"):
        before, after = (stylize_values(model, [photo], name)[0] for model in (bank, grown))
        np.testing.assert_array_equal(before, after)
    with refused(OptionError, "has a style called wide already"):
        train(samples, start=run, styles=Styles({"wide": PICTURES["wide"]}))


# -- painting -------------------------------------------------------------------------------


def test_a_strength_of_zero_gives_the_photograph_back(bank: TrainedModel, photo: Pixels) -> None:
    for side in (None, 16):
        [painted] = stylize_values(bank, [photo], "fine", strength=0, side=side)
        np.testing.assert_array_equal(painted, photo)


def test_the_stronger_the_further_from_the_photograph(bank: TrainedModel, photo: Pixels) -> None:
    painted = [
        stylize_values(bank, [photo], "fine", strength=strength)[0]
        for strength in (0, 0.01, 0.5, 1)
    ]
    distances = [float(np.square(one - photo.astype(float)).mean()) for one in painted]
    assert distances == sorted(distances)
    assert distances[1] < 0.05 * distances[3]


def test_styles_differ_and_a_mix_is_between_them(bank: TrainedModel, photo: Pixels) -> None:
    fine, wide = (stylize_values(bank, [photo], one)[0].astype(float) for one in ("fine", "wide"))
    [mixed] = stylize_values(bank, [photo], mix={"fine": 1, "wide": 1})
    apart = np.square(fine - wide).mean()
    assert apart > 1
    assert np.square(mixed - fine).mean() < apart > np.square(mixed - wide).mean()


def test_large_pictures_in_strips_are_painted_as_a_whole(
    bank: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = photos(1, 402).values[0][:, :30]
    [whole] = stylize_values(bank, [large], "wide", strength=0.6)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 1)
    [parts] = stylize_values(bank, [large], "wide", strength=0.6)
    assert np.abs(whole.astype(int) - parts).max() <= 1
    assert (whole == parts).mean() > 0.99


def test_files_keep_names_sizes_and_transparency(bank: TrainedModel, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    (source / "deep").mkdir(parents=True)
    Image.fromarray(photos(1, 33).values[0]).save(source / "a.jpg")
    clear = Image.fromarray(photos(1, 20).values[0]).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((20, 20)))
    clear.save(source / "deep" / "b.png")
    (source / "notes.txt").write_text("of no use")
    done = stylize(bank, source, tmp_path / "out", "wide", strength=0.8)
    assert [(one.reason, one.examples) for one in done.left_out] == [(".txt", ("notes.txt",))]
    assert (done.count, done.shares) == (2, {"wide": 0.8})
    with Image.open(tmp_path / "out" / "a.jpg") as picture:
        assert picture.size == (33, 33)
    with Image.open(tmp_path / "out" / "deep" / "b.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture)[..., 3], np.asarray(clear)[..., 3])
    assert not (tmp_path / "out" / ".isthmus-style.jsonl").exists()


def test_a_gray_photograph_is_painted_too(bank: TrainedModel, tmp_path: Path) -> None:
    gray = photos(1, 20).values[0][..., :1]
    [painted] = stylize_values(bank, [gray], "fine")
    assert painted.shape == (20, 20, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"style": "fin"}, "there is no style 'fin'"),
        ({}, "choose a style of fine, wide"),
        ({"style": "fine", "strength": 1.5}, "strength must be from 0 to 1"),
        ({"style": "fine", "strength": float("nan")}, "strength must be from 0 to 1"),
        ({"style": "fine", "mix": {"wide": 1.0}}, "not both"),
        ({"mix": {"fine": 0.0}}, "all shares of the mix are 0"),
        ({"mix": {"fine": -1.0}}, "the share of fine must be at least 0"),
        ({"style": "fine", "side": 2}, "side must be at least 8"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    bank: TrainedModel, tmp_path: Path, refused: Refused, options: dict[str, Any], words: str
) -> None:
    Image.fromarray(photos(1, 20).values[0]).save(tmp_path / "a.png")
    with refused(OptionError, words):
        stylize(bank, tmp_path / "a.png", tmp_path / "out.png", **options)
    assert not (tmp_path / "out.png").exists()


def test_other_models_cannot_paint(samples: Samples, refused: Refused) -> None:
    training = train(samples, "dense", config=config(epochs=1))
    list(training)
    with refused(ModelError, "this needs a style bank"):
        stylize_values(training.run.model(), samples.values)


def test_a_mix_is_parsed(refused: Refused) -> None:
    assert parse_mix("ink:0.3, oil:0.7") == {"ink": 0.3, "oil": 0.7}
    for text in ("ink", "ink:much", ":0.5", "ink:nan", "ink:1,ink:2"):
        with refused(OptionError, "ink" if "ink" in text else "style"):
            parse_mix(text)


# -- pictures of styles ---------------------------------------------------------------------


def test_styles_are_named_by_their_files(tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "styles"
    folder.mkdir()
    Image.fromarray(stripes(8, (10, 20, 30), 100)).save(folder / "Night.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    styles = load_styles(folder, side=40)
    assert styles.names == ("Night",)
    assert styles.pictures["Night"].shape == (40, 40, 3)
    assert [name for name, _ in styles.skipped] == ["broken.jpg"]
    Image.fromarray(stripes(8, (10, 20, 30), 100)).save(folder / "Night.jpg")
    with refused(OptionError, "would both be the style Night"):
        load_styles(folder)
    with refused(SourceError, "there is no data set and no file"):
        load_styles(tmp_path / "nothing")
    with refused(OptionError, "sides of at least 32"):
        Styles({"tiny": PICTURES["fine"][:8]})
    with refused(OptionError, "the weight of style must be above 0"):
        StyleSettings(style=0)


# -- commands and reports -------------------------------------------------------------------


def test_the_commands_train_add_and_apply(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number, one in enumerate(photos(20).values):
        Image.fromarray(one).save(tmp_path / "photos" / f"{number}.png")
    for name, picture in {**PICTURES, "new": stripes(4, (9, 99, 9))}.items():
        (tmp_path / ("more" if name == "new" else "styles")).mkdir(exist_ok=True)
        place = tmp_path / ("more" if name == "new" else "styles") / f"{name}.png"
        Image.fromarray(picture).save(place)
    run, grown, out = tmp_path / "bank", tmp_path / "grown", tmp_path / "painted.png"
    train_args = ("--size", SIDE, "--epochs", 1, "--out", run, "--json")
    places = tmp_path / "photos", "--styles", tmp_path / "styles"
    done = command("style", "train", *places, *train_args)
    assert done.exit_code == 0, done.output
    done = command("style", "add", run, tmp_path / "more", "--epochs", 1, "--out", grown)
    assert done.exit_code == 0, done.output
    done = command(
        "style", "apply", grown, tmp_path / "photos" / "0.png", "--mix", "fine:1,new:3",
        "--strength", 0.5, "--out", out, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["shares"] == {"fine": 0.125, "new": 0.375}
    assert out.exists()
    with pytest.raises(IsthmusError, match="is a run already"):
        CliRunner().invoke(
            app, ["style", "add", str(run), str(tmp_path / "more"), "--out", str(grown)],
            catch_exceptions=False,
        )  # fmt: skip


def test_the_report_shows_styles_strengths_and_losses(run: Run) -> None:
    from isthmus.reports.run import write_report

    page = write_report(run).read_text(encoding="utf-8")
    for words in ("Photographs in all styles", "Strengths", "Mixes", "fine", "wide", "rebuilt"):
        assert words in page
    styles = evaluate(run)["styles"]
    assert list(styles) == ["fine", "wide"]
    assert all(losses["content"] >= 0 for losses in styles.values())
    assert not Session(run).has_seen_labels  # it is trained without any, unlike a classifier


def test_an_exported_file_paints_in_all_styles(
    run: Run, bank: TrainedModel, tmp_path: Path
) -> None:
    ort = pytest.importorskip("onnxruntime")
    done = export(run, tmp_path / "bank.onnx")
    assert done["checked"]["max_difference"] < 1e-4
    session = ort.InferenceSession(str(tmp_path / "bank.onnx"), providers=["CPUExecutionProvider"])
    values = run.samples().values[:3]
    paintings = session.run(["paintings"], {"samples": values})[0]
    assert paintings.shape == (3, 2, SIDE, SIDE, 3)
    for number, name in enumerate(bank.config.style_names):
        painted = stylize_values(bank, values, name)
        assert np.abs(paintings[:, number].astype(int) - np.stack(painted)).max() <= 1


def test_what_is_no_picture_is_not_painted(
    bank: TrainedModel, photo: Pixels, refused: Refused
) -> None:
    for wrong in (photo.astype(np.float32), photo[..., 0], photo[:0], "photo.png"):
        with refused(InputError, "picture 1"):
            stylize_values(bank, [photo, wrong], "fine")  # type: ignore[list-item]

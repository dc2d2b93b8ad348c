"""Exported files answer as the model does, in other programs; those that would not are refused."""

import json
import logging
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from isthmus import (
    MODELS,
    Codes,
    IsthmusError,
    Items,
    Preprocessing,
    Run,
    Samples,
    TrainedModel,
    TrainingConfig,
    configure,
    encode,
    export,
    load,
    load_model,
    train,
)
from isthmus.errors import InterruptionError, ModelError, OptionError
from isthmus.exporting.agreement import batch_sizes
from isthmus.exporting.precision import to_int8
from isthmus.fields import from_json
from isthmus.files import fingerprint
from isthmus.inference.contract import Part
from isthmus.inference.conversion import cut_part, to_onnx, to_program
from isthmus.metrics import psnr
from isthmus.models.layers import channels_last
from sharing import make_once
from test_cli import done, isthmus

Refused = Callable[..., AbstractContextManager[None]]
Exported = Callable[..., tuple[Path, dict[str, Any]]]

# Smaller than the rows' own, so that 20 models are exported within a minute; and of sides that have
# to be padded and cropped.
SHAPES = {
    "conv": (2, 17, 22),
    "conv1d": (2, 100),
    "conv-pool": (3, 22, 27),
    "conv-bn-2d": (1, 11, 18),
    "conv-transpose": (3, 17, 20),
    "cnn-autoencoder": (3, 17, 20),
    "cnn": (3, 17, 20),
    "cnn-small": (1, 14, 15),
    "alexnet": (3, 32, 32),
    "fcn8s": (3, 20, 40),
    "fcn16s": (3, 32, 32),
    "fcn32s": (3, 32, 32),
}
OPTIONS = {
    "alexnet": {"width": 0.1},
    "fcn8s": {"width": 0.05},
    "fcn16s": {"width": 0.05, "batch_norm": False},
    "fcn32s": {"width": 0.05},
}
BATCHES = (1, 7, 256)
OUTPUTS: dict[Part, str] = {"encoder": "code", "decoder": "reconstruction"}
PARTS = [
    (name, part)
    for name, row in MODELS.items()
    for part in OUTPUTS
    # Those of a style bank and of denoisers have tests of their own.
    if row.task not in ("stylize", "denoise") and (part != "decoder" or row.task == "reconstruct")
]
# One of each kind of model is also exported part by part, from beginning to end. Of others a part
# is compared as a program of torch, and as ONNX cut from the whole: converting takes most of the
# time, and what it converts is the same.
EXPORTED_PARTS = ("conv-pool", "dense-vae", "cnn-small", "encoder1d", "fcn16s")
# For tests of what an export does with a program that others convert and compare.
kept_conversions = pytest.mark.usefixtures("kept_conversions")


# -- models and samples -----------------------------------------------------------------------


@cache
def real_values(shape: tuple[int, ...], count: int = 256) -> NDArray[Any]:
    """Return handwritten digits, parts of photographs, or rows of digits as signals."""
    channels, *sides = shape
    digits = load("digits").values[..., 0]
    if len(sides) == 1:
        rows = digits.reshape(-1)[: count * sides[0] * channels].astype(np.float32)
        return rows.reshape(count, sides[0], channels)
    if channels == 1:
        pictures = [Image.fromarray(digit) for digit in digits[:count]]
    else:
        whole = [Image.fromarray(image) for image in load_sample_images().images]
        corners = [(7 * i % 500, 5 * i % 300) for i in range(count)]
        pictures = [
            whole[i % 2].crop((left, top, left + 120, top + 120))
            for i, (left, top) in enumerate(corners)
        ]
    resized = [np.asarray(picture.resize((sides[1], sides[0]))) for picture in pictures]
    values = np.stack(resized).reshape(count, *sides, -1)
    return np.ascontiguousarray(values[..., np.arange(channels) % values.shape[-1]])


@cache
def make_model(name: str, shape: tuple[int, ...] | None = None) -> TrainedModel:
    """Return a model with random weights and the batch statistics of real samples."""
    row = MODELS[name]
    sides = SHAPES.get(name, row.shape) if shape is None else shape
    classes = ("sky", "road", "tree") if row.classes else ()
    code_size = 16 if name in ("alexnet", "fcn8s", "fcn16s", "fcn32s") else None
    torch.manual_seed(0)
    styles = row.style_names[:2]
    config = configure(
        name, sides, code_size, class_names=classes, style_names=styles, options=OPTIONS.get(name)
    )
    module = config.build()
    preprocessing = Preprocessing()
    if len(sides) == 2:
        preprocessing = preprocessing.with_range(-3.0, 20.0)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():  # such as the scores of a segmenter, which start at zero
                parameter.normal_(std=0.3)
        module.train()
        module(preprocessing.to_input(torch.from_numpy(real_values(sides)[:32])))
    return TrainedModel(config, preprocessing, channels_last(module).eval())


@pytest.fixture(scope="module")
def digits_run(shared: Path) -> Run:
    return train_digits(shared, "conv-pool", code_size=16)


@pytest.fixture(scope="module")
def classes_run(shared: Path) -> Run:
    return train_digits(shared, "cnn-tiny")


@pytest.fixture(scope="module")
def exported(shared: Path) -> Exported:
    """Give a function that exports a run, once for each choice."""

    def export_run(
        run: Run, kind: str = "onnx", part: str = "whole", precision: str = "32"
    ) -> tuple[Path, dict[str, Any]]:
        file = shared / f"{run.path.name}-{part}-{precision}.{kind}"
        return export_once(file, run.path, part=part, precision=precision, format=kind)

    return export_run


def export_once(file: Path, model: Any, **choices: Any) -> tuple[Path, dict[str, Any]]:
    """Export to a file that no test changes, unless it is there; return it, and what is said."""
    said = make_once(file.parent, file.name, lambda: json.dumps(export(model, file, **choices)))
    return file, json.loads(said)


def export_whole(name: str, shared: Path) -> tuple[Path, dict[str, Any]]:
    """Export what `make_model` makes, once."""
    model = make_model(name)
    samples = real_values(model.config.shape)
    return export_once(shared / f"{name}-whole.onnx", model, samples=samples)


def export_part(name: str, part: Part, shared: Path) -> bytes:
    """Return a part of what `make_model` makes, as the studio has it: cut from the whole."""
    whole = onnx.load(export_whole(name, shared)[0])
    content: bytes = cut_part(whole, make_model(name), part).SerializeToString()
    return content


def train_digits(folder: Path, model: str, code_size: int | None = None, **options: Any) -> Run:
    """Train on digits, unless that was done in this folder."""

    def train_run() -> str:
        config = TrainingConfig(epochs=5, precision="32", **options)
        out = folder / f"digits-{model}"
        list(train(load("digits"), model, out=out, code_size=code_size, config=config))
        return str(out)

    return Run.open(make_once(folder, f"digits-{model}", train_run))


def answer(file: Path | bytes, values: NDArray[Any], *names: str) -> list[NDArray[Any]]:
    """Return what onnxruntime computes from a file, without Isthmus."""
    return ask(open_session(file if isinstance(file, bytes) else file.read_bytes()), values, *names)


def open_session(content: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def ask(
    session: onnxruntime.InferenceSession, values: NDArray[Any], *names: str
) -> list[NDArray[Any]]:
    """Return the outputs of those names, or all, for a batch."""
    (given,) = session.get_inputs()
    answers: list[NDArray[Any]] = session.run(list(names) or None, {given.name: values})
    return answers


def metadata(file: Path) -> dict[str, Any]:
    (entry,) = onnx.load(file).metadata_props
    assert entry.key == "isthmus"
    content: dict[str, Any] = json.loads(entry.value)
    return content


# -- the same answers -------------------------------------------------------------------------


@pytest.mark.parametrize("name", dict(PARTS))
def test_every_model_answers_as_in_torch(name: str, shared: Path) -> None:
    model = make_model(name)
    file, result = export_whole(name, shared)
    assert 0 <= result["checked"]["max_difference"] <= 1e-4
    is_autoencoder = model.config.task == "reconstruct"
    names = ["reconstruction"] if is_autoencoder else ["probabilities", "prediction"]
    check_answers(model, file.read_bytes(), ["code", *names])


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_every_part_of_every_model_answers_as_in_torch(
    name: str, part: Part, shared: Path, tmp_path: Path
) -> None:
    model, output = make_model(name), OUTPUTS[part]
    check_answers(model, export_part(name, part, shared), [output])
    if name in EXPORTED_PARTS:
        file = tmp_path / "part.onnx"
        result = export(model, file, part=part, samples=real_values(model.config.shape))
        assert 0 <= result["checked"]["max_difference"] <= 1e-4
        check_answers(model, file.read_bytes(), [output])
        return
    # A part by itself is another program than the one that the whole was converted from.
    program: Any = to_program(model, part).module()
    for batch in batches_of(model):
        given = model.encode(batch) if part == "decoder" else batch
        answers = program(torch.from_numpy(given))
        assert list(answers) == [output]
        check(model, batch, output, answers[output].numpy())


def check_answers(model: TrainedModel, content: bytes, names: list[str]) -> None:
    """Compare all outputs of an ONNX file with the answers of the model."""
    proto = onnx.load_from_string(content)
    assert [one.name for one in proto.graph.output] == names
    is_decoder = proto.graph.input[0].name == "code"
    session = open_session(content)
    for batch in batches_of(model):
        given = model.encode(batch) if is_decoder else batch
        for name, got in zip(names, ask(session, given), strict=True):
            check(model, batch, name, got)


def batches_of(model: TrainedModel) -> Iterable[NDArray[Any]]:
    return (real_values(model.config.shape)[:count] for count in BATCHES)


def check(model: TrainedModel, batch: NDArray[Any], name: str, got: NDArray[Any]) -> None:
    """Compare an answer with that of the model."""
    answers = {
        "code": model.encode,
        "reconstruction": model.reconstruct,
        "probabilities": model.probabilities,
        "prediction": model.predict,
    }
    wanted = answers[name](batch)
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    if name == "prediction":  # may differ where two classes are equally probable
        ordered = np.sort(model.probabilities(batch), -1)
        is_clear = ordered[..., -1] - ordered[..., -2] > 1e-4
        assert is_clear.any()
        np.testing.assert_array_equal(got[is_clear], wanted[is_clear])
    elif got.dtype == np.uint8:  # a half may be rounded up or down
        difference = np.abs(got.astype(int) - wanted)
        assert difference.max() <= 1
        assert difference.mean() < 1e-3
    else:
        spread = model.preprocessing.high - model.preprocessing.low
        scale = max(1.0, np.abs(wanted).max()) if name == "code" else spread
        assert np.abs(got - wanted).max() <= 1e-4 * (scale if name != "probabilities" else 1)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("conv-pool", "decoder.3"),  # upsampling, which is otherwise folded into what follows
        ("cnn-tiny", "encoder.0"),
        ("linear", "encoder.1"),
    ],
)
def test_a_layer_takes_the_place_of_the_code(name: str, layer: str, tmp_path: Path) -> None:
    model = make_model(name)
    values = real_values(model.config.shape)[:7]
    file = tmp_path / "layer.onnx"
    result = export(model, file, layer=layer, samples=values)
    assert (result["part"], result["layer"]) == ("encoder", layer)
    (z,) = answer(file, values)
    wanted = model.activations(values, [layer])[layer].reshape(7, -1)
    np.testing.assert_allclose(z, wanted, rtol=0, atol=1e-4 * max(1, np.abs(wanted).max()))
    content = metadata(file)
    assert (content["part"], content["layer"]) == ("encoder", layer)
    assert content["code_size"] == wanted.shape[1]
    assert content["fingerprint"] == fingerprint(model.fingerprint, "layer", layer)


@kept_conversions
def test_trained_models_agree_on_their_own_held_out_samples(
    digits_run: Run, classes_run: Run, exported: Exported
) -> None:
    for run in (digits_run, classes_run):
        file, result = exported(run)
        checked = result["checked"]
        assert checked["description"] == "samples of the test split"
        assert checked["samples"] == len(run.split().test)
        assert checked["batches"] == [1, 7, 256]
        model, test = run.model(), run.samples().values[run.split().test]
        for name, got in zip(checked["outputs"], answer(file, test), strict=True):
            check(model, test, name, got)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("mnist", {"model": "conv"}),
        ("lfw/lfw.tar", {"model": "conv-transpose"}),
        ("camvid/camvid.tar", {"model": "fcn8s", "task": "segment"}),
    ],
)
def test_runs_on_public_data_export(
    data: str, options: dict[str, Any], require: Callable[[str], Path], tmp_path: Path
) -> None:
    source = require(data.split("/")[0]).parent / data
    size = None if data == "mnist" else (32, 48)
    samples = load(source, size=size, limit=100)
    model_options = {"width": 0.1} if "task" in options else None
    training = train(
        samples,
        options["model"],
        out=tmp_path / "run",
        task=options.get("task"),
        options=model_options,
        config=TrainingConfig(epochs=1),
    )
    list(training)
    result = export(tmp_path / "run", tmp_path / "run.onnx")
    assert result["checked"]["max_difference"] <= 1e-4


# -- the file ---------------------------------------------------------------------------------


def test_the_file_says_all_that_its_use_needs(classes_run: Run, exported: Exported) -> None:
    file, result = exported(classes_run)
    proto, model = onnx.load(file), classes_run.model()
    onnx.checker.check_model(proto, full_check=True)
    assert proto.producer_name == "isthmus"
    assert "cnn-tiny" in proto.doc_string
    content = metadata(file)
    assert content["format"] == 1
    assert content["task"] == "classify"
    assert content["model"] == "cnn-tiny"
    assert content["shape"] == [1, 8, 8]
    assert content["code_size"] == model.config.code_size
    assert content["class_names"] == list("0123456789")
    assert from_json(Preprocessing, content["preprocessing"]) == model.preprocessing
    assert (content["part"], content["layer"], content["precision"]) == ("whole", None, "32")
    assert content["fingerprint"] == result["fingerprint"] == model.fingerprint
    assert content["batch_size"] == model.batch_size
    assert content["max_difference"] == result["checked"]["max_difference"]
    assert result["bytes"] == file.stat().st_size
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*proto.graph.input, *proto.graph.output)
    }
    assert shapes == {
        "samples": ["N", 8, 8, 1],
        "code": ["N", content["code_size"]],
        "probabilities": ["N", 10],
        "prediction": ["N"],
    }


def test_files_tell_nothing_of_the_machine_that_wrote_them(
    digits_run: Run, exported: Exported
) -> None:
    (onnx_file, _), (pt2_file, _) = exported(digits_run), exported(digits_run, kind="pt2")
    with zipfile.ZipFile(pt2_file) as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    for content in (onnx_file.read_bytes(), *contents):
        assert b"site-packages" not in content
        assert str(Path(__file__).parents[1]).encode() not in content


def test_the_same_model_gives_the_same_file_also_from_two_threads() -> None:
    model = make_model("dense")
    with ThreadPoolExecutor(2) as pool:
        contents = list(pool.map(lambda part: to_onnx(model, part), ("whole", "decoder", "whole")))
    assert contents[0] == contents[2] != contents[1]


def test_exporting_leaves_the_model_as_it_was(digits_run: Run, tmp_path: Path) -> None:
    model = digits_run.model()
    before, values = model.fingerprint, digits_run.samples().values[:9]
    z = model.encode(values)
    export(model, tmp_path / "a.onnx", part="encoder", samples=values)
    np.testing.assert_array_equal(model.encode(values), z)
    assert TrainedModel(model.config, model.preprocessing, model.module).fingerprint == before


def test_bfloat16_is_not_in_the_file(digits_run: Run, tmp_path: Path) -> None:
    model = TrainedModel.load(digits_run.path, precision="bf16")
    result = export(model, tmp_path / "a.onnx", samples=digits_run.samples())
    assert result["checked"]["max_difference"] < 1e-4
    assert result["precision"] == "32"


# -- smaller files ----------------------------------------------------------------------------


@kept_conversions
def test_half_precision_halves_the_file_and_hardly_changes_answers(
    classes_run: Run, exported: Exported
) -> None:
    (exact_file, whole), (file, result) = (
        exported(classes_run),
        exported(classes_run, precision="16"),
    )
    assert 0.5 < result["bytes"] / whole["bytes"] < 0.6
    loss = result["loss"]
    assert 0 < loss["outputs"]["probabilities"]["max"] < 0.01
    assert loss["metric"] == "accuracy"
    assert abs(loss["reduced"] - loss["float32"]) < 0.01
    exact, reduced = metadata(exact_file), metadata(file)
    assert reduced["precision"] == "16"
    assert reduced["fingerprint"] == fingerprint(exact["fingerprint"], "16")
    assert reduced["max_difference"] == max(one.get("max", 0) for one in loss["outputs"].values())
    session = [onnxruntime.InferenceSession(one) for one in (exact_file, file)]
    assert [one.type for one in session[0].get_outputs()] == [
        one.type for one in session[1].get_outputs()
    ]


def test_weights_beyond_half_precision_stay_as_they_are(tmp_path: Path) -> None:
    model = make_model("linear", (1, 8, 8))
    module = model.config.build().eval()
    with torch.no_grad():
        module.get_parameter("encoder.1.weight").mul_(1e6)
        module.get_parameter("decoder.0.weight").mul_(1e-6)
    large = TrainedModel(model.config, model.preprocessing, module)
    result = export(large, tmp_path / "a.onnx", precision="16", samples=real_values((1, 8, 8)))
    assert result["loss"]["outputs"]["code"]["scale"] > 1e5
    assert result["loss"]["outputs"]["code"]["max"] < 1e-4


@kept_conversions
def test_the_loss_of_int8_is_that_of_the_file(digits_run: Run, exported: Exported) -> None:
    file, result = exported(digits_run, precision="int8")
    assert result["bytes"] < exported(digits_run)[1]["bytes"]
    test = digits_run.samples().values[digits_run.split().test]
    loss, model = result["loss"], digits_run.model()
    (back,) = answer(file, test, "reconstruction")
    assert loss["metric"] == "psnr"
    assert loss["samples"] == len(test)
    assert loss["reduced"] == pytest.approx(mean_psnr(back, test), abs=1e-3)
    assert loss["float32"] == pytest.approx(mean_psnr(model.reconstruct(test), test), abs=1e-3)
    assert 0 < loss["float32"] - loss["reduced"] < 0.5
    assert metadata(file)["loss"] == loss
    quantized = [node.op_type for node in onnx.load(file).graph.node]
    assert "QuantizeLinear" in quantized


@kept_conversions
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_int8_parts_are_measured_together_with_the_rest_of_the_model(
    digits_run: Run, part: str, exported: Exported
) -> None:
    file, result = exported(digits_run, part=part, precision="int8")
    loss = result["loss"]
    model, test = digits_run.model(), digits_run.samples().values[digits_run.split().test]
    if part == "encoder":
        back = model.decode(answer(file, test)[0])
    else:
        (back,) = answer(file, model.encode(test))
    assert loss["reduced"] == pytest.approx(mean_psnr(back, test), abs=1e-3)


@kept_conversions
@pytest.mark.parametrize("precision", ["32", "16", "int8"])
def test_a_decoder_takes_stored_codes_of_its_model_in_every_precision(
    digits_run: Run, precision: str, exported: Exported, tmp_path: Path
) -> None:
    codes = encode(digits_run.model(), digits_run.samples())
    codes.save(tmp_path / "codes.npy")
    decoder = load_model(exported(digits_run, part="decoder", precision=precision)[0])
    assert len(Codes.load(tmp_path / "codes.npy", model=decoder)) == len(codes)


def test_exporting_leaves_loggers_and_warnings_alone(
    digits_run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    loggers = [logging.getLogger(name) for name in (None, "torch.onnx")]
    before = [(one.level, list(one.handlers), list(one.filters)) for one in loggers]
    filters = list(warnings.filters)
    export(digits_run, tmp_path / "a.onnx", part="encoder", precision="int8")
    assert [(one.level, list(one.handlers), list(one.filters)) for one in loggers] == before
    assert list(warnings.filters) == filters
    assert capfd.readouterr() == ("", "")


def test_advice_is_kept_back_until_the_last_thread_is_done(
    digits_run: Run, exported: Exported, caplog: pytest.LogCaptureFixture
) -> None:
    proto, values = onnx.load(exported(digits_run)[0]), digits_run.samples().values[:32]
    is_second_inside, is_first_done = Event(), Event()

    class Inputs:
        """Samples that the quantizer reads at a time of our choice."""

        def __init__(self, read: Callable[[], None]) -> None:
            self._read = read

        def __len__(self) -> int:
            return len(values)

        def __getitem__(self, rows: slice) -> NDArray[Any]:
            self._read()
            return values[rows]

    def wait_for(event: Event) -> None:
        assert event.wait(60)

    def advise_after_the_first() -> None:
        is_second_inside.set()
        wait_for(is_first_done)
        logging.warning("advice")  # as the quantizer does

    first: Any = Inputs(lambda: wait_for(is_second_inside))
    second: Any = Inputs(advise_after_the_first)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(to_int8, proto, inputs) for inputs in (first, second)]
        running[0].result()
        is_first_done.set()
        running[1].result()
    assert [record for record in caplog.records if record.name == "root"] == []


@kept_conversions
def test_int8_of_a_classifier_is_measured_by_its_labels(classes_run: Run, tmp_path: Path) -> None:
    test = classes_run.samples().take(classes_run.split().test)
    whole, encoder = (
        export(classes_run, tmp_path / f"{part}.onnx", part=part, precision="int8")["loss"]
        for part in ("whole", "encoder")
    )
    (predicted,) = answer(tmp_path / "whole.onnx", test.values, "prediction")
    assert whole["reduced"] == pytest.approx((predicted == test.labels).mean())
    assert whole["metric"] == encoder["metric"] == "accuracy"
    assert abs(whole["float32"] - whole["reduced"]) < 0.05
    assert abs(encoder["float32"] - encoder["reduced"]) < 0.05


def test_a_denoiser_is_measured_on_noisy_samples(tmp_path: Path) -> None:
    run = train_digits(tmp_path, "dense", corrupt="gaussian:0.5")
    loss = export(run, tmp_path / "a.onnx", precision="int8")["loss"]
    test = run.samples().values[run.split().test]
    on_clean = mean_psnr(run.model().reconstruct(test), test)
    assert loss["float32"] < on_clean - 0.1


@kept_conversions
def test_int8_of_a_segmenter_is_measured_by_its_masks(tmp_path: Path) -> None:
    values = real_values((3, 32, 32))[:24]
    masks = (values.mean(-1) > 128).astype(np.uint8)
    names = tuple(map(str, range(len(values))))
    samples = Samples(values, Items(names, class_names=("dark", "bright")), masks=masks)
    config = TrainingConfig(epochs=1, precision="32")
    training = train(samples, "fcn8s", task="segment", options={"width": 0.05}, config=config)
    list(training)
    loss = export(training.run, tmp_path / "a.onnx", precision="int8")["loss"]
    assert loss["metric"] == "iou"
    assert 0 <= loss["reduced"] <= 1
    of_features = export(training.run, tmp_path / "b.onnx", part="encoder", precision="int8")
    assert "metric" not in of_features["loss"]
    assert of_features["loss"]["outputs"]["code"]["max"] > 0


def mean_psnr(back: NDArray[Any], originals: NDArray[Any]) -> float:
    y, x = (torch.from_numpy(values.astype(np.float32)) / 255 for values in (back, originals))
    return psnr(y, x).mean().item()


# -- other formats ----------------------------------------------------------------------------


def test_pt2_files_need_torch_alone(classes_run: Run, exported: Exported, tmp_path: Path) -> None:
    file, result = exported(classes_run, kind="pt2")
    assert result["checked"]["max_difference"] <= 1e-4
    values = classes_run.samples().values[:256]
    np.save(tmp_path / "values.npy", values)
    program = (
        "import json, sys, numpy, torch\n"
        "extra = {'isthmus': ''}\n"
        "module = torch.export.load(sys.argv[1], extra_files=extra).module()\n"
        "values = torch.from_numpy(numpy.load(sys.argv[2]))\n"
        "answers = [module(values[:n])['probabilities'] for n in (1, 7, 256)]\n"
        "assert 'isthmus' not in sys.modules\n"
        "print(json.loads(extra['isthmus'])['fingerprint'])\n"
        "numpy.save(sys.argv[3], torch.cat(answers).numpy())\n"
    )
    files = [str(name) for name in (file, tmp_path / "values.npy", tmp_path / "answers.npy")]
    run = subprocess.run(
        [sys.executable, "-c", program, *files], capture_output=True, text=True, check=True
    )
    model = classes_run.model()
    assert run.stdout.strip() == model.fingerprint
    wanted = np.concatenate([model.probabilities(values[:n]) for n in BATCHES])
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("part", ["whole", "encoder", "decoder"])
def test_pt2_files_have_parts_without_the_weights_of_others(
    digits_run: Run, part: str, exported: Exported
) -> None:
    file, _ = exported(digits_run, kind="pt2", part=part)
    module: Any = torch.export.load(file).module()
    names = {name.split(".")[1] for name, _ in module.named_parameters()}
    assert names == {"encoder", "decoder"} if part == "whole" else {part}
    model, values = digits_run.model(), digits_run.samples().values[:7]
    given = model.encode(values) if part == "decoder" else values
    for name, got in module(torch.from_numpy(given)).items():
        check(model, values, name, got.numpy())


def test_safetensors_files_are_whole_models(digits_run: Run, tmp_path: Path) -> None:
    file = tmp_path / "digits.safetensors"
    result = export(digits_run, file, format="safetensors")
    assert TrainedModel.load(file).fingerprint == result["fingerprint"]
    assert result["fingerprint"] == digits_run.model().fingerprint


# -- refusals ---------------------------------------------------------------------------------


def test_a_model_that_would_answer_differently_is_refused(refused: Refused, tmp_path: Path) -> None:
    model = make_model("dense")
    broken = TrainedModel(model.config, model.preprocessing, model.config.build().eval())
    with torch.no_grad():
        next(broken.module.parameters())[0, 400] = torch.nan
    for kind in ("onnx", "pt2"):
        with refused(ModelError, "differ"):
            export(broken, tmp_path / f"broken.{kind}", format=kind)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_no_pixel_meets_may_be_anything(tmp_path: Path) -> None:
    # Training in bfloat16 leaves NaN there.
    model = make_model("fcn8s", (3, 32, 32))
    module = model.config.build().eval()
    module.load_state_dict(model.module.state_dict())
    with torch.no_grad():
        # The coarsest map has one pixel, so that only the middle of the kernel of 7 meets it.
        module.get_parameter("encoder.fc6.0.weight")[:, :, 6] = torch.nan
    unread = TrainedModel(model.config, model.preprocessing, module)
    values = real_values((3, 32, 32))
    assert np.isfinite(unread.probabilities(values)).all()
    result = export(unread, tmp_path / "a.onnx", samples=values)
    assert result["checked"]["max_difference"] <= 1e-4


@kept_conversions
def test_only_exports_are_replaced(
    digits_run: Run, exported: Exported, refused: Refused, tmp_path: Path
) -> None:
    for kind in ("onnx", "pt2", "safetensors"):
        file = tmp_path / f"mine.{kind}"
        for content in (b"", b"my own file", b"PK\x03\x04"):
            file.write_bytes(content)
            with refused(OptionError, file):
                export(digits_run, file, format=kind)
            assert file.read_bytes() == content
        shutil.copy(exported(digits_run, kind=kind)[0], file)
        size = export(digits_run, file, format=kind)["bytes"]
        assert size == file.stat().st_size == exported(digits_run, kind=kind)[1]["bytes"]
    foreign = tmp_path / "foreign.onnx"
    proto = onnx.load(tmp_path / "mine.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, foreign)
    with refused(OptionError, foreign):
        export(digits_run, foreign)
    archive = tmp_path / "foreign.pt2"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("notes", "mine")
    with refused(OptionError, archive):
        export(digits_run, archive, format="pt2")


def test_weights_are_replaced_only_by_the_same_weights(
    digits_run: Run, classes_run: Run, refused: Refused, tmp_path: Path
) -> None:
    file = tmp_path / "own.safetensors"
    model = digits_run.model()
    model.save(file)
    with refused(OptionError, file, "weights of another model"):
        export(classes_run, file, format="safetensors")
    assert TrainedModel.load(file).fingerprint == model.fingerprint
    export(digits_run, file, format="safetensors")


def test_files_do_not_go_where_they_do_not_belong(
    digits_run: Run, refused: Refused, tmp_path: Path
) -> None:
    with refused(OptionError, "digits.png", ".onnx"):
        export(digits_run, tmp_path / "digits.png")
    with refused(OptionError, digits_run.path, "model.safetensors"):
        export(digits_run, digits_run.path / "model.safetensors", format="safetensors")
    (tmp_path / "folder.onnx").mkdir()
    with refused(IsthmusError, "folder.onnx"):
        export(digits_run, tmp_path / "folder.onnx")


@pytest.mark.parametrize(
    ("options", "culprits"),
    [
        ({"part": "middle"}, ("middle", "whole, encoder, decoder")),
        ({"layer": "encoder.99"}, ("encoder.99",)),
        ({"layer": "encoder.0", "part": "decoder"}, ("layer", "part")),
        ({"precision": "8"}, ("8", "32, 16, int8")),
        ({"format": "tflite"}, ("tflite", "onnx, pt2, safetensors")),
        ({"format": "pt2", "precision": "int8"}, ("pt2", "int8", "onnx")),
        ({"format": "safetensors", "part": "encoder"}, ("safetensors", "onnx")),
        ({"format": "safetensors", "samples": "digits"}, ("safetensors", "samples")),
        ({"samples": np.zeros((4, 9, 9, 1), np.uint8)}, ("(4, 9, 9, 1)", "uint8")),
        ({"samples": np.zeros((1, 8, 8, 1), np.uint8)}, ("two",)),
    ],
)
def test_wrong_options_are_named(
    digits_run: Run,
    options: dict[str, Any],
    culprits: tuple[str, ...],
    refused: Refused,
    tmp_path: Path,
) -> None:
    with refused(IsthmusError, *culprits):
        export(digits_run, tmp_path / f"a.{options.get('format', 'onnx')}", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_has_no_decoder(classes_run: Run, refused: Refused, tmp_path: Path) -> None:
    with refused(ModelError, "cnn-tiny", "autoencoder"):
        export(classes_run, tmp_path / "a.onnx", part="decoder")


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(
    digits_run: Run,
    package: str,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with refused(IsthmusError, package, "pip install 'isthmus[onnx]'"):
        export(digits_run, tmp_path / "a.onnx")


# -- what it is checked on --------------------------------------------------------------------


@kept_conversions
def test_without_the_data_photographs_take_its_place_and_that_is_said(
    refused: Refused, tmp_path: Path
) -> None:
    values = load("digits", limit=60).values
    out = tmp_path / "run"
    list(
        train(
            load(np.array(values)), "dense", out=out, code_size=4, config=TrainingConfig(epochs=1)
        )
    )
    checked = export(out, tmp_path / "a.onnx")["checked"]
    assert "photographs" in checked["description"]
    assert "array" in checked["description"]
    assert checked["samples"] == 264
    with refused(OptionError, "int8", "samples"):
        export(out, tmp_path / "b.onnx", precision="int8")
    given = export(out, tmp_path / "b.onnx", precision="int8", samples=values[..., 0])
    assert given["checked"]["description"] == "of the samples given"
    assert given["checked"]["samples"] == 30  # the others calibrate


def test_photographs_fit_any_number_of_channels_and_signals_are_random(tmp_path: Path) -> None:
    for name, shape in (("linear", (5, 9, 7)), ("linear", (2, 40))):
        result = export(make_model(name, shape), tmp_path / "a.onnx")
        assert result["checked"]["max_difference"] <= 1e-4
    assert "random signals" in result["checked"]["description"]
    assert "different" not in result["checked"]["outputs"]["reconstruction"]


@kept_conversions
def test_labels_of_other_samples_are_compared_by_the_names_of_their_classes(
    classes_run: Run, refused: Refused, tmp_path: Path
) -> None:
    digits = load("digits", limit=600)
    assert digits.labels is not None
    reversed_names = digits.class_names[::-1]
    others = replace(digits, items=replace(digits.items, class_names=reversed_names))
    file, relabeled = tmp_path / "a.onnx", replace(others.items, labels=9 - digits.labels)
    losses = [
        export(classes_run, file, precision="16", samples=samples)["loss"]
        for samples in (digits, replace(others, items=relabeled), others)
    ]
    assert losses[0] == losses[1]
    assert losses[0]["float32"] > 0.5 > losses[2]["float32"]
    unknown = replace(digits.items, class_names=(*digits.class_names[:9], "ten"))
    foreign = replace(digits, items=unknown)
    with refused(OptionError, "ten", "does not know"):
        export(classes_run, file, precision="16", samples=foreign)
    export(classes_run, file, samples=foreign)  # without a loss, nothing asks for the labels


def test_an_export_that_is_stopped_writes_nothing(photos: Path, tmp_path: Path) -> None:
    out, config = tmp_path / "run", TrainingConfig(epochs=1)
    list(train(load(photos, size=8), "dense", out=out, code_size=4, config=config))
    (photos / "cat" / "0.png").touch()  # is read again

    def stop(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
        raise InterruptionError("stopped.")

    with pytest.raises(InterruptionError):
        export(out, tmp_path / "a.onnx", track=stop)
    assert not (tmp_path / "a.onnx").exists()


def test_the_largest_batch_of_large_images_fits_into_memory() -> None:
    assert batch_sizes(make_model("cnn-tiny")) == (1, 7, 256)
    assert batch_sizes(make_model("conv-pool", (3, 256, 256))) == (1, 7, 64)


# -- the command ------------------------------------------------------------------------------


@kept_conversions
def test_the_command_writes_next_to_where_it_is_called(
    digits_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = done("export", digits_run.path)
    assert printed.err == ""
    assert (tmp_path / "digits-conv-pool.onnx").exists()
    assert "digits-conv-pool.onnx: whole, " in printed.out
    assert "180 samples of the test split" in printed.out
    result = json.loads(
        done("export", digits_run.path, "--part", "encoder", "--precision", "int8", "--json").out
    )
    assert result["out"] == "digits-conv-pool-encoder-int8.onnx"
    assert (tmp_path / result["out"]).stat().st_size == result["bytes"]


def test_folders_are_named_with_their_dots(
    digits_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("v1.1", "v1.2"):
        Path(name).symlink_to(digits_run.path)
        done("export", name, "--format", "safetensors")
    weights = Path("v1.1.safetensors").rename("v2.1.safetensors")
    done("export", weights, "--format", "pt2")
    written = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert written == ["v1.2.safetensors", "v2.1.pt2", "v2.1.safetensors"]


@kept_conversions
def test_the_command_prints_what_is_lost(classes_run: Run, tmp_path: Path) -> None:
    file = tmp_path / "small.onnx"
    printed = done("export", classes_run.path, "--out", file, "--precision", "16").out
    assert "probabilities" in printed
    assert "accuracy" in printed
    weights = tmp_path / "digits.safetensors"
    written = done("export", classes_run.path, "--out", weights, "--format", "safetensors").out
    assert written.count("\n") == 1


@kept_conversions
def test_the_command_checks_on_any_source(digits_run: Run, tmp_path: Path) -> None:
    weights = digits_run.path / "model.safetensors"
    arguments = ("--out", tmp_path / "a.onnx", "--samples", "digits", "--json")
    result = json.loads(done("export", weights, *arguments).out)
    assert result["checked"]["samples"] == 264
    refusal = isthmus("export", weights, "--out", tmp_path / "a.onnx", "--samples", "nowhere/")
    assert refusal.code == 2
    assert "nowhere" in refusal.err

"""The engine in the page computes what torch and ONNX Runtime compute, in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from isthmus import MODELS
from isthmus.inference.contract import Part
from isthmus.inference.conversion import to_layers, to_onnx, to_parts
from isthmus.models.tasks import CLASS_TASKS
from isthmus.studio.columns import pack
from studio.computing import PageEngine, give, serve_engine, take
from studio.serving import Watch
from test_export import answer, export_part, make_model, real_values

AUTOENCODERS = [name for name, row in MODELS.items() if row.task == "reconstruct"]
OTHERS = [name for name, row in MODELS.items() if row.task in CLASS_TASKS]
BANKS = [name for name, row in MODELS.items() if row.task == "stylize"]
# Exporting takes most of the time, so what others have is not exported again.
WITHOUT_LAYERS = ("linear", "dense")  # theirs are among those of "conv"
WITHOUT_ENCODER = ("cnn-tiny", "cnn-small", "fcn16s", "fcn8s")  # as "cnn" and "fcn32s"
HIDE_RELAXED = "WebAssembly.validate = () => false"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("engine")
    with serve_engine(folder) as address:
        yield address, folder


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def opened(chromium: Any, watch: Watch) -> Iterator[Any]:
    """Give a page for all these tests: each starts an engine of its own in it."""
    page = chromium.new_page()
    watch.follow(page)
    yield page
    page.close()
    assert watch.strangers() == set()


@pytest.fixture
def engine(opened: Any, site: tuple[str, Path], watch: Watch) -> Iterator[PageEngine]:
    """Give an engine to start with networks, and then to call."""
    yield PageEngine(opened, *site)
    errors, watch.errors = watch.errors, []
    assert errors == []


def assert_near(
    got: NDArray[Any], expected: NDArray[Any], limit: float = 1e-4, case: str = ""
) -> None:
    """Compare floating-point numbers; large ones by their share of the largest."""
    assert got.size == expected.size, case
    difference = np.abs(got.ravel() - expected.ravel()).max()
    assert difference <= limit * max(1, np.abs(expected).max()), case


def assert_same_pixels(got: NDArray[Any], expected: NDArray[Any]) -> None:
    """Compare samples: pixels may be rounded differently, and few are."""
    if expected.dtype == np.float32:
        assert_near(got, expected)
        return
    assert got.dtype == np.uint8
    difference = np.abs(got.astype(int) - expected.ravel().astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def draw_codes(count: int, size: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).normal(size=(count, size)).astype(np.float32)


# -- every model --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_every_autoencoder_computes_as_in_torch(
    name: str, engine: PageEngine, shared: Path
) -> None:
    model = make_model(name)
    if name in WITHOUT_LAYERS:
        check_parts(model, engine, shared)
    else:
        check_parts(model, engine, shared, layers=to_layers(model))
        check_layers(model, engine)


@pytest.mark.parametrize("name", OTHERS)
def test_every_classifier_and_segmenter_computes_as_in_torch(
    name: str, engine: PageEngine, shared: Path
) -> None:
    model = make_model(name)
    layers, values = to_layers(model), samples_of(model, 7)
    engine.start({"layers": layers}, shape=stored_shape(model))
    check_layers(model, engine)
    (shares,) = answer(layers, values, "probabilities")
    assert_near(shares, model.probabilities(values))
    for count in (7, 1):
        assert_near(engine.call("predict", values[:count]), shares[:count])
    if name not in WITHOUT_ENCODER:
        check_encoder(model, engine, shared)


@pytest.mark.parametrize("name", BANKS)
def test_every_style_bank_encodes_as_in_torch(name: str, engine: PageEngine, shared: Path) -> None:
    check_encoder(make_model(name, (3, 24, 24)), engine, shared)


def test_the_default_model_does_so_at_its_own_size(engine: PageEngine, shared: Path) -> None:
    check_parts(make_model("conv", MODELS["conv"].shape), engine, shared)


def test_a_browser_without_relaxed_simd_computes_the_same(
    page: Any, site: tuple[str, Path], watch: Watch, shared: Path
) -> None:
    page.add_init_script(HIDE_RELAXED)
    watch.requests.clear()
    check_parts(make_model("conv-transpose"), PageEngine(page, *site), shared)
    assert any(url.endswith("/kernel.plain.wasm") for url in watch.requests)
    assert not any(url.endswith("/kernel.wasm") for url in watch.requests)


def converted(model: Any, shared: Path, *parts: Part) -> dict[str, bytes]:
    """Return parts of a model, of which tests of exports convert many, too, once for all."""
    if model is make_model(model.name):
        return {part: export_part(model.name, part, shared) for part in parts}
    if "decoder" not in parts:
        return {"encoder": to_onnx(model, "encoder")}
    return dict(to_parts(model).items())


def check_encoder(model: Any, engine: PageEngine, shared: Path) -> None:
    encoder, values = converted(model, shared, "encoder")["encoder"], samples_of(model, 7)
    engine.start({"encoder": encoder}, shape=stored_shape(model))
    assert engine.call("unknown", "encoder") == []
    (codes,) = answer(encoder, values)
    assert_near(codes, np.concatenate(list(model.features(values))))
    for count in (7, 1):
        assert_near(engine.call("encode", values[:count]), codes[:count])


def check_parts(model: Any, engine: PageEngine, shared: Path, **networks: bytes) -> None:
    parts = converted(model, shared, "encoder", "decoder")
    encoder, decoder = parts["encoder"], parts["decoder"]
    engine.start(
        networks | {"encoder": encoder, "decoder": decoder},
        model.config.code_size,
        stored_shape(model),
    )
    assert engine.call("unknown", "encoder") == engine.call("unknown", "decoder") == []
    z, values = draw_codes(7, model.config.code_size), samples_of(model, 7)
    pictures, codes = model.decode(z), np.concatenate(list(model.features(values)))
    assert_same_pixels(answer(decoder, z)[0].ravel(), pictures)
    assert_near(answer(encoder, values)[0], codes)
    for count in (1, 7, 1):
        assert_same_pixels(engine.call("decode", z[:count]), pictures[:count])
        assert_near(engine.call("encode", values[:count]), codes[:count])


def check_layers(model: Any, engine: PageEngine) -> None:
    """Compare what each layer makes of a sample."""
    entries = [
        {"name": one.name, "kind": one.kind, "shape": list(one.shape), "output": one.name}
        for one in model.layers
    ]
    engine.page.evaluate("entries => engine.manifest.networks.layers.layers = entries", entries)
    assert engine.call("unknown", "layers") == []
    value = samples_of(model, 1)
    shown = engine.call("layers", value)
    expected = model.activations(value, [layer.name for layer in model.layers])
    assert [one["name"] for one in shown] == list(expected)
    for one in shown:
        assert_near(one["values"], expected[one["name"]])


def stored_shape(model: Any) -> tuple[int, ...]:
    channels, *sides = model.config.shape
    return (*sides, channels)


def samples_of(model: Any, count: int) -> NDArray[Any]:
    return real_values(tuple(model.config.shape))[:count]


# -- single operators ---------------------------------------------------------------------------


def network(operator: str, shape: tuple[int, ...], *weights: Any, **attributes: Any) -> bytes:
    """Return a network of one operator from `samples` to `code`, both float32."""
    names = [f"w{i}" if weight is not None else "" for i, weight in enumerate(weights)]
    tensors = [
        numpy_helper.from_array(np.asarray(weight), name)
        for weight, name in zip(weights, names, strict=True)
        if weight is not None
    ]
    node = helper.make_node(operator, ["samples", *names], ["code"], **attributes)
    given = helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["N", *shape])
    code = helper.make_tensor_value_info("code", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "one", [given], [code], tensors)
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    return bytes(model.SerializeToString())


def draw(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def whole(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def check(engine: PageEngine, case: str, content: bytes, values: NDArray[np.float32]) -> None:
    engine.start({"encoder": content}, shape=values.shape[1:])
    for count in (len(values), 1):
        (expected,) = answer(content, values[:count])
        assert_near(engine.call("encode", values[:count]), expected, 2e-6, case)


# Sides of the input, weights, and what differs from the usual.
CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "rows of 16": ((5, 12, 16), (7, 5, 3, 3), {"pads": [1, 1, 1, 1]}),
    "rows of 19": ((3, 6, 19), (13, 3, 3, 5), {"pads": [0, 2, 3, 1]}),
    "rows of 8, not padded": ((4, 9, 10), (6, 4, 2, 3), {}),
    "narrow": ((6, 7, 7), (5, 6, 3, 3), {"pads": [1, 1, 1, 1]}),
    "one number": ((9, 1, 1), (11, 9, 1, 1), {}),
    "whole planes": ((6, 5, 9), (8, 6, 1, 1), {}),
    "two groups": ((6, 10, 12), (8, 3, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    "every channel alone": ((6, 10, 12), (6, 1, 3, 3), {"group": 6}),
    "every channel alone, narrow": ((6, 5, 5), (6, 1, 3, 3), {"group": 6}),
    "dilated": ((3, 15, 20), (4, 3, 3, 3), {"dilations": [2, 3], "pads": [2, 0, 2, 3]}),
    "moving by two": ((5, 11, 14), (7, 5, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "moving by two, in groups": ((4, 9, 9), (6, 2, 3, 3), {"strides": [2, 1], "group": 2}),
    "moving by four to few": ((1, 8, 8), (6, 1, 4, 4), {"strides": [4, 4]}),
    "one axis": ((3, 40), (5, 3, 4), {"pads": [2, 1]}),
    "one axis, moving by two": ((3, 31), (5, 3, 4), {"strides": [2], "pads": [1, 1]}),
}


def test_convolutions(engine: PageEngine) -> None:
    for case, (shape, weights, attributes) in CONVOLUTIONS.items():
        content = network("Conv", shape, draw(*weights), draw(weights[0]), **attributes)
        check(engine, case, content, draw(3, *shape))


TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "moving by one": ((4, 6, 11), (4, 5, 3, 3), {"pads": [1, 1, 1, 1]}),
    "kernel as wide as the step": ((4, 9, 8), (4, 7, 2, 2), {"strides": [2, 2]}),
    "overlapping": ((5, 8, 9), (5, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "narrow": ((5, 4, 4), (5, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "gaps": ((3, 5, 9), (3, 4, 2, 1), {"strides": [3, 2]}),
    "more at the end": (
        (3, 7, 9), (3, 4, 3, 3),
        {"strides": [2, 3], "pads": [1, 0, 1, 0], "output_padding": [1, 2]},
    ),
    "dilated": ((3, 7, 9), (3, 4, 3, 3), {"strides": [2, 1], "dilations": [1, 2]}),
    "large steps": ((2, 3, 3), (2, 3, 16, 16), {"strides": [8, 8], "pads": [4, 4, 4, 4]}),
    "one axis": (
        (3, 17), (3, 4, 4), {"strides": [2], "pads": [1, 1], "output_padding": [1]},
    ),
}  # fmt: skip


def test_transposed_convolutions(engine: PageEngine) -> None:
    for case, (shape, weights, attributes) in TRANSPOSED.items():
        content = network("ConvTranspose", shape, draw(*weights), draw(weights[1]), **attributes)
        check(engine, case, content, draw(2, *shape))


def test_matrix_products(engine: PageEngine) -> None:
    for columns in (1, 31, 64, 100):
        content = network("Gemm", (37,), draw(columns, 37), draw(columns), transB=1)
        for count in (2, 6, 13):
            check(engine, f"{count} rows, {columns} columns", content, draw(count, 37))
    content = network("Gemm", (9,), draw(9, 12), draw(1), alpha=0.5, beta=3.0)
    check(engine, "scaled", content, draw(7, 9))
    check(engine, "without a bias", network("Gemm", (9,), draw(9, 12)), draw(7, 9))


WIDE = np.linspace(-30, 30, 2401, dtype=np.float32)[None]
OPERATORS: dict[str, tuple[bytes, NDArray[np.float32]]] = {
    "Gelu": (network("Gelu", (2401,)), WIDE),
    "Sigmoid": (network("Sigmoid", (2401,)), 5 * WIDE),
    "Elu": (network("Elu", (2401,), alpha=0.7), WIDE),
    "Selu": (network("Selu", (2401,)), WIDE),
    "Relu": (network("Relu", (2401,)), WIDE),
    "Round": (network("Round", (2401,)), np.linspace(-30, 30, 2401, dtype=np.float32)[None] * 4),
    "Clip": (network("Clip", (2401,), np.float32(-2), np.float32(7)), WIDE),
    "Clip from above": (network("Clip", (2401,), None, np.float32(7)), WIDE),
    "Sqrt": (network("Sqrt", (2401,)), np.abs(WIDE)),
    "Reciprocal": (network("Reciprocal", (2401,)), WIDE + 0.01),
    "Softmax": (network("Softmax", (5, 4, 3), axis=1), 9 * draw(2, 5, 4, 3)),
    "Softmax of the last": (network("Softmax", (5, 40)), 9 * draw(2, 5, 40)),
    "Add": (network("Add", (5, 4, 3), draw(5, 1, 1)), draw(2, 5, 4, 3)),
    "Add one": (network("Add", (5, 1, 3), draw(4, 1)), draw(2, 5, 1, 3)),
    "Sub": (network("Sub", (5, 4, 3), draw(3)), draw(2, 5, 4, 3)),
    "Mul": (network("Mul", (5, 4, 3), np.float32(255)), draw(2, 5, 4, 3)),
    "Div": (network("Div", (5, 4, 3), 3 + draw(1, 5, 4, 3)), draw(2, 5, 4, 3)),
    "Pow": (network("Pow", (50,), np.float32(2)), draw(2, 50)),
    "MaxPool": (
        network("MaxPool", (3, 9, 8), kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
        draw(2, 3, 9, 8),
    ),
    "MaxPool to the end": (
        network("MaxPool", (3, 9, 8), kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1),
        draw(2, 3, 9, 8),
    ),
    "MaxPool, one axis": (network("MaxPool", (3, 9), kernel_shape=[2], strides=[2]), draw(2, 3, 9)),
    "BatchNormalization": (
        network("BatchNormalization", (5, 7), draw(5), draw(5) + 1, draw(5), np.abs(draw(5))),
        draw(2, 5, 7),
    ),
    "ReduceMean": (network("ReduceMean", (5, 7, 3), whole(-1, -2), keepdims=0), draw(2, 5, 7, 3)),
    "ReduceMean, kept": (network("ReduceMean", (5, 7, 3), whole(2, 3)), draw(2, 5, 7, 3)),
    "Transpose": (network("Transpose", (5, 7, 3), perm=[0, 2, 3, 1]), draw(2, 5, 7, 3)),
    "DepthToSpace": (
        network("DepthToSpace", (18, 4, 5), blocksize=3, mode="CRD"), draw(2, 18, 4, 5)
    ),
    "DepthToSpace by depth": (
        network("DepthToSpace", (18, 4, 5), blocksize=3, mode="DCR"), draw(2, 18, 4, 5)
    ),
    "Slice": (
        network("Slice", (9, 8), whole(1, -6), whole(9, 1000), whole(1, 2), whole(2, 1)),
        draw(2, 9, 8),
    ),
    "Slice backwards": (
        network("Slice", (9, 8), whole(-1), whole(-1000), whole(2), whole(-3)), draw(2, 9, 8)
    ),
    "Reshape": (network("Reshape", (9, 8), whole(0, 3, -1)), draw(2, 9, 8)),
    "Squeeze": (network("Squeeze", (1, 8, 1), whole(1, -1)), draw(2, 1, 8, 1)),
    "Unsqueeze": (network("Unsqueeze", (8,), whole(1, -1)), draw(2, 8)),
    "Gather": (network("Gather", (9, 8), whole(3, -1, 0), axis=1), draw(2, 9, 8)),
    "Pad": (network("Pad", (5, 8), whole(0, 1, 2, 0, 0, 3), np.float32(4)), draw(2, 5, 8)),
    "Pad the edge": (
        network("Pad", (5, 8), whole(0, 1, 2, 0, 0, 3), mode="edge"), draw(2, 5, 8)
    ),
    "Trilu": (network("Trilu", (6, 8), whole(1)[0], upper=0), draw(2, 6, 8)),
    "Resize": (
        network(
            "Resize", (3, 4, 5), None, np.array([1, 1, 3, 2], np.float32), mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        ),
        draw(2, 3, 4, 5),
    ),
    "Identity": (network("Identity", (8,)), draw(2, 8)),
}  # fmt: skip


def test_operators(engine: PageEngine) -> None:
    for case, (content, values) in OPERATORS.items():
        check(engine, case, content, values)


def test_halves_are_rounded_to_even(engine: PageEngine) -> None:
    engine.start({"encoder": network("Round", (6,))}, shape=(6,))
    halves = np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]], np.float32)
    assert engine.call("encode", halves).tolist() == [-2, -2, 0, 0, 2, 2]


# -- what cannot be computed ----------------------------------------------------------------------


def test_unknown_operators_are_named(engine: PageEngine) -> None:
    engine.start({"encoder": network("Mish", (4,))}, shape=(4,))
    assert engine.call("unknown", "encoder") == ["Mish"]
    message = "The page cannot compute the operator Mish."
    assert engine.fail("encode", draw(1, 4)) == message


def test_what_is_missing_or_damaged_is_said_in_a_sentence(engine: PageEngine, watch: Watch) -> None:
    engine.start({"encoder": b"\x3a\x7f", "layers": b"\x08\x0a"}, shape=(4,))
    assert engine.fail("decode", draw(1, 4)) == "The page has no decoder of this model."
    assert engine.fail("encode", draw(1, 4)) == "The ONNX file ends too early."
    assert engine.fail("predict", draw(1, 4)) == "This is not an ONNX file with a network."
    assert engine.fail("nearest", draw(4), 3).startswith("The server answered 404")
    watch.errors.clear()  # the browser's own about 404


def test_a_wrong_number_of_numbers_is_refused(engine: PageEngine) -> None:
    engine.start({"encoder": network("Relu", (4,))}, shape=(4,))
    assert engine.fail("encode", draw(6)) == "The network takes 4 numbers a sample, not 6 in all."
    assert engine.call("encode", draw(8)).size == 8


# -- many requests --------------------------------------------------------------------------------


def test_the_latest_code_is_decoded_and_those_in_between_are_not(
    engine: PageEngine, shared: Path
) -> None:
    model = make_model("dense")
    engine.start(converted(model, shared, "decoder"), model.config.code_size)
    z = draw_codes(9, model.config.code_size)
    script = """codes => Promise.all(give(codes).map(code => engine.decodeLatest(code)))
        .then(all => all.map(one => one && take(one.sample)))"""
    given = [give(one) for one in z]
    answers = [take(one) for one in engine.page.evaluate(script, given)]
    assert [i for i, one in enumerate(answers) if one is not None] == [0, 8]
    for i in (0, 8):
        assert_same_pixels(answers[i], model.decode(z[i : i + 1]))
    assert_same_pixels(engine.call("decodeLatest", z[3])["sample"], model.decode(z[3:4]))


def test_a_picture_does_not_wait_for_a_long_batch(engine: PageEngine, shared: Path) -> None:
    model = make_model("dense")
    engine.start(converted(model, shared, "decoder"), model.config.code_size)
    script = """async codes => {
        const [many, one] = give(codes);
        await engine.decode(one);
        const order = [];
        const batch = engine.decode(many).then(() => order.push("batch"));
        await engine.decodeLatest(one).then(() => order.push("picture"));
        await batch;
        return order;
    }"""
    z = draw_codes(200, model.config.code_size)
    assert engine.page.evaluate(script, [give(z), give(z[0])]) == ["picture", "batch"]


def test_batches_of_all_sizes_share_their_memory(engine: PageEngine, shared: Path) -> None:
    model = make_model("conv-transpose")
    engine.start(converted(model, shared, "decoder"), model.config.code_size)
    z = draw_codes(40, model.config.code_size)
    expected = model.decode(z)
    for count in (2, 40, 1, 17, 3, 5, 2, 40):
        assert_same_pixels(engine.call("decode", z[:count]), expected[:count])


def test_new_data_are_read_again(engine: PageEngine) -> None:
    engine.start({"encoder": network("Relu", (4,))}, shape=(4,))
    assert engine.call("encode", -(draw(1, 4) ** 2)).tolist() == [0, 0, 0, 0]
    (engine.data / "encoder.onnx").write_bytes(network("Add", (4,), np.float32(1)))
    engine.page.evaluate("engine.refresh({...engine.manifest})")
    assert engine.call("encode", np.zeros((1, 4), np.float32)).tolist() == [0, 0, 0, 0]
    engine.page.evaluate("engine.refresh({...engine.manifest, fingerprint: '1'})")
    assert engine.call("encode", np.zeros((1, 4), np.float32)).tolist() == [1, 1, 1, 1]


# -- neighbors ------------------------------------------------------------------------------------


def nearest(
    codes: NDArray[np.float32], code: NDArray[np.float32], k: int, allowed: NDArray[Any]
) -> tuple[list[int], NDArray[np.float64]]:
    distances = np.sqrt(((codes.astype(float) - code) ** 2).sum(1))
    rows = np.argsort(np.where(allowed, distances, np.inf), kind="stable")[:k]
    rows = rows[allowed[rows].astype(bool)]
    return rows.tolist(), distances[rows]


@pytest.mark.parametrize("size", [1, 2, 8, 33])
@pytest.mark.parametrize("count", [1, 16, 1003])
def test_neighbors_are_exact(count: int, size: int, engine: PageEngine) -> None:
    draws = np.random.default_rng(size)
    codes = draws.normal(size=(count, size)).astype(np.float32)
    (engine.data / "codes.bin").write_bytes(pack(codes))
    engine.start({}, code_size=size)
    everything, some = np.ones(count, np.uint8), draws.integers(0, 2, count).astype(np.uint8)
    for code in (codes[count // 2], draws.normal(size=size).astype(np.float32)):
        for k in (1, 12):
            assert_neighbors(engine.call("nearest", code, k), nearest(codes, code, k, everything))
            found = engine.call("nearest", code, k, some)
            assert_neighbors(found, nearest(codes, code, k, some))


def assert_neighbors(
    found: dict[str, NDArray[Any]], expected: tuple[list[int], NDArray[np.float64]]
) -> None:
    assert found["rows"].tolist() == expected[0]
    np.testing.assert_allclose(found["distances"], expected[1], rtol=1e-6)


def test_a_sample_is_no_neighbor_of_its_own_and_equals_come_in_order(engine: PageEngine) -> None:
    codes = np.repeat(draw(3, 5), 20, axis=0)
    engine.start({}, code_size=5)
    engine.call("setCodes", pack(codes))
    found = engine.call("nearest", codes[25], 40, None, {"without": 25})
    assert found["rows"].tolist()[:19] == [row for row in range(20, 40) if row != 25]
    assert found["distances"][:19].tolist() == [0] * 19
    assert engine.call("nearest", codes[0], 3)["rows"].tolist() == [0, 1, 2]
    rows = [59, 0, 33]
    assert engine.call("codesOf", rows).tolist() == codes[rows].ravel().tolist()


def test_codes_that_are_not_in_the_page_are_for_the_server(engine: PageEngine) -> None:
    engine.start({}, code_size=4)
    engine.page.evaluate("engine.manifest.codes.in_page = false")
    assert "the server searches them" in engine.fail("nearest", draw(4), 3)

"""Networks in parts: joined to the same bytes, weights once, large ones in half precision."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isthmus import Session
from isthmus.studio.content import Content
from isthmus.studio.parts import split_network
from studio.joining import join_network
from studio.serving import Watch, open_studio

onnxruntime = pytest.importorskip("onnxruntime")
NAMES = ("encoder.onnx", "decoder.onnx", "layers.onnx")


@pytest.fixture(scope="module")
def content(color_run: Path) -> Content:
    content = Content(Session(color_run))
    content.finish()
    return content


@pytest.fixture(scope="module")
def networks(content: Content) -> dict[str, bytes]:
    return {name: content.read(name) for name in NAMES}


def compute(network: bytes, z: NDArray[np.float32]) -> NDArray[np.uint8]:
    session = onnxruntime.InferenceSession(network)
    drawn: NDArray[np.uint8] = session.run(None, {"code": z})[0]
    return drawn


def test_parts_join_to_the_bytes_of_the_file(networks: dict[str, bytes]) -> None:
    for name in NAMES:
        parts = split_network(networks[name], half=False)
        assert {part[0] for part in parts} == {"raw"}
        assert len(parts) > 3
        assert join_network(json.loads(json.dumps(parts))) == networks[name]


def test_shared_weights_are_copied(networks: dict[str, bytes]) -> None:
    others = {name: networks[name] for name in NAMES[:2]}
    parts = split_network(networks["layers.onnx"], others)
    assert join_network(parts, others) == networks["layers.onnx"]
    assert len(json.dumps(parts)) < 0.1 * len(networks["layers.onnx"])


def test_half_precision_changes_no_pixel_by_more_than_one(
    networks: dict[str, bytes], content: Content
) -> None:
    whole = networks["decoder.onnx"]
    parts = split_network(whole, half=True)
    assert len(json.dumps(parts)) < 0.75 * len(whole)
    rounded = join_network(parts)
    assert len(rounded) == len(whole)
    z = content.codes(np.arange(90))
    difference = compute(rounded, z).astype(int) - compute(whole, z)
    assert np.abs(difference).max() <= 1


def test_a_file_without_large_weights_is_one_part() -> None:
    onnx = pytest.importorskip("onnx")
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "tiny", [x], [y])
    file = onnx.helper.make_model(graph).SerializeToString()
    assert join_network(split_network(file, half=True)) == file
    assert len(split_network(file)) == 1


def test_the_page_joins_parts_as_this_does(
    page: Any, watch: Watch, studio: Callable[..., Any], color_run: Path, networks: dict[str, bytes]
) -> None:
    open_studio(page, studio(color_run).link)
    others = {"encoder.onnx": networks["encoder.onnx"]}
    parts = split_network(networks["layers.onnx"], others, half=True)
    halves = np.array([0, 1, -2.5, 6e-8, -3e-5, 65504, 0.1], np.float16)
    parts.append(split_halves(halves))
    digest = page.evaluate(
        """async (parts) => {
          const { joinParts } = await import("/parts.js");
          const { readData } = await import("/files.js");
          const joined = await joinParts(parts, readData);
          const digest = await crypto.subtle.digest("SHA-256", joined);
          return Array.from(new Uint8Array(digest));
        }""",
        parts,
    )
    expected = join_network(parts, others)
    assert bytes(digest) == hashlib.sha256(expected).digest()
    assert expected.endswith(halves.astype("<f4").tobytes())


def split_halves(values: NDArray[np.float16]) -> list[str]:
    import base64

    return ["half", base64.b64encode(values.astype("<f2").tobytes()).decode()]

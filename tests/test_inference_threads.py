"""Threads that share a model get the answers of their own batches; work stops between batches."""

import copy
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from isthmus import TrainedModel, configure
from isthmus.data.preprocess import Preprocessing
from isthmus.models.layers import channels_last, require_encoder
from isthmus.runtime import computing_threads

Call = Callable[[TrainedModel], Any]

THREADS = 8
ROUNDS = 3
MODELS = ("conv-pool", "conv", "cnn-tiny", "fcn8s")


def untrained(name: str, precision: Any = "32") -> TrainedModel:
    """Return a model of 20 × 20 gray images whose first weights are its answers."""
    torch.manual_seed(0)
    labeled = name in ("cnn-tiny", "fcn8s")
    options = {"width": 0.0625, "batch_norm": True} if name == "fcn8s" else {}
    config = configure(
        name, (1, 20, 20), 16, class_names=("sky", "road", "tree") if labeled else (),
        options=options,
    )  # fmt: skip
    preprocessing = Preprocessing(size=(20, 20), channels=1)
    module = channels_last(config.build()).eval()
    for parameter in module.parameters():
        if not parameter.any():  # the scores of a segmenter start at zero, all answers alike
            torch.nn.init.normal_(parameter, std=0.1)
    return TrainedModel(config, preprocessing, module, precision)


def images(count: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 20, 20, 1), np.uint8)


def calls(model: TrainedModel) -> list[Call]:
    """Return every method, most of them with several inputs and every layer once."""
    names = [layer.name for layer in model.layers]
    own: list[Call] = [lambda m: m.predict(images(7, 1)), lambda m: m.probabilities(images(7, 2))]
    if model.config.task == "reconstruct":
        z = model.encode(images(9, 0))
        own = [lambda m: m.decode(z), lambda m: m.reconstruct(images(7, 1))]
    return [
        *own,
        *(partial(features, name=name, seed=seed) for seed, name in enumerate(names)),
        lambda m: join(m.features(images(5, 3))),
        lambda m: m.encode(images(7, 4)),
        lambda m: list(m.activations(images(5, 5)).values()),
        lambda m: list(m.activations(images(5, 6), names[1::2]).values()),
        lambda m: join(m.inputs(images(5, 7))),
        lambda m: join(output for _, output in m.outputs(images(5, 8))),
        lambda m: m.fingerprint,
        lambda m: [m.layers, m.layer(names[0]), m.batch_size],
        lambda m: m.to_bytes(),
        lambda m: TrainedModel.from_bytes(m.to_bytes()).encode(images(3, 9)),
    ]  # fmt: skip


def call_with(model: TrainedModel) -> Callable[[tuple[int, Call]], Any]:
    return lambda job: job[1](model)


def features(model: TrainedModel, name: str, seed: int) -> NDArray[Any]:
    return join(model.features(images(7, seed), name))


def join(batches: Iterable[Any]) -> NDArray[Any]:
    return np.concatenate([np.asarray(batch) for batch in batches])


def assert_same(answer: Any, expected: Any, what: str) -> None:
    if isinstance(expected, list):
        for one, other in zip(answer, expected, strict=True):
            assert_same(one, other, what)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(answer, expected, what)
    else:
        assert answer == expected, what


@pytest.mark.parametrize("name", MODELS)
def test_threads_that_share_a_model_get_their_own_answers(name: str) -> None:
    model = untrained(name)
    expected = [call(model) for call in calls(model)]
    for seed in range(ROUNDS):
        shared = TrainedModel(model.config, model.preprocessing, model.module)  # nothing cached yet
        jobs = list(enumerate(calls(model))) * 2
        np.random.default_rng(seed).shuffle(jobs)
        start = threading.Barrier(THREADS)
        with ThreadPoolExecutor(THREADS, initializer=start.wait) as pool:
            answers = list(pool.map(call_with(shared), jobs))
        for (place, _), answer in zip(jobs, answers, strict=True):
            assert_same(answer, expected[place], f"{name}, call {place}")
    for part in model.module.modules():
        assert not part._forward_hooks


def test_threads_of_two_precisions_get_their_own_answers() -> None:
    exact = untrained("conv-pool")
    rough = TrainedModel(exact.config, exact.preprocessing, exact.module, "bf16")
    expected = [model.encode(images(9, 0)) for model in (exact, rough)]
    assert not np.array_equal(expected[0], expected[1])
    with ThreadPoolExecutor(THREADS) as pool:
        answers = pool.map(lambda i: (exact, rough)[i % 2].encode(images(9, 0)), range(40))
        for i, answer in enumerate(answers):
            np.testing.assert_array_equal(answer, expected[i % 2])


def test_a_thread_may_train_the_weights_that_others_use() -> None:
    model = untrained("conv-pool", "bf16")
    x = torch.rand(8, 1, 20, 20)
    failures: list[Exception] = []

    def answer() -> None:
        for _ in range(20):
            model.encode(images(9, 0))

    def train() -> None:
        try:
            for _ in range(20):
                with torch.autocast("cpu", torch.bfloat16):
                    model.module(x).float().square().mean().backward()
        except RuntimeError as error:
            failures.append(error)

    threads = [threading.Thread(target=target) for target in (answer, answer, train)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("name", MODELS)
def test_blocks_are_computed_by_a_thread_each(name: str) -> None:
    model = untrained(name)
    model.__dict__["batch_size"] = 4
    method = model.reconstruct if model.config.task == "reconstruct" else model.probabilities
    several, single = images(13, 0), images(4, 0)
    found: list[tuple[int, int]] = []  # threads, and with how many torch computes in each
    require_encoder(model.module).encoder.register_forward_pre_hook(
        lambda module, x: found.append((threading.get_ident(), torch.get_num_threads()))
    )
    calls: list[Callable[[NDArray[Any]], Any]] = [
        model.encode,
        method,
        lambda values: list(model.activations(values).values()),
    ]
    for call in calls:
        with computing_threads(1):
            expected = call(several)
        found.clear()
        with computing_threads(3):
            assert_same(call(several), expected, name)
            assert [count for _, count in found] == [1, 1, 1, 1]
            assert threading.get_ident() not in {thread for thread, _ in found}
            found.clear()
            call(single)  # by the thread that asks
            assert found == [(threading.get_ident(), 1)]
            assert torch.get_num_threads() == 3


# -- layers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_all_layers_come_from_one_pass_and_equal_hooks_on_the_module(name: str) -> None:
    model = untrained(name)
    model.__dict__["batch_size"] = 3  # several batches
    module, passes = copy.deepcopy(model.module), []
    expected: dict[str, Any] = {}
    for layer in model.layers:
        module.get_submodule(layer.output).register_forward_hook(
            lambda part, x, y, name=layer.name: expected.setdefault(name, []).append(y)
        )
    for x in model.inputs(images(7, 0)):
        with torch.inference_mode():
            module(x)
    counter = require_encoder(model.module).encoder.register_forward_hook(
        lambda part, x, y: passes.append(len(x))
    )
    outputs = model.activations(images(7, 0))
    counter.remove()
    assert len(passes) == 3
    assert list(outputs) == [layer.name for layer in model.layers]
    for layer in model.layers:
        assert outputs[layer.name].shape == (7, *layer.shape)
        assert outputs[layer.name].dtype == np.float32
        np.testing.assert_array_equal(outputs[layer.name], join(expected[layer.name]))
        np.testing.assert_allclose(
            join(model.features(images(7, 0), layer.name)), outputs[layer.name],
            rtol=1e-3, atol=1e-5,
        )  # fmt: skip


def test_a_pass_ends_after_the_last_wanted_layer() -> None:
    model = untrained("conv-pool")
    assert model.layers  # listed by a pass of their own, before anybody listens
    seen: list[str] = []
    for part in ("encoder", "decoder"):
        getattr(model.module, part)[0].register_forward_pre_hook(
            lambda module, x, part=part: seen.append(part)
        )
    model.activations(images(2, 0), ["encoder.3", "encoder.0"])
    assert seen == ["encoder"]
    model.activations(images(2, 0), [model.layers[-1].name])
    assert seen == ["encoder", "encoder", "decoder"]
    assert model.activations(images(2, 0), []) == {}


def test_a_recorder_copies_no_weights() -> None:
    model = untrained("cnn-tiny")
    addresses = {tensor.data_ptr() for tensor in model.module.state_dict().values()}
    seen: set[int] = set()
    for part in model.module.modules():
        part.register_forward_pre_hook(
            lambda module, x: seen.update(t.data_ptr() for t in module.state_dict().values())
        )
    model.activations(images(2, 0))
    assert seen == addresses


# -- progress and interruption ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "method", "title"),
    [
        ("conv-pool", "encode", "Encoding"),
        ("conv-pool", "reconstruct", "Reconstructing"),
        ("conv-pool", "decode", "Decoding"),
        ("conv-pool", "activations", "Encoding"),
        ("cnn-tiny", "predict", "Predicting"),
        ("fcn8s", "probabilities", "Predicting"),
    ],
)
def test_work_can_be_followed_and_stopped_between_batches(
    name: str, method: str, title: str
) -> None:
    model = untrained(name)
    model.__dict__["batch_size"] = 4
    values: Any = images(10, 0)
    if method == "decode":
        values = np.random.default_rng(0).normal(size=(10, 16)).astype(np.float32)
    seen: list[tuple[int, int, str]] = []

    def stopping(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
        for place, item in enumerate(items):
            seen.append((place, total, title))
            if place == limit:
                raise KeyboardInterrupt
            yield item

    limit = 3
    np.testing.assert_equal(
        getattr(model, method)(values, track=stopping), getattr(model, method)(values)
    )
    assert seen == [(0, 3, title), (1, 3, title), (2, 3, title)]
    seen.clear()
    limit = 1
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)(values, track=stopping)
    assert len(seen) == 2


# -- classes and files --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cnn-tiny", "fcn8s"])
def test_predictions_are_the_most_probable_classes(name: str) -> None:
    model = untrained(name)
    probabilities = model.probabilities(images(20, 0))
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(images(20, 0)), probabilities.argmax(-1))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_from_bytes(name: str) -> None:
    model = untrained(name)
    content = model.to_bytes()
    again = TrainedModel.from_bytes(content)
    assert again.fingerprint == model.fingerprint
    assert again.to_bytes() == content
    assert (again.config, again.preprocessing) == (model.config, model.preprocessing)
    np.testing.assert_array_equal(again.encode(images(5, 0)), model.encode(images(5, 0)))

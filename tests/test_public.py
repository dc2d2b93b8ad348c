"""The public names, and that names in tables can be found by people."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest
import typer

import isthmus as package
import isthmus.sklearn as estimators
from isthmus.cli import app
from isthmus.data.augmentation import AUGMENTATIONS
from isthmus.data.catalog import DATASETS
from isthmus.data.corruption import CORRUPTIONS
from isthmus.models.registry import MODELS
from isthmus.models.tasks import TASKS
from isthmus.training.config import DEVICES, PRECISIONS
from isthmus.training.losses import LOSSES
from isthmus.training.optim import OPTIMIZERS, SCHEDULES
from test_cli import isthmus

PUBLIC = [
    "CORRUPTIONS",
    "Codes",
    "DATASETS",
    "Diagnosis",
    "Duplicates",
    "Finding",
    "Images",
    "Index",
    "IsthmusError",
    "Items",
    "LanceCodes",
    "LanceIndex",
    "MODELS",
    "Map",
    "Mislabelled",
    "Model",
    "ModelConfig",
    "OnnxEncoder",
    "OnnxModel",
    "Outliers",
    "Preprocessing",
    "Progress",
    "Reading",
    "ReadingReport",
    "Run",
    "Samples",
    "Session",
    "Styles",
    "TorchEncoder",
    "TrainedModel",
    "Training",
    "TrainingConfig",
    "__version__",
    "build_model",
    "check_data",
    "configure",
    "denoise",
    "denoise_on_cluster",
    "denoise_values",
    "describe_installation",
    "diagnose",
    "encode",
    "encode_on_cluster",
    "estimate_noise",
    "evaluate",
    "export",
    "export_codes",
    "find_duplicates",
    "find_mislabelled",
    "find_outliers",
    "fit_map",
    "generate",
    "interpolate",
    "load",
    "load_images",
    "load_model",
    "load_styles",
    "open_codes",
    "place_on_cluster",
    "predict_masks",
    "predict_masks_on_cluster",
    "predict_on_cluster",
    "resume",
    "serve_studio",
    "shard_on_cluster",
    "show_progress",
    "split_samples",
    "stylize",
    "stylize_values",
    "summarize",
    "train",
    "write_card",
    "write_comparison",
    "write_report",
    "write_shards",
    "write_studio",
]
TABLES = ("CORRUPTIONS", "DATASETS", "MODELS")
DOCUMENTED = [name for name in PUBLIC if name not in (*TABLES, "__version__")]


def run_python(script: str) -> str:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_the_public_names_are_these() -> None:
    assert sorted(package.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(package))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(package, name)


def test_another_name_is_none() -> None:
    with pytest.raises(AttributeError, match="'nowhere'"):
        getattr(package, "nowhere")  # noqa: B009


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_docstring_begins_with_a_sentence(name: str) -> None:
    first = first_line(getattr(package, name))
    assert first.endswith(".")
    assert first[0].isupper() or first[0] == "`"


def first_line(documented: Any) -> str:
    text = inspect.getdoc(documented) or ""
    return text.splitlines()[0] if text else ""


def members(name: str) -> Iterable[tuple[str, Any]]:
    for member, value in vars(getattr(package, name)).items():
        if not member.startswith("_") and (
            inspect.isfunction(value) or isinstance(value, (property, classmethod))
        ):
            yield member, value


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if name[0].isupper()])
def test_every_public_method_has_a_docstring(name: str) -> None:
    lines = {member: first_line(value) for member, value in members(name)}
    assert [member for member, line in lines.items() if not line.endswith(".")] == []


@pytest.mark.parametrize("name", estimators.__all__)
def test_every_estimator_and_its_methods_have_a_docstring(name: str) -> None:
    estimator = getattr(estimators, name)
    assert first_line(estimator).endswith(".")
    methods = [member for member in vars(estimator) if not member.startswith("_")]
    assert "fit" in methods
    assert [m for m in methods if not first_line(getattr(estimator, m)).endswith(".")] == []


@pytest.mark.parametrize("name", estimators.__all__)
def test_every_parameter_of_an_estimator_is_described(name: str) -> None:
    estimator = getattr(estimators, name)
    text = inspect.getdoc(estimator) or ""
    parameters, _, attributes = text.partition("\nParameters\n")[2].partition("\nAttributes\n")
    described = re.findall(r"^(\w+) : ", parameters, re.MULTILINE)
    assert described == list(inspect.signature(estimator).parameters)
    assert {"model_", "run_", "n_features_in_"} <= set(re.findall(r"^(\w+) : ", attributes, re.M))


@pytest.mark.parametrize("name", TABLES)
def test_every_row_of_a_table_says_what_it_is(name: str) -> None:
    table = getattr(package, name)
    assert len(table) > 1
    assert [key for key, row in table.items() if not row.description] == []


def test_every_error_is_one_kind_of_error() -> None:
    from isthmus import errors

    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind)]
    kinds = [kind for kind in kinds if kind.__module__ == errors.__name__]
    assert len(kinds) > 1
    assert all(issubclass(kind, package.IsthmusError) for kind in kinds)


def test_the_import_alone_loads_nothing_heavy() -> None:
    script = """
import sys, isthmus
heavy = {"torch", "numpy", "scipy", "matplotlib", "sklearn", "PIL", "onnxruntime", "typer", "rich"}
print(sorted(heavy & set(sys.modules)), isthmus.__version__)
"""
    assert run_python(script) == f"[] {package.__version__}\n"


def test_the_type_marker_is_shipped() -> None:
    from importlib.resources import files

    assert files("isthmus").joinpath("py.typed").is_file()


# -- names of tables are said in the help, and by the error when misspelled -----------------

OPTIONS: dict[str, Iterable[str]] = {
    "task": TASKS,
    "corrupt": CORRUPTIONS,
    "augment": AUGMENTATIONS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "loss": LOSSES,
    "device": DEVICES,
    "precision": PRECISIONS,
}


@pytest.mark.parametrize("option", OPTIONS)
def test_the_help_of_train_names_every_choice(option: str) -> None:
    commands: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    (parameter,) = (one for one in commands["train"].params if one.name == option)
    assert [name for name in OPTIONS[option] if name not in parameter.help] == []


@pytest.mark.parametrize(
    ("command", "table"),
    [
        *((f"train digits --{option} nowhere", table) for option, table in OPTIONS.items()),
        ("train digits --limit 60 --model nowhere", MODELS),
        ("summary nowhere", MODELS),
        ("train nowhere", DATASETS),
        ("data fetch nowhere", DATASETS),
    ],
)
def test_a_misspelled_name_is_answered_by_all_right_ones(
    command: str, table: Iterable[str]
) -> None:
    outcome = isthmus(*command.split())
    assert outcome.code == 2
    assert [name for name in (*table, "nowhere") if name not in outcome.err] == []

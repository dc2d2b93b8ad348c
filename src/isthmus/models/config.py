"""`ModelConfig`: a model with all its choices made, and the functions that fill it in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from isthmus.errors import ModelError, OptionError, require_known, suggest
from isthmus.models.bounds import reject_large, reject_large_sample
from isthmus.models.layers import Network
from isthmus.models.registry import (
    DEFAULT_MODELS,
    MODELS,
    ModelRow,
    default_code_size,
    model_row,
    models_for,
    require_kind,
)
from isthmus.models.tasks import CLASS_TASKS, KINDS, TASKS, Activation, Task, with_article

MAX_OPTION = 2**20  # beyond all that has a meaning, and within what can be computed with
# What an option may be, by its name or else by the type of its default.
OPTION_VALUES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "dropout": ("a number from 0 to below 1", lambda value: _is_number(value) and 0 <= value < 1),
    "base": ("the name of an autoencoder", lambda value: value in models_for("reconstruct")),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    # By its type, because True is an instance of int.
    "int": (
        f"a whole number above 0, at most {MAX_OPTION:,}",
        lambda value: type(value) is int and 0 < value <= MAX_OPTION,
    ),
    "float": (
        f"a number above 0, at most {MAX_OPTION:,}",
        lambda value: _is_number(value) and 0 < value <= MAX_OPTION,
    ),
}
OMIT_EMPTY = {"omit_empty": True}  # see `files.to_json`


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build a model again.

    Parameters
    ----------
    model : str
        A key of `MODELS`.
    shape : tuple of int
        Shape of one sample x: (C, H, W), or (C, L) for signals.
    code_size : int
    activation : str
        What follows the output; a key of `ACTIVATIONS`, "softmax" where there are classes.
    class_names : tuple of str
        Two or more for a classifier or a segmenter, none for others.
    style_names : tuple of str
        One or more for a style bank, none for others.
    options : dict
        Of the model's row, such as {"width": 32}; see `ModelRow.options`.

    Raises
    ------
    OptionError
        If the model, the shape, the code size, the classes or an option is invalid.
    ModelError
        If the model does not take samples of that shape.
    """

    model: str
    shape: tuple[int, ...]
    code_size: int
    activation: Activation
    class_names: tuple[str, ...] = field(default=(), metadata=OMIT_EMPTY)
    options: dict[str, Any] = field(default_factory=dict, hash=False, metadata=OMIT_EMPTY)
    style_names: tuple[str, ...] = field(default=(), metadata=OMIT_EMPTY)

    def __post_init__(self) -> None:
        row = model_row(self.model)
        self._reject_code_size(row)
        _reject_shape(self.model, self.shape)
        self._reject_classes(row)
        self._reject_styles(row)
        for name, value in self.options.items():
            _reject_option(self.model, name, value)

    @property
    def task(self) -> Task:
        """What the model does, a key of `TASKS`."""
        return MODELS[self.model].task

    def build(self) -> Network:
        """Build the module; its first weights come from torch's global random numbers.

        Raises
        ------
        ModelError
            If it would be larger than `bounds` allows, or than memory.
        """
        self.build_on_meta()
        return self._build()

    def build_on_meta(self) -> Network:
        """Build the module on torch's meta device: shapes without memory or random numbers.

        Raises
        ------
        ModelError
            If it would be larger than `bounds` allows.
        """
        with torch.device("meta"):
            module = self._build()
        reject_large(self.model, module, self.shape)
        return module

    def _build(self) -> Network:
        names = self.class_names or self.style_names
        counts = (len(names),) if names else ()
        try:
            return MODELS[self.model].build(self.shape, self.code_size, *counts, **self.options)
        except (ArithmeticError, MemoryError, RuntimeError, TypeError) as error:
            # Of torch's allocator, which has no class of its own on a CPU, and of sizes beyond
            # those that a tensor can have.
            raise ModelError(
                f"the model {self.model} with a code of {self.code_size:,} does not fit into "
                "memory; take a smaller code or smaller samples."
            ) from error

    def _reject_code_size(self, row: ModelRow) -> None:
        if row.task == "denoise" and self.code_size:
            raise OptionError(f"the model {self.model} has no code; leave the code size out.")
        if row.task != "denoise" and self.code_size < 1:
            raise OptionError(f"the code size must be at least 1, not {self.code_size}.")

    def _reject_classes(self, row: ModelRow) -> None:
        has_classes, count = row.task in CLASS_TASKS, len(self.class_names)
        if has_classes and count < 2:
            raise OptionError(
                f"the model {self.model} is a {TASKS[row.task]} and needs the names of two or "
                f"more classes, not {count}."
            )
        if not has_classes and count:
            raise OptionError(
                f"the model {self.model} is {with_article(TASKS[row.task])} and has no classes; "
                "for classes there "
                f"are {', '.join([*models_for('classify'), *models_for('segment')])}."
            )
        # The activation comes from a file here, which may have been changed by hand.
        if has_classes != (self.activation == "softmax"):
            raise OptionError(
                f"the model {self.model} has the activation {row.activation}, "
                f"not {self.activation}."
            )

    def _reject_styles(self, row: ModelRow) -> None:
        if row.task == "stylize" and not self.style_names:
            raise OptionError(
                f"the model {self.model} paints in styles and needs pictures of them; give them "
                "with isthmus style train PHOTOS --styles PICTURES."
            )
        if row.task != "stylize" and self.style_names:
            there = ", ".join(models_for("stylize"))
            raise OptionError(
                f"the model {self.model} is {with_article(TASKS[row.task])} and has no styles; "
                f"take {there}."
            )
        if len(set(self.style_names)) < len(self.style_names):
            raise OptionError("two styles have the same name; give each a name of its own.")


def configure(
    model: str | None,
    shape: Sequence[int],
    code_size: int | None = None,
    *,
    task: Task | None = None,
    class_names: Sequence[str] = (),
    style_names: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> ModelConfig:
    """Return a model config with the model's defaults for whatever is left out.

    Parameters
    ----------
    model : str, optional
        A key of `MODELS`; by default chosen by the task and the kind of sample.
    shape : sequence of int
        Shape of one sample x: (C, H, W), or (C, L) for signals.
    code_size : int, optional
        By default the model's own.
    task : str, optional
        A key of `TASKS`; by default the model's, or "reconstruct".
    class_names : sequence of str
        Needed for a classifier or a segmenter.
    style_names : sequence of str
        Needed for a style bank.
    options : mapping, optional
        Options of the model; those left out take the row's defaults.

    Raises
    ------
    OptionError, ModelError
        As `ModelConfig`, and if the model has another task.
    """
    if model is None:
        model = _default_model(task or "reconstruct", shape)
    row = model_row(model)
    if task is not None:
        _reject_other_task(model, task)
    _reject_shape(model, shape)
    # Defaults are written out: a later change of a default must not change a saved model.
    given = {**row.options, **(options or {})}
    for name, value in given.items():
        _reject_option(model, name, value)
    code_size = default_code_size(row, shape, given) if code_size is None else code_size
    return ModelConfig(
        model,
        tuple(shape),
        code_size,
        row.activation,
        tuple(class_names),
        given,
        tuple(style_names),
    )


def build_model(
    model: str,
    shape: Sequence[int],
    code_size: int | None = None,
    *,
    class_names: Sequence[str] = (),
    style_names: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Network:
    """Build a model by name.

    Parameters
    ----------
    model : str
        A key of `MODELS`.
    shape : sequence of int
        Shape of one sample x: (C, H, W), or (C, L) for signals.
    code_size : int, optional
        By default the model's own.
    class_names : sequence of str
        Needed for a classifier or a segmenter.
    style_names : sequence of str
        Needed for a style bank.
    options : mapping, optional
        Options of the model.

    Examples
    --------
    >>> import torch
    >>> module = build_model("conv-pool", (1, 28, 28))
    >>> module.encode(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 128])
    >>> module = build_model("cnn-tiny", (1, 28, 28), class_names=("shirt", "bag"))
    >>> module(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 2])
    """
    config = configure(
        model,
        shape,
        code_size,
        class_names=class_names,
        style_names=style_names,
        options=options,
    )
    return config.build()


def _default_model(task: Task, shape: Sequence[int]) -> str:
    """Return the model of a task for samples of a shape."""
    require_known("task", task, TASKS)
    kind = KINDS.get(len(shape), "images")
    if (task, kind) not in DEFAULT_MODELS:
        raise ModelError(f"there is no model to {task} {kind}.")
    return DEFAULT_MODELS[task, kind]


def _reject_other_task(model: str, task: Task) -> None:
    """Reject a model of another task."""
    require_known("task", task, TASKS)
    if MODELS[model].task != task:
        there = ", ".join(models_for(task))
        raise OptionError(f"the model {model} does not {task}; to {task} there are {there}.")


def _reject_shape(model: str, shape: Sequence[int]) -> None:
    """Reject a shape that no sample has, or one too small for the model."""
    if len(shape) not in KINDS or min(shape) < 1:
        raise OptionError(f"a sample is (C, H, W) or (C, L), not {tuple(shape)}.")
    require_kind(model, shape)
    reject_large_sample(model, shape)
    if min(shape[1:]) < MODELS[model].min_side:
        raise ModelError(
            f"the model {model} takes sides of at least {MODELS[model].min_side}, not "
            f"{' × '.join(map(str, shape[1:]))}."
        )


def _reject_option(model: str, name: str, value: Any) -> None:
    """Reject an unknown option, or an invalid value of a known one."""
    defaults = MODELS[model].options
    if name not in defaults:
        there = f"there are {', '.join(defaults)}" if defaults else "it has none"
        near = suggest(name, defaults)
        raise OptionError(f"the model {model} has no option {name!r}{near}; {there}.")
    row = name if name in OPTION_VALUES else type(defaults[name]).__name__
    description, is_valid = OPTION_VALUES[row]
    if not is_valid(value):
        raise OptionError(f"the option {name} of {model} is {description}, not {value!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

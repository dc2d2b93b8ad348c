"""The cases of quality.py: each is a row, as in `MODELS`.

A case names a source, perhaps a model, and what differs from the defaults of `isthmus train`.
"""

from typing import Any

MNIST_DENOISER = {"source": "mnist", "code_size": 128}
TEN_EPOCHS = {"epochs": 10}
CODE_OF_2 = {"code_size": 2, "training_config": {"loss": "mse"}, "map": "code"}
FASHION: dict[str, Any] = {"source": "fashion-mnist", "code_size": 2}
FACES: dict[str, Any] = {"source": "lfw", "code_size": 32}

GROUPS: dict[str, dict[str, dict[str, Any]]] = {
    "reconstruct": {
        "fashion-2d": FASHION,
        "faces-32": FACES,
        "mnist-32": {"source": "mnist", "code_size": 32, "map": "tsne"},
        "mnist-2d-mse": {**CODE_OF_2, "source": "mnist"},
        "fashion-2d-mse": {**CODE_OF_2, "source": "fashion-mnist"},
        "fashion-32": {"source": "fashion-mnist", "code_size": 32, "map": "tsne"},
        "faces-linear": {"source": "lfw", "code_size": 32, "model": "linear"},
    },
    "denoise": {
        "denoise-conv": {
            **MNIST_DENOISER,
            "training_config": {"corrupt": "gaussian:0.5"},
            "plain": True,
        },
        "denoise-conv-pool": {
            **MNIST_DENOISER,
            "model": "conv-pool",
            "training_config": {"corrupt": "gaussian:0.5"},
            "plain": True,
        },
        "denoise-fashion-2d": {
            "source": "fashion-mnist",
            "code_size": 2,
            "training_config": {"corrupt": "gaussian:0.5"},
        },
    },
    # How much training a quality from the literature takes. Reported are BCE 0.3296 and 0.312 of
    # Fashion-MNIST, MSE 0.0056 and 0.0039 of LFW.
    "faster": {
        "fashion-2d-first": {**FASHION, "training_config": {"epochs": 2}},
        "fashion-2d-best": FASHION,
        "faces-32-first": {**FACES, "training_config": {"epochs": 6}},
        "faces-32-best": FACES,
    },
    "noise-levels": {
        f"denoise-{kind}-{strength}": {
            **MNIST_DENOISER,
            "training_config": {"corrupt": f"{kind}:{strength}", **TEN_EPOCHS},
        }
        for kind, strengths in (
            ("gaussian", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
            ("masked", (0.25, 0.5, 0.75)),
        )
        for strength in strengths
    },
}
PETS: dict[str, Any] = {"source": "cats-dogs", "task": "classify", "size": 64}
ALEXNET = {**PETS, "model": "alexnet", "code_size": 512}
STREETS: dict[str, Any] = {
    "source": "camvid",
    "task": "segment",
    "training_config": {"epochs": 12, "batch_size": 8},
}
GROUPS |= {
    "classify": {
        "pets-cnn": {**PETS, "model": "cnn"},
        "pets-cnn-small": {**PETS, "model": "cnn-small"},
        "fashion-cnn-tiny": {
            "source": "fashion-mnist",
            "task": "classify",
            "model": "cnn-tiny",
            "training_config": {"flip": True},
        },
    },
    "alexnet": {
        f"alexnet-{'lrn' if lrn else 'no-lrn'}-{schedule}": {
            **ALEXNET,
            "options": {"width": 0.25, "lrn": lrn},
            "training_config": {
                "epochs": 40,
                "optimizer": "adam",
                "lr": 3e-4,
                "schedule": schedule,
            },
        }
        for lrn in (True, False)
        for schedule in ("constant", "step")
    },
    "streets": {
        f"streets-{model}": {**STREETS, "model": model} for model in ("fcn32s", "fcn16s", "fcn8s")
    },
    "few-labels": {
        "mnist-few-labels": {"source": "mnist", "code_size": 32, "labels": (10, 100, 1_000)},
    },
}
GROUPS["precision"] = {  # does bfloat16 cost quality?
    f"{model}-{precision}": {
        "source": "mnist",
        "limit": 10_000,
        "model": model,
        "code_size": 32,
        "training_config": {"epochs": 5, "precision": precision},
    }
    for model in ("conv", "conv-pool", "dense")
    for precision in ("bf16", "32")
}
CASES = {name: case for group in GROUPS.values() for name, case in group.items()}

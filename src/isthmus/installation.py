"""What a bug report needs to know: versions, the machine, and where files are kept."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from isthmus.data.cache import cache_folder
from isthmus.data.dataset import data_folder
from isthmus.errors import first_sentence
from isthmus.limits import describe_limits
from isthmus.runtime import (
    choose_device,
    choose_precision,
    core_count,
    thread_count,
    total_memory,
)
from isthmus.state import state_folder
from isthmus.temporaries import size_of
from isthmus.version import __version__

# The packages whose version has ever explained an error, and those that may be left out.
PACKAGES = (
    "torch",
    "lightning-fabric",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "faiss-cpu",
    "opentsne",
    "pillow",
    "pillow-heif",
    "simplejpeg",
    "tifffile",
    "matplotlib",
    "safetensors",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pyarrow",
    "pylance",
    "ray",
    "starlette",
    "uvicorn",
    "umap-learn",
    "tensorboard",
    "typer",
)
EXTRAS = {  # the packages that each extra of pyproject.toml brings
    "heic": ("pillow-heif",),
    "lance": ("pylance",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "parquet": ("pyarrow",),
    "ray": ("ray",),
    "studio": ("onnx", "onnxruntime", "onnxscript", "starlette", "uvicorn"),
    "tensorboard": ("tensorboard",),
    "umap": ("umap-learn",),
}
DISTRIBUTIONS = ("isthmus", "isthmus-runtime")  # with and without torch
VARIABLES = (
    "ISTHMUS_CACHE",
    "ISTHMUS_CACHE_LIMIT",
    "ISTHMUS_DATA",
    "ISTHMUS_STATE",
    "OMP_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
)


def describe_installation() -> dict[str, Any]:
    """Describe this installation and its machine, for a bug report.

    Returns
    -------
    dict
        "isthmus" : str
            The version.
        "distributions" : list of str
            What pip has installed: isthmus, isthmus-runtime, or by mistake both.
        "folder" : str
            Where the package lies.
        "python", "system" : str
        "packages" : dict
            Name: version, None where the package is not installed.
        "extras" : dict
            Name: whether all its packages are installed.
        "device" : str
            What `--device auto` chooses, by the name that the device gives itself; or why torch
            cannot be imported.
        "precision" : str
            What `--precision auto` chooses unless the other one is measured to be faster for a
            model: "32" or "bf16".
        "cores" : int
            Which this process may use.
        "threads" : int
            Which computing uses; see `OMP_NUM_THREADS`.
        "memory" : int
            Bytes of this machine or container.
        "cache" : dict
            The "path" and the "bytes" of decoded samples and whatever else can be made again.
        "data" : dict
            The "path" of the named data sets.
        "state" : dict
            The "path" of what is remembered, such as which files were verified.
        "variables" : dict
            Those of the environment that change one of these, as far as they are set.
        "bounds" : dict
            On what files of others may ask for; see `describe_limits`.
    """
    versions = {name: _version(name) for name in PACKAGES}
    device, precision = _describe_device() if versions["torch"] else ("cpu", "32")
    return {
        "isthmus": __version__,
        "distributions": [name for name in DISTRIBUTIONS if _version(name)],
        "folder": str(Path(__file__).parent),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": versions,
        "extras": {name: all(map(_version, needed)) for name, needed in EXTRAS.items()},
        "device": device,
        "precision": precision,
        "cores": core_count(),
        "threads": thread_count(),
        "memory": total_memory(),
        "cache": {"path": str(cache_folder()), "bytes": size_of(cache_folder())},
        "data": {"path": str(data_folder())},
        "state": {"path": str(state_folder())},
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "bounds": describe_limits(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _describe_device() -> tuple[str, str]:
    """Return what training chooses; of a torch that is broken, why it cannot be imported."""
    try:
        import torch
    except Exception as error:  # an OSError where a library is missing, but others as well
        return f"torch cannot be imported: {first_sentence(error)}", "32"
    device = choose_device("auto")
    name = torch.cuda.get_device_name() if device == "cuda" else device
    return name, choose_precision(device)

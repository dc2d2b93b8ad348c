"""Isthmus trains autoencoders on your images and lets you use what they learnt.

The public names are loaded when they are first used, so that `import isthmus` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from isthmus.comparison import write_comparison as write_comparison
    from isthmus.data.corruption import CORRUPTIONS as CORRUPTIONS
    from isthmus.data.datasets import DATASETS as DATASETS
    from isthmus.data.loading import load as load
    from isthmus.data.preprocessing import Preprocessing as Preprocessing
    from isthmus.data.samples import Samples as Samples
    from isthmus.data.samples import divide as divide
    from isthmus.denoising import denoise as denoise
    from isthmus.errors import IsthmusError as IsthmusError
    from isthmus.evaluation import evaluate as evaluate
    from isthmus.latent.codes import Codes as Codes
    from isthmus.latent.codes import encode as encode
    from isthmus.latent.index import Index as Index
    from isthmus.latent.maps import Map as Map
    from isthmus.latent.maps import draw_map as draw_map
    from isthmus.latent.morph import between as between
    from isthmus.models.spec import Spec as Spec
    from isthmus.models.spec import build as build
    from isthmus.models.spec import specify as specify
    from isthmus.models.summary import summarise as summarise
    from isthmus.models.zoo import MODELS as MODELS
    from isthmus.report import write_report as write_report
    from isthmus.trained import Trained as Trained
    from isthmus.training.loop import Progress as Progress
    from isthmus.training.run import Run as Run
    from isthmus.training.settings import Settings as Settings
    from isthmus.training.train import resume as resume
    from isthmus.training.train import train as train

_PLACES = {
    "CORRUPTIONS": "data.corruption",
    "Codes": "latent.codes",
    "DATASETS": "data.datasets",
    "Index": "latent.index",
    "IsthmusError": "errors",
    "MODELS": "models.zoo",
    "Map": "latent.maps",
    "Preprocessing": "data.preprocessing",
    "Progress": "training.loop",
    "Run": "training.run",
    "Samples": "data.samples",
    "Settings": "training.settings",
    "Spec": "models.spec",
    "Trained": "trained",
    "between": "latent.morph",
    "build": "models.spec",
    "denoise": "denoising",
    "divide": "data.samples",
    "draw_map": "latent.maps",
    "encode": "latent.codes",
    "evaluate": "evaluation",
    "load": "data.loading",
    "resume": "training.train",
    "specify": "models.spec",
    "summarise": "models.summary",
    "train": "training.train",
    "write_comparison": "comparison",
    "write_report": "report",
}

__all__ = [*_PLACES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'isthmus' has no attribute {name!r}")
    return getattr(import_module(f"isthmus.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

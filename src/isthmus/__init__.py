"""Isthmus trains autoencoders on images and puts them to use.

Public names are imported when they are first used, so that `import isthmus` and
`isthmus --help` load neither NumPy nor torch.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from isthmus.version import __version__ as __version__

if TYPE_CHECKING:
    from isthmus.cluster.denoising import denoise_on_cluster as denoise_on_cluster
    from isthmus.cluster.encoding import encode_on_cluster as encode_on_cluster
    from isthmus.cluster.placing import place_on_cluster as place_on_cluster
    from isthmus.cluster.predicting import predict_masks_on_cluster as predict_masks_on_cluster
    from isthmus.cluster.predicting import predict_on_cluster as predict_on_cluster
    from isthmus.cluster.sharding import shard_on_cluster as shard_on_cluster
    from isthmus.data.catalog import DATASETS as DATASETS
    from isthmus.data.corruption import CORRUPTIONS as CORRUPTIONS
    from isthmus.data.images import Images as Images
    from isthmus.data.inspection import check_data as check_data
    from isthmus.data.items import Items as Items
    from isthmus.data.load import load as load
    from isthmus.data.load_images import load_images as load_images
    from isthmus.data.preprocess import Preprocessing as Preprocessing
    from isthmus.data.reading import Reading as Reading
    from isthmus.data.report import ReadingReport as ReadingReport
    from isthmus.data.samples import Samples as Samples
    from isthmus.data.shards import write_shards as write_shards
    from isthmus.data.split import split_samples as split_samples
    from isthmus.denoising import denoise as denoise
    from isthmus.denoising import denoise_values as denoise_values
    from isthmus.denoising import estimate_noise as estimate_noise
    from isthmus.detection.duplicates.find import find_duplicates as find_duplicates
    from isthmus.detection.duplicates.result import Duplicates as Duplicates
    from isthmus.detection.labels.find import find_mislabelled as find_mislabelled
    from isthmus.detection.labels.mislabelled import Mislabelled as Mislabelled
    from isthmus.detection.outliers import Outliers as Outliers
    from isthmus.errors import IsthmusError as IsthmusError
    from isthmus.evaluation.diagnosis.diagnose import diagnose as diagnose
    from isthmus.evaluation.diagnosis.findings import Diagnosis as Diagnosis
    from isthmus.evaluation.diagnosis.findings import Finding as Finding
    from isthmus.evaluation.evaluate import evaluate as evaluate
    from isthmus.exporting.export import export as export
    from isthmus.inference.encoders import OnnxEncoder as OnnxEncoder
    from isthmus.inference.encoders import TorchEncoder as TorchEncoder
    from isthmus.inference.load import load_model as load_model
    from isthmus.inference.model import Model as Model
    from isthmus.inference.onnx import OnnxModel as OnnxModel
    from isthmus.inference.trained import TrainedModel as TrainedModel
    from isthmus.installation import describe_installation as describe_installation
    from isthmus.latent.codes import Codes as Codes
    from isthmus.latent.codes import encode as encode
    from isthmus.latent.index import Index as Index
    from isthmus.latent.interpolation import interpolate as interpolate
    from isthmus.latent.lance.dataset import LanceCodes as LanceCodes
    from isthmus.latent.lance.exporting import export_codes as export_codes
    from isthmus.latent.lance.index import LanceIndex as LanceIndex
    from isthmus.latent.lance.opening import open_codes as open_codes
    from isthmus.latent.maps import Map as Map
    from isthmus.latent.maps import fit_map as fit_map
    from isthmus.models.config import ModelConfig as ModelConfig
    from isthmus.models.config import build_model as build_model
    from isthmus.models.config import configure as configure
    from isthmus.models.registry import MODELS as MODELS
    from isthmus.models.summary import summarize as summarize
    from isthmus.progress import show_progress as show_progress
    from isthmus.reports.card import write_card as write_card
    from isthmus.reports.comparison import write_comparison as write_comparison
    from isthmus.reports.run import write_report as write_report
    from isthmus.segmenting import predict_masks as predict_masks
    from isthmus.session import Session as Session
    from isthmus.session.functions import find_outliers as find_outliers
    from isthmus.session.functions import generate as generate
    from isthmus.studio.export import write_studio as write_studio
    from isthmus.studio.serve import serve_studio as serve_studio
    from isthmus.styling import stylize as stylize
    from isthmus.styling import stylize_values as stylize_values
    from isthmus.training.config import TrainingConfig as TrainingConfig
    from isthmus.training.progress import Progress as Progress
    from isthmus.training.run import Run as Run
    from isthmus.training.styles import Styles as Styles
    from isthmus.training.styles import load_styles as load_styles
    from isthmus.training.train import Training as Training
    from isthmus.training.train import resume as resume
    from isthmus.training.train import train as train

_MODULES = {
    "CORRUPTIONS": "data.corruption",
    "Codes": "latent.codes",
    "DATASETS": "data.catalog",
    "Diagnosis": "evaluation.diagnosis.findings",
    "Duplicates": "detection.duplicates.result",
    "Finding": "evaluation.diagnosis.findings",
    "Images": "data.images",
    "Index": "latent.index",
    "IsthmusError": "errors",
    "Items": "data.items",
    "LanceCodes": "latent.lance.dataset",
    "LanceIndex": "latent.lance.index",
    "MODELS": "models.registry",
    "Map": "latent.maps",
    "Mislabelled": "detection.labels.mislabelled",
    "Model": "inference.model",
    "ModelConfig": "models.config",
    "OnnxEncoder": "inference.encoders",
    "OnnxModel": "inference.onnx",
    "Outliers": "detection.outliers",
    "Preprocessing": "data.preprocess",
    "Progress": "training.progress",
    "Reading": "data.reading",
    "ReadingReport": "data.report",
    "Run": "training.run",
    "Samples": "data.samples",
    "Session": "session",
    "Styles": "training.styles",
    "TorchEncoder": "inference.encoders",
    "TrainedModel": "inference.trained",
    "Training": "training.train",
    "TrainingConfig": "training.config",
    "build_model": "models.config",
    "check_data": "data.inspection",
    "configure": "models.config",
    "denoise": "denoising",
    "denoise_on_cluster": "cluster.denoising",
    "denoise_values": "denoising",
    "describe_installation": "installation",
    "diagnose": "evaluation.diagnosis.diagnose",
    "encode": "latent.codes",
    "encode_on_cluster": "cluster.encoding",
    "estimate_noise": "denoising",
    "evaluate": "evaluation.evaluate",
    "export": "exporting.export",
    "export_codes": "latent.lance.exporting",
    "find_duplicates": "detection.duplicates.find",
    "find_mislabelled": "detection.labels.find",
    "fit_map": "latent.maps",
    "find_outliers": "session.functions",
    "generate": "session.functions",
    "interpolate": "latent.interpolation",
    "load": "data.load",
    "load_images": "data.load_images",
    "load_model": "inference.load",
    "load_styles": "training.styles",
    "open_codes": "latent.lance.opening",
    "predict_masks": "segmenting",
    "place_on_cluster": "cluster.placing",
    "predict_masks_on_cluster": "cluster.predicting",
    "predict_on_cluster": "cluster.predicting",
    "resume": "training.train",
    "serve_studio": "studio.serve",
    "shard_on_cluster": "cluster.sharding",
    "show_progress": "progress",
    "split_samples": "data.split",
    "stylize": "styling",
    "stylize_values": "styling",
    "summarize": "models.summary",
    "train": "training.train",
    "write_card": "reports.card",
    "write_comparison": "reports.comparison",
    "write_report": "reports.run",
    "write_shards": "data.shards",
    "write_studio": "studio.export",
}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return _usable_names()
    if name not in _MODULES:
        message = f"module 'isthmus' has no attribute {name!r}"
        # With the module and the name, Python's traceback adds the nearest name.
        raise AttributeError(message, name=name, obj=sys.modules[__name__])
    try:
        return getattr(import_module(f"isthmus.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        from isthmus.errors import explain_missing_module

        explained = explain_missing_module(f"isthmus.{name}", error)
        if explained is None:
            raise
        raise ImportError(str(explained), name=error.name) from error


def __dir__() -> list[str]:
    return sorted([*_MODULES, "__version__"])


def _usable_names() -> list[str]:
    """Return all public names; in isthmus-runtime, only those that can be imported there.

    So `from isthmus import *` works in both. It imports everything, as finding this out does.
    """
    names = ["__version__"]
    for name in _MODULES:
        try:
            __getattr__(name)
        except ImportError as error:
            if not isinstance(error.__cause__, ModuleNotFoundError):  # not one that we explained
                raise
        else:
            names.append(name)
    return names

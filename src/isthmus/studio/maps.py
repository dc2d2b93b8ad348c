"""Maps of codes for a page: points, how to get from a place to a code, and how far to trust it."""

import importlib.util
from typing import Any

import numpy as np

from isthmus.data.samples import Samples
from isthmus.latent.codes import Codes
from isthmus.latent.maps import Map
from isthmus.latent.projections import ANCHORS, METHODS
from isthmus.session import Session
from isthmus.studio import columns
from isthmus.studio.storage import Storage

TITLES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP", "code": "Code"}
QUICK = 2_000  # samples whose map is measured within half a second
MAX_RAW = 2**26  # bytes of samples that PCA of raw pixels is compared on

Entry = dict[str, Any]


def available_methods(code_size: int) -> list[str]:
    """Return the maps that can be shown: of METHODS, those that are installed and make sense."""
    methods = [name for name in METHODS if name != "code" or code_size == 2]
    if importlib.util.find_spec("umap") is None:
        methods.remove("umap")
    return sorted(methods, key=lambda name: name != "code")  # a code of 2 is the map to begin with


def write_map(storage: Storage, fitted_map: Map) -> Entry:
    """Write the points of a map, and describe it."""
    method = fitted_map.method
    file = f"maps/{method}.bin"
    storage.write(file, columns.pack(np.asarray(fitted_map.xy, np.float32)))
    decode = _describe_inverse(storage, fitted_map)
    return {
        "method": method,
        "title": TITLES[method],
        "file": file,
        "decode": decode,
        "quality": None,
    }


def measure_map(
    session: Session, fitted_map: Map, codes: Codes, samples: Samples | None
) -> dict[str, Any]:
    """Return the quality of a map; compared with PCA of raw pixels where the samples are there."""
    if samples is not None and samples.values.nbytes > MAX_RAW:
        samples = None
    quality = session.map_quality(fitted_map, codes, samples)
    return {"raw_pca": None, **quality}


def _describe_inverse(storage: Storage, fitted_map: Map) -> Entry:
    """Say how a page finds the code of a place on the map."""
    params = fitted_map.params
    if fitted_map.method == "code":
        return {"kind": "code"}
    if fitted_map.method == "pca":
        return {"kind": "linear", **{name: params[name].tolist() for name in sorted(params)}}
    file = None
    if not fitted_map.fitted.all():
        file = f"maps/{fitted_map.method}.fitted.bin"
        storage.write(file, columns.pack(fitted_map.fitted.astype(np.uint8)))
    spacing = float(params["spacing"])
    return {"kind": "neighbors", "spacing": spacing, "anchors": ANCHORS, "fitted": file}

"""`Codes`: what a layer makes of samples, with names, labels and where both came from."""

import json
import math
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.items import HasItems, Items
from isthmus.data.samples import Origin, Samples
from isthmus.errors import SourceError
from isthmus.files import atomic_write, reporting_damage, to_json
from isthmus.inference import CODE, TrainedModel

FORMAT = 1  # of the file; raise it when an older program could misread it
ALIGNED = 64  # bytes: where the numbers begin in the file is a multiple of it
VALUES = "values"  # in place of a layer: the samples as they are


@dataclass(frozen=True, eq=False, repr=False)
class Codes(HasItems):
    """N codes, or features of another layer, flattened.

    Parameters
    ----------
    z : (N, D) float32
        In memory or memory-mapped.
    items : Items
        Names, labels and class names of the samples, and their fingerprint.
    layer : str
        "code", or the name of the layer.
    shape : tuple of int
        Of one sample's features before they were flattened.
    model_fingerprint : str
    origin : Origin
        Where the samples came from, so that they can be loaded again.
    """

    z: NDArray[np.float32]
    items: Items
    layer: str = CODE
    shape: tuple[int, ...] = ()
    model_fingerprint: str = ""
    origin: Origin = field(default_factory=Origin)

    def __repr__(self) -> str:
        return f"Codes({len(self):,} of {self.z.shape[1]:,}, layer {self.layer})"

    def __len__(self) -> int:
        return len(self.z)

    def take(self, indices: NDArray[np.int64]) -> "Codes":
        """Return the codes at `indices`, copied, in that order."""
        return replace(self, z=np.asarray(self.z[indices]), items=self.items.take(indices))

    @classmethod
    def of_values(cls, samples: Samples) -> "Codes":
        """Return the samples' own values, flattened, to compare codes with; no model is used."""
        return cls(
            np.asarray(samples.values, np.float32).reshape(len(samples), -1),
            replace(samples.items, fingerprint=samples.fingerprint),
            layer=VALUES,
            shape=samples.shape,
            origin=samples.origin,
        )

    def check(self, model: TrainedModel) -> None:
        """Refuse codes that another model made.

        Raises
        ------
        ModelError
        """
        again = "make them again with isthmus encode"
        model.check_fingerprint(self.model_fingerprint, "these codes were made by", again)

    def save(self, path: str | Path) -> None:
        """Write an .npz file, whole or not at all: z, names, labels, class_names, about."""
        with atomic_write(Path(path)) as file, zipfile.ZipFile(file, "w") as archive:
            with _member(archive, self.z.shape) as member:
                member.write(np.ascontiguousarray(self.z, np.float32).data)
            _describe(archive, self)

    @classmethod
    def load(cls, path: str | Path, model: TrainedModel | None = None) -> "Codes":
        """Open a file that `save` or `encode` wrote; z is memory-mapped.

        Parameters
        ----------
        path : path
        model : TrainedModel, optional
            The model that must have made them.

        Raises
        ------
        SourceError
            If there is none, or it cannot be read.
        ModelError
            If another model made them.
        """
        path = Path(path)
        if not path.exists():
            raise SourceError(f"there are no codes at {path}; isthmus encode makes them.")
        with reporting_damage(path, SourceError), path.open("rb") as file, np.load(file) as parts:
            about = json.loads(str(parts["about"]))
            _reject_other_format(about["format"])
            items = Items.from_arrays(parts)
            codes = cls(
                _mapped(path, len(items)),
                items,
                about["layer"],
                tuple(about["shape"]),
                about["model_fingerprint"],
                Origin.build(about["origin"]),
            )
        if model is not None:
            codes.check(model)
        return codes


def encode(
    model: TrainedModel,
    samples: Samples,
    layer: str = CODE,
    *,
    out: str | Path | None = None,
    track: Track = untracked,
) -> Codes:
    """Send samples through a model up to a layer, in batches.

    Parameters
    ----------
    model : TrainedModel
    samples : Samples
    layer : str
        "code", or a name of `TrainedModel.layers`, for what leaves that layer.
    out : path, optional
        An .npz file to write batch by batch; what is returned is memory-mapped from it, so neither
        the samples nor the codes need to fit into memory. By default all stays in memory.
    track : callable
        Shows progress, in batches.

    Raises
    ------
    IsthmusError
        If the samples do not fit the model, there is no such layer, or `out` cannot be written.
    """
    shape = (model.config.code_size,) if layer == CODE else model.layer(layer).shape
    classes = samples.class_names if samples.labels is not None else ()
    items = replace(samples.items, class_names=classes, fingerprint=samples.fingerprint)
    codes = Codes(
        np.empty((0, math.prod(shape)), np.float32),
        items,
        layer,
        shape,
        model.fingerprint,
        samples.origin,
    )
    total = math.ceil(len(samples) / model.batch_size)
    batches = track(model.features(samples, layer), total, "Encoding")
    parts = (batch.flatten(1).cpu().numpy() for batch in batches)
    if out is None:
        return replace(codes, z=np.concatenate(list(parts)))
    with atomic_write(Path(out)) as file, zipfile.ZipFile(file, "w") as archive:
        with _member(archive, (len(samples), math.prod(shape))) as member:
            for part in parts:
                member.write(np.ascontiguousarray(part).data)
        _describe(archive, codes)
    return Codes.load(out)


def _member(archive: zipfile.ZipFile, shape: tuple[int, ...]) -> BinaryIO:
    """Begin the array z in an archive such that its numbers are aligned for a memory map."""
    info = zipfile.ZipInfo("z.npy")
    member = archive.open(info, "w", force_zip64=True)
    # A local header: 30 bytes, the name, 20 bytes of sizes; then magic, version, length, text.
    begun = info.header_offset + 30 + len(info.filename) + 20 + 10
    text = repr({"descr": "<f4", "fortran_order": False, "shape": shape})
    text += " " * (-(begun + len(text) + 1) % ALIGNED) + "\n"
    member.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    return member  # type: ignore[return-value]


def _describe(archive: zipfile.ZipFile, codes: Codes) -> None:
    about = {
        "format": FORMAT,
        "layer": codes.layer,
        "shape": codes.shape,
        "model_fingerprint": codes.model_fingerprint,
        "origin": to_json(codes.origin),
    }
    arrays = {**codes.items.to_arrays(), "about": np.array(json.dumps(about))}
    for name, array in arrays.items():
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array)


def _reject_other_format(written: int) -> None:
    if written != FORMAT:
        raise SourceError(f"it is of format {written} and this Isthmus reads format {FORMAT}")


def _mapped(path: Path, count: int) -> NDArray[np.float32]:
    """Open the array z of an uncompressed .npz file by memory map."""
    with zipfile.ZipFile(path) as archive, archive.open("z.npy") as member:
        info = archive.getinfo("z.npy")
        np.lib.format.read_magic(member)
        shape, _, kind = np.lib.format.read_array_header_1_0(member)
        text = member.tell()
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)  # the lengths of name and sizes stand there
        lengths = np.frombuffer(file.read(4), "<u2")
    if info.compress_type != zipfile.ZIP_STORED or kind != np.float32 or shape[0] != count:
        raise SourceError("its codes are not as isthmus encode writes them")
    return np.memmap(path, kind, "c", info.header_offset + 30 + int(lengths.sum()) + text, shape)

"""`Codes`: the output of a layer for samples, with their names, labels and origin."""

import math
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.arrays import map_npy
from isthmus.damage import reporting_damage
from isthmus.data.cache import Track, untracked
from isthmus.data.items import HasItems, Items
from isthmus.data.samples import Origin, Samples
from isthmus.display import Displayed
from isthmus.errors import IsthmusError, OptionError, SourceError
from isthmus.fields import convert_some, parse_json, require_seal, seal_json
from isthmus.files import atomic_write, require_writable_place, to_json, write_bytes
from isthmus.inference.batches import join_batches
from isthmus.inference.model import CODE, Model
from isthmus.latent.lance.library import is_lance
from isthmus.places import require_regular
from isthmus.temporaries import sweep_for

FORMAT = 2  # of the files; raise it when an older program could misread them
KIND = "isthmus codes"  # marks a JSON file as one of ours, which may be replaced
VALUES = "values"  # in place of a layer: the samples as they are
SUFFIX = ".npy"
AGAIN = "make the codes again with isthmus encode"
METADATA: dict[str, Any] = {
    "format": int,
    "layer": str,
    "shape": tuple[int, ...],
    "model_fingerprint": str,
    "checksum": tuple[int, ...],
    "items": dict[str, Any],
}
CHECKED_BLOCKS, BLOCK_BYTES = 64, 2**16  # of the numbers that the checksum covers


@dataclass(frozen=True, eq=False, repr=False)
class Codes(HasItems, Displayed):
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

    def check(self, model: Model) -> None:
        """Reject codes that another model made.

        Raises
        ------
        ModelError
        """
        again = "make them again with isthmus encode"
        model.check_fingerprint(self.model_fingerprint, "these codes were made by", again)

    def save(self, path: str | Path) -> None:
        """Write z to a .npy file, and all else to a .json file of the same name next to it.

        Parameters
        ----------
        path : path
            Of the .npy file, which `numpy.load` reads.

        Raises
        ------
        OptionError
            If the name does not end in .npy, or the files exist and hold something else.
        IsthmusError
            If they cannot be written.
        """
        path = require_codes_path(path)
        write_blocks(path, self, [np.asarray(self.z, np.float32)], self.z.shape)

    @classmethod
    def load(cls, path: str | Path, model: Model | None = None) -> "Codes":
        """Open files that `save` or `encode` wrote; z is memory-mapped.

        Parameters
        ----------
        path : path
            Of the .npy file.
        model : Model, optional
            The model that must have made the codes.

        Raises
        ------
        SourceError
            If a file is missing, damaged, or does not belong to the other.
        ModelError
            If another model made the codes.
        """
        path = Path(path)
        if is_lance(path):
            raise SourceError(f"{path} is a Lance dataset; open it with isthmus.open_codes.")
        description = path.with_suffix(".json")
        for file in (path, description):
            if not file.exists():
                raise SourceError(
                    f"there are no codes at {path}, because {file.name} is missing; "
                    "isthmus encode makes it."
                )
        with reporting_damage(description, SourceError, AGAIN):
            content = description.read_bytes()
            metadata = parse_json(content)
            codes = cls._build(metadata)
            require_seal(content, metadata)
        with reporting_damage(path, SourceError, AGAIN):
            # Copy-on-write: torch wants writable memory, and nothing may write to the file.
            if metadata["checksum"] != _checksum(path):
                raise SourceError(f"it is not the file that {description.name} describes")
            z = map_npy(path)
            _require_shape(z, codes)
        codes = replace(codes, z=z)
        if model is not None:
            codes.check(model)
        return codes

    @classmethod
    def _build(cls, metadata: Any) -> "Codes":
        """Return codes without z from the content of their JSON file."""
        metadata = convert_some(metadata, METADATA, "", required=True)
        if metadata["format"] != FORMAT:
            raise SourceError(
                f"it is of format {metadata['format']} and this Isthmus reads format {FORMAT}"
            )
        if min(metadata["shape"], default=1) < 1:
            raise SourceError(f"the shape of a sample's features is {metadata['shape']}")
        return cls(
            np.empty((0, 0), np.float32),
            Items.from_json(metadata["items"]),
            metadata["layer"],
            metadata["shape"],
            metadata["model_fingerprint"],
            Origin.build(metadata["origin"]),
        )


def encode(
    model: Model,
    samples: Samples,
    layer: str = CODE,
    *,
    out: str | Path | None = None,
    track: Track = untracked,
) -> Codes:
    """Send samples through a model up to a layer, in batches.

    Parameters
    ----------
    model : Model
    samples : Samples
    layer : str
        "code", or a name of `TrainedModel.layers`, for the output of that layer.
    out : path, optional
        A .npy file to write batch by batch, with a .json file next to it; see `Codes.save`. The
        codes that are returned are memory-mapped from it, so that neither the samples nor the
        codes need to fit into memory. By default all codes stay in memory.
    track : callable
        Shows progress, in batches.

    Raises
    ------
    IsthmusError
        If the samples do not fit the model, there is no such layer, or `out` cannot be written.
    """
    path = None if out is None else require_codes_path(out)
    # Known before the first batch: the header of the file needs it, and an unknown layer should
    # fail before any work.
    shape = model.feature_shape(layer)
    classes = samples.class_names if samples.labels is not None else ()  # not those of masks
    items = replace(samples.items, class_names=classes, fingerprint=samples.fingerprint)
    no_z = np.empty((0, math.prod(shape)), np.float32)
    codes = Codes(no_z, items, layer, shape, model.fingerprint, samples.origin)
    batches = math.ceil(len(samples) / model.batch_size)
    features = track(model.features(samples, layer), batches, "Encoding")
    blocks = (batch.reshape(len(batch), -1) for batch in features)
    if path is None:
        return replace(codes, z=join_batches(blocks, len(samples)))
    write_blocks(path, codes, blocks, (len(samples), math.prod(shape)))
    return Codes.load(path)


def require_codes_path(path: str | Path) -> Path:
    """Return the path of codes to write, if it ends in .npy and no other file is in the way.

    Raises
    ------
    OptionError
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        other = "; isthmus.LanceCodes writes datasets" if is_lance(path) else ""
        raise OptionError(
            f"codes are written to a {SUFFIX} file; {path} has another ending{other}."
        )
    description = path.with_suffix(".json")
    for file in (path, description):
        require_writable_place(file)
        require_regular(file)
        sweep_for(file)
    taken = description if description.exists() else path
    if taken.exists() and not _describes_codes(description):
        raise OptionError(f"{taken} exists and holds no codes of Isthmus; choose another name.")
    return path


def _require_shape(z: NDArray[Any], codes: Codes) -> None:
    """Reject numbers of another type than codes have, or that are not those of the items."""
    side = math.prod(codes.shape) if codes.shape else "D"  # those made by hand need not say it
    if z.dtype != np.float32 or z.shape != (len(codes.items), z.shape[-1] if side == "D" else side):
        raise SourceError(
            f"it holds {z.dtype} {z.shape} and should hold float32 ({len(codes.items)}, {side})"
        )


def _describes_codes(description: Path) -> bool:
    """Return whether a JSON file is one that we wrote."""
    try:
        content = parse_json(description.read_bytes())
    except (OSError, IsthmusError):
        return False
    return isinstance(content, dict) and content.get("kind") == KIND


def write_blocks(
    path: Path, codes: Codes, blocks: Iterable[NDArray[np.float32]], shape: tuple[int, ...]
) -> None:
    """Write blocks of z to a .npy file, and the rest of the codes to the .json file next to it.

    Each file is whole or absent. The description gets its name first: by it the same command knows
    what it may replace, whenever an earlier one was killed. Until the numbers have their name too,
    the checksum refuses the pair, as it does where two processes write to one name.
    """
    description = path.with_suffix(".json")
    try:
        with atomic_write(path) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block).data)
            file.flush()  # what a full disk refuses, it refuses now
            metadata = {
                "kind": KIND,
                "format": FORMAT,
                "layer": codes.layer,
                "shape": codes.shape,
                "model_fingerprint": codes.model_fingerprint,
                "origin": to_json(codes.origin),
                "checksum": _checksum(Path(file.name)),
                "items": codes.items.to_json(),
            }
            write_bytes(description, seal_json(metadata))
    finally:
        if not path.exists():  # the write has failed, and there is nothing to describe
            with suppress(OSError):  # what failed before is what is said
                description.unlink()


def _checksum(path: Path) -> list[int]:
    """Return the size of a file and the CRC-32 of blocks that are spread evenly over it.

    It tells codes of other samples or another model apart without reading a file that may be
    larger than memory; up to 4 MB it covers every byte.
    """
    size, checksum = path.stat().st_size, 0
    last = max(0, size - BLOCK_BYTES)
    starts = np.unique(np.linspace(0, last, CHECKED_BLOCKS, dtype=np.int64))
    with path.open("rb") as file:
        for start in starts.tolist():
            file.seek(start)
            checksum = zlib.crc32(file.read(BLOCK_BYTES), checksum)
    return [size, checksum]

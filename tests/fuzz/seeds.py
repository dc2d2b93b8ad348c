"""Small valid inputs of each reader, made in code: what the mutations of the fuzz start from."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from fuzz import picture_seeds
from fuzz.mutations import fix_png

Wrap = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Seed:
    """A valid input.

    Parameters
    ----------
    variant : str
    name : str
        Of the file; its suffix decides the reader.
    content : bytes
        What is mutated.
    wrap : callable
        Turns the content into the file. So a mutation reaches what lies behind a compression or a
        checksum, which it would only break.
    beside : dict
        Files next to it, by name.
    opened : str
        The one of them that is loaded, if it is not the one that is mutated.
    """

    variant: str
    name: str
    content: bytes
    wrap: Wrap = bytes
    beside: dict[str, bytes] = field(default_factory=dict)
    opened: str = ""


def _pictures(suffix: str, named: Iterable[picture_seeds.Named], wrap: Wrap) -> Iterator[Seed]:
    for variant, content in named:
        yield Seed(variant, f"fuzz{suffix}", content)
        if wrap is not bytes:
            yield Seed(f"{variant}-checksums", f"fuzz{suffix}", content, wrap)


def _csvs() -> Iterator[Seed]:
    rows = np.random.default_rng(0).integers(0, 256, (4, 16))
    names = ",".join(f"pixel{i}" for i in range(16))
    lines = [",".join(map(str, row)) for row in rows]
    labeled = [f"{i % 2},{line}" for i, line in enumerate(lines)]
    spaced = [f'{i % 2},"{line.replace(",", " ")}",Training' for i, line in enumerate(lines)]
    tables = {
        "labeled": f"label,{names}\n" + "\n".join(labeled),
        "bare": "\n".join(lines),
        "bare-labeled": "\n".join(labeled) + "\n",
        "semicolons": f"label;{names}\n".replace(",", ";") + "\n".join(labeled).replace(",", ";"),
        "tabs": "\n".join(labeled).replace(",", "\t"),
        "returns": "\r".join(labeled),
        "windows": "\ufeff" + "\r\n".join([f"label,{names}", *labeled]),
        "quoted": "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in labeled),
        "one-cell": "emotion,pixels,Usage\n" + "\n".join(spaced),
        "label-last": f"{names},class\n" + "\n".join(f"{line},cat" for line in lines),
    }
    for variant, text in tables.items():
        yield Seed(variant, "fuzz.csv", text.encode())
    yield Seed("compressed", "fuzz.csv.gz", gzip.compress(tables["labeled"].encode(), mtime=0))
    yield Seed("in-gz", "fuzz.csv.gz", tables["bare-labeled"].encode(), _gzip)


def _arrays() -> dict[str, np.ndarray[Any, Any]]:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (3, 6, 5, 3), np.uint8)
    signals = draw.normal(size=(4, 12, 2))
    return {
        "gray": images[..., 0],
        "rgb": images,
        "columns": np.asfortranarray(images),
        "sixteen": images[..., 0].astype(np.uint16) * 257,
        "big-endian": images[..., 0].astype(">u2") * 257,
        "fractions": (images / 255).astype(np.float32),
        "signals": signals.astype(np.float32),
        "long-signals": signals[..., 0],
        "half": signals.astype(np.float16),
        "bools": images[..., 0] > 99,
        "integers": images.astype(np.int64),
        "first": np.moveaxis(images, 3, 1),
        "text": np.array(["a", "b"]),
        "records": np.zeros(3, [("a", "f4"), ("b", "u1")]),
    }


def _npy(values: np.ndarray[Any, Any], version: tuple[int, int] | None = None) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, values, version, allow_pickle=True)
    return content.getvalue()


def _npys() -> Iterator[Seed]:
    for variant, values in _arrays().items():
        yield Seed(variant, "fuzz.npy", _npy(values))
    yield Seed("version-3", "fuzz.npy", _npy(_arrays()["gray"], (3, 0)))
    yield Seed("objects", "fuzz.npy", _npy(np.array([1, "a", None], object)))


def _npz(packed: bool = False, **arrays: Any) -> bytes:
    content = io.BytesIO()
    save = np.savez_compressed if packed else np.savez
    save(content, **arrays)
    return content.getvalue()


def _npzs() -> Iterator[Seed]:
    images = _arrays()["rgb"]
    labels = np.arange(3)
    files = {
        "images": _npz(images=images, labels=labels),
        "packed": _npz(packed=True, images=images, labels=labels),
        "named": _npz(x=images, y=labels, class_names=np.array(["a", "b", "c"])),
        "single": _npz(arr_0=images),
        "signals": _npz(signals=_arrays()["signals"]),
        "keras": _npz(x_train=images, y_train=labels, x_test=images, y_test=labels[:, None]),
        "medmnist": _npz(
            train_images=images,
            train_labels=labels[:, None],
            test_images=images[:2],
            test_labels=labels[:2, None],
        ),
        "objects": _npz(images=images, labels=labels, notes=np.array([1, None], object)),
    }
    for variant, content in files.items():
        yield Seed(variant, "fuzz.npz", content)
    yield Seed("inner-images", "fuzz.npz", _npy(images), lambda inner: _zip({"x.npy": inner}))
    labels_file = {"images.npy": _npy(images)}
    yield Seed(
        "inner-labels", "fuzz.npz", _npy(labels), lambda y: _zip({**labels_file, "labels.npy": y})
    )


def _idx(values: np.ndarray[Any, Any], kind: int = 8) -> bytes:
    return (
        bytes((0, 0, kind, values.ndim))
        + struct.pack(f">{values.ndim}I", *values.shape)
        + (values.tobytes())
    )


def _idxs() -> Iterator[Seed]:
    gray = _arrays()["gray"]
    images, labels = _idx(gray), _idx(np.arange(3, dtype=np.uint8))
    name, companion = "fuzz-images-idx3-ubyte", "fuzz-labels-idx1-ubyte"
    yield Seed("alone", name, images)
    yield Seed("labeled", name, images, beside={companion: labels})
    yield Seed("labels", companion, labels, beside={name: images}, opened=name)
    yield Seed("compressed", f"{name}.gz", _gzip(images))
    yield Seed("in-gz", f"{name}.gz", images, _gzip, {f"{companion}.gz": _gzip(labels)})
    yield Seed("fractions", "fuzz.idx3", _idx((gray / 255).astype(">f4"), 13))
    yield Seed("integers", "fuzz.idx", _idx(gray.astype(">i2"), 11))


def _pngs_by_name() -> dict[str, bytes]:
    # So many that one may be damaged: with more than a tenth, a source is refused.
    names = [f"{folder}/{number}.png" for folder in "ab" for number in range(6)] + ["b/ü.png"]
    return {
        name: picture_seeds.save(picture_seeds.draw(1, i), "PNG") for i, name in enumerate(names)
    }


def _tar(kind: int = tarfile.PAX_FORMAT, more: Iterable[tarfile.TarInfo] = ()) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=kind) as archive:
        for name, png in _pngs_by_name().items():
            member = tarfile.TarInfo(name)
            member.size = len(png)
            archive.addfile(member, io.BytesIO(png))
        for member in more:
            archive.addfile(member)
    return content.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def _tars() -> Iterator[Seed]:
    links = [_member("c/0.png", tarfile.LNKTYPE, "a/0.png"), _member("d", tarfile.SYMTYPE, "a")]
    pipes = [_member("pipe.png", tarfile.FIFOTYPE), _member("empty.png"), _member("long" * 60)]
    yield Seed("pax", "fuzz.tar", _tar())
    yield Seed("gnu", "fuzz.tar", _tar(tarfile.GNU_FORMAT, pipes))
    yield Seed("ustar", "fuzz.tar", _tar(tarfile.USTAR_FORMAT))
    yield Seed("links", "fuzz.tar", _tar(more=links))
    yield Seed("pipes", "fuzz.tar", _tar(more=pipes))
    for suffix, pack in (("gz", _gzip), ("bz2", bz2.compress), ("xz", lzma.compress)):
        yield Seed(suffix, f"fuzz.tar.{suffix}", pack(_tar()))
        yield Seed(f"in-{suffix}", f"fuzz.tar.{suffix}", _tar(), pack)
    yield Seed("tgz", "fuzz.tgz", _gzip(_tar(more=links)))


def _zip(files: dict[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        archive.comment = comment
        for name, inner in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), inner, method)
    return content.getvalue()


def _large_zip(files: dict[str, bytes]) -> bytes:
    """Return a zip with the fields for more than 4 GB."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, inner in files.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(inner)
    return content.getvalue()


def _encrypted(content: bytes) -> bytes:
    """Return a zip that says of each member that it is encrypted."""
    changed = bytearray(content)
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = content.find(mark)
        while start >= 0:
            changed[start + place] |= 1
            start = content.find(mark, start + 1)
    return bytes(changed)


def _zips() -> Iterator[Seed]:
    files = _pngs_by_name()
    extra = {"__MACOSX/a/._0.png": b"", "notes.txt": b"text", "c/": b"", "c\\0.png": b"\x89PNG"}
    yield Seed("stored", "fuzz.zip", _zip(files))
    yield Seed("commented", "fuzz.zip", _zip({**files, **extra}, comment=b"a comment"))
    for name in ("DEFLATED", "BZIP2", "LZMA"):
        yield Seed(name.lower(), "fuzz.zip", _zip(files, getattr(zipfile, f"ZIP_{name}")))
    yield Seed("zip64", "fuzz.zip", _large_zip(files))
    yield Seed("encrypted", "fuzz.zip", _encrypted(_zip(files)))
    png = files.pop("a/0.png")
    yield Seed("inner", "fuzz.zip", png, lambda inner: _zip({**files, "a/0.png": inner}))


def _shard(more: dict[str, bytes]) -> bytes:
    """Return a shard of 13 samples; `more` has the content of further kinds, {} for the number."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for number, png in enumerate(_pngs_by_name().values()):
            for kind, inner in {"png": png, **more}.items():
                inner = (
                    inner if kind.endswith("png") else inner.replace(b"{}", b"%d" % (number % 3))
                )
                member = tarfile.TarInfo(f"{number:06}.{kind}")
                member.size = len(inner)
                archive.addfile(member, io.BytesIO(inner))
    return content.getvalue()


COLORS = ("label_colors.txt", b"road 0 0 0\ncar 1 1 1\n")


def _shards() -> Iterator[Seed]:
    record = {"json": b'{"label": "class {}", "caption": "a\\nb", "filename": null}'}
    first = next(iter(_pngs_by_name().values()))
    sides = Image.open(io.BytesIO(first)).size
    mask = Image.new("L", sides)
    mask.paste(1, (0, 0, 2, 2))
    masks = {"seg.png": picture_seeds.save(mask, "PNG"), "json": b'{"caption": "{}"}'}
    names = {"classnames.txt": b"cat\ndog\nowl\nelk\n"}
    yield Seed("classes", "fuzz.tar", _shard({"cls": b"{}"}))
    yield Seed("named", "fuzz.tar", _shard({"cls": b"{}\n", "txt": b"a cat"}), beside=names)
    yield Seed("records", "fuzz.tar", _shard(record))
    yield Seed("masks", "fuzz.tar", _shard(masks), beside={"classes.txt": b"road\ncar\n"})
    yield Seed("in-gz", "fuzz.tar.gz", _shard({"cls": b"{}"}), _gzip)
    for variant, (name, content) in {"list": next(iter(names.items())), "colors": COLORS}.items():
        shard = _shard(masks if variant == "colors" else {"cls": b"{}"})
        yield Seed(variant, name, content, bytes, {"fuzz.tar": shard}, "fuzz.tar")


def _table(**more: Any) -> Any:
    import pyarrow as pa

    pictures = [{"bytes": png, "path": name} for name, png in _pngs_by_name().items()]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    count = range(len(pictures))
    columns = {name: [of(number) for number in count] for name, of in more.items()}
    return pa.table({"image": pa.array(pictures, kind), **columns})


def _tables() -> dict[str, Any]:
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": [*"abc"]}}
    info = json.dumps({"info": {"features": features}})
    labeled = _table(label=lambda number: number % 3)
    return {
        "labeled": labeled,
        "hugging-face": labeled.replace_schema_metadata({"huggingface": info}),
        "words": _table(label=lambda number: "cat" if number % 2 else "dog"),
        "splits": _table(split=lambda number: "test" if number % 2 else "train"),
        "missing": _table(label=lambda number: number % 3 or None, note=lambda number: [number]),
    }


def _parquets() -> Iterator[Seed]:
    from pyarrow import parquet

    options: dict[str, dict[str, Any]] = {
        "labeled": {"compression": "none"},
        "words": {"compression": "zstd"},
        "splits": {"row_group_size": 4, "use_dictionary": False},
        "missing": {"data_page_version": "2.0", "compression": "gzip"},
    }
    for variant, table in _tables().items():
        content = io.BytesIO()
        parquet.write_table(table, content, **options.get(variant, {}))
        yield Seed(variant, "fuzz.parquet", content.getvalue())


def _arrows() -> Iterator[Seed]:
    from pyarrow import ipc

    for variant, table in _tables().items():
        for kind, new in (("stream", ipc.new_stream), ("file", ipc.new_file)):
            content = io.BytesIO()
            with new(content, table.schema) as writer:
                writer.write_table(table, max_chunksize=5)
            yield Seed(f"{variant}-{kind}", "fuzz.arrow", content.getvalue())


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


SEEDS: dict[str, Callable[[], Iterator[Seed]]] = {  # the readers
    "png": lambda: _pictures(".png", picture_seeds.pngs(), fix_png),
    "jpeg": lambda: _pictures(".jpg", picture_seeds.jpegs(), bytes),
    "gif": lambda: _pictures(".gif", picture_seeds.gifs(), bytes),
    "bmp": lambda: _pictures(".bmp", picture_seeds.bmps(), bytes),
    "tiff": lambda: _pictures(".tiff", picture_seeds.tiffs(), bytes),
    "webp": lambda: _pictures(".webp", picture_seeds.webps(), bytes),
    "ppm": lambda: _pictures(".ppm", picture_seeds.ppms(), bytes),
    "csv": _csvs,
    "npy": _npys,
    "npz": _npzs,
    "idx": _idxs,
    "tar": _tars,
    "zip": _zips,
    "shards": _shards,
    "parquet": _parquets,
    "arrow": _arrows,
}


@cache
def seeds_of(reader: str) -> tuple[Seed, ...]:
    """Return the seeds of a reader."""
    return tuple(SEEDS[reader]())

"""`Workload`: the samples of a source in blocks, each of which any machine can decode."""

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.cache.keys import make_key
from isthmus.data.decode import decode_blocks, reject_too_many
from isthmus.data.items import Items
from isthmus.data.load import Plan, load_with, plan_loading
from isthmus.data.manifest import Manifest
from isthmus.data.pictures.mixed_scales import Largest, Scales, list_largest
from isthmus.data.preprocess import Preprocessing
from isthmus.data.reading import Reading
from isthmus.data.remote.path import RemotePath
from isthmus.data.report import ReadingReport
from isthmus.data.samples import Origin, Samples
from isthmus.data.survey import Read, Survey
from isthmus.errors import OptionError, SizesDifferError, SourceError
from isthmus.files import fingerprint
from isthmus.places import require_free, require_outside
from isthmus.text import count_of

PACKED = (".bz2", ".gz", ".tbz", ".tbz2", ".tgz", ".txz", ".xz")  # read from start to end only
KEPT_SOURCES = 2  # that a process has listed; it may work on several jobs, one after the other


class Decoded(NamedTuple):
    """The samples of a block.

    Parameters
    ----------
    values : (n, …) array
    broken : dict
        The reasons why others are broken, by row in the block.
    largest : sequence of Largest
        Integers of a wide type, which have to be of one scale in all blocks.
    """

    values: NDArray[Any]
    broken: dict[int, str]
    largest: Sequence[Largest] = ()


@dataclass(frozen=True)
class Source:
    """A source as every machine finds it: by the same path or name.

    Parameters
    ----------
    name : str
    location : str
        Of its files on each machine; empty if it has none, or several by a pattern, or an address.
    preprocessing : Preprocessing
    limit : int, optional
    reading : Reading, optional
    """

    name: str
    location: str
    preprocessing: Preprocessing
    limit: int | None
    reading: Reading | None

    def plan(self) -> Plan:
        """Find out what there is to read, on this machine."""
        self.require()
        return plan_loading(self.name, self.preprocessing, limit=self.limit, reading=self.reading)

    def load(self, track: Track = untracked) -> Samples:
        """Load all samples, through the cache of this machine."""
        self.require()
        return load_with(
            self.name, self.preprocessing, limit=self.limit, reading=self.reading, track=track
        )

    def require_outside(self, out: Path) -> None:
        """Reject an output in the source: it and its parts would become files of the source.

        Raises
        ------
        OptionError
        """
        if self.location:
            require_outside(out, Path(self.location))

    def require(self) -> None:
        """Reject a machine that does not have the source.

        Raises
        ------
        SourceError
        """
        if self.location and not Path(self.location).exists():
            raise missing_on_machine(self.location)


@dataclass(frozen=True)
class Contents:
    """What a source held when its job started.

    Parameters
    ----------
    key : str
        Of the files, with the time of their last change on the machine that started the job. A
        process that lists a source once lists it again when this is another one.
    names : str
        16 hexadecimal digits that change when the name of a sample does.
    """

    key: str
    names: str

    @classmethod
    def of(cls, plan: Plan, names: Sequence[str]) -> "Contents":
        """Return those of a source with samples of these names."""
        return cls(make_key(plan.origin, plan.files), fingerprint(list(names)))

    def require(self, source: Source, names: Sequence[str]) -> None:
        """Reject a machine that lists other samples.

        Raises
        ------
        SourceError
        """
        require_same(source.name, fingerprint(list(names)), self.names)


class Work(Protocol):
    """A block of samples that is not decoded yet; it is sent to the process that decodes it."""

    def decode(self) -> Decoded:
        """Decode it, on whatever machine this is."""


class PictureFiles(Work, Protocol):
    """A block of pictures, each in a file."""

    def open(self) -> Manifest:
        """Return what there is of it, on whatever machine this is."""


@dataclass(frozen=True)
class Files:
    """Pictures in files of their own, whose paths are sent."""

    source: Source
    manifest: Manifest
    preprocessing: Preprocessing

    def open(self) -> Manifest:
        """See `PictureFiles`."""
        self.source.require()
        return self.manifest

    def decode(self) -> Decoded:
        """See `Work`."""
        return decode(self.open(), self.preprocessing, self.source.name)


@dataclass(frozen=True)
class Members:
    """Pictures in archives or tables, which each process lists once."""

    source: Source
    start: int
    stop: int
    contents: Contents

    def open(self) -> Manifest:
        """See `PictureFiles`."""
        manifest, _ = _read_once(self.source, self.contents)
        return manifest.part(self.start, self.stop)

    def decode(self) -> Decoded:
        """See `Work`."""
        _, preprocessing = _read_once(self.source, self.contents)
        return decode(self.open(), preprocessing, self.source.name)


@dataclass(frozen=True)
class DecodedRows:
    """Rows of a source that is decoded as a whole, once a machine, into its cache."""

    source: Source
    start: int
    stop: int
    fingerprint: str

    def decode(self) -> Decoded:
        """See `Work`."""
        samples = _load_once(self.source, self.fingerprint)
        return Decoded(np.asarray(samples.values[self.start : self.stop]), {})


@dataclass(frozen=True)
class Workload:
    """The samples of a source, of which nothing but names and labels is in memory.

    Parameters
    ----------
    origin : Origin
    items : Items
        Of all rows, also of those that will turn out to be broken.
    key : str
        16 hexadecimal digits that change when the source or its preprocessing do.
    block : callable
        Returns the work of the rows from one to another.
    manifest : Manifest, optional
        None of a source that is decoded already, as a whole.
    samples : Samples, optional
        Of a source that is.
    """

    origin: Origin
    items: Items
    key: str
    block: Callable[[int, int], Work]
    manifest: Manifest | None = None
    samples: Samples | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def source(self) -> str:
        """Its name."""
        return self.origin.source

    @cached_property
    def sample_bytes(self) -> int:
        """About how many bytes a sample has."""
        if self.samples is not None:
            return int(self.samples.values[:1].nbytes)
        height, width = self.origin.preprocessing.size or (256, 256)
        return height * width * (self.origin.preprocessing.channels or 3)

    @property
    def pictures(self) -> Manifest:
        """What a source of pictures holds, and what was left out of it."""
        assert self.manifest is not None, "this source is decoded as a whole"
        return self.manifest

    def take(self, broken: Mapping[int, str]) -> Items:
        """Return the items of what is not broken."""
        good = np.setdiff1d(np.arange(len(self)), np.array(list(broken), np.int64))
        return self.items.take(good) if broken else self.items

    def report(self, broken: Mapping[int, str]) -> ReadingReport | None:
        """Return what there is to say of the source, without what only pixels tell."""
        if self.manifest is None or self.samples is not None:
            return None if self.samples is None else self.samples.report
        items = self.take(broken)
        skipped = [(self.items.names[row], reason) for row, reason in broken.items()]
        read = Read(count_of(len(items), "image"), items, None, self.origin, skipped, None)
        return Survey(checks=()).report(read, self.manifest)

    def say_report(self, broken: Mapping[int, str], say: Callable[[str], None]) -> None:
        """Say what was left out of the source, or guessed, in as many lines."""
        report = self.report(broken)
        for line in report.summary() if report and (report.left_out or report.guesses) else ():
            say(line)

    def reject_broken(self, broken: dict[int, str], seen: int) -> None:
        """See `Blocks`."""
        if self.manifest is not None:
            reject_too_many(broken, self.manifest, self.source, seen)


def require_folder(out: Path, source: Source) -> None:
    """Reject a folder for the files of a job that is not free, a link, or in the source.

    Raises
    ------
    OptionError
    """
    source.require_outside(out)
    require_free(out)
    if out.is_symlink():  # which another folder cannot replace
        raise OptionError(f"{out} is a link; give the folder itself.")


def open_workload(source: Source, track: Track = untracked) -> Workload:
    """Find out what there is to read of a source; only what is an array is decoded.

    Raises
    ------
    SourceError
        See `isthmus.load`.
    """
    plan = source.plan()
    manifest = _read_ranges(plan)
    if manifest is None:
        return _of_samples(source, source.load(track))
    return _of_manifest(source, plan, manifest)


def open_pictures(source: Source) -> Workload:
    """Find out which files of pictures there are in a source, each of which is read by itself.

    Raises
    ------
    SourceError
        See `isthmus.load`; or if it is read from start to end only.
    """
    plan = source.plan()
    manifest = _read_ranges(plan)
    if manifest is None:
        raise SourceError(
            f"{source.name} is an array, a single picture or a packed archive, which one machine "
            "reads from start to end; leave out --on, or give a folder or an archive of pictures."
        )
    return _of_manifest(source, plan, manifest)


def _read_ranges(plan: Plan) -> Manifest | None:
    """Return what a source holds, None if ranges of it cannot be read by themselves."""
    if plan.is_picture or plan.location.name.lower().endswith(PACKED):
        return None
    manifest = plan.read()
    has_ranges = manifest.values is None and manifest.pages is None
    return manifest if has_ranges else None


def locate(
    name: str | Path,
    preprocessing: Preprocessing,
    limit: int | None = None,
    reading: Reading | None = None,
) -> Source:
    """Return a source by a name that holds on all machines."""
    source = Source(str(name), "", preprocessing, limit, reading)
    plan = source.plan()
    is_here = plan.location.exists() and not isinstance(plan.location, RemotePath)
    location = str(plan.location) if is_here else ""
    # The name of a named set, an absolute path, or an address.
    return replace(source, name=plan.origin.source, location=location)


def decode(manifest: Manifest, preprocessing: Preprocessing, source: str) -> Decoded:
    """Decode a manifest into memory.

    Raises
    ------
    SizesDifferError
        If pictures come out at several sizes, or gray and in color.
    """
    parts: list[NDArray[np.uint8]] = []
    broken: dict[int, str] = {}
    scales = Scales()
    done = 0
    with closing(decode_blocks(manifest, preprocessing)) as blocks:
        for block in blocks:
            if preprocessing.stretch is None:
                scales.add(list_largest(block, manifest.names[done : done + len(block)]))
            broken |= {done + row: reason for row, reason in block.broken.items()}
            parts += [block.pixels] if len(block.pixels) else []
            done += len(block)
    if len({part.shape[1:] for part in parts}) > 1:
        raise SizesDifferError(
            f"the pictures of {source} differ in size or colors, and the model does not say which "
            "to use; encode them without --on."
        )
    nothing = np.zeros((0, 0, 0, 0), np.uint8)
    return Decoded(np.concatenate(parts) if parts else nothing, broken, list(scales))


def missing_on_machine(path: str | Path) -> SourceError:
    """Return the error of a machine that does not find what others have."""
    return SourceError(
        f"{path} is missing on {platform.node()}, a machine of the cluster; put it where all of "
        "them find it by the same path."
    )


def require_same(name: str, found: object, wanted: object) -> None:
    """Reject a machine that has another source by the same name.

    Raises
    ------
    SourceError
    """
    if found != wanted:
        raise SourceError(
            f"{name} differs on {platform.node()}, a machine of the cluster, or has changed "
            "since the job started; put the same source on all machines."
        )


def _of_manifest(source: Source, plan: Plan, manifest: Manifest) -> Workload:
    preprocessing = plan.origin.preprocessing
    contents = Contents.of(plan, manifest.names)

    def send_paths(start: int, stop: int) -> Work:
        return Files(source, with_lists(manifest.part(start, stop)), preprocessing)

    def send_range(start: int, stop: int) -> Work:
        return Members(source, start, stop, contents)

    is_of_files = isinstance(next(iter(manifest.files), None), str)
    classes = manifest.class_names if manifest.labels is not None else ()  # not those of masks
    return Workload(
        plan.origin,
        Items(manifest.names, manifest.labels, classes),
        contents.key,
        send_paths if is_of_files else send_range,
        manifest,
    )


def _of_samples(source: Source, samples: Samples) -> Workload:
    fingerprint = samples.fingerprint
    classes = samples.class_names if samples.labels is not None else ()
    return Workload(
        samples.origin,
        replace(samples.items, class_names=classes, fingerprint=fingerprint),
        fingerprint,
        lambda start, stop: DecodedRows(source, start, stop, fingerprint),
        samples=samples,
    )


def with_lists(manifest: Manifest) -> Manifest:
    """Return a manifest that can be sent: with lists of paths in place of iterators."""
    masks = None if manifest.masks is None else list(manifest.masks)
    return replace(manifest, files=list(manifest.files), masks=masks)


@lru_cache(KEPT_SOURCES)
def _read_once(source: Source, contents: Contents) -> tuple[Manifest, Preprocessing]:
    plan = source.plan()
    manifest = plan.read()
    contents.require(source, manifest.names)
    return manifest, plan.origin.preprocessing


@lru_cache(KEPT_SOURCES)
def _load_once(source: Source, fingerprint: str) -> Samples:
    samples = source.load()
    require_same(source.name, samples.fingerprint, fingerprint)
    return samples

"""`Snapshot`: what the studio has of one model and one choice of samples."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.damage import DAMAGE
from isthmus.data.cache import Track
from isthmus.errors import DenoiserError, InterruptionError, IsthmusError, RunError
from isthmus.fields import convert_some
from isthmus.files import fingerprint, nearest_folder
from isthmus.inference.model import Model
from isthmus.latent.codes import Codes
from isthmus.latent.maps import Map
from isthmus.locks import LOCK, hold
from isthmus.session import Session
from isthmus.studio import sample_files
from isthmus.studio.choice import (
    Choice,
    Shown,
    is_available,
    load_shown,
    model_key,
    read_record,
)
from isthmus.studio.epochs import describe_epochs, epoch_files, find_rows, read_epoch_file
from isthmus.studio.findings import Judged, write_findings
from isthmus.studio.history import is_training, store_of
from isthmus.studio.maps import available_methods, measure_map, write_map
from isthmus.studio.merging import merge
from isthmus.studio.mixture_files import mixture_files, write_mixture
from isthmus.studio.model_files import write_model_files
from isthmus.studio.networks import NO_NETWORKS, write_networks
from isthmus.studio.sample_files import draw_sheet, names_count, sheet_names, write_sample_files
from isthmus.studio.statistics import measure_drift
from isthmus.studio.storage import Storage

QUICK_METHODS = ("pca", "code")
FOLDER = "studio"  # in the run folder
LOCK_TIMEOUT = 60  # seconds for another studio to store what it has computed
MAX_SHEETS = 128  # that are drawn before anybody asks; of a larger set only those that are seen
# What may be pending.
NETWORKS, DRIFT, QUALITY, SHEETS, FINDINGS = "networks", "drift", "quality", "sheets", "findings"
MIXTURE = "mixture"  # takes longest, and so comes last
OPTIONAL = (FINDINGS, MIXTURE)  # a page that lacks them is whole, and the others are made

OF_SAMPLES: dict[str, Any] = {
    "sample": dict[str, Any],
    "count": int,
    "note": str,
    "columns": tuple[dict[str, Any], ...],
    "names": dict[str, Any],
    "thumbs": dict[str, Any],
    "signals": dict[str, Any] | None,
    "masks": dict[str, Any] | None,
    "fingerprint": str,
    "has_labels": bool,
}
OF_MODEL: dict[str, Any] = {
    "model": str,
    "task": str | None,
    "code_size": int,
    "preprocessing": dict[str, Any],
    "columns": tuple[dict[str, Any], ...],
    "masks": dict[str, Any] | None,
    "code_statistics": dict[str, Any],
    "class_codes": dict[str, Any] | None,
    "epoch_rows": tuple[int, ...] | None,
    "mixture": dict[str, Any] | None,
    "maps": tuple[dict[str, Any], ...],
    "pending": tuple[str, ...],
    "networks": dict[str, Any],
    "note": str,
}

Say = Callable[[str], None]


class Snapshot:
    """Files and arrays of one model and one choice of samples, stored once and then opened.

    Three storages: what depends on the samples alone outlives the weights of a run in training, and
    networks, which take longest, depend on the weights alone.

    Parameters
    ----------
    session : Session
    choice : Choice
    model_key : str
        See `choice.model_key`.
    root : Path, optional
        Of the storages; in memory without one.
    data : str
        Fingerprint of the samples' source.
    """

    def __init__(
        self, session: Session, choice: Choice, model_key: str, root: Path | None, data: str
    ) -> None:
        self.session, self.choice, self.model_key = session, choice, model_key
        self.root = root
        self.key = fingerprint(model_key, choice.key, data)
        self.sample_storage = Storage(_within(root, f"samples-{choice.key}-{data[:8]}"))
        self.storage = Storage(_within(root, f"model-{model_key}-{choice.key}-{data[:8]}"))
        self.network_storage = Storage(_within(root, f"networks-{model_key}"))
        self.of_samples: dict[str, Any] = {}
        self.of_model: dict[str, Any] = {}
        self._epochs_seen: list[int] = []
        self._whole_epochs: set[int] = set()
        self._given_up: set[str] = set()  # parts that need the data, which is gone
        self._is_data_gone = False

    @classmethod
    def open(cls, session: Session, choice: Choice, track: Track, say: Say) -> "Snapshot":
        """Open what is stored of the run as it is now, or compute it.

        Raises
        ------
        IsthmusError
            If the samples cannot be loaded and nothing is stored of them.
        """
        root, shown = _find_root(session), None
        if choice.source is None:
            record = read_record(session)
            data = record["data"]["fingerprint"] if record else session.samples.fingerprint
        else:
            data, shown = _data_of_source(session, choice, root)
        self = cls(session, choice, model_key(session), root, data)
        if not self._load_stored():
            if not _is_writable(root):
                self = cls(session, choice, self.model_key, None, data)
            if shown is not None:
                self.shown = shown
            self._compute(track, say)
        self._epochs_seen = self._list_epochs()
        return self

    def _load_stored(self) -> bool:
        """Open what is stored; return whether that is all of it."""
        self.of_samples = _checked(self.sample_storage.unseal(), OF_SAMPLES)
        self.of_model = _checked(self.storage.unseal(), OF_MODEL)
        if not (self.of_samples and self.of_model):
            return False
        try:
            self._stored()
        except DAMAGE:
            self.of_samples, self.of_model = {}, {}
            return False
        pending = self.of_model["pending"]
        if NETWORKS not in pending and self.network_storage.unseal() is None:
            self.of_model |= {"networks": NO_NETWORKS, "pending": [NETWORKS, *pending]}
        return True

    def _compute(self, track: Track, say: Say) -> None:
        """Compute and store what is not stored yet."""
        try:
            shown = self.shown
        except (InterruptionError, DenoiserError):
            raise
        except IsthmusError as error:
            raise RunError(
                f"{self.name} cannot be shown without its data, and nothing is stored of it with "
                f"these weights: {error}"
            ) from error
        if not self.of_samples:
            self.of_samples = write_sample_files(
                self.sample_storage, shown, self.session.preprocessing
            )
            self.sample_storage.seal(self.of_samples, self._sample_names())
        if shown.note:
            say(shown.note)
        self.of_model = write_model_files(self.storage, self.session, shown, self.choice, track)
        self._add_first_maps(track)
        self._seal()

    # -- what it is ---------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the run's folder or the model's file, never a path."""
        path: Any = self.session.source
        if not isinstance(path, str | Path):
            path = getattr(store_of(self.session) or path, "path", None)
        return "run" if path is None else Path(path).resolve().name

    @cached_property
    def source(self) -> str:
        """What people call the source of the samples: a set's name, or a file's without folders."""
        source = self.choice.source
        if source is None:
            source = read_record(self.session).get("origin", {}).get("source") or "array"
        return Path(source).name or "array"

    @property
    def model(self) -> Model:
        """The model; loading it may take a second."""
        return self.session.model

    @cached_property
    def shown(self) -> Shown:
        """The samples."""
        try:
            loaded = load_shown(self.session, self.choice)
        except InterruptionError:
            raise
        except IsthmusError:
            self._is_data_gone = True  # or changed, which looking for it does not show
            raise
        return sample_files.require_fitting(loaded, self.model.shape)

    @property
    def data_available(self) -> bool:
        """Whether the samples themselves can be loaded."""
        if "shown" in vars(self):
            return True
        return not self._is_data_gone and is_available(self.session, self.choice)

    @property
    def pending(self) -> list[str]:
        """What `finish` will make."""
        left = [part for part in self.of_model["pending"] if part not in self._given_up]
        if MIXTURE in left and self._is_in_training:  # each epoch would need another
            left.remove(MIXTURE)
        return left

    @property
    def _is_in_training(self) -> bool:
        store = store_of(self.session)
        return store is not None and is_training(store)

    @property
    def methods(self) -> list[str]:
        """Maps that can be shown."""
        return available_methods(self.of_model["code_size"])

    @property
    def epochs(self) -> dict[str, Any] | None:
        """What the manifest says of the epochs that the run keeps now."""
        return describe_epochs(self.session, self.of_model["epoch_rows"], self._whole_epochs)

    @cached_property
    def codes(self) -> NDArray[np.float32]:
        """The codes of the samples (N, D)."""
        return self.storage.column("codes.bin").reshape(-1, self.of_model["code_size"])

    # -- files --------------------------------------------------------------------------------

    def paths(self) -> list[str]:
        """Return the paths of all files."""
        sheets = self._sheets()
        if not self.data_available:  # those that were drawn when it was
            stored = self.sample_storage.read_alone
            sheets = [name for name in sheets if stored(name) is not None]
        return [*self._stored(), *sheets, *epoch_files(self.epochs)]

    def read(self, path: str) -> bytes:
        """Return the content of a file; a sheet is drawn when it is first asked for.

        Raises
        ------
        KeyError
            If there is no such file.
        """
        if path in (stored := self._stored()):
            content = stored[path].read(path)
        elif path in self._sheets():
            try:
                content = self._read_sheet(path)
            except IsthmusError:  # the data is gone
                content = None
        else:
            content = read_epoch_file(self.session, path)
        if content is None:
            self._whole_epochs.clear()  # the next manifest names only what is still there
            raise KeyError(path)
        return content

    def is_of_samples(self, path: str) -> bool:
        """Return whether a file depends on the samples alone, so that it outlives the weights."""
        return path in self._sample_names() or path in self._sheets()

    def remove_stale(self) -> None:
        """Remove what is stored of other weights: they are gone, and so will not be shown.

        Not before this is what is shown: until then, pages read those files.
        """
        for folder in self.root.iterdir() if self.root is not None else ():
            kind, _, rest = folder.name.partition("-")
            if kind in ("model", "networks") and rest.partition("-")[0] != self.model_key:
                Storage(folder).remove()

    def _stored(self) -> dict[str, Storage]:
        """Return the names of all files that are written before they are shown, and where."""
        return {
            **dict.fromkeys(self._sample_names(), self.sample_storage),
            **dict.fromkeys(self._model_names(), self.storage),
            **dict.fromkeys(self._network_names(), self.network_storage),
        }

    def _read_sheet(self, path: str) -> bytes:
        stored = self.sample_storage.read_alone(path)
        if stored is not None:
            return stored
        content = draw_sheet(path, self.shown.samples, self.session.preprocessing)
        self.sample_storage.write_alone(path, content)
        return content

    def _sample_names(self) -> list[str]:
        content = self.of_samples
        names = [f"names/{number}.json" for number in range(names_count(content["count"]))]
        signals = [] if content["signals"] is None else [content["signals"]["file"]]
        return [*names, *(column["file"] for column in content["columns"]), *signals]

    def _sheets(self) -> list[str]:
        content = self.of_samples
        patterns = [content["thumbs"]["pattern"]]
        if content["masks"] is not None:
            patterns.append(content["masks"]["pattern"])
        return [name for one in patterns for name in sheet_names(one, content["count"])]

    def _model_names(self) -> list[str]:
        content = self.of_model
        names = ["codes.bin", *(column["file"] for column in content["columns"])]
        if content["class_codes"] is not None:
            names.append(content["class_codes"]["file"])
        names += mixture_files(content["mixture"])
        for entry in content["maps"]:
            names.append(entry["file"])
            if entry["decode"].get("fitted"):
                names.append(entry["decode"]["fitted"])
        if content["masks"] is not None:
            names += sheet_names(content["masks"]["predicted"], self.of_samples["count"])
        return names

    def _network_names(self) -> list[str]:
        return [one["file"] for one in self.of_model["networks"].values() if one is not None]

    # -- what takes long ----------------------------------------------------------------------

    def make_next(self, methods: tuple[str, ...], track: Track) -> bool:
        """Make the first part or map that is missing; return whether there was one."""
        known = [entry["method"] for entry in self.of_model["maps"]]
        missing = [method for method in methods if method not in known]
        if pending := self.pending:
            self._make(pending[0], track)
        elif missing:
            self.add_map(missing[0], track)
        return bool(pending or missing)

    def add_map(self, method: str, track: Track) -> dict[str, Any]:
        """Fit, measure and store a map."""
        fitted_map = self._fit(method, track)
        entry = write_map(self.storage, fitted_map)
        entry["quality"] = self._measure(fitted_map)
        others = [one for one in self.of_model["maps"] if one["method"] != method]
        self._change(maps=self._in_order([*others, entry]))
        return entry

    def has_more_epochs(self) -> bool:
        """Return whether training has kept epochs since this was asked last."""
        if self.of_model["epoch_rows"] is None:  # training had not begun
            with suppress(IsthmusError):  # without the data, no epochs are shown
                indices = None if self.choice.source else self.shown.indices
                self._change(epoch_rows=find_rows(self.session, indices))
        before, self._epochs_seen = self._epochs_seen, self._list_epochs()
        return before != self._epochs_seen

    def _list_epochs(self) -> list[int]:
        entry = self.epochs
        return [] if entry is None else list(entry["kept"])

    def _make(self, part: str, track: Track) -> None:
        try:
            made = self._compute_part(part, track)
        except IsthmusError:
            if self.data_available and part not in OPTIONAL:
                raise
            self._given_up.add(part)
        else:
            self._change(pending=[one for one in self.of_model["pending"] if one != part], **made)

    def _compute_part(self, part: str, track: Track) -> dict[str, Any]:
        """Compute a part that is pending; return what it changes in the description."""
        if part == QUALITY:
            return {"maps": [self._measured(one, track) for one in self.of_model["maps"]]}
        if part == NETWORKS:
            return self._stored_networks()
        if part == DRIFT:
            drift = {"quantiles": measure_drift(self.model, self.codes)}
            return {"code_statistics": {**self.of_model["code_statistics"], "drift": drift}}
        if part == FINDINGS:
            codes = self._codes_with_items()
            judged = Judged(self.session, self.choice, self.shown, codes, track)
            known = self.of_model["columns"]
            return {"columns": [*known, *write_findings(self.storage, judged)]}
        if part == MIXTURE:
            samples = None if self.session.has_run else self.shown.samples
            return {"mixture": write_mixture(self.storage, self.session, samples)}
        sheets = self._sheets()[:MAX_SHEETS]
        for name in track(sheets, len(sheets), "Drawing"):
            self._read_sheet(name)
        return {}

    def _stored_networks(self) -> dict[str, Any]:
        stored = self.network_storage.unseal()
        if stored is None:
            networks, note = write_networks(self.network_storage, self.model)
            stored = {"networks": networks, "note": note}
            names = [one["file"] for one in networks.values() if one is not None]
            self.network_storage.seal(stored, names)
        return stored

    def _measured(self, entry: dict[str, Any], track: Track) -> dict[str, Any]:
        if entry["quality"] is not None:
            return entry
        return {**entry, "quality": self._measure(self._fit(entry["method"], track))}

    def _add_first_maps(self, track: Track) -> None:
        methods = ["pca", *(["code"] if "code" in self.methods else [])]
        entries = [write_map(self.storage, self._fit(method, track)) for method in methods]
        stored = self.network_storage.unseal()  # of another choice of samples
        networks = [NETWORKS] if stored is None else []
        drift, mixture = (
            ([DRIFT], [MIXTURE]) if self.of_model["task"] == "reconstruct" else ([], [])
        )
        self.of_model = {
            **self.of_model,
            "maps": self._in_order(entries),
            "pending": [QUALITY, *networks, *drift, SHEETS, FINDINGS, *mixture],
            **(stored or {"networks": NO_NETWORKS, "note": ""}),
        }

    def _in_order(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        # Last, what another installation has stored and this one cannot make.
        order = {method: place for place, method in enumerate(self.methods)}
        return sorted(entries, key=lambda entry: order.get(entry["method"], len(order)))

    def _fit(self, method: str, track: Track) -> Map:
        codes = self._codes_with_items()
        # Of weights that change in every epoch, only maps that take long are worth a file.
        if self.root is None or method in QUICK_METHODS:
            return self.session.map(codes, method)
        return self.session.stored_map(codes, method)[0]

    def _measure(self, fitted_map: Map) -> dict[str, Any]:
        samples = self.shown.samples if self.data_available else None
        return measure_map(self.session, fitted_map, self._codes_with_items(), samples)

    def _codes_with_items(self) -> Codes:
        samples = self.shown.samples
        return Codes(
            self.codes,
            sample_files.items_of(samples),
            shape=(self.codes.shape[1],),
            model_fingerprint=self.model.fingerprint,
            origin=samples.origin,
        )

    # -- storing ------------------------------------------------------------------------------

    def _change(self, **parts: Any) -> None:
        """Change the description, and store it with what another studio has stored since."""
        with self._locked():
            merged = merge({**self.of_model, **parts}, _checked(self.storage.unseal(), OF_MODEL))
            self.of_model = {**merged, "maps": self._in_order(merged["maps"])}
            self._seal()

    def _locked(self) -> AbstractContextManager[None]:
        """Keep other studios from changing the description."""
        if self.storage.folder is None:
            return nullcontext()
        busy = f"{self.name} is shown by another studio that is writing; try again in a moment."
        return hold(self.storage.folder / LOCK, busy=busy, timeout=LOCK_TIMEOUT, kind=RunError)

    def _seal(self) -> None:
        self.storage.seal(self.of_model, self._model_names())


def _checked(stored: dict[str, Any] | None, kinds: dict[str, Any]) -> dict[str, Any]:
    """Return what is stored, or {} if it is not what a snapshot stores: anybody may have."""
    with suppress(*DAMAGE):
        convert_some(stored, kinds, "", required=True)
        return stored or {}
    return {}


def _find_root(session: Session) -> Path | None:
    """Return where files are stored, None for a run in memory."""
    try:
        return session.folder / FOLDER
    except IsthmusError:
        return None


def _within(root: Path | None, name: str) -> Path | None:
    return None if root is None else root / name


def _is_writable(root: Path | None) -> bool:
    """Return whether files can be stored, as in a run folder of one's own."""
    if root is None:
        return False
    existing = root if root.exists() else nearest_folder(root)
    return os.access(existing, os.W_OK)


def _data_of_source(
    session: Session, choice: Choice, root: Path | None
) -> tuple[str, Shown | None]:
    """Return the fingerprint of the samples of a source, and the samples unless they are gone."""
    try:
        loaded = load_shown(session, choice)
        loaded = sample_files.require_fitting(loaded, session.model.shape)
        return loaded.samples.fingerprint, loaded
    except IsthmusError:
        stored = [] if root is None else sorted(root.glob(f"samples-{choice.key}-*"))
        if not stored:
            raise
        return stored[0].name.rpartition("-")[2], None

"""`Content`: all that a page of the studio is given, by the path of a file."""

import json
import math
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.cache import Track, untracked
from isthmus.data.remote.addresses import name_source
from isthmus.errors import IsthmusError, OptionError, require_known
from isthmus.files import fingerprint
from isthmus.session import Session
from isthmus.studio import columns
from isthmus.studio.choice import Choice, model_key, read_record, reject_denoiser
from isthmus.studio.epochs import FOLDER as EPOCHS
from isthmus.studio.history import read_history
from isthmus.studio.neighbors import find_neighbors
from isthmus.studio.snapshot import Snapshot
from isthmus.studio.thumbnails import png
from isthmus.version import __version__

FORMAT = 1  # of the manifest; raise it when an older page could misread it
MAX_PAGE_BYTES = 2**26  # of codes that a live page holds; of more it asks the server
MANIFEST, HISTORY = "manifest.json", "history.json"
SAMPLES = "samples/"  # of pictures that are no files
MOMENT = 0.01  # seconds
MAX_ATTEMPTS = 3  # to read a model that is being replaced


class Content:
    """What a page shows of a run: a tree of files, and answers to questions.

    Nothing is computed twice: what a page needs is stored in the run folder and opened again, also
    when the run's data is gone. All methods may be called from several threads.

    Parameters
    ----------
    session : Session
        Of a run, of a model's file, or with an encoder.
    source, split, limit, methods, track, say
        See `isthmus.serve_studio`. `finish` makes the maps of `methods`; PCA, and a code of 2
        numbers as it is, are always there.

    Raises
    ------
    IsthmusError
        If the samples cannot be loaded and nothing is stored of them.

    Examples
    --------
    >>> content = Content(Session("runs/mine"))  # doctest: +SKIP
    >>> content.finish()  # doctest: +SKIP
    >>> for path in content.paths():  # doctest: +SKIP
    ...     Path("site/data", path).write_bytes(content.read(path))
    """

    def __init__(
        self,
        session: Session,
        source: str | Path | None = None,
        *,
        split: str | None = None,
        limit: int | None = None,
        methods: tuple[str, ...] = (),
        track: Track = untracked,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        reject_denoiser(session)
        self._choice = Choice(None if source is None else name_source(source), split, limit)
        self._methods = methods
        self._track, self._say = track, say
        self._changing = threading.RLock()  # one thread at a time makes parts
        self._drawing = threading.Lock()
        self._snapshot = self._open(session)
        self._snapshot.remove_stale()

    # -- files --------------------------------------------------------------------------------

    def manifest(self, *, live: bool = False) -> dict[str, Any]:
        """Return what the page reads first: all that there is, and where.

        Parameters
        ----------
        live : bool
            Whether a server answers what is not in a file.
        """
        snapshot = self._snapshot
        # One reading: a thread that adds a map replaces these, and changes nothing in them.
        of_samples, of_model = snapshot.of_samples, snapshot.of_model
        task = of_model["task"]
        content = {
            "format": FORMAT,
            "version": __version__,
            "snapshot": snapshot.key,
            "name": snapshot.name,
            "live": live,
            "model": of_model["model"],
            "task": task,
            "sample": of_samples["sample"],
            "preprocessing": of_model["preprocessing"],
            "count": of_samples["count"],
            "code_size": of_model["code_size"],
            "source": snapshot.source,
            "split": self._choice.split_title,
            "data_available": snapshot.data_available,
            "note": " ".join(filter(None, [of_samples["note"], of_model["note"]])),
            "columns": [*of_samples["columns"], *of_model["columns"]],
            "names": of_samples["names"],
            "codes": {"file": "codes.bin", "in_page": not live or self._fits_page},
            "code_statistics": of_model["code_statistics"],
            "class_codes": of_model["class_codes"],
            "mixture": of_model["mixture"],
            "maps": sorted(of_model["maps"], key=self._rank),
            "methods": snapshot.methods if live else [one["method"] for one in of_model["maps"]],
            "thumbs": of_samples["thumbs"],
            "samples": self._samples_entry(live),
            "signals": of_samples["signals"],
            "masks": _merge_masks(of_samples["masks"], of_model["masks"]),
            "networks": of_model["networks"],
            "history": HISTORY if read_record(snapshot.session) else None,
            "epochs": snapshot.epochs,
        }
        # What is still pending is not shown, and so changes nothing that is.
        key = fingerprint(content)
        return {**content, "pending": snapshot.pending, "fingerprint": key}

    @property
    def snapshot(self) -> str:
        """16 hexadecimal digits of what is shown now: of the model and of the choice of samples.

        `manifest` has them too. While they stay, files and answers fit together.
        """
        return self._snapshot.key

    def depends_on_weights(self, path: str) -> bool:
        """Return whether a file is of the model that is shown now: better weights have another."""
        is_of_run = path in (MANIFEST, HISTORY) or path.startswith(EPOCHS)
        return not (is_of_run or path.startswith(SAMPLES) or self._snapshot.is_of_samples(path))

    def paths(self) -> list[str]:
        """Return the paths of all files that a page without a server needs, the manifest first."""
        return [MANIFEST, HISTORY, *self._snapshot.paths()]

    def read(self, path: str, *, live: bool = False) -> bytes:
        """Return the content of a file; one that is drawn or computed when needed is stored then.

        Parameters
        ----------
        path : str
            One of `paths`, or samples/3.png for the pixels of a sample.
        live : bool
            See `manifest`.

        Raises
        ------
        KeyError
            If there is no such file.
        """
        if path == MANIFEST:
            return _to_json(self.manifest(live=live))
        if path == HISTORY:
            return _to_json(self.history())
        if path.startswith(SAMPLES):
            return self._sample_picture(path)
        with self._drawing:
            return self._snapshot.read(path)

    def history(self) -> dict[str, Any]:
        """Return the lines of the run's history as it is now, and how its training was set up."""
        return read_history(self._snapshot.session)

    # -- what changes -------------------------------------------------------------------------

    def finish(self, track: Track | None = None) -> bool:
        """Make all that takes long and that `manifest` lists as pending; return if there was any.

        These are the quality of the maps, the networks that the page computes with, how far decoded
        codes drift, the sheets of thumbnails, columns of what does not belong, and the mixture of
        the codes.
        """
        before = self._snapshot.of_model
        while self.make_next(track):
            pass
        return self._snapshot.of_model is not before

    def make_next(self, track: Track | None = None) -> bool:
        """Make the first part that is missing, as `finish` does; return whether there was one."""
        time.sleep(MOMENT)  # in which a thread that waits for its turn takes it
        with self._changing:
            return self._snapshot.make_next(self._methods, track or self._track)

    def add_map(self, method: str, track: Track | None = None) -> dict[str, Any]:
        """Fit a map, measure it and store it; return its entry in the manifest.

        Raises
        ------
        OptionError
            If there is no such map for these codes.
        """
        require_known("map", method, self._snapshot.methods)
        with self._changing:
            return self._snapshot.add_map(method, track or self._track)

    def refresh(self) -> bool:
        """Show the run as it is now; return whether anything has changed.

        If it has better weights than those that are shown, all that depends on them is made again,
        without what `finish` makes.
        """
        with self._changing:
            snapshot = self._snapshot
            if model_key(snapshot.session) != snapshot.model_key:
                self._snapshot = self._open(snapshot.session.renewed())
                self._snapshot.remove_stale()  # what was read until now
                return True
            return snapshot.has_more_epochs()

    # -- answers ------------------------------------------------------------------------------

    def neighbors(
        self, code: NDArray[np.float32], k: int, column: str | None = None, value: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the samples whose codes are nearest, exactly.

        Parameters
        ----------
        code : (D,) float32
        k : int
        column : str, optional
            A category, of which only samples with `value` are found.
        value : int, optional

        Returns
        -------
        rows : (k,) int64
        distances : (k,) float32
            Euclidean, ascending; fewer than k if there are no more.

        Raises
        ------
        OptionError
            If there is no such column, or the code or k makes no sense.
        """
        codes = self._snapshot.codes
        if code.shape != codes.shape[1:] or not np.isfinite(code).all() or k < 1:
            raise OptionError(f"neighbors are of a code of {codes.shape[1]} numbers, at least 1.")
        among = None
        if column is not None:
            among = np.flatnonzero(self._column(column) == value)
        query = np.ascontiguousarray(code[None], np.float32)
        rows, distances = find_neighbors(codes, query, k, among)
        return rows[0], distances[0]

    def codes(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the codes (n, D) of samples.

        Raises
        ------
        OptionError
            If there is no such row.
        """
        codes = self._snapshot.codes
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(codes)):
            raise OptionError(f"rows are from 0 to {len(codes) - 1}.")
        return np.asarray(codes[rows])

    def decode(self, z: NDArray[np.float32]) -> NDArray[Any]:
        """Decode codes (n, D): (n, H, W, C) uint8 or (n, L, C) float32; see `Model.decode`."""
        return self._snapshot.model.decode(z)

    def encode_image(self, content: bytes) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Encode a picture in a file of any format.

        Returns
        -------
        (D,) float32
            Its code.
        (H, W, C) uint8
            The picture as the model sees it.

        Raises
        ------
        SourceError
            If it cannot be decoded.
        """
        model = self._snapshot.model
        if len(model.shape) != 3:
            raise OptionError("this model takes signals, no pictures.")
        channels, height, width = model.shape
        wanted = self._snapshot.session.preprocessing.resolve((height, width, channels))
        pixels = wanted.decode_and_fit(content)
        return model.encode(pixels[None])[0], pixels

    def layers(self, row: int) -> list[tuple[dict[str, Any], NDArray[np.float32]]]:
        """Return every layer of one sample: its name, kind and shape, and its output."""
        trained = self._snapshot.session.trained
        outputs = trained.activations(self.sample(row)[None])
        return [
            ({"name": one.name, "kind": one.kind, "shape": list(one.shape)}, outputs[one.name][0])
            for one in trained.layers
        ]

    def sample(self, row: int) -> NDArray[Any]:
        """Return one sample as the model sees it: (H, W, C) uint8 or (L, C) float32.

        Raises
        ------
        OptionError
            If there is no such row.
        IsthmusError
            If the data is gone.
        """
        count = self._snapshot.of_samples["count"]
        if not 0 <= row < count:
            raise OptionError(f"samples are from 0 to {count - 1}.")
        return np.asarray(self._snapshot.shown.samples.values[row])

    # -- inside -------------------------------------------------------------------------------

    def _open(self, session: Session) -> Snapshot:
        """Open or compute what is shown of a run as it is now."""
        for _ in range(MAX_ATTEMPTS):
            snapshot = Snapshot.open(session, self._choice, self._track, self._say)
            # Training may have replaced the weights between the look at them and their use.
            if model_key(session) == snapshot.model_key:
                break
            session = session.renewed()
        return snapshot

    @property
    def _fits_page(self) -> bool:
        snapshot = self._snapshot
        return bool(
            4 * snapshot.of_samples["count"] * snapshot.of_model["code_size"] <= MAX_PAGE_BYTES
        )

    def _rank(self, entry: dict[str, Any]) -> int:
        """Return the place of a map among the others: first those that were asked for."""
        method = entry["method"]
        return self._methods.index(method) if method in self._methods else len(self._methods)

    def _samples_entry(self, live: bool) -> dict[str, str] | None:
        snapshot = self._snapshot
        is_image = snapshot.of_samples["sample"]["kind"] == "image"
        return (
            {"pattern": "samples/{i}.png"}
            if live and is_image and snapshot.data_available
            else None
        )

    def _sample_picture(self, path: str) -> bytes:
        match = re.fullmatch(r"samples/(0|[1-9][0-9]{0,8})\.png", path)
        if match is None:
            raise KeyError(path)
        try:
            sample = self.sample(int(match[1]))
        except IsthmusError:
            raise KeyError(path) from None
        if sample.ndim != 3:
            raise KeyError(path)
        return png(sample)

    def _column(self, name: str) -> NDArray[Any]:
        """Return the values of a category."""
        snapshot = self._snapshot
        entries = [*snapshot.of_samples["columns"], *snapshot.of_model["columns"]]
        known = {one["name"]: one for one in entries if one["kind"] == "category"}
        require_known("column", name, known)
        return columns.unpack(snapshot.read(known[name]["file"]))


def _merge_masks(
    given: dict[str, Any] | None, predicted: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Join the masks of the samples and those that the model predicts."""
    if given is None or predicted is None:
        return given or predicted
    # Of other classes, their colors would mean something else.
    same = given["names"] == predicted["names"]
    return {**predicted, "pattern": given["pattern"] if same else None}


def _to_json(content: Any) -> bytes:
    return json.dumps(_finite(content), allow_nan=False).encode()


def _finite(content: Any) -> Any:
    """Return JSON values with null for what is no number, which JSON does not know."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list) else content

"""`Detection`: what does not belong among the samples of a run, or among others."""

from contextlib import suppress
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from isthmus.data.normal import normal_rows
from isthmus.data.rates import require_rate
from isthmus.data.samples import SPLITS, Samples
from isthmus.detection.detector import Detector, divide_reference
from isthmus.detection.outliers import Outliers, judge
from isthmus.detection.reference import require_enough
from isthmus.detection.scores import SCORES
from isthmus.detection.stored import FILE as DETECTOR_FILE
from isthmus.detection.stored import make_key, read_detector, write_detector
from isthmus.detection.truth import add_measures
from isthmus.errors import (
    IsthmusError,
    OptionError,
    SourceError,
    require_known,
)
from isthmus.session.loaded import Loaded

if TYPE_CHECKING:  # all need torch or scikit-learn, which a model in an ONNX file does without
    from isthmus.detection.duplicates.result import Duplicates
    from isthmus.detection.labels.mislabelled import Mislabelled

MIN_REFERENCE = 3  # normal samples that come without a run: two to compare with, one to judge by
CHECKED_SPLITS = {**{name: (name,) for name in SPLITS}, "held-out": SPLITS[1:], "all": SPLITS}


class Detection(Loaded):
    """Outliers, duplicates and wrong labels."""

    def outliers(
        self,
        samples: Samples | None = None,
        *,
        score: str | None = None,
        false_alarms: float | None = None,
        normal: str | None = None,
        reference: Samples | None = None,
        baselines: bool = False,
    ) -> Outliers:
        """Rank samples by how far they are from all that is normal.

        They are compared with the training split, and the validation split says what is usual. A
        model without a run has neither: samples are then compared with each other.

        Parameters
        ----------
        samples : Samples, optional
            By default the run's own: of a run that was trained on normal samples only its test
            split, of any other all.
        score : str, optional
            A key of `isthmus.detection.scores.SCORES`; by default "combined", or "neighbors" for a
            model that only encodes.
        false_alarms : float, optional
            Share of normal samples that may be called outliers; by default that of the run, or
            0.01.
        normal : str, optional
            The class or folder that is normal, to measure how well outliers are found; by default
            what the run was trained on.
        reference : Samples, optional
            Normal samples to compare with instead; a fifth of them says what is usual.
        baselines : bool
            Measure baselines too, on the raw pixels, where it is known which samples are outliers.

        Raises
        ------
        OptionError
            If there is no such score or class, or the share makes no sense.
        ModelError
            If the model does not have the score, or the samples do not fit it.
        """
        if score is not None:  # before samples are loaded, which may take long
            require_known("score", score, SCORES)
        if false_alarms is not None:
            require_rate(false_alarms)
        track = self._interruptible()
        is_own = reference is None and (samples is None or self._is_own(samples))
        chosen = self.samples if samples is None else samples
        if normal is not None:
            normal_rows(chosen, normal)  # rejects what is not there
        config = self.run.record.training_config if self.has_run else None
        if config is not None:
            normal, false_alarms = normal or config.normal, false_alarms or config.false_alarms
        is_one_class = config is not None and config.normal is not None
        rows = self.split.test if samples is None and is_one_class else None
        detector = self.detector(reference, chosen)
        found = judge(
            detector,
            chosen,
            rows,
            normal=self._normal_samples(chosen, reference),
            is_own=is_own or (not self.has_run and reference is None),
            score=score,
            false_alarms=false_alarms,
            track=track,
        )
        trained = self._trained_rows if is_own and self.has_run else None

        def load_normal() -> Samples | None:
            return self._load_normal(reference) if baselines else None

        return add_measures(found, normal, trained=trained, own=load_normal)

    def detector(
        self, reference: Samples | None = None, samples: Samples | None = None
    ) -> Detector:
        """Return what judges samples: the model and normal samples to compare with.

        That of a run is stored in its folder, so that others are judged without the run's data.

        Parameters
        ----------
        reference : Samples, optional
            Normal samples; by default the training split of the run.
        samples : Samples, optional
            What is compared with itself, where there is neither a run nor a reference.
        """
        if reference is None and self.has_run:
            return self._memo.get("detector", self._load_detector)
        if reference is None and samples is None:
            raise OptionError(f"{self.model.name} has no run; give normal samples to compare with.")
        key = ("detector", (reference or cast("Samples", samples)).fingerprint, reference is None)
        return self._memo.get(key, lambda: self._fit_detector(reference, samples))

    def duplicates(
        self, *, near: float | None = None, mirrored: bool = True, turned: bool = False
    ) -> "Duplicates":
        """Find duplicates among the run's own samples; see `isthmus.find_duplicates`.

        Parameters
        ----------
        near : float, optional
            The agreement from which two samples are nearly equal; by default 0.98.
        mirrored : bool
            Also find mirror images.
        turned : bool
            Also find samples that are turned by 90° or 180°, or upside down.

        Returns
        -------
        Duplicates
            Its `leaks` are what the training, validation and test samples share.
        """
        from isthmus.detection.duplicates.find import NEAR, find_among, require_near
        from isthmus.detection.duplicates.pictures import of_run

        near = NEAR if near is None else near
        require_near(near)
        track = self._interruptible()
        pictures = of_run(self.samples, self.split, track)
        return find_among(pictures, near=near, mirrored=mirrored, turned=turned, track=track)

    def mislabelled(
        self,
        samples: Samples | None = None,
        *,
        split: str | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> "Mislabelled":
        """Find labels that look wrong, by the codes; see `isthmus.find_mislabelled`.

        Parameters
        ----------
        samples : Samples, optional
            By default the run's own.
        split : str, optional
            Which of the run's own samples: "train", "validation", "test", "held-out" for the last
            two, or "all". By default all; of a classifier, whose codes were fitted to the labels of
            its training samples, held-out.
        folds, seed : int
            Of the cross-validation.

        Returns
        -------
        Mislabelled
            Its rows are those of the samples that were checked: of the run's own, those of
            `rows_of_split`.

        Raises
        ------
        OptionError
            If there are no labels or too few samples, or an option makes no sense.
        """
        from isthmus.detection.labels.find import find_mislabelled

        if samples is None:
            codes = self.codes(self.rows_to_check(split))
        elif split is not None:
            raise OptionError("a split is one of the run's own data; leave it or the source out.")
        else:
            codes = self.encode(samples)
        return find_mislabelled(codes, folds=folds, seed=seed, track=self._interruptible())

    def rows_to_check(self, split: str | None = None) -> NDArray[np.int64]:
        """Return the rows (n,) of the run's own samples whose labels `mislabelled` checks."""
        if split is None:
            split = "held-out" if self.has_seen_labels else "all"
        require_known("split", split, CHECKED_SPLITS)
        if self.samples.labels is None:  # before any of them is encoded
            raise OptionError(f"the data of {self.run.name} has no labels to check.")
        parts = [getattr(self.split, name) for name in CHECKED_SPLITS[split]]
        rows: NDArray[np.int64] = np.sort(np.concatenate(parts))
        return rows

    @property
    def has_seen_labels(self) -> bool:
        """Whether the codes of training samples were fitted to their labels, as a classifier's."""
        if self._encoder is not None or self.model.task != "classify":
            return False
        return not (self.has_run and self.run.record.training_config.freeze)

    @property
    def _trained_rows(self) -> NDArray[np.int64]:
        """Which samples the run was trained on, or its best epoch chosen by."""
        return np.concatenate([self.split.train, self.split.validation])

    def _normal_samples(self, samples: Samples, reference: Samples | None) -> Samples | None:
        """Return what samples are compared with; the run's own only if they are loaded already."""
        if reference is not None or not self.has_run:
            return reference or samples
        return self.samples if self.has_samples or self._memo.has("samples") else None

    def _is_own(self, samples: Samples) -> bool:
        """Return whether samples are those of the run."""
        return self.has_run and samples.fingerprint == self.run.record.data["fingerprint"]

    def _load_normal(self, reference: Samples | None) -> Samples | None:
        """Return what baselines are fitted on; None where the run's data is gone."""
        if reference is not None or not self.has_run:
            return reference
        with suppress(SourceError):
            return self.samples
        self._say(f"{self.run.name} has no data here to fit baselines on; they are left out.")
        return None

    def _fit_detector(self, reference: Samples | None, samples: Samples | None) -> Detector:
        track = self._interruptible()
        if reference is None:
            return Detector.fit_within(self.model, cast("Samples", samples), track=track)
        require_enough(len(reference), reference.origin.source or "the reference", MIN_REFERENCE)
        train, validation = divide_reference(len(reference))
        return Detector.fit(self.model, reference, train, validation, track=track)

    def _load_detector(self) -> Detector:
        run, split = self.run, self.split
        key = make_key(self.model, run.record.data["fingerprint"], split.train, split.validation)
        file = None if run.is_in_memory else self.folder / DETECTOR_FILE
        if file is not None and file.exists():
            stored = read_detector(file, self.model, key)
            if stored is not None:
                return stored
            self._say(f"{file.name} was of other weights or data, or damaged; it is made again.")
        detector = Detector.fit(
            self.model, self.samples, split.train, split.validation, track=self._interruptible()
        )
        if file is not None:
            with suppress(IsthmusError):  # a run that is read only; the file only saves time
                write_detector(file, detector, key)
        return detector

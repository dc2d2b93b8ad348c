"""`Generation`: new samples of a run, and how good they are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.samples import Samples
from isthmus.data.split import Split, split_samples
from isthmus.errors import (
    OptionError,
    RunError,
    SourceError,
)
from isthmus.files import fingerprint
from isthmus.inference.model import Model
from isthmus.latent.codes import Codes
from isthmus.latent.drawing import Draw, draw_codes
from isthmus.latent.mixture import FILE as MIXTURE_FILE
from isthmus.latent.mixture import Mixture
from isthmus.latent.mixture_fitting import fit_mixture, open_mixture
from isthmus.latent.walks import walk
from isthmus.session.loaded import Loaded

if TYPE_CHECKING:  # all need torch or scikit-learn, which a model in an ONNX file does without
    from isthmus.training.run import Run


class Generation(Loaded):
    """Samples that are drawn, decoded and measured."""

    def mixture(self, samples: Samples | None = None) -> Mixture:
        """Return the mixture of normal distributions over the codes of the training samples.

        It is fitted when it is first needed, in 12 seconds for codes of 32 numbers, and then kept
        in the folder.

        Parameters
        ----------
        samples : Samples, optional
            Whose codes to fit it to; by default the run's own training and validation samples.

        Raises
        ------
        ModelError
            If the model is no autoencoder.
        """
        key = "mixture" if samples is None else ("mixture", samples.fingerprint)
        return self._memo.get(key, lambda: self._open_mixture(samples))

    @property
    def has_mixture(self) -> bool:
        """Whether the mixture of the run's codes is fitted already, so that generating is quick."""
        if self._memo.has("mixture"):
            return True
        file = self._mixture_file
        if file is None or not file.exists():
            return False
        try:
            stored = Mixture.load(file)
        except SourceError:
            return False
        return stored.is_of(self.model.fingerprint, self._trained_on(self.split, None))

    def draw(self, draw: Draw, samples: Samples | None = None) -> Codes:
        """Draw codes that new samples can be decoded from.

        Parameters
        ----------
        draw : Draw
        samples : Samples, optional
            See `mixture`.
        """
        return draw_codes(draw, self.model, lambda: self.mixture(samples))

    def generate(
        self,
        n: int = 64,
        *,
        label: str | None = None,
        temperature: float = 1.0,
        sampler: str = "mixture",
        seed: int = 0,
        samples: Samples | None = None,
    ) -> Samples:
        """Generate samples: draw codes and decode them; see `isthmus.generate`."""
        codes = self.draw(Draw(n, label, temperature, sampler, seed), samples)
        return Samples(self._decode(codes.z), codes.items)

    def measure_generated(
        self, judge: Model, draw: Draw | None = None, *, plain: "Run | None" = None
    ) -> dict[str, Any]:
        """Compare generated samples with test samples; see `compare_generators`.

        Parameters
        ----------
        judge : Model
            A classifier, in whose features they are compared.
        draw : Draw, optional
            How codes are drawn; `n` is not used. Of a variational autoencoder, samples from the
            prior and from the mixture are measured, whatever the draw says.
        plain : Run, optional
            An autoencoder on the same data, whose samples from a mixture are measured too.

        Returns
        -------
        dict
            As `compare_generators`; the rows are "real", "rebuilt", "pca" (a normal distribution
            of as many principal components as codes have numbers), "mixture", "prior" and
            "plain".

        Raises
        ------
        OptionError
            If there are too few test samples, or one class is asked for.
        RunError
            If the other run was trained on other data, or divides it in another way.
        """
        from isthmus.evaluation.generation import compare_generators, pca_generator

        draw = draw or Draw()
        if draw.label is not None:
            raise OptionError(
                f"measures compare with all test samples; leave the class {draw.label!r} out."
            )
        values, split = self.samples.values, self.split
        pca = pca_generator(values, split.train, self.model.code_size, draw.seed)
        generators = {"pca": pca, "mixture": self._generator(replace(draw, sampler="mixture"))}
        if self.model.has_prior:
            generators["prior"] = self._generator(replace(draw, sampler="prior"))
        if plain is not None:
            other = type(self)(self._require_same_split(plain), self.samples, track=self._track)
            generators["plain"] = other._generator(replace(draw, sampler="mixture"))
        test = np.asarray(values[split.test])
        return compare_generators(judge, test, generators, rebuild=self.reconstruct, seed=draw.seed)

    def walk(self, codes: Codes, steps: int = 12, path: str = "linear") -> NDArray[Any]:
        """Decode a closed way from each code to the next; see `latent.walks.walk`.

        Returns
        -------
        (n · steps, H, W, C) uint8 or (n · steps, L, C) float32
        """
        return self._decode(walk(codes.z, steps, path))

    def _open_mixture(self, samples: Samples | None) -> Mixture:
        self.model.require_task("reconstruct")
        file = self._mixture_file
        if samples is None and not self.has_run and file is not None and file.exists():
            return Mixture.load(file, self.model)  # of what was named when it was fitted
        own = self.run.record.data["fingerprint"] if self.has_run else ""
        is_own = samples is None or samples.fingerprint == own
        split = self.split if is_own or samples is None else split_samples(samples)
        # That of the run's own codes stays, where a source is looked at for once.
        kept = file if is_own or not self.has_run else None

        def fit() -> Mixture:
            train, held = (self._rows(samples, part) for part in (split.train, split.validation))
            return fit_mixture(train, held, track=self._interruptible())

        trained_on = self._trained_on(split, samples)
        return open_mixture(kept, self.model.fingerprint, trained_on, fit, self._say)

    def _trained_on(self, split: Split, samples: Samples | None) -> str:
        """Return the fingerprint of samples and split, by default of the run's."""
        data = self.run.record.data["fingerprint"] if samples is None else samples.fingerprint
        parts = (np.ascontiguousarray(part).data for part in (split.train, split.validation))
        return fingerprint(data, *parts)

    @property
    def _mixture_file(self) -> Path | None:
        """Where the mixture is kept, if the session has a folder."""
        run = self._given_run
        is_in_memory = run is not None and run.is_in_memory
        return None if is_in_memory or self._path is None else self.folder / MIXTURE_FILE

    def _generator(self, draw: Draw) -> Callable[[int], NDArray[Any]]:
        return lambda n: self._decode(self.draw(replace(draw, n=n)).z)

    def _require_same_split(self, other: "Run") -> "Run":
        """Reject a run that was not trained on the same samples as this one."""
        own = self.run.record.data["fingerprint"]
        same = other.record.data["fingerprint"] == own
        if not same or not np.array_equal(other.split().train, self.split.train):
            raise RunError(
                f"{other.name} was trained on other data than {self.run.name}, or on another split "
                "of it; train it with the same source and seed."
            )
        return other

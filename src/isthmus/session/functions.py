"""One question to a run that nothing else is asked of."""

from typing import TYPE_CHECKING

from isthmus.data.cache import Track, untracked
from isthmus.data.samples import Samples
from isthmus.detection.outliers import Outliers
from isthmus.session.session import Session

if TYPE_CHECKING:  # all need torch or scikit-learn, which a model in an ONNX file does without
    from pathlib import Path

    from isthmus.inference.model import Model
    from isthmus.training.run import Run


def generate(
    run: "str | Path | Run | Model",
    n: int = 64,
    *,
    label: str | None = None,
    temperature: float = 1.0,
    sampler: str = "mixture",
    seed: int = 0,
    samples: Samples | None = None,
    track: Track = untracked,
) -> Samples:
    """Generate new samples with an autoencoder.

    Codes are drawn and decoded. Of any autoencoder they are drawn from a mixture of normal
    distributions, which is fitted to the codes of its training samples when it is first needed and
    then kept in the run folder; see `isthmus.latent.mixture`.

    Parameters
    ----------
    run : path, Run or Model
        An autoencoder: a run folder, a run, the file of a model, or a model.
    n : int
    label : str, optional
        The name of a class, of a run on labeled samples; by default all, as often as each occurs
        among the training samples.
    temperature : float
        Factor on the standard deviations, from 0 to 100: below 1, samples are more typical and
        less varied.
    sampler : str
        "mixture"; or "prior", the standard normal distribution, which the codes of a variational
        autoencoder are trained to follow.
    seed : int
        From 0 to 2³² - 1. The i-th sample depends on the seed and on i, and not on n.
    samples : Samples, optional
        Whose codes the mixture is fitted to: needed for a model without a run, and for a run on
        an array that is opened again. By default those that the run was trained on.
    track : callable
        Shows progress.

    Returns
    -------
    Samples
        With the class of the component that each was drawn from, where all have one.

    Raises
    ------
    OptionError
        If there is no such class or sampler, or a number is outside its range.
    ModelError
        If the model is no autoencoder, or has no prior and needs one.

    Examples
    --------
    >>> sevens = generate("runs/mnist", 16, label="7", temperature=0.8)  # doctest: +SKIP
    """
    session = Session(run, track=track)
    return session.generate(
        n,
        label=label,
        temperature=temperature,
        sampler=sampler,
        seed=seed,
        samples=samples,
    )


def find_outliers(
    run: "str | Path | Run | Model",
    samples: Samples | None = None,
    *,
    score: str | None = None,
    false_alarms: float | None = None,
    normal: str | None = None,
    reference: Samples | None = None,
    baselines: bool = False,
    track: Track = untracked,
) -> Outliers:
    """Rank samples by how far they are from all that a model knows as normal.

    Parameters
    ----------
    run : path, Run or Model
    samples, score, false_alarms, normal, reference, baselines
        See `Session.outliers`, which saves loading the model again for another question.
    track : callable
        Shows progress.

    Raises
    ------
    OptionError
        If there is no such score or class, or the share makes no sense.
    ModelError
        If the model does not have the score, or the samples do not fit it.

    Examples
    --------
    >>> found = find_outliers("runs/good", load("pieces/"))  # doctest: +SKIP
    >>> [found.names[place] for place in found.first(10)]  # doctest: +SKIP
    """
    return Session(run, track=track).outliers(
        samples,
        score=score,
        false_alarms=false_alarms,
        normal=normal,
        reference=reference,
        baselines=baselines,
    )

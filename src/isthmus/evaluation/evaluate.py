"""The metrics of a trained model, compared with baselines that anybody can have.

Everything is measured on samples that were not trained on, in one pass: each batch gets its frozen
noise once and goes through the model and all baselines. For an MNIST denoiser (`--limit 20000`)
baselines take more than half of the CPU time, so their results are kept and shared between runs.
"""

from typing import Any

import numpy as np

from isthmus.data.cache import Track, cache_folder, untracked
from isthmus.data.images import Images
from isthmus.data.load_images import as_images
from isthmus.data.samples import Samples
from isthmus.errors import OptionError, RunError
from isthmus.evaluation.denoisers import measure_denoiser, plan_denoising
from isthmus.evaluation.measuring import measure, measure_features, measure_plain
from isthmus.evaluation.results import Result, read_or_compute
from isthmus.evaluation.setup import Encode, EvaluationSetup, plan_evaluation
from isthmus.inference.trained import TrainedModel
from isthmus.models.layers import count_parameters
from isthmus.models.tasks import TASKS, with_article
from isthmus.training.run import Run

FILE = "evaluation.json"


def evaluate(
    run: Run,
    samples: Samples | Images | None = None,
    *,
    corrupt: str | None = None,
    own: Samples | Images | None = None,
    plain: Run | None = None,
    model: TrainedModel | None = None,
    encode: Encode | None = None,
    features: Encode | None = None,
    cache: bool = True,
    track: Track = untracked,
) -> dict[str, Any]:
    """Measure a run's model on data that it was not trained on.

    Parameters
    ----------
    run : Run
    samples : Samples or Images, optional
        The samples to measure on: their test split if they have one, otherwise all. By default the
        test split of the run's data. For a denoiser, images of any sizes.
    corrupt : str, optional
        For a denoiser only: the noise to add to the images; by default that of its training.
    own : Samples or Images, optional
        The run's data, if the caller has loaded it; by default it is loaded.
    plain : Run, optional
        For a denoising autoencoder only: a run on the same data without noise, to compare with.
    model : TrainedModel, optional
        The run's model, if the caller has loaded it; by default it is loaded.
    encode : callable, optional
        Returns the codes (n, D) of the run's data at indices (n,), if the caller keeps codes; by
        default the model computes them.
    features : callable, optional
        Returns the features (n, D) of another encoder for the run's data at indices (n,), to see
        which hold more of the classes. `Session.evaluate` makes one of an encoder.
    cache : bool
        Read and write results on the run's own test split: `evaluation.json` in the run folder,
        and in the cache the baselines, which runs on the same data share. They are computed again
        if the weights, the data, the split or the noise are others. Results on other samples are
        never kept.
    track : callable
        Shows progress of what takes long: the bound of a variational autoencoder.

    Returns
    -------
    dict
        "test" has `n` and the means over test samples and pixels, in the [0, 1] range of pixels,
        of `bce` (nats), `mse`, `psnr` (dB) and `ssim` (None if there is none); "baselines" the
        same of PCA with as many components as the code has numbers ("pca", with `components`) and
        of the mean sample ("mean"), both fitted on the training split. "training" has `seconds`,
        `epochs` and `images_per_second`, "model" its `name`, `code_size` and `parameters`.

        For a denoising autoencoder, all are measured from noisy inputs against clean targets.
        "noisy" has the same metrics of the noisy inputs themselves, "noise" its kind and
        fingerprints, and the "baselines" include filters (`FILTERS`) and the `plain` run.

        For a denoiser, all is what `measure_denoiser` returns.

        For a variational autoencoder, "likelihood" is what `measure_likelihood` returns.

        For a style bank, all is what `measure_styles` returns.

        For a classifier or segmenter, "test" is what `score_predictions` returns, and "baselines"
        what `class_baselines` returns.

        If an autoencoder's samples have labels, "codes" has the accuracies `knn_4` and `logistic`
        of simple classifiers of the codes of clean samples (see `probe`), and "pca" and "pixels"
        those of PCA with as many components and of the raw pixels, all fitted on the training
        split. With `features`, "encoder" has the same two of them.

    Raises
    ------
    IsthmusError
        If the run's data is gone or has changed, or the samples do not fit the model, or are
        from the run's data and may have been trained on, or if `plain` is given and the run is no
        denoising autoencoder, or `corrupt` and it is no denoiser, or if there are `features` and no
        labels of the run's own test split.
    """
    if run.record.model_config.task == "denoise":
        _reject_comparisons(run, plain, features)
        return _evaluate_denoiser(run, samples, own, corrupt, model, cache, track)
    if corrupt is not None:
        raise OptionError(
            f"{run.name} is {with_article(TASKS[run.record.model_config.task])} and is measured as "
            "it was trained; leave corrupt out, which is for denoisers."
        )
    own = own or run.samples()
    assert isinstance(own, Samples)
    assert not isinstance(samples, Images)
    run.check(own)
    if plain is not None:
        _check_plain(run, plain)
    setup = plan_evaluation(run, own, samples, model, encode)
    if features is not None:
        _check_labels(setup)
    # The key has indices into the data of the run, which say nothing of other samples.
    folder = cache_folder() / "baselines" if cache and setup.is_own_test else None
    file = run.path / FILE if folder and not run.is_in_memory else None
    key = setup.key(model=setup.model.fingerprint)
    cost = _cost(run, setup.model)  # first, so that a damaged history stops it before long work
    result = read_or_compute(file, key, lambda: measure(setup, folder, track))
    if plain is not None:
        # Not in the file of the run: another plain run would make it stale.
        result["baselines"]["plain"] = measure_plain(setup, plain, folder)
    if features is not None:
        result["encoder"] = measure_features(setup, features)
    return {**result, **cost}


def _evaluate_denoiser(
    run: Run,
    images: Samples | Images | None,
    own: Samples | Images | None,
    corrupt: str | None,
    model: TrainedModel | None,
    cache: bool,
    track: Track,
) -> Result:
    """Measure a denoiser; see `evaluate`."""
    own = own or run.images(track)
    assert isinstance(own, Images)
    run.check(own)
    others = as_images(images) if isinstance(images, Samples) else images
    model = model or run.model()
    setup = plan_denoising(run, own, others, corrupt, model)
    folder = cache_folder() / "baselines" if cache else None
    file = run.path / FILE if folder and setup.is_own_test and not run.is_in_memory else None
    key = setup.key(model=model.fingerprint)
    cost = _cost(run, model)  # first, so that a damaged history stops it before long work
    result = read_or_compute(file, key, lambda: measure_denoiser(setup, folder, track))
    return {**result, **cost}


def _reject_comparisons(run: Run, plain: Run | None, features: Encode | None) -> None:
    if plain is not None or features is not None:
        given = "an encoder" if plain is None else "a plain run"
        raise OptionError(f"{run.name} is a denoiser without a code; compare it without {given}.")


def _check_labels(setup: EvaluationSetup) -> None:
    """Require labels of the run's own test split, by which an encoder is compared."""
    if not setup.is_own_test or not setup.has_labels:
        raise OptionError(
            "an encoder is compared by the classes that its features predict, on the run's own "
            "test split; it needs data with labels, and no other source."
        )


def _check_plain(run: Run, plain: Run) -> None:
    """Require a denoiser and a run without noise that has not seen the denoiser's test split."""
    if run.record.training_config.corruption is None:
        raise OptionError(
            f"{run.name} was trained without noise; only a denoiser is compared with a plain run."
        )
    if plain.record.training_config.corruption is not None:
        raise OptionError(
            f"{plain.name} was trained with noise; compare with a run that was trained without."
        )
    same = plain.record.data["fingerprint"] == run.record.data["fingerprint"]
    if not same or not np.array_equal(plain.split().test, run.split().test):
        raise RunError(
            f"{plain.name} was trained on other data than {run.name}, or on another split of it; "
            "train it with the same source and seed."
        )


def _cost(run: Run, model: TrainedModel) -> Result:
    """Return the cost of training so far, which is never kept, and the size of the model."""
    history = run.history()
    last = history[-1] if history else {"seconds": 0.0, "epoch": 0, "step": 0}
    seen = last["step"] * (run.record.training_config.batch_size or 0)
    trainable, frozen = count_parameters(model.module)
    return {
        "training": {
            "seconds": last["seconds"],
            "epochs": last["epoch"],
            "images_per_second": seen / last["seconds"] if last["seconds"] else 0.0,
        },
        "model": {
            "name": model.config.model,
            "code_size": model.config.code_size,
            "parameters": trainable + frozen,
        },
    }

"""What is measured of autoencoders, classifiers, segmenters and style banks, and of baselines."""

from pathlib import Path

from isthmus.data.cache import Track, untracked
from isthmus.evaluation.baselines import BaselineGroup, baseline_groups, class_baselines
from isthmus.evaluation.filters import Array
from isthmus.evaluation.likelihood import measure_likelihood
from isthmus.evaluation.predictions import score_predictions
from isthmus.evaluation.probes import probe
from isthmus.evaluation.reconstructions import Scores, model_method, score_reconstructions
from isthmus.evaluation.results import Key, Result, read_or_compute, read_result, write_result
from isthmus.evaluation.setup import Encode, EvaluationSetup, flatten
from isthmus.evaluation.styles import measure_styles
from isthmus.files import fingerprint
from isthmus.training.run import Run


def measure(setup: EvaluationSetup, folder: Path | None = None, track: Track = untracked) -> Result:
    """Measure a model and its baselines, without what training it cost.

    Parameters
    ----------
    setup : EvaluationSetup
    folder : Path, optional
        Where to read and write the results of baselines; by default all are computed and nothing
        is written.
    track : callable
        Shows progress.
    """
    if setup.model.config.task == "reconstruct":
        result = _measure_autoencoder(setup, folder)
        likelihood = measure_likelihood(setup, track)
        return result if likelihood is None else {**result, "likelihood": likelihood}
    if setup.model.config.task == "stylize":
        return measure_styles(setup)
    key = setup.key(baseline=setup.model.config.task)
    return {
        "test": score_predictions(setup.model, setup.test),
        "baselines": read_or_compute(_file(folder, key), key, lambda: class_baselines(setup)),
    }


def _measure_autoencoder(setup: EvaluationSetup, folder: Path | None) -> Result:
    """Measure an autoencoder, and in the same pass the baselines that are not in the folder."""
    results: dict[str, Result] = {}
    missing: list[BaselineGroup] = []
    methods = {"test": model_method(setup.model)}
    for group in baseline_groups(setup):
        result = read_result(_file(folder, group.key), group.key)
        if result is None:
            missing.append(group)
            methods |= group.methods
        else:
            results[group.name] = result
    # All that is missing in one pass, because drawing frozen noise is slow.
    scores = score_reconstructions(setup.batches(), methods)
    for group in missing:
        result = {"scores": {name: scores[name] for name in group.methods}}
        if setup.has_labels:
            train, test = setup.pixels, flatten(setup.model, setup.probed)
            result["classes"] = _probe(setup, group.represent(train), group.represent(test))
        write_result(_file(folder, group.key), group.key, result)
        results[group.name] = result
    return _autoencoder_result(setup, scores["test"], results["pca"], results["pixels"])


def _autoencoder_result(
    setup: EvaluationSetup, scores: Scores, pca: Result, pixels: Result
) -> Result:
    """Arrange what was measured."""
    components = {"components": setup.components}
    baselines = {"pca": {**pca["scores"]["pca"], **components}, **pixels["scores"]}
    result: Result = {"test": {"n": len(setup.test), **scores}, "baselines": baselines}
    if setup.corruption is not None:
        record = setup.run.record
        result["noisy"] = baselines.pop("noisy")
        result["noise"] = {"corrupt": record.training_config.corrupt, **record.data["noise"]}
    if setup.has_labels:
        result["codes"] = _probe(setup, setup.fitted_codes(), setup.probed_codes())
        result |= {"pca": pca["classes"], "pixels": pixels["classes"]}
    return result


def _probe(setup: EvaluationSetup, train: Array, test: Array) -> Scores:
    """Measure how well the classes are predicted from representations of the samples."""
    train_labels, test_labels = setup.fitted.labels, setup.probed.labels
    assert train_labels is not None
    assert test_labels is not None
    return probe(train, train_labels, test, test_labels)


def measure_features(setup: EvaluationSetup, features: Encode) -> Scores:
    """Measure how well the classes are predicted from the features of another encoder."""
    return _probe(setup, features(setup.fitted_indices), features(setup.probed_indices))


def measure_plain(setup: EvaluationSetup, plain: Run, folder: Path | None) -> Scores:
    """Measure a run that was trained without noise on the inputs of a denoiser."""
    model = plain.model()
    key = setup.key(baseline="plain", model=model.fingerprint)

    def compute() -> Scores:
        return score_reconstructions(setup.batches(), {"plain": model_method(model)})["plain"]

    return read_or_compute(_file(folder, key), key, compute)


def _file(folder: Path | None, key: Key) -> Path | None:
    return folder / f"{fingerprint(key)}.json" if folder else None

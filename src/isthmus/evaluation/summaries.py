"""Results in words: titles, order and verdicts, for the terminal and for reports."""

from typing import Any

from isthmus.evaluation.filters import FILTERS
from isthmus.training.variational import SIGMA

CERTAIN = 2.0  # standard errors that a difference is not put down to chance
ADVICE = "Train longer, or try another model."  # ends a verdict where a baseline does better
BASELINE_TITLES = {
    "pca": "PCA with {components:,} components",
    "mean": "the mean training sample",
    "noisy": "the noisy input itself",
    **{name: f"filter: {row.description}" for name, row in FILTERS.items()},
    "plain": "the plain run, trained without noise",
}
DENOISED_TITLES = {
    "noisy": "the noisy images themselves",
    **{name: f"filter: {row.description}" for name, row in FILTERS.items()},
}


def compare_reconstructions(evaluation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return titles and metrics of an autoencoder and its baselines.

    Parameters
    ----------
    evaluation : dict
        As `evaluate` returns it.

    Returns
    -------
    list of (str, dict)
        The model, then the baselines by rising squared error.
    """
    model = evaluation["model"]
    rows = dict(evaluation["baselines"])
    if "noisy" in evaluation:
        rows["noisy"] = evaluation["noisy"]
    named = [(BASELINE_TITLES[name].format(**row), row) for name, row in rows.items()]
    # The model first, whatever its rank: readers look for it there.
    first = (f"this model, {model['name']}, code of {model['code_size']:,}", evaluation["test"])
    return [first, *sorted(named, key=lambda pair: float(pair[1]["mse"]))]


def compare_denoised(evaluation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return titles and metrics of a denoiser, the noisy images and filters at one strength.

    Parameters
    ----------
    evaluation : dict
        As `evaluate` returns it for a denoiser, or one of its "levels" with the "model".

    Returns
    -------
    list of (str, dict)
        The model, then the others by falling PSNR.
    """
    rows = {**evaluation["baselines"], "noisy": evaluation["noisy"]}
    named = [(DENOISED_TITLES[name], row) for name, row in rows.items()]
    first = (f"this model, {evaluation['model']['name']}", evaluation["test"])
    return [first, *sorted(named, key=lambda pair: -float(pair[1]["psnr"]))]


def noise_title(corrupt: str | None) -> str:
    """Return what the noise of a level is called."""
    return "the noise of the images themselves" if corrupt is None else f"noise {corrupt}"


def denoising_note(evaluation: dict[str, Any]) -> str:
    """Return how a denoiser and the filters were measured."""
    rows = [row for level in evaluation["levels"] for row in level["baselines"].values()]
    is_tuned = any("strength" in row for row in rows)
    strength = "was chosen on other images" if is_tuned else "is their usual one"
    has_own = any(level["corrupt"] is None for level in evaluation["levels"])
    noise = (
        "estimate the noise of each image"
        if has_own
        else "know the standard deviation of normal noise"
    )
    return (
        "Means over whole images at their own size, ± a standard error. The strength of the "
        f"filters {strength}, and they {noise}."
    )


def denoising_verdict(evaluation: dict[str, Any]) -> str:
    """Return a sentence that compares a denoiser with the best filter at each strength."""
    if not evaluation["levels"]:
        return removal_verdict(evaluation)
    leads = [_lead(level) for level in evaluation["levels"]]
    texts = [
        f"{abs(lead):.2f}{'' if error is None else f' ± {error:.2f}'} dB "
        f"{'above' if lead > 0 else 'below'} {name}"
        + (f" at {level['corrupt']}" if len(leads) > 1 else "")
        for level, (lead, error, name) in zip(evaluation["levels"], leads, strict=True)
    ]
    compared = ", ".join(texts)
    if any(lead < 0 for lead, _, _ in leads):
        return f"A filter that needs no training does better: {compared}. {ADVICE}"
    if any(lead < CERTAIN * (error or 0.0) for lead, error, _ in leads):
        return f"It is as good as the best filter, within chance: {compared}."
    return f"It is better than every filter: {compared}."


def removal_verdict(evaluation: dict[str, Any]) -> str:
    """Return what is known of a denoiser that has only noisy images."""
    test = evaluation["test"]
    return (
        "None of these images is known to be clean, so there is no PSNR. Their noise has a "
        f"standard deviation of about {test['deviation']:.3f} (estimated; fine structure counts as "
        f"noise), and what was taken out has {test['removed']:.3f}. To measure it, give a source "
        "of clean images and --corrupt."
    )


def _lead(level: dict[str, Any]) -> tuple[float, float | None, str]:
    """Return by how much a denoiser is above the best filter, its error, and the filter."""
    name, row = max(level["baselines"].items(), key=lambda one: float(one[1]["psnr"]))
    return row["behind"], row["behind_error"], FILTERS[name].description


def compare_representations(evaluation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return titles and probe accuracies of codes, of another encoder if any, and of baselines.

    Parameters
    ----------
    evaluation : dict
        As `evaluate` returns it, with `codes`.
    """
    titles = {
        "codes": "the codes of this model",
        "encoder": _encoder_title(evaluation),
        "pca": "PCA with as many components",
        "pixels": "the raw values",
    }
    return [(title, evaluation[name]) for name, title in titles.items() if name in evaluation]


def describe_likelihood(likelihood: dict[str, Any]) -> list[tuple[str, str]]:
    """Return titles and numbers of what is known of a variational autoencoder's likelihood.

    Parameters
    ----------
    likelihood : dict
        As `evaluate` returns it.
    """
    bound, error = likelihood["bound"], likelihood["bound_error"]
    counted = (
        "" if likelihood["bound_n"] == likelihood["n"] else f", {likelihood['bound_n']:,} of them"
    )
    rows = {
        "evidence lower bound (ELBO)": f"{likelihood['elbo']:.2f} nats",
        "reconstruction term, -log p(x | z)": f"{likelihood['reconstruction']:.2f} nats",
        "KL divergence from the prior": f"{likelihood['kl']:.2f} nats",
        f"importance-weighted bound, k = {likelihood['draws']}{counted}": (
            f"{bound:.2f} ± {error:.2f} nats"
        ),
        "active numbers of the code": f"{likelihood['active_units']} of {likelihood['units']}",
    }
    if "independent" in likelihood:
        rows["for comparison: independent pixels"] = f"{likelihood['independent']:.2f} nats"
    return list(rows.items())


def likelihood_note(likelihood: dict[str, Any]) -> str:
    """Return what the numbers of `describe_likelihood` are of, as sentences."""
    note = "Means over the test samples of sums over the numbers of each; ± is a standard error."
    if likelihood["density"] == "normal":
        return f"{note} p(x | z) is a normal distribution with a standard deviation of {SIGMA:g}."
    if likelihood["binarized"]:
        return f"{note} Pixels are drawn as 0 or 1, with their values as probabilities."
    return (
        f"{note} For values between 0 and 1 these are cross-entropies, not likelihoods: compare "
        "them between models of the same data only, or train with --binarize."
    )


def compare_predictions(evaluation: dict[str, Any]) -> list[tuple[str, float]]:
    """Return titles and accuracies of a classifier or segmenter and its baselines.

    Parameters
    ----------
    evaluation : dict
        As `evaluate` returns it.
    """
    test, baselines = evaluation["test"], evaluation["baselines"]
    pixels, encoder = baselines.get("pixels", {}), evaluation.get("encoder", {})
    features = _encoder_title(evaluation)
    rows = {
        f"this model, {evaluation['model']['name']}": (
            test["pixel_accuracy" if "pixel_accuracy" in test else "accuracy"]
        ),
        f"logistic regression on {features}": encoder.get("logistic"),
        f"4 nearest neighbors by {features}": encoder.get("knn_4"),
        "logistic regression on the raw values": pixels.get("logistic"),
        "4 nearest neighbors by the raw values": pixels.get("knn_4"),
        "the most frequent class of training": baselines["majority"],
    }
    return [(name, value) for name, value in rows.items() if value is not None]


def reconstruction_verdict(evaluation: dict[str, Any]) -> str:
    """Return a sentence that compares an autoencoder with PCA."""
    mse, pca = evaluation["test"]["mse"], evaluation["baselines"]["pca"]["mse"]
    components = evaluation["baselines"]["pca"]["components"]
    if mse < pca:
        return (
            f"Its error is {1 - mse / pca:.0%} lower than that of PCA with {components:,} "
            "components."
        )
    return (
        f"PCA with {components:,} components does better: its error is {1 - pca / mse:.0%} lower. "
        f"{ADVICE}"
    )


def prediction_verdict(rows: list[tuple[str, float]], what: str) -> str:
    """Return a sentence that compares a classifier or segmenter with the best baseline.

    Parameters
    ----------
    rows : list of (str, float)
        As `compare_predictions` returns them.
    what : str
        What is counted: "samples" or "pixels".
    """
    (_, accuracy), *others = rows
    name, best = max(others, key=lambda row: row[1])
    result = f"It predicts the class of {accuracy:.1%} of the test {what} correctly"
    if accuracy > best:
        return f"{result}; the best baseline, {name}, reaches {best:.1%}."
    if accuracy == best:
        return f"{result}, no more than a baseline, {name}."
    return f"{result}; a baseline does better: {name}, {best:.1%}. {ADVICE}"


def _encoder_title(evaluation: dict[str, Any]) -> str:
    encoder = evaluation.get("encoder")
    if encoder is None:
        return ""
    return f"the {encoder['code_size']:,} features of {encoder['name']}"

"""Checks of what a model answers: that it is better than what anybody has without training."""

from isthmus.evaluation.diagnosis.facts import Facts
from isthmus.evaluation.diagnosis.findings import Finding
from isthmus.evaluation.diagnosis.remedies import remedy
from isthmus.text import count_of

# A code of one number has 20% after five epochs of a quick recipe, and what learns nothing 1%.
CONSTANT = 0.02  # share of the samples' variance that their reconstructions have
NO_BETTER = 0.98  # share of the mean sample's error
# A linear model can equal PCA and not beat it: those of the recipes end within 4%. A model that is
# trained by cross-entropy is compared by squared error, and a recipe of one ends at 6%.
WORSE_THAN_PCA = 1.1
NEARLY_PERFECT = 0.01  # share of the mean sample's error; a model that is that near needs no advice
MIN_CLASSIFIED = 100  # samples; among 30 of two classes, 45% right may be chance
ONE_ANSWER = 0.995  # share of the answers that are the same


def check_constant(facts: Facts) -> Finding | None:
    """Find reconstructions that are all the same picture."""
    errors = facts.errors
    if errors is None or errors.variation >= CONSTANT:
        return None
    return Finding(
        "constant-output",
        f"All reconstructions look the same: they have {errors.variation:.1%} of the variance of "
        f"the {errors.count:,} validation samples. The model ignores what it is shown.",
        remedy(facts),
        {"variation": errors.variation, "mse": errors.model, "mean_mse": errors.mean},
    )


def check_mean(facts: Facts) -> Finding | None:
    """Find a model that is no better than the mean of its training samples."""
    errors = facts.errors
    if errors is None or errors.model < NO_BETTER * errors.mean:
        return None
    return Finding(
        "no-better-than-mean",
        f"The model's squared error on {errors.count:,} validation samples is {errors.model:.3g}, "
        f"no better than that of the mean training sample, {errors.mean:.3g}.",
        remedy(facts),
        {"mse": errors.model, "mean_mse": errors.mean},
    )


def check_noisy(facts: Facts) -> Finding | None:
    """Find a denoiser whose results are farther from the clean samples than its inputs."""
    errors = facts.errors
    if errors is None or errors.noisy is None or errors.model < errors.noisy:
        return None
    return Finding(
        "no-better-than-noisy",
        f"The denoiser does harm: its squared error on {errors.count:,} validation samples is "
        f"{errors.model:.3g}, and that of the noisy samples themselves {errors.noisy:.3g}.",
        f"{remedy(facts)} Noise that weak also needs a larger --code-size.",
        {"mse": errors.model, "noisy_mse": errors.noisy},
    )


def check_pca(facts: Facts) -> Finding | None:
    """Find a model that is worse than PCA, which needs no training."""
    errors = facts.errors
    # A variational autoencoder pays for each nat that its code says, which PCA does not.
    if errors is None or facts.course.divergence is not None:
        return None
    if errors.model < max(WORSE_THAN_PCA * errors.pca, NEARLY_PERFECT * errors.mean):
        return None
    return Finding(
        "no-better-than-pca",
        f"The model's squared error on {errors.count:,} validation samples is {errors.model:.3g}; "
        f"PCA with {count_of(errors.components, 'component')} has {errors.pca:.3g}, without any "
        "training.",
        remedy(facts),
        {"mse": errors.model, "pca_mse": errors.pca, "components": errors.components},
    )


def check_one_answer(facts: Facts) -> Finding | None:
    """Find a classifier or segmenter that gives one answer whatever it is shown."""
    answers = facts.answers
    if answers is None or answers.share < ONE_ANSWER:
        return None
    return Finding(
        "one-class",
        f"The model answers {answers.answer} for {_percent(answers.share)} of the validation "
        f"{_counted(facts)}: it has not learnt to tell the classes apart.",
        f"{remedy(facts)}{_weights(facts)}",
        {"share": answers.share, "accuracy": answers.accuracy},
    )


def check_majority(facts: Facts) -> Finding | None:
    """Find a classifier or segmenter that is no better than always giving the same answer."""
    answers = facts.answers
    if answers is None or (facts.task == "classify" and answers.count < MIN_CLASSIFIED):
        return None
    # With weighted classes, rare ones are worth more than the accuracy says.
    if facts.course.config.class_weights or answers.accuracy > answers.majority:
        return None
    return Finding(
        "no-better-than-majority",
        f"The model is right for {answers.accuracy:.1%} of the validation {_counted(facts)}; "
        f"always answering {answers.majority_class} is right for {answers.majority:.1%}.",
        f"{remedy(facts)}{_weights(facts)}",
        {"accuracy": answers.accuracy, "majority": answers.majority},
    )


def _counted(facts: Facts) -> str:
    return "pixels" if facts.task == "segment" else "samples"


def _weights(facts: Facts) -> str:
    return "" if facts.course.config.class_weights else " Rare classes need --class-weights."


def _percent(share: float) -> str:
    return "all" if share == 1 else f"{share:.1%}"

"""Checks of the course of a training: its losses, its learning rate, its end."""

from collections.abc import Sequence

import numpy as np

from isthmus.evaluation.diagnosis.course import Course
from isthmus.evaluation.diagnosis.facts import Facts
from isthmus.evaluation.diagnosis.findings import Finding
from isthmus.evaluation.diagnosis.remedies import STEEP, lower_lr, raise_lr, train_longer

# The worst epoch of the quick recipes has 1.5 times the loss of a model that knows nothing, and
# learning rates of 1 and 10 on digits have 250 times that and more.
BLOWN_UP = 4.0
LOST = 0.5  # share of all that was gained, lost again at the end
MIN_GAIN = 0.05  # of the first loss; below, there was nothing to lose

# A single step at the default rate changes weights by 0.2%, and the quick recipes by 2% or more,
# with a loss that falls by 10%; a learning rate of 1e-6 in 220 steps by 0.4%, with 0.1%.
UNMOVED, HARDLY_MOVED = 5e-4, 0.02
MIN_STEPS_TO_MOVE, MIN_STEPS_TO_LEARN = 10, 100
FLAT = 0.02  # share by which the training loss of a model that learns falls at least
WARM = 0.5  # share of the highest learning rate that a training should reach

# The recipes that were run in full end within 1% of their lowest validation loss; 60 digits, which
# `dense` knows by heart after 300 epochs, 34% above it.
RISE = 0.05  # of the validation loss over its lowest value
DROP = 0.03  # of the accuracy, and at least so many standard errors
DEVIATIONS = 2.0
BY_HEART = 10.0  # validation loss of a classifier over its training loss
RIGHT = 0.9  # accuracy above which that is no reason for an alarm: it is too sure of few mistakes
EARLY = 0.8  # share of the epochs before which the best one lies
WINDOW = 3  # epochs whose mean is compared: a single one varies by chance


def check_not_finite(facts: Facts) -> Finding | None:
    """Find a training that ended because its loss was not a number."""
    course, failure = facts.course, facts.course.failure
    # A run that was resumed since, past that step, has recovered.
    if failure is None or course.steps >= failure["step"]:
        return None
    best = [line["epoch"] for line in course.history if line["is_best"]]
    kept = f"those of epoch {best[-1]:g}" if best else "the untrained ones"
    return Finding(
        "not-finite",
        f"The loss became {failure['loss']} in epoch {failure['epoch']}, at a "
        f"learning rate of {failure['lr']:.3g}, and training ended. The weights that are kept are "
        f"{kept}.",
        lower_lr(facts),
        {"epoch": failure["epoch"], "step": failure["step"], "lr": failure["lr"]},
    )


def check_blow_up(facts: Facts) -> Finding | None:
    """Find a loss that jumped by orders of magnitude, or that lost again what it had gained."""
    course = facts.course
    if not course.history:
        return None
    losses = course.comparable_losses
    worst = int(np.argmax(losses))
    if losses[worst] > BLOWN_UP * course.loss_of_nothing and not _is_good(facts):
        was = f"rose to {losses[worst]:.3g} in epoch {_epoch(course, worst):g}, where a model that "
        was += f"knows nothing has about {course.loss_of_nothing:.2g}"
    elif _has_lost(losses):
        best = int(np.argmin(losses))
        was = f"fell from {losses[0]:.3g} to {losses[best]:.3g} in epoch "
        was += f"{_epoch(course, best):g} and rose again to {losses[-1]:.3g} in epoch "
        was += f"{course.epochs_done:g}"
    else:
        return None
    return Finding(
        "blow-up",
        f"The training loss {was}: the steps of the optimizer are too large.",
        lower_lr(facts),
        {"lowest": min(losses), "highest": losses[worst], "last": losses[-1], "lr": course.lr},
    )


def check_unmoved(facts: Facts) -> Finding | None:
    """Find weights that stayed where they were, because the learning rate is far too low."""
    course, change = facts.course, facts.change
    if change is None or course.steps < MIN_STEPS_TO_MOVE or course.lr >= facts.usual_lr:
        return None
    fell = 1 - course.losses[-1] / max(course.losses[0], 1e-12)
    hardly = change < HARDLY_MOVED and fell < FLAT and course.steps >= MIN_STEPS_TO_LEARN
    if change >= UNMOVED and not hardly:
        return None
    return Finding(
        "lr-too-low",
        f"The weights changed by at most {100 * change:.1g}% of their size in "
        f"{course.steps:,} steps: with a learning rate of {course.lr:g} the model "
        "has hardly learnt anything.",
        raise_lr(facts),
        {"change": change, "steps": course.steps, "lr": course.lr},
    )


def check_warm_up(facts: Facts) -> Finding | None:
    """Find a training that was stopped while its learning rate was still rising."""
    course = facts.course
    share = course.highest_lr / course.lr if course.lr else 1.0
    is_stopped = course.epochs_done < course.epochs_planned
    if not is_stopped or course.config.schedule != "one-cycle" or share >= WARM:
        return None
    return Finding(
        "warm-up",
        f"Training stopped after {course.epochs_done:.2g} of {course.epochs_planned} epochs, while "
        f"its learning rate was still rising: it has reached {share:.0%} of its highest value.",
        f"{train_longer(facts)} If there is no time for that, train again with fewer --epochs, "
        "within which the learning rate rises and falls.",
        {"epochs": course.epochs_done, "planned": course.epochs_planned, "lr": course.highest_lr},
    )


def check_overfitting(facts: Facts) -> Finding | None:
    """Find a model that became better on what it was trained on, and worse on all else."""
    course = facts.course
    found = _worse_answers(facts) if course.accuracies else _worse_loss(course)
    if found is None:
        return None
    best, seen, numbers = found
    epoch = _epoch(course, best)
    return Finding(
        "overfitting",
        f"The model overfits its training samples: {seen} since epoch {epoch:g}, while the "
        f"training loss kept falling, from {course.losses[best]:.3g} to {course.losses[-1]:.3g}. "
        "The weights that are kept are those of the best epoch.",
        f"{_against_overfitting(facts)} Or stop in time, with --patience 5.",
        {"best_epoch": epoch, "epochs": course.epochs_done, **numbers},
    )


def check_unfinished(facts: Facts) -> Finding | None:
    """Find a training that ended while its validation loss was still falling steeply."""
    course = facts.course
    if course.last_fall < STEEP:
        return None
    return Finding(
        "unfinished",
        f"The validation loss fell by {course.last_fall:.0%} in the last epoch: training ended "
        "before the model had learnt all it can.",
        train_longer(facts),
        {"fall": course.last_fall, "epochs": course.epochs_done},
    )


def _is_good(facts: Facts) -> bool:
    """Return whether the model has recovered from whatever happened on the way."""
    errors, answers = facts.errors, facts.answers
    if errors is not None:
        return errors.model < errors.pca
    if answers is not None:
        return answers.accuracy > answers.majority + DROP
    return facts.course.losses[-1] < facts.course.loss_of_nothing


def _has_lost(losses: Sequence[float]) -> bool:
    """Return whether the last loss is nearer to the first one than to the lowest."""
    gain = losses[0] - min(losses)
    return gain > MIN_GAIN * losses[0] and losses[-1] - min(losses) > LOST * gain


def _worse_loss(course: Course) -> tuple[int, str, dict[str, float]] | None:
    """Return the best epoch, what was seen and its numbers, if the validation loss rose since."""
    losses = np.array(course.validation_losses)
    if len(losses) <= WINDOW:
        return None
    best = int(losses.argmin())
    last, lowest = losses[-WINDOW:].min(), losses[best]
    if best >= EARLY * len(losses) or last < (1 + RISE) * lowest or not _fell_on(course, best):
        return None
    seen = f"the validation loss rose by {last / lowest - 1:.0%}, from {lowest:.3g} to {last:.3g},"
    return best, seen, {"lowest": float(lowest), "last": float(last)}


def _worse_answers(facts: Facts) -> tuple[int, str, dict[str, float]] | None:
    """Return the same of a classifier or segmenter, whose accuracy says more than its loss.

    Its loss rises again while its accuracy still does, when it becomes too sure of its few
    mistakes: that is no reason for an alarm, unless it makes many.
    """
    course = facts.course
    is_by_heart = course.validation_losses[-1] > BY_HEART * course.losses[-1]
    if is_by_heart and course.accuracies[-1] < RIGHT:
        return _worse_loss(course) or _worse_accuracy(facts)
    return _worse_accuracy(facts)


def _worse_accuracy(facts: Facts) -> tuple[int, str, dict[str, float]] | None:
    """Return the same, if the accuracy of a classifier or segmenter fell."""
    course = facts.course
    values = np.array(course.accuracies)
    if len(values) <= 2 * WINDOW:
        return None
    means = np.convolve(values, np.full(WINDOW, 1 / WINDOW), "valid")
    best = int(means.argmax()) + WINDOW // 2
    highest, last = means.max(), means[-1]
    count = facts.answers.count if facts.answers is not None else 1
    error = np.sqrt(highest * (1 - highest) / count)
    is_early = best < EARLY * len(values)
    if not is_early or highest - last < max(DROP, DEVIATIONS * error) or not _fell_on(course, best):
        return None
    seen = f"the accuracy on validation samples fell from {highest:.1%} to {last:.1%}"
    return best, seen, {"highest": float(highest), "last": float(last)}


def _fell_on(course: Course, epoch: int) -> bool:
    """Return whether the training loss is lower now than it was in an epoch."""
    return course.losses[-1] < course.losses[epoch]


def _against_overfitting(facts: Facts) -> str:
    if facts.task == "reconstruct":
        return "Give it more samples, a smaller --code-size, or noise by --corrupt gaussian:0.1."
    if facts.is_signal:
        return "Give it more samples."
    return "Give it more samples, or more variety by --augment shift:0.1,zoom:0.2."


def _epoch(course: Course, place: int) -> float:
    """Return the number of the epoch at a place of the history."""
    return float(course.history[place]["epoch"])

"""What to try, in the options of the command line; several checks give the same advice."""

import shlex

from isthmus.evaluation.diagnosis.course import Course
from isthmus.evaluation.diagnosis.facts import Facts
from isthmus.text import count_of

MIN_STEPS = 500  # below, a training is short; the defaults take at least 640
STEEP = 0.25  # share by which the validation loss falls in the last epoch of an unfinished training
STEADY = 0.01  # a validation loss that fell by less in the last epoch has settled
HIGH, LOW = 4.0, 1 / 20  # a learning rate so many times the usual one is the first suspect


def remedy(facts: Facts) -> str:
    """Return what to try first against a poor result."""
    if facts.course.last_fall >= STEADY:
        return train_longer(facts)
    if facts.course.lr > HIGH * facts.usual_lr:
        return lower_lr(facts)
    if facts.course.lr < LOW * facts.usual_lr:
        return raise_lr(facts)
    if is_short(facts):
        return train_longer(facts)
    return change_settings(facts)


def is_short(facts: Facts) -> bool:
    """Return whether more epochs are likely to help."""
    course = facts.course
    is_stopped = course.epochs_done < course.epochs_planned and not course.config.patience
    return is_stopped or course.steps < MIN_STEPS


def train_longer(facts: Facts) -> str:
    """Advise to train longer."""
    course = facts.course
    if course.epochs_done < course.epochs_planned:
        if course.config.patience:
            more = _resume(facts, "patience", 2 * course.config.patience)
            return f"Continue with more patience, such as {more}."
        return f"Continue the training with {_resume(facts)}."
    epochs = max(2 * course.epochs_planned, facts.usual_epochs)
    longer = f"longer, such as with {_resume(facts, 'epochs', epochs)}."
    reason = _reason(course)
    return f"{reason}: train {longer}" if reason else f"Train {longer}"


def _reason(course: Course) -> str:
    """Return why to train longer, where the finding does not say it itself."""
    if course.last_fall >= STEADY and course.last_fall < STEEP:
        return f"The validation loss still fell by {course.last_fall:.0%} in the last epoch"
    if course.steps < MIN_STEPS and course.last_fall < STEEP:
        return f"Training took only {count_of(course.steps, 'step')}"
    return ""


def change_settings(facts: Facts) -> str:
    """Advise to train by the defaults, where others were chosen, and on more samples."""
    usual = {"--model": facts.usual_model, "--optimizer": "adamw", "--schedule": "one-cycle"}
    config = facts.course.config
    chosen = {
        "--model": facts.model,
        "--optimizer": config.optimizer,
        "--schedule": config.schedule,
    }
    changes = [f"{name} {value}" for name, value in usual.items() if chosen[name] != value]
    if not changes:
        return "Give it more samples to train on."
    return f"Try {' '.join(changes)}, or give it more samples to train on."


def lower_lr(facts: Facts) -> str:
    """Advise to train again with a lower learning rate."""
    lr, usual, optimizer = facts.course.lr, facts.usual_lr, facts.course.config.optimizer
    if lr > usual:
        return f"Train again without --lr: {optimizer} takes {usual:g} by default."
    other = "" if optimizer == "adamw" else ", or with --optimizer adamw"
    return f"Train again with a lower learning rate, such as --lr {lr / 10:g}{other}."


def raise_lr(facts: Facts) -> str:
    """Advise to train again with a higher learning rate."""
    optimizer = facts.course.config.optimizer
    return f"Train again without --lr: {optimizer} takes {facts.usual_lr:g} by default."


def _resume(facts: Facts, option: str = "", number: int = 0) -> str:
    """Return the call or the command that continues the run, with an option if one is named."""
    if facts.is_in_memory:
        return f"resume(run, {option}={number})" if option else "resume(run)"
    command = f"isthmus resume {shlex.quote(facts.run)}"
    return f"{command} --{option} {number}" if option else command

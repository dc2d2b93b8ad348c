"""`CHECKS`: what may be wrong with a run, each a function from what was measured."""

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.evaluation.diagnosis.code_checks import (
    check_collapsed,
    check_dead,
    check_inactive,
    check_posterior,
)
from isthmus.evaluation.diagnosis.course_checks import (
    check_blow_up,
    check_not_finite,
    check_overfitting,
    check_unfinished,
    check_unmoved,
    check_warm_up,
)
from isthmus.evaluation.diagnosis.denoising import check_filters, check_harm
from isthmus.evaluation.diagnosis.facts import Facts
from isthmus.evaluation.diagnosis.findings import Finding
from isthmus.evaluation.diagnosis.result_checks import (
    check_constant,
    check_majority,
    check_mean,
    check_noisy,
    check_one_answer,
    check_pca,
)


@dataclass(frozen=True)
class Check:
    """A row of `CHECKS`.

    Parameters
    ----------
    find : callable
        From `Facts` to a `Finding` whose code is the row's name, or None.
    explains : tuple of str
        Rows that say nothing where this one has found something: their findings follow from it.
    """

    find: Callable[[Facts], Finding | None]
    explains: tuple[str, ...] = ()


PCA = ("no-better-than-pca", "unfinished")
MEAN = ("no-better-than-noisy", *PCA)
CONSTANT = ("no-better-than-mean", *MEAN)
COLLAPSED = ("dead-code", "constant-output", *CONSTANT)
CLASSES = ("one-class", "no-better-than-majority")
FILTER = ("no-better-than-filter", "unfinished")
POOR = (
    "posterior-collapse",
    "inactive-code",
    "collapsed-code",
    *COLLAPSED,
    *CLASSES,
    "no-better-than-noise",
    *FILTER,
    "overfitting",
)

# From the cause to its consequences: a finding stands for those that it explains.
CHECKS: dict[str, Check] = {
    "not-finite": Check(check_not_finite, ("blow-up", "lr-too-low", "warm-up", *POOR)),
    "blow-up": Check(check_blow_up, ("lr-too-low", "warm-up", *POOR)),
    "lr-too-low": Check(check_unmoved, ("warm-up", *POOR)),
    "warm-up": Check(check_warm_up, POOR),
    "posterior-collapse": Check(check_posterior, ("inactive-code", "collapsed-code", *COLLAPSED)),
    "collapsed-code": Check(check_collapsed, COLLAPSED),
    "constant-output": Check(check_constant, ("dead-code", *CONSTANT)),
    "no-better-than-mean": Check(check_mean, MEAN),
    "no-better-than-noisy": Check(check_noisy, PCA),
    "no-better-than-pca": Check(check_pca, ("unfinished",)),
    "one-class": Check(check_one_answer, ("no-better-than-majority", "unfinished")),
    "no-better-than-majority": Check(check_majority, ("unfinished",)),
    "no-better-than-noise": Check(check_harm, FILTER),
    "no-better-than-filter": Check(check_filters, ("unfinished",)),
    "inactive-code": Check(check_inactive),
    "dead-code": Check(check_dead),
    "overfitting": Check(check_overfitting),
    "unfinished": Check(check_unfinished),
}


def find(facts: Facts) -> tuple[Finding, ...]:
    """Return what all checks find, the causes first, without what follows from another finding."""
    found: list[Finding] = []
    explained: set[str] = set()
    for name, check in CHECKS.items():
        finding = None if name in explained else check.find(facts)
        if finding is not None:
            found.append(finding)
            explained.update(check.explains)
    return tuple(found)

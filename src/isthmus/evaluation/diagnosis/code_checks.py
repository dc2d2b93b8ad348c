"""Checks of codes: that all their numbers say something, each something of its own."""

from isthmus.evaluation.diagnosis.facts import CodeFacts, Facts
from isthmus.evaluation.diagnosis.findings import Finding
from isthmus.evaluation.diagnosis.remedies import HIGH, lower_lr, remedy
from isthmus.training.variational import is_collapsed

# In the recipes, also the quick ones, codes vary by at least 13% of their mean, and where the model
# has learnt anything in at least 1.9 directions, also codes of two numbers.
MIN_SPREAD, MIN_RANK = 1e-3, 1.1
MIN_ACTIVE = 0.1  # share of the units of a variational autoencoder; 20 of 32 are usual on MNIST
MIN_DEAD = 0.05  # share of the numbers of a code; a few of hundreds are nothing to say
MIN_DEAD_CHANNELS = 0.3  # of a code that a convolution with ReLU computes; 1 of 8 is common
MAX_NAMED = 8


def check_collapsed(facts: Facts) -> Finding | None:
    """Find codes that are nearly the same for all samples, or that lie on a line."""
    codes = facts.codes
    if codes is None:
        return None
    is_line = facts.course.class_count == 0 and codes.units > 1 and codes.rank < MIN_RANK
    if codes.spread >= MIN_SPREAD and not is_line:
        return None
    seen = f"the codes of {codes.count:,} validation samples are nearly the same: they vary by "
    seen += f"{100 * codes.spread:.1g}% of their size"
    if codes.spread >= MIN_SPREAD:
        seen = f"all numbers of the code rise and fall together in {codes.count:,} validation "
        seen += "samples: the codes lie on a line, and one number would do as well"
    return Finding(
        "collapsed-code",
        f"The code has collapsed: {seen}.",
        remedy(facts),
        {"spread": codes.spread, "rank": codes.rank, "units": codes.units},
    )


def check_posterior(facts: Facts) -> Finding | None:
    """Find a variational autoencoder whose decoder ignores the code."""
    codes, divergence = facts.codes, facts.course.divergence
    if codes is None or codes.active is None or divergence is None:
        return None
    if codes.active and not is_collapsed({"kl": divergence}):
        return None
    return Finding(
        "posterior-collapse",
        f"The posterior has collapsed: the code says {divergence:.2g} nats of a sample, and "
        f"{codes.active} of its {codes.units:,} numbers differ between samples by more than noise. "
        "The decoder ignores the code.",
        _fill(facts),
        {"kl": divergence, "active": codes.active, "units": codes.units},
    )


def check_inactive(facts: Facts) -> Finding | None:
    """Find a variational autoencoder that uses few of the numbers of its code."""
    codes, divergence = facts.codes, facts.course.divergence
    if codes is None or codes.active is None or divergence is None:
        return None
    if codes.active >= MIN_ACTIVE * codes.units:
        return None
    return Finding(
        "inactive-code",
        f"Only {codes.active} of the {codes.units:,} numbers of the code differ between samples by "
        f"more than noise; the code says {divergence:.3g} nats.",
        f"{_fill(facts)} Or take a smaller --code-size.",
        {"kl": divergence, "active": codes.active, "units": codes.units},
    )


def _fill(facts: Facts) -> str:
    """Advise what gives a code something to say, of all that the run does not do already."""
    config = facts.course.config
    beta = config.beta or 1.0
    if beta > 1:
        return f"Train again with a lower --beta than {beta:g}."
    options = {"--warm-up 0.3": config.warm_up, "--free-bits 0.1": config.free_bits}
    ways = [option for option, value in options.items() if not value]
    if not ways:
        return f"Train longer, or again with a lower --beta than {beta:g}."
    return f"Train again with {', and if that does not help with '.join(ways)}."


def check_dead(facts: Facts) -> Finding | None:
    """Find numbers of the code that are the same for every sample."""
    codes = facts.codes
    if codes is None or codes.active is not None:  # a variational autoencoder leaves units unused
        return None
    share = MIN_DEAD_CHANNELS if codes.is_spatial else MIN_DEAD
    if len(codes.dead) < max(1, share * codes.units):
        return None
    what = "channels" if codes.is_spatial else "numbers"
    named = ", ".join(map(str, codes.dead[:MAX_NAMED]))
    more = ", …" if len(codes.dead) > MAX_NAMED else ""
    return Finding(
        "dead-code",
        f"{len(codes.dead):,} of the {codes.units:,} {what} of the code are the same for all of "
        f"{codes.count:,} validation samples (counted from 0: {named}{more}): they are dead, and "
        "the code is smaller than it seems.",
        _revive(facts, codes),
        {"dead": len(codes.dead), "units": codes.units},
    )


def _revive(facts: Facts, codes: CodeFacts) -> str:
    advice = f"Train again with a lower learning rate, such as --lr {facts.course.lr / 5:g}."
    if facts.course.lr > HIGH * facts.usual_lr:
        advice = lower_lr(facts)
    if codes.is_spatial or len(codes.dead) == codes.units:
        return advice
    return f"{advice} Or take a code of {codes.units - len(codes.dead):,}, which is as good."

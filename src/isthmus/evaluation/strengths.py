"""At which strengths of noise a denoiser is measured."""

from dataclasses import replace

from isthmus.data.corruption import CORRUPTIONS, Corruption

# The standard deviations of which the literature has tables, where images are from 0 to 1.
PUBLISHED = (15 / 255, 25 / 255, 50 / 255)
NORMAL = ("gaussian", "gaussian-unclipped")
WEAKEST = 1 / 4  # of a range from 0, whose lower end is no noise: this share of its upper end


def measured_strengths(corruption: Corruption) -> tuple[Corruption, ...]:
    """Return noise of fixed strengths for noise whose strengths may be ranges.

    Of a range of normal noise that has them, these are 15, 25 and 50 of 255, as in the tables of
    the literature; of any other, its ends and its middle. Several ranges rise together.

    Examples
    --------
    >>> [str(one) for one in measured_strengths(Corruption.parse("masked:0.5"))]
    ['masked:0.5']
    """
    ranges = [strength for _, strength in corruption.steps if isinstance(strength, tuple)]
    if not ranges:
        return (corruption,)
    low, high = ranges[0]
    if _is_normal(corruption) and low <= PUBLISHED[0] and PUBLISHED[-1] <= high:
        kind = corruption.steps[0][0]
        return tuple(Corruption(((kind, strength),)) for strength in PUBLISHED)
    return tuple(_at(corruption, share) for share in (0.0, 0.5, 1.0))


def known_deviation(corruption: Corruption | None) -> float | None:
    """Return the standard deviation of normal noise of one strength; of any other, None."""
    if corruption is None or not _is_normal(corruption):
        return None
    strength = corruption.steps[0][1]
    return None if isinstance(strength, tuple) else strength


def _is_normal(corruption: Corruption) -> bool:
    return len(corruption.steps) == 1 and corruption.steps[0][0] in NORMAL


def _at(corruption: Corruption, share: float) -> Corruption:
    """Return noise whose ranges are replaced by what lies at a share of them."""
    steps = []
    for kind, strength in corruption.steps:
        if isinstance(strength, tuple):
            low = strength[0] or strength[1] * WEAKEST
            strength = low + share * (strength[1] - low)
            strength = float(round(strength)) if CORRUPTIONS[kind].is_whole else strength
        steps.append((kind, strength))
    return replace(corruption, steps=tuple(steps))

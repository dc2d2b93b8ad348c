"""Shares that an option may ask for."""

from isthmus.errors import OptionError


def require_rate(false_alarms: float) -> None:
    """Reject a share of false alarms that is none.

    Raises
    ------
    OptionError
    """
    if not 0 < false_alarms < 1:
        raise OptionError(
            f"false alarms must be a share above 0 and below 1, such as 0.01, not {false_alarms:g}."
        )

"""Groups of samples that must not be divided, such as all pictures of one patient or person.

This file is imported by `TrainingConfig` and so must import quickly.
"""

import re
from collections.abc import Sequence

from isthmus.errors import OptionError

FOLDER = "folder"


def check_group_by(group_by: str | None) -> None:
    """Reject a pattern that is no regular expression.

    Raises
    ------
    OptionError
    """
    if group_by is None or group_by == FOLDER:
        return
    try:
        re.compile(group_by)
    except re.error as error:
        raise OptionError(
            f"group by is {FOLDER} or a regular expression, and {group_by!r} is none ({error}); "
            "repair it, as in '^(.*?)_'."
        ) from None


def group_names(names: Sequence[str], group_by: str) -> list[str]:
    r"""Return the name of the group that each sample belongs to.

    Parameters
    ----------
    names : sequence of N str
        Paths of the samples within their source.
    group_by : str
        "folder" for the folder that a sample lies in; or a regular expression whose first group,
        or else the whole match, names the group. It is searched for in the name of the file, and
        with a / in it in the whole path.

    Raises
    ------
    OptionError
        If the pattern is not found in a name, or all samples are in one group.

    Examples
    --------
    >>> group_names(["ill/p1_a.png", "well/p1_b.png", "ill/p2_a.png"], "^(.*?)_")
    ['p1', 'p1', 'p2']
    >>> group_names(["p1/a.png", "p2/a.png"], "folder")
    ['p1', 'p2']
    """
    if group_by == FOLDER:
        groups: list[str | None] = [name.rpartition("/")[0] or "." for name in names]
    else:
        check_group_by(group_by)
        pattern = re.compile(group_by)
        groups = [_find(pattern, name if "/" in group_by else _file_name(name)) for name in names]
    found = [group for group in groups if group is not None]
    if len(found) < len(names):
        culprit = names[groups.index(None)]
        raise OptionError(
            f"{len(names) - len(found):,} of {len(names):,} names have no match for "
            f"--group-by {group_by!r}, such as {culprit}; give a pattern that all names match."
        )
    if len(set(found)) < 2:
        raise OptionError(
            f"--group-by {group_by!r} puts all {len(names):,} samples into one group, "
            f"{found[0]!r}, which cannot be divided; give a pattern that tells groups apart."
        )
    return found


def _find(pattern: "re.Pattern[str]", name: str) -> str | None:
    match = pattern.search(name)
    if match is None:
        return None
    group: str | None = match.group(1 if pattern.groups else 0)
    return group


def _file_name(name: str) -> str:
    return name.rpartition("/")[2]

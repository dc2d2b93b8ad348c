"""The part of a report that is about a style bank: photographs in styles, strengths and mixes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import evenly_spaced
from isthmus.models.summary import summarize
from isthmus.reports.page import to_data_url
from isthmus.session import Session
from isthmus.styling.shares import choose_shares
from isthmus.styling.values import paint
from isthmus.viz.styles import mix_grid, strength_grid, style_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PHOTOS = 6
MAX_STYLES = 24  # rows; a page of more would take minutes
MAX_GRADED = 6  # styles that are shown at several strengths
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
STEPS = 5  # of a grid of mixes, along each side


def style_sections(session: Session, evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the sections about a style bank."""
    layers = summarize(session.trained.config)
    return {
        "compared": [(name, row) for name, row in evaluation["styles"].items()],
        "verdict": style_verdict(evaluation),
        "paintings": to_data_url(draw_styles(session)),
        "strengths": to_data_url(draw_strengths(session)),
        "mixes": to_data_url(draw_mixes(session)) if len(names_of(session)) > 1 else None,
        "layers": layers,
        "macs": sum(layer.macs for layer in layers),
    }


def style_verdict(evaluation: Mapping[str, Any]) -> str:
    """Return what the losses of styles say, in a sentence."""
    styles = evaluation["styles"].values()
    nearer = sum(row["style"] < row["photograph"] for row in styles)
    content = float(np.mean([row["content"] for row in styles]))
    return (
        f"In {nearer} of {len(styles)} styles, paintings have more of the style's texture than the "
        f"photographs have; on average they differ from the photographs by {content:.0%} of what "
        "these show."
    )


def draw_styles(session: Session) -> "Figure":
    """Draw test photographs in all styles, or in the first ones of very many."""
    photos, names = _photos(session, MAX_PHOTOS), names_of(session)[:MAX_STYLES]
    pictures, _ = session.run.styles()
    rows = []
    for name in names:
        shares = choose_shares(names_of(session), name)
        rows.append((name, pictures[name], np.stack(_paint(session, photos, shares))))
    return style_grid(photos, session.trained.rebuild(photos), rows)


def draw_strengths(session: Session) -> "Figure":
    """Draw a test photograph in some styles, from none of them to all."""
    photo, rows = _photos(session, 1), []
    for name in names_of(session)[:MAX_GRADED]:
        painted = [
            _paint(session, photo, choose_shares(names_of(session), name, strength=one))[0]
            for one in STRENGTHS
        ]
        rows.append((name, np.stack(painted)))
    return strength_grid(STRENGTHS, rows)


def draw_mixes(session: Session) -> "Figure":
    """Draw a test photograph in mixes of four styles; of fewer, one is in several corners."""
    names = names_of(session)
    corners = [names[number % len(names)] for number in range(4)]
    if len(names) == 2:
        corners = [names[0], names[1], names[0], names[1]]
    photo, places = _photos(session, 1), np.linspace(0, 1, STEPS)
    rows = []
    for down in places:
        shares = [_mix(names, corners, down, right) for right in places]
        rows.append(np.stack([_paint(session, photo, one)[0] for one in shares]))
    return mix_grid(corners, np.stack(rows))


def names_of(session: Session) -> tuple[str, ...]:
    """Return the names of a session's styles."""
    return session.trained.config.style_names


def _mix(
    names: tuple[str, ...], corners: list[str], down: float, right: float
) -> NDArray[np.float32]:
    weights = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
    mix: dict[str, float] = dict.fromkeys(corners, 0.0)
    for name, weight in zip(corners, weights, strict=True):
        mix[name] += float(weight)
    return choose_shares(names, mix=mix)


def _photos(session: Session, count: int) -> NDArray[np.uint8]:
    """Return test photographs, spread evenly."""
    test = session.split.test
    return session.samples.take(test[evenly_spaced(len(test), count)]).values


def _paint(
    session: Session, photos: NDArray[np.uint8], shares: NDArray[np.float32]
) -> list[NDArray[np.uint8]]:
    return [paint(session.trained, photo, shares) for photo in photos]

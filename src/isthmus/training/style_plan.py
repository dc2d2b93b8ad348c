"""What a run on styles begins with: its settings, the names of its styles, and their files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from isthmus.errors import OptionError
from isthmus.inference.trained import TrainedModel
from isthmus.training.run import Run
from isthmus.training.style_features import RANDOM, open_features, restore_features
from isthmus.training.styles import (
    FEATURES,
    STYLES,
    Picture,
    Styles,
    StyleSettings,
    fingerprint_styles,
    pack_pictures,
)
from isthmus.training.weights import initialize


@dataclass(frozen=True)
class StylePlan:
    """The styles of a new run.

    Parameters
    ----------
    settings : StyleSettings
    names : tuple of str
    files : mapping
        Name of a file of the run: its content.
    """

    settings: StyleSettings
    names: tuple[str, ...]
    files: Mapping[str, bytes]


def plan_styles(styles: Styles | None, start: TrainedModel | Run | None) -> StylePlan | None:
    """Return what a new run learns, None if it is of no style bank.

    Added to the styles of the run to start from, new ones are all that is learned.

    Raises
    ------
    IsthmusError
        If a name is taken already, or the features cannot be opened.
    """
    if isinstance(start, Run) and start.record.styles is not None:
        return _plan_more(styles, start, start.record.styles)
    if styles is None:
        return None
    if start is not None:
        raise OptionError("styles are added to the run of a style bank; start from one.")
    kind, content = open_features(styles.features or RANDOM)
    return _make_plan(styles.settings, styles.pictures, kind, content)


def _plan_more(styles: Styles | None, start: Run, old: StyleSettings) -> StylePlan:
    pictures, _ = start.styles()
    features = (old.features, start.store.read(FEATURES) or b"")
    if styles is None:  # the same styles, on other photographs
        return _make_plan(replace(old, kept=0), pictures, *features)
    taken = pictures.keys() & styles.pictures.keys()
    if taken:
        raise OptionError(
            f"{start.name} has a style called {min(taken)} already; rename the new picture."
        )
    if styles.features is not None:
        features = open_features(styles.features)
    settings = replace(styles.settings, kept=len(pictures))
    return _make_plan(settings, {**pictures, **styles.pictures}, *features)


def _make_plan(
    settings: StyleSettings, pictures: Mapping[str, Picture], kind: str, content: bytes
) -> StylePlan:
    seen_by = restore_features(kind, content).fingerprint
    mark = fingerprint_styles(pictures, seen_by)
    files = {STYLES: pack_pictures(pictures)}
    if content:
        files[FEATURES] = content
    return StylePlan(replace(settings, features=kind, fingerprint=mark), tuple(pictures), files)


def add_styles(model: TrainedModel, names: tuple[str, ...], seed: int) -> TrainedModel:
    """Return a style bank with the styles of these names, of which the first are the model's own.

    All else is as it is; new styles have the weights of the seed.
    """
    config = replace(model.config, style_names=names)
    module = initialize(config, seed)
    module.load_state_dict(model.module.state_dict(), strict=False)
    return TrainedModel(config, model.preprocessing, module)

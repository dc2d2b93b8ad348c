"""What a style bank reduces: in T steps the losses of its styles, then one of the autoencoder.

Chen et al., StyleBank, 2017, section 3.4. Each image of a batch gets a style of its own, drawn for
the step, and only these styles and the autoencoder learn from it. In the step after, no style takes
part, and encoder and decoder learn to rebuild the photograph. So what a photograph shows is left
to the autoencoder, and how it is painted to the styles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from isthmus.models.perceptual import Features
from isthmus.models.registry import ACTIVATIONS
from isthmus.models.stylebank import one_style
from isthmus.models.tasks import Activation
from isthmus.training.objective import Forward, MeanOverSamples, Moment, Outcome
from isthmus.training.perceptual import content_loss, gram, grams, style_loss, total_variation
from isthmus.training.styles import Picture, StyleSettings

if TYPE_CHECKING:
    from isthmus.training.run import Run


@dataclass
class StyleObjective(MeanOverSamples):
    """The alternation of a style bank; see `Objective`.

    Parameters
    ----------
    features : Features
        Moved to the device of the first batch.
    pictures : mapping
        Of the styles, in the order of the bank.
    settings : StyleSettings
    activation : str
        What follows the output.
    """

    features: Features
    pictures: Mapping[str, Picture]
    settings: StyleSettings
    activation: Activation
    _targets: dict[str, Tensor] = field(default_factory=dict, init=False)

    def __call__(self, forward: Forward, x: Tensor, targets: Tensor, moment: Moment) -> Outcome:
        """See `Objective`; on the validation split, losses of both kinds are added."""
        if not moment.is_training:
            painted, rebuilt = self._paint(forward, x, moment), self._rebuild(forward, x)
            terms = {**painted.terms, **rebuilt.terms}
            return Outcome(painted.loss + rebuilt.loss, rebuilt.output, terms)
        is_painting = self.settings.kept or moment.step % (self.settings.period + 1)
        return self._paint(forward, x, moment) if is_painting else self._rebuild(forward, x)

    def _rebuild(self, forward: Forward, x: Tensor) -> Outcome:
        output = forward(x)
        loss = functional.mse_loss(ACTIVATIONS[self.activation](output), x)
        return Outcome(self.settings.rebuild * loss, output, {"rebuild": loss})

    def _paint(self, forward: Forward, x: Tensor, moment: Moment) -> Outcome:
        styles = self._draw(len(x), moment).to(x.device)
        wanted = self._style_targets(x.device)  # first: it moves the features to the device
        output = forward(x, one_style(styles, len(self.pictures)))
        painted = ACTIVATIONS[self.activation](output)
        maps = self.features(painted)
        with torch.no_grad():
            photo = self.features(x)
        settings = self.settings
        content = content_loss(maps, photo, self.features.content)
        targets = {name: target[styles] for name, target in wanted.items()}
        style = style_loss(maps, targets, {name: gram(photo[name]) for name in targets})
        loss = settings.content * content + settings.style * style
        loss = loss + settings.smoothness * total_variation(painted)
        return Outcome(loss, output, {"content": content, "style": style})

    def _draw(self, count: int, moment: Moment) -> Tensor:
        """Draw a style (N,) int64 for each image, of those that learn."""
        numbers = moment.make_rng().uniform((count, 1))[:, 0]
        learning = len(self.pictures) - self.settings.kept
        # Of float32, so that rounding may reach the number itself.
        drawn = np.minimum((numbers * learning).astype(np.int64), learning - 1)
        return torch.from_numpy(self.settings.kept + drawn)

    def _style_targets(self, device: torch.device) -> dict[str, Tensor]:
        """Return the Gram matrices (K, C', C') of all styles by layer; computed once."""
        if not self._targets:
            self.features.to(device)
            each = [self._grams(picture, device) for picture in self.pictures.values()]
            self._targets = {name: torch.cat([one[name] for one in each]) for name in each[0]}
        return self._targets

    def _grams(self, picture: Picture, device: torch.device) -> dict[str, Tensor]:
        x = torch.from_numpy(picture).to(device).movedim(-1, 0)[None] / 255
        with torch.no_grad():
            return grams(self.features, x)


def make_style_objective(run: "Run", counts: Tensor | None) -> StyleObjective:
    """Return the objective of a style bank; see `make_objective`."""
    record = run.record
    assert record.styles is not None  # a style bank has them; see `Record`
    pictures, features = run.styles()
    return StyleObjective(features, pictures, record.styles, record.model_config.activation)

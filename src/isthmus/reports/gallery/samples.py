"""What comes back of samples, and what each layer sees of one."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.corruption import Corruption
from isthmus.data.samples import Samples
from isthmus.inference import TrainedModel
from isthmus.viz import activations as layer_figures
from isthmus.viz import grids as sample_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reconstructions(
    model: TrainedModel, samples: Samples, noisy: NDArray[Any] | None = None
) -> "Figure":
    """Draw original, code and reconstruction of samples, or of noisy ones if these are given."""
    seen = samples.values if noisy is None else noisy
    return sample_figures.reconstruction_grid(
        samples.values, model.encode(seen), model.reconstruct(seen), samples.names, noisy
    )


def corrupt_samples(
    model: TrainedModel,
    samples: Samples,
    corruption: Corruption,
    seed: int,
    indices: NDArray[np.int64],
) -> NDArray[Any]:
    """Return samples under the noise that is frozen for their indices, of the same kind."""
    parts, start = [], 0
    for x in model.inputs(samples):
        noisy = corruption.apply_fixed(x, seed, indices[start : start + len(x)])
        parts.append(model.preprocessing.from_output(noisy).cpu().numpy())
        start += len(x)
    return np.concatenate(parts)


def activations(model: TrainedModel, sample: NDArray[Any], name: str) -> "Figure":
    """Draw what every layer makes of a sample (H, W, C) or (L, C)."""
    maps = []
    for layer in model.layers:
        shape = " × ".join(map(str, layer.shape))
        (features,) = model.features(sample[None], layer.name)
        seen = features[0].float().numpy()
        seen = seen.ravel() if seen.size == len(seen) else seen  # one number a channel is no map
        maps.append((f"{layer.name} · {layer.kind} · {shape}", seen))
    back = model.reconstruct(sample[None])[0] if model.config.task == "reconstruct" else None
    return layer_figures.layers(name, sample, maps, back)

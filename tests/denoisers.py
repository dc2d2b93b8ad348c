"""Small denoisers that nobody has trained, for tests of how they are used."""

import torch
from torch import Tensor, nn

from isthmus.data.preprocess import Preprocessing
from isthmus.inference.trained import TrainedModel
from isthmus.models.config import configure
from isthmus.models.denoisers import Denoiser


class Joined(nn.Module):
    """A U-Net of two levels behind pixel unshuffling: it joins four pixels a side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.split = nn.PixelUnshuffle(2)
        self.head = nn.Conv2d(4 * channels, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 8, 2, stride=2)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.tail = nn.Conv2d(8, 4 * channels, 3, padding=1)
        self.join = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        shallow = self.head(self.split(x)).relu()
        deep = self.up(self.middle(self.down(shallow)).relu())
        noise: Tensor = self.join(self.tail(shallow + deep))
        return noise


def untrained(channels: int = 1, *, joined: bool = False, silent: bool = False) -> TrainedModel:
    """Return a denoiser with random weights, which changes images by some 10 of 255.

    Parameters
    ----------
    channels : int
        Of its images.
    joined : bool
        Whether it is `Joined`, or else DnCNN.
    silent : bool
        Whether it finds no noise, so that images come back as they are.
    """
    torch.manual_seed(0)
    shape = (channels, 64, 64)
    config = configure("dncnn", shape, options={"depth": 3, "width": 8})
    module = config.build()
    assert isinstance(module, Denoiser)
    if joined:
        module = Denoiser(Joined(channels), step=4)
    last = (
        module.noise.tail if isinstance(module.noise, Joined) else list(module.noise.children())[-1]
    )
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.normal_(last.weight, 0, 0 if silent else 0.1)
    nn.init.zeros_(last.bias)
    return TrainedModel(config, Preprocessing(channels=channels), module.eval())

"""A plain PyTorch loop as tutorials write it: a `Dataset`, a `DataLoader`, float32, no more.

    python torch_peer.py MODEL BATCH IMAGES.npy

The modules are those of Isthmus with upsampling and convolution as separate layers; the loop, the
data and the layout in memory are the tutorials'. Prints a line of JSON.
"""

import json
import resource
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from isthmus import MODELS, build_model

OPTIMIZERS = {
    "conv-transpose": torch.optim.Adamax,
    "dense-selu": lambda parameters: torch.optim.SGD(parameters, lr=1.5),
}


class Images(Dataset):
    """Images as tensors, scaled one by one."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        """Count the images."""
        return len(self.values)

    def __getitem__(self, index):
        """Return one image as (C, H, W) in [0, 1]."""
        return torch.from_numpy(self.values[index]).permute(2, 0, 1).float() / 255


def separate(module):
    """Return the module with plain sequences, whose layers are computed one by one."""
    for name, part in module.named_children():
        if isinstance(part, nn.Sequential):
            setattr(module, name, nn.Sequential(*part))
    return module


def main():
    """Train two epochs and infer twice; report the second of each."""
    name, batch, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    values = np.load(file)
    torch.manual_seed(0)
    height, width, channels = values.shape[1:]
    model = separate(build_model(name, (channels, height, width)))
    optimizer = OPTIMIZERS.get(name, torch.optim.Adam)(model.parameters())
    sigmoid = MODELS[name].activation == "sigmoid"
    loss_of = nn.BCEWithLogitsLoss() if sigmoid else nn.MSELoss()
    loader = DataLoader(Images(values), batch_size=batch, shuffle=True)
    for _ in range(2):
        began = time.perf_counter()
        for x in loader:
            optimizer.zero_grad()
            loss = loss_of(model(x), x)
            loss.backward()
            optimizer.step()
        trained = time.perf_counter() - began
    model.eval()
    with torch.no_grad():
        for _ in range(2):
            began = time.perf_counter()
            for x in DataLoader(Images(values), batch_size=batch):
                output = model(x)
                output = output.sigmoid() if sigmoid else output
            inferred = time.perf_counter() - began
    print(
        json.dumps(
            {
                "parameters": sum(p.numel() for p in model.parameters()),
                "train": len(values) / trained,
                "infer": len(values) / inferred,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
                "versions": {"torch": torch.__version__},
            }
        )
    )


if __name__ == "__main__":
    main()

"""A transposed convolution number by number, as a worked example."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def contributions(values: Matrix, kernel: Matrix, stride: int = 1) -> Matrix:
    """Return what each number of a picture adds to its transposed convolution.

    Each number adds the kernel, multiplied by it, `stride` cells further than its neighbor. The
    sum is what `torch.nn.ConvTranspose2d` computes without padding (Dumoulin and Visin, A Guide
    to Convolution Arithmetic for Deep Learning, arXiv:1603.07285, chapter 4).

    Parameters
    ----------
    values : (H, W) float64
    kernel : (K, L) float64
    stride : int
        At least 1.

    Returns
    -------
    (H · W, (H - 1) · stride + K, (W - 1) · stride + L) float64
        One array for each number, row by row.

    Examples
    --------
    >>> contributions(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0, 1.0]]), 2).sum(0).tolist()
    [[1.0, 1.0, 3.0, 2.0, 2.0]]
    """
    height, width = kernel.shape
    rows, columns = ((side - 1) * stride for side in values.shape)
    added = np.zeros((values.size, rows + height, columns + width))
    for number, ((row, column), value) in enumerate(np.ndenumerate(values)):
        top, left = row * stride, column * stride
        added[number, top : top + height, left : left + width] = value * kernel
    return added

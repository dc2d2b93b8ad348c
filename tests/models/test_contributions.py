"""What each number adds to a transposed convolution: the sum is what the layer computes."""

import numpy as np
import pytest
import torch

from isthmus.models.transposed import contributions


@pytest.mark.parametrize(
    ("sides", "kernel"), [((2, 2), (2, 2)), ((2, 3), (3, 3)), ((1, 4), (2, 3))]
)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_sum_is_what_the_layer_computes(
    sides: tuple[int, int], kernel: tuple[int, int], stride: int
) -> None:
    draw = np.random.default_rng(0)
    x, weights = draw.normal(size=sides), draw.normal(size=kernel)
    expected = torch.conv_transpose2d(
        torch.from_numpy(x)[None, None], torch.from_numpy(weights)[None, None], stride=stride
    )
    np.testing.assert_allclose(contributions(x, weights, stride).sum(0), expected[0, 0].numpy())


def test_each_number_adds_the_kernel_times_itself() -> None:
    first, second = contributions(np.array([[1.0, 2.0]]), np.ones((1, 2)), 2)
    assert first.tolist() == [[1, 1, 0, 0]]
    assert second.tolist() == [[0, 0, 2, 2]]

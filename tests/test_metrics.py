"""Metrics against formulas and against scikit-learn, on real digits."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from isthmus import load, metrics


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.from_numpy(load("digits", limit=64).values).permute(0, 3, 1, 2).float() / 255


def noisy(x: torch.Tensor) -> torch.Tensor:
    return (x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def test_mse_and_psnr_are_their_formulas(x: torch.Tensor) -> None:
    y = noisy(x)
    expected = ((y - x).numpy() ** 2).reshape(64, -1).mean(1)
    np.testing.assert_allclose(metrics.mse(y, x), expected, rtol=1e-5)
    np.testing.assert_allclose(metrics.psnr(y, x), 10 * np.log10(1 / expected), rtol=1e-5)


def test_a_perfect_reconstruction_has_100_db_and_full_similarity(x: torch.Tensor) -> None:
    assert metrics.psnr(x, x).tolist() == pytest.approx([100.0] * 64)
    assert metrics.ssim(x, x).numpy() == pytest.approx(1.0)


def test_bce_agrees_with_log_loss_on_black_and_white(x: torch.Tensor) -> None:
    binary = (x > 0.5).float()
    y = noisy(x).clamp(0.01, 0.99)
    expected = log_loss(binary.flatten().numpy(), y.flatten().double().numpy())
    assert metrics.bce(y, binary).mean().item() == pytest.approx(expected, rel=1e-4)


def test_bce_of_logits_is_bce_of_their_sigmoid(x: torch.Tensor) -> None:
    logits = 3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        metrics.bce_of_logits(logits, x), metrics.bce(logits.sigmoid(), x), rtol=1e-4, atol=1e-5
    )


def test_bce_is_least_where_the_output_is_the_target(x: torch.Tensor) -> None:
    assert (metrics.bce(x, x) < metrics.bce(noisy(x), x)).all()


def test_ssim_falls_with_noise_and_with_blur(x: torch.Tensor) -> None:
    blurred = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    assert (metrics.ssim(noisy(x), x) < 0.999).all()
    assert (metrics.ssim(blurred, x) < metrics.ssim(noisy(x), x)).all()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 6, 17), (3, 40, 9)])
def test_ssim_agrees_with_torchmetrics(shape: tuple[int, ...]) -> None:
    from torchmetrics.functional.image import structural_similarity_index_measure

    draws = torch.Generator().manual_seed(0)
    clean = torch.rand(4, *shape, generator=draws, dtype=torch.float64)
    y = noisy(clean)
    expected = structural_similarity_index_measure(y, clean, reduction="none", data_range=1.0)
    torch.testing.assert_close(metrics.ssim(y, clean), expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(
        metrics.ssim(y.float(), clean.float()).double(), expected, rtol=1e-5, atol=0
    )


@pytest.mark.parametrize(
    ("shape", "has"), [((1, 6, 6), True), ((3, 5, 90), False), ((1, 128), False)]
)
def test_ssim_is_for_images_of_six_pixels_and_more(shape: tuple[int, ...], has: bool) -> None:
    assert metrics.has_ssim(shape) is has
    y = torch.rand(2, *shape)
    if has:
        assert metrics.ssim(y, y).numpy() == pytest.approx(1.0)
    else:
        with pytest.raises(ValueError, match="6 × 6"):
            metrics.ssim(y, y)

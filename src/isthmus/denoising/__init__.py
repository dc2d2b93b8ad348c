"""`denoise_values`: noisy arrays in, clean arrays out; `denoise`: the same for files."""

from isthmus.denoising.estimate import estimate_noise
from isthmus.denoising.estimates import Estimates, estimate_source
from isthmus.denoising.sources import Denoised, Loss, denoise
from isthmus.denoising.values import denoise_values

__all__ = [
    "Denoised",
    "Estimates",
    "Loss",
    "denoise",
    "denoise_values",
    "estimate_noise",
    "estimate_source",
]

"""Recipes on noise in photographs."""

from isthmus.recipes.recipe import Metric, Recipe, psnr
from isthmus.recipes.shared import Options
from isthmus.recipes.steps import Evaluate, Train

ZHANG = "Zhang et al., IEEE TIP 26, 2017, and their repository"
DRUNET = "; DRUNet: Zhang et al., IEEE TPAMI 44, 2022"
WIDTH = 48  # better than the default, and takes twice as long
QUICK_BSD: Options = {"limit": 40, "epochs": 1, "width": 8, "patch": 32}
TABLES = (  # what is published of BSD68, by the standard deviation of the noise times 255
    (15, "BM3D 31.07, WNNM 31.37, FDnCNN 31.69, DRUNet 31.91"),
    (25, "BM3D 28.57, WNNM 28.83, FDnCNN 29.22, DRUNet 29.48"),
    (50, "BM3D 25.62, WNNM 25.87, FDnCNN 26.27, DRUNet 26.59"),
)

BSD_DENOISE = Recipe(
    "bsd-denoise",
    "noise out of photographs at their own size, measured on BSD68",
    "The benchmark of the field: 400 images of the Berkeley segmentation dataset to train on, the "
    "68 of BSD68 to report on, and normal noise that is not clipped. The first model learns one "
    "standard deviation, 25/255, and the second all from 0 to 55/255. The third sees no clean "
    "image: each has its noise once and for all. PSNR is the mean over whole images. What is "
    "reported took a day on a GPU.",
    (
        Train(
            "bsd",
            task="denoise",
            width=WIDTH,
            epochs=76,
            corrupt="gaussian-unclipped:25/255",
            out="one",
            quick=QUICK_BSD,
        ),
        Train(
            "bsd",
            task="denoise",
            width=WIDTH,
            epochs=110,
            corrupt="gaussian-unclipped:0..55/255",
            out="blind",
            quick=QUICK_BSD,
        ),
        Train(
            "bsd",
            task="denoise",
            epochs=60,  # more, or wider, and it learns the noise of the images by heart
            corrupt="gaussian-unclipped:25/255",
            no_clean=True,
            lr=0.003,
            out="self",
            quick=QUICK_BSD,
        ),
        Evaluate("one"),
        Evaluate("blind"),
        Evaluate("self"),
    ),
    (
        psnr(
            "PSNR in dB at 25/255, trained for it",
            "one.test.psnr",
            "BM3D 28.57, WNNM 28.83, DnCNN 29.23, DRUNet 29.48",
            f"{ZHANG}{DRUNET}",
        ),
        psnr("… the noisy images themselves", "one.noisy.psnr", "20.17", "20 · log₁₀(255 / 25)"),
        psnr("… non-local means", "one.baselines.nlm.psnr"),
        psnr("… total variation", "one.baselines.tv.psnr"),
        Metric("SSIM at 25/255", "one.test.ssim"),
        psnr("PSNR in dB at 25/255, without any clean image", "self.test.psnr"),
        *(
            psnr(
                f"PSNR in dB at {deviation}/255, one model for all",
                f"blind.levels.{number}.test.psnr",
                reported,
                f"{ZHANG}{DRUNET}",
            )
            for number, (deviation, reported) in enumerate(TABLES)
        ),
    ),
    needs=("bsd",),
)

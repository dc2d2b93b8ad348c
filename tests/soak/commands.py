"""The commands that are attacked, and the workspace that each of them starts in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

TINY = ("--model", "dense", "--code-size", "4", "--batch-size", "8", "--device", "cpu")
DIGITS = ("digits", "--limit", "80", *TINY)
PICTURES = ("pictures", *TINY)


@dataclass(frozen=True)
class Command:
    """A command to attack.

    Parameters
    ----------
    arguments : tuple of str
        In a workspace, which is the current folder.
    begun : str
        A file by which is seen that it has begun; then others complete it.
    continued : tuple of str
        Those others; by default the same command completes what it began.
    needs : tuple of str
        The `PREPARATIONS` that it starts from.
    """

    arguments: tuple[str, ...]
    begun: str = ""
    continued: tuple[str, ...] = ()
    needs: tuple[str, ...] = ("run",)

    def completing(self, folder: Path) -> tuple[str, ...]:
        """Return the arguments that complete it in a workspace where it was ended."""
        has_begun = self.begun and (folder / self.begun).exists()
        return self.continued if has_begun else self.arguments


def _train(*options: str, source: tuple[str, ...] = DIGITS) -> Command:
    arguments = ("train", *source, *options, "--out", "new")
    return Command(arguments, "new/run.json", ("resume", "new"), needs=())


COMMANDS: Mapping[str, Command] = {
    "train": _train("--epochs", "3"),
    "train-patient": _train("--epochs", "9", "--patience", "1", "--lr", "0.3"),
    "train-pictures": _train("--epochs", "2", source=("fresh", *TINY)),  # nothing is decoded yet
    "resume": Command(("resume", "half", "--epochs", "3"), needs=("half",)),
    "index": Command(("index", "run")),
    "index-add": Command(("index", "run", "more", "--add"), needs=("run", "index")),
    "encode": Command(("encode", "run", "--out", "codes.npy")),
    "map": Command(("map", "run", "--method", "pca", "--out", "map.png")),
    "evaluate": Command(("evaluate", "run")),
    "report": Command(("report", "run")),
    "compare": Command(("compare", "run", "half", "--out", "two.html"), needs=("run", "half")),
    "export": Command(("export", "run", "--out", "model.onnx")),
    "reconstruct": Command(("reconstruct", "run", "digits", "--out", "grid.png")),
    "doctor": Command(("doctor", "run")),
    "card": Command(("card", "run")),
    "denoise": Command(("denoise", "denoiser", "pictures", "--out", "clean"), needs=("denoiser",)),
    "data-export": Command(("data", "export", "pictures", "--out", "copies"), needs=()),
    "data-map": Command(("data", "map", "pictures", "--out", "map.png"), needs=()),
    "data-clean": Command(("data", "clean")),
    "data-arrays": Command(("data", "export", "fresh", "--out", "arrays.npz"), needs=()),
    "studio-folder": Command(("studio", "run", "--export", "page"), needs=("run", "stored")),
    "studio-page": Command(("studio", "run", "--export", "page.html"), needs=("run", "stored")),
    "studio-first": Command(("studio", "half", "--export", "page"), needs=("half",)),
    "fetch": Command(("data", "fetch", "parcels"), needs=()),  # of our own server
    "recipe": Command(("recipe", "run", "digits-pca", "--quick", "--out", "recipe"), needs=()),
}
TRAININGS = ("train", "train-patient", "train-pictures", "resume")  # whose weights are compared

PREPARATIONS: Mapping[str, tuple[str, ...]] = {  # in this order
    "run": ("train", *DIGITS, "--epochs", "2", "--out", "run"),
    "half": ("train", *DIGITS, "--epochs", "1", "--out", "half"),
    "denoiser": (
        "train",
        *PICTURES,
        "--epochs",
        "1",
        "--corrupt",
        "gaussian:0.2",
        "--out",
        "denoiser",
    ),
    "index": ("index", "run"),
    "stored": ("studio", "run", "--export", "stored"),  # keeps what takes long in the run
}


def draw_pictures(folder: Path) -> None:
    """Make the folders of pictures that commands read."""
    for name, count, seed in (
        ("pictures", 12, 0),
        ("fresh", 12, 1),
        ("more", 5, 2),
        ("others", 7, 3),
    ):
        noise = np.random.default_rng(seed).integers(0, 256, (count, 8, 8), np.uint8)
        (folder / name).mkdir()
        for number, pixels in enumerate(noise):
            Image.fromarray(pixels).save(folder / name / f"{name}-{number:02}.png")

"""Where and how precisely to compute: device, precision, processes."""

import os

import torch
from lightning_fabric import Fabric

from isthmus.errors import SettingsError
from isthmus.processor import prepare
from isthmus.training.settings import Settings


def launch(settings: Settings) -> Fabric:
    """Choose device and precision, and join the other processes that torchrun started."""
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available[device]:
        raise SettingsError(f"this machine has no {device} device; take cpu, or auto.")
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if _computes_in_bfloat16(device) else "32"
    world = int(os.environ.get("WORLD_SIZE", "1"))
    fabric = Fabric(
        accelerator=device,
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        num_nodes=world // int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        strategy="ddp" if world > 1 else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    fabric.launch()
    if device == "cpu":
        prepare()
    return fabric


def _computes_in_bfloat16(device: str) -> bool:
    """Tell whether bfloat16 is arithmetic of this device rather than an emulation."""
    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    features = torch.cpu.get_capabilities() if device == "cpu" else {}
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))

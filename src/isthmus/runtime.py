"""What a processor needs so that torch can use it well: threads that fit, memory that stays."""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

import joblib
import torch
from lightning_fabric import Fabric

from isthmus.errors import OptionError

KEPT = 2**30  # bytes; what is freed below that stays with the process
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@cache
def configure_process() -> None:
    """Set up this process, once, before it computes on the processor.

    torch counts the machine's cores, also where a container has fewer. And glibc gives every
    block above 32 MB back to the system when it is freed, so that a batch's activations are new
    memory in every step, which the system first has to fill with zeros: half of the time of wide
    layers in float32.
    """
    torch.set_num_threads(min(torch.get_num_threads(), joblib.cpu_count()))
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, KEPT)
            mallopt(M_TRIM_THRESHOLD, KEPT)


def launch(device: str = "auto", precision: str = "auto") -> Fabric:
    """Choose device and precision, and join the other processes that torchrun started."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available[device]:
        raise OptionError(f"this machine has no {device} device; take cpu, or auto.")
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
        configure_process()
    return fabric


def _computes_in_bfloat16(device: str) -> bool:
    """Tell whether bfloat16 is arithmetic of this device rather than an emulation."""
    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    features = torch.cpu.get_capabilities() if device == "cpu" else {}
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


MEMORY_LIMITS = (  # of a container, by both versions of Linux's control groups
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def total_memory() -> int:
    """Return the bytes of memory of this machine or container."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in MEMORY_LIMITS:
        text = file.read_text().strip() if file.exists() else "max"
        sizes += [int(text)] if text.isdigit() else []
    return min(sizes)

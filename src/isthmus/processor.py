"""What a processor needs so that torch can use it well: threads that fit, memory that stays."""

import ctypes
import sys
from functools import cache

import joblib
import torch

KEPT = 2**30  # bytes; what is freed below that stays with the process
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@cache
def prepare() -> None:
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

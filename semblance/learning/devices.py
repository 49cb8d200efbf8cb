"""Devices: where to compute, in which precision and memory format, and how the process keeps its memory.

    device                                precision   memory format
    CPU                                   float32     channels_last
    CUDA, compute capability 8.0 and up   bfloat16    channels_last
    other CUDA                            float32     channels_last
    MPS                                   float32     contiguous

The table depends on features of the hardware alone and never on a measurement, so that a run can be repeated; what it
gave stands in the space's recipe.json. bfloat16 means autocast: weights, statistics and losses stay float32. On a CPU it
is there for the asking (`--precision bfloat16`) and no default, until bench/learning/precision.py has shown on a
processor where it is faster that it learns as well; `why` says whether the processor has the products (amx_bf16, AMD's
avx512_bf16, bf16 on ARM: Intel's avx512_bf16 without tiles is slower than its float32).
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from semblance.errors import SemblanceError, unknown

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Precision:
    """How a run computes. `dtype` is autocast's, None without autocast; `why` is a line for the user."""

    name: str
    dtype: torch.dtype | None
    memory_format: torch.memory_format
    why: str


def choose_device(asked: str = "auto") -> torch.device:
    """The device of this name; `auto` takes cuda, else mps, else cpu."""
    if asked not in DEVICES:
        raise unknown("device", asked, DEVICES)
    here = available()
    if asked == "auto":
        return torch.device(here[-1])
    if asked not in here:
        raise SemblanceError(f"device {asked} is not available here: choose {' or '.join(here)}, or auto")
    return torch.device(asked)


def available() -> list[str]:
    """The devices of this machine, the preferred one last."""
    here = ["cpu"]
    if torch.backends.mps.is_available():
        here.append("mps")
    if torch.cuda.is_available():
        here.append("cuda")
    return here


def precision_for(device: torch.device, asked: str = "auto") -> Precision:
    """The table's row for this device, or the precision asked for in the device's memory format."""
    if asked not in PRECISIONS:
        raise unknown("precision", asked, PRECISIONS)
    layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
    native, why = _native(device)
    name = native if asked == "auto" else asked
    if asked != "auto":
        why = "asked for" if asked == native or asked == "float32" else f"asked for, although {why}"
    return Precision(name, torch.bfloat16 if name == "bfloat16" else None, layout, why)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """The context in which this precision's forward pass runs."""
    if precision.dtype is None:
        return nullcontext()
    # The cache of cast weights is cleared at the end of each context, so it never outlives an optimiser step.
    return torch.autocast(device.type, precision.dtype)


def _native(device: torch.device) -> tuple[str, str]:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        which = f"the GPU's compute capability is {major}.{minor}"
        return ("bfloat16" if major >= 8 else "float32"), which
    if device.type == "cpu":
        return "float32", _products(cpu_features())
    return "float32", f"on {device.type} it is the tested precision"


def _products(features: frozenset[str]) -> str:
    """What the CPU has to offer for bfloat16."""
    if features & {"amx_bf16", "bf16"} or {"avx512_bf16", "AuthenticAMD"} <= features:
        return "the CPU has fast bfloat16 products, which are not the default yet"
    if "avx512_bf16" in features:
        return "this CPU's avx512_bf16 is slower than its float32"
    return "the CPU has no bfloat16 products"


@cache
def cpu_features() -> frozenset[str]:
    """What the CPU can do and who made it, by Linux's names; empty where the system does not say."""
    try:
        lines = CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    found: set[str] = set()
    for name, _, value in (line.partition(":") for line in lines):
        if name.strip() in ("flags", "Features", "vendor_id"):
            found |= set(value.split())
    return frozenset(found)


# glibc's malloc.h; a map per large tensor and a trim per free cost a page fault per 4 KB at every operation.
_KEPT = {
    "MALLOC_MMAP_MAX_": (-4, 0),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
    "MALLOC_TOP_PAD_": (-2, 256 << 20),
}


def keep_pages() -> bool:
    """Let the process keep freed memory for its next tensor, glibc only; -> whether it does now.

    A float32 training step on a CPU is 1.2 to 1.3 times faster; the price is that memory goes back to the system only
    when the process ends. Meant for programs (`fit`, the command line); a library that is imported leaves it alone.
    SEMBLANCE_KEEP_PAGES=0 turns it off.
    """
    if os.environ.get("SEMBLANCE_KEEP_PAGES") == "0" or sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        return False
    done = [mallopt(option, value) == 1 for option, value in _KEPT.values()]  # all are wanted, whatever they say
    return all(done)


def pages_kept() -> dict[str, str]:
    """The same for a process that is to be started, as variables of its environment. One arena for all of its threads: that
    of a thread has blocks of 64 MB, which come and go."""
    if os.environ.get("SEMBLANCE_KEEP_PAGES") == "0":
        return {}
    return {**{name: str(value) for name, (_, value) in _KEPT.items()}, "MALLOC_ARENA_MAX": "1"}

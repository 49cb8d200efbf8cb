"""Memory that is lent: buffers that survive a step of training, and are lent again when the last tensor on them is
gone.

A fresh buffer costs more than the sums that go into it, since its pages must be made. `Lender.lend` gives an
uninitialised tensor on memory that nobody uses: a buffer is free once every tensor that shares it, autograd's saved
ones included, has been dropped. So two forward passes before one backward get two buffers, and nothing is overwritten
that somebody holds.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor

LINE = 64  # bytes of a cache line: where buffers start
SLACK = 1024  # bytes behind a buffer, so that its last row may be read to its padded width
WASTE = 2  # a buffer this many times larger than asked for is left to somebody else

_types = {torch.float32: np.float32, torch.int32: np.int32}
_lenders: weakref.WeakKeyDictionary[Any, Lender] = weakref.WeakKeyDictionary()


class Lender:
    """Buffers that are free. What it lent comes back by itself."""

    def __init__(self) -> None:
        self.free: list[np.ndarray] = []

    def lend(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """An uninitialised tensor of that shape, float32 or int32."""
        kind = np.dtype(_types[dtype])
        size = math.prod(shape) * kind.itemsize
        buffer = self._take(size)
        view = buffer[:size].view(kind).reshape(shape)
        weakref.finalize(view, self.free.append, buffer).atexit = False
        return torch.from_numpy(view)

    def _take(self, size: int) -> np.ndarray:
        """The smallest free buffer that holds so many bytes, or a new one."""
        fits = [at for at, buffer in enumerate(self.free) if size + SLACK <= len(buffer) <= WASTE * (size + SLACK)]
        if fits:
            return self.free.pop(min(fits, key=lambda at: len(self.free[at])))
        raw = np.empty(size + SLACK + LINE, np.uint8)
        first = -raw.ctypes.data % LINE
        return raw[first : first + size + SLACK]

    def __reduce__(self) -> Any:
        return Lender, ()  # a copy starts without buffers


def lender_of(structure: Any) -> Lender:
    """The lender that lives as long as this structure (a graph's rows)."""
    found = _lenders.get(structure)
    if found is None:
        found = _lenders[structure] = Lender()
    return found

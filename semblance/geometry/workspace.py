"""Workspaces: memory that survives the step. Fresh pages for every large temporary cost more than the work done in them.

    take(shape)     a tensor over memory that nobody holds, its content left as it was

A buffer counts as free again when the last tensor over it is gone, autograd's saved ones included. So two forwards before
a backward never share one, and a tensor taken here may be kept, returned or saved like any other.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

LINE = 64  # bytes of a cache line, where every buffer starts
KINDS = {torch.float32: np.float32, torch.float64: np.float64, torch.int32: np.int32}


class Workspace:
    """Buffers by size. Not for several threads at once."""

    def __init__(self) -> None:
        self.buffers: dict[int, list[np.ndarray]] = {}

    def take(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """[*shape]."""
        kind = np.dtype(KINDS[dtype])
        size = int(np.prod(shape)) * kind.itemsize
        held = self.buffers.setdefault(size, [])
        # A buffer that is only ours is known by three places: the list, the loop's variable and the call's argument.
        buffer = next((one for one in held if sys.getrefcount(one) <= 3), None)
        if buffer is None:
            buffer = np.empty(size + 2 * LINE, np.uint8)  # whole vectors may be read behind the end
            held.append(buffer)
        skip = -buffer.ctypes.data % LINE
        return torch.from_numpy(buffer[skip : skip + size].view(kind).reshape(shape))

    def zeros(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """[*shape], filled with 0."""
        return self.take(*shape, dtype=dtype).zero_()

    @property
    def bytes(self) -> int:
        """What is held, in use or not."""
        return sum(size * len(held) for size, held in self.buffers.items())


def padded(width: int) -> int:
    """The width of a row of this many floats in whole vectors: 8, or the next multiple of 16."""
    return 8 if width <= 8 else -(-width // 16) * 16

"""What claims about networks share: MNIST as rows, and who is right.

mnist_rows      x float32 in 0..1 and labels of a split, its first items
right           share of items whose largest output is their label
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.data.load import load


def mnist_rows(split: str, items: int | None = None) -> tuple[Tensor, Tensor]:
    """[n, 784] float32, [n] int64."""
    source = load("mnist")
    rows = source.splits[split][:items]
    x = torch.from_numpy(source.x[rows]).flatten(1).float() / 255
    return x, torch.as_tensor(source.targets["labels"][rows]).long()


@torch.no_grad()
def right(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Accuracy."""
    return float((net(x).argmax(1) == y).float().mean())

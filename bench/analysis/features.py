"""Features that both benchmarks judge: random ReLU projections of MNIST, 50,000 x 512 to train and 10,000 to test. Real
labels and a real spectrum (condition number of the second moments about a million) without anything trained."""

from __future__ import annotations

import numpy as np
import torch

from semblance.data.load import load

WIDTH = 512


def features() -> tuple[torch.Tensor, np.ndarray, torch.Tensor, np.ndarray]:
    """Gallery [50000, 512] and its labels, queries [10000, 512] and theirs."""
    data = load("mnist")
    projection = torch.randn(784, WIDTH, generator=torch.Generator().manual_seed(0)) / 28
    parts: list = []
    for rows in (data.splits["train"][:50000], data.splits["test"][:10000]):
        pixels = torch.from_numpy(data.x[rows].reshape(len(rows), -1)).float() / 255
        parts += [torch.relu((pixels - 0.13) / 0.31 @ projection - 0.3), np.asarray(data.targets["labels"])[rows]]
    return tuple(parts)

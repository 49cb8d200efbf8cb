"""Spread: no item of a batch is to be too near to another.

    loss = -mean_i log min_{j != i} | z_i/|z_i| - z_j/|z_j| |

By the estimator of differential entropy of Kozachenko and Leonenko, largest where directions are uniform.
Sablayrolles et al. 2019, arXiv:1806.03198.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST = 1e-8  # distance of two items that are one


def spread(z: Tensor) -> Tensor:
    """[N, d] -> scalar in nats; 0 for a single item."""
    if len(z) < 2:
        return z.sum() * 0
    unit = F.normalize(z, dim=1)
    with torch.no_grad():
        near = (unit @ unit.T).fill_diagonal_(-2.0).argmax(1)
    return -((unit - unit[near]).norm(dim=1) + LEAST).log().mean()

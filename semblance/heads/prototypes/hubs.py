"""Hubs: a few classes that are the nearest of far too many items, as happens where nearest points are sought in many
dimensions.

    occurrences   N_k(c), how many items have class c among their k best
    skewness      of N_k over the classes: 0 for even ones, large and positive with hubs   (Radovanovic et al. 2010)
    corrected     an item takes the class among whose own best items it ranks highest, ties by score: a class that is near
                  everybody is nobody's first                 (globally corrected; Dinu et al. 2015, arXiv:1412.6568)
"""

from __future__ import annotations

import torch
from torch import Tensor

from semblance.errors import SemblanceError


def occurrences(scores: Tensor, k: int = 1) -> Tensor:
    """[N, K] -> [K], N_k."""
    if not 1 <= k <= scores.shape[1]:
        raise SemblanceError(f"k is {k}, but there are {scores.shape[1]} classes to be among the best: give 1 to that")
    return torch.bincount(scores.topk(k, 1).indices.flatten(), minlength=scores.shape[1])


def skewness(counts: Tensor) -> float:
    """The third standardised moment; 0 where all counts are equal."""
    off = counts.double() - counts.double().mean()
    spread = off.square().mean().sqrt()
    return float((off**3).mean() / spread**3) if spread > 0 else 0.0


def corrected(scores: Tensor) -> Tensor:
    """[N, K] of items that are answered together -> [N, K], higher is better."""
    rank = scores.argsort(0).argsort(0).to(scores)  # 0 for the class's worst item
    low, high = scores.min(), scores.max()
    return rank + (scores - low) / (high - low).clamp_min(torch.finfo(scores.dtype).tiny) * 0.5

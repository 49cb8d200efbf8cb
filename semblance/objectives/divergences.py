"""Divergences between rows of two neighbour distributions: p [N, M] given, q as log q [N, M] -> [N].

kl               sum_j p log(p / q)                     in nats; unbounded where q misses what p says
total_variation  1/2 sum_j |p - q|                      in 0..1; forgives a wrong neighbour in p at a bounded price
jensen_shannon   1/2 KL(p || m) + 1/2 KL(q || m)        m = (p + q)/2; in 0..log 2
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Divergence = Callable[[Tensor, Tensor], Tensor]


def kl(p: Tensor, log_q: Tensor) -> Tensor:
    """[N, M], [N, M] -> [N]."""
    return torch.xlogy(p, p).sum(1) - (p * log_q).sum(1)


def total_variation(p: Tensor, log_q: Tensor) -> Tensor:
    """[N, M], [N, M] -> [N]."""
    return (p - log_q.exp()).abs().sum(1) / 2


def jensen_shannon(p: Tensor, log_q: Tensor) -> Tensor:
    """[N, M], [N, M] -> [N]."""
    q = log_q.exp()
    middle = (p + q) / 2
    # xlogy(0, 0) is 0, and its gradient is finite only away from 0: the floor changes no value above it.
    log_middle = middle.clamp_min(torch.finfo(middle.dtype).tiny).log()
    return (torch.xlogy(p, p) - p * log_middle + q * (log_q - log_middle)).sum(1) / 2

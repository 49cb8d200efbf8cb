"""Several runs of a small network as one: every weight has a leading axis of runs, every product is a batched one.

    [R, N, i] -> [R, N, o] = x_r W_r + b_r        run r draws its weights from a generator of its own

Runs do not meet: the gradient of the sum of their losses is each one's own. Small networks spend their time between
operations, so that ten side by side cost little more than two one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLIP = 1.0  # largest norm of a run's gradient


class Linears(nn.Module):
    """R linear maps at once: [R, N, i] -> [R, N, o]."""

    def __init__(self, inner: int, outer: int, chances: Sequence[torch.Generator]):
        super().__init__()
        bound = 1 / math.sqrt(inner)
        drawn = [torch.rand(inner + 1, outer, generator=chance) for chance in chances]
        start = (2 * torch.stack(drawn) - 1) * bound
        self.weight, self.bias = nn.Parameter(start[:, :-1].clone()), nn.Parameter(start[:, -1:].clone())

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class Residual(nn.Module):
    """x + W2 silu(W1 norm(x)), in every run."""

    def __init__(self, width: int, hidden: int, chances: Sequence[torch.Generator]):
        super().__init__()
        self.first, self.second = Linears(width, hidden, chances), Linears(hidden, width, chances)

    def forward(self, x: Tensor) -> Tensor:
        """[R, N, d] -> [R, N, d]."""
        change: Tensor = self.second(F.silu(self.first(F.layer_norm(x, x.shape[-1:]))))
        return x + change


def perceptrons(widths: tuple[int, int, int], hidden: int, depth: int, chances: Sequence[torch.Generator]) -> nn.Module:
    """R residual perceptrons: in, `depth` blocks of the middle width, out."""
    inner, width, outer = widths
    blocks = [Residual(width, hidden, chances) for _ in range(depth)]
    return nn.Sequential(Linears(inner, width, chances), *blocks, Linears(width, outer, chances))


def clipped(parameters: list[nn.Parameter]) -> None:
    """Every run's gradient to a norm of CLIP at most."""
    grads = [p.grad for p in parameters if p.grad is not None]
    square = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0)
    scale = (CLIP / square.sqrt().clamp_min(CLIP)).view(-1, 1, 1)
    torch._foreach_mul_(grads, [scale] * len(grads))

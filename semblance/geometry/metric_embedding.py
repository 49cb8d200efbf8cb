"""Points whose distances match given ones, by gradients: of any space, from as many distances as are known.

    loss = mean over known pairs of l(d(x_i, x_j) / scale, d_ij),     l = |(d / d_ij)^2 - 1|, or any other; scale learned

What varies: the space (`manifolds.py`, or any module that gives a distance), whether points are free (`Points`, a step
along geodesics against the Riemannian gradient) or a network's (`Encoded`, Adam), the loss. Distances of all pairs have a
closed solution: `scaling.py`; a tree has a construction: `tree_embedding.py`. Scores are in `distortion.py`.

Reference: Sala et al. 2018, arXiv:1804.03329, section 4.3 (the loss, from Gu et al.).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from semblance.errors import SemblanceError
from semblance.geometry.manifolds import Manifold

Loss = Callable[[Tensor, Tensor], Tensor]  # distances and targets, [n] each -> scalar


def squared_ratio(distance: Tensor, target: Tensor) -> Tensor:
    """|(d / target)^2 - 1|, the mean; targets are above 0."""
    return ((distance / target) ** 2 - 1).abs().mean()


class Points(nn.Module):
    """Free points [V, width] of a manifold; numbers of two points -> their distance, divided by a scale that is learned."""

    def __init__(self, manifold: Manifold, points: Tensor, learn_scale: bool = True):
        super().__init__()
        if points.shape[-1] != manifold.width:
            raise SemblanceError(
                f"the points have {points.shape[-1]} numbers and the space {manifold.width}: make them equal"
            )
        self.manifold = manifold
        self.points = nn.Parameter(points.detach().clone())
        self.log_scale = nn.Parameter(torch.zeros((), dtype=points.dtype), requires_grad=learn_scale)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """int64 [n], int64 [n] -> [n]."""
        return self.manifold.distance(self.points[first], self.points[second]) / self.log_scale.exp()

    @torch.no_grad()
    def descend(self, rate: float) -> None:
        """One step of all points against their gradient."""
        assert self.points.grad is not None, "the points have no gradient yet"
        self.points.copy_(self.manifold.descend(self.points, self.points.grad, rate))


class Encoded(nn.Module):
    """The distance of what an encoder makes of two inputs; `metric(u, v)` is that of two vectors, and may learn too."""

    def __init__(self, encoder: nn.Module, metric: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.encoder, self.metric = encoder, metric

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """[n, f], [n, f] -> [n]."""
        return self.metric(self.encoder(first), self.encoder(second))


def fit(
    module: nn.Module,
    first: Tensor,
    second: Tensor,
    target: Tensor,
    *,
    loss: Loss = squared_ratio,
    steps: int = 1000,
    lr: float = 0.01,
    rate: float = 0.5,
    batch: int = 0,
    generator: torch.Generator | None = None,
) -> float:
    """Brings module(first, second) to `target`; -> the last loss. Free points go by `rate` times their number against the
    Riemannian gradient, everything else by Adam at `lr`; both fall to 0. batch: pairs a step, 0 for all."""
    if not len(target):
        raise SemblanceError("no distance is known: give at least one")
    free = [part for part in module.modules() if isinstance(part, Points)]
    held = {id(part.points) for part in free}
    rest = [p for p in module.parameters() if p.requires_grad and id(p) not in held]
    adam = torch.optim.Adam(rest, lr=lr) if rest else None
    value: Any = torch.zeros(())
    for step in range(steps):
        left = 1 - step / steps
        rows: Any = slice(None)
        if 0 < batch < len(target):
            rows = torch.randint(len(target), (batch,), generator=generator)
        value = loss(module(first[rows], second[rows]), target[rows])
        module.zero_grad(set_to_none=True)
        value.backward()
        if adam is not None:
            adam.param_groups[0]["lr"] = lr * left
            adam.step()
        for part in free:
            # The mean over pairs makes a point's share of the gradient smaller the more points there are.
            part.descend(rate * len(part.points) * left)
    return float(value.detach())

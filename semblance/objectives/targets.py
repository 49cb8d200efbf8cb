"""Targets: fixed points that features are to meet, each owned by one item, the owners changing places as it suits them.

    loss = mean_i |f(x_i)/|f(x_i)| - c_P(i)|^2 = 2 - 2 mean_i cos(f(x_i), c_P(i)),    P a bijection of items and points

P is the whole of it: were every item to choose its nearest point, all would choose one. Within a batch the b items' own
points are dealt out anew to the same b items so that the batch's loss is least (an assignment problem, solved exactly),
every `every` epochs. What varies:

    points     `sphere`: drawn evenly once; `corners` of a cube; `discrete`: K of them, each as often as any other (k-means'
               balanced kin); `one`: all the same, which is what P forbids
    every      0: never, items keep the points they were given

Noise as targets: Bojanowski & Joulin 2017, arXiv:1704.05310.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError, unknown
from semblance.objectives.branches import precise, spread_of

POINTS = ("sphere", "corners", "discrete", "one")


class NoiseTargets(nn.Module):
    """One point of the sphere for every training item; `owner` [units] says which is whose."""

    needs: frozenset[str] = frozenset()
    points: Tensor  # [units, dim]
    owner: Tensor  # [units], a permutation
    visits: Tensor  # [units], how often an item was seen

    def __init__(
        self,
        units: int,
        dim: int,
        projector: nn.Module | None = None,
        *,
        points: str = "sphere",
        codes: int = 10,
        every: int = 1,
    ):
        super().__init__()
        if points not in POINTS:
            raise unknown("kind of points", points, POINTS)
        if every < 0 or codes < 1:
            raise SemblanceError(
                f"every is {every} and codes {codes}: they count epochs (0: never) and points (1 or more)"
            )
        self.projector, self.every = nn.Identity() if projector is None else projector, every
        drawn = torch.randn({"discrete": min(codes, units), "one": 1}.get(points, units), dim)
        drawn = F.normalize(drawn.sign() if points == "corners" else drawn, dim=1)
        self.register_buffer("points", drawn[torch.arange(units) % len(drawn)].contiguous())
        self.register_buffer("owner", torch.randperm(units))
        self.register_buffer("visits", torch.zeros(units, dtype=torch.int64))

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x and index [N] -> scalar, {loss, std, rank, moved: the share of items that got another's point}."""
        z = F.normalize(precise(self.projector(model.embed(batch))), dim=1)
        index = batch["index"]
        moved = 0.0
        if self.training and self.every:
            due = bool((self.visits[index] % self.every == 0).all())
            self.visits[index] += 1
            moved = self.deal(z.detach(), index) if due else 0.0
        loss = 2 - 2 * (z * self.points[self.owner[index]]).sum(1).mean()
        return loss, {"loss": float(loss.detach()), "moved": moved, **spread_of(z.detach())}

    @torch.no_grad()
    def deal(self, z: Tensor, index: Tensor) -> float:
        """Unit features [N, d] of distinct items [N] -> their points dealt anew; the share that changed."""
        # An item that comes twice in a batch would own two points: only its first visit takes part.
        index, first = _first_of_each(index)
        own = self.owner[index]
        cost = -(z[first] @ self.points[own].T)
        _, column = linear_sum_assignment(cost.cpu().numpy().astype(np.float64))
        dealt = own[torch.from_numpy(column).to(own.device)]
        self.owner[index] = dealt
        return float((dealt != own).float().mean())


def _first_of_each(index: Tensor) -> tuple[Tensor, Tensor]:
    """[N] -> the distinct items and where each comes first."""
    items, inverse = index.unique(return_inverse=True)
    first = torch.full_like(items, len(index)).scatter_reduce_(
        0, inverse, torch.arange(len(index), device=index.device), "amin"
    )
    return items, first

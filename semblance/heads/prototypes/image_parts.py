"""Image parts: a class is recognised by parts of pictures that were seen in training: this looks like that.

    z = sigmoid(conv1x1(relu(conv1x1(map))))           [N, D, H, W]
    d_j = min over places of |z(place) - p_j|^2,   s_j = log((d_j + 1) / (d_j + eps)),   logits = W s, no bias

Every prototype p_j has a class, and W starts at 1 for its own and -0.5 for the others. `project` puts each prototype
onto the nearest place of any training picture of its class and remembers which: from then on it can be shown. `refit`
learns W alone. The points of an answer, s_j W_cj, sum to the logit of c. What varies: the map (any encoder that gives
maps or tokens), the number of parts, the similarity. Reference: Chen et al. 2019, This Looks Like That,
arXiv:1806.10574.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError
from semblance.heads.classify import named
from semblance.heads.prototypes.similarities import of_distance

OTHERS = -0.5  # the weight that a part starts with in the classes that are not its own


@dataclass(frozen=True)
class Evidence:
    """What one prototype says of one picture: `points` = similarity x weight for the class asked about. heat: [H, W],
    its similarity everywhere; place: where it is largest. source and at: the training unit (its position in the data)
    and the place in it that the prototype is, -1 before it was projected."""

    prototype: int
    of: int
    similarity: float
    weight: float
    heat: Tensor
    place: tuple[int, int]
    source: int
    at: tuple[int, int]

    @property
    def points(self) -> float:
        """What it adds to the logit."""
        return self.similarity * self.weight


class ImageParts(nn.Module):
    """`parts` prototypes a class on maps of `width` channels, compared in `dim` dimensions between 0 and 1."""

    reads = "representation"
    owner: Tensor
    source: Tensor
    place: Tensor

    def __init__(
        self,
        width: int,
        classes: int,
        parts: int = 10,
        dim: int = 128,
        similarity: str = "log",
        names: Sequence[str] = (),
    ):
        super().__init__()
        if min(classes, parts, dim) < 1:
            raise SemblanceError(f"{parts} parts of {classes} classes in {dim} dimensions: give 1 or more of each")
        self.add = nn.Sequential(nn.Conv2d(width, dim, 1), nn.ReLU(), nn.Conv2d(dim, dim, 1), nn.Sigmoid())
        self.prototypes = nn.Parameter(torch.rand(classes * parts, dim))
        self.similarity, self.names = of_distance(similarity), tuple(names)
        self.register_buffer("owner", torch.arange(classes).repeat_interleave(parts))
        self.register_buffer("source", torch.full((classes * parts,), -1))
        self.register_buffer("place", torch.full((classes * parts, 2), -1))
        own = self.owner == torch.arange(classes)[:, None]
        self.weight = nn.Parameter(torch.where(own, 1.0, OTHERS))  # [K, P]
        self.register_load_state_dict_pre_hook(_room_for_loaded)

    def maps(self, representation: Any) -> Tensor:
        """Maps (the last of a list), or tokens [N, T, width] -> z [N, D, H, W]."""
        y = representation[-1] if isinstance(representation, list | tuple) else representation
        if y.ndim == 3:
            y = y.mT[..., None]
        if y.ndim != 4:
            raise SemblanceError(
                f"the encoder gives {list(y.shape)}, which has no places: take one with maps or tokens"
            )
        z: Tensor = self.add(y)
        return z

    def distances(self, z: Tensor) -> Tensor:
        """[N, D, H, W] -> squared distances to all prototypes everywhere [N, P, H, W]."""
        p = self.prototypes
        cross = torch.einsum("ndhw,pd->nphw", z, p)
        return (z.square().sum(1, keepdim=True) - 2 * cross + p.square().sum(1)[:, None, None]).clamp_min(0)

    def nearest(self, representation: Any) -> Tensor:
        """[N, P], each prototype's distance to the nearest place."""
        return self.distances(self.maps(representation)).amin((2, 3))

    def scores(self, representation: Any) -> Tensor:
        """[N, P], similarities at the nearest place."""
        return self.similarity(self.nearest(representation))

    def forward(self, representation: Any, batch: Batch) -> Tensor:
        """-> logits [N, K]."""
        return F.linear(self.scores(representation), self.weight)

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[N, K] -> the best class of each item."""
        return named(logits.argmax(1).tolist(), self.names)

    def explain(self, representation: Any, c: int | None = None) -> list[Evidence]:
        """Of one picture, for class c (the answer's own by default): every prototype, most points first."""
        with torch.no_grad():
            heat = self.similarity(self.distances(self.maps(representation)))
        if len(heat) != 1:
            raise SemblanceError(f"{len(heat)} pictures cannot be explained at once: give one")
        best, at = heat[0].flatten(1).max(1)
        c = int(F.linear(best, self.weight).argmax()) if c is None else c
        width = heat.shape[3]
        found = [
            Evidence(
                prototype=j,
                of=int(self.owner[j]),
                similarity=float(best[j]),
                weight=float(self.weight[c, j]),
                heat=heat[0, j],
                place=(int(at[j]) // width, int(at[j]) % width),
                source=int(self.source[j]),
                at=(int(self.place[j, 0]), int(self.place[j, 1])),
            )
            for j in range(len(best))
        ]
        return sorted(found, key=lambda e: -e.points)

    @torch.no_grad()
    def project(self, near: Tensor, source: Tensor, place: Tensor) -> float:
        """Vectors [P, D] found in training pictures, with unit and place of each; returns how far the prototypes
        moved."""
        moved = float((self.prototypes - near).norm(dim=1).mean())
        self.prototypes.copy_(near)
        self.source.copy_(source)
        self.place.copy_(place)
        return moved

    def refit(self, scores: Tensor, labels: Tensor, l1: float = 1e-4, steps: int = 60) -> float:
        """Scores [N, P] and labels [N]: W anew by cross-entropy + l1 |W| on weights to other classes, a convex problem, in
        at most so many steps of L-BFGS; returns the loss."""
        other = self.owner != torch.arange(len(self.weight), device=self.owner.device)[:, None]
        weight = self.weight.detach().clone().requires_grad_()
        optimiser = torch.optim.LBFGS([weight], max_iter=steps, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            value = F.cross_entropy(F.linear(scores, weight), labels) + l1 * (weight.abs() * other).sum()
            (weight.grad,) = torch.autograd.grad(value, weight)
            return value.detach()

        with torch.enable_grad():
            optimiser.step(loss)
            reached = float(loss())
        with torch.no_grad():
            self.weight.copy_(weight)
        return reached

    @torch.no_grad()
    def prune(self, neighbours: Tensor, least: int = 3) -> int:
        """neighbours [P, 6]: classes of the training pictures with the nearest places to each prototype. Those with
        fewer
        than `least` of their own class among them go; returns how many."""
        keep = (neighbours == self.owner[:, None]).sum(1) >= least
        self.prototypes = nn.Parameter(self.prototypes[keep])
        self.weight = nn.Parameter(self.weight[:, keep])
        self.owner, self.source, self.place = self.owner[keep], self.source[keep], self.place[keep]
        return int((~keep).sum())


def _room_for_loaded(module: ImageParts, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Pruned heads have fewer prototypes: what is loaded says how many."""
    for name in ("owner", "source", "place"):
        if prefix + name in state:
            setattr(module, name, torch.empty_like(state[prefix + name]))
    for name in ("prototypes", "weight"):
        if prefix + name in state:
            setattr(module, name, nn.Parameter(torch.empty_like(state[prefix + name])))

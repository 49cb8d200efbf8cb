"""Mining: which triples (anchor, positive, negative) of a batch are worth looking at.

Every anchor's negatives are put in order of their distance once, its positives too; a rule then is no more than a place in
these orders, and none needs a loop over items or a cube [N, N, N].

    positives   all         every other item of the anchor's label
                hardest     the furthest of them                       Hermans et al. 2017, arXiv:1703.07737 (batch hard)
                random      one of them
    negatives   all         every item of another label                Hermans et al. 2017 (batch all)
                hardest     the nearest of them                        Hermans et al. 2017 (batch hard)
                random      one of them
                semi-hard   the nearest with a < b < a + margin, else the furthest with b <= a, else none
                                                                       Schroff et al. 2015, arXiv:1503.03832 (FaceNet)
    active      only triples with b < a + margin are kept: those that a hinge of this margin sees

a is the distance of anchor and positive, b that of anchor and negative. Items without a label (-1) are in no triple, nor
are anchors without a positive or a negative. Where an item may have several classes, alike are items that share one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from semblance.errors import SemblanceError, unknown

POSITIVES = ("all", "hardest", "random")
NEGATIVES = ("all", "hardest", "random", "semi-hard")

Triple = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Mining:
    """The rule. `margin` is in units of the distance that is mined with."""

    negatives: str = "semi-hard"
    positives: str = "all"
    margin: float = 0.2
    active: bool = False

    def __post_init__(self) -> None:
        if self.positives not in POSITIVES:
            raise unknown("rule for positives", self.positives, POSITIVES)
        if self.negatives not in NEGATIVES:
            raise unknown("rule for negatives", self.negatives, NEGATIVES)
        if self.margin <= 0:
            raise SemblanceError(f"margin is {self.margin}, but no triple is worth looking at then: give more than 0")

    def __call__(self, distances: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> Triple:
        """[N, N] from row to column, labels [N] or bool [N, K] -> positions of anchors, positives and negatives, [T] each.

        Chance comes from the generator, without one from torch's, which the loop sets anew at every step.
        """
        d = distances.detach()
        if labels.ndim == 2:
            known, member = labels.any(1), labels.to(d.dtype)
            alike = member @ member.T > 0
        else:
            known, alike = labels >= 0, labels[:, None] == labels
        near = _Ranked(-d, alike & known & ~torch.eye(len(d), dtype=torch.bool, device=d.device))
        far = _Ranked(d, ~alike & known & known[:, None])
        both = (near.count > 0) & (far.count > 0)
        if not bool(both.any()):
            raise SemblanceError(
                f"a batch of {len(labels)} items has no two of one label beside one of another: "
                "sample several labels with two or more items each"
            )
        rows = both.nonzero()[:, 0]
        place, positive = near.chosen(self.positives, rows, generator)
        anchor = rows[place]
        if self.negatives == "semi-hard":
            rank = self._semi_hard(d, far, anchor, positive)
            found = rank >= 0
            anchor, positive = anchor[found], positive[found]
            negative = far.order[anchor, rank[found]]
        else:
            place, negative = far.chosen(self.negatives, anchor, generator)
            anchor, positive = anchor[place], positive[place]
        if self.active:
            seen = d[anchor, negative] < d[anchor, positive] + self.margin
            anchor, positive, negative = anchor[seen], positive[seen], negative[seen]
        return anchor, positive, negative

    def _semi_hard(self, d: Tensor, far: _Ranked, anchor: Tensor, positive: Tensor) -> Tensor:
        """Pairs [T] -> places in their anchors' order of negatives, -1 for none."""
        # So many negatives have b <= a, and the next one is the nearest beyond.
        inside = torch.searchsorted(far.values, d.contiguous(), right=True)[anchor, positive]
        beyond = inside.clamp_max(len(d) - 1)
        within = (inside < far.count[anchor]) & (far.values[anchor, beyond] < d[anchor, positive] + self.margin)
        return torch.where(within, beyond, inside - 1)


class _Ranked:
    """Each row's candidates by rising value: `order` [N, N] are their columns, of which the first `count` [N] are real;
    `values` [N, N] are inf behind them."""

    def __init__(self, values: Tensor, candidates: Tensor):
        self.values, self.order = values.masked_fill(~candidates, torch.inf).sort(dim=1, stable=True)
        self.count = candidates.sum(1)

    def chosen(self, rule: str, rows: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Rows [R], each with a candidate -> places in 0..R-1 and the candidates chosen there, both [T]."""
        places, count = torch.arange(len(rows), device=rows.device), self.count[rows]
        if rule == "hardest":
            return places, self.order[rows, 0]
        if rule == "random":
            drawn = torch.rand(len(rows), dtype=torch.float64, generator=generator).to(rows.device)
            return places, self.order[rows, (drawn * count).long()]
        places = places.repeat_interleave(count)
        rank = torch.arange(len(places), device=rows.device) - (count.cumsum(0) - count)[places]
        return places, self.order[rows[places], rank]

"""Leave one out: an item's nearest neighbours vote, and it shall be told right; nothing is asked of items further away.

    loss = mean_i -log( sum over j in N_k(i) with y_j = y_i of exp(s_ij / t) / sum over j in N_k(i) of exp(s_ij / t) )

N_k(i) are the k nearest by cosine among the batch and a queue of a slow copy's embeddings, never the item itself; if none
of them shares the label, the nearest one that does joins them. A class may stay in several pieces: an item is drawn to
those of its class that are near already. This is KL(p || q) of `contrast.py`, q over the k nearest and p = q within the
label. With k of all candidates the loss is -log of the k-NN classifier's chance of the right class.

Feng et al. 2021, arXiv:2110.06014 (LOOK).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError
from semblance.objectives.branches import Copied, precise


class LeaveOneOut(nn.Module):
    """Projector, copy and queue are dropped after training. `teacher` None: the batch alone."""

    needs = frozenset({"labels"})
    keys: Tensor  # [size, dim]
    labels: Tensor  # [size], -1 where there is none yet

    def __init__(
        self,
        dim: int,
        k: int = 20,
        temperature: float = 0.1,
        *,
        projector: nn.Module | None = None,
        teacher: Copied | None = None,
        size: int = 2048,
    ):
        super().__init__()
        if k < 1 or temperature <= 0:
            raise SemblanceError(f"k is {k} and temperature {temperature}: give 1 neighbour or more, and more than 0")
        self.projector = nn.Identity() if projector is None else projector
        self.teacher, self.k, self.temperature = teacher, k, temperature
        self.register_buffer("keys", torch.zeros(size if teacher is not None else 0, dim))
        self.register_buffer("labels", torch.full((len(self.keys),), -1))
        self._latest: tuple[Tensor, Tensor] | None = None

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x, labels [N] -> scalar, {loss, voted: the share of items whose neighbours vote right}."""
        labels = batch["labels"]
        z = F.normalize(precise(self.projector(model.embed(batch))), dim=1)
        points, theirs = z, labels
        if self.teacher is not None:
            (latest,) = self.teacher(self._online(model), [], {"views": [batch]})
            self._latest = F.normalize(precise(latest), dim=1), labels
            points, theirs = torch.cat([z, self.keys.to(z)]), torch.cat([labels, self.labels])
        rows, right = voted(z @ points.T / self.temperature, labels, theirs, self.k)
        loss = rows.mean()
        return loss, {"loss": float(loss.detach()), "voted": float(right.float().mean())}

    def after_step(self, model: Encoder, batch: Batch) -> None:
        """The copy's embeddings of this batch join the queue, the oldest leave, and the copy follows."""
        if self.teacher is None or self._latest is None:
            return
        keys, labels = self._latest
        self.keys = torch.cat([keys.to(self.keys), self.keys])[: len(self.keys)]
        self.labels = torch.cat([labels, self.labels])[: len(self.labels)]
        self.teacher.after_step(self._online(model), [], batch)
        self._latest = None

    def _online(self, model: Encoder) -> nn.ModuleList:
        encoder: Any = getattr(model, "encoder", model)
        return nn.ModuleList([encoder, self.projector])


def voted(scores: Tensor, labels: Tensor, theirs: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Scores [N, M] of rows, the first N candidates being the rows themselves, labels [N] and those of candidates [M] (-1:
    none) -> the loss of every labelled row that has its like somewhere [n], and whether its nearest vote right [n]."""
    n = len(labels)
    allowed = (theirs >= 0).expand(n, -1).clone()
    allowed[:, :n].fill_diagonal_(False)
    like = (labels[:, None] == theirs) & allowed
    known = (labels >= 0) & like.any(1)
    if not bool(known.any()):
        raise SemblanceError(f"none of the {n} items has another of its label: give larger batches or a queue")
    scores, allowed, like = scores[known], allowed[known], like[known]
    of_allowed = scores.detach().masked_fill(~allowed, -torch.inf)
    near = (
        torch.zeros_like(allowed).scatter_(1, of_allowed.topk(min(k, scores.shape[1]), dim=1).indices, True) & allowed
    )
    nearest_like = of_allowed.masked_fill(~like, -torch.inf).argmax(1, keepdim=True)
    lonely = ~(near & like).any(1, keepdim=True)
    near = near.scatter(1, nearest_like, near.gather(1, nearest_like) | lonely)
    total = scores.masked_fill(~near, -torch.inf).logsumexp(1)
    own = scores.masked_fill(~(near & like), -torch.inf).logsumexp(1)
    with torch.no_grad():
        share = torch.exp(scores - total[:, None]) * near
        votes = share.new_zeros(len(share), int(theirs.max()) + 1).index_add_(1, theirs.clamp_min(0), share)
        right = votes.argmax(1) == labels[known]
    return total - own, right

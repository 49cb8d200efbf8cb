"""Sets that meet shall score higher than sets that do not, at the moment when they met.

    loss = - log sigmoid(s(e, t)) - log sigmoid(-s(e', t)),   s a perceptron on the embedding of a set at a moment

e is a hyperedge of the graph that is known, t its time, e' the same with half of its nodes replaced. The encoder sees what
was before t (`topology/set_walks.py`), so a hyperedge does not tell of itself. Every step draws as many hyperedges as the
batch has units. Behrouz et al. 2023, arXiv:2306.11147.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.data.timed_sets import half_replaced, only
from semblance.encoders.topology.set_walks import as_hyperedges
from semblance.errors import SemblanceError
from semblance.geometry.hypergraph import Hypergraph


class SetLinks(nn.Module):
    """dim: of the embedding; the perceptron that scores it is dropped after training."""

    needs = frozenset({"hyperedges"})

    def __init__(self, dim: int):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 1))

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, accuracy: how often the hyperedge scores higher}."""
        known = as_hyperedges(batch["graph"])
        positive = only(known, self.drawn(known, max(len(batch["index"]), 1)))
        rows = positive.by_edge()
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        other = half_replaced(rows.start, rows.index.astype(np.int64), known.num_nodes, rng)
        count = positive.num_edges
        sets = Hypergraph(
            node=torch.cat([torch.from_numpy(rows.index.astype(np.int64)), torch.from_numpy(other)]),
            edge=torch.from_numpy(np.repeat(np.arange(2 * count), np.tile(rows.degree, 2))),
            num_nodes=known.num_nodes,
            num_edges=2 * count,
            time=None if positive.time is None else positive.time.repeat(2),
        )
        scores: Tensor = self.score(model.embed({"graph": known, "sets": sets}))[:, 0]  # type: ignore[operator]
        met, apart = scores[:count], scores[count:]
        loss = F.softplus(-met).mean() + F.softplus(apart).mean()
        return loss, {"loss": float(loss.detach()), "accuracy": float((met > apart).float().mean())}

    def drawn(self, known: Hypergraph, count: int) -> np.ndarray:
        """Numbers of hyperedges of two nodes or more, from torch's stream."""
        if known.time is None:
            raise SemblanceError(
                "the hyperedges have no times, so nothing comes before any of them: give a column time, or labels to learn"
            )
        several: np.ndarray = known.once("several", lambda: np.flatnonzero(known.by_edge().degree > 1))
        if not len(several):
            raise SemblanceError("no hyperedge has two nodes or more: there is nothing to tell apart")
        return several[torch.randint(len(several), (count,)).numpy()]

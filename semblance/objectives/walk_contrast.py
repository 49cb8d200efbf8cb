"""Contrast along walks: a node is to find, among all nodes of the step, the one that it meets some steps further on a walk.

    loss = - log softmax_j( cos(z_i, z_j) / temperature )[j met by i],   j over other nodes of the batch, and the reverse

Pairs come from the walker, as skip-gram's do; the negatives are the rest of the batch, and the vectors any encoder's: those
of a table (DeepWalk under another loss) or of a network over features. It is `Contrast` with both ends of a walk as views.

Oord, Li & Vinyals 2018, Representation learning with contrastive predictive coding, arXiv:1807.03748 (InfoNCE).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.walks import moves, sample
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine
from semblance.objectives.neighbours import other_view


class WalkContrast(nn.Module):
    """pairs of nodes a step, each up to `window` steps apart on a walk."""

    needs = frozenset({"edges"})

    def __init__(self, pairs: int = 1024, window: int = 5, temperature: float = 0.2):
        super().__init__()
        if pairs < 2 or window < 1:
            raise SemblanceError(
                f"pairs is {pairs} and window {window}: give 2 pairs or more and a window of 1 or more"
            )
        self.pairs, self.window = pairs, window
        self.loss = Contrast(other_view, Cosine(temperature), candidates=other_nodes)

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss}."""
        start, met = self.draw(batch["graph"])
        z: Tensor = model.encoder(batch).float()  # type: ignore[operator]
        node = torch.cat([start, met]).to(z.device)
        item = torch.arange(len(start), device=z.device).repeat(2)
        loss = self.loss(z[node], {"item": item, "node": node})
        return loss, {"loss": float(loss.detach())}

    def draw(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Nodes int64 [n] and nodes that they meet, other ones, [n]; n is at most `pairs`, from torch's stream."""
        states = moves(graph)
        able = np.flatnonzero(states.degree > 0)
        if not len(able):
            raise SemblanceError("the graph has no edge to walk along: give some, or a recipe that reads features")
        begin = able[torch.randint(len(able), (self.pairs,)).numpy()]
        reach = torch.randint(1, self.window + 1, (self.pairs,)).numpy()
        walked = sample(states, begin, self.window + 1, seed=int(torch.randint(2**62, ())))
        met = walked[np.arange(self.pairs), reach]
        there = (met >= 0) & (met != begin)
        if there.sum() < 2:
            raise SemblanceError("no walk reaches another node: give a graph with edges between different nodes")
        return torch.from_numpy(begin[there]), torch.from_numpy(met[there].astype(np.int64))


def other_nodes(z: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Rows of other nodes: a node that was drawn twice is not its own negative."""
    node = batch["node"]
    return z, node[:, None] != node

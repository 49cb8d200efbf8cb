"""Contrast on a graph of the whole training set: the loss sees batches, its neighbours come from all items.

    loss = Contrast(p = walks on the k-NN graph of the inputs, within the batch;  q = kernel of z)

`survey` looks at all training inputs once, before the first step (`learning.survey` calls it), and makes the graph. With
the shared-cluster kernel and a share of p spread evenly this is I-Con's clustering (Alshammari et al. 2025); with the
inner product it embeds the graph.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError
from semblance.objectives.contrast import Candidates, Contrast, everyone
from semblance.objectives.kernels import Kernel, SharedCluster
from semblance.objectives.neighbours import Walks, nearest_graph, walk


class GraphContrast(nn.Module):
    """Neighbours are walks of up to `length` steps on the graph of the `neighbours` nearest inputs."""

    def __init__(
        self,
        neighbours: int = 10,
        length: int = 2,
        spread: str = "uniform",
        *,
        kernel: Kernel | None = None,
        candidates: Candidates = everyone,
        debias: float = 0.6,
    ):
        super().__init__()
        self.neighbours, self.length, self.spread = neighbours, length, spread
        self.loss = Contrast(self.near, kernel or SharedCluster(), candidates=candidates, debias=debias)
        self.needs: frozenset[str] = frozenset()
        self.graph: Walks | None = None

    def survey(self, batches: Iterable[Batch]) -> None:
        """All training inputs, in order -> the graph, on their device."""
        seen = [batch["x"].flatten(1) for batch in batches]
        x = torch.cat([part.cpu() for part in seen]).numpy()
        k = min(self.neighbours, len(x) - 1)
        self.graph = Walks(walk(nearest_graph(x, k), self.length, self.spread)).to(seen[0].device)

    def near(self, batch: Batch) -> Tensor:
        """-> p [N, N]."""
        if self.graph is None:
            raise SemblanceError("the neighbours are those of the whole training set: call survey(batches) first")
        p: Tensor = self.graph(batch)
        return p

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, metrics."""
        loss = self.loss(model.embed(batch).float(), batch)
        return loss, {"loss": float(loss.detach())}

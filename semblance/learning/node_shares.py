"""Shares of a batch of nodes: several processes train one network on a part of a graph, each answering for its own nodes.

Every process draws the same batch, a sampled part of the graph around the nodes asked for (data/neighbour_samples.py). Of
these it takes its own and, of the part, what a network of L layers sees of them: the nodes within L steps against the edges
with all edges that enter them, and those edges' sources. So every degree that a layer divides by is that of the batch, and
its answers are those of one process with the whole batch. Answers are gathered with gradients (distribution.py), the
objective sees all of them, and what is asked of the network by another door than `forward` or `embed` is computed by all.

Whose a node is: the process of its part's, where the graph came in parts (data/partitions.py), else each gets a stretch.
Batches of whole graphs are shared out graph by graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.partitions import parts_of
from semblance.encoders.vision.norm import fused
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, ranges
from semblance.learning.distribution import Gathered, share_of
from semblance.learning.parts import Feed, Network
from semblance.learning.whole_norm import WholeBatch

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class NodeShares(Network):
    """The network, of which every process asks for its share of a batch's nodes or graphs. owner [units]: whose each unit
    of the feed is, by its `index` in a batch."""

    def __init__(self, network: Network, owner: Tensor | None = None):
        super().__init__(network.encoder, network.head)
        self.asked, self.owner = [network], owner

    def forward(self, batch: Batch) -> Any:
        """What the network gives, of all nodes or graphs asked for."""
        return self._shared(self.asked[0].forward, batch)

    def embed(self, batch: Batch) -> Tensor:
        """[n, d] of all nodes or graphs asked for."""
        return self._shared(self.asked[0].embed, batch)

    def _shared(self, ask: Callable[[Batch], Any], batch: Batch) -> Tensor:
        graph: Graph = batch["graph"]
        count = graph.num_graphs if graph.member is not None else len(batch["nodes"])
        if count < dist.get_world_size():
            answer: Tensor = ask(batch)  # by all, alike
            return answer
        mine = self._mine(batch, count)
        own = of_graphs(batch, mine) if graph.member is not None else seen_by(batch, mine, self._steps())
        # Dropout draws other numbers in every process, and what the objective draws after it stays the same in all.
        with torch.random.fork_rng(devices=[]), fused(False), WholeBatch():
            torch.manual_seed(torch.initial_seed() + dist.get_rank())
            answer = ask(own)
        if isinstance(getattr(self.encoder, "penalty", None), Tensor):
            raise _alone(self.encoder)  # what it asks for beside the task, of the own share only
        whole: Tensor = Gathered.apply(answer, mine, count)
        return whole

    def _mine(self, batch: Batch, count: int) -> Tensor:
        """Positions of the own nodes or graphs. Where one process would have none, all get a stretch of equal length."""
        if self.owner is not None:
            owner = self.owner[batch["index"].cpu()]
            if len(owner.unique()) == dist.get_world_size():
                return torch.nonzero(owner == dist.get_rank())[:, 0]
        return torch.arange(count)[share_of(count)]

    def _steps(self) -> int:
        """How many edges away the network looks."""
        layers = getattr(self.encoder, "layers", None)
        if layers is None or any(isinstance(module, NORMS) for module in self.modules()):
            raise _alone(self.encoder)
        return len(layers) + (getattr(self.head, "reads", "") == "representation")


def _alone(encoder: nn.Module) -> SemblanceError:
    name = type(encoder).__name__
    return SemblanceError(f"{name} reads more of a batch than the own share: train it with one worker (--workers 1)")


def owners(feed: Feed) -> Tensor | None:
    """Whose each of the feed's units is, of a graph that came in parts: neighbouring parts go to one process."""
    part = parts_of(feed.dataset)
    if part is None:
        return None
    parts = int(feed.dataset.options["parts"])  # type: ignore[attr-defined]
    return torch.from_numpy(part[feed.rows] * dist.get_world_size() // parts)


def seen_by(batch: Batch, mine: Tensor, steps: int) -> Batch:
    """The batch of these of its nodes asked for, with what they see in so many steps."""
    graph: Graph = batch["graph"]
    rows = graph.rows()
    asked = batch["nodes"][mine].cpu().numpy()
    near = np.zeros(graph.num_nodes, bool)
    newest = np.unique(asked)
    for _ in range(steps + 1):
        near[newest] = True
        sources = rows.index[ranges(rows.start, newest)[0]]
        newest = np.unique(sources[~near[sources]])
    kept = graph.with_edges(torch.from_numpy(near[graph.edge_index[1].numpy()]))
    near[newest] = True
    nodes = np.flatnonzero(near)
    place = torch.from_numpy(np.cumsum(near) - 1)
    part = replace(kept, edge_index=place[kept.edge_index], num_nodes=len(nodes), directed=True, kept={})
    own = {**_of(batch, mine, len(batch["nodes"])), "graph": part, "nodes": place[asked]}
    return own if "x" not in batch else {**own, "x": rows_of(batch["x"], torch.from_numpy(nodes))}


def of_graphs(batch: Batch, mine: Tensor) -> Batch:
    """The batch of these of its graphs."""
    graph: Graph = batch["graph"]
    part, nodes = graph.take(mine.numpy())
    own = {**_of(batch, mine, graph.num_graphs), "graph": part}
    return own if "x" not in batch else {**own, "x": rows_of(batch["x"], torch.from_numpy(nodes))}


def _of(batch: Batch, mine: Tensor, count: int) -> dict[str, Any]:
    """What the batch says of every unit, of these; the rest as it is."""
    named = {name: value for name, value in batch.items() if name not in ("x", "graph", "nodes")}
    every = {name for name, value in named.items() if isinstance(value, Tensor) and value.ndim and len(value) == count}
    return {name: value[mine] if name in every else value for name, value in named.items()}


def rows_of(x: Tensor, rows: Tensor) -> Tensor:
    """Rows of [V, f], dense or torch.sparse_csr, in kind."""
    if x.layout != torch.sparse_csr:
        return x[rows]
    at, sizes = ranges(x.crow_indices().numpy(), rows.numpy())
    start = torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)]))
    places = torch.from_numpy(at)
    shape = (len(rows), x.shape[1])
    return torch.sparse_csr_tensor(start, x.col_indices()[places], x.values()[places], shape, check_invariants=False)

"""What an answer on a graph owes to its features and edges: the measurements that explanations are made of.

    feature_gradients   d score / d x, [V, f]: of any encoder
    edge_gradients      d score / d weight, [E], at weight 1 where there are none: of encoders that sum weighted messages
    edge_effects        score less the score without that edge (and its reverse), exact: of any encoder
    around              the nodes within so many steps of some, and the graph between them

`score` is a callable: batch -> one number. An edge's gradient tells of a little less of it, its effect of its absence.
References: Simonyan et al. 2014 (gradients); Zeiler & Fergus 2014 (occlusion); Ying et al. 2019 "GNNExplainer" (the
computation graph around a node).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from semblance.contracts import Batch
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, ranges

Score = Callable[[Batch], Tensor]


def feature_gradients(score: Score, batch: Batch) -> Tensor:
    """[V, f]; bags of words are made dense, since a word that is absent has a gradient too."""
    x = batch["x"]
    dense = (x.to_dense() if x.layout != torch.strided else x).detach().clone().requires_grad_()
    return _gradient(score({**batch, "x": dense}), dense, "features")


def edge_gradients(score: Score, batch: Batch) -> Tensor:
    """[E], in the order of `edge_index`; an encoder that does not read weights through torch is refused."""
    graph = batch["graph"]
    kind = batch["x"].dtype if "x" in batch else torch.float32
    weight = torch.ones(graph.num_edges, dtype=kind) if graph.weight is None else graph.weight.detach().clone()
    weight.requires_grad_()
    return _gradient(score({**batch, "graph": replace(graph, weight=weight, kept={})}), weight, "weights of edges")


def _gradient(value: Tensor, of: Tensor, name: str) -> Tensor:
    if value.numel() != 1:
        raise SemblanceError(f"the score has shape {list(value.shape)}: give one number, such as one class's logit")
    found = torch.autograd.grad(value.sum(), of, allow_unused=True)[0] if value.requires_grad else None
    if found is None:
        raise SemblanceError(
            f"the score has no gradient for the {name}: use edge_effects, which removes edges one by one"
        )
    return found


@torch.no_grad()
def edge_effects(score: Score, batch: Batch, edges: Tensor) -> Tensor:
    """Positions [n] of edges -> [n]; what an undirected graph loses is the edge in both directions."""
    graph = batch["graph"]
    whole, found = score(batch), []
    source, target = graph.edge_index
    for a, b in graph.edge_index[:, edges].T:
        gone = (source == a) & (target == b)
        if not graph.directed:
            gone |= (source == b) & (target == a)
        found.append(whole - score({**batch, "graph": graph.with_edges(~gone)}))
    return torch.stack(found).reshape(-1) if found else torch.zeros(0)


def around(graph: Graph, nodes: Tensor, hops: int) -> tuple[Graph, Tensor]:
    """All that a network of so many layers sees of these nodes [n]: the graph between the nodes that reach them in so many
    steps, and those nodes' numbers, the given ones first."""
    if hops < 0:
        raise SemblanceError(f"hops is {hops}: give 0 or more")
    rows = graph.rows()
    seen = np.zeros(graph.num_nodes, bool)
    frontier = np.asarray(nodes, np.int64)
    seen[frontier] = True
    reached = [frontier]
    for _ in range(hops):
        places, _ = ranges(rows.start, frontier)
        frontier = np.unique(rows.index[places])
        frontier = frontier[~seen[frontier]].astype(np.int64)
        seen[frontier] = True
        reached.append(frontier)
    order = torch.from_numpy(np.concatenate(reached))
    return graph.part(order), order

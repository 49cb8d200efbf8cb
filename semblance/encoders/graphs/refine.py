"""From an observed graph to a better one: edges dropped, edges added, edges weighed.

    alike      edges whose ends share at least so much of their features, |a and b| / |a or b| of what is not 0 (Jaccard)
    refined    edges whose ends have a cosine above `threshold` stay; every node also hears the k nodes most similar to it
               that have more than `degree` neighbours
    weighed    edges and self-loops of weight (d_i d_j)^power, d counting the loop: with rows that sum to 1 a neighbour of
               high degree counts more for power > 0, and -1/2 without normalisation is GCN's operator
    united     a graph's edges and others, each once

Edges that an attacker adds join what is not alike, and hit nodes of low degree hardest.
References: Wu et al. 2019, Adversarial examples for graph data, arXiv:1903.01610 (Jaccard); Li et al. 2022, Reliable
representations make a stronger defender (STABLE), arXiv:2207.00012.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor

from semblance.geometry.graph import Graph
from semblance.geometry.nearest import nearest


def alike(graph: Graph, x: Tensor, least: float = 0.03) -> Tensor:
    """bool [E]: whether an edge's ends share so much; x: [V, f], dense or torch.sparse_csr."""
    held = _present(x)
    source, target = graph.edge_index.numpy()
    size = np.asarray(held.sum(1)).ravel()
    both = np.asarray(held[source].multiply(held[target]).sum(1)).ravel()
    either = size[source] + size[target] - both
    return torch.from_numpy(np.divide(both, either, out=np.zeros(len(both)), where=either > 0) >= least)


def refined(graph: Graph, z: Tensor, threshold: float = 0.1, k: int = 5, degree: int = 2) -> Graph:
    """z: [V, d], what is told of every node -> an undirected graph without weights and loops."""
    unit = F.normalize(z.detach(), dim=1)
    source, target = graph.edge_index
    stays = (unit[source] * unit[target]).sum(1) > threshold
    kept = graph.edge_index[:, stays & (source != target)]
    hubs = torch.from_numpy(np.flatnonzero(graph.rows().degree > degree))
    count = min(k + 1, len(hubs))
    if count < 1 or k < 1:
        return united(graph, kept, graph.edge_index[:, :0])
    found = hubs[torch.from_numpy(nearest(unit, unit[hubs], count)[0])]  # [V, count], the node itself among them or not
    own = torch.arange(graph.num_nodes)[:, None].expand_as(found)
    other = found != own
    # Of k + 1 candidates a node that finds itself hears the k others, any other node the first k.
    other &= other.cumsum(1) <= k
    added = torch.stack([found[other], own[other]])
    return united(graph, kept, torch.cat([added, added.flip(0)], 1))


def weighed(graph: Graph, power: float = 0.5) -> Graph:
    """A + I with weights (d_i d_j)^power, float32."""
    loops = torch.arange(graph.num_nodes).expand(2, -1)
    ends = torch.cat([graph.without_loops().edge_index, loops], 1)
    degree = torch.bincount(ends[1], minlength=graph.num_nodes).double()
    # Only ratios within a row count: divided by the largest, no power overflows.
    scaled = (degree / degree.max().clamp(min=1)) ** power
    weight = (scaled[ends[0]] * scaled[ends[1]]).float()
    return Graph(ends, graph.num_nodes, weight=weight, member=graph.member, num_graphs=graph.num_graphs)


def united(graph: Graph, first: Tensor, second: Tensor) -> Graph:
    """The nodes of a graph with two lists of edges [2, *], each pair once, without weights; `directed` where they are."""
    both = torch.cat([first, second], 1)
    numbers = torch.unique(both[0] * graph.num_nodes + both[1])
    ends = torch.stack([numbers // max(graph.num_nodes, 1), numbers % max(graph.num_nodes, 1)])
    return Graph(ends, graph.num_nodes, directed=True, member=graph.member, num_graphs=graph.num_graphs)


def _present(x: Tensor) -> sparse.csr_array:
    """What is not 0, as ones, [V, f]."""
    if x.layout == torch.sparse_csr:
        there = (x.values() != 0).numpy().astype(np.float64)
        return sparse.csr_array((there, x.col_indices().numpy(), x.crow_indices().numpy()), shape=tuple(x.shape))
    return sparse.csr_array((x != 0).numpy().astype(np.float64))

"""Attacks on a graph before anything is learned from it: edges flipped so that what is learned later errs.

    random_edges   as many new edges between random nodes
    meta_flips     the flips along which the loss of a trained surrogate grows fastest: softmax(S^2 X W), S = D~^-1/2 (A +
                   I) D~^-1/2, is trained by unrolled steps, and the loss that it ends with is differentiated by A through
                   all of them; the best `batch` flips are made, and again

The loss is mean tanh(greatest other score - score of y) of the unlabelled nodes, y what the surrogate says of them on
the clean graph: a node that is lost already draws no more flips, as it does with cross-entropy. No node loses its last
edge, and nothing is flipped twice. The gradient by A is dense (all pairs are candidates, for graphs of a few thousand
nodes), but it is a product of two tall matrices, sum_t g_t h_t^T over all the products A h_t of all steps, and these
are sparse: it is formed once, at the end.

Reference: Zugner & Gunnemann 2019, Adversarial attacks on graph neural
networks via meta learning, arXiv:1902.08412 (its Meta-Self; one weight matrix instead of a product of two, 50 flips a
step instead of 1); Geisler et al. 2021, Robustness of graph neural networks at scale, arXiv:2110.14038 (the loss).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph

MOMENTUM = 0.9


def random_edges(graph: Graph, count: int, rng: np.random.Generator) -> Graph:
    """The graph with `count` more undirected edges, none of them there before."""
    nodes = graph.num_nodes
    known = _numbers(graph.edge_index, nodes)
    if count > nodes * (nodes - 1) // 2 - len(np.unique(known)):
        raise SemblanceError(
            f"{count:,} edges are to be added and the graph of {nodes:,} nodes has no room: give fewer"
        )
    found = np.empty(0, np.int64)
    while len(found) < count:
        ends = rng.integers(0, nodes, (2, 2 * count))
        drawn = _numbers(torch.from_numpy(ends[:, ends[0] != ends[1]]), nodes)
        drawn = np.concatenate([found, drawn[~np.isin(drawn, known)]])
        found = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
    return _flipped(graph, torch.from_numpy(np.stack([found[:count] // nodes, found[:count] % nodes])))


def meta_flips(
    graph: Graph,
    x: Tensor,
    labels: Tensor,
    train: Tensor,
    flips: int,
    *,
    batch: int = 50,
    steps: int = 20,
    lr: float = 1.0,
) -> Graph:
    """x: [V, f], dense or sparse; labels: int64 [V], read at `train` alone -> the graph with `flips` pairs of nodes
    linked that were not, or parted that were linked."""
    dense = (x if x.layout == torch.strided else x.to_dense()).float()
    classes, nodes = int(labels[train].max()) + 1, graph.num_nodes
    adjacency = torch.zeros(nodes, nodes)
    adjacency[graph.edge_index[1], graph.edge_index[0]] = 1
    adjacency = torch.maximum(adjacency, adjacency.T).fill_diagonal_(0)
    rest = torch.ones(nodes, dtype=torch.bool)
    rest[train] = False
    wanted = F.one_hot(labels[train], classes).float()
    with torch.no_grad():
        told = _Unrolled(adjacency).scores(dense, train, wanted, 5 * steps, lr).argmax(1)
    done = ~torch.triu(torch.ones(nodes, nodes, dtype=torch.bool), 1)
    count = 0
    while count < flips:
        unrolled = _Unrolled(adjacency)
        with torch.enable_grad():
            scores = unrolled.scores(dense, train, wanted, steps, lr)
            _margin(scores[rest], told[rest]).backward()
        gradient = unrolled.gradient()
        gain = (gradient + gradient.T) * (1 - 2 * adjacency)
        best = gain.masked_fill_(done, -torch.inf).flatten().topk(min(batch, flips - count)).indices
        pairs = _keeping_an_edge(torch.stack([best // nodes, best % nodes], 1), adjacency)
        done[best // nodes, best % nodes] = True
        adjacency[pairs[:, 0], pairs[:, 1]] = 1 - adjacency[pairs[:, 0], pairs[:, 1]]
        adjacency[pairs[:, 1], pairs[:, 0]] = adjacency[pairs[:, 0], pairs[:, 1]]
        count += len(pairs)
    ends = torch.nonzero(adjacency).T.contiguous()
    return Graph(ends, nodes)


def _margin(scores: Tensor, told: Tensor) -> Tensor:
    own = told[:, None]
    other = scores.scatter(1, own, -torch.inf).amax(1)
    return (other - scores.gather(1, own)[:, 0]).tanh().mean()


class _Unrolled:
    """The surrogate on one graph: its scores after training, and then the gradient of what was made of them by A."""

    def __init__(self, adjacency: Tensor):
        loops = sparse.eye_array(len(adjacency), dtype=np.float32, format="csr")
        self.matrix = sparse.csr_array(adjacency.numpy()) + loops
        self.degree = torch.from_numpy(np.asarray(self.matrix.sum(1)).ravel())
        self.root = self.degree.rsqrt().requires_grad_()
        self.met: list[tuple[Tensor, Tensor]] = []

    def scores(self, x: Tensor, train: Tensor, wanted: Tensor, steps: int, lr: float) -> Tensor:
        """[V, K], after gradient descent with momentum from W = 0. The gradient of cross-entropy is written out, X^T S^T
        S^T (p - y), so that a step is plain operations which autograd follows once."""
        weight = torch.zeros(x.shape[1], wanted.shape[1])
        speed = torch.zeros_like(weight)
        for _ in range(steps):
            error = (self._twice(x @ weight)[train].softmax(1) - wanted) / len(train)
            spread = torch.zeros(len(x), wanted.shape[1]).index_put((train,), error)
            speed = MOMENTUM * speed + x.T @ self._twice(spread)
            weight = weight - lr * speed
        return self._twice(x @ weight)

    def _twice(self, h: Tensor) -> Tensor:
        for _ in range(2):
            h = self.root[:, None] * _Product.apply(self.root[:, None] * h, self)  # type: ignore[no-untyped-call]
        return h

    def gradient(self) -> Tensor:
        """[V, V], of what was called backward on."""
        assert self.root.grad is not None and self.met
        by_matrix = torch.cat([g for g, _ in self.met], 1) @ torch.cat([h for _, h in self.met], 1).T
        return by_matrix + (self.root.grad * -0.5 * self.degree**-1.5)[:, None]


class _Product(torch.autograd.Function):
    """(A + I) h, which notes the pairs (gradient, h) that the gradient by A is made of."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, of: _Unrolled) -> Tensor:  # type: ignore[override]
        ctx.of = of
        ctx.save_for_backward(h)
        return torch.from_numpy(of.matrix @ h.detach().numpy())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        ctx.of.met.append((gradient, *ctx.saved_tensors))
        return torch.from_numpy(ctx.of.matrix @ gradient.numpy()), None  # the matrix is symmetric


def _keeping_an_edge(pairs: Tensor, adjacency: Tensor) -> Tensor:
    """Of the flips [n, 2], best first, those that together leave every node an edge."""
    degree = adjacency.sum(1).long().tolist()
    kept = []
    for number, (i, j) in enumerate(pairs.tolist()):  # fifty of them
        change = 1 - 2 * int(adjacency[i, j])
        if min(degree[i], degree[j]) + change >= 1:
            degree[i], degree[j] = degree[i] + change, degree[j] + change
            kept.append(number)
    return pairs[kept]


def _flipped(graph: Graph, pairs: Tensor) -> Graph:
    """The undirected graph with these pairs [2, n] flipped, without weights."""
    nodes = graph.num_nodes
    before, changed = np.unique(_numbers(graph.edge_index, nodes)), _numbers(pairs, nodes)
    after = np.setxor1d(before, changed)
    ends = torch.from_numpy(np.stack([after // nodes, after % nodes]))
    return Graph(torch.cat([ends, ends.flip(0)], 1), nodes)


def _numbers(ends: Tensor, nodes: int) -> np.ndarray:
    """One number for each undirected pair [2, n]; loops are left out."""
    low, high = ends.min(0).values, ends.max(0).values
    found: np.ndarray = (low * nodes + high)[low < high].numpy()
    return found

"""How far a network on a graph looks, and what becomes of its nodes there.

    smoothness       SMV_i = mean over j != i of D(i, j),  D(i, j) = 1/2 | x_i / |x_i| - x_j / |x_j| |;  their mean: SMV_G.
                     0 when all nodes point one way, at most 1
    power_limit      lim_k S^k, which is rank one on every component: what infinitely many steps leave of a node
    smoothing_level  NSL_v(k) = cos(x_v^k, x_v^0) (1 - cos(x_v^k, x_v^inf)) of every node: near to itself, far from the end
    depth_report     accuracy, smoothing level and first-layer gradient over the depth of propagation at a fixed depth of
                     transformation, and the reverse
    sparser          a graph with fewer edges, labels or features, on which depth has more to do

References: Liu et al. 2020, arXiv:2007.09296 (SMV, limits); Zhang et al. 2022, arXiv:2108.00955 (NSL, two depths).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.smoothing import levels, stationary
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.reports import TableReport

BLOCK = 512  # nodes compared with all others at a time


def smoothness(z: Tensor) -> np.ndarray:
    """[V, d] -> SMV of every node, float64 [V], to 1e-8; their mean is SMV_G. A node at the origin has no direction: its
    distance to the others is 1/2, to another such node 0."""
    if len(z) < 2:
        raise SemblanceError(f"there is {len(z)} node: smoothness compares two or more")
    unit = torch.nn.functional.normalize(z.detach().double(), dim=1)
    square = unit.square().sum(1)
    means = []
    for start in range(0, len(unit), BLOCK):
        some = slice(start, start + BLOCK)
        distance = (square[some, None] + square - 2 * unit[some] @ unit.T).clamp(min=0).sqrt()
        distance[torch.arange(len(distance)), torch.arange(len(distance)) + start] = 0  # rounding makes it 1e-8
        means.append(distance.sum(1) / (2 * (len(unit) - 1)))
    found: np.ndarray = torch.cat(means).numpy()
    return found


def power_limit(graph: Graph, kind: str = "symmetric-loops") -> np.ndarray:
    """lim_k S^k, float64 [V, V]: within a component of an undirected graph sqrt(d~_i d~_j) / sum d~ (symmetric-loops), or
    every row d~ / sum d~ (row-loops)."""
    everyone = torch.eye(graph.num_nodes, dtype=torch.float64)
    found: np.ndarray = stationary(operator_of(graph, kind), everyone).numpy()
    return found


def largest_component(graph: Graph) -> Tensor:
    """int64 [n], ascending: the nodes of the largest (weakly) connected component."""
    ends = graph.edge_index.numpy()
    near = sparse.coo_array((np.ones(graph.num_edges), (ends[1], ends[0])), shape=(graph.num_nodes,) * 2)
    component = connected_components(near, directed=True, connection="weak")[1]
    return torch.from_numpy(np.flatnonzero(component == np.bincount(component).argmax()))


def smoothing_level(graph: Graph, x: Tensor, depth: int) -> np.ndarray:
    """NSL of every node after `depth` steps, float64 [V]; x: [V, f], dense or torch.sparse_csr."""
    dense = x.to_dense() if x.layout == torch.sparse_csr else x
    alpha, beta = levels(operator_of(graph), dense.double(), depth)
    found: np.ndarray = (alpha * (1 - beta))[:, -1].numpy()
    return found


def first_gradient(network: nn.Module, objective: nn.Module, batch: Batch) -> float:
    """Length of the loss's gradient in the network's first parameter, in eval mode; nothing is changed."""
    weight = next(network.parameters())
    held = network.training
    network.eval()
    with torch.enable_grad():
        loss, _ = objective(network, batch)
        (gradient,) = torch.autograd.grad(loss, weight)
    network.train(held)
    return float(gradient.norm())


def sparser(
    data: RelationalDataset,
    rng: np.random.Generator,
    edges: float = 1.0,
    labels: int | None = None,
    features: float = 1.0,
) -> RelationalDataset:
    """The data with a share of its undirected edges, so many training labels a class, and features for a share of the nodes
    (the others' are zero); what stays is drawn by `rng`."""
    for name, share in (("edges", edges), ("features", features)):
        if not 0 <= share <= 1:
            raise SemblanceError(f"the share of {name} is {share}: give 0 to 1")
    graph, x, splits = data.graph, data.x, dict(data.splits)
    if edges < 1:
        low, high = graph.edge_index.min(0).values, graph.edge_index.max(0).values
        _, pair = np.unique((low * graph.num_nodes + high).numpy(), return_inverse=True)
        stay = rng.random(int(pair.max(initial=-1)) + 1) < edges
        graph = graph.with_edges(torch.from_numpy(stay[pair]))
    if features < 1 and x is not None:
        seen = (rng.random(x.shape[0]) < features).astype(np.float32)
        x = sparse.csr_array(sparse.diags_array(seen) @ x) if sparse.issparse(x) else x * seen[:, None]
    if labels is not None:
        y = np.asarray(data.targets["labels"])[splits["train"]]
        order = rng.permutation(len(y))
        taken = [order[y[order] == k][:labels] for k in np.unique(y[y >= 0])]
        splits["train"] = splits["train"][np.sort(np.concatenate(taken))]
    said = f"{data.fingerprint} {edges} {labels} {features}"
    return replace(data, graph=graph, x=x, splits=splits, fingerprint=said)


def depth_report(
    data: RelationalDataset,
    fit: Callable[[RelationalDataset, int, int], Any],
    depths: Sequence[int] = (2, 4, 8, 16),
    fixed: int = 2,
) -> TableReport:
    """`fit(data, propagations, transformations)` gives a trained model (of `semblance.space.training.train`, say). Each of
    the two depths is varied while the other stays at `fixed`."""
    rows = []
    for varied, pairs in {
        "propagations": [(depth, fixed) for depth in depths],
        "transformations": [(fixed, depth) for depth in depths],
    }.items():
        for depth, (propagations, transformations) in zip(depths, pairs, strict=True):
            model = fit(data, propagations, transformations)
            rows.append({"depth": depth, "varied": varied, **_told(data, model, propagations)})
    fallen = {}
    for varied in ("propagations", "transformations"):
        each = [row["accuracy"] for row in rows if row["varied"] == varied]
        fallen[varied] = 100 * (each[-1] - max(each))
    verdict = (
        f"from its best depth to {depths[-1]}, accuracy changes by {fallen['propagations']:.1f} points over propagations "
        f"and by {fallen['transformations']:.1f} over transformations"
    )
    lines = ("accuracy", "smoothing level", "first gradient")
    return TableReport("Depth of propagation and of transformation", verdict, tuple(rows), "depth", lines, "varied")


def _told(data: RelationalDataset, model: Any, propagations: int) -> dict[str, float]:
    """Accuracy on the test nodes, the mean smoothing level of the features, the gradient at the training nodes."""
    batch = data.read(data.splits["test"])
    batch["x"] = model.prepare(batch["x"])
    with torch.no_grad():
        right = model.network(batch).argmax(1) == torch.from_numpy(np.asarray(batch["labels"]))
    taught = data.read(data.splits["train"])
    taught["x"], taught["labels"] = batch["x"], torch.from_numpy(np.asarray(taught["labels"]))
    return {
        "accuracy": float(right.float().mean()),
        "smoothing level": float(smoothing_level(data.graph, batch["x"], propagations).mean()),
        "first gradient": first_gradient(model.network, model.objective, taught),
    }

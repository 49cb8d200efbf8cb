"""Connections: a frame at every node, rotations that carry one frame into the next, and what a walk around a cycle does.

    frame O_i [p, d]        the first d left singular vectors of the differences x_j - x_i to i's neighbours (local PCA)
    transport O_ij [d, d]   U V^T of the singular value decomposition  O_i^T O_j = U S V^T: the rotation nearest to it
    holonomy                the product of transports around a cycle: the identity where space is flat
    vector diffusion map    eigenvectors of the connection Laplacian: L_ii = deg(i) I, L_ij = -O_ij

Singer & Wu 2012, Vector diffusion maps and the connection Laplacian; Barbero et al. 2022, Sheaf neural networks with
connection Laplacians, arXiv:2206.08702.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.laplacians import Laplacian
from semblance.geometry.nearest import nearest
from semblance.geometry.pairs import pairs_of
from semblance.geometry.sheaves import connection_laplacian

NOTHING = 1e-6  # a singular value, relative to the largest, up to which a direction counts as absent


def frames(x: Tensor, graph: Graph, d: int, weighted: bool = False) -> Tensor:
    """[V, p, d] float64, orthonormal columns: the tangent basis at every node. x: [V, p].

    Neighbours are the graph's; a node with fewer than d takes the nearest nodes in feature space besides. Where their
    differences span fewer than d directions, an orthonormal complement fills the frame. weighted: neighbours count by
    sqrt(1 - (distance / largest distance at the node)^2), Epanechnikov's kernel of Singer & Wu.
    """
    nodes, p = x.shape
    if d > p:
        raise SemblanceError(f"frames of {d} directions in {p} features: d is at most {p}")
    x = x.detach().double()
    start, near = _neighbourhoods(x, graph, d)
    degree = np.diff(start)
    out = x.new_zeros(nodes, p, d)
    for size in np.unique(degree):  # nodes of one degree are decomposed together
        alike = np.flatnonzero(degree == size)
        for mine in np.array_split(alike, 1 + len(alike) * int(size) * p // 10**7):
            place = torch.from_numpy(near[start[mine][:, None] + np.arange(size)])
            differences = x[place] - x[torch.from_numpy(mine)][:, None]  # [b, k, p]
            if weighted and size:
                length = differences.norm(dim=2)
                reach = length.amax(1, keepdim=True).clamp_min(1e-300) * (1 + 1e-6)
                differences = differences * (1 - (length / reach) ** 2).clamp_min(0).sqrt()[:, :, None]
            out[torch.from_numpy(mine)] = _leading(differences, d)
    # Either sign of a direction would do. This one hangs on the features alone, not on how nodes are numbered.
    largest = out.abs().argmax(1, keepdim=True)
    return out * torch.where(out.gather(1, largest) < 0, -1.0, 1.0)


def _neighbourhoods(x: Tensor, graph: Graph, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and index of every node's neighbours, filled up to d from the nearest in feature space."""
    rows = graph.without_loops().undirected().rows()
    lists = np.split(rows.index.astype(np.int64), rows.start[1:-1])
    poor = np.flatnonzero(rows.degree < d)
    if len(poor):
        count = min(d + 1 + int(rows.degree[poor].max()), len(x))
        found, _ = nearest(x[torch.from_numpy(poor)], x, count, "euclidean", precision="float32")
        for v, order in zip(poor, np.asarray(found), strict=True):
            held = [v, *lists[v]]
            more = order[~np.isin(order, held)][: d - len(lists[v])]
            lists[v] = np.concatenate([lists[v], more])
    start = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
    return start, np.concatenate(lists).astype(np.int64)


def _leading(differences: Tensor, d: int) -> Tensor:
    """[b, k, p] -> [b, p, d]: the leading right singular vectors, completed where they are fewer."""
    count, k, p = differences.shape
    if k == 0:
        return torch.eye(p, d, dtype=differences.dtype).expand(count, p, d)
    _, size, basis = torch.linalg.svd(differences, full_matrices=False)
    basis = basis.transpose(1, 2)[:, :, :d]  # [b, p, min(k, p, d)]
    strong = size[:, : basis.shape[2]] > NOTHING * size[:, :1].clamp_min(1e-300)
    if basis.shape[2] == d and bool(strong.all()):
        return basis
    out = differences.new_zeros(count, p, d)
    have = strong.sum(1)
    for found in have.unique().tolist():
        mine = have == found
        held = basis[mine][:, :, :found]
        while held.shape[2] < d:  # Gram and Schmidt, from the axis that is farthest from what is held
            axis = held.square().sum(2).argmin(1)
            row = held[torch.arange(len(held)), axis]
            rest = F.one_hot(axis, p).to(held) - (held @ row[:, :, None])[:, :, 0]
            held = torch.cat([held, F.normalize(rest, dim=1)[:, :, None]], 2)
        out[mine] = held
    return out


def transports(frame: Tensor, graph: Graph) -> Tensor:
    """[m, d, d], one for each of `pairs_of(graph)`: from the frame of the higher end to that of the lower, the orthogonal
    matrix nearest to O_i^T O_j (Procrustes)."""
    pairs = pairs_of(graph)
    return transport(frame, pairs.low, pairs.high)


def transport(frame: Tensor, to: Tensor, source: Tensor) -> Tensor:
    """[e, d, d]: from the frames of `source` [e] to those of `to` [e]."""
    left, _, right = torch.linalg.svd(frame[to].transpose(1, 2) @ frame[source])
    return left @ right


def holonomy(frame: Tensor, cycle: Sequence[int]) -> Tensor:
    """[d, d]: what becomes of a vector at cycle[0] that is carried through the nodes in order and back to the start."""
    at = torch.as_tensor(list(cycle))
    steps = transport(frame, torch.roll(at, -1), at)  # steps[k]: from cycle[k] to the next
    carried = torch.eye(frame.shape[2], dtype=frame.dtype)
    for step in steps:
        carried = step @ carried
    return carried


def connection(x: Tensor, graph: Graph, d: int, weighted: bool = False) -> Laplacian:
    """The connection Laplacian of local PCA, normalised by degree."""
    return connection_laplacian(graph, transports(frames(x, graph, d, weighted), graph).numpy())


def vector_diffusion_map(laplacian: Laplacian, k: int, time: float = 1.0) -> np.ndarray:
    """[V, k, d]: every node by the k smoothest vector fields, scaled by (1 - eigenvalue)^time; the affinity of two nodes is
    the squared norm of the d x d product of their maps."""
    values, vectors = laplacian.spectrum(k)
    d = int(laplacian.sizes[0])
    scale = np.sign(1 - values) * np.abs(1 - values) ** time
    return (vectors * scale).T.reshape(k, -1, d).transpose(1, 0, 2)

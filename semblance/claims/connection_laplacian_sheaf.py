"""A connection read off the features: on a sphere it turns by the enclosed area, in a plane not at all, and as a sheaf it
does nearly what learned rotations do, for less.

Sphere: 2,000 uniform points, 24 nearest neighbours, frames of 2; 30 triangles of random corners, each side the shortest
path along edges, the area that of the closed polygon so traced. Plane: 500 points, its cycles those that one edge closes
over a spanning tree. Wisconsin: as in the claim on neural sheaf diffusion, whose orthogonal maps are Cayley's; the time
of an epoch is that of one step (forward, backward, Adam), the median of 100 in turn, after the connection was found.
"""

from __future__ import annotations

import time

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, dijkstra
from scipy.spatial import cKDTree

from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.claims.neural_sheaf_diffusion import EPOCHS, WIDTH, above, measured
from semblance.data.load import load
from semblance.data.moments import shape_of
from semblance.geometry.connections import frames, holonomy, transport
from semblance.geometry.graph import Graph
from semblance.recipes.graph_networks import gcn
from semblance.recipes.graph_sheaves import connection_sheaf, neural_sheaf_diffusion
from semblance.recipes.registry import Recipe
from semblance.space.model import assemble

TRIANGLES, STEPS = 30, 100


@claim(
    "connection-laplacian-sheaf",
    parts={
        "(a) sphere: holonomy off the enclosed area, median": at_most(0.06),
        "(a) sphere: holonomy off the enclosed area, maximum": at_most(0.15),
        "(a) plane: holonomy off the identity, maximum": at_most(1e-6),
        "(b) Wisconsin: points above GCN": at_least(15.0),
        "(b) Wisconsin: points below learned orthogonal maps": at_most(3.0),
        "(b) Wisconsin: time of an epoch over that of learned maps": at_most(0.8),
    },
    data=("wisconsin",),
    seeds=tuple(range(10)),
    broken="every node gets the frame of another one, so transports are those of no surface",
    files=(
        "encoders/topology/diffusion.py",
        "encoders/topology/fused.py",
        "encoders/topology/kernels.py",
        "encoders/topology/sheaf.py",
        "geometry/blocks.py",
        "geometry/connections.py",
        "recipes/graph_networks.py",
        "recipes/graph_sheaves.py",
        "claims/neural_sheaf_diffusion.py",
    ),
    minutes=5.0,
)
def connection_laplacian_sheaf(run: Run) -> None:
    """Local PCA and Procrustes give the connection of the surface that points lie on, and a sheaf without learning."""
    off = sphere(np.random.default_rng([76, 0]), run.broken)
    run.report("(a) sphere: holonomy off the enclosed area, median", float(np.median(off)))
    run.report("(a) sphere: holonomy off the enclosed area, maximum", float(max(off)))
    run.report("(a) plane: holonomy off the identity, maximum", plane(np.random.default_rng([76, 1]), run.broken))
    learned_recipe = neural_sheaf_diffusion(maps="cayley", epochs=EPOCHS)
    fixed = measured(run, "wisconsin", connection_sheaf(epochs=EPOCHS))
    learned = measured(run, "wisconsin", learned_recipe)
    plain = measured(run, "wisconsin", gcn(hidden=WIDTH, epochs=EPOCHS))
    for name, (_, values) in (("connection", fixed), ("learned orthogonal maps", learned), ("GCN", plain)):
        run.baseline(f"Wisconsin, {name}", values)
    run.report("(b) Wisconsin: points above GCN", above(fixed, plain))
    run.report("(b) Wisconsin: points below learned orthogonal maps", above(learned, fixed))
    composed = neural_sheaf_diffusion(maps="householder", epochs=EPOCHS)
    times = epochs([connection_sheaf(), learned_recipe, composed])
    for name, seconds in zip(("connection", "learned, Cayley", "learned, Householder"), times, strict=True):
        run.baseline(f"Wisconsin, milliseconds of an epoch, {name}", 1000 * seconds[1])
    run.baseline("Wisconsin, milliseconds of the first epoch, which finds the connection", 1000 * times[0][0])
    run.report("(b) Wisconsin: time of an epoch over that of learned maps", times[0][1] / times[1][1])


def sphere(rng: np.random.Generator, broken: bool) -> list[float]:
    """Radians between the holonomy around every triangle and its area, modulo 2 pi."""
    x = rng.normal(size=(2000, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    graph, lengths = nearest_graph(x, 24)
    frame = turned(frames(torch.from_numpy(x), graph, 2), rng, broken)
    corners = rng.integers(0, len(x), (TRIANGLES, 3))
    off = []
    for triangle in corners:
        _, before = dijkstra(lengths, indices=triangle, return_predecessors=True)
        cycle = [v for k in range(3) for v in path(before[k], triangle[k], triangle[(k + 1) % 3])]
        around = holonomy(frame, cycle).numpy()
        first = cycle[0]
        outward = np.sign(np.linalg.det(np.column_stack([frame[first].numpy(), x[first]])))
        angle = outward * np.arctan2(around[1, 0] - around[0, 1], around[0, 0] + around[1, 1])
        off.append(abs(np.angle(np.exp(1j * (angle - area(x[cycle]))))))
    return off


def plane(rng: np.random.Generator, broken: bool) -> float:
    """The largest entry of a holonomy less the identity, over a basis of all cycles."""
    turn = np.linalg.qr(rng.normal(size=(10, 10)))[0][:, :2]
    x = rng.random((500, 2)) @ turn.T
    graph, lengths = nearest_graph(x, 10)
    frame = turned(frames(torch.from_numpy(x), graph, 2), rng, broken)
    order, before = breadth_first_order(lengths, 0, directed=False)
    carried = torch.eye(2, dtype=frame.dtype).repeat(len(x), 1, 1)  # from the root's frame to that of every node
    for v in order[1:]:
        step = transport(frame, torch.tensor([v]), torch.tensor([before[v]]))[0]
        carried[v] = step @ carried[before[v]]
    source, target = graph.edge_index
    around = carried[target].transpose(1, 2) @ transport(frame, target, source) @ carried[source]
    reached = torch.zeros(len(x), dtype=torch.bool)
    reached[torch.from_numpy(order.copy()).long()] = True
    return float((around - torch.eye(2, dtype=frame.dtype))[reached[source]].abs().max())


def turned(frame: torch.Tensor, rng: np.random.Generator, broken: bool) -> torch.Tensor:
    """The frames, or those of other nodes in another order."""
    return frame[torch.from_numpy(rng.permutation(len(frame)))] if broken else frame


def nearest_graph(x: np.ndarray, k: int) -> tuple[Graph, sparse.csr_array]:
    """The k nearest neighbours, both ways, and how long every edge is."""
    distance, near = cKDTree(x).query(x, k + 1)
    ends = np.stack([np.repeat(np.arange(len(x)), k), near[:, 1:].ravel()])
    lengths = sparse.csr_array((distance[:, 1:].ravel(), tuple(ends)), shape=(len(x),) * 2)
    return Graph(torch.from_numpy(ends), len(x), directed=True).undirected(), lengths.maximum(lengths.T).tocsr()


def path(before: np.ndarray, start: int, end: int) -> list[int]:
    """The nodes from start on, without the end."""
    found = [int(end)]
    while found[-1] != start:
        found.append(int(before[found[-1]]))
    return found[:0:-1]


def area(x: np.ndarray) -> float:
    """The signed area that a closed polygon [n, 3] encloses on the unit sphere: a fan of spherical triangles."""
    a, b, c = x[0], x[1:-1], x[2:]
    volume = np.einsum("j,ij->i", a, np.cross(b, c))
    return float(2 * np.arctan2(volume, 1 + b @ a + np.einsum("ij,ij->i", b, c) + c @ a).sum())


def epochs(recipes: list[Recipe]) -> list[tuple[float, float]]:
    """Seconds of the first step and the median of the others, the recipes in turn so that all meet the same machine."""
    data = load("wisconsin").with_split(0)
    batch = data.read(data.splits["train"])
    labels = torch.from_numpy(batch["labels"])
    held = []
    for made in recipes:
        network = assemble(made, shape_of(data), 0)
        held.append((network, torch.optim.Adam(network.parameters(), lr=0.02), []))
    for _ in range(STEPS + 1):
        for network, optimiser, seconds in held:
            start = time.thread_time()
            optimiser.zero_grad()
            F.cross_entropy(network(batch), labels).backward()
            optimiser.step()
            seconds.append(time.thread_time() - start)
    return [(seconds[0], float(np.median(seconds[1:]))) for _, _, seconds in held]

"""Graphs in curved space: every node a point, so placed that distances between points are those along the edges. Nothing is
trained by the loop: a solver reads the whole graph once.

hyperbolic-tree   a spanning tree of the graph, built into the ball: children spread around their parent
h-mds             all shortest paths at once, by the eigenvectors of their hyperbolic cosines
distance-points   shortest paths from some nodes, by gradients, in hyperbolic or flat space

What a space keeps is float32, in which a ball ends 7.6 from 0: that is the room a tree has there. `tree_embedding.place`
gives it as many digits as it needs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from semblance.data.dataset import Shape
from semblance.encoders.graphs.placed import Place, Placed
from semblance.errors import SemblanceError, unknown
from semblance.geometry.gromov import gromov_tree
from semblance.geometry.manifolds import manifold_named
from semblance.geometry.metric_embedding import Points, fit
from semblance.geometry.scaling import scaled_hyperbolic
from semblance.geometry.spaces import Euclidean, PoincareBall
from semblance.geometry.tree_embedding import place_floats, tau_for
from semblance.geometry.trees import spanning_tree
from semblance.learning.solve import SolveEncoder
from semblance.recipes.registry import Recipe, Stage, recipe

PAPER = "Sala et al. 2018, arXiv:1804.03329"
REACH = 7.0
"""How far from 0 points are placed: float32 keeps apart what lies nearer than 7.6."""
MOST = 6000
"""Nodes up to which all shortest paths are decomposed."""
SPACES = {"hyperbolic": PoincareBall(), "euclidean": Euclidean()}


def placed(place: Place, dim: int, weighted: bool, space: str = "hyperbolic") -> Recipe:
    """A table of points that `place` fills: this file's skeleton."""

    def encoder(shape: Shape) -> Placed:
        return Placed(int(shape.facts["nodes"]), dim, place, SPACES[space], weighted)

    return Recipe(encoder=encoder, stages=(Stage(rule=SolveEncoder()),), standardise=False, memory="data")


def paths(lengths: sparse.csr_array) -> NDArray[np.float64]:
    """[V, V]: all shortest paths. Nodes that no path joins stand one further apart than any that a path does."""
    if lengths.shape[0] > MOST:
        raise SemblanceError(
            f"all pairs of {lengths.shape[0]:,} nodes are too many, {MOST:,} the most: take distance-points, or a "
            "hyperbolic-tree of another kind"
        )
    far = csgraph.shortest_path(lengths, directed=False)
    known = np.isfinite(far)
    return np.asarray(np.where(known, far, far[known].max(initial=0) + 1))


@recipe(entry="hyperbolic-tradeoffs", paper=PAPER, domains="graph")
def hyperbolic_tree(dim: int = 12, tree: str = "breadth", eps: float = 0.1, weighted: bool = False) -> Recipe:
    """semblance fit wordnet-mammals --recipe hyperbolic-tree

    tree      breadth (first) or minimum (spanning tree), or gromov: of all shortest paths, with hidden nodes
    eps       the worst distortion of the tree is 1 + eps where there is room for it, else as little as there is room for
    weighted  edges are as long as their weights
    """

    def place(lengths: sparse.csr_array, dim: int, seed: int) -> NDArray[np.float64]:
        if tree == "gromov":
            far = paths(lengths)
            found = gromov_tree(far, int(far.max(0).argmin()))
        else:
            found = spanning_tree(lengths, tree)
        return place_floats(found, dim, min(tau_for(found, dim, eps), REACH / max(found.reach().max(), 1e-30)))

    return placed(place, dim, weighted)


@recipe(entry="hyperbolic-tradeoffs", paper=PAPER, domains="graph")
def h_mds(dim: int = 12, weighted: bool = False) -> Recipe:
    """semblance fit wordnet-mammals --recipe h-mds"""

    def place(lengths: sparse.csr_array, dim: int, seed: int) -> NDArray[np.float64]:
        return scaled_hyperbolic(paths(lengths), dim, REACH)[0]

    return placed(place, dim, weighted)


@recipe(entry="hyperbolic-tradeoffs", paper=PAPER, domains="graph")
def distance_points(
    dim: int = 12,
    space: str = "hyperbolic",
    sources: int = 256,
    batch: int = 20_000,
    steps: int = 1000,
    rate: float = 0.5,
    weighted: bool = False,
) -> Recipe:
    """semblance fit wordnet-mammals --recipe distance-points

    space     hyperbolic or euclidean
    sources   nodes whose distances to all others are known; paths between the others are missing
    """
    if space not in SPACES:
        raise unknown("space", space, SPACES)

    def place(lengths: sparse.csr_array, dim: int, seed: int) -> NDArray[np.float64]:
        nodes, rng, generator = lengths.shape[0], np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        known = np.sort(rng.permutation(nodes)[:sources])
        far = csgraph.dijkstra(lengths, indices=known, directed=False)
        first, second = np.nonzero(np.isfinite(far) & (far > 0))
        target, manifold = torch.from_numpy(far[first, second]), manifold_named(space, dim)
        start = manifold.bring(torch.randn(nodes, dim, generator=generator, dtype=torch.float64) * 0.1)
        points = Points(manifold, start)
        pairs = (torch.from_numpy(known[first]), torch.from_numpy(second))
        if len(target):  # of a graph without edges no distance is known
            with torch.enable_grad():
                fit(points, *pairs, target, steps=steps, rate=rate, batch=batch, generator=generator)
        return np.asarray(points.points.detach().numpy())

    return placed(place, dim, weighted, space)

"""Claim of hyperbolic embeddings: trees fit into two dimensions of hyperbolic space, at a price in bits; hyperbolic scaling
recovers points from their distances.

Distortions are those at the best common scale, of flat and of hyperbolic points alike. Stress is minimised from the points
of classical scaling and from three random starts, and the best MAP of the four is the one reported. Bits: the fewest to
which all coordinates can be rounded, found by halving.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import sparse
from scipy.spatial.distance import pdist, squareform
from sklearn.manifold import smacof

from semblance.claims.ledger import Run, at_least, at_most, below, claim, exactly
from semblance.data.load import load
from semblance.geometry.ball import exp0
from semblance.geometry.distortion import (
    average_distortion,
    best_scale,
    mean_average_precision,
    stretches,
    worst_distortion,
)
from semblance.geometry.scaling import between_all, classical, hyperbolic, scaled_hyperbolic
from semblance.geometry.tree_embedding import Placed, place, tau_for
from semblance.geometry.trees import Tree
from semblance.recipes.graph_distances import hyperbolic_tree
from semblance.space.training import train

EPS, BITS_EPS = 0.1, 0.5
LENGTHS = (8, 16, 24, 32, 40)
WRONG = 0.1
"""What the sabotaged twin multiplies scales by."""


@claim(
    "hyperbolic-tradeoffs",
    parts={
        "H^5, largest error of a recovered distance": at_most(1e-6),
        "ternary tree of depth 5, average distortion of h-MDS as a share of classical MDS's": at_most(0.6),
        "ternary tree of depth 4, worst distortion in two dimensions": at_most(1.1),
        "ternary tree of depth 4, MAP in two dimensions": exactly(1.0),
        "WordNet mammals, MAP in two dimensions": at_least(0.98),
        "WordNet mammals, MAP of least Euclidean stress in two dimensions": below(0.6),
        "bits against length of a path with leaves, R^2 of a line": at_least(0.99),
    },
    data=("wordnet-mammals", "synthetic: random hyperbolic points, ternary trees, paths with leaves"),
    broken="the scales are a tenth of what they are to be",
    files=(
        "geometry/tree_embedding.py",
        "geometry/trees.py",
        "geometry/scaling.py",
        "geometry/distortion.py",
        "geometry/ball.py",
        "recipes/graph_distances.py",
    ),
    minutes=3.0,
)
def hyperbolic_tradeoffs(run: Run) -> None:
    """Two hyperbolic dimensions hold any tree with a distortion as small as one likes, for bits that grow with its depth;
    from distances of hyperbolic points an eigendecomposition gives the points, where flat scaling cannot."""
    run.report("H^5, largest error of a recovered distance", [recovered(run, seed) for seed in run.seeds])

    far = regular(5).distances()
    shares = [average_distortion(fitted(found, far)) for found in (curved(run, far), flat(classical(far, 5)))]
    run.report(
        "ternary tree of depth 5, average distortion of h-MDS as a share of classical MDS's", shares[0] / shares[1]
    )
    for name, share in zip(("h-MDS", "classical MDS"), shares, strict=True):
        run.baseline(f"ternary tree of depth 5, average distortion of {name}", share)

    tree = regular(4)
    far, found = tree.distances(), drawn(run, tree, EPS).distances()
    run.report("ternary tree of depth 4, worst distortion in two dimensions", worst_distortion(stretches(found, far)))
    map_found = mean_average_precision(found, sparse.csr_array(far == 1))
    run.report("ternary tree of depth 4, MAP in two dimensions", map_found)

    mammals = hypernyms()
    far = mammals.distances()
    near, points = sparse.csr_array(far == 1), drawn(run, mammals, EPS)
    run.progress(f"mammals: tau {points.tau:.1f}, {points.bits} bits")
    run.report("WordNet mammals, MAP in two dimensions", mean_average_precision(points.distances(), near))
    run.baseline("WordNet mammals, bits of a coordinate", points.bits)
    run.report("WordNet mammals, MAP of least Euclidean stress in two dimensions", max(stress(run, far, near)))
    told = train(load("wordnet-mammals"), hyperbolic_tree(), seed=0).history[-1]
    run.baseline("WordNet mammals, MAP of recipe hyperbolic-tree, 12 dimensions in float32", told["map"])

    bits = [fewest_bits(run, path_with_leaves(length)) for length in LENGTHS]
    run.progress(f"bits of lengths {LENGTHS}: {bits}")
    run.report("bits against length of a path with leaves, R^2 of a line", float(np.corrcoef(LENGTHS, bits)[0, 1] ** 2))


def regular(depth: int, children: int = 3) -> Tree:
    """Every node above the last level has three children."""
    nodes = sum(children**level for level in range(depth + 1))
    parent = (np.arange(nodes) - 1) // children
    return Tree(parent, (parent >= 0).astype(float))


def path_with_leaves(length: int) -> Tree:
    """A path whose every node has two leaves."""
    along = np.arange(length)
    parent = np.concatenate([along - 1, np.repeat(along, 2)])
    return Tree(parent, (parent >= 0).astype(float))


def hypernyms() -> Tree:
    """Mammals under what they are directly; one with two parents keeps its first."""
    graph = load("wordnet-mammals").graph
    child, above = graph.edge_index.numpy()[:, ::-1]  # the last assignment stays: that of the first edge
    parent = np.full(graph.num_nodes, -1)
    parent[child] = above
    return Tree(parent, (parent >= 0).astype(float))


def recovered(run: Run, seed: int) -> float:
    """200 random points, their distances, and the distances of what h-MDS makes of these."""
    generator = torch.Generator().manual_seed(seed)
    points = exp0(0.8 * torch.randn(200, 5, generator=generator, dtype=torch.float64), 1.0)
    far, scale = between_all(points.numpy()), WRONG if run.broken else 1.0
    return float(np.abs(between_all(hyperbolic(scale * far, 5)) / scale - far).max())


def curved(run: Run, far: np.ndarray) -> np.ndarray:
    """Distances of h-MDS in 5 dimensions."""
    points, scale = scaled_hyperbolic(far, 5)
    return between_all(hyperbolic(WRONG * scale * far, 5) if run.broken else points)


def flat(points: np.ndarray) -> np.ndarray:
    """Their Euclidean distances."""
    return np.asarray(squareform(pdist(points)))


def fitted(found: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Stretches at the best common scale."""
    stretch = stretches(found, far)
    return stretch * best_scale(stretch)


def drawn(run: Run, tree: Tree, eps: float) -> Placed:
    """The tree in the hyperbolic plane."""
    return place(tree, 2, tau_for(tree, 2, eps) * (WRONG if run.broken else 1))


def stress(run: Run, far: np.ndarray, near: sparse.csr_array) -> list[float]:
    """MAP of points in the plane that minimise the sum of (|x_i - x_j| - d_ij)^2, from several starts."""
    starts = [classical(far, 2)]
    starts += [np.random.default_rng(seed).normal(size=(len(far), 2)) * far.std() for seed in run.seeds]
    found = []
    for start in starts:
        points, _ = smacof(far, n_components=2, init=start, n_init=1, max_iter=200, normalized_stress=False)
        found.append(mean_average_precision(flat(points), near))
        run.progress(f"MAP of least stress: {found[-1]:.3f}")
    return found


def fewest_bits(run: Run, tree: Tree) -> float:
    """Bits of a coordinate with which the worst distortion is at most 1.5; nan where no number is enough."""
    points, far = drawn(run, tree, BITS_EPS), tree.distances()

    def enough(bits: int) -> bool:
        return worst_distortion(stretches(points.rounded(bits).distances(), far)) <= 1 + BITS_EPS

    low, high = 1, points.bits
    if not enough(high):
        return math.nan
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return float(high)

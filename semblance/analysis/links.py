"""Links: which units belong together, judged from their embeddings.

    s(i, j, ...) = w . mean over pairs of members of (z_i * z_j) + b

A pair, or a hyperedge of any size, is told from one that does not exist by a logistic regression over the products of its
members' embeddings, learned from what is known (Grover & Leskovec 2016 for pairs). Measures over the positives, each beside
the same negatives:
    auc      how many negatives score lower, on average; ties count half
    mrr      1 / rank of a positive among the negatives
    hitsK    does a positive score above the K-th best negative?
Neighbourhood scores of pairs, the baselines: common neighbours, Jaccard, Adamic-Adar, preferential attachment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph

MOST_PAIRS = 20_000
"""Known links the regression learns from; a sample above."""
HEURISTICS = ("common-neighbours", "jaccard", "adamic-adar", "preferential-attachment")


@dataclass(frozen=True)
class Sets:
    """m sets of units, as compressed rows: the members of set e are index[start[e] : start[e + 1]]."""

    start: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.start) - 1

    @classmethod
    def of_pairs(cls, pairs: np.ndarray) -> Sets:
        """pairs [2, m]."""
        return cls(np.arange(0, 2 * pairs.shape[1] + 1, 2), np.ascontiguousarray(pairs.T).ravel())

    def take(self, numbers: np.ndarray) -> Sets:
        """The sets of these numbers."""
        sizes = np.diff(self.start)[numbers]
        start = np.concatenate([[0], np.cumsum(sizes)])
        within = np.arange(start[-1]) - np.repeat(start[:-1], sizes)
        return Sets(start, self.index[np.repeat(self.start[numbers], sizes) + within])

    def members(self, units: int) -> sparse.csr_array:
        """[m, units], 1 where a unit is a member."""
        return sparse.csr_array((np.ones(len(self.index)), self.index, self.start), shape=(len(self), units))


def products(z: np.ndarray, sets: Sets) -> np.ndarray:
    """[m, d]: the mean of z_i * z_j over the pairs of members; 0 for a set of one."""
    belongs = sets.members(len(z))
    size = np.diff(sets.start)[:, None]
    # (sum z)^2 holds every ordered pair and every square once.
    pairs = (belongs @ z) ** 2 - belongs @ z**2
    return pairs / np.maximum(size * (size - 1), 1)


def learned_scores(
    z: np.ndarray, known: Sets, unknown_sets: Sets, asked: tuple[Sets, Sets], seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of positives and negatives, by a regression that learned to tell `known` from `unknown_sets`."""
    if not len(known) or not len(unknown_sets):
        raise SemblanceError("no link is left to learn from: hide a smaller share of them")
    rng = np.random.default_rng(seed)
    taught = [s.take(rng.permutation(len(s))[:MOST_PAIRS]) for s in (known, unknown_sets)]
    x = np.concatenate([products(z, s) for s in taught])
    y = np.repeat([1, 0], [len(s) for s in taught])
    scale = x.std(0)
    scale[scale < 1e-12] = 1.0
    model = LogisticRegression(max_iter=300).fit(x / scale, y)
    positives, negatives = (model.decision_function(products(z, s) / scale) for s in asked)
    return positives, negatives


def link_measures(
    positives: np.ndarray, negatives: np.ndarray, ks: tuple[int, ...] = (10, 50)
) -> dict[str, np.ndarray]:
    """Scores [m], [n] -> measure -> [m], one value a positive, whose mean is the measure."""
    if not len(positives) or not len(negatives):
        raise SemblanceError("links are judged beside pairs that are none: give positives and negatives")
    ordered = np.sort(negatives)
    below, up_to = (np.searchsorted(ordered, positives, side) for side in ("left", "right"))
    lower = (below + up_to) / 2
    found = {"auc": lower / len(ordered), "mrr": 1 / (1 + len(ordered) - lower)}
    for k in ks:
        if k <= len(ordered):
            found[f"hits{k}"] = (positives > ordered[-k]).astype(float)
    return found


def neighbourhood_scores(graph: Graph, pairs: np.ndarray, how: str) -> np.ndarray:
    """[m]: how alike the neighbourhoods of two nodes are, by the edges alone, for pairs [2, m]."""
    if how not in HEURISTICS:
        raise unknown("neighbourhood score", how, HEURISTICS)
    simple = graph.undirected().without_loops()
    ends = simple.edge_index.numpy()
    near = sparse.csr_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(graph.num_nodes,) * 2)
    near.data[:] = 1.0
    degree = np.diff(near.indptr).astype(float)
    a, b = pairs
    if how == "preferential-attachment":
        return degree[a] * degree[b]
    weight = 1 / np.log(np.maximum(degree, 2)) if how == "adamic-adar" else np.ones_like(degree)
    shared = np.asarray((near[a] * near[b]) @ weight).ravel()
    if how == "jaccard":
        return shared / np.maximum(degree[a] + degree[b] - shared, 1)
    return shared


def mixed_negatives(sets: Sets, units: int, rng: np.random.Generator) -> Sets:
    """For every set one of its size in which half of the members (rounded up) are replaced by others, drawn uniformly."""
    sizes = np.diff(sets.start)
    own = np.repeat(np.arange(len(sets)), sizes)
    # Which half goes is drawn: positions are ranked by a random number within their set.
    order = np.lexsort((rng.random(len(sets.index)), own))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(sets.start[:-1], sizes)
    replaced = rank < (sizes[own] + 1) // 2
    index = sets.index.copy()
    while True:
        index[replaced] = rng.integers(0, units, int(replaced.sum()))
        # Drawn again where a member stands twice; a set that holds every unit stays as it is.
        key = own * units + index
        _, first, counts = np.unique(key, return_index=True, return_counts=True)
        twice = np.ones(len(key), bool)
        twice[first[counts == 1]] = False
        again = twice & replaced & (sizes[own] < units)
        if not again.any():
            return Sets(sets.start, index)
        replaced = again

"""Co-occurrence: a matrix of who is met near whom, and its factors as vectors of nodes. A method is a source, a transform
and a factoriser.

    source       walks (p, q, length, window: the matrix is implied, never formed) | edges | means of powers of the walk
                 matrix | counts of walks | orbit adjacencies (`graphlets.py`) | any counts
    transform    raw | log (of what is above 1) | pmi: log x_ij n / (r_i c_j K), shifted by log K, what is below 0 dropped
    factoriser   `SkipGram` | `Singular`: U_d S_d^1/2 of a truncated decomposition | sparse projection (`projection.py`)

`closed_form` is the matrix that skip-gram over walks factorises where its tables are wide enough:

    u_i . c_j = log P(j within the window of i) - log N(j) - log K,    P = sum_r w_r (D^-1 A)^r,    N the noise

What the contexts learned is dropped, added to the vectors (`contexts="sum"`), or set beside them (`"beside"`).

Perozzi, Al-Rfou & Skiena 2014, DeepWalk, arXiv:1403.6652; Levy & Goldberg 2014, Neural word embedding as implicit matrix
factorization; Qiu et al. 2018, NetMF, arXiv:1710.02971.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.encoders.graphs.held_out import held_out_score
from semblance.encoders.graphs.skip_gram import Pace, fresh, kept_share, learn_walks
from semblance.encoders.graphs.stack import embedded
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.spaces import Geometry, Sphere
from semblance.geometry.walks import moves, refuse_signs, sample, starts

Array = NDArray[Any]
Factors = tuple[Array, Array]  # of nodes [V, d] and of contexts [V, d]
Factoriser = Callable[[Graph, int, int], Factors]  # graph, dim, seed
Counts = Callable[[Graph], Any]  # -> [V, V], SciPy CSR or dense

HELD = 2**28
"""Bytes of walks that are kept; what is more is sampled again where it is read."""
DENSE = 20_000
"""Nodes up to which powers are formed as a dense matrix."""
CONTEXTS = ("drop", "sum", "beside")


class CoOccurrence(nn.Module):
    """A vector for each of `nodes`, solved at once from a graph by `factorise`; of several factorisers the one whose
    vectors tell held-out labels best. A node without edges is 0. It holds no node that was not there: a graph of another
    size is refused.
    """

    vectors: Tensor

    def __init__(
        self,
        nodes: int,
        dim: int,
        *factorise: Factoriser,
        contexts: str = "drop",
        geometry: Geometry | None = None,
    ):
        super().__init__()
        if contexts not in CONTEXTS:
            raise unknown("use of contexts", contexts, CONTEXTS)
        self.factorise, self.contexts = factorise, contexts
        self.dim = 2 * dim if contexts == "beside" else dim
        self.geometry = Sphere() if geometry is None else geometry
        self.width = dim
        self.register_buffer("vectors", torch.zeros(nodes, self.dim))

    def solve(self, batch: Batch, seed: int) -> Metrics:
        """Fill the table from the batch's graph."""
        graph = batch["graph"]
        if graph.num_nodes != len(self.vectors):
            raise SemblanceError(f"the table has {len(self.vectors):,} rows and the graph {graph.num_nodes:,} nodes")
        if len(self.factorise) == 1:
            self._fill(self.factorise[0], graph, seed)
            return {}
        if "labels" not in batch:
            raise SemblanceError("settings are to be chosen by labels and the data has none: set them, or name --label")
        score, best, kept = -1.0, 0, self.vectors
        for number, factorise in enumerate(self.factorise):
            self._fill(factorise, graph, seed)
            z = self.geometry.prepare(self.embed(batch).cpu().numpy())
            reached = held_out_score(z, batch["labels"].cpu().numpy(), seed)
            if reached > score:
                score, best, kept = reached, number, self.vectors.clone()
        self.vectors.copy_(kept)
        return {"score": score, "chosen": float(best)}

    def _fill(self, factorise: Factoriser, graph: Graph, seed: int) -> None:
        z, c = factorise(graph, self.width, seed)
        if self.contexts != "drop":
            z = z + c if self.contexts == "sum" else np.concatenate([z, c], 1)
        joined = (graph.rows().degree > 0) | (graph.columns().degree > 0)
        self.vectors.copy_(torch.from_numpy(np.where(joined[:, None], z, 0)))

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim], all nodes."""
        nodes = batch["graph"].num_nodes
        if nodes != len(self.vectors):
            raise SemblanceError(
                f"this method has vectors for the {len(self.vectors):,} nodes that it saw, and the data has {nodes:,}: "
                "fit it anew, or take fastrp, which embeds new nodes"
            )
        return self.vectors

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim], the nodes asked for."""
        return embedded(self.forward(batch), batch, "mean")


@dataclass(frozen=True)
class SkipGram:
    """Skip-gram with negative sampling over `walks` walks of `length` nodes from every node.

    power: of a node's frequency in the walks, its weight as a negative. subsample: the share of all places above which a
    node's are thinned out, 0: none. One thread gives the same bits each time, several do not.
    """

    walks: int = 10
    length: int = 80
    p: float = 1.0
    q: float = 1.0
    window: int = 10
    negatives: int = 5
    power: float = 0.75
    subsample: float = 0.0
    epochs: int = 1
    lr: float = 0.025
    start: str = "each"

    def __call__(self, graph: Graph, dim: int, seed: int) -> Factors:
        """-> vectors and contexts, float32 [V, dim] each."""
        rng = np.random.default_rng(seed)
        tables = fresh(graph.num_nodes, graph.num_nodes, dim, rng)
        if not graph.num_edges:
            return tables.found()
        begin = starts(moves(graph), self.walks, self.start, rng)
        of_walks, of_noise = (int(s) for s in rng.integers(2**62, size=2))
        block = max(HELD // (4 * self.length), 1)
        kept: dict[int, Array] = {}

        def blocks() -> Iterator[tuple[int, Array]]:
            for first in range(0, len(begin), block):
                walked = kept.get(first)
                if walked is None:
                    part = begin[first : first + block]
                    walked = sample(moves(graph), part, self.length, seed=of_walks, p=self.p, q=self.q, first=first)
                    if len(begin) <= block:
                        kept[first] = walked
                yield first, walked

        met = np.zeros(graph.num_nodes, np.int64)
        for _, walked in blocks():
            met += np.bincount(walked.ravel() + 1, minlength=graph.num_nodes + 1)[1:]
        keep = kept_share(met, self.subsample) if self.subsample else None
        for epoch in range(self.epochs):
            for first, walked in blocks():
                behind = epoch * len(begin)
                learn_walks(
                    tables,
                    walked,
                    met**self.power,
                    window=self.window,
                    negatives=self.negatives,
                    pace=Pace(self.lr, done=behind + first, total=self.epochs * len(begin)),
                    seed=of_noise,
                    first=behind + first,
                    keep=keep,
                )
        return tables.found()


@dataclass(frozen=True)
class Singular:
    """The largest singular vectors of transform(counts(graph)), each scaled by the root of its value; where the matrix has
    fewer than dim, zeros follow. Truncated by random projection with `iterations` powers (Halko et al. 2011)."""

    counts: Counts
    transform: Callable[[Any], Any]
    iterations: int = 7

    def __call__(self, graph: Graph, dim: int, seed: int) -> Factors:
        """-> left and right factors, float32 [V, dim] each."""
        return self.of(self.transform(self.counts(graph)), dim, seed)

    def of(self, matrix: Any, dim: int, seed: int) -> Factors:
        """The factors of a matrix [R, C], sparse or dense, that was transformed already."""
        most = min(dim, *matrix.shape)
        left, right = (np.zeros((size, dim), np.float32) for size in matrix.shape)
        if most:
            u, s, v = randomized_svd(matrix, most, n_iter=self.iterations, random_state=seed % 2**32)
            left[:, :most], right[:, :most] = u * np.sqrt(s), v.T * np.sqrt(s)
        return left, right


def edges(graph: Graph) -> sparse.csr_array:
    """A: the weight of every edge, from row to column, float64 [V, V]; repeated edges add up."""
    refuse_signs(graph)
    weight = np.ones(graph.num_edges) if graph.weight is None else graph.weight.double().cpu().numpy()
    ends = tuple(graph.edge_index.cpu().numpy())
    return sparse.csr_array(sparse.coo_array((weight, ends), shape=(graph.num_nodes,) * 2))


def walk_matrix(graph: Graph) -> sparse.csr_array:
    """P = D^-1 A; the row of a dead end is 0."""
    a = edges(graph)
    degree = np.asarray(a.sum(1)).ravel()
    return sparse.csr_array(sparse.diags_array(np.divide(1, degree, out=np.zeros_like(degree), where=degree > 0)) @ a)


def mean_powers(graph: Graph, window: int = 10, weight: Array | None = None) -> Array:
    """D sum_{r = 1..window} w_r P^r, dense [V, V]: what is met within the window of a long walk. w: uniform, or given."""
    if graph.num_nodes > DENSE:
        raise SemblanceError(
            f"powers of the walk matrix of {graph.num_nodes:,} nodes would be dense: {DENSE:,} at most; take fastrp"
        )
    step, share = walk_matrix(graph), np.full(window, 1 / window) if weight is None else weight
    power, total = np.eye(graph.num_nodes), np.zeros((graph.num_nodes,) * 2)
    for w in share:
        power = step @ power
        total += w * power
    return np.asarray(edges(graph).sum(1)).reshape(-1, 1) * total


def met(walks: Array, num_nodes: int, window: int) -> sparse.csr_array:
    """How often j is within the window of i in these walks int32 [W, L] (-1: ended), both ways, [num_nodes] * 2."""
    found = sparse.csr_array((num_nodes, num_nodes))
    for r in range(1, min(window, walks.shape[1] - 1) + 1):
        near, far = walks[:, :-r].ravel(), walks[:, r:].ravel()
        there = far >= 0
        ends = (near[there], far[there])
        found = found + sparse.csr_array(sparse.coo_array((np.ones(there.sum()), ends), shape=found.shape))
    return sparse.csr_array(found + found.T)


def raw(counts: Any) -> Any:
    """As they are."""
    return counts


def log(counts: Any) -> Any:
    """log x where x > 1, else 0."""
    return _each(counts, lambda x: np.log(np.maximum(x, 1)))


def pmi(counts: Any, shift: float = 1.0) -> Any:
    """log(x_ij n / (r_i c_j shift)) where that is positive, else 0. A pair that is never met is 0."""
    rows, columns = np.asarray(counts.sum(1)).ravel(), np.asarray(counts.sum(0)).ravel()
    whole = rows.sum() / shift
    above = [np.divide(1, side, out=np.zeros(len(side)), where=side > 0) for side in (rows, columns)]
    if sparse.issparse(counts):
        scaled = sparse.diags_array(above[0] * whole) @ counts @ sparse.diags_array(above[1])
    else:
        scaled = counts * (above[0] * whole)[:, None] * above[1]
    return log(scaled)


TRANSFORMS: dict[str, Callable[[Any], Any]] = {"raw": raw, "log": log, "pmi": pmi}


def _each(matrix: Any, function: Callable[[Array], Array]) -> Any:
    """An elementwise function with f(0) = 0."""
    if not sparse.issparse(matrix):
        return function(matrix)
    changed = sparse.csr_array(matrix, dtype=np.float64, copy=True)
    changed.data = function(changed.data)
    changed.eliminate_zeros()
    return changed


def closed_form(graph: Graph, window: int, negatives: int, power: float = 0.75) -> Array:
    """The products u_i . c_j that skip-gram over long walks of an undirected graph tends to, float64 [V, V]; -inf where j
    is never near i. The reach of a place is drawn from 1 .. window, so offset r has weight (window - r + 1)."""
    weight = np.arange(window, 0, -1.0)
    near = mean_powers(graph, window, weight / weight.sum())
    near = near / near.sum(1, keepdims=True)
    degree = np.asarray(edges(graph).sum(1)).ravel()
    noise = degree**power / (degree**power).sum()
    with np.errstate(divide="ignore"):
        return np.log(near) - np.log(noise) - np.log(negatives)

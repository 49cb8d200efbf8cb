"""Neighbours: who is near whom in the data. Each is p of `contrast.py`, a function of the batch with rows that sum to 1
(or to 0: a row that has no neighbour, which the loss leaves out).

    other_view      the other views of the same item                       SimCLR, MoCo, CLIP
    same_label      every other row of the same label                      SupCon
    same_class      the point of the row's own class                       cross-entropy, harmonic loss
    own_point       the point of the row's own place in the data           instance discrimination
    itself          the row itself                                         PCA; a queue's own key
    Gaussian        bells in the data, of one width or one perplexity      SNE, t-SNE, k-means
    Walks           a precomputed graph on the data, within the batch      graph embedding, cuts, clustering

Graphs come from `nearest_graph` and `walk`: p of powers of the k-nearest-neighbour graph, or of the mean of its walks.
A p with few neighbours per row is `Listed` and never written out as a matrix unless the loss asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError, unknown
from semblance.objectives.kernels import squared_distances


@dataclass(frozen=True)
class Listed:
    """p as lists: of row i, candidate index[i, k] (each at most once) has weight[i, k]; the rest have none."""

    index: Tensor  # [N, k] int64
    weight: Tensor  # [N, k]

    def dense(self, candidates: int) -> Tensor:
        """[N, candidates]."""
        matrix = self.weight.new_zeros(len(self.index), candidates)
        return matrix.scatter_add_(1, self.index, self.weight)


def other_view(batch: Batch) -> Listed:
    """Uniform over the other views of the row's item, which `item` [N] names; views of an item may stand anywhere."""
    item = batch["item"]
    order = item.argsort(stable=True)
    views = int((item == item[order[0]]).sum())
    grouped = order.view(-1, views) if len(order) % views == 0 else None
    if grouped is None or bool((item[grouped] != item[grouped[:, :1]]).any()):
        raise SemblanceError("items of this batch have different numbers of views: give every item the same number")
    if views < 2:
        raise SemblanceError("every item of this batch has one view, and p is over its others: draw two or more")
    index = order.new_empty(len(order), views - 1)
    index[grouped] = torch.stack([grouped.roll(-shift, 1) for shift in range(1, views)], dim=2)
    return Listed(index, torch.full(index.shape, 1 / (views - 1), device=item.device))


def same_label(batch: Batch) -> Tensor:
    """[N, N], uniform over the other rows of the row's label; a row without label (-1) has its item's other views."""
    labels = batch["labels"]
    near = labels[:, None] == labels
    unlabelled = labels < 0
    near &= ~unlabelled
    if "item" in batch:
        near |= batch["item"][:, None] == batch["item"]
    near.fill_diagonal_(False)
    count = near.sum(1, keepdim=True)
    none_alone((count[:, 0] == 0) & ~unlabelled)
    return near / count.clamp_min(1)


def none_alone(alone: Tensor) -> None:
    """[N] bool: refuse labels with one row."""
    if bool(alone.any()):
        raise SemblanceError(
            f"{int(alone.sum())} of {len(alone)} rows are the only one of their label in the batch and would teach "
            "nothing: give two views, or sample two or more per label"
        )


def same_class(batch: Batch) -> Listed:
    """The point of the row's label; none for a row without one."""
    labels = batch["labels"]
    return Listed(labels.clamp_min(0)[:, None], (labels >= 0).float()[:, None])


def own_point(batch: Batch) -> Listed:
    """The point of the row's place in the training data, `index` [N]."""
    index = batch["index"]
    return Listed(index[:, None], torch.ones(len(index), 1, device=index.device))


def itself(batch: Batch) -> Listed:
    """Candidate i for row i."""
    rows = torch.arange(len(batch["x"]), device=batch["x"].device)
    return Listed(rows[:, None], torch.ones(len(rows), 1, device=rows.device))


class Gaussian:
    """p(j|i) proportional to exp(-|x_i - x_j|^2 / (2 width_i^2)) over the rows of `x` in the batch.

    One `width`, or a `perplexity` (the exponent of every row's entropy, which then sets its width). `with_self` keeps
    the row among its neighbours; `joint` makes p symmetric, (p(j|i) + p(i|j)) / 2, as t-SNE does.
    """

    def __init__(
        self,
        *,
        width: float | None = None,
        perplexity: float | None = None,
        with_self: bool = False,
        joint: bool = False,
    ):
        if (width is None) == (perplexity is None):
            raise SemblanceError(f"width is {width} and perplexity is {perplexity}: give exactly one of the two")
        self.width, self.perplexity, self.with_self, self.joint = width, perplexity, with_self, joint

    def __call__(self, batch: Batch) -> Tensor:
        """-> [N, N]."""
        x = batch["x"].flatten(1)
        square = squared_distances(x, x)
        if not self.with_self:
            square.fill_diagonal_(math.inf)
        if self.perplexity is not None:
            p = of_perplexity(square, self.perplexity)
        else:
            assert self.width is not None
            p = (square / (-2 * self.width**2)).softmax(1)
        return (p + p.T) / 2 if self.joint else p

    def precision(self, square: Tensor) -> Tensor:
        """Squared distances of some rows [B, N] -> [B, 1], 1 / (2 width_i^2)."""
        if self.width is not None:
            return square.new_full((len(square), 1), 1 / (2 * self.width**2))
        assert self.perplexity is not None
        return precision_of(square, self.perplexity)


def of_perplexity(square: Tensor, perplexity: float, rounds: int = 64) -> Tensor:
    """Squared distances [N, N] -> p [N, N] whose rows have entropy log(perplexity)."""
    precision = precision_of(square, perplexity, rounds)
    return ((square - square.amin(1, keepdim=True)) * -precision).softmax(1)


def precision_of(square: Tensor, perplexity: float, rounds: int = 64) -> Tensor:
    """Squared distances [N, M] -> [N, 1], at which exp(-precision square) has entropy log(perplexity) once its sum is 1;
    all rows bisected at once."""
    near = int(square.isfinite().sum(1).min())
    if not 1 <= perplexity < near:
        raise SemblanceError(f"perplexity is {perplexity}, but rows have {near} candidates: give 1 to below {near}")
    square = square - square.amin(1, keepdim=True)
    # Precision of a row, on a log scale around that of its mean distance: 64 halvings reach the last digit.
    scale = square.masked_fill(square.isinf(), 0).sum(1, keepdim=True) / near
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    low, high = torch.full_like(scale, -30.0), torch.full_like(scale, 30.0)
    for _ in range(rounds):
        middle = (low + high) / 2
        p = (square * (-middle.exp() / scale)).softmax(1)
        too_wide = -torch.xlogy(p, p).sum(1, keepdim=True) > math.log(perplexity)
        low, high = torch.where(too_wide, middle, low), torch.where(too_wide, high, middle)
    return middle.exp() / scale


class Walks(nn.Module):
    """A given p on all n units, seen within a batch: rows are cut to the batch and renormalised.

    `graph` is a row-stochastic n x n matrix, dense or scipy sparse; its lists are kept, [n, most neighbours of a row].
    `index` [N] of the batch says which units it holds. A unit without a neighbour in the batch is left out.
    """

    index: Tensor  # [n, L] int64
    weight: Tensor  # [n, L]

    def __init__(self, graph: np.ndarray | sp.spmatrix):
        super().__init__()
        rows = sp.csr_matrix(graph)
        rows.sort_indices()
        count = np.diff(rows.indptr)
        place = np.arange(rows.nnz) - np.repeat(rows.indptr[:-1], count)
        index = np.zeros((rows.shape[0], max(1, int(count.max(initial=0)))), np.int64)
        weight = np.zeros(index.shape, np.float32)
        owner = np.repeat(np.arange(rows.shape[0]), count)
        index[owner, place], weight[owner, place] = rows.indices, rows.data
        # Derived from the data, so not part of a checkpoint: whoever resumes builds it again.
        self.register_buffer("index", torch.from_numpy(index), persistent=False)
        self.register_buffer("weight", torch.from_numpy(weight), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """-> [N, N]."""
        here = batch["index"]
        column = torch.full((len(self.index),), len(here), device=here.device)
        column[here] = torch.arange(len(here), device=here.device)
        # One column more than the batch holds takes what falls outside it.
        p = self.weight.new_zeros(len(here), len(here) + 1)
        p = p.scatter_add_(1, column[self.index[here]], self.weight[here])[:, :-1]
        return p / p.sum(1, keepdim=True).clamp_min(torch.finfo(p.dtype).tiny)

    def listed(self, batch: Batch) -> Listed:
        """The same as lists, [N, L]; what falls outside the batch has weight 0."""
        here = batch["index"]
        column = torch.full((len(self.index),), -1, device=here.device)
        column[here] = torch.arange(len(here), device=here.device)
        place = column[self.index[here]]
        weight = self.weight[here] * (place >= 0)
        total = weight.sum(1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
        return Listed(place.clamp_min(0), weight / total)


def nearest_graph(x: np.ndarray, k: int) -> sp.csr_matrix:
    """Vectors [n, d] -> n x n, each row uniform over its k nearest others by Euclidean distance, exact, in blocks."""
    points = torch.from_numpy(np.ascontiguousarray(x)).float()
    n = len(points)
    if not 1 <= k < n:
        raise SemblanceError(f"k is {k}, but a unit has {n - 1} others: give 1 to {n - 1}")
    near = torch.empty(n, k, dtype=torch.int64)
    for start in range(0, n, 1024):
        square = squared_distances(points[start : start + 1024], points)
        square[torch.arange(len(square)), torch.arange(start, start + len(square))] = math.inf
        near[start : start + 1024] = square.topk(k, dim=1, largest=False).indices
    rows = np.repeat(np.arange(n), k)
    return sp.csr_matrix((np.full(n * k, 1 / k), (rows, near.numpy().ravel())), shape=(n, n))


SPREADS = ("power", "uniform")


def walk(graph: sp.csr_matrix, length: int, spread: str = "uniform", with_self: bool = True) -> sp.csr_matrix:
    """Propagation: `power` is the graph's `length`-th power, `uniform` the mean of its powers 1 to `length`.

    With `with_self` the mean starts at power 0: a unit is its own neighbour too (an unmoved walk).
    """
    if spread not in SPREADS:
        raise unknown("spread of walks", spread, SPREADS)
    if length < 1:
        raise SemblanceError(f"walk length is {length}: give at least 1 (1 to 3 is usual)")
    powers: list[sp.csr_matrix] = [sp.identity(graph.shape[0], format="csr")]
    for _ in range(length):
        powers.append(powers[-1] @ graph)
    if spread == "power":
        return powers[-1]
    kept: Sequence[sp.csr_matrix] = powers if with_self else powers[1:]
    return sum(kept[1:], kept[0]) / len(kept)

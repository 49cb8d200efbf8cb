"""What claims on links share: edges in three parts, each asked beside as many pairs that have no edge in the whole graph.

three_parts     training, validation and test edges, 70/10/20, drawn by the seed
half_of         the same with half of what is not asked for hidden and lost
hits            share of positives above the k-th best negative, in points
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.metrics import average_precision_score

from semblance.analysis.links import link_measures
from semblance.data.link_splits import hide_edges, non_edges
from semblance.data.relational import RelationalDataset
from semblance.geometry.graph import Graph

HELD, VALIDATION = 0.2, 0.1 / 0.8


@dataclass(frozen=True)
class Parted:
    """taught: the data with the graph that is learned from; known: with the one that is read at test, validation edges
    included; positives, negatives: int64 [2, m] each, the pairs that are asked about."""

    taught: RelationalDataset
    known: RelationalDataset
    positives: np.ndarray
    negatives: np.ndarray


def three_parts(data: RelationalDataset, seed: int) -> Parted:
    """70% of the edges teach, 10% are read at test only, 20% are asked about."""
    test = hide_edges(data.graph, HELD, seed)
    train = hide_edges(test.rest, VALIDATION, seed)
    negatives = non_edges(data.graph, test.positives.shape[1], seed)
    return Parted(_over(data, train.rest), _over(data, test.rest), test.positives.numpy(), negatives.numpy())


def half_of(data: RelationalDataset, seed: int) -> Parted:
    """Half of the edges that are not asked about, for learning and at test."""
    test = hide_edges(data.graph, HELD, seed)
    left = _over(data, hide_edges(test.rest, 0.5, seed).rest)
    negatives = non_edges(data.graph, test.positives.shape[1], seed)
    return Parted(left, left, test.positives.numpy(), negatives.numpy())


def hits(positives: np.ndarray, negatives: np.ndarray, k: int = 100) -> float:
    """Scores [m], [n] -> points."""
    return 100 * float(link_measures(positives, negatives, (k,))[f"hits{k}"].mean())


def further(positives: np.ndarray, negatives: np.ndarray) -> dict[str, float]:
    """The mean reciprocal rank, the area under the curve and the average precision of the same scores, in points."""
    found = link_measures(positives, negatives, ())
    truth = np.repeat([1, 0], [len(positives), len(negatives)])
    precision = average_precision_score(truth, np.concatenate([positives, negatives]))
    return {"MRR": 100 * found["mrr"].mean(), "AUC": 100 * found["auc"].mean(), "AP": 100 * float(precision)}


def _over(data: RelationalDataset, graph: Graph) -> RelationalDataset:
    return replace(data, graph=graph)

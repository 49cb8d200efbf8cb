"""Visits: a walk's nodes and the features of those r steps away, as pairs for skip-gram.

    walk v_1 v_2 ...  ->  pairs (v_i, a feature of v_i+r) and (v_i+r, a feature of v_i)

A feature is drawn by its value; what is 0 or less is not there. With one drawn at a visit the products of nodes and
features tend to (`closed_form`)

    log(mean_r P^r F E^-1) - log(noise K)        P the walk matrix, F rows of sum 1, E a feature's share of all visits

What varies: the walks, which r share a pair of tables, how many features are drawn at a visit, whether features are frozen.

Rozemberczki, Allen & Sarkar 2021, Multi-scale attributed node embedding, arXiv:1909.13021.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from semblance.encoders.graphs.cooccurrence import edges, walk_matrix
from semblance.encoders.graphs.implied import implied, noise_of
from semblance.encoders.graphs.skip_gram import Pace, Tables, learn_pairs
from semblance.geometry.graph import Graph
from semblance.geometry.walks import Moves, moves_between, sample, starts

Array = NDArray[Any]
BLOCK = 2048
"""Walks whose pairs are in memory at a time."""


@dataclass(frozen=True)
class Visits:
    """How pairs are met and learned. drawn: features at a visit. reach: t."""

    walks: int = 10
    length: int = 80
    p: float = 1.0
    q: float = 1.0
    reach: int = 3
    drawn: int = 1
    negatives: int = 5
    power: float = 0.75
    lr: float = 0.05
    end: float = 0.025
    start: str = "each"
    epochs: int = 1


def features_of(x: Tensor, names: bool = False) -> Moves:
    """Features x [V, f], dense or sparse, as steps from a node to one of its features, drawn by value; `names`: a feature
    f + v for node v itself beside them."""
    if x.layout == torch.strided:
        values = sparse.csr_array(np.maximum(x.detach().cpu().numpy(), 0))
    else:
        parts = (x.values(), x.col_indices(), x.crow_indices())
        values = sparse.csr_array(tuple(part.detach().cpu().numpy() for part in parts), shape=tuple(x.shape))
        values.data = np.maximum(values.data, 0)
    values.eliminate_zeros()
    if names:
        values = sparse.csr_array(
            sparse.hstack([values, sparse.eye_array(x.shape[0], dtype=values.dtype)], format="csr")
        )
    values.sort_indices()
    return moves_between(values.indptr, values.indices, values.data)


def learn_visits(
    tables: list[Tables],
    scales: list[list[int]],
    states: Moves,
    held: Moves,
    visits: Visits,
    rng: np.random.Generator,
    frozen: bool,
) -> None:
    """Learn every pair of tables, in place, from the pairs of its offsets."""
    begin = starts(states, visits.walks, visits.start, rng)
    of_walks, of_features, of_noise = (int(s) for s in rng.integers(2**62, size=3))

    def blocks() -> Iterator[tuple[int, Array, Array]]:
        """The number of the first walk, walks [W, L], and what is drawn of each visit [drawn, W, L], -1: nothing."""
        for first in range(0, len(begin), BLOCK):
            walked = sample(
                states, begin[first : first + BLOCK], visits.length, seed=of_walks, p=visits.p, q=visits.q, first=first
            )
            at = np.tile(np.maximum(walked, 0).ravel(), visits.drawn)
            found = sample(held, at, 2, seed=of_features, first=first * visits.length * visits.drawn)[:, 1]
            yield first, walked, np.where(walked >= 0, found.reshape(visits.drawn, *walked.shape), -1)

    often = np.zeros(len(tables[0].contexts), np.int64)
    for _, _, found in blocks():
        often += np.bincount(found.ravel() + 1, minlength=len(often) + 1)[1:]
    if not often.any():
        return
    noise, total = often**visits.power, visits.epochs * len(begin)
    for epoch in range(visits.epochs):
        for first, walked, found in blocks():
            behind = epoch * len(begin) + first
            lr = [visits.lr - (visits.lr - visits.end) * n / total for n in (behind, behind + len(walked))]
            for number, (made, offsets) in enumerate(zip(tables, scales, strict=True)):
                left, right = pairs(walked, found, offsets)
                learn_pairs(
                    made,
                    left,
                    right,
                    noise,
                    negatives=visits.negatives,
                    pace=Pace(*lr),
                    seed=of_noise + number,
                    first=behind * visits.length * 2 * visits.drawn * visits.reach,
                    frozen=frozen,
                )


def pairs(walked: Array, found: Array, offsets: list[int]) -> tuple[Array, Array]:
    """Nodes and features int32 [n] that stand r places apart, both ways, for every r of offsets; walk by walk."""
    left, right = [], []
    for r in offsets:
        if r < walked.shape[1]:
            for near, far in ((slice(None, -r), slice(r, None)), (slice(r, None), slice(None, -r))):
                left.append(np.broadcast_to(walked[:, near], found[:, :, far].shape))
                right.append(found[:, :, far])
    if not left:
        return np.empty(0, np.int32), np.empty(0, np.int32)
    nodes, features = (
        np.concatenate([np.moveaxis(part, 1, 0).reshape(len(walked), -1) for part in side], 1).ravel()
        for side in (left, right)
    )
    there = (nodes >= 0) & (features >= 0)
    return np.ascontiguousarray(nodes[there], np.int32), np.ascontiguousarray(features[there], np.int32)


def met_features(graph: Graph, x: Array, offsets: list[int]) -> Array:
    """How often a long walk of an undirected graph is at node v and draws feature f so many steps away, the mean over
    offsets: D mean_r P^r F, dense [V, f]."""
    drawn, step, met = _shares(x), walk_matrix(graph), np.zeros(x.shape)
    for r in range(1, max(offsets) + 1):
        drawn = step @ drawn
        met += drawn * (r in offsets) / len(offsets)
    return np.asarray(edges(graph).sum(1)).reshape(-1, 1) * met


def closed_form(graph: Graph, x: Array, offsets: list[int], negatives: int, power: float = 0.75) -> Array:
    """The products of nodes and features that the pairs of these offsets tend to, one feature drawn at a visit, float64
    [V, f]; -inf where a feature is never met. With power 1 the noise is E / c: log(c P^r F E^-1) - log K."""
    often = np.asarray(edges(graph).sum(1)).ravel() @ _shares(x)
    return implied(met_features(graph, x, offsets), noise_of(often, power), negatives)


def _shares(x: Array) -> Array:
    """F: how likely each feature is drawn of each node."""
    there = np.maximum(x, 0)
    return np.asarray(there / np.maximum(there.sum(1, keepdims=True), 1e-30))

"""Hypergraphs: which node lies in which hyperedge, checked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from semblance.data.edges import checked_ends, distinct
from semblance.errors import SemblanceError
from semblance.geometry.hypergraph import Hypergraph


class Incidence(NamedTuple):
    """A hypergraph, and lines for the user on what was done to it."""

    hypergraph: Hypergraph
    notes: tuple[str, ...]


def build_hypergraph(
    node: Any,
    edge: Any,
    num_nodes: int,
    num_edges: int,
    *,
    weight: Any = None,
    time: Any = None,
    what: str = "the hypergraph",
) -> Incidence:
    """node, edge: [I] positions. weight, time: one per hyperedge. A membership named twice counts once; a hyperedge without
    nodes is an error, hyperedges out of time order are sorted, and both are said."""
    pairs = checked_ends(np.stack([np.asarray(node), np.asarray(edge)]), max(num_nodes, num_edges), what)
    if num_nodes < 2 or not pairs.shape[1]:
        held = f"{num_nodes:,} nodes" if num_nodes < 2 else "no memberships"
        raise SemblanceError(
            f"{what} has {held}, so nothing is related to anything: give hyperedges of two nodes or more"
        )
    if pairs[0].max() >= num_nodes:
        raise SemblanceError(
            f"{what}: a hyperedge names node {pairs[0].max()}, and there are {num_nodes:,} nodes (from 0)"
        )
    empty = np.flatnonzero(np.bincount(pairs[1], minlength=num_edges) == 0)
    if len(empty):
        raise SemblanceError(
            f"{what} has {len(empty):,} hyperedges without nodes, first hyperedge {empty[0]}: drop them, or fill them in"
        )
    notes = []
    moments = None if time is None else np.asarray(time)
    if moments is not None and len(moments) != num_edges:
        raise SemblanceError(f"{what} has {len(moments):,} times for {num_edges:,} hyperedges: give one for each")
    if moments is not None and (moments[1:] < moments[:-1]).any():
        order = np.argsort(moments, kind="stable")
        place = np.empty(num_edges, np.int64)
        place[order] = np.arange(num_edges)
        notes.append(
            f"{int((moments[1:] < moments[:-1]).sum()):,} timestamps were out of order: hyperedges are sorted by time"
        )
        pairs[1], moments = place[pairs[1]], moments[order]
        weight = None if weight is None else np.asarray(weight)[order]
    key = pairs[1] * num_nodes + pairs[0]
    once = distinct(key)
    if len(once) < len(key):
        notes.append(f"{len(key) - len(once):,} memberships are named more than once and count once")
    hypergraph = Hypergraph(
        node=torch.from_numpy(once % num_nodes),
        edge=torch.from_numpy(once // num_nodes),
        num_nodes=num_nodes,
        num_edges=num_edges,
        weight=None if weight is None else torch.from_numpy(np.asarray(weight, np.float32)),
        time=None
        if moments is None
        else torch.from_numpy(moments.astype(np.int64 if moments.dtype.kind in "iu" else np.float64)),
    )
    return Incidence(hypergraph, tuple(notes))

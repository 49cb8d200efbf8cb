"""Sets of nodes that are asked about at a moment: will they meet in a hyperedge? Known is a hypergraph with times.

    asked_of      the hyperedges of a hypergraph, and as many sets in which half of the nodes are others
    conversations events (who writes to whom, when) as hyperedges: a sender and all receivers within a span of time
    half_replaced what makes a set that did not meet

A unit is a set; its label says whether it met. What happens at or after the moment of a question is never read by walks
that start there. Ways of asking: transductive; inductive, of sets with a node that training has not seen: `weak` with seen
ones beside, `strong` without. Training then knows no hyperedge of these nodes. Behrouz et al. 2023, arXiv:2306.11147.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from semblance.contracts import Batch
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph, ranges
from semblance.geometry.hypergraph import Hypergraph

MODES = ("transductive", "inductive", "weak", "strong")
CLASSES = ("apart", "together")
NOTHING = Hypergraph(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64), 0, 0)


@dataclass(frozen=True)
class TimedSets(RelationalDataset):
    """`graph` is the hypergraph that is known; the hyperedges of `sets`, over the same nodes, are the units, and their time
    is the moment of the question (without times: any)."""

    sets: Hypergraph = field(default=NOTHING)

    @property
    def whole(self) -> bool:
        """Sets are asked for one batch at a time."""
        return False

    def read(self, index: np.ndarray) -> Batch:
        """Positions [n] -> the hypergraph, `sets` (the n asked for), `index` and `labels`."""
        index = np.asarray(index)
        batch: Batch = {"index": index, "graph": self.graph, "sets": only(self.sets, index)}
        if "labels" in self.targets:
            batch["labels"] = self.targets["labels"][index]
        return batch

    def subset(self, index: np.ndarray) -> TimedSets:
        """The sets at these positions; all that is known stays."""
        index = np.asarray(index)
        position = np.full(len(self), -1)
        position[index] = np.arange(len(index))
        return replace(
            self,
            sets=only(self.sets, index),
            ids=[self.ids[i] for i in index],
            targets={name: column[index] for name, column in self.targets.items()},
            attributes=self.attributes.take(pa.array(index)),
            splits={name: position[rows][position[rows] >= 0] for name, rows in self.splits.items()},
            given_splits=(),
            fingerprint=_mark(self.fingerprint, index),
        )

    def raw(self, index: np.ndarray) -> np.ndarray:
        """[n, 3] float32: size of the set, mean and smallest number of hyperedges that its nodes are in."""
        part = only(self.sets, np.asarray(index))
        rows, degree = part.by_edge(), self.graph.by_node().degree
        known = degree[rows.index].astype(np.float64)
        size = np.maximum(rows.degree, 1)
        mean = np.bincount(part.edge.numpy(), degree[part.node.numpy()], part.num_edges) / size
        least = np.full(part.num_edges, np.inf)
        np.minimum.at(least, np.repeat(np.arange(part.num_edges), rows.degree), known)
        return np.stack([rows.degree, mean, np.where(np.isfinite(least), least, 0)], 1).astype(np.float32)


class Asked(NamedTuple):
    """What is learned from, and what is asked afterwards."""

    learn: TimedSets
    test: TimedSets


def of_sets(
    graph: Hypergraph, sets: Hypergraph, labels: np.ndarray, splits: Mapping[str, np.ndarray], name: str = "timed sets"
) -> TimedSets:
    """labels: 1 where a set of `sets` met, 0 where it did not."""
    if sets.num_nodes != graph.num_nodes:
        raise SemblanceError(f"sets are over {sets.num_nodes} nodes and the hypergraph has {graph.num_nodes}")
    if (graph.time is None) != (sets.time is None):
        raise SemblanceError("either the hypergraph or the sets asked about have times: give both, or none")
    columns = {"row": np.arange(sets.num_edges), "class": [CLASSES[y] for y in labels], "size": sets.by_edge().degree}
    if sets.time is not None:
        columns["time"] = sets.time.numpy()
    arrays = [graph.node, graph.edge, sets.node, sets.edge, *(t for t in (graph.time, sets.time) if t is not None)]
    return TimedSets(
        domain="hypergraph",
        graph=graph,
        x=None,
        ids=[str(i) for i in range(sets.num_edges)],
        targets={"labels": np.asarray(labels, np.int64)},
        attributes=pa.table(columns),
        splits=splits,
        fingerprint=_mark(name, np.asarray(labels), *(a.numpy() for a in arrays)),
        classes=CLASSES,
        units="set",
        name=name,
        sets=sets,
    )


def asked_of(
    graph: Hypergraph,
    mode: str = "transductive",
    shares: tuple[float, float] = (0.7, 0.15),
    hidden: float = 0.1,
    seed: int = 0,
    name: str = "timed sets",
) -> Asked:
    """A hypergraph's own hyperedges of two nodes or more as questions, each with a negative at the same time. In order of
    time the first `shares` are for training and validation, the rest for the test; `hidden` of the nodes are kept from
    training in the inductive modes."""
    if mode not in MODES:
        raise unknown("way of asking", mode, MODES)
    if graph.time is None:
        raise SemblanceError(
            "the hyperedges have no times, so none is the next: give a column time, or --task hyperedges"
        )
    rng = np.random.default_rng([96, seed])
    rows = graph.by_edge()
    several = np.flatnonzero(rows.degree > 1)
    several = several[np.argsort(graph.time.numpy()[several], kind="stable")]
    positive = only(graph, several)
    start = positive.by_edge().start
    other = half_replaced(start, positive.by_edge().index.astype(np.int64), graph.num_nodes, rng)
    count = len(several)
    sets = Hypergraph(
        node=torch.cat([positive.node, torch.from_numpy(other)]),
        edge=torch.cat([positive.edge, count + torch.from_numpy(np.repeat(np.arange(count), np.diff(start)))]),
        num_nodes=graph.num_nodes,
        num_edges=2 * count,
        time=None if positive.time is None else torch.cat([positive.time, positive.time]),
    )
    labels = np.repeat([1, 0], count)
    unseen = np.zeros(graph.num_nodes, bool)
    if mode != "transductive":
        unseen[rng.permutation(graph.num_nodes)[: max(1, round(hidden * graph.num_nodes))]] = True
    new, old = (np.bincount(sets.edge.numpy(), mask[sets.node.numpy()], 2 * count) for mask in (unseen, ~unseen))
    asked = {"transductive": new >= 0, "inductive": new > 0, "weak": (new > 0) & (old > 0), "strong": old == 0}[mode]
    turn = np.tile(np.arange(count), 2) / max(count, 1)
    parts = {
        "train": (turn < shares[0]) & (new == 0),
        "val": (turn >= shares[0]) & (turn < sum(shares)) & (new == 0),
        "test": (turn >= sum(shares)) & asked,
    }
    every = {part: np.flatnonzero(mask) for part, mask in parts.items()}
    short = [part for part, positions in every.items() if not len(positions)]
    if short:
        raise SemblanceError(f"{count} hyperedges, asked about in the way {mode}, leave none for {short[0]}: give more")
    learn = of_sets(without(graph, unseen), sets, labels, {**every, "test": every["test"][:0]}, name)
    return Asked(learn, of_sets(graph, sets, labels, every, name))


def conversations(events: Graph, span: float = 3600.0, most: int | None = None) -> Hypergraph:
    """Of events with times: a hyperedge is a sender with all receivers since its first message of `span` (in the units of
    the times), its time that of the last one; the first `most` of them."""
    if events.time is None:
        raise SemblanceError("the edges have no times: load them by --domain events")
    source, target = events.edge_index.numpy()
    time = events.time.numpy()
    order = np.lexsort((time, source))
    opened = np.empty(len(order), np.int64)  # the message that opens each one's conversation
    for place, at in enumerate(order):
        before = opened[place - 1] if place else -1
        same = before >= 0 and source[order[before]] == source[at] and time[at] - time[order[before]] <= span
        opened[place] = before if same else place
    _, number = np.unique(opened, return_inverse=True)
    last = np.zeros(int(number.max(initial=-1)) + 1, time.dtype)
    np.maximum.at(last, number, time[order])
    rank = np.empty(len(last), np.int64)
    rank[np.argsort(last, kind="stable")] = np.arange(len(last))
    edge = np.concatenate([rank[number], rank[number]])
    node = np.concatenate([source[order], target[order]])
    key = np.unique(edge * events.num_nodes + node)
    kept = min(len(last), most or len(last))
    key = key[key < kept * events.num_nodes]
    moments = torch.from_numpy(np.sort(last)[:kept])
    ends = (torch.from_numpy(key % events.num_nodes), torch.from_numpy(key // events.num_nodes))
    return Hypergraph(*ends, num_nodes=events.num_nodes, num_edges=kept, time=moments)


def half_replaced(start: np.ndarray, index: np.ndarray, units: int, rng: np.random.Generator) -> np.ndarray:
    """Sets as compressed rows -> their index [I] with half of the members of each (rounded up) replaced by others, drawn
    uniformly. A set that holds every unit stays as it is."""
    sizes = np.diff(start)
    own = np.repeat(np.arange(len(sizes)), sizes)
    # Which half goes is drawn: positions are ranked by a random number within their set.
    order = np.lexsort((rng.random(len(index)), own))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(start[:-1], sizes)
    replaced = (rank < (sizes[own] + 1) // 2) & (sizes[own] < units)
    index = index.copy()
    while True:
        index[replaced] = rng.integers(0, units, int(replaced.sum()))
        # Drawn again where a member stands twice.
        key = own * units + index
        _, first, counts = np.unique(key, return_index=True, return_counts=True)
        twice = np.ones(len(key), bool)
        twice[first[counts == 1]] = False
        again = twice & replaced
        if not again.any():
            return index
        replaced = again


def only(hypergraph: Hypergraph, numbers: np.ndarray) -> Hypergraph:
    """The hyperedges of these numbers [n], in this order."""
    rows = hypergraph.by_edge()
    at, sizes = ranges(rows.start, np.asarray(numbers, np.int64))
    take = torch.from_numpy(np.asarray(numbers, np.int64))
    return Hypergraph(
        node=torch.from_numpy(rows.index[at].astype(np.int64)),
        edge=torch.from_numpy(np.repeat(np.arange(len(numbers)), sizes)),
        num_nodes=hypergraph.num_nodes,
        num_edges=len(numbers),
        weight=None if hypergraph.weight is None else hypergraph.weight[take],
        time=None if hypergraph.time is None else hypergraph.time[take],
        membership=None if hypergraph.membership is None else hypergraph.membership[torch.from_numpy(rows.order[at])],
    )


def without(hypergraph: Hypergraph, nodes: np.ndarray) -> Hypergraph:
    """The hyperedges with none of these nodes (bool [V])."""
    hit = np.bincount(hypergraph.edge.numpy(), nodes[hypergraph.node.numpy()], hypergraph.num_edges)
    return only(hypergraph, np.flatnonzero(hit == 0)) if hit.any() else hypergraph


def _mark(text: str, *arrays: Sequence[int] | np.ndarray) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

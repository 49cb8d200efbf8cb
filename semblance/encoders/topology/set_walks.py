"""Set walks: a set of nodes as the walks over hyperedges that lead into its past, seen without names.

    walk        hyperedges e_1, e_2, ... of strictly falling times, each sharing a node with the one before; e_1 holds the
                node that starts it (geometry/crossings.py)
    name        g(w; u)[i] = share of u's walks whose i-th hyperedge holds the node w
    identity    of w: W2 sum_u relu( W1 g(w; u) ) over the nodes u of the set;   of a hyperedge: its nodes' ones, pooled
    step        [ identity of e_i || cos(omega (t - t_i) + phi) ],   t the moment of the question
    set         an MLP-Mixer over a walk's steps, averaged over a node's walks, pooled over the nodes of the set

Nothing of a node enters but its place in the walks, so nodes never seen before are no different. Pooling of a set V [n, d]:
    set-mixer   V' = V + gelu( W softmax_n( LN(V) ) ),   mean_n( V' + W2 gelu( W1 LN(V') ) )
    mean        mean_n(V), which with walks over pairs (every hyperedge as all its pairs) is the walk on a clique expansion
What varies: theta and the law of steps, walks of a node, their length, the two pooled places, what is walked over. Times
count in mean gaps between moments of the hypergraph that was learned from. A node alone is the set of it at the end of
time. Walks are drawn anew in training; else node u's j-th walk has the same stream of chance in every batch.

Behrouz, Hashemi, Sadeghian & Seltzer 2023, CAT-Walk, arXiv:2306.11147.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError, unknown
from semblance.geometry.crossings import LAWS, cross, of_hyperedges
from semblance.geometry.graph import Graph, ranges
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.spaces import Geometry, Sphere

POOLINGS = ("set-mixer", "mean")
OVER = ("hyperedges", "pairs")
CHUNK = 256  # sets whose walks are held at once


class SetMixer(nn.Module):
    """Sets of any size -> a vector each, whatever the order of their members."""

    def __init__(self, dim: int):
        super().__init__()
        self.across, self.norm = nn.Linear(dim, dim), nn.LayerNorm(dim)
        self.wide, self.narrow = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor, which: Tensor, count: int) -> Tensor:
        """x [n, d], the sets that its rows belong to [n] (0 .. count - 1) -> [count, d]; 0 for a set of none."""
        # A layer norm without scale lies below sqrt(d), so that exp needs no maximum taken out.
        power = F.layer_norm(x, x.shape[1:]).exp()
        total = power.new_zeros(count, x.shape[1]).index_add(0, which, power)
        x = x + F.gelu(self.across(power / total[which]))
        return mean_of(x + self.narrow(F.gelu(self.wide(self.norm(x)))), which, count)


class Mean(nn.Module):
    """The same as the mean of the members."""

    def forward(self, x: Tensor, which: Tensor, count: int) -> Tensor:
        """x [n, d], which [n] -> [count, d]."""
        return mean_of(x, which, count)


def mean_of(x: Tensor, which: Tensor, count: int) -> Tensor:
    """[n, d] -> [count, d], 0 for a set of none."""
    size = torch.bincount(which, minlength=count).clamp(min=1)
    return x.new_zeros(count, x.shape[1]).index_add(0, which, x) / size[:, None]


class StepMixer(nn.Module):
    """Walks [n, length, inputs] -> [n, d]: a map, one block that mixes steps and then channels, the mean over steps."""

    def __init__(self, inputs: int, dim: int, length: int):
        super().__init__()
        self.map = nn.Linear(inputs, dim)
        self.of_steps, self.of_channels = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.steps = nn.Sequential(nn.Linear(length, 2 * length), nn.GELU(), nn.Linear(2 * length, length))
        self.channels = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """[n, length, inputs] -> [n, d]."""
        x = self.map(x)
        x = x + self.steps(self.of_steps(x).transpose(1, 2)).transpose(1, 2)
        mixed: Tensor = (x + self.channels(self.of_channels(x))).mean(1)
        return mixed


class SetWalks(nn.Module):
    """Batches with `sets` (a hypergraph whose hyperedges are asked about, with the moments where times are known) embed to
    a vector a set; others to one of each of `nodes`. A graph's edges are hyperedges of two."""

    unit: Tensor

    def __init__(
        self,
        dim: int = 64,
        walks: int = 32,
        length: int = 3,
        theta: float = 0.0,
        law: str = "pairs",
        pooling: str = "set-mixer",
        over: str = "hyperedges",
        seed: int = 0,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        for what, value, known in (("law", law, LAWS), ("pooling", pooling, POOLINGS), ("walk over", over, OVER)):
            if value not in known:
                raise unknown(what, value, known)
        if dim < 4 or walks < 1 or length < 1:
            raise SemblanceError(f"{walks} walks of {length} in {dim} dimensions: give 1, 1 and 4 at least")
        self.walks, self.length, self.theta, self.law = walks, length, theta, law
        self.over, self.seed, self.dim = over, seed, dim
        self.name, self.identity = nn.Linear(length, dim), nn.Linear(dim, dim)
        self.members, self.nodes = (SetMixer(dim) if pooling == "set-mixer" else Mean() for _ in range(2))
        self.omega = nn.Parameter(10 ** -torch.linspace(0, 4, dim // 4))
        self.phi = nn.Parameter(torch.zeros(dim // 4))
        self.steps = StepMixer(dim + dim // 4, dim, length)
        self.register_buffer("unit", torch.zeros(()))  # of times: set by the first pass of training
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> [n, dim], of the sets, or the nodes, that the batch asks about."""
        known = over_pairs(as_hyperedges(batch["graph"]), self.over)
        sets = batch.get("sets")
        sets = alone(batch.get("nodes"), known) if sets is None else sets
        seed = int(torch.randint(2**62, ())) if self.training else self.seed
        gap = self._gap(known)
        rows = sets.by_edge()
        until = np.full(sets.num_edges, np.inf) if sets.time is None else sets.time.cpu().numpy().astype(np.float64)
        found = []
        for low in range(0, sets.num_edges, CHUNK):
            some = np.arange(low, min(low + CHUNK, sets.num_edges))
            at, sizes = ranges(rows.start, some)
            found.append(self._embedded(known, rows.index[at], sizes, until[some], gap, seed))
        return torch.cat(found) if found else self.phi.new_zeros(0, self.dim)

    def embed(self, batch: Batch) -> Tensor:
        """The same."""
        return self.forward(batch)

    def _gap(self, known: Hypergraph) -> float:
        """The unit of time."""
        if float(self.unit) > 0:
            return float(self.unit)
        gap = float(known.once("gap", lambda: mean_gap(known)))
        if self.training:
            self.unit.fill_(gap)
        return gap

    def _embedded(
        self, known: Hypergraph, nodes: np.ndarray, sizes: np.ndarray, until: np.ndarray, gap: float, seed: int
    ) -> Tensor:
        through = of_hyperedges(known, self.theta / gap if known.time is not None else 0.0, self.law)
        begin = np.repeat(nodes, self.walks)
        moment = np.repeat(np.repeat(until, sizes), self.walks)
        numbers = begin.astype(np.int64) * self.walks + np.tile(np.arange(self.walks), len(nodes))
        walked, _ = cross(through, begin, self.length, seed=seed, numbers=numbers, until=moment)
        seen = without_names(known, walked, sizes, self.walks)
        states = self._hyperedges(seen)
        states = torch.cat([states, states.new_zeros(1, self.dim)])[torch.from_numpy(seen.step)]  # [W, length, d]
        both = torch.cat([states, self._times(known, walked, moment, gap).to(states)], 2)
        own = torch.arange(len(sizes)).repeat_interleave(torch.from_numpy(sizes))
        each: Tensor = self.steps(both).view(len(nodes), self.walks, self.dim).mean(1)
        pooled: Tensor = self.nodes(each, own, len(sizes))
        return pooled

    def _hyperedges(self, seen: Seen) -> Tensor:
        """Identities of the hyperedges of `seen`, [P, d]."""
        names = F.relu(self.name(torch.from_numpy(seen.share).to(self.phi)))  # [L, d]
        slots = int(seen.slot[-1]) + 1 if len(seen.slot) else 0
        summed = names.new_zeros(slots, self.dim).index_add(0, torch.from_numpy(seen.slot), names)
        identity = self.identity(summed)
        which = torch.from_numpy(seen.owner)
        found: Tensor = self.members(identity[torch.from_numpy(seen.member)], which, seen.count)
        return found

    def _times(self, known: Hypergraph, walked: np.ndarray, moment: np.ndarray, gap: float) -> Tensor:
        """[W, length, d / 4]; 0 where no hyperedge was, and 0 time has passed where there are no times."""
        there = walked >= 0
        if known.time is None:
            since = np.zeros(walked.shape)
        else:
            time = known.time.cpu().numpy().astype(np.float64)
            last = np.where(np.isfinite(moment), moment, time.max(initial=0.0))
            since = np.where(there, last[:, None] - time[walked], 0.0) / gap
        passed = torch.from_numpy(since)[:, :, None].to(self.omega)
        return torch.cos(passed * self.omega + self.phi) * torch.from_numpy(there)[:, :, None]


class Seen(NamedTuple):
    """What the walks of some sets met, without names. P hyperedges and as many nodes as there are slots, each counted anew
    for every set that met it.

    step [W, length]: which of P, or P for none. member [B]: the slots of each hyperedge's nodes, owner [B]: whose. share
    [L, length] float32: g(w; u) of a slot for every node u of its set, slot [L]: which, ascending. count: P.
    """

    step: np.ndarray
    member: np.ndarray
    owner: np.ndarray
    share: np.ndarray
    slot: np.ndarray
    count: int


def without_names(known: Hypergraph, walked: np.ndarray, sizes: np.ndarray, walks: int) -> Seen:
    """walked: hyperedges [W, length], `walks` for each node of each set, whose sizes are given."""
    rows = known.by_edge()
    return Seen(*_seen(rows.start, rows.index, walked, sizes.astype(np.int64), walks, known.num_nodes))


@njit(cache=True, nogil=True)
def _seen(start, index, walked, sizes, walks, nodes):  # type: ignore[no-untyped-def]
    total, length = walked.shape
    step = np.empty((total, length), np.int64)
    bound = 0
    for w in range(total):
        for i in range(length):
            e = walked[w, i]
            if e >= 0:
                bound += start[e + 1] - start[e]
    pair_of, pair_at = np.full(len(start) - 1, -1, np.int64), np.empty(len(start) - 1, np.int64)
    slot_of, slot_at = np.full(nodes, -1, np.int64), np.empty(nodes, np.int64)
    member, owner = np.empty(bound, np.int64), np.empty(bound, np.int64)
    begin = np.empty(total * length + 1, np.int64)  # of every pair's members
    first, slots_of = np.empty(len(sizes) + 1, np.int64), np.empty(len(sizes), np.int64)
    pairs, slots, filled, rows, w = 0, 0, 0, 0, 0
    for q in range(len(sizes)):
        first[q], before = slots, slots
        for _ in range(sizes[q] * walks):
            for i in range(length):
                e = walked[w, i]
                if e < 0:
                    step[w, i] = -1
                    continue
                if pair_of[e] != q:
                    pair_of[e], pair_at[e], begin[pairs] = q, pairs, filled
                    for p in range(start[e], start[e + 1]):
                        v = index[p]
                        if slot_of[v] != q:
                            slot_of[v], slot_at[v] = q, slots
                            slots += 1
                        member[filled], owner[filled] = slot_at[v], pairs
                        filled += 1
                    pairs += 1
                step[w, i] = pair_at[e]
            w += 1
        slots_of[q] = slots - before
        rows += slots_of[q] * sizes[q]
    begin[pairs] = filled
    share, slot = np.zeros((rows, length), np.float32), np.empty(rows, np.int64)
    row, w = 0, 0
    for q in range(len(sizes)):
        n = sizes[q]
        for k in range(slots_of[q]):
            for a in range(n):
                slot[row + k * n + a] = first[q] + k
        for a in range(n):
            for _ in range(walks):
                for i in range(length):
                    pair = step[w, i]
                    if pair < 0:
                        step[w, i] = pairs
                        continue
                    for p in range(begin[pair], begin[pair + 1]):
                        share[row + (member[p] - first[q]) * n + a, i] += np.float32(1.0 / walks)
                w += 1
        row += slots_of[q] * n
    return step, member[:filled], owner[:filled], share, slot, pairs


def as_hyperedges(graph: Hypergraph | Graph) -> Hypergraph:
    """A hypergraph as it is; of a graph every edge, an undirected one once, with its time."""
    if isinstance(graph, Hypergraph):
        return graph

    def make() -> Hypergraph:
        ends = graph.edge_index.cpu()
        if not graph.directed:
            ends = ends[:, ends[0] <= ends[1]]
            time = None if graph.time is None else graph.time.cpu()[graph.edge_index[0] <= graph.edge_index[1]]
        else:
            time = None if graph.time is None else graph.time.cpu()
        apart = ends[0] != ends[1]
        number = torch.arange(ends.shape[1])
        return Hypergraph(
            node=torch.cat([ends[0], ends[1][apart]]),
            edge=torch.cat([number, number[apart]]),
            num_nodes=graph.num_nodes,
            num_edges=ends.shape[1],
            time=time,
        )

    return graph.once("hyperedges", make)


def over_pairs(known: Hypergraph, over: str) -> Hypergraph:
    """What is walked over: the hyperedges, or every hyperedge as all pairs of its nodes (a node alone stays)."""
    if over == "hyperedges":
        return known

    def make() -> Hypergraph:
        rows = known.by_edge()
        ends = _pairs(rows.start, rows.index)
        low, high, edge = (torch.from_numpy(column) for column in ends.T)
        apart, number = low != high, torch.arange(len(ends))
        return Hypergraph(
            node=torch.cat([low, high[apart]]),
            edge=torch.cat([number, number[apart]]),
            num_nodes=known.num_nodes,
            num_edges=len(ends),
            time=None if known.time is None else known.time[edge],
        )

    return known.once("pairs", make)


@njit(cache=True, nogil=True)
def _pairs(start, index):  # type: ignore[no-untyped-def]
    count = 0
    for e in range(len(start) - 1):
        n = start[e + 1] - start[e]
        count += 1 if n == 1 else n * (n - 1) // 2
    out, at = np.empty((count, 3), np.int64), 0
    for e in range(len(start) - 1):
        n = start[e + 1] - start[e]
        for i in range(start[e], start[e + 1]):
            for j in range(i if n == 1 else i + 1, start[e + 1]):
                out[at, 0], out[at, 1], out[at, 2] = index[i], index[j], e
                at += 1
    return out


def alone(nodes: Tensor | None, known: Hypergraph) -> Hypergraph:
    """Every node (None: all) as the set of it, asked about after the last hyperedge."""
    nodes = torch.arange(known.num_nodes) if nodes is None else nodes
    return Hypergraph(nodes, torch.arange(len(nodes)), known.num_nodes, len(nodes))


def mean_gap(known: Hypergraph) -> float:
    """Time between two moments of a hypergraph on average; 1 where there are not two."""
    if known.time is None or not len(known.time):
        return 1.0
    moments: Any = torch.unique(known.time)
    return float(moments[-1] - moments[0]) / (len(moments) - 1) if len(moments) > 1 else 1.0

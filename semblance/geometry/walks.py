"""Walks: sequences of states, each reached from the one before by a step of known law. One sampler for all of them.

    first order    P(x | v)    = w_vx / sum_y w_vy
    second order   P(x | t, v) ~ w_vx b(t, x),   b = 1/p where x = t, 1 where t -> x is an edge, 1/q elsewhere

The second order is sampled by rejection: a first-order step is kept with probability b / max b, so nothing is stored per
edge pair. Where going back is the likeliest of all, its surplus is drawn apart and does not lower the rest. A step that
was refused `PATIENCE` times is drawn from its whole row, which is the same law and bounds the time.

What varies: the states (`Moves`: nodes of a graph, or anything with rows of where to go: simplices, hyperedges), weights,
p and q, the length, where walks start. Walk i draws from a stream of its own, counted from (seed, i): the walks are the
same however many threads share them out, and block by block as all at once.

Grover & Leskovec 2016, node2vec, arXiv:1607.00653; rejection: Yang et al. 2019, KnightKing, SOSP; alias tables: Walker
1977.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.threads import share

Array = NDArray[Any]

PATIENCE = 32
BLOCK = 256
GOLDEN, MIX1, MIX2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
LOW = np.uint64(0xFFFFFFFF)
UNIT = 2.0**-32


@dataclass(frozen=True, eq=False)
class Moves:
    """Where a walk may go from each of S states: to index[start[s] : start[s + 1]], ascending, int32.

    degree: float64 [S], the number of a state's moves, or their weight. weight, share, other: of every move, float32,
    float32 and int32 (the alias table of its row), or empty: all alike.
    """

    start: Array
    index: Array
    degree: Array
    weight: Array
    share: Array
    other: Array

    @property
    def num_states(self) -> int:
        """S."""
        return len(self.start) - 1


def moves_between(start: Array, index: Array, weight: Array | None = None) -> Moves:
    """The moves of any state space, given as compressed rows. Weights are 0 or more; a row of zeros is a dead end."""
    start, index = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(index, np.int32)
    none, count = np.empty(0, np.float32), np.diff(start)
    if weight is None or (len(weight) and bool((weight == weight[0]).all()) and weight[0] > 0):
        return Moves(start, index, count.astype(np.float64), none, none, np.empty(0, np.int32))
    weight = np.ascontiguousarray(weight, np.float32)
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        value = float(weight[wrong][0])
        raise SemblanceError(
            f"an edge has weight {value:g}, but a walk needs weights of 0 or more: drop or rescale them"
        )
    share, other = np.empty(len(weight), np.float32), np.empty(len(weight), np.int32)
    _alias(start, weight, share, other)
    degree = np.bincount(np.repeat(np.arange(len(count)), count), weight, len(count))
    return Moves(start, index, degree, weight, share, other)


def moves(graph: Graph) -> Moves:
    """Along the edges of a graph, in their direction, by their weight where there is one. Times are not read; negative
    signs are refused."""

    def make() -> Moves:
        refuse_signs(graph)
        rows = graph.columns()
        weight = None if graph.weight is None else graph.weight.detach().cpu().numpy()[rows.order]
        return moves_between(rows.start, rows.index, weight)

    return graph.once("moves", make)


def refuse_signs(graph: Graph) -> None:
    """Error where an edge says dislike: to be met on a walk, or in a subgraph, is to be near."""
    if graph.sign is not None and bool((graph.sign < 0).any()):
        raise SemblanceError(
            f"{int((graph.sign < 0).sum())} of {graph.num_edges} edges have a negative sign, but a walk takes an edge for "
            "nearness: drop those edges or take a method for signed graphs"
        )


def starts(states: Moves, times: int, law: str, rng: np.random.Generator) -> Array:
    """Where times * S walks start, int32: `each` (every state so often, in a new order each time), `uniform` (drawn) or
    `degree` (drawn by the weight of a state's moves, the law of a long undirected walk)."""
    count = states.num_states
    if law == "each":
        return rng.permuted(np.tile(np.arange(count, dtype=np.int32), (times, 1)), axis=1).reshape(-1)
    if law == "uniform":
        return rng.integers(count, size=times * count, dtype=np.int32)
    if law == "degree":
        whole = states.degree.sum()
        if not whole > 0:
            raise SemblanceError("walks are to start by degree, but no state has a move: let them start at `each`")
        return rng.choice(count, size=times * count, p=states.degree / whole).astype(np.int32)
    raise unknown("law of starts", law, ("each", "uniform", "degree"))


def sample(
    states: Moves,
    start: Array,
    length: int,
    *,
    seed: int,
    p: float = 1.0,
    q: float = 1.0,
    first: int = 0,
) -> Array:
    """Walks of `length` states, one from each of `start` [W] -> int32 [W, length], -1 behind a dead end.

    `first` is the number of the first walk: its stream is counted from there. On as many threads as torch has.
    """
    for name, value in (("p", p), ("q", q)):
        if not (math.isfinite(value) and value > 0):
            raise SemblanceError(f"{name} is {value}, but it divides the weight of a step: give a number above 0")
    if length < 1:
        raise SemblanceError(f"walks are {length} states long: give 1 or more")
    start = np.ascontiguousarray(start, np.int32)
    if len(start) and not (start.min() >= 0 and start.max() < states.num_states):
        raise SemblanceError(
            f"a walk starts at {start.min()} or {start.max()}, but states are 0 to {states.num_states - 1}"
        )
    law = (1 / p, 1 / q)
    key = np.uint64(seed % 2**63)
    out = np.empty((len(start), length), np.int32)

    def work(low: int, high: int) -> None:
        _walk(*_arrays(states), start, key, first, *law, out, low, high)

    share_out(work, len(start), BLOCK)
    return out


def share_out(work: Callable[[int, int], None], rows: int, block: int) -> None:
    """Call work(low, high) for all rows, in blocks on as many threads as torch has, or at once on one."""
    threads = torch.get_num_threads()
    size = block if threads > 1 else max(rows, 1)
    share([partial(work, low, min(low + size, rows)) for low in range(0, rows, size)], threads)


def _arrays(states: Moves) -> tuple[Array, ...]:
    return states.start, states.index, states.degree, states.weight, states.share, states.other


@njit(inline="always")
def stream(key, number):  # type: ignore[no-untyped-def]
    """The state of chance with which the stream of this number starts."""
    z = key + GOLDEN * (np.uint64(number) + np.uint64(1))
    z = (z ^ (z >> np.uint64(32))) * MIX2
    return z ^ (z >> np.uint64(29))


@njit(inline="always")
def draw(state):  # type: ignore[no-untyped-def]
    """64 random bits and the next state (splitmix64: Steele, Lea & Flood 2014)."""
    state = state + GOLDEN
    z = (state ^ (state >> np.uint64(30))) * MIX1
    z = (z ^ (z >> np.uint64(27))) * MIX2
    return z ^ (z >> np.uint64(31)), state


@njit(inline="always")
def below(bits, count):  # type: ignore[no-untyped-def]
    """0 .. count - 1 from the upper 32 bits; off the uniform by less than count / 2^32."""
    return np.int64(((bits >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32))


@njit(inline="always")
def fraction(bits):  # type: ignore[no-untyped-def]
    """[0, 1) from the lower 32 bits."""
    return np.float64(np.int64(bits & LOW)) * UNIT


@njit(cache=True, nogil=True)
def _alias(start, weight, share, other):  # type: ignore[no-untyped-def]
    """Per row, a table of equal columns of two: place i is kept with probability share[i], else other[i] (in the row).
    A row without weight gets share -1."""
    longest = 0
    for s in range(len(start) - 1):
        longest = max(longest, start[s + 1] - start[s])
    height = np.empty(longest, np.float64)
    small, large = np.empty(longest, np.int64), np.empty(longest, np.int64)
    for s in range(len(start) - 1):
        low, count = start[s], start[s + 1] - start[s]
        total = 0.0
        for i in range(count):
            total += weight[low + i]
        if not total > 0:
            share[low : low + count] = -1
            other[low : low + count] = 0
            continue
        smalls, larges = 0, 0
        for i in range(count):
            height[i] = weight[low + i] * count / total
            share[low + i], other[low + i] = 1, i
            if height[i] < 1:
                small[smalls] = i
                smalls += 1
            else:
                large[larges] = i
                larges += 1
        while smalls and larges:
            smalls -= 1
            i, j = small[smalls], large[larges - 1]
            share[low + i], other[low + i] = height[i], j
            height[j] -= 1 - height[i]
            if height[j] < 1:
                larges -= 1
                small[smalls] = j
                smalls += 1


def alias_of(weight: Array) -> tuple[Array, Array]:
    """share, other of one row of weights, to be read by `pick`."""
    weight = np.ascontiguousarray(weight, np.float32)
    share, other = np.empty(len(weight), np.float32), np.empty(len(weight), np.int32)
    _alias(np.array([0, len(weight)]), weight, share, other)
    return share, other


@njit(inline="always")
def pick(bits, share, other, low, count):  # type: ignore[no-untyped-def]
    """A place in the row that begins at `low`, by its alias table."""
    i = below(bits, count)
    return i if fraction(bits) < share[low + i] else np.int64(other[low + i])


@njit(inline="always")
def _place(index, low, high, x):  # type: ignore[no-untyped-def]
    """The first place in an ascending row whose entry is not below x."""
    while low < high:
        middle = (low + high) >> 1
        if index[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _joined(start, index, t, x):  # type: ignore[no-untyped-def]
    high = start[t + 1]
    at = _place(index, start[t], high, x)
    return at < high and index[at] == x


@njit(cache=True, nogil=True)
def _of_whole_row(start, index, weight, t, v, back, far, u):  # type: ignore[no-untyped-def]
    """The step for u in [0, 1), from the weights of all moves of v."""
    total = 0.0
    for turn in range(2):
        reached = 0.0
        for at in range(start[v], start[v + 1]):
            x = index[at]
            b = back if x == t else (1.0 if _joined(start, index, t, x) else far)
            reached += b * (weight[at] if len(weight) else 1.0)
            if turn == 1 and u * total < reached:
                return x
        total = reached
    return index[start[v + 1] - 1]


@njit(cache=True, nogil=True)
def _weight_of(index, weight, low, high, x):  # type: ignore[no-untyped-def]
    """Of all moves to x in a row."""
    found, at = 0.0, _place(index, low, high, x)
    while at < high and index[at] == x:
        found += weight[at] if len(weight) else 1.0
        at += 1
    return found


@njit(cache=True, nogil=True)
def _walk(start, index, degree, weight, share, other, begin, key, first, back, far, out, low, high):  # type: ignore[no-untyped-def]
    # Between these two an edge t -> x decides; below and above the answer is known without looking.
    sure, top = min(1.0, far), max(1.0, far)
    length = out.shape[1]
    for i in range(low, high):
        state = stream(key, first + i)
        v, t = np.int64(begin[i]), np.int64(-1)
        out[i, 0] = v
        for step in range(1, length):
            at, count = start[v], start[v + 1] - start[v]
            if not degree[v] > 0:
                out[i, step:] = -1
                break
            surplus = 0.0
            if t >= 0 and back > top and count > 1:
                extra = (back - top) * _weight_of(index, weight, at, start[v + 1], t)
                surplus = extra / (extra + top * degree[v])
            x = np.int64(-1)
            for _ in range(PATIENCE):
                if surplus > 0:
                    bits, state = draw(state)
                    if fraction(bits) < surplus:
                        x = t
                        break
                bits, state = draw(state)
                if len(share):
                    tried = np.int64(index[at + pick(bits, share, other, at, count)])
                    bits, state = draw(state)
                else:
                    tried = np.int64(index[at + below(bits, count)])
                y = fraction(bits) * top
                if t < 0 or count == 1:
                    x = tried
                elif tried == t:
                    if y < back:
                        x = tried
                elif y < sure or _joined(start, index, t, tried) == (far < 1.0):
                    x = tried
                if x >= 0:
                    break
            if x < 0:
                bits, state = draw(state)
                x = np.int64(_of_whole_row(start, index, weight, t, v, back, far, fraction(bits)))
            out[i, step] = x
            t, v = v, x

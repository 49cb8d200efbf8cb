"""Walks through an incidence: from a state over something that it shares with another state to that one.

    simplices     over a common face or coface                      hyperedges    over a common node, backward in time

`over` are the things shared. With w(next) = exp(theta (t_next - t_now)), 1 where there are no times, the step law is
    pairs        P(over, next) ~ w(next): a neighbour counts as often as there are things shared with it
    neighbours   P(next) ~ w(next), over then uniform among what is shared: `pairs` by rejection, kept with 1 / shared
    over         over uniform among those that lead on, then next ~ w among the states there

With times a step goes to a state strictly before the present one; without, to any other. A walk starts at a state, or by
the law of a step from one of the things shared, such as a node with its hyperedges before a moment. Draws and threads are
those of walks.py: walk i reads the stream counted from (seed, numbers[i]).

Prefix sums of w are kept relative to the latest state of each, D_p = sum_{j <= p} exp(theta (t_j - t_p)), which
neither over- nor underflow, and a step with theta is a binary search in them.

Behrouz et al. 2023, CAT-Walk, arXiv:2306.11147; Frantzen & Schaub 2024, SCRaWl, arXiv:2404.03434.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from semblance.errors import SemblanceError, unknown
from semblance.geometry.cells import CellComplex
from semblance.geometry.graph import Rows, grouped
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.walks import BLOCK, below, draw, fraction, share_out, stream

Array = NDArray[Any]
LAWS = ("pairs", "neighbours", "over")


@dataclass(frozen=True, eq=False)
class Crossings:
    """S states, C things shared, I incidences.

    start [S + 1], over [I]: what each state has. own [I]: the state's place among those of over[i]; count [I]: how many
    of these may follow, all others or, with times, those before it, which stand first; reach [I]: sum of the law's
    weights over a state's incidences up to this one. back_start [C + 1], back [I]: the states of each thing shared.
    time [S], decayed [I] (D of the states in `back`): empty without times, without theta.
    """

    start: Array
    over: Array
    own: Array
    count: Array
    reach: Array
    back_start: Array
    back: Array
    time: Array
    decayed: Array
    theta: float
    law: str

    @property
    def num_states(self) -> int:
        """S."""
        return len(self.start) - 1


def crossings(
    states: Rows, shared: Rows, time: Array | None = None, theta: float = 0.0, law: str = "pairs"
) -> Crossings:
    """states: what every state has; shared: the same incidences by the things shared. time: of every state."""
    if law not in LAWS:
        raise unknown("law of a step", law, LAWS)
    if not (math.isfinite(theta) and theta >= 0) or (theta > 0 and time is None):
        needs = "states have no times" if time is None else "it favours the latest states"
        raise SemblanceError(f"theta is {theta} and {needs}: give 0, or a positive number with times")
    size, degree = len(states.index), states.degree
    state, begin = np.repeat(np.arange(len(degree)), degree), shared.start[:-1]
    moment = np.empty(0) if time is None else np.ascontiguousarray(time, np.float64)
    # By thing shared, then time, then number: those that may follow a state stand before it.
    order = np.lexsort((state, moment[state], states.index) if time is not None else (state, states.index))
    back, at = state[order].astype(np.int32), states.index[order]
    place = np.empty(size, np.int64)
    place[order] = np.arange(size)
    own = place - begin[states.index]
    if time is None:
        count = shared.degree[states.index] - 1
    else:
        first = np.ones(size, np.bool_)  # of those with one time
        first[1:] = (at[1:] != at[:-1]) | (moment[back[1:]] != moment[back[:-1]])
        count = (np.maximum.accumulate(np.where(first, np.arange(size), 0)) - begin[at])[place]
    decayed = np.empty(0)
    mass = count.astype(np.float64)
    if theta > 0:
        decayed = np.empty(size)
        _decay(shared.start, back, moment, theta, decayed)
        last = np.maximum(begin[states.index] + count - 1, 0)
        gap = np.where(count > 0, moment[back[last]] - moment[state], 0.0)
        mass = np.where(count > 0, decayed[last] * np.exp(theta * gap), 0.0)
    if law == "over":
        mass = (count > 0).astype(np.float64)
    reach = np.empty(size)
    _added(states.start, mass, reach)
    narrow = (states.index, own.astype(np.int32), count.astype(np.int32))
    return Crossings(states.start, *narrow, reach, shared.start, back, moment, decayed, float(theta), law)


def of_hyperedges(hypergraph: Hypergraph, theta: float = 0.0, law: str = "pairs") -> Crossings:
    """From hyperedge to hyperedge over common nodes: backward in time where there is one."""

    def make() -> Crossings:
        time = None if hypergraph.time is None else hypergraph.time.cpu().numpy()
        return crossings(hypergraph.by_edge(), hypergraph.by_node(), time, theta if time is not None else 0.0, law)

    return hypergraph.once(("crossings", theta, law), make)


def of_cells(complex_: CellComplex, k: int, law: str = "over") -> Crossings:
    """From k-cell to k-cell over common faces, which have the numbers 0, 1, ..., and over common cofaces, numbered on."""

    def make() -> Crossings:
        faces, none = complex_.size(k - 1), torch.empty(0, dtype=torch.int64)
        lower = complex_.boundaries[k - 1] if 1 <= k <= complex_.dim else None
        upper = complex_.boundaries[k] if k < complex_.dim else None
        state = torch.cat([none if lower is None else lower.cell, none if upper is None else upper.face])
        shared = torch.cat([none if lower is None else lower.face, none if upper is None else upper.cell + faces])
        things = faces + complex_.size(k + 1)
        return crossings(grouped(shared, state, complex_.size(k)), grouped(state, shared, things), law=law)

    return complex_.once(("crossings", k, law), make)


def cross(
    through: Crossings,
    begin: Array,
    length: int,
    *,
    seed: int,
    numbers: Array | None = None,
    until: Array | None = None,
) -> tuple[Array, Array]:
    """Walks of `length` states -> states int32 [W, length], and what was crossed on the way to each, the same; -1 behind a
    dead end, and where a walk starts at a state nothing was crossed to it.

    begin: [W] states; with until [W] (moments; inf: all of them): things shared, whose states before then are the first.
    numbers [W]: the streams of chance, 0, 1, ... where None.
    """
    if length < 1:
        raise SemblanceError(f"walks are {length} states long: give 1 or more")
    begin = np.ascontiguousarray(begin, np.int32)
    most = through.num_states if until is None else len(through.back_start) - 1
    if len(begin) and not (begin.min() >= 0 and begin.max() < most):
        raise SemblanceError(f"a walk starts at {begin.min()} or {begin.max()}, but there are {most} places (from 0)")
    moments = np.empty(0) if until is None else np.ascontiguousarray(until, np.float64)
    streams = np.arange(len(begin)) if numbers is None else np.ascontiguousarray(numbers, np.int64)
    states, crossed = np.empty((len(begin), length), np.int32), np.empty((len(begin), length), np.int32)
    of_states = (through.start, through.over, through.own, through.count, through.reach)
    held = (*of_states, through.back_start, through.back, through.time, through.decayed)
    alike, key = through.law == "neighbours", np.uint64(seed % 2**63)

    def work(low: int, high: int) -> None:
        _cross(*held, through.theta, alike, begin, moments, streams, key, states, crossed, low, high)

    share_out(work, len(begin), BLOCK)
    return states, crossed


@njit(cache=True, nogil=True)
def _decay(start, back, time, theta, out):  # type: ignore[no-untyped-def]
    for c in range(len(start) - 1):
        for p in range(start[c], start[c + 1]):
            out[p] = 1.0
            if p > start[c]:
                out[p] += out[p - 1] * math.exp(theta * (time[back[p - 1]] - time[back[p]]))


@njit(cache=True, nogil=True)
def _added(start, mass, out):  # type: ignore[no-untyped-def]
    for s in range(len(start) - 1):
        total = 0.0
        for i in range(start[s], start[s + 1]):
            total += mass[i]
            out[i] = total


@njit(inline="always")
def _choice(u, low, count, back, time, decayed, theta):  # type: ignore[no-untyped-def]
    """A place among the first `count` states from `low` for u in [0, 1): all alike, or weighed by their time."""
    if theta == 0.0:
        return np.int64(u * count)
    last = time[back[low + count - 1]]
    wanted = u * decayed[low + count - 1]
    first, end = np.int64(0), np.int64(count - 1)
    while first < end:
        middle = (first + end) >> 1
        p = low + middle
        if decayed[p] * math.exp(theta * (time[back[p]] - last)) <= wanted:
            first = middle + 1
        else:
            end = middle
    return first


@njit(inline="always")
def _row(reach, low, high, wanted):  # type: ignore[no-untyped-def]
    """The first incidence from `low` whose sum lies above."""
    high -= 1
    while low < high:
        middle = (low + high) >> 1
        if reach[middle] <= wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(inline="always")
def _earlier(back_start, back, time, c, moment):  # type: ignore[no-untyped-def]
    """How many states of c stand before a moment."""
    low, high = back_start[c], back_start[c + 1]
    if not len(time):
        return high - low
    while low < high:
        middle = (low + high) >> 1
        if time[back[middle]] < moment:
            low = middle + 1
        else:
            high = middle
    return low - back_start[c]


@njit(cache=True, nogil=True)
def _common(start, over, a, b):  # type: ignore[no-untyped-def]
    """How much two states share; both rows ascend."""
    i, j, found = start[a], start[b], 0
    while i < start[a + 1] and j < start[b + 1]:
        if over[i] == over[j]:
            found, i, j = found + 1, i + 1, j + 1
        elif over[i] < over[j]:
            i += 1
        else:
            j += 1
    return found


@njit(cache=True, nogil=True)
def _cross(  # type: ignore[no-untyped-def]
    start,
    over,
    own,
    count,
    reach,
    back_start,
    back,
    time,
    decayed,
    theta,
    alike,
    begin,
    until,
    numbers,
    key,
    states,
    crossed,
    low,
    high,
):
    length = states.shape[1]
    for w in range(low, high):
        state = stream(key, numbers[w])
        s, c = np.int64(begin[w]), np.int64(-1)
        if len(until):
            c = s
            before = _earlier(back_start, back, time, c, until[w])
            if before == 0:
                states[w, :], crossed[w, :] = -1, -1
                continue
            bits, state = draw(state)
            s = np.int64(
                back[back_start[c] + _choice(fraction(bits), back_start[c], before, back, time, decayed, theta)]
            )
        states[w, 0], crossed[w, 0] = s, c
        for step in range(1, length):
            a, b = start[s], start[s + 1]
            if a == b or not reach[b - 1] > 0.0:
                states[w, step:], crossed[w, step:] = -1, -1
                break
            while True:
                bits, state = draw(state)
                i = _row(reach, a, b, fraction(bits) * reach[b - 1])
                c = np.int64(over[i])
                bits, state = draw(state)
                at = _choice(fraction(bits), back_start[c], np.int64(count[i]), back, time, decayed, theta)
                if at >= own[i]:  # only where no time orders the states: all but this one may follow
                    at += 1
                after = np.int64(back[back_start[c] + at])
                if not alike:
                    break
                bits, state = draw(state)
                if below(bits, _common(start, over, s, after)) == 0:
                    break
            s = after
            states[w, step], crossed[w, step] = s, c

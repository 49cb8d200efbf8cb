"""Colour refinement: what message passing can tell apart, the measure by which its layers are judged.

    c_0(v) = initial colour,    c_r+1(v) = number of ( c_r(v), multiset of c_r(u) over neighbours u )

Two graphs are separated when their counts of colours differ in some round. The subtree kernel is the product of these
counts, summed over rounds. A multiset is known by two 64-bit sums of mixed colours: two different ones agree with a
chance of about 2^-128. References: Weisfeiler & Leman 1968; Shervashidze et al. 2011, JMLR 12.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numba import njit
from scipy.sparse import csr_array

from semblance.geometry.graph import Graph, joined

SALTS = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)


def colours(graph: Graph, rounds: int | None = None, initial: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """int64 [V] of every round, the initial one (all 0 unless given) first; without `rounds`, until no class
    splits."""
    now = np.zeros(graph.num_nodes, np.int64) if initial is None else _numbered(np.asarray(initial)[:, None])
    rows = graph.rows()
    yield now
    done = 0
    while rounds is None or done < rounds:
        sums = [_mixed(rows.start, rows.index, now, np.uint64(salt)) for salt in SALTS]
        following = _numbered(np.stack([now.astype(np.uint64), *sums], 1))
        if rounds is None and following.max(initial=-1) == now.max(initial=-1):
            return
        now, done = following, done + 1
        yield now


def wl_distinguishes(
    one: Graph, other: Graph, initial: tuple[np.ndarray, np.ndarray] | None = None, rounds: int | None = None
) -> bool:
    """Whether colour refinement tells two graphs apart; `initial`: node labels of each."""
    both = joined([one, other])
    member = both.member.numpy() if both.member is not None else np.zeros(0, np.int64)
    start = None if initial is None else np.concatenate(initial)
    for colour in colours(both, rounds, start):
        size = int(colour.max(initial=-1)) + 1
        counts = [np.bincount(colour[member == g], minlength=size) for g in (0, 1)]
        if not np.array_equal(*counts):
            return True
    return False


def subtree_kernel(graphs: Sequence[Graph], rounds: int = 3, initial: Sequence[np.ndarray] | None = None) -> np.ndarray:
    """float64 [n, n]: products of colour counts, summed over rounds 0 .. rounds."""
    every = joined(graphs)
    member = torch.zeros(0, dtype=torch.int64).numpy() if every.member is None else every.member.numpy()
    total = np.zeros((len(graphs), len(graphs)))
    for colour in colours(every, rounds, None if initial is None else np.concatenate(initial)):
        size = int(colour.max(initial=-1)) + 1
        counts = csr_array((np.ones(len(colour)), (member, colour)), shape=(len(graphs), size))
        total += (counts @ counts.T).toarray()
    return total


def _numbered(keys: np.ndarray) -> np.ndarray:
    """[V, k] -> int64 [V], equal rows with equal numbers 0, 1, ..."""
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


@njit(cache=True, nogil=True)
def _mixed(start, index, colour, salt):  # type: ignore[no-untyped-def]
    out = np.zeros(len(start) - 1, np.uint64)
    for i in range(len(start) - 1):
        for p in range(start[i], start[i + 1]):
            z = np.uint64(colour[index[p]]) + salt  # splitmix64's finish: sums of plain colours would collide
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            out[i] += z ^ (z >> np.uint64(31))
    return out

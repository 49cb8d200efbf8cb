"""Counts of induced graphlets by pairs of nodes, one row of the graph at a time.

Every connected set of 4 nodes that a path u - a - b - c from u runs through is met from u, and three bits say which
graphlet it is: are u-b, u-c, a-c edges?

    u-b u-c a-c      graphlet     u is        counted at
     0   0   0       path         end         a (near), b (far), c (end)
     0   0   1       paw          tail        a (centre, twice), b (base)
     0   1   0       cycle        -           a (adjacent), b (opposite, twice)
     1   0   0       paw          base        a (base), b (centre), c (tail)
     1   0   1       diamond      tip         a (hub), c (tip, twice)
     1   1   1       clique       -           a (twice)

The two that are left out are diamonds met another way. What no such path shows follows by subtraction from all sets of a
kind: middles of a path from the pairs of a neighbour of u and one of v, claws from the pairs of neighbours, hubs of a
diamond from the pairs of common neighbours. So a claw is never enumerated, nor is anything stored per set. Pairs two steps
apart and three steps apart are gathered in dense rows of one thread and written as sparse ones.

The cost is that of all walks of three steps: sum over edges of d_a d_b.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

ON_EDGES = ("triangle", "near", "centre-of-tail", "adjacent", "base-base", "base-centre", "tip-hub", "clique")
TWO_APART = ("common", "far", "leaf-leaf", "opposite", "tail-base", "tip-tip")


@njit(cache=True, nogil=True)
def rows_of_counts(start, index, low, high, edge):  # type: ignore[no-untyped-def]
    """Rows low .. high - 1 of a simple undirected graph given by ascending rows. Fills edge int64 [8, E] (ON_EDGES) at the
    edges of these rows.

    Returns, for pairs two steps apart and not joined, row lengths, columns and counts [6, n] (TWO_APART), and for ends of
    4-paths the same with counts [n]; columns in the order in which they were met.
    """
    nodes = len(start) - 1
    place, of_a = np.full(nodes, -1, np.int64), np.zeros(nodes, np.bool_)  # where in u's row a node stands, if it does
    two, three = np.zeros((nodes, 8), np.int64), np.zeros(nodes, np.int64)
    seen_two, seen_three = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    length_two, length_three = np.zeros(high - low, np.int64), np.zeros(high - low, np.int64)
    column_two, count_two = np.empty(1024, np.int32), np.empty((6, 1024), np.int64)
    column_three, count_three = np.empty(4096, np.int32), np.empty(4096, np.int64)
    filled_two, filled_three = 0, 0
    for u in range(low, high):
        met_two, met_three = 0, 0
        for p in range(start[u], start[u + 1]):
            place[index[p]] = p
            edge[5, p] = 0
        for p in range(start[u], start[u + 1]):
            a = index[p]
            for r in range(start[a], start[a + 1]):
                of_a[index[r]] = True
            common, near, twice_tail, adjacent = 0, 0, 0, 0
            base, hub, twice_clique = 0, 0, 0
            for r in range(start[a], start[a + 1]):
                b = index[r]
                if b == u:
                    continue
                if place[b] >= 0:
                    common += 1
                    for s in range(start[b], start[b + 1]):
                        c = index[s]
                        if c == u:
                            continue
                        if c == a:
                            continue
                        if place[c] >= 0:
                            twice_clique += of_a[c]
                        elif of_a[c]:
                            hub += 1
                            two[c, 5] += 1
                        else:
                            base += 1
                            edge[5, place[b]] += 1
                            two[c, 6] += 1
                    continue
                if two[b, 0] == 0:
                    seen_two[met_two] = b
                    met_two += 1
                two[b, 0] += 1
                two[b, 7] += start[a + 1] - start[a] - 2
                far, opposite, tail = 0, 0, 0
                for s in range(start[b], start[b + 1]):
                    c = index[s]
                    if c == a:
                        continue
                    if place[c] >= 0:
                        opposite += not of_a[c]
                    elif of_a[c]:
                        tail += 1
                    else:
                        far += 1
                        if three[c] == 0:
                            seen_three[met_three] = c
                            met_three += 1
                        three[c] += 1
                two[b, 1] += far
                two[b, 3] += opposite
                two[b, 4] += tail
                near += far
                adjacent += opposite
                twice_tail += tail
            for r in range(start[a], start[a + 1]):
                of_a[index[r]] = False
            edge[0, p], edge[1, p], edge[2, p], edge[3, p] = common, near, twice_tail // 2, adjacent
            edge[4, p], edge[6, p], edge[7, p] = base, hub, twice_clique // 2
        for p in range(start[u], start[u + 1]):
            place[index[p]] = -1
        if filled_two + met_two > len(column_two):
            size = 2 * (filled_two + met_two)
            more, counts = np.empty(size, np.int32), np.empty((6, size), np.int64)
            more[:filled_two], counts[:, :filled_two] = column_two[:filled_two], count_two[:, :filled_two]
            column_two, count_two = more, counts
        for k in range(met_two):
            b = seen_two[k]
            at = filled_two + k
            column_two[at] = b
            opposite, tip = two[b, 3] // 2, two[b, 5] // 2
            count_two[0, at], count_two[1, at], count_two[3, at] = two[b, 0], two[b, 1], opposite
            count_two[2, at] = two[b, 7] - two[b, 4] - two[b, 6] - 2 * tip
            count_two[4, at], count_two[5, at] = two[b, 4], tip
            two[b] = 0
        filled_two += met_two
        length_two[u - low] = met_two
        if filled_three + met_three > len(column_three):
            size = 2 * (filled_three + met_three)
            more, ends = np.empty(size, np.int32), np.empty(size, np.int64)
            more[:filled_three], ends[:filled_three] = column_three[:filled_three], count_three[:filled_three]
            column_three, count_three = more, ends
        for k in range(met_three):
            c = seen_three[k]
            column_three[filled_three + k], count_three[filled_three + k] = c, three[c]
            three[c] = 0
        filled_three += met_three
        length_three[u - low] = met_three
    return (
        (length_two, column_two[:filled_two].copy(), count_two[:, :filled_two].copy()),
        (length_three, column_three[:filled_three].copy(), count_three[:filled_three].copy()),
    )

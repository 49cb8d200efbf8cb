"""Windows: how often two things stand near each other in sequences, counted; what factorisers of counts read.

    alike       every pair within the window counts 1
    distance    a pair r places apart counts 1 / r

Sequences are walks, or words by number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from semblance.encoders.graphs.cooccurrence import met
from semblance.errors import unknown
from semblance.geometry.graph import Graph
from semblance.geometry.walks import moves, sample, starts

NEARNESS = ("alike", "distance")


def windows(sequences: NDArray[Any], things: int, window: int, nearness: str = "alike") -> sparse.csr_array:
    """sequences int32 [S, L] of things 0 .. things - 1 (-1: ended) -> counts, both ways, [things, things]."""
    if nearness not in NEARNESS:
        raise unknown("nearness", nearness, NEARNESS)
    if nearness == "alike":
        return met(sequences, things, window)
    # 1 / r = sum over windows R >= r of 1 / R - 1 / (R + 1), the last window taking what is left.
    counts = sparse.csr_array((things, things))
    for reach in range(1, window + 1):
        counts = counts + met(sequences, things, reach) * (1 / (reach * (reach + 1)) if reach < window else 1 / window)
    return sparse.csr_array(counts)


def walk_counts(
    graph: Graph,
    seed: int,
    *,
    walks: int = 10,
    length: int = 40,
    window: int = 5,
    p: float = 1.0,
    q: float = 1.0,
    nearness: str = "alike",
) -> sparse.csr_array:
    """Who is met near whom on `walks` walks of `length` nodes from every node, [V, V]."""
    rng = np.random.default_rng(seed)
    begin = starts(moves(graph), walks, "each", rng)
    walked = sample(moves(graph), begin, length, seed=int(rng.integers(2**62)), p=p, q=q)
    return windows(walked, graph.num_nodes, window, nearness)

"""Walks over hyperedges, backward in time, beside the same in plain Python: steps a second on one core.

    python bench/graphs/set_walks.py [--cores 1] [--rounds 3] [arm ...]

20,000 nodes, 100,000 hyperedges of 2 to 8 random nodes at random times; every node starts 32 walks of 4 hyperedges at the
end of time. uniform: any earlier hyperedge that shares a node counts by how many it shares; latest: also by how late it is,
exp(0.0005) for every mean time between two; neighbours: all alike. `steps` a second count hyperedges reached; what is
computed of the hypergraph once (`prepared`, seconds) is left out. plain: the uniform law over lists in Python alone, from
the first 200 nodes. `mean_length`, hyperedges of a walk from these nodes, tells that both walk alike. anonymised: what the
walks of 2,000 sets of three nodes met, without names.
"""

from __future__ import annotations

import bisect
import random
import sys
import time
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench
from semblance.encoders.topology.set_walks import without_names
from semblance.geometry.crossings import cross, of_hyperedges
from semblance.geometry.hypergraph import Hypergraph

NODES, HYPEREDGES, WALKS, LENGTH, FEW, SETS = 20_000, 100_000, 32, 4, 200, 2_000


@lru_cache(maxsize=2)
def hypergraph(nodes: int = NODES, hyperedges: int = HYPEREDGES) -> Hypergraph:
    """Random hyperedges in the order of their times."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 9, hyperedges)
    key = np.unique(np.repeat(np.arange(hyperedges), sizes) * nodes + rng.integers(0, nodes, sizes.sum()))
    ends = (torch.from_numpy(key % nodes), torch.from_numpy(key // nodes))
    return Hypergraph(*ends, nodes, hyperedges, time=torch.from_numpy(np.sort(rng.random(hyperedges) * hyperedges)))


def walked(law: str, theta: float) -> dict[str, float]:
    """Compiled walks."""
    small = hypergraph(50, 100)
    cross(of_hyperedges(small, theta, law), np.arange(50), LENGTH, seed=0, until=np.full(50, np.inf))  # compiles
    graph = hypergraph()
    graph.by_edge(), graph.by_node()
    begun = time.perf_counter()
    through = of_hyperedges(graph, theta, law)
    prepared = time.perf_counter() - begun
    begin = np.repeat(np.arange(NODES), WALKS)
    until = np.full(len(begin), np.inf)
    wall, cpu = time.perf_counter(), time.process_time()
    states, _ = cross(through, begin, LENGTH, seed=1, until=until)
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    reached = int((states >= 0).sum())
    mean = float((states[: FEW * WALKS] >= 0).sum()) / (FEW * WALKS)
    return {
        "seconds": seconds / reached * 1e6,
        "cpu": used / reached * 1e6,
        "steps": reached / seconds,
        "prepared": prepared,
        "mean_length": mean,
    }


def plain() -> dict[str, float]:
    """The uniform law in Python alone."""
    graph = hypergraph()
    by_edge, by_node, moments = graph.by_edge(), graph.by_node(), graph.time.tolist()
    members = [by_edge.index[a:b].tolist() for a, b in zip(by_edge.start, by_edge.start[1:], strict=False)]
    edges = [by_node.index[a:b].tolist() for a, b in zip(by_node.start, by_node.start[1:], strict=False)]
    times = [[moments[e] for e in row] for row in edges]
    draws = random.Random(0)
    reached = 0
    wall, cpu = time.perf_counter(), time.process_time()
    for node in range(FEW):
        for _ in range(WALKS):
            known, now = [node], float("inf")
            for _ in range(LENGTH):
                counts = [bisect.bisect_left(times[v], now) for v in known]
                place = draws.randrange(sum(counts)) if sum(counts) else -1
                if place < 0:
                    break
                which = 0
                while place >= counts[which]:
                    place -= counts[which]
                    which += 1
                edge = edges[known[which]][place]
                known, now = members[edge], moments[edge]
                reached += 1
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "seconds": seconds / reached * 1e6,
        "cpu": used / reached * 1e6,
        "steps": reached / seconds,
        "mean_length": reached / (FEW * WALKS),
    }


def anonymised() -> dict[str, float]:
    """Names taken from the walks of sets."""
    graph = hypergraph()
    nodes = np.random.default_rng(1).integers(0, NODES, 3 * SETS)
    sizes = np.full(SETS, 3)
    begin = np.repeat(nodes, WALKS)
    states, _ = cross(of_hyperedges(graph), begin, LENGTH, seed=1, until=np.full(len(begin), np.inf))
    without_names(graph, states[: 3 * WALKS], sizes[:1], WALKS)  # compiles
    wall, cpu = time.perf_counter(), time.process_time()
    without_names(graph, states, sizes, WALKS)
    return {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


ARMS = {
    "plain": plain,
    "uniform": partial(walked, "pairs", 0.0),
    "latest": partial(walked, "pairs", 0.0005),
    "neighbours": partial(walked, "neighbours", 0.0),
    "anonymised": anonymised,
}

if __name__ == "__main__":
    bench(
        __file__,
        ARMS,
        baseline="plain",
        targets={
            "1,000,000 steps take": ("uniform", 1.0),
            "1,000,000 steps that prefer the latest take": ("latest", 1.0),
            "1,000,000 steps to neighbours all alike take": ("neighbours", 1.0),
        },
        rounds=3,
        notes="seconds and cpu: of 1,000,000 steps (anonymised: of the whole).",
    )

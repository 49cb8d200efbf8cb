"""Walks and co-occurrence beside PecanPy with gensim: node2vec and FastRP on PPI and wiki, orbit adjacencies, memory.

    PECANPY=DIR/bin/python python bench/graphs/walks.py [--rounds 3]     (pecanpy_peer.py says what DIR is)

Without PECANPY its arms are left out, with a line. 10 walks of 80 from every node, p 1, q 0.5, 128 dimensions, window 10,
one epoch, one thread on both sides; compiling is outside the times. Micro-F1: half of the labelled nodes teach, 3 splits;
vectors of length 1, one-vs-rest logistic regression, as many classes as a node has. `orbits`: all 28 of a random graph
of 20,000 nodes and 100,000 edges. `fastrp 10M`: 1,000,000 nodes, 10,000,000 undirected edges, 128 dimensions, peak memory
of the whole process.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench
from semblance.claims.node_settings import half, tell_several
from semblance.data.load import load
from semblance.encoders.graphs.cooccurrence import SkipGram
from semblance.encoders.graphs.graphlets import orbit_adjacencies
from semblance.encoders.graphs.projection import RandomProjection
from semblance.geometry.graph import Graph
from semblance.geometry.walks import moves, sample, starts

P, Q = 1.0, 0.5
DIM = 128
RING = torch.stack([torch.arange(60), (torch.arange(60) + 1) % 60])


def small() -> Graph:
    """What compiles everything: a ring."""
    return Graph(RING, 60).undirected()


def f1(z: np.ndarray, name: str) -> float:
    """Mean micro-F1 of three halves."""
    found = []
    for seed in range(3):
        split = half(load(name), seed)
        y = np.asarray(split.targets["labels"])
        several = y > 0 if y.ndim == 2 else y[:, None] == np.arange(y.max() + 1)
        found.append(tell_several(z, several, split.splits["train"], split.splits["test"]))
    return float(np.mean(found))


def timed(step: Callable[[], np.ndarray]) -> tuple[dict[str, float], np.ndarray]:
    """Seconds and processor seconds of one call, and what it gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    given = step()
    return {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}, given


def node2vec(name: str) -> dict[str, float]:
    """Walks and training of ours."""
    method = SkipGram(p=P, q=Q, subsample=1e-3)  # gensim thins out at 1e-3, too
    method(small(), DIM, 0)
    graph = load(name).graph
    figures, z = timed(lambda: method(graph, DIM, 0)[0])
    return {**figures, "f1": f1(z, name)}


def walks(name: str) -> dict[str, float]:
    """Walks of ours alone, with what is computed of the graph for them."""
    sample(moves(small()), np.zeros(1, np.int32), 5, seed=0, p=P, q=Q)
    graph = load(name).graph

    def step() -> np.ndarray:
        states = moves(graph)
        return sample(states, starts(states, 10, "each", np.random.default_rng(0)), 80, seed=0, p=P, q=Q)

    return timed(step)[0]


def fastrp(name: str) -> dict[str, float]:
    """FastRP as the recipe has it."""
    return projected(load(name).graph, lambda z: {"f1": f1(z, name)})


def projected(graph: Graph, judge: Callable[[np.ndarray], dict[str, float]]) -> dict[str, float]:
    """Time of one embedding."""
    encoder = RandomProjection(DIM)

    def step(of: Graph) -> np.ndarray:
        encoder.solve({"graph": of}, seed=0)
        found: np.ndarray = encoder({"graph": of}).numpy()
        return found

    step(small())
    figures, z = timed(lambda: step(graph))
    return {**figures, **judge(z)}


def random_graph(nodes: int, edges: int) -> Graph:
    """Undirected edges between random nodes."""
    ends = torch.from_numpy(np.random.default_rng(0).integers(0, nodes, (2, edges)))
    return Graph(torch.cat([ends, ends.flip(0)], 1), nodes)


def peak(z: np.ndarray) -> dict[str, float]:
    """Peak memory of this process so far, in GB."""
    return {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def large_fastrp(nodes: int = 1_000_000, edges: int = 10_000_000) -> dict[str, float]:
    """FastRP of a large random graph, with the peak memory."""
    return projected(random_graph(nodes, edges), peak)


def orbits(nodes: int = 20_000, edges: int = 100_000) -> dict[str, float]:
    """All 28 orbit adjacencies."""
    orbit_adjacencies(small())
    graph = random_graph(nodes, edges)
    return timed(lambda: np.array([m.nnz for m in orbit_adjacencies(graph).values()]))[0]


def peer(name: str, walks_only: bool) -> dict[str, float]:
    """PecanPy and gensim in their own environment."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "edges.npy", Path(folder) / "vectors.npy"
        ends = load(name).graph.edge_index.numpy()
        np.save(source, ends[:, ends[0] < ends[1]])
        script = str(Path(__file__).with_name("pecanpy_peer.py"))
        asked = [os.environ["PECANPY"], script, str(source), str(target), str(P), str(Q), "0"]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        ran = subprocess.run(
            [*asked, *(["--walks-only"] if walks_only else [])],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        told = json.loads(ran.stdout.splitlines()[-1])
        if walks_only:
            return {"seconds": told["walks"], "cpu": told["walks_cpu"]}
        z = np.load(target)
        z = np.concatenate([z, np.zeros((len(load(name)) - len(z), DIM), np.float32)])
        total = {"seconds": told["walks"] + told["training"], "cpu": told["walks_cpu"] + told["training_cpu"]}
        return {**total, "f1": f1(z, name)}


ARMS: dict[str, Callable[[], dict[str, float]]] = {"orbits": orbits, "fastrp 10M": large_fastrp}
TARGETS: dict[str, tuple[str, float]] = {"orbit adjacencies of 20,000 nodes and 100,000 edges": ("orbits", 120.0)}
for graph_name in ("ppi", "wiki"):
    for arm, run in (("node2vec", node2vec), ("walks", walks), ("fastrp", fastrp)):
        ARMS[f"{arm} {graph_name}"] = partial(run, graph_name)
    if "PECANPY" in os.environ:
        ARMS[f"pecanpy {graph_name}"] = partial(peer, graph_name, False)
        ARMS[f"pecanpy walks {graph_name}"] = partial(peer, graph_name, True)
        TARGETS |= {
            f"node2vec on {graph_name}": (f"node2vec {graph_name} / pecanpy {graph_name}", 2.0),
            f"walks on {graph_name}": (f"walks {graph_name} / pecanpy walks {graph_name}", 1.5),
            f"FastRP on {graph_name}": (f"fastrp {graph_name} / pecanpy {graph_name}", 200.0),
        }

if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if "PECANPY" not in os.environ:
        print("PECANPY names no python that has PecanPy: its arms are left out", file=sys.stderr)
    bench(
        __file__,
        ARMS,
        baseline="pecanpy ppi",
        targets=TARGETS,
        rounds=3,
        notes="f1: micro-F1 of half the labels, 3 splits. PecanPy 2.0.9, the faster of SparseOTF and PreComp, gensim.",
    )

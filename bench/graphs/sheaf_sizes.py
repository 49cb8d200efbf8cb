"""How sheaf diffusion grows: seconds and megabytes of a training step by edges, by stalk and by kind of maps.

usage: python bench/graphs/sheaf_sizes.py [--nodes 5201] [--channels 20] [--layers 2] [--most 5000000] [--kept] [--out FILE]
A step is forward, backward and Adam, cross-entropy over 10 classes, one thread, fresh features in turn; the median of 3 in
CPU seconds. `edges` are undirected pairs. Beside it the same layers composed of compiled blocks and torch between them.
"""

import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn

from bench.graphs.sheaves import learner
from semblance.encoders.topology import diffusion
from semblance.encoders.topology.diffusion import Diffusion, DiffusionNetwork
from semblance.geometry.cross_entropy import cross_entropy
from semblance.geometry.graph import Graph
from semblance.learning.devices import keep_pages

FEATURES, CLASSES = 64, 10


def seconds(graph, maps, d, channels, layers, rounds=3):
    """Median CPU seconds of a step."""
    torch.manual_seed(0)
    stack = [Diffusion(learner(d, channels, maps), d, channels, learn_gain=False) for _ in range(layers)]
    network, head = DiffusionNetwork(FEATURES, stack), nn.Linear(d * channels, CLASSES)
    optimiser = torch.optim.Adam([*network.parameters(), *head.parameters()])
    inputs = [torch.randn(graph.num_nodes, FEATURES) for _ in range(2)]
    labels, times = torch.randint(0, CLASSES, (graph.num_nodes,)), []
    for i in range(rounds + 1):
        start = time.process_time()
        optimiser.zero_grad()
        cross_entropy(head(network({"x": inputs[i % 2], "graph": graph})), labels).backward()
        optimiser.step()
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def random_graph(nodes, edges):
    ends = torch.randint(0, nodes, (2, edges), generator=torch.Generator().manual_seed(0))
    ends[1] = torch.where(ends[0] == ends[1], (ends[1] + 1) % nodes, ends[1])
    return Graph(torch.cat([ends, ends.flip(0)], 1), nodes)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=5201)
    parser.add_argument("--edges", type=int, default=198_353)
    parser.add_argument("--channels", type=int, default=20)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--most", type=int, default=5_000_000)
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--out")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.kept:
        keep_pages()
    found = []

    def tell(**row):
        row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        found.append(row)
        print(json.dumps(row), flush=True)

    graph = random_graph(given.nodes, given.edges)
    for maps in ("diagonal", "cayley", "general"):
        for d in range(1, 9):
            tell(maps=maps, d=d, edges=given.edges, seconds=seconds(graph, maps, d, given.channels, given.layers))
    step = diffusion.Diffusion._compiled
    for maps in ("diagonal", "cayley", "general"):
        diffusion.Diffusion._compiled = lambda *_: None
        composed = seconds(graph, maps, 3, given.channels, given.layers)
        diffusion.Diffusion._compiled = step
        tell(maps=maps, d=3, edges=given.edges, composed_of_compiled_blocks=composed)
    edges = 50_000
    while edges <= given.most:
        graph = random_graph(given.nodes, edges)
        for maps in ("diagonal", "cayley", "general"):
            took = seconds(graph, maps, 3, given.channels, given.layers)
            tell(maps=maps, d=3, edges=edges, seconds=took, nanoseconds_an_edge=1e9 * took / edges)
        edges *= 10
    graph = random_graph(given.nodes, given.most)
    tell(maps="general", d=3, edges=given.most, seconds=seconds(graph, "general", 3, given.channels, given.layers))
    if given.out:
        with open(given.out, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()

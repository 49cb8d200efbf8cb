"""Claim of PathNN: paths tell apart what message passing cannot, and classify as well."""

from __future__ import annotations

import networkx as nx
import numpy as np
import torch

from semblance.claims.ledger import Run, above, at_least, below, claim, exactly
from semblance.data.dataset import Shape
from semblance.data.graph_generators import both_ways, inseparable_pairs, random_pairs
from semblance.data.load import load
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.paths import paths
from semblance.encoders.graphs.refinement import wl_distinguishes
from semblance.geometry.graph import Graph, joined
from semblance.recipes.graph_paths import pathnn as recipe
from semblance.recipes.graph_pooled import gin
from semblance.recipes.registry import Recipe
from semblance.space.model import assemble
from semblance.space.training import train

SHOWN, SAME = 1e-4, 1e-6
EPOCHS = 20


@claim(
    "pathnn",
    parts={
        "decalin and bicyclopentyl, all shortest paths to 3": above(SHOWN),
        "the same under colour refinement": exactly(0),
        "the same under GIN": below(SAME),
        "rook and Shrikhande graph, simple paths with distances to 4": above(SHOWN),
        "the same to 3": below(SAME),
        "difference of their numbers of simple paths to 6": exactly(0),
        "hexagon and two triangles, all shortest paths to 2": above(SHOWN),
        "PROTEINS test accuracy over GIN's": at_least(-0.02),
        "numbers of simple paths that are not networkx's": exactly(0),
    },
    data=("proteins",),
    broken="only paths of one edge are read",
    files=("encoders/graphs/paths.py", "encoders/graphs/stack.py", "recipes/graph_paths.py"),
)
def pathnn(run: Run) -> None:
    """With random weights and constant input, networks on shortest paths separate graphs that colour refinement cannot,
    and simple paths with distances two strongly regular graphs that the three-dimensional one cannot. On PROTEINS they
    classify as well as GIN. Seeds are folds 0, 1, 2."""
    pairs = inseparable_pairs()
    rings, cycles = pairs["decalin and bicyclopentyl"], pairs["hexagon and two triangles"]
    regular = rook(), shrikhande()
    to = lambda k: 1 if run.broken else k  # noqa: E731
    run.report("decalin and bicyclopentyl, all shortest paths to 3", difference(rings, recipe(length=to(3))))
    run.report("the same under colour refinement", float(wl_distinguishes(*rings)))
    run.report("the same under GIN", difference(rings, gin(initial="given")))
    simple = [difference(regular, recipe(length=to(k), paths="simple")) for k in (4, 3)]
    run.report("rook and Shrikhande graph, simple paths with distances to 4", simple[0])
    run.report("the same to 3", simple[1])
    counts = [[len(level.first) for level in paths(graph, 6, "simple")] for graph in regular]
    run.report("difference of their numbers of simple paths to 6", float(np.abs(np.subtract(*counts)).max()))
    run.report("hexagon and two triangles, all shortest paths to 2", difference(cycles, recipe(length=to(2))))
    wrong = sum(counted(graph) != [len(level.first) for level in paths(graph, 4, "simple")][1:] for graph in drawn())
    run.report("numbers of simple paths that are not networkx's", float(wrong))
    folds = [load("proteins").with_split(fold) for fold in run.seeds]
    ours = [
        accuracy(recipe(hidden=32, length=to(2), lr=3e-3, epochs=EPOCHS), data, fold)
        for fold, data in zip(run.seeds, folds, strict=True)
    ]
    theirs = [accuracy(gin(epochs=EPOCHS), data, fold) for fold, data in zip(run.seeds, folds, strict=True)]
    run.report("PROTEINS test accuracy over GIN's", [a - b for a, b in zip(ours, theirs, strict=True)])
    run.baseline("PROTEINS test accuracy, PathNN", ours)
    run.baseline("PROTEINS test accuracy, GIN", theirs)


def rook() -> Graph:
    """Squares of a board of 4 by 4, joined within rows and columns."""
    return on_torus(lambda i, j: (i == 0) != (j == 0))


def shrikhande() -> Graph:
    """The same squares, joined to those one to the right, one above, and one in both."""
    return on_torus(lambda i, j: (i, j) in {(1, 0), (3, 0), (0, 1), (0, 3), (1, 1), (3, 3)})


def on_torus(linked) -> Graph:  # type: ignore[no-untyped-def]
    """Pairs of the 16 places whose difference modulo 4 is a link."""
    near = [[linked((a // 4 - b // 4) % 4, (a - b) % 4) for b in range(16)] for a in range(16)]
    return both_ways(np.stack(np.nonzero(np.triu(near))), 16)


@torch.no_grad()
def difference(pair: tuple[Graph, Graph], made: Recipe) -> float:
    """The largest between the embeddings of two graphs whose nodes have the feature 1, with the weights of seed 0."""
    network = assemble(made, Shape("graphs", (1,), 2, 1), seed=0).encoder.double().eval()
    x = torch.ones(pair[0].num_nodes + pair[1].num_nodes, 1, dtype=torch.float64)
    one, other = network.embed({"graph": joined(pair), "x": x})
    return float((one - other).abs().max())


def drawn() -> list[Graph]:
    """20 random graphs of 8 nodes."""
    return [one for one, _ in random_pairs(20)]


def counted(graph: Graph) -> list[int]:
    """How many simple paths of 1 to 4 edges there are, by networkx."""
    whole = nx.Graph(graph.edge_index.T.tolist())
    found = [0] * 4
    for a in whole:
        for path in nx.all_simple_paths(whole, a, [b for b in whole if b != a], cutoff=4):
            found[len(path) - 2] += 1
    return found


def accuracy(made: Recipe, data: RelationalDataset, fold: int) -> float:
    """On the test fold, after the epoch that is best on the validation fold."""
    rows = data.splits["test"]
    answers = np.array(train(data, made, seed=fold).predict(data))[rows]
    return float((answers == np.array(data.classes)[data.targets["labels"][rows]]).mean())

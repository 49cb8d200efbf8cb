"""NCN: what two nodes have in common is summed from states of one pass over the graph, and completed where links lack.

Cora and Citeseer, 70/10/20 splits of the edges drawn by the seed, validation edges read at test, as many pairs without an
edge as test edges; hit rate at 100. All scores come from the same encoder (two convolutions of 128, layer norm), trained
for as many steps, weights of the last one. Incomplete: half of Cora's edges that are not asked about are hidden for good.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from semblance.claims.ledger import Run, above, at_least, at_most, claim
from semblance.claims.link_settings import Parted, further, half_of, hits, three_parts
from semblance.claims.node_settings import scrambled
from semblance.data.load import load
from semblance.geometry.graph import Graph
from semblance.heads.links import COUNTS, Counted, PairScores, Pooled
from semblance.recipes.graph_links import ncn, ncnc
from semblance.recipes.registry import Recipe
from semblance.space.training import train

GRAPHS = ("cora", "citeseer")
EXACT = 64


@claim(
    "neural-common-neighbor",
    parts={
        "hit rate at 100: points above the Hadamard MLP, least of Cora and Citeseer": at_least(5.0),
        "hit rate at 100: points above common neighbours, least of Cora and Citeseer": at_least(15.0),
        "half of Cora hidden: points of NCNC above NCN": at_least(1.0),
        "Cora: points that target-link removal gains": above(0.0),
        "completed links of no weight: largest difference from NCN": at_most(1e-6),
        "scores of (i, j) and (j, i): largest difference": at_most(1e-6),
    },
    data=GRAPHS,
    broken="common neighbours are looked up in a graph of random edges",
    files=(
        "geometry/overlap.py",
        "heads/links.py",
        "objectives/pairwise.py",
        "objectives/links.py",
        "encoders/graphs/normed.py",
        "encoders/graphs/message.py",
        "encoders/graphs/stack.py",
        "analysis/links.py",
        "data/link_splits.py",
        "claims/link_settings.py",
    ),
    minutes=5.0,
)
def neural_common_neighbor(run: Run) -> None:
    """Common neighbours with learned states find links that states alone and counts alone miss; completing the graph with
    the links that the model expects helps where many are hidden."""
    apart, asymmetric = exact(run.broken)
    run.report("completed links of no weight: largest difference from NCN", apart)
    run.report("scores of (i, j) and (j, i): largest difference", asymmetric)
    ours: dict[str, list[float]] = {name: [] for name in GRAPHS}
    plain: dict[str, list[float]] = {name: [] for name in GRAPHS}
    counted: dict[str, list[float]] = {name: [] for name in GRAPHS}
    for name in GRAPHS:
        data = load(name)
        parts = [three_parts(data, seed) for seed in run.seeds]
        scores = [scored(p, sabotaged(ncn(), run.broken), seed) for p, seed in zip(parts, run.seeds, strict=True)]
        ours[name] = [hits(*found) for found in scores]
        plain[name] = [hits(*scored(p, ncn(over="none"), s)) for p, s in zip(parts, run.seeds, strict=True)]
        for how in COUNTS:
            found = [hits(*by_counts(p, how)) for p in parts]
            run.baseline(f"{name}: {how}", found)
            counted[name] = counted[name] or found  # the first is the plain count
        run.baseline(f"{name}: NCN", ours[name])
        run.baseline(f"{name}: Hadamard MLP", plain[name])
        for measure in ("MRR", "AUC", "AP"):
            run.baseline(f"{name}: NCN, {measure}", [further(*found)[measure] for found in scores])
    run.report("hit rate at 100: points above the Hadamard MLP, least of Cora and Citeseer", least(ours, plain))
    run.report("hit rate at 100: points above common neighbours, least of Cora and Citeseer", least(ours, counted))
    cora = load("cora")
    parts = [three_parts(cora, seed) for seed in run.seeds]
    run.baseline("cora: product of states", [hits(*scored(parts[0], ncn(over="product"), run.seeds[0]))])
    seen = [hits(*scored(p, ncn(removed=0.0), seed)) for p, seed in zip(parts, run.seeds, strict=True)]
    run.baseline("cora: NCN without target-link removal", seen)
    run.report("Cora: points that target-link removal gains", [a - b for a, b in zip(ours["cora"], seen, strict=True)])
    halves = [half_of(cora, seed) for seed in run.seeds]
    less = [hits(*scored(p, ncn(), seed)) for p, seed in zip(halves, run.seeds, strict=True)]
    more = [hits(*scored(p, sabotaged(ncnc(), run.broken), s)) for p, s in zip(halves, run.seeds, strict=True)]
    run.baseline("half of Cora hidden: NCN", less)
    run.baseline("half of Cora hidden: NCNC", more)
    run.report("half of Cora hidden: points of NCNC above NCN", [a - b for a, b in zip(more, less, strict=True)])


def least(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> float:
    """The smaller difference of means."""
    return min(float(np.mean(ours[name]) - np.mean(theirs[name])) for name in GRAPHS)


def scored(parted: Parted, recipe: Recipe, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the asked positives and negatives, learned from the one graph and read off the other."""
    model = train(parted.taught, recipe, seed=seed)
    return model.pair_scores(parted.known, parted.positives), model.pair_scores(parted.known, parted.negatives)


def by_counts(parted: Parted, how: str) -> tuple[np.ndarray, np.ndarray]:
    """The same by counted common neighbours."""
    graph, score, nothing = parted.known.graph, Counted(how), torch.empty(0)
    asked = (parted.positives, parted.negatives)
    first, second = (score(nothing, graph, *torch.from_numpy(pairs)).numpy() for pairs in asked)
    return first, second


class Elsewhere(nn.Module):
    """A score that looks common neighbours up in a random graph of as many edges."""

    def __init__(self, score: nn.Module):
        super().__init__()
        self.score = score

    def forward(self, states: torch.Tensor, graph: Graph, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        """-> [m]."""
        found: torch.Tensor = self.score(states, graph.once("elsewhere", lambda: scrambled(graph, 0)), one, two)
        return found


def sabotaged(recipe: Recipe, broken: bool) -> Recipe:
    """The recipe, or the same with a score that looks elsewhere."""
    head = recipe.head
    assert head is not None
    return replace(recipe, head=lambda shape: PairScores(Elsewhere(head(shape).score))) if broken else recipe


def exact(broken: bool) -> tuple[float, float]:
    """On Cora with random states and weights, in float64: NCNC of no weight against NCN, and both ends traded."""
    graph = load("cora").graph
    rng = np.random.default_rng(0)
    states = torch.from_numpy(rng.normal(size=(graph.num_nodes, 16)))
    pairs = torch.from_numpy(
        np.concatenate([rng.integers(0, graph.num_nodes, (2, EXACT)), graph.edge_index[:, :EXACT]], 1)
    )
    found = []
    for over, depth, absent in (("common", 1, 0.0), ("union", 1, 1.0), ("union", 2, 1.0), ("union", 2, 0.0)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            score: nn.Module = Pooled(16, 32, over, depth, absent).double()
        score = Elsewhere(score) if broken and over == "union" else score
        with torch.no_grad():
            found.append([score(states, graph, *pairs), score(states, graph, *pairs.flip(0))])
    apart = max(float((found[k][0] - found[0][0]).abs().max()) for k in (1, 2))
    return apart, max(float((one - two).abs().max()) for one, two in found)

"""node2vec: second-order walks interpolate between near and far, and their skip-gram vectors predict links.

Sampler: karate with its weights, p 0.25, q 4, 250,000 walks of 80 steps; the formula is computed from the weights, for
every pair (t, v) that was walked at least 20,000 times. Links: Cora's largest component, a fifth of its edges hidden, the
rest connected; a logistic regression learns on Hadamard features of the edges that stay and of as many pairs without an
edge among them, and ranks the hidden ones beside as many pairs without one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse.csgraph import connected_components

from semblance.analysis.links import HEURISTICS, Sets, learned_scores, link_measures, neighbourhood_scores
from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.claims.node_settings import vectors
from semblance.data.link_splits import hide_edges, non_edges
from semblance.data.load import load
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.cooccurrence import edges
from semblance.geometry.walks import moves, sample, starts
from semblance.recipes.graph_walks import node2vec as node2vec_recipe

VISITS = 20_000
STEPS = 20_000_000
LENGTH = 80


@claim(
    "node2vec",
    parts={
        "karate: largest error of a step's frequency": at_most(0.02),
        "Cora: distinct nodes of a walk at q 0.25 over those at q 4": at_least(1.5),
        "Cora links: AUC with Hadamard features": at_least(0.80),
        "Cora links: AUC above the best neighbourhood score": at_least(0.05),
    },
    data=("karate", "cora"),
    broken="walks forget where they came from: p = q = 1",
    files=(
        "geometry/walks.py",
        "encoders/graphs/cooccurrence.py",
        "encoders/graphs/skip_gram.py",
        "recipes/graph_walks.py",
        "analysis/links.py",
        "data/link_splits.py",
        "claims/node_settings.py",
    ),
    minutes=2.0,
)
def node2vec(run: Run) -> None:
    """Walks follow the second-order law, q moves them from exploring to staying, and their vectors tell links better than
    neighbourhood scores."""
    run.report("karate: largest error of a step's frequency", [law_error(seed, run.broken) for seed in run.seeds])
    cora = load("cora")
    far, near = ([distinct(cora, 1.0 if run.broken else q, seed) for seed in run.seeds] for q in (0.25, 4.0))
    run.baseline("Cora: distinct nodes of a walk of 80 at q 4", near)
    reach = [a / b for a, b in zip(far, near, strict=True)]
    run.report("Cora: distinct nodes of a walk at q 0.25 over those at q 4", reach)
    component = connected_components(edges(cora.graph))[1]
    largest = cora.subset(np.flatnonzero(component == np.bincount(component).argmax()))
    auc, best = zip(*(links(run, largest, seed) for seed in run.seeds), strict=True)
    run.baseline("Cora links: AUC of the best neighbourhood score", best)
    run.report("Cora links: AUC with Hadamard features", auc)
    above = [a - b for a, b in zip(auc, best, strict=True)]
    run.report("Cora links: AUC above the best neighbourhood score", above)


def law_error(seed: int, broken: bool) -> float:
    """Of all next steps of all pairs (t, v) walked often, the largest |frequency - formula|."""
    graph, p, q = load("karate").graph, 0.25, 4.0
    states, count = moves(graph), graph.num_nodes
    walks = STEPS // LENGTH
    begin = starts(states, -(-walks // count), "each", np.random.default_rng([44, seed]))[:walks]
    asked = {"p": 1.0, "q": 1.0} if broken else {"p": p, "q": q}
    walked = sample(states, begin, LENGTH + 1, seed=seed, **asked).astype(np.int64)
    triple = (walked[:, :-2] * count + walked[:, 1:-1]) * count + walked[:, 2:]
    seen = np.bincount(triple.ravel(), minlength=count**3).reshape((count,) * 3)
    weight, worst = edges(graph).toarray(), 0.0
    for t, v in np.argwhere(seen.sum(2) >= VISITS):
        bias = np.where(weight[t] > 0, 1.0, 1 / q)
        bias[t] = 1 / p
        formula = weight[v] * bias
        worst = max(worst, float(np.abs(seen[t, v] / seen[t, v].sum() - formula / formula.sum()).max()))
    return worst


def distinct(data: RelationalDataset, q: float, seed: int) -> float:
    """Mean number of distinct nodes of a walk of 80 nodes, 10 from every node."""
    states = moves(data.graph)
    begin = starts(states, 10, "each", np.random.default_rng([44, seed]))
    walked = np.sort(sample(states, begin, LENGTH, seed=seed, p=1.0, q=q), 1)
    return float(1 + (np.diff(walked, axis=1) > 0).sum(1).mean())


def links(run: Run, data: RelationalDataset, seed: int) -> tuple[float, float]:
    """AUC of node2vec and of the best neighbourhood score."""
    hidden = hide_edges(data.graph, 0.2, seed, connected=True)
    there, absent = hidden.positives.numpy(), hidden.negatives.numpy()
    p, q = (1.0, 1.0) if run.broken else (1.0, 0.5)
    z = vectors(replace(data, graph=hidden.rest), node2vec_recipe(length=40, window=5, p=p, q=q), seed)
    ends = hidden.rest.edge_index.numpy()
    known = ends[:, ends[0] < ends[1]]
    others = non_edges(hidden.rest, known.shape[1], np.random.default_rng([44, seed, 1])).numpy()
    taught = (Sets.of_pairs(known), Sets.of_pairs(others))
    scores = learned_scores(z, *taught, (Sets.of_pairs(there), Sets.of_pairs(absent)), seed)
    simple = [[neighbourhood_scores(hidden.rest, pairs, how) for pairs in (there, absent)] for how in HEURISTICS]
    every = [float(link_measures(*found)["auc"].mean()) for found in (scores, *simple)]
    run.progress(f"seed {seed}: node2vec {every[0]:.4f}, {dict(zip(HEURISTICS, every[1:], strict=True))}")
    return every[0], max(every[1:])

"""MUSAE: features of the nodes around, kept apart by distance, tell nodes better than the nodes around, in a space that
another graph joins.

Exact: karate's club with 20 random binary features, one drawn at a visit, expected counts instead of draws, tables as wide
as there are features. Citeseer: 128 dimensions, 10 walks of 80 nodes from each for MUSAE and for DeepWalk, half of the
labels teach a linear probe, 5 splits of one embedding. Transfer: the nodes nearest to a drawn one are one half of Cora, the
rest the other; a linear probe learns on the first half's vectors and is asked on the second's. MUSAE is fitted on the first
half, and the second embedded with the features frozen; DeepWalk is fitted on both halves, between which no edge is left.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.sparse.csgraph import breadth_first_order

from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.claims.node_settings import half, told, vectors
from semblance.claims.settings import linear_probe
from semblance.data.load import load
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.cooccurrence import edges
from semblance.encoders.graphs.implied import least, noise_of
from semblance.encoders.graphs.visits import closed_form, met_features
from semblance.recipes.graph_cooccurrence import musae as musae_recipe
from semblance.recipes.graph_walks import deepwalk
from semblance.space.training import train

FEATURES, NEGATIVES = 20, 5
OFFSETS = {"r = 1": [1], "r = 2": [2], "r = 3": [3], "pooled": [1, 2, 3]}


@claim(
    "musae",
    parts={
        **{f"karate, {name}: largest error of a product beside the closed form": at_most(0.05) for name in OFFSETS},
        "Citeseer: points of micro-F1 above DeepWalk": at_least(5.0),
        "Cora's halves: points of accuracy above DeepWalk": at_least(20.0),
    },
    data=("karate", "citeseer", "cora"),
    seeds=(0, 1, 2, 3, 4),
    broken="every node learns from the features of another, drawn one",
    files=(
        "encoders/graphs/attributed.py",
        "encoders/graphs/visits.py",
        "encoders/graphs/implied.py",
        "encoders/graphs/skip_gram.py",
        "encoders/graphs/cooccurrence.py",
        "geometry/walks.py",
        "recipes/graph_cooccurrence.py",
        "claims/node_settings.py",
    ),
    minutes=2.5,
)
def musae(run: Run) -> None:
    """Skip-gram over nodes and features some steps away factorises a known matrix, tells classes better than DeepWalk, and
    carries to a graph that it has not seen."""
    for name, offsets in OFFSETS.items():
        found = [exact_error(offsets, seed, run.broken) for seed in run.seeds]
        run.report(f"karate, {name}: largest error of a product beside the closed form", found)
    citeseer = half(load("citeseer"), 0)
    attributed = vectors(shuffled(citeseer) if run.broken else citeseer, musae_recipe(), 0)
    walked = vectors(citeseer, deepwalk(), 0)
    splits = [half(citeseer, seed) for seed in run.seeds]
    scores = np.array([[told(z, split) for z in (attributed, walked)] for split in splits])
    run.baseline("Citeseer: micro-F1 of DeepWalk", scores[:, 1].tolist())
    run.report("Citeseer: points of micro-F1 above DeepWalk", (100 * (scores[:, 0] - scores[:, 1])).tolist())
    cora = load("cora")
    carried = [transfer(run, shuffled(cora) if run.broken else cora, seed) for seed in run.seeds[:3]]
    run.baseline("Cora's halves: accuracy of DeepWalk", [b for _, b in carried])
    run.report("Cora's halves: points of accuracy above DeepWalk", [100 * (a - b) for a, b in carried])


def exact_error(offsets: list[int], seed: int, broken: bool) -> float:
    """Of all pairs that are met, the largest |u_v . c_f - closed form| where the expected loss is least."""
    graph, rng = load("karate").graph, np.random.default_rng([75, seed])
    x = (rng.random((graph.num_nodes, FEATURES)) < 0.3).astype(np.float64)
    x[np.arange(graph.num_nodes), rng.integers(FEATURES, size=graph.num_nodes)] = 1
    form = closed_form(graph, x, offsets, NEGATIVES, power=1.0)
    learned = rng.permutation(x) if broken else x
    met = met_features(graph, learned, offsets)
    u, c = least(met, noise_of(met.sum(0), 1.0), NEGATIVES, FEATURES, seed)
    there = np.isfinite(form)
    return float(np.abs(u @ c.T - form)[there].max())


def shuffled(data: RelationalDataset) -> RelationalDataset:
    """The features of the nodes handed out anew."""
    return replace(data, x=data.x[np.random.default_rng([75, 0]).permutation(len(data))])


def transfer(run: Run, cora: RelationalDataset, seed: int) -> tuple[float, float]:
    """Accuracy on the half that was not learned from, of MUSAE and of DeepWalk."""
    near, far = halves(cora, seed)
    model = train(half(near, seed), musae_recipe(), seed=seed)
    with torch.inference_mode():
        known, new = (model.network.encoder({"graph": d.graph, "x": d.features}).numpy() for d in (near, far))
    y = [np.asarray(d.targets["labels"]) for d in (near, far)]
    ours = linear_probe(known, y[0], new, y[1])
    side = np.zeros(len(cora), bool)
    side[near_nodes(cora, seed)] = True
    ends = cora.graph.edge_index.numpy()
    apart = cora.graph.with_edges(torch.from_numpy(side[ends[0]] == side[ends[1]]))
    z = vectors(replace(half(cora, seed), graph=apart), deepwalk(length=40, window=5), seed)
    labels = np.asarray(cora.targets["labels"])
    walked = linear_probe(z[side], labels[side], z[~side], labels[~side])
    run.progress(f"Cora's halves, seed {seed}: MUSAE {ours:.4f}, DeepWalk {walked:.4f}")
    return ours, walked


def near_nodes(cora: RelationalDataset, seed: int) -> np.ndarray:
    """Half of the nodes: those that breadth-first search reaches first from a node of the largest component."""
    adjacency, rng = edges(cora.graph), np.random.default_rng([75, seed])
    while True:
        order = breadth_first_order(adjacency, int(rng.integers(len(cora))), directed=False, return_predecessors=False)
        if len(order) >= len(cora) // 2:
            return np.sort(order[: len(cora) // 2])


def halves(cora: RelationalDataset, seed: int) -> tuple[RelationalDataset, RelationalDataset]:
    """The two halves, without the edges between them."""
    near = near_nodes(cora, seed)
    return cora.subset(near), cora.subset(np.setdiff1d(np.arange(len(cora)), near))

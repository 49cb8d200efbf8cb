"""Claim of CAT-Walk: walks over hyperedges see which nodes met at once, where walks over pairs see only who met whom.

What the ablation knows: each node of a triple whose pairs all met, never at once, is in two recent hyperedges or more,
each node of one that met at once in one. That the three are in fewer recent hyperedges tells by itself, with an AUC of 0.71
(0.68 to 0.75), that they met at once: the bound of 0.65 asks of walks over pairs not to see how busy a node is.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch

from semblance.analysis.links import link_measures
from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.data.load import load
from semblance.data.timed_sets import Asked, TimedSets, asked_of, conversations, of_sets
from semblance.geometry.hypergraph import Hypergraph
from semblance.recipes.graph_set_walks import cat_walk as recipe
from semblance.space.model import Model
from semblance.space.training import train

NODES, ROUNDS, HYPEREDGES, SIZE, RECENT = 60, 103, 10, 5, 3
QUESTIONS = 30  # after every round that has three behind it: 3,000 in all
ABLATION = {"over": "pairs", "pooling": "mean"}


@claim(
    "cat-walk",
    parts={
        "test AUC of triples that met at once": at_least(0.85),
        "the same, walks over pairs and means": at_most(0.65),
        "CollegeMsg test AUC over walks over pairs and means": at_least(0.03),
    },
    data=("college-msg",),
    broken="the walks go over pairs of nodes and are pooled by their mean, as in the ablation",
    files=(
        "geometry/crossings.py",
        "encoders/topology/set_walks.py",
        "data/timed_sets.py",
        "recipes/graph_set_walks.py",
    ),
)
def cat_walk(run: Run) -> None:
    """Rounds of random 5-node hyperedges: which triples met in one hyperedge of the last three rounds is told, for later
    rounds and with nodes that training has not seen, from triples whose pairs all met, never at once; walks on the clique
    expansion with means cannot. Conversations of CollegeMsg, new nodes among them, are foreseen better than by these."""
    ours = ABLATION if run.broken else {}
    drawn = [rounds(seed) for seed in run.seeds]
    run.report(
        "test AUC of triples that met at once",
        [auc(of_rounds(asked, seed, ours), asked.test) for seed, asked in zip(run.seeds, drawn, strict=True)],
    )
    run.report(
        "the same, walks over pairs and means",
        [auc(of_rounds(asked, seed, ABLATION), asked.test) for seed, asked in zip(run.seeds, drawn, strict=True)],
    )
    talks = conversations(load("college-msg").graph, 3600.0, 5000)
    every = [asked_of(talks, "inductive", seed=seed) for seed in run.seeds]
    found = [auc(of_talks(asked, seed, ours), asked.test) for seed, asked in zip(run.seeds, every, strict=True)]
    plain = [auc(of_talks(asked, seed, ABLATION), asked.test) for seed, asked in zip(run.seeds, every, strict=True)]
    gains = [a - b for a, b in zip(found, plain, strict=True)]
    run.report("CollegeMsg test AUC over walks over pairs and means", gains)
    run.baseline("CollegeMsg test AUC", found)
    run.baseline("CollegeMsg test AUC, walks over pairs and means", plain)


def rounds(seed: int) -> Asked:
    """Every round 10 hyperedges of 5 random nodes at one time; after it half of the questions are triples out of a
    hyperedge of the last three rounds, half triples whose pairs all met in these, never the three at once. The last fifth
    is the test; 6 nodes are in nothing that is learned from."""
    rng = np.random.default_rng([960, seed])
    met = rng.permuted(np.tile(np.arange(NODES), (ROUNDS, HYPEREDGES, 1)), axis=2)[:, :, :SIZE]
    hidden = rng.permutation(NODES)[:6]
    asked, labels, moment = [], [], []
    for last in range(RECENT - 1, ROUNDS - 1):
        recent = met[last - RECENT + 1 : last + 1].reshape(-1, SIZE)
        known = {tuple(sorted(triple)) for edge in recent.tolist() for triple in combinations(edge, 3)}
        near = np.zeros((NODES, NODES), bool)
        for i, j in combinations(range(SIZE), 2):
            near[recent[:, i], recent[:, j]] = near[recent[:, j], recent[:, i]] = True
        a, b = np.nonzero(np.triu(near))
        row, c = np.nonzero(near[a] & near[b] & (np.arange(NODES) > b[:, None]))
        apart = [t for t in zip(a[row].tolist(), b[row].tolist(), c.tolist(), strict=True) if t not in known]
        together = [rng.permutation(recent[e])[:3].tolist() for e in rng.integers(0, len(recent), QUESTIONS // 2)]
        asked += together + [apart[i] for i in rng.permutation(len(apart))[: QUESTIONS // 2]]
        labels += [1] * len(together) + [0] * (len(asked) - len(labels) - len(together))
        moment += [last + 0.5] * (len(asked) - len(moment))
    sets = hyperedges(np.array(asked), np.array(moment))
    whole = hyperedges(met.reshape(-1, SIZE), np.repeat(np.arange(float(ROUNDS)), HYPEREDGES))
    inside = ~np.isin(whole.node.numpy(), hidden)
    seen = Hypergraph(whole.node[inside], whole.edge[inside], NODES, whole.num_edges, time=whole.time)
    new, late = np.isin(np.array(asked), hidden).any(1), np.arange(len(asked)) >= 0.8 * len(asked)
    parts = {"train": np.flatnonzero(~late & ~new), "val": np.empty(0, np.int64), "test": np.flatnonzero(late)}
    learn, test = (of_sets(graph, sets, np.array(labels), parts, "rounds") for graph in (seen, whole))
    return Asked(learn, test)


def hyperedges(members: np.ndarray, time: np.ndarray) -> Hypergraph:
    """members [M, k], time [M]."""
    edge = torch.arange(len(members)).repeat_interleave(members.shape[1])
    return Hypergraph(torch.from_numpy(members.ravel()), edge, NODES, len(members), time=torch.from_numpy(time))


def of_rounds(asked: Asked, seed: int, how: dict[str, str]) -> Model:
    """A model of the triples; a round later a hyperedge counts 1 / e as much."""
    made = recipe(dim=32, walks=8, length=3, theta=1.0, lr=2e-3, epochs=12, **how)  # type: ignore[arg-type]
    return train(asked.learn, made, seed=seed)


def of_talks(asked: Asked, seed: int, how: dict[str, str]) -> Model:
    """A model of the conversations."""
    made = recipe(dim=32, walks=8, length=3, theta=0.0, lr=2e-3, epochs=3, **how)  # type: ignore[arg-type]
    return train(asked.learn, made, seed=seed)


def auc(model: Model, data: TimedSets) -> float:
    """Of the test questions."""
    rows = data.splits["test"]
    model.network.eval()
    with torch.inference_mode():
        logits = torch.cat([model.network(batch) for batch in model.batches(data, rows)])
    scores, met = (logits[:, 1] - logits[:, 0]).numpy(), data.targets["labels"][rows] == 1
    return float(link_measures(scores[met], scores[~met])["auc"].mean())

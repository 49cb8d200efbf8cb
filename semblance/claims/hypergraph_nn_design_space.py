"""The design space of hypergraph networks: every option can be chosen together with every other, and what reduction loses.

Southern women: 18 women at 14 events, each with 8 normal numbers as given features, classes the nine first and the nine
last, as Davis and others saw two circles. 60 configurations hold every pair of options of six axes; one of them, what is
trained, has ten: classes of nodes; hyperedges against four kinds of negatives; contrast of views that leave out nodes,
hyperedges or memberships, at all three levels; masked memberships or features. Negatives, views and masks are drawn
once for all steps, so that the loss is one function of the weights; it is compared before the first and after the fifth.

Triples: 400, a class for those that are one hyperedge of three and one for those that are three hyperedges of two, constant
features, half of the triples of either class teach; two layers of width 16 with sums, 200 epochs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations, product
from typing import Any

import numpy as np
import torch

from semblance.claims.ledger import Run, at_least, at_most, below, claim, exactly
from semblance.data.load import load
from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.geometry.hypergraph import Hypergraph
from semblance.recipes.graph_hypergraph_space import (
    STRUCTURES,
    hypergraph_contrast,
    hypergraph_generation,
    hypergraph_links,
    hypergraph_network,
)
from semblance.recipes.registry import Recipe
from semblance.space.training import train

AGGREGATIONS = ("sum", "mean", "max", "attention", "aware")
TRAINING: dict[str, tuple[Any, dict[str, str]]] = {
    "nodes": (hypergraph_network, {}),
    **{f"hyperedges, {how}": (hypergraph_links, {"negatives": how}) for how in ("size", "motif", "clique", "learned")},
    **{f"contrast, {drop}": (hypergraph_contrast, {"drop": drop}) for drop in ("node", "hyperedge", "membership")},
    **{f"generation, {what}": (hypergraph_generation, {"target": what}) for what in ("memberships", "features")},
}
AXES: dict[str, tuple[str, ...]] = {
    "training": tuple(TRAINING),
    "structure": ("incidence", "clique", "size-clique", "adaptive-clique", "star", "line"),
    "features": ("given", "degree,sizes", "eigenvectors", "walks", "identity", "given,walks"),
    "to_edges": AGGREGATIONS,
    "to_nodes": AGGREGATIONS,
    "states": ("shared", "own"),
}
MOST, STEPS, HIDDEN, LR = 60, 5, 16, 0.005
TRIPLES = 400
KEPT = ("star", "line", "incidence")


@claim(
    "hypergraph-nn-design-space",
    parts={
        "(a) configurations": at_most(MOST),
        "(a) pairs of options that occur together": exactly(1.0),
        "(a) configurations whose loss is finite and falls in five steps": at_least(0.95),
        "(b) clique: largest difference of outputs between the two kinds of triples": below(1e-6),
        "(b) clique: accuracy on held-out triples": exactly(0.5),
        "(b) star: accuracy on held-out triples": at_least(0.99),
        "(b) line: accuracy on held-out triples": at_least(0.99),
        "(b) incidence: accuracy on held-out triples": at_least(0.99),
    },
    data=("southern-women", "synthetic: 400 disjoint triples, one 3-hyperedge or three 2-edges"),
    broken="objectives are turned around, so that losses climb, and every structure is the clique expansion",
    files=(
        "data/hyperedge_negatives.py",
        "data/hypergraph_views.py",
        "encoders/topology/adaptive.py",
        "encoders/topology/expanded.py",
        "encoders/topology/features.py",
        "encoders/topology/stages.py",
        "geometry/expansions.py",
        "objectives/hyperedges.py",
        "objectives/hypergraph_contrast.py",
        "objectives/hypergraph_generation.py",
        "recipes/graph_hypergraph_space.py",
    ),
    minutes=2.0,
)
def hypergraph_nn_design_space(run: Run) -> None:
    """Features, structure, messages and training of hypergraph networks are choices that combine freely; what the expansion
    to pairs loses, structures that keep hyperedges tell apart."""
    chosen = covering()
    run.report("(a) configurations", float(len(chosen)))
    run.report("(a) pairs of options that occur together", covered(chosen))
    data = women()
    good = []
    for number, options in enumerate(chosen):
        before, after = fell(data, options, run.seeds[number % len(run.seeds)], run.broken)
        good.append(bool(np.isfinite([before, after]).all()) and after < before)
        if not good[-1]:
            run.progress(f"does not fall, {before:.4f} to {after:.4f}: {options}")
    run.report("(a) configurations whose loss is finite and falls in five steps", float(np.mean(good)))

    for structure in ("clique", *KEPT):
        taken = "clique" if run.broken else structure
        found = [told_apart(taken, seed) for seed in run.seeds]
        if structure == "clique":
            gap = "(b) clique: largest difference of outputs between the two kinds of triples"
            run.report(gap, max(apart for _, apart in found))
        run.report(f"(b) {structure}: accuracy on held-out triples", [right for right, _ in found])


@cache
def covering() -> tuple[dict[str, str], ...]:
    """60 configurations: of the three long axes every pair once or more by a Latin pattern, the short ones by search."""
    trained, structures, features = (AXES[name] for name in ("training", "structure", "features"))
    rows = [
        {"training": t, "structure": s, "features": features[(i + j) % len(features)]}
        for (i, t), (j, s) in product(enumerate(trained), enumerate(structures))
    ]
    rng = np.random.default_rng(0)
    for axis in ("to_edges", "to_nodes", "states"):
        best: list[str] = []
        most = -1.0
        for _ in range(200):
            drawn = _greedy(rows, AXES[axis], rng)
            share = covered(tuple({**row, axis: option} for row, option in zip(rows, drawn, strict=True)))
            if share > most:
                best, most = drawn, share
            if most == 1:
                break
        for row, option in zip(rows, best, strict=True):
            row[axis] = option
    return tuple(rows)


def _greedy(rows: list[dict[str, str]], options: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    """An option for every row, in random order: the one that makes most new pairs with what the row has."""
    chosen, seen = [""] * len(rows), set()
    for at in rng.permutation(len(rows)):
        fresh = [len({(o, *item) for item in rows[at].items()} - seen) + 0.5 * rng.random() for o in options]
        chosen[at] = options[int(np.argmax(fresh))]
        seen |= {(chosen[at], *item) for item in rows[at].items()}
    return chosen


def covered(rows: tuple[dict[str, str], ...]) -> float:
    """The share of the pairs of options of different axes that stand together in a row."""
    axes = list(rows[0])
    wanted = sum(len(AXES[a]) * len(AXES[b]) for a, b in combinations(axes, 2))
    return len({(a, row[a], b, row[b]) for row in rows for a, b in combinations(axes, 2)}) / wanted


def women() -> RelationalDataset:
    """With features and classes."""
    data = load("southern-women")
    x = np.random.default_rng(91).normal(size=(len(data), 8)).astype(np.float32)
    labels = (np.arange(len(data)) >= len(data) // 2).astype(np.int64)
    rows = np.arange(len(data))
    split = {"train": rows, "val": rows, "test": np.empty(0, np.int64)}
    return replace(data, x=x, targets={"labels": labels}, classes=("first", "last"), splits=split)


def fell(data: RelationalDataset, options: dict[str, str], seed: int, broken: bool) -> tuple[float, float]:
    """The loss before and after five steps."""
    make, more = TRAINING[options["training"]]
    chosen = {name: value for name, value in options.items() if name != "training"}
    made: Recipe = make(**chosen, **more, hidden=HIDDEN, epochs=STEPS, dropout=0.0, lr=LR)
    stage = made.stages[0]
    objectives: list[Fixed] = []

    def objective(shape: Any) -> Fixed:
        objectives.append(Fixed(stage.objective(shape), seed, -1.0 if broken else 1.0))  # type: ignore[misc]
        return objectives[-1]

    watched = replace(made, stages=(replace(stage, rule=replace(stage.rule, best=""), objective=objective),))
    losses = []
    for epochs in (0, STEPS):
        model = train(data, watched, seed=seed, epochs=epochs)
        batch = next(iter(model.batches(data, np.arange(len(data)))))
        batch["labels"] = torch.from_numpy(data.targets["labels"])
        with torch.no_grad():
            losses.append(objectives[-1].eval()(model.network, batch)[1]["loss"])
    return losses[0], losses[1]


class Fixed(torch.nn.Module):
    """An objective that draws the same every time: the same negatives, views and masks. sign: -1 turns it around."""

    def __init__(self, objective: torch.nn.Module, seed: int, sign: float):
        super().__init__()
        self.objective, self.seed, self.sign, self.needs = objective, seed, sign, objective.needs

    def forward(self, model: Any, batch: Any) -> tuple[torch.Tensor, dict[str, float]]:
        """-> the loss, or minus it; the metrics as they are."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            loss, metrics = self.objective(model, batch)
        return self.sign * loss, metrics


def told_apart(structure: str, seed: int) -> tuple[float, float]:
    """Accuracy on the nodes of held-out triples, and the largest difference between outputs of the two kinds."""
    node, edge, count = [], [], 0
    for triple in range(TRIPLES):
        members = np.arange(3 * triple, 3 * triple + 3)
        sets = [members] if triple % 2 == 0 else [members[[0, 1]], members[[1, 2]], members[[0, 2]]]
        for one in sets:
            node.append(one)
            edge.append(np.full(len(one), count))
            count += 1
    held = Hypergraph(*(torch.from_numpy(np.concatenate(part)) for part in (node, edge)), 3 * TRIPLES, count)
    labels = np.repeat(np.arange(TRIPLES) % 2, 3)
    order = np.random.default_rng([92, seed]).permutation(TRIPLES // 2)
    known = np.sort(np.concatenate([2 * order[: TRIPLES // 4], 2 * order[: TRIPLES // 4] + 1]))
    asked = np.setdiff1d(np.arange(TRIPLES), known)
    rows = {part: (3 * of[:, None] + np.arange(3)).ravel() for part, of in (("train", known), ("test", asked))}
    data = relate("hypergraph", held, labels=labels, classes=("one of three", "three of two"), given_splits=[rows])
    settings: dict[str, Any] = {"to_edges": "sum", "to_nodes": "sum", "features": "constant", "structure": structure}
    made = hypergraph_network(**settings, hidden=HIDDEN, dropout=0.0)
    model = train(data, made, seed=seed)
    with torch.inference_mode():
        (batch,) = model.batches(data, np.arange(3 * TRIPLES))
        outputs = model.network(batch).double().numpy()
    right = float((outputs.argmax(1) == labels)[rows["test"]].mean())
    return right, float(np.abs(outputs[labels == 0] - outputs[labels == 1]).max())


assert set(AXES["structure"]) < set(STRUCTURES)

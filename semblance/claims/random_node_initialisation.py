"""Claim of random node initialisation: a network that starts from drawn features tells satisfiable formulas from
unsatisfiable ones that colour refinement cannot tell apart; without them it is bound to guess."""

from __future__ import annotations

import numpy as np
import torch

from semblance.claims.graph_settings import reordered
from semblance.claims.ledger import Run, at_least, at_most, below, claim, exactly
from semblance.data.formula_graphs import Formula, formula_graphs
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.refinement import wl_distinguishes
from semblance.recipes.graph_drawn import rni as recipe
from semblance.recipes.registry import Recipe
from semblance.space.model import Model
from semblance.space.training import train

PAIRS = {"train": 240, "val": 30, "test": 60}
"""Those for validation are drawn beside the others, so that no pair stands in two splits."""
EPOCHS, PATIENCE = 150, 75
WITHOUT = 12
"""Epochs of networks without random features, whose pairs cannot come apart however long they learn."""
DRAWS, COPIES = 2000, 100


@claim(
    "random-node-initialisation",
    parts={
        "EXP pairs of which not exactly one is satisfiable": exactly(0),
        "EXP pairs that colour refinement separates": exactly(0),
        "EXP, largest difference within a pair without random features": below(1e-4),
        "EXP accuracy without random features": exactly(0.5),
        "EXP accuracy with half of the features random": at_least(0.9),
        "standard errors between mean outputs of a graph and of its renumbered copy": below(3),
        "CEXP accuracy without random features": at_most(0.75),
    },
    data=("synthetic: EXP and CEXP formula graphs",),
    broken="no feature is random",
    files=(
        "data/formula_graphs.py",
        "encoders/graphs/drawn.py",
        "encoders/graphs/message.py",
        "encoders/graphs/stack.py",
        "recipes/graph_drawn.py",
    ),
)
def random_node_initialisation(run: Run) -> None:
    """Message passing cannot separate graphs that colour refinement does not; with part of the node features drawn at
    random it learns to, and its expected answer still does not depend on how nodes are numbered."""
    found = [formula_graphs(PAIRS, seed=seed) for seed in run.seeds]
    every = [pair for _, pairs in found for pair in pairs]
    wrong = sum((yes.satisfiable(), no.satisfiable()) != (True, False) for yes, no in every)
    run.report("EXP pairs of which not exactly one is satisfiable", float(wrong))
    run.report("EXP pairs that colour refinement separates", float(sum(told(*pair) for pair in every)))

    plain = [train(data, without(), seed=seed) for seed, (data, _) in zip(run.seeds, found, strict=True)]
    apart = [largest(model, data) for model, (data, _) in zip(plain, found, strict=True)]
    run.report("EXP, largest difference within a pair without random features", apart)
    guessed = [accuracy(model, data) for model, (data, _) in zip(plain, found, strict=True)]
    run.report("EXP accuracy without random features", guessed)

    marked = [formula_graphs(PAIRS, separable=0.5, seed=seed)[0] for seed in run.seeds]
    run.report(
        "CEXP accuracy without random features",
        [accuracy(train(data, without(), seed=seed), data) for seed, data in zip(run.seeds, marked, strict=True)],
    )

    made = recipe(share=0.0 if run.broken else 0.5, draws=4, epochs=EPOCHS, patience=PATIENCE)
    random = []
    for seed, (data, _) in zip(run.seeds, found, strict=True):
        random.append(train(data, made, seed=seed))
        run.progress(f"seed {seed}: {accuracy(random[-1], data)} after {len(random[-1].history)} epochs")
    run.report(
        "EXP accuracy with half of the features random",
        [accuracy(model, data) for model, (data, _) in zip(random, found, strict=True)],
    )
    run.report(
        "standard errors between mean outputs of a graph and of its renumbered copy",
        max(errors(model, data, seed) for seed, model, (data, _) in zip(run.seeds, random, found, strict=True)),
    )


def without() -> Recipe:
    """The same network, all of whose features are given."""
    return recipe(share=0.0, draws=1, epochs=WITHOUT)


def told(yes: Formula, no: Formula) -> bool:
    """Whether colour refinement separates the two, the kinds of nodes known."""
    (one, kinds), (other, others) = yes.graph(), no.graph()
    return wl_distinguishes(one, other, (kinds, others))


def accuracy(model: Model, data: RelationalDataset) -> float:
    """On the test pairs."""
    rows = data.splits["test"]
    answers = np.array(model.predict(data.subset(rows)))
    return float((answers == np.array(data.classes)[data.targets["labels"][rows]]).mean())


@torch.no_grad()
def largest(model: Model, data: RelationalDataset) -> float:
    """Largest difference between the outputs of the two graphs of a test pair."""
    out = model.network.eval()(data.read(data.splits["test"])).view(-1, 2, 2)
    return float((out[:, 0] - out[:, 1]).abs().max())


@torch.no_grad()
def errors(model: Model, data: RelationalDataset, seed: int) -> float:
    """How many standard errors lie between the mean margins of a test graph and of its copy numbered otherwise, each over
    2,000 draws of its own."""
    at = int(data.splits["test"][0])
    one = data.subset(np.array([at]))
    network = model.network.train()  # without normalisation or dropout, training differs by nothing but its draws
    sums = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for graph in (one, reordered(one, seed)):
            batch = graph.read(np.zeros(COPIES, np.int64))
            out = torch.cat([network(batch) for _ in range(DRAWS // COPIES)]).double()
            margin = out[:, 1] - out[:, 0]
            sums.append((margin.mean(), margin.var() / DRAWS))
    network.eval()
    (a, va), (b, vb) = sums
    # Where nothing is drawn the two differ by rounding alone.
    return float((a - b).abs() / (va + vb).sqrt().clamp(min=1e-6))

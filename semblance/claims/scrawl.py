"""Claim of SCRaWl: walks that remember where they were tell complexes apart that Hodge convolution cannot.

Imputation is on the simplices (vertices, edges, triangles) within hyperedges of the Cora co-citation hypergraph; the value
of one is the number of hyperedges that hold it. A share of the values is put away, replaced by the median of their
dimension, and a network learns by putting away as large a share of what is left, new ones in every step. Values are
compared as logarithms. Both networks have the same width, depth, steps and loss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import combinations, pairwise
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.data.dataset import Shape
from semblance.data.load import load
from semblance.data.moments import shape_of
from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.geometry.cell_builders import of_simplices
from semblance.geometry.cells import CellComplex, joined_cells
from semblance.recipes.graph_cells import cw_cnn
from semblance.recipes.graph_simplicial_walks import scrawl as recipe
from semblance.recipes.registry import Recipe
from semblance.space.model import assemble
from semblance.space.training import train

TRAIN, ASKED, EPOCHS = 60, 200, 40  # relabelled copies; four steps an epoch
RATES = (0.1, 0.3, 0.5)
WIDTH, LAYERS, STEPS = 32, 2, 60


@claim(
    "scrawl",
    parts={
        "hexagon and two triangles, held-out accuracy": exactly(1.0),
        "steps of training": at_most(300),
        "difference of the two under Hodge convolution": at_most(1e-6),
        "rates of 3 at which more hidden values are found than by Hodge convolution": at_least(2),
    },
    data=("cocitation-cora", "synthetic: hexagon and two triangles"),
    broken="rows of a walk hold no flags of where it was before",
    files=(
        "geometry/crossings.py",
        "encoders/topology/simplicial_walks.py",
        "encoders/topology/cells.py",
        "recipes/graph_simplicial_walks.py",
    ),
)
def scrawl(run: Run) -> None:
    """Without features, two hollow triangles are told from a hexagon, 200 relabelled copies of 200, while three layers of
    Hodge convolution give both the same output. Hidden values on the complex of co-citations are found more often than by
    Hodge convolution at two of three rates at least."""
    copies = relabelled()
    made = recipe(hidden=16, layers=2, length=8, window=4, batch=15, lr=1e-2, epochs=EPOCHS)
    right, steps = [], []
    for seed in run.seeds:
        with without_flags(run.broken):
            model = train(copies, made, seed=seed)
            rows = copies.splits["test"]
            answers = np.array(model.predict(copies))[rows]
        right.append(float((answers == np.array(copies.classes)[copies.targets["labels"][rows]]).mean()))
        steps.append(float(EPOCHS * (TRAIN // 15)))
    run.report("hexagon and two triangles, held-out accuracy", right)
    run.report("steps of training", steps)
    run.report("difference of the two under Hodge convolution", [of_hodge(copies, seed) for seed in run.seeds])
    complex_, values = co_citations()
    better = 0
    for rate in RATES:
        found: dict[str, list[float]] = {"SCRaWl": [], "Hodge convolution": []}
        for seed in run.seeds:
            with without_flags(run.broken):
                walks = recipe(hidden=WIDTH, layers=LAYERS, length=12, walks=2, share=0.25)
                found["SCRaWl"].append(imputed(walks, complex_, values, rate, seed))
            plain = cw_cnn(hidden=WIDTH, layers=LAYERS)
            found["Hodge convolution"].append(imputed(plain, complex_, values, rate, seed))
        better += float(np.mean(found["SCRaWl"])) > float(np.mean(found["Hodge convolution"]))
        for name, each in found.items():
            run.baseline(f"{name}, found of {rate:.0%} hidden", each)
        run.progress(f"{rate}: {found}")
    run.report("rates of 3 at which more hidden values are found than by Hodge convolution", float(better))


@contextmanager
def without_flags(broken: bool) -> Iterator[None]:
    """Rows without flags, where the claim is broken on purpose."""
    if not broken:
        yield
        return

    def nothing(through: object, faces: int, walked: np.ndarray, window: int) -> np.ndarray:
        return np.zeros((*walked.shape, 3 * window), np.float32)

    with patch("semblance.encoders.topology.simplicial_walks.flags", nothing):
        yield


def relabelled() -> RelationalDataset:
    """Copies of a hexagon and of two triangles, hollow and without features, vertices and edges in another order each."""
    rng = np.random.default_rng(51)
    hexagon = np.stack([np.arange(6), (np.arange(6) + 1) % 6], 1)
    triangles = np.array([[0, 1], [1, 2], [2, 0], [3, 4], [4, 5], [5, 3]])
    labels = np.arange(TRAIN + ASKED) % 2
    drawn = [rng.permutation(6)[triangles if label else hexagon][rng.permutation(6)] for label in labels]
    parts = {"train": np.arange(TRAIN), "val": np.empty(0, np.int64), "test": TRAIN + np.arange(ASKED)}
    made: RelationalDataset = relate(
        "complex",
        joined_cells([of_simplices([edges], 6) for edges in drawn]),
        x=[None, None],
        labels=labels,
        classes=("hexagon", "two triangles"),
        given_splits=[parts],
        units="complex",
        count=len(labels),
        name="relabelled",
    )
    return made


@torch.no_grad()
def of_hodge(data: RelationalDataset, seed: int) -> float:
    """The largest difference between what three layers of unsigned Hodge convolution make of the two."""
    network = assemble(cw_cnn(hidden=16, layers=3), shape_of(data), seed).encoder.eval()
    one, other = network.embed(data.read(np.array([0, 1])))
    return float((one - other).abs().max())


@lru_cache(maxsize=1)
def co_citations() -> tuple[CellComplex, tuple[Tensor, ...]]:
    """The complex, and of every dimension how many hyperedges hold each simplex."""
    rows = load("cocitation-cora").graph.by_edge()
    edges = [sorted(rows.index[a:b].tolist()) for a, b in pairwise(rows.start)]
    counts = [Counter(s for edge in edges for s in combinations(edge, k + 1)) for k in range(3)]
    number = {v: i for i, (v,) in enumerate(counts[0])}
    simplices = [np.array([[number[v] for v in s] for s in count]) for count in counts[1:]]
    values = tuple(torch.tensor(list(count.values()), dtype=torch.float32) for count in counts)
    return of_simplices(simplices, len(number)), values


def imputed(made: Recipe, complex_: CellComplex, values: tuple[Tensor, ...], rate: float, seed: int) -> float:
    """The share of the hidden values that are found within a tenth."""
    generator = torch.Generator().manual_seed(5100 + seed)
    shape = Shape("complex", (1,) * len(values), 0, complex_.num_nodes, facts={"complexes": 0.0})
    encoder = assemble(replace(made, head=None), shape, seed).encoder
    encoder.after = None  # of the read-out, which is not asked
    hidden = [torch.rand(len(v), generator=generator) < rate for v in values]
    medians = [v[~away].median().log() for v, away in zip(values, hidden, strict=True)]
    known = [torch.where(away, m, v.log()) for v, away, m in zip(values, hidden, medians, strict=True)]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5200 + seed)
        answers = nn.ModuleList(nn.Linear(width, 1) for width in encoder.layers[-1].dims)
        optimizer = torch.optim.Adam([*encoder.parameters(), *answers.parameters()], lr=5e-3)

        def answered(shown: list[Tensor]) -> list[Tensor]:
            states = encoder({"graph": complex_, "x": [s[:, None] for s in shown]})
            return [m + a(h)[:, 0] for m, a, h in zip(medians, answers, states, strict=True)]

        encoder.train()
        for _ in range(STEPS):
            away = [~h & (torch.rand(len(h)) < rate) for h in hidden]
            found = answered([torch.where(a, m, v) for a, m, v in zip(away, medians, known, strict=True)])
            errors = [(f - v)[a].abs() for f, v, a in zip(found, known, away, strict=True)]
            optimizer.zero_grad()
            torch.cat(errors).mean().backward()
            optimizer.step()
        encoder.eval()
        with torch.no_grad():
            found = answered(known)
    near = [(f.exp() - v)[h].abs() <= 0.1 * v[h] for f, v, h in zip(found, values, hidden, strict=True)]
    return float(torch.cat(near).float().mean())

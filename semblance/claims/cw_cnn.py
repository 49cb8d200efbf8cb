"""Networks on cell complexes see holes, which a network on their graphs does not.

Grids of 5 by 5 squares: each face filled with probability 0.5; then, in the order of their numbers, each edge that borders
no filled face is deleted with probability 0.2 unless that disconnects the grid; the target is the number of holes. No cell
has features. 1,000 grids train, 300 test, the same for all seeds. The graph network (GIN on degrees, sum read-out)
has the same width, depth and target and five times the epochs, and sees vertices and edges only.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from semblance.claims.ledger import Run, at_least, at_most, claim, exactly
from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.encoders.topology.cells import CellAttention, CellConvolution, CellNetwork
from semblance.geometry.cell_builders import grid, of_polygons
from semblance.geometry.cells import CellComplex, joined_cells
from semblance.geometry.graph import joined
from semblance.geometry.laplacians import hodge_laplacian
from semblance.recipes.graph_cells import cw_at
from semblance.recipes.graph_cells import cw_cnn as recipe
from semblance.recipes.graph_pooled import gin
from semblance.recipes.registry import Recipe
from semblance.space.training import train

TRAIN, TEST, SIDE, WIDTH = 1000, 300, 5, 32
"""Grids, squares along a side, and the width of all three networks."""
EPOCHS, LONGER = 12, 60
"""Of the two networks on complexes; of GIN, so that it does not fail for want of time."""
BETTI = {"torus": (1, 2, 1), "sphere": (1, 0, 1), "Klein bottle": (1, 1, 0)}


@claim(
    "cw-cnn",
    parts={
        "(a) largest entry of B_k B_{k+1}": exactly(0.0),
        "(a) complexes whose dim ker D_k are the Betti numbers": exactly(3.0),
        "(a) signed, 50 cells turned over, error": at_most(1e-6),
        "(b) CW-CNN, RMSE over the target's deviation": at_most(0.3),
        "(b) CW-AT, RMSE over the target's deviation": at_most(0.3),
        "(b) GIN, RMSE over the target's deviation": at_least(0.6),
    },
    data=("synthetic: square grids with random filled faces and deleted edges",),
    broken="boundary matrices lose their signs, and the networks are shown no faces",
    files=(
        "encoders/topology/cells.py",
        "geometry/cells.py",
        "geometry/cell_builders.py",
        "geometry/laplacians.py",
        "recipes/graph_cells.py",
        "recipes/graph_pooled.py",
    ),
    minutes=2.0,
)
def cw_cnn(run: Run) -> None:
    """Cells of all dimensions carry states; holes are what the Hodge Laplacians' kernels count."""
    exact(run)
    complexes, graphs = data(run.broken)
    deviation = float(complexes.targets["labels"][complexes.splits["test"]].std())
    run.baseline("deviation of the target", deviation)
    made = {
        "CW-CNN": (complexes, recipe(hidden=WIDTH, epochs=EPOCHS)),
        "CW-AT": (complexes, cw_at(hidden=WIDTH, epochs=EPOCHS)),
        "GIN": (graphs, of_graphs()),
    }
    for name, (dataset, how) in made.items():
        found = [rmse(dataset, how, seed) / deviation for seed in run.seeds]
        run.progress(f"{name}: {found}")
        run.report(f"(b) {name}, RMSE over the target's deviation", found)


def exact(run: Run) -> None:
    """Boundaries, kernels and orientations."""
    found = surfaces()
    if run.broken:
        found = {name: damaged(complex_) for name, complex_ in found.items()}
    worst = max(float(np.abs((c.matrix(1) @ c.matrix(2)).toarray()).max()) for c in found.values())
    run.report("(a) largest entry of B_k B_{k+1}", worst)
    right = 0
    for name, complex_ in found.items():
        spectra = [np.linalg.eigvalsh(operator(complex_, k, run.broken)) for k in range(3)]
        right += tuple(int((values < 1e-9).sum()) for values in spectra) == BETTI[name]
    run.report("(a) complexes whose dim ker D_k are the Betti numbers", float(right))
    run.report("(a) signed, 50 cells turned over, error", [turned(seed, run.broken) for seed in run.seeds])


def surfaces() -> dict[str, CellComplex]:
    """A torus as a grid, the octahedron, and a Klein bottle as a grid one pair of whose sides is joined with a flip."""
    n = 6

    def at(i: int, j: int) -> int:
        i, j = (0, -j) if i == n else (i, j)
        return i * n + j % n

    squares = [[at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)] for i in range(n) for j in range(n)]
    eight = [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1], [5, 2, 1], [5, 3, 2], [5, 4, 3], [5, 1, 4]]
    return {"torus": grid((n, n), (True, True)), "sphere": of_polygons(eight), "Klein bottle": of_polygons(squares)}


def operator(complex_: CellComplex, k: int, broken: bool) -> np.ndarray:
    """D_k, formed for its spectrum; where the boundary has a boundary, as the sum of its parts."""
    lower, upper = complex_.matrix(k), complex_.matrix(k + 1)
    pairs = [(lower, None), (None, upper)] if broken else [(lower, upper)]
    return np.sum([hodge_laplacian(*pair).matrix.toarray() for pair in pairs], 0)


def damaged(complex_: CellComplex) -> CellComplex:
    """Without signs: no complex any more."""
    return replace(complex_, boundaries=tuple(replace(b, sign=b.sign.abs()) for b in complex_.boundaries), kept={})


def turned(seed: int, broken: bool) -> float:
    """Largest difference between the outputs after 50 random cells of a grid were turned over, and the outputs before,
    turned over at exactly these cells; float64, both layers in signed mode (broken: unsigned)."""
    complex_, rng = grid((6, 6)), np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        bend = "relu" if broken else "tanh"
        layers = [CellConvolution([4] * 3, 8, not broken, activation=bend), CellAttention(8, 3, 2, not broken, bend)]
        network = CellNetwork([4] * 3, layers, signed=not broken).double()
        x = [torch.randn(n, 4, dtype=torch.float64) for n in complex_.num_cells]
    signs = np.ones(sum(complex_.num_cells))
    signs[rng.choice(len(signs), 50, replace=False)] = -1
    each = [torch.from_numpy(s) for s in np.split(signs, np.cumsum(complex_.num_cells)[:-1])]
    with torch.inference_mode():
        before = network({"x": x, "graph": complex_})
        after = network(
            {"x": [s[:, None] * h for s, h in zip(each, x, strict=True)], "graph": complex_.reoriented(each)}
        )
    return max(float((b - s[:, None] * a).abs().max()) for a, b, s in zip(before, after, each, strict=True))


@lru_cache(maxsize=2)
def data(broken: bool) -> tuple[RelationalDataset, RelationalDataset]:
    """The grids as complexes and as graphs, with the number of holes."""
    rng = np.random.default_rng(64)
    grids = [drawn(rng) for _ in range(TRAIN + TEST)]
    whole = joined_cells(grids)
    holes = whole.betti()[:, 1].astype(np.float32)
    if broken:
        whole, _ = whole.keep([np.full(n, k < 2) for k, n in enumerate(whole.num_cells)])
    rows = np.arange(len(grids))
    split = {"train": rows[:TRAIN], "test": rows[TRAIN:]}
    known = {"labels": holes, "given_splits": [split], "count": len(grids)}
    graphs = joined([one.graph() for one in grids])
    return (
        relate("complex", whole, x=[None] * 3, units="complex", **known),
        relate("graphs", graphs, units="graph", **known),
    )


def drawn(rng: np.random.Generator) -> CellComplex:
    """One grid."""
    whole = grid((SIDE, SIDE))
    filled = rng.random(SIDE * SIDE) < 0.5
    borders = (abs(whole.matrix(2)) @ filled) > 0
    edges = np.ones(whole.size(1), bool)
    ends = whole.matrix(1).tocsc().indices.reshape(-1, 2)
    for edge in np.flatnonzero(~borders & (rng.random(len(edges)) < 0.2)):
        edges[edge] = False
        left = sparse.coo_array((np.ones(edges.sum()), tuple(ends[edges].T)), shape=(whole.size(0),) * 2)
        edges[edge] = connected_components(left, directed=False, return_labels=False) > 1
    return whole.keep([np.ones(whole.size(0)), edges, filled])[0]


def of_graphs() -> Recipe:
    """GIN under the rule of the others."""
    return replace(gin(hidden=WIDTH, layers=2, readout="sum"), stages=recipe(hidden=WIDTH, epochs=LONGER).stages)


def rmse(dataset: RelationalDataset, made: Recipe, seed: int) -> float:
    """Root mean squared error on the split `test` after training."""
    model = train(dataset, made, seed=seed)
    rows = dataset.splits["test"]
    with torch.inference_mode():
        answers = torch.cat([model.network(batch) for batch in model.batches(dataset, rows)]).numpy()
    return float(np.sqrt(np.mean((answers - dataset.targets["labels"][rows]) ** 2)))

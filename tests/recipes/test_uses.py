"""What each method reads of a graph: one thing after the other is changed, and its embeddings move or stay."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.recipes.registry import build, own
from semblance.recipes.uses import TOLD, USES, unused
from semblance.space.training import train

NODES = 24
RELATED = {row.name: row for row in own().values() if {"graph", "graphs", "events"} & set(row.domains)}
# cw-cnn and cw-at read complexes, whose cells have no weights.


def ends():
    pairs = np.unique(np.random.default_rng(0).integers(0, NODES * NODES, 90))
    pairs = pairs[pairs // NODES != pairs % NODES]
    return torch.from_numpy(np.stack([pairs // NODES, pairs % NODES]))


def changes():
    """What may be known of the edges, at random."""
    rng, count = np.random.default_rng(1), ends().shape[1]
    return {
        "weighted": {"weight": torch.from_numpy(rng.uniform(0.2, 3, count).astype(np.float32))},
        "timed": {"time": torch.from_numpy(rng.permutation(count).astype(np.float64))},
        "typed": {"kind": torch.from_numpy(rng.integers(0, 3, count))},
        "directed": {"edge_index": ends().flip(0)},
    }


def embedded(name, **known):
    rng = np.random.default_rng(2)
    signs = {"sign": torch.ones(ends().shape[1])} if "signed" in USES[name] else {}
    several = not {"graph", "events"} & set(RELATED[name].domains)
    graph = Graph(**{"edge_index": ends(), "num_nodes": NODES, "directed": True, **signs, **known})
    if several:  # two graphs: the nodes in halves, without the edges between them
        inside = (graph.edge_index[0] < NODES // 2) == (graph.edge_index[1] < NODES // 2)
        graph = graph.with_edges(inside)
        graph = Graph(
            **{k: getattr(graph, k) for k in ("edge_index", "num_nodes", "directed", "weight", "time", "kind")},
            member=torch.arange(NODES) // (NODES // 2),
            num_graphs=2,
        )
    units = 2 if several else NODES
    data = RelationalDataset(
        "graphs" if several else "graph",
        graph,
        rng.normal(size=(NODES, 5)).astype(np.float32),
        [str(i) for i in range(units)],
        {"labels": np.arange(units) % 2},
        pa.table({"row": np.arange(units)}),
        {"train": np.arange(units), "val": np.arange(units), "test": np.empty(0, np.int64)},
        "a graph of a test",
        classes=("a", "b"),
        units="graph" if several else "node",
    )
    small = {k: v for k, v in {"steps": 1, "batch": 32, "walks": 2}.items() if k in RELATED[name].settings}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # skip-gram over several threads is not the same twice
    try:
        return train(data, build(name, **small), seed=0, epochs=1).embed(data)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", sorted(RELATED))
def test_a_method_uses_what_its_row_says_and_nothing_else(name):
    plain = embedded(name)
    for kind, change in changes().items():
        moved = np.abs(embedded(name, **change) - plain).max() > 1e-6
        assert moved == (kind in USES[name]), f"{name}, {kind}"


def test_every_method_of_graphs_has_a_row_and_no_row_is_lost():
    assert set(USES) == set(RELATED)


def test_signs_move_the_method_that_uses_them():
    rng = np.random.default_rng(3)
    signs = torch.from_numpy(np.where(rng.random(ends().shape[1]) < 0.5, 1.0, -1.0))
    for name in (name for name, uses in USES.items() if "signed" in uses):
        assert np.abs(embedded(name, sign=signs) - embedded(name)).max() > 1e-6


def test_what_is_not_used_is_told_and_signs_are_refused():
    assert unused("gat", {"directed", "weighted", "timed"}) == ["weights", "times"]
    assert unused("gcn", {"directed", "weighted"}) == []
    assert unused("a recipe of another package", {"signed"}) == []
    assert set(unused("mlp", set(TOLD) - {"signed"})) == {"directions", "weights", "times", "types of edges"}
    with pytest.raises(SemblanceError, match=r"'gcn' does not use signs: drop those edges, or use sheaf-network"):
        unused("gcn", {"signed"})

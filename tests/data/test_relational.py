"""Relational datasets: what a batch of their units holds, against plain selections."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import sparse

from semblance.data.moments import shape_of
from semblance.data.relational import RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, joined


def dataset(domain, graph, x, n, **more):
    return RelationalDataset(
        domain,
        graph,
        x,
        [str(i) for i in range(n)],
        {"labels": np.arange(n) % 2},
        pa.table({"place": np.arange(n)}),
        {"train": np.arange(0, n, 2), "test": np.arange(1, n, 2)},
        "f",
        classes=("a", "b"),
        **more,
    )


def a_graph(nodes, edges, seed):
    ends = torch.from_numpy(np.random.default_rng(seed).integers(0, nodes, (2, edges)))
    return Graph(torch.cat([ends, ends.flip(0)], 1), nodes, weight=torch.arange(2.0 * edges))


@pytest.fixture
def many():
    graphs = [a_graph(3 + g % 4, 5, g) for g in range(7)]
    x = np.random.default_rng(0).normal(size=(sum(g.num_nodes for g in graphs), 2)).astype(np.float32)
    return graphs, dataset("graphs", joined(graphs), x, 7, units="graph")


@pytest.mark.parametrize("picked", [[4], [6, 0, 3], [2, 2], []])
def test_graphs_asked_for_come_in_their_order_with_their_own_nodes_and_edges(many, picked):
    graphs, data = many
    batch = data.read(np.array(picked, dtype=np.int64))
    first = np.cumsum([0] + [g.num_nodes for g in graphs])
    expected = joined([graphs[g] for g in picked])
    assert batch["graph"].num_graphs == len(picked)
    assert batch["graph"].member.tolist() == expected.member.tolist()
    assert batch["graph"].edge_index.tolist() == expected.edge_index.tolist()
    assert picked == [] or batch["graph"].weight.tolist() == expected.weight.tolist()
    own = [data.x[first[g] : first[g + 1]] for g in picked]
    assert np.array_equal(batch["x"].numpy(), np.concatenate([*own, data.x[:0]]))
    assert batch["labels"].tolist() == [g % 2 for g in picked]


def test_every_batch_of_nodes_holds_the_same_graph_and_says_which_nodes_are_asked_for():
    x = sparse.random_array((9, 5), density=0.4, format="csr", dtype=np.float32, rng=np.random.default_rng(1))
    data = dataset("graph", a_graph(9, 12, 1), x, 9)
    one, other = data.read(np.array([5, 1])), data.read(np.array([2]))
    assert one["graph"] is other["graph"] is data.graph
    assert one["x"] is other["x"]
    assert one["nodes"].tolist() == [5, 1]
    assert one["labels"].tolist() == [1, 1]
    assert np.array_equal(one["x"].to_dense().numpy(), x.toarray())


def test_a_subset_of_nodes_keeps_the_edges_between_them():
    data = dataset("graph", a_graph(9, 12, 2), np.eye(9, dtype=np.float32), 9)
    part = data.subset(np.array([4, 0, 7]))
    assert part.graph.edge_index.tolist() == data.graph.part(torch.tensor([4, 0, 7])).edge_index.tolist()
    assert part.x.argmax(1).tolist() == [4, 0, 7]
    assert part.ids == ["4", "0", "7"]
    assert part.splits["train"].tolist() == [1, 0]  # nodes 0 and 4, in the order of the split
    assert part.splits["test"].tolist() == [2]


def test_a_given_split_is_taken_by_its_number():
    splits = tuple({"train": np.array([k]), "test": np.array([k + 1])} for k in range(3))
    data = dataset("graph", a_graph(9, 12, 2), None, 9, given_splits=splits)
    assert data.with_split(2).splits["train"].tolist() == [2]
    with pytest.raises(SemblanceError, match="no split 3 of this data: it has 0 to 2"):
        data.with_split(3)


def test_the_shape_tells_nodes_edges_and_the_mean_degree_of_training_units(many):
    graphs, data = many
    degrees = [np.log1p(g.rows().degree) for g in graphs[::2]]
    facts = shape_of(data).facts
    assert facts["log_degree"] == pytest.approx(np.concatenate(degrees).mean())
    assert facts["nodes"] == sum(g.num_nodes for g in graphs)
    assert shape_of(data).item == (2,)
    assert shape_of(data).classes == 2


def test_without_neighbours_a_graph_is_its_summed_features_and_its_sizes(many):
    graphs, data = many
    first = np.cumsum([0] + [g.num_nodes for g in graphs])
    expected = [
        [g.num_nodes, g.num_edges, *data.x[a:b].sum(0)] for g, a, b in zip(graphs, first, first[1:], strict=False)
    ]
    assert np.allclose(data.raw(np.array([3, 1])), np.array(expected)[[3, 1]], atol=1e-5)

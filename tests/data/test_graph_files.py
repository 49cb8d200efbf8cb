from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy import io, sparse

from semblance.data.domains import infer
from semblance.data.graph_facts import properties
from semblance.data.load import load
from semblance.errors import SemblanceError


def pairs(data):
    return sorted(map(tuple, data.graph.edge_index.T.tolist()))


def text(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


WAY = np.array([[0, 1, 0], [1, 0, 2], [0, 2, 0]])


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_a_sparse_matrix_is_a_graph_directed_where_it_is_not_symmetric(tmp_path, kind):
    sparse.save_npz(tmp_path / "m.npz", sparse.csr_array(WAY).asformat(kind))
    io.mmwrite(tmp_path / "m.mtx", sparse.coo_array(WAY))
    for source in (tmp_path / "m.npz", tmp_path / "m.mtx", sparse.csr_array(WAY).asformat(kind)):
        data = load(source)
        assert data.domain == infer(source if not sparse.issparse(source) else tmp_path / "m.npz") == "graph"
        assert pairs(data) == [(0, 1), (1, 0), (1, 2), (2, 1)] and not data.graph.directed
        assert sorted(data.graph.weight.tolist()) == [1, 1, 2, 2]
    one_way = load(sparse.csr_array(np.triu(WAY)))
    assert one_way.graph.directed and pairs(one_way) == [(0, 1), (1, 2)]
    assert not load(sparse.csr_array(np.triu(WAY)), directed=False).graph.directed
    members = load(sparse.csr_array(WAY[:2]), domain="hypergraph")
    assert members.graph.num_nodes == 2 and members.graph.num_edges == 3 and len(members.graph.node) == 3
    with pytest.raises(SemblanceError, match=r"is \[2, 3\], and a graph's matrix is square"):
        load(sparse.csr_array(WAY[:2]))


def test_graphml_and_gml_are_read_with_labels_weights_and_names(tmp_path):
    graph = nx.karate_club_graph()
    nx.write_graphml(graph, tmp_path / "k.graphml")
    nx.write_gml(graph, tmp_path / "k.gml")
    for source in (tmp_path / "k.graphml", tmp_path / "k.gml", graph):
        data = load(source, label="club")
        assert data.graph.num_edges == 156 and data.classes == ("Mr. Hi", "Officer") and len(data) == 34
        assert properties(data.graph) == {"weighted"} and data.ids[:2] == ["0", "1"]
    nx.set_node_attributes(graph, dict(enumerate(np.linspace(0, 1, 34).tolist())), "age")
    data = load(nx.DiGraph(graph))
    assert data.x.shape == (34, 1) and data.graph.is_symmetric()
    with pytest.raises(SemblanceError, match="no node has an attribute 'clubb', only age, club"):
        load(graph, label="clubb")
    with pytest.raises(SemblanceError, match="cannot be read as gml"):
        load(text(tmp_path, "bad.gml", "graph ["))
    with pytest.raises(SemblanceError, match="has no nodes"):
        load(nx.Graph())


def data_of(edge_index, **more):
    from torch_geometric.data import Data

    return Data(edge_index=torch.tensor(edge_index), **more)


def test_data_of_pyg_is_undirected_where_every_edge_has_its_reverse():
    x, y = torch.eye(3), torch.tensor([0, 1, 1])
    mask = torch.tensor([[True, False], [False, True], [True, True]])
    data = load(data_of([[0, 1, 1, 2], [1, 0, 2, 1]], x=x, y=y, train_mask=mask, test_mask=~mask))
    assert not data.graph.directed and data.graph.num_edges == 4 and len(data.given_splits) == 2
    assert data.given_splits[1]["train"].tolist() == [1, 2] and data.targets["labels"].tolist() == [0, 1, 1]
    one_way = load(data_of([[0, 1], [1, 2]], x=x, edge_weight=torch.tensor([1.0, 3.0])))
    assert one_way.graph.directed and one_way.graph.weight.tolist() == [1, 3]
    with pytest.raises(SemblanceError, match=r"edge_index \[3, 2\].*transposed"):
        load(data_of([[0, 1], [1, 2], [2, 0]], num_nodes=3))


def test_a_list_of_data_of_pyg_is_a_dataset_of_graphs():
    items = [
        data_of([[0, 1], [1, 0]], x=torch.full((2 + k % 2, 1), float(k)), y=torch.tensor([k % 2])) for k in range(6)
    ]
    data = load(items)
    assert (
        data.domain == "graphs"
        and len(data) == 6
        and data.graph.member.tolist() == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5]
    )
    assert data.targets["labels"].tolist() == [0, 1] * 3 and data.x[:, 0].tolist() == data.graph.member.tolist()
    assert data.attributes.column("edges").to_pylist() == [1] * 6


TU = {"A": "1, 2\n2, 1\n3, 4\n4, 3\n4, 5\n5, 4\n", "graph_indicator": "1\n1\n2\n2\n2\n"}


def tu(folder, **files):
    for name, content in {**TU, **files}.items():
        text(folder / "DS", f"DS_{name}.txt", content)
    return folder / "DS"


def test_a_folder_in_tu_format_holds_graphs_with_labels_and_attributes(tmp_path):
    path = tu(
        tmp_path,
        graph_labels="-1\n1\n",
        node_labels="0\n2\n2\n5\n0\n",
        node_attributes="1.5, 2\n" * 5,
        edge_labels="0\n0\n1\n1\n1\n1\n",
    )
    data = load(path)
    assert data.domain == infer(path) == "graphs" and data.classes == ("-1", "1") and len(data) == 2
    np.testing.assert_array_equal(data.x[:, :3], [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert (data.x[:, 3:] == [1.5, 2]).all() and data.graph.num_edges == 6 and data.graph.is_symmetric()
    assert data.graph.member.tolist() == [0, 0, 1, 1, 1] and data.graph.kind.tolist() == [0, 0, 1, 1, 1, 1]
    assert load(tu(tmp_path / "r", graph_attributes="0.5\n1.5\n")).targets["labels"].tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"A": "1, 2\n2, 3\n"}, r"DS_A.txt, line 2: edge \[2, 3\] joins two graphs"),
        ({"A": "1, 9\n"}, "edge 0 names node 8, and there are 5 nodes|joins two graphs"),
        ({"A": "1, 2, 3\n"}, "DS_A.txt has 3 columns"),
        ({"A": "1, x\n"}, "DS_A.txt cannot be read"),
        ({"A": "1, 1.5\n"}, "DS_A.txt, line 1: .* are no whole numbers"),
        (
            {"graph_indicator": "1\n2\n1\n2\n2\n"},
            "graph_indicator.txt, line 3: graphs are numbered from 1, and in this order",
        ),
        ({"graph_labels": "1\n"}, "1 labels for 2 graphs"),
        ({"node_labels": "1\n"}, "features for 1 nodes, and 5 nodes"),
        ({"edge_labels": "1\n"}, "1 rows of kind for 6 edges"),
    ],
)
def test_a_wrong_tu_folder_is_answered_with_file_and_line(tmp_path, files, told):
    with pytest.raises(SemblanceError, match=told) as error:
        load(tu(tmp_path, **files))
    assert "\n" not in str(error.value)


OBJ = "# square\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nvn 0 0 1\nf 1/1/1 2/2 3\nf -1 -2 2\n"


def test_meshes_are_complexes_whose_edges_are_the_sides_of_faces(tmp_path):
    data = load(text(tmp_path, "s.obj", OBJ))
    assert data.domain == infer(tmp_path / "s.obj") == "complex" and data.graph.num_cells == (4, 5, 2)
    off = load(text(tmp_path, "s.off", "OFF\n# c\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n1 1 0\n3 0 1 2 255 0 0\n3 3 2 1\n"))
    assert off.fingerprint == data.fingerprint
    np.testing.assert_array_equal(data.x[0], [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    # Both triangles are given the same way round, so the inner edge cancels in their sum.
    around = np.abs(data.graph.matrix(2) @ np.ones(2))
    assert around.sum() == 4 and (around == 0).sum() == 1
    square = load(text(tmp_path, "q.off", "OFF\n4 1 4\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n"))
    assert square.graph.num_cells == (4, 4, 1) and abs(square.graph.matrix(1) @ square.graph.matrix(2)).sum() == 0


def test_simplices_and_boundary_matrices_are_complexes(tmp_path):
    data = load(text(tmp_path, "s.simplices", "# a triangle with a tail\n0 1 2\n1 3\n"))
    assert data.graph.num_cells == (4, 4, 1) and data.x[0] is None and data.units == "vertex"
    turned = load(text(tmp_path, "t.simplices", "1 0 2\n1 3\n"))
    np.testing.assert_array_equal(turned.graph.matrix(2).toarray(), -data.graph.matrix(2).toarray())
    first, second = np.array([[-1, 0, -1], [1, -1, 0], [0, 1, 1]]), np.array([[1], [1], [-1]])
    np.savez(tmp_path / "b.npz", boundary_1=first, boundary_2=second)
    assert load(tmp_path / "b.npz").graph.num_cells == (3, 3, 1)
    np.savez(tmp_path / "c.npz", boundary_1=first, boundary_2=np.abs(second))
    with pytest.raises(SemblanceError, match="B_1 B_2 is not zero"):
        load(tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.off", "OFX\n", "begins with 'OFX' and not with OFF"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n", "says 3 vertices and 1 faces and has 1 lines"),
        ("a.obj", "f 1 2 3\n", "has no vertices"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 4\n", "simplex 0 names vertex 3, and there are 3"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 2\n", r"simplex 0 is \[0, 1, 1\], with a vertex twice"),
        ("a.simplices", "0 -1\n", "simplex 0 names vertex -1"),
        ("a.simplices", "0 x\n", "cannot be read as simplices"),
        ("a.simplices", "0\n", "1 vertices and 0 edges, so nothing is related"),
        ("a.mtx", "nothing\n", "cannot be read as mtx"),
        ("a.graphml", "nothing\n", "cannot be read as graphml"),
        ("a.edges", "a\nb\n", "has one column"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, name, content, told):
    with pytest.raises(SemblanceError, match=told) as error:
        load(text(tmp_path, name, content))
    assert "\n" not in str(error.value)


def test_what_goes_with_graphs_is_refused_elsewhere(tmp_path):
    for more in ({"split": 1}, {"directed": True}):
        with pytest.raises(SemblanceError, match=r"leave (them|it) out"):
            load("iris", **more)
    with pytest.raises(SemblanceError, match="nodes names the table of a file of edges"):
        load("karate", nodes="x.csv")
    with pytest.raises(SemblanceError, match="nodes goes with a list of edges"):
        load(text(tmp_path, "a.simplices", "0 1\n"), nodes="x.csv")
    with pytest.raises(
        SemblanceError, match="the graph has the arrays edge_index, and hypergraph needs hyperedge_nodes and"
    ):
        load({"edge_index": np.array([[0], [1]])}, domain="hypergraph")
    with pytest.raises(SemblanceError, match="and events needs edge_index_directed and time"):
        load({"edge_index": np.array([[0], [1]])}, domain="events")


def test_a_dataset_passes_through_and_an_array_of_labels_joins_arrays_of_edges():
    data = load({"edge_index": np.array([[0, 1], [1, 2]])}, labels=["a", "b", "a"])
    assert load(data) is data and data.classes == ("a", "b")
    assert load(
        {"edge_index": np.array([[0, 1], [1, 2]]), "kind_of": np.array([2, 2, 5])}, label="kind_of"
    ).classes == ("2", "5")

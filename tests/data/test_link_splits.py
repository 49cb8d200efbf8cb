from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from semblance.data.link_splits import hide_edges, hide_latest, non_edges
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


def graph_of(seed, directed, nodes=30, edges=70):
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, nodes, (2, edges))
    if not directed:
        apart = ends[0] != ends[1]
        ends = np.concatenate([ends, ends[:, apart][::-1]], 1)
    time = torch.from_numpy(rng.integers(0, 1000, ends.shape[1]))
    return Graph(torch.from_numpy(ends), nodes, directed=directed, time=time.sort().values)


def pairs(ends):
    return set(zip(*ends.tolist(), strict=True))


def parts(graph):
    matrix = csr_array((np.ones(graph.num_edges), graph.edge_index.numpy()), shape=(graph.num_nodes,) * 2)
    return connected_components(matrix, connection="weak")[0]


@given(st.integers(0, 500), st.booleans(), st.booleans())
def test_hidden_pairs_leave_in_both_directions_and_negatives_are_no_edges(seed, directed, connected):
    graph = graph_of(seed, directed)
    rest, positives, negatives = hide_edges(graph, 0.2, seed, connected)
    known, left = pairs(graph.edge_index), pairs(rest.edge_index)
    hidden, none = pairs(positives), pairs(negatives)
    assert hidden <= known and not hidden & left and not none & known and len(hidden) == len(none) == positives.shape[1]
    assert not any(a == b for a, b in hidden | none)
    loops = {(a, b) for a, b in known if a == b}
    assert loops <= left  # self-loops stay
    if directed:
        assert len(left) == len(known) - len(hidden)
    else:
        assert all(a < b for a, b in hidden | none) and not {(b, a) for a, b in hidden} & left
        assert not {(b, a) for a, b in none} & known and len(left) == len(known) - 2 * len(hidden)
    if connected:
        assert parts(rest) == parts(graph)


def test_the_same_seed_hides_the_same_and_another_one_others():
    graph = graph_of(0, False)
    first, again, other = (hide_edges(graph, 0.3, seed) for seed in (1, 1, 2))
    assert torch.equal(first.positives, again.positives) and torch.equal(first.negatives, again.negatives)
    assert not torch.equal(first.positives, other.positives)


def test_every_pair_without_an_edge_is_drawn_equally_often():
    graph = Graph(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 6)  # 15 pairs, 2 edges
    seen = [tuple(p) for seed in range(3000) for p in non_edges(graph, 2, seed).T.tolist()]
    counts = np.array([seen.count(pair) for pair in set(seen)])
    assert len(counts) == 13 and abs(counts - 6000 / 13).max() < 5 * np.sqrt(6000 / 13)


def test_a_large_graph_is_drawn_from_by_rejection_and_gives_as_many_as_asked():
    graph = Graph(torch.stack([torch.arange(2999), torch.arange(1, 3000)]), 3000, directed=True)
    found = pairs(non_edges(graph, 5000, 0))
    assert len(found) == 5000 and not found & pairs(graph.edge_index) and not any(a == b for a, b in found)


def test_the_latest_edges_are_hidden_in_time():
    graph = graph_of(3, True)
    rest, positives, _ = hide_latest(graph, 0.25)
    border = rest.time.max()
    late = graph.edge_index[:, graph.time > border]
    assert pairs(positives) == {(a, b) for a, b in pairs(late) if a != b} and rest.num_edges >= 50
    with pytest.raises(SemblanceError, match="no times"):
        hide_latest(Graph(graph.edge_index, 30))


def test_a_tree_has_no_edge_to_spare():
    tree = Graph(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 4)
    with pytest.raises(SemblanceError, match="hides 1 edges, and 0 can go while the rest stays connected"):
        hide_edges(tree, 0.5, connected=True)
    with pytest.raises(SemblanceError, match=r"share of hidden edges is 1\.5"):
        hide_edges(tree, 1.5)
    full = Graph(torch.tensor([[0, 1], [1, 0]]), 2)
    with pytest.raises(SemblanceError, match="0 pairs without an edge, and 1 are asked for"):
        non_edges(full, 1)

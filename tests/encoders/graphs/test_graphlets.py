from __future__ import annotations

from itertools import combinations, permutations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.encoders.graphs import graphlets
from semblance.encoders.graphs.graphlets import GRAPHLETS, NAMES, name_of, orbit_adjacencies, orbit_adjacency
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph

KINDS = {
    tuple(sorted(sum(v in e for e in edges) for v in range(len(orbits)))): (name, orbits, edges)
    for name, (edges, orbits) in GRAPHLETS.items()
}


def of_networkx(g: nx.Graph) -> Graph:
    numbered = nx.convert_node_labels_to_integers(g)
    ends = torch.tensor(list(numbered.edges()), dtype=torch.int64).reshape(-1, 2).T
    return Graph(ends, len(numbered)).undirected()


def brute_force(g: nx.Graph) -> dict[str, np.ndarray]:
    """All sets of 2 to 4 nodes, told by their degrees; the connected graphlets of up to 4 nodes differ in them."""
    g = nx.convert_node_labels_to_integers(g)
    found = {name: np.zeros((len(g),) * 2, np.int64) for name in NAMES}
    a = nx.to_numpy_array(g, weight=None) > 0
    by_degree = {}
    for _, orbits, edges in KINDS.values():
        name = next(n for n, (e, _) in GRAPHLETS.items() if e == edges)
        by_degree[name] = {sum(v in e for e in edges): orbits[v] for v in range(len(orbits))}
    for size in (2, 3, 4):
        for members in combinations(range(len(g)), size):
            inside = a[np.ix_(members, members)]
            degrees = inside.sum(0)
            kind = KINDS.get(tuple(sorted(degrees.tolist())))
            if kind is None or degrees.sum() < 2 * (size - 1):
                continue
            orbit = [by_degree[kind[0]][int(d)] for d in degrees]
            for i, j in permutations(range(size), 2):
                found[name_of(kind[0], orbit[i], orbit[j], bool(inside[i, j]))][members[i], members[j]] += 1
    return found


def check(g: nx.Graph) -> None:
    expected, found = brute_force(g), orbit_adjacencies(of_networkx(g))
    for name in NAMES:
        np.testing.assert_array_equal(found[name].toarray(), expected[name], err_msg=name)


def test_there_are_28_and_each_is_named_once() -> None:
    assert len(NAMES) == len(set(NAMES)) == 28 and len(KINDS) == 9
    assert set(orbit_adjacencies(of_networkx(nx.path_graph(3)))) == set(NAMES)


def test_the_karate_club_agrees_with_brute_force() -> None:
    check(nx.karate_club_graph())


@given(st.integers(0, 10**6), st.integers(0, 11), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_random_graphs_agree_with_brute_force(seed: int, nodes: int, p: float) -> None:
    check(nx.gnp_random_graph(nodes, p, seed=seed))


def test_brute_force_knows_every_graphlet() -> None:
    for name, (edges, _) in GRAPHLETS.items():
        found = brute_force(nx.Graph(list(edges)))
        held = [n for n in NAMES if found[n].any()]
        assert any(n.startswith(name) for n in held)


def test_row_sums_are_graphlet_degrees_times_partners() -> None:
    # Orbit counts of the star and the clique by hand: a leaf of K_1,5 ends 4 paths of 3, the centre is in 10 claws.
    star = orbit_adjacencies(of_networkx(nx.star_graph(5)))
    assert star["path3-end-middle"].sum(1).tolist() == [0, 4, 4, 4, 4, 4]
    assert star["claw-centre-leaf"].sum(1).tolist() == [30, 0, 0, 0, 0, 0]  # 10 claws, 3 partners
    assert star["claw-leaf-leaf"].sum(1).tolist() == [0, *[12] * 5]  # 6 claws, 2 partners
    clique = orbit_adjacencies(of_networkx(nx.complete_graph(6)))
    assert clique["clique"].sum(1).tolist() == [30] * 6  # 10 cliques, 3 partners
    assert sum(clique[n].nnz for n in NAMES if n not in ("edge", "triangle", "clique")) == 0


def test_transposes_belong_together() -> None:
    found = orbit_adjacencies(of_networkx(nx.les_miserables_graph()))
    for name in NAMES:
        graphlet, *orbits = name.split("-")
        other = "-".join([graphlet, *reversed(orbits)]) if len(orbits) == 2 else name
        assert (found[other] != found[name].T).nnz == 0


def test_directions_weights_repeats_and_loops_do_not_count() -> None:
    plain = of_networkx(nx.karate_club_graph())
    half = plain.edge_index[:, plain.edge_index[0] < plain.edge_index[1]]
    loops = torch.arange(34).repeat(2, 1)
    odd = Graph(torch.cat([half, half.flip(0)[:, :20], loops], 1), 34, directed=True, weight=torch.rand(78 + 20 + 34))
    for name in NAMES:
        assert (orbit_adjacency(name, odd) != orbit_adjacency(name, plain)).nnz == 0


def test_blocks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    g = nx.barabasi_albert_graph(300, 4, seed=0)
    whole = orbit_adjacencies(of_networkx(g))
    monkeypatch.setattr(graphlets, "ROWS", 7)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        parts = orbit_adjacencies(of_networkx(g))
    finally:
        torch.set_num_threads(before)
    assert all((whole[name] != parts[name]).nnz == 0 for name in NAMES)


def test_walks_of_four_miss_the_claw_and_their_ends_see_eleven() -> None:
    anywhere = graphlets.seen_by_walks(4)
    assert set(NAMES) - set(anywhere) == {"claw-leaf-leaf", "claw-leaf-centre", "claw-centre-leaf"}
    assert len(graphlets.seen_by_walks(4, ends=True)) == 11
    # A path of 3 walked in 4 positions, to and fro, has an end and the middle as its ends.
    to_and_fro = set(graphlets.seen_by_walks(4, ends=True, revisits=True)) - set(graphlets.seen_by_walks(4, ends=True))
    assert to_and_fro == {"path3-end-middle", "path3-middle-end"}
    assert len(graphlets.seen_by_walks(5, revisits=True)) == 28


def test_the_sum_is_the_sum_and_an_unknown_name_is_answered() -> None:
    graph = of_networkx(nx.karate_club_graph())
    every = sum(orbit_adjacency(name, graph).toarray() for name in NAMES)
    np.testing.assert_array_equal(orbit_adjacency("sum", graph).toarray(), every)
    with pytest.raises(SemblanceError, match="claw-leaf-leaf"):
        orbit_adjacency("claw-leaf-leav", graph)


@pytest.mark.parametrize("nodes", [0, 1, 5])
def test_a_graph_without_edges_has_28_empty_matrices(nodes: int) -> None:
    found = orbit_adjacencies(Graph(torch.empty(2, 0, dtype=torch.int64), nodes))
    assert all(m.shape == (nodes, nodes) and m.nnz == 0 for m in found.values())

from __future__ import annotations

from functools import partial

import networkx as nx
import numpy as np
import pytest
import torch
from scipy import sparse

from semblance.encoders.graphs import cooccurrence as co
from semblance.encoders.graphs.cooccurrence import CoOccurrence, Singular, SkipGram
from semblance.encoders.graphs.edge_features import edge_features
from semblance.encoders.graphs.graphlets import orbit_adjacency
from semblance.encoders.graphs.held_out import held_out_score
from semblance.encoders.graphs.projection import RandomProjection
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.walks import moves, sample, starts


def of_networkx(g: nx.Graph) -> Graph:
    numbered = nx.convert_node_labels_to_integers(g)
    ends = torch.tensor(list(numbered.edges())).T
    return Graph(ends, len(numbered)).undirected()


def two_groups(apart: int = 1) -> tuple[Graph, np.ndarray]:
    g = nx.planted_partition_graph(2, 20, 0.5, 0.02 * apart, seed=0)
    return of_networkx(g), np.repeat([0, 1], 20)


def cosines(z: np.ndarray) -> np.ndarray:
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    return unit @ unit.T


@pytest.mark.parametrize("contexts, dim", [("drop", 8), ("sum", 8), ("beside", 16)])
def test_nodes_of_a_group_come_near_each_other(contexts: str, dim: int) -> None:
    graph, y = two_groups()
    encoder = CoOccurrence(40, 8, SkipGram(window=5, epochs=5), contexts=contexts)
    encoder.solve({"graph": graph}, seed=0)
    z = encoder.embed({"graph": graph, "nodes": torch.arange(40)}).numpy()
    assert z.shape == (40, dim) == (40, encoder.dim)
    same, likeness = y[:, None] == y, cosines(z)
    assert likeness[same].mean() > likeness[~same].mean() + 0.3


def test_skip_gram_over_walks_finds_its_closed_form() -> None:
    graph = of_networkx(nx.karate_club_graph())
    method = SkipGram(walks=300, length=80, window=3, negatives=2, epochs=2, lr=0.08, start="degree")
    u, c = method(graph, 40, 0)
    form = co.closed_form(graph, 3, 2)
    # The noise of the run is the frequency of the walks it drew, which is the degree but for chance.
    likely = np.exp(form) > 0.2
    error = (u @ c.T - form)[likely]
    assert likely.sum() > 400 and np.sqrt((error**2).mean()) < 0.12
    assert np.corrcoef((u @ c.T)[likely], form[likely])[0, 1] > 0.98


def test_the_closed_form_is_where_the_expected_loss_is_least() -> None:
    # Full batch: the expected gradient in each product, summed over how often the pair is met and drawn, vanishes there.
    graph = of_networkx(nx.les_miserables_graph())
    window, k = 4, 5
    form = co.closed_form(graph, window, k)
    a = co.edges(graph).toarray()
    degree = a.sum(1)
    p = a / degree[:, None]
    near = sum((window - r + 1) * np.linalg.matrix_power(p, r) for r in range(1, window + 1)) / 10
    met = degree[:, None] * near
    noise = degree**0.75 / (degree**0.75).sum()
    some = np.isfinite(form)
    s = 1 / (1 + np.exp(-form))
    gradient = met * (1 - s) - k * degree[:, None] * noise * s
    assert np.abs(gradient[some]).max() < 1e-10 and some.sum() > 3000
    np.testing.assert_array_equal(some, met > 0)


def test_all_rows_of_a_decomposition_of_full_rank_give_the_matrix_back() -> None:
    rng = np.random.default_rng(0)
    m = rng.normal(size=(7, 5))
    left, right = Singular(co.edges, co.raw).of(m, 5, 0)
    np.testing.assert_allclose(left @ right.T, m, atol=1e-5)
    left, right = Singular(co.edges, co.raw).of(sparse.csr_array(m), 9, 0)
    np.testing.assert_allclose(left @ right.T, m, atol=1e-5)
    assert left.shape == (7, 9) and not left[:, 5:].any()


def test_pmi_is_its_formula_dense_and_sparse() -> None:
    rng = np.random.default_rng(1)
    x = rng.poisson(1.0, (6, 8)) * 1.0
    x[2] = 0
    n = x.sum()
    expected = np.zeros_like(x)
    for i in range(6):
        for j in range(8):
            if x[i, j]:
                expected[i, j] = max(np.log(x[i, j] * n / (x[i].sum() * x[:, j].sum()) / 1.5), 0)
    np.testing.assert_allclose(co.pmi(x, 1.5), expected, atol=1e-12)
    np.testing.assert_allclose(co.pmi(sparse.csr_array(x), 1.5).toarray(), expected, atol=1e-12)
    np.testing.assert_allclose(co.log(sparse.csr_array(x)).toarray(), np.log(np.maximum(x, 1)))


def test_walks_meet_what_the_powers_say() -> None:
    graph = of_networkx(nx.karate_club_graph())
    states = moves(graph)
    walked = sample(states, starts(states, 400, "degree", np.random.default_rng(0)), 30, seed=0)
    counted = co.met(walked, 34, 3).toarray()
    expected = co.mean_powers(graph, 3)
    np.testing.assert_allclose(counted / counted.sum(), expected / expected.sum(), atol=6e-4)
    plain = np.zeros((34, 34))
    for walk in walked[:50]:
        for i in range(30):
            for j in range(30):
                plain[walk[i], walk[j]] += 0 < abs(i - j) <= 3
    np.testing.assert_array_equal(co.met(walked[:50], 34, 3).toarray(), plain)


def test_weights_and_directions_reach_the_matrices() -> None:
    graph = Graph(torch.tensor([[0, 0, 1, 1], [1, 2, 2, 2]]), 3, directed=True, weight=torch.tensor([1.0, 3, 2, 2]))
    np.testing.assert_array_equal(co.edges(graph).toarray(), [[0, 1, 3], [0, 0, 4], [0, 0, 0]])
    np.testing.assert_allclose(co.walk_matrix(graph).toarray(), [[0, 0.25, 0.75], [0, 0, 1], [0, 0, 0]])


def test_renaming_nodes_renames_the_factors() -> None:
    graph, _ = two_groups(5)
    order = np.random.default_rng(0).permutation(40)
    renamed = Graph(torch.from_numpy(order)[graph.edge_index], 40)
    method = Singular(lambda g: co.mean_powers(g, 4), co.pmi)
    one, other = method(graph, 40, 0), method(renamed, 40, 0)
    np.testing.assert_allclose((other[0] @ other[1].T)[np.ix_(order, order)], one[0] @ one[1].T, atol=1e-4)


def test_a_node_without_edges_is_zero_and_a_graph_without_edges_is_answered() -> None:
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), 4)
    encoder = CoOccurrence(4, 6, SkipGram(walks=2, length=5))
    encoder.solve({"graph": graph}, seed=0)
    z = encoder.embed({"graph": graph}).numpy()
    assert z[:2].any(1).all() and not z[2:].any()
    empty = Graph(torch.empty(2, 0, dtype=torch.int64), 4)
    encoder.solve({"graph": empty}, seed=0)
    assert not encoder.embed({"graph": empty}).any()


def test_unseen_nodes_are_refused_with_the_remedy() -> None:
    graph, _ = two_groups()
    encoder = CoOccurrence(39, 4, SkipGram())
    with pytest.raises(SemblanceError, match=r"39 nodes that it saw.*40.*fastrp"):
        encoder.embed({"graph": graph})
    with pytest.raises(SemblanceError, match="39 rows and the graph 40"):
        encoder.solve({"graph": graph}, seed=0)
    with pytest.raises(SemblanceError, match="did you mean sum"):
        CoOccurrence(3, 4, SkipGram(), contexts="summ")


def test_of_several_factorisers_the_labels_choose() -> None:
    graph, y = two_groups(3)

    def blind(graph: Graph, dim: int, seed: int) -> co.Factors:
        noise = np.random.default_rng(0).normal(size=(2, 40, dim))
        return noise[0], noise[1]

    encoder = CoOccurrence(40, 4, blind, Singular(co.mean_powers, co.pmi), blind)
    batch = {"graph": graph, "nodes": torch.arange(40), "labels": torch.from_numpy(y)}
    told = encoder.solve(batch, seed=0)
    assert told["chosen"] == 1 and told["score"] > 0.8
    alone = CoOccurrence(40, 4, Singular(co.mean_powers, co.pmi))
    alone.solve(batch, seed=0)
    assert torch.equal(alone.vectors, encoder.vectors)
    del batch["labels"]
    with pytest.raises(SemblanceError, match="--label"):
        encoder.solve(batch, seed=0)


def test_memory_for_walks_is_bounded_without_changing_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, _ = two_groups()
    whole = SkipGram(walks=4, length=10, window=3)(graph, 4, 0)
    monkeypatch.setattr(co, "HELD", 4 * 10 * 32)
    parts = SkipGram(walks=4, length=10, window=3)(graph, 4, 0)
    np.testing.assert_allclose(parts[0], whole[0], atol=1e-6)


def test_edge_features_are_the_four_operators_and_symmetric() -> None:
    z = torch.tensor([[1.0, -2.0], [3.0, 5.0]])
    pair = torch.tensor([[0], [1]])
    expected = {"average": [2, 1.5], "hadamard": [3, -10], "weighted-l1": [2, 7], "weighted-l2": [4, 49]}
    for name, value in expected.items():
        assert edge_features(z, pair, name)[0].tolist() == value
        assert edge_features(z, pair.flip(0), name)[0].tolist() == value
    with pytest.raises(SemblanceError, match="hadamard"):
        edge_features(z, pair, "hadamar")


def test_the_held_out_score_tells_signal_from_noise() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 400)
    z = np.eye(4)[y] + 0.1 * rng.normal(size=(400, 4))
    assert held_out_score(z, y, 0) > 0.95 and held_out_score(rng.permutation(z), y, 0) < 0.5
    several = np.stack([y == 0, y < 2, y == 3], 1)
    assert held_out_score(z, several, 0) > 0.95
    hidden = y.copy()
    hidden[::2] = -1
    z[::2] = 1e3  # what has no label is not looked at
    assert held_out_score(z, hidden, 0) > 0.95
    with pytest.raises(SemblanceError, match="too few"):
        held_out_score(z, np.full(400, -1), 0)


def test_powers_of_a_large_graph_are_refused() -> None:
    graph = Graph(torch.empty(2, 0, dtype=torch.int64), co.DENSE + 1)
    with pytest.raises(SemblanceError, match="would be dense"):
        co.mean_powers(graph)


def test_no_source_takes_a_negative_sign_for_nearness() -> None:
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), 2, sign=torch.tensor([-1.0, -1.0]))
    sources = (
        SkipGram(),
        Singular(co.edges, co.raw),
        Singular(partial(orbit_adjacency, "edge"), co.pmi),
        lambda g, dim, seed: RandomProjection(dim)({"graph": g}),
    )
    for source in sources:
        with pytest.raises(SemblanceError, match="negative sign"):
            source(graph, 2, 0)

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from semblance.encoders.graphs import edge_sampling
from semblance.encoders.graphs.cooccurrence import CoOccurrence, Singular, edges, raw
from semblance.encoders.graphs.edge_sampling import Beside, EdgeSampling, drawn, weighted_edges, with_second_neighbours
from semblance.encoders.graphs.implied import expected_loss, implied, least, noise_of
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.walks import alias_of


def complete(nodes: int = 8, seed: int = 0) -> tuple[Graph, np.ndarray]:
    w = np.triu(np.random.default_rng(seed).gamma(2.0, size=(nodes, nodes)) + 0.2, 1)
    w = w + w.T
    ends = np.stack(np.nonzero(w))
    return Graph(torch.from_numpy(ends), nodes, weight=torch.from_numpy(w[w > 0].astype(np.float32))), w


def groups() -> tuple[Graph, np.ndarray]:
    ends = torch.tensor(list(nx.planted_partition_graph(2, 20, 0.5, 0.02, seed=0).edges())).T
    return Graph(ends, 40).undirected(), np.repeat([0, 1], 20)


def test_the_expected_loss_is_least_at_the_closed_form() -> None:
    _, w = complete()
    noise = noise_of(w.sum(1), 0.75)
    u, c = least(w, noise, 5, 8, 0)
    form = implied(w, noise, 5)
    np.testing.assert_allclose((u @ c.T)[w > 0], form[w > 0], atol=1e-3)
    best = np.where(w > 0, form, -40)
    reached = expected_loss(best, w, noise, 5)
    assert abs(expected_loss(u @ c.T, w, noise, 5) - reached) < 1e-6
    rng = np.random.default_rng(0)
    assert all(expected_loss(best + 0.1 * rng.normal(size=w.shape), w, noise, 5) > reached for _ in range(20))


def test_narrow_tables_reach_less_and_more_rounds_never_lose() -> None:
    _, w = complete(12)
    noise = noise_of(w.sum(1), 0.75)
    losses = []
    for rounds in (1, 3, 10, 30):
        u, c = least(w, noise, 5, 3, 0, rounds)
        losses.append(expected_loss(u @ c.T, w, noise, 5))
    assert losses[0] > losses[1] > losses[2] >= losses[3] - 1e-9
    u, c = least(w, noise, 5, 12, 0)
    assert expected_loss(u @ c.T, w, noise, 5) < losses[-1]


def test_what_never_occurs_is_no_noise() -> None:
    np.testing.assert_allclose(noise_of(np.array([0.0, 1, 16]), 0.75), [0, 1 / 9, 8 / 9])


def test_drawn_edges_lead_the_second_order_to_the_closed_form() -> None:
    graph, w = complete()
    u, c = EdgeSampling("second", negatives=3, samples=40_000, lr=0.1)(graph, 8, 0)
    form = implied(w, noise_of(w.sum(1), 0.75), 3)
    assert np.sqrt(((u @ c.T - form)[w > 0] ** 2).mean()) < 0.12
    assert np.corrcoef((u @ c.T)[w > 0], form[w > 0])[0, 1] > 0.98


def test_multiplied_steps_lead_there_too_where_weights_are_mild() -> None:
    graph, w = complete()
    u, c = EdgeSampling("second", negatives=3, samples=40_000, lr=0.05, multiplied=True)(graph, 8, 0)
    error = (u @ c.T - implied(w, noise_of(w.sum(1), 0.75), 3))[w > 0]
    assert np.sqrt((error**2).mean()) < 0.2


def test_steps_that_run_off_are_an_error_with_the_remedy() -> None:
    graph, _ = complete()
    wild = Graph(graph.edge_index, 8, weight=graph.weight**12)
    with pytest.raises(SemblanceError, match=r"second order ran off at lr 10: give less, or draw by weight"):
        EdgeSampling(multiplied=True, lr=10.0)(wild, 8, 0)
    assert np.isfinite(EdgeSampling(lr=0.1)(wild, 8, 0)[0]).all()


def test_edges_are_drawn_as_often_as_their_weight_says() -> None:
    weight = np.array([0.0, 1, 2, 5])
    at = drawn(*alias_of(weight), 200_000, seed=0)
    np.testing.assert_allclose(np.bincount(at, minlength=4) / len(at), weight / 8, atol=5e-3)


def test_draws_are_counted_and_not_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    table = alias_of(np.arange(1, 9.0))
    whole = drawn(*table, 100, seed=3)
    np.testing.assert_array_equal(np.concatenate([drawn(*table, 40, 3), drawn(*table, 60, 3, first=40)]), whole)
    graph, _ = groups()
    at_once = EdgeSampling(samples=5)(graph, 4, 0)
    monkeypatch.setattr(edge_sampling, "HELD", 100)
    np.testing.assert_allclose(EdgeSampling(samples=5)(graph, 4, 0)[0], at_once[0], atol=1e-6)


@pytest.mark.parametrize("order", ["first", "second"])
def test_a_group_is_near_itself_in_both_orders(order: str) -> None:
    graph, y = groups()
    z = Beside((EdgeSampling(order, samples=300),))(graph, 8, 0)[0]
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    same, likeness = y[:, None] == y, z @ z.T
    assert likeness[same].mean() > likeness[~same].mean() + 0.3


def test_only_the_second_order_brings_together_who_share_neighbours_alone() -> None:
    ends = torch.tensor([[i + k, j + k] for k in (0, 12) for i in range(6) for j in range(6, 12)]).T
    graph = Graph(ends, 24).undirected()  # two complete bipartite graphs
    first, second = (Beside((EdgeSampling(order, samples=500),))(graph, 16, 0)[0] for order in ("first", "second"))
    inside, across = np.triu_indices(6, 1), np.s_[:6, 6:12]
    assert (second @ second.T)[inside].mean() > (second @ second.T)[across].mean() + 0.2
    assert (first @ first.T)[inside].mean() < (first @ first.T)[across].mean()


def test_the_first_order_has_one_table() -> None:
    u, c = EdgeSampling("first", samples=5)(groups()[0], 4, 0)
    np.testing.assert_array_equal(u, c)


def test_both_orders_share_the_columns_and_are_what_each_is_alone() -> None:
    graph, _ = groups()
    parts = (EdgeSampling("first", samples=5), EdgeSampling("second", samples=5))
    both = Beside(parts)(graph, 7, 3)[0]
    assert both.shape == (40, 7)
    for columns, part, dim, seed in ((np.s_[:, :4], parts[0], 4, 3), (np.s_[:, 4:], parts[1], 3, 4)):
        np.testing.assert_allclose(both[columns], edge_sampling.unit(part(graph, dim, seed)[0]), atol=1e-6)


def test_second_neighbours_have_the_weights_of_their_paths_and_stop_when_there_are_enough() -> None:
    g = Graph(torch.tensor([[0, 1, 1, 1], [1, 2, 3, 4]]), 5, weight=torch.tensor([2.0, 1, 3, 4])).undirected()
    w = edges(g).toarray()
    degree = w.sum(1)
    source, target, weight = with_second_neighbours(weighted_edges(g), g, 3)
    found = np.zeros((5, 5))
    np.add.at(found, (source, target), weight)
    paths = w @ np.diag(1 / degree) @ w
    # Leaves have one neighbour and take the two heaviest of the other leaves; the centre has enough.
    expected = w.copy()
    for i in (0, 2, 3, 4):
        others = sorted((j for j in (0, 2, 3, 4) if j != i), key=lambda j: -paths[i, j])[:2]
        for j in others:
            expected[i, j] = expected[j, i] = paths[i, j]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(source) == len(np.unique(source * 5 + target))
    assert with_second_neighbours(weighted_edges(g), g, 0)[0].shape == (8,)


def test_weights_and_directions_are_read_and_repeated_edges_add_up() -> None:
    one = Graph(torch.tensor([[0, 0, 1], [1, 1, 2]]), 3, directed=True, weight=torch.tensor([1.0, 2, 1]))
    other = Graph(torch.tensor([[0, 1], [1, 2]]), 3, directed=True, weight=torch.tensor([3.0, 1]))
    noise = [np.bincount(t, w, 3) for _, t, w in (weighted_edges(one), weighted_edges(other))]
    np.testing.assert_array_equal(noise[0], noise[1])
    u, c = EdgeSampling(samples=20_000)(other, 4, 0)
    assert u[0] @ c[1] > u[0] @ c[2] + 1 and u[1] @ c[2] > u[1] @ c[1] + 1
    assert not c[0].any()  # no edge leads there


def test_no_edges_are_answered_and_unknown_orders_are_not() -> None:
    empty = Graph(torch.empty(2, 0, dtype=torch.int64), 4)
    encoder = CoOccurrence(4, 6, Beside((EdgeSampling("first"), EdgeSampling("second"))))
    encoder.solve({"graph": empty}, seed=0)
    assert not encoder.embed({"graph": empty}).any()
    with pytest.raises(SemblanceError, match="did you mean second"):
        EdgeSampling("secnd")
    signed = Graph(torch.tensor([[0, 1], [1, 0]]), 2, sign=torch.tensor([-1.0, -1.0]))
    with pytest.raises(SemblanceError, match="negative sign"):
        EdgeSampling()(signed, 2, 0)


def test_a_decomposition_stands_beside_drawn_edges() -> None:
    graph, _ = groups()
    assert Beside((EdgeSampling(samples=2), Singular(edges, raw)))(graph, 8, 0)[0].shape == (40, 8)

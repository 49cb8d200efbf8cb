"""How smooth nodes become, what powers end in, and reports over both depths."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from semblance.analysis.receptive_field import (
    depth_report,
    first_gradient,
    largest_component,
    power_limit,
    smoothing_level,
    smoothness,
    sparser,
)
from semblance.encoders.graphs.operators import operator_of
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.objectives.classify import CrossEntropy
from semblance.recipes.graph_deep_filters import dgmlp
from semblance.space.training import train
from semblance.testing import small


def ring(nodes: int) -> Graph:
    at = torch.arange(nodes)
    ends = torch.stack([at, (at + 1) % nodes])
    return Graph(torch.cat([ends, ends.flip(0)], 1), nodes)


def test_smoothness_is_half_the_mean_distance_of_directions() -> None:
    z = torch.randn(700, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = z / z.norm(dim=1, keepdim=True)
    slow = [float((unit - unit[i]).norm(dim=1).sum() / 2 / 699) for i in range(700)]
    np.testing.assert_allclose(smoothness(z), slow, atol=1e-7)
    np.testing.assert_allclose(smoothness(5 * z), smoothness(z), atol=1e-8)
    assert smoothness(torch.tensor([[1.0, 0], [2, 0]])).max() < 1e-7
    np.testing.assert_allclose(smoothness(torch.tensor([[1.0, 0], [-2, 0]])), [1, 1])
    np.testing.assert_allclose(smoothness(torch.tensor([[0.0, 0], [2, 0]])), [0.5, 0.5])
    with pytest.raises(SemblanceError, match="two or more"):
        smoothness(torch.ones(1, 2))


def test_powers_fall_to_their_limit_and_nodes_become_one_direction() -> None:
    graph = ring(9)
    s, limit = operator_of(graph).matrix().toarray(), power_limit(graph)
    np.testing.assert_allclose(limit, np.full((9, 9), 1 / 9))
    off = [np.abs(np.linalg.matrix_power(s, k) - limit).max() for k in (1, 10, 100)]
    assert off[0] > off[1] > off[2] and off[2] < 1e-6
    x = torch.rand(9, 4, generator=torch.Generator().manual_seed(0)).double()
    smooth = [smoothness(torch.from_numpy(np.linalg.matrix_power(s, k)) @ x).mean() for k in (0, 1, 10, 100)]
    assert all(a > b for a, b in pairwise(smooth))
    rows = power_limit(Graph(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3), "row-loops")
    np.testing.assert_allclose(rows, np.tile([2 / 7, 3 / 7, 2 / 7], (3, 1)))


def test_the_largest_component_is_found_whatever_the_directions() -> None:
    graph = Graph(torch.tensor([[1, 3, 5, 0], [3, 5, 4, 2]]), 7, directed=True)
    assert largest_component(graph).tolist() == [1, 3, 4, 5]


def test_a_node_is_at_its_least_level_where_propagation_has_ended() -> None:
    x = torch.rand(9, 4, generator=torch.Generator().manual_seed(1))
    start, later, end = (smoothing_level(ring(9), x, k) for k in (0, 2, 400))
    assert (start > 0).all() and later.mean() < start.mean() and np.abs(end).max() < 1e-9
    np.testing.assert_allclose(smoothing_level(ring(9), x.to_sparse_csr(), 2), later)


def test_a_sparser_graph_keeps_both_directions_of_an_edge_and_so_many_labels_a_class() -> None:
    data = small("graph")
    made = sparser(data, np.random.default_rng(0), edges=0.5, labels=2, features=0.5)
    assert made.graph.is_symmetric() and 0.3 < made.graph.num_edges / data.graph.num_edges < 0.7
    y = np.asarray(data.targets["labels"])[made.splits["train"]]
    assert np.bincount(y).tolist() == [2, 2, 2]
    assert set(made.splits["train"]) <= set(data.splits["train"])
    held = np.abs(made.x).sum(1) > 0
    assert 10 < held.sum() < 50 and np.array_equal(made.x[held], data.x[held])
    assert np.array_equal(made.splits["test"], data.splits["test"]) and made.fingerprint != data.fingerprint
    with pytest.raises(SemblanceError, match="share of edges"):
        sparser(data, np.random.default_rng(0), edges=2)


def test_the_report_varies_one_depth_while_the_other_stays() -> None:
    data, seen = small("graph"), []

    def fit(given, propagations, transformations):
        seen.append((propagations, transformations))
        return train(given, dgmlp(8, propagations, transformations, dropout=0.0), seed=0, epochs=5)

    report = depth_report(data, fit, depths=(1, 3), fixed=2)
    assert seen == [(1, 2), (3, 2), (2, 1), (2, 3)]
    rows = [(row["varied"], row["depth"]) for row in report.rows]
    assert rows == [("propagations", 1), ("propagations", 3), ("transformations", 1), ("transformations", 3)]
    assert all(0 <= row["accuracy"] <= 1 and row["first gradient"] > 0 for row in report.rows)
    level = [row["smoothing level"] for row in report.rows]
    assert level[0] > level[1] and level[2] == level[3]
    assert "accuracy changes by" in str(report)


def test_the_first_gradient_is_that_of_the_loss_and_leaves_no_trace() -> None:
    data = small("graph")
    model = train(data, dgmlp(8, 2, 3, dropout=0.5), seed=0, epochs=2)
    batch = data.read(data.splits["train"])
    batch["labels"] = torch.from_numpy(batch["labels"])
    loss, _ = CrossEntropy()(model.network, batch)
    weight = next(model.network.encoder.parameters())
    (expected,) = torch.autograd.grad(loss, weight)
    assert first_gradient(model.network, model.objective, batch) == pytest.approx(float(expected.norm()))
    assert weight.grad is None and not model.network.training

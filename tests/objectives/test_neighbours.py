"""Neighbours: who is near whom in the data, as distributions over rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import kneighbors_graph

from semblance.errors import SemblanceError
from semblance.objectives import neighbours
from semblance.objectives.graph_contrast import GraphContrast
from semblance.objectives.neighbours import (
    Gaussian,
    Listed,
    Walks,
    nearest_graph,
    other_view,
    own_point,
    same_class,
    same_label,
    walk,
)


@given(items=st.integers(1, 9), views=st.integers(2, 4), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_other_views_are_found_wherever_they_stand(items, views, seed):
    item = torch.arange(items).repeat(views)[
        torch.randperm(items * views, generator=torch.Generator().manual_seed(seed))
    ]
    p = other_view({"item": item}).dense(len(item))
    near = (item[:, None] == item).float().fill_diagonal_(0)
    torch.testing.assert_close(p, near / (views - 1))


def test_views_that_are_missing_are_one_stated_error():
    with pytest.raises(SemblanceError, match="different numbers of views"):
        other_view({"item": torch.tensor([0, 0, 0, 1, 1, 1, 1, 0, 0, 1])[:9]})
    with pytest.raises(SemblanceError, match="has one view"):
        other_view({"item": torch.arange(4)})


def test_rows_without_a_label_have_their_own_view_only():
    batch = {"labels": torch.tensor([0, 0, -1, -1]).repeat(2), "item": torch.arange(4).repeat(2)}
    p = same_label(batch)
    torch.testing.assert_close(p.sum(1), torch.ones(8))
    assert p[2].nonzero().flatten().tolist() == [6] and p[0].nonzero().flatten().tolist() == [1, 4, 5]


def test_a_label_that_stands_alone_is_one_stated_error():
    with pytest.raises(SemblanceError, match="1 of 5 rows"):
        same_label({"labels": torch.tensor([0, 0, 1, 1, 2])})
    assert same_label({"labels": torch.tensor([0, 0, -1])})[2].sum() == 0


def test_points_of_classes_and_items_are_where_the_batch_says():
    p = same_class({"labels": torch.tensor([2, -1, 0])}).dense(3)
    assert p.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert own_point({"index": torch.tensor([3, 1])}).dense(4).argmax(1).tolist() == [3, 1]


@given(perplexity=st.floats(1.5, 25.0), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_every_row_has_the_perplexity_that_was_asked(perplexity, scale, seed):
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale
    p = Gaussian(perplexity=perplexity)({"x": x})
    entropy = -torch.xlogy(p, p).sum(1)
    torch.testing.assert_close(entropy.exp(), torch.full((30,), perplexity).double(), rtol=1e-6, atol=0)
    assert p.diagonal().abs().sum() == 0


def test_a_perplexity_that_no_row_can_have_is_named():
    with pytest.raises(SemblanceError, match=r"perplexity is 30\.0, but rows have 9 candidates"):
        Gaussian(perplexity=30.0)({"x": torch.randn(10, 2)})
    with pytest.raises(SemblanceError, match="exactly one"):
        Gaussian(width=1.0, perplexity=3.0)


def test_equal_points_are_equally_near():
    p = Gaussian(perplexity=3.0)({"x": torch.ones(6, 2)})
    torch.testing.assert_close(p, (torch.ones(6, 6) - torch.eye(6)) / 5)


def test_the_graph_of_nearest_neighbours_is_scikit_learns():
    x = np.random.default_rng(0).normal(size=(1500, 4)).astype(np.float32)
    ours, theirs = nearest_graph(x, 7), kneighbors_graph(x, 7)
    assert abs(ours * 7 - theirs).sum() <= 4  # ties in the last digit of float32
    with pytest.raises(SemblanceError, match="k is 1500"):
        nearest_graph(x, 1500)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_walks_stay_distributions_and_mean_what_they_say(length):
    graph = nearest_graph(np.random.default_rng(0).normal(size=(60, 3)), 4)
    dense = graph.toarray()
    powers = [np.linalg.matrix_power(dense, k) for k in range(length + 1)]
    np.testing.assert_allclose(walk(graph, length, "power").toarray(), powers[-1])
    np.testing.assert_allclose(walk(graph, length).toarray(), np.mean(powers, axis=0))
    np.testing.assert_allclose(walk(graph, length, with_self=False).toarray(), np.mean(powers[1:], axis=0))
    with pytest.raises(SemblanceError, match="did you mean uniform"):
        walk(graph, length, "unifrom")
    with pytest.raises(SemblanceError, match="length is 0"):
        walk(graph, 0)


@given(seed=st.integers(0, 1000), size=st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_a_graph_within_a_batch_is_its_rows_cut_and_renormalised(seed, size):
    rng = np.random.default_rng(seed)
    graph = rng.random((20, 20)) * (rng.random((20, 20)) < 0.3)
    here = rng.permutation(20)[:size]
    p = Walks(graph)({"index": torch.from_numpy(here)})
    expected = graph[np.ix_(here, here)]
    expected = expected / np.maximum(expected.sum(1, keepdims=True), 1e-30)
    np.testing.assert_allclose(p.numpy(), expected, atol=1e-6)


def test_a_contrast_on_a_graph_that_nobody_surveyed_says_so():
    objective = GraphContrast()
    with pytest.raises(SemblanceError, match=r"call survey\(batches\) first"):
        objective.near({"index": torch.arange(3)})


def test_a_survey_sees_all_batches_and_clusters_take_their_neighbours_from_them():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    objective = GraphContrast(neighbours=5, length=2)
    objective.survey({"x": part} for part in x.split(20))
    expected = walk(nearest_graph(x.numpy(), 5), 2).toarray()
    np.testing.assert_allclose(objective.near({"index": torch.arange(50)}).numpy(), expected, atol=1e-6)


def test_lists_hold_the_same_as_matrices():
    p = Listed(torch.tensor([[1, 2], [0, 2]]), torch.tensor([[0.25, 0.75], [1.0, 0.0]])).dense(3)
    assert p.tolist() == [[0, 0.25, 0.75], [1, 0, 0]]


def test_the_bells_widen_with_perplexity():
    square = neighbours.squared_distances(torch.randn(20, 2), torch.randn(20, 2)).fill_diagonal_(math.inf)
    narrow, wide = (neighbours.of_perplexity(square, perplexity).amax(1) for perplexity in (3.0, 10.0))
    assert (narrow > wide).all()

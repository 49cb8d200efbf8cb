"""The mean distance within hyperedges, against loops over pairs."""

import numpy as np
import pytest
import torch

from semblance.analysis import hyperedge_spread as spread_file
from semblance.analysis.hyperedge_spread import hyperedge_spread
from semblance.geometry.hypergraph import Hypergraph

MEMBERS = [[0, 1, 2], [2, 3], [4], [4, 5, 0, 1]]


def hypergraph(members=MEMBERS):
    node = torch.tensor([v for e in members for v in e])
    edge = torch.tensor([i for i, e in enumerate(members) for _ in e])
    return Hypergraph(node, edge, 6, len(members))


def test_the_score_is_the_mean_of_the_hyperedges_mean_distances():
    z = np.random.default_rng(0).normal(size=(6, 3))
    each = [
        np.mean([np.linalg.norm(z[u] - z[v]) for u in members for v in members if u != v])
        for members in MEMBERS
        if len(members) > 1
    ]
    assert hyperedge_spread(z, hypergraph()) == pytest.approx(np.mean(each))


def test_collapsed_vectors_score_nothing_and_single_members_have_no_score():
    assert hyperedge_spread(np.ones((6, 3)), hypergraph()) == 0
    assert np.isnan(hyperedge_spread(np.ones((6, 3)), hypergraph([[0], [1]])))


def test_many_pairs_are_judged_from_a_sample(monkeypatch):
    rng = np.random.default_rng(0)
    node, edge = torch.from_numpy(rng.integers(0, 300, 4000)), torch.arange(4000) // 8
    big, z = Hypergraph(node, edge, 300, 500), rng.normal(size=(300, 4))
    whole = hyperedge_spread(z, big)
    monkeypatch.setattr(spread_file, "MOST", 6000)
    assert hyperedge_spread(z, big) == pytest.approx(whole, rel=0.05) and hyperedge_spread(z, big) != whole

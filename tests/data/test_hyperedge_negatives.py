"""Negatives and views of hypergraphs: sizes, strangers, neighbours, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.data.hyperedge_negatives import NEGATIVES, negatives_of
from semblance.data.hypergraph_views import left_out, with_memberships, without_rows
from semblance.errors import SemblanceError
from semblance.geometry.hypergraph import Hypergraph


def groups(seed=0, count=60):
    """Hyperedges of 2 to 5 nodes, each within one of four groups of 12."""
    rng = np.random.default_rng(seed)
    members = [12 * rng.integers(4) + rng.choice(12, rng.integers(2, 6), replace=False) for _ in range(count)]
    edge = torch.from_numpy(np.repeat(np.arange(count), [len(m) for m in members]))
    return Hypergraph(torch.from_numpy(np.concatenate(members)), edge, 48, count)


def sets(held):
    return [frozenset(held.node[held.edge == e].tolist()) for e in range(held.num_edges)]


@pytest.mark.parametrize("how", NEGATIVES)
def test_negatives_have_the_sizes_asked_for_and_are_no_hyperedges(how):
    held, numbers = groups(), np.arange(0, 60, 2)
    found = negatives_of(held, numbers, how, np.random.default_rng(0))
    real, drawn = sets(held), sets(found)
    assert [len(s) for s in drawn] == [len(real[i]) for i in numbers]
    assert not set(real) & set(drawn)
    again = negatives_of(held, numbers, how, np.random.default_rng(0))
    assert (
        torch.equal(found.node, again.node)
        and sets(negatives_of(held, numbers, how, np.random.default_rng(1))) != drawn
    )


def test_drawn_sets_mix_groups_grown_ones_stay_within_and_swapped_ones_keep_all_but_one():
    held, numbers = groups(), np.arange(60)
    rng = np.random.default_rng(0)
    within = {
        how: np.mean([len({v // 12 for v in s}) == 1 for s in sets(negatives_of(held, numbers, how, rng))])
        for how in NEGATIVES
    }
    assert within["size"] < 0.4 and within["motif"] == within["clique"] == 1
    real, swapped = sets(held), sets(negatives_of(held, numbers, "clique", rng))
    assert all(len(a & b) == len(a) - 1 for a, b in zip(real, swapped, strict=True))


def test_a_swapped_node_shares_hyperedges_with_all_that_stay_where_one_does():
    held = Hypergraph(
        torch.tensor([0, 1, 2, 0, 3, 1, 3, 2, 3, 4, 5]), torch.tensor([0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]), 6, 5
    )
    for seed in range(10):
        assert 3 in sets(negatives_of(held, np.array([0]), "clique", np.random.default_rng(seed)))[0]


def test_where_every_set_is_a_hyperedge_one_is_given_all_the_same():
    whole = Hypergraph(torch.tensor([0, 1]), torch.tensor([0, 0]), 2, 1)
    assert sets(negatives_of(whole, np.array([0]), "size", np.random.default_rng(0))) == [{0, 1}]
    with pytest.raises(SemblanceError, match="way to draw negatives"):
        negatives_of(whole, np.array([0]), "sized", np.random.default_rng(0))


@pytest.mark.parametrize("level", ["node", "hyperedge", "membership"])
def test_a_view_leaves_out_whole_nodes_hyperedges_or_single_memberships(level):
    held = groups(1)
    torch.manual_seed(0)
    view = left_out({"graph": held, "x": torch.ones(48, 2)}, level, 0.4)
    before, after = (set(zip(g.node.tolist(), g.edge.tolist(), strict=True)) for g in (held, view["graph"]))
    assert after < before and view["graph"].num_nodes == 48 and view["graph"].num_edges == 60
    gone = before - after
    if level == "node":
        lost = {v for v, _ in gone}
        assert all((v in lost) == (pair in gone) for pair in before for v in pair[:1])
        assert all(view["x"][v].sum() == 0 for v in lost)
    else:
        assert torch.equal(view["x"], torch.ones(48, 2))
    if level == "hyperedge":
        lost = {e for _, e in gone}
        assert all((e in lost) == ((v, e) in gone) for v, e in before)


def test_rows_are_masked_alike_dense_and_sparse_and_memberships_keep_their_strength():
    x, stay = torch.arange(8.0).view(4, 2), torch.tensor([True, False, True, False])
    torch.testing.assert_close(without_rows(x.to_sparse_csr(), stay).to_dense(), without_rows(x, stay))
    held = Hypergraph(torch.tensor([0, 1, 2]), torch.tensor([0, 0, 0]), 3, 1, membership=torch.tensor([0.1, 0.2, 0.3]))
    assert with_memberships(held, torch.tensor([True, False, True])).membership.tolist() == pytest.approx([0.1, 0.3])
    with pytest.raises(SemblanceError, match="level"):
        left_out({"graph": held}, "edges", 0.1)
    with pytest.raises(SemblanceError, match="share"):
        left_out({"graph": held}, "node", 1.0)

"""Links and recommendations, against loops over pairs, users and items."""

from itertools import combinations

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from semblance.analysis.links import (
    HEURISTICS,
    Sets,
    learned_scores,
    link_measures,
    mixed_negatives,
    neighbourhood_scores,
    products,
)
from semblance.analysis.recommendation import recommendation_measures, top_items
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


def some_sets(seed, sizes, units=12):
    rng = np.random.default_rng(seed)
    members = [rng.choice(units, size, replace=False) for size in sizes]
    return Sets(np.concatenate([[0], np.cumsum(sizes)]), np.concatenate(members))


def test_the_products_of_a_set_are_the_mean_over_its_pairs():
    z = np.random.default_rng(0).normal(size=(12, 4))
    sets = some_sets(1, [2, 5, 1, 3])
    for e, got in enumerate(products(z, sets)):
        members = sets.index[sets.start[e] : sets.start[e + 1]]
        pairs = [z[i] * z[j] for i, j in combinations(members, 2)]
        assert np.allclose(got, np.mean(pairs, 0) if pairs else 0)
    pair = Sets.of_pairs(np.array([[0, 3], [1, 2]]))
    assert np.allclose(products(z, pair), [z[0] * z[1], z[3] * z[2]])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_link_measures_are_what_counting_says(positives, negatives):
    found = link_measures(np.array(positives, float), np.array(negatives, float), ks=(1, 3))
    for i, score in enumerate(positives):
        below = sum(n < score for n in negatives) + sum(n == score for n in negatives) / 2
        assert found["auc"][i] == pytest.approx(below / len(negatives))
        assert found["mrr"][i] == pytest.approx(1 / (1 + len(negatives) - below))
        for k in (1, 3):
            if k <= len(negatives):
                assert found[f"hits{k}"][i] == (score > sorted(negatives)[-k])


@pytest.mark.parametrize("how", HEURISTICS)
def test_neighbourhood_scores_are_networkx_s(how):
    club = networkx.karate_club_graph()
    ends = torch.tensor(list(club.edges)).T
    graph = Graph(torch.cat([ends, ends.flip(0)], 1), len(club))
    pairs = np.array(list(combinations(range(len(club)), 2)))[::7]
    theirs = {
        "common-neighbours": lambda: [(a, b, len(list(networkx.common_neighbors(club, a, b)))) for a, b in pairs],
        "jaccard": lambda: networkx.jaccard_coefficient(club, pairs),
        "adamic-adar": lambda: networkx.adamic_adar_index(club, pairs),
        "preferential-attachment": lambda: networkx.preferential_attachment(club, pairs),
    }[how]()
    assert np.allclose(neighbourhood_scores(graph, pairs.T, how), [score for _, _, score in theirs])


def test_a_mixed_negative_keeps_half_of_its_members_and_none_stands_twice():
    sets = some_sets(3, [2, 3, 4, 6, 2, 5])
    mixed = mixed_negatives(sets, 12, np.random.default_rng(0))
    for a, b in zip(sets.start, sets.start[1:], strict=False):
        old, new = sets.index[a:b], mixed.index[a:b]
        assert len(set(new)) == len(new)
        assert (old == new).sum() >= len(old) // 2 and (old != new).any()


def test_embeddings_of_two_groups_tell_the_links_within_them():
    rng = np.random.default_rng(0)
    group = np.arange(60) % 2
    z = rng.normal(size=(60, 3)) * 0.3 + np.where(group, 1.0, -1.0)[:, None]
    pairs = np.array(list(combinations(range(60), 2))).T
    same = group[pairs[0]] == group[pairs[1]]
    inside, across = (Sets.of_pairs(pairs[:, rng.permutation(np.flatnonzero(kind))]) for kind in (same, ~same))
    first, rest = np.arange(200), np.arange(200, 400)
    asked = (inside.take(rest), across.take(rest))
    found = link_measures(*learned_scores(z, inside.take(first), across.take(first), asked))
    assert found["auc"].mean() > 0.99
    shuffled = z[rng.permutation(60)]
    assert link_measures(*learned_scores(shuffled, inside.take(first), across.take(first), asked))["auc"].mean() < 0.7


def test_recommendations_are_what_a_loop_over_users_gives():
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(9, 3)), rng.normal(size=(7, 3))
    seen = sparse.csr_array((rng.random((9, 7)) < 0.4).astype(float))
    held = sparse.csr_array(((rng.random((9, 7)) < 0.4) & (seen.toarray() == 0)).astype(float))
    best = top_items(users, items, seen, 4)
    found = recommendation_measures(best, held, ns=(2, 4))
    place = 0
    for u in range(9):
        scores = users[u] @ items.T
        order = [i for i in np.argsort(-scores) if not seen[u, i]]
        assert [i for i in best[u] if i >= 0] == order[:4]
        wanted = set(np.flatnonzero(held.toarray()[u]))
        if not wanted:
            continue
        for n in (2, 4):
            hits = [i in wanted for i in order[:n]]
            precision, recall = sum(hits) / n, sum(hits) / len(wanted)
            gain = sum(hit / np.log2(2 + p) for p, hit in enumerate(hits))
            ideal = sum(1 / np.log2(2 + p) for p in range(min(n, len(wanted))))
            assert found[f"precision{n}"][place] == pytest.approx(precision)
            assert found[f"recall{n}"][place] == pytest.approx(recall)
            assert found[f"ndcg{n}"][place] == pytest.approx(gain / ideal)
            f1 = 2 * precision * recall / (precision + recall) if hits and sum(hits) else 0.0
            assert found[f"f1_{n}"][place] == pytest.approx(f1)
        place += 1
    assert place == len(found["ndcg4"])


def test_nothing_to_judge_is_told():
    with pytest.raises(SemblanceError, match="no user has an interaction held out"):
        recommendation_measures(np.zeros((2, 1), int), sparse.csr_array((2, 3)))
    with pytest.raises(SemblanceError, match="positives and negatives"):
        link_measures(np.empty(0), np.ones(3))

"""The decision against plain sums, and the tree of labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.memory.decision import agreed, decision

NAMES = ["cat", "dog", "owl"]


def plain_shares(codes: list[int], distances: list[float], votes: str, weights: list[float]) -> list[float]:
    """Each neighbour's share, one after the other."""
    raw = []
    for rank, distance in enumerate(distances):
        cosine = 1 - distance
        w = {"plain": 1.0, "rank": 1 / (2 + rank), "distance": max(cosine, 0.0), "softmax": np.exp(cosine / 0.07)}[
            votes
        ]
        raw.append(w * weights[rank])
    return [w / sum(raw) for w in raw]


@pytest.mark.parametrize("votes", ["plain", "rank", "distance", "softmax"])
@given(
    codes=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    seed=st.integers(0, 20),
)
def test_a_decision_is_the_plain_sum_of_its_neighbours_shares(votes: str, codes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    distances = np.sort(rng.uniform(0, 0.9, len(codes)))
    weights = rng.uniform(0.1, 2, len(codes))
    ids = [f"i{n}" for n in range(len(codes))]
    found = decision(ids, np.array(codes), distances, NAMES, votes=votes, weights=weights)
    wanted = plain_shares(codes, distances.tolist(), votes, weights.tolist())
    np.testing.assert_allclose([voter.share for voter in found.neighbours], wanted, rtol=1e-4)
    assert sum(voter.share for voter in found.neighbours) == pytest.approx(1, abs=1e-9)
    assert sum(found.shares.values()) == pytest.approx(1, abs=1e-9)
    for name, share in found.shares.items():
        own = sum(voter.share for voter in found.neighbours if voter.label == name)
        assert share == pytest.approx(own)
    assert found.share >= max(found.shares.values()) - 1e-6
    assert next(iter(found.shares)) == found.label
    assert set(found.cited) == {voter.id for voter in found.neighbours if voter.label == found.label}


def test_of_equal_classes_the_nearer_neighbours_decides() -> None:
    found = decision(["a", "b", "c", "d"], np.array([1, 0, 0, 1]), np.zeros(4), NAMES, votes="plain")
    assert found.label == "dog" and found.shares == {"dog": 0.5, "cat": 0.5}


def test_where_no_vote_weighs_anything_the_nearest_decides() -> None:
    found = decision(["a", "b", "c"], np.array([2, 0, 0]), np.zeros(3), NAMES, weights=np.zeros(3))
    assert found.label == "owl"
    assert [voter.share for voter in found.neighbours] == pytest.approx([1 / 3] * 3)


def test_nobody_left_and_votes_of_another_geometry_are_refused() -> None:
    with pytest.raises(SemblanceError, match="no neighbour is left"):
        decision([], np.array([], int), np.array([]), NAMES)
    with pytest.raises(SemblanceError, match="use rank or plain"):
        decision(["a"], np.array([0]), np.zeros(1), NAMES, "euclidean", "distance")


TREE = {"tabby": "cat", "siamese": "cat", "cat": "animal", "dog": "animal", "oak": "plant"}
SHARES = {"tabby": 0.35, "siamese": 0.25, "dog": 0.2, "oak": 0.2}


@pytest.mark.parametrize(
    ("least", "wanted"), [(0.3, ("tabby", 0.35)), (0.5, ("cat", 0.6)), (0.7, ("animal", 0.8)), (0.9, (None, 0.0))]
)
def test_the_answer_climbs_until_enough_of_the_votes_agree(least: float, wanted: tuple[str | None, float]) -> None:
    label, share = agreed(SHARES, TREE, least)
    assert label == wanted[0] and share == pytest.approx(wanted[1])


def test_a_label_may_be_voted_for_itself_and_through_its_children() -> None:
    assert agreed({"tabby": 0.4, "cat": 0.6}, TREE, 0.9) == ("cat", pytest.approx(1.0))


def test_a_circle_is_no_hierarchy_and_a_share_lies_between_0_and_1() -> None:
    with pytest.raises(SemblanceError, match="its own ancestor"):
        agreed({"a": 1.0}, {"a": "b", "b": "a"})
    with pytest.raises(SemblanceError, match="least is 0"):
        agreed({"a": 1.0}, {}, 0)

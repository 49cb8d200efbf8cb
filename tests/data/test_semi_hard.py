"""Semi-hard mining by rows of products against the same rules on a matrix of distances, for ragged classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.data import semi_hard
from semblance.data.mining import Mining
from semblance.data.semi_hard import DISTANCES, SemiHard
from semblance.errors import SemblanceError


def a_crowd(seed: int = 0, n: int = 60, width: int = 4, classes: int = 7):
    """Clusters of ragged sizes, some items without a label."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(n, generator=generator) ** 2 * classes).long()
    labels[torch.rand(n, generator=generator) < 0.1] = -1
    labels[:4] = torch.tensor([0, 0, 1, 1])
    centre = torch.randn(classes, width, generator=generator)
    z = torch.randn(n, width, generator=generator) + 0.7 * centre[labels.clamp_min(0)]
    return F.normalize(z, dim=1), labels


def of_matrix(z, distance):
    square = (z[:, None].double() - z.double()).square().sum(-1)
    return {"euclidean": square.sqrt(), "squared": square, "cosine": square / 2}[distance]


def plain(d, labels, negatives, positives, margin, fallback):
    """The rules as they are said, pair by pair."""
    found, n = set(), len(labels)
    for a in range(n):
        same = [p for p in range(n) if p != a and labels[a] >= 0 and labels[p] == labels[a]]
        other = [k for k in range(n) if labels[a] >= 0 and labels[k] >= 0 and labels[k] != labels[a]]
        if positives == "hardest" and same:
            same = [max(same, key=lambda p: d[a, p])]
        for p in same:
            beyond = [k for k in other if d[a, k] > d[a, p] and (margin is None or d[a, k] < d[a, p] + margin)]
            if negatives == "all":
                found |= {(a, p, k) for k in beyond}
            elif beyond:
                found.add((a, p, min(beyond, key=lambda k: d[a, k])))
            elif fallback:
                inside = [k for k in other if d[a, k] <= d[a, p]]
                found |= {(a, p, max(inside, key=lambda k: d[a, k]))} if inside else set()
    return found


def triples(rule, z, labels, **more):
    found = torch.stack(rule(z, labels, **more), 1)
    assert len(found) == len(found.unique(dim=0)), "no triple comes twice"
    return {tuple(t) for t in found.tolist()}


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10_000),
    st.sampled_from([("nearest", "all"), ("nearest", "hardest"), ("all", "all")]),
    st.sampled_from(DISTANCES),
    st.sampled_from([None, 0.05, 0.4]),
    st.booleans(),
)
def test_every_rule_is_its_plain_loop(seed, rule, distance, margin, fallback):
    negatives, positives = rule
    if negatives == "all":
        margin, fallback = margin or 0.2, False
    z, labels = a_crowd(seed, n=16, classes=4)
    d = of_matrix(z, distance).numpy()
    expected = plain(d, labels.tolist(), negatives, positives, margin, fallback)
    assert triples(SemiHard(negatives, positives, margin, distance, fallback), z, labels) == expected


def test_lengths_count_unless_cosines_are_mined():
    z, labels = a_crowd()
    long = z * torch.linspace(0.5, 2, len(z))[:, None]
    d = of_matrix(long, "euclidean").numpy()
    assert triples(SemiHard(margin=0.3, distance="euclidean"), long, labels) == plain(
        d, labels.tolist(), "nearest", "all", 0.3, False
    )
    cosine = SemiHard(margin=0.1, distance="cosine")
    assert triples(cosine, long, labels) == triples(cosine, z, labels)


@pytest.mark.parametrize("rule", [SemiHard(), SemiHard("all", margin=0.1), SemiHard(positives="hardest", margin=None)])
def test_blocks_of_anchors_do_not_show(rule, monkeypatch):
    z, labels = a_crowd(n=100)
    whole = triples(rule, z, labels)
    monkeypatch.setattr(semi_hard, "ROWS", 7)
    assert triples(rule, z, labels) == whole and whole


def test_face_nets_rule_is_that_of_the_matrix():
    z, labels = a_crowd(n=80)
    d = of_matrix(z, "squared")
    assert triples(SemiHard(margin=0.2, fallback=True), z, labels) == {
        tuple(t) for t in torch.stack(Mining("semi-hard", margin=0.2)(d, labels), 1).tolist()
    }


def test_a_drawn_negative_is_as_likely_as_its_distance_is_rare():
    """Against the density of distances on the sphere, written out: b^(d-2) (1 - b^2/4)^((d-3)/2)."""
    z, labels = a_crowd(n=24, width=8)
    generator = torch.Generator().manual_seed(3)
    rounds, counts = 400, np.zeros((24, 24))
    for _ in range(rounds):
        anchor, positive, negative = SemiHard("drawn")(z, labels, generator)
        assert (labels[anchor] == labels[positive]).all() and (labels[anchor] != labels[negative]).all()
        assert (labels[negative] >= 0).all() and (anchor != positive).all()
        np.add.at(counts, (anchor.numpy(), negative.numpy()), 1)
    b = of_matrix(z, "euclidean").clamp_min(0.5).numpy()
    weight = b ** (2.0 - 8) * (1 - b**2 / 4) ** (-(8 - 3) / 2)
    other = (labels[:, None] != labels).numpy() & (labels >= 0).numpy()
    near = other & (b <= 1.4)
    weight *= np.where(near.any(1, keepdims=True), near, other)
    drawn = counts.sum(1) > 0
    expected = weight[drawn] / weight[drawn].sum(1, keepdims=True)
    share = counts[drawn] / counts[drawn].sum(1, keepdims=True)
    assert np.abs(share - expected).sum(1).max() < 0.2
    uniform = other[drawn] / other[drawn].sum(1, keepdims=True)
    assert np.abs(share - uniform).sum(1).mean() > 0.4, "the check can tell it from even draws"


def test_the_same_generator_draws_the_same():
    z, labels = a_crowd()
    drawn = [triples(SemiHard("drawn"), z, labels, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"negatives": "semihard"}, "rule for negatives"),
        ({"positives": "easy"}, "rule for positives"),
        ({"distance": "l2"}, "distance"),
        ({"margin": 0.0}, "more than 0"),
        ({"negatives": "all", "margin": None}, "give a margin"),
        ({"negatives": "drawn", "positives": "hardest"}, "set positives to all"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(how, words):
    with pytest.raises(SemblanceError, match=words):
        SemiHard(**how)


@pytest.mark.parametrize("labels", [torch.zeros(5), torch.arange(5), torch.full((5,), -1)])
def test_a_batch_without_a_triple_says_what_to_sample(labels):
    with pytest.raises(SemblanceError, match="sample several labels"):
        SemiHard()(torch.randn(5, 3), labels.long())

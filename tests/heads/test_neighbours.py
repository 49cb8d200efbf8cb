"""The vote against loops, leave-one-out against deletion, and the mixture at its two ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from semblance.errors import SemblanceError
from semblance.heads.classify import Linear
from semblance.heads.neighbours import (
    NeighbourMix,
    decide,
    first_per_class,
    focal,
    held_out,
    leave_one_out,
    multiplicative,
    vote,
)


def neighbours(seed=0, queries=9, k=6, classes=4):
    rng = np.random.default_rng(seed)
    similarity = -np.sort(-rng.uniform(-1, 1, (queries, k)).astype(np.float32), axis=1)
    return rng.integers(classes, size=(queries, k)), similarity


def slow_vote(labels, similarity, classes, weight):
    p = np.zeros((len(labels), classes))
    for i, (row, s) in enumerate(zip(labels, similarity, strict=True)):
        for rank, (y, cosine) in enumerate(zip(row, s, strict=True)):
            if y >= 0:
                p[i, y] += weight(cosine, rank)
        p[i] = p[i] / p[i].sum() if p[i].sum() else 1 / classes
    return p


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("plain", lambda s, r: 1.0),
        ("rank", lambda s, r: 1 / (2 + r)),
        ("softmax", lambda s, r: np.exp(float(s) / 0.07)),
        (lambda s: s.clamp_min(0), lambda s, r: max(float(s), 0)),
    ],
)
def test_the_vote_is_that_of_the_slow_twin(name, weight):
    labels, similarity = neighbours()
    labels[0, 2] = labels[3, 0] = -1
    labels[5] = -1
    ours = vote(labels, similarity, 4, name)
    np.testing.assert_allclose(ours, slow_vote(labels, similarity, 4, weight), atol=1e-6)
    np.testing.assert_allclose(ours.sum(1), 1, atol=1e-6)


def test_a_small_temperature_leaves_only_the_nearest_and_does_not_overflow():
    labels, similarity = neighbours()
    p = vote(labels, similarity, 4, temperature=1e-4)
    assert torch.isfinite(p).all()
    np.testing.assert_array_equal(p.argmax(1), labels[:, 0])


def test_class_weights_multiply_the_votes():
    p = vote([[0, 1, 1]], [[0.5, 0.5, 0.5]], 2, "plain", class_weights=torch.tensor([4.0, 1.0]))
    np.testing.assert_allclose(p, [[4 / 6, 2 / 6]])


def test_of_equal_counts_the_label_met_first_wins():
    labels = torch.tensor([[2, 1, 1, 2], [-1, 3, 0, 0], [-1, -1, -1, -1]])
    p = vote(labels, torch.ones(3, 4), 4, "plain")
    assert decide(p, labels).tolist() == [2, 0, 0]


@pytest.mark.parametrize(
    ("change", "text"),
    [({"temperature": 0.0}, "temperature"), ({"weights": "softmaks"}, "softmax"), ({"classes": 2}, "label 3")],
)
def test_a_wrong_vote_is_answered_with_its_remedy(change, text):
    with pytest.raises(SemblanceError, match=text):
        vote(**{"labels": [[3, 0]], "similarity": [[0.9, 0.1]], "classes": 4, **change})


def test_leave_one_out_is_the_vote_after_deletion():
    g = torch.Generator().manual_seed(0)
    z, y = torch.randn(60, 8, generator=g), torch.randint(3, (60,), generator=g)
    ours = leave_one_out(z, y, 5, 0.2, 3)
    for i in range(60):
        others = torch.arange(60) != i
        cosine = torch.nn.functional.cosine_similarity(z[i : i + 1], z[others])
        near = cosine.topk(5)
        torch.testing.assert_close(
            ours[i], vote(y[others][near.indices][None], near.values[None], 3, temperature=0.2)[0]
        )
    with_itself = vote(y[:, None], torch.ones(60, 1), 3)
    assert (ours - with_itself).abs().max() > 0.5


def test_scales_fall_with_p_and_amount_zero_is_one():
    p = torch.linspace(0, 1, 101)
    for scale in (multiplicative, focal):
        assert (scale(p, 0.0) == 1).all()
        assert (scale(p, 0.7).diff() <= 0).all()
        assert torch.isfinite(scale(p, 2.0)).all()
    assert float(multiplicative(torch.zeros(1), 1.0)) == 101  # the log is no lower than -100


def test_held_out_units_are_a_share_of_every_class_and_never_all_of_it():
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 7], [100, 50, 9, 1]))
    out = held_out(y, 0.1)
    assert [int(out[y == c].sum()) for c in (0, 1, 2, 7)] == [10, 5, 0, 0]
    assert first_per_class(y, 9).tolist() == sorted(i for c in (0, 1, 2, 7) for i in np.flatnonzero(y == c)[:9])


def mix(**settings):
    torch.manual_seed(0)
    return NeighbourMix(Linear(8, 3), 3, **settings)


def items(seed=0, n=90):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    return torch.eye(8)[y] * 2 + torch.randn(n, 8, generator=g), y


def test_before_solve_the_classifier_answers_alone():
    head, (z, _) = mix(), items()
    torch.testing.assert_close(head(z, {}), head.classifier(z, {}))


def test_the_ends_of_the_mixture_are_the_classifier_and_the_neighbours():
    z, y = items()
    asked = items(1)[0]
    for share in (0.0, 1.0):
        head = mix(k=5, temperature=0.1, share=share)
        head.solve(z, y)
        p = head.classifier(asked, {}).softmax(1) if share == 0 else head.neighbours(asked)[2]
        torch.testing.assert_close(head(asked, {}).exp(), p)


def test_a_poor_classifier_is_left_for_the_neighbours():
    z, y = items(n=300)
    head = mix()
    chosen = head.solve(z, y)
    asked, t = items(1)
    assert chosen["share"] > 0.3
    mixed, alone = ((answer.argmax(1) == t).float().mean() for answer in (head(asked, {}), head.classifier(asked, {})))
    assert mixed > alone + 0.2


def test_neighbours_of_shuffled_labels_are_left_for_the_classifier():
    z, y = items(n=300)

    class Right(nn.Module):
        def forward(self, z, batch):
            return 5 * z[:, :3]

    head = NeighbourMix(Right(), 3)
    chosen = head.choose(z, y[torch.randperm(300, generator=torch.Generator().manual_seed(0))], *items(1))
    assert chosen["share"] <= 0.5


def test_the_report_names_who_changed_an_answer():
    z, y = items(n=300)
    head = mix(k=5, temperature=0.1, share=1.0)
    head.solve(z, y)
    found = head.changed(items(1)[0])
    assert len(found["item"])
    assert (found["before"] != found["after"]).all()
    voters = y.numpy()[found["neighbours"]] == found["after"][:, None]
    np.testing.assert_array_equal(found["support"] > 0, voters)
    assert (found["support"].sum(1) > 1 / 3).all()


def test_few_items_per_class_are_what_is_stored():
    z, y = items()
    head = mix(k=2, temperature=0.1, share=0.5, per_class=4)
    head.solve(z, y)
    assert torch.bincount(head.labels).tolist() == [4, 4, 4]


def test_a_solved_head_comes_back_from_its_state():
    z, y = items()
    head, again = mix(), mix()
    head.solve(z, y)
    again.load_state_dict(head.state_dict())
    torch.testing.assert_close(again(z, {}), head(z, {}))


def test_a_share_beyond_one_is_refused():
    with pytest.raises(SemblanceError, match="share is 2"):
        mix(share=2)

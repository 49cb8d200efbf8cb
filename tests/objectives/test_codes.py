"""Codes: what Sinkhorn balances, what the centre forbids, and the formulas of SwAV, DINO and MoCo in float64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from semblance.errors import SemblanceError
from semblance.objectives.codes import Balanced, Centred, Directions, Queued, sinkhorn


def scores(n=60, k=7, seed=0):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rows_are_distributions_and_columns_share_the_rows():
    code = sinkhorn(scores(), 0.5, rounds=3)
    torch.testing.assert_close(code.sum(1), torch.ones(60, dtype=torch.float64))
    off = [float((sinkhorn(scores(), 0.5, rounds).sum(0) * 7 / 60 - 1).abs().max()) for rounds in (1, 3, 10, 100)]
    assert off == sorted(off, reverse=True) and off[2] < 0.01 and off[3] < 1e-9
    assert (scores().div(0.5).softmax(1).sum(0) * 7 / 60 - 1).abs().max() > 0.1, "a softmax is not balanced"


def test_a_favourite_code_is_not_favoured():
    """What is added to a column for everyone changes nothing once columns are balanced."""
    plain, shifted = sinkhorn(scores(), 0.5, 50), sinkhorn(scores() + torch.arange(7.0) * 3, 0.5, 300)
    torch.testing.assert_close(plain, shifted, atol=1e-6, rtol=0)


def test_sharp_scores_do_not_overflow():
    code = sinkhorn(scores().float() * 100, 0.05, 3)
    assert code.isfinite().all() and code.dtype == torch.float32


def test_swav_as_published():
    p, t = scores(), scores(seed=1)
    # Sinkhorn-Knopp on the matrix of exponentials, as in the paper's listing: rows of codes, columns of items.
    q = torch.exp(t.T / 0.2)
    q /= q.sum()
    for _ in range(3):
        q /= q.sum(1, keepdim=True) * 7
        q /= q.sum(0, keepdim=True) * 60
    code = (q * 60).T
    expected = -sum(float(code[i] @ F.log_softmax(p[i] / 0.1, 0)) for i in range(60)) / 60
    assert float(Balanced(0.1, 0.2)(p, t)) == pytest.approx(expected, rel=1e-10)


def test_dino_as_published_and_its_centre_follows_the_targets():
    p, t = scores(), scores(seed=1)
    loss = Centred(7, 0.1, 0.04, momentum=0.9).double()
    loss.centre.copy_(torch.linspace(-1, 1, 7))
    expected = 0.0
    for i in range(60):
        target = torch.exp((t[i] - loss.centre) / 0.04 - ((t[i] - loss.centre) / 0.04).max())
        expected -= float((target / target.sum()) @ torch.log(torch.softmax(p[i] / 0.1, 0))) / 60
    assert float(loss(p, t)) == pytest.approx(expected, rel=1e-10)
    before = loss.centre.clone()
    loss.after_step([t, t + 1])
    torch.testing.assert_close(loss.centre, 0.9 * before + 0.1 * (t.mean(0) + 0.5))


def test_one_code_for_all_is_no_target_once_the_centre_knows_it():
    constant = torch.tensor([5.0, 0, 0, 0]).expand(8, 4)
    loss = Centred(4, 0.1, 0.04, momentum=0.0)
    loss.after_step([constant])
    p = torch.randn(8, 4)
    # The target is even over codes: what is one for all says nothing any more.
    torch.testing.assert_close(loss(p, constant), -(p / 0.1).log_softmax(1).mean(1).mean())


def test_moco_is_a_cross_entropy_among_the_own_key_and_the_queue():
    loss = Queued(5, size=6, temperature=0.3).double()
    p, t = (torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    a, keys = F.normalize(p, dim=1), F.normalize(t, dim=1)
    rows = torch.cat([(a * keys).sum(1, keepdim=True), a @ loss.loss.candidates.keys.T], 1) / 0.3
    torch.testing.assert_close(loss(p, t), F.cross_entropy(rows, torch.zeros(4, dtype=torch.int64)))
    loss.after_step([t])
    torch.testing.assert_close(loss.loss.candidates.keys[:4], keys)
    assert len(loss.loss.candidates.keys) == 6


def test_directions_are_cosines():
    z, directions = torch.randn(3, 8), Directions(8, 5)
    torch.testing.assert_close(directions(z * 7), directions(z))
    assert directions(z).abs().max() <= 1 + 1e-6 and directions(z).shape == (3, 5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Balanced(student=0.0), "temperature student"),
        (lambda: Centred(3, target=-1.0), "temperature target"),
        (lambda: Centred(3, momentum=1.0), "momentum is 1.0"),
    ],
)
def test_values_that_make_no_sense_are_refused(make, words):
    with pytest.raises(SemblanceError, match=words):
        make()


def test_the_loss_of_balanced_codes_is_least_where_all_views_agree_and_codes_differ():
    code = torch.eye(4).repeat(3, 1) * 20
    loss = Balanced(1.0, 1.0)
    assert float(loss(code, code)) < 0.01
    assert float(loss(torch.zeros(12, 4), code)) == pytest.approx(math.log(4), abs=1e-4)

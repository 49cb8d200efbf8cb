"""Zero-shot models: closed forms against descent, and what each does on classes it has seen no item of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.errors import SemblanceError
from semblance.heads.prototypes import attribute_votes, compatible, hubs, projected, transductive
from semblance.heads.prototypes.semantic import MODELS, directions_of, fit_described, settings_of

WAYS = [(m, d) for m in MODELS for d in directions_of(m) or ("",)]


def world(seed=0, noise=0.3, per=30):
    """Items whose features are a linear map of their class's attributes: 4 x 3 classes, the last column unseen."""
    chance = torch.Generator().manual_seed(seed)
    first, second = torch.arange(12) // 3, torch.arange(12) % 3
    codes = torch.cat([torch.eye(4)[first], torch.eye(3)[second]], 1).double()
    carry = torch.randn(7, 20, generator=chance, dtype=torch.float64)
    y = torch.arange(12).repeat(per)
    x = codes[y] @ carry + noise * torch.randn(len(y), 20, generator=chance, dtype=torch.float64)
    hidden = torch.tensor([2, 4, 9])
    seen = torch.tensor([k for k in range(12) if k not in hidden.tolist()])
    return x - x.mean(0), y, codes, seen, hidden


def parts(x, y, codes, seen):
    shown = torch.isin(y, seen)
    return x[shown], torch.searchsorted(seen, y[shown]), codes[seen]


@pytest.mark.parametrize(("model", "direction"), WAYS)
def test_every_model_answers_classes_it_has_seen_no_item_of(model, direction):
    x, y, codes, seen, hidden = world()
    answer = fit_described(model, *parts(x, y, codes, seen), **({"direction": direction} if direction else {}))
    asked = torch.isin(y, hidden)
    said = hidden[answer(x[asked], codes[hidden]).argmax(1)]
    assert (said == y[asked]).double().mean() > 0.85


@pytest.mark.parametrize(("model", "direction"), WAYS)
def test_the_order_of_classes_does_not_matter(model, direction):
    x, y, codes, seen, _ = world()
    settings = {"direction": direction} if direction else {}
    settings |= {"steps": 40} if "steps" in settings_of(model) else {}
    a, b, c = parts(x, y, codes, seen)
    turned = torch.randperm(len(c), generator=torch.Generator().manual_seed(1))
    other = fit_described(model, a, turned.argsort()[b], c[turned], **settings)
    one = fit_described(model, a, b, c, **settings)(x[:50], codes)
    torch.testing.assert_close(one, other(x[:50], codes), rtol=1e-3, atol=1e-3)


def test_eszsl_is_where_its_objective_is_flat():
    x, y, codes, *_ = world()
    w = compatible.compatibility(x, y, codes, 2.0, 0.3).requires_grad_()
    target = 2 * torch.eye(12, dtype=torch.float64)[y] - 1
    loss = (x @ w @ codes.T - target).square().sum() + 2 * (w @ codes.T).square().sum()
    loss = loss + 0.3 * (x @ w).square().sum() + 0.6 * w.square().sum()
    (slope,) = torch.autograd.grad(loss, w)
    assert slope.abs().max() < 1e-8
    (other,) = torch.autograd.grad((x @ (w + 1e-3) @ codes.T - target).square().sum(), w)
    assert other.abs().max() > 1e-2  # the check can fail


def test_eszsl_is_what_descent_finds():
    x, y, codes, *_ = world(per=5)
    w = torch.zeros(20, 7, dtype=torch.float64, requires_grad=True)
    target = 2 * torch.eye(12, dtype=torch.float64)[y] - 1
    optimizer = torch.optim.LBFGS([w], max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14)

    def closure():
        optimizer.zero_grad()
        loss = (x @ w @ codes.T - target).square().sum() + 2 * (w @ codes.T).square().sum()
        loss = loss + 0.3 * (x @ w).square().sum() + 0.6 * w.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(compatible.compatibility(x, y, codes, 2.0, 0.3), w.detach(), rtol=0, atol=1e-4)


def test_the_semantic_autoencoder_solves_its_sylvester_equation_and_is_least():
    x, y, codes, *_ = world()
    codes = codes - codes.mean(0)
    a, b, r, w = projected.sylvester(x, y, codes, 0.7)
    assert (a @ w + w @ b - r).norm() <= 1e-8 * r.norm()
    free = w.clone().requires_grad_()
    c = codes[y]
    loss = (x - c @ free).square().sum() + 0.7 * (x @ free.T - c).square().sum()
    (slope,) = torch.autograd.grad(loss, free)
    assert slope.abs().max() < 1e-7


def test_ranked_losses_are_their_plain_loops():
    scores = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, margin = torch.tensor([0, 1, 2, 3, 4, 0]), 0.5
    for count in compatible.COUNTS:
        total = 0.0
        for i in range(6):
            over = [max(0.0, margin + float(scores[i, j] - scores[i, y[i]])) for j in range(5) if j != y[i]]
            rank = sum(v > 0 for v in over)
            weight = sum(1 / r for r in range(1, rank + 1)) / max(1, rank)
            total += {"all": sum(over), "worst": max(over), "rank": weight * sum(over)}[count]
        assert float(compatible.overtaken(scores, y, count, margin)) == pytest.approx(total / 6)


def test_a_seen_class_is_synthesised_nearly_as_itself_when_codes_are_far_apart():
    codes = torch.eye(5, dtype=torch.float64)
    mixed = compatible.likened(codes, codes, 0.05)
    torch.testing.assert_close(mixed, codes, rtol=0, atol=1e-10)
    half = compatible.likened((codes[:1] + codes[1:2]) / 2, codes, 0.05)
    torch.testing.assert_close(half[0, :2], torch.full((2,), 0.5, dtype=torch.float64))


def test_logistic_votes_are_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    x, y, *_ = world()
    weight, bias = attribute_votes.logistic(x, torch.eye(12, dtype=torch.float64)[y], 0.01, several=False, rounds=500)
    model = LogisticRegression(C=1 / (0.01 * len(x)), max_iter=5000, tol=1e-9).fit(x, y)
    np.testing.assert_allclose((x @ weight + bias).softmax(1), model.predict_proba(x), atol=2e-4)


def test_direct_votes_are_bayes_rule_over_attributes():
    chance = torch.tensor([[0.9, 0.2]], dtype=torch.float64)
    prior = torch.tensor([0.5, 0.25], dtype=torch.float64)
    codes = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    expected = [np.log(0.9 / 0.5) + np.log(0.8 / 0.75), np.log(0.1 / 0.5) + np.log(0.2 / 0.25)]
    np.testing.assert_allclose(attribute_votes._votes(chance, codes, prior)[0], expected)


def test_occurrences_count_and_skewness_is_that_of_scipy():
    from scipy.stats import skew

    scores = torch.randn(200, 12, generator=torch.Generator().manual_seed(2))
    counts = hubs.occurrences(scores, 3)
    assert counts.sum() == 600
    assert counts.tolist() == [sum(k in row.topk(3).indices for row in scores) for k in range(12)]
    assert hubs.skewness(counts) == pytest.approx(skew(counts.numpy()))
    assert hubs.skewness(torch.full((4,), 7)) == 0.0


def test_correction_takes_items_away_from_a_hub():
    scores = torch.randn(300, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    scores[:, 0] += 3
    assert hubs.occurrences(scores)[0] > 250
    assert hubs.occurrences(hubs.corrected(scores))[0] < 90
    # An item that a class ranks first goes there, whatever the scores of others.
    best = scores.argmax(0)
    assert (hubs.corrected(scores)[best, torch.arange(6)] >= 299).all()


@pytest.mark.parametrize("shift", [transductive.retrained, transductive.propagated])
def test_items_that_are_known_together_mend_shifted_codes(shift):
    chance = torch.Generator().manual_seed(4)
    centres = torch.tensor([[4.0, 0.5], [0.5, 4.0], [-4.0, -4.0]], dtype=torch.float64)
    y = torch.arange(3).repeat(60)
    x = centres[y] + 0.9 * torch.randn(180, 2, generator=chance, dtype=torch.float64)
    # The second class was put so far towards the first that a part of the first's items goes there.
    guess = torch.tensor([[5.5, -1.5], [2.0, 2.5], [-4.0, -4.0]], dtype=torch.float64)
    scores = -torch.cdist(x, guess)
    before, after = ((s.argmax(1) == y).double().mean() for s in (scores, shift(x, scores)))
    assert before < 0.9 and after > before + 0.015


def test_propagation_without_neighbours_share_is_the_answer_itself():
    scores = torch.randn(20, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    torch.testing.assert_close(transductive.propagated(x, scores, alpha=0.0), transductive.chances(scores))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "eszls"}, "did you mean eszsl"),
        ({"gama": 1.0}, "there is no setting of eszsl 'gama': did you mean gamma"),
        ({"gamma": 0.0}, "give more than 0"),
        ({"codes": torch.zeros(5, 3)}, "have no item"),
        ({"y": torch.full((4,), 7)}, "not all among"),
        ({"model": "sae", "direction": "sideways"}, "there is no direction 'sideways'"),
        ({"model": "dap", "codes": torch.ones(2, 3)}, "every attribute is the same"),
        ({"model": "conse", "top": 0}, "top is 0"),
        ({"x": torch.zeros(4)}, "do not fit"),
    ],
)
def test_what_is_wrong_is_said(change, says):
    given = {"model": "eszsl", "x": torch.randn(4, 2), "y": torch.tensor([0, 1, 0, 1]), "codes": torch.eye(2, 3)}
    with pytest.raises(SemblanceError, match=says):
        fit_described(**{**given, **change})


def test_settings_are_those_of_the_model():
    assert "count" not in settings_of("ale") and "margin" in settings_of("ale")
    assert directions_of("sae") == ("forward", "reverse") and directions_of("dap") == ()

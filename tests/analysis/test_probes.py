"""Linear probes against scikit-learn's losses and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge

from semblance.analysis.probes import Standard, class_scores, fit_logistic, ridge_values


def digits(n=800):
    x, y = load_digits(return_X_y=True)
    return torch.from_numpy(x[:n] / 16).float(), torch.from_numpy(y[:n])


def loss_of(z, y, weights, bias, l2):
    logits = z.double() @ weights.double() + bias.double()
    return float(torch.nn.functional.cross_entropy(logits, y) + l2 / 2 * (weights.double() ** 2).sum())


def test_every_strength_reaches_the_loss_of_scikit_learn():
    z, y = digits()
    strengths = (1e-1, 1e-2, 1e-3, 1e-4)
    ours = fit_logistic(z, torch.nn.functional.one_hot(y).float(), strengths, most=300)
    for i, l2 in enumerate(strengths):
        theirs = LogisticRegression(C=1 / (l2 * len(z)), max_iter=2000, tol=1e-7).fit(z.numpy(), y.numpy())
        best = loss_of(z, y, torch.from_numpy(theirs.coef_.T), torch.from_numpy(theirs.intercept_), l2)
        assert loss_of(z, y, ours.weights[i], ours.bias[i], l2) == pytest.approx(best, rel=2e-4)
        assert float(ours.loss[i]) == pytest.approx(loss_of(z, y, ours.weights[i], ours.bias[i], l2), rel=1e-4)


def test_a_strength_fitted_alone_and_among_others_is_the_same():
    z, y = digits(300)
    target = torch.nn.functional.one_hot(y).float()
    together = fit_logistic(z, target, (1e-1, 1e-3), most=200)
    alone = fit_logistic(z, target, (1e-3,), most=200)
    assert float(together.loss[1]) == pytest.approx(float(alone.loss[0]), rel=1e-4)


def test_the_gradient_is_that_of_autograd():
    from semblance.analysis.probes import _Loss

    z, y = digits(50)
    z = torch.cat([z, torch.ones(50, 1)], 1).double()
    target = torch.nn.functional.one_hot(y, 10).double()
    for several in (False, True):
        w = torch.randn(2, 10, 65, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
        l2 = torch.tensor([0.1, 0.01], dtype=torch.float64)
        logits = torch.einsum("skd,nd->snk", w, z)
        if several:
            each = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, target.expand(2, -1, -1), reduction="none"
            )
            plain = each.sum(2).mean(1)
        else:
            plain = -(logits.log_softmax(2) * target).sum(2).mean(1)
        plain = plain + (l2[:, None, None] / 2 * w[:, :, :-1] ** 2).sum((1, 2))
        (slope,) = torch.autograd.grad(plain.sum(), w)
        loss, gradient = _Loss(z, target, l2, several)(w.detach(), torch.arange(2))
        torch.testing.assert_close(loss, plain.detach())
        torch.testing.assert_close(gradient, slope)


def test_the_probe_reads_digits_and_says_which_strength_it_chose():
    z, y = digits(1700)
    logits, strength = class_scores(z[:1200].numpy(), y[:1200].numpy(), z[1200:].numpy())
    assert (logits.argmax(1) == y[1200:].numpy()).mean() > 0.9
    assert strength in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def test_shuffled_labels_leave_nothing_to_read():
    z, y = digits(1700)
    wrong = np.random.default_rng(0).permutation(y[:1200].numpy())
    assert (class_scores(z[:1200].numpy(), wrong, z[1200:].numpy())[0].argmax(1) == y[1200:].numpy()).mean() < 0.25


def test_several_labels_are_read_one_against_the_rest():
    z, y = digits(1500)
    several = np.stack([y % 2 == 0, y >= 5, y == 3], 1)
    logits, _ = class_scores(z[:1000].numpy(), several[:1000], z[1000:].numpy())
    assert ((logits > 0) == several[1000:]).mean(0).min() > 0.85


def test_ridge_is_scikit_learns_at_the_strength_it_chose():
    x, y = load_diabetes(return_X_y=True)
    found, strength = ridge_values(x[:300], y[:300], x[300:])
    standard = Standard.of(x[:300])
    theirs = Ridge(alpha=strength * 300).fit(standard(x[:300]).double().numpy(), y[:300])
    np.testing.assert_allclose(found, theirs.predict(standard(x[300:]).double().numpy()), rtol=1e-6)


def test_constant_columns_are_left_out_and_not_blown_up():
    z = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    z[:, 1] = 7
    np.testing.assert_array_equal(Standard.of(z)(z)[:, 1].numpy(), 0)
    logits, _ = class_scores(z, (z[:, 0] > 0).astype(int), z)
    assert np.isfinite(logits).all()


def test_two_units_are_enough_to_be_answered():
    logits, _ = class_scores(np.eye(2), np.array([0, 1]), np.eye(2))
    assert (logits.argmax(1) == [0, 1]).all()

"""The Frechet distance, its gradients, and what it looks at."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, stats

from semblance.analysis.frechet import (
    between,
    by_weight,
    class_weights,
    effective_size,
    extrapolated,
    frechet,
    gaussian,
    lowering_weights,
    of_moments,
    sensitivity,
    transport,
)
from semblance.analysis.frechet_audit import DIRECT, SHUFFLED, frechet_audit, weighted
from semblance.errors import SemblanceError
from semblance.testing.report import check_report

RNG = np.random.default_rng(354)
MIX = RNG.normal(size=(5, 5))
X, Y = RNG.normal(size=(300, 5)), RNG.normal(size=(200, 5)) @ MIX + 1


def test_the_distance_is_the_textbook_s() -> None:
    s1, s2 = np.cov(X.T), np.cov(Y.T)
    plain = ((X.mean(0) - Y.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * linalg.sqrtm(s1 @ s2).real)
    assert frechet(X, Y) == pytest.approx(plain, rel=1e-9)
    assert frechet(Y, X) == pytest.approx(plain, rel=1e-9)


def test_a_set_is_at_no_distance_from_itself_whatever_its_rank() -> None:
    assert abs(frechet(X, X)) < 1e-8
    flat = np.concatenate([X, X[:, :2], np.zeros((300, 3))], 1)
    assert abs(frechet(flat, flat)) < 1e-8


def test_one_rotation_of_both_sets_changes_nothing() -> None:
    turn = stats.ortho_group.rvs(5, random_state=1)
    assert frechet(X @ turn, Y @ turn) == pytest.approx(frechet(X, Y), rel=1e-9)


def test_samples_of_known_gaussians_come_to_the_formula() -> None:
    rng = np.random.default_rng(0)
    a = of_moments(np.zeros(5), np.eye(5))
    b = of_moments(np.ones(5), MIX.T @ MIX)
    drawn = frechet(rng.normal(size=(50_000, 5)), rng.normal(size=(50_000, 5)) @ MIX + 1)
    assert drawn == pytest.approx(between(a, b), rel=0.02)


def test_weights_are_items_that_come_several_times_but_for_the_divisor() -> None:
    times = RNG.integers(1, 4, 200)
    a, b = gaussian(Y, times), gaussian(np.repeat(Y, times, 0))
    np.testing.assert_allclose(a.mean, b.mean)
    np.testing.assert_allclose(a.covariance / np.trace(a.covariance), b.covariance / np.trace(b.covariance))
    np.testing.assert_allclose(gaussian(Y, np.ones(200)).covariance, np.cov(Y.T))


def test_the_transport_map_turns_one_shape_into_the_other() -> None:
    a, b = gaussian(X), gaussian(Y)
    t = transport(a, b)
    np.testing.assert_allclose(t @ b.covariance @ t, a.covariance, atol=1e-10)


def test_the_gradient_by_weights_is_that_of_differences() -> None:
    p = RNG.dirichlet(np.ones(200))
    target = gaussian(X)
    value, slope = by_weight(target, Y, p)
    assert value == pytest.approx(frechet(X, Y, None, p))
    for i in (0, 7, 90):
        moved = np.zeros(200)
        moved[i], moved[3] = 1e-6, -1e-6
        ahead, behind = (by_weight(target, Y, p + sign * moved)[0] for sign in (1, -1))
        assert (ahead - behind) / 2e-6 == pytest.approx(slope[i] - slope[3], rel=1e-4)


def test_weights_that_lower_the_distance_do_and_keep_less_items() -> None:
    near = 1.2 * RNG.normal(size=(200, 5)) + 0.3
    p = lowering_weights(X, near)
    assert p.sum() == pytest.approx(1)
    assert frechet(X, near, None, p) < 0.05 * frechet(X, near)
    assert 50 < effective_size(p) < 200
    assert effective_size(np.ones(200)) == pytest.approx(200)


def test_classes_are_brought_to_the_shares_of_the_real_ones() -> None:
    real, made = np.eye(4)[RNG.integers(0, 4, 300)], np.eye(4)[RNG.integers(0, 2, 200) + RNG.integers(0, 3, 200)]
    p = class_weights(real, made)
    np.testing.assert_allclose(p @ made, real.mean(0), atol=1e-12)
    scores = [side + 0.1 * RNG.random(side.shape) for side in (real, made)]
    two = class_weights(*scores, top=2)
    hot = [(side >= np.sort(side)[:, [-2]]).astype(float) for side in scores]
    before, after = (np.abs(w @ hot[1] - hot[0].mean(0)).max() for w in (np.full(200, 1 / 200), two))
    assert after < 0.5 * before


def test_the_bias_of_few_items_is_seen_and_taken_off() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(400, 20)), rng.normal(size=(400, 20))  # of one law: their distance is 0
    endless, bias = extrapolated(one, two)
    assert bias > 0.3
    assert abs(endless) < 0.5 * frechet(one, two)


def test_a_map_s_sum_is_what_the_distance_gains_where_features_grow_together() -> None:
    maps = RNG.random((5, 4, 4))
    made = Y.copy()
    made[11] = maps.mean((1, 2))
    found = sensitivity(X, made, 11, maps, (4, 4))
    grown = made.copy()
    grown[11] *= 1 + 1e-6
    gain = (frechet(X, grown) - frechet(X, made)) / 1e-6
    assert found.sum() == pytest.approx(gain, rel=1e-3)
    assert sensitivity(X, made, 11, maps, (28, 28)).shape == (28, 28)


def audited() -> tuple:
    """A classifier's features, codes that hold no classes, and scores, of balanced and of unbalanced items."""
    rng, centres = np.random.default_rng(1), 3 * np.eye(4)
    sides = []
    for share in ([0.25] * 4, [0.55, 0.25, 0.15, 0.05]):
        label = rng.choice(4, 600, p=share)
        seen = centres[label] + 0.3 * rng.normal(size=(600, 4))
        sides.append(({"classifier": seen, "codes": rng.normal(size=(600, 6))}, np.eye(4)[label]))
    return sides[0][0], sides[1][0], "classifier", (sides[0][1], sides[1][1])


def test_an_audit_tells_classes_from_looks() -> None:
    found = weighted(*audited())
    assert found.fall("top-1 classes", "classifier") > 0.7
    assert abs(found.fall(SHUFFLED, "classifier")) < 0.3
    assert found.fall(DIRECT, "classifier") > found.fall("top-1 classes", "classifier") - 0.05
    report = frechet_audit(*audited(), tops=(1, 2))
    assert "looks at classes" in str(report)
    assert report.table().num_rows == 10
    check_report(report)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: frechet(X, Y[:, :3]), "5 features and 3"),
        (lambda: frechet(X, np.where(Y[3, 3] == Y, np.nan, Y)), "NaN or infinity in 1 of 200"),
        (lambda: frechet(X, Y[:1]), "two items or more"),
        (lambda: frechet(X, Y, None, np.zeros(200)), "not all 0"),
        (lambda: class_weights(X, Y, 9), "top is 9 of 5 classes"),
        (lambda: sensitivity(X, Y, 0, np.ones((4, 2, 2)), (4, 4)), "4 channels and the features 5"),
        (lambda: frechet_audit({"a": X}, {"b": Y}, "a", (X, Y)), "the same of both"),
        (lambda: frechet_audit({"a": X}, {"a": Y}, "b", (X, Y)), "there is no space 'b'"),
        (lambda: frechet_audit({"a": X}, {"a": Y}, "a", (X[1:], Y)), "the same items in every space"),
    ],
)
def test_what_has_no_distance_is_said(call, said: str) -> None:
    with pytest.raises(SemblanceError, match=said):
        call()

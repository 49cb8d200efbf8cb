"""Unconstrained features: the theory's numbers are those that descent finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from semblance.analysis.collapse import apart, class_means, spread
from semblance.analysis.unconstrained_features import collapse_by_size, foretold, found
from semblance.errors import SemblanceError
from semblance.testing import check_report

SIZES = (12, 6, 2)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_descent_finds_the_foretold_lengths_and_loss(layers):
    lambdas, lambda_h = [0.004, 0.006, 0.003][:layers], 0.002
    theory, least = foretold(SIZES, lambdas, lambda_h), found(SIZES, lambdas, lambda_h, dim=5, starts=3, seed=100)
    assert least.loss == pytest.approx(theory.loss, abs=1e-8)
    classes = class_means(least.features.T, least.labels)
    np.testing.assert_allclose(np.linalg.norm(classes.means, axis=1), theory.means, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(least.layers[-1], axis=1), theory.rows, atol=1e-4)
    np.testing.assert_allclose(np.linalg.svd(least.classifier @ least.features)[1], theory.z, atol=1e-4)
    for layer, values in zip(least.layers, theory.layers, strict=True):
        np.testing.assert_allclose(np.linalg.svd(layer)[1][:3], values, atol=1e-4)
    np.testing.assert_allclose(apart(classes.means), 0, atol=1e-4)
    assert spread(classes) < 1e-4


@given(st.integers(1, 4), st.integers(1, 200), st.floats(1e-4, 0.1))
def test_the_scalar_problem_is_solved(layers, size, decay):
    theory = foretold((size, 50), [decay] * layers, 2 * decay)
    n, product, depth = size + 50, 2 * decay ** (layers + 1), layers + 1

    def value(z: float) -> float:
        return (z - size**0.5) ** 2 / (2 * n) + depth / 2 * (product * z * z) ** (1 / depth)

    grid = np.linspace(0, size**0.5, 2001)
    start = int(np.argmin([value(z) for z in grid]))
    near = minimize_scalar(
        value, bounds=(grid[max(start - 1, 0)], grid[min(start + 1, 2000)]), method="bounded", options={"xatol": 1e-12}
    )
    assert value(theory.z[0]) <= min(near.fun, value(0.0)) + 1e-12


@given(st.floats(1e-4, 0.05), st.floats(1e-4, 0.05))
def test_one_layer_has_the_closed_form_and_its_threshold(decay, lambda_h):
    theory, n = foretold(SIZES, [decay], lambda_h), sum(SIZES)
    sizes = np.array(SIZES)
    np.testing.assert_allclose(theory.z, np.maximum(0, np.sqrt(sizes) - n * np.sqrt(decay * lambda_h)), atol=1e-10)
    np.testing.assert_allclose(theory.rows**2, theory.z * np.sqrt(lambda_h / decay), atol=1e-10)
    np.testing.assert_allclose(theory.means**2, theory.z * np.sqrt(decay / lambda_h) / sizes, atol=1e-10)
    assert ((theory.z == 0) == (sizes <= n**2 * decay * lambda_h)).all()


def test_a_class_below_the_threshold_vanishes_in_descent_too():
    decay = np.sqrt(3) / sum(SIZES)
    least = found(SIZES, [decay], decay, dim=5, seed=100)
    rows = np.linalg.norm(least.classifier, axis=1)
    assert rows[2] < 1e-4 and (rows[:2] > 0.1).all()
    assert "1 of 3 classes vanish, those of up to 2 items" in str(collapse_by_size(SIZES, [decay], decay))


@pytest.mark.parametrize(
    ("loss", "layers"), [("squared", 1), ("squared", 2), ("cross-entropy", 1), ("cross-entropy", 2)]
)
def test_with_a_bias_class_means_and_rows_form_a_simplex(loss, layers):
    least = found((5, 5, 5), [5e-3] * layers, 5e-3, dim=5, loss=loss, bias=True, seed=100)
    classes = class_means(least.features.T, least.labels)
    np.testing.assert_allclose(apart(classes.means), -0.5, atol=1e-4)
    np.testing.assert_allclose(apart(least.classifier), -0.5, atol=1e-4)
    assert spread(classes) < 1e-4


def test_behind_three_layers_cross_entropy_has_a_lower_minimum_than_the_simplex():
    """Two pairs of opposite class means, in two dimensions."""
    each = [found((5,) * 4, [5e-3] * 3, 5e-3, 8, "cross-entropy", True, seed=seed) for seed in range(6)]
    frames = {round(one.loss, 4): np.sort(apart(class_means(one.features.T, one.labels).means)) for one in each}
    lower, simplex = sorted(frames)
    np.testing.assert_allclose(frames[lower], [-1, -1, 0, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(frames[simplex], -1 / 3, atol=1e-3)


def test_the_report_draws_lengths_by_class_size_and_wrong_numbers_are_refused():
    check_report(collapse_by_size((100, 10), [0.01], 0.01))
    with pytest.raises(SemblanceError, match="class sizes are"):
        foretold((3,), [0.1], 0.1)
    with pytest.raises(SemblanceError, match="decays are"):
        foretold((3, 3), [0.0], 0.1)
    with pytest.raises(SemblanceError, match="loss"):
        found((3, 3), [0.1], 0.1, loss="square")

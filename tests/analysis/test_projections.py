"""Projections: P and its transpose are one map, columns have length 1 and are nearly orthogonal, a seed is all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard as matrix

from semblance.analysis.projections import PROJECTIONS, hadamard, projection
from semblance.errors import SemblanceError

KINDS = list(PROJECTIONS)


def columns(kind: str, size: int, dim: int, seed: int = 0) -> torch.Tensor:
    """P as a matrix."""
    return projection(kind, size, dim, seed)(torch.eye(dim, dtype=torch.float64 if kind != "dense" else torch.float32))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "dim"), [(300, 20), (1, 1), (64, 64), (65, 3)])
def test_back_is_the_transpose_and_gradients_are_it_too(kind, size, dim):
    p, chance = projection(kind, size, dim, 3), torch.Generator().manual_seed(0)
    t, g = torch.randn(dim, 4, generator=chance), torch.randn(size, 4, generator=chance)
    assert float((p(t) * g).sum()) == pytest.approx(float((t * p.back(g)).sum()), rel=1e-4, abs=1e-4)
    t.requires_grad_()
    (gradient,) = torch.autograd.grad((p(t) * g).sum(), t)
    torch.testing.assert_close(gradient, p.back(g), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(p(t[:, 0]), p(t)[:, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_columns_have_length_1_and_are_nearly_orthogonal(kind):
    p = columns(kind, 5000, 60)
    gram = (p.T @ p).double()
    off = gram - gram.diag().diag()
    np.testing.assert_allclose(gram.diag(), 1, atol=0.1 if kind == "fastfood" else 1e-5)
    assert off.abs().mean() < 0.03 and off.abs().max() < 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_makes_the_same_directions_again(kind):
    assert torch.equal(columns(kind, 200, 9, 5), columns(kind, 200, 9, 5))
    assert not torch.equal(columns(kind, 200, 9, 5), columns(kind, 200, 9, 6))


def test_the_transform_is_the_matrix_of_hadamard():
    x = torch.randn(16, 3, dtype=torch.float64)
    torch.testing.assert_close(hadamard(x), torch.from_numpy(matrix(16) / 4.0) @ x)
    torch.testing.assert_close(hadamard(hadamard(x)), x)
    with pytest.raises(SemblanceError, match="power of two"):
        hadamard(x[:12])


def test_a_sparse_column_has_about_the_root_of_its_rows():
    filled = (columns("sparse", 2500, 200) != 0).sum(0).double()
    assert 45 < filled.mean() < 55 and filled.min() >= 1


def test_what_does_not_exist_is_refused_in_one_line():
    with pytest.raises(SemblanceError, match="fastfood"):
        projection("fast-food", 10, 2, 0)
    with pytest.raises(SemblanceError, match="1 to 10"):
        projection("dense", 10, 11, 0)

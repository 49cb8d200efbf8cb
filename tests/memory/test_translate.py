"""Translations: one face, three ways."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from semblance.errors import SemblanceError
from semblance.memory.translate import METHODS, Translation, blank, procrustes, relative, turned, unpaired
from semblance.memory.unpaired import Plan

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 7)).astype(np.float32)
TURN = np.linalg.qr(RNG.normal(size=(7, 7)))[0].astype(np.float32)
WIDE = RNG.normal(size=(7, 11)).astype(np.float32)
SMALL = Plan(width=8, hidden=8, backbone=1, steps=3, batch=16)


def made(method: str, y: np.ndarray) -> Translation:
    """Of X into y."""
    if method == "vec2vec":
        return unpaired(X, y, SMALL, runs=2)
    return relative(X, y, anchors=40) if method == "relative" else turned(X, y)


def test_procrustes_is_scipys_on_centred_rows_and_brings_the_middle_along() -> None:
    y = X @ TURN + RNG.normal(size=(150, 7)) * 0.3 + 5
    found = procrustes(X, y)
    slow, _ = orthogonal_procrustes(X - X.mean(0), y - y.mean(0))
    np.testing.assert_allclose(found.turn.numpy(), slow, atol=1e-5)
    np.testing.assert_allclose(found(torch.from_numpy(X)).numpy().mean(0), y.mean(0), atol=1e-4)


@pytest.mark.parametrize("method", ["relative", "procrustes"])
def test_a_space_and_its_turned_copy_meet_exactly(method: str) -> None:
    both = made(method, 2 * X @ TURN if method == "relative" else X @ TURN)
    new = RNG.normal(size=(20, 7)).astype(np.float32)
    other = (2 if method == "relative" else 1) * new @ TURN
    np.testing.assert_allclose(both.meet(new, 0), both.meet(other, 1), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("y", [X @ TURN, X @ WIDE, X[:, :4]], ids=["as wide", "wider", "narrower"])
def test_what_comes_back_from_its_tensors_meets_the_same(method: str, y: np.ndarray) -> None:
    both = made(method, y)
    again = blank(both.method, both.facts)
    again.load_state_dict(both.state_dict())
    for side, z in enumerate((X, y)):
        met = both.meet(z, side)
        assert met.dtype == np.float32 and np.isfinite(met).all()
        np.testing.assert_allclose(np.linalg.norm(met, axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(met, again.meet(z, side))
    assert both.meet(X, 0).shape[1] == both.meet(y, 1).shape[1]
    assert both.meet(X[:0], 0).shape == (0, both.meet(X, 0).shape[1])


def test_relative_takes_as_many_anchors_as_there_are() -> None:
    assert relative(X[:12], X[:12] @ WIDE, anchors=300).meet(X, 0).shape == (150, 12)


def test_bad_input_is_refused_in_one_line() -> None:
    with pytest.raises(SemblanceError, match="3 pairs are too few"):
        turned(X[:3], X[:3])
    with pytest.raises(SemblanceError, match="150 and 149 vectors"):
        relative(X, X[1:])
    with pytest.raises(SemblanceError, match="same vector for all 150"):
        turned(X, np.ones((150, 3)))
    with pytest.raises(SemblanceError, match="second side holds NaN"):
        relative(X, np.full((150, 3), np.nan))
    with pytest.raises(SemblanceError, match="10 vectors, too few"):
        unpaired(X, X[:10])
    with pytest.raises(SemblanceError, match="method of translation"):
        blank("linear", {})

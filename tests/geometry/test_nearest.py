"""Neighbours against plain loops: every geometry, both precisions, ties, duplicates, what is left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry import nearest as file
from semblance.geometry.nearest import nearest


def slow(queries, items, k, geometry="cosine", leave_out=None):
    """Every pair in float64, sorted by (falling similarity, position)."""
    q, x = np.asarray(queries, np.float64), np.asarray(items, np.float64)
    if geometry == "euclidean":
        s = -np.linalg.norm(q[:, None] - x[None], axis=2)
    else:
        if geometry == "cosine":
            q, x = (z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-30) for z in (q, x))
        s = q @ x.T
    if leave_out is not None:
        s[np.arange(len(q)), np.arange(len(q)) if isinstance(leave_out, str) else leave_out] = -np.inf
    order = np.argsort(-s, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(s, order, 1)


def check(queries, items, k, **how):
    found, similarity = nearest(queries, items, k, **how)
    how.pop("precision", None)
    expected, values = slow(queries, items, k, **how)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(similarity, values, atol=2e-5 * max(1, np.abs(values).max()))


def vectors(seed, n, d=24):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32) + 0.5


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("geometry", ["cosine", "inner", "euclidean"])
@pytest.mark.parametrize(("n", "k"), [(7, 3), (300, 5), (5003, 20), (4096, 1)])
def test_the_neighbours_are_those_of_the_slow_twin(geometry, precision, n, k):
    if precision == "int8" and not file.has_int8():
        precision = "float32"
    check(vectors(0, 300), vectors(1, n), k, geometry=geometry, precision=precision)


def test_the_comparison_can_fail_when_one_neighbour_is_wrong(monkeypatch):
    right = file._ordered
    monkeypatch.setattr(file, "_ordered", lambda position, value: right(position.roll(1, 1), value))
    with pytest.raises(AssertionError):
        check(vectors(0, 50), vectors(1, 300), 5)


def test_items_in_several_blocks_give_the_same_neighbours(monkeypatch):
    monkeypatch.setattr(file, "COLUMNS", 512)
    monkeypatch.setattr(file, "ROWS", 32)
    for precision in ("float32", "int8") if file.has_int8() else ("float32",):
        check(vectors(0, 100), vectors(1, 3001), 7, precision=precision, leave_out=np.arange(100) + 500)


@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from(["inner", "euclidean"]))
@settings(max_examples=30, deadline=None)
def test_equal_similarities_go_to_the_lower_position(seed, k, geometry):
    items = np.random.default_rng(seed).integers(0, 2, size=(700, 4)).astype(np.float32)  # 16 different rows at most
    check(items[:40], items, k, geometry=geometry)


def test_a_collapsed_space_answers_with_the_first_items():
    found, similarity = nearest(np.ones((30, 8)), np.ones((2000, 8)), 4)
    np.testing.assert_array_equal(found, np.tile(np.arange(4), (30, 1)))
    np.testing.assert_allclose(similarity, 1, atol=1e-6)


def test_what_is_left_out_is_not_found_and_nothing_else_is_lost():
    z = vectors(3, 600)
    check(z, z, 6, leave_out="self")
    check(z[:9], z, 6, leave_out=np.arange(9) + 1)
    assert (nearest(z, z, 1)[0][:, 0] == np.arange(600)).all()


def test_a_left_out_duplicate_is_still_found_through_its_twin():
    z = vectors(4, 100)
    found, similarity = nearest(
        np.concatenate([z, z]), np.concatenate([z, z]), 1, leave_out="self", geometry="euclidean"
    )
    np.testing.assert_array_equal(found[:, 0], np.r_[np.arange(100, 200), np.arange(100)])
    assert (similarity == 0).all()


def test_unclear_rounding_is_settled_in_float32():
    if not file.has_int8():
        return
    rng = np.random.default_rng(5)
    items = rng.normal(size=(1, 32)) + 1e-4 * rng.normal(size=(5000, 32))  # closer than an int8 step
    items = np.concatenate([items, 50 * rng.normal(size=(3, 32))]).astype(np.float32)
    found = nearest(items[:200], items, 5, geometry="inner", precision="int8")[0]
    np.testing.assert_array_equal(found, nearest(items[:200], items, 5, geometry="inner", precision="float32")[0])


def test_the_margin_is_what_makes_rounded_products_exact(monkeypatch):
    if not file.has_int8():
        return
    rng = np.random.default_rng(6)
    items = np.concatenate([rng.normal(size=(6000, 16)), 200 * rng.normal(size=(2, 16))]).astype(np.float32)
    exact = nearest(items[:100], items, 5, "inner", precision="float32")[0]
    np.testing.assert_array_equal(nearest(items[:100], items, 5, "inner", precision="int8")[0], exact)
    monkeypatch.setattr(file, "DEVIATIONS", -1e9)
    assert (nearest(items[:100], items, 5, "inner", precision="int8")[0] != exact).any()


def test_zero_vectors_have_cosine_zero_with_everything():
    items = np.concatenate([np.zeros((1, 5)), -np.eye(5)]).astype(np.float32)
    found, similarity = nearest(np.ones((1, 5)), items, 1)
    assert found[0, 0] == 0
    assert similarity[0, 0] == 0


def test_no_queries_give_no_rows():
    found, similarity = nearest(np.empty((0, 3)), np.ones((4, 3)), 2)
    assert found.shape == similarity.shape == (0, 2)
    assert found.dtype == np.int64


def test_tensors_and_arrays_give_the_same_answer():
    z = vectors(7, 50)
    np.testing.assert_array_equal(nearest(torch.from_numpy(z), z, 3)[0], nearest(z, torch.from_numpy(z), 3)[0])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"k": 11}, "k is 11"),
        ({"k": 0}, "k is 0"),
        ({"k": 10, "leave_out": "self"}, "leaves one out"),
        ({"geometry": "cosin"}, "did you mean cosine"),
        ({"precision": "float33"}, "did you mean float32"),
        ({"leave_out": "others"}, "others"),
        ({"leave_out": np.arange(3)}, "one position per query"),
        ({"items": np.ones((10, 3))}, "3"),
        ({"items": np.full((10, 2), np.nan)}, "NaN"),
        ({"items": np.ones(10)}, "matrix"),
    ],
)
def test_a_wrong_question_is_answered_with_its_remedy(change, text):
    asked = {"queries": np.ones((10, 2)), "items": np.ones((10, 2)), "k": 2, **change}
    with pytest.raises(SemblanceError, match=text):
        nearest(**asked)

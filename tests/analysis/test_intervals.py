"""Intervals hold what they promise: coverage on data whose truth is known, p values that are right under no difference."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.intervals import bootstrap_mean, compare_rows, holm, means_again, paired
from semblance.errors import SemblanceError


def slow_means(scores, rng, draws):
    """The plain bootstrap: draw units (and repeats) again one sample at a time."""
    out = []
    for _ in range(draws):
        again = scores if scores.ndim == 1 else scores[rng.integers(len(scores), size=len(scores))]
        out.append(again[..., rng.integers(scores.shape[-1], size=scores.shape[-1])].mean())
    return np.array(out)


@pytest.mark.parametrize("shape", ["accuracies", "numbers", "repeats"])
def test_means_drawn_again_spread_like_those_of_the_slow_twin(shape):
    rng = np.random.default_rng(0)
    scores = {
        "accuracies": (rng.random(120) < 0.8).astype(float),
        "numbers": rng.gamma(2, size=120),
        "repeats": rng.random(6)[:, None] + rng.random((6, 80)),
    }[shape]
    ours = means_again(scores, np.random.default_rng(1), 8000)
    slow = slow_means(scores, np.random.default_rng(2), 8000)
    assert ours.mean() == pytest.approx(slow.mean(), abs=4 * slow.std() / np.sqrt(8000) * 2)
    assert ours.std() == pytest.approx(slow.std(), rel=0.06)
    np.testing.assert_allclose(
        np.quantile(ours, [0.025, 0.975]), np.quantile(slow, [0.025, 0.975]), atol=0.2 * slow.std()
    )


@pytest.mark.parametrize(
    ("truth", "draw"), [(0.7, lambda rng: rng.random(200) < 0.7), (1.0, lambda rng: rng.exponential(size=80))]
)
def test_intervals_hold_the_truth_about_ninety_five_times_in_a_hundred(truth, draw):
    held = 0
    for trial in range(300):
        _, low, high = bootstrap_mean(draw(np.random.default_rng(trial)).astype(float), seed=trial)
        held += low <= truth <= high
    assert 0.9 <= held / 300 <= 0.985  # 300 trials of 0.95 give 0.91 at 3 deviations; skewed data lose a little


def test_the_count_of_coverage_can_fail():
    held = 0
    for trial in range(100):
        _, low, high = bootstrap_mean(np.random.default_rng(trial).random(200) < 0.6, seed=trial)
        held += low <= 0.7 <= high
    assert held / 100 < 0.5


def test_intervals_over_repeats_hold_the_truth_that_units_alone_would_miss():
    def scores(rng):  # repeats differ much, units little
        return rng.normal(size=(12, 1)) + 0.1 * rng.normal(size=(12, 20))

    held = {"both": 0, "units": 0}
    for trial in range(100):
        drawn = scores(np.random.default_rng(trial))
        _, low, high = bootstrap_mean(drawn, seed=trial)
        held["both"] += low <= 0 <= high
        _, low, high = bootstrap_mean(drawn.mean(0), seed=trial)
        held["units"] += low <= 0 <= high
    assert held["both"] / 100 > 0.85  # twelve repeats: the bootstrap is a little short of 0.95
    assert held["units"] / 100 < 0.2


def test_the_same_seed_gives_the_same_interval():
    scores = np.random.default_rng(0).random(500)
    assert bootstrap_mean(scores, 3) == bootstrap_mean(scores, 3) != bootstrap_mean(scores, 4)


def test_one_unit_has_an_interval_of_no_width():
    assert bootstrap_mean(np.array([0.25])) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("same_units", [True, False])
def test_pairs_without_a_difference_are_seldom_called_different(same_units):
    called = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        unit = rng.normal(size=(1, 30))
        a, b = (unit + rng.normal(size=(8, 30)) for _ in range(2))
        called += paired(a, b, trial, same_units=same_units)["p"] < 0.05
    assert called / 100 <= 0.1


def test_pairing_sees_a_difference_that_the_two_intervals_hide():
    rng = np.random.default_rng(0)
    easy = rng.normal(size=300) * 3
    a, b = easy + 0.2 + 0.1 * rng.normal(size=300), easy
    assert bootstrap_mean(a)[1] < bootstrap_mean(b)[2]  # they overlap
    test = paired(a, b)
    assert test["low"] > 0.15
    assert test["p"] < 0.01


def test_holm_is_the_textbook_example():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


def test_the_table_stands_best_first_and_every_pair_is_tested_once():
    rng = np.random.default_rng(0)
    base = rng.random((3, 200))
    tests = compare_rows({"low": base, "high": base + 0.3, "same": base + 1e-9 * rng.normal(size=(3, 200))})
    assert [t["a"] for t in tests][:2] == ["high", "high"]
    assert {(t["a"], t["b"]) for t in tests if t["differs"]} == {("high", "low"), ("high", "same")}
    assert all(t["p_holm"] >= t["p"] for t in tests)


def test_among_many_equal_rows_the_correction_keeps_false_finds_rare():
    found = 0
    for trial in range(30):
        rng = np.random.default_rng(trial)
        rows = {f"r{i}": rng.random((2, 30)) for i in range(4)}
        found += any(t["differs"] for t in compare_rows(rows, trial, same_units=False))
    assert found / 30 <= 0.17


@pytest.mark.parametrize(
    ("bad", "text"), [(np.empty(0), "shape"), (np.array([np.nan, 1]), "NaN"), (np.ones((2, 2, 2)), "shape")]
)
def test_scores_without_a_mean_are_refused(bad, text):
    with pytest.raises(SemblanceError, match=text):
        bootstrap_mean(bad)


def test_rows_of_other_units_cannot_be_paired():
    with pytest.raises(SemblanceError, match="cannot be paired"):
        paired(np.ones(3), np.ones(4))


def test_of_many_rows_those_far_apart_still_differ():
    rows = {
        f"row {k}": np.full((3, 50), 0.01 * k) + np.random.default_rng(k).normal(0, 0.1, (3, 50)) for k in range(11)
    }
    tests = compare_rows({"far": np.ones((3, 50)), **rows})
    assert all(t["differs"] for t in tests if t["a"] == "far")
    assert not next(t for t in tests if {t["a"], t["b"]} == {"row 4", "row 5"})["differs"]

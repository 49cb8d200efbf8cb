"""Diluted Hebbian patterns: the N x N network in loops, the identity of energy and errors, limits, and mean field."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.memory import associative as memory
from semblance.recipes.registry import build


def state(seed: int = 0, size: int = 40, count: int = 3, dilution: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return memory.diluted(count, size, dilution, rng), (rng.integers(0, 2, size) * 2 - 1).astype(np.int8)


def couplings(patterns: np.ndarray) -> np.ndarray:
    size = patterns.shape[1]
    found = np.zeros((size, size))
    for i, j in product(range(size), repeat=2):
        found[i, j] = 0 if i == j else sum(int(xi[i]) * int(xi[j]) for xi in patterns) / size
    return found


@given(st.integers(0, 1000), st.floats(0, 1))
def test_fields_and_energy_are_those_of_the_whole_matrix(seed: int, dilution: float) -> None:
    patterns, spins = state(seed, dilution=dilution)
    matrix = couplings(patterns)
    np.testing.assert_allclose(memory.fields(patterns, spins), matrix @ spins, atol=1e-12)
    assert memory.energy(patterns, spins) == pytest.approx(-spins @ matrix @ spins / 2, abs=1e-10)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_the_square_of_an_overlap_is_that_of_two_errors(seed: int, dilution: float) -> None:
    patterns, spins = state(seed, dilution=dilution)
    plus, minus, q = memory.squared_errors(patterns, spins)
    m = memory.overlaps(patterns, spins)
    np.testing.assert_allclose(m**2, ((q + 1) / 2) ** 2 - plus * minus, atol=1e-12)


def test_at_zero_temperature_the_energy_never_rises_and_a_state_at_rest_stays() -> None:
    patterns, spins = state(1, 300, 4)
    rng = np.random.default_rng(0)
    energies = [memory.energy(patterns, spins)]
    for _ in range(8):
        spins, _ = memory.run(patterns, spins, math.inf, 1, rng)
        energies.append(memory.energy(patterns, spins))
    assert (np.diff(energies) <= 1e-9).all()
    assert memory.stable(patterns, spins) == 1.0
    np.testing.assert_array_equal(memory.run(patterns, spins, math.inf, 3, rng)[0], spins)


def test_a_spin_without_a_field_keeps_its_value() -> None:
    patterns, spins = state(2, 20)
    patterns[:, :5] = 0
    after, _ = memory.run(patterns, spins, math.inf, 4, np.random.default_rng(0))
    np.testing.assert_array_equal(after[:5], spins[:5])


def test_glauber_visits_states_as_boltzmann_weighs_them() -> None:
    patterns, spins = state(3, 6, 2, 0.2)
    beta, rng = 1.0, np.random.default_rng(4)
    every = [np.array(s, np.int8) for s in product((-1, 1), repeat=6)]
    weight = np.exp([-beta * memory.energy(patterns, s) for s in every])
    # Averages over states s and -s vanish, so an average of squares is compared.
    expected = weight @ [(memory.overlaps(patterns, s) ** 2).sum() for s in every] / weight.sum()
    seen = []
    for _ in range(20_000):
        spins, m = memory.run(patterns, spins, beta, 1, rng)
        seen.append(float((m**2).sum()))
    assert np.mean(seen) == pytest.approx(expected, abs=0.02)


def test_the_hierarchy_has_its_overlaps_and_gives_way_at_the_critical_dilution() -> None:
    rng = np.random.default_rng(0)
    for d, rests in ((0.3, True), (0.5, True), (0.62, False)):
        patterns = memory.diluted(4, 20_000, d, rng)
        spins = memory.hierarchical(patterns, rng)
        np.testing.assert_allclose(memory.overlaps(patterns, spins), (1 - d) * d ** np.arange(4), atol=0.02)
        assert (memory.stable(patterns, spins) == 1.0) == rests
    assert memory.critical_dilution(4) == pytest.approx(0.5437, abs=1e-4)
    assert memory.critical_dilution(3) == pytest.approx((math.sqrt(5) - 1) / 2)


def test_mean_field_is_the_equation_and_has_its_limits() -> None:
    m = memory.mean_field(np.array([0.5, 0.2, 0.1]), 0.4, 3.0)
    back = np.zeros(3)
    for xi in product((-1, 0, 1), repeat=3):
        chance = math.prod(0.4 if x == 0 else 0.3 for x in xi)
        back += chance * np.array(xi) * math.tanh(3.0 * float(np.dot(xi, m)))
    np.testing.assert_allclose(m, back, atol=1e-9)
    one = memory.mean_field(np.array([0.9]), 0.0, 1e3)
    np.testing.assert_allclose(one, 1.0)
    assert memory.mean_field(np.array([0.9]), 0.0, 0.9)[0] < 1e-4, (
        "above the critical temperature nothing is remembered"
    )


@pytest.mark.parametrize("supervised", [True, False])
def test_a_step_from_examples_is_that_of_their_couplings(supervised: bool) -> None:
    rng = np.random.default_rng(5)
    patterns = memory.diluted(2, 25, 0.3, rng)
    shown = memory.examples(patterns, 3, 0.5, rng)
    spins = memory.hierarchical(patterns, rng)
    kept = shown.mean(1) if supervised else shown.reshape(-1, 25)
    matrix = sum(np.outer(eta, eta) for eta in kept.astype(float))
    np.fill_diagonal(matrix, 0)
    field = matrix @ spins
    clear = np.abs(field) > 1e-9
    found = memory.learned_step(shown, spins, supervised, 0.3, 0.5)
    np.testing.assert_array_equal(found[clear], np.sign(field)[clear])
    np.testing.assert_array_equal(found[~clear], spins[~clear])


def test_perfect_examples_are_the_patterns_and_poor_ones_keep_their_blanks() -> None:
    rng = np.random.default_rng(6)
    patterns = memory.diluted(3, 500, 0.4, rng)
    assert (memory.examples(patterns, 4, 1.0, rng) == patterns[:, None]).all()
    noisy = memory.examples(patterns, 200, 0.2, rng)
    assert (noisy[:, :, :][(patterns == 0)[:, None].repeat(200, 1)] == 0).all()
    assert (noisy * patterns[:, None]).sum() / (np.abs(patterns).sum() * 200) == pytest.approx(0.2, abs=0.01)


def test_recall_by_softmax_returns_one_pattern_and_by_hebb_mixes() -> None:
    rng = np.random.default_rng(7)
    stored = rng.integers(0, 2, (200, 64)) * 2 - 1
    cue = stored[:5].copy()
    cue[:, :6] *= -1
    np.testing.assert_array_equal(np.sign(memory.recall(stored, cue)), stored[:5])
    assert (memory.recall(stored, cue, "hebb", steps=5) != stored[:5]).any(1).all()
    few = memory.recall(stored[:3], cue[:3], "hebb", steps=5)
    np.testing.assert_array_equal(few, stored[:3])


def test_the_recipe_makes_the_phase_diagram(tmp_path) -> None:  # type: ignore[no-untyped-def]
    report = build("multitasking-hebbian").report()
    assert "0.5437" in str(report)
    regimes = {(row["beta"], row["dilution"]): row["regime"] for row in report.rows}
    assert regimes[40.0, 0.3] == "hierarchical" and regimes[40.0, 0.9] == "parallel" and regimes[40.0, 0.7] == "graded"
    assert regimes[2.0, 0.9] == "none"
    report.save(tmp_path / "phases.html")
    assert "data:image/png" in (tmp_path / "phases.html").read_text()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: state(dilution=1.5), "share of blanks"),
        (lambda: memory.examples(state()[0], 3, 0.0, np.random.default_rng(0)), "quality is 0"),
        (lambda: memory.recall(np.ones((2, 4)), np.ones((1, 4)), "hebbian"), "hebb"),
        (lambda: memory.run(*state(), 1.0, 5, np.random.default_rng(0), 5), "one sweep"),
    ],
)
def test_a_mistake_has_one_line(make, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SemblanceError, match=words):
        make()

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.encoders.graphs.skip_gram import Pace, Tables, fresh, kept_share, learn_pairs, learn_walks
from semblance.errors import SemblanceError


def tables(dim: int, rows: int = 7, columns: int = 5, seed: int = 0) -> Tables:
    rng = np.random.default_rng(seed)
    made = fresh(rows, columns, dim, rng)
    made.vectors[:, :dim] = rng.normal(size=(rows, dim))
    made.contexts[:, :dim] = rng.normal(size=(columns, dim))
    return made


def loss(u: np.ndarray, c: np.ndarray, met: int, noise: list[int]) -> float:
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    return float(-np.log(sigmoid(u @ c[met])) - sum(np.log(sigmoid(-u @ c[k])) for k in noise))


@pytest.mark.parametrize("dim", [1, 3, 16, 100, 130, 300])
def test_a_pair_moves_along_the_gradient_of_its_loss(dim: int) -> None:
    made = tables(dim)
    made.vectors[:, :dim] /= np.sqrt(dim)
    u, c = (t.astype(float) for t in made.found())
    noise = np.array([0.0, 0, 1, 0, 0])  # negatives are certain: column 2, three times
    learn_pairs(made, np.array([4]), np.array([1]), noise, negatives=3, pace=Pace(lr=1e-3), seed=0)
    after_u, after_c = made.found()
    step = 1e-6
    for held, after, row in ((u, after_u, 4), (c, after_c, 1)):
        gradient = np.zeros(dim)
        for j in range(dim):
            held[row, j] += step
            high = loss(u[4], c, 1, [2, 2, 2])
            held[row, j] -= 2 * step
            low = loss(u[4], c, 1, [2, 2, 2])
            held[row, j] += step
            gradient[j] = (high - low) / (2 * step)
        # The second and third time, the noise column has already moved: a change of second order in the step.
        np.testing.assert_allclose(after[row] - held[row], -1e-3 * gradient, atol=2e-5)
    others = [i for i in range(7) if i != 4]
    np.testing.assert_array_equal(after_u[others], u[others].astype(np.float32))
    np.testing.assert_array_equal(after_c[[0, 3, 4]], c[[0, 3, 4]].astype(np.float32))


def test_padding_learns_nothing() -> None:
    made = tables(5)
    learn_pairs(made, np.arange(7, dtype=np.int32), np.zeros(7, np.int32), np.ones(5), negatives=2, pace=Pace(), seed=0)
    assert made.vectors.shape[1] > 5 and not made.vectors[:, 5:].any() and not made.contexts[:, 5:].any()


def twin(u: np.ndarray, c: np.ndarray, walks: np.ndarray, lr: float, end: float) -> None:
    """Window 1, one certain negative (column 0): the pass over walks as plain loops, with the same order."""
    for w, walk in enumerate(walks):
        walk = walk[walk >= 0]
        now = lr - (lr - end) / len(walks) * w
        for i in range(len(walk)):
            for j in (i - 1, i + 1):
                if 0 <= j < len(walk):
                    row = u[walk[i]].copy()
                    g = [now * (1 - 1 / (1 + np.exp(-row @ c[walk[j]]))), -now / (1 + np.exp(-row @ c[0]))]
                    for k, column in enumerate((walk[j], 0)):
                        u[walk[i]] += g[k] * c[column]
                        c[column] += g[k] * row


def test_a_pass_over_walks_is_its_plain_loops() -> None:
    walks = np.random.default_rng(2).integers(1, 6, (40, 9)).astype(np.int32)
    walks[::3, 5:] = -1
    made = tables(8, 6, 6)
    u, c = (t.astype(float) for t in made.found())
    twin(u, c, walks, 0.1, 1e-4)
    noise = np.array([1.0, 0, 0, 0, 0, 0])
    learn_walks(made, walks, noise, window=1, negatives=1, pace=Pace(0.1), seed=0)
    np.testing.assert_allclose(made.found()[0], u, atol=2e-4)
    np.testing.assert_allclose(made.found()[1], c, atol=2e-4)


def test_full_width_tables_find_the_closed_form() -> None:
    # Pairs drawn from a known joint law: the products are log P(u, c) / (P(u) N(c)) - log K (Levy & Goldberg 2014).
    rng = np.random.default_rng(0)
    joint = rng.gamma(1.0, size=(6, 5)) + 0.2
    joint /= joint.sum()
    noise = joint.sum(0) ** 0.75
    made = fresh(6, 5, 8, rng)
    drawn = rng.choice(30, size=2_000_000, p=joint.ravel()).astype(np.int32)
    left, right = (drawn // 5).astype(np.int32), (drawn % 5).astype(np.int32)
    learn_pairs(made, left, right, noise, negatives=3, pace=Pace(0.1, 1e-4), seed=0)
    u, c = made.found()
    form = np.log(joint / joint.sum(1, keepdims=True) / (noise / noise.sum())) - np.log(3)
    np.testing.assert_allclose(u @ c.T, form, atol=0.1)
    assert np.abs(form).max() > 2


def test_on_one_thread_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    walks = np.random.default_rng(0).integers(0, 5, (50, 12)).astype(np.int32)
    found = []
    for seed in (3, 3, 4):
        made = tables(8, 5, 5)
        learn_walks(made, walks, np.ones(5), window=4, negatives=2, pace=Pace(), seed=seed)
        found.append(made.vectors)
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_threads_without_a_lock_learn_about_the_same() -> None:
    rng = np.random.default_rng(0)
    half = rng.integers(0, 2, (600, 1))
    walks = (rng.integers(0, 10, (600, 20)) + 10 * half).astype(np.int32)  # two groups that never meet
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        made = fresh(20, 20, 16, rng)
        learn_walks(made, walks, np.ones(20), window=5, negatives=5, pace=Pace(0.05), seed=0)
    finally:
        torch.set_num_threads(before)
    u, c = made.found()
    product = u @ c.T
    inside = product[:10, :10].mean() + product[10:, 10:].mean()
    assert inside > product[:10, 10:].mean() + product[10:, :10].mean() + 2


def test_an_epoch_in_blocks_is_the_epoch_at_once() -> None:
    walks = np.random.default_rng(0).integers(0, 5, (60, 12)).astype(np.int32)
    whole, parts = tables(8, 5, 5), tables(8, 5, 5)
    learn_walks(whole, walks, np.ones(5), window=4, negatives=2, pace=Pace(), seed=0)
    for first in range(0, 60, 20):
        pace = Pace(done=first, total=60)
        learn_walks(parts, walks[first : first + 20], np.ones(5), window=4, negatives=2, pace=pace, seed=0, first=first)
    np.testing.assert_allclose(parts.vectors, whole.vectors, atol=1e-6)


def test_frequent_places_are_thinned_out_and_rare_ones_stay() -> None:
    share = kept_share(np.array([900.0, 90, 9, 1]), 0.01)
    assert share[2] == share[3] == 1 and share[0] < share[1] < 1
    np.testing.assert_allclose(share[0], np.sqrt(0.01 / 0.9) + 0.01 / 0.9)
    walks = np.zeros((20, 10), np.int32)
    made = tables(8, 5, 5)
    before = made.vectors.copy()
    learn_walks(made, walks, np.ones(5), window=2, negatives=1, pace=Pace(), seed=0, keep=np.zeros(5))
    np.testing.assert_array_equal(made.vectors, before)


def test_strength_multiplies_a_pair_s_step_and_frozen_contexts_stay() -> None:
    pair = (np.array([4], np.int32), np.array([1], np.int32), np.array([0.0, 0, 1, 0, 0]))
    one, twice, frozen = tables(8), tables(8), tables(8)
    before = tables(8)
    learn_pairs(one, *pair, negatives=2, pace=Pace(2e-4), seed=0)
    learn_pairs(twice, *pair, negatives=2, pace=Pace(1e-4), seed=0, strength=np.array([2.0]))
    learn_pairs(frozen, *pair, negatives=2, pace=Pace(2e-4), seed=0, frozen=True)
    np.testing.assert_array_equal(twice.vectors, one.vectors)
    np.testing.assert_array_equal(twice.contexts, one.contexts)
    np.testing.assert_array_equal(frozen.contexts, before.contexts)
    # The contexts of a pair move after its vector has read them.
    np.testing.assert_allclose(frozen.vectors, one.vectors, atol=1e-6)
    assert (frozen.vectors[4] != before.vectors[4]).any() and (one.contexts != before.contexts).any()


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(SemblanceError, match="window is 0"):
        learn_walks(tables(4), np.zeros((1, 2), np.int32), np.ones(5), window=0, negatives=1, pace=Pace(), seed=0)
    with pytest.raises(SemblanceError, match="0 numbers"):
        fresh(2, 2, 0, np.random.default_rng(0))

"""Retrieval, agreement, uniformity and few-shot scores against loops, scikit-learn and known cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, average_precision_score, normalized_mutual_info_score

from semblance.analysis.agreement import agreement, agreement_intervals, k_means
from semblance.analysis.fewshot import FewShot, answers, on_hyperboloid
from semblance.analysis.judge import judge
from semblance.analysis.retrieval import average_precision, label_precision, neighbours
from semblance.analysis.uniformity import (
    alignment_scores,
    closeness_scores,
    effective_rank,
    effective_rank_interval,
    view_recall_scores,
)
from semblance.geometry import ball


def clusters(seed, n=200, classes=4, d=8, apart=6.0):
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    centres = np.random.default_rng(99).normal(size=(classes, d)) * apart
    return (centres[y] + rng.normal(size=(n, d))).astype(np.float32), y


def test_average_precision_is_scikit_learns_without_ties():
    rng = np.random.default_rng(0)
    scores, relevant = rng.random((6, 40)), rng.random((6, 40)) < 0.3
    ours = average_precision(torch.from_numpy(scores), torch.from_numpy(relevant))
    np.testing.assert_allclose(
        ours, [average_precision_score(r, s) for r, s in zip(relevant, scores, strict=True)], rtol=1e-5
    )


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
def test_precision_of_labels_ranks_by_the_geometry(geometry):
    (x, y), (q, t) = clusters(0, 60, apart=1), clusters(1, 20, apart=1)
    if geometry == "cosine":
        scores = (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (x / np.linalg.norm(x, axis=1, keepdims=True)).T
    else:
        scores = -np.linalg.norm(q[:, None] - x, axis=2)
    expected = [average_precision_score(y == t[i], scores[i]) for i in range(20)]
    np.testing.assert_allclose(label_precision(x, y, q, t, geometry), expected, rtol=1e-4)


def test_a_label_that_the_gallery_lacks_scores_zero():
    assert label_precision(np.eye(3), np.array([0, 0, 1]), np.eye(3)[:1], np.array([2]))[0] == 0


def test_agreement_is_scikit_learns():
    rng = np.random.default_rng(0)
    for groups in (2, 5, 30):
        a, b = rng.integers(groups, size=300), rng.integers(4, size=300)
        b[:100] = a[:100] % 4
        nmi, ari = agreement(a, b)
        assert nmi == pytest.approx(normalized_mutual_info_score(a, b))
        assert ari == pytest.approx(adjusted_rand_score(a, b))
    assert agreement(np.zeros(5), np.zeros(5)) == (1, 1)


def test_intervals_of_agreement_surround_it_and_shrink_with_units():
    def width(n):
        y = np.random.default_rng(0).integers(4, size=n)
        group = np.where(np.random.default_rng(1).random(n) < 0.7, y, 0)
        value, low, high = agreement_intervals(group, y)["ari"]
        assert low < value < high
        return high - low

    assert width(4000) < 0.5 * width(200)


def test_k_means_finds_clusters_that_stand_apart():
    z, y = clusters(0)
    assert agreement(k_means(z, 4), y)[1] > 0.95


def test_uniform_directions_are_more_uniform_than_a_cap_and_collapse_is_zero():
    rng = np.random.default_rng(0)
    spread = np.log(closeness_scores(rng.normal(size=(500, 16))).mean())
    cap = np.log(closeness_scores(5 + rng.normal(size=(500, 16))).mean())
    assert spread < cap < 0
    assert np.log(closeness_scores(np.ones((10, 4))).mean()) == pytest.approx(0, abs=1e-6)


def test_closeness_is_the_mean_over_the_others():
    z = np.random.default_rng(0).normal(size=(9, 4))
    u = z / np.linalg.norm(z, axis=1, keepdims=True)
    loops = [np.mean([np.exp(-2 * ((u[i] - u[j]) ** 2).sum()) for j in range(9) if j != i]) for i in range(9)]
    np.testing.assert_allclose(closeness_scores(z), loops, rtol=1e-5)


def test_effective_rank_counts_directions_that_are_used_alike():
    rng = np.random.default_rng(0)
    assert effective_rank(np.ones((20, 5))) == 1.0
    z = np.zeros((4000, 10))
    z[:, :4] = rng.normal(size=(4000, 4))
    assert effective_rank(z) == pytest.approx(4, abs=0.02)
    u = rng.normal(size=(50, 6)) @ np.diag([5, 3, 1, 1, 0.5, 0.1]) + 1
    c = u / np.linalg.norm(u, axis=1, keepdims=True)
    s = np.linalg.svd(c - c.mean(0), compute_uv=False)
    p = s / s.sum()
    assert effective_rank(u) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-5)


def test_the_jackknife_of_effective_rank_covers_another_sample():
    rng = np.random.default_rng(0)
    mix = np.random.default_rng(1).normal(size=(20, 20))
    truth = effective_rank(rng.normal(size=(20000, 20)) @ mix)
    value, low, high = effective_rank_interval(rng.normal(size=(1500, 20)) @ mix)
    assert low < value < high
    assert abs(value - truth) < 3 * (high - low)


def test_views_that_agree_are_aligned_and_found():
    z = np.random.default_rng(0).normal(size=(30, 6))
    assert alignment_scores(z, 2 * z).max() < 1e-6
    assert view_recall_scores(z, 2 * z).mean() == 1
    assert view_recall_scores(z, np.roll(z, 1, 0)).mean() == 0


def test_episodes_of_clusters_that_stand_apart_are_solved_and_of_noise_are_chance():
    (x, y), (q, t) = clusters(0, 400, 6), clusters(1, 200, 6)
    few = FewShot(x, y, q, t, "euclidean")
    assert few.episodes(5, episodes=100).mean() > 0.97
    assert few.draws(5).mean() > 0.97
    noise = FewShot(x, np.random.default_rng(0).permutation(y), q, t, "euclidean")
    assert noise.episodes(5, episodes=300).mean() == pytest.approx(1 / 5, abs=0.04)
    assert noise.draws(5).mean() == pytest.approx(1 / 6, abs=0.05)


def test_support_is_of_the_right_classes_and_never_repeats():
    (x, y), (q, t) = clusters(0, 300, 6), clusters(1, 40, 6)
    few = FewShot(x, y, q, t)
    from semblance.analysis.fewshot import _Rows

    rows = _Rows([np.flatnonzero(y == c) for c in range(6)])
    chosen = np.random.default_rng(0).integers(6, size=(50, 3))
    drawn, real = rows.draw(chosen, 4, np.random.default_rng(0))
    assert real.all()
    assert (y[drawn] == chosen[..., None]).all()
    assert all(len(set(d)) == 4 for d in drawn.reshape(-1, 4).tolist())
    assert few.episodes(1, episodes=7).shape == (7,)


def test_classes_with_few_test_units_are_asked_only_what_they_have():
    y = np.repeat(np.arange(3), 10)
    z = np.eye(3)[y] + 0.01
    few = FewShot(z, y, z[[0, 10, 11, 20]], np.array([0, 1, 1, 2]))
    assert (few.episodes(5, episodes=50) == 1).all()


def test_fewer_than_two_classes_are_no_task():
    few = FewShot(np.eye(4), np.zeros(4, int), np.eye(4), np.zeros(4, int))
    assert few.episodes(1) is None
    assert few.draws(1) is None


def test_the_nearest_mean_is_by_angle_on_the_sphere_and_by_distance_in_flat_space():
    support = np.array([[[10.0, 0.0]], [[0.6, 0.8]]])
    assert answers(support, np.array([[1.0, 0.2]]), "cosine")[0] == 0
    assert answers(support, np.array([[1.0, 0.2]]), "euclidean")[0] == 1


def in_ball(seed, n=60, classes=4):
    """Clusters of the ball of curvature -0.3, most of them far from its centre."""
    z, y = clusters(seed, n, classes, d=3, apart=2.0)
    return ball.exp0(torch.from_numpy(z) / 2, 0.3).numpy(), y


def test_in_the_ball_the_nearest_midpoint_answers():
    (x, _), (q, _) = in_ball(0), in_ball(1, 20)
    support = x[:12].reshape(4, 3, 3)
    means = ball.midpoint(torch.from_numpy(support).double(), 0.3)
    nearest = ball.distances(torch.from_numpy(q).double(), means, 0.3).argmin(1)
    lifted = on_hyperboloid(x[:12], "hyperbolic(0.3)").reshape(4, 3, 4)
    found = answers(lifted, on_hyperboloid(q, "hyperbolic(0.3)"), "hyperbolic(0.3)")
    np.testing.assert_array_equal(found, nearest)


def test_in_the_ball_neighbours_and_precision_rank_by_its_distance():
    (x, y), (q, t) = in_ball(0), in_ball(1, 20)
    d = ball.distances(torch.from_numpy(q).double(), torch.from_numpy(x).double(), 0.3)
    position, similarity = neighbours(q, x, 5, "hyperbolic(0.3)")
    np.testing.assert_array_equal(position, d.argsort(1)[:, :5])
    np.testing.assert_allclose(similarity, -d.sort(1).values[:, :5], rtol=1e-4)
    expected = average_precision(-d, torch.from_numpy(t)[:, None] == torch.from_numpy(y))
    np.testing.assert_allclose(label_precision(x, y, q, t, "hyperbolic(0.3)"), expected, rtol=1e-5)
    assert view_recall_scores(q, q, "hyperbolic(0.3)").mean() == 1


def test_an_embedding_in_the_ball_is_judged_beside_flat_raw_input():
    (x, y), (q, t) = in_ball(0, 200), in_ball(1, 100)
    raw = [50 * z for z in (x, q)]  # far outside the ball, where clipping would tell nothing apart
    found = judge(x, y, q, t, raw_train=raw[0], raw_test=raw[1], geometry="hyperbolic(0.3)")
    flat = judge(*[z for pair in ((raw[0], y), (raw[1], t)) for z in pair], geometry="euclidean")
    assert found["knn5"]["value"] > 0.9 and found["fewshot5_all"]["value"] > 0.8
    assert found["knn5"]["baseline"] >= flat["knn5"]["value"]


def test_the_effective_rank_is_one_whether_taken_over_items_or_over_columns():
    rng = np.random.default_rng(3)
    z = np.concatenate([rng.normal(size=(40, 60)), np.zeros((40, 10))], 1).astype(np.float32)
    wide = np.concatenate([z, np.zeros((40, 30), np.float32)], 1)  # 40 items: by items
    assert effective_rank_interval(wide) == pytest.approx(effective_rank_interval(z), rel=1e-6)
    tall = np.concatenate([z, z])  # 80 items of 70 columns: by columns, the same directions twice
    assert effective_rank(tall) == pytest.approx(effective_rank(z), rel=1e-6)
